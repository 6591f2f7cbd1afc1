"""Acting: tasks are fair, trials are honest, rates know how sure they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nextstate.acting import Rate, attempt, difference, make_tasks
from nextstate.acting.notes import Notes, marks, summary
from nextstate.acting.tasks import reached
from nextstate.acting.ways import WAYS, Fixed, Tools
from nextstate.cli import main
from nextstate.commands import act
from nextstate.errors import PlanningError, SettingsError
from nextstate.evaluation.oracle import Oracle
from nextstate.planning import StateDistance, make_planner
from nextstate.policies import Planned
from nextstate.worlds import Snapshot, World, make_world
from nextstate.worlds.base import HELD_OUT_SEED

NONE = cast(Tools, None)
"""Ways that need no model need no tools."""


@pytest.fixture(scope="module")
def world() -> World:
    return make_world("push", size=32, modalities=["rgb", "proprio"])


def test_tasks_are_held_out_unsolved_and_can_be_done(world: World) -> None:
    tasks = make_tasks(world, 6, seed=3)
    assert len({task.seed for task in tasks}) == 6 and min(task.seed for task in tasks) >= HELD_OUT_SEED
    for task in tasks:
        idle, done = (
            attempt(world, WAYS["still"](NONE, task), task, 25),
            attempt(world, WAYS["replay"](NONE, task), task, 25),
        )
        assert idle.misses[0] > 1 and not idle.touched
        assert done.held and done.touched and done.misses[-1] == 0.0
        assert reached(world, world.outcome(), task.wanted)
    again = make_tasks(world, 6, seed=3)
    assert all(np.array_equal(a.goal["rgb"], b.goal["rgb"]) for a, b in zip(tasks, again, strict=True))


def test_a_goal_passed_on_the_way_is_touched_but_not_held(world: World) -> None:
    task = make_tasks(world, 1, seed=3)[0]
    onwards = np.concatenate([task.demonstration, np.tile(task.demonstration[-1:], (25, 1))])
    trial = attempt(world, Fixed(onwards), task, 50)
    assert trial.touched and trial.held == (trial.misses[-1] <= 1)


def test_an_actor_that_breaks_is_a_failure_and_no_more(world: World) -> None:
    class Broken(Fixed):
        def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
            super().select_action(observation, snapshot)
            return np.full(2, np.nan if self._step > 3 else 0.0, np.float32)

    task = make_tasks(world, 1)[0]
    trial = attempt(world, Broken(task.demonstration), task)
    assert "ActionError" in trial.died and not trial.held and len(trial.actions) == 3


def test_settings_with_which_nothing_can_be_planned_are_no_failed_trials(world: World) -> None:
    task = make_tasks(world, 1)[0]
    simulator, cost = Oracle(make_world("push", 32, ["rgb", "proprio"])), StateDistance("proprio", torch.zeros(1, 4))
    with pytest.raises(PlanningError, match="blocks must fill"):
        Planned(simulator, make_planner("icem"), cost, horizon=11, block=2)
    steep = Planned(simulator, make_planner("gradient"), cost, horizon=2, block=1, every=1)
    with pytest.raises(PlanningError, match="gives no gradient"):
        attempt(world, steep, task)


def test_rates_are_of_the_sets_that_are_asked_for(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "trials.jsonl", {})
    for seed, held in ((100, True), (0, False)):
        notes.add(("model", seed, 0), {"held": held, "touched": held, "died": "", "seconds": None})
    assert summary(notes, "model", range(1))["strict"]["rate"] == 0 and summary(notes, "model")["strict"]["trials"] == 2


def test_other_weights_are_other_trials(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = marks(tmp_path, ["guide"])
    (tmp_path / "guide.safetensors").write_bytes(b"led")
    after = marks(tmp_path, ["guide"])
    assert set(before) == {"model"} and set(after) == {"model", "guide"} and before["model"] == after["model"]
    Notes(tmp_path / "trials.jsonl", {"weights": before})
    with pytest.raises(SettingsError, match="other settings"):
        Notes(tmp_path / "trials.jsonl", {"weights": after})


def test_a_world_without_goals_says_so() -> None:
    with pytest.raises(PlanningError, match="goal_within"):
        make_tasks(make_world("drop", size=32), 1)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_rate_and_narrow(counts: tuple[int, int]) -> None:
    rate, more = Rate(*counts), Rate(10 * counts[0], 10 * counts[1])
    low, high = rate.interval
    assert 0 <= low <= rate.value <= high <= 1
    assert more.interval[1] - more.interval[0] < high - low
    other = Rate(counts[1] - counts[0], counts[1])
    (gap, least, most), turned = difference(rate, other), difference(other, rate)
    assert least < most and turned == pytest.approx((-gap, -most, -least))


def test_known_intervals() -> None:
    assert Rate(90, 100).interval == pytest.approx((0.8256, 0.9448), abs=1e-4)
    gap, low, high = difference(Rate(56, 70), Rate(48, 80))
    assert gap == pytest.approx(0.2) and (low, high) == pytest.approx((0.0525, 0.3358), abs=2e-3)


def test_the_command_compares_goes_on_and_refuses_other_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "act.json"
    options = ["act", "--tasks", "2", "--seeds", "1", "--ahead", "12", "--steps", "14", "--candidates", "8"]
    options += ["--goal", "view", "--out", str(out)]
    assert main([*options, "--ways", "still", "replay"]) == 0
    assert main([*options, "--ways", "still", "replay", "model"]) == 0
    assert main([*options, "--ways", "replay", "cloned", "--tasks", "1", "--out", str(tmp_path / "more.json")]) == 0
    assert main([*options, "--ways", "replay", "--tasks", "1", "--out", str(tmp_path / "more.json")]) == 0
    (tmp_path / "more.json").unlink()
    (tmp_path / "more.jsonl").unlink()
    ways = json.loads(out.read_text())["ways"]
    assert ways["still"]["strict"]["rate"] == 0 and ways["replay"]["strict"]["rate"] == 1
    assert ways["model"]["strict"]["trials"] == 2 and ways["model"]["milliseconds"] > 0
    lines = out.with_suffix(".jsonl").read_text().splitlines()
    assert len(lines) == 7
    out.with_suffix(".jsonl").write_text("\n".join(lines[:6]) + '\n{"way": "mod')
    assert main([*options, "--ways", "model"]) == 0
    assert len(out.with_suffix(".jsonl").read_text().splitlines()) == 7
    capsys.readouterr()
    assert main([*options, "--horizon", "12"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert main([*options, "--ways", "wish"]) == 2 and main([*options, "--first", "-1"]) == 2
    capsys.readouterr()
    assert main([*options, "--margin", "3"]) == 2 and "margin" in capsys.readouterr().err, "icem stays with nothing"


def test_the_command_knows_every_way() -> None:
    assert set(act.WAYS) == set(WAYS)
