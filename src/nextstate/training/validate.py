"""The validation line: is the model better than standing still, and does it listen to actions?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from nextstate.models import History, WorldModel
from nextstate.training.trainable import to_tensors

SECONDS = (0.5, 1.0, 2.0)
NAMES = ("model", "copy-last", "blind", "shuffled")


class Held(Protocol):
    """Something by which a model is judged while it learns."""

    def measure(self, model: Any, device: torch.device) -> Validated:
        """The errors of now."""
        ...

    @property
    def last(self) -> Mapping[str, np.ndarray]:
        """A batch for what is fitted when all is learned."""
        ...


@dataclass(frozen=True)
class ValidationSet:
    """Fixed windows that are never learned from.

    Args:
        batch: modality -> ``(N, T, *shape)``, ``"action"`` -> ``(N, T-1, A)``.
        context: how many of the T states are history.
        climate: modality -> ``(M, *shape)``, many single states from all over the data: how much they differ
            is what errors are measured against.
        spare: more windows like `batch`, for what is fitted when all is learned.
    """

    batch: Mapping[str, np.ndarray]
    context: int
    climate: Mapping[str, np.ndarray]
    spare: Mapping[str, np.ndarray] | None = None

    def measure(self, model: WorldModel, device: torch.device) -> Validated:
        return validate(model, self, device)

    @property
    def last(self) -> Mapping[str, np.ndarray]:
        return self.spare or self.batch


@dataclass(frozen=True)
class Validated:
    """Normalised errors: squared error over that of always predicting the climate's mean (0 perfect, 1 no better).

    Args:
        errors: who -> modality -> seconds ahead (as text) -> error. Who is the model; copy-last (nothing will
            change); and the same model blind (no action at all) or shuffled (the actions of another window).
    """

    errors: Mapping[str, Mapping[str, Mapping[str, float]]]

    def mean(self, who: str, seconds: str | None = None) -> float:
        """Mean over modalities, and over horizons unless one is given; NaN if nothing could be measured."""
        values = [
            error
            for horizons in self.errors[who].values()
            for at, error in horizons.items()
            if (seconds is None or at == seconds) and math.isfinite(error)
        ]
        return float(np.mean(values)) if values else math.nan

    @property
    def score(self) -> float:
        """One figure for the model: lower is better."""
        return self.mean("model")

    @property
    def line(self) -> str:
        """For people: everyone's error at the horizon nearest to one second."""
        horizons = sorted({at for by in self.errors["model"].values() for at in by}, key=lambda at: abs(float(at) - 1))
        if not horizons:
            return "validation: no horizon fits"
        at = horizons[0]
        return f"error at {at} s: " + ", ".join(f"{who} {self.mean(who, at):.3f}" for who in self.errors)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {who: {m: dict(h) for m, h in by.items()} for who, by in self.errors.items()}


@torch.no_grad()
def validate(model: WorldModel, held: ValidationSet, device: torch.device, chunk: int = 16) -> Validated:
    """Rolls the model out through the `WorldModel` protocol, `chunk` windows at a time."""
    spec = model.spec
    length = held.batch["action"].shape[1] + 1
    steps = {f"{s:g}": round(s * spec.hz) for s in SECONDS if 1 <= round(s * spec.hz) <= length - held.context}
    if not steps:
        steps = {f"{(length - held.context) / spec.hz:g}": length - held.context}
    sums: dict[str, dict[str, Tensor]] = {who: {} for who in NAMES}
    size = held.batch["action"].shape[0]
    for start in range(0, size, chunk):
        part = to_tensors({n: a[start : start + chunk] for n, a in held.batch.items()}, device)
        # Data is stored in half precision, but the protocol speaks float32.
        part = {n: t.float() if t.dtype == torch.float16 else t for n, t in part.items()}
        # The last chunk may hold one window, whose actions can only be exchanged with another chunk's.
        others = to_tensors({"action": np.roll(held.batch["action"], 1, axis=0)[start : start + chunk]}, device)
        for who, squares in _squares(model, part, others["action"], held.context, list(steps.values())).items():
            for name, values in squares.items():
                sums[who][name] = sums[who].get(name, torch.zeros_like(values)) + values / size
    climate = _climate(model, held.climate)
    errors = {who: {n: _ratios(v, climate[n], steps) for n, v in by.items()} for who, by in sums.items()}
    return Validated(errors)


def _ratios(sums: Tensor, climate: float, steps: Mapping[str, int]) -> dict[str, float]:
    # What never changes in the data (touch, where nothing is touched) has no scale to measure errors with.
    if climate < 1e-9:
        return {}
    return {at: float(value / climate) for at, value in zip(steps, sums, strict=True)}


def _squares(
    model: WorldModel, batch: Mapping[str, Tensor], others: Tensor, context: int, steps: Sequence[int]
) -> dict[str, dict[str, Tensor]]:
    """Who -> modality -> squared errors ``(len(steps),)``, means over elements, summed over a chunk."""
    names = list(model.spec.modalities)
    furthest = max(steps)
    belief = model.observe(History({n: batch[n][:, :context] for n in names}, batch["action"][:, : context - 1]))
    span = slice(context - 1, context - 1 + furthest)
    ahead = batch["action"][:, span]
    plans = {"model": ahead, "blind": torch.zeros_like(ahead), "shuffled": others[:, span]}
    wanted = [s - 1 for s in steps]
    truth = {n: batch[n][:, [context - 1 + s for s in steps]] for n in names}
    found: dict[str, dict[str, Tensor]] = {}
    for who, plan in plans.items():
        imagined = model.decode(model.imagine(belief, plan).steps(wanted), names)
        found[who] = {n: _distance(model, n, imagined[n], truth[n]) for n in names}
    found["copy-last"] = {n: _distance(model, n, batch[n][:, context - 1 : context], truth[n]) for n in names}
    return found


def _distance(model: WorldModel, name: str, guess: Tensor, truth: Tensor) -> Tensor:
    kind = model.spec.modalities[name]
    gap = kind.normalise(guess) - kind.normalise(truth)
    return gap.square().flatten(2).double().mean(dim=2).sum(dim=0).cpu()


def _climate(model: WorldModel, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Modality -> mean squared error of always predicting the mean of `states`, in normalised units."""
    found = {}
    for name, kind in model.spec.modalities.items():
        values = kind.normalise(torch.from_numpy(np.ascontiguousarray(states[name]))).flatten(1)
        found[name] = float((values - values.mean(dim=0)).square().double().mean())
    return found
