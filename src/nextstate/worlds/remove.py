"""A plank with a load stands on three blocks; one of the outer two can be pulled without its falling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.board import BoardWorld, board, hand, planar, sign_of, slab, turn_of
from nextstate.worlds.pusher import MOVING, quadrants
from nextstate.worlds.trying import Way, trying

GROUND = -0.3
BLOCK_HALF = (0.022, 0.07)
SPACING = 0.13
FOOT, KNOB_HALF = 0.165, (0.011, 0.045)
"""How far a block's foot reaches outwards from its middle; the knob stands on its end."""
PLANK_HALF = (0.165, 0.012)
PULLED = 0.07
"""Metres outwards from which a block counts as pulled."""
TILTED = 0.12
"""Radians from which the plank no longer stands."""
SLOTS = 3


class Remove(BoardWorld):
    """Three blocks carry a plank with a heavy load off its middle; the outer two have a foot with a knob.

    A hand behind a knob pulls its block away. What stays up depends on where the load is: `toppled` when its own
    block goes; `solved` while one block is pulled and the plank stands on the others, at rest.
    """

    name = "remove"
    timestep = 0.01
    slots = SLOTS
    max_steps = 60
    events = ("contact", "moved", "pulled", "toppled", "solved")
    outcome_groups = {
        "objects": ("left_x", "left_y", "middle_x", "middle_y", "right_x", "right_y"),
        "plank": ("plank_x", "plank_y", "plank_turn"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "goal": ("load_x", "missing"),
    }
    headline = ("objects", "plank", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {
        "load_right": Factor(0, 1, integer=True),
        "load_x": Factor(0.075, 0.12, held_out=(0.09, 0.1)),
        "load_half": Factor(0.028, 0.038),
        "load_mass": Factor(0.4, 0.9, held_out=(0.55, 0.7)),
        "near_load": Factor(0, 1),
        "block_mass": Factor(0.1, 0.25),
        "friction": Factor(0.3, 0.5, held_out=(0.38, 0.42)),
        "colour": Factor(0, 3, integer=True),
        "block_shade": Factor(-0.1, 0.1),
        "load_shade": Factor(-0.1, 0.1),
        **pusher.LOOK,
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        # In seven of ten scenes the hand is nearer to the block that carries the load.
        side = sign_of(factors, "load_right") * (1.0 if factors["near_load"] < 0.7 else -1.0)
        factors["pusher_x"] = side * float(rng.uniform(0.22, 0.38))
        factors["pusher_y"] = float(rng.uniform(-0.15, 0.1))

    def scene(self, factors: Mapping[str, float]) -> str:
        low, high = (-self.arena + self.radius, GROUND + self.radius), (self.arena - self.radius,) * 2
        return board(
            factors,
            self.size,
            self.timestep,
            [
                hand(factors, self.radius, low, high),
                slab(0, GROUND - 0.075, self.arena, 0.075, f'name="ground" friction="{factors["friction"]}"'),
                *(_block(slot, factors) for slot in range(SLOTS)),
                _plank(factors),
            ],
            pusher.PUSHER_ACTUATORS,
        )

    def loaded(self) -> None:
        super().loaded()
        self._plank = self.model.body("plank").id
        self._plank_geom = self.model.geom("plank").id

    def pulled(self) -> np.ndarray:
        """How far the left and the right block stand outside of where they stood, metres."""
        places = self.positions()[[0, 2], 0]
        return np.maximum(places * (-1, 1) - SPACING, 0.0)

    def plank(self) -> np.ndarray:
        """``(x, y)`` in metres of the plank's middle and its angle in radians."""
        return np.array([*self.data.xpos[self._plank, :2], turn_of(self.data.xmat[self._plank])])

    def detect(self) -> dict[str, bool]:
        _, y, turn = self.plank()
        level = GROUND + 2 * BLOCK_HALF[1] + PLANK_HALF[1]
        toppled = bool(abs(turn) > TILTED or y < level - 0.03)
        pulled = self.pulled() > PULLED
        still = float(np.abs(self.data.cvel[self._plank]).max()) < MOVING
        pairs = self.data.contact.geom
        under = pairs[(pairs == self._plank_geom).any(axis=1)]
        free = not any((under == self._objects[slot]).any() for slot, gone in zip((0, 2), pulled, strict=True) if gone)
        return {
            "contact": self.touching(),
            "moved": bool((self.speeds() > MOVING).any()),
            "pulled": bool(pulled.any()),
            "toppled": toppled,
            "solved": bool(pulled.any() and not toppled and still and free),
        }

    def outcome(self) -> np.ndarray:
        load = self.plank()[0] + sign_of(self.factors, "load_right") * self.factors["load_x"]
        more = [load, max(PULLED - float(self.pulled().max()), 0.0)]
        return np.concatenate(
            [self.positions().ravel(), self.plank(), self.pusher_position(), quadrants(self.touch()), more]
        )

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pulls one block or the other, or moves about."""
        return trying(rng, super().explore(rng), (_pull(-1.0), _pull(1.0), _about))


def _block(slot: int, factors: Mapping[str, float]) -> str:
    side = slot - 1.0
    tint = scene.rgb(tuple(c + factors["block_shade"] for c in (0.72, 0.5, 0.25)))
    wide, high = BLOCK_HALF
    grip = f'friction="{factors["friction"]}" rgba="{tint} 1"'
    foot = ""
    if side:
        middle = side * (FOOT + wide) / 2
        foot = slab(middle, 0.008 - high, (FOOT - wide) / 2, 0.008, f'mass=".03" {grip}')
        foot += slab(side * FOOT, KNOB_HALF[1] - high, *KNOB_HALF, f'mass=".02" {grip}')
    return f"""
        <body name="block{slot}" pos="{side * SPACING} {GROUND + high} 0">{planar(f"block{slot}")}
          {slab(0, 0, wide, high, f'name="object{slot}" mass="{factors["block_mass"]}" {grip}')}{foot}
        </body>"""


def _plank(factors: Mapping[str, float]) -> str:
    half, load = factors["load_half"], sign_of(factors, "load_right") * factors["load_x"]
    tint = scene.hue(scene.COLOURS[int(factors["colour"])], factors["load_shade"])
    grip = f'friction="{factors["friction"]}"'
    return f"""
        <body name="plank" pos="0 {GROUND + 2 * BLOCK_HALF[1] + PLANK_HALF[1]} 0">{planar("plank")}
          {slab(0, 0, *PLANK_HALF, f'name="plank" mass=".2" {grip} rgba=".86 .8 .68 1"')}
          {slab(load, PLANK_HALF[1] + half, half, half, f'mass="{factors["load_mass"]}" {grip} rgba="{tint} 1"')}
        </body>"""


def _pull(way: float) -> Way:
    """Pulls the block on the load's side (1) or on the other (-1)."""

    def make(world: World, rng: np.random.Generator) -> Policy:
        assert isinstance(world, Remove)
        side = way * sign_of(world.factors, "load_right")
        slot, speed = int(1 + side), float(rng.uniform(0.5, 0.9))
        over = float(rng.uniform(0, 0.06))

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Remove)
            here, block = world.pusher_position(), world.object_position(slot)
            x, deep = float(block[0] + side * 0.11), GROUND + 0.065
            if world.pulled()[int(side > 0)] > PULLED + 0.02:
                return np.zeros(2, np.float32)
            if side * (here[0] - block[0]) > 0.06 and side * (here[0] - block[0]) < 0.16 and here[1] < deep + 0.02:
                return np.array([side * speed, 0.0], np.float32)
            if abs(here[0] - x) < 0.012:
                return pusher.go_to(world, np.array([x, deep]))
            if abs(here[0] - x) < 0.12 and side * here[0] > 0.1:
                return pusher.go_to(world, np.array([x, max(here[1], -0.16)]))
            if here[1] < over - 0.02 and abs(here[0] - x) > 0.1:
                return pusher.go_to(world, np.array([here[0], over]))
            return pusher.go_to(world, np.array([x, over]))

        return policy

    return make


def _about(world: World, rng: np.random.Generator) -> Policy:
    """To one place after another."""
    goal = rng.uniform((-0.4, -0.22), (0.4, 0.3))

    def policy(world: World) -> np.ndarray:
        nonlocal goal
        assert isinstance(world, Remove)
        if np.linalg.norm(world.pusher_position() - goal) < 0.03 or rng.random() < 0.06:
            goal = rng.uniform((-0.4, -0.22), (0.4, 0.3))
        return pusher.go_to(world, goal)

    return policy


Remove.skills = {
    "pull_free": Skill(
        (
            "pull the block away from which the load is far",
            "take out a block so that the tower stays",
            "remove the block that carries little",
            "pull a block without the plank's falling",
        ),
        _pull(-1.0),
    ),
    "pull_loaded": Skill(
        (
            "pull the block under the load",
            "take out the block that carries most",
            "make the tower fall by pulling a block",
            "remove the block below the heavy thing",
        ),
        _pull(1.0),
    ),
    "leave_it": Skill(
        ("move about the tower", "wander around", "go here and there", "look at the tower from all sides"), _about
    ),
}
