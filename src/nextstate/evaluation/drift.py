"""Does imagination last? Scaled outcomes ``(N, K, H, D)`` over time."""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.bootstrap import Ratio, mean

TOLERANCE = 0.4
"""Error, in climatological standard deviations, at which a prediction is no longer valid (Vlachas et al. 2020)."""


def drift(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Squared error over that of always predicting the climatological mean, at one horizon ``(N, K, D)``."""
    return Ratio(((imagined - true) ** 2).sum(axis=(1, 2)), (true**2).sum(axis=(1, 2)))


def valid_seconds(imagined: np.ndarray, true: np.ndarray, hz: float) -> Ratio:
    """Mean time for which the error of a branch, over all dimensions, stays below `TOLERANCE`; at most the horizon."""
    error = np.sqrt(((imagined - true) ** 2).mean(axis=-1))
    valid = np.cumprod(error < TOLERANCE, axis=2)
    return mean(valid.sum(axis=2) / hz)
