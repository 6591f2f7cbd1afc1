"""Frames of episodes that were asked for in words, with the commands that followed: what policies learn from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nextstate.data.recording import EXPLORE
from nextstate.data.windows import Split, is_validation
from nextstate.errors import DatasetError

if TYPE_CHECKING:
    from nextstate.data.cache import Cache

Encode = Callable[[str], np.ndarray]
"""An instruction to token numbers, of one length for all."""


def instructions(cache: Cache, silent: str = "") -> np.ndarray:
    """Which episodes of a cache were asked for in words, ``(E,)``; raises `DatasetError` if none was.

    Args:
        silent: words; episodes whose instructions hold them count as videos without commands, and are left out.
    """
    asked = np.array([bool(task.strip()) and task != EXPLORE for task in cache.tasks], bool)
    asked &= ~silenced(cache, silent)
    if not asked.any():
        raise DatasetError(
            f"none of the {len(cache)} episodes has an instruction, and a policy that follows words cannot learn "
            "without. Record some with `nextstate record --skill-fraction`, or train a world model, which needs none."
        )
    return asked


def silenced(cache: Cache, silent: str) -> np.ndarray:
    """Which episodes count as videos without commands ``(E,)``: those whose instructions hold these words."""
    return np.array([bool(silent) and silent in task for task in cache.tasks], bool)


class InstructedFrames:
    """Single frames with the words of their episode and the next commands, drawn uniformly.

    Args:
        chunk: commands that follow a frame, S. encode: what becomes of instructions.
        modalities: arrays of the cache to give. split, seed: as of `Windows`. silent: as of `instructions`.

    Raises:
        DatasetError: when no episode of the split has an instruction and is long enough.
        InstructionError: for an instruction that cannot be encoded.
    """

    def __init__(
        self,
        cache: Cache,
        chunk: int,
        encode: Encode,
        modalities: Sequence[str],
        split: Split = "train",
        seed: int = 0,
        silent: str = "",
    ) -> None:
        self.cache, self.chunk, self.seed = cache, chunk, seed
        chosen = instructions(cache, silent)
        if split != "all":
            held_out = is_validation(cache.episodes)
            chosen = chosen & (held_out if split == "validation" else ~held_out)
        kept = np.flatnonzero(chosen & (cache.lengths > chunk))
        if not kept.size:
            raise DatasetError(f"no {split} episode has an instruction and {chunk + 1} states; record more of them.")
        self.episodes = kept
        # The last command of an episode means nothing, so the last frame starts no chunk.
        counts = cache.lengths[kept] - chunk
        self._rows = np.concatenate([np.arange(s, s + n) for s, n in zip(cache.starts[kept], counts, strict=True)])
        told = {cache.tasks[e]: encode(cache.tasks[e]) for e in kept}
        self._texts = np.stack(list(told.values()))
        numbers = {task: number for number, task in enumerate(told)}
        self._asked = np.repeat([numbers[cache.tasks[e]] for e in kept], counts)
        self._arrays: Mapping[str, np.ndarray] = {name: cache.arrays[name] for name in modalities}
        self._actions = cache.arrays["action"]
        self._own: Mapping[str, np.ndarray] = {}

    @property
    def rows(self) -> int:
        """Number of frames."""
        return len(self._rows)

    def __len__(self) -> int:
        return self.rows

    @property
    def length(self) -> int:
        """States that a frame and its commands span."""
        return self.chunk + 1

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        """Modality -> ``(B, *shape)`` in stored types, ``words (B, L)`` and ``action (B, S, A)``."""
        numbers = np.random.default_rng([self.seed, step]).integers(self.rows, size=size)
        rows = self._rows[numbers, None] + np.arange(self.chunk)
        return {**self._of(numbers), "action": np.asarray(self._actions[rows])}

    def frames(self, first: int, count: int) -> dict[str, np.ndarray]:
        """The same without commands, of `count` frames from `first` on, or as many as there are."""
        return self._of(np.arange(first, min(first + count, self.rows)))

    def reading(self, arrays: Mapping[str, np.ndarray], actions: np.ndarray | None = None) -> InstructedFrames:
        """The same frames of arrays ``(T, ...)`` that span the whole cache, and of other commands ``(T, A)``."""
        other = copy.copy(self)
        other._own, other._arrays = {}, arrays
        other._actions = self._actions if actions is None else actions
        return other

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> InstructedFrames:
        """The same frames of other arrays ``(rows, ...)``, and of those of its own to keep, with the same commands."""
        other = copy.copy(self)
        other._own, other._arrays = arrays, {name: self._arrays[name] for name in keep}
        return other

    def _of(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: np.asarray(array[self._rows[numbers]]) for name, array in self._arrays.items()}
        found |= {name: array[numbers] for name, array in self._own.items()}
        return {**found, "words": self._texts[self._asked[numbers]]}
