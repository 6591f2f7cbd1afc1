"""Parts of a cache as caches of their own: some of its episodes, or what is left of it without commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nextstate.data.cache import Cache
from nextstate.errors import DatasetError, SettingsError, UnknownNameError
from nextstate.modalities import Modality


def part_of(cache: Cache, first: int, last: int | None = None) -> Cache:
    """Episodes `first` to `last` (not included) of a cache, in their order; nothing is copied.

    Which of them are held out for validation stays as it was. Raises `SettingsError` where there are none.
    """
    chosen = slice(first, len(cache) if last is None else min(last, len(cache)))
    if not 0 <= chosen.start < chosen.stop:
        raise SettingsError(f"episodes {first}:{'' if last is None else last} are none of the {len(cache)} there are.")
    starts, lengths = cache.starts[chosen], cache.lengths[chosen]
    rows = slice(int(starts[0]), int(starts[-1] + lengths[-1]))
    return replace(
        cache,
        starts=starts - rows.start,
        lengths=lengths,
        episodes=cache.episodes[chosen],
        tasks=cache.tasks[chosen],
        arrays={name: array[rows] for name, array in cache.arrays.items()},
    )


def parse_episodes(text: str) -> tuple[int, int | None]:
    """``"200:2000"``, ``"200:"`` or ``":200"`` to numbers; raises `SettingsError` for anything else."""
    first, colon, last = text.strip().partition(":")
    try:
        if not colon:
            raise ValueError
        return int(first or 0), int(last) if last else None
    except ValueError:
        raise SettingsError(
            f"{text!r} are no episodes; write for example 0:200, or 200: for all from there on."
        ) from None


def silenced(cache: Cache, modalities: Sequence[str] | None = None) -> Cache:
    """The same episodes without commands, events and outcomes.

    Args:
        modalities: all that is left of the senses; by default all of them.

    Raises `UnknownNameError` for one that the cache does not hold.
    """
    kept = list(cache.state_spec) if modalities is None else list(modalities)
    for name in kept:
        if name not in cache.state_spec:
            raise UnknownNameError(f"modality of {cache.root}", name, cache.state_spec)
    return replace(
        cache,
        state_spec={name: cache.state_spec[name] for name in kept},
        arrays={name: cache.arrays[name] for name in kept},
        action_size=0,
        action_low=np.zeros(0),
        action_high=np.zeros(0),
    )


def require_commands(cache: Cache, where: Path | str, what: str) -> None:
    """Raises `DatasetError` if a cache is silent, and `what` (what one wanted to do with it) takes commands."""
    if not cache.action_size:
        raise DatasetError(
            f"{where} is silent: it says what was seen and not what was done, which {what} takes. Give a dataset with "
            "an 'action', or learn from this one with `nextstate pretrain --silent` (beside a labelled one), or "
            "--silent-by latent (alone)."
        )


def require_senses(
    cache: Cache, where: Path | str, senses: Mapping[str, Modality], action_size: int, hz: float, whose: str
) -> None:
    """Raises `DatasetError` for a dataset that lacks a sense of a model, or is of another body or rate.

    Args:
        senses, action_size, hz: that the model knows. whose: its name.
    """
    if cache.hz != hz:
        raise DatasetError(
            f"{where}: {cache.hz:g} states a second, but {whose} knows {hz:g}; give a dataset of that rate, or train a "
            "model on this one."
        )
    for name, kind in senses.items():
        found = cache.state_spec.get(name)
        if found is None or tuple(found.shape) != tuple(kind.shape):
            has = "is not there" if found is None else f"has shape {tuple(found.shape)}"
            raise DatasetError(
                f"{where}: {name} {has}, but {whose} knows it as {tuple(kind.shape)}; give a dataset of the same "
                "body and picture size as it was trained on."
            )
    if cache.action_size != action_size:
        raise DatasetError(
            f"{where}: commands of {cache.action_size} numbers, but {whose} knows {action_size}; give a dataset of the "
            "same body."
        )
