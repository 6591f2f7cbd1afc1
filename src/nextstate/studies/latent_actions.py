"""Do inferred actions hold the commands? A line is drawn from one to the other, and judged on episodes held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nextstate.data import Cache, Windows
from nextstate.data.windows import Split
from nextstate.errors import DatasetError
from nextstate.models.latent_actions import inferred, silent_part
from nextstate.models.world_model import StateModel
from nextstate.training.trainable import to_tensors

LENGTH = 16
"""States of a window."""

CHUNK = 16
"""Windows looked at together."""

RIDGE = 1e-6
"""Of the mean square of inferred actions: keeps dead numbers from dividing by nothing."""


@dataclass(frozen=True)
class Held:
    """How much of the commands is in inferred actions.

    Args:
        r2: share of commands' variance on held-out episodes that a linear map of inferred actions tells, all numbers
            of a command together. each: by number of the command. interval: of `r2`, 95 %, windows drawn anew.
        steps: held-out steps. way: how the model infers. length: numbers of an inferred action.
    """

    r2: float
    each: tuple[float, ...]
    interval: tuple[float, float]
    steps: int
    way: str
    length: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "latent_action_r2": self.r2,
            "interval": list(self.interval),
            "each": list(self.each),
            "steps": self.steps,
            "way": self.way,
            "length": self.length,
        }


def action_r2(
    model: StateModel,
    cache: Cache,
    windows: int = 512,
    seed: int = 0,
    show: Callable[[int, int], None] = lambda done, count: None,
) -> Held:
    """Linear R² of inferred actions to true commands: the map is fitted on training episodes, R² is of held-out ones.

    The model infers from what it sees and, of the senses, from what its silent episodes had; commands are only what
    it is compared with.

    Args:
        windows: of 16 states, of either split.

    Raises `SettingsError` for a model that infers nothing, `DatasetError` for a cache without commands.
    """
    if not cache.action_size:
        raise DatasetError(f"{cache.root} is silent: there are no commands to compare inferred actions with.")
    part = silent_part(model)
    splits: tuple[Split, ...] = ("train", "validation")
    pairs = [_pairs(model, Windows(cache, LENGTH, split, seed), windows, at, show) for at, split in enumerate(splits)]
    (told, commands), (held_told, held) = pairs
    weights = _line(told.reshape(-1, told.shape[-1]), commands.reshape(-1, commands.shape[-1]))
    missed = (_with_one(held_told) @ weights - held) ** 2
    around = (held - held.mean(axis=(0, 1))) ** 2
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(1000):
        rows = rng.integers(len(held), size=len(held))
        drawn.append(1 - missed[rows].sum() / around[rows].sum())
    each = 1 - missed.sum(axis=(0, 1)) / around.sum(axis=(0, 1))
    low, high = np.quantile(drawn, [0.025, 0.975])
    r2 = float(1 - missed.sum() / around.sum())
    steps = held.shape[0] * held.shape[1]
    return Held(r2, tuple(map(float, each)), (float(low), float(high)), steps, part.by, told.shape[-1])


def _pairs(
    model: StateModel, windows: Windows, count: int, done: int, show: Callable[[int, int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Inferred actions ``(B, T-1, L)`` and commands ``(B, T-1, A)``, float64."""
    batch = windows.batch(0, count)
    found = []
    for first in range(0, count, CHUNK):
        part = to_tensors({n: v[first : first + CHUNK] for n, v in batch.items()}, torch.device("cpu"))
        part = {n: v.float() if v.dtype == torch.float16 else v for n, v in part.items()}
        found.append(inferred(model, {n: part[n] for n in model.spec.modalities}).cpu().double().numpy())
        show(done * count + min(first + CHUNK, count), 2 * count)
    return np.concatenate(found), batch["action"].astype(np.float64)


def _with_one(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.ones((*values.shape[:-1], 1))], axis=-1)


def _line(told: np.ndarray, commands: np.ndarray) -> np.ndarray:
    """Weights ``(L + 1, A)`` of least squares."""
    known = _with_one(told)
    gram = known.T @ known
    weights: np.ndarray = np.linalg.solve(
        gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), known.T @ commands
    )
    return weights
