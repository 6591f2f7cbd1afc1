"""What can be asked about `occlude`: what is behind the screen though nobody sees it, what goes there and comes out."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from nextstate.evaluation.questions.cases import Ask, Asker, Cases, Kind, happens
from nextstate.evaluation.questions.things import DIRECTIONS, further, goes, moves, there
from nextstate.evaluation.suite import group_indices
from nextstate.worlds.occlude import SLOTS
from nextstate.worlds.scene import COLOURS

SETTLED = 3
"""Last steps in which a thing must be hidden, or not, throughout, before anyone asks which."""

COUNTED = (
    "is nothing in sight?",
    "is one object in sight?",
    "are two objects in sight?",
    "are three objects in sight?",
)


def _hidden(cases: Cases, outcomes: np.ndarray, slot: int) -> np.ndarray:
    """Whether the screen hides all of a thing, ``(...)``."""
    return np.asarray(outcomes[..., group_indices(cases.world)["hidden"]][..., slot] > 0.5)


def _in_sight(cases: Cases, slot: int) -> np.ndarray:
    return np.asarray(there(cases, slot) & ~_hidden(cases, cases.before, slot))


def _is_seen(slot: int) -> Ask:
    return lambda cases: (np.ones(len(cases), bool), _in_sight(cases, slot))


def _are_seen(count: int) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        seen = sum(_in_sight(cases, slot).astype(int) for slot in range(SLOTS))
        return np.ones(len(cases), bool), np.asarray(seen == count)

    return ask


def _both_seen(one: int, other: int, asked: Ask) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        can, yes = asked(cases)
        return can & _in_sight(cases, one) & _in_sight(cases, other), yes

    return ask


def _is_behind(slot: int) -> Ask:
    """Asked of what is not in sight: is it behind the screen, or not there at all?"""
    return lambda cases: (~_in_sight(cases, slot), _hidden(cases, cases.before, slot))


def _settled(cases: Cases, slot: int) -> np.ndarray:
    last = _hidden(cases, cases.outcomes[:, -SETTLED:], slot)
    return np.asarray(last.all(axis=1) | ~last.any(axis=1))


def _vanishes(slot: int) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        return _in_sight(cases, slot) & _settled(cases, slot), _hidden(cases, cases.outcomes[:, -1], slot)

    return ask


def _comes_out(slot: int) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        hidden = _hidden(cases, cases.before, slot)
        return hidden & _settled(cases, slot), ~_hidden(cases, cases.outcomes[:, -1], slot)

    return ask


def _unseen(slot: int, asked: Ask) -> Ask:
    """The same of a thing that is behind the screen all the time."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        can, yes = asked(cases)
        hidden = _hidden(cases, cases.before, slot) & _hidden(cases, cases.outcomes, slot).all(axis=1)
        return can & hidden, yes

    return ask


def about_occlude() -> list[Asker]:
    """Of `occlude`: what is in sight; what is behind the screen, moves there, goes there, comes out; what is touched.

    What can be known of hidden things is in what was seen before, and felt since: who is shown less of the past than a
    thing has been hidden for can only guess whether it is there.
    """
    asked: list[Asker] = []

    def add(kind: Kind, topic: str, text: str, ask: Ask, planned: bool = True) -> None:
        asked.append(Asker(kind, topic, text, ask, planned))

    for slot, colour in enumerate(COLOURS[:SLOTS]):
        add("knowledge", "colour", f"is a {colour} object in sight?", _is_seen(slot))
        add("physics", "behind", f"is the {colour} object behind the screen?", _is_behind(slot), planned=False)
        add("physics", "vanishes", f"does the {colour} object vanish behind the screen?", _vanishes(slot))
        add("physics", "emerges", f"does the {colour} object come out from behind the screen?", _comes_out(slot))
        add("physics", "moves", f"does the {colour} object move?", moves(slot))
        unseen = _unseen(slot, moves(slot))
        add("physics", "moves unseen", f"does the {colour} object move behind the screen?", unseen)
        for way, (axis, sign) in DIRECTIONS.items():
            add("physics", "direction", f"does the {colour} object go {way}?", goes(slot, axis, sign))
    for count in range(SLOTS + 1):
        add("knowledge", "count", COUNTED[count], _are_seen(count))
    for one, other in permutations(range(SLOTS), 2):
        text = f"is the {COLOURS[one]} object left of the {COLOURS[other]} one?"
        add("knowledge", "relation", text, _both_seen(one, other, further(one, other, 0, -1)))
    add("physics", "collided", "do two objects hit each other?", happens("collided"))
    add("physics", "contact", "does the pusher touch something?", happens("contact"))
    for steps, time in {5: "half a second", 10: "a second"}.items():
        add("physics", "time", f"does the pusher touch something within {time}?", happens("contact", steps))
    return asked
