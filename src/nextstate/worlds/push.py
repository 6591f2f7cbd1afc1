"""A pusher on a table among one to four objects whose mass and friction cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds.base import Factor, Policy, Skill, World

SLOTS = 4
HUES = {"red": (0.85, 0.15, 0.12), "green": (0.15, 0.65, 0.2), "blue": (0.15, 0.3, 0.85), "yellow": (0.9, 0.75, 0.1)}
COLOURS = tuple(HUES)
ARENA = 0.45
PUSHER_RADIUS = 0.032
MAX_SPEED = 0.5
SECTORS = 8
MOVING = 0.03
TOUCHING = 0.05


def _object_factors() -> dict[str, Factor]:
    factors: dict[str, Factor] = {}
    for slot in range(SLOTS):
        factors |= {
            f"object{slot}_box": Factor(0, 1, integer=True),
            f"object{slot}_radius": Factor(0.045, 0.065),
            f"object{slot}_mass": Factor(0.1, 1.0, held_out=(0.4, 0.6)),
            f"object{slot}_friction": Factor(0.2, 0.8, held_out=(0.45, 0.55)),
            f"object{slot}_shade": Factor(-0.12, 0.12),
        }
    return factors


class Push(World):
    """A velocity-controlled cylinder pushes boxes and discs over a walled table, seen from above.

    Command: planar velocity ``(x, y)``, 1 is 0.5 m/s. Body: position and velocity. Skin: the pusher's
    rim in eight sectors, counted anticlockwise from +x.
    """

    name = "push"
    action_size = 2
    proprio_size = 4
    touch_shape = (1, SECTORS)
    timestep = 0.01
    events = ("contact", "moved", "collided", "blocked")
    outcome_groups = {
        "objects": tuple(f"{colour}_{axis}" for colour in COLOURS for axis in "xy"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "turn": tuple(f"{colour}_{part}" for colour in COLOURS for part in ("cos2", "sin2")),
    }
    headline = ("objects", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", lambda touch: quadrants(touch)),
    }
    factor_ranges = {
        "objects": Factor(1, SLOTS, integer=True),
        "table_grey": Factor(0.45, 0.75),
        "table_warmth": Factor(-0.06, 0.06),
        "light": Factor(0.5, 0.8),
        **_object_factors(),
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        slots = rng.permutation(SLOTS)[: int(factors["objects"])]
        placed: list[tuple[np.ndarray, float]] = []
        for slot in range(SLOTS):
            factors[f"object{slot}_present"] = float(slot in slots)
        for name, radius in [(f"object{s}", factors[f"object{s}_radius"] * 1.3) for s in slots] + [
            ("pusher", PUSHER_RADIUS)
        ]:
            for _ in range(1000):
                spot = rng.uniform(-ARENA + 0.1, ARENA - 0.1, 2)
                if all(np.linalg.norm(spot - other) > radius + size + 0.015 for other, size in placed):
                    break
            placed.append((spot, radius))
            factors[f"{name}_x"], factors[f"{name}_y"] = float(spot[0]), float(spot[1])
            factors[f"{name}_yaw"] = float(rng.uniform(-np.pi, np.pi))

    def scene(self, factors: Mapping[str, float]) -> str:
        grey, warmth, light = (factors[name] for name in ("table_grey", "table_warmth", "light"))
        table = (grey + warmth, grey, grey - warmth)
        walls = "".join(
            f'<geom type="box" pos="{x * (ARENA + 0.02)} {y * (ARENA + 0.02)} 0.03" '
            f'size="{0.02 if x else ARENA + 0.04} {0.02 if y else ARENA + 0.04} 0.03" rgba=".3 .3 .33 1"/>'
            for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
        objects = "".join(_object(slot, factors) for slot in range(SLOTS) if factors[f"object{slot}_present"])
        return f"""
        <mujoco>
          <option timestep="{self.timestep}" integrator="implicitfast" cone="pyramidal" iterations="20"/>
          <visual>
            <headlight ambient="{light * 0.6} {light * 0.6} {light * 0.6}" diffuse="{light} {light} {light}"
                       specular="0 0 0"/>
            <global offwidth="{self.size}" offheight="{self.size}"/>
            <map znear=".05" zfar="5"/>
            <quality shadowsize="0" offsamples="0"/>
          </visual>
          <statistic extent="1" center="0 0 0"/>
          <default><geom condim="3" solref=".02 1"/></default>
          <worldbody>
            <camera name="main" pos="0 0 1.35" fovy="41"/>
            <geom name="table" type="plane" size="1 1 .1" rgba="{_rgb(table)} 1" friction="1"/>
            {walls}
            <body name="pusher" pos="{factors["pusher_x"]} {factors["pusher_y"]} 0.045">
              <joint name="pusher_x" type="slide" axis="1 0 0" damping="1"/>
              <joint name="pusher_y" type="slide" axis="0 1 0" damping="1"/>
              <geom name="pusher" type="cylinder" size="{PUSHER_RADIUS} .04" mass="1" friction=".3"
                    rgba=".93 .93 .95 1"/>
            </body>
            {objects}
          </worldbody>
          <actuator>
            <velocity joint="pusher_x" kv="60" forcerange="-15 15"/>
            <velocity joint="pusher_y" kv="60" forcerange="-15 15"/>
          </actuator>
        </mujoco>"""

    def loaded(self) -> None:
        self._pusher = self.model.geom("pusher").id
        slots = [slot for slot in range(SLOTS) if self.factors[f"object{slot}_present"]]
        self._objects = {slot: self.model.geom(f"object{slot}").id for slot in slots}
        self._is_object = np.isin(np.arange(self.model.ngeom), list(self._objects.values()))
        self._bodies = self.model.geom_bodyid[list(self._objects.values())]

    def act(self, action: np.ndarray) -> None:
        self.data.ctrl[:] = action * MAX_SPEED
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

    def detect(self) -> dict[str, bool]:
        _, forces, others = self.contacts(self._pusher)
        speed_squared = (self.data.cvel[self._bodies, 3:] ** 2).sum(axis=1)
        asked = float(np.hypot(*self.data.ctrl))
        return {
            "contact": bool((forces[self._is_object[others]] > TOUCHING).any()),
            "moved": bool((speed_squared > MOVING**2).any()),
            "collided": bool(self._is_object[self.data.contact.geom].all(axis=1).any()),
            "blocked": asked > 0.1 and float(np.hypot(*self.data.qvel[:2])) < 0.3 * asked,
        }

    def outcome(self) -> np.ndarray:
        places, turns = np.zeros((SLOTS, 2)), np.zeros((SLOTS, 2))
        for slot, geom in self._objects.items():
            places[slot] = self.data.geom_xpos[geom, :2]
            if self.factors[f"object{slot}_box"]:
                forward = self.data.geom_xmat[geom].reshape(3, 3)[:2, 0]
                yaw = np.arctan2(forward[1], forward[0])
                turns[slot] = np.cos(2 * yaw), np.sin(2 * yaw)
        return np.concatenate([places.ravel(), self.pusher_position(), quadrants(self.touch()), turns.ravel()])

    def pusher_position(self) -> np.ndarray:
        """``(x, y)`` in metres, the table's centre being the origin."""
        return np.array(self.data.geom_xpos[self._pusher, :2])

    def object_position(self, slot: int) -> np.ndarray:
        """``(x, y)`` in metres of the object in one colour slot."""
        return np.array(self.data.geom_xpos[self._objects[slot], :2])

    def present(self) -> list[int]:
        """Colour slots that hold an object in this scene."""
        return list(self._objects)

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pushes through random objects from random sides at random speeds, wandering in between."""
        plan: dict[str, np.ndarray | int | float] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Push)
            if int(plan["left"]) <= 0:
                plan["left"] = int(rng.integers(4, 16))
                plan["speed"] = _speed(rng)
                plan["slot"] = int(rng.choice(world.present())) if rng.random() < 0.75 else -1
                plan["aim"] = rng.normal(0, 0.03, 2)
                plan["heading"] = rng.uniform(-np.pi, np.pi)
            plan["left"] = int(plan["left"]) - 1
            if int(plan["slot"]) >= 0:
                towards = world.object_position(int(plan["slot"])) + plan["aim"] - world.pusher_position()
                heading = np.arctan2(towards[1], towards[0]) + rng.normal(0, 0.15)
            else:
                plan["heading"] = float(plan["heading"]) + rng.normal(0, 0.25)
                heading = float(plan["heading"])
            command = float(plan["speed"]) * np.array([np.cos(heading), np.sin(heading)])
            return np.clip(command, -1, 1).astype(np.float32)

        return policy


def quadrants(touch: np.ndarray) -> np.ndarray:
    """Taxel forces ``(..., 1, 8)`` in newtons to log-scaled pressure from east, north, west, south ``(..., 4)``."""
    ring = np.log1p(np.maximum(touch[..., 0, :], 0) / 0.5)
    sides = 0.5 * (np.roll(ring, 1, axis=-1) + np.roll(ring, -1, axis=-1))
    return (ring + sides)[..., ::2]


def _speed(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.25, 1.0))


def _rgb(colour: tuple[float, ...]) -> str:
    return " ".join(f"{min(max(c, 0), 1):.4f}" for c in colour)


def _object(slot: int, factors: Mapping[str, float]) -> str:
    prefix = f"object{slot}_"
    radius, shade = factors[prefix + "radius"], factors[prefix + "shade"]
    box = bool(factors[prefix + "box"])
    size = f"{radius} {radius * 0.65} 0.035" if box else f"{radius * 0.9} 0.035"
    colour = tuple(c + shade for c in HUES[COLOURS[slot]])
    return f"""
      <body name="object{slot}" pos="{factors[prefix + "x"]} {factors[prefix + "y"]} 0.035"
            euler="0 0 {np.rad2deg(factors[prefix + "yaw"])}">
        <freejoint/>
        <geom name="object{slot}" type="{"box" if box else "cylinder"}" size="{size}"
              mass="{factors[prefix + "mass"]}" friction="{factors[prefix + "friction"]} .005 .0001" priority="1"
              rgba="{_rgb(colour)} 1"/>
      </body>"""


def _push_skill(slot: int, direction: str) -> Skill:
    colour = COLOURS[slot]
    step = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "away": (0.0, 1.0), "closer": (0.0, -1.0)}[direction]
    way = {"left": "to the left", "right": "to the right", "away": "away from me", "closer": "closer to me"}[direction]
    aim = np.array(step)

    def make(world: World, rng: np.random.Generator) -> Policy:
        side = float(rng.choice([-1, 1]))

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Push)
            if slot not in world.present():
                return np.zeros(2, np.float32)
            target = world.object_position(slot)
            offset = world.pusher_position() - target
            along, across = float(offset @ aim), float(offset @ np.array([-aim[1], aim[0]]))
            if along < -0.05 and abs(across) < 0.02:
                command = aim * 0.7 - np.array([-aim[1], aim[0]]) * across * 8
            else:
                behind = target - aim * 0.13
                if along > -0.09 and abs(across) < 0.12:
                    behind = target + side * np.array([-aim[1], aim[0]]) * 0.16 - aim * 0.1
                command = (behind - world.pusher_position()) * 8
            length = float(np.linalg.norm(command))
            return np.clip(command / max(length, 1.0), -1, 1).astype(np.float32)

        return policy

    instructions = (
        f"push the {colour} object {way}",
        f"move the {colour} one {way}",
        f"shove the {colour} thing {way}",
        f"make the {colour} object slide {way}",
    )
    return Skill(instructions, make, possible=lambda world: isinstance(world, Push) and slot in world.present())


Push.skills = {
    f"push_{colour}_{direction}": _push_skill(slot, direction)
    for slot, colour in enumerate(COLOURS)
    for direction in ("left", "right", "away", "closer")
}
