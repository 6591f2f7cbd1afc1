"""Did what was named happen? One answer for true futures and imagined ones, out of what can be read of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nextstate.data import Cache
from nextstate.data.facts import factors_of
from nextstate.errors import UnknownNameError
from nextstate.evaluation.agreement import CONTACT_NEWTON
from nextstate.evaluation.suite import group_indices
from nextstate.worlds import WORLDS, World
from nextstate.worlds.grasp_scene import NAMES, TRAVEL
from nextstate.worlds.push import DIRECTIONS
from nextstate.worlds.scene import COLOURS

FAR = 0.08
"""Metres that a thing must have gone to count as pushed."""

STRAIGHT = 0.5
"""Metres to the side, at most, for each metre along the way that was asked for."""

SLID, STOOD = 0.02, 0.015
"""Metres that a bottle must have gone to count as pushed, and may go at most to count as left in its place."""

HELD = float(np.log1p(1.0))
"""Pressure on a pad from which it counts as holding something."""

NEAR = 0.045
"""Metres, seen from above, from the hand to what it holds or lays something on, at most."""

ASIDE = 0.09
"""Metres from the middle from which a place is on the left or on the right."""


@dataclass(frozen=True)
class Course:
    """What came of H steps.

    Args:
        before: outcome at the instant, ``(D,)``, true. body, touch: outcome groups of these names ``(H, ...)``.
        outcome: at the end ``(D,)``. events: at the end, name -> whether it is the case.
        side: of the world's motor, 1 for right, where it has one.
    """

    before: np.ndarray
    body: np.ndarray
    touch: np.ndarray
    outcome: np.ndarray
    events: Mapping[str, bool]
    side: float = 1.0

    @staticmethod
    def of(world: World, before: np.ndarray, outcomes: np.ndarray, events: np.ndarray) -> Course:
        """From outcomes ``(H, D)``, and which of the world's events are the case at the end."""
        groups, side = group_indices(type(world)), float(world.factors.get("side", 1.0))
        happened = dict(zip(world.events, events.tolist(), strict=True))
        return Course(before, outcomes[:, groups["body"]], outcomes[:, groups["touch"]], outcomes[-1], happened, side)

    def places(self, world: type[World], size: int, outcome: np.ndarray) -> np.ndarray:
        """Of objects ``(objects, size)`` in metres."""
        return np.asarray(outcome[group_indices(world)["objects"]].reshape(-1, size))


Named = Callable[[type[World], str, Course], bool]
"""Whether what a skill is named after happened."""


class Witness:
    """Looks on from now on, and tells after each step whether what a skill is named after has happened.

    Raises:
        UnknownNameError: for a world of which nobody said what its skills are named after.
    """

    def __init__(self, world: World, skill: str) -> None:
        if world.name not in NAMED:
            raise UnknownNameError("world whose skills are named after something", world.name, NAMED)
        self.world, self.skill = world, skill
        self.before = np.asarray(world.outcome())
        self.outcomes: list[np.ndarray] = []

    def look(self) -> bool:
        """To be called once after each step."""
        self.outcomes.append(np.asarray(self.world.outcome()))
        course = Course.of(self.world, self.before, np.stack(self.outcomes), self.world.events_now())
        return NAMED[self.world.name](type(self.world), self.skill, course)


def pushed(world: type[World], skill: str, before: np.ndarray, after: np.ndarray) -> bool:
    """The thing that was named went 8 cm the way that was said, not askew, and nothing else went farther."""
    _, colour, direction = skill.split("_")
    moved = (after - before)[group_indices(world)["objects"]].reshape(-1, 2)
    number, aim = COLOURS.index(colour), np.array(DIRECTIONS[direction][0])
    mine, others = moved[number], np.delete(moved, number, axis=0)
    along = float(mine @ aim)
    aside = abs(float(mine @ np.array([-aim[1], aim[0]])))
    farthest = float(np.linalg.norm(others, axis=1).max())
    return along >= FAR and aside <= STRAIGHT * along and float(np.linalg.norm(mine)) >= farthest


