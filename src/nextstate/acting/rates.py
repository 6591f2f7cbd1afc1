"""Rates of success, and how sure one can be of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Z = 1.96
"""Standard deviations of a 95 % interval."""


@dataclass(frozen=True)
class Rate:
    """`successes` of `trials`."""

    successes: int
    trials: int

    @staticmethod
    def of(outcomes: Iterable[bool]) -> Rate:
        kept = list(outcomes)
        return Rate(sum(kept), len(kept))

    @property
    def value(self) -> float:
        return self.successes / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval at 95 % (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
        if not self.trials:
            return 0.0, 1.0
        n, p = self.trials, self.value
        middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        return min(max(middle - half, 0.0), p), max(min(middle + half, 1.0), p)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "rate": round(self.value, 4),
            "interval": [round(bound, 4) for bound in self.interval],
            "trials": self.trials,
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.0%} ({low:.0%} to {high:.0%})"


def difference(one: Rate, other: Rate) -> tuple[float, float, float]:
    """`one` minus `other` with its 95 % interval (Agresti and Caffo 2000, https://doi.org/10.1080/00031305.2000.10474560)."""
    p = [(rate.successes + 1) / (rate.trials + 2) for rate in (one, other)]
    spread = Z * math.sqrt(sum(q * (1 - q) / (rate.trials + 2) for q, rate in zip(p, (one, other), strict=True)))
    return one.value - other.value, p[0] - p[1] - spread, p[0] - p[1] + spread
