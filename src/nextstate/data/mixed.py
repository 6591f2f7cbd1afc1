"""Labelled and silent windows in one batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np

from nextstate.actions.silent import SILENT
from nextstate.data.windows import Windows
from nextstate.errors import DatasetError, SettingsError
from nextstate.modalities import StateSpec


class Mixed:
    """Windows of labelled and of silent episodes; batches are a pure function of seed and step, as theirs are.

    Args:
        labelled, silent: windows of the same length.
        share: of labelled windows in a batch; of every batch at least one window is labelled, and one silent.
        senses: modalities of a model; what silent episodes lack of them must not be pictures.

    Raises:
        SettingsError: for a share that is none. DatasetError: where silent episodes lack pictures, or have other sizes.
    """

    def __init__(self, labelled: Windows, silent: Windows, share: float, senses: StateSpec) -> None:
        if not 0 < share < 1:
            raise SettingsError(f"--labelled-share {share}: it must be between 0 and 1.")
        check_shared(silent.cache.state_spec, senses, str(silent.cache.root))
        assert labelled.length == silent.length
        self.labelled, self.silent, self.share, self.length = labelled, silent, share, labelled.length
        self.lacking = {n: tuple(m.shape) for n, m in senses.items() if n not in silent.arrays}

    def __len__(self) -> int:
        return len(self.labelled) + len(self.silent)

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        """As of `Windows`, with `SILENT`; in an order drawn by lot, so that any half of it is mixed alike."""
        count = min(max(round(self.share * size), 1), max(size - 1, 1))
        told, untold = self.labelled.batch(step, count), self.silent.batch(step, size - count)
        order = np.random.default_rng([self.labelled.seed, step, 1]).permutation(size)
        found = {}
        for name, values in told.items():
            others = untold.get(name)
            if others is None or name == "action":
                others = np.full((size - count, *values.shape[1:]), 0 if name == "action" else np.nan, values.dtype)
            found[name] = np.concatenate([values, others])[order]
        return {**found, SILENT: (np.arange(size) >= count)[order]}

    @property
    def rows(self) -> int:
        """Frames of both."""
        return self.labelled.rows + self.silent.rows

    def frames(self, first: int, count: int) -> dict[str, np.ndarray]:
        """Modality -> ``(N, *shape)``: labelled frames come first."""
        own = self.labelled.rows
        told = self.labelled.frames(min(first, own), max(min(count, own - first), 0))
        untold = self.silent.frames(max(first - own, 0), count - len(next(iter(told.values()))))
        number = len(next(iter(untold.values())))
        untold |= {n: np.full((number, *shape), np.nan, np.float32) for n, shape in self.lacking.items()}
        return {n: np.concatenate([values, untold[n].astype(values.dtype)]) for n, values in told.items()}

    def within(self, frames: int) -> Mixed:
        """As of `Windows`; labelled episodes have their share."""
        other = copy.copy(self)
        other.labelled = self.labelled.within(round(self.share * frames))
        other.silent = self.silent.within(frames - min(other.labelled.rows, frames))
        return other

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> Mixed:
        """As of `Windows`."""
        own, other = self.labelled.rows, copy.copy(self)
        other.labelled = self.labelled.over({n: a[:own] for n, a in arrays.items()}, keep)
        other.silent = self.silent.over({n: a[own:] for n, a in arrays.items()}, keep)
        return other


def check_shared(silent: StateSpec, senses: StateSpec, where: str) -> None:
    """Raises `DatasetError` unless silent episodes hold all pictures that a model is to see, in their shape."""
    lacking = [n for n, m in senses.items() if m.kind == "image" and n not in silent]
    if lacking:
        shared = " ".join(n for n in senses if n not in lacking)
        raise DatasetError(
            f"{where} holds {', '.join(silent)} and no {', '.join(lacking)}, which the model is to see. Pictures must "
            f"be in both: let it see less with --modalities {shared}, or give silent episodes that have them."
        )
    for name, kind in senses.items():
        if name in silent and tuple(silent[name].shape) != tuple(kind.shape):
            raise DatasetError(
                f"{where}: {name} has shape {tuple(silent[name].shape)}, and {tuple(kind.shape)} in the labelled data; "
                "bring both to one size (`nextstate data convert --size`)."
            )
