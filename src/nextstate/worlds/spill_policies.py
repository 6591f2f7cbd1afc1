"""What fingers do in `spill`: a policy that explores, and skills with instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from nextstate.worlds.base import Policy, Skill, World
from nextstate.worlds.spill_scene import BOTTLE_HEIGHT, BOTTLE_WIDTH, FINGER_RADIUS, FINGER_X, FINGER_Z

if TYPE_CHECKING:
    from nextstate.worlds.spill import Spill

Routine = Callable[["Spill", np.random.Generator], Iterator[np.ndarray]]
"""A behaviour written as a generator of commands ``(2,)``; looks at the world afresh at each."""

CLEARANCE = FINGER_RADIUS + 0.015


def follow(routine: Routine, rng: np.random.Generator) -> Policy:
    """A policy that runs `routine`, and rests when it is over."""
    commands: list[Iterator[np.ndarray]] = []

    def policy(world: World) -> np.ndarray:
        if not commands:
            commands.append(routine(cast("Spill", world), rng))
        command = next(commands[0], None)
        return np.zeros(2, np.float32) if command is None else np.clip(command, -1, 1).astype(np.float32)

    return policy


def reach(world: Spill) -> np.ndarray:
    """How far the bottle extends now from its centre, ``(2,)`` half width and half height in metres."""
    cosine, sine = abs(np.cos(world.bottle_pose()[2])), abs(np.sin(world.bottle_pose()[2]))
    return np.array([BOTTLE_WIDTH * cosine + BOTTLE_HEIGHT * sine, BOTTLE_WIDTH * sine + BOTTLE_HEIGHT * cosine]) / 2


def towards(world: Spill, target: np.ndarray, speed: float) -> np.ndarray:
    """Command that brings the finger nearer to `target` ``(x, z)``, around the bottle."""
    finger, centre = world.finger_position(), world.bottle_pose()[:2]
    across, up = reach(world) + CLEARANCE
    over = min(centre[1] + up + 0.01, FINGER_Z[1] - 0.005)
    beside = (finger[0] - centre[0]) * (target[0] - centre[0]) > 0
    clear = min(abs(finger[0] - centre[0]), abs(target[0] - centre[0])) > across - 0.01
    if not (beside and clear) and min(finger[1], target[1]) < over - 0.01:
        climbing = finger[1] < over - 0.01
        escape = np.sign(finger[0] - centre[0]) * 0.05 if abs(finger[0] - centre[0]) < across else 0.0
        target = np.array([finger[0] + escape, over + 0.01]) if climbing else np.array([target[0], over])
    away = (target - finger) * 15
    return np.asarray(away * min(speed / max(float(np.linalg.norm(away)), 1e-9), 1.0))


def go(world: Spill, target: Callable[[], np.ndarray], speed: float, patience: int = 40) -> Iterator[np.ndarray]:
    """Travels until the target is reached, or for `patience` commands."""
    for _ in range(patience):
        spot = np.clip(target(), (-FINGER_X, FINGER_Z[0]), (FINGER_X, FINGER_Z[1]))
        if np.linalg.norm(world.finger_position() - spot) < 0.012:
            return
        yield towards(world, spot, speed)


def push(
    world: Spill, way: float, height: float, speed: float, steps: int, tilt: float = 9.0, length: float = 9.0
) -> Iterator[np.ndarray]:
    """Goes beside the bottle and pushes in direction `way` (1: to the right), at `height` above its foot.

    Stops after `steps` commands, when the bottle leans beyond `tilt` radians, or has moved by `length` metres.
    """

    def beside() -> np.ndarray:
        return np.array([world.bottle_pose()[0] - way * (reach(world)[0] + CLEARANCE + 0.01), height])

    yield from go(world, beside, 1.0)
    begin = world.bottle_pose()[0]
    for _ in range(steps):
        x, _, lean = world.bottle_pose()
        if abs(lean) > tilt or abs(x - begin) > length:
            return
        hold = (height - world.finger_position()[1]) * 6
        yield np.array([way * speed, np.clip(hold, -0.4, 0.4)])


def retreat(world: Spill, way: float, steps: int) -> Iterator[np.ndarray]:
    """Moves off against direction `way` and up."""
    for _ in range(steps):
        yield np.array([-way * 0.7, 0.3])


def rest(steps: int) -> Iterator[np.ndarray]:
    for _ in range(steps):
        yield np.zeros(2)


def wander(rng: np.random.Generator, steps: int) -> Iterator[np.ndarray]:
    """Moves about without a purpose."""
    heading, speed = rng.uniform(-np.pi, np.pi), rng.uniform(0.2, 1.0)
    for _ in range(steps):
        heading += rng.normal(0, 0.3)
        yield speed * np.array([np.cos(heading), np.sin(heading)])


def _attempt(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
    way = world.motor_side() * (1.0 if rng.random() < 0.64 else -1.0)
    kind = rng.choice(["strong", "brief", "low", "weak", "any"], p=[0.24, 0.2, 0.2, 0.21, 0.15])
    if kind == "strong":
        height, speed, steps = rng.uniform(0.11, 0.165), rng.uniform(0.7, 1.0), int(rng.integers(6, 13))
    elif kind == "brief":
        height, speed, steps = rng.uniform(0.09, 0.165), rng.uniform(0.5, 1.0), int(rng.integers(1, 5))
    elif kind == "low":
        height, speed, steps = rng.uniform(0.025, 0.07), rng.uniform(0.4, 1.0), int(rng.integers(2, 8))
    elif kind == "weak":
        height, speed, steps = rng.uniform(0.03, 0.165), rng.uniform(0.1, 0.4), int(rng.integers(4, 12))
    else:
        height, speed, steps = rng.uniform(0.025, 0.17), rng.uniform(0.1, 1.0), int(rng.integers(2, 13))
    yield from push(world, way, height, speed, steps)
    yield from retreat(world, way, int(rng.integers(2, 8)))


def explore(rng: np.random.Generator) -> Policy:
    """Pushes of many kinds with rests and wandering in between; commands carry a little noise."""

    def routine(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
        yield from wander(rng, int(rng.integers(0, 16))) if rng.random() < 0.5 else rest(int(rng.integers(0, 16)))
        while True:
            yield from _attempt(world, rng)
            if rng.random() < 0.5:
                yield from rest(int(rng.integers(2, 12)))
            else:
                yield from wander(rng, int(rng.integers(2, 12)))

    def noisy(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
        for command in routine(world, rng):
            yield command + rng.normal(0, 0.06, 2)

    return follow(noisy, rng)


def _tip(way: float) -> Routine:
    def routine(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
        direction = way * world.motor_side()
        while abs(world.bottle_pose()[2]) < 1.0:
            height = rng.uniform(0.14, 0.165)
            yield from push(world, direction, height, rng.uniform(0.85, 1.0), 14, tilt=0.9)
            yield from retreat(world, direction, 3)
        yield from retreat(world, direction, 3)

    return routine


def _slide(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
    way = float(rng.choice([-1, 1]))
    yield from push(world, way, rng.uniform(0.03, 0.045), rng.uniform(0.7, 1.0), 12, tilt=0.15, length=0.04)
    yield from retreat(world, way, 3)


def _touch(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
    way = float(rng.choice([-1, 1]))
    yield from push(world, way, rng.uniform(0.05, 0.13), rng.uniform(0.08, 0.15), 22)
    yield from retreat(world, way, 3)


def _keep_away(world: Spill, rng: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        centre = world.bottle_pose()[0]
        side = np.sign(world.finger_position()[0] - centre) or 1.0
        spot = np.array([centre + side * 0.2, rng.uniform(0.26, 0.38)])
        yield from go(world, lambda spot=spot: spot, rng.uniform(0.5, 1.0), 20)  # type: ignore[misc]
        yield from rest(int(rng.integers(2, 8)))


def _skill(routine: Routine, *instructions: str) -> Skill:
    return Skill(instructions, lambda world, rng: follow(routine, rng))


SKILLS = {
    "tip_towards_motor": _skill(
        _tip(1.0),
        "tip the bottle towards the motor",
        "knock the bottle over so that it falls to the motor's side",
        "topple the bottle in the direction of the motor",
        "spill the liquid onto the motor",
    ),
    "tip_away_from_motor": _skill(
        _tip(-1.0),
        "tip the bottle away from the motor",
        "knock the bottle over to the bare side",
        "topple the bottle so that it falls away from the motor",
        "spill the liquid where the motor stays dry",
    ),
    "push_without_tipping": _skill(
        _slide,
        "push the bottle without tipping it",
        "slide the bottle along but keep it upright",
        "move the bottle a little and do not spill",
        "shift the bottle carefully at its foot",
    ),
    "touch_gently": _skill(
        _touch,
        "touch the bottle gently",
        "put the finger against the bottle without moving it",
        "feel the side of the bottle softly",
        "lean lightly on the bottle",
    ),
    "keep_away": _skill(
        _keep_away,
        "keep away from the bottle",
        "do not touch the bottle",
        "leave the bottle alone",
        "stay clear of the bottle",
    ),
}
