"""Everything that predicts implements `WorldModel`."""

from __future__ import annotations

from typing import Any

from nextstate.errors import UnknownNameError
from nextstate.models import language
from nextstate.models.objectives import OBJECTIVES
from nextstate.models.protocol import Beliefs, History, States, WorldModel, WorldModelSpec
from nextstate.models.world_model import PRESETS, StateModel, build_state_model


def build(spec: WorldModelSpec, preset: str = "small", **options: Any) -> StateModel:
    """A fresh model for states like `spec`; raises `UnknownNameError` for an unknown preset or objective."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    objective = options.get("objective", "pixel")
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    return build_state_model(spec, preset, OBJECTIVES[objective], **options)


def build_any(spec: WorldModelSpec, preset: str = "small", **options: Any) -> Any:
    """As `build`, but also the language-first rival: whatever a folder of weights may hold."""
    if preset in language.PRESETS:
        return language.build_rival(spec, preset, **options)
    return build(spec, preset, **options)


__all__ = [
    "PRESETS",
    "Beliefs",
    "History",
    "StateModel",
    "States",
    "WorldModel",
    "WorldModelSpec",
    "build",
    "build_any",
]
