"""Everything that predicts implements `WorldModel`."""

from __future__ import annotations

from typing import Any

from nextstate.errors import UnknownNameError
from nextstate.models.protocol import Beliefs, History, States, WorldModel, WorldModelSpec
from nextstate.models.world_model import PRESETS, StateModel, build_state_model


def build(spec: WorldModelSpec, preset: str = "small", **options: Any) -> StateModel:
    """A fresh model for states like `spec`; raises `UnknownNameError` for an unknown preset."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    return build_state_model(spec, preset, **options)


__all__ = ["PRESETS", "Beliefs", "History", "StateModel", "States", "WorldModel", "WorldModelSpec", "build"]
