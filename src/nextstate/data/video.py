"""Camera pictures as H.264, without any loss: what is trained on is what the simulator drew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from nextstate.errors import DatasetError

KEYFRAME_EVERY = 10
"""Frames between independently decodable ones: random access stays cheap."""
ENDINGS = frozenset({".mp4", ".webm", ".mkv", ".mov", ".m4v", ".avi"})
"""Of files that are videos."""
RATE_TOLERANCE = 0.05
"""Share by which a video's mean rate may differ from the dataset's."""


def video_files(root: Path) -> list[Path]:
    """Videos in a folder and its folders, relative to it, sorted; hidden ones are not looked at."""
    found = [path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def write_video(path: Path, clips: Iterable[np.ndarray], fps: float) -> None:
    """Writes clips ``(T, H, W, 3)`` uint8 one after the other; each starts with a keyframe.

    RGB H.264 with a zero quantiser is lossless, and on drawn scenes smaller than lossy 4:4:4
    (docs/decisions/0006-recordings-lose-nothing.md).
    """
    rate = Fraction(fps).limit_denominator(1000)
    # The index goes in front of the pictures, so that a truncated file still gives those before the cut.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = None
        number = 0
        for clip in clips:
            if stream is None:
                stream = container.add_stream("libx264rgb", rate=rate)
                stream.height, stream.width = clip.shape[1:3]
                stream.pix_fmt = "rgb24"
                stream.options = {"qp": "0", "preset": "veryfast", "g": str(KEYFRAME_EVERY), "bf": "0"}
                stream.codec_context.thread_count = 1
                stream.codec_context.time_base = 1 / rate
            for index, picture in enumerate(clip):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, 1 / rate
                if index == 0:
                    frame.pict_type = av.video.frame.PictureType.I
                container.mux(stream.encode(frame))
                number += 1
        if stream is not None:
            container.mux(stream.encode())


def pictures_in(path: Path) -> int:
    """Number of coded pictures that are whole; nothing is decoded. Raises `DatasetError` for what is no video."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path} holds no pictures; restore it from a copy.")
            packets = container.demux(container.streams.video[0])
            return sum(bool(packet.size) and not packet.is_corrupt for packet in packets)
    except av.FFmpegError as error:
        raise DatasetError(f"{path} is damaged or no video ({error}); restore it from a copy.") from error
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing; restore it from a copy.") from error


def read_video(path: Path, fps: float, pixels: str = "rgb24") -> Iterator[tuple[int, np.ndarray]]:
    """Pictures in order with their numbers in the file, counted from their times: ``(H, W, 3)`` uint8 for rgb24.

    Raises `DatasetError` at the place where the file stops being readable.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path} holds no pictures; restore it from a copy.")
            stream = container.streams.video[0]
            rate = float(stream.average_rate or fps)
            if abs(rate - fps) > RATE_TOLERANCE * fps:
                raise DatasetError(
                    f"{path} runs at {rate:g} pictures/s, but meta/info.json promises {fps:g}; mixed rates cannot be "
                    "read, convert the video first."
                )
            # One converter for all pictures: a fresh one for each costs five times as much as decoding.
            convert = VideoReformatter()
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise DatasetError(f"{path}: the picture at {frame.time} s is damaged; restore it from a copy.")
                yield round(float(frame.time or 0.0) * fps), convert.reformat(frame, format=pixels).to_ndarray()
    except av.FFmpegError as error:
        raise DatasetError(f"{path} is damaged or no video ({error}); restore it from a copy.") from error
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing; restore it from a copy.") from error
