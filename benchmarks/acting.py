"""Gathers the figures of acting: from the files in results/act/ that are there, into summary.json beside them.

``python -m benchmarks.acting``; nothing is measured here. What is missing stays out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nextstate.data.storage import write_json
from nextstate.provenance import provenance

FOLDER = Path(__file__).resolve().parents[1] / "results" / "act"


def read(name: str) -> dict[str, Any]:
    """A file of results; empty where there is none."""
    path = FOLDER / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


OWN = ("model", "cloned", "inverse", "joint")
"""Ways to act on nothing but pictures and what was learned from them."""


def reached(found: dict[str, Any]) -> dict[str, Any]:
    """Goals held, strict, by the best of our ways and by each; and what the model costs planning, where measured."""
    ways = {way: found["ways"][way]["strict"] for way in OWN if way in found["ways"]}
    best = max(ways, key=lambda way: float(ways[way]["rate"]))
    return {
        "success": ways[best]["rate"],
        "ci": ways[best]["interval"],
        "trials": ways[best]["trials"],
        "way": best,
        "ways": {way: {"success": row["rate"], "ci": row["interval"]} for way, row in ways.items()},
        "planning_gap": found.get("planning_gap"),
    }


def decoded(kinds: dict[str, Any]) -> dict[str, float]:
    """Goals held on imagined futures and on true ones, by a decoder that learned from most demonstrations."""
    return {kind: counts[max(counts, key=int)]["strict"]["rate"] for kind, counts in kinds.items()}


def summary() -> dict[str, Any]:
    """Everything that is known; see the names of the files it comes from."""
    names = ("push", "grasp", "decoding", "thoughts", "yardsticks")
    push, grasp, decoding, thoughts, yardsticks = (read(name) for name in names)
    found: dict[str, Any] = {}
    if push:
        ways = push["ways"]
        found["push"] = reached(push)
        decoders = [ways[way]["milliseconds"] for way in ("cloned", "inverse", "joint") if way in ways]
        found["latency_ms"] = {"planner": ways["model"]["milliseconds"], "decoder": max(decoders)}
    if grasp:
        found["grasp"] = reached(grasp)
    oracle = read("grasp-gap")
    if grasp and oracle:
        # Minutes a task in the simulator, so only some tasks were planned there, and these in the model beside it.
        rows = {way: oracle["ways"][way]["strict"] for way in ("oracle", "model")}
        found["grasp"]["planning_gap"] = {
            **oracle["planning_gap"],
            "trials": rows["oracle"]["trials"],
            **{way: {"success": row["rate"], "ci": row["interval"]} for way, row in rows.items()},
        }
    keen = read("grasp-keen")
    if grasp and keen:
        row = keen["ways"]["cloned"]["strict"]
        told = {"success": row["rate"], "ci": row["interval"], "trials": row["trials"]}
        found["grasp"]["cloned_with_keen_eye"] = told
    if decoding:
        found["decoding"] = {name: decoded(kinds) for name, kinds in decoding["decoders"].items()}
    if thoughts:
        puzzles = {
            name: {way: row["ways"][way]["rate"] for way in ("tree", "flat")}
            for name, row in thoughts["puzzles"].items()
        }
        found["thought_tree"] = {
            "mean_gain_points": thoughts["mean_gain_points"],
            "planned_in": thoughts["settings"]["model"],
            "puzzles": puzzles,
        }
    if yardsticks:
        found["yardsticks"] = yardsticks["yardsticks"]
        if "cem_ratio_vs_stable_worldmodel" in yardsticks:
            found["cem_ratio_vs_stable_worldmodel"] = yardsticks["cem_ratio_vs_stable_worldmodel"]
    return found


if __name__ == "__main__":
    write_json(FOLDER / "summary.json", {**provenance("python -m benchmarks.acting"), **summary()})
    print(FOLDER / "summary.json")
