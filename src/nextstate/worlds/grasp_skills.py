"""What can be asked of `grasp`: scripted skills, and the exploration made of the same motions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from nextstate.worlds.base import Policy, Skill, World
from nextstate.worlds.grasp_scene import (
    NAMES,
    REACH_HIGH,
    REACH_LOW,
    SHAPES,
    TRAVEL,
    in_drawers_way,
)

if TYPE_CHECKING:
    from nextstate.worlds.grasp import Grasp

Motion = Generator[np.ndarray, None, None]
"""Yields one command ``(4,)`` per control step until the motion is done."""

CARRY = 0.17
"""Height at which the empty or loaded hand travels, metres."""
STEP = 0.04
"""How far the hand moves in one control step at full speed, metres."""
OPEN, CLOSE, HOLD = 1.0, -1.0, 0.0


@dataclass
class Operator:
    """Runs motions one command at a time, on whichever world it is handed.

    Args:
        rng: source of everything random.
        plan: makes the motion once the world is known.
        speed: fraction of full speed.
        noise: standard deviation of what is added to each command.
    """

    rng: np.random.Generator
    plan: Callable[[Operator], Iterator[np.ndarray]]
    speed: float = 1.0
    noise: float = 0.0
    world: Grasp = field(init=False)
    _motion: Iterator[np.ndarray] | None = None

    def __call__(self, world: World) -> np.ndarray:
        self.world = cast("Grasp", world)
        if self._motion is None:
            self._motion = self.plan(self)
        command = next(self._motion, np.zeros(4))
        return np.clip(command + self.noise * self.rng.normal(size=4), -1, 1).astype(np.float32)

    # Motions.

    def go(self, goal: Callable[[], np.ndarray], grip: float, within: float = 0.008, patience: int = 25) -> Motion:
        """Towards `goal` ``(3,)``, which may move, in a straight line."""
        for _ in range(patience):
            offset = np.clip(goal(), REACH_LOW, REACH_HIGH) - self.world.hand_position()
            if np.linalg.norm(offset) < within:
                return
            command = offset / STEP * 0.7
            command *= min(1.0, self.speed / max(float(np.abs(command).max()), 1e-9))
            yield np.append(command, grip)

    def squeeze(self, steps: int = 6, grip: float = CLOSE) -> Motion:
        for _ in range(steps):
            yield np.array([0, 0, 0, grip])

    def rise(self, height: float = CARRY, grip: float = HOLD) -> Motion:
        spot = self.world.hand_position()
        yield from self.go(lambda: np.array([spot[0], spot[1], height]), grip, within=0.015)

    def grasp(self, slot: int, offset: np.ndarray | None = None, closing: int = 7) -> Motion:
        """From above, over an object, down, and close."""
        aim = np.zeros(3) if offset is None else offset

        def over(height: float) -> np.ndarray:
            spot = self.world.object_position(slot) + aim
            return np.array([spot[0], spot[1], height])

        yield from self.rise(grip=OPEN)
        yield from self.go(lambda: over(CARRY), OPEN, within=0.015)
        yield from self.go(lambda: over(max(self.world.object_position(slot)[2] + aim[2], REACH_LOW[2])), OPEN)
        yield from self.squeeze(closing)

    def set_down(self, spot: np.ndarray, height: float, slot: int, grip: float = HOLD) -> Motion:
        """Carries what is held to `spot` ``(x, y)`` and opens with the object's middle at `height`."""

        def hand(at: float) -> np.ndarray:
            carried = self.world.object_position(slot) - self.world.hand_position()
            return np.array([spot[0] - carried[0], spot[1] - carried[1], at - carried[2]])

        yield from self.go(lambda: hand(max(CARRY, height + 0.04)), grip, within=0.012)
        yield from self.go(lambda: hand(height), grip, within=0.005, patience=12)
        yield from self.squeeze(2, HOLD)
        yield from self.squeeze(4, OPEN)
        yield from self.rise(grip=OPEN)

    def pile(self, slot: int, on: int) -> Motion:
        """Lays what is held on another object."""
        below, factors = self.world.object_position(on), self.world.factors
        height = below[2] + factors[f"object{on}_size"] + factors[f"object{slot}_size"] + 0.002
        yield from self.set_down(below[:2], float(height), slot)

    def take_handle(self) -> Motion:
        """Over the drawer's handle, down beside it, and close."""
        yield from self.rise(grip=OPEN)
        yield from self.go(lambda: self.world.handle_position() + np.array([0, 0, CARRY - 0.04]), OPEN, within=0.015)
        yield from self.go(self.world.handle_position, OPEN)
        yield from self.squeeze(8)

    def slide_drawer(self, opening: float) -> Motion:
        """Moves the held handle until the drawer is out by `opening` metres, then lets go."""

        def goal() -> np.ndarray:
            way = np.array([0.0, self.world.drawer_opening() - opening, 0.0])
            return self.world.handle_position() + way * 1.2

        yield from self.go(goal, CLOSE, within=0.006, patience=20)
        yield from self.squeeze(4, OPEN)
        yield from self.rise(grip=OPEN)

    def free_spot(self, low: np.ndarray, high: np.ndarray, slot: int) -> np.ndarray:
        """Of some random places ``(x, y)`` between two corners, the one farthest from other objects."""
        others = [self.world.object_position(s)[:2] for s in self.world.present() if s != slot]
        spots = self.rng.uniform(low, high, (12, 2))
        cabinet = self.world.factors["cabinet_x"]
        spots = np.array([s for s in spots if not in_drawers_way(s, 0.04, cabinet)] or [(low + high) / 2])
        gaps = [min((float(np.linalg.norm(s - o)) for o in others), default=1.0) for s in spots]
        return np.asarray(spots[int(np.argmax(gaps))])


