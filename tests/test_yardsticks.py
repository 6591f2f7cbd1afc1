"""Public yardsticks: the originals, forkable and recordable; and what is said when they are not installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from nextstate.acting import attempt, make_tasks
from nextstate.acting.truth import TrueMiss
from nextstate.acting.ways import WAYS, Tools
from nextstate.data import open_cache
from nextstate.data.recording import Plan, record
from nextstate.errors import MissingExtraError, PlanningError, SettingsError, StateError
from nextstate.evaluation.oracle import Oracle
from nextstate.models.protocol import Beliefs
from nextstate.planning import Future, make_planner
from nextstate.worlds import YARDSTICKS, Snapshot, World, make_world, world_class
from nextstate.worlds.adapters.outside import part_of
from nextstate.worlds.adapters.pusht import TURN, WITHIN, PushT
from nextstate.worlds.adapters.pusht_coach import Fork

PACKAGES = {"gym_pusht": ("gym_pusht",), "cube": ("ogbench",), "reacher": ("stable_worldmodel", "dm_control")}
PACKAGES["cartpole"] = PACKAGES["reacher"]


def installed(name: str) -> bool:
    found = all(importlib.util.find_spec(package) for package in PACKAGES.get(name, ("stable_worldmodel", "pymunk")))
    return found and (name != "gym_pusht" or not importlib.util.find_spec("stable_worldmodel"))


ORIGINALS = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[pytest.mark.yardsticks, pytest.mark.skipif(not installed(name), reason="its extra is missing")],
        )
        for name in YARDSTICKS
    ],
)
TWOROOM = pytest.mark.skipif(not installed("tworoom"), reason="its extra is missing")


def explored(name: str, steps: int, seed: int = 5) -> World:
    world = make_world(name)
    world.reset(seed=seed)
    policy = world.explore(np.random.default_rng(seed))
    for _ in range(steps):
        world.advance_action(policy(world))
    return world


def continued(world: World, actions: np.ndarray) -> bytes:
    """Everything that a continuation yields, to the last bit."""
    seen = b""
    for action in actions:
        seen += b"".join(reading.tobytes() for reading in world.step(action)[0].values())
        seen += world.outcome().tobytes() + world.events_now().tobytes()
    return seen


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    program = (
        "import sys; sys.modules['stable_worldmodel'] = None\n"
        "from nextstate.worlds import make_world\n"
        "make_world('tworoom')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr and "nextstate[yardsticks]" in done.stderr
    with pytest.raises(MissingExtraError, match=r"nextstate\[some\].*then do this"):
        part_of("no_such_package.part", "some", "do this")


@pytest.mark.parametrize("name", YARDSTICKS)
def test_what_an_adapter_says_of_itself_holds_together(name: str) -> None:
    kind = world_class(name)
    assert kind.name == name and kind.senses == ("rgb", "proprio") and kind.events
    groups = kind.outcome_groups
    assert set(kind.goal_within) <= set(groups) and set(kind.headline) <= set(groups)
    assert all(len(groups[group]) % size == 0 for group, (size, _) in kind.goal_within.items())


def test_pusht_is_judged_as_the_original_judges() -> None:
    kind = world_class("pusht")
    world = kind.__new__(kind)
    here = np.array([100.0, 100.0, 200.0, 200.0, 0.1])
    assert world.miss(here, here) == 0.0
    together = here + np.array([0.8 * WITHIN, 0, 0, 0.8 * WITHIN, 0])
    assert world.miss(together, here) > 1.0, "disc and T share one distance"
    turned = here + np.array([0, 0, 0, 0, 2 * np.pi - 0.9 * TURN])
    assert world.miss(turned, here) == pytest.approx(0.9), "the short way round"


@pytest.mark.yardsticks
@pytest.mark.skipif(not installed("pusht"), reason="its extra is missing")
def test_pusht_shows_the_pictures_of_the_original() -> None:
    world = cast(PushT, explored("pusht", 7))
    assert np.array_equal(world.picture(), np.asarray(world.draw()))


@pytest.mark.yardsticks
@pytest.mark.skipif(not installed("pusht"), reason="its extra is missing")
def test_a_second_simulator_foresees_what_the_first_will_do() -> None:
    world = cast(PushT, explored("pusht", 9))
    world.fork.put(Fork.state(world.original))
    for action in np.random.default_rng(3).uniform(-0.5, 0.5, (12, 2)):
        world.advance_action(action.astype(np.float32))
        world.fork.step((float(action[0]), float(action[1])))
    foreseen = [*world.fork.disc.position, *world.fork.block.position, world.fork.block.angle % (2 * np.pi)]
    assert world.miss(np.array(foreseen), world.outcome()) < 0.1


@pytest.mark.yardsticks
@pytest.mark.skipif(not installed("pusht"), reason="its extra is missing")
def test_the_coach_holds_goals_that_exploring_does_not() -> None:
    world = cast(PushT, make_world("pusht"))
    held = {"coach": 0, "explore": 0}
    for number, task in enumerate(make_tasks(world, 8, seed=103)):
        for who in held:
            rng = np.random.default_rng(number)
            world.restore(task.instant.snapshot)
            policy = world.coach(task.wanted, rng) if who == "coach" else world.explore(rng)
            for _ in range(50):
                world.advance_action(policy(world))
            held[who] += world.miss(world.outcome(), task.wanted) <= 1
    assert held["coach"] >= 6 and held["explore"] <= 1, held


@ORIGINALS
def test_a_fork_continues_bit_for_bit(name: str) -> None:
    world = explored(name, 12)
    snapshot = world.snapshot()
    actions = np.random.default_rng(0).uniform(-1, 1, (6, world.action_size)).astype(np.float32)
    truth = continued(world, actions)
    world.restore(snapshot)
    assert continued(world, actions) == truth
    other = explored(name, 3, seed=9)
    other.restore(Snapshot.from_bytes(snapshot.to_bytes()))
    assert continued(other, actions) == truth
    assert continued(explored(name, 12), actions) == truth
    assert continued(explored(name, 12, seed=6), actions) != truth


@ORIGINALS
def test_it_senses_its_body_and_a_picture_that_changes(name: str) -> None:
    world = make_world(name)
    first, _ = world.reset(seed=1)
    assert first["rgb"].shape == (64, 64, 3) and first["proprio"].shape == (world.proprio_size,)
    last = explored(name, 40, seed=1).observe()
    assert np.abs(last["rgb"].astype(int) - first["rgb"]).max() > 20
    assert not np.array_equal(last["proprio"], first["proprio"])
    with pytest.raises(StateError, match="senses rgb and proprio"):
        make_world(name, modalities=["depth"])
    with pytest.raises(SettingsError, match="no options"):
        world.reset(seed=1, options={"factors": {}})


@ORIGINALS
def test_goals_are_reached_by_what_led_to_them(name: str) -> None:
    world = make_world(name)
    for task in make_tasks(world, 2, ahead=10):
        trial = attempt(world, WAYS["replay"](None, task), task, 10)  # type: ignore[arg-type]
        assert trial.misses[0] > 1 and trial.held and trial.misses[-1] == 0.0


@pytest.mark.yardsticks
@TWOROOM
def test_it_is_recorded_and_read_back(tmp_path: Path) -> None:
    record(Plan("tworoom", modalities=("rgb", "proprio"), steps=20), tmp_path / "data", 2, workers=1)
    cache = open_cache(tmp_path / "data")
    assert len(cache) == 2 and cache.world == "tworoom" and set(cache.state_spec) == {"rgb", "proprio"}


@pytest.mark.yardsticks
@TWOROOM
def test_planning_in_the_simulator_led_by_the_truth_gets_there() -> None:
    world = make_world("tworoom")
    simulator = Oracle(make_world("tworoom", modalities=["proprio"]))
    settings = {"horizon": 6, "block": 2, "every": 2}
    tools = Tools(simulator, simulator, make_planner("icem", candidates=24), settings=settings)
    task = make_tasks(world, 1, seed=2)[0]
    trial = attempt(world, WAYS["simulator"](tools, task), task, 40)
    assert not trial.died and trial.misses[-1] < trial.misses[0]


def test_true_distances_are_not_for_models() -> None:
    model = SimpleNamespace(spec=SimpleNamespace(name="some model"))
    imagined = SimpleNamespace(beliefs=Beliefs({}), model=model)
    with pytest.raises(PlanningError, match="only imagines"):
        TrueMiss(cast(World, None), np.zeros(2))(cast(Future, imagined))
