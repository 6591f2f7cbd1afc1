"""What worlds with a pusher on a table share: its body, its skin, and how it finds its way behind things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import mujoco
import numpy as np

from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.scene import COLOURS, hue

SECTORS = 8
MOVING = 0.03
"""Speed in metres per second from which something counts as moving."""
TOUCHING = 0.05
"""Force in newtons from which a touch counts."""

LOOK = {
    "table_grey": Factor(0.45, 0.75),
    "table_warmth": Factor(-0.06, 0.06),
    "light": Factor(0.5, 0.8),
}

Spot = Callable[["PusherWorld", np.ndarray], np.ndarray]
"""Where a skill wants something: from the world and where that thing is now to ``(x, y)`` in metres."""


class PusherWorld(World):
    """Base of worlds in which a velocity-controlled cylinder moves over a walled table seen from above.

    A subclass's scene holds `pusher_body` as its first moving body, and geoms ``object0``, ``object1``, ...
    Command: planar velocity ``(x, y)``, 1 is `max_speed`. Body: position and velocity. Skin: the pusher's
    rim in eight sectors, counted anticlockwise from +x.
    """

    action_size = 2
    proprio_size = 4
    touch_shape = (1, SECTORS)
    skin = ("pusher",)
    timestep = 0.01
    slots: ClassVar[int]
    arena: ClassVar[float] = 0.45
    radius: ClassVar[float] = 0.032
    max_speed: ClassVar[float] = 0.5

    def loaded(self) -> None:
        self._pusher = self.model.geom("pusher").id
        kind = mujoco.mjtObj.mjOBJ_GEOM.value
        found = {slot: mujoco.mj_name2id(self.model, kind, f"object{slot}") for slot in range(self.slots)}
        self._objects = {slot: geom for slot, geom in found.items() if geom >= 0}
        self._is_object = np.isin(np.arange(self.model.ngeom), list(self._objects.values()))
        self._bodies = self.model.geom_bodyid[list(self._objects.values())]

    def act(self, action: np.ndarray) -> None:
        self.data.ctrl[:] = action * self.max_speed
        self.advance()

    def proprio(self) -> np.ndarray:
        return np.concatenate([self.pusher_position(), self.data.qvel[:2]])

    def touch(self) -> np.ndarray:
        taxels = np.zeros(self.touch_shape)
        points, forces, _ = self.contacts(self._pusher)
        if len(forces):
            away = points[:, :2] - self.pusher_position()
            angle = np.arctan2(away[:, 1], away[:, 0])
            np.add.at(taxels[0], np.round(angle / (2 * np.pi / SECTORS)).astype(int) % SECTORS, forces)
        return taxels

    def pusher_position(self) -> np.ndarray:
        """``(x, y)`` in metres, the table's centre being the origin."""
        return np.array(self.data.geom_xpos[self._pusher, :2])

    def object_position(self, slot: int) -> np.ndarray:
        """``(x, y)`` in metres of the object in one slot."""
        return np.array(self.data.geom_xpos[self._objects[slot], :2])

    def positions(self) -> np.ndarray:
        """``(slots, 2)`` in metres, zero where a slot is empty."""
        places = np.zeros((self.slots, 2))
        places[list(self._objects)] = self.data.geom_xpos[list(self._objects.values()), :2]
        return places

    def present(self) -> list[int]:
        """Slots that hold an object in this scene."""
        return list(self._objects)

    def touching(self) -> bool:
        """Whether the pusher touches an object."""
        _, forces, others = self.contacts(self._pusher)
        return bool((forces[self._is_object[others]] > TOUCHING).any())

    def speeds(self) -> np.ndarray:
        """Speed of each object present, metres per second."""
        return np.asarray(np.linalg.norm(self.data.cvel[self._bodies, 3:], axis=1))

    def objects_touch(self) -> bool:
        """Whether two objects touch each other."""
        return bool(self._is_object[self.data.contact.geom].all(axis=1).any())

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pushes through random objects from random sides at random speeds, wandering in between."""
        plan: dict[str, Any] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, PusherWorld)
            if plan["left"] <= 0:
                plan["left"] = int(rng.integers(4, 16))
                plan["speed"] = float(rng.uniform(0.25, 1.0))
                plan["slot"] = int(rng.choice(world.present())) if rng.random() < 0.75 else -1
                plan["aim"] = rng.normal(0, 0.03, 2)
                plan["heading"] = float(rng.uniform(-np.pi, np.pi))
            plan["left"] -= 1
            if plan["slot"] >= 0:
                towards = world.object_position(plan["slot"]) + plan["aim"] - world.pusher_position()
                heading = float(np.arctan2(towards[1], towards[0]) + rng.normal(0, 0.15))
            else:
                heading = plan["heading"] = plan["heading"] + rng.normal(0, 0.25)
            return _command(plan["speed"] * np.array([np.cos(heading), np.sin(heading)]))

        return policy


def quadrants(touch: np.ndarray) -> np.ndarray:
    """Taxel forces ``(..., 1, 8)`` in newtons to log-scaled pressure from east, north, west, south ``(..., 4)``."""
    ring = np.log1p(np.maximum(touch[..., 0, :], 0) / 0.5)
    sides = 0.5 * (np.roll(ring, 1, axis=-1) + np.roll(ring, -1, axis=-1))
    return np.asarray((ring + sides)[..., ::2])


OPTION = 'integrator="implicitfast" cone="elliptic" iterations="20"'
"""How table-top physics is solved."""

RIM = 'priority="2" friction=".3" solref=".03 1" solimp="0 .95 .005"'
"""A rim that gives way over some millimetres, so that a steady push is felt as a steady force."""


def pusher_body(factors: Mapping[str, float], radius: float) -> str:
    """The pusher at its factors' ``pusher_x`` and ``pusher_y``; its two joints must be the scene's first."""
    return f"""
            <body name="pusher" pos="{factors["pusher_x"]} {factors["pusher_y"]} 0.045">
              <joint name="pusher_x" type="slide" axis="1 0 0" damping="1"/>
              <joint name="pusher_y" type="slide" axis="0 1 0" damping="1"/>
              <geom name="pusher" type="cylinder" size="{radius} .04" mass="1" {RIM} rgba=".93 .93 .95 1"/>
            </body>"""


PUSHER_ACTUATORS = """
            <velocity joint="pusher_x" kv="60" forcerange="-15 15"/>
            <velocity joint="pusher_y" kv="60" forcerange="-15 15"/>"""


def object_factors(slots: int) -> dict[str, Factor]:
    """Ranges of what `sliding_object` reads, for each slot."""
    factors: dict[str, Factor] = {}
    for slot in range(slots):
        factors |= {
            f"object{slot}_box": Factor(0, 1, integer=True),
            f"object{slot}_radius": Factor(0.045, 0.065),
            f"object{slot}_mass": Factor(0.1, 1.0, held_out=(0.4, 0.6)),
            f"object{slot}_friction": Factor(0.2, 0.8, held_out=(0.45, 0.55)),
            f"object{slot}_shade": Factor(-0.12, 0.12),
        }
    return factors


def sliding_object(slot: int, factors: Mapping[str, float]) -> str:
    """A box or disc that slides and turns on the table but cannot tip, in the colour of its slot.

    Upright sides touch at a height that no solver can settle; if objects could tip, contact would flutter.
    """
    prefix = f"object{slot}_"
    radius = factors[prefix + "radius"]
    box = bool(factors[prefix + "box"])
    size = f"{radius} {radius * 0.65} 0.035" if box else f"{radius * 0.9} 0.035"
    return f"""
      <body name="object{slot}" pos="{factors[prefix + "x"]} {factors[prefix + "y"]} 0.035"
            euler="0 0 {np.rad2deg(factors[prefix + "yaw"])}">
        <joint type="slide" axis="1 0 0"/>
        <joint type="slide" axis="0 1 0"/>
        <joint type="slide" axis="0 0 1"/>
        <joint type="hinge" axis="0 0 1"/>
        <geom name="object{slot}" type="{"box" if box else "cylinder"}" size="{size}"
              mass="{factors[prefix + "mass"]}" friction="{factors[prefix + "friction"]} .005 .0001" priority="1"
              rgba="{hue(COLOURS[slot], factors[prefix + "shade"])} 1"/>
      </body>"""


def place_apart(
    rng: np.random.Generator,
    factors: dict[str, float],
    things: Mapping[str, float],
    reach: float,
    allowed: Callable[[np.ndarray], bool] = lambda spot: True,
) -> None:
    """Adds ``_x``, ``_y`` and ``_yaw`` of each thing (name -> radius), apart from one another.

    Args:
        reach: farthest distance of a centre from the table's centre along each axis, metres.
        allowed: which spots ``(x, y)`` may be taken at all.
    """
    placed: list[tuple[np.ndarray, float]] = []
    for name, radius in things.items():
        for _ in range(1000):
            spot = rng.uniform(-reach, reach, 2)
            apart = all(np.linalg.norm(spot - other) > radius + size + 0.015 for other, size in placed)
            if apart and allowed(spot):
                break
        placed.append((spot, radius))
        factors[f"{name}_x"], factors[f"{name}_y"] = float(spot[0]), float(spot[1])
        factors[f"{name}_yaw"] = float(rng.uniform(-np.pi, np.pi))


def push_along(world: PusherWorld, slot: int, aim: np.ndarray, side: float, speed: float = 0.7) -> np.ndarray:
    """The command that brings the pusher behind an object, then pushes it along `aim`.

    Args:
        aim: direction of the push, ``(2,)``, unit length.
        side: 1 or -1, by which side to walk around the object.
        speed: of the push, 1 is the pusher's fastest.
    """
    across = np.array([-aim[1], aim[0]])
    target = world.object_position(slot)
    offset = world.pusher_position() - target
    if offset @ aim < -0.05 and abs(offset @ across) < 0.02:
        return _command(aim * speed - across * (offset @ across) * 8)
    behind = target - aim * 0.13
    if offset @ aim > -0.09 and abs(offset @ across) < 0.12:
        behind = target + side * across * 0.16 - aim * 0.1
    return go_to(world, behind)


def go_to(world: PusherWorld, spot: np.ndarray) -> np.ndarray:
    """The command that brings the pusher to `spot` and holds it there."""
    return _command((spot - world.pusher_position()) * 8)


def pushing_skill(instructions: tuple[str, ...], slot: int, aim: Spot, speed: float = 0.7) -> Skill:
    """Pushes one object along `aim`, a function of the world and of the object's position."""

    def make(world: World, rng: np.random.Generator) -> Policy:
        side = float(rng.choice([-1, 1]))

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, PusherWorld)
            return push_along(world, slot, aim(world, world.object_position(slot)), side, speed)

        return policy

    return Skill(instructions, make, holds(slot))


def holds(slot: int) -> Callable[[World], bool]:
    """Whether a world has an object in this slot: what `Skill.possible` asks."""
    return lambda world: isinstance(world, PusherWorld) and slot in world.present()


def _command(velocity: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(velocity))
    return np.clip(velocity / max(length, 1.0), -1, 1).astype(np.float32)
