"""Predict which states may come: a rectified flow around the central future, so that it is sampled and not blurred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nextstate.models.flow import Flow, strayed
from nextstate.models.objectives.common import ahead_of, weighed
from nextstate.models.objectives.objective import Objective
from nextstate.models.objectives.pixel import FORESEE, LOOK, REACT, REDRAW

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

FLOWING, SPREADING = 0.2, 0.1
"""Weights of velocities and of scales, beside what is foreseen in the middle."""

FLOWN = 4
"""Steps ahead at which straying is learned in one step of training, drawn by lot: neighbours tell much the same."""


def foresee(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """The central future of each window, and how what came strayed from it.

    Dynamics rolls out once, whatever the number of futures that are sampled afterwards.
    """
    ahead = ahead_of(model, batch, progress)
    span = model.foresee(ahead.now, ahead.actions)
    central = {n: span[n] for n in model.state}
    parts = ahead.errors(central)
    chosen = torch.randperm(ahead.actions.shape[1], generator=generator, device=model.device)[:FLOWN]
    truth = {n: v[:, chosen] for n, v in ahead.truth.items()}
    off = strayed(truth, {n: v[:, chosen].detach() for n, v in central.items()}, model.vectors)
    # Of windows that lack a sense it is not known how far that strayed; a batch of nothing else teaches 0 of it.
    whole = torch.stack([value.flatten(1).isfinite().all(dim=1) for value in off.values()]).all(dim=0)
    flowing = spreading = torch.zeros((), device=model.device)
    if whole.any():
        off, memory, there = {n: v[whole] for n, v in off.items()}, span["memory"][whole], ahead.there[whole]
        assert model.flow is not None
        flowing, spreading = model.flow.losses(memory[:, chosen], off, there[:, chosen], generator)
    loss = weighed(parts) + FLOWING * flowing + SPREADING * spreading
    return {"loss": loss, **parts, "flowing": flowing, "spreading": spreading}


def equip(model: StateModel, options: Mapping[str, Any]) -> None:
    size, senses = model.size, {n: model.spec.modalities[n].channels for n in model.vectors}
    model.flow = Flow(size.things, size.gist, size.code, senses, size.token, size.token, options["flow_steps"])


FLOW = Objective(
    (LOOK, REACT, replace(FORESEE, loss=foresee), REDRAW),
    equip,
    {"flow_steps": 2},
)
