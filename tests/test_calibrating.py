"""How sure a model is, set by what truly comes."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nextstate.cli import main
from nextstate.commands.calibrate import NOTE
from nextstate.evaluation import calibrating
from nextstate.evaluation.building import build_suite
from nextstate.evaluation.calibrating import LEVEL, NEAR, Tried, fit_scale
from nextstate.evaluation.oracle import Oracle
from nextstate.evaluation.suite import Suite
from nextstate.models import WorldModelSpec, build
from nextstate.models.pretrained import from_pretrained, save_pretrained
from nextstate.models.protocol import History
from nextstate.worlds import make_world


@pytest.mark.parametrize("start", [0.3, 1.0, 3.0])
def test_the_scale_is_found_at_which_intervals_cover_what_they_should(
    start: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = Oracle(make_world("push", 32))
    oracle.spec = replace(oracle.spec, stochastic=True)
    asked: list[float] = []

    def at(scale: float) -> Any:
        asked.append(scale)
        return oracle

    monkeypatch.setattr(calibrating, "check_fits", lambda *_: None)
    monkeypatch.setattr(calibrating, "sample", lambda *_, **__: None)
    monkeypatch.setattr(calibrating, "Prediction", lambda *_, **__: None)
    monkeypatch.setattr(calibrating, "coverage", lambda *_: asked[-1] / (asked[-1] + 0.3))
    suite: Any = type("Suite", (), {"outcomes": None, "events": None})
    tried = fit_scale(at, start, suite, None, samples=2)  # type: ignore[arg-type]
    assert isinstance(tried[-1], Tried) and abs(tried[-1].covered - LEVEL) <= NEAR
    assert tried[-1].scale == pytest.approx(1.2, rel=0.05) and len(tried) <= calibrating.TRIES


def test_only_how_far_samples_lie_apart_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(name: str, *_: int, **options: Any) -> Suite:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Two snapshots miss the shares that a suite should have.
            return build_suite(name, 2, 4, 5, **{**options, "climate_episodes": 4, "pictures": 0})

    monkeypatch.setattr("nextstate.evaluation.building.build_suite", small)
    monkeypatch.setattr(calibrating, "TRIES", 2)
    world = make_world("push")
    torch.manual_seed(0)
    spec = WorldModelSpec("push", world.state_spec, world.action_size, 10.0, 4, 16)
    folder = save_pretrained(build(spec, "tiny", objective="flow"), tmp_path / "model", {})
    weights = (folder / "model.safetensors").read_bytes()
    options = ["--model", str(folder), "--world", "push", "--snapshots", "2", "--samples", "2", "--workers", "1"]
    assert main(["calibrate", *options, "--cache", str(tmp_path / "cache")]) == 0
    note = json.loads((folder / NOTE).read_text())
    kept = from_pretrained(folder)
    assert kept.size.temperature == note["after"] and note["tried"][-1]["scale"] == note["after"]
    assert (folder / "model.safetensors").read_bytes() == weights
    states = {n: torch.zeros(1, 4, *m.shape) for n, m in spec.modalities.items()}
    states["rgb"] = states["rgb"].to(torch.uint8)
    belief = kept.observe(History(states, torch.zeros(1, 3, 2)))
    assert torch.isfinite(kept.imagine(belief, torch.zeros(1, 2, 2), sample=1).tensors["places"]).all()


def test_nothing_is_fitted_to_what_results_are_from(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["calibrate", "--model", "push", "--world", "push", "--suite-seed", "0"]) == 2
    assert "results are from that suite" in capsys.readouterr().err
    assert main(["calibrate", "--model", str(tmp_path), "--world", "push"]) == 2
    assert "no folder of a model" in capsys.readouterr().err
