"""TwoRoom: a dot, two rooms, and a door between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from nextstate.worlds.adapters.stable_worldmodel import environments
from nextstate.worlds.adapters.yardstick import Yardstick
from nextstate.worlds.base import Policy, World

WALL = 112.0
"""Where the wall stands, in pixels of the original's 224."""

DOORWAY = 12.0
"""Pixels from the middle of the wall within which the dot is in the door."""

INSIDE = (22.0, 202.0)
"""Coordinates that the dot can reach."""


class TwoRoom(Yardstick):
    """``swm/TwoRoom-v1`` of stable-worldmodel 0.1.1, as it comes: the dot moves up to 5 pixels of 224 a step.

    Command: velocity (right, down). Body: where the dot is, in pixels. Solved: the dot is within 16 pixels.
    """

    name = "tworoom"
    source = "stable-worldmodel's swm/TwoRoom-v1"
    action_size = 2
    proprio_size = 2
    max_steps = 80
    events = ("doorway",)
    outcome_groups = {"agent": ("agent_x", "agent_y")}
    headline = ("agent",)
    goal_within = {"agent": (2, 16.0)}
    read_directly = {"agent": ("proprio", lambda proprio: proprio)}

    def make(self) -> Any:
        return environments("two_room.env").TwoRoomEnv()

    def proprio(self) -> np.ndarray:
        return self.original.agent_position.numpy().copy()  # type: ignore[no-any-return]

    def outcome(self) -> np.ndarray:
        return self.proprio().astype(np.float64)

    def detect(self) -> dict[str, bool]:
        return {"doorway": abs(float(self.proprio()[0]) - WALL) < DOORWAY}

    def keep(self) -> np.ndarray:
        return self.outcome()

    def put(self, state: np.ndarray) -> None:
        self.original._set_state(state.astype(np.float32))

    def explore(self, rng: np.random.Generator) -> Policy:
        """Walks to one random spot after another, through the door where it must, more or less straight.

        Each walk has its own speed and its own noise, up to that of the original's collecting policy; at some spots
        it rests.
        """
        walk: dict[str, Any] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, TwoRoom)
            here = world.outcome()
            if walk["left"] <= 0:
                walk["goal"] = rng.uniform(*INSIDE, 2)
                walk["left"] = int(rng.integers(10, 60))
                walk["noise"] = float(rng.choice([0.1, 0.5, 2.0]))
                walk["speed"] = float(rng.uniform(0.5, 1.4))
            walk["left"] -= 1
            away = world.towards(here, walk["goal"])
            distance = float(np.linalg.norm(away))
            if distance < 4.0 and rng.random() < 0.3:
                walk["left"] = 0
            step = away / max(distance, 5.0) * walk["speed"] + rng.normal(0, walk["noise"], 2) * (distance > 4.0)
            return np.asarray(np.clip(step, -1, 1), np.float32)

        return policy

    def towards(self, here: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The straight way to a spot, or to the door if a wall is between, ``(2,)`` pixels."""
        if (here[0] > WALL) == (goal[0] > WALL):
            return np.asarray(goal - here)
        door = np.array([WALL, float(self.original.door_positions[0])])
        near = np.linalg.norm(door - here) < 10.5
        return np.asarray((goal if near else door) - here)
