"""How fast training is fed: windows of 16 frames of 64-px rgb per second, from the memory-mapped cache, in one process.

    python -m benchmarks.windows [--episodes 100] [--seconds 3]

Records a small dataset of `push` into a temporary folder, opens its cache and draws batches of several sizes, with
rgb alone and with all modalities. Time is the process's own, so that what else runs on the machine counts little; the
fastest of five rounds is the figure. Writes results/bench/windows.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from nextstate.data import Windows, open_cache
from nextstate.data.recording import Plan, record
from nextstate.data.storage import write_json
from nextstate.provenance import provenance

LENGTH = 16
ROUNDS = 5
BATCHES = (16, 64, 256)
WANTED = 20_000
"""Windows per second with rgb that are promised."""
OUT = Path(__file__).parents[1] / "results" / "bench" / "windows.json"


def windows_per_second(windows: Windows, size: int, seconds: float) -> int:
    """Windows per second of processor time in batches of `size`."""
    rates, step = [], 0
    for _ in range(ROUNDS):
        began, first = time.process_time(), step
        while time.process_time() - began < seconds / ROUNDS:
            windows.batch(step, size)
            step += 1
        rates.append((step - first) * size / (time.process_time() - began))
    return round(max(rates))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.0, help="processor time for each figure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        info = record(Plan("push"), Path(folder), options.episodes)
        cache = open_cache(folder)
        figures = {}
        for name, modalities in (("rgb", ["rgb"]), ("all", None)):
            windows = Windows(cache, LENGTH, "all", modalities=modalities)
            figures[name] = {str(size): windows_per_second(windows, size, options.seconds) for size in BATCHES}
            print(f"{name:4} {figures[name]} windows/s by batch size", flush=True)
    command = " ".join(["python -m benchmarks.windows", *sys.argv[1:]])
    data = {"frames": info.frames, "size": 64, "length": LENGTH}
    write_json(OUT, {**provenance(command), **data, "windows_per_cpu_second": figures, "wanted": {"rgb": WANTED}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
