"""The study of data: laws that are found where they hold, what suffices, and what figures say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from nextstate.cli import main
from nextstate.commands.grid import settled
from nextstate.commands.study_data import Config
from nextstate.errors import SettingsError
from nextstate.reports.amounts import data_page
from nextstate.studies import data, grid
from nextstate.studies.data import Cell, Design
from nextstate.studies.power import amount_for, fit_power

DESIGN = Design(
    world="push",
    whole=1000,
    shares=(0.01, 0.03, 0.1, 0.3, 1.0),
    silent=("same",),
    beside={"same": (0.1,)},
    some=300,
    layouts=(3,),
    policies=("skills", "random"),
    seeds=range(2),
    minutes=5.0,
    snapshots=60,
    evaluating={"push": 100.0},
)


@given(some.floats(0.05, 5.0), some.floats(0.05, 1.5))
def test_a_power_law_is_found_and_foretells_what_it_was_not_fitted_to(scale: float, exponent: float) -> None:
    amounts = [10.0, 30.0, 100.0, 300.0]
    law = fit_power(amounts, [scale * n**-exponent for n in amounts], [1e-9] * 4)
    assert law is not None and law.exponent == pytest.approx(exponent, rel=1e-6)
    foretold, (low, high) = law.at(1000.0)
    assert foretold == pytest.approx(scale * 1000.0**-exponent, rel=1e-6) and low <= foretold <= high
    assert law.interval[0] <= law.exponent <= law.interval[1]


def test_uncertain_points_make_wide_laws_and_too_few_make_none() -> None:
    amounts, errors = [10.0, 30.0, 100.0, 300.0], [0.5, 0.4, 0.3, 0.2]
    sure, loose = (fit_power(amounts, errors, [spread] * 4) for spread in (0.01, 0.1))
    assert sure is not None and loose is not None
    assert np.ptp(loose.interval) > 2 * np.ptp(sure.interval)
    assert fit_power(amounts[:2], errors[:2], [0.01] * 2) is None and fit_power(amounts, [0.0] * 4, [0.1] * 4) is None


@given(some.floats(0.2, 0.95))
def test_enough_data_lies_between_the_points_around_it(wanted: float) -> None:
    amounts, skills = [10.0, 100.0, 1000.0], [0.2, 0.6, 0.95]
    found = amount_for(amounts, skills, wanted)
    assert found is not None and 10 <= found <= 1000
    assert np.interp(np.log(found), np.log(amounts), skills) == pytest.approx(wanted)
    assert amount_for(amounts, skills, 0.99) is None


def keep(folder: Path, cell: Cell, nce: float, retrieval: float) -> None:
    figures = {"nce": nce + 0.001 * cell.seed, "retrieval": retrieval}
    grid.keep(folder, cell, "done", figures=figures, spread={"nce": 0.01, "retrieval": 0.01}, measuring=50.0)


def study(folder: Path) -> dict[str, object]:
    for cell in DESIGN.cells():
        nce = 0.8 * cell.episodes**-0.2
        if cell.silent == "same":
            nce = 0.25 * 0.8 * 100**-0.2 + 0.75 * 0.8 * 1000**-0.2
        nce *= {"skills": 1.5, "random": 1.2}.get(cell.policy, 1.0)
        if cell.layouts and cell.seed == 1:
            grid.keep(folder, cell, "diverged", why="the loss exploded")
        else:
            keep(folder, cell, nce, 1 - nce)
    return data.conclude(DESIGN, folder, 1 / 8)


def test_cells_differ_and_share_what_series_have_in_common() -> None:
    cells = DESIGN.cells()
    assert len({cell.name for cell in cells}) == len(cells) == 2 * (5 + 1 + 1 + 2)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)


def test_figures_lead_to_a_plain_answer(tmp_path: Path) -> None:
    found = study(tmp_path)
    law = found["laws"]["labelled"]
    assert law["exponent"] == pytest.approx(0.2, abs=0.02) and law["held_out"]["episodes"] == 1000
    assert law["held_out"]["foretold"] == pytest.approx(law["held_out"]["measured"], rel=0.05)
    summary = found["summary"]
    assert summary["error_reduction_vs_10pct"] == pytest.approx(0.75, abs=0.02)
    assert 0.9 < summary["retrieval_ratio_10pct_plus_silent"] <= 1 and summary["latent_action_r2"] is None
    assert summary["silent_by"] == "same"
    said = "\n".join(found["says"])
    assert "as foretold" in said and "Not by itself" in said
    assert sum(cell["state"] == "diverged" for cell in found["cells"]) == 1 and "diverged" in said


def test_what_is_missing_is_told_and_the_page_is_drawn_all_the_same(tmp_path: Path) -> None:
    keep(tmp_path, DESIGN.cells()[0], 0.4, 0.6)
    found = data.conclude(DESIGN, tmp_path, 1 / 8)
    assert found["laws"]["labelled"] is None and "17 cells are not done yet." in found["says"]
    page = data_page("How much?", found, data.FIGURES, data.label, "nextstate study data")
    assert "<svg" in page and "17 cells are not done yet." in page
    whole = data_page("How much?", study(tmp_path / "whole"), data.FIGURES, data.label, "nextstate study data")
    assert whole.count("<svg") == 4


def test_bad_options_are_refused_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "study")]
    for options, named in (
        (["--world", "pour"], "pour"),
        (["--shares", "0", "1"], "--shares"),
        (["--scenes", "4000"], "--scenes"),
        (["--some", "2000"], "--some"),
        (["--data", "push=nowhere"], "nowhere"),
        (["--objective", "pixels"], "pixels"),
    ):
        assert main(["study", "data", *options, *out]) == 2 and named in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
    assert replace(DESIGN, minutes=1.0).cost(tmp_path, 2) < DESIGN.cost(tmp_path, 2)


def test_cells_of_another_objective_are_not_taken_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = tmp_path / "data.json"
    known.write_text(json.dumps({"settings": {"world": "push"}, "cells": []}), encoding="utf-8")
    options = ["--smoke", "--known", str(known), "--out", str(tmp_path / "study")]
    assert main(["study", "data", *options]) == 2 and "--objective pixel" in capsys.readouterr().err


def test_a_study_from_before_objectives_could_be_chosen_goes_on(tmp_path: Path) -> None:
    config = Config(out=tmp_path, objective="pixel")
    settled(config, DESIGN, 2)
    path = tmp_path / "settings.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    del before["asked"]["objective"]
    path.write_text(json.dumps(before), encoding="utf-8")
    assert settled(config, DESIGN, 2).minutes == DESIGN.minutes
    with pytest.raises(SettingsError, match="other --objective"):
        settled(replace(config, objective="flow"), DESIGN, 2)
