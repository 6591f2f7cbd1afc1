"""Frames of a dataset with questions about them in words, and answers: what a model that talks learns from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np


class AskedFrames:
    """Single frames with a plan, a question, and whether the answer is yes; drawn uniformly.

    Args:
        arrays: modality -> ``(rows, *shape)``. rows: ``(M,)`` frame of each question.
        plans: ``(M, H, A)``. words: ``(M, L)`` token numbers. answers: ``(M,)`` booleans.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        rows: np.ndarray,
        plans: np.ndarray,
        words: np.ndarray,
        answers: np.ndarray,
        seed: int = 0,
    ) -> None:
        self.arrays, self.seed = arrays, seed
        self._rows, self._plans, self._words, self._answers = rows, plans, words, answers
        self._own: Mapping[str, np.ndarray] = {}

    @property
    def rows(self) -> int:
        """Number of questions."""
        return len(self._rows)

    def __len__(self) -> int:
        return self.rows

    @property
    def length(self) -> int:
        """States that a frame and its plan span."""
        return int(self._plans.shape[1]) + 1

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        """Modality -> ``(B, *shape)``, ``plan`` and ``action (B, H, A)``, ``words (B, L)``, ``answer (B,)``."""
        return self.of(np.random.default_rng([self.seed, step]).integers(self.rows, size=size))

    def of(self, numbers: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        """The questions of these numbers."""
        chosen = np.asarray(numbers)
        found = {name: np.asarray(array[self._rows[chosen]]) for name, array in self.arrays.items()}
        found |= {name: array[chosen] for name, array in self._own.items()}
        plan = self._plans[chosen]
        return {**found, "plan": plan, "action": plan, "words": self._words[chosen], "answer": self._answers[chosen]}

    def frames(self, first: int, count: int) -> dict[str, np.ndarray]:
        """The frames of `count` questions from `first` on, or of as many as there are."""
        rows = self._rows[first : first + count]
        return {name: np.asarray(array[rows]) for name, array in self.arrays.items()}

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> AskedFrames:
        """The same questions about other arrays ``(M, ...)``, and about those of its own to keep."""
        other = copy.copy(self)
        other._own, other.arrays = arrays, {name: self.arrays[name] for name in keep}
        return other
