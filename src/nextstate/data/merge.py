"""Several datasets of the same kind as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextstate.data.format import (
    DATA_PATH,
    EPISODES_PATH,
    INFO_PATH,
    STATS_PATH,
    TASKS_PATH,
    VIDEO_PATH,
    Info,
    file_path,
)
from nextstate.data.lerobot import Dataset, open_dataset, read_episodes
from nextstate.data.shards import Row, place
from nextstate.data.stats import combined_features, to_json
from nextstate.data.storage import PARTIAL, naming_full_disk, sync, write_json, write_whole
from nextstate.data.tables import COMPRESSION, episodes_table, tasks_table
from nextstate.data.video import pictures_in
from nextstate.data.writer import recover
from nextstate.errors import DatasetError, StorageError

SEED = "nextstate/seed"


def merge(roots: Sequence[Path], out: Path) -> Info:
    """Writes the episodes of all `roots`, in that order, into a new dataset at `out`.

    Videos are linked where the disk allows it, else copied, never encoded again. `out` appears at once when
    everything is written.

    Raises:
        DatasetError: when `out` exists, a source is damaged, or the sources differ in rate, features or world,
            or share a seed (an episode would be in it twice).
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} exists already; give a new folder.")
    for root in roots:
        recover(root)
    datasets = [open_dataset(root) for root in roots]
    _check_alike(datasets)
    partial = out.with_name(f".{out.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with naming_full_disk(out):
            partial.mkdir(parents=True)
            info = _Merged(partial, datasets).write()
            if out.exists():
                out.rmdir()
            partial.rename(out)
            sync(out.parent)
        return info
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Merged:
    def __init__(self, root: Path, datasets: Sequence[Dataset]) -> None:
        self.root, self.datasets = root, datasets
        self.tasks = list(dict.fromkeys(task for dataset in datasets for task in dataset.tasks))
        self.files = 0
        self.videos = dict.fromkeys(datasets[0].info.video_keys, 0)

    def write(self) -> Info:
        episodes = frames = 0
        stats = []
        for number, dataset in enumerate(self.datasets):
            files = {file: self.files + i for i, file in enumerate(sorted({e.file for e in dataset.episodes}))}
            for old, new in files.items():
                self._write_rows(dataset, old, new, episodes, frames)
            self.files += len(files)
            rows = self._rows(dataset, files, self._link_videos(dataset), number, episodes, frames)
            path = file_path(self.root, EPISODES_PATH, number)
            write_whole(path, lambda partial, rows=rows: pq.write_table(episodes_table(rows), str(partial)))  # type: ignore[misc]
            stats.append(dataset.stats())
            episodes += len(dataset.episodes)
            frames += sum(entry.length for entry in dataset.episodes)
        write_whole(self.root / TASKS_PATH, lambda partial: pq.write_table(tasks_table(self.tasks), str(partial)))
        write_json(self.root / STATS_PATH, to_json(combined_features(stats)))
        info = self._info(episodes, frames)
        write_json(self.root / INFO_PATH, info.to_dict())
        return info

    def _info(self, episodes: int, frames: int) -> Info:
        first = self.datasets[0].info
        # Seeds no longer follow from one base, so nothing can be appended by recording.
        owns = [dataset.info.own for dataset in self.datasets]
        shared = {key: value for key, value in first.own.items() if all(own.get(key) == value for own in owns)}
        own = {**shared, "base_seed": None, "merged": len(owns)} if first.own else {}
        video_path = VIDEO_PATH if first.video_keys else None
        return replace(
            first,
            episodes=episodes,
            frames=frames,
            tasks=len(self.tasks),
            data_path=DATA_PATH,
            video_path=video_path,
            own=own,
        )

    def _write_rows(self, dataset: Dataset, old: int, new: int, episodes: int, frames: int) -> None:
        numbers = np.array([self.tasks.index(task) for task in dataset.tasks])
        position = {entry.index: i for i, entry in enumerate(dataset.episodes)}
        source = dataset.data_path(old)

        def write(partial: Path) -> None:
            with (
                pq.ParquetFile(str(source), page_checksum_verification=True) as file,
                pq.ParquetWriter(str(partial), file.schema_arrow, **COMPRESSION) as writer,
            ):
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, use_threads=False)
                    old_episodes = table.column("episode_index").to_numpy()
                    fresh = {
                        "episode_index": episodes + np.array([position[i] for i in old_episodes.tolist()]),
                        "index": frames + table.column("index").to_numpy(),
                        "task_index": numbers[table.column("task_index").to_numpy()],
                    }
                    for name, values in fresh.items():
                        at = table.column_names.index(name)
                        table = table.set_column(at, table.schema.field(name), pa.array(values, pa.int64()))
                    writer.write_table(table)

        try:
            write_whole(file_path(self.root, DATA_PATH, new), write)
        except StorageError:
            raise
        except (pa.ArrowException, KeyError, IndexError, OSError) as error:
            raise DatasetError(f"{source} is damaged ({error!r}); 'nextstate data check' says where.") from error

    def _link_videos(self, dataset: Dataset) -> dict[str, dict[int, int]]:
        moved: dict[str, dict[int, int]] = {}
        for key in self.videos:
            old = sorted({entry.videos[key][0] for entry in dataset.episodes})
            moved[key] = {file: self.videos[key] + i for i, file in enumerate(old)}
            self.videos[key] += len(old)
            for file, new in moved[key].items():
                target = file_path(self.root, VIDEO_PATH, new, key)
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(self._whole(dataset, key, file), target)
        return moved

    def _whole(self, dataset: Dataset, key: str, file: int) -> Path:
        """A video; raises `DatasetError` for one that ends before its episodes do."""
        source, fps = dataset.video_path(key, file), dataset.info.fps
        ends = [round(e.videos[key][1] * fps) + e.length for e in dataset.episodes if e.videos[key][0] == file]
        if (found := pictures_in(source)) < max(ends):
            raise DatasetError(
                f"{source} holds {found} pictures that are whole, its episodes need {max(ends)}; "
                "'nextstate data check' says where."
            )
        return source

    def _rows(
        self,
        dataset: Dataset,
        files: Mapping[int, int],
        videos: Mapping[str, Mapping[int, int]],
        number: int,
        episodes: int,
        frames: int,
    ) -> list[Row]:
        entries, _ = read_episodes(dataset.root, dataset.info, with_stats=True)
        rows = []
        for at, entry in enumerate(entries):
            row: dict[str, Any] = dict(entry.fields)
            row |= place("data", files[entry.file]) | place("meta/episodes", number)
            for key, moved in videos.items():
                row |= place(f"videos/{key}", moved[entry.videos[key][0]])
            row["episode_index"] = episodes + at
            row["dataset_from_index"] = frames + entry.first_row
            row["dataset_to_index"] = frames + entry.first_row + entry.length
            rows.append(row)
        return rows


