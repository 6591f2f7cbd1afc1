"""Fits how far sampled futures should lie apart, on windows that nothing was learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nextstate.models.vision import PRESENT

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

COLDEST, HOTTEST, STRIDE = 0.5, 4.0, 1.25
"""Scales among which the first that suffices is looked for."""
LEVEL, STUDENT = 0.8, 1.415
"""Share of true values that should lie inside the interval, and its half width in standard deviations of 8 samples."""
SAMPLES = 8
OPEN = 0.05
"""A place counts that other actions would change by this much, in halves of the picture; a sense, by twice that."""

OTHERS = 7
"""Other windows whose actions are tried to find out: with its own as many as a suite has branches."""

CHUNK = 32
"""Windows looked at together."""


@torch.no_grad()
def calibrate(model: StateModel, batch: Mapping[str, Tensor]) -> float:
    """The scale of noise with which central 80 % intervals cover 80 % of what came, or as nearly so as can be.

    What counts is what the action decides, by the model's own account. Were it what truly changed, surprises would be
    picked out, and intervals that hold four truths in five would seem too narrow.

    Args:
        batch: windows that were not learned from: modality -> ``(B, T, *shape)``, ``"action"`` -> ``(B, T-1, A)``.
    """
    size = batch["action"].shape[0]
    parts = [
        _expected(model, {n: v[first : first + CHUNK] for n, v in batch.items()}) for first in range(0, size, CHUNK)
    ]
    best, most, below, temperature = 1.0, 0.0, 0.0, COLDEST
    # Noise that is too hot leads astray, and covers less again: so the first scale that suffices is taken.
    while temperature <= HOTTEST:
        share = _covered(model, parts, temperature)
        if share is None:
            return 1.0
        if share >= LEVEL:
            back = (share - LEVEL) / max(share - below, 1e-9) if temperature > COLDEST else 0.0
            return float(round(temperature * STRIDE**-back, 3))
        if share > most:
            best, most = temperature, share
        below, temperature = share, temperature * STRIDE
    return round(best, 3)


@dataclass(frozen=True)
class _Expected:
    """What came after some histories, and which of it counts: reading -> ``(B, H, ...)``; and the sampled futures of
    what was done, under any temperature."""

    futures: Sequence[Callable[[float], Mapping[str, Tensor]]]
    truth: Mapping[str, Tensor]
    counts: Mapping[str, Tensor]


def _expected(model: StateModel, batch: Mapping[str, Tensor]) -> _Expected:
    context = model.spec.context
    states = {n: batch[n] for n in model.spec.modalities}
    actions = batch["action"].float()
    size, length = actions.shape[0], actions.shape[1] + 1
    seen = model.recall({n: v.flatten(0, 1) for n, v in states.items()})
    truth = {n: v.view(size, length, *v.shape[1:])[:, context:] for n, v in seen.items()}
    belief = model.believe({n: v[:, :context] for n, v in states.items()}, actions[:, : context - 1])
    ahead = actions[:, context - 1 :]
    tried = [model.foresee(belief, ahead.roll(other, dims=0)) for other in range(OTHERS + 1)]
    counts = {}
    for name in ("places", *model.vectors):
        ends = torch.stack([future[name].float() for future in tried])
        counts[name] = ends.amax(dim=0) - ends.amin(dim=0) > (OPEN if name == "places" else 2 * OPEN)
    # What is not there has no place.
    counts["places"] &= (truth["areas"] > 1 / PRESENT)[..., None]
    kept = {n: belief[n] for n in (*model.state, "memory")}
    futures = model.strayed(kept, ahead, range(SAMPLES))
    return _Expected(futures, {n: truth[n] for n in counts}, counts)


def _covered(model: StateModel, parts: Sequence[_Expected], temperature: float) -> float | None:
    """Share of what counts that lies within the intervals; each kind of reading counts alike, however many numbers."""
    inside: dict[str, float] = {}
    whole: dict[str, float] = {}
    for part in parts:
        drawn = [future(temperature) for future in part.futures]
        for name, count in part.counts.items():
            samples = torch.stack([d[name].float() for d in drawn])
            half = STUDENT * samples.std(dim=0) * (1 + 1 / SAMPLES) ** 0.5
            covered = (part.truth[name] - samples.mean(dim=0)).abs() <= half
            inside[name] = inside.get(name, 0.0) + float(covered[count].sum())
            whole[name] = whole.get(name, 0.0) + float(count.sum())
    shares = [inside[name] / whole[name] for name in whole if whole[name]]
    return sum(shares) / len(shares) if shares else None
