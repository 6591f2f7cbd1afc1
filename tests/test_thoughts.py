"""Thinking in branches: it goes round where a flat search is stuck, and distrusts what is too good."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.evaluation.oracle import Oracle
from nextstate.imagination import reach
from nextstate.imagination.thoughts import CHOSEN, IMPLAUSIBLE, ROOT
from nextstate.modalities import modality
from nextstate.models import Beliefs, History, WorldModelSpec
from nextstate.planning import Problem, StateDistance, make_planner
from nextstate.planning.planners import TreeSearch
from nextstate.worlds import make_world

GOAL = torch.tensor([[0.5, 0.0]])


class Walled:
    """A point on a floor with a wall before the goal, open on the sides: it stops where it would enter the wall."""

    spec = WorldModelSpec("walled", {"proprio": modality("proprio")(shape=(2,))}, 2, 10.0, 1, 24)

    def observe(self, history: History) -> Beliefs:
        return Beliefs({"place": history.states["proprio"][:, -1]})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        place, places = belief.tensors["place"], []
        for action in actions.unbind(1):
            step = place + 0.1 * action
            inside = ((step[:, 0] - 0.25).abs() < 0.06) & (step[:, 1].abs() < 0.55)
            place = torch.where(inside[:, None], place, step)
            places.append(place)
        return Beliefs({"place": torch.stack(places, dim=1)})

    def decode(self, beliefs: Beliefs, modalities: list[str]) -> dict[str, Tensor]:
        return {"proprio": beliefs.tensors["place"]}


def walled(cost: object = None) -> Problem:
    start = Beliefs({"place": torch.zeros(1, 2)})
    return Problem(Walled(), start, cost or StateDistance("proprio", GOAL), 32, block=2, last=1.0)  # type: ignore[arg-type]


def test_a_tree_goes_round_the_wall_at_which_a_flat_search_stays() -> None:
    reached = {"tree": 0, "flat": 0}
    for seed in range(8):
        some = walled()
        tree = TreeSearch(depth=4, proposals=48, breadth=24, polish=0).plan(some, seed=seed)
        flat = make_planner("cem", candidates=int(tree.imagined) // 5, rounds=5, elites=10).plan(walled(), seed=seed)
        assert flat.imagined == pytest.approx(tree.imagined, rel=0.1)
        reached["tree"] += bool(tree.cost < 0.02)
        reached["flat"] += bool(flat.cost < 0.02)
    assert reached["tree"] >= reached["flat"] + 3


def test_the_chosen_line_leads_from_the_present_to_where_it_says() -> None:
    some = walled()
    tree = TreeSearch(depth=4, proposals=32).think(some)
    line = tree.chosen
    assert [thought.depth for thought in line] == list(range(1, len(line) + 1)) and line[0].parent == ROOT
    commands = torch.from_numpy(tree.commands(line[-1].number, 2))[None]
    end = some.model.imagine(some.belief, commands).tensors["place"][:, -1]
    assert (end - GOAL).square().mean() == pytest.approx(line[-1].cost, rel=1e-4)
    told = tree.to_dict()["thoughts"]
    assert len(told) == len(tree.thoughts) and told[ROOT]["parent"] is None
    assert {thought["fate"] for thought in told} >= {CHOSEN, "crowded out"}
    assert all(child.parent == ROOT for child in tree.children(ROOT))


def test_a_gain_that_a_tremor_destroys_is_not_believed() -> None:
    goal = StateDistance("proprio", GOAL)

    def glitch(future: object) -> Tensor:
        costs = goal(future)  # type: ignore[arg-type]
        place = future.beliefs.tensors["place"]  # type: ignore[attr-defined]
        # A hair's breadth at which the model's picture falls apart and looks like the goal.
        wrong = (place[..., 0] > 0.05) & (place[..., 1].abs() < 1e-6)
        return torch.where(wrong, torch.zeros(()), costs + 1.0)

    straight = torch.tensor([0.5, 0.0]).expand(1, 16, 2)
    tree = TreeSearch(depth=4, proposals=32).think(walled(glitch), start=straight)
    dubious = [t for t in tree.children(ROOT) if t.cost == 0]
    assert dubious and all(t.fate == IMPLAUSIBLE and t.confidence < 0.5 for t in dubious)
    believing = TreeSearch(depth=4, proposals=32, doubt=0).think(walled(glitch), start=straight)
    assert believing.chosen[0].cost == 0


def test_the_true_simulator_thinks_in_branches_too() -> None:
    world = make_world("push")
    instant = reach(world, 5, 3)
    oracle = Oracle(make_world("push"))
    belief = oracle.observe(instant.history(1, list(oracle.spec.modalities)))
    wanted = torch.from_numpy(instant.states["proprio"][-1:]).float() + torch.tensor([[0.1, 0.1, 0.0, 0.0]])
    goal = StateDistance("proprio", wanted, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    some = Problem(oracle, belief, goal, horizon=4, last=1.0)
    plan = TreeSearch(depth=2, proposals=8, breadth=2, polish=0).plan(some)
    assert plan.cost < 0.5 * some.evaluate(torch.zeros(1, 1, 4, 2))[:, 0]


def test_stretches_must_fill_the_horizon() -> None:
    with pytest.raises(PlanningError, match="cannot be cut"):
        TreeSearch(depth=17).plan(walled())
