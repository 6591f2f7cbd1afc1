"""What can be asked about `push`."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from nextstate.evaluation.questions.cases import Ask, Asker, Cases, Kind, happens
from nextstate.evaluation.questions.things import CLEAR, DIRECTIONS, farther, further, goes, moves, there
from nextstate.evaluation.suite import group_indices
from nextstate.worlds.scene import COLOURS


def _box(cases: Cases, slot: int) -> np.ndarray:
    turn = cases.before[:, group_indices(cases.world)["turn"]].reshape(len(cases), -1, 2)[:, slot]
    return np.asarray(np.abs(turn).sum(axis=1) > 0)


def _is_there(slot: int) -> Ask:
    return lambda cases: (np.ones(len(cases), bool), there(cases, slot))


def _is_box(slot: int) -> Ask:
    return lambda cases: (there(cases, slot), _box(cases, slot))


def _are(count: int) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        here = (np.abs(cases.places(cases.before)).sum(axis=-1) > 0).sum(axis=1)
        return np.ones(len(cases), bool), here == count

    return ask


def _fits(one: int, other: int) -> Ask:
    """Whether a sentence about both shapes fits: a box and a disc."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        return there(cases, one) & there(cases, other), _box(cases, one) & ~_box(cases, other)

    return ask


def _ends_further(one: int, other: int) -> Ask:
    """Which is further left in the end: clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        places = cases.places(cases.outcomes[:, -1])
        gap = places[:, other, 0] - places[:, one, 0]
        return there(cases, one) & there(cases, other) & (np.abs(gap) > CLEAR / 2), gap > 0

    return ask


def _turns(slot: int) -> Ask:
    """Whether a box turns by more than 10 degrees; by 3 to 10 is not asked."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        part = group_indices(cases.world)["turn"]
        doubled = (x.reshape(len(cases), -1, 2)[:, slot] for x in (cases.before[:, part], cases.outcomes[:, -1, part]))
        start, end = doubled
        cosine = (start * end).sum(axis=-1) / np.maximum(
            np.linalg.norm(start, axis=-1) * np.linalg.norm(end, axis=-1), 1e-6
        )
        degrees = np.rad2deg(np.arccos(np.clip(cosine, -1, 1))) / 2
        return there(cases, slot) & _box(cases, slot) & ((degrees > 10) | (degrees < 3)), degrees > 6

    return ask


def about_push() -> list[Asker]:
    """Of `push`: colours, shapes, counts, relations; what moves, which way, how far, what hits what, and when."""
    asked: list[Asker] = []

    def add(kind: Kind, topic: str, text: str, ask: Ask) -> None:
        asked.append(Asker(kind, topic, text, ask))

    for slot, colour in enumerate(COLOURS):
        add("knowledge", "colour", f"is there a {colour} object?", _is_there(slot))
        add("knowledge", "shape", f"is the {colour} object a box?", _is_box(slot))
        add("physics", "moves", f"does the {colour} object move?", moves(slot))
        add("physics", "turns", f"does the {colour} object turn?", _turns(slot))
        for way, (axis, sign) in DIRECTIONS.items():
            add("physics", "direction", f"does the {colour} object go {way}?", goes(slot, axis, sign))
    for count in range(1, len(COLOURS) + 1):
        add("knowledge", "count", f"are there {count} objects?", _are(count))
    for one, other in permutations(range(len(COLOURS)), 2):
        names = COLOURS[one], COLOURS[other]
        add(
            "knowledge",
            "relation",
            f"is the {names[0]} object left of the {names[1]} one?",
            further(one, other, 0, -1),
        )
        add("knowledge", "fits", f"does this fit: a {names[0]} box and a {names[1]} disc?", _fits(one, other))
        add(
            "physics",
            "farther",
            f"does the {names[0]} object go farther than the {names[1]} one?",
            farther(one, other),
        )
        add(
            "physics",
            "where",
            f"does the {names[0]} object end up left of the {names[1]} one?",
            _ends_further(one, other),
        )
    for event, text in {"collided": "do two objects hit each other?", "blocked": "is the pusher stopped?"}.items():
        add("physics", event, text, happens(event))
    add("physics", "contact", "does the pusher touch something?", happens("contact"))
    for steps, time in {3: "a third of a second", 5: "half a second", 10: "a second"}.items():
        add("physics", "time", f"does the pusher touch something within {time}?", happens("contact", steps))
        add("physics", "time", f"is the pusher stopped within {time}?", happens("blocked", steps))
    return asked
