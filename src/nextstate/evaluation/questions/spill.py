"""What can be asked about `spill`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nextstate.evaluation.questions.cases import Ask, Asker, Cases, Kind, happens
from nextstate.evaluation.suite import group_indices
from nextstate.worlds.spill import COLUMNS, FIELD_HALF

CLEAR = 0.03
"""Metres by which places must differ before anyone asks which is further left."""

POURED = 0.1
"""Share of the liquid that must have left the bottle before anyone asks where it went."""


def _part(cases: Cases, outcomes: np.ndarray, group: str) -> np.ndarray:
    return np.asarray(outcomes[..., group_indices(cases.world)[group]])


def _is(event: str) -> Ask:
    """Whether an event is the case now."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(cases), bool), cases.events_before[:, cases.world.events.index(event)]

    return ask


def _gap(measure: Callable[[Cases], np.ndarray], clear: float = CLEAR) -> Ask:
    """Whether a difference is above zero; clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        gap = measure(cases)
        return np.abs(gap) > clear, gap > 0

    return ask


def _finger_beside(cases: Cases) -> np.ndarray:
    return np.asarray(_part(cases, cases.before, "bottle")[:, 0] - _part(cases, cases.before, "body")[:, 0])


def _finger_above(cases: Cases) -> np.ndarray:
    return np.asarray(_part(cases, cases.before, "body")[:, 1] - _part(cases, cases.before, "bottle")[:, 1])


def _bottle_left(cases: Cases) -> np.ndarray:
    return np.asarray(-_part(cases, cases.before, "bottle")[:, 0])


def _falls(sign: float) -> Ask:
    """Which way the bottle falls: where it stands now, and lies in the end."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        place = cases.world.events.index("toppled")
        fell = ~cases.events_before[:, place] & cases.events[:, -1, place]
        return fell, sign * _part(cases, cases.outcomes[:, -1], "bottle")[:, 3] > 0

    return ask


def _spilled(cases: Cases, outcomes: np.ndarray) -> np.ndarray:
    return np.asarray(_part(cases, outcomes, "liquid")[:, -1])


def _flows(sign: float) -> Ask:
    """To which side of where the bottle stands now most of the liquid goes."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        columns = (np.arange(COLUMNS) + 0.5) / COLUMNS * 2 * FIELD_HALF - FIELD_HALF
        field = (
            _part(cases, cases.outcomes[:, -1], "liquid")[:, :-1].clip(0).reshape(len(cases), 2, COLUMNS).sum(axis=1)
        )
        side = np.sign(columns[None] - _part(cases, cases.before, "bottle")[:, :1])
        tilt = sign * (field * side).sum(axis=1)
        whole = np.maximum(field.sum(axis=1), 1e-6)
        new = (_spilled(cases, cases.outcomes[:, -1]) > POURED) & (_spilled(cases, cases.before) < POURED / 2)
        return new & (np.abs(tilt) / whole > 0.3), tilt > 0

    return ask


def _pours(share: float) -> Ask:
    """Whether more than a share is outside in the end, of which little is now; clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        out = _spilled(cases, cases.outcomes[:, -1])
        return (_spilled(cases, cases.before) < POURED) & (np.abs(out - share) > 0.1), out > share

    return ask


def _slides(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    """Whether the bottle is moved without falling."""
    moved = np.abs(_part(cases, cases.outcomes[:, -1], "bottle")[:, 0] - _part(cases, cases.before, "bottle")[:, 0])
    place = cases.world.events.index("toppled")
    stands = ~cases.events_before[:, place] & ~cases.events[..., place].any(axis=1)
    return stands & ((moved > CLEAR / 2) | (moved < CLEAR / 6)), moved > CLEAR / 3


def _touches(within: int | None) -> Ask:
    """Whether the finger, which feels nothing now, will touch something."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        now = _part(cases, cases.before, "touch").sum(axis=-1)
        later = _part(cases, cases.outcomes[:, :within], "touch").sum(axis=-1).max(axis=1)
        return (now < 0.05) & ((later > 0.3) | (later < 0.05)), later > 0.15

    return ask


def about_spill() -> list[Asker]:
    """Of `spill`: what stands, lies and runs; what topples, which way, where the liquid goes, what it ruins, when."""
    asked: list[Asker] = []

    def add(kind: Kind, topic: str, text: str, ask: Ask) -> None:
        asked.append(Asker(kind, topic, text, ask))

    add("knowledge", "state", "is the bottle lying down?", _is("toppled"))
    add("knowledge", "state", "is there liquid outside the bottle?", _is("spilled"))
    add("knowledge", "state", "is the cloth stained?", _is("cloth_stained"))
    add("knowledge", "state", "is the motor wet?", _is("motor_wet"))
    add("knowledge", "relation", "is the finger left of the bottle?", _gap(_finger_beside))
    add("knowledge", "relation", "is the finger higher than the middle of the bottle?", _gap(_finger_above))
    add("knowledge", "relation", "is the bottle left of the middle?", _gap(_bottle_left))
    ruins = {
        "toppled": ("topples", "does the bottle topple?"),
        "spilled": ("spills", "does any liquid get out?"),
        "cloth_stained": ("stains", "does the cloth get stained?"),
        "motor_wet": ("motor", "does the motor get wet?"),
        "motor_stopped": ("motor", "does the motor stop?"),
    }
    for event, (topic, text) in ruins.items():
        add("physics", topic, text, happens(event))
    for way, sign in {"left": -1.0, "right": 1.0}.items():
        add("physics", "direction", f"does the bottle fall to the {way}?", _falls(sign))
        add("physics", "liquid", f"does the liquid go to the {way}?", _flows(sign))
    add("physics", "liquid", "does more than half of the liquid get out?", _pours(0.5))
    add("physics", "slides", "does the bottle slide without falling?", _slides)
    add("physics", "contact", "does the finger touch something?", _touches(None))
    for steps, time in {5: "half a second", 10: "a second"}.items():
        add("physics", "time", f"does the finger touch something within {time}?", _touches(steps))
        add("physics", "time", f"does the bottle topple within {time}?", happens("toppled", steps))
    return asked
