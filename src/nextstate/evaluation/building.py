"""Builds held-out suites, so that they hold enough of what is to be measured, and keeps them on disk."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nextstate.errors import DatasetError
from nextstate.evaluation.growing import Arrays, Recipe, grow, in_parallel, ordinary_outcomes
from nextstate.evaluation.store import cache_folder, content_key
from nextstate.evaluation.suite import FLIP_SHARE, FORMAT, NULL_SHARE, Suite, pair_shares
from nextstate.worlds import WORLDS, make_world
from nextstate.worlds.base import World

Progress = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is done, and how much there is."""


def build_suite(
    world_name: str,
    snapshots: int = 200,
    alternatives: int = 8,
    horizon: int = 20,
    context: int = 8,
    seed: int = 0,
    size: int = 64,
    workers: int = 2,
    probes: int = 24,
    pictures: int = 12,
    climate_episodes: int = 64,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Suite:
    """The suite with these settings: from disk when it was built before, else grown on `workers` processes.

    The same settings give the same suite whatever the number of workers. Where the first N candidates hold too
    few event flips or null pairs, more are grown and those that help are taken (see `FLIP_SHARE`, `NULL_SHARE`).

    Args:
        probes: how many snapshots get the chaos floor and the wrong simulator; pictures: how many keep pictures.
        climate_episodes: episodes that are not held out, for climatological mean and standard deviation.
        cache: folder to keep it in; by default the user's cache folder.
    """
    world = make_world(world_name, size)
    probes, pictures = min(probes, snapshots), min(pictures, snapshots)
    recipe = Recipe(world_name, size, alternatives, horizon, context, seed, probes, pictures)
    key = content_key(format=FORMAT, version=world.version, n=snapshots, climate=climate_episodes, **asdict(recipe))
    path = cache_folder(cache) / "suites" / f"{world_name}-{snapshots}x{alternatives}-{key}.npz"
    if path.exists():
        try:
            return Suite.load(path)
        except DatasetError as error:
            warnings.warn(f"building the suite again: {error}", stacklevel=2)
    report = progress or (lambda what, done, total: None)
    climate = _collect(ordinary_outcomes, recipe, range(climate_episodes), workers, report, "climatology")
    outcomes = np.concatenate([episode["outcomes"] for episode in climate])
    events = np.concatenate([episode["events"] for episode in climate])
    arrays: Arrays = {
        "climate_mean": outcomes.mean(axis=0, dtype=np.float64),
        "climate_std": outcomes.std(axis=0, dtype=np.float64),
        "event_rate": events.mean(axis=0),
    }
    grown = _collect(grow, recipe, range(snapshots), workers, report, "true branches")
    grown = _mended(grown, arrays, recipe, snapshots, workers, report)
    for name in grown[0]:
        if name != "snapshot":
            stacked = np.stack([one[name] for one in grown if name in one])
            arrays[name] = stacked.astype(np.float16) if name.split(".")[-1] in ("depth", "motion") else stacked
    suite = Suite(recipe, arrays, [one["snapshot"].tobytes() for one in grown])
    suite.save(path)
    return suite


def _collect(
    function: Callable[[Recipe, int], Arrays],
    recipe: Recipe,
    numbers: Sequence[int],
    workers: int,
    report: Progress,
    what: str,
) -> list[Arrays]:
    results = []
    for result in in_parallel(function, recipe, numbers, workers):
        results.append(result)
        report(what, len(results), len(numbers))
    return results


def _mended(
    grown: list[Arrays], climate: Arrays, recipe: Recipe, wanted: int, workers: int, report: Progress
) -> list[Arrays]:
    # Rows with pictures and probes must stay first, so only later ones are exchanged (or all, in a tiny suite).
    world = WORLDS[recipe.world]
    fixed = 0
    for attempt in range(3):
        shares = np.stack([_shares_of(one, climate, world) for one in grown])
        order = _choose(shares, wanted, fixed)
        flips, nulls = shares[order].mean(axis=0)
        if (flips >= FLIP_SHARE and nulls >= NULL_SHARE) or attempt == 2:
            break
        fixed = max(recipe.probes, recipe.pictures)
        if fixed >= wanted:
            break
        more = range(len(grown), len(grown) + max(wanted // 2, 4))
        grown = grown + _collect(grow, recipe, more, workers, report, "more branches")
    if flips < FLIP_SHARE or nulls < NULL_SHARE:
        warnings.warn(
            f"{recipe.world}: {flips:.0%} of pairs flip an event and {nulls:.0%} are null, where a suite should have "
            f"{FLIP_SHARE:.0%} and {NULL_SHARE:.0%}; take more snapshots, or read the figures with that in mind.",
            stacklevel=3,
        )
    return [grown[i] for i in order]


def _shares_of(one: Arrays, climate: Arrays, world: type[World]) -> np.ndarray:
    arrays = {"events": one["events"][None], "outcomes": one["outcomes"][None], **climate}
    return np.concatenate(pair_shares(arrays, world))


def _choose(shares: np.ndarray, wanted: int, fixed: int) -> list[int]:
    """The first `fixed` and those others that lift whichever share falls short; in order while nothing does."""
    if len(shares) <= wanted:
        return list(range(len(shares)))
    targets = np.array([FLIP_SHARE, NULL_SHARE])
    chosen, rest = list(range(fixed)), list(range(fixed, len(shares)))
    total = shares[:fixed].sum(axis=0)
    while len(chosen) < wanted:
        lack = np.maximum(targets * wanted * 1.02 - total, 0) / (wanted - len(chosen))
        best = max(rest, key=lambda i: float(np.minimum(shares[i], lack).sum()) if lack.any() else -i)
        rest.remove(best)
        chosen.append(best)
        total = total + shares[best]
    return chosen
