"""Whether imagination can be trusted: orders are compared rightly, changed worlds are changed, and the study runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextstate.acting.shifts import SHIFTS, shifted
from nextstate.cli import main
from nextstate.errors import UnknownNameError
from nextstate.evaluation.ranking import agreement_of_order, misjudged, mmrv, pearson, spearman
from nextstate.worlds import make_world

WORTH = np.array([0.1, 0.4, 0.5, 0.9])


@given(st.permutations(range(4)))
def test_trusting_a_wrong_order_costs_what_it_violates(order: list[int]) -> None:
    imagined = WORTH[order]
    assert spearman(WORTH, np.exp(3 * imagined)) == pytest.approx(pearson(np.arange(4.0), np.array(order, float)))
    assert (mmrv(WORTH, imagined) == 0) == (order == sorted(order))
    assert mmrv(WORTH, -WORTH) >= mmrv(WORTH, imagined)


def test_order_is_judged_over_tasks() -> None:
    real = WORTH[:, None] + 0.01 * np.random.default_rng(0).standard_normal((4, 30))
    right, reverse = agreement_of_order(real, 2 * real + 1), agreement_of_order(real, -real)
    assert right["pearson"]["value"] == right["spearman"]["value"] == 1 and right["mmrv"]["value"] == 0
    assert reverse["spearman"]["value"] == -1 and reverse["mmrv"]["interval"][0] > 0.3
    assert misjudged(WORTH, -WORTH) == (6, 6) and misjudged(WORTH, WORTH) == (0, 6)
    assert misjudged(WORTH, -WORTH, equal=0.5)[1] == 5


def test_a_changed_world_differs_in_what_was_changed_alone() -> None:
    usual = make_world("push")
    state, _ = usual.reset(seed=3)
    for shift in SHIFTS:
        world = shifted(usual, shift)
        seen, _ = world.reset(seed=3)
        masses = world.model.body_mass / np.maximum(usual.model.body_mass, 1e-9)
        assert np.allclose(masses[usual.model.body_mass > 0], 2.0 if shift == "physical" else 1.0)
        assert (shift == "visual") == bool(np.abs(seen["rgb"].astype(int) - state["rgb"]).mean() > 5)
        assert np.array_equal(seen["depth"], state["depth"])
        world.restore(world.snapshot())
        assert np.allclose(world.model.body_mass / np.maximum(usual.model.body_mass, 1e-9), masses)
    with pytest.raises(UnknownNameError, match="physical"):
        shifted(usual, "moral")


def test_the_study_of_honesty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "honesty"
    options = ["study", "honesty", "--tasks", "2", "--trials", "1", "--oracle", "1", "--steps", "4", "--ahead", "6"]
    options += ["--candidates", "1", "8", "--proposals", "4", "--out", str(out)]
    assert main(options) == 0
    found = json.loads((out / "honesty.json").read_text())
    assert len(found["policies"]["worth"]) >= 8 and len(found["plans"]["regret"]) == 2
    assert found["plans"]["exploitation"][0]["value"] != found["plans"]["exploitation"][1]["value"]
    assert found["plans"]["regret"][1]["value"] >= 0 and found["plans"]["pairs"] > 0
    assert all(row["died"] == 0 and row["strict"]["trials"] == 1 for row in found["acting"].values())
    assert found["says"][0].split(":")[0] in (out / "honesty.html").read_text()
    lines = len((out / "trials.jsonl").read_text().splitlines())
    assert main(options) == 0 and len((out / "trials.jsonl").read_text().splitlines()) == lines
    capsys.readouterr()
    assert main(["study", "honesty", "--candidates", "0"]) == 2
    assert main(["study", "honesty", "--oracle", "99"]) == 2
    assert main(["study", "truth"]) == 2
    assert "honesty" in capsys.readouterr().err
