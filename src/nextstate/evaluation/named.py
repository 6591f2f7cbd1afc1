"""Did what was named happen? One answer for true futures and imagined ones, out of what can be read of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nextstate.data import Cache
from nextstate.data.facts import factors_of
from nextstate.errors import UnknownNameError
from nextstate.evaluation.agreement import CONTACT_NEWTON
from nextstate.evaluation.suite import group_indices
from nextstate.worlds import WORLDS, World
from nextstate.worlds.grasp_scene import NAMES, TRAVEL
from nextstate.worlds.occlude import under_screen
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

HIGH, SWINGS, SWUNG = 0.6, 0.02, 3
"""Metres above the ground from which something falls from high up; that a hand that throws moves in a step, of so many
before it has let go."""

FAST = 0.05
"""Metres in a step beyond which a puck is struck hard."""

ASIDE = 0.09
"""Metres from the middle from which a place is on the left or on the right."""


@dataclass(frozen=True)
class Course:
    """What came of H steps.

    Args:
        before: outcome at the instant, ``(D,)``, true. path: outcomes ``(H, D)``; where somebody looked now and then
            alone (see `WATCHED`), known in between in the groups of body and touch.
        body, touch: outcome groups of these names ``(H, ...)``.
        outcome: at the end ``(D,)``. events: at the end, name -> whether it is the case.
        first: name -> step at which it was the case first, of events that were, in worlds that are `WATCHED`.
        factors: of the scene.
    """

    before: np.ndarray
    path: np.ndarray
    body: np.ndarray
    touch: np.ndarray
    events: Mapping[str, bool]
    first: Mapping[str, int]
    factors: Mapping[str, float] = field(default_factory=dict)

    @property
    def outcome(self) -> np.ndarray:
        return np.asarray(self.path[-1])

    @staticmethod
    def of(
        world: type[World],
        before: np.ndarray,
        outcomes: np.ndarray,
        events: np.ndarray,
        factors: Mapping[str, float] | None = None,
    ) -> Course:
        """From outcomes ``(H, D)`` and which events are the case at every step ``(H, E)``, or at some and the end."""
        groups = group_indices(world)
        ends = dict(zip(world.events, events[-1].tolist(), strict=True))
        first = {
            name: int(column.argmax()) for name, column in zip(world.events, events.T, strict=True) if column.any()
        }
        body, touch = outcomes[:, groups["body"]], outcomes[:, groups["touch"]]
        return Course(before, outcomes, body, touch, ends, first, factors or {})

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
        self.events: list[np.ndarray] = []

    def look(self) -> bool:
        """To be called once after each step."""
        self.outcomes.append(np.asarray(self.world.outcome()))
        self.events.append(self.world.events_now())
        seen, events = np.stack(self.outcomes), np.stack(self.events)
        course = Course.of(type(self.world), self.before, seen, events, self.world.factors)
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
        way = went * course.factors.get("side", 1.0) * (1 if onto else -1)
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


def _drop(world: type[World], skill: str, course: Course) -> bool:
    released = course.first.get("released")
    if released is None or not course.events["released"]:
        return False
    if skill in ("drop_on_platform", "drop_in_gap"):
        return course.events[{"drop_on_platform": "on_platform", "drop_in_gap": "in_gap"}[skill]]
    across = course.body[:, 0]
    if skill == "drop_on_ramp":
        landed = course.first.get("landed")
        return landed is not None and course.first.get("on_ramp") == landed
    if skill == "let_go":
        still = abs(float(across[released] - course.before[group_indices(world)["body"]][0])) < FAR
        return still and course.body[released, 1] > HIGH and "landed" in course.first
    way = -1 if skill == "throw_left" else 1
    swing = way * np.diff(np.append(course.before[group_indices(world)["body"]][0], across[: released + 1]))
    x = course.path[:, group_indices(world)["objects"]][:, 0]
    landed = max(course.first.get("landed", len(x) - 1), released)
    return bool(swing[-SWUNG:].max() > SWINGS and way * (x[landed] - x[max(released - SWUNG, 0)]) > SWINGS)


def _collide(world: type[World], skill: str, course: Course) -> bool:
    pucks = course.places(world, 2, course.before)
    touching = (course.touch > np.log1p(CONTACT_NEWTON / 0.5)).any(axis=1)
    struck = course.first.get("struck")
    if struck is None:
        return False
    # What was struck has moved on in that step, and what it has hit meanwhile hardly.
    moved = course.places(world, 2, course.path[struck]) - pucks
    first = int(np.linalg.norm(moved, axis=1).argmax())
    if skill.startswith("send"):
        way = -1 if skill == "send_left" else 1
        free = course.path[: course.first.get("bounced", len(course.path)) + 1]
        went = way * (free[:, group_indices(world)["objects"]][:, 0] - pucks[0, 0])
        return first == 0 and float(went.max()) >= FAR
    if "collided" not in course.first or first != (skill == "hit_back"):
        return False
    if skill == "hit_back":
        return True
    start = np.concatenate([course.before[group_indices(world)["body"]][None], course.body])
    speeds = np.linalg.norm(np.diff(start, axis=0), axis=1)
    fastest = float(speeds[touching].max()) if touching.any() else float(speeds[struck])
    return fastest > FAST if skill == "hit_hard" else fastest <= FAST


def _occlude(world: type[World], skill: str, course: Course) -> bool:
    kind, name = skill.split("_")
    if kind == "go":
        return bool(np.linalg.norm(course.body[-1, :2] - under_screen(course.factors)) < NEAR)
    slot = COLOURS.index(name)
    hidden = course.path[:, group_indices(world)["hidden"]][:, slot] > 0.5
    if kind == "hide":
        return bool(hidden[-1])
    return bool(hidden.any() and not hidden[-1])


NAMED: dict[str, Named] = {
    "push": _push,
    "spill": _spill,
    "grasp": _grasp,
    "drop": _drop,
    "collide": _collide,
    "occlude": _occlude,
}
"""World -> whether what a skill of it is named after happened."""

WATCHED = ("drop", "collide", "occlude")
"""Worlds in which what happens on the way counts, so that every step is looked at."""

SAYING = {
    "push": "the named thing went 8 cm the named way, not askew, and nothing went farther",
    "spill": "tipped: toppled to the named side, the motor wet if towards it and dry if away; pushed: 2 cm, upright; "
    "touched or kept away from: felt or not, and in its place",
    "grasp": "held first where the named thing stood, and lifted; let go on the named side, or over the named thing; "
    "drawer: open or shut at the end",
    "drop": "let go; at rest on the platform or in the gap, or on the ramp first; from high up, where it was; or "
    "while the hand moved to that side, and it flew there",
    "collide": "the right puck was struck first; both collided, the striker being faster or slower than half a metre "
    "a second; or the red one went 8 cm to that side before it met a wall",
    "occlude": "the named thing is hidden at the end, or was hidden and is in sight again; the body is in the middle "
    "under the screen",
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
    world, facts = WORLDS[cache.world], factors_of(dataset)
    found = []
    for episode, skill in zip(episodes.tolist(), skills, strict=True):
        first = int(cache.starts[episode])
        last = first + min(steps, int(cache.lengths[episode]) - 1)
        outcomes = np.asarray(cache.arrays["outcome"][first : last + 1])
        if last == first:  # Nothing came of it.
            found.append(False)
            continue
        happened = np.asarray(cache.arrays["events"][first + 1 : last + 1], bool)
        factors = facts.get(int(cache.episodes[episode]), {})
        course = Course.of(world, outcomes[0], outcomes[1:], happened, factors)
        found.append(NAMED[cache.world](world, skill, course))
    return np.array(found, bool)
