"""The study of objectives: what it will cost, that nothing is lost or dropped, and what figures say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nextstate import data
from nextstate.cli import main
from nextstate.commands import objective_cell, pretrain, study_objective
from nextstate.commands.abreast import Lane
from nextstate.commands.grid import Queue
from nextstate.errors import CheckpointError, DivergenceError, SettingsError
from nextstate.evaluation.building import build_suite
from nextstate.evaluation.hidden import resampled
from nextstate.models import pretrained
from nextstate.studies import grid, objective
from nextstate.studies.objective import Design
from nextstate.studies.probing import _r2

DESIGN = Design(
    arms=("pixel", "flow", "pixel=1,latent=0.1"),
    worlds=("push", "spill"),
    seeds=range(2),
    minutes=10.0,
    snapshots=60,
    tasks=20,
    planned=("push",),
    evaluating={"push": 100.0},
)


def test_the_grid_has_every_arm_and_the_first_world_at_equal_operations_too() -> None:
    cells = DESIGN.cells()
    assert len(cells) == 3 * 2 * 2 + 2 * 2 and len({cell.name for cell in cells}) == len(cells)
    late = [cell for cell in cells if cell.equal == "operations"]
    assert cells[-len(late) :] == late and {cell.world for cell in late} == {"push"}
    assert all(cell.arm != "pixel" for cell in late)


def test_cost_counts_what_is_left_and_a_budget_is_kept(tmp_path: Path) -> None:
    whole = DESIGN.cost(tmp_path, 2)
    assert whole == pytest.approx(16 * (600 + 100) / 2)
    grid.keep(tmp_path, DESIGN.cells()[0], "done", figures={}, measuring=50.0)
    assert DESIGN.cost(tmp_path, 2) < whole - 300
    fitted = DESIGN.fitted(7200, tmp_path, 2)
    assert 6000 < fitted.cost(tmp_path / "fresh", 2) <= 7200
    with pytest.raises(SettingsError, match="at least"):
        DESIGN.fitted(600, tmp_path, 2)
    with pytest.raises(SettingsError, match="2h"):
        grid.parse_time("soon")


def row(nce: float, crps: float) -> dict[str, object]:
    return {"figures": {"nce": nce, "crps": crps}, "spread": {"nce": 0.01, "crps": 0.001}}


def test_figures_lead_to_conclusions_and_what_diverged_is_told(tmp_path: Path) -> None:
    design = replace(DESIGN, worlds=("push",))
    for cell in design.cells():
        if cell.arm.startswith("pixel=") and cell.seed == 1:
            grid.keep(tmp_path, cell, "diverged", why="the loss exploded")
        elif cell.equal == "time":
            better = cell.arm == "flow"
            grid.keep(tmp_path, cell, "done", **row(0.3 - 0.1 * better, 0.08 + 0.001 * cell.seed))
    found = objective.conclude(design, tmp_path)
    gain = found["gains"]["time"]["flow"]
    assert gain["nce"]["change"] == pytest.approx(-1 / 3) and gain["nce"]["interval"][1] < 0
    assert found["summary"]["best"] == "flow" and found["summary"]["nce_reduction"] == pytest.approx(1 / 3)
    assert found["summary"]["latent_speedup"] is None
    assert gain["crps"]["interval"][0] < 0 < gain["crps"]["interval"][1]
    told = "\n".join(found["says"])
    assert "Best by NCE at equal time: flow, surely" in told and "1 of its cells diverged" in told
    assert "not done yet" in told
    assert sum(cell["state"] == "diverged" for cell in found["cells"]) == 2


def test_arms_are_compared_snapshot_by_snapshot(tmp_path: Path) -> None:
    hard = np.linspace(0.1, 0.9, 40)

    def kept(extra: float) -> dict[str, object]:
        errors = hard * (1 + extra)
        return {**row(float(errors.mean()), 0.1), "by_snapshot": {"nce": [errors.tolist(), [1.0] * 40]}}

    design = replace(DESIGN, worlds=("push",), arms=("pixel", "flow"), seeds=range(1))
    for cell in design.cells():
        grid.keep(tmp_path, cell, "done", **kept(-0.1 if cell.arm == "flow" else 0.0))
    low, high = objective.conclude(design, tmp_path)["gains"]["time"]["flow"]["nce"]["interval"]
    assert -0.13 < low < -0.1 < high < -0.07  # Far narrower than how much snapshots differ.


def test_a_cell_that_diverges_is_noted_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object) -> None:
        raise DivergenceError("the loss is NaN")

    monkeypatch.setattr(objective_cell, "_train", diverge)
    cell = DESIGN.cells()[0]
    objective_cell.measure_cell(DESIGN, cell, tmp_path, study_objective.Config(tmp_path, preset="tiny"))
    kept = grid.found(tmp_path, cell)
    assert kept is not None and kept["state"] == "diverged" and kept["why"] == "the loss is NaN"


def test_lanes_share_a_queue() -> None:
    queue = Queue([[str(number)] for number in range(10)])
    lanes = [Lane("a", queue), Lane("b", queue)]
    one, two = iter(lanes[0].commands), iter(lanes[1].commands)
    taken = [next(one), next(two), next(two), *one]
    assert len(queue) == 10 and len({command[0] for command in taken}) == 10 and next(two, None) is None


def test_linear_readings_find_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.standard_normal((300, 40)), rng.standard_normal((200, 40))
    weights = rng.standard_normal((40, 2))
    assert _r2(known, known @ weights, asked, asked @ weights) > 0.95
    assert _r2(known, rng.standard_normal((300, 2)), asked, rng.standard_normal((200, 2))) < 0.1


def test_what_is_hidden_decides_where_things_end_rather_than_where_the_pusher_does(tmp_path: Path) -> None:
    suite = build_suite(
        "push", 2, alternatives=2, horizon=10, workers=1, probes=1, pictures=1, climate_episodes=2, cache=tmp_path
    )
    futures = resampled(suite, draws=3, cache=tmp_path)
    assert futures.shape == (3, 2, 2, 10, suite.outcomes.shape[-1])
    assert np.array_equal(futures, resampled(suite, draws=3, cache=tmp_path))
    groups = suite.groups()
    spread = suite.scale(futures).std(axis=0)[:, :, -1]
    assert spread[..., groups["objects"]].max() > 2 * spread[..., groups["body"]].max()


def test_steps_at_equal_operations_follow_from_what_the_reference_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        def __init__(self, arm: str) -> None:
            self.cost = 2.0 if arm == "flow" else 1.0

        def flops(self, batch: int, progress: float) -> float:
            return self.cost * batch * (1 + progress)

    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"training": {"batch": 32}}))
    ((np.arange(100) + 0.5) / 100).tofile(run / "pace.f64")
    monkeypatch.setattr(pretrained, "from_pretrained", lambda _: Model("pixel"))
    monkeypatch.setattr(pretrain, "make_model", lambda config, _: Model(config.objective))
    monkeypatch.setattr(data, "open_cache", lambda _: None)
    made = objective_cell.operations(run)
    assert made == pytest.approx(100 * 32 * 1.5, rel=0.02)
    assert objective_cell.steps_for(made, "flow", run, tmp_path, "tiny") == pytest.approx(50, abs=1)
    with pytest.raises(CheckpointError, match="has not ended"):
        objective_cell.operations(tmp_path / "other")


def test_the_study_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study"
    options = ["study", "objective", "--smoke", "--arms", "flow", "--out", str(out), "--workers", "2"]
    assert main(options) == 0
    assert "1 cells (1 to do)" in (shown := capsys.readouterr().out) and "on 2 cores" in shown
    found = json.loads((out / "objective.json").read_text())
    assert [cell["state"] for cell in found["cells"]] == ["done"]
    assert all({"nce", "poses", "hidden", "step_ms", "planning"} <= set(cell["figures"]) for cell in found["cells"])
    assert "NCE at 1 s" in (out / "objective.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    assert main(options) == 0 and "(0 to do)" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}

    again = [*options[:-4], "--out", str(tmp_path / "moved"), "--known", str(out / "objective.json")]
    said = tmp_path / "push.json"
    said.write_text(json.dumps({"summary": {"text_event": 0.5, "text_retrieval_at_8": 0.75}}))
    assert main([*again, "--said", str(said)]) == 0 and "(0 to do)" in capsys.readouterr().out
    moved = json.loads((tmp_path / "moved" / "objective.json").read_text())
    assert moved["cells"] == found["cells"] and moved["summary"]["text_event"] == 0.5
    assert main([*again, "--known", str(said)]) == 2 and "no results of a study" in capsys.readouterr().err
    assert main([*again, "--preset", "small", "--no-smoke", "--minutes", "3", "--out", str(tmp_path / "new")]) == 2
    assert "made with" in capsys.readouterr().err
    assert main(["study", "objective", "--arms", "pixle", "--out", str(tmp_path / "other")]) == 2
    assert main(["study", "objective", "--arms", "pixel=lots", "--out", str(tmp_path / "other")]) == 2
    assert "no weight" in capsys.readouterr().err
