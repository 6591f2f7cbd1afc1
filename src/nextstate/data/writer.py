"""A dataset being written: one writer at a time, finished episodes safe at once, files shared later.

An episode is finished when its own file appears in the staging folder (one atomic rename). Publishing turns
runs of finished episodes into shared files; the rename of ``meta/info.json`` makes them part of the dataset,
and only then the staged copies go. A writer killed at any moment therefore loses only unfinished episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from nextstate.data.episode import Episode
from nextstate.data.format import (
    CHUNK,
    EPISODES_PATH,
    INFO_PATH,
    PRIVATE,
    STATS_PATH,
    TASKS_PATH,
    Info,
    file_path,
    read_info,
)
from nextstate.data.lerobot import read_episodes
from nextstate.data.shards import Row, Shard, episodes_per_file, stats_of, write_shard
from nextstate.data.stats import Stats, combined_features, from_json, to_json
from nextstate.data.storage import exclusive, read_json, remove_partials, write_json, write_whole
from nextstate.data.tables import episodes_table, read_tasks, tasks_table
from nextstate.errors import DatasetError, StorageError

STAGING = Path(PRIVATE) / "staging"
LOCK = Path(PRIVATE) / "lock"


@dataclass(frozen=True)
class Finished:
    """A finished episode that waits to be published."""

    index: int
    length: int
    task: str
    path: Path


class Writer:
    """The holder of a dataset's lock; `writing` makes it.

    Publishing a shard has three parts, so that the slow one can run elsewhere: `plan` here, `write_shard`
    anywhere, `commit` here and in the order of the plans.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = read_info(root)
        entries, damage = read_episodes(root, self.info)
        if damage:
            raise DatasetError(f"{damage[0]} A damaged dataset is not written to.")
        self.tasks = read_tasks(root / TASKS_PATH) if self.info.episodes else []
        last = entries[-1].fields if entries else {}
        self._file = int(last.get("meta/episodes/file_index", -1)) + CHUNK * int(
            last.get("meta/episodes/chunk_index", 0)
        )
        self._rows = self.info.frames
        remove_partials(root)
        for index, path in staged_paths(root).items():
            if index < self.info.episodes:
                path.unlink()

    def finished(self) -> dict[int, Finished]:
        """Episodes that an earlier writer finished but did not publish; damaged ones are dropped."""
        found = {}
        for index, path in staged_paths(self.root).items():
            try:
                episode = Episode.load(path)
            except DatasetError:
                path.unlink()
                continue
            found[index] = Finished(index, len(episode), episode.task, path)
        return found

    def plan(self, episodes: Sequence[Finished]) -> Shard:
        """Decides which files, rows and task numbers the next episodes get."""
        tasks = self.tasks + list(dict.fromkeys(e.task for e in episodes if e.task not in self.tasks))
        self.tasks = tasks
        self._file += 1
        shard = Shard(self._file, tuple(e.path for e in episodes), self._rows, {t: i for i, t in enumerate(tasks)})
        self._rows += sum(e.length for e in episodes)
        return shard

    def commit(self, shard: Shard, rows: Sequence[Row]) -> None:
        """Makes a written shard part of the dataset, then drops its staged copies."""
        tasks = sorted(shard.tasks, key=lambda task: shard.tasks[task])
        table = episodes_table(rows)
        path = file_path(self.root, EPISODES_PATH, shard.number)
        write_whole(path, lambda partial: pq.write_table(table, str(partial), compression="zstd"))
        write_whole(self.root / TASKS_PATH, lambda partial: pq.write_table(tasks_table(tasks), str(partial)))
        write_json(self.root / STATS_PATH, to_json(self._stats(rows)))
        self.info = replace(
            self.info,
            episodes=self.info.episodes + len(rows),
            frames=self.info.frames + sum(int(row["length"]) for row in rows),
            tasks=len(tasks),
        )
        write_json(self.root / INFO_PATH, self.info.to_dict())
        for staged in shard.paths:
            staged.unlink(missing_ok=True)

    def publish(self, steps: int) -> None:
        """Publishes every finished episode that follows the last published one without a gap."""
        finished = self.finished()
        size = episodes_per_file(self.info, steps)
        while self.info.episodes in finished:
            run = consecutive(finished, self.info.episodes, size)
            shard = self.plan(run)
            self.commit(shard, write_shard(self.root, self.info, shard))

    def _stats(self, rows: Sequence[Row]) -> dict[str, Stats]:
        """Statistics of what is published and of `rows`.

        Combined episode by episode, so that they do not depend on which episodes were published together.
        """
        path = self.root / STATS_PATH
        stored = from_json(read_json(path)) if self.info.episodes and path.is_file() else {}
        # A writer killed between the two files leaves statistics that are ahead of the episodes.
        if any(int(found["count"][0]) != self.info.frames for found in stored.values()):
            stored = {}
        parts = [stats_of(row) for row in rows]
        if not stored and self.info.episodes:
            entries, _ = read_episodes(self.root, self.info, with_stats=True)
            parts = [stats_of(entry.fields) for entry in entries] + parts
        for part in parts:
            stored = combined_features([stored, part]) if stored else combined_features([part])
        return stored


def consecutive(finished: dict[int, Finished], first: int, size: int) -> list[Finished]:
    """Finished episodes from `first` on without a gap, up to the next multiple of `size`."""
    end = (first // size + 1) * size
    run = []
    for index in range(first, end):
        if index not in finished:
            break
        run.append(finished[index])
    return run


def staged_paths(root: Path) -> dict[int, Path]:
    """Number -> file of the episodes in the staging folder."""
    paths = sorted((root / STAGING).glob("episode-*.npz.zst"))
    return {int(path.name.removeprefix("episode-").removesuffix(".npz.zst")): path for path in paths}


def staged_path(root: Path, index: int) -> Path:
    return root / STAGING / f"episode-{index:06d}.npz.zst"


def steps_of(info: Info) -> int:
    """Rows of the longest episode that recording makes."""
    return int(info.own.get("steps", 0)) + 1


@contextmanager
def writing(root: Path, create: Info | None = None) -> Iterator[Writer]:
    """Locks the dataset at `root` for writing, after creating an empty one if asked to.

    Raises `DatasetError` when another process writes to it.
    """
    with exclusive(root / LOCK):
        if create is not None and not (root / INFO_PATH).exists():
            write_json(root / INFO_PATH, create.to_dict())
        yield Writer(root)


def recover(root: Path) -> None:
    """Publishes what a killed writer left finished; does nothing while another one is at work."""
    if not staged_paths(root):
        return
    try:
        with writing(root) as writer:
            writer.publish(steps_of(writer.info))
    except (DatasetError, StorageError):
        # Another writer will publish it, or the next one on a disk with room; nothing is lost meanwhile.
        return
