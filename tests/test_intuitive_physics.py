"""Drop, collide and occlude do what their factors say, and what was pushed out of sight goes on existing."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from nextstate.worlds.collide import PUCK, TARGET, Collide
from nextstate.worlds.drop import Drop
from nextstate.worlds.drop_scene import OPENING
from nextstate.worlds.occlude import Occlude


@pytest.mark.parametrize("restitution", [0.3, 0.6, 0.8])
def test_a_ball_rebounds_by_its_restitution(restitution: float) -> None:
    world = Drop(modalities=["proprio"])
    for mass in (0.1, 0.7):
        factors = {"ball": 1, "restitution": restitution, "mass": mass, "order": 0, "holder_x": 0.31, "holder_z": 0.6}
        world.reset(seed=0, options={"factors": factors})
        world.data.ctrl[2:] = OPENING
        speeds = []
        for _ in range(700):
            mujoco.mj_step(world.model, world.data)
            speeds.append(world.data.joint("object_z").qvel[0])
        impact = int(np.argmin(speeds))
        rebound = max(speeds[impact : impact + 30])
        assert rebound / -speeds[impact] == pytest.approx(restitution, abs=0.12)


def test_a_collision_keeps_momentum_and_shows_the_hidden_mass() -> None:
    world = Collide(modalities=["proprio"])
    gained = []
    for mass in (0.1, 0.4, 1.4):
        places = {"puck_x": -0.2, "puck_y": 0.1, "target_x": 0.05, "target_y": 0.1, "pusher_x": -0.3, "pusher_y": -0.3}
        masses = {"puck_mass": 0.4, "target_mass": mass, "restitution": 0.8, "drag": 0.1}
        world.reset(seed=0, options={"factors": {**places, **masses}})
        world.data.qvel[world._velocities[0]] = 0.7
        while not world.events_now()[world.events.index("collided")]:
            before = world.velocity(PUCK)
            world.advance_action(np.zeros(2))
        puck, target = world.velocity(PUCK), world.velocity(TARGET)
        assert 0.4 * puck[0] + mass * target[0] == pytest.approx(0.4 * before[0], rel=0.05)
        assert target[0] - puck[0] == pytest.approx(0.8 * before[0], rel=0.08)
        gained.append(target[0])
    assert gained[0] > gained[1] > gained[2]


def test_what_is_hidden_goes_on_existing() -> None:
    """Under the screen no pixel shows the object any more, yet it is there, is felt, and comes out again."""
    world = Occlude()
    for seed in range(30):
        world.reset(seed=seed)
        skill = world.skills["through_red"]
        if not skill.possible(world):
            continue
        policy, hidden = skill.make(world, np.random.default_rng(0)), False
        for _ in range(world.max_steps):
            state = world.step(policy(world))[0]
            redness = state["rgb"].astype(int) @ [1, -1, -1]
            if world.covered()[0] == 1.0:
                hidden |= bool(redness.max() < 0 and state["touch"].sum() > 0.05)
            elif hidden and world.covered()[0] == 0.0:
                assert world.events_now()[world.events.index("emerged")] and redness.max() > 0
                return
    raise AssertionError("nothing went through under the screen")
