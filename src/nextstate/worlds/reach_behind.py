"""What is wanted stands out of sight in a niche that opens away from the hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.pusher import MOVING, TOUCHING, PusherWorld, quadrants
from nextstate.worlds.trying import trying

WALL_HEIGHT = 0.11
HALF_THICKNESS = 0.012
TARGET_RADIUS = 0.034
BOTTOM = -0.07
"""Of the niche's inside, metres along its axis from its middle."""


class ReachBehind(PusherWorld):
    """A pusher before a niche of three high walls; in the niche, hidden behind them, stands a ball.

    The camera looks over the pusher's shoulder, so the ball is out of sight until it is touched and rolls out.
    `solved` once the pusher has touched it. Straight towards it the pusher comes to the niche's back (`walled`).
    """

    name = "reach_behind"
    slots = 1
    events = ("walled", "inside", "moved", "in_sight", "solved")
    outcome_groups = {
        "objects": ("target_x", "target_y"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "goal": ("missing",),
    }
    headline = ("objects", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {
        "niche_x": Factor(-0.12, 0.12),
        "niche_y": Factor(0.0, 0.07),
        "niche_turn": Factor(-0.5, 0.5, held_out=(-0.1, 0.1)),
        "niche_half_width": Factor(0.075, 0.095),
        "niche_depth": Factor(0.24, 0.3, held_out=(0.265, 0.28)),
        "niche_shade": Factor(-0.1, 0.1),
        "target_mass": Factor(0.1, 0.5, held_out=(0.25, 0.32)),
        "target_shade": Factor(-0.12, 0.12),
        **pusher.LOOK,
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        spot = _from_niche(factors, np.array([rng.uniform(-0.025, 0.025), BOTTOM + 0.05]))
        factors["target_x"], factors["target_y"] = float(spot[0]), float(spot[1])
        start = _from_niche(factors, np.array([rng.uniform(-0.1, 0.1), BOTTOM - rng.uniform(0.14, 0.24)]))
        start = start.clip(0.05 - self.arena, self.arena - 0.05)
        factors["pusher_x"], factors["pusher_y"] = float(start[0]), float(start[1])

    def scene(self, factors: Mapping[str, float]) -> str:
        half, depth, thin = factors["niche_half_width"], factors["niche_depth"], HALF_THICKNESS
        tint = scene.rgb(tuple(c + factors["niche_shade"] for c in (0.45, 0.4, 0.62)))
        walls = "".join(
            f'<geom name="{name}" type="box" pos="{x} {y} {WALL_HEIGHT / 2}" '
            f'size="{wide} {deep} {WALL_HEIGHT / 2}" friction=".2" rgba="{tint} 1"/>'
            for name, x, y, wide, deep in (
                ("back", 0, BOTTOM - thin, half + 2 * thin, thin),
                ("left", -half - thin, BOTTOM + depth / 2, thin, depth / 2),
                ("right", half + thin, BOTTOM + depth / 2, thin, depth / 2),
            )
        )
        ball = scene.hue("red", factors["target_shade"])
        return scene.document(
            size=self.size,
            option=f'timestep="{self.timestep}" {pusher.OPTION}',
            light=factors["light"],
            geom='condim="3" solref=".02 1"',
            camera='pos="0 -1.12 .86" xyaxes="1 0 0 0 .609 .793" fovy="41"',
            body="".join(
                [
                    scene.table(factors),
                    '<geom type="box" pos="0 1 .2" size="2 .01 1" rgba=".2 .2 .23 1" contype="0" conaffinity="0"/>',
                    scene.walls(self.arena),
                    f'<body pos="{factors["niche_x"]} {factors["niche_y"]} 0" '
                    f'euler="0 0 {np.rad2deg(factors["niche_turn"])}">{walls}</body>',
                    pusher.pusher_body(factors, self.radius),
                    f"""
                    <body name="target" pos="{factors["target_x"]} {factors["target_y"]} {TARGET_RADIUS}">
                      <joint type="slide" axis="1 0 0" damping=".3"/>
                      <joint type="slide" axis="0 1 0" damping=".3"/>
                      <geom name="object0" type="sphere" size="{TARGET_RADIUS}" mass="{factors["target_mass"]}"
                            friction=".05" priority="1" rgba="{ball} 1"/>
                    </body>""",
                ]
            ),
            actuator=pusher.PUSHER_ACTUATORS,
        )

    def loaded(self) -> None:
        super().loaded()
        self._niche = [self.model.geom(name).id for name in ("back", "left", "right")]

    def begin(self) -> None:
        self.memory["touched"] = np.zeros(1, bool)

    def act(self, action: np.ndarray) -> None:
        super().act(action)
        self.memory["touched"] |= self.touching()

    def in_niche(self, spot: np.ndarray) -> np.ndarray:
        """A place ``(x, y)`` in the niche's own axes: y towards its opening, zero in its middle."""
        return np.asarray(_turned(self.factors).T @ (spot - (self.factors["niche_x"], self.factors["niche_y"])))

    def detect(self) -> dict[str, bool]:
        _, forces, others = self.contacts(self._pusher)
        half, depth = self.factors["niche_half_width"], self.factors["niche_depth"]
        here, there = (self.in_niche(spot) for spot in (self.pusher_position(), self.object_position(0)))
        return {
            "walled": bool((forces[np.isin(others, self._niche)] > TOUCHING).any()),
            "inside": bool(abs(here[0]) < half and BOTTOM < here[1] < BOTTOM + depth),
            "moved": bool((self.speeds() > MOVING).any()),
            "in_sight": bool(abs(there[0]) > half or there[1] > BOTTOM + depth),
            "solved": bool(self.memory["touched"][0]),
        }

    def outcome(self) -> np.ndarray:
        target, here = self.object_position(0), self.pusher_position()
        missing = max(float(np.linalg.norm(target - here)) - TARGET_RADIUS - self.radius, 0.0)
        missing *= not self.memory["touched"][0]
        return np.concatenate([target, here, quadrants(self.touch()), [missing]])

    def explore(self, rng: np.random.Generator) -> Policy:
        """Goes into the niche, or at its back, or about at random."""
        return trying(rng, super().explore(rng), (_round, _round, _straight, _about))


def _turned(factors: Mapping[str, float]) -> np.ndarray:
    cosine, sine = np.cos(factors["niche_turn"]), np.sin(factors["niche_turn"])
    return np.array([[cosine, -sine], [sine, cosine]])


def _from_niche(factors: Mapping[str, float], spot: np.ndarray) -> np.ndarray:
    return np.asarray(_turned(factors) @ spot + (factors["niche_x"], factors["niche_y"]))


def _round(world: World, rng: np.random.Generator) -> Policy:
    """Past one side of the niche, over its mouth, and in."""
    assert isinstance(world, ReachBehind)
    side = float(rng.choice([-1, 1]))
    # The side with more room.
    if rng.random() < 0.8:
        side = -float(np.sign(world.factors["niche_x"] - 0.3 * world.factors["niche_turn"]) or 1.0)
    speed = float(rng.uniform(0.7, 1.0))

    def policy(world: World) -> np.ndarray:
        assert isinstance(world, ReachBehind)
        half, mouth = world.factors["niche_half_width"], BOTTOM + world.factors["niche_depth"]
        here, target = world.in_niche(world.pusher_position()), world.in_niche(world.object_position(0))
        beside = side * (half + 0.085)
        if abs(here[0]) < half - 0.02 and here[1] > BOTTOM:
            goal = target
        elif here[1] > mouth + 0.03:
            goal = np.array([0.0, mouth + 0.06])
        elif abs(here[0] - beside) < 0.03 or abs(here[0]) > half + 0.05:
            goal = np.array([beside, mouth + 0.08])
        else:
            goal = np.array([beside, min(here[1], BOTTOM - 0.09)])
        spot = _from_niche(world.factors, goal).clip(-world.arena, world.arena)
        return speed * pusher.go_to(world, spot)

    return policy


def _straight(world: World, rng: np.random.Generator) -> Policy:
    def policy(world: World) -> np.ndarray:
        assert isinstance(world, ReachBehind)
        return pusher.go_to(world, world.object_position(0))

    return policy


def _about(world: World, rng: np.random.Generator) -> Policy:
    """To one place after another."""
    goal = rng.uniform(-0.38, 0.38, 2)

    def policy(world: World) -> np.ndarray:
        nonlocal goal
        assert isinstance(world, ReachBehind)
        if np.linalg.norm(world.pusher_position() - goal) < 0.03 or rng.random() < 0.04:
            goal = rng.uniform(-0.38, 0.38, 2)
        return pusher.go_to(world, goal)

    return policy


ReachBehind.skills = {
    "reach_in": Skill(
        (
            "go round the niche and touch the ball in it",
            "reach behind the walls and find the ball",
            "touch the hidden ball from the open side",
            "go around the screen and feel for the ball",
        ),
        _round,
    ),
    "straight": Skill(
        (
            "go straight at the hidden ball",
            "press against the back of the niche",
            "drive at the wall in front of the ball",
            "try to reach the ball through the wall",
        ),
        _straight,
    ),
    "look_around": Skill(
        ("wander about the table", "go here and there", "drive around", "look at all corners of the table"), _about
    ),
}
