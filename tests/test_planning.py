"""Planners find what is wanted, keep within bounds, and say what cannot be planned."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nextstate.commands.find import find_model
from nextstate.errors import PlanningError, UnknownNameError
from nextstate.evaluation.oracle import Oracle
from nextstate.imagination import reach
from nextstate.modalities import modality
from nextstate.models import Beliefs, History, WorldModelSpec
from nextstate.planning import (
    PLANNERS,
    Future,
    LatentDistance,
    PictureDistance,
    Probability,
    Problem,
    StateDistance,
    Sum,
    goal_belief,
    make_planner,
)
from nextstate.planning.planners.icem import coloured
from nextstate.planning.planners.search import cheapest
from nextstate.worlds import make_world

EAST = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])


class Point:
    """A point that goes where it is told, a tenth of the command a step: exact, so planners alone are tested.

    Sampled futures slip aside, each by another length, where x is above 0.2, as on ice.
    """

    spec = WorldModelSpec("point", {"proprio": modality("proprio")(shape=(2,))}, 2, 10.0, 1, 8, stochastic=True)

    def observe(self, history: History) -> Beliefs:
        return Beliefs({"place": history.states["proprio"][:, -1]})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        places = belief.tensors["place"][:, None] + 0.1 * actions.cumsum(dim=1)
        if sample is not None:
            places = places + (places[..., :1] > 0.2) * torch.tensor([0.0, 0.1 * sample])
        return Beliefs({"place": places})

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> dict[str, Tensor]:
        return {"proprio": beliefs.tensors["place"]}


def problem(goals: Tensor, **more: Any) -> Problem:
    start = Beliefs({"place": torch.zeros(len(goals), 2)})
    options: dict[str, Any] = {"horizon": 8, "last": 1.0} | more
    return Problem(Point(), start, options.pop("cost", StateDistance("proprio", goals)), **options)


def planner(name: str, **settings: Any) -> Any:
    return make_planner(name, **({"choices": EAST} if name == "categorical" else {}), **settings)


ALONE = [name for name, kind in PLANNERS.items() if not hasattr(kind, "needs")]
"""Planners that need no head."""


@pytest.mark.parametrize("name", ALONE)
def test_every_planner_reaches_each_instants_own_goal(name: str) -> None:
    goals = torch.tensor([[0.4, 0.2], [-0.3, -0.5], [0.0, 0.6]])
    some = problem(goals, block=2)
    plan = planner(name).plan(some)
    reached = 0.1 * plan.actions.sum(dim=1)
    near = {"shooting": 0.25, "categorical": 0.15}.get(name, 0.05)
    assert (reached - goals).norm(dim=1).max() < near
    assert torch.equal(plan.actions, plan.commands.repeat_interleave(2, dim=1))
    assert (plan.course.diff(dim=0) <= 0).all() and torch.equal(plan.course[-1], plan.cost)
    assert torch.allclose(plan.cost, some.evaluate(plan.commands[:, None])[:, 0])


@pytest.mark.parametrize("name", ALONE)
def test_the_same_seed_finds_the_same_plan_and_a_good_start_is_never_lost(name: str) -> None:
    goals = torch.tensor([[0.4, 0.0]])
    first, again = (planner(name).plan(problem(goals), seed=3) for _ in range(2))
    assert torch.equal(first.commands, again.commands)
    from_best = planner(name).plan(problem(goals), start=first.commands, seed=4)
    assert from_best.cost <= first.cost + 1e-6 or name == "categorical"


@given(low=st.floats(-1, 0.2), width=st.floats(0.1, 0.8), name=st.sampled_from(["shooting", "cem", "icem", "mppi"]))
@settings(max_examples=20, deadline=None)
def test_no_command_leaves_its_bounds(low: float, width: float, name: str) -> None:
    bounds = {"low": torch.tensor([low, -1.0]), "high": torch.tensor([min(low + width, 1.0), 1.0])}
    plan = planner(name, candidates=32).plan(problem(torch.tensor([[5.0, 0.0]]), **bounds))
    assert (plan.commands >= bounds["low"]).all() and (plan.commands <= bounds["high"]).all()


def test_what_remains_of_a_plan_is_where_the_next_begins() -> None:
    plan = planner("cem").plan(problem(torch.tensor([[0.4, 0.1]]), block=2))
    assert torch.equal(plan.rest(), torch.cat([plan.commands[:, 1:], plan.commands[:, -1:]], dim=1))


def test_a_cautious_plan_stays_off_the_ice() -> None:
    goal = torch.tensor([[0.45, 0.0]])
    bold = planner("cem").plan(problem(goal, samples=4))
    careful = planner("cem").plan(problem(goal, samples=4, caution=10.0))
    assert 0.1 * careful.actions[0, :, 0].sum() < 0.21 < 0.3 < 0.1 * bold.actions[0, :, 0].sum()
    surprise = problem(goal, samples=4, caution=10.0)
    assert surprise.evaluate(careful.commands[:, None]) < surprise.evaluate(bold.commands[:, None])


def test_costs_that_are_no_number_are_dropped_and_counted() -> None:
    def broken(future: Future) -> Tensor:
        place = future.states("proprio")["proprio"]
        return torch.where(place[..., 0] > 0, torch.nan, place[..., 0].square())

    with pytest.warns(UserWarning, match="were dropped"):
        plan = planner("icem").plan(problem(torch.zeros(1, 2), cost=broken))
    assert plan.dropped > 0 and plan.cost.isfinite().all()
    with pytest.raises(PlanningError, match="every candidate"):
        planner("cem").plan(problem(torch.zeros(1, 2), cost=lambda future: broken(future) * torch.nan))


def test_what_was_dropped_teaches_nothing_where_little_is_left() -> None:
    costs = torch.tensor([[3.0, torch.inf, 1.0, torch.inf], [2.0, 4.0, 1.0, 3.0]])
    assert cheapest(costs, 4).tolist() == [[2, 0, 2, 0], [2, 0, 3, 1]]
    assert cheapest(costs, 2).tolist() == [[2, 0], [2, 0]]


def test_looking_farther_than_a_model_learned_to_is_said() -> None:
    with pytest.warns(UserWarning, match="9 steps are looked ahead, and point learned to foresee 8"):
        problem(torch.zeros(1, 2), horizon=9)


def test_costs_add_up_and_only_what_matters_counts() -> None:
    goal = torch.tensor([[0.5, 0.5]])
    start = Beliefs({"place": torch.tensor([[0.5, -0.5]])})
    future = Future(Point(), start, Beliefs({"place": start.tensors["place"][:, None]}), torch.zeros(1).long())
    whole, half = StateDistance("proprio", goal), StateDistance("proprio", goal, torch.tensor([[1.0, 0.0]]))
    assert half(future) == 0 and whole(future) > 0
    assert Sum([(whole, 2.0), (half, 1.0)])(future) == 2 * whole(future)
    sure = Probability(lambda future: torch.full((1, 1), 0.9))
    assert sure(future) < Probability(lambda future: torch.full((1, 1), 0.9), wanted=False)(future)


def test_pictures_that_are_nearly_right_cost_less_than_wrong_ones() -> None:
    world = make_world("push")
    kind = world.state_spec["rgb"]

    def dot(x: int) -> Tensor:
        picture = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
        picture[:, 30:34, x : x + 4] = 255
        return picture

    class Shows:
        spec = WorldModelSpec("shows", {"rgb": kind}, 2, 10.0, 1, 8)

        def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> dict[str, Tensor]:
            return {"rgb": torch.cat([dot(10), dot(15), dot(40)])[:, None]}

    future = Future(Shows(), Beliefs(), Beliefs(), torch.zeros(3).long())  # type: ignore[arg-type]
    same, near, far = PictureDistance(dot(10))(future)[:, 0]
    assert same == 0 < near < far


@given(st.integers(4, 40), st.floats(0.0, 2.5))
@settings(max_examples=25, deadline=None)
def test_coloured_noise_keeps_its_scale(length: int, exponent: float) -> None:
    noise = coloured(torch.randn(4000, length, 1, generator=torch.Generator().manual_seed(0)), exponent)
    assert noise.square().mean() == pytest.approx(1.0, rel=0.1)
    if exponent > 1:
        assert (noise[:, 1:] * noise[:, :-1]).mean() > 0.1


def test_the_true_simulator_is_planned_in_like_any_model() -> None:
    world = make_world("push")
    instant = reach(world, 5, 3)
    oracle = Oracle(make_world("push"))
    belief = oracle.observe(instant.history(1, list(oracle.spec.modalities)))
    here = torch.from_numpy(instant.states["proprio"][-1:]).float()
    wanted = here.clone()
    wanted[:, 0] += 0.1 if here[0, 0] < 0 else -0.1
    goal = StateDistance("proprio", wanted, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    some = Problem(oracle, belief, goal, horizon=4, block=2, last=1.0)
    plan = make_planner("icem", candidates=24, rounds=3, elites=4).plan(some)
    assert plan.cost < 0.2 * some.evaluate(torch.zeros(1, 1, 2, 2))[:, 0]


def test_a_trained_model_leads_down_its_own_slope() -> None:
    model = find_model("push", make_world("push"))
    instant = reach(make_world("push"), 5, 4)
    names = list(model.spec.modalities)
    belief = model.observe(instant.history(model.spec.context, names))
    wanted = torch.from_numpy(instant.states["proprio"][-1:]).float() + torch.tensor([[0.08, -0.05, 0.0, 0.0]])
    some = Problem(model, belief, StateDistance("proprio", wanted, torch.tensor([[1.0, 1.0, 0, 0]])), 4, last=1.0)
    plan = make_planner("gradient", candidates=4, rounds=12).plan(some)
    assert plan.cost < 0.2 * plan.course[0].max()
    states = {name: torch.from_numpy(instant.states[name][-1:]) for name in names}
    latent = Problem(model, belief, LatentDistance(goal_belief(model, states)), 4)
    assert latent.evaluate(torch.zeros(1, 2, 4, 2)).shape == (1, 2)


def test_what_cannot_be_planned_is_named() -> None:
    goal = torch.zeros(1, 2)
    mistakes: list[tuple[str, dict[str, Any]]] = [
        ("blocks must fill", {"block": 3}),
        ("at least 1", {"horizon": 0}),
        ("caution compares", {"caution": 1.0}),
        ("divide the horizon", {"stride": 3}),
        ("leave no room", {"low": torch.ones(2), "high": torch.ones(2)}),
    ]
    for message, more in mistakes:
        with pytest.raises(PlanningError, match=message):
            problem(goal, **more)
    with pytest.raises(PlanningError, match="does not foresee rgb"):
        planner("cem").plan(problem(goal, cost=PictureDistance(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))))
    with pytest.raises(PlanningError, match="of shape"):
        planner("cem").plan(problem(torch.zeros(1, 3)))
    with pytest.raises(PlanningError, match="not finite"):
        planner("cem").plan(problem(torch.full((1, 2), torch.nan)))
    with pytest.raises(PlanningError, match="no space of its own"):
        planner("cem").plan(problem(goal, cost=LatentDistance(Beliefs({"place": goal}))))
    with pytest.raises(PlanningError, match="candidates = 0"):
        planner("icem", candidates=0).plan(problem(goal))
    with pytest.raises(PlanningError, match="list"):
        make_planner("categorical", choices=torch.zeros(1, 2)).plan(problem(goal))
    with pytest.raises(PlanningError, match="a start of shape"):
        planner("cem").plan(problem(goal), start=torch.zeros(1, 3, 2))
    with pytest.raises(PlanningError, match="unexpected keyword"):
        make_planner("cem", colour=1)
    with pytest.raises(UnknownNameError, match="cem"):
        make_planner("icme")
    with warnings.catch_warnings(), pytest.raises(PlanningError, match="gives no gradient"):
        planner("gradient").plan(problem(goal, cost=lambda future: torch.zeros(future.rows.shape[0], 8)))


class Adviser(StateDistance):
    """Knows the way: straight ahead, half as fast as one could."""

    def advise(self, future: Future) -> tuple[Tensor, Tensor]:
        gap = self.wanted[future.rows][:, None] - future.states("proprio")["proprio"]
        return self(future), 0.5 * gap.sign()


def test_a_planner_that_asks_its_way_needs_few_candidates() -> None:
    goals = torch.tensor([[0.35, -0.35], [-0.35, 0.35]])
    told = make_planner("guided", candidates=4, polish=0)
    asked = told.plan(problem(goals, cost=Adviser("proprio", goals)))
    alone = told.plan(problem(goals))
    assert (asked.cost < 0.3 * alone.cost).all()
    assert ((0.1 * asked.actions.sum(dim=1)) * goals > 0).all()


def test_a_guide_is_left_for_nothing_but_a_clear_gain() -> None:
    goals = torch.tensor([[0.35, -0.35], [-0.35, 0.35]])
    asked = problem(goals, cost=Adviser("proprio", goals))
    loyal, bold = (make_planner("guided", candidates=16, margin=margin).plan(asked) for margin in (torch.inf, 0.0))
    assert (loyal.actions.abs() <= 0.5).all() and (bold.actions.abs() > 0.5).any()
    assert (loyal.cost > bold.cost).all()
    assert torch.allclose(loyal.cost, asked.evaluate(loyal.commands[:, None])[:, 0])
    gain = float((loyal.cost - bold.cost).max())
    assert torch.equal(make_planner("guided", candidates=16, margin=1.1 * gain).plan(asked).actions, loyal.actions)


def test_what_was_judged_on_the_way_costs_what_it_costs_judged_anew() -> None:
    goals = torch.tensor([[0.35, -0.35], [-0.35, 0.35]])
    asked = problem(goals, cost=Adviser("proprio", goals), block=2, stride=2, last=0.5)
    plan = make_planner("guided", candidates=4, polish=0).plan(asked)
    assert torch.allclose(plan.cost, asked.evaluate(plan.commands[:, None])[:, 0])
    seldom, always = (problem(goals, stride=stride, last=0.0).evaluate(torch.ones(2, 1, 8, 2)) for stride in (8, 1))
    assert torch.equal(seldom, problem(goals, last=1.0).evaluate(torch.ones(2, 1, 8, 2))) and (seldom != always).all()
