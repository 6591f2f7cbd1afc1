"""What objectives share: rollouts of windows, and errors of what was foreseen and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.models.vision import presence

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

STILL = 0.2
"""Weight of a pixel that does not change, beside 1 for one that does."""

CHANGED = 0.1
"""Normalised difference from which a pixel has changed."""

FORESEEN = {"places": 0.3, "codes": 1.0, "gist": 1.0, "proprio": 3.0, "touch": 6.0}
"""Weights of what is foreseen."""

BENDS = {"touch": 3.0, "proprio": 3.0}
"""Up to which error it counts by its square, in units of its scale: what is felt is to be foreseen in the mean."""

FILTERED = 0.3
"""Weight of steps from states that were really observed, beside imagined ones."""

FIRST_HORIZON = 4
"""Steps foreseen at first; at the end of the stage as many as there are."""


def misdrawn(drawn: Tensor, truth: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Error of pictures ``(B, S, C, s, s)``, and which pixels changed since `last` ``(B, 1, C, s, s)``."""
    changed = ((truth - last).abs().amax(dim=2, keepdim=True) > CHANGED).float()
    weight = STILL + changed
    error = F.smooth_l1_loss(drawn, truth, beta=0.3, reduction="none").clamp_max(4)
    return (error * weight).mean() / weight.mean(), changed


def remembered(
    model: StateModel, state: Mapping[str, Tensor], actions: Tensor
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """State and memory at the end of the history, and what was foreseen on the way there."""
    memory = torch.zeros(actions.shape[0], model.tokens, model.size.token, device=actions.device)
    filtered: list[dict[str, Tensor]] = []
    for t in range(model.spec.context - 1):
        following, memory = model.dynamics({n: state[n][:, t] for n in model.state}, memory, actions[:, t])
        filtered.append(following)
    return {n: state[n][:, model.spec.context - 1] for n in model.state} | {"memory": memory}, filtered


@dataclass(frozen=True)
class Ahead:
    """Windows as far as is foreseen at this point of training: what is known, and what came.

    Args:
        now: state and memory at the end of the history. actions: ``(B, H, A)`` from there on.
        truth: state and areas ``(B, H, ...)`` after each. there: ``(B, H, K, 1)``, how much of each thing was there.
        early, filtered: state ``(B, C-1, ...)`` within the history, as it was and as it was foreseen step by step.
        early_there: ``(B, C-1, K, 1)``. pace: how far things usually go in a step.
    """

    now: Mapping[str, Tensor]
    actions: Tensor
    truth: Mapping[str, Tensor]
    there: Tensor
    early: Mapping[str, Tensor]
    filtered: Mapping[str, Tensor]
    early_there: Tensor
    pace: Tensor

    def errors(self, foreseen: Mapping[str, Tensor], besides: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """What was foreseen ``(B, H, ...)`` against what came, for each part of the state; `besides` is added."""
        parts = {}
        for name, values in foreseen.items():
            parts[name] = missed(name, values, self.truth[name], self.pace, self.there).mean()
            if besides:
                parts[name] = parts[name] + besides[name]
            if self.filtered:
                error = missed(name, self.filtered[name], self.early[name], self.pace, self.early_there).mean()
                parts[name] = parts[name] + FILTERED * error
        return parts


def ahead_of(model: StateModel, batch: Mapping[str, Tensor], progress: float) -> Ahead:
    """The windows of a batch of what was recalled, up to the horizon of `progress`."""
    context, horizon = model.spec.context, horizon_at(model, batch, progress)
    state = {n: batch[n][:, : context + horizon] for n in (*model.state, "areas")}
    actions = batch["action"][:, : context + horizon - 1].float()
    there = presence(state["areas"])[..., None]
    now, filtered = remembered(model, state, actions)
    return Ahead(
        now,
        actions[:, context - 1 :],
        {n: v[:, context:] for n, v in state.items()},
        there[:, context:],
        {n: v[:, 1:context] for n, v in state.items()},
        {n: torch.stack([f[n] for f in filtered], dim=1) for n in model.state} if filtered else {},
        there[:, 1:context],
        pace_of(state["places"], there),
    )


def horizon_at(model: StateModel, batch: Mapping[str, Tensor], progress: float) -> int:
    longest = batch["action"].shape[1] + 1 - model.spec.context
    return min(longest, FIRST_HORIZON + int(progress * (max(longest - FIRST_HORIZON, 0) + 1)))


def scale_of(name: str, pace: Tensor) -> Tensor | float:
    return pace if name == "places" else 1.0


def share_of(name: str, there: Tensor) -> Tensor | float:
    # What is not there is nowhere, and looks like nothing.
    return there if name in ("places", "codes") else 1.0


def missed(name: str, foreseen: Tensor, truth: Tensor, pace: Tensor, there: Tensor) -> Tensor:
    scale = scale_of(name, pace)
    bend = BENDS.get(name, 1.0)
    foreseen, known = sensed(truth, foreseen)
    error = F.smooth_l1_loss(foreseen / scale, truth.nan_to_num() / scale, beta=bend, reduction="none") * bend
    return error * share_of(name, there) * known


def sensed(truth: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Values where there is a truth (else zeros), and weights of mean 1 that leave out where there is none (NaN)."""
    known = ~truth.isnan()
    share = known.float().mean().clamp_min(1e-6)
    return torch.where(known, values, 0.0), known / share


def weighed(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack([FORESEEN.get(name, 1.0) * part for name, part in parts.items()]).sum()


def pace_of(places: Tensor, there: Tensor) -> Tensor:
    """How far things usually go in a step: the yardstick of errors in place."""
    moved = (places[:, 1:] - places[:, :-1]).abs() * there[:, 1:]
    return moved.mean().clamp_min(1e-4)
