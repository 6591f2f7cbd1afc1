"""A pusher on a table among one to four objects whose mass and friction cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Skill
from nextstate.worlds.pusher import MOVING, PusherWorld
from nextstate.worlds.pusher import quadrants as quadrants
from nextstate.worlds.scene import COLOURS

SLOTS = len(COLOURS)


class Push(PusherWorld):
    """A velocity-controlled cylinder pushes boxes and discs over a walled table, seen from above.

    Command, body and skin are those of every `PusherWorld`.
    """

    name = "push"
    version = 2
    slots = SLOTS
    events = ("contact", "moved", "collided", "blocked")
    outcome_groups = {
        "objects": tuple(f"{colour}_{axis}" for colour in COLOURS for axis in "xy"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "turn": tuple(f"{colour}_{part}" for colour in COLOURS for part in ("cos2", "sin2")),
    }
    headline = ("objects", "body", "touch")
    goal_within = {"objects": (2, 0.03)}
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {"objects": Factor(1, SLOTS, integer=True), **pusher.LOOK, **pusher.object_factors(SLOTS)}

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        slots = rng.permutation(SLOTS)[: int(factors["objects"])]
        for slot in range(SLOTS):
            factors[f"object{slot}_present"] = float(slot in slots)
        things = {f"object{slot}": factors[f"object{slot}_radius"] * 1.3 for slot in slots}
        pusher.place_apart(rng, factors, {**things, "pusher": self.radius}, self.arena - 0.1)

    def scene(self, factors: Mapping[str, float]) -> str:
        objects = [pusher.sliding_object(slot, factors) for slot in range(SLOTS) if factors[f"object{slot}_present"]]
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
                    pusher.pusher_body(factors, self.radius),
                    *objects,
                ]
            ),
            actuator=pusher.PUSHER_ACTUATORS,
        )

    def detect(self) -> dict[str, bool]:
        asked = float(np.hypot(*self.data.ctrl))
        return {
            "contact": self.touching(),
            "moved": bool((self.speeds() > MOVING).any()),
            "collided": self.objects_touch(),
            "blocked": asked > 0.1 and float(np.hypot(*self.data.qvel[:2])) < 0.3 * asked,
        }

    def outcome(self) -> np.ndarray:
        turns = np.zeros((SLOTS, 2))
        for slot, geom in self._objects.items():
            if self.factors[f"object{slot}_box"]:
                forward = self.data.geom_xmat[geom].reshape(3, 3)[:2, 0]
                yaw = np.arctan2(forward[1], forward[0])
                turns[slot] = np.cos(2 * yaw), np.sin(2 * yaw)
        return np.concatenate(
            [self.positions().ravel(), self.pusher_position(), quadrants(self.touch()), turns.ravel()]
        )


DIRECTIONS = {
    "left": ((-1.0, 0.0), "to the left"),
    "right": ((1.0, 0.0), "to the right"),
    "away": ((0.0, 1.0), "away from me"),
    "closer": ((0.0, -1.0), "closer to me"),
}


def _skill(slot: int, direction: str) -> Skill:
    aim, way = DIRECTIONS[direction]
    colour = COLOURS[slot]
    instructions = (
        f"push the {colour} object {way}",
        f"move the {colour} one {way}",
        f"shove the {colour} thing {way}",
        f"make the {colour} object slide {way}",
    )
    return pusher.pushing_skill(instructions, slot, lambda world, spot: np.array(aim))


Push.skills = {
    f"push_{colour}_{direction}": _skill(slot, direction)
    for slot, colour in enumerate(COLOURS)
    for direction in DIRECTIONS
}
