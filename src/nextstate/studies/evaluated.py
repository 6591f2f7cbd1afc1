"""Figures of a study out of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """NCE, retrieval and CRPS at 1 s, drift at 2 s, event flips; under ``spread`` standard errors of those with one.

    Under ``by_snapshot`` stands what each snapshot contributes to them, if that was kept.
    """
    metrics, intervals = evaluation["metrics"], evaluation["intervals"]
    retrieval = next(name for name in metrics if name.startswith("retrieval_at_"))
    figures: dict[str, Any] = {}
    spread: dict[str, float] = {}
    for name, key, at in (
        ("nce", "nce", "1.0"),
        ("retrieval", retrieval, "1.0"),
        ("drift", "drift", "2.0"),
        ("crps", "crps", "1.0"),
    ):
        value = metrics.get(key, {}).get(at)
        if value is None:
            continue
        figures[name] = value
        low, high = intervals.get(key, {}).get(at, (value, value))
        if low is not None and high is not None:
            spread[name] = (high - low) / 3.92
    flips = [value for value in metrics["flips"].values() if value is not None]
    if flips:
        figures["flips"] = sum(flips) / len(flips)
    return {**figures, "spread": spread, "by_snapshot": dict(evaluation.get("by_snapshot", {}))}
