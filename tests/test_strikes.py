"""Strikes: a way round a thing and home with it, and a planner that takes the best of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from nextstate.imagination import reach
from nextstate.models.pretrained import folder_of, from_pretrained
from nextstate.models.world_model import StateModel
from nextstate.planning import Guide, Problem, SeenDistance, TimeToGo, make_planner
from nextstate.planning.strikes import Body, Strikes, course
from nextstate.worlds import make_world
from nextstate.worlds.pusher import PusherWorld, push_along

SCENE = 2**31 + 5

CONTACT = 0.19
"""Of centres, in halves of the picture."""


def pushed(body: Tensor, thing: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
    """A round body goes its way, and a round thing gives way."""
    for _ in range(4):
        body = body + (move / 4).clamp(-0.02, 0.02)
        gap = thing - body
        distance = gap.norm().clamp_min(1e-6)
        thing = thing + gap / distance * (CONTACT - distance).clamp_min(0)
    return body, thing


@given(
    some.floats(-3.1, 3.1),
    some.floats(-3.1, 3.1),
    some.floats(0.25, 0.5),
    some.sampled_from([-1.0, 1.0]),
    some.floats(0.6, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_from_wherever_the_body_is_the_thing_comes_home(
    at: float, way: float, far: float, side: float, pace: float
) -> None:
    thing = torch.zeros(2)
    body = 0.35 * torch.tensor([np.cos(at), np.sin(at)], dtype=torch.float32)
    home = far * torch.tensor([np.cos(way), np.sin(way)], dtype=torch.float32)
    for _ in range(80):
        manner = (torch.zeros(1), torch.tensor([side]), torch.tensor([CONTACT + 0.01]), torch.tensor([pace]))
        move = course(body[None], thing[None], home[None], *manner)
        body, thing = pushed(body, thing, move[0])
    assert (thing - home).norm() < 0.04


@pytest.fixture(scope="module")
def problem() -> Problem:
    """A thing is wanted where it really comes to when it is pushed towards where the pusher stands now."""
    model, guide = from_pretrained("push"), Guide.load(folder_of("push"))
    assert isinstance(model, StateModel)
    world = make_world("push", size=64)
    assert isinstance(world, PusherWorld)
    world.reset(seed=SCENE)
    instant = reach(world, SCENE, 12, world.explore(np.random.default_rng(3)), model.spec.context)
    there = [world.skills[f"push_{colour}_left"].possible(world) for colour in ("red", "green", "blue", "yellow")]
    slot = there.index(True)
    aim = world.pusher_position() - world.object_position(slot)
    for _ in range(22):
        world.advance_action(push_along(world, slot, aim / np.linalg.norm(aim), 1.0))
    goal = {name: torch.from_numpy(np.asarray(value))[None] for name, value in world.observe().items()}
    seen = replace(SeenDistance.of(model, goal), matters=guide.matters)
    belief = model.observe(instant.history(model.spec.context, list(model.spec.modalities)))
    return Problem(model, belief, TimeToGo(guide, seen), horizon=4, block=2, stride=2)


def test_the_body_is_found_by_trying_and_goes_where_its_commands_say(problem: Problem) -> None:
    cost = problem.cost
    assert isinstance(cost, TimeToGo)
    body = Body.of(problem, cost, 0)
    assert body.part[body.thing] == 1 and (body.part > 0.5).sum() <= 3
    for wanted in (torch.tensor([0.02, 0.0]), torch.tensor([0.0, -0.02])):
        command = (body.commands @ wanted)[None, None].expand(1, 4, -1)
        places = problem.model.imagine(problem.belief, command).tensors["places"][0, :, body.thing]
        assert torch.allclose((places[3] - places[1]) / 2, wanted, atol=0.008)


def test_a_strike_brings_home_what_short_plans_and_standing_still_do_not(problem: Problem) -> None:
    cost, still = problem.cost, torch.zeros(1, 10, 2)
    assert isinstance(cost, TimeToGo)
    strikes = Strikes()
    drawn, ends = strikes.imagine(problem, 0, cost, Body.of(problem, cost, 0), strikes.due(problem, 0, cost), still)
    assert drawn.shape == (len(ends), 10, 2) and drawn.abs().max() <= 1
    assert ends.min() < 0.8 * ends[0]
    planner = make_planner("striking", candidates=4)
    plan = planner.plan(problem)
    assert plan.commands.shape[1] == 10 and plan.actions.shape[1] == 20
    again = planner.plan(problem, plan.rest(1))
    assert again.commands.shape[1] == 10 and again.cost[0] < 0.8 * ends[0]


def test_what_is_home_is_let_be(problem: Problem) -> None:
    cost = problem.cost
    assert isinstance(cost, TimeToGo)
    there = replace(cost.seen, places=problem.belief.tensors["places"])
    home = replace(problem, cost=replace(cost, seen=there))
    assert isinstance(home.cost, TimeToGo)
    assert Strikes().due(problem, 0, cost) and not Strikes().due(home, 0, home.cost)
    plan = make_planner("striking", candidates=4).plan(home)
    assert plan.commands.shape[1] == 10 and not plan.commands.any() and plan.cost[0] < 0.01
