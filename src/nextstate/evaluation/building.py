"""Builds held-out suites, so that they hold enough of what is to be measured, and keeps them on disk."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextstate.errors import DatasetError
from nextstate.evaluation.growing import Arrays, Grown, Map, Recipe, crew, grow, look_closer, ordinary_outcomes
from nextstate.evaluation.store import cache_folder, content_key
from nextstate.evaluation.suite import FLIP_SHARE, FORMAT, NULL_SHARE, Suite, group_indices, pair_shares
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
    with crew(workers) as over:
        collect = _Collector(over, recipe, progress or (lambda what, done, total: None))
        arrays = _climate(collect(ordinary_outcomes, range(climate_episodes), "climatology"), type(world))
        grown = _chosen(collect, arrays, recipe, snapshots)
        closer = [
            Grown(row, one["snapshot"].tobytes(), one["actions"])
            for row, one in enumerate(grown[: max(probes, pictures)])
        ]
        looked = collect(look_closer, closer, "pictures, chaos and wrong physics")
    for rows in (grown, looked):
        for name in dict.fromkeys(name for row in rows for name in row if name != "snapshot"):
            stacked = np.stack([row[name] for row in rows if name in row])
            arrays[name] = stacked.astype(np.float16) if name.split(".")[-1] in ("depth", "motion") else stacked
    suite = Suite(recipe, arrays, [one["snapshot"].tobytes() for one in grown])
    suite.save(path)
    return suite


@dataclass(frozen=True)
class _Collector:
    over: Map
    recipe: Recipe
    report: Progress

    def __call__(self, function: Callable[[Recipe, Any], Arrays], items: Sequence[Any], what: str) -> list[Arrays]:
        results = []
        for result in self.over(function, self.recipe, items):
            results.append(result)
            self.report(what, len(results), len(items))
        return results


def _climate(episodes: list[Arrays], world: type[World]) -> Arrays:
    outcomes = np.concatenate([episode["outcomes"] for episode in episodes])
    events = np.concatenate([episode["events"] for episode in episodes])
    return {
        "climate_mean": outcomes.mean(axis=0, dtype=np.float64),
        "climate_std": _floored(outcomes.std(axis=0, dtype=np.float64), world),
        "event_rate": events.mean(axis=0),
    }


def _floored(std: np.ndarray, world: type[World]) -> np.ndarray:
    """Standard deviations ``(D,)``, none below a quarter of its group's root mean square.

    What hardly ever moves in exploration (a taxel that faces away, a cell that liquid rarely reaches) would otherwise
    outweigh everything else as soon as it does.
    """
    floored = std.copy()
    for dims in group_indices(world).values():
        floored[dims] = np.maximum(std[dims], 0.25 * np.sqrt((std[dims] ** 2).mean()))
    return floored


def _chosen(collect: _Collector, climate: Arrays, recipe: Recipe, wanted: int) -> list[Arrays]:
    world = WORLDS[recipe.world]
    grown: list[Arrays] = []
    for attempt in range(3):
        # The first round alone is as many as are wanted; two more may double that.
        more = range(len(grown), wanted + attempt * max(wanted // 2, 4))
        grown += collect(grow, more, "true branches" if not attempt else "more branches")
        shares = np.stack([_shares_of(one, climate, world) for one in grown])
        order = _choose(shares, wanted)
        flips, nulls = shares[order].mean(axis=0)
        if flips >= FLIP_SHARE and nulls >= NULL_SHARE:
            return [grown[i] for i in order]
    warnings.warn(
        f"{recipe.world}: {flips:.0%} of pairs flip an event and {nulls:.0%} are null, where a suite should have "
        f"{FLIP_SHARE:.0%} and {NULL_SHARE:.0%}; take more snapshots, or read the figures with that in mind.",
        stacklevel=3,
    )
    return [grown[i] for i in order]


def _shares_of(one: Arrays, climate: Arrays, world: type[World]) -> np.ndarray:
    arrays = {"events": one["events"][None], "outcomes": one["outcomes"][None], **climate}
    return np.concatenate(pair_shares(arrays, world))


def _choose(shares: np.ndarray, wanted: int) -> list[int]:
    """Indices of `wanted` candidates: the first ones, but for those exchanged to lift a share that falls short.

    Args:
        shares: ``(candidates, 2)``, of pairs with a flip and of null pairs.
    """
    chosen, spare = list(range(wanted)), set(range(wanted, len(shares)))
    targets = np.array([FLIP_SHARE, NULL_SHARE])
    while spare:
        lack = np.maximum(targets - shares[chosen].mean(axis=0), 0)
        worst = min(chosen, key=lambda i: float(shares[i] @ lack))
        best = max(spare, key=lambda i: float(shares[i] @ lack))
        if not lack.any() or shares[best] @ lack <= shares[worst] @ lack:
            break
        chosen[chosen.index(worst)] = best
        spare.remove(best)
    return sorted(chosen)