def _pick(slot: int) -> Callable[[Operator], Iterator[np.ndarray]]:
    def plan(operator: Operator) -> Motion:
        if slot in operator.world.present():
            yield from operator.grasp(slot)
            yield from operator.rise(float(operator.rng.uniform(0.13, 0.22)))

    return plan


def _place(slot: int, side: str) -> Callable[[Operator], Iterator[np.ndarray]]:
    low, high = ((-0.19, -0.13), (-0.12, 0.11)) if side == "left" else ((0.12, -0.15), (0.19, -0.11))

    def plan(operator: Operator) -> Motion:
        if slot in operator.world.present():
            spot = operator.free_spot(np.array(low), np.array(high), slot)
            yield from operator.grasp(slot)
            yield from operator.rise()
            yield from operator.set_down(spot, operator.world.factors[f"object{slot}_size"] + 0.002, slot)

    return plan


def _stack(slot: int, on: int) -> Callable[[Operator], Iterator[np.ndarray]]:
    def plan(operator: Operator) -> Motion:
        if {slot, on} <= set(operator.world.present()):
            yield from operator.grasp(slot)
            yield from operator.rise()
            yield from operator.pile(slot, on)

    return plan


def _drawer(opening: float) -> Callable[[Operator], Iterator[np.ndarray]]:
    def plan(operator: Operator) -> Motion:
        yield from operator.take_handle()
        yield from operator.slide_drawer(opening)

    return plan


def _explore(operator: Operator) -> Motion:
    rng = operator.rng
    while True:
        operator.speed = float(rng.uniform(0.35, 1.0))
        operator.noise = float(rng.choice([0.03, 0.1, 0.25]))
        kind = rng.random()
        if kind < 0.68:
            yield from _handle_an_object(operator, int(rng.choice(operator.world.present())))
        elif kind < 0.78:
            yield from _shove(operator, int(rng.choice(operator.world.present())))
        elif kind < 0.92:
            out = operator.world.drawer_opening() > TRAVEL / 2
            yield from operator.take_handle()
            yield from operator.slide_drawer(float(rng.uniform(0, 0.5) if out else rng.uniform(0.5, 1)) * TRAVEL)
        else:
            yield from _wander(operator, int(rng.integers(4, 12)))


