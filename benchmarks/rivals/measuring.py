"""What every probe shares. Standard library only: it also runs where nextstate is not installed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

SIZE = 64
WINDOW = 16
BATCH = 64
EPISODE_STEPS = 80


def rate(work: Callable[[], int], seconds: float, warm_up: int = 1) -> Figures:
    """Units of work per second of wall time, over at least `seconds`.

    Args:
        work: does some units of work and returns how many.
    """
    for _ in range(warm_up):
        work()
    units, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        units += work()
    elapsed = time.perf_counter() - began
    return {"per_second": round(units / elapsed, 1), "units": units, "seconds": round(elapsed, 2)}


def parameters(model: Any) -> int:
    """How many numbers a torch module learns."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def run(tasks: dict[str, Callable[[float], Figures]]) -> None:
    """Command line of a probe: ``probe.py SECONDS OUT [TASK ...]`` runs the tasks and writes their figures.

    A task that fails is written down with its error, so that one missing part does not cost the others.
    """
    seconds, out = float(sys.argv[1]), Path(sys.argv[2])
    figures: Figures = {}
    for name in sys.argv[3:] or list(tasks):
        began = time.perf_counter()
        try:
            figures[name] = tasks[name](seconds)
        except Exception as error:
            figures[name] = {"error": f"{type(error).__name__}: {error}"}
        print(f"    {name}: {figures[name]} ({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)
    out.write_text(json.dumps(figures))
