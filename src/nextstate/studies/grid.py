"""A grid of cells that are trained and measured one by one: what it costs, and what came of each.

What came of a cell is one small file, so a study goes on where it stopped, and a cell that diverged is a result, too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from nextstate.data.storage import write_json
from nextstate.errors import SettingsError
from nextstate.evaluation.bootstrap import resampled

SHORTEST = 0.5
"""Minutes of training below which a cell says nothing."""


class Cell(Protocol):
    """One model to train and measure: a frozen dataclass."""

    @property
    def world(self) -> str: ...
    @property
    def name(self) -> str:
        """Of its folder."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is compared, and how long that may take.

    Args:
        minutes: of training of each cell. snapshots: of each suite.
        evaluating: seconds that measuring a cell takes, by world, until finished cells tell better.
    """

    minutes: float
    snapshots: int
    evaluating: Mapping[str, float] = field(default_factory=dict)

    def cells(self) -> Sequence[Any]:
        """All cells, in the order in which they are done."""
        raise NotImplementedError

    def seconds(self, cell: Cell, took: Mapping[str, float] | None = None) -> float:
        """How long a cell takes."""
        measuring = (took or {}).get(cell.world, self.evaluating.get(cell.world, max(self.evaluating.values())))
        return 60 * self.minutes + measuring

    def cost(self, folder: Path, cores: int) -> float:
        """Seconds that the cells which are not done yet will take on so many cores."""
        took = measured_seconds(folder)
        left = [self.seconds(cell, took) for cell in self.cells() if found(folder, cell) is None]
        return max(sum(left) / max(cores, 1), max(left, default=0.0))

    def fitted(self, seconds: float, folder: Path, cores: int) -> Self:
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
                "or fewer cells or --snapshots."
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


def keep(folder: Path, cell: Any, state: str, **facts: Any) -> None:
    """Notes what came of a cell: ``done`` with figures, or ``diverged`` with the reason."""
    write_json(path_of(folder, cell), {**asdict(cell), "state": state, **facts})


def adopt(grid: Grid, folder: Path, results: Mapping[str, Any]) -> int:
    """Takes over cells that earlier results hold and this grid asks for; how many.

    Args:
        results: as a study writes them: ``cells`` with all that came of each.
    """
    made = [row for row in results["cells"] if row.get("state") in ("done", "diverged")]
    taken = 0
    for cell in grid.cells():
        same = [row for row in made if asdict(cell).items() <= row.items()]
        if same and found(folder, cell) is None:
            write_json(path_of(folder, cell), same[0])
            taken += 1
    return taken


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


def rows_of(grid: Grid, folder: Path) -> list[dict[str, Any]]:
    """Every cell with what came of it; ``state`` is ``missing`` for those that are not done."""
    return [{**asdict(cell), **(found(folder, cell) or {"state": "missing"})} for cell in grid.cells()]


def summarised(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Of cells that differ in their seeds: figure -> mean and standard error, and how many came to what."""
    done = [row for row in rows if row["state"] == "done"]
    figures = {}
    for name in names:
        values = [row["figures"][name] for row in done if row["figures"].get(name) is not None]
        if values:
            figures[name] = mean_of(values, [row.get("spread", {}).get(name, 0.0) for row in done])
    states = {state: sum(row["state"] == state for row in rows) for state in ("done", "diverged", "missing")}
    return {"figures": figures, **states, "why": [row["why"] for row in rows if row["state"] == "diverged"]}


def difference_error(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Standard error of the difference of two means over seeds, snapshot by snapshot; None where that was not kept.

    Both were measured on the same snapshots, and which of these are hard is no part of the difference. How much seeds
    differ is, and adds to it.
    """
    sides = [[row for row in rows if row["state"] == "done"] for rows in (ours, theirs)]
    parts = [[row.get("by_snapshot", {}).get(name) for row in rows] for rows in sides]
    if not all(rows and all(rows) for rows in parts) or len({len(row[0]) for rows in parts for row in rows}) > 1:
        return None
    drawn = [np.mean([resampled(row) for row in rows], axis=0) for rows in parts]
    values = [[row["figures"][name] for row in rows] for rows in sides]
    among = sum(float(np.var(side, ddof=1)) / len(side) for side in values if len(side) > 1)
    return float(np.sqrt(np.nanvar(drawn[0] - drawn[1]) + among))


def mean_of(values: Sequence[float], spreads: Sequence[float]) -> dict[str, float]:
    """Mean over seeds and its standard error: seeds differ, and each was measured on few snapshots.

    The snapshots are the same for all seeds, so their part does not shrink with the number of seeds.
    """
    mean, count = sum(values) / len(values), len(values)
    among = sum((v - mean) ** 2 for v in values) / (count - 1) / count if count > 1 else 0.0
    within = sum(s**2 for s in spreads) / max(len(spreads), 1)
    return {"mean": mean, "error": math.sqrt(among + within)}
