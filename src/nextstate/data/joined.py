"""Windows of several datasets as if they were one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nextstate.data.windows import Windows
from nextstate.errors import DatasetError


def joined(*splits: Sequence[Windows]) -> list[Windows]:
    """For each split, windows drawn uniformly from all that several caches give; episodes stay in their splits.

    What windows are drawn from is copied into memory, once for all splits, with the commands and nothing else of their
    caches: for what a model saw, and not for pictures.

    Args:
        splits: windows of the same caches in the same order, of the same length, seed and arrays.

    Raises:
        DatasetError: for arrays of other names or shapes, or commands of another size.
    """
    parts = splits[0]
    first = parts[0]
    starts, lengths, commands, skipped, tasks, rows = [], [], [], list[int](), list[str](), 0
    for part in parts:
        _check_alike(first, part)
        cache, count = part.cache, len(next(iter(part.arrays.values())))
        # Where windows lie in the first episodes alone, arrays end with them.
        inside = cache.starts + cache.lengths <= count
        starts.append(cache.starts[inside] + rows)
        lengths.append(cache.lengths[inside])
        commands.append(cache.arrays["action"][:count])
        skipped.append(len(tasks))
        tasks += cache.tasks[: int(inside.sum())]
        rows += count
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in first.arrays}
    cache = replace(
        first.cache,
        starts=np.concatenate(starts),
        lengths=np.concatenate(lengths),
        episodes=np.arange(len(tasks)),
        tasks=tasks,
        arrays={"action": np.concatenate(commands)},
        fingerprint=" ".join(part.cache.fingerprint for part in parts),
    )

    def of(split: Sequence[Windows]) -> Windows:
        episodes = [part.episodes + before for part, before in zip(split, skipped, strict=True)]
        return first.of_cache(cache, arrays, np.concatenate(episodes))

    return [of(split) for split in splits]


def _check_alike(one: Windows, other: Windows) -> None:
    shapes = [{name: array.shape[1:] for name, array in side.arrays.items()} for side in (one, other)]
    sizes = [side.cache.action_size for side in (one, other)]
    if shapes[0] != shapes[1] or sizes[0] != sizes[1]:
        raise DatasetError(
            f"{other.cache.root} cannot be joined to {one.cache.root}: it holds {shapes[1]} and commands of "
            f"{sizes[1]} numbers, and the first {shapes[0]} and {sizes[0]}; give datasets of one body."
        )
    if one.cache.hz != other.cache.hz:
        raise DatasetError(
            f"{other.cache.root} cannot be joined to {one.cache.root}: it has {other.cache.hz:g} states a second, and "
            f"the first {one.cache.hz:g}; give datasets of one rate."
        )
    assert one.length == other.length and one.seed == other.seed
