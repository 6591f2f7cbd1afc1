"""What can be asked of things that lie about on a table, whatever the world."""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.questions.cases import Ask, Cases

MOVES = 0.03
"""Metres from which a thing counts as moved; below a third of it, as not."""

CLEAR = 0.04
"""Metres by which places must differ before anyone asks which is further left."""

DIRECTIONS = {"left": (0, -1.0), "right": (0, 1.0), "away": (1, 1.0), "closer": (1, -1.0)}
"""Word -> axis and sign."""


def there(cases: Cases, slot: int) -> np.ndarray:
    """In which cases a slot holds a thing, ``(N,)``."""
    return np.asarray(np.abs(cases.places(cases.before)[:, slot]).sum(axis=1) > 0)


def further(one: int, other: int, axis: int, sign: float) -> Ask:
    """Which lies further that way now: clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        places = cases.places(cases.before)
        gap = sign * (places[:, one, axis] - places[:, other, axis])
        return there(cases, one) & there(cases, other) & (np.abs(gap) > CLEAR), gap > 0

    return ask


def moves(slot: int) -> Ask:
    """Whether a thing is somewhere else in the end: clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        went = np.linalg.norm(cases.places(cases.outcomes[:, -1]) - cases.places(cases.before), axis=-1)[:, slot]
        return there(cases, slot) & ((went > MOVES) | (went < MOVES / 3)), went > MOVES / 2

    return ask


def goes(slot: int, axis: int, sign: float) -> Ask:
    """Which way a thing goes that moves."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        went = sign * (cases.places(cases.outcomes[:, -1]) - cases.places(cases.before))[:, slot, axis]
        return there(cases, slot) & (np.abs(went) > MOVES), went > 0

    return ask


def farther(one: int, other: int) -> Ask:
    """Which goes farther: clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        went = np.linalg.norm(cases.places(cases.outcomes[:, -1]) - cases.places(cases.before), axis=-1)
        gap = went[:, one] - went[:, other]
        return there(cases, one) & there(cases, other) & (np.abs(gap) > MOVES), gap > 0

    return ask
