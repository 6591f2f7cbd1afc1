"""A pusher takes objects under a screen, where they go on existing unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.pusher import MOVING, PusherWorld, quadrants
from nextstate.worlds.scene import COLOURS

SLOTS = 3
CAMERA_HEIGHT = 1.35
SCREEN_HEIGHT = 0.13
OBJECT_HALF_HEIGHT = 0.035


class Occlude(PusherWorld):
    """A pusher moves one to three objects on a table, part of which a screen above it hides from view.

    Nothing touches the screen: what is pushed under it goes on as before, and only skin and body tell.
    `hidden` means that no point of an object can be seen for the screen; `emerged` that an object that was
    hidden before is out of its shadow entirely.
    """

    name = "occlude"
    slots = SLOTS
    events = ("contact", "moved", "collided", "hidden", "emerged")
    outcome_groups = {
        "objects": tuple(f"{colour}_{axis}" for colour in COLOURS[:SLOTS] for axis in "xy"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "hidden": tuple(f"{colour}_hidden" for colour in COLOURS[:SLOTS]),
    }
    headline = ("objects", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {
        "objects": Factor(1, SLOTS, integer=True),
        "screen_x": Factor(-0.12, 0.12),
        "screen_y": Factor(-0.12, 0.12),
        "screen_half_width": Factor(0.11, 0.17, held_out=(0.135, 0.145)),
        "screen_half_height": Factor(0.11, 0.17),
        "screen_shade": Factor(-0.1, 0.1),
        **pusher.LOOK,
        **pusher.object_factors(SLOTS),
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        slots = rng.permutation(SLOTS)[: int(factors["objects"])]
        for slot in range(SLOTS):
            factors[f"object{slot}_present"] = float(slot in slots)
        middle, half = _screen(factors)

        def in_sight(spot: np.ndarray) -> bool:
            return bool((np.abs(spot - middle) > half).any())

        things = {f"object{slot}": factors[f"object{slot}_radius"] * 1.3 for slot in slots}
        pusher.place_apart(rng, factors, {**things, "pusher": self.radius}, self.arena - 0.1, in_sight)

    def scene(self, factors: Mapping[str, float]) -> str:
        (x, y), (width, height) = _screen(factors)
        screen = scene.rgb(tuple(c + factors["screen_shade"] for c in (0.5, 0.42, 0.6)))
        objects = [pusher.sliding_object(slot, factors) for slot in range(SLOTS) if factors[f"object{slot}_present"]]
        return scene.document(
            size=self.size,
            option=f'timestep="{self.timestep}" {pusher.OPTION}',
            light=factors["light"],
            geom='condim="3" solref=".02 1"',
            camera=f'pos="0 0 {CAMERA_HEIGHT}" fovy="41"',
            body="".join(
                [
                    scene.table(factors),
                    scene.walls(self.arena),
                    f'<geom name="screen" type="box" pos="{x} {y} {SCREEN_HEIGHT}" size="{width} {height} .004" '
                    f'rgba="{screen} 1" contype="0" conaffinity="0"/>',
                    pusher.pusher_body(factors, self.radius),
                    *objects,
                ]
            ),
            actuator=pusher.PUSHER_ACTUATORS,
        )

    def loaded(self) -> None:
        super().loaded()
        self._outlines = {slot: _outline(slot, self.factors) for slot in self._objects}

    def begin(self) -> None:
        self.memory["was_hidden"] = np.zeros(SLOTS, bool)

    def act(self, action: np.ndarray) -> None:
        super().act(action)
        self.memory["was_hidden"] |= self.covered() == 1.0

    def covered(self) -> np.ndarray:
        """Share of each object's outline that the screen hides, ``(slots,)``; zero where a slot is empty."""
        middle, half = _screen(self.factors)
        shares = np.zeros(SLOTS)
        for slot, geom in self._objects.items():
            points = self._outlines[slot] @ self.data.geom_xmat[geom].reshape(3, 3).T + self.data.geom_xpos[geom]
            # Where the ray from the camera to the point crosses the screen.
            reach = (CAMERA_HEIGHT - SCREEN_HEIGHT) / (CAMERA_HEIGHT - points[:, 2:])
            shares[slot] = (np.abs(points[:, :2] * reach - middle) < half).all(axis=1).mean()
        return shares

    def detect(self) -> dict[str, bool]:
        covered = self.covered()
        return {
            "contact": self.touching(),
            "moved": bool((self.speeds() > MOVING).any()),
            "collided": self.objects_touch(),
            "hidden": bool((covered == 1.0).any()),
            "emerged": bool((self.memory["was_hidden"] & (covered == 0.0)).any()),
        }

    def outcome(self) -> np.ndarray:
        return np.concatenate(
            [
                self.positions().ravel(),
                self.pusher_position(),
                quadrants(self.touch()),
                self.covered() == 1.0,
            ]
        )

    def screen_middle(self) -> np.ndarray:
        """``(x, y)`` in metres on the table of the middle of what the screen hides."""
        return under_screen(self.factors)

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pushes objects under the screen or on through it, and pushes about at random in between."""
        about = super().explore(rng)
        plan: dict[str, Any] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Occlude)
            if plan["left"] <= 0:
                slot = int(rng.choice(world.present()))
                plan["goal"] = world.screen_middle() + rng.normal(0, 0.04, 2)
                plan["aim"] = _direction(plan["goal"] - world.object_position(slot), rng)
                plan["slot"], plan["side"], plan["speed"] = slot, rng.choice([-1.0, 1.0]), rng.uniform(0.4, 1.0)
                plan["through"] = rng.random() < 0.4
                plan["random"] = rng.random() < 0.25
                plan["left"] = int(rng.integers(5, 12) if plan["random"] else rng.integers(15, 35))
            plan["left"] -= 1
            if plan["random"]:
                return about(world)
            beyond = (world.object_position(plan["slot"]) - plan["goal"]) @ plan["aim"]
            if beyond > (0.3 if plan["through"] else -0.01):
                plan["left"] = 0
            return pusher.push_along(world, plan["slot"], plan["aim"], plan["side"], plan["speed"])

        return policy


def under_screen(factors: Mapping[str, float]) -> np.ndarray:
    """``(x, y)`` in metres on the table of the middle of what the screen hides."""
    return np.asarray(_screen(factors)[0] * CAMERA_HEIGHT / (CAMERA_HEIGHT - SCREEN_HEIGHT))


def _screen(factors: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    middle = np.array([factors["screen_x"], factors["screen_y"]])
    return middle, np.array([factors["screen_half_width"], factors["screen_half_height"]])


def _outline(slot: int, factors: Mapping[str, float]) -> np.ndarray:
    radius = factors[f"object{slot}_radius"]
    if factors[f"object{slot}_box"]:
        flat = np.array([(x * radius, y * radius * 0.65) for x in (-1, 1) for y in (-1, 1)])
    else:
        angles = np.arange(16) * np.pi / 8
        flat = 0.9 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rims = [np.column_stack([flat, np.full(len(flat), z)]) for z in (-OBJECT_HALF_HEIGHT, OBJECT_HALF_HEIGHT)]
    return np.concatenate(rims)


def _direction(towards: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = float(np.linalg.norm(towards))
    if length < 0.05:
        angle = rng.uniform(-np.pi, np.pi)
        return np.array([np.cos(angle), np.sin(angle)])
    return towards / length


def _hide(slot: int) -> Skill:
    colour = COLOURS[slot]
    instructions = (
        f"push the {colour} object under the screen",
        f"hide the {colour} one under the cover",
        f"make the {colour} thing disappear beneath the screen",
        f"put the {colour} object where I cannot see it",
    )

    def make(world: World, rng: np.random.Generator) -> Policy:
        side = float(rng.choice([-1, 1]))

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Occlude)
            towards = world.screen_middle() - world.object_position(slot)
            if np.linalg.norm(towards) < 0.03:
                return np.zeros(2, np.float32)
            return pusher.push_along(world, slot, towards / np.linalg.norm(towards), side)

        return policy

    return Skill(instructions, make, pusher.holds(slot))


def _through(slot: int) -> Skill:
    colour = COLOURS[slot]
    instructions = (
        f"push the {colour} object under the screen and out on the other side",
        f"take the {colour} one through beneath the screen",
        f"shove the {colour} thing under the cover until it comes out again",
        f"slide the {colour} object all the way under the screen",
    )

    def make(world: World, rng: np.random.Generator) -> Policy:
        assert isinstance(world, Occlude)
        side = float(rng.choice([-1, 1]))
        aim = _direction(world.screen_middle() - world.object_position(slot), rng)

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Occlude)
            return pusher.push_along(world, slot, aim, side)

        return policy

    return Skill(instructions, make, pusher.holds(slot))


def _go_under() -> Skill:
    instructions = (
        "go under the screen",
        "move beneath the cover and wait there",
        "hide yourself under the screen",
        "drive to where I cannot see you",
    )

    def make(world: World, rng: np.random.Generator) -> Policy:
        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Occlude)
            return pusher.go_to(world, world.screen_middle())

        return policy

    return Skill(instructions, make)


Occlude.skills = {
    **{f"hide_{COLOURS[slot]}": _hide(slot) for slot in range(SLOTS)},
    **{f"through_{COLOURS[slot]}": _through(slot) for slot in range(SLOTS)},
    "go_under": _go_under(),
}
