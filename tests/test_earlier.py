"""Rows of the study of language that are taken over from earlier results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nextstate.errors import SettingsError
from nextstate.studies.earlier import Earlier


def written(path: Path, **rows: Any) -> Path:
    path.write_text(json.dumps({"command": f"made {path.stem}", "commit": "c", "date": "d", **rows}))
    return path


def rate(value: float) -> dict[str, float]:
    return {"rate": value, "milliseconds": 5.0}


@pytest.fixture
def known(tmp_path: Path) -> Path:
    control = {name: rate(0.1) for name in ("vla", "vla, heavy", "bc", "planning", "planning, heavy")}
    answers = {"ways": {"vlm": {"physics": 0.6}, "imagination": {"physics": 0.7}}, "counts": {"physics": 9}}
    return written(tmp_path / "known.json", answers=answers, control=control, curves={}, ledger=[{"name": "vla"}])


def test_what_this_run_measured_itself_is_not_taken_over(known: Path) -> None:
    found = Earlier.read(known, (), answers={"imagination"}, control={"planning", "planning, heavy"})
    assert set(found.answers) == {"vlm"} and set(found.control) == {"vla", "vla, heavy", "bc"}
    assert found.vlas == ["vla"] and found.ours == [] and found.milliseconds["vla"] == 5.0
    assert found.sources == [{"command": "made known", "commit": "c", "date": "d", "rows": ["bc", "vla", "vlm"]}]


def test_a_way_followed_anew_brings_all_its_conditions(known: Path, tmp_path: Path) -> None:
    anew = written(tmp_path / "followed.json", ways={"planning": rate(0.8), "directing": rate(0.9)})
    found = Earlier.read(known, (anew,), answers=(), control=())
    assert found.control["planning"] == rate(0.8) and "planning, heavy" not in found.control
    assert found.control["vla, heavy"] == rate(0.1) and found.ours == ["planning", "directing"]
    assert [source["command"] for source in found.sources] == ["made followed", "made known"]


@pytest.mark.parametrize("text", ["{", "{}", '{"ways": {}}', "[]"])
def test_a_file_that_is_no_such_result_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"other\.json: not a result that could be taken over"):
        Earlier.read(path, (), (), ())
    with pytest.raises(SettingsError, match="nextstate follow"):
        Earlier.read(None, (tmp_path / "missing.json",), (), ())
