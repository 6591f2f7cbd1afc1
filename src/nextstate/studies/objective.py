"""Which objective should a world model be pretrained with, on one trunk and the same data, compute and evaluation?

A grid of cells: arm x world x seed, at equal time, and on one world at equal operations as well. A cell that diverged
or collapsed is a result, too, and is never dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nextstate.studies.grid import Grid, difference_error, rows_of, summarised

Equal = Literal["time", "operations"]

REFERENCE = "pixel"
"""The arm that others are compared with."""

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


@dataclass(frozen=True, kw_only=True)
class Design(Grid):
    """What is compared, and how long that may take.

    Args:
        arms: objectives, or mixtures of them. worlds: at equal time; the first of them also at equal operations.
        seeds: of training. tasks: to plan for, in each of `planned`. probed: windows that linear readings of
            poses and masses are fitted on. candidates: futures imagined in each round of the planner. steps: that it
            has for a task.
    """

    arms: Sequence[str]
    worlds: Sequence[str]
    seeds: Sequence[int]
    tasks: int
    planned: Sequence[str]
    probed: int = 1024
    candidates: int = 40
    steps: int = 50

    def cells(self) -> list[Cell]:
        """All of them; those at equal operations come last, since they need to know what the reference did."""
        timed = [Cell(a, w, s) for s in self.seeds for w in self.worlds for a in self.arms]
        others = [a for a in self.arms if a != REFERENCE] if REFERENCE in self.arms else []
        return timed + [Cell(a, self.worlds[0], s, "operations") for s in self.seeds for a in others]


def conclude(design: Design, folder: Path) -> dict[str, Any]:
    """Every cell, means over seeds with 95 % intervals, what each arm gains on the reference, and what that says."""
    rows = rows_of(design, folder)
    table: dict[str, Any] = {}
    for equal, worlds in (("time", design.worlds), ("operations", design.worlds[:1])):
        for world in worlds:
            for arm in design.arms:
                # What the reference did is what operations are equal to.
                source = "time" if arm == REFERENCE else equal
                same = [r for r in rows if (r["arm"], r["world"], r["equal"]) == (arm, world, source)]
                if not same:
                    continue
                other = [r for r in rows if (r["arm"], r["world"], r["equal"]) == (REFERENCE, world, "time")]
                errors = {name: difference_error(same, other, name) for name in FIGURES}
                row = {**summarised(same, list(FIGURES)), "difference_error": errors}
                table.setdefault(equal, {}).setdefault(world, {})[arm] = row
    gains = {equal: _gains(worlds) for equal, worlds in table.items()}
    found = {"cells": rows, "table": table, "gains": gains, "says": _says(rows, table, gains)}
    return {"summary": _heads(gains), **found}


def _heads(gains: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that the question hangs on; None for what was not measured.

    Reductions are shares of what `pixel` has, at equal time, means over worlds; `nce_reduction` is that of the best.
    """
    timed = gains.get("time", {})
    nce = {arm: -figures["nce"]["change"] for arm, figures in timed.items() if "nce" in figures}
    best = max(nce, key=lambda arm: nce[arm]) if nce else None

    def of(arm: str, figure: str) -> Mapping[str, float] | None:
        found: Mapping[str, float] | None = timed.get(arm, {}).get(figure)
        return found

    planned, paced, spread = of("latent", "planning"), of("latent", "step_ms"), of("flow", "hidden")
    return {
        "best": None if best is None else best if nce[best] > 0 else REFERENCE,
        "nce_reduction": None if best is None else max(nce[best], 0.0),
        "latent_planning_ratio": planned and planned["arm"] / planned["reference"],
        "latent_speedup": paced and paced["reference"] / paced["arm"],
        "crps_reduction": spread and -spread["change"],
    }


def _gains(worlds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Arm -> figure -> difference from the reference over worlds, relative to it, with its interval.

    Arms are compared snapshot by snapshot where cells kept that, else as if each had been measured on other ones.
    """
    gains: dict[str, Any] = {}
    arms = list(dict.fromkeys(arm for arms in worlds.values() for arm in arms if arm != REFERENCE))
    for arm in arms:
        for figure in FIGURES:
            pairs = [
                (
                    by[arm]["figures"].get(figure),
                    by.get(REFERENCE, {}).get("figures", {}).get(figure),
                    by[arm]["difference_error"][figure],
                )
                for by in worlds.values()
                if arm in by
            ]
            both = [pair for pair in pairs if pair[0] and pair[1]]
            # A mean over some of the worlds would not be the one that was asked for.
            if not both or (len(both) < len(pairs) and figure == "nce"):
                continue
            ours = sum(o["mean"] for o, _, _ in both) / len(both)
            theirs = sum(t["mean"] for _, t, _ in both) / len(both)
            squares = [o["error"] ** 2 + t["error"] ** 2 if e is None else e**2 for o, t, e in both]
            error = math.sqrt(sum(squares)) / len(both)
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
