"""Frames of a dataset with questions about them in words, and answers: what a model that talks learns from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np


class AskedFrames:
    """Single frames with a plan, and questions about them; all questions are drawn alike often.

    Args:
        arrays: modality -> ``(rows, *shape)``. rows: ``(F,)`` of each frame. plans: ``(F, H, A)``.
        frame: ``(M,)`` which frame each question is about. words: ``(M, L)`` token numbers. answers: ``(M,)`` booleans.
        together: questions about each frame of a batch; where there are fewer, some come twice.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        rows: np.ndarray,
        plans: np.ndarray,
        frame: np.ndarray,
        words: np.ndarray,
        answers: np.ndarray,
        together: int = 1,
        seed: int = 0,
    ) -> None:
        self.arrays, self.together, self.seed = arrays, together, seed
        order = np.argsort(frame, kind="stable")
        self._rows, self._plans = rows, plans
        self._frame, self._words, self._answers = frame[order], words[order], answers[order]
        self._own: Mapping[str, np.ndarray] = {}

    @property
    def rows(self) -> int:
        """Number of frames."""
        return len(self._rows)

    @property
    def questions(self) -> int:
        """Number of questions, sorted by frame."""
        return len(self._frame)

    def __len__(self) -> int:
        return self.rows

    @property
    def length(self) -> int:
        """States that a frame and its plan span."""
        return int(self._plans.shape[1]) + 1

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        """Modality -> ``(B, *shape)``, ``plan`` and ``action (B, H, A)``, ``words (B, Q, L)``, ``answer (B, Q)``."""
        rng = np.random.default_rng([self.seed, step])
        frame = self._frame[rng.integers(self.questions, size=size)]
        first, end = (np.searchsorted(self._frame, frame, side=side) for side in ("left", "right"))
        count = (end - first)[:, None]
        drawn = rng.random((size, int(count.max())))
        turn = np.where(np.arange(drawn.shape[1]) < count, drawn, np.inf).argsort(axis=1)
        places = np.arange(self.together) % count
        return self._of(frame, first[:, None] + np.take_along_axis(turn, places, axis=1))

    def of(self, numbers: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        """The questions of these numbers, one about each frame: ``words (B, L)``, ``answer (B,)``."""
        chosen = np.asarray(numbers)
        return self._of(self._frame[chosen], chosen)

    def _of(self, frame: np.ndarray, question: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: np.asarray(array[self._rows[frame]]) for name, array in self.arrays.items()}
        found |= {name: array[frame] for name, array in self._own.items()}
        plan = self._plans[frame]
        told = {"words": self._words[question], "answer": self._answers[question]}
        return {**found, "plan": plan, "action": plan, **told}

    def frames(self, first: int, count: int) -> dict[str, np.ndarray]:
        """`count` frames from `first` on, or as many as there are."""
        rows = self._rows[first : first + count]
        return {name: np.asarray(array[rows]) for name, array in self.arrays.items()}

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> AskedFrames:
        """The same questions about other arrays ``(F, ...)``, and about those of its own to keep."""
        other = copy.copy(self)
        other._own, other.arrays = arrays, {name: self.arrays[name] for name in keep}
        return other
