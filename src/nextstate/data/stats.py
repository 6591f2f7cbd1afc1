"""``meta/stats.json``: how each feature is distributed, per episode and over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
QUANTILE_NAMES = tuple(f"q{round(q * 100):02d}" for q in QUANTILES)
PIXEL_STRIDE = 4
"""Quantiles of depth and motion look at every fourth row and column: sorting all would cost more than drawing them."""

Stats = dict[str, np.ndarray]


def column_stats(values: np.ndarray, is_camera: bool) -> Stats:
    """Statistics of one feature over an episode ``(T, *shape)``.

    Cameras in [0, 1] per channel, ``(3, 1, 1)``; other pictures per channel, ``(1, 1[, C])``; vectors per element.
    """
    if is_camera:
        found = _of_bytes(values)
        return {**{n: (v / 255.0).reshape(-1, 1, 1) for n, v in found.items()}, "count": np.array([len(values)])}
    if values.ndim >= 3:
        sample = values[:, ::PIXEL_STRIDE, ::PIXEL_STRIDE]
        found = _of_channels(*(np.ascontiguousarray(v.reshape(-1, *v.shape[3:]).T) for v in (values, sample)))
        return {**{n: v.reshape(1, 1, *values.shape[3:]) for n, v in found.items()}, "count": np.array([len(values)])}
    flat = values.reshape(len(values), -1)
    numbers = np.ascontiguousarray(flat.T, np.float64)
    found = _of_channels(numbers, numbers)
    return {**{n: v.reshape(values.shape[1:] or (1,)) for n, v in found.items()}, "count": np.array([len(values)])}


def _of_bytes(values: np.ndarray) -> Stats:
    # Counting how often each of 256 values occurs gives everything exactly, without sorting.
    counts = np.stack([np.bincount(values[..., c].ravel(), minlength=256) for c in range(values.shape[-1])])
    levels, total = np.arange(256.0), counts.sum(axis=1, keepdims=True)
    mean = counts @ levels / total[:, 0]
    below = np.cumsum(counts, axis=1) / total
    found = {
        "min": (counts > 0).argmax(axis=1).astype(np.float64),
        "max": 255.0 - (counts[:, ::-1] > 0).argmax(axis=1),
        "mean": mean,
        "std": np.sqrt(np.maximum(counts @ levels**2 / total[:, 0] - mean**2, 0.0)),
    }
    return found | {
        n: (below >= q).argmax(axis=1).astype(np.float64) for n, q in zip(QUANTILE_NAMES, QUANTILES, strict=True)
    }


def _of_channels(values: np.ndarray, sample: np.ndarray) -> Stats:
    values, sample = np.atleast_2d(values), np.atleast_2d(sample)
    mean = values.mean(axis=1, dtype=np.float64)
    centred = values - mean[:, None].astype(values.dtype)
    found = {
        "min": values.min(axis=1).astype(np.float64),
        "max": values.max(axis=1).astype(np.float64),
        "mean": mean,
        "std": np.sqrt((centred * centred).mean(axis=1, dtype=np.float64)),
    }
    quantiles = np.quantile(sample, QUANTILES, axis=1)
    return found | dict(zip(QUANTILE_NAMES, np.asarray(quantiles, np.float64), strict=True))


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
    for name in QUANTILE_NAMES:
        if all(name in part for part in parts):
            result[name] = weighted(name)
    return {**result, "count": np.array([int(counts.sum())])}


def combined_features(parts: Sequence[Mapping[str, Stats]]) -> dict[str, Stats]:
    """`combined` for every feature that all parts have."""
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: combined([part[name] for part in parts]) for name in shared}


def to_json(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    return {name: {key: np.asarray(value).tolist() for key, value in found.items()} for name, found in stats.items()}


def from_json(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Stats]:
    return {name: {key: np.asarray(value) for key, value in found.items()} for name, found in fields.items()}
