"""`nextstate worlds` tells and draws; the head of records names the code and the machine, and nobody's folders."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nextstate.cli import main
from nextstate.provenance import provenance
from nextstate.worlds import WORLDS


def test_the_list_names_every_world_with_its_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worlds"]) == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    for name, world in WORLDS.items():
        assert {name, *world.events} <= set(words)


def test_one_world_is_told_about_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worlds", "collide"]) == 0
    told = capsys.readouterr().out
    assert "target_mass" in told and "held out" in told and "hit_gently" in told


def test_a_film_strip_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "strip.png"
    assert main(["worlds", "drop", "--out", str(out), "--columns", "4", "--skill", "drop_in_gap"]) == 0
    strip = np.asarray(Image.open(out))
    assert strip.shape[1] > 4 * 128 and strip[24:152].std() > 20


@pytest.mark.parametrize("wrong", [["psuh"], ["push", "--out", "x.tiff"], ["push", "--out", "x.png", "--skill", "fly"]])
def test_what_is_unknown_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worlds", *wrong]) == 2
    assert "unknown" in capsys.readouterr().err


def test_the_head_of_a_record() -> None:
    head = provenance(["nextstate", "evaluate", "model"])
    assert head["command"] == "nextstate evaluate model"
    assert head["commit"] and head["date"].endswith("+00:00") and head["machine"]["mujoco"]
    written = json.dumps(head)
    assert platform.node() not in written.replace(head["commit"], "")
    assert str(Path.home()) not in written and f'"{getpass.getuser()}"' not in written


def test_whoever_stops_reading_is_not_told_of_a_crash() -> None:
    command = [sys.executable, "-m", "nextstate", "worlds", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()
        assert running.wait() == 141
