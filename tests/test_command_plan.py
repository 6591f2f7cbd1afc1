"""``nextstate plan``: acts towards a goal and leaves a clip and figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from nextstate.cli import main


def test_a_goal_given_as_a_place_is_reached_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "planned.webp"
    goal = "proprio[0]=0.2,proprio[1]=0.2"
    status = main(["plan", "--goal", goal, "--steps", "8", "--candidates", "32", "--horizon", "6", "--out", str(out)])
    assert status == 0 and "ms per decision" in capsys.readouterr().out
    with Image.open(out) as clip:
        assert clip.n_frames == 9  # type: ignore[attr-defined]
    record = json.loads(out.with_name("planned.webp.json").read_text())
    assert len(record["actions"]) == 8 and len(record["cost"]) == 9
    assert record["cost"][-1] < 0.1 * record["cost"][0]
    assert len(record["confidence"]) == 4 and 1 >= record["confidence"][0] > 0.5
    # What it expected is what came, or planning was luck.
    assert abs(record["expected_cost"][-1] - record["cost"][-1]) < 0.1 * record["cost"][0]


def test_a_planner_that_thinks_in_branches_shows_its_thoughts(tmp_path: Path) -> None:
    goal = "proprio[0]=0.2,proprio[1]=0.2"
    options = ["--planner", "tree", "--candidates", "24", "--horizon", "6", "--steps", "2"]
    assert main(["plan", "--goal", goal, *options, "--out", str(tmp_path / "p.webp")]) == 0
    page = (tmp_path / "thoughts.html").read_text()
    told = json.loads((tmp_path / "thoughts.json").read_text())
    thoughts = told["thoughts"]
    chosen = [thought for thought in thoughts if thought["fate"] == "chosen"]
    for states in (chosen[0]["states"], told["truth"]):
        assert {"rgb", "depth", "touch"} <= set(states) and states["rgb"]["strip"].startswith("data:image")
    assert len(chosen[0]["states"]["touch"]) == len(chosen[0]["commands"])
    assert all(0 <= chance <= 1 for chances in chosen[0]["events"].values() for chance in chances)
    assert page.count("<details") >= len(chosen) > 0 and page.count(" open>") == len(chosen)
    assert "what really comes" in page and "data:image/webp" in page
    assert "http" not in page.replace("http-equiv", "")
    assert [t["parent"] for t in chosen] == [0, *(t["number"] for t in chosen[:-1])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--goal", "nope.png"], "cannot be opened"),
        (["--goal", "contact", "--planner", "categorical"], "chooses from a list"),
        (["--goal", "contact", "--candidates", "0"], "--candidates 0"),
        (["--goal", "exploded"], "unknown event"),
        (["--goal", "contact", "--planner", "tree", "--samples", "2"], "imagines one future of each plan"),
        (["--goal", "contact", "--caution", "1"], "at least 2 samples"),
        (["--goal", "contact", "--seed", "-1"], "--seed -1"),
        (["--goal", "push it left", "--model", "oracle"], "a model that outlines things"),
        (["--goal", "contact", "--world", "pushh"], "Did you mean 'push'"),
        (["--goal", "contact", "--horizon", "7"], "blocks"),
    ],
)
def test_what_cannot_be_planned_ends_with_a_reason(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *arguments, "--steps", "2", "--out", str(tmp_path / "p.webp")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