def _check_alike(datasets: Sequence[Dataset]) -> None:
    if len(datasets) < 2:
        raise DatasetError("merging needs at least two datasets.")
    first = datasets[0]
    seeds: dict[int, int] = {}
    for number, dataset in enumerate(datasets):
        where = f"{dataset.root} and {first.root}"
        if dataset.damage:
            raise DatasetError(f"{dataset.damage[0]} Damaged datasets are not merged.")
        if not dataset.episodes:
            raise DatasetError(f"{dataset.root} holds no episodes.")
        if dataset.info.fps != first.info.fps:
            raise DatasetError(f"{where} differ in rate: {dataset.info.fps:g} and {first.info.fps:g} frames/s.")
        ours, theirs = dataset.info.features, first.info.features
        for name in sorted({*ours, *theirs}):
            kinds = [(f[name]["dtype"], tuple(f[name]["shape"])) if name in f else None for f in (ours, theirs)]
            if kinds[0] != kinds[1]:
                raise DatasetError(f"{where} differ in the feature {name}: {kinds[0]} and {kinds[1]}.")
        for key in ("world", "world_version", "size"):
            if dataset.info.own.get(key) != first.info.own.get(key):
                values = [d.info.own.get(key) for d in (dataset, first)]
                raise DatasetError(f"{where} differ in {key}: {values[0]!r} and {values[1]!r}.")
        for entry in dataset.episodes:
            seed = int(entry.fields.get(SEED, -1) if entry.fields.get(SEED) is not None else -1)
            if seed >= 0 and seeds.setdefault(seed, number) != number:
                raise DatasetError(
                    f"{dataset.root} and {datasets[seeds[seed]].root} both hold the episode of seed {seed}; it could "
                    "then be in training and validation at once. Record one of them with another --seed."
                )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync(target)
