"""Publishing finished episodes: several of them become one parquet file and one video per camera."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nextstate.data.episode import Episode
from nextstate.data.facts import FACTORS
from nextstate.data.format import CHUNK, DATA_PATH, VIDEO_PATH, Info, file_path
from nextstate.data.stats import Stats, column_stats
from nextstate.data.storage import write_whole
from nextstate.data.tables import to_column, write_rows
from nextstate.data.video import write_video

EPISODES_PER_FILE = 32
BYTES_PER_FILE = 1 << 28
"""A file holds at most so many episodes, fewer where they are large: a shard is built in memory."""

Row = dict[str, Any]
"""One episode's line in ``meta/episodes``."""


@dataclass(frozen=True)
class Shard:
    """Episodes that will share files.

    Args:
        number: of the files, over all chunks.
        paths: the finished episodes, in order.
        first_row: rows of the dataset before them.
        tasks: instruction -> its number.
    """

    number: int
    paths: tuple[Path, ...]
    first_row: int
    tasks: Mapping[str, int]


def episodes_per_file(info: Info, steps: int) -> int:
    """How many episodes of `steps` rows share a file."""
    row = sum(int(np.prod(f["shape"])) * (1 if f["dtype"] == "video" else 4) for f in info.features.values())
    return int(np.clip(BYTES_PER_FILE // max(row * steps, 1), 1, EPISODES_PER_FILE))


def write_shard(root: Path, info: Info, shard: Shard) -> list[Row]:
    """Writes the files of a shard, each atomically, and returns what ``meta/episodes`` will say of them.

    Nothing refers to the files until the caller commits those lines.
    """
    episodes = [Episode.load(path) for path in shard.paths]
    columns = [
        _with_row_numbers(e, info, first, shard) for e, first in zip(episodes, _starts(episodes, shard), strict=True)
    ]
    names = [name for name, feature in info.features.items() if feature["dtype"] != "video"]
    tables = [pa.table({name: to_column(values[name]) for name in names}) for values in columns]
    write_whole(file_path(root, DATA_PATH, shard.number), lambda partial: write_rows(partial, tables))
    for key in info.video_keys:
        path = file_path(root, VIDEO_PATH, shard.number, key)
        write_whole(path, lambda partial, key=key: write_video(partial, [c[key] for c in columns], info.fps))  # type: ignore[misc]
    return _rows(episodes, columns, info, shard)


def _starts(episodes: Sequence[Episode], shard: Shard) -> list[int]:
    ends = np.cumsum([len(episode) for episode in episodes])
    return [shard.first_row, *(shard.first_row + ends[:-1]).tolist()]


def _with_row_numbers(episode: Episode, info: Info, first_row: int, shard: Shard) -> dict[str, np.ndarray]:
    frames = np.arange(len(episode), dtype=np.int64)
    numbers: dict[str, np.ndarray] = {
        "timestamp": (frames / info.fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full_like(frames, episode.index),
        "index": first_row + frames,
        "task_index": np.full_like(frames, shard.tasks[episode.task]),
    }
    return {**episode.columns, **numbers}


def _rows(
    episodes: Sequence[Episode], columns: Sequence[Mapping[str, np.ndarray]], info: Info, shard: Shard
) -> list[Row]:
    rows, begin = [], 0
    for episode, values, first in zip(episodes, columns, _starts(episodes, shard), strict=True):
        row: Row = {
            "episode_index": episode.index,
            "tasks": [episode.task],
            "length": len(episode),
            "dataset_from_index": first,
            "dataset_to_index": first + len(episode),
        }
        row |= place("data", shard.number) | place("meta/episodes", shard.number)
        for key in info.video_keys:
            row |= place(f"videos/{key}", shard.number)
            row[f"videos/{key}/from_timestamp"] = begin / info.fps
            row[f"videos/{key}/to_timestamp"] = (begin + len(episode)) / info.fps
        row["nextstate/seed"] = int(episode.facts.get("seed", -1))
        row["nextstate/policy"] = str(episode.facts.get("policy", ""))
        row[FACTORS] = json.dumps(episode.facts.get("factors", {}))
        for name in info.features:
            stats = column_stats(values[name], is_camera=name in info.video_keys)
            row |= {f"stats/{name}/{key}": value.tolist() for key, value in stats.items()}
        rows.append(row)
        begin += len(episode)
    return rows


def place(prefix: str, number: int) -> dict[str, int]:
    """Columns that say in which file something is."""
    return {f"{prefix}/chunk_index": number // CHUNK, f"{prefix}/file_index": number % CHUNK}


def stats_of(row: Mapping[str, Any]) -> dict[str, Stats]:
    """The statistics in one line of ``meta/episodes``."""
    found: dict[str, Stats] = {}
    for name, value in row.items():
        if name.startswith("stats/") and value is not None:
            _, feature, key = name.split("/", 2)
            found.setdefault(feature, {})[key] = np.asarray(value)
    return found
