"""Does a model put things in the order in which they really are? Policies by their worth, plans by their cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nextstate.evaluation.bootstrap import RESAMPLES


def pearson(real: np.ndarray, imagined: np.ndarray) -> float:
    """Correlation of two vectors ``(P,)``; NaN where one of them does not vary."""
    x, y = real - real.mean(), imagined - imagined.mean()
    length = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / length if length > 1e-12 else float("nan")


def spearman(real: np.ndarray, imagined: np.ndarray) -> float:
    """Correlation of ranks, equals sharing the mean of theirs."""
    return pearson(_ranks(real), _ranks(imagined))


def mmrv(real: np.ndarray, imagined: np.ndarray) -> float:
    """Mean maximum rank violation: what trusting the imagined order may cost, in units of `real`; 0 is best.

    For each policy, the largest real difference from one that is imagined on the wrong side of it
    (Li et al. 2024, https://arxiv.org/abs/2405.05941).
    """
    gap = np.abs(real[:, None] - real)
    wrong = (real[:, None] < real) != (imagined[:, None] < imagined)
    return float((gap * wrong).max(axis=1).mean())


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "pearson": pearson,
    "spearman": spearman,
    "mmrv": mmrv,
}


def agreement_of_order(real: np.ndarray, imagined: np.ndarray, seed: int = 0) -> dict[str, dict[str, Any]]:
    """All measures of the means over tasks, with 95 % intervals by a bootstrap over tasks.

    Args:
        real, imagined: worth of P policies on T tasks, ``(P, T)``, more is better.
    """
    drawn = np.random.default_rng(seed).integers(real.shape[1], size=(RESAMPLES, real.shape[1]))
    found = {}
    for name, measure in MEASURES.items():
        values = np.array([measure(real[:, rows].mean(axis=1), imagined[:, rows].mean(axis=1)) for rows in drawn])
        low, high = np.nanquantile(values, [0.025, 0.975])
        value = measure(real.mean(axis=1), imagined.mean(axis=1))
        found[name] = {"value": round(value, 4), "interval": [round(float(low), 4), round(float(high), 4)]}
    return found


def misjudged(true: np.ndarray, imagined: np.ndarray, equal: float = 0.1) -> tuple[int, int]:
    """Pairs of plans whose costs ``(N,)`` are in the wrong order, and all pairs that are compared.

    Args:
        equal: true costs nearer to each other than this share of their standard deviation are not compared.
    """
    one, other = np.triu_indices(len(true), 1)
    gap = true[one] - true[other]
    compared = np.abs(gap) > equal * max(float(true.std()), 1e-12)
    wrong = gap * (imagined[one] - imagined[other]) < 0
    return int((wrong & compared).sum()), int(compared.sum())


def _ranks(values: np.ndarray) -> np.ndarray:
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[group])
