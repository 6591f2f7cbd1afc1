"""Recording a model's own plans: the same seed gives the same episode, and nothing of another model is mixed in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nextstate.acting.practice import Practice, imagined_goal
from nextstate.acting.tasks import make_tasks, reached
from nextstate.cli import main
from nextstate.data.recording import PRACTISE, Plan, play, record
from nextstate.errors import CheckpointError, DatasetError, SettingsError
from nextstate.models.folders import folder_of
from nextstate.worlds import make_world

PLAN = Plan("push", steps=4, base_seed=7, skill_fraction=0.0, practised="it")


def test_an_episode_of_plans_depends_on_its_seed_alone() -> None:
    practice = Practice(folder_of("push"))
    one, again, explored = play(PLAN, 0, practice), play(PLAN, 0, practice), play(PLAN, 0)
    assert one.facts["policy"] == PRACTISE != explored.facts["policy"]
    for key, values in one.columns.items():
        np.testing.assert_array_equal(values, again.columns[key])
    assert np.abs(one.columns["action"] - explored.columns["action"]).max() > 0.1
    assert np.abs(one.columns["action"]).max() <= 1


def test_a_guide_practises_as_it_would_act_and_strays_half_of_the_time() -> None:
    practice = Practice(folder_of("push"), "cloned")
    episodes = [play(PLAN, number, practice) for number in range(6)]
    for number, episode in enumerate(episodes):
        np.testing.assert_array_equal(episode.columns["action"], play(PLAN, number, practice).columns["action"])
        assert np.abs(episode.columns["action"]).max() <= 1
    # Commands are of one look for two steps: without noise the second is near the first.
    jumps = [np.abs(np.diff(episode.columns["action"][:2], axis=0)).max() for episode in episodes]
    assert min(jumps) < 0.15 < max(jumps)


def test_a_coach_brings_about_what_exploring_did_and_goes_on_from_wherever_a_guide_got_to() -> None:
    world = make_world("grasp", modalities=("proprio",))
    held = 0
    for task in (tasks := make_tasks(world, 12, seed=900)):
        assert task.instant.snapshot is not None
        world.restore(task.instant.snapshot)
        coach = world.coach(task.wanted, np.random.default_rng(task.seed))
        for _ in range(50):
            world.advance_action(coach(world))
        held += reached(world, world.outcome(), task.wanted)
    assert held >= 0.7 * len(tasks)


def test_coached_episodes_begin_as_the_guide_would_or_as_the_coach() -> None:
    plan = replace(PLAN, world="grasp", steps=12)
    episodes = [play(plan, number, Practice(folder_of("grasp"), "coached")) for number in range(4)]
    again = play(plan, 3, Practice(folder_of("grasp"), "coached"))
    np.testing.assert_array_equal(episodes[3].columns["action"], again.columns["action"])
    assert all(np.abs(episode.columns["action"]).max() <= 1 for episode in episodes)
    with pytest.raises(SettingsError, match="no coach"):
        play(PLAN, 0, Practice(folder_of("push"), "coached"))


def test_a_goal_is_of_this_scene_and_leaves_it_as_it_was() -> None:
    world = make_world("push")
    world.reset(seed=3)
    before, now = world.snapshot(), world.observe()
    goal, _ = imagined_goal(world, np.random.default_rng(0))
    np.testing.assert_array_equal(world.snapshot().state, before.state)
    np.testing.assert_array_equal(world.observe()["rgb"], now["rgb"])
    moved = (goal["rgb"] != now["rgb"]).any(axis=2).mean()
    assert 0 < moved < 0.5


def test_episodes_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=2)
    record(plan, tmp_path / "d", 1, workers=1, practice=Practice(folder_of("push")))
    with pytest.raises(DatasetError, match="practised"):
        record(replace(plan, practised="another"), tmp_path / "d", 2, workers=1)


def test_a_model_of_another_world_does_not_practise_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["record", "--world", "push", "--practise", "grasp", "--out", str(tmp_path / "d"), "--episodes", "1"]
    assert main(asked) != 0
    assert "trained in world 'grasp'" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_who_has_no_guide_cannot_practise(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nextstate guide"):
        Practice(tmp_path)
