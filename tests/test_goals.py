"""Goals in words and files, and acting on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextstate.commands.find import find_model
from nextstate.errors import PlanningError, StateError, UnknownNameError
from nextstate.evaluation.oracle import Oracle
from nextstate.evaluation.readout import Readout
from nextstate.models.folders import SHIPPED
from nextstate.planning import Cost, Future, SeenDistance, goal_from, make_planner
from nextstate.policies import Actor, Memory, Planned
from nextstate.worlds import World, make_world


@pytest.fixture(scope="module")
def readout() -> Readout:
    return Readout.load(SHIPPED / "push" / "readout.safetensors")


@pytest.fixture(scope="module")
def world() -> World:
    world = make_world("push")
    world.reset(seed=5)
    return world


def still(world: World) -> Future:
    """A future in which nothing is done for a step, of the true simulator."""
    from nextstate.imagination import reach

    oracle = Oracle(make_world("push"))
    belief = oracle.observe(reach(world, 5, 2).history(1, list(oracle.spec.modalities)))
    return Future(oracle, belief, oracle.imagine(belief, torch.zeros(1, 1, 2)), torch.zeros(1).long())


def test_a_goal_costs_nothing_where_it_is_reached(world: World, readout: Readout, tmp_path: Path) -> None:
    future = still(world)
    now = world.observe()
    path = tmp_path / "goal.png"
    Image.fromarray(now["rgb"]).save(path)
    x, y = now["proprio"][:2]
    spec = world.state_spec
    here = goal_from([str(path), f"proprio[0]={x},proprio[1]={y}"], spec)
    there = goal_from([f"proprio[0]={x + 0.1},proprio[1]={y}"], spec)
    assert here(future) < 1e-4 < 1e-3 < there(future)
    outcome = dict(zip([f"{c}_{a}" for c in ("red", "green") for a in "xy"], world.outcome()[:4], strict=True))
    near = goal_from([",".join(f"{n}={v}" for n, v in outcome.items())], spec, readout)
    far = goal_from([",".join(f"{n}={v + 0.2}" for n, v in outcome.items())], spec, readout)
    assert near(future) < far(future)
    touching, free = (goal_from([text], spec, readout) for text in ("contact", "not contact"))
    assert (touching(future) > free(future)) == (not world.events_now()[world.events.index("contact")])


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("missing.png", "cannot be opened"),
        ("proprio[9]=1", "has 4 numbers"),
        ("proprio[0]=far", "is no reading"),
        ("red_x=1", "no readout"),
        ("contact", "no readout"),
        ("what?", "neither a picture"),
    ],
)
def test_a_goal_that_cannot_be_read_is_named(world: World, goal: str, message: str) -> None:
    with pytest.raises(PlanningError, match=message):
        goal_from([goal], world.state_spec)


def test_pictures_of_another_size_and_unknown_names_are_refused(world: World, readout: Readout, tmp_path: Path) -> None:
    Image.new("RGB", (32, 48)).save(tmp_path / "small.png")
    with pytest.raises(PlanningError, match="32x48 pixels"):
        goal_from([str(tmp_path / "small.png")], world.state_spec)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(PlanningError, match="cannot be opened"):
        goal_from([str(tmp_path / "broken.png")], world.state_spec)
    for text in ("purple_x=1", "exploded"):
        with pytest.raises(UnknownNameError):
            goal_from([text], world.state_spec, readout)
    with pytest.raises(PlanningError, match="no goal"):
        goal_from([], world.state_spec)


@pytest.mark.parametrize("model", ["oracle", "push"])
def test_planning_closed_loop_gets_there(model: str) -> None:
    world = make_world("push")
    world.reset(seed=11)
    mind = find_model(model, world)
    x, y = world.observe()["proprio"][:2]
    target = np.array([x - np.sign(x) * 0.12, y])
    goal = goal_from([f"proprio[0]={target[0]},proprio[1]={target[1]}"], mind.spec.modalities)
    actor = Planned(mind, make_planner("icem", candidates=32, rounds=3, elites=6), goal, horizon=4, block=1, every=2)
    assert isinstance(actor, Actor)
    for _ in range(8):
        world.advance_action(actor.select_action(world.observe(), world.snapshot()))
    reached = world.observe()["proprio"][:2]
    assert np.linalg.norm(reached - target) < 0.03
    with pytest.raises(StateError, match="nothing was planned"):
        Planned(mind, make_planner("icem"), goal).confidence  # noqa: B018
    actor.reset()
    assert actor.found is None


def test_a_goal_of_another_world_is_refused_and_one_of_this_scene_is_not() -> None:
    world, other = make_world("push"), make_world("spill")
    eye = find_model("push", world)
    world.reset(seed=11)
    now = {name: torch.from_numpy(values)[None] for name, values in world.observe().items()}
    other.reset(seed=11)
    strange = {"rgb": torch.from_numpy(other.observe(["rgb"])["rgb"].copy())[None]}
    with pytest.raises(PlanningError, match="another world"):
        SeenDistance.of(eye, strange, now)
    policy = world.explore(np.random.default_rng(0))
    for _ in range(25):
        world.advance_action(policy(world))
    SeenDistance.of(eye, {"rgb": torch.from_numpy(world.observe(["rgb"])["rgb"].copy())[None]}, now)


def test_plans_know_how_much_of_the_way_they_make(readout: Readout) -> None:
    world = make_world("push")
    world.reset(seed=11)
    mind = Oracle(world)
    x, y = world.observe()["proprio"][:2]
    sure = []
    for far in (0.1, 0.4, 9.0):
        goal = goal_from([f"proprio[0]={x - np.sign(x) * far},proprio[1]={y}"], mind.spec.modalities)
        actor = Planned(mind, make_planner("icem", candidates=24, rounds=3, elites=4), goal, horizon=4, block=2)
        actor.select_action(world.observe(), world.snapshot())
        sure.append(actor.confidence)
    assert 1 >= sure[0] > 0.9 > sure[1] > sure[2] >= 0 and sure[2] < 0.1, sure
    here = Planned(
        mind, make_planner("icem", candidates=8, rounds=1), goal_from(["not contact"], world.state_spec, readout), 4
    )
    here.select_action(world.observe(), world.snapshot())
    assert here.confidence == 1, "who is there already has no way to go"


def test_an_instruction_is_a_goal_where_somebody_can_say_what_it_leads_to(world: World) -> None:
    asked: list[str] = []

    def said(text: str) -> Cost:
        asked.append(text)
        return goal_from(["proprio[0]=0.1"], world.state_spec)

    goal_from(["push the red block left"], world.state_spec, said=said)
    assert asked == ["push the red block left"]
    with pytest.raises(PlanningError, match="a model that outlines things"):
        goal_from(["push the red block left"], world.state_spec)


def test_memory_holds_what_a_model_wants_and_refuses_what_it_lacks() -> None:
    memory = Memory(["proprio"], 3)
    for number in range(5):
        memory.sensed({"proprio": np.full(2, number, np.float32)})
        history = memory.history(1)
        memory.done(np.array([number]))
    assert history.states["proprio"][0, :, 0].tolist() == [2, 3, 4] and history.actions[0, :, 0].tolist() == [2, 3]
    with pytest.raises(StateError, match="lacks proprio"):
        memory.sensed({})
    with pytest.raises(StateError, match="not finite"):
        memory.sensed({"proprio": np.full(2, np.nan)})
