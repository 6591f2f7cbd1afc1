"""Held-out suites: snapshots with K true futures each, built once and kept on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nextstate.errors import DatasetError
from nextstate.evaluation.counterfactual import SAME
from nextstate.evaluation.growing import Recipe
from nextstate.evaluation.store import read_arrays, write_arrays
from nextstate.worlds import WORLDS, Snapshot
from nextstate.worlds.base import World

if TYPE_CHECKING:
    from nextstate.models.protocol import History

FORMAT = 3
"""Of suites on disk."""
FLIP_SHARE, NULL_SHARE = 0.30, 0.20


@dataclass(frozen=True)
class Suite:
    """N snapshots x K alternatives x H steps of truth. Rows below P keep pictures, below Q the almost-right futures.

    Args:
        recipe: how it was grown.
        arrays: ``actions (N, K, H, A)``, ``outcomes (N, K, H, D)``, ``events (N, K, H, E)``,
            ``proprio``, ``touch`` ``(N, K, H, *shape)``, ``rgb``, ``depth``, ``motion`` ``(P, K, H, *shape)``,
            ``outcome_before (N, D)``, ``events_before (N, E)``, ``history.* (N, C, *shape)``,
            ``history_actions (N, C-1, A)``, ``chaos.*`` and ``wrong.*`` ``(Q, K, H, ...)``,
            ``climate_mean``, ``climate_std`` ``(D,)`` (floored), ``event_rate (E,)``. Depth and motion are halves.
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
        return len(self.arrays.get("chaos.outcomes", ()))

    @property
    def pictured(self) -> int:
        """P: how many first snapshots keep the true pictures of their branches."""
        return len(self.arrays.get("rgb", ()))

    def scale(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes ``(..., D)`` minus their climatological mean, over its standard deviation; 0 where constant."""
        std = self.arrays["climate_std"]
        weight = np.where(std > 1e-6, 1.0 / np.maximum(std, 1e-6), 0.0)
        return np.asarray((outcomes - self.arrays["climate_mean"]) * weight)

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

    def world_modalities(self) -> list[str]:
        """Names of the modalities that the suite holds."""
        return [name.removeprefix("history.") for name in self.arrays if name.startswith("history.")]

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
    happened = np.asarray(arrays["events"].any(axis=2))
    std = arrays["climate_std"][surroundings(world)]
    around = arrays["outcomes"][..., surroundings(world)] / np.where(std > 1e-6, std, np.inf)
    first, second = np.triu_indices(happened.shape[1], 1)
    flips = (happened[:, first] != happened[:, second]).any(axis=-1)
    nulls = np.abs(around[:, first] - around[:, second]).max(axis=(2, 3)) < SAME
    return flips.mean(axis=1), nulls.mean(axis=1)


def _full(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype == np.float16 else np.ascontiguousarray(values)
