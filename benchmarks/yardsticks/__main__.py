"""nextstate on public yardsticks, beside stable-worldmodel's LeWM on the same data, for the same time, here.

``.venv-yardsticks/bin/python -m benchmarks.yardsticks`` (after ``make yardsticks``) records each world, trains on it,
lets every way act under both protocols, does the same with LeWM in a virtual environment of its own, and writes
results/act/WORLD.json and results/act/yardsticks.json. Everything goes on where it was interrupted. Nothing else
should be running: both models are trained by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextstate.acting import Rate, difference
from nextstate.acting.notes import Notes, summary
from nextstate.data.storage import write_json
from nextstate.provenance import provenance

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BARE = ("stable-worldmodel==0.1.1", "torchvision==0.28.0")

WAYS = ("still", "random", "replay", "cloned", "leaps", "model", "simulator")
"""Rows: nothing, noise, what led there, goal-conditioned behaviour cloning, plans in the model, and in the truth."""

OBJECTIVE = "pixel"
"""That the models are trained with: the published rows are of such."""


@dataclass(frozen=True)
class Recipe:
    """How a world is gone about.

    Args:
        episodes: recorded. settings: of `nextstate act`. lewm: whether LeWM is trained on it too.
        heads: that are learned. ours: the row that stands for nextstate. minutes: of training.
        looks: whether the guide sees what goals look like, and not only where things are in them.
    """

    episodes: int
    settings: tuple[str, ...]
    lewm: bool = False
    heads: tuple[str, ...] = ("guide", "leap")
    ours: str = "leaps"
    minutes: float = 20.0
    looks: bool = False


POSED = ("--goal", "posture", "--planner", "gradient", "--last", "0.5", "--horizon", "15", "--block", "1")
TIMED = ("--goal", "time", "--near", "15", "--planner", "guided", "--last", "0.7", "--horizon", "25", "--block", "1")
PUSHED = ("--goal", "time", "--near", "60", "--planner", "guided", "--horizon", "16", "--candidates", "60")
RECIPES = {
    "tworoom": Recipe(400, TIMED, lewm=True),
    "pusht": Recipe(1500, PUSHED, lewm=True, heads=("guide",), ours="model", minutes=24.0),
    "reacher": Recipe(600, POSED, heads=("guide", "leap", "posture")),
    "cube": Recipe(400, PUSHED, heads=("guide",), ours="cloned", looks=True),
}


def rival_python() -> Path:
    """The python of the environment that holds LeWM, made when it is missing."""
    folder = ROOT / ".venv-rivals" / "yardsticks"
    python, stamp = folder / "bin" / "python", folder / ".ready"
    requirements = HERE / "requirements.txt"
    wanted = requirements.read_text() + "\n".join(BARE)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print("  installing stable-worldmodel", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(requirements)], check=True)
    subprocess.run([*pip, "--no-deps", *BARE], check=True)
    stamp.write_text(wanted)
    return python


def run(python: Path | str, *words: object) -> None:
    """One command, in the source tree of this checkout; paths within it are told as seen from its root."""
    words = tuple(w.relative_to(ROOT) if isinstance(w, Path) and w.is_relative_to(ROOT) else w for w in words)
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [str(python), "-W", "ignore", "-m", *map(str, words)]
    print(" ".join(command[3:]), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path, "MUJOCO_GL": "egl"})


def minutes_of(world: str, options: argparse.Namespace) -> float:
    """How long the model learns."""
    return float(options.minutes or RECIPES[world].minutes)


def ours(world: str, options: argparse.Namespace, folder: Path) -> Path:
    """Records, trains and acts; the file of results."""
    recipe, out = RECIPES[world], folder / f"{world}.json"
    data, trained = folder / "data", folder / "run"
    run(sys.executable, "nextstate", "record", "--world", world, "--out", data, "--episodes", recipe.episodes)
    minutes = minutes_of(world, options)
    objective = ("--objective", OBJECTIVE)
    run(sys.executable, "nextstate", "pretrain", "--data", data, "--out", trained, "--minutes", minutes, *objective)
    model = trained / "model"
    heads = ("--heads", *recipe.heads, "--minutes", options.heads, *(["--looks"] if recipe.looks else []))
    run(sys.executable, "nextstate", "guide", "--model", model, "--data", data, *heads)
    counts = ("--tasks", options.tasks, "--seeds", options.seeds, "--protocol", "both")
    ways = ("--ways", *(options.ways or WAYS))
    run(
        sys.executable, "nextstate", "act", "--world", world, "--model", model, *recipe.settings, *counts, *ways,
        "--out", out,
    )  # fmt: skip
    return out


def theirs(world: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """LeWM's rows: trained as long as the model and both its heads together."""
    python, weights, notes = rival_python(), folder / "lewm.safetensors", folder / "lewm.jsonl"
    part = "benchmarks.yardsticks.rival"
    if not weights.exists():
        minutes = minutes_of(world, options) + len(RECIPES[world].heads) * options.heads
        run(python, part, "learn", "--data", folder / "data", "--weights", weights, "--minutes", minutes)
    plans = ("--samples", options.samples, "--rounds", options.rounds, "--keep", options.keep)
    counts = ("--tasks", options.lewm_tasks or options.tasks, "--seeds", options.seeds, "--published")
    run(python, part, "act", "--world", world, "--weights", weights, *plans, *counts, "--out", notes)
    timed = folder / "timing.json"
    # Decisions are timed beside LeWM's where both plan in leaps of five commands.
    if "leap" in RECIPES[world].heads and not timed.exists():
        model = folder / "run" / "model"
        run(python, part, "timing", "--world", world, "--weights", weights, "--model", model, "--out", timed)
    settings = json.loads(notes.read_text(encoding="utf-8").splitlines()[0])["settings"]
    kept = Notes(notes, settings)
    row = {**summary(kept, "lewm"), "published": summary(kept, "lewm, published")["published"]}
    return {
        "row": row,
        "settings": settings,
        "training": json.loads(weights.with_suffix(".json").read_text()),
        "timing": json.loads(timed.read_text()) if timed.exists() else None,
    }


