"""Any folder of videos as a silent dataset: an episode each, of one rate and size; nothing is said of what was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from nextstate.data.format import INFO_PATH, RGB, Info
from nextstate.data.lerobot import Dataset, EpisodeEntry
from nextstate.data.video import video_files
from nextstate.errors import DatasetError, SettingsError

DEFAULT_HZ = 10.0
"""Pictures a second that are kept unless another rate is asked for: that of the worlds."""

SLOWEST = 0.9
"""Share of the rate asked for that a video must have; a slower one would stand still in between."""

SHORTEST = 2
"""Pictures, of which at least one follows another."""


def is_footage(root: Path) -> bool:
    """Whether a folder is no dataset, not even one that lost its head, but holds videos."""
    return root.is_dir() and not (root / INFO_PATH).parent.exists() and bool(video_files(root))


def open_footage(root: Path, hz: float | None = None) -> Footage:
    """The videos of a folder, each as long as it is at `hz` pictures a second.

    What cannot be read, holds no pictures or is too slow is left out, and listed as damage.
    """
    hz = DEFAULT_HZ if hz is None else hz
    if not hz > 0:
        raise SettingsError(f"--hz {hz:g}: it must be above 0.")
    episodes, damage, rows = [], [], 0
    for number, path in enumerate(video_files(root)):
        try:
            length = _length(root / path, hz)
        except DatasetError as error:
            damage.append(str(error))
            continue
        episodes.append(EpisodeEntry(number, length, rows, number, {RGB: (number, 0.0)}, {}))
        rows += length
    camera = {"dtype": "video", "shape": [0, 0, 3], "names": ["height", "width", "channels"]}
    info = Info(hz, {RGB: camera}, len(episodes), rows, data_path="", video_path=None)
    return Footage(root, info, tuple(episodes), (), tuple(damage))


@dataclass(frozen=True)
class Footage(Dataset):
    """A folder of videos, read like a dataset of one camera; numbers of files are places in the sorted folder."""

    def video_path(self, key: str, file: int) -> Path:
        return self.root / video_files(self.root)[file]

    def pictures(self, key: str, file: int, pixels: str = "rgb24") -> Iterator[tuple[int, np.ndarray]]:
        """Squares out of the middle of a video's pictures, at the rate of the dataset, with running numbers."""
        number = 0
        before: tuple[float, Any] | None = None
        convert = VideoReformatter()
        for time, frame in _frames(self.video_path(key, file)):
            # The picture nearest in time is taken: mixing two would show what never was.
            while before is not None and number / self.info.fps <= (before[0] + time) / 2:
                yield number, _square(convert, before[1], pixels)
                number += 1
            before = (time, frame)
        while before is not None and number / self.info.fps <= before[0] + 1e-6:
            yield number, _square(convert, before[1], pixels)
            number += 1


def flaws(root: Path, progress: Callable[[int, int], None] = lambda done, count: None) -> list[str]:
    """What is wrong with the videos of a folder, found by decoding each of them to its end, as sentences."""
    footage = open_footage(root)
    found = list(footage.damage)
    for done, entry in enumerate(footage.episodes, 1):
        try:
            for _ in footage.pictures(RGB, entry.file):
                pass
        except DatasetError as error:
            found.append(str(error))
        progress(done, len(footage.episodes))
    return found


def _length(path: Path, hz: float) -> int:
    """Pictures that a video gives, without decoding it; raises `DatasetError` where that is none that move."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path} holds no pictures (only sound, perhaps); take it out of the folder.")
            stream = container.streams.video[0]
            stamps = [p.pts if p.pts is not None else p.dts for p in container.demux(stream) if p.size]
            base = float(stream.time_base or 1)
    except (av.FFmpegError, OSError) as error:
        raise DatasetError(f"{path} is damaged or no video ({error}); take it out of the folder.") from error
    times = _sorted_times(stamps, base)
    if len(times) < SHORTEST or times[-1] <= times[0]:
        raise DatasetError(
            f"{path} holds {len(times)} pictures, and nothing moves in so few; take it out of the folder."
        )
    rate = (len(times) - 1) / (times[-1] - times[0])
    if rate < SLOWEST * hz:
        raise DatasetError(
            f"{path} has {rate:.3g} pictures a second and {hz:g} are wanted; take it out of the folder, or ask for a "
            "lower rate (--hz)."
        )
    return int((times[-1] - times[0]) * hz + 1e-6) + 1


def _frames(path: Path) -> Iterator[tuple[float, Any]]:
    """Decoded pictures with their seconds since the first one."""
    start: float | None = None
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.is_corrupt or frame.time is None:
                    raise DatasetError(f"{path}: a picture at {frame.time} s is damaged; take it out of the folder.")
                start = float(frame.time) if start is None else start
                yield float(frame.time) - start, frame
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DatasetError(f"{path} is damaged or no video ({error}); take it out of the folder.") from error


def _sorted_times(stamps: Sequence[int | None], base: float) -> list[float]:
    return sorted(float(stamp) * base for stamp in stamps if stamp is not None)


def _square(convert: VideoReformatter, frame: Any, pixels: str) -> np.ndarray:
    """The middle of a picture, ``(s, s, 3)``, upright as it was filmed."""
    picture = convert.reformat(frame, format=pixels).to_ndarray()
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    middle = picture[top : top + side, left : left + side]
    return np.ascontiguousarray(np.rot90(middle, round(getattr(frame, "rotation", 0) / 90)))
