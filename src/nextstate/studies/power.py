"""Power laws: how fast errors fall with data, what the fit foretells of more, and how much data enough takes.

Errors that fall as ``scale * amount ** -exponent`` lie on a line in logarithms (Hestness et al. 2017,
https://arxiv.org/abs/1712.00409). Whether they do is tried on points that the line was not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

DRAWS = 2000
"""Refits of points that are scattered as far as they are uncertain."""

LEAST = 3
"""Points below which no line is drawn."""


@dataclass(frozen=True)
class PowerLaw:
    """``error = scale * amount ** -exponent``.

    Args:
        interval: 95 % of the exponent. logs: of refits, ``(D, 2)``: log scale and exponent of each.
    """

    scale: float
    exponent: float
    interval: tuple[float, float]
    logs: np.ndarray

    def at(self, amount: float) -> tuple[float, tuple[float, float]]:
        """The error to be expected at `amount`, and its 95 % interval."""
        spread = np.exp(self.logs[:, 0] - self.logs[:, 1] * math.log(amount))
        low, high = np.quantile(spread, [0.025, 0.975])
        return self.scale * amount**-self.exponent, (float(low), float(high))


def fit_power(amounts: Sequence[float], errors: Sequence[float], spreads: Sequence[float]) -> PowerLaw | None:
    """The law through errors with their standard errors; None for fewer than three points, or errors not above 0.

    Uncertain points weigh less: by their standard error in logarithms, and at least by a fiftieth.
    """
    if len(amounts) < LEAST or min(errors) <= 0:
        return None
    x, y = np.log(np.asarray(amounts, float)), np.log(np.asarray(errors, float))
    loose = np.maximum(np.asarray(spreads, float) / np.asarray(errors, float), 0.02)
    drawn = y + loose * np.random.default_rng(0).standard_normal((DRAWS, len(y)))
    terms = np.stack([np.ones_like(x), -x], axis=1) / loose[:, None]
    solved = np.linalg.lstsq(terms, np.concatenate([y[None], drawn]).T / loose[:, None], rcond=None)[0].T
    low, high = np.quantile(solved[1:, 1], [0.025, 0.975])
    return PowerLaw(float(np.exp(solved[0, 0])), float(solved[0, 1]), (float(low), float(high)), solved[1:])


def amount_for(amounts: Sequence[float], skills: Sequence[float], wanted: float) -> float | None:
    """The least amount from which on skill is at least `wanted`, between points by straight lines over logarithms."""
    points = sorted(zip(amounts, skills, strict=True))
    for (before, low), (after, high) in pairwise(points):
        if low < wanted <= high:
            share = (wanted - low) / (high - low)
            return float(math.exp(math.log(before) + share * (math.log(after) - math.log(before))))
    return float(points[0][0]) if points and points[0][1] >= wanted else None
