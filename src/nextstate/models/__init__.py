"""Everything that predicts implements `WorldModel`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models import language, silent
from nextstate.models.objectives import OBJECTIVES, mixed, parse_weights
from nextstate.models.protocol import Beliefs, History, States, WorldModel, WorldModelSpec
from nextstate.models.world_model import PRESETS, StateModel


def build(spec: WorldModelSpec, preset: str = "small", **options: Any) -> StateModel:
    """A fresh model for states like `spec`.

    Args:
        options: ``objective`` (see `parse_weights`), fields of the preset's `Size`, and options of the objectives.

    Raises `UnknownNameError` for an unknown preset or objective, `SettingsError` for other options or weights.
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    weights = parse_weights(str(options.get("objective", "pixel")), OBJECTIVES)
    chosen = [OBJECTIVES[name] for name in weights]
    defaults = {n: v for objective in chosen for n, v in objective.options.items()}
    sizes = {n: v for n, v in options.items() if n != "objective" and n not in defaults}
    unknown = set(sizes) - set(asdict(PRESETS[preset]))
    if unknown:
        known = ("objective", *asdict(PRESETS[preset]), *defaults)
        raise SettingsError(f"options {', '.join(sorted(unknown))} are not among {', '.join(known)}.")
    size = replace(PRESETS[preset], **sizes)
    settings = {n: options.get(n, v) for n, v in defaults.items()}

    def equip(model: StateModel) -> None:
        for objective in chosen:
            if objective.equip is not None:
                objective.equip(model, settings)
        if size.silent:
            silent.equip(model)

    return StateModel(spec, preset, size, options, mixed(weights, OBJECTIVES), equip)


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