def _push(world: type[World], skill: str, course: Course) -> bool:
    there = np.any(course.places(world, 2, course.before) != 0, axis=1)
    # Where no thing is, none is read either: what a readout says of it is not counted.
    gone = np.repeat(~there, 2)
    after = course.outcome.copy()
    rows = group_indices(world)["objects"][gone]
    after[rows] = course.before[rows]
    return pushed(world, skill, course.before, after)


def _spill(world: type[World], skill: str, course: Course) -> bool:
    went = float(course.outcome[0] - course.before[0])
    felt = bool((course.touch > np.log1p(CONTACT_NEWTON / 0.5)).any())
    if skill.startswith("tip"):
        onto = skill == "tip_towards_motor"
        way = went * course.side * (1 if onto else -1)
        return course.events["toppled"] and way > SLID and course.events["motor_wet"] == onto
    if course.events["toppled"]:
        return False
    if skill == "push_without_tipping":
        return abs(went) > SLID
    return abs(went) < STOOD and felt == (skill == "touch_gently")


def _grasp(world: type[World], skill: str, course: Course) -> bool:
    before, opening = course.before[-1], course.outcome[-1]
    if skill.endswith("drawer"):
        opens = skill == "open_drawer"
        return bool(before < TRAVEL / 2 < opening if opens else opening < TRAVEL / 4 < before)
    held = np.flatnonzero((course.touch[:, :2] > HELD).all(axis=1))
    if not held.size:
        return False
    kind, colour, *rest = skill.split("_")
    places = course.places(world, 3, course.before)
    first, last = course.body[held[0], :3], course.body[held[-1], :3]
    lifted = course.body[held, 2].max() > first[2] + 0.03
    if not lifted or np.linalg.norm(first[:2] - places[NAMES.index(colour), :2]) > NEAR:
        return False
    if kind == "pick":
        return True
    if held[-1] == len(course.body) - 1:
        return False
    if kind == "place":
        return bool(last[0] * (-1 if rest[0] == "left" else 1) > ASIDE)
    base = places[NAMES.index(rest[1])]
    return bool(np.linalg.norm(last[:2] - base[:2]) < NEAR and last[2] > first[2] + 0.03)


NAMED: dict[str, Named] = {"push": _push, "spill": _spill, "grasp": _grasp}
"""World -> whether what a skill of it is named after happened."""

SAYING = {
    "push": "the named thing went 8 cm the named way, not askew, and nothing went farther",
    "spill": "tipped: toppled to the named side, the motor wet if towards it and dry if away; pushed: 2 cm, upright; "
    "touched or kept away from: felt or not, and in its place",
    "grasp": "held first where the named thing stood, and lifted; let go on the named side, or over the named thing; "
    "drawer: open or shut at the end",
}
"""The same in words."""


def fulfilled(cache: Cache, dataset: Path, episodes: np.ndarray, skills: Sequence[str], steps: int) -> np.ndarray:
    """``(E,)``, whether in the first `steps` steps of recorded episodes what a skill is named after happened.

    True where nobody can tell: of worlds of which nobody said what skills are named after, and of recordings without
    outcomes.

    Args:
        dataset: folder that the cache is of. episodes: ``(E,)``, places in the cache. skills: name of each one's skill.
    """
    if cache.world not in NAMED or not {"outcome", "events"} <= cache.arrays.keys():
        return np.ones(len(episodes), bool)
    world, facts, groups = WORLDS[cache.world], factors_of(dataset), group_indices(WORLDS[cache.world])
    found = []
    for episode, skill in zip(episodes.tolist(), skills, strict=True):
        first = int(cache.starts[episode])
        last = first + min(steps, int(cache.lengths[episode]) - 1)
        outcomes = np.asarray(cache.arrays["outcome"][first : last + 1])
        happened = dict(zip(world.events, cache.arrays["events"][last].tolist(), strict=True))
        side = float(facts.get(int(cache.episodes[episode]), {}).get("side", 1.0))
        body, touch = (outcomes[1:, groups[name]] for name in ("body", "touch"))
        course = Course(outcomes[0], body, touch, outcomes[-1], happened, side)
        found.append(NAMED[cache.world](world, skill, course))
    return np.array(found, bool)
