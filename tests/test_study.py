"""A study runs end to end, goes on where it stopped, and its page says what its figures say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nextstate.cli import main
from nextstate.models.folders import folder_of
from nextstate.planning import Guide
from nextstate.studies.decoding import DECODERS, needed_heads, says
from recordings import make_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "data"
    assert main(["record", "--world", "push", "--episodes", "8", "--out", str(out)]) == 0
    return out


def test_only_heads_that_decoders_act_with_are_learned() -> None:
    assert needed_heads(["cloned"]) == ["guide"] == needed_heads(["planner"])
    assert needed_heads(["inverse"]) == ["inverse", "joint"]
    assert needed_heads(list(DECODERS)) == ["guide", "inverse", "joint"], "none of them leaps"


def test_the_study_of_decoding(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "decoding"
    options = ["study", "decoding", "--data", str(data), "--demonstrations", "3", "6", "--minutes", "0.01"]
    options += ["--tasks", "1", "--seeds", "1", "--steps", "4", "--candidates", "6", "--horizon", "4"]
    options += ["--out", str(out)]
    assert main([*options, "--decoders", *DECODERS]) == 0
    found = json.loads((out / "decoding.json").read_text())
    assert set(found["decoders"]) == set(DECODERS) and found["decoders"]["cloned"]["oracle"]["3"]["strict"]
    rows = [row for kinds in found["decoders"].values() for counts in kinds.values() for row in counts.values()]
    assert rows and all(row["strict"]["trials"] == 1 and row["died"] == 0 for row in rows)
    page = (out / "decoding.html").read_text()
    assert all(sentence.split(":")[0] in page for sentence in found["says"])
    lines = len((out / "trials.jsonl").read_text().splitlines())
    assert main([*options, "--decoders", *DECODERS]) == 0
    assert len((out / "trials.jsonl").read_text().splitlines()) == lines
    capsys.readouterr()
    assert main([*options, "--decoders", "cloned"]) == 0
    assert len((out / "trials.jsonl").read_text().splitlines()) == lines
    assert main([*options, "--decoders", "wish"]) == 2
    assert main([*options, "--demonstrations", "60", "--out", str(tmp_path / "more")]) == 2
    assert "60 episodes" in capsys.readouterr().err


def test_conclusions_follow_from_figures() -> None:
    def row(rate: float) -> dict[str, object]:
        return {"6": {"strict": {"rate": rate, "trials": 100}}}

    table = {
        "cloned": {"imagined": row(0.2), "oracle": row(0.9)},
        "planner": {"imagined": row(0.6), "oracle": row(1.0)},
    }
    told = says(table, "6")
    assert "true future, cloned" in told[0] and "planner acts best" in told[1]
    assert any(line.startswith("planner: imagining costs 40 points (30 to 49)") for line in told)
    assert "90%" in told[-1]


def test_heads_are_learned_once_and_lie_beside_the_model(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "heads"
    options = ["guide", "--model", "push", "--data", str(data), "--minutes", "0.01", "--out", str(folder)]
    assert main([*options, "--heads", "inverse"]) == 0
    first = (folder / "inverse.safetensors").read_bytes()
    assert main([*options, "--heads", "inverse", "guide"]) == 0
    assert (folder / "inverse.safetensors").read_bytes() == first and (folder / "guide.safetensors").is_file()
    capsys.readouterr()
    assert main([*options, "--heads", "inverse", "guide"]) == 0
    assert "were learned with these settings" in capsys.readouterr().out
    assert main([*options, "--heads", "guide", "--looks", "--episodes", "2"]) == 0
    guide = Guide.load(folder)
    assert guide.posture is not None and guide.shape.looks
    kept = sorted(data.rglob("looked-*/places.npy"))
    assert len(kept) >= 2, "in motion and still"
    for path in kept:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged"):
        assert main([*options, "--heads", "joint"]) == 0
    for path in kept:
        shutil.rmtree(path.parent)
    away = [str(data / ".." / data.name) if word == str(data) else word for word in options]
    assert main([*away, "--heads", "inverse"]) == 0
    assert "were learned with these settings" in capsys.readouterr().out
    assert main([*options, "--heads", "wish"]) == 2
    several = ["guide", "--model", "push", "--data", str(data), str(data), *options[5:], "--heads", "guide"]
    assert main([*several, "--episodes", "2"]) == 2
    capsys.readouterr()
    assert main(several) == 0 and main(several) == 0
    assert "were learned with these settings" in capsys.readouterr().out
    make_dataset(tmp_path / "others", episodes=3, length=8)
    assert main(["guide", "--model", "push", "--data", str(tmp_path / "others")]) == 2
    assert "but push-small knows it as" in capsys.readouterr().err


def test_a_guide_goes_on_learning_and_keeps_what_matters_to_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["guide", "--data", str(data), "--minutes", "0.01", "--out", str(tmp_path), "--init-from", "push"]
    mine = [*options, "--model", "push"]
    assert main([*mine, "--heads", "guide"]) == 0
    shipped, taught = Guide.load(folder_of("push")), Guide.load(tmp_path)
    for kept, before in ((taught.rests, shipped.rests), (taught.obeys, shipped.obeys)):
        assert torch.equal(kept, before.half().float()), "a guide is kept in half precision"
    assert not torch.equal(*(guide.members.state_dict()["0.steps.weight"] for guide in (taught, shipped)))
    capsys.readouterr()
    assert main([*mine, "--heads", "guide"]) == 0
    assert "were learned with these settings" in capsys.readouterr().out
    for wrong, said in ((["--looks"], "another shape"), (["--model", "grasp"], "another model")):
        assert main([*mine, "--heads", "guide", *wrong]) == 2
        assert said in capsys.readouterr().err
    assert main([*mine, "--heads", "inverse"]) == 2
