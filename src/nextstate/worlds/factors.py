"""Named properties of a scene that are drawn anew for every episode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nextstate.errors import UnknownNameError


@dataclass(frozen=True)
class Factor:
    """A named, randomised property of a scene.

    Args:
        low, high: range of values.
        held_out: sub-range that recording never sees and evaluation draws from half of the time.
        integer: whether only whole numbers occur.
    """

    low: float
    high: float
    held_out: tuple[float, float] | None = None
    integer: bool = False

    def sample(self, rng: np.random.Generator, held_out: bool) -> float:
        if self.integer:
            return float(rng.integers(int(self.low), int(self.high) + 1))
        if self.held_out is None:
            return float(rng.uniform(self.low, self.high))
        gap_low, gap_high = self.held_out
        if held_out and rng.random() < 0.5:
            return float(rng.uniform(gap_low, gap_high))
        value = float(rng.uniform(self.low, self.high - (gap_high - gap_low)))
        return value if value < gap_low else value + (gap_high - gap_low)


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises `UnknownNameError` for a factor that a scene does not have."""
    known = list(known)
    for name in given:
        if name not in known:
            raise UnknownNameError("factor", name, known)
