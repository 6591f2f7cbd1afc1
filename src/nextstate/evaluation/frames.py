"""True frames that are not held out, for the readout to learn from: of a dataset, or drawn for the purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from nextstate.errors import DatasetError
from nextstate.evaluation.building import Progress
from nextstate.evaluation.growing import FRAME_STRIDE, Recipe, crew, ordinary_frames
from nextstate.evaluation.store import cache_folder, content_key, read_arrays, write_arrays
from nextstate.worlds import make_world


@dataclass(frozen=True)
class Frames:
    """F states with what was the case in them.

    Args:
        states: modality -> ``(F, *shape)`` in physical units.
        outcomes: ``(F, D)``; events: ``(F, E)`` booleans.
        origin: names where they came from; the same origin has the same frames.
    """

    states: dict[str, np.ndarray]
    outcomes: np.ndarray
    events: np.ndarray
    origin: str


def recorded_frames(dataset: Path, modalities: Sequence[str], count: int = 12_000, seed: int = 0) -> Frames:
    """Random frames of a recorded dataset that holds outcomes and events.

    Raises:
        DatasetError: it holds none, or lacks a modality.
    """
    from nextstate.data.cache import open_cache

    cache = open_cache(dataset)
    missing = [name for name in (*modalities, "outcome", "events") if name not in cache.arrays]
    if missing:
        raise DatasetError(
            f"{dataset}: holds no {', '.join(missing)}, so no readout can be trained on it; "
            "evaluate without a dataset, or record one with `nextstate record`."
        )
    total = len(cache.arrays["outcome"])
    rows = np.sort(np.random.default_rng(seed).choice(total, min(count, total), replace=False))
    states = {name: np.asarray(cache.arrays[name][rows]) for name in modalities}
    outcomes, events = np.asarray(cache.arrays["outcome"][rows]), np.asarray(cache.arrays["events"][rows]).astype(bool)
    return Frames(states, outcomes, events, f"dataset {cache.fingerprint} {count} {seed}")


def drawn_frames(
    world_name: str,
    size: int = 64,
    count: int = 6000,
    workers: int = 2,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Frames:
    """Frames of exploratory and scripted episodes whose seeds are not held out, drawn now or kept from before."""
    world = make_world(world_name, size)
    recipe = replace(Recipe(world_name, size), alternatives=0, pictures=0, probes=0)
    each = max(world.max_steps // FRAME_STRIDE, 1)
    episodes = range(-(-count // each))
    key = content_key(version=world.version, episodes=len(episodes), stride=FRAME_STRIDE, **asdict(recipe))
    path = cache_folder(cache) / "frames" / f"{world_name}-{key}.npz"
    if path.exists():
        arrays = read_arrays(path)
    else:
        grown = []
        with crew(workers) as over:
            for episode in over(ordinary_frames, recipe, episodes):
                grown.append(episode)
                if progress:
                    progress("true frames for the readout", len(grown), len(episodes))
        arrays = {name: np.concatenate([one[name] for one in grown]) for name in grown[0]}
        write_arrays(path, arrays)
    states = {name: value for name, value in arrays.items() if name not in ("outcomes", "events")}
    return Frames(states, arrays["outcomes"], arrays["events"], f"drawn {key}")
