"""Which objective should a world model be pretrained with, on one trunk and the same data, compute and evaluation?

A grid of cells: arm x world x seed, at equal time, and on one world at equal operations as well. A cell trains a
model and measures it; what came of it is one small file, so a study goes on where it stopped. A cell that diverged
or collapsed is a result, too, and is never dropped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nextstate.data.storage import write_json
from nextstate.errors import SettingsError

Equal = Literal["time", "operations"]

REFERENCE = "pixel"
"""The arm that others are compared with."""

SHORTEST = 0.5
"""Minutes of training below which a cell says nothing."""

FIGURES: dict[str, tuple[str, bool]] = {
    "nce": ("NCE at 1 s", False),
    "retrieval": ("retrieval at 1 s", True),
    "flips": ("event flips", True),
    "drift": ("drift at 2 s", False),
    "crps": ("fair CRPS at 1 s", False),
    "hidden": ("fair CRPS at 1 s, hidden factors resampled", False),
    "poses": ("poses probed, R2", True),
    "mass": ("hidden mass probed, R2", True),
    "planning": ("planning success", True),
    "step_ms": ("ms an imagined step", False),
    "kilojoules": ("kJ of training", False),
}
"""What is measured of a cell: its title, and whether more is better."""


@dataclass(frozen=True)
class Cell:
    """One model to train and measure."""

    arm: str
    world: str
    seed: int
    equal: Equal = "time"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.world}-{self.equal}-{re.sub(r'[^a-z0-9.]+', '-', self.arm.lower())}-{self.seed}"


@dataclass(frozen=True)
class Design:
    """What is compared, and how long that may take.

    Args:
        arms: objectives, or mixtures of them. worlds: at equal time; the first of them also at equal operations.
        seeds: of training. minutes: of training each. snapshots: of each suite. tasks: to plan for, in each of
        `planned`. evaluating: seconds that measuring a cell takes, by world. probed: windows that linear readings of
        poses and masses are fitted on. candidates: futures imagined in each round of the planner.
    """

    arms: Sequence[str]
    worlds: Sequence[str]
    seeds: Sequence[int]
    minutes: float
    snapshots: int
    tasks: int
    planned: Sequence[str]
    evaluating: Mapping[str, float]
    probed: int = 1024
    candidates: int = 40

    def cells(self) -> list[Cell]:
        """All of them; those at equal operations come last, since they need to know what the reference did."""
        timed = [Cell(a, w, s) for s in self.seeds for w in self.worlds for a in self.arms]
        others = [a for a in self.arms if a != REFERENCE] if REFERENCE in self.arms else []
        return timed + [Cell(a, self.worlds[0], s, "operations") for s in self.seeds for a in others]

    def seconds(self, cell: Cell, took: Mapping[str, float] | None = None) -> float:
        """How long a cell takes."""
        measuring = (took or {}).get(cell.world, self.evaluating.get(cell.world, max(self.evaluating.values())))
        return 60 * self.minutes + measuring

    def cost(self, folder: Path, cores: int) -> float:
        """Seconds that the cells which are not done yet will take on so many cores."""
        took = measured_seconds(folder)
        left = [self.seconds(cell, took) for cell in self.cells() if found(folder, cell) is None]
        return max(sum(left) / max(cores, 1), max(left, default=0.0))

    def fitted(self, seconds: float, folder: Path, cores: int) -> Design:
        """The design whose minutes of training fill a budget; raises `SettingsError` when it is too small.

        Minutes are whole tenths. Cells that were done under longer or shorter training are not counted as done: give
        the same budget to go on.
        """
        cells, took = self.cells(), measured_seconds(folder)
        rounds = math.ceil(len(cells) / max(cores, 1))
        measuring = max(self.seconds(cell, took) for cell in cells) - 60 * self.minutes
        minutes = math.floor((seconds / rounds - measuring) / 6) / 10
        if minutes < SHORTEST:
            least = rounds * (60 * SHORTEST + measuring)
            raise SettingsError(
                f"the budget is too small: {len(cells)} cells on {cores} cores take at least {told(least)}; give more, "
                "or fewer --arms, --worlds or --snapshots."
            )
        return replace(self, minutes=minutes)


def told(seconds: float) -> str:
    """A time, for people."""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


def parse_time(text: str) -> float:
    """``"2h"``, ``"90min"``, ``"1.5h"`` or ``"600s"`` in seconds; raises `SettingsError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(h|min|s)", text.strip().lower())
    if not match or not float(match[1]) > 0:
        raise SettingsError(f"--budget {text!r} is no time; write for example 2h or 90min.")
    return float(match[1]) * {"h": 3600.0, "min": 60.0, "s": 1.0}[match[2]]


def path_of(folder: Path, cell: Cell) -> Path:
    """Where what came of a cell is kept."""
    return folder / "cells" / cell.name / "cell.json"


def found(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """What came of a cell, None if it is not done."""
    try:
        kept: dict[str, Any] = json.loads(path_of(folder, cell).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if kept.get("state") in ("done", "diverged") else None


def keep(folder: Path, cell: Cell, state: str, **facts: Any) -> None:
    """Notes what came of a cell: ``done`` with figures, or ``diverged`` with the reason."""
    row = {"arm": cell.arm, "world": cell.world, "seed": cell.seed, "equal": cell.equal, "state": state}
    write_json(path_of(folder, cell), {**row, **facts})


def measured_seconds(folder: Path) -> dict[str, float]:
    """World -> seconds that measuring a cell took so far."""
    took: dict[str, list[float]] = {}
    for path in (folder / "cells").glob("*/cell.json"):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            took.setdefault(row["world"], []).append(float(row["measuring"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {world: sum(times) / len(times) for world, times in took.items()}


def conclude(design: Design, folder: Path) -> dict[str, Any]:
    """Every cell, means over seeds with 95 % intervals, what each arm gains on the reference, and what that says."""
    rows = [{**cell.__dict__, **(found(folder, cell) or {"state": "missing"})} for cell in design.cells()]
    table: dict[str, Any] = {}
    for equal, worlds in (("time", design.worlds), ("operations", design.worlds[:1])):
        for world in worlds:
            for arm in design.arms:
                # What the reference did is what operations are equal to.
                source = "time" if arm == REFERENCE else equal
                same = [r for r in rows if (r["arm"], r["world"], r["equal"]) == (arm, world, source)]
                if same:
                    table.setdefault(equal, {}).setdefault(world, {})[arm] = _summary(same)
    gains = {equal: _gains(worlds) for equal, worlds in table.items()}
    return {"cells": rows, "table": table, "gains": gains, "says": _says(rows, table, gains)}


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    done = [row["figures"] for row in rows if row["state"] == "done"]
    figures = {}
    for name in FIGURES:
        values = [row[name] for row in done if row.get(name) is not None]
        if values:
            figures[name] = _mean(values, [row.get("spread", {}).get(name, 0.0) for row in done])
    states = {state: sum(row["state"] == state for row in rows) for state in ("done", "diverged", "missing")}
    return {"figures": figures, **states, "why": [row["why"] for row in rows if row["state"] == "diverged"]}


def _mean(values: Sequence[float], spreads: Sequence[float]) -> dict[str, float]:
    """Mean over seeds and its standard error: seeds differ, and each was measured on few snapshots.

    The snapshots are the same for all seeds, so their part does not shrink with the number of seeds.
    """
    mean, count = sum(values) / len(values), len(values)
    among = sum((v - mean) ** 2 for v in values) / (count - 1) / count if count > 1 else 0.0
    within = sum(s**2 for s in spreads) / max(len(spreads), 1)
    return {"mean": mean, "error": math.sqrt(among + within)}


def _gains(worlds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Arm -> figure -> difference from the reference over worlds, relative to it, with its interval."""
    gains: dict[str, Any] = {}
    arms = list(dict.fromkeys(arm for arms in worlds.values() for arm in arms if arm != REFERENCE))
    for arm in arms:
        for figure in FIGURES:
            pairs = [
                (by[arm]["figures"].get(figure), by.get(REFERENCE, {}).get("figures", {}).get(figure))
                for by in worlds.values()
                if arm in by
            ]
            both = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
            # A mean over some of the worlds would not be the one that was asked for.
            if not both or (len(both) < len(pairs) and figure == "nce"):
                continue
            ours = sum(o["mean"] for o, _ in both) / len(both)
            theirs = sum(t["mean"] for _, t in both) / len(both)
            error = math.sqrt(sum(o["error"] ** 2 + t["error"] ** 2 for o, t in both)) / len(both)
            scale = abs(theirs) or 1.0
            value = (ours - theirs) / scale
            gains.setdefault(arm, {})[figure] = {
                "arm": ours,
                "reference": theirs,
                "change": value,
                "interval": [value - 1.96 * error / scale, value + 1.96 * error / scale],
            }
    return gains


def _says(rows: Sequence[Mapping[str, Any]], table: Mapping[str, Any], gains: Mapping[str, Any]) -> list[str]:
    """Sentences that follow from the figures."""
    says = []
    for equal, arms in gains.items():
        for arm, figures in arms.items():
            parts = []
            for name in ("nce", "crps", "hidden", "step_ms"):
                if name in figures:
                    low, high = figures[name]["interval"]
                    change = figures[name]["change"]
                    parts.append(f"{FIGURES[name][0]} {change:+.0%} ({low:+.0%} to {high:+.0%})")
            if parts:
                says.append(f"At equal {equal}, {arm} against {REFERENCE}: {'; '.join(parts)}.")
    timed = gains.get("time", {})
    best = (
        min((f["nce"]["arm"], arm) for arm, f in timed.items() if "nce" in f)
        if any("nce" in f for f in timed.values())
        else None
    )
    if best is not None:
        figures = timed[best[1]]["nce"]
        better, sure = figures["change"] < 0, figures["interval"][1] < 0
        says.append(
            f"Best by NCE at equal time: {best[1] if better else REFERENCE}"
            + (f", surely better than {REFERENCE}." if sure else ", but the interval does not rule out the others.")
        )
    for equal, worlds in table.items():
        for world, by in worlds.items():
            for arm, row in by.items():
                if row["diverged"] and (equal == "time" or arm != REFERENCE):
                    says.append(f"{arm} on {world} at equal {equal}: {row['diverged']} of its cells diverged.")
    missing = sum(row["state"] == "missing" for row in rows)
    if missing:
        says.append(f"{missing} cells are not done yet.")
    return says
