"""Does what is done decide what happens? Arrays are ``(N, K, E)`` at one horizon, or ``(N, K, H, E)`` over time.

An event counts as having happened by a horizon when it was the case at any step up to it.
"""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.bootstrap import Ratio, mean

BINS = 10


def by_horizon(values: np.ndarray) -> np.ndarray:
    """Whether each has been the case so far, ``(N, K, H, E)``."""
    return np.maximum.accumulate(values, axis=2)


def flip_accuracy(probability: np.ndarray, happened: np.ndarray) -> Ratio:
    """Balanced accuracy over the branches of pairs in which one event happened in one branch only, ``(N, K)``.

    Each such pair has one branch of either kind, so accuracy over them is balanced: deaf to actions gives .5, as
    does shuffling. A probability of exactly one half scores half.
    """
    happened = happened.astype(bool)
    partners = np.where(happened, (~happened).sum(axis=1, keepdims=True), happened.sum(axis=1, keepdims=True))
    right = np.where(probability == 0.5, 0.5, (probability > 0.5) == happened)
    return Ratio((right * partners).sum(axis=1), partners.sum(axis=1))


def brier(probability: np.ndarray, happened: np.ndarray) -> Ratio:
    """Mean squared error of probabilities (Brier 1950), over all branches."""
    return mean((probability - happened) ** 2)


def reliability(probability: np.ndarray, happened: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean probability, observed frequency and count in ten bins of equal count, those of equal values merged."""
    p, y = probability.ravel(), happened.ravel().astype(float)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, BINS + 1)))
    where = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    bins = [where == b for b in range(max(len(edges) - 1, 1))]
    return [(float(p[b].mean()), float(y[b].mean()), int(b.sum())) for b in bins if b.any()]


def expected_calibration_error(probability: np.ndarray, happened: np.ndarray) -> float:
    """Mean distance between probability and frequency over the bins of `reliability`, weighted by count."""
    bins = reliability(probability, happened)
    return sum(abs(p - y) * n for p, y, n in bins) / sum(n for *_, n in bins)


def time_error(happened: np.ndarray, events: np.ndarray, before: np.ndarray, hz: float) -> Ratio:
    """Mean error in seconds of when one event begins, ``(N, K, H)``, in branches where it does, truly and imagined.

    Args:
        happened: probability that it has begun by each step. events: when it truly is the case.
        before: ``(N,)``, whether it was the case at the snapshot already; those are left out.
    """
    imagined = happened > 0.5
    both = events.any(axis=2) & imagined.any(axis=2) & ~before[:, None]
    return mean(np.abs(events.argmax(axis=2) - imagined.argmax(axis=2)) / hz, both)
