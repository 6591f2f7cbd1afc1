"""Precedents: what was done is found again where it fits; a planner does it where imagination says that it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from nextstate.errors import CheckpointError, PlanningError
from nextstate.imagination import reach
from nextstate.models.heads import HeadShape
from nextstate.models.pretrained import folder_of, from_pretrained
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning import Guide, Problem, SeenDistance, TimeToGo, make_planner
from nextstate.planning.costs import look
from nextstate.planning.precedents import SPANS, Precedents
from nextstate.worlds import make_world
from nextstate.worlds.pusher import PusherWorld, push_along

SHAPE = HeadShape(things=2, code=4, proprio=0, action=2)
EPISODES, LENGTH = 12, 41


def windows(places: np.ndarray, codes: np.ndarray, action: np.ndarray, length: int) -> Any:
    """Episodes of one length, as `Windows` has them."""
    starts = np.arange(0, len(places), length)
    cache = SimpleNamespace(starts=starts, lengths=np.full(len(starts), length), arrays={"action": action})
    return SimpleNamespace(cache=cache, episodes=np.arange(len(starts)), arrays={"places": places, "codes": codes})


@pytest.fixture(scope="module")
def known() -> Precedents:
    """A body that wanders about beside a thing that wanders, too."""
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 0.06, (EPISODES, LENGTH, 2, 2)).cumsum(axis=1).reshape(-1, 2, 2)
    codes = rng.normal(0, 1, (EPISODES * LENGTH, 2, 4))
    return Precedents.of(SHAPE, windows(steps, codes, rng.uniform(-1, 1, (len(steps), 2)), LENGTH))


@given(some.integers(0, EPISODES - 1), some.sampled_from(SPANS), some.floats(-0.5, 0.5), some.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_what_was_done_is_found_again_elsewhere(known: Precedents, episode: int, span: int, x: float, y: float) -> None:
    first, aside = LENGTH * episode + (LENGTH - 1 - span) // 2 * 2, torch.tensor([x, y])
    # Codes that are what the kept ones say: looking again would give them.
    codes = known.middle + torch.einsum("nkl,kzl->nkz", known.looks.float(), torch.linalg.pinv(known.directions).mT)
    told = known.recall(
        known.places[first].float() + aside,
        codes[first],
        known.places[first + span].float() + aside,
        codes[first + span],
        torch.ones(2),
        0,
        3,
        32,
    )
    assert torch.equal(told[0, :span], known.commands[first : first + span].float())
    assert told.shape == (3, 32, 2) and not told[0, span:].any()


def test_stretches_lie_within_episodes(known: Precedents) -> None:
    first, spans = known.stretches()
    assert torch.equal(first // LENGTH, (first + spans) // LENGTH) and int((first + spans).max()) == len(known.left) - 1


def test_precedents_are_kept_and_come_back(known: Precedents, tmp_path: Path) -> None:
    path = known.save(tmp_path)
    again = Precedents.load(tmp_path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in known.state_dict().items())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"not a precedents.*nextstate guide --heads precedents"):
        Precedents.load(tmp_path)


def test_a_recorded_push_is_begun_again_and_what_does_not_help_is_not() -> None:
    model, guide = from_pretrained("push"), Guide.load(folder_of("push"))
    assert isinstance(model, StateModel)
    world = make_world("push", size=64)
    assert isinstance(world, PusherWorld)
    world.reset(seed=2**31 + 5)
    instant = reach(world, 2**31 + 5, 12, world.explore(np.random.default_rng(3)), model.spec.context)
    there = [world.skills[f"push_{colour}_left"].possible(world) for colour in ("red", "green", "blue", "yellow")]
    aim = world.pusher_position() - world.object_position(there.index(True))
    states, done = [world.observe()], []
    for _ in range(30):
        done.append(push_along(world, there.index(True), aim / np.linalg.norm(aim), 1.0))
        world.advance_action(done[-1])
        states.append(world.observe())
    seen = look(model, {n: torch.from_numpy(np.stack([s[n] for s in states])) for n in model.spec.modalities})
    goal = SeenDistance(
        model,
        seen["places"][-1:],
        presence(seen["areas"])[-1:],
        guide.matters,
        {"codes": seen["codes"][-1:], "gist": seen["gist"][-1:]},
    )
    belief = model.observe(instant.history(model.spec.context, list(model.spec.modalities)))
    problem = Problem(model, belief, TimeToGo(guide, goal), horizon=30)
    code = seen["codes"].shape[2]
    shape = HeadShape(things=seen["places"].shape[1], code=code, proprio=4, action=2)
    episode = windows(seen["places"].numpy(), seen["codes"].float().numpy(), np.stack([*done, done[-1]]), 31)
    planner = make_planner("reminded", precedents=Precedents.of(shape, episode), polish=0)
    plan, nothing = planner.plan(problem), problem.evaluate(torch.zeros(1, 1, 30, 2))
    assert plan.commands.abs().max() > 0.1 and plan.cost[0] < 0.7 * nothing[0, 0]
    home = replace(problem, cost=TimeToGo(guide, replace(goal, places=belief.tensors["places"].float())))
    assert not planner.plan(home).commands[:, 1:].any(), "it is home already"
    with pytest.raises(PlanningError, match="--goal time"):
        planner.plan(replace(problem, cost=goal))
