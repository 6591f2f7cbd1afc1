"""The demo: how it divides its time, that it goes on where it stopped, and the table in the end."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from nextstate.commands import demo
from nextstate.commands.abreast import Lane, run_abreast
from nextstate.errors import SettingsError, UnknownNameError


def test_time_is_divided_among_the_worlds() -> None:
    budgets = demo.divide(("push", "spill"), 15.0)
    recording = sum(b.record for b in budgets.values())
    abreast = max(b.pretrain + b.evaluate for b in budgets.values())
    assert recording + abreast == pytest.approx(900, rel=0.05)
    assert budgets["spill"].record > budgets["push"].record
    assert budgets["push"].pretrain > 180


def test_unknown_worlds_are_named_before_anything_is_done() -> None:
    with pytest.raises(UnknownNameError, match="'pusch'"):
        demo.divide(("pusch",), 15.0)


def test_where_evaluation_takes_longer_the_rest_takes_less_and_the_whole_is_kept() -> None:
    slow = {world: demo.Pace(speed / 2, 1.0) for world, speed in demo.SPEEDS.items()}
    usual, budgets = demo.divide(("push", "spill"), 15.0), demo.divide(("push", "spill"), 15.0, slow)
    for world, budget in budgets.items():
        assert budget.evaluate == pytest.approx(2 * usual[world].evaluate)
        assert 0.5 * usual[world].pretrain < budget.pretrain < usual[world].pretrain
    recording = sum(b.record for b in budgets.values())
    assert recording + max(b.pretrain + b.evaluate for b in budgets.values()) == pytest.approx(900 - demo.REPORT)
    # Too slow for anything: it takes longer, but learns something.
    crawling = demo.divide(("spill",), 15.0, {"spill": demo.Pace(1.0, 60.0)})
    assert crawling["spill"].pretrain > 0.3 * usual["spill"].pretrain


def test_recordings_are_planned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = demo.Config(out=tmp_path, worlds=("push",))
    monkeypatch.setattr(demo, "pace_of", lambda *_: demo.Pace(490.0, 0.2))
    budgets, episodes = demo.planned(config)
    assert demo.FEWEST_EPISODES < episodes["push"] < demo.MOST_EPISODES
    monkeypatch.setattr(demo, "pace_of", lambda *_: demo.Pace(100.0, 1.0))
    assert demo.planned(config) == (budgets, episodes)
    with pytest.raises(SettingsError, match="other options"):
        demo.planned(replace(config, seed=1))
    with pytest.raises(SettingsError, match="other options"):
        demo.planned(replace(config, snapshots=200))


def test_as_many_episodes_as_fit_in_the_time() -> None:
    pace = demo.pace_of("push", seed=0)
    assert pace.states > 0 and pace.episode > 0
    assert demo.episodes_in(0.0, pace) == demo.FEWEST_EPISODES
    assert demo.episodes_in(1e9, pace) == demo.MOST_EPISODES


def test_only_an_evaluation_newer_than_the_model_counts(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model" / "config.json"
    model.parent.mkdir(parents=True)
    model.touch()
    assert not demo.is_finished("evaluate", tmp_path)
    (tmp_path / "evaluation.json").touch()
    assert demo.is_finished("evaluate", tmp_path)
    os.utime(model, (2e9, 2e9))
    assert not demo.is_finished("evaluate", tmp_path)


def test_each_command_is_given_what_the_one_before_made() -> None:
    config = demo.Config(out=Path("d"))
    given = {
        verb: demo.arguments_of(verb, "push", config, demo.USUAL, 50) for verb in ("record", "pretrain", "evaluate")
    }
    assert given["record"][given["record"].index("--out") + 1] == given["pretrain"][1] == "d/push/data"
    assert given["evaluate"][given["evaluate"].index("--model") + 1] == "d/push/run/model"


def test_time_of_interrupted_calls_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "seconds.json"
    demo.note_seconds(path, "record push", 2.0)
    demo.note_seconds(path, "record push", 0.5)
    demo.note_seconds(path, "pretrain push", 1.0)
    assert json.loads(path.read_text()) == {"record push": 2.5, "pretrain push": 1.0}


def test_lanes_run_side_by_side_and_stop_at_what_fails(tmp_path: Path) -> None:
    fine = Lane("fine", [["worlds", "--help"], ["worlds", "--help"]])
    wrong = Lane("wrong", [["nonsense"], ["worlds"]])
    assert run_abreast([fine, wrong], tmp_path, cores=2) == wrong.status != 0
    assert (fine.status, len(fine.took), len(wrong.took)) == (0, 2, 1)
    assert "nonsense" in (tmp_path / "nonsense-wrong.log").read_text()
