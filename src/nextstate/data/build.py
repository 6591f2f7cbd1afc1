"""Turning any LeRobot v3 dataset into memory-mapped arrays, one file after the other or on all cores."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nextstate.data.episode import check_finite
from nextstate.data.lerobot import Dataset, EpisodeEntry
from nextstate.data.pictures import decoded, depth_in_metres, resized
from nextstate.data.sources import Source, scaled
from nextstate.data.storage import naming_full_disk
from nextstate.data.tables import read_table
from nextstate.data.workers import pool_of
from nextstate.errors import DatasetError

WORTH_WORKERS = 4000
"""Rows from which starting other processes pays."""

Progress = Callable[[int, int], None]
Damage = dict[int, str]
"""Episode number -> what is wrong with it."""


@dataclass(frozen=True)
class Job:
    """One file of the dataset, and where its episodes' rows go.

    Args:
        dataset: only what the file needs of it.
        sources: the arrays to fill from it; all numbers and encoded pictures of a data file, or one camera's video.
        places: first row in the arrays of each episode of the dataset.
    """

    folder: Path
    dataset: Dataset
    sources: tuple[Source, ...]
    file: int
    places: tuple[int, ...]
    scale: tuple[np.ndarray, np.ndarray]


def fill(
    folder: Path,
    dataset: Dataset,
    sources: Sequence[Source],
    scale: tuple[np.ndarray, np.ndarray],
    workers: int,
    progress: Progress | None = None,
) -> Damage:
    """Makes one ``.npy`` per source in `folder` with the rows of all episodes; returns what could not be read."""
    rows = sum(entry.length for entry in dataset.episodes)
    with naming_full_disk(folder):
        for source in sources:
            path = folder / f"{source.name}.npy"
            np.lib.format.open_memmap(path, "w+", np.dtype(source.dtype), (rows, *source.shape)).flush()
            with path.open("r+b") as file:
                # Writing into a map of a sparse file on a full disk kills the process; this raises instead.
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    jobs = list(_jobs(folder, dataset, sources, scale))
    damage: Damage = {}
    with pool_of(min(workers, len(jobs)) if rows >= WORTH_WORKERS else 1) as pool:
        for done, future in enumerate(as_completed([pool.submit(run_job, job) for job in jobs]), 1):
            for index, reason in future.result().items():
                damage.setdefault(index, reason)
            if progress is not None:
                progress(done, len(jobs))
    return damage


def _jobs(
    folder: Path, dataset: Dataset, sources: Sequence[Source], scale: tuple[np.ndarray, np.ndarray]
) -> Iterator[Job]:
    places = np.concatenate([[0], np.cumsum([entry.length for entry in dataset.episodes])]).tolist()
    by_data: dict[int, list[int]] = defaultdict(list)
    for position, entry in enumerate(dataset.episodes):
        by_data[entry.file].append(position)
    in_rows = tuple(source for source in sources if source.kind != "video")
    # A folder of videos has no rows beside them.
    for file, positions in by_data.items() if dataset.info.data_path else ():
        yield _job(folder, dataset, in_rows, file, positions, places, scale)
    for source in sources:
        if source.kind == "video":
            by_video: dict[int, list[int]] = defaultdict(list)
            for position, entry in enumerate(dataset.episodes):
                by_video[entry.videos[source.feature][0]].append(position)
            for file, positions in by_video.items():
                yield _job(folder, dataset, (source,), file, positions, places, scale)


def _job(
    folder: Path,
    dataset: Dataset,
    sources: tuple[Source, ...],
    file: int,
    positions: Sequence[int],
    places: Sequence[int],
    scale: tuple[np.ndarray, np.ndarray],
) -> Job:
    part = replace(dataset, episodes=tuple(dataset.episodes[p] for p in positions), tasks=(), damage=())
    return Job(folder, part, sources, file, tuple(places[p] for p in positions), scale)


def run_job(job: Job) -> Damage:
    """Fills the rows that one file holds; what cannot be read is named, not raised."""
    with naming_full_disk(job.folder):
        arrays = {s.name: np.load(job.folder / f"{s.name}.npy", mmap_mode="r+") for s in job.sources}
        if len(job.sources) == 1 and job.sources[0].kind == "video":
            return _from_video(job, arrays[job.sources[0].name])
        return _from_rows(job, arrays)


def _from_rows(job: Job, arrays: dict[str, np.ndarray]) -> Damage:
    numbers = [source for source in job.sources if source.kind == "array"]
    images = [source for source in job.sources if source.kind == "image"]
    path = job.dataset.data_path(job.file)
    try:
        columns = job.dataset.columns(job.file, list(dict.fromkeys(source.feature for source in numbers)))
        cells = read_table(path, [source.feature for source in images]) if images else None
    except DatasetError as error:
        return {entry.index: str(error) for entry in job.dataset.episodes}
    damage: Damage = {}
    for entry, place in zip(job.dataset.episodes, job.places, strict=True):
        rows = np.flatnonzero(columns["episode_index"] == entry.index)
        try:
            check_rows(entry, columns["frame_index"][rows], path)
            where = f"{path}: episode {entry.index}"
            for source in numbers:
                values = columns[source.feature][rows]
                check_finite({source.feature: values}, where)
                arrays[source.name][place : place + entry.length] = _converted(values, source, job.scale)
            for source in images:
                assert cells is not None
                column = cells.column(source.feature)
                for number, row in enumerate(rows):
                    picture = decoded(column[int(row)].as_py(), f"{where}, frame {number}")
                    arrays[source.name][place + number] = _picture(picture, source)
        except DatasetError as error:
            damage[entry.index] = str(error)
    return damage


def _from_video(job: Job, array: np.ndarray) -> Damage:
    source = job.sources[0]
    fps = job.dataset.info.fps
    missing = {entry.index: set(range(entry.length)) for entry in job.dataset.episodes}
    wanted: dict[int, tuple[EpisodeEntry, int, int]] = {}
    for entry, place in zip(job.dataset.episodes, job.places, strict=True):
        first = round(entry.videos[source.feature][1] * fps)
        for number in range(entry.length):
            wanted[first + number] = (entry, number, place + number)
    reason = "the file ends before this episode does"
    try:
        for number, picture in job.dataset.pictures(
            source.feature, job.file, "rgb24" if source.name == "rgb" else "gray12le"
        ):
            if number in wanted:
                entry, frame, row = wanted[number]
                array[row] = _picture(picture, source)
                missing[entry.index].discard(frame)
    except DatasetError as error:
        reason = str(error)
    path = job.dataset.video_path(source.feature, job.file)
    return {
        index: f"{path}: episode {index} lacks {len(frames)} pictures, the first at frame {min(frames)} ({reason})."
        for index, frames in missing.items()
        if frames
    }


def check_rows(entry: EpisodeEntry, frames: np.ndarray, path: Path) -> None:
    """Raises `DatasetError` unless a data file holds each row of an episode once and in order."""
    if len(frames) != entry.length or not np.array_equal(frames, np.arange(entry.length)):
        raise DatasetError(
            f"{path}: episode {entry.index} has {len(frames)} rows, not the {entry.length} numbered ones that "
            "meta/episodes promises; restore the file from a copy."
        )


def _converted(values: np.ndarray, source: Source, scale: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    if source.name == "action":
        return scaled(values.reshape(len(values), -1), *scale)
    if source.name == "depth":
        values = np.stack([depth_in_metres(value, source.info, quantised=False) for value in values])
    if source.name in ("depth", "motion"):
        return np.stack([resized(value, source.shape[0]) for value in values])
    return values.reshape(len(values), *source.shape)


def _picture(picture: np.ndarray, source: Source) -> np.ndarray:
    if source.name == "depth":
        picture = depth_in_metres(picture, source.info, quantised=source.kind == "video")
    return resized(picture, source.shape[0])
