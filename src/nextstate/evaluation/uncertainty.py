"""Does the model know what it does not know? From M sampled futures, scaled outcomes ``(M, N, K, D)``.

Outcomes are read out of imagined states with an error of known law, which belongs to the reading and not to the
model: it widens the model's intervals. Only what is open counts: dimensions that differ between branches of the
snapshot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nextstate.evaluation.bootstrap import Ratio, mean
from nextstate.evaluation.counterfactual import SAME

LEVELS = (0.5, 0.8, 0.95)

PERCENTILES = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class ReadingError:
    """How far readings of true frames lie from the truth.

    Mostly near and now and then far: were it taken for normal, intervals of 80 % would be too wide by half.

    Args:
        rms: ``(D,)`` root of the mean square. quantiles: ``(101, D)`` of the absolute error, at `PERCENTILES`.
    """

    rms: np.ndarray
    quantiles: np.ndarray

    @staticmethod
    def none(dimensions: int) -> ReadingError:
        """Of outcomes that are not read but known."""
        return ReadingError(np.zeros(dimensions), np.zeros((len(PERCENTILES), dimensions)))

    @staticmethod
    def of(missed: np.ndarray, where: np.ndarray) -> ReadingError:
        """From errors ``(..., D)``; `where`, broadcast alike, says what counts: else all of a dimension does."""
        flat = missed.reshape(-1, missed.shape[-1])
        counts = np.broadcast_to(where, missed.shape).reshape(flat.shape)
        counted = [e[c] if c.any() else e for e, c in zip(np.abs(flat).T, counts.T, strict=True)]
        rms = [np.sqrt(np.mean(e**2)) for e in counted]
        return ReadingError(np.array(rms), np.stack([np.quantile(e, PERCENTILES) for e in counted], axis=1))

    def only(self, dimensions: np.ndarray) -> ReadingError:
        """Of some of the outcomes."""
        return ReadingError(self.rms[dimensions], self.quantiles[:, dimensions])

    def within(self, level: float) -> np.ndarray:
        """``(D,)``: by how much readings are wrong at most, with probability `level`."""
        return np.array([np.interp(level, PERCENTILES, q) for q in self.quantiles.T])


def open_dimensions(true: np.ndarray) -> np.ndarray:
    """``(N, 1, D)``: what some two branches of a snapshot change by more than `SAME`."""
    return np.asarray(np.ptp(true, axis=1, keepdims=True) > SAME)


def coverage(samples: np.ndarray, true: np.ndarray, level: float, reading: ReadingError, where: np.ndarray) -> Ratio:
    """Share of true values ``(N, K, D)`` inside the central interval of probability `level`.

    The interval is the predictive one of a normal law of which M draws are known, ``mean +- t * s * sqrt(1 + 1/M)``
    with Student's t of M-1 degrees: it covers rightly at any M, where sample quantiles of few draws cannot. Its half
    and the readout's own add up by their squares.

    Args:
        reading: of D dimensions. where: ``(N, 1, D)``, which dimensions count.
    """
    count = len(samples)
    middle, spread = samples.mean(axis=0), samples.std(axis=0, ddof=1)
    half = np.sqrt(
        (student_quantile(0.5 + level / 2, count - 1) * spread) ** 2 * (1 + 1 / count) + reading.within(level) ** 2
    )
    return mean((np.abs(true - middle) <= half + 1e-6).astype(float), where)


def fair_crps(samples: np.ndarray, true: np.ndarray, where: np.ndarray | None = None) -> Ratio:
    """Continuous ranked probability score, fair in that M draws of the true law score best (Ferro 2014)."""
    count = len(samples)
    ordered = np.sort(samples, axis=0)
    weights = (2 * np.arange(1, count + 1) - count - 1).reshape(-1, *[1] * true.ndim)
    among = 2 * (weights * ordered).sum(axis=0) / (count * (count - 1))
    return mean(np.abs(samples - true).mean(axis=0) - among / 2, where)


def spread_skill(samples: np.ndarray, true: np.ndarray, reading: ReadingError, where: np.ndarray) -> Ratio:
    """Predicted over real error of the mean of the samples: 1 is right, below 1 overconfident (Fortin et al. 2014)."""
    count = len(samples)
    predicted = samples.var(axis=0, ddof=1) * (1 + 1 / count) + reading.rms**2
    real = (samples.mean(axis=0) - true) ** 2
    over, under = mean(predicted, where), mean(real, where)
    return Ratio(over.numerator, under.numerator, np.sqrt)


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile above the median of Student's t, by bisection on its distribution function."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, degrees: int) -> float:
    # With t = sqrt(n) tan(a), the density is proportional to cos(a)^(n-1): smooth, on a bounded interval.
    angle = math.atan(t / math.sqrt(degrees))
    grid = np.linspace(0.0, angle, 2001)
    log_scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(math.pi)
    density = math.exp(log_scale) * np.cos(grid) ** (degrees - 1)
    return 0.5 + float(np.trapezoid(density, grid))
