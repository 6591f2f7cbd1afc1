"""Held-out suites: snapshots with K true futures each, built once and kept on disk."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nextstate.errors import DatasetError
from nextstate.evaluation.growing import Arrays, Recipe, grow, in_parallel, ordinary_outcomes
from nextstate.evaluation.store import cache_folder, content_key, read_arrays, write_arrays
from nextstate.worlds import WORLDS, Snapshot, make_world
from nextstate.worlds.base import World

if TYPE_CHECKING:
    from nextstate.models.protocol import History

FORMAT = 1
SAME = 0.1
"""Scaled effects below this, a tenth of a climatological standard deviation, count as no effect."""
FLIP_SHARE, NULL_SHARE = 0.30, 0.20

Progress = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Suite:
    """N snapshots x K alternatives x H steps of truth. Rows below P keep pictures, below Q the almost-right futures.

    Args:
        recipe: how it was grown.
        arrays: ``actions (N, K, H, A)``, ``outcomes (N, K, H, D)``, ``events (N, K, H, E)``,
            ``proprio``, ``touch`` ``(N, K, H, *shape)``, ``rgb``, ``depth``, ``motion`` ``(P, K, H, *shape)``,
            ``outcome_before (N, D)``, ``events_before (N, E)``, ``history.* (N, C, *shape)``,
            ``history_actions (N, C-1, A)``, ``chaos.*`` and ``wrong.*`` ``(Q, K, H, ...)``,
            ``climate_mean``, ``climate_std`` ``(D,)``, ``event_rate (E,)``. Depth and motion in half precision.
        snapshots: N snapshots, serialised.
    """

    recipe: Recipe
    arrays: Mapping[str, np.ndarray]
    snapshots: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.snapshots)

    @property
    def world(self) -> type[World]:
        return WORLDS[self.recipe.world]

    @property
    def outcomes(self) -> np.ndarray:
        return self.arrays["outcomes"]

    @property
    def events(self) -> np.ndarray:
        return self.arrays["events"]

    @property
    def actions(self) -> np.ndarray:
        return self.arrays["actions"]

    @property
    def probes(self) -> int:
        """Q: how many first snapshots have branches of the perturbed and of the wrong simulator."""
        return len(self.arrays["chaos.outcomes"])

    @property
    def pictured(self) -> int:
        """P: how many first snapshots keep the true pictures of their branches."""
        return len(self.arrays["rgb"])

    def scale(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes ``(..., D)`` minus their climatological mean, over its standard deviation; constants become 0."""
        std = self.arrays["climate_std"]
        weight = np.where(std > 1e-6, 1.0 / np.maximum(std, 1e-6), 0.0)
        return (np.asarray(outcomes, np.float64) - self.arrays["climate_mean"]) * weight

    def groups(self) -> dict[str, np.ndarray]:
        """Outcome group -> indices of its dimensions."""
        return group_indices(self.world)

    def headline(self) -> np.ndarray:
        """Indices of the outcome dimensions that the headline counts."""
        groups = self.groups()
        return np.concatenate([groups[name] for name in self.world.headline])

    def rows(self, rows: Sequence[int]) -> Suite:
        """The suite of only these snapshots. Pictures and probes stay where `rows` starts with 0, 1, 2, ..."""
        chosen = np.asarray(rows)
        kept = int((np.cumprod(chosen == np.arange(len(chosen)))).sum())
        constant = ("climate_mean", "climate_std", "event_rate")
        arrays = {
            name: value
            if name in constant
            else value[: min(kept, len(value))]
            if len(value) < len(self)
            else value[chosen]
            for name, value in self.arrays.items()
        }
        return Suite(self.recipe, arrays, [self.snapshots[i] for i in chosen])

    def snapshot(self, row: int) -> Snapshot:
        return Snapshot.from_bytes(self.snapshots[row])

    def history(self, rows: Sequence[int], modalities: Iterable[str], context: int) -> History:
        """What was sensed and done before the snapshots at `rows`: at most `context` states of `modalities`."""
        import torch

        from nextstate.models.protocol import History

        chosen, length = np.asarray(rows), min(context, self.recipe.context)
        states = {n: torch.from_numpy(_full(self.arrays[f"history.{n}"][chosen, -length:])) for n in modalities}
        past = self.arrays["history_actions"][chosen]
        actions = torch.from_numpy(past[:, past.shape[1] - (length - 1) :].copy())
        return History(states, actions, [self.snapshot(int(i)) for i in chosen])

    def truth(self, modality: str) -> np.ndarray:
        """True readings in branches, ``(N or P, K, H, *shape)``."""
        return _full(self.arrays[modality])

    def shares(self) -> tuple[float, float]:
        """Share of pairs in which some event happens in one branch only, and of pairs that change nothing around."""
        flips, nulls = pair_shares(self.arrays, self.world)
        return float(flips.mean()), float(nulls.mean())

    def describe(self) -> dict[str, Any]:
        """For the results file."""
        flip_share, null_share = self.shares()
        size = {"snapshots": len(self), "with_pictures": self.pictured, "probes": self.probes}
        shares = {"flip_share": flip_share, "null_share": null_share}
        return asdict(self.recipe) | size | shares | {"world_version": self.world.version}

    def save(self, path: Path) -> None:
        """Writes one ``.npz`` atomically."""
        ends = np.cumsum([len(data) for data in self.snapshots])
        head = {"recipe": asdict(self.recipe), "format": FORMAT}
        extra = {"head": np.array(json.dumps(head)), "snapshot_ends": ends}
        joined = np.frombuffer(b"".join(self.snapshots), np.uint8)
        write_arrays(path, {**self.arrays, **extra, "snapshot_bytes": joined})

    @staticmethod
    def load(path: Path) -> Suite:
        """Inverse of `save`; raises `DatasetError` when the file is missing or damaged."""
        arrays = read_arrays(path)
        try:
            head = json.loads(str(arrays.pop("head")))
            joined, ends = arrays.pop("snapshot_bytes").tobytes(), arrays.pop("snapshot_ends").tolist()
            snapshots = [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
            return Suite(Recipe(**head["recipe"]), arrays, snapshots)
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{path}: not a suite of this version ({error}); delete it to build it again."
            ) from error


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