def _handle_an_object(operator: Operator, slot: int) -> Motion:
    """Grasps well or badly, firmly or weakly, lifts, and then carries, shakes, stacks, lays down or drops."""
    rng, world = operator.rng, operator.world
    clumsy = rng.normal(0, 1, 3) * (0.004, 0.006, 0.006) + (0, 0, float(rng.choice([0, 0, 0.015])))
    yield from operator.grasp(slot, clumsy, closing=int(rng.integers(4, 8)))
    yield from operator.rise(float(rng.uniform(0.08, 0.23)))
    if slot not in world.held():
        return
    others = [s for s in world.present() if s != slot]
    then = rng.random()
    if then < 0.4:
        yield from operator.pile(slot, int(rng.choice(others)))
    elif then < 0.55:
        spot = operator.free_spot(REACH_LOW[:2], REACH_HIGH[:2], slot)
        yield from operator.set_down(spot, float(world.factors[f"object{slot}_size"] + rng.uniform(0.0, 0.03)), slot)
    else:
        if then < 0.8:
            yield from _wander(operator, int(rng.integers(3, 10)), lowest=0.09)
        yield from operator.squeeze(int(rng.integers(3, 6)), float(rng.uniform(0.3, 1.0)))


def _shove(operator: Operator, slot: int) -> Motion:
    """Through an object from a random side, with fingers as they are."""
    rng, world = operator.rng, operator.world
    heading = rng.uniform(-np.pi, np.pi)
    way = np.array([np.cos(heading), np.sin(heading), 0.0])
    grip = float(rng.choice([-1, 0, 1]))
    start = world.object_position(slot) - 0.11 * way
    yield from operator.rise(0.13, grip)
    yield from operator.go(lambda: np.array([start[0], start[1], 0.13]), grip, within=0.02)
    yield from operator.go(lambda: np.array([start[0], start[1], 0.04]), 0.0, within=0.02, patience=8)
    end = start + way * rng.uniform(0.12, 0.25)
    yield from operator.go(lambda: np.array([end[0], end[1], 0.04]), 0.0, within=0.02, patience=12)


def _wander(operator: Operator, steps: int, lowest: float = 0.0) -> Motion:
    drift = operator.rng.uniform(-1, 1, 3)
    for _ in range(steps):
        drift = np.clip(drift + operator.rng.normal(0, 0.35, 3), -1, 1)
        if operator.world.hand_position()[2] < lowest:
            drift[2] = abs(drift[2])
        yield np.append(drift * operator.speed, 0.0)


def exploration(rng: np.random.Generator) -> Policy:
    """The exploratory policy of `grasp`."""
    return Operator(rng, _explore)


def _skill(plan: Callable[[Operator], Iterator[np.ndarray]], *instructions: str) -> Skill:
    def make(world: World, rng: np.random.Generator) -> Policy:
        return Operator(rng, plan, speed=float(rng.uniform(0.7, 1.0)), noise=0.02)

    return Skill(instructions, make)


def _skills() -> dict[str, Skill]:
    skills = {}
    for slot, colour in enumerate(NAMES):
        thing = f"the {colour} {SHAPES[colour]}"
        skills[f"pick_{colour}"] = _skill(
            _pick(slot),
            f"pick up {thing}",
            f"lift {thing}",
            f"grab {thing} and raise it",
            f"take {thing} off the table",
        )
        for side in ("left", "right"):
            skills[f"place_{colour}_{side}"] = _skill(
                _place(slot, side),
                f"place {thing} on the {side}",
                f"put {thing} down on the {side} side",
                f"carry {thing} over to the {side}",
                f"move {thing} to the {side} side of the table",
            )
        for on, base in enumerate(NAMES):
            if on != slot:
                other = f"the {base} {SHAPES[base]}"
                skills[f"stack_{colour}_on_{base}"] = _skill(
                    _stack(slot, on),
                    f"stack {thing} on {other}",
                    f"put {thing} on top of {other}",
                    f"set {thing} onto {other}",
                    f"build a tower with {other} below and {thing} above",
                )
    skills["open_drawer"] = _skill(
        _drawer(TRAVEL),
        "open the drawer",
        "pull the drawer out",
        "slide the drawer open",
        "pull on the drawer's handle",
    )
    skills["close_drawer"] = _skill(
        _drawer(0.0), "close the drawer", "push the drawer in", "slide the drawer shut", "shut the drawer"
    )
    return skills


SKILLS = _skills()
