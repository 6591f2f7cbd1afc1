"""How `drop` is explored, and its skills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nextstate.worlds import drop_scene
from nextstate.worlds.base import Policy, Skill, World

if TYPE_CHECKING:
    from nextstate.worlds.drop import Drop

OPEN, CLOSED = 1.0, -1.0


def explore(rng: np.random.Generator) -> Policy:
    """Carries the object somewhere at some speed, lets go with or without stopping, then knocks it about."""
    plan: dict[str, Any] = {}

    def begin(world: Drop) -> None:
        places = drop_scene.places(world.factors)
        over = rng.choice(["platform", "ramp", "gap", "anywhere"], p=[0.25, 0.25, 0.2, 0.3])
        goal = rng.uniform(-0.38, 0.38) if over == "anywhere" else places[over] + rng.normal(0, 0.05)
        low = world.factors["platform_height"] + 0.12 if over == "platform" else 0.2
        plan["goal"] = np.array([goal, rng.uniform(low, 0.68)])
        plan["speed"] = rng.uniform(0.3, 1.0, 2)
        plan["patience"] = int(rng.integers(6, 25))
        plan["drift"] = rng.normal(0, 0.5, 2)
        plan["open"] = 0

    def policy(world: World) -> np.ndarray:
        drop = _drop(world)
        if not plan:
            begin(drop)
        plan["patience"] -= 1
        away = plan["goal"] - drop.holder_position()
        if plan["open"] == 0 and (plan["patience"] <= 0 or np.abs(away).max() < 0.03):
            plan["open"] = int(rng.integers(4, 12))
        if plan["open"] > 0:
            plan["open"] -= 1
            if plan["open"] == 0:
                begin(drop)
                if rng.random() < 0.6:
                    plan["goal"] = drop.object_position() + np.array([rng.choice([-0.2, 0.2]), 0.03])
            return _command(plan["drift"] + rng.normal(0, 0.1, 2), OPEN)
        return _command(np.clip(away * 8, -1, 1) * plan["speed"] + rng.normal(0, 0.08, 2), CLOSED)

    return policy


def _drop(world: World) -> Drop:
    from nextstate.worlds.drop import Drop

    assert isinstance(world, Drop)
    return world


def _command(velocity: np.ndarray, fingers: float) -> np.ndarray:
    return np.array([velocity[0], velocity[1], fingers], np.float32).clip(-1, 1)


def _release_over(place: str, height: float, instructions: tuple[str, ...]) -> Skill:
    """Carries the object over a place and lets go `height` metres above it."""

    def make(world: World, rng: np.random.Generator) -> Policy:
        offset = float(rng.normal(0, 0.02))
        state = {"open": False}

        def policy(world: World) -> np.ndarray:
            drop = _drop(world)
            factors = drop.factors
            spots = {**drop_scene.places(factors), "here": factors["holder_x"]}
            surface = {"platform": factors["platform_height"], "ramp": 0.08}.get(place, 0.0)
            x = spots[place] + (offset if place != "here" else 0.0)
            low, high = drop_scene.REACH_Z
            level = float(np.clip(surface + height + 1.5 * factors["size"], low, high - 0.03))
            here = drop.holder_position()
            # Sideways first, well above everything, then down.
            z = level if abs(x - here[0]) < 0.02 else max(here[1], 0.45)
            away = np.array([x, z]) - here
            state["open"] |= bool(abs(x - here[0]) < 0.02 and abs(level - here[1]) < 0.02)
            return _command(np.clip(away * 8, -1, 1), OPEN if state["open"] else CLOSED)

        return policy

    return Skill(instructions, make)


def _throw(sign: float, way: str) -> Skill:
    """Lets go while moving sideways."""
    instructions = (
        f"let go of it while moving {way}",
        f"throw the object to the {way}",
        f"toss it {way}wards",
        f"release the object on the way to the {way}",
    )

    def make(world: World, rng: np.random.Generator) -> Policy:
        state = {"steps": -1}
        wait = int(rng.integers(4, 7))

        def policy(world: World) -> np.ndarray:
            x = _drop(world).holder_position()[0]
            if state["steps"] < 0 and sign * x > 0.0:
                return _command(np.array([-sign, 0.0]), CLOSED)
            state["steps"] = max(state["steps"], 0) + 1
            return _command(np.array([sign, 0.0]), OPEN if state["steps"] > wait else CLOSED)

        return policy

    return Skill(instructions, make)


SKILLS = {
    "drop_on_platform": _release_over(
        "platform",
        0.12,
        (
            "drop the object onto the platform",
            "let it fall on the brown shelf",
            "release it above the platform",
            "put the object on the brown ledge",
        ),
    ),
    "drop_on_ramp": _release_over(
        "ramp",
        0.2,
        (
            "drop the object onto the ramp",
            "let it roll or slide down the slope",
            "release it above the purple ramp",
            "put the object on the slope",
        ),
    ),
    "drop_in_gap": _release_over(
        "gap",
        0.15,
        (
            "drop the object into the gap",
            "let it fall into the pit",
            "release it above the hole in the ground",
            "put the object into the gap",
        ),
    ),
    "let_go": _release_over(
        "here",
        1.0,
        (
            "lift the object up and let it fall",
            "raise it and open the fingers",
            "drop it from high up",
            "let go of the object at the top",
        ),
    ),
    "throw_left": _throw(-1.0, "left"),
    "throw_right": _throw(1.0, "right"),
}
