"""What an objective is, and weighted mixtures of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Generator, Tensor

from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models.stages import Stage, StageLoss

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

Equip = Callable[["StateModel", Mapping[str, Any]], None]
"""``equip(model, options)`` gives a fresh model the networks that an objective needs besides the trunk."""


@dataclass(frozen=True)
class Objective:
    """What pretraining minimises.

    Args:
        stages: what is learned first and what then; all objectives name them alike, so that they can be mixed.
        equip: see `Equip`. options: what `equip` understands, with the values it has by default.
    """

    stages: tuple[Stage, ...]
    equip: Equip | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_weights(text: str, known: Mapping[str, Objective]) -> dict[str, float]:
    """``"pixel"`` or ``"pixel=1,latent=.1"`` to weights by objective, the heaviest first.

    Raises `UnknownNameError` for an objective that is not `known`, and `SettingsError` for a weight that is no
    positive number, or an objective named twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise UnknownNameError("objective", name, known)
        if name in found:
            raise SettingsError(f"--objective {text}: {name} is named twice; give each objective one weight.")
        try:
            found[name] = float(weight) if equals else 1.0
        except ValueError:
            found[name] = math.nan
        if not (math.isfinite(found[name]) and found[name] > 0):
            raise SettingsError(
                f"--objective {text}: {weight!r} is no weight of {name}; give a number above 0, as in pixel=1,flow=.5."
            )
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def mixed(weights: Mapping[str, float], known: Mapping[str, Objective]) -> tuple[Stage, ...]:
    """Stages that minimise the weighted sum of what each objective does; lengths and rates are the heaviest one's.

    A single objective is left as it is, whatever its weight: Muon and Adam do not heed the scale of a loss.
    """
    first, *others = [known[name].stages for name in weights]
    if not others:
        return first
    stages = []
    for place, stage in enumerate(first):
        together = [stage, *(other[place] for other in others)]
        losses: dict[StageLoss, tuple[str, float]] = {}
        for (name, weight), part in zip(weights.items(), together, strict=True):
            # What several objectives learn alike is learned once.
            before = losses.get(part.loss)
            losses[part.loss] = (before[0], before[1] + weight) if before else (name, weight)
        needs: dict[str, Any] = {
            name: any(getattr(part, name) for part in together) for name in ("pictured", "commanded", "grows")
        }
        stages.append(replace(stage, loss=weighted(losses), **needs))
    return tuple(stages)


def weighted(losses: Mapping[StageLoss, tuple[str, float]]) -> StageLoss:
    """The weighted sum of losses; their parts are called ``<objective>/<part>``."""

    def loss(model: Any, batch: dict[str, Tensor], generator: Generator, progress: float) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        total: Tensor | float = 0.0
        for one, (name, weight) in losses.items():
            found = one(model, batch, generator, progress)
            total = total + weight * found.pop("loss")
            parts |= {f"{name}/{part}": value for part, value in found.items()}
        return {"loss": total, **parts}  # type: ignore[dict-item]

    return loss
