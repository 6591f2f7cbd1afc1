"""nextstate beside stable-worldmodel and torch-world on this machine, in one run.

``python -m benchmarks.rivals`` installs each rival into a virtual environment of its own, runs the probes one after
the other, prints a table of ratios and writes results/bench/rivals.json. About 12 minutes with the default 30
seconds a measurement, after a download of some hundred megabytes; nothing else should be running.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nextstate.data.storage import write_json
from nextstate.provenance import provenance

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / ".venv-rivals"

RIVALS: dict[str, tuple[str, ...]] = {
    "stable-worldmodel": ("stable-worldmodel==0.1.1", "torchvision==0.28.0"),
    "torch-world": (),
}
"""Rival -> packages installed without their dependencies, after the rival's requirements file."""

TASKS = {
    "steps": "simulated and drawn, steps/s",
    "recording": "recorded, steps/s",
    "windows": "16-frame windows/s",
    "training": "trained, frames/s",
}


def install(rival: str, bare: tuple[str, ...]) -> Path:
    """The python of the rival's environment, made when it is missing."""
    folder = ENVIRONMENTS / rival
    python, stamp = folder / "bin" / "python", folder / ".ready"
    requirements = HERE / f"requirements-{rival}.txt"
    wanted = requirements.read_text() + "\n".join(bare)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"  installing {rival}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(requirements)], check=True)
    if bare:
        subprocess.run([*pip, "--no-deps", *bare], check=True)
    stamp.write_text(wanted)
    return python


def probe(name: str, python: Path | str, seconds: float, tasks: list[str]) -> dict[str, Any]:
    """Figures of one toolkit, task -> variant -> figures."""
    print(f"  measuring {name}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        script = HERE / f"probe_{name.replace('-', '_')}.py"
        command = [str(python), "-W", "ignore", str(script), str(seconds), str(out), *tasks]
        subprocess.run(command, check=True, env={**os.environ, "TMPDIR": folder, "MUJOCO_GL": "egl"})
        return dict(json.loads(out.read_text()))


def best(figures: dict[str, Any]) -> tuple[str, float] | None:
    """The fastest variant of a task and its rate; None if none could be measured."""
    rates = {name: f["per_second"] for name, f in figures.items() if isinstance(f, dict) and "per_second" in f}
    return max(rates.items(), key=lambda pair: pair[1]) if rates else None


def ratios(results: dict[str, Any]) -> dict[str, Any]:
    """For each task, every variant of nextstate over the best variant of each rival."""
    table: dict[str, Any] = {}
    for task in TASKS:
        ours = {n: f for n, f in results["nextstate"].get(task, {}).items() if isinstance(f, dict)}
        for rival in RIVALS:
            theirs = best(results[rival].get(task, {}))
            if theirs is None:
                continue
            for variant, figures in ours.items():
                entry = table.setdefault(task, {}).setdefault(variant, {"per_second": figures["per_second"]})
                entry[rival] = {
                    "variant": theirs[0],
                    "per_second": theirs[1],
                    "ratio": round(figures["per_second"] / theirs[1], 1),
                }
    return table


def show(table: dict[str, Any], results: dict[str, Any]) -> None:
    for task, title in TASKS.items():
        print(f"\n{title}")
        for variant, entry in table.get(task, {}).items():
            print(f"  nextstate: {variant:<52} {entry['per_second']:>12,.0f}")
            for rival in RIVALS:
                if rival in entry:
                    e = entry[rival]
                    print(f"    {e['ratio']:>8.1f} x {rival} ({e['variant']}), {e['per_second']:,.0f}")
    print("\nparameters of the models trained")
    for toolkit, tasks in results.items():
        for variant, figures in tasks.get("training", {}).items():
            if isinstance(figures, dict) and "parameters" in figures:
                print(f"  {toolkit}: {variant:<40} {figures['parameters'] / 1e6:6.2f}M, {figures['batch']}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of every task, shared by its variants")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench" / "rivals.json")
    options = parser.parse_args()
    pythons: dict[str, Path | str] = {rival: install(rival, bare) for rival, bare in RIVALS.items()}
    pythons["nextstate"] = sys.executable
    results = {name: probe(name, python, options.seconds, options.tasks) for name, python in pythons.items()}
    table = ratios(results)
    record = {
        **provenance(["python -m benchmarks.rivals", *sys.argv[1:]]),
        "versions": {"stable-worldmodel": "0.1.1", "torch-world": "0.2.0"},
        "notes": [
            "Frames are pictures that a training step reads: batch x length of a window.",
            "Each rival is measured in all its variants; ratios are over its fastest one.",
            "stable-worldmodel decodes lance pictures with Pillow: torchvision's decoder needs a build with CUDA.",
        ],
        "results": results,
        "ratios": table,
    }
    write_json(options.out, record)
    show(table, results)
    print(f"\n{options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
