"""What recording costs beyond the world itself, and which ways of storing pictures, depth and motion were weighed.

    python -m benchmarks.storage [--episodes 8]

Plays episodes of `push` at 64 px and stores them in each way: bytes, and milliseconds of processor time a frame for
writing and for reading (the fastest of five rounds). Writes results/bench/storage.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextstate.data.episode import Episode
from nextstate.data.format import FEATURE_OF, RGB
from nextstate.data.recording import Plan, play
from nextstate.data.shards import Shard, write_shard
from nextstate.data.storage import write_json
from nextstate.data.tables import to_column
from nextstate.provenance import provenance

ROUNDS = 5
OUT = Path(__file__).parents[1] / "results" / "bench" / "storage.json"
VIDEOS = {
    "rgb, lossless": ("libx264rgb", "rgb24", {"qp": "0"}),
    "yuv444p, crf 6": ("libx264", "yuv444p", {"crf": "6"}),
    "yuv420p, crf 18": ("libx264", "yuv420p", {"crf": "18"}),
}
TABLES: dict[str, dict[str, Any]] = {
    "zstd 1, plain": {"compression": "zstd", "compression_level": 1, "use_dictionary": False},
    "zstd 1, dictionary": {"compression": "zstd", "compression_level": 1},
    "zstd 1, byte stream split": {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": False,
        "use_byte_stream_split": True,
    },
    "snappy, plain": {"compression": "snappy", "use_dictionary": False},
}


def timed(work: Callable[[], Any], frames: int) -> float:
    """Milliseconds of processor time a frame."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return round(1e3 * best / frames, 3)


def write(path: Path, pictures: np.ndarray, codec: str, pixels: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={**options, "preset": "veryfast", "g": "10", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], pixels
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def read(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def videos(folder: Path, pictures: np.ndarray) -> dict[str, Any]:
    found = {}
    for name, (codec, pixels, options) in VIDEOS.items():
        path = folder / "v.mp4"
        write_ms = timed(lambda: write(path, pictures, codec, pixels, options), len(pictures))  # noqa: B023
        error = np.abs(read(path).astype(int) - pictures)
        found[name] = {
            "kB_a_frame": round(path.stat().st_size / len(pictures) / 1e3, 3),
            "write_ms": write_ms,
            "read_ms": timed(lambda: read(path), len(pictures)),  # noqa: B023
            "mean_error": round(float(error.mean()), 3),
            "largest_error": int(error.max()),
        }
    return found


def tables(folder: Path, columns: dict[str, np.ndarray]) -> dict[str, Any]:
    frames = len(next(iter(columns.values())))
    table = pa.table({name: to_column(values) for name, values in columns.items()})
    found = {}
    for name, options in TABLES.items():
        path = folder / "t.parquet"
        write_ms = timed(lambda: pq.write_table(table, path, **options), frames)  # noqa: B023
        size = path.stat().st_size
        read_ms = timed(lambda: pq.read_table(path, use_threads=False), frames)  # noqa: B023
        found[name] = {"kB_a_frame": round(size / frames / 1e3, 3), "write_ms": write_ms, "read_ms": read_ms}
    return found


def stages(folder: Path, plan: Plan, episodes: list[Episode]) -> dict[str, float]:
    """What one frame costs in each stage of recording."""
    frames = sum(map(len, episodes))
    paths = tuple(folder / f"{episode.index}.npz.zst" for episode in episodes)
    numbers = {task: i for i, task in enumerate(dict.fromkeys(episode.task for episode in episodes))}
    shard, info = Shard(0, paths, 0, numbers), plan.info()
    return {
        "play": timed(lambda: [play(plan, episode.index) for episode in episodes], frames),
        "finish": timed(lambda: list(map(Episode.save, episodes, paths)), frames),
        "publish": timed(lambda: write_shard(folder / "d", info, shard), frames),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=8)
    options = parser.parse_args()
    plan = Plan("push")
    episodes = [play(plan, index) for index in range(options.episodes)]
    columns = {key: np.concatenate([e.columns[key] for e in episodes]) for key in episodes[0].columns}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "video": videos(folder, columns[RGB]),
            "depth and motion": tables(folder, {key: columns[FEATURE_OF[key]] for key in ("depth", "motion")}),
            "ms_a_frame": stages(folder, plan, episodes),
        }
    for title, rows in figures.items():
        print(title)
        for row, values in rows.items():
            print(f"  {row:28}", values)
    command = " ".join(["python -m benchmarks.storage", *sys.argv[1:]])
    write_json(OUT, {**provenance(command), "frames": len(columns[RGB]), "size": plan.size, **figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
