"""``meta/stats.json``: how each feature is distributed, per episode and over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
PIXEL_STRIDE = 4
"""Quantiles of pictures look at every fourth row and column: sorting all pixels would cost more than drawing them."""

Stats = dict[str, np.ndarray]


def column_stats(values: np.ndarray, is_camera: bool) -> Stats:
    """Statistics of one feature over an episode ``(T, *shape)``.

    Cameras in [0, 1] per channel, ``(3, 1, 1)``; other pictures per channel, ``(1, 1[, C])``; vectors per element.
    """
    axes: tuple[int, ...] = (0, 1, 2)
    if is_camera or values.ndim >= 3:
        data = values if is_camera else np.asarray(values, np.float64)
        sample = np.asarray(values[:, ::PIXEL_STRIDE, ::PIXEL_STRIDE], np.float64)
    else:
        axes, data = (0,), np.asarray(values, np.float64)
        sample = data
    found = {
        "min": data.min(axis=axes),
        "max": data.max(axis=axes),
        "mean": data.mean(axis=axes, dtype=np.float64),
        "std": data.std(axis=axes, dtype=np.float64),
    }
    quantiles = np.quantile(sample, QUANTILES, axis=axes)
    found |= {f"q{round(q * 100):02d}": level for q, level in zip(QUANTILES, quantiles, strict=True)}
    if is_camera:
        found = {name: (np.asarray(v, np.float64) / 255.0).reshape(-1, 1, 1) for name, v in found.items()}
    elif values.ndim >= 3:
        found = {name: np.asarray(v, np.float64).reshape(1, 1, *np.shape(v)) for name, v in found.items()}
    else:
        found = {name: np.atleast_1d(np.asarray(v, np.float64)) for name, v in found.items()}
    return {**found, "count": np.array([len(values)])}


def combined(parts: list[Stats]) -> Stats:
    """Statistics of the union of disjoint parts; quantiles by weighted mean, which is approximate."""
    counts = np.array([int(np.ravel(part["count"])[0]) for part in parts], np.float64)
    weights = counts / counts.sum()

    def weighted(name: str) -> np.ndarray:
        return np.asarray(sum(w * np.asarray(part[name], np.float64) for w, part in zip(weights, parts, strict=True)))

    mean = weighted("mean")
    spread = [np.asarray(p["std"]) ** 2 + (np.asarray(p["mean"]) - mean) ** 2 for p in parts]
    variance = sum(w * s for w, s in zip(weights, spread, strict=True))
    result = {
        "min": np.minimum.reduce([np.asarray(part["min"]) for part in parts]),
        "max": np.maximum.reduce([np.asarray(part["max"]) for part in parts]),
        "mean": mean,
        "std": np.sqrt(np.asarray(variance)),
    }
    for q in QUANTILES:
        name = f"q{round(q * 100):02d}"
        if all(name in part for part in parts):
            result[name] = weighted(name)
    return {**result, "count": np.array([int(counts.sum())])}


def combined_features(parts: list[Mapping[str, Stats]]) -> dict[str, Stats]:
    """`combined` for every feature that all parts have."""
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: combined([part[name] for part in parts]) for name in shared}


def to_json(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    return {name: {key: np.asarray(value).tolist() for key, value in found.items()} for name, found in stats.items()}


def from_json(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Stats]:
    return {name: {key: np.asarray(value) for key, value in found.items()} for name, found in fields.items()}
