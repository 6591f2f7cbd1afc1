"""The emblem: tip the bottle, and the liquid spreads, stains the cloth and ruins the motor."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from nextstate.worlds import Snapshot, make_world
from nextstate.worlds.spill import Spill
from nextstate.worlds.spill_policies import follow, push
from nextstate.worlds.spill_scene import BEADS, TILES

TOWARDS, AWAY = "tip_towards_motor", "tip_away_from_motor"


@pytest.fixture(scope="module")
def world() -> Spill:
    made = make_world("spill", modalities=["proprio", "touch"])
    assert isinstance(made, Spill)
    return made


def run(world: Spill, skill: str, seed: int, steps: int = 60) -> np.ndarray:
    """Events at every step of a skill ``(steps, E)``."""
    world.reset(seed=seed)
    policy = world.skills[skill].make(world, np.random.default_rng(seed))
    seen = []
    for _ in range(steps):
        world.advance_action(policy(world))
        seen.append(world.events_now())
    return np.array(seen)


def fallen(world: Spill) -> float:
    """1 when the bottle lies towards the motor, -1 away from it, 0 when it stands."""
    tilt = world.bottle_pose()[2]
    return float(np.sign(tilt)) * world.motor_side() if np.cos(tilt) < 0.5 else 0.0


def topples(world: Spill, seed: int, height: float, speed: float) -> bool:
    world.reset(seed=seed)
    policy = follow(lambda world, rng: push(world, world.motor_side(), height, speed, 12), np.random.default_rng(0))
    for _ in range(50):
        world.advance_action(policy(world))
    return fallen(world) != 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_left_alone_nothing_drifts_or_leaks(world: Spill, seed: int) -> None:
    world.reset(seed=seed)
    before = world.bottle_pose()
    for _ in range(world.max_steps):
        world.advance_action(np.zeros(2))
    assert np.abs(world.bottle_pose() - before).max() < 5e-4
    assert world.in_bottle().all() and not world.events_now().any()
    assert world.outcome()[-3:] == pytest.approx([0, 0, 1], abs=0.05)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_tipped_towards_the_motor_the_whole_chain_happens_in_order(world: Spill, seed: int) -> None:
    run(world, TOWARDS, seed, 80)
    times = world.memory["event_times"]
    assert world.events[0] == "toppled" and world.events[-1] == "motor_stopped"
    assert (np.diff(times) >= 0).all() and times[0] < times[-1], times
    assert fallen(world) == 1 and world.current() == 0


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_tipped_away_the_motor_stays_dry(world: Spill, seed: int) -> None:
    events = dict(zip(world.events, np.asarray(run(world, AWAY, seed).any(axis=0)), strict=True))
    assert events["toppled"] and events["spilled"]
    assert not events["motor_wet"] and not events["motor_stopped"] and fallen(world) == -1


def test_a_strong_high_push_topples_and_a_weak_or_low_one_does_not(world: Spill) -> None:
    seeds = range(4)
    assert all(topples(world, seed, 0.15, 1.0) for seed in seeds)
    assert not any(topples(world, seed, 0.15, 0.2) for seed in seeds)
    assert not any(topples(world, seed, 0.04, 0.5) for seed in seeds)


@pytest.mark.parametrize("skill", ["push_without_tipping", "touch_gently", "keep_away"])
def test_careful_skills_do_what_they_say(world: Spill, skill: str) -> None:
    for seed in range(5):
        world.reset(seed=seed)
        start = world.bottle_pose()[0]
        policy = world.skills[skill].make(world, np.random.default_rng(seed))
        felt = 0.0
        for _ in range(60):
            world.advance_action(policy(world))
            felt = max(felt, float(world.touch().max()))
        moved = abs(world.bottle_pose()[0] - start)
        assert fallen(world) == 0 and not world.events_now().any()
        assert (felt > 0.05) == (skill != "keep_away")
        assert (moved > 0.008) == (skill == "push_without_tipping")


def test_no_bead_is_lost_and_none_passes_through_glass(world: Spill) -> None:
    for seed in range(3):  # Seen at every step of physics: a bead enters and leaves through the mouth only.
        world.reset(seed=seed)
        policy = world.explore(np.random.default_rng(seed))
        inside = world.in_bottle()
        for _ in range(world.max_steps):
            world.data.ctrl[:2] = 0.4 * policy(world)
            for _ in range(world.substeps):
                mujoco.mj_step(world.model, world.data)
                x, z, tilt = world.bottle_pose()
                up = (world.bead_positions() - (x, z)) @ (np.sin(tilt), np.cos(tilt))
                crossing = inside != world.in_bottle()
                assert (up[crossing] > 0.06).all()
                inside = world.in_bottle()
        assert world.liquid()[-1] == pytest.approx(1 - inside.sum() / BEADS)
        assert world.liquid()[:-1].sum() <= world.liquid()[-1] + 1e-9


def test_a_fork_in_the_middle_of_a_spill_carries_stains_along() -> None:
    world = make_world("spill")
    assert isinstance(world, Spill)
    world.reset(seed=4)
    policy = world.skills[TOWARDS].make(world, np.random.default_rng(4))
    while not 0 < world.memory["stain"].max() < 0.9:
        world.advance_action(policy(world))
    snapshot = Snapshot.from_bytes(world.snapshot().to_bytes())
    truth = [world.step(np.zeros(2))[0] for _ in range(6)]
    final = world.snapshot().to_bytes()
    other = make_world("spill")
    run(other, AWAY, 7, 3)  # type: ignore[arg-type]
    for fork in (other, world):
        fork.restore(snapshot)
        for state in truth:
            again = fork.step(np.zeros(2))[0]
            assert all(np.array_equal(state[name], again[name]) for name in state)
        assert fork.snapshot().to_bytes() == final
    assert world.memory["stain"].shape == (TILES,) and world.memory["stain"].max() > 0.5


def test_a_new_episode_starts_with_a_clean_cloth(world: Spill) -> None:
    run(world, TOWARDS, 5, 40)
    stained = world.model.geom_rgba[world._tiles].copy()
    world.reset(seed=5)
    assert world.memory["stain"].max() == 0 and world.memory["wetness"] == 0
    assert np.abs(world.model.geom_rgba[world._tiles] - stained).max() > 0.1


def test_exploring_topples_about_half_of_the_bottles(world: Spill) -> None:
    happened = np.zeros(len(world.events))
    episodes = 24
    for seed in range(100, 100 + episodes):
        world.reset(seed=seed)
        policy = world.explore(np.random.default_rng(seed))
        for _ in range(world.max_steps):
            world.advance_action(policy(world))
        happened += ~np.isnan(world.memory["event_times"])
    share = dict(zip(world.events, happened / episodes, strict=True))
    assert 0.35 < share["toppled"] < 0.65 and 0.35 < share["spilled"] < 0.65, share
    assert share["cloth_stained"] > 0.2 and share["motor_wet"] > 0.12, share
