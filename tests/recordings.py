"""Small datasets for tests: recorded by hand through the writer, and foreign ones as other tools write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextstate.data.episode import Episode
from nextstate.data.format import FEATURE_OF, ROW_FEATURES, Info, feature, video_feature
from nextstate.data.storage import write_json
from nextstate.data.writer import staged_path, writing

SIZE = 8
FEATURES = {
    FEATURE_OF["rgb"]: video_feature(SIZE, SIZE, 10.0),
    FEATURE_OF["depth"]: feature("float32", (SIZE, SIZE)),
    FEATURE_OF["proprio"]: feature("float32", (3,)),
    "action": feature("float32", (2,)),
    "events": feature("bool", (2,), ("touched", "moved")),
    **ROW_FEATURES,
}


def info(**own: Any) -> Info:
    return Info(10.0, FEATURES, own={"world": "toy", "world_version": 1, "size": SIZE, "steps": 11, **own})


def episode(index: int, length: int = 12, seed: int | None = None) -> Episode:
    seed = index if seed is None else seed
    rng = np.random.default_rng(seed)
    columns = {
        FEATURE_OF["rgb"]: rng.integers(0, 256, (length, SIZE, SIZE, 3), np.uint8),
        FEATURE_OF["depth"]: rng.uniform(0.5, 2.0, (length, SIZE, SIZE)).astype(np.float32),
        FEATURE_OF["proprio"]: rng.normal(size=(length, 3)).astype(np.float32),
        "action": rng.uniform(-1, 1, (length, 2)).astype(np.float32),
        "events": rng.random((length, 2)) < 0.3,
    }
    columns["action"][-1] = 0
    return Episode(index, columns, f"task {seed % 3}", {"seed": seed, "policy": "toy", "factors": {"mass": 0.1 * seed}})


def make_dataset(root: Path, episodes: int = 5, length: int = 12, first_seed: int = 0, **own: Any) -> list[Episode]:
    """A dataset whose files hold two episodes each."""
    made = [episode(i, length, first_seed + i) for i in range(episodes)]
    with writing(root, create=info(**own)) as writer:
        for first in range(0, episodes, 2):
            for e in made[first : first + 2]:
                e.save(staged_path(root, e.index))
            writer.publish(writer.info.own["steps"] + 1)
    return made


def make_foreign(
    root: Path, lengths: tuple[int, ...] = (30, 20), fps: int = 15, video_fps: int | None = None
) -> dict[str, np.ndarray]:
    """A robot's dataset: two lossy cameras, one of still pictures, seven joints, a gripper's taxels, depth."""
    total = sum(lengths)
    rng = np.random.default_rng(0)
    t = np.arange(total)
    values = {
        "observation.state": np.sin(t[:, None] * 0.1 + np.arange(6)).astype(np.float32),
        "observation.tactile.left": rng.uniform(0, 1, (total, 4)).astype(np.float32),
        "observation.depth_front": rng.uniform(0.5, 2, (total, 12, 16)).astype(np.float32),
        "action": (np.cos(t[:, None] * 0.1 + np.arange(7)) * np.array([40, 1, 1, 1, 1, 1, 0]) + 5).astype(np.float32),
    }
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (32, 32)}
    features = {
        name: {"dtype": "video", "shape": [h, w, 3], "names": ["height", "width", "channels"], "video_info": {}}
        for name, (h, w) in cameras.items()
    }
    features |= {name: feature("float32", v.shape[1:]) for name, v in values.items()}
    features |= ROW_FEATURES
    fields = Info(float(fps), features, len(lengths), total, 1, robot="so100").to_dict()
    del fields["nextstate"]
    write_json(root / "meta/info.json", fields)
    low, high = values["action"].min(axis=0), values["action"].max(axis=0)
    write_json(root / "meta/stats.json", {"action": {"min": low.tolist(), "max": high.tolist()}})
    pq.write_table(pa.table({"task_index": [0], "__index_level_0__": ["grab it"]}), root / "meta/tasks.parquet")
    ends = np.cumsum(lengths)
    rows = [
        {
            "episode_index": i,
            "tasks": ["grab it"],
            "length": n,
            "dataset_from_index": int(end - n),
            "dataset_to_index": int(end),
            "data/chunk_index": 0,
            "data/file_index": 0,
            **{f"videos/{c}/{k}_index": 0 for c in cameras for k in ("chunk", "file")},
            **{f"videos/{c}/from_timestamp": float(end - n) / fps for c in cameras},
            **{f"videos/{c}/to_timestamp": float(end) / fps for c in cameras},
        }
        for i, (n, end) in enumerate(zip(lengths, ends, strict=True))
    ]
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    frames = np.concatenate([np.arange(n) for n in lengths])
    table = {name: pa.array(v.tolist()) for name, v in values.items()}
    table |= {
        "timestamp": pa.array(frames / fps, pa.float32()),
        "frame_index": pa.array(frames),
        "episode_index": pa.array(np.repeat(np.arange(len(lengths)), lengths)),
        "index": pa.array(t),
        "task_index": pa.array(np.zeros(total, int)),
    }
    (root / "data/chunk-000").mkdir(parents=True)
    pq.write_table(pa.table(table), root / "data/chunk-000/file-000.parquet")
    for name, (height, width) in cameras.items():
        path = root / f"videos/{name}/chunk-000/file-000.mp4"
        path.parent.mkdir(parents=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=video_fps or fps)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for number in t:
                picture = np.full((height, width, 3), number * 4, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return values


def tree(root: Path) -> dict[str, bytes]:
    """Name -> bytes of every file of a dataset proper."""
    parts = (root / part for part in ("meta", "data", "videos"))
    return {str(p.relative_to(root)): p.read_bytes() for part in parts for p in part.rglob("*") if p.is_file()}
