"""Recording: same seed same bytes, and whatever happens to it, finished episodes are safe."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nextstate.cli import main
from nextstate.commands.data import main as data_command
from nextstate.data import storage
from nextstate.data.check import check
from nextstate.data.format import FEATURE_OF, INFO_PATH, RGB
from nextstate.data.lerobot import open_dataset
from nextstate.data.recording import EXPLORE, Plan, play, record
from nextstate.data.storage import exclusive
from nextstate.data.writer import LOCK, recover, staged_paths, writing
from nextstate.errors import DatasetError, HeldOutSeedError, SettingsError, StorageError, UnknownNameError
from nextstate.worlds import HELD_OUT_SEED
from recordings import info, tree

PLAN = Plan("push", size=16, steps=5, base_seed=7, skill_fraction=0.5)


def test_what_is_read_is_what_was_played(tmp_path: Path) -> None:
    record(PLAN, tmp_path / "d", 3, workers=1)
    dataset = open_dataset(tmp_path / "d")
    columns = dataset.columns(0, dataset.info.array_keys)
    pictures = np.stack([picture for _, picture in dataset.pictures(RGB, 0)])
    for index in range(3):
        played = play(PLAN, index)
        rows = columns["episode_index"] == index
        for key, values in played.columns.items():
            # Numbers come back bit for bit, and so do pictures: the video is lossless.
            np.testing.assert_array_equal(pictures[rows] if key == RGB else columns[key][rows], values)
        entry = dataset.episodes[index]
        assert entry.task == played.task and entry.fields["nextstate/seed"] == 7 + index
        assert (entry.task == EXPLORE) == (entry.fields["nextstate/policy"] == EXPLORE)
    assert not check(tmp_path / "d", workers=1)


def test_the_command_after_the_last_state_is_zero() -> None:
    columns = play(PLAN, 0).columns
    assert not columns["action"][-1].any() and columns["action"][:-1].any()
    assert all(len(values) == PLAN.steps + 1 for values in columns.values())
    assert set(columns) == {*FEATURE_OF.values(), "action", "events", "outcome"}


def test_workers_and_interruptions_do_not_change_a_byte(tmp_path: Path) -> None:
    record(PLAN, tmp_path / "once", 5, workers=1)
    record(PLAN, tmp_path / "workers", 5, workers=2)
    assert tree(tmp_path / "once") == tree(tmp_path / "workers")


def test_recording_again_appends(tmp_path: Path) -> None:
    record(PLAN, tmp_path / "d", 2, workers=1)
    before = tree(tmp_path / "d")
    info = record(PLAN, tmp_path / "d", 5, workers=1)
    after = tree(tmp_path / "d")
    assert info.episodes == 5 and not check(tmp_path / "d", workers=1)
    assert all(after[name] == content for name, content in before.items() if name.startswith(("data", "videos")))
    assert record(PLAN, tmp_path / "d", 4, workers=1).episodes == 5


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (Plan("push", size=32, steps=5, base_seed=7), "size"),
        (Plan("push", size=16, steps=6, base_seed=7), "steps"),
        (Plan("push", size=16, steps=5, base_seed=8), "base_seed"),
        (Plan("push", size=16, steps=5, base_seed=7, modalities=("rgb", "proprio")), "modalities"),
    ],
)
def test_appending_something_else_is_refused_by_name(tmp_path: Path, changed: Plan, named: str) -> None:
    record(PLAN, tmp_path / "d", 1, workers=1)
    with pytest.raises(DatasetError, match=named):
        record(changed, tmp_path / "d", 2, workers=1)


def test_held_out_seeds_are_refused(tmp_path: Path) -> None:
    for base_seed in (HELD_OUT_SEED, HELD_OUT_SEED - 2, -1):
        with pytest.raises(HeldOutSeedError):
            record(Plan("push", base_seed=base_seed), tmp_path / "d", 3)
    assert not (tmp_path / "d").exists()


def test_bad_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        record(Plan("push", skill_fraction=2.0), tmp_path / "d", 3)
    with pytest.raises(SettingsError, match="digressions"):
        record(Plan("push", digressions=-0.1), tmp_path / "d", 3)
    with pytest.raises(UnknownNameError):
        record(Plan("pushh"), tmp_path / "d", 3)
    with pytest.raises(UnknownNameError):
        record(Plan("push", modalities=("rgb", "smell")), tmp_path / "d", 3)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/holiday.jpg").touch()
    with pytest.raises(DatasetError, match="not empty"):
        record(PLAN, tmp_path / "photos", 3)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "d" / LOCK), pytest.raises(DatasetError, match="another process"):
        record(PLAN, tmp_path / "d", 1, workers=1)


def test_a_disk_that_fills_up_at_any_moment_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(PLAN, tmp_path / "whole", 3, workers=1)
    sync, room = storage.sync, 0

    def full_after_a_while(path: Path) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        sync(path)

    stopped, finished, budget = 0, 0, 0
    while True:
        room, budget = budget, budget + 1
        with monkeypatch.context() as patch:
            patch.setattr(storage, "sync", full_after_a_while)
            try:
                record(PLAN, tmp_path / "d", 3, workers=1)
                break
            except StorageError:
                stopped += 1
        kept = set(staged_paths(tmp_path / "d"))
        if (tmp_path / "d/meta/info.json").exists():
            kept |= set(range(open_dataset(tmp_path / "d").info.episodes))
        assert len(kept) >= finished
        finished = len(kept)
    assert stopped > 3
    assert tree(tmp_path / "d") == tree(tmp_path / "whole")


def test_a_dataset_that_was_only_begun_is_no_damaged_one(tmp_path: Path) -> None:
    with writing(tmp_path / "d", create=info()):
        assert not check(tmp_path / "d", workers=1)


RECORDER = """
import sys
from nextstate.cli import main
from nextstate.data import shards
shards.EPISODES_PER_FILE = 2
sys.exit(main(["record", *sys.argv[1:]]))
"""


def test_killed_at_random_moments_it_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, moments = tmp_path / "killed", random.Random(0)
    options = ["--world", "push", "--out", str(root), "--episodes", "20", "--size", "16", "--steps", "20", "--no-cache"]
    finished = kills = 0
    for workers in ("1", "2", "1"):
        command = [sys.executable, "-c", RECORDER, *options, "--workers", workers]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_work(root, process, finished)
        time.sleep(moments.uniform(0.0, 0.4))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        published = open_dataset(root).info.episodes
        kept = len(set(staged_paths(root)) | set(range(published)))
        assert kept >= finished
        assert not check(root, workers=1)
        finished = kept
    assert kills >= 2
    monkeypatch.setattr("nextstate.data.shards.EPISODES_PER_FILE", 2)
    plan = Plan("push", size=16, steps=20)
    record(plan, root, 20, workers=1)
    record(plan, tmp_path / "whole", 20, workers=1)
    assert tree(root) == tree(tmp_path / "whole")


def _wait_for_work(root: Path, process: subprocess.Popen[bytes], finished: int) -> None:
    """Until the recorder has finished another episode, or ended."""
    while process.poll() is None:
        published = open_dataset(root).info.episodes if (root / "meta/info.json").exists() else 0
        if len(set(staged_paths(root)) | set(range(published))) > finished:
            return
        time.sleep(0.02)


def test_readers_see_what_a_killed_recorder_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nextstate.data.writer.Writer.commit", killed)
        with pytest.raises(KeyboardInterrupt):
            record(PLAN, tmp_path / "d", 3, workers=1)
    assert open_dataset(tmp_path / "d").info.episodes == 0
    recover(tmp_path / "d")
    assert open_dataset(tmp_path / "d").info.episodes == 3 and not staged_paths(tmp_path / "d")
    assert data_command(["check", str(tmp_path / "d"), "--workers", "1"]) == 0


def test_an_interrupted_recording_publishes_what_it_has(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(PLAN, tmp_path / "d", 6, workers=1, progress=interrupt)
    assert open_dataset(tmp_path / "d").info.episodes >= 2
    assert not check(tmp_path / "d", workers=1)


def test_the_command_records_and_builds_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["record", "--world", "push", "--out", str(tmp_path / "d"), "--episodes", "2", "--size", "16"]
    assert main([*command, "--steps", "4", "--workers", "1", "--modalities", "rgb", "proprio"]) == 0
    assert "2 episodes, 10 frames" in capsys.readouterr().out
    assert list((tmp_path / "d/.nextstate/cache").glob("*/rgb.npy"))
    assert main([*command, "--steps", "5", "--workers", "1"]) == 2
    assert "modalities" in capsys.readouterr().err


def test_statistics_lost_between_two_writes_come_back_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextstate.data.shards.EPISODES_PER_FILE", 2)
    record(PLAN, tmp_path / "whole", 7, workers=1)
    record(PLAN, tmp_path / "d", 5, workers=1)
    (tmp_path / "d/meta/stats.json").unlink()
    record(PLAN, tmp_path / "d", 7, workers=1)
    name = "meta/stats.json"
    assert json.loads(tree(tmp_path / "d")[name])["action"] == json.loads(tree(tmp_path / "whole")[name])["action"]


def test_few_scenes_may_be_recorded_many_times_with_other_doings_in_each() -> None:
    plan = Plan("push", size=16, steps=6, layouts=2, exploring="random", skill_fraction=0.0, digressions=0.0)
    first, other, again = (play(plan, index) for index in (0, 1, 2))
    assert first.facts["factors"] == again.facts["factors"] != other.facts["factors"]
    assert not np.array_equal(first.columns["action"], again.columns["action"])
    assert np.abs(np.diff(first.columns["action"][:-1], axis=0)).max() > 0.3


def test_recordings_made_before_there_were_scenes_to_repeat_go_on(tmp_path: Path) -> None:
    record(PLAN, tmp_path / "d", 1, workers=1)
    path = tmp_path / "d" / INFO_PATH
    info = json.loads(path.read_text())
    own = next(v for v in info.values() if isinstance(v, dict) and "layouts" in v)
    del own["layouts"], own["exploring"]
    path.write_text(json.dumps(info))
    assert record(PLAN, tmp_path / "d", 2, workers=1).episodes == 2
    with pytest.raises(DatasetError, match="layouts"):
        record(replace(PLAN, layouts=3), tmp_path / "d", 3, workers=1)
