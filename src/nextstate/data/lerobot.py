"""Reading a LeRobot v3.0 dataset: what it says of itself, and its rows and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextstate.data.format import CHUNK, INFO_PATH, STATS_PATH, TASKS_PATH, Info, file_path, read_info
from nextstate.data.stats import Stats, from_json
from nextstate.data.storage import read_json
from nextstate.data.tables import from_column, read_table, read_tasks
from nextstate.data.video import read_video, video_files
from nextstate.errors import DatasetError

NEEDED = ("episode_index", "length", "data/chunk_index", "data/file_index")


@dataclass(frozen=True)
class EpisodeEntry:
    """One episode as ``meta/episodes`` describes it.

    Args:
        index: number in the dataset.
        length: rows.
        first_row: rows of the dataset before it.
        file: number of its parquet file, over all chunks.
        videos: camera -> (number of its file, seconds of the file before the episode).
        fields: every other column but statistics.
    """

    index: int
    length: int
    first_row: int
    file: int
    videos: dict[str, tuple[int, float]]
    fields: dict[str, Any]

    @property
    def task(self) -> str:
        tasks = self.fields.get("tasks") or [""]
        return str(tasks[0])


@dataclass(frozen=True)
class Dataset:
    """An opened LeRobot v3.0 dataset.

    Args:
        root: its folder.
        info: ``meta/info.json``.
        episodes: in order of their numbers.
        tasks: instructions by number.
        damage: what of ``meta`` could not be read, as sentences.
    """

    root: Path
    info: Info
    episodes: tuple[EpisodeEntry, ...]
    tasks: tuple[str, ...]
    damage: tuple[str, ...] = ()

    def data_path(self, file: int) -> Path:
        return file_path(self.root, self.info.data_path, file)

    def video_path(self, key: str, file: int) -> Path:
        if self.info.video_path is None:
            raise DatasetError(f"{self.root}: {key} is a video, but meta/info.json names no video_path.")
        return file_path(self.root, self.info.video_path, file, key)

    def stats(self) -> dict[str, Stats]:
        """``meta/stats.json``."""
        try:
            return from_json(read_json(self.root / STATS_PATH))
        except (AttributeError, TypeError, ValueError) as error:
            raise DatasetError(f"{self.root / STATS_PATH} is damaged ({error}); restore it from a copy.") from error

    def columns(self, file: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Number features of one data file, ``(rows, *shape)``, with ``episode_index`` and ``frame_index``."""
        path = self.data_path(file)
        keys = [*names, "episode_index", "frame_index"]
        table = read_table(path)
        missing = [key for key in keys if key not in table.column_names]
        if missing:
            raise DatasetError(f"{path} lacks the column {missing[0]!r} that meta/info.json promises.")
        shapes = {key: self.info.features[key]["shape"] if key in names else [1] for key in keys}
        found = {key: from_column(table.column(key), shapes[key], f"{path}: {key}") for key in keys}
        return {k: v[:, 0] if k in ("episode_index", "frame_index") and k not in names else v for k, v in found.items()}

    def pictures(self, key: str, file: int, pixels: str = "rgb24") -> Iterator[tuple[int, np.ndarray]]:
        """Pictures of one video file with their numbers in it."""
        return read_video(self.video_path(key, file), self.info.fps, pixels)


def open_dataset(root: Path) -> Dataset:
    """The dataset at `root`; raises `DatasetError` when it cannot even be listed."""
    root = Path(root)
    info = read_info(root)
    episodes, damage = read_episodes(root, info)
    tasks: list[str] = []
    try:
        tasks = read_tasks(root / TASKS_PATH) if info.episodes else []
    except DatasetError as error:
        damage.append(str(error))
    return Dataset(root, info, tuple(episodes), tuple(tasks), tuple(damage))


def read_episodes(root: Path, info: Info, with_stats: bool = False) -> tuple[list[EpisodeEntry], list[str]]:
    """Committed lines of ``meta/episodes``, and what of it could not be read."""
    entries: dict[int, EpisodeEntry] = {}
    damage: list[str] = []
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        try:
            rows = read_table(path).to_pylist()
            for row in rows:
                entry = _entry(row, info, path, with_stats)
                # Lines past the total belong to a publication that was never committed.
                if entry.index < info.episodes:
                    entries[entry.index] = entry
        except DatasetError as error:
            damage.append(str(error))
    missing = [index for index in range(info.episodes) if index not in entries]
    if missing:
        damage.append(
            f"{root / 'meta/episodes'} lists {len(entries)} of {info.episodes} episodes; the first missing is "
            f"{missing[0]}."
        )
    return [entries[index] for index in sorted(entries)], damage


def _entry(row: dict[str, Any], info: Info, path: Path, with_stats: bool) -> EpisodeEntry:
    try:
        needed = {name: int(row[name]) for name in NEEDED}
        videos = {
            key: (
                int(row[f"videos/{key}/chunk_index"]) * CHUNK + int(row[f"videos/{key}/file_index"]),
                float(row[f"videos/{key}/from_timestamp"]),
            )
            for key in info.video_keys
        }
        first_row = int(row.get("dataset_from_index") or 0)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: a line without a needed field ({error!r}); restore it from a copy.") from error
    fields = {name: value for name, value in row.items() if with_stats or not name.startswith("stats/")}
    number = needed["data/chunk_index"] * CHUNK + needed["data/file_index"]
    return EpisodeEntry(needed["episode_index"], needed["length"], first_row, number, videos, fields)


def content_files(root: Path) -> list[Path]:
    """Every file of a dataset, or of a folder of videos, relative to its root, sorted."""
    if not (root / INFO_PATH).exists():
        return video_files(root)
    found = [path for part in ("meta", "data", "videos", "images") for path in (root / part).rglob("*")]
    return sorted(path.relative_to(root) for path in found if path.is_file() and not path.name.startswith("."))


def content_fingerprint(root: Path) -> str:
    """SHA-256 over the names and bytes of every file of the dataset at `root`."""
    total = hashlib.sha256()
    for path in content_files(root):
        with (root / path).open("rb") as file:
            total.update(f"{path.as_posix()}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
