"""Every figure is a ratio of sums over snapshots, so that its interval is a bootstrap over snapshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000


def same(value: np.ndarray) -> np.ndarray:
    return value


@dataclass(frozen=True)
class Ratio:
    """``transform(sum of numerators / sum of denominators)``.

    Args:
        numerator, denominator: ``(N,)``, one entry per snapshot; snapshots are independent, their branches are not.
        transform: a monotone function of the ratio, on arrays.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    transform: Callable[[np.ndarray], np.ndarray] = same

    @property
    def value(self) -> float:
        """NaN where there was nothing to measure."""
        return float(self._of(np.ones((1, len(self.numerator))))[0])

    def interval(self, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """Percentile bootstrap (Efron 1979) over snapshots."""
        counts = _resamples(len(self.numerator), seed)
        values = self._of(counts)
        values = values[np.isfinite(values)]
        if not len(values):
            return float("nan"), float("nan")
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def parts(self) -> list[list[float]]:
        """Numerators and denominators as plain numbers of six digits, for JSON."""
        return [[float(f"{value:.6g}") for value in values] for values in (self.numerator, self.denominator)]

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> Ratio:
        """The ratio after one more monotone transform."""
        inner = self.transform
        return Ratio(self.numerator, self.denominator, lambda value: function(inner(value)))

    def _of(self, counts: np.ndarray) -> np.ndarray:
        over, under = counts @ np.asarray(self.numerator, float), counts @ np.asarray(self.denominator, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.transform(np.where(np.abs(under) > 1e-12, over / under, np.nan)))


def resampled(parts: Sequence[Sequence[float]], seed: int = 0) -> np.ndarray:
    """Ratios of resampled snapshots ``(R,)``; those of two models on the same snapshots are drawn alike.

    Args:
        parts: as `Ratio.parts` gives them.
    """
    numerator, denominator = (np.asarray(values, float) for values in parts)
    return Ratio(numerator, denominator)._of(_resamples(len(numerator), seed))


def mean(values: np.ndarray, where: np.ndarray | None = None) -> Ratio:
    """Mean over everything of `values` ``(N, ...)``, only `where` that holds."""
    mask = np.ones(values.shape, bool) if where is None else np.broadcast_to(where, values.shape)
    axes = tuple(range(1, values.ndim))
    kept = np.where(mask, values, 0.0)
    return Ratio(kept.sum(axis=axes), mask.sum(axis=axes))


def _resamples(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, count])
    return rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES).astype(float)
