"""Two bolts hold a ball; one of them lets it fall to the gate, the other into the pit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.board import DARK, BoardWorld, board, hand, sign_of, slab
from nextstate.worlds.pusher import MOVING, quadrants
from nextstate.worlds.trying import Way, trying

BOLT_Y, BOLT_HALF = 0.13, (0.065, 0.012)
KNOB_X, KNOB_HALF = 0.145, (0.011, 0.034)
"""Of a bolt that is shut, metres from the middle of the board; the knob stands on its outer end."""
TRAVEL = 0.13
GAP_Y = 0.31
"""Height at which the hand passes from one side to the other."""
LANE = (0.085, 0.21)
GATE_Y = -0.24
OPEN = 0.7
"""Radians from which the gate counts as open."""


class Chain(BoardWorld):
    """A ball rests on two bolts over a roof that parts two lanes: below one waits a gate, below the other a pit.

    The hand reaches the bolts' knobs only, from one side to the other through a gap between posts. Which bolt is drawn
    decides which way the ball rolls, and what is done cannot be undone: `lost` in the pit, or `solved` when the ball
    has swung the gate open and gone through.
    """

    name = "chain"
    slots = 1
    max_steps = 60
    events = ("contact", "drawn", "falling", "opened", "lost", "solved")
    outcome_groups = {
        "objects": ("ball_x", "ball_y"),
        "body": ("pusher_x", "pusher_y"),
        "touch": ("touch_east", "touch_north", "touch_west", "touch_south"),
        "bolts": ("bolt_left", "bolt_right"),
        "gate": ("gate_x", "gate_turn", "missing"),
    }
    headline = ("objects", "body", "touch", "bolts")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", quadrants),
    }
    factor_ranges = {
        "gate_right": Factor(0, 1, integer=True),
        "near_gate": Factor(0, 1),
        "bolt_friction": Factor(2.0, 4.0, held_out=(2.8, 3.2)),
        "ball_radius": Factor(0.032, 0.036),
        "ball_mass": Factor(0.15, 0.5, held_out=(0.28, 0.34)),
        "bolt_gap": Factor(0.017, 0.022),
        "bolt_shade": Factor(-0.1, 0.1),
        "ball_shade": Factor(-0.12, 0.12),
        "gate_shade": Factor(-0.1, 0.1),
        **pusher.LOOK,
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        # In four of five scenes the hand is nearer to the wrong bolt.
        side = sign_of(factors, "gate_right") * (1.0 if factors["near_gate"] > 0.8 else -1.0)
        factors["pusher_x"] = side * float(rng.uniform(0.12, 0.34))
        factors["pusher_y"] = float(rng.uniform(0.27, 0.38))
        radius, gap = factors["ball_radius"], factors["bolt_gap"]
        factors["ball_y"] = BOLT_Y + BOLT_HALF[1] + float(np.sqrt(radius**2 - gap**2)) + 0.001

    def scene(self, factors: Mapping[str, float]) -> str:
        right = sign_of(factors, "gate_right")
        inner, outer = LANE
        middle, half = (inner + outer) / 2, (outer - inner) / 2
        fixed = [
            # The roof that parts the lanes, and the lanes' walls.
            *(
                f'<geom type="capsule" size=".008" fromto="0 .03 .03 {side * 0.085} -.03 .03" rgba="{DARK} 1"/>'
                for side in (-1, 1)
            ),
            slab(0, -0.24, inner, 0.2),
            # Guards keep the hand from the ball itself.
            *(slab(side * 0.05, 0.195, 0.005, 0.04) for side in (-1, 1)),
            # Two posts, and between them a gap for the hand.
            slab(0, 0.235, 0.012, 0.025),
            slab(0, 0.405, 0.012, 0.045),
            *(slab(side * (outer + 0.125), -0.195, 0.125, 0.245) for side in (-1, 1)),
            slab(-right * middle, GATE_Y - 0.11, half, 0.1, 'rgba=".16 .12 .12 1"'),
        ]
        low, high = (-self.arena + self.radius, 0.09 + self.radius), (self.arena - self.radius,) * 2
        return board(
            factors,
            self.size,
            self.timestep,
            [
                hand(factors, self.radius, low, high),
                *fixed,
                _bolt("bolt_left", -1.0, factors),
                _bolt("bolt_right", 1.0, factors),
                _gate(right, factors),
                _ball(factors),
            ],
            pusher.PUSHER_ACTUATORS,
        )

    def loaded(self) -> None:
        super().loaded()
        self._bolts = self.model.jnt_qposadr[[self.model.joint(f"bolt_{side}").id for side in ("left", "right")]]
        self._gate = self.model.jnt_qposadr[self.model.joint("gate").id]

    def gate(self) -> np.ndarray:
        """``(x, y)`` in metres of the shut gate."""
        return np.array([sign_of(self.factors, "gate_right") * sum(LANE) / 2, GATE_Y])

    def drawn(self) -> np.ndarray:
        """How far the left and the right bolt are drawn, metres."""
        return np.array(self.data.qpos[self._bolts])

    def detect(self) -> dict[str, bool]:
        ball, opened = self.object_position(0), bool(self.data.qpos[self._gate] > OPEN)
        ours = np.sign(ball[0]) == np.sign(self.gate()[0])
        return {
            "contact": self.touching(),
            "drawn": bool((self.drawn() > 0.03).any()),
            "falling": bool(self.speeds()[0] > 5 * MOVING),
            "opened": opened,
            "lost": bool(not ours and ball[1] < -0.05),
            "solved": bool(ours and ball[1] < GATE_Y - 0.03),
        }

    def outcome(self) -> np.ndarray:
        ball = self.object_position(0)
        missing = 0.0 if ball[1] < GATE_Y - 0.03 else float(np.linalg.norm(ball - self.gate()))
        gate = [self.gate()[0], float(self.data.qpos[self._gate]), missing]
        return np.concatenate([ball, self.pusher_position(), quadrants(self.touch()), self.drawn(), gate])

    def explore(self, rng: np.random.Generator) -> Policy:
        """Draws one bolt or the other, or moves about."""
        return trying(rng, super().explore(rng), (_draw(-1.0), _draw(1.0), _about))


def _bolt(name: str, side: float, factors: Mapping[str, float]) -> str:
    shade = factors["bolt_shade"]
    wood = scene.rgb(tuple(c + shade for c in (0.72, 0.5, 0.25)))
    wide = (KNOB_X + KNOB_HALF[0] - factors["bolt_gap"]) / 2
    middle = side * (factors["bolt_gap"] + wide)
    return f"""
        <body name="{name}" pos="0 0 0" gravcomp="1">
          <joint name="{name}" type="slide" axis="{side} 0 0" range="0 {TRAVEL}" limited="true" damping="4"
                 armature=".5" frictionloss="{factors["bolt_friction"]}"/>
          {slab(middle, BOLT_Y, wide, BOLT_HALF[1], f'mass=".1" friction=".1" rgba="{wood} 1"')}
          {slab(side * KNOB_X, BOLT_Y + BOLT_HALF[1] + KNOB_HALF[1], *KNOB_HALF, f'mass=".05" rgba="{wood} 1"')}
        </body>"""


def _gate(side: float, factors: Mapping[str, float]) -> str:
    half = (LANE[1] - LANE[0]) / 2 - 0.012
    tint = scene.rgb(tuple(c + factors["gate_shade"] for c in (0.15, 0.62, 0.25)))
    return f"""
        <body name="gate" pos="{side * (LANE[1] - 0.012)} {GATE_Y} 0" gravcomp="1">
          <joint name="gate" type="hinge" axis="0 0 {side}" range="-1 92" limited="true" damping=".001"
                 frictionloss=".004"/>
          {slab(-side * half, 0, half, 0.008, f'mass=".03" rgba="{tint} 1"')}
        </body>"""


def _ball(factors: Mapping[str, float]) -> str:
    return f"""
        <body name="ball" pos="0 {factors["ball_y"]} .035">
          <joint type="slide" axis="1 0 0" damping=".02"/><joint type="slide" axis="0 1 0" damping=".02"/>
          <joint type="hinge" axis="0 0 1"/>
          <geom name="object0" type="sphere" size="{factors["ball_radius"]}" mass="{factors["ball_mass"]}"
                friction=".1" priority="1" rgba="{scene.hue("red", factors["ball_shade"])} 1"/>
        </body>"""


def _draw(way: float) -> Way:
    """Draws the bolt towards the gate (1) or towards the pit (-1)."""

    def make(world: World, rng: np.random.Generator) -> Policy:
        assert isinstance(world, Chain)
        side = way * sign_of(world.factors, "gate_right")
        depth, clear = BOLT_Y + 0.05 + float(rng.uniform(0, 0.012)), 0.28 + float(rng.uniform(0, 0.03))

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Chain)
            drawn = world.drawn()[int(side > 0)]
            here, x = world.pusher_position(), side * (0.095 + drawn)
            if drawn > 0.11:
                return np.zeros(2, np.float32)
            if abs(here[0] - x) < 0.03 and here[1] < depth + 0.03:
                return np.array([side, 0.0], np.float32)
            if side * here[0] < 0.05:
                # Through the gap.
                before = -side * here[0] > 0.06 and abs(here[1] - GAP_Y) > 0.01
                return pusher.go_to(world, np.array([-side * 0.09 if before else side * 0.09, GAP_Y]))
            if abs(here[0] - x) > 0.006 and here[1] > depth + 0.04:
                return pusher.go_to(world, np.array([x, clear + 0.02]))
            return pusher.go_to(world, np.array([x, depth]))

        return policy

    return make


def _about(world: World, rng: np.random.Generator) -> Policy:
    """To one place after another, above the bolts."""
    goal = rng.uniform((-0.4, 0.15), (0.4, 0.4))

    def policy(world: World) -> np.ndarray:
        nonlocal goal
        assert isinstance(world, Chain)
        if np.linalg.norm(world.pusher_position() - goal) < 0.03 or rng.random() < 0.06:
            goal = rng.uniform((-0.4, 0.15), (0.4, 0.4))
        return pusher.go_to(world, goal)

    return policy


Chain.skills = {
    "to_the_gate": Skill(
        (
            "draw the bolt that lets the ball fall to the gate",
            "make the ball open the gate",
            "let the ball roll to the green gate",
            "pull the bolt on the side of the gate",
        ),
        _draw(1.0),
    ),
    "to_the_pit": Skill(
        (
            "draw the bolt that lets the ball fall into the pit",
            "drop the ball into the hole",
            "let the ball roll away from the gate",
            "pull the bolt on the side of the pit",
        ),
        _draw(-1.0),
    ),
    "leave_it": Skill(
        ("move about and leave the ball alone", "wander over the bolts", "go here and there", "hover above"), _about
    ),
}
