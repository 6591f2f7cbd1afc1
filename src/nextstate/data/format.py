"""The parts of the LeRobot v3.0 layout that several files here need: names, paths and features.

Format: https://huggingface.co/docs/lerobot/lerobot-dataset-v3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nextstate.data.storage import read_json
from nextstate.errors import DatasetError

VERSION = "v3.0"
CHUNK = 1000
"""Files per folder."""

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
PRIVATE = ".nextstate"
"""Folder inside a dataset for what is not part of it: lock, episodes not yet published, training cache."""

RGB = "observation.images.rgb"
FEATURE_OF = {
    "rgb": RGB,
    "depth": "observation.depth",
    "motion": "observation.motion",
    "proprio": "observation.state",
    "touch": "observation.touch",
}
"""Modality -> feature, in datasets recorded here."""

ROW_FEATURES: dict[str, dict[str, Any]] = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}
"""Features every row has, besides what was sensed and done."""


@dataclass(frozen=True)
class Info:
    """``meta/info.json``.

    Args:
        fps: rows per second.
        features: feature -> ``{"dtype", "shape", "names", ...}``.
        own: what nextstate adds (world, version, size, base seed, ...); empty for foreign datasets.
    """

    fps: float
    features: Mapping[str, Mapping[str, Any]]
    episodes: int = 0
    frames: int = 0
    tasks: int = 0
    data_path: str = DATA_PATH
    video_path: str | None = VIDEO_PATH
    robot: str | None = None
    own: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        fps = int(self.fps) if float(self.fps).is_integer() else self.fps
        return {
            "codebase_version": VERSION,
            "robot_type": self.robot,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": self.tasks,
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": fps,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": self.data_path,
            "video_path": self.video_path,
            "features": {name: dict(feature) for name, feature in self.features.items()},
            "nextstate": dict(self.own),
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any], where: str) -> Info:
        """Inverse of `to_dict`; raises `DatasetError` for other versions and missing or impossible fields."""
        version = fields.get("codebase_version")
        if version is None or not str(version).startswith("v3."):
            raise DatasetError(
                f"{where}: this is a LeRobot {version} dataset, nextstate reads v3.x; convert it with LeRobot's own "
                "script (lerobot.scripts.convert_dataset_v21_to_v30)."
            )
        try:
            info = Info(
                fps=float(fields["fps"]),
                features={
                    str(name): {**feature, "shape": [int(n) for n in feature["shape"]], "dtype": str(feature["dtype"])}
                    for name, feature in fields["features"].items()
                },
                episodes=int(fields["total_episodes"]),
                frames=int(fields["total_frames"]),
                tasks=int(fields.get("total_tasks", 0)),
                data_path=str(fields["data_path"]),
                video_path=fields.get("video_path"),
                robot=fields.get("robot_type"),
                own=dict(fields.get("nextstate") or {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"{where}: a field is missing or wrong ({error!r}); restore it from a copy.") from error
        if info.fps <= 0 or info.episodes < 0:
            raise DatasetError(
                f"{where}: fps is {info.fps} and total_episodes is {info.episodes}; both are impossible."
            )
        return info

    @property
    def video_keys(self) -> list[str]:
        return [name for name, feature in self.features.items() if feature["dtype"] == "video"]

    @property
    def array_keys(self) -> list[str]:
        """Features stored as numbers in parquet, without the bookkeeping of rows."""
        kept = ("video", "image", "string", "language")
        return [n for n, f in self.features.items() if f["dtype"] not in kept and n not in ROW_FEATURES]


def read_info(root: Path) -> Info:
    """``meta/info.json`` of the dataset at `root`."""
    path = root / INFO_PATH
    fields = read_json(path)
    if not isinstance(fields, dict):
        raise DatasetError(f"{path} holds no fields; restore it from a copy.")
    return Info.from_dict(fields, str(path))


def file_path(root: Path, template: str, number: int, video_key: str = "") -> Path:
    """Path of the file with a running number over all chunks."""
    return root / template.format(chunk_index=number // CHUNK, file_index=number % CHUNK, video_key=video_key)


def feature(dtype: str, shape: Sequence[int], names: Sequence[str] | None = None) -> dict[str, Any]:
    """One entry of ``features``."""
    return {"dtype": dtype, "shape": list(shape), "names": list(names) if names is not None else None}


def video_feature(height: int, width: int, fps: float) -> dict[str, Any]:
    """The entry of a losslessly stored camera."""
    return {
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height,
            "video.width": width,
            "video.codec": "h264",
            "video.pix_fmt": "gbrp",
            "video.fps": int(fps),
            "video.channels": 3,
            "video.is_depth_map": False,
            "has_audio": False,
        },
    }


def stored_shape(values: np.ndarray) -> tuple[int, ...]:
    """Shape of one row as LeRobot names it: scalars count as ``(1,)``."""
    return tuple(values.shape[1:]) or (1,)
