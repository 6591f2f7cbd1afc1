"""Push-T: a disc pushes a T over a plane."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np

from nextstate.worlds.adapters.outside import outside
from nextstate.worlds.adapters.pusht_coach import Fork, coach
from nextstate.worlds.adapters.stable_worldmodel import EXTRA, environments
from nextstate.worlds.adapters.yardstick import Yardstick
from nextstate.worlds.base import Policy, World

WITHIN, TURN = 20.0, np.pi / 9
"""Success of the original: disc and T together within 20 pixels of 512, the T turned by less than 20 degrees."""

REACH = 100.0
"""Pixels that a command of 1 is away from the disc."""

NEAR, FAR = 120.0, 180.0
"""Pixels from the middle of the T within which pushes begin, and beyond which the disc comes back."""


class Replayed(Yardstick):
    """Base of adapters whose simulator cannot be saved whole: it is brought back by doing again what was done.

    A pymunk space holds contacts that go on working in the next step, and that no copy of it takes along bit for bit.
    """

    def begun(self) -> None:
        self._done: list[np.ndarray] = []

    def act(self, action: np.ndarray) -> None:
        super().act(self.command(action))
        self._done.append(np.array(action, np.float64))

    def command(self, action: np.ndarray) -> np.ndarray:
        """A command in [-1, 1] as the original takes it."""
        return np.asarray(action, np.float64)

    def keep(self) -> np.ndarray:
        return np.reshape(self._done, -1)

    def put(self, state: np.ndarray) -> None:
        done = state.reshape(-1, self.action_size)
        before = np.reshape(self._done, (-1, self.action_size))
        # What was done so far may be how the kept episode began.
        if len(before) > len(done) or not np.array_equal(before, done[: len(before)]):
            self._begin(int(self.factors["seed"]))
            before = before[:0]
        for action in done[len(before) :]:
            self.act(action)


class PushT(Replayed):
    """``swm/PushT-v1`` of stable-worldmodel 0.1.1, as it comes; its green T is drawn and means nothing.

    Command: where the disc should go, from where it is, 1 is 100 pixels. Body: where the disc is and how fast.
    """

    name = "pusht"
    source = "stable-worldmodel's swm/PushT-v1"
    action_size = 2
    proprio_size = 4
    max_steps = 80
    events = ("contact",)
    outcome_groups = {
        "agent": ("agent_x", "agent_y"),
        "block": ("block_x", "block_y"),
        "turn": ("block_angle",),
    }
    headline = ("agent", "block")
    goal_within = {"agent": (2, WITHIN), "block": (2, WITHIN), "turn": (1, TURN)}
    read_directly = {"agent": ("proprio", lambda proprio: proprio[..., :2])}

    def make(self) -> Any:
        return environments("pusht.env").PushT()

    def picture(self) -> np.ndarray:
        # More than half of the time of a picture goes into taking it off its surface, byte by byte and backwards.
        with mock.patch("pygame.surfarray.pixels3d", taken_off):
            return np.asarray(self.draw())

    def draw(self) -> Any:
        """The original's picture, as the original draws it."""
        return self.original.render()

    def proprio(self) -> np.ndarray:
        return np.array([*self.original.agent.position, *self.original.agent.velocity])

    def outcome(self) -> np.ndarray:
        block = self.original.block
        return np.array([*self.original.agent.position, *block.position, block.angle % (2 * np.pi)])

    def detect(self) -> dict[str, bool]:
        return {"contact": bool(self.original.n_contact_points)}

    def miss(self, outcome: np.ndarray, wanted: np.ndarray) -> float:
        """As the original judges: disc and T share one distance."""
        gap = np.asarray(outcome, np.float64) - wanted
        turn = abs(gap[4]) % (2 * np.pi)
        return float(max(np.linalg.norm(gap[:4]) / WITHIN, min(turn, 2 * np.pi - turn) / TURN))

    def coach(self, wanted: np.ndarray, rng: np.random.Generator) -> Policy:
        """Tries pushes in a second simulator."""
        return coach(self.fork, wanted, rng)

    @cached_property
    def fork(self) -> Fork:
        """Where pushes are tried."""
        return Fork(self.make(), REACH)

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pushes through random points of the T from random sides, at random speeds, and wanders in between."""
        return pushing_through(rng)


def taken_off(surface: Any) -> np.ndarray:
    """What pygame's ``surfarray.pixels3d`` says of a surface of 32 bits, ``(w, h, 3)`` uint8, row after row in memory.

    The numbers are the same; only that copying them takes a fifth of the time.
    """
    words = np.ascontiguousarray(outside("pygame", EXTRA).surfarray.pixels2d(surface).T)
    parts = words.view(np.uint8).reshape(*words.shape, 4)
    copy = np.empty((*words.shape, 3), np.uint8)
    for colour, shift in enumerate(surface.get_shifts()[:3]):
        copy[..., colour] = parts[..., shift // 8 if sys.byteorder == "little" else 3 - shift // 8]
    return copy.swapaxes(0, 1)


def pushing_through(rng: np.random.Generator) -> Policy:
    """Of any adapter in which a disc and a T have an `outcome` that begins with where they are."""
    plan: dict[str, Any] = {"left": 0}

    def policy(world: World) -> np.ndarray:
        disc, block = world.outcome()[:2], world.outcome()[2:4]
        away = disc - block
        if plan["left"] <= 0:
            plan["left"] = int(rng.integers(3, 12))
            plan["speed"] = float(rng.uniform(0.15, 0.8))
            plan["aim"] = rng.normal(0, 35.0, 2)
            plan["kind"] = "push" if rng.random() < 0.6 else "round" if rng.random() < 0.7 else "wander"
            plan["side"] = float(rng.choice([-1, 1]))
            plan["heading"] = float(rng.uniform(-np.pi, np.pi))
        plan["left"] -= 1
        distance = float(np.linalg.norm(away))
        if distance > FAR or plan["kind"] == "push":
            way = block + plan["aim"] - disc
        elif plan["kind"] == "round":
            across = plan["side"] * np.array([-away[1], away[0]])
            way = across / max(distance, 1.0) + away / max(distance, 1.0) * (NEAR - distance) / 40.0
        else:
            plan["heading"] += rng.normal(0, 0.3)
            way = np.array([np.cos(plan["heading"]), np.sin(plan["heading"])])
        step = plan["speed"] * way / max(float(np.linalg.norm(way)), 1e-6) + rng.normal(0, 0.08, 2)
        inside = np.clip(disc + REACH * step, 20.0, 492.0)
        return np.asarray(np.clip((inside - disc) / REACH, -1, 1), np.float32)

    return policy
