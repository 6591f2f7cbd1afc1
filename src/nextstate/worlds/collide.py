"""A striker sends a puck against another whose mass cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.pusher import MOVING, PusherWorld, quadrants

PUCK, TARGET = 0, 1
COLOURS = ("red", "blue")
SPRING = 200.0
"""Frequency of the pucks' elastic rims, radians per second: an impact lasts 16 ms."""
CHECK_EVERY = 2
"""Physics steps between looks for impacts, which are shorter than a control step."""


class Collide(PusherWorld):
    """On a table with next to no friction a striker hits a puck, which hits another, seen from above.

    Both pucks bounce off each other and off the walls; the striker gives way, so that it pushes rather than
    bounces. Neither the pucks' masses nor their restitution can be seen. Impacts last some 16 ms, so
    `struck`, `collided` and `bounced` are the case when they happened since the last control instant.
    """

    name = "collide"
    timestep = 0.002
    max_speed = 0.8
    slots = 2
    max_steps = 60
    events = ("struck", "collided", "bounced", "target_moved")
    outcome_groups = {
        "objects": ("puck_x", "puck_y", "target_x", "target_y"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "speed": ("puck_vx", "puck_vy", "target_vx", "target_vy"),
    }
    headline = ("objects", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {
        "restitution": Factor(0.5, 0.95, held_out=(0.68, 0.76)),
        "drag": Factor(0.1, 0.5),
        "puck_mass": Factor(0.15, 0.6, held_out=(0.3, 0.38)),
        "target_mass": Factor(0.08, 1.5, held_out=(0.5, 0.75)),
        "puck_radius": Factor(0.045, 0.06),
        "target_radius": Factor(0.045, 0.06),
        "puck_shade": Factor(-0.12, 0.12),
        "target_shade": Factor(-0.12, 0.12),
        **pusher.LOOK,
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        pucks = {"target": factors["target_radius"], "puck": factors["puck_radius"]}
        pusher.place_apart(rng, factors, {**pucks, "pusher": self.radius}, self.arena - 0.13)
        if rng.random() < 0.5:
            # Ready for a shot: behind the puck as seen from the target.
            target, puck = (np.array([factors[f"{name}_x"], factors[f"{name}_y"]]) for name in pucks)
            aim = (target - puck) / np.linalg.norm(target - puck)
            spot = puck - aim * rng.uniform(0.12, 0.2) + np.array([-aim[1], aim[0]]) * rng.normal(0, 0.02)
            if self._within(spot):
                factors["pusher_x"], factors["pusher_y"] = float(spot[0]), float(spot[1])

    def scene(self, factors: Mapping[str, float]) -> str:
        rim = scene.elastic(factors["restitution"], SPRING)
        return scene.document(
            size=self.size,
            option=f'timestep="{self.timestep}" {pusher.OPTION}',
            light=factors["light"],
            geom='condim="3" solref=".02 1"',
            camera='pos="0 0 1.35" fovy="41"',
            body="".join(
                [
                    scene.table(factors, 'contype="0" conaffinity="0"'),
                    scene.walls(self.arena),
                    pusher.pusher_body(factors, self.radius),
                    *(_puck(slot, factors, rim) for slot in (PUCK, TARGET)),
                ]
            ),
            actuator=pusher.PUSHER_ACTUATORS,
        )

    def loaded(self) -> None:
        super().loaded()
        self._is_static = self.model.body_weldid[self.model.geom_bodyid] == 0
        self._velocities = self.model.jnt_dofadr[
            [self.model.joint(f"{name}_{axis}").id for name in ("puck", "target") for axis in "xy"]
        ]

    def begin(self) -> None:
        self.memory["impacts"] = np.zeros(3, bool)

    def act(self, action: np.ndarray) -> None:
        self.data.ctrl[:] = action * self.max_speed
        impacts = np.zeros(3, bool)
        for _ in range(self.substeps // CHECK_EVERY):
            mujoco.mj_step(self.model, self.data, nstep=CHECK_EVERY)
            if self.data.ncon:
                pairs = self.data.contact.geom
                pucks = self._is_object[pairs]
                impacts |= (
                    bool((pucks.any(axis=1) & (pairs == self._pusher).any(axis=1)).any()),
                    bool(pucks.all(axis=1).any()),
                    bool((pucks.any(axis=1) & self._is_static[pairs].any(axis=1)).any()),
                )
        self.memory["impacts"] = impacts

    def detect(self) -> dict[str, bool]:
        struck, collided, bounced = self.memory["impacts"].tolist()
        moved = bool(np.hypot(*self.data.qvel[self._velocities[2:]]) > MOVING)
        return {"struck": struck, "collided": collided, "bounced": bounced, "target_moved": moved}

    def outcome(self) -> np.ndarray:
        return np.concatenate(
            [
                self.positions().ravel(),
                self.pusher_position(),
                quadrants(self.touch()),
                self.data.qvel[self._velocities],
            ]
        )

    def velocity(self, slot: int) -> np.ndarray:
        """``(vx, vy)`` of a puck, metres per second."""
        return np.array(self.data.qvel[self._velocities[2 * slot : 2 * slot + 2]])

    def explore(self, rng: np.random.Generator) -> Policy:
        """Shoots one puck at the other or anywhere, waits and watches, and wanders."""
        about = super().explore(rng)
        plan: dict[str, Any] = {"left": 0, "wait": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Collide)
            if plan["wait"] > 0:
                plan["wait"] -= 1
                return rng.normal(0, 0.1, 2).clip(-1, 1).astype(np.float32)
            if plan["left"] <= 0:
                plan["left"] = int(rng.integers(10, 30))
                plan["random"] = rng.random() < 0.12
                plan["slot"] = PUCK if rng.random() < 0.7 else TARGET
                plan["turn"] = rng.normal(0, 0.12) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
                plan["side"], plan["speed"] = rng.choice([-1.0, 1.0]), rng.uniform(0.35, 1.0)
                if not world.can_shoot(plan["slot"], plan["turn"]):
                    plan["slot"] = 1 - plan["slot"]
            plan["left"] -= 1
            if plan["random"]:
                return about(world)
            if world.memory["impacts"][0] and np.linalg.norm(world.velocity(plan["slot"])) > 0.1:
                plan["left"], plan["wait"] = 0, int(rng.integers(2, 8))
            return shoot(world, plan["slot"], plan["turn"], plan["side"], plan["speed"])

        return policy

    def can_shoot(self, slot: int, turn: float) -> bool:
        """Whether there is room for the striker behind a puck for this shot."""
        return self._within(self.object_position(slot) - 0.13 * shot_direction(self, slot, turn))

    def _within(self, spot: np.ndarray) -> bool:
        return bool((np.abs(spot) < self.arena - self.radius - 0.005).all())


def shot_direction(world: Collide, slot: int, turn: float) -> np.ndarray:
    """Direction ``(2,)`` from one puck to the other, turned by `turn` radians."""
    aim = world.object_position(1 - slot) - world.object_position(slot)
    angle = float(np.arctan2(aim[1], aim[0])) + turn
    return np.array([np.cos(angle), np.sin(angle)])


def shoot(world: Collide, slot: int, turn: float, side: float, speed: float) -> np.ndarray:
    """The command of a shot of one puck at the other, off by `turn` radians."""
    return pusher.push_along(world, slot, shot_direction(world, slot, turn), side, speed)


def _puck(slot: int, factors: Mapping[str, float], rim: str) -> str:
    name = ("puck", "target")[slot]
    mass, radius = factors[f"{name}_mass"], factors[f"{name}_radius"]
    drag = factors["drag"] * mass
    return f"""
      <body name="{name}" pos="{factors[f"{name}_x"]} {factors[f"{name}_y"]} .035">
        <joint name="{name}_x" type="slide" axis="1 0 0" damping="{drag}"/>
        <joint name="{name}_y" type="slide" axis="0 1 0" damping="{drag}"/>
        <joint name="{name}_yaw" type="hinge" axis="0 0 1" damping="{drag * radius**2}"/>
        <geom name="object{slot}" type="cylinder" size="{radius} .03" mass="{mass}" friction=".05" priority="1" {rim}
              rgba="{scene.hue(COLOURS[slot], factors[f"{name}_shade"])} 1"/>
      </body>"""


def _shot(speed: float, instructions: tuple[str, ...], slot: int = PUCK) -> Skill:
    def make(world: World, rng: np.random.Generator) -> Policy:
        side = float(rng.choice([-1, 1]))
        state = {"done": False}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Collide)
            gained = float(world.velocity(slot) @ shot_direction(world, slot, 0.0))
            state["done"] = state["done"] or gained > 0.5 * speed * world.max_speed
            if state["done"]:
                return np.zeros(2, np.float32)
            return shoot(world, slot, 0.0, side, speed)

        return policy

    def possible(world: World) -> bool:
        return isinstance(world, Collide) and world.can_shoot(slot, 0.0)

    return Skill(instructions, make, possible)


def _send(direction: str, aim: tuple[float, float]) -> Skill:
    instructions = (
        f"send the red puck to the {direction}",
        f"hit the red puck {direction}wards",
        f"knock the red one towards the {direction} wall",
        f"make the red puck slide {direction}",
    )
    return pusher.pushing_skill(instructions, PUCK, lambda world, spot: np.array(aim), 0.8)


Collide.skills = {
    "hit_hard": _shot(
        1.0,
        (
            "hit the blue puck hard with the red one",
            "slam the red puck into the blue one",
            "shoot red at blue as fast as you can",
            "strike the red puck so that it crashes into the blue one",
        ),
    ),
    "hit_gently": _shot(
        0.4,
        (
            "nudge the red puck into the blue one",
            "hit the blue puck gently with the red one",
            "send red slowly against blue",
            "tap the red puck so that it touches the blue one",
        ),
    ),
    "hit_back": _shot(
        0.8,
        (
            "hit the red puck with the blue one",
            "shoot the blue puck at the red one",
            "send blue against red",
            "strike the blue puck so that it knocks the red one",
        ),
        TARGET,
    ),
    "send_left": _send("left", (-1.0, 0.0)),
    "send_right": _send("right", (1.0, 0.0)),
}
