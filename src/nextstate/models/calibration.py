"""Fits how far sampled futures should lie apart, on windows that nothing was learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

TEMPERATURES = (0.5, 0.7, 1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 4.0)
LEVEL, STUDENT = 0.8, 1.415
"""Share of true values that should lie inside the interval, and its half width in standard deviations of 8 samples."""
SAMPLES = 8
STRAYED = 0.05
"""A thing counts whose place changed by this much, in halves of the picture; a sense, by twice that."""


@torch.no_grad()
def calibrate(model: StateModel, batch: Mapping[str, Tensor]) -> float:
    """The scale of noise with which central 80 % intervals cover closest to 80 % of what came.

    Args:
        batch: windows that were not learned from: modality -> ``(B, T, *shape)``, ``"action"`` -> ``(B, T-1, A)``.
    """
    context = model.spec.context
    states = {n: batch[n] for n in model.spec.modalities}
    actions = batch["action"].float()
    size, length = actions.shape[0], actions.shape[1] + 1
    seen = model.recall({n: v.flatten(0, 1) for n, v in states.items()})
    truth = {n: v.view(size, length, *v.shape[1:])[:, context:] for n, v in seen.items()}
    belief = model.believe({n: v[:, :context] for n, v in states.items()}, actions[:, : context - 1])
    there = (truth["areas"] > 1 / 400)[..., None]
    counts = {"places": there & ((truth["places"] - belief["places"][:, None]).abs() > STRAYED)}
    for name in model.vectors:
        counts[name] = (truth[name] - belief[name][:, None]).abs() > 2 * STRAYED
    best, gap = 1.0, float("inf")
    for temperature in TEMPERATURES:
        drawn = [
            model.foresee(belief, actions[:, context - 1 :], temperature * model.draw_noise(i)) for i in range(SAMPLES)
        ]
        inside, whole = 0.0, 0.0
        for name, count in counts.items():
            samples = torch.stack([d[name].float() for d in drawn])
            half = STUDENT * samples.std(dim=0) * (1 + 1 / SAMPLES) ** 0.5
            covered = (truth[name] - samples.mean(dim=0)).abs() <= half
            # Each kind of reading counts alike, however many numbers it has.
            if count.any():
                inside, whole = inside + float(covered[count].float().mean()), whole + 1.0
        if whole and abs(inside / whole - LEVEL) < gap:
            best, gap = temperature, abs(inside / whole - LEVEL)
    return best
