"""Random windows of a cache: what a training step sees."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from nextstate.errors import DatasetError, UnknownNameError

if TYPE_CHECKING:
    from nextstate.data.cache import Cache

Split = Literal["train", "validation", "all"]
VALIDATION_SHARE = 0.05


def is_validation(episodes: np.ndarray) -> np.ndarray:
    """Which episode numbers ``(E,)`` are held out: about one in twenty, at least one, by a fixed hash.

    Whether an episode is held out does not change when others are added, unless it was the only one.
    """
    ranks = np.array([_rank(int(index)) for index in episodes])
    chosen = ranks < VALIDATION_SHARE
    if len(chosen) and not chosen.any():
        chosen[np.argmin(ranks)] = True
    return chosen


def _rank(index: int) -> float:
    digest = hashlib.blake2b(b"nextstate split %d" % index, digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2.0**64


class Windows:
    """Windows drawn uniformly from all positions that fit into an episode of the split.

    Args:
        cache: from `open_cache`.
        length: states of a window, T.
        split: "train" and "validation" share no episode.
        seed: of the sampling; batches are a function of it and the step, so a position needs no saving.
        modalities: arrays of the cache to give besides the actions; by default all modalities.

    Raises:
        DatasetError: when an episode is shorter than the window (with ``on_damage="skip"`` it is left out
            with a warning), or none is left. UnknownNameError: for arrays that the cache does not hold.
    """

    def __init__(
        self,
        cache: Cache,
        length: int,
        split: Split = "train",
        seed: int = 0,
        modalities: Sequence[str] | None = None,
    ) -> None:
        self.cache, self.length, self.seed = cache, length, seed
        for name in modalities or ():
            if name not in cache.arrays:
                raise UnknownNameError("array of the cache", name, cache.arrays)
        names = cache.state_spec if modalities is None else modalities
        self.arrays: Mapping[str, np.ndarray] = {name: cache.arrays[name] for name in names}
        chosen = self._split(split)
        long_enough = cache.lengths >= length
        short = np.flatnonzero(chosen & ~long_enough)
        if short.size:
            episode = int(cache.episodes[short[0]])
            message = (
                f"{short.size} of {int(chosen.sum())} {split} episodes are shorter than the window of {length} states; "
                f"the first is episode {episode} with {int(cache.lengths[short[0]])}."
            )
            if cache.on_damage == "stop":
                raise DatasetError(f"{message} Use shorter windows, or on-damage skip to go without them.")
            warnings.warn(message, stacklevel=2)
        kept = np.flatnonzero(chosen & long_enough)
        if not kept.size:
            raise DatasetError(f"no {split} episode holds a window of {length} states; record more or longer ones.")
        self._take(kept)

    def __len__(self) -> int:
        """Different windows there are."""
        return int(self._ends[-1])

    def first_rows(self, step: int, size: int) -> np.ndarray:
        """First row of each window of a batch, ``(B,)``."""
        numbers = np.random.default_rng([self.seed, step]).integers(len(self), size=size)
        return np.asarray(numbers + self._shift[np.searchsorted(self._ends, numbers, side="right")])

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        """Modality -> ``(B, T, *shape)`` in stored types, and ``action`` -> ``(B, T-1, A)``; A is 0 if silent."""
        rows = self.first_rows(step, size)
        found = {name: _gather(array, rows, self.length) for name, array in self.arrays.items()}
        if self.cache.action_size:
            found["action"] = _gather(self.cache.arrays["action"], rows, self.length - 1)
        else:
            found["action"] = np.zeros((size, self.length - 1, 0), np.float32)
        return found

    @property
    def rows(self) -> int:
        """Frames of the cache up to the end of the last episode that windows come from."""
        last = self.episodes[-1]
        return int(self.cache.starts[last] + self.cache.lengths[last])

    def frames(self, first: int, count: int) -> dict[str, np.ndarray]:
        """Modality -> ``(N, *shape)``: `count` frames of the cache from `first` on, or as many as there are."""
        last = min(first + count, self.rows)
        return {name: np.asarray(array[first:last]) for name, array in self.arrays.items()}

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> Windows:
        """The same windows of other arrays, each with as many rows as there are frames, and of those to keep."""
        other = copy.copy(self)
        other.arrays = {**{name: self.arrays[name] for name in keep}, **arrays}
        return other

    def of_cache(self, cache: Cache, arrays: Mapping[str, np.ndarray], episodes: np.ndarray) -> Windows:
        """Windows of the same length of other arrays, of these episodes ``(E,)`` of another cache."""
        other = self.over(arrays)
        other.cache = cache
        other._take(episodes)
        return other

    def of_first(self, episodes: int) -> Windows:
        """Windows of only the first episodes of these."""
        return self._of(self.episodes[:episodes])

    def without(self, episodes: np.ndarray) -> Windows:
        """Windows of these episodes but some, given as ``(E,)`` booleans over all of the cache."""
        return self._of(self.episodes[~episodes[self.episodes]])

    def _of(self, episodes: np.ndarray) -> Windows:
        other = copy.copy(self)
        other._take(episodes)
        return other

    def within(self, frames: int) -> Windows:
        """Windows of as many of the first episodes of these as lie within so many frames, at least of one."""
        ends = self.cache.starts[self.episodes] + self.cache.lengths[self.episodes]
        return self.of_first(max(int((ends <= frames).sum()), 1))

    def _take(self, episodes: np.ndarray) -> None:
        self.episodes = episodes
        counts = self.cache.lengths[episodes] - self.length + 1
        self._ends = np.cumsum(counts)
        # A window's number plus its episode's shift is its first row.
        self._shift = self.cache.starts[episodes] - (self._ends - counts)

    def _split(self, split: Split) -> np.ndarray:
        if split == "all":
            return np.ones(len(self.cache), bool)
        held_out = is_validation(self.cache.episodes)
        if split == "validation":
            if len(self.cache) < 2:
                raise DatasetError("one episode cannot be split into training and validation; record more.")
            return held_out
        return ~held_out if len(self.cache) > 1 else np.ones(1, bool)


def _gather(array: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
    batch = np.empty((len(rows), length, *array.shape[1:]), array.dtype)
    # One contiguous copy per window is several times faster than fancy indexing.
    plain = array.view(np.ndarray)
    for place, row in enumerate(rows.tolist()):
        batch[place] = plain[row : row + length]
    return batch
