"""What every world promises: Gymnasium's contract, same seed same bytes, bit-exact forks, named errors."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from nextstate.errors import ActionError, SnapshotError, StateError, UnknownNameError
from nextstate.worlds import HELD_OUT_SEED, WORLDS, Snapshot, World, make_world

ALL = pytest.mark.parametrize("name", WORLDS)
BARE: dict[str, World] = {}


def bare(name: str) -> World:
    """One world of each kind without pictures, shared by tests that reset it first."""
    return BARE.setdefault(name, make_world(name, modalities=["proprio", "touch"]))


def explored(name: str, steps: int, seed: int = 5, size: int = 64) -> World:
    """A world in the middle of an exploratory episode."""
    world = make_world(name, size)
    world.reset(seed=seed)
    policy = world.explore(np.random.default_rng(seed))
    for _ in range(steps):
        world.advance_action(policy(world))
    return world


def commands(name: str, steps: int, seed: int = 0) -> np.ndarray:
    shape = (steps, WORLDS[name].action_size)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def digest(world: World, actions: np.ndarray) -> str:
    """Of everything that a continuation yields, to the last bit."""
    seen = hashlib.sha256()
    for action in actions:
        for reading in world.step(action)[0].values():
            seen.update(reading.tobytes())
        seen.update(world.outcome().tobytes() + world.events_now().tobytes())
    seen.update(world.snapshot().to_bytes())
    return seen.hexdigest()


@ALL
@pytest.mark.filterwarnings("ignore:.*")
def test_gymnasium_accepts_it(name: str) -> None:
    check_env(make_world(name), skip_render_check=False)


@ALL
def test_same_seed_gives_the_same_bytes(name: str) -> None:
    assert digest(explored(name, 8), commands(name, 3)) == digest(explored(name, 8), commands(name, 3))
    assert digest(explored(name, 8), commands(name, 3)) != digest(explored(name, 8, seed=6), commands(name, 3))


@ALL
def test_a_fork_continues_bit_for_bit(name: str) -> None:
    world = explored(name, 15)
    snapshot = world.snapshot()
    truth = digest(world, commands(name, 6))
    world.restore(snapshot)
    assert digest(world, commands(name, 6)) == truth
    other = explored(name, 3, seed=9)
    other.restore(Snapshot.from_bytes(snapshot.to_bytes()))
    assert digest(other, commands(name, 6)) == truth


def test_a_fork_continues_bit_for_bit_in_another_process(tmp_path: Path) -> None:
    truth = {}
    for name in WORLDS:
        world = explored(name, 12)
        (tmp_path / name).write_bytes(world.snapshot().to_bytes())
        truth[name] = digest(world, commands(name, 5))
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_worlds import *\n"
        "for name in WORLDS:\n"
        "    world = make_world(name)\n"
        f"    world.restore(Snapshot.from_bytes((Path({str(tmp_path)!r}) / name).read_bytes()))\n"
        "    print(name, digest(world, commands(name, 5)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert dict(line.split() for line in done.stdout.splitlines()) == truth


@ALL
def test_branches_are_what_stepping_by_hand_yields(name: str) -> None:
    world = explored(name, 10)
    snapshot = world.snapshot()
    actions = commands(name, 6).reshape(2, 3, -1)
    branches = world.branch(snapshot, actions)
    assert branches.events.shape == (2, 3, len(world.events))
    for k in (1, 0):
        world.restore(snapshot)
        for t, action in enumerate(actions[k]):
            state = world.step(action)[0]
            for modality, reading in state.items():
                assert np.array_equal(branches.states[modality][k, t], reading), modality
            assert np.array_equal(branches.outcomes[k, t], world.outcome().astype(np.float32))
            assert np.array_equal(branches.events[k, t], world.events_now())


@ALL
def test_factors_are_recorded_and_can_be_set(name: str) -> None:
    world = bare(name)
    factors = world.reset(seed=3)[1]["factors"]
    assert all(kind.low <= factors[factor] <= kind.high for factor, kind in world.factor_ranges.items())
    middle = {f: float(round((k.low + k.high) / 2) if k.integer else k.high) for f, k in world.factor_ranges.items()}
    info = world.reset(seed=3, options={"factors": middle})[1]
    assert middle.items() <= info["factors"].items()
    assert world.snapshot().factors == info["factors"]


@ALL
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, HELD_OUT_SEED - 1))
def test_recording_never_draws_what_is_held_out(name: str, seed: int) -> None:
    factors = bare(name).sample_factors(seed)
    for factor, kind in WORLDS[name].factor_ranges.items():
        if kind.held_out:
            assert not kind.held_out[0] < factors[factor] < kind.held_out[1], factor


@ALL
def test_evaluation_draws_half_of_the_time_from_what_is_held_out(name: str) -> None:
    draws = [bare(name).sample_factors(HELD_OUT_SEED + seed) for seed in range(150)]
    banded = {factor: kind.held_out for factor, kind in WORLDS[name].factor_ranges.items() if kind.held_out}
    assert banded, "every world holds something out"
    for factor, (low, high) in banded.items():
        assert 0.35 < np.mean([low <= draw[factor] <= high for draw in draws]) < 0.65, factor


@ALL
def test_events_outcome_and_readings_fit_their_names(name: str) -> None:
    world = explored(name, 12)
    groups = world.outcome_groups
    outcome, state = world.outcome(), world.observe()
    assert outcome.shape == (sum(map(len, groups.values())),) and np.isfinite(outcome).all()
    assert set(world.headline) <= groups.keys() and world.read_directly.keys() <= groups.keys()
    assert world.observation_space.contains(state)
    starts = dict(zip(groups, np.cumsum([0, *map(len, groups.values())]), strict=False))
    for group, (modality, read) in world.read_directly.items():
        expected = outcome[starts[group] : starts[group] + len(groups[group])]
        assert np.allclose(read(state[modality][None, None])[0, 0], expected, atol=1e-4), group


@ALL
def test_event_times_are_when_an_event_was_first_the_case(name: str) -> None:
    world = bare(name)
    world.reset(seed=11)
    policy = world.explore(np.random.default_rng(11))
    seen = [world.events_now()]
    for _ in range(25):
        info = world.step(policy(world))[4]
        seen.append(world.events_now())
    for event, happened in zip(world.events, np.array(seen).T, strict=True):
        assert (event in info["event_times"]) == happened.any()
        if happened.any():
            assert info["event_times"][event] == pytest.approx(happened.argmax() / 10)


@ALL
def test_skills_have_words_and_move_the_body(name: str) -> None:
    world = bare(name)
    assert len(world.skills) >= 3
    for skill in world.skills.values():
        assert len(set(skill.instructions)) >= 4
        seed = next(s for s in range(50) if world.reset(seed=s) and skill.possible(world))
        before = world.reset(seed=seed)[0]["proprio"]
        policy = skill.make(world, np.random.default_rng(0))
        for _ in range(8):
            state = world.step(policy(world))[0]
        assert np.abs(state["proprio"] - before).max() > 0.005


@pytest.mark.parametrize("name", ["push", "drop", "collide", "occlude"])
def test_exploring_makes_every_event_happen(name: str) -> None:
    world = bare(name)
    missing = set(world.events)
    for seed in range(40):
        world.reset(seed=seed)
        policy = world.explore(np.random.default_rng(seed))
        for _ in range(world.max_steps):
            world.advance_action(policy(world))
        missing -= {event for event, time in zip(world.events, world.memory["event_times"], strict=True) if time > 0}
        if not missing:
            return
    raise AssertionError(f"never happened: {missing}")


@ALL
@settings(max_examples=15, deadline=None)
@given(value=st.sampled_from([np.nan, np.inf, -np.inf, 1.5, -2.0]), place=st.integers(0, 1))
def test_bad_commands_are_refused_and_change_nothing(name: str, value: float, place: int) -> None:
    world = bare(name)
    world.reset(seed=0)
    before = world.snapshot().to_bytes()
    action = np.zeros(world.action_size, np.float32)
    action[place] = value
    with pytest.raises(ActionError, match=name):
        world.step(action)
    with pytest.raises(ActionError, match="shape"):
        world.step(np.zeros(world.action_size + 1, np.float32))
    assert world.snapshot().to_bytes() == before


@ALL
def test_snapshots_of_other_worlds_and_versions_are_refused(name: str) -> None:
    world = bare(name)
    world.reset(seed=0)
    snapshot = world.snapshot()
    for wrong in (
        replace(snapshot, version=snapshot.version + 1),
        replace(snapshot, world="elsewhere"),
        replace(snapshot, state=snapshot.state[:-1]),
        replace(snapshot, factors={}),
    ):
        with pytest.raises(SnapshotError, match=name):
            world.restore(wrong)


def test_what_a_snapshot_remembers_cannot_be_misnamed() -> None:
    world = bare("push")
    world.reset(seed=0)
    whole = world.snapshot().to_bytes()
    place = whole.rindex(b"memory.event_times")
    with pytest.raises(SnapshotError, match="damaged"):
        Snapshot.from_bytes(whole[:place] + b"M" + whole[place + 1 :])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_snapshots_end_in_one_named_error(data: st.DataObject) -> None:
    bare("push").reset(seed=0)
    whole = bare("push").snapshot().to_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SnapshotError):
        Snapshot.from_bytes(whole[:place])
    try:
        # The archive has bytes that mean nothing here (dates); everything else is noticed.
        assert Snapshot.from_bytes(bytes(damaged)).to_bytes() == whole
    except SnapshotError as error:
        assert "damaged" in str(error)


def test_physics_that_diverges_is_told_and_not_begun_anew_in_silence() -> None:
    world = bare("push")
    world.reset(seed=3)
    before = world.snapshot()
    world.data.qvel[0] = 1e12
    with pytest.raises(StateError, match="physics diverged at step 0"):
        world.advance_action(np.zeros(2))
    world.restore(before)
    world.advance_action(np.zeros(2))


def test_unknown_names_are_named() -> None:
    world = bare("push")
    world.reset(seed=3)
    with pytest.raises(UnknownNameError, match="Did you mean 'touch'"):
        world.observe(["tuoch"])
    with pytest.raises(UnknownNameError, match="unknown factor 'red_masss'"):
        world.reset(seed=3, options={"factors": {"red_masss": 1.0}})
    with pytest.raises(UnknownNameError, match="Did you mean 'push'"):
        make_world("psuh")
    with pytest.raises(UnknownNameError, match="Did you mean 'touch'"):
        make_world("push", modalities=["tuoch"])
