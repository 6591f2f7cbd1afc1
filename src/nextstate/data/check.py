"""Looking for damage: every file, row, value and picture of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nextstate.data.build import check_rows
from nextstate.data.episode import check_finite
from nextstate.data.format import ROW_FEATURES, STATS_PATH
from nextstate.data.lerobot import Dataset, EpisodeEntry, open_dataset
from nextstate.data.pictures import decoded, is_depth_map
from nextstate.data.tables import read_table
from nextstate.data.workers import cores, pool_of
from nextstate.errors import DatasetError

TIME_TOLERANCE = 1e-3
"""Seconds by which a row's timestamp may differ from its number divided by the rate."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a dataset; `episode` is None where it concerns more than one."""

    episode: int | None
    what: str


def check(root: Path, workers: int | None = None, progress: Progress | None = None) -> list[Problem]:
    """Everything wrong with the dataset at `root`, worst first.

    Raises:
        DatasetError: when ``meta/info.json`` itself cannot be used.
    """
    dataset = open_dataset(root)
    problems = [Problem(None, text) for text in dataset.damage]
    problems += [Problem(None, text) for text in _check_meta(dataset)]
    jobs = list(_parts(dataset))
    with pool_of(min(workers or cores(), len(jobs))) as pool:
        for done, future in enumerate(as_completed([pool.submit(_check_part, *job) for job in jobs]), 1):
            problems += future.result()
            if progress is not None:
                progress(done, len(jobs))
    return sorted(set(problems), key=lambda p: (p.episode is not None, p.episode or 0, p.what))


def _parts(dataset: Dataset) -> Iterator[tuple[Dataset, str | None, int]]:
    """The dataset cut into single files: episodes of one data file, or of one video of a camera."""
    for key in [None, *dataset.info.video_keys]:
        groups: dict[int, list[EpisodeEntry]] = defaultdict(list)
        for entry in dataset.episodes:
            groups[entry.file if key is None else entry.videos[key][0]].append(entry)
        for file, entries in groups.items():
            yield replace(dataset, episodes=tuple(entries)), key, file


def _check_part(dataset: Dataset, key: str | None, file: int) -> list[Problem]:
    try:
        return list(_check_data(dataset, file) if key is None else _check_video(dataset, key, file))
    except DatasetError as error:
        return [Problem(entry.index, str(error)) for entry in dataset.episodes]


def _check_meta(dataset: Dataset) -> Iterator[str]:
    info, row = dataset.info, 0
    frames = sum(entry.length for entry in dataset.episodes)
    if not dataset.damage and frames != info.frames:
        yield f"meta/info.json counts {info.frames} frames, meta/episodes {frames}."
    for entry in dataset.episodes:
        if not dataset.damage and entry.first_row != row:
            yield f"meta/episodes: episode {entry.index} begins at row {entry.first_row}, not {row}."
            break
        row += entry.length
    if not info.episodes and not (dataset.root / STATS_PATH).exists():
        return  # Begun, and nothing published yet: there is nothing to tell statistics of.
    try:
        stats = dataset.stats()
    except DatasetError as error:
        yield str(error)
        return
    for name in info.features:
        for key, value in stats.get(name, {}).items():
            if not np.isfinite(np.asarray(value, np.float64)).all():
                yield f"{STATS_PATH}: {key} of {name} is not finite."


def _check_data(dataset: Dataset, file: int) -> Iterator[Problem]:
    info, path = dataset.info, dataset.data_path(file)
    columns = dataset.columns(file, [*info.array_keys, "timestamp", "index", "task_index"])
    images = [name for name, feature in info.features.items() if feature["dtype"] == "image"]
    cells = read_table(path, images) if images else None
    for entry in dataset.episodes:
        rows = np.flatnonzero(columns["episode_index"] == entry.index)
        where = f"{path}: episode {entry.index}"
        try:
            check_rows(entry, columns["frame_index"][rows], path)
            values = {name: column[rows] for name, column in columns.items()}
            check_finite({name: v for name, v in values.items() if name not in ROW_FEATURES}, where)
            late = np.abs(values["timestamp"][:, 0] - np.arange(entry.length) / info.fps)
            if not (late <= TIME_TOLERANCE).all():
                worst = int(np.argmax(np.nan_to_num(late, nan=np.inf)))
                raise DatasetError(f"{where}: the timestamp of frame {worst} does not fit {info.fps:g} frames/s.")
            if not np.array_equal(values["index"][:, 0], entry.first_row + np.arange(entry.length)):
                raise DatasetError(f"{where}: the rows are not numbered on from {entry.first_row} without a gap.")
            if not np.isin(values["task_index"], np.arange(len(dataset.tasks))).all():
                raise DatasetError(f"{where}: task_index points past meta/tasks.parquet.")
            for name in images:
                assert cells is not None
                for number, row in enumerate(rows):
                    decoded(cells.column(name)[int(row)].as_py(), f"{where}, frame {number}: {name}")
        except DatasetError as error:
            yield Problem(entry.index, str(error))


def _check_video(dataset: Dataset, key: str, file: int) -> Iterator[Problem]:
    path, feature = dataset.video_path(key, file), dataset.info.features[key]
    expected = sorted(feature["shape"])
    seen: set[int] = set()
    wrong_size, stopped = "", ""
    try:
        for number, picture in dataset.pictures(key, file, "gray12le" if is_depth_map(feature) else "rgb24"):
            seen.add(number)
            found = [*picture.shape, 1] if picture.ndim == 2 else [*picture.shape]
            if sorted(found) != expected and not wrong_size:
                wrong_size = f"pictures are {tuple(found)}, meta/info.json promises {tuple(feature['shape'])}"
    except DatasetError as error:
        stopped = f" ({error})"
    for entry in dataset.episodes:
        first = round(entry.videos[key][1] * dataset.info.fps)
        missing = [number for number in range(entry.length) if first + number not in seen]
        if missing:
            text = f"{path}: episode {entry.index} lacks {len(missing)} of {entry.length} pictures"
            yield Problem(entry.index, f"{text}, the first at frame {missing[0]}{stopped}.")
        elif wrong_size:
            yield Problem(entry.index, f"{path}: {wrong_size}.")
