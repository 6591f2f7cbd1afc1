"""Gathers the figures of acting: from the files in results/act/ that are there, into summary.json beside them.

``python -m benchmarks.acting``; nothing is measured here. What is missing stays out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nextstate.data.storage import write_json

FOLDER = Path(__file__).resolve().parents[1] / "results" / "act"

DECODERS = {
    "cloned": ("cloned", "cloned_told"),
    "inverse": ("inverse", "inverse_told"),
    "joint": ("joint", "joint_told"),
    "proposals": ("proposals", "proposals_oracle"),
    "planner": ("model", "oracle"),
}
"""Decoder -> its ways in `nextstate act` on imagined futures and on true ones."""


def read(name: str) -> dict[str, Any]:
    """A file of results; empty where there is none."""
    path = FOLDER / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def reached(found: dict[str, Any]) -> dict[str, Any]:
    """Goals held by planning in the model, strict, and what the model costs where that was measured."""
    row = found["ways"]["model"]["strict"]
    return {
        "success": row["rate"],
        "ci": row["interval"],
        "trials": row["trials"],
        "planning_gap": found.get("planning_gap"),
    }


def summary() -> dict[str, Any]:
    """Everything that is known; see the names of the files it comes from."""
    push, grasp, thoughts, yardsticks = (read(name) for name in ("push", "grasp", "thoughts", "yardsticks"))
    found: dict[str, Any] = {}
    if push:
        ways = push["ways"]
        found["push"] = reached(push)
        found["decoding"] = {
            name: {
                kind: ways[way]["strict"]["rate"]
                for kind, way in zip(("imagined", "oracle"), both, strict=True)
                if way in ways
            }
            for name, both in DECODERS.items()
        }
        decoders = [ways[way]["milliseconds"] for way in ("cloned", "inverse", "joint") if way in ways]
        found["latency_ms"] = {"planner": ways["model"]["milliseconds"], "decoder": max(decoders)}
    if grasp:
        found["grasp"] = reached(grasp)
    if thoughts:
        puzzles = {
            name: {way: row["ways"][way]["rate"] for way in ("tree", "flat")}
            for name, row in thoughts["puzzles"].items()
        }
        planned = thoughts["settings"]["model"]
        found["thought_tree"] = {
            "mean_gain_points": thoughts["mean_gain_points"],
            "planned_in": planned,
            "puzzles": puzzles,
        }
    if yardsticks:
        found["yardsticks"] = yardsticks["yardsticks"]
        if "cem_ratio_vs_stable_worldmodel" in yardsticks:
            found["cem_ratio_vs_stable_worldmodel"] = yardsticks["cem_ratio_vs_stable_worldmodel"]
    return found


if __name__ == "__main__":
    write_json(FOLDER / "summary.json", summary())
    print(FOLDER / "summary.json")
