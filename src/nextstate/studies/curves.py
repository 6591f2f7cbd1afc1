"""How a run learned: its error on held-out frames against the time that it had."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def learning_curve(run: Path) -> dict[str, list[float]]:
    """``minutes`` and ``error``, the mean over all that was validated, one entry a validation; empty if none is noted.

    Args:
        run: folder that `nextstate pretrain` wrote.
    """
    steps, seconds, at, errors = [0.0], [0.0], [], []
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        noted = json.loads(line)
        if noted["kind"] == "train":
            steps.append(noted["step"])
            seconds.append(noted["seconds"])
        elif noted["kind"] == "validation":
            # The whole chunk, or the whole plan: the last entry of each.
            found = [list(by.values())[-1] for by in noted["errors"]["model"].values()]
            at.append(noted["step"])
            errors.append(round(float(np.mean(found)), 4))
    minutes = [round(float(np.interp(step, steps, seconds)) / 60, 2) for step in at]
    return {"minutes": minutes, "error": errors}
