"""Does what is felt agree with what is seen? Booleans ``(N, K, H)`` of contact over time."""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.bootstrap import Ratio

CONTACT_NEWTON = 0.25
"""A taxel pressed harder than this feels contact, truly or imagined."""


def felt(touch: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Whether any taxel of ``(..., *shape)`` newtons is pressed."""
    return np.asarray(touch.reshape(*touch.shape[: touch.ndim - len(shape)], -1).max(axis=-1) > CONTACT_NEWTON)


def f1(claimed: np.ndarray, true: np.ndarray) -> Ratio:
    """Harmonic mean of precision and recall, ``(N, ...)`` booleans; NaN where neither ever holds."""
    axes = tuple(range(1, true.ndim))
    both = (claimed & true).sum(axis=axes)
    return Ratio(2 * both, claimed.sum(axis=axes) + true.sum(axis=axes))


def lag(claimed: np.ndarray, reference: np.ndarray, hz: float, most: int = 5) -> float:
    """By how many seconds `claimed` comes after `reference` where they agree best (by F1); negative is early."""
    scores = {}
    for shift in sorted(range(-most, most + 1), key=abs):
        if abs(shift) >= claimed.shape[2]:
            continue
        late = claimed[:, :, max(shift, 0) : claimed.shape[2] + min(shift, 0)]
        early = reference[:, :, max(-shift, 0) : reference.shape[2] - max(shift, 0)]
        scores[shift] = f1(late, early).value
    known = {shift: score for shift, score in scores.items() if np.isfinite(score)}
    return max(known, key=lambda shift: known[shift]) / hz if known else float("nan")