def group_indices(world: type[World]) -> dict[str, np.ndarray]:
    """Outcome group -> indices of its dimensions in `World.outcome`."""
    ends = np.cumsum([len(names) for names in world.outcome_groups.values()])
    starts = [0, *ends[:-1]]
    return {n: np.arange(s, e) for n, s, e in zip(world.outcome_groups, starts, ends, strict=True)}


def surroundings(world: type[World]) -> np.ndarray:
    """Indices of headline dimensions that body and skin do not sense themselves; all headline ones if none is left."""
    groups = group_indices(world)
    felt = {name for name, (modality, _) in world.read_directly.items() if modality in ("proprio", "touch")}
    outside = [groups[name] for name in world.headline if name not in felt]
    return np.concatenate(outside or [groups[name] for name in world.headline])


def pair_shares(arrays: Mapping[str, np.ndarray], world: type[World]) -> tuple[np.ndarray, np.ndarray]:
    """Per snapshot ``(N,)``: share of pairs with a flip, and share of null pairs.

    A pair has a flip when an event happens within the horizon in one branch and not in the other. It is null
    when no dimension of the surroundings ever differs by more than `SAME` climatological standard deviations.
    """
    happened = arrays["events"].any(axis=2)
    std = arrays["climate_std"][surroundings(world)]
    around = arrays["outcomes"][..., surroundings(world)] / np.where(std > 1e-6, std, np.inf)
    first, second = np.triu_indices(happened.shape[1], 1)
    flips = (happened[:, first] != happened[:, second]).any(axis=-1)
    nulls = np.abs(around[:, first] - around[:, second]).max(axis=(2, 3)) < SAME
    return flips.mean(axis=1), nulls.mean(axis=1)


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


def _full(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype == np.float16 else np.ascontiguousarray(values)
