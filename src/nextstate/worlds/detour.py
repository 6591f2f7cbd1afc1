"""A wall stands between an object and where it should be; the way there leads round its end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.pusher import MOVING, PusherWorld, quadrants
from nextstate.worlds.trying import trying

HALF_THICKNESS = 0.014
THERE = 0.045
"""Distance in metres from which the object counts as where it should be."""


class Detour(PusherWorld):
    """A pusher, one object, and a wall with a hook at its end between the object and a ring.

    `solved` is the case while the object lies in the ring. Straight towards it, the object comes into the corner of
    wall and hook (`walled`), from where nothing can pull it out again; it has to be taken past the hook and round the
    wall's end, away from the ring at first.
    """

    name = "detour"
    slots = 1
    events = ("contact", "moved", "walled", "round", "solved")
    outcome_groups = {
        "objects": ("object_x", "object_y"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "goal": ("goal_x", "goal_y", "way_x", "missing"),
    }
    headline = ("objects", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {
        "open_right": Factor(0, 1, integer=True),
        "wall_end": Factor(-0.02, 0.08, held_out=(0.02, 0.04)),
        "wall_y": Factor(-0.02, 0.04),
        "hook": Factor(0.08, 0.1),
        "object_gap": Factor(0.0, 0.08),
        "goal_gap": Factor(0.02, 0.1),
        **pusher.LOOK,
        **pusher.object_factors(1),
        "object0_box": Factor(0, 0, integer=True),
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        side, end, wall = _side(factors), factors["wall_end"], factors["wall_y"]
        x, y = side * (end - factors["object_gap"]), wall - float(rng.uniform(0.175, 0.2))
        factors["object0_x"], factors["object0_y"], factors["object0_yaw"] = x, y, 0.0
        factors["goal_x"] = side * (end - factors["goal_gap"])
        factors["goal_y"] = wall + float(rng.uniform(0.15, 0.2))
        factors["pusher_x"] = x + float(rng.uniform(-0.06, 0.06))
        factors["pusher_y"] = y - float(rng.uniform(0.12, 0.16))

    def scene(self, factors: Mapping[str, float]) -> str:
        end = _side(factors) * factors["wall_end"]
        edge = -_side(factors) * self.arena
        return scene.document(
            size=self.size,
            option=f'timestep="{self.timestep}" {pusher.OPTION}',
            light=factors["light"],
            geom='condim="3" solref=".02 1"',
            camera='pos="0 0 1.35" fovy="41"',
            body="".join(
                [
                    scene.table(factors),
                    scene.walls(self.arena),
                    f'<geom name="wall" type="box" pos="{(end + edge) / 2} {factors["wall_y"]} .03" '
                    f'size="{abs(end - edge) / 2} {HALF_THICKNESS} .03" friction=".2" rgba=".3 .3 .33 1"/>',
                    f'<geom name="hook" type="box" size="{HALF_THICKNESS} {factors["hook"] / 2} .03" '
                    f'pos="{end - _side(factors) * HALF_THICKNESS} {factors["wall_y"] - factors["hook"] / 2} .03" '
                    'friction=".2" rgba=".3 .3 .33 1"/>',
                    scene.ring(factors["goal_x"], factors["goal_y"], 0.075),
                    pusher.pusher_body(factors, self.radius),
                    pusher.sliding_object(0, factors),
                ]
            ),
            actuator=pusher.PUSHER_ACTUATORS,
        )

    def loaded(self) -> None:
        super().loaded()
        self._walls = [self.model.geom(name).id for name in ("wall", "hook")]

    def goal(self) -> np.ndarray:
        """``(x, y)`` in metres of the ring's middle."""
        return np.array([self.factors["goal_x"], self.factors["goal_y"]])

    def detect(self) -> dict[str, bool]:
        pairs = self.data.contact.geom
        beside = pairs[np.isin(pairs, self._walls).any(axis=1)]
        spot = self.object_position(0)
        return {
            "contact": self.touching(),
            "moved": bool((self.speeds() > MOVING).any()),
            "walled": bool(self._is_object[beside].any()),
            "round": bool(spot[1] > self.factors["wall_y"]),
            "solved": bool(np.linalg.norm(spot - self.goal()) < THERE),
        }

    def outcome(self) -> np.ndarray:
        spot, goal = self.object_position(0), self.goal()
        # The middle of what the wall leaves open, and how far the object is from the ring.
        more = [_side(self.factors) * (self.factors["wall_end"] + self.arena) / 2, np.linalg.norm(spot - goal)]
        return np.concatenate([spot, self.pusher_position(), quadrants(self.touch()), goal, more])

    def explore(self, rng: np.random.Generator) -> Policy:
        """Takes the object round the wall or straight to it, and pushes about at random in between."""
        return trying(rng, super().explore(rng), (_round, _round, _straight))


def _side(factors: Mapping[str, float]) -> float:
    return 1.0 if factors["open_right"] else -1.0


def _unit(way: np.ndarray) -> np.ndarray:
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-6))


def _round(world: World, rng: np.random.Generator) -> Policy:
    """Past the wall's end, up beside it, then into the ring."""
    offset, side = float(rng.uniform(0.075, 0.105)), float(rng.choice([-1, 1]))

    def policy(world: World) -> np.ndarray:
        assert isinstance(world, Detour)
        factors, open_to = world.factors, _side(world.factors)
        spot, goal = world.object_position(0), world.goal()
        if np.linalg.norm(spot - goal) < 0.02:
            return np.zeros(2, np.float32)
        past = open_to * (factors["wall_end"] + offset)
        if spot[1] > factors["wall_y"] + 0.02:
            aim = goal - spot
        elif open_to * (past - spot[0]) > 0.02:
            aim = np.array([past - spot[0], 0.0])
        else:
            aim = np.array([past - spot[0], factors["wall_y"] + 0.06 - spot[1]])
        return pusher.push_along(world, 0, _unit(aim), side)

    return policy


def _straight(world: World, rng: np.random.Generator) -> Policy:
    side = float(rng.choice([-1, 1]))

    def policy(world: World) -> np.ndarray:
        assert isinstance(world, Detour)
        away = world.goal() - world.object_position(0)
        if np.linalg.norm(away) < 0.02:
            return np.zeros(2, np.float32)
        return pusher.push_along(world, 0, _unit(away), side)

    return policy


Detour.skills = {
    "round": Skill(
        (
            "take the object round the wall into the ring",
            "push it past the end of the wall and then into the circle",
            "go around the wall with the object",
            "bring the object to the ring the long way",
        ),
        _round,
    ),
    "straight": Skill(
        (
            "push the object straight at the ring",
            "shove it towards the circle as if there were no wall",
            "push the object against the wall",
            "go directly for the ring",
        ),
        _straight,
    ),
    "aside": pusher.pushing_skill(
        (
            "push the object past the end of the wall",
            "move it to the open side",
            "slide the object sideways, away from the wall",
            "shove the object towards the gap",
        ),
        0,
        lambda world, spot: np.array([_side(world.factors), 0.0]),
    ),
}
