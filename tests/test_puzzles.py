"""Puzzles are real, the memory says what came of what, and both planners spend what they are given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nextstate.acting.notes import Notes
from nextstate.acting.puzzles import PUZZLES, Wanted, scene_of
from nextstate.cli import main
from nextstate.data.recording import Plan, play
from nextstate.evaluation.oracle import Oracle
from nextstate.models.protocol import Beliefs, History
from nextstate.planning.goals import names_of
from nextstate.planning.planners import TreeSearch
from nextstate.planning.problem import Future, Problem
from nextstate.planning.recall import Recall, Whereabouts
from nextstate.studies import thoughts
from nextstate.worlds import HELD_OUT_SEED, World, make_world

WAYS = {
    "detour": ("round", "straight"),
    "remove": ("pull_free", "pull_loaded"),
    "chain": ("to_the_gate", "to_the_pit"),
    "reach_behind": ("reach_in", "straight"),
    "pour": ("fill", "overfill"),
}


def solved(world: World, skill: str, seed: int) -> bool:
    world.reset(seed=seed)
    policy = world.skills[skill].make(world, np.random.default_rng(seed))
    for _ in range(world.max_steps):
        world.advance_action(policy(world))
    return bool(world.events_now()[world.events.index("solved")])


@pytest.mark.parametrize("name", PUZZLES)
def test_one_way_solves_it_and_the_other_does_not(name: str) -> None:
    world, (good, bad) = make_world(PUZZLES[name].world, modalities=["proprio"]), WAYS[name]
    assert sum(solved(world, good, seed) for seed in range(4)) >= 2
    assert not any(solved(world, bad, seed) for seed in range(4))


@pytest.mark.parametrize("name", PUZZLES)
def test_the_cost_is_lowest_where_it_is_solved(name: str) -> None:
    puzzle = PUZZLES[name]
    world, outcomes, events = make_world(puzzle.world, modalities=["proprio"]), [], []
    for seed in range(3):
        world.reset(seed=seed)
        policy = world.skills[WAYS[name][0]].make(world, np.random.default_rng(seed))
        for _ in range(world.max_steps):
            world.advance_action(policy(world))
            outcomes.append(world.outcome())
            events.append(world.events_now())
    done = np.array(events)[:, world.events.index("solved")]
    costs = Wanted(puzzle).of(np.array(outcomes), np.array(events))
    assert done.any() and np.median(costs[done]) < np.percentile(costs[~done], 10)


def test_scenes_of_tasks_are_held_out_and_sets_do_not_overlap() -> None:
    scenes = {scene_of(seed, number) for seed in (0, 1, 100, 101) for number in range(50)}
    assert len(scenes) == 200 and min(scenes) >= HELD_OUT_SEED


def simulator(name: str) -> tuple[World, Oracle, Beliefs]:
    world = make_world(name, modalities=["proprio", "touch"])
    world.reset(seed=scene_of(100, 0))
    oracle = Oracle(make_world(name, modalities=["proprio", "touch"]))
    return world, oracle, oracle.observe(History({}, torch.zeros(1, 0, world.action_size), [world.snapshot()]))


def test_the_simulator_goes_on_from_where_a_stretch_ended() -> None:
    world, oracle, belief = simulator("remove")
    actions = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 12, 2)).astype(np.float32))
    whole = oracle.told(oracle.imagine(belief, actions)).outcomes[0]
    first = oracle.imagine(belief, actions[:, :7])
    oracle.told(first)
    end = first.steps([6]).map(lambda tensor: tensor[:, 0])
    rest = oracle.imagine(end, actions[:, 7:])
    assert np.array_equal(oracle.told(rest).outcomes[0], whole[7:])
    assert rest.handles["future"][0].since == 7
    for step, action in enumerate(actions[0].numpy()):
        world.advance_action(action)
        assert np.array_equal(world.outcome().astype(np.float32), whole[step])


def memory() -> tuple[Whereabouts, Recall]:
    """Ten episodes that begin at x = 0 .. 9; those from even places come to something."""
    world = PUZZLES["detour"].kind
    outcomes = np.zeros((10, 6, len(names_of(world))), np.float32)
    outcomes[:, :, 0] = np.arange(10)[:, None]
    commands = np.full((10, 5, 2), 0.1, np.float32) * np.arange(10)[:, None, None]
    costs = np.ones((10, 6)) - 2.0 * (np.arange(10) % 2 == 0)[:, None] * (np.arange(6) == 5)
    where = Whereabouts(world, ["object_x"], torch.ones(1))
    return where, Recall.of(where, zip(outcomes, commands, costs, strict=True), ahead=6)


def test_what_is_near_comes_to_mind_and_rather_what_came_to_something() -> None:
    _, recall = memory()
    found = recall(torch.tensor([[4.0], [7.0]]), 2, 3, torch.Generator().manual_seed(0))
    assert found.shape == (2, 2, 3, 2)
    for place, commands in zip((4.0, 7.0), found, strict=True):
        assert (commands[:, :, 0] * 10 - place).abs().max() <= 4.01
    # The first of each half is the best of those near: an even place.
    assert all(round(float(value) * 10) % 2 == 0 for value in found[:, 0, 0, 0])
    hopeful, hopeless = recall.promise(torch.tensor([[4.0], [7.0]]), count=1).tolist()
    assert hopeful < hopeless


def test_a_tree_spends_its_budget_and_no_more() -> None:
    world, oracle, belief = simulator("chain")
    puzzle = PUZZLES["chain"]
    where = Whereabouts(puzzle.kind, puzzle.places, torch.ones(len(puzzle.places)))
    episodes = [play(Plan("chain", modalities=("proprio",)), index).columns for index in range(4)]
    cost = Wanted(puzzle)
    known = [(e["outcome"], e["action"][:-1], cost.of(e["outcome"], e["events"])) for e in episodes]
    problem = Problem(oracle, belief, cost, 16, 4, last=0.9)
    planner = TreeSearch(depth=2, breadth=3, budget=400, sense=where, memory=Recall.of(where, known))
    plan = planner.plan(problem)
    assert 0.9 * 400 <= plan.imagined * 16 <= 400
    tree = plan.thoughts[0]
    assert tree.chosen and {thought.depth for thought in tree.thoughts} == {0, 1, 2}
    # What is planned next begins from what was planned before, and is never worse.
    again = planner.plan(Problem(oracle, belief, cost, 16, 4, last=0.9), plan.commands, seed=1)
    assert again.thoughts[0].children(0)[0].commands == pytest.approx(plan.actions[0, :8].numpy(), abs=1e-6)
    where_to = Future(oracle, belief, oracle.imagine(belief, plan.actions), torch.zeros(1).long())
    assert cost(where_to).shape == (1, 16) and world.steps == 0


def test_the_study_of_thoughts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["study", "thoughts", "--puzzles", "reach_behind", "--tasks", "1", "--budget", "320", "--episodes", "3"]
    options += [
        "--change",
        '{"horizon": 16, "steps": 14, "flat_horizon": 16, "flat_rounds": 2, "tree_depth": 2}',
        "--first",
        "100",
    ]
    ways = ["--ways", "tree", "flat", "flat_recalled", "tree_alone"]
    assert main([*options, *ways, "--out", str(tmp_path), "--summary", str(tmp_path / "all.json")]) == 0
    found = json.loads((tmp_path / "thoughts.json").read_text())
    rows = found["puzzles"]["reach_behind"]["ways"]
    assert set(rows) == {"tree", "flat", "flat_recalled", "tree_alone"}
    spent = [row["imagined_per_decision"] for row in rows.values()]
    assert min(spent) >= 0.9 * 320 and max(spent) <= 1.05 * 320
    short = json.loads((tmp_path / "all.json").read_text())["thought_tree"]
    assert short["puzzles"]["reach_behind"] == {way: rows[way]["rate"] for way in ("tree", "flat")}
    assert short["mean_gain_points"] == found["mean_gain_points"] and "reach_behind" in capsys.readouterr().out
    lines = (tmp_path / "trials.jsonl").read_text()
    assert main([*options, *ways, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "trials.jsonl").read_text() == lines
    assert main([*options, "--ways", "wish"]) == 2
    assert main([*options, "--puzzles", "wish"]) == 2


def test_what_was_not_tried_yet_is_left_out(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "trials.jsonl", {})
    row = {"touched": True, "ended": "", "imagined": 320, "decisions": 1, "seconds": 0.1}
    for task in range(4):
        notes.add(("detour:tree", 0, task), {"held": True, **row})
        notes.add(("detour:flat", 0, task), {"held": task < 1, **row})
    found = thoughts.conclude(("detour", "pour"), thoughts.WAYS, notes, 0)
    assert set(found["puzzles"]) == {"detour"} and set(found["puzzles"]["detour"]["ways"]) == {"tree", "flat"}
    assert found["mean_gain_points"] == 75.0 and found["puzzles"]["detour"]["paired"]["only_tree"] == 3
    json.dumps(found, allow_nan=False)
