"""Predict what is seen in the model's own terms: joint-embedding prediction, with no pixel to answer for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import SettingsError
from nextstate.models.dynamics import PACE
from nextstate.models.objectives.common import misdrawn, missed, pace_of, weighed
from nextstate.models.objectives.objective import Objective
from nextstate.models.objectives.pixel import BLUR, FORESEE, LOOK, REACT, REDRAW, eventful
from nextstate.models.objectives.regularisers import sketched_gaussian, variance_covariance
from nextstate.models.vision import presence

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

STRETCH = 3
"""Consecutive instants that are looked at together."""

TERMS = {"sketch": 1.0, "variance": 0.0, "covariance": 0.0, "inverse": 1.0, "temporal": 0.1}
"""Weights of what keeps the space from collapsing, as options: 0 switches a term off."""

SPREAD = 3.0
"""Places, in halves of the picture, times this are wanted to vary as codes do."""


class Inverse(nn.Module):
    """Which command lay between two states: what it takes to tell must be seen."""

    def __init__(self, length: int, action_size: int) -> None:
        super().__init__()
        self.tell = nn.Sequential(nn.Linear(2 * length, 128), nn.SiLU(), nn.Linear(128, action_size))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        told: Tensor = self.tell(torch.cat([before, after - before], dim=-1))
        return told


def look(model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Foresee, from what is seen at an instant, what will be seen at the next ones; eye and dynamics learn together.

    Gradients reach the eye through both what was foreseen and what came. The hand learns to draw what is seen as it
    is: nothing of that goes back to the eye.
    """
    size, length = batch["action"].shape[:2]
    steps = min(STRETCH, length + 1)
    first = int(torch.randint(0, length + 2 - steps, (1,), generator=generator, device=model.device))
    states = {n: batch[n][:, first : first + steps] for n in model.spec.modalities}
    actions = batch["action"][:, first : first + steps - 1].float()
    pictures = model.pictures(states)
    seen = {n: v.view(size, steps, *v.shape[1:]) for n, v in model.see(pictures.flatten(0, 1)).items()}
    seen |= model.felt(states)
    # Neither how much of a thing is there nor how far things go is to be learned by making errors look small.
    there = presence(seen["areas"].detach())[..., None]
    pace = pace_of(seen["places"].detach(), there)
    memory = torch.zeros(size, model.tokens, model.size.token, device=model.device)
    state, foreseen = {n: seen[n][:, 0] for n in model.state}, []
    for step in range(steps - 1):
        state, memory = model.dynamics(state, memory, actions[:, step])
        foreseen.append(state)
    parts = {}
    for name in model.state:
        imagined = torch.stack([f[name] for f in foreseen], dim=1)
        parts[name] = missed(name, imagined, seen[name][:, 1:], pace, there[:, 1:]).mean()
    loss = weighed(parts)
    kept = _kept_apart(model, seen, actions, generator)
    loss = loss + sum(kept.values())
    drawing = _drawn(model, pictures, seen, generator)
    return {"loss": loss + drawing, **parts, **kept, "drawing": drawing}


def _kept_apart(
    model: StateModel, seen: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """What keeps the space from collapsing, each term times its weight."""
    head = model.latent
    assert isinstance(head, Latent)
    terms, found = head.terms, {}
    things = torch.cat([SPREAD * seen["places"], seen["codes"]], dim=-1).flatten(0, 1)
    groups = (things, seen["gist"].flatten(0, 1))
    if terms["sketch"]:
        found["sketch"] = terms["sketch"] * sum(sketched_gaussian(codes, generator) for codes in groups)
    if terms["variance"] or terms["covariance"]:
        pairs = [variance_covariance(codes) for codes in groups]
        found["variance"] = terms["variance"] * sum(variance for variance, _ in pairs)
        found["covariance"] = terms["covariance"] * sum(covariance for _, covariance in pairs)
    if terms["inverse"]:
        points = torch.cat([(seen["places"] / PACE).flatten(2), seen["codes"].flatten(2), seen["gist"].flatten(2)], 2)
        told = head.inverse(points[:, :-1], points[:, 1:])
        found["inverse"] = terms["inverse"] * F.mse_loss(told.float(), actions)
    if terms["temporal"]:
        # What things are changes more slowly than where they are.
        changes = [(seen[n][:, 1:] - seen[n][:, :-1]).square().mean() for n in ("codes", "gist")]
        found["temporal"] = terms["temporal"] * torch.stack(changes).sum()
    return found  # type: ignore[return-value]


def _drawn(model: StateModel, pictures: Tensor, seen: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """Error of the last instant of some windows drawn from the first, from what is seen, gradients stopped."""
    ends = eventful(pictures[:, [0, -1]], generator)
    last, truth = pictures[ends][:, :1], pictures[ends][:, -1:]
    found = {n: v[ends].detach() for n, v in seen.items()}

    def blurred(codes: Tensor) -> Tensor:
        return codes + BLUR * torch.randn(codes.shape, generator=generator, device=codes.device)

    span = {
        "masks": found["masks"][:, :1],
        "carried": found["carried"][:, :1],
        "last": last,
        "from": found["places"][:, :1],
        "places": found["places"][:, -1:],
        "codes": blurred(found["codes"][:, -1:]),
        "gist": blurred(found["gist"][:, -1:]),
    }
    return misdrawn(model.draw(span), truth, last)[0]


class Latent(nn.Module):
    """What only this objective needs: the inverse dynamics, and the weights of its terms."""

    def __init__(self, length: int, action_size: int, terms: Mapping[str, float]) -> None:
        super().__init__()
        self.inverse = Inverse(length, action_size)
        self.terms = dict(terms)


def equip(model: StateModel, options: Mapping[str, Any]) -> None:
    terms = {n: options[n] for n in TERMS}
    for name, weight in terms.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not weight >= 0:
            raise SettingsError(f"{name}={weight!r}: give the weight of a term, 0 or above (0 switches it off).")
    size = model.size
    length = size.things * (2 + size.code) + size.gist * size.code
    model.latent = Latent(length, model.spec.action_size, terms)


LATENT = Objective((replace(LOOK, loss=look, windows=0.75, commanded=True), REACT, FORESEE, REDRAW), equip, TERMS)
