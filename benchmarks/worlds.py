"""How fast worlds step: control steps per second of processor time on one core, at 64 px.

    python -m benchmarks.worlds [--seconds 4] [--worlds push spill]

Whole exploratory episodes are timed, resets and the policy included, once with rgb alone and once with all five
modalities. Time is the process's own, so that what else runs on the machine counts little; the fastest of five
rounds is the figure, since disturbance only ever slows. Writes results/bench/worlds.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from nextstate.data.storage import write_json
from nextstate.modalities import MODALITIES
from nextstate.provenance import provenance
from nextstate.worlds import WORLDS, make_world

SIZE = 64
ROUNDS = 5
WANTED = {"push": 800, "grasp": 400, "spill": 60}
"""Steps per second with rgb that are promised; with all five modalities a third of that."""
OUT = Path(__file__).parents[1] / "results" / "bench" / "worlds.json"


def steps_per_second(name: str, modalities: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Control steps per CPU second of one world, over rounds of at least `seconds` / 5 each."""
    world = make_world(name, SIZE, modalities)
    rates, seed = [], 0
    for _ in range(ROUNDS):
        steps, began = 0, time.process_time()
        while time.process_time() - began < seconds / ROUNDS:
            world.reset(seed=seed)
            policy = world.explore(np.random.default_rng(seed))
            for _ in range(world.max_steps):
                world.step(policy(world))
            steps, seed = steps + world.max_steps, seed + 1
        rates.append(steps / (time.process_time() - began))
    return {"steps_per_cpu_second": round(max(rates)), "median": round(float(np.median(rates))), "episodes": seed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="processor time for each figure")
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=WORLDS)
    options = parser.parse_args()
    make_world("push", SIZE, ["rgb"]).reset(seed=0)  # Opens the drawing context, once in a process.
    figures: dict[str, Any] = {}
    for name in options.worlds:
        figures[name] = {
            "rgb": steps_per_second(name, ("rgb",), options.seconds),
            "all": steps_per_second(name, tuple(MODALITIES), options.seconds),
        }
        if name in WANTED:
            figures[name]["wanted"] = {"rgb": WANTED[name], "all": round(WANTED[name] / 3)}
        rgb, everything = (figures[name][kind]["steps_per_cpu_second"] for kind in ("rgb", "all"))
        print(f"{name:8} {rgb:6} steps/s with rgb {everything:6} with all five", flush=True)
    command = "python -m benchmarks.worlds " + " ".join(sys.argv[1:])
    write_json(OUT, {**provenance(command.strip()), "size": SIZE, "worlds": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
