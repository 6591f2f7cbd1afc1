"""The arm world: forkable to the bit, feeling what physics says, and doing what its skills are asked."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from nextstate.worlds import arm
from nextstate.worlds.base import contact_forces
from nextstate.worlds.grasp import Grasp
from nextstate.worlds.grasp_scene import NAMES, REACH_HIGH, REACH_LOW, TRAVEL


def run_skill(world: Grasp, name: str, seed: int, steps: int = 80) -> None:
    world.reset(seed=seed)
    policy = world.skills[name].make(world, np.random.default_rng(seed))
    for _ in range(steps):
        world.advance_action(policy(world))


def holding(world: Grasp) -> None:
    """Brings the world to an instant in the middle of an episode at which it holds an object aloft."""
    for seed in range(20):
        world.reset(seed=seed)
        slot = world.present()[0]
        run_skill(world, f"pick_{NAMES[slot]}", seed, steps=30)
        if world.events_now()[world.events.index("lifted")]:
            return
    raise AssertionError("no pick succeeded")


def seeds_with(world: Grasp, slots: set[int], count: int) -> list[int]:
    return [s for s in range(10 * count) if all(world.sample_factors(s)[f"object{n}_present"] for n in slots)][:count]


def test_gymnasium_accepts_it() -> None:
    check_env(Grasp(render_mode="rgb_array"))


def test_same_seed_gives_the_same_bytes() -> None:
    first, second = Grasp(), Grasp()
    first.reset(seed=7)
    second.reset(seed=3)
    policies = [world.explore(np.random.default_rng(7)) for world in (first, second)]
    before, after = first.reset(seed=7)[0], second.reset(seed=7)[0]
    for _ in range(12):
        for name in before:
            assert before[name].tobytes() == after[name].tobytes()
        before, after = (w.step(policy(w))[0] for w, policy in zip((first, second), policies, strict=True))


def test_a_restored_snapshot_continues_bit_for_bit_while_holding() -> None:
    world, other = Grasp(), Grasp()
    holding(world)
    snapshot = world.snapshot()
    actions = np.random.default_rng(0).uniform(-1, 1, (15, 4)).astype(np.float32)
    truth = [world.step(action) for action in actions]
    other.restore(type(snapshot).from_bytes(snapshot.to_bytes()))
    world.restore(snapshot)
    for fork in (world, other):
        for action, (state, _, _, _, info) in zip(actions, truth, strict=True):
            again, _, _, _, told = fork.step(action)
            assert all(state[name].tobytes() == again[name].tobytes() for name in state)
            assert told["events"] == info["events"]


def test_taxels_sum_to_contact_forces() -> None:
    world = Grasp(modalities=[])
    holding(world)
    pads = [contact_forces(world.model, world.data, world.model.geom(f"{side}_pad").id)[1].sum() for side in arm.SIDES]
    assert min(pads) > 1
    np.testing.assert_allclose([world.touch()[:, :4].sum(), world.touch()[:, 4:].sum()], pads, rtol=1e-9)


def test_what_is_read_directly_agrees_with_the_outcome() -> None:
    world = Grasp(modalities=["proprio", "touch"])
    holding(world)
    outcome, state, start = world.outcome(), world.observe(), 0
    for group, names in world.outcome_groups.items():
        if group in world.read_directly:
            modality, read = world.read_directly[group]
            np.testing.assert_allclose(read(state[modality]), outcome[start : start + len(names)], rtol=1e-4, atol=1e-5)
        start += len(names)
    assert start == outcome.size


def test_kinematics_undo_each_other() -> None:
    for spot in np.random.default_rng(0).uniform(REACH_LOW, REACH_HIGH, (50, 3)):
        np.testing.assert_allclose(arm.forward(arm.inverse(spot)), spot, atol=1e-9)


def test_letting_go_aloft_is_a_drop_and_the_fall_ends() -> None:
    world = Grasp(modalities=[])
    holding(world)
    seen = []
    for _ in range(20):
        world.advance_action(np.array([0, 0, 0, 1], np.float32))
        seen.append(dict(zip(world.events, world.events_now(), strict=True)))
    assert any(now["dropped"] for now in seen)
    assert not any(seen[-1][name] for name in ("dropped", "lifted", "grasped", "touched"))


@pytest.mark.parametrize("colour", NAMES)
def test_scripted_pick_lifts(colour: str) -> None:
    world, slot = Grasp(modalities=[]), NAMES.index(colour)
    lifted = []
    for seed in seeds_with(world, {slot}, 10):
        run_skill(world, f"pick_{colour}", seed, steps=45)
        lifted.append(slot in world.held() and world.bottom(slot) > 0.02)
    assert np.mean(lifted) >= 0.8


def test_scripted_place_stack_and_drawer_do_what_they_say() -> None:
    world = Grasp(modalities=[])
    stacked, placed, opened, closed = [], [], [], []
    for seed in seeds_with(world, {0, 2}, 6):
        run_skill(world, "stack_red_on_blue", seed)
        stacked.append(world.events_now()[world.events.index("stacked")])
        run_skill(world, "place_red_left", seed)
        placed.append(world.object_position(0)[0] < -0.09 and world.bottom(0) < 0.01)
        run_skill(world, "open_drawer", seed, steps=50)
        opened.append(world.drawer_opening() > TRAVEL / 2)
        run_skill(world, "close_drawer", seed, steps=50)
        closed.append(world.drawer_opening() < 0.02)
    assert np.mean(stacked) >= 0.5
    assert min(np.mean(placed), np.mean(opened), np.mean(closed)) >= 0.8


def test_exploration_makes_everything_happen() -> None:
    world = Grasp(modalities=[])
    seen = np.zeros(len(world.events))
    for seed in range(20):
        world.reset(seed=seed)
        policy = world.explore(np.random.default_rng(seed))
        for _ in range(80):
            world.advance_action(policy(world))
        seen += np.isfinite(world.memory["event_times"])
    assert (seen > 0).all()
    assert seen[world.events.index("grasped")] >= 6
    assert seen[world.events.index("lifted")] >= 6