def entry(found: dict[str, Any], ours: str) -> dict[str, Any]:
    """What the summary says of one world."""
    told = {}
    for protocol in ("strict", "published"):
        mine = found["ways"][ours][protocol]
        told[protocol] = {"nextstate": mine["rate"], "ci": mine["interval"]}
        if "lewm" in found["ways"]:
            other = found["ways"]["lewm"][protocol]
            rates = [Rate(round(row["rate"] * row["trials"]), row["trials"]) for row in (mine, other)]
            told[protocol] |= {"lewm": other["rate"], "lewm_ci": other["interval"]}
            told[protocol]["ahead"] = [round(value, 4) for value in difference(*rates)]
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.yardsticks", description=__doc__)
    parser.add_argument("--worlds", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--minutes", type=float, help="of training; by default as the world needs")
    parser.add_argument("--heads", type=float, default=4.0, help="minutes of each head")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", help="rows; all by default")
    parser.add_argument("--lewm-tasks", type=int, default=0, help="tasks of LeWM, which plans slowly; 0 for as many")
    parser.add_argument("--samples", type=int, default=300, help="plans in each round of LeWM's CEM")
    parser.add_argument("--rounds", type=int, default=30, help="of LeWM's CEM")
    parser.add_argument("--keep", type=int, default=1, help="blocks that LeWM does of each plan, strict protocol")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "yardsticks", help="data, weights and trials")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "act")
    options = parser.parse_args()
    path = options.out / "yardsticks.json"
    summed: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"yardsticks": {}}
    for world in options.worlds:
        folder = options.work / world
        folder.mkdir(parents=True, exist_ok=True)
        found = json.loads(ours(world, options, folder).read_text())
        if RECIPES[world].lewm:
            rival = theirs(world, options, folder)
            found["ways"]["lewm"] = rival.pop("row")
            found["lewm"] = rival
            if rival["timing"]:
                summed["cem_ratio_vs_stable_worldmodel"] = rival["timing"]["ratio"]
        write_json(options.out / f"{world}.json", found)
        summed["yardsticks"][world] = entry(found, RECIPES[world].ours)
        write_json(path, {**summed, **provenance(["python -m benchmarks.yardsticks", *sys.argv[1:]])})
    print(json.dumps(summed["yardsticks"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
