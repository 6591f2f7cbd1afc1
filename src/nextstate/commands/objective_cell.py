"""One cell of ``nextstate study objective``: trains a model and measures it, in this process."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextstate.commands.study_objective import Config
    from nextstate.evaluation.bootstrap import Ratio
    from nextstate.models import StateModel
    from nextstate.studies.objective import Cell, Design

HISTORY = 8
"""States of history from which poses and masses are probed."""

AHEAD = 25
"""Steps in which the goal was reached."""


def measure_cell(design: Design, cell: Cell, data: Path, config: Config) -> None:
    """Trains and measures a cell and notes what came of it; one that diverges is noted as that.

    Interrupted, it raises `KeyboardInterrupt` and goes on from its last checkpoint when called again.
    """
    from nextstate.errors import DivergenceError
    from nextstate.models.pretrained import from_pretrained
    from nextstate.studies import grid
    from nextstate.studies.energy import Meter

    folder, home = config.out, grid.path_of(config.out, cell).parent
    meter = Meter()
    try:
        _train(design, cell, data, config)
    except DivergenceError as error:
        grid.keep(folder, cell, "diverged", why=str(error), cost=meter.read())
        print(f"{cell.name} diverged: {error}")
        return
    # A run that was interrupted before cost more than this meter saw.
    cost = {**meter.read(), **_spent(home / "run")}
    began = time.monotonic()
    model = from_pretrained(home / "run" / "model")
    figures = _judge(design, cell, data, home, model, config.suite_seed)
    spread = figures.pop("spread")
    pairs = figures.pop("by_snapshot")
    figures["kilojoules"] = cost["kilojoules"]
    measuring = round(time.monotonic() - began, 1)
    if cell.equal == "time":  # Noted, since results outlive runs.
        cost["operations"] = operations(home / "run")
    facts = {"figures": figures, "spread": spread, "by_snapshot": pairs, "cost": cost, "measuring": measuring}
    grid.keep(folder, cell, "done", **facts)


def _train(design: Design, cell: Cell, data: Path, config: Config) -> None:
    from nextstate.commands import pretrain
    from nextstate.errors import DivergenceError
    from nextstate.studies import grid, objective

    run = grid.path_of(config.out, cell).parent / "run"
    command = ["--data", str(data), "--out", str(run), "--objective", cell.arm, "--preset", config.preset]
    command += ["--seed", str(cell.seed), "--name", f"{cell.world}-{config.preset}", "--no-tensorboard"]
    command += ["--validation-windows", str(config.validated)]
    if cell.equal == "time":
        command += ["--minutes", f"{design.minutes:g}"]
    else:
        twin = objective.Cell(objective.REFERENCE, cell.world, cell.seed)
        reference = grid.found(config.out, twin) or {}
        if reference.get("state") == "diverged":
            raise DivergenceError(f"{twin.name} diverged, so there is no number of operations to be equal to.")
        known = reference.get("cost", {}).get("operations")
        made = known or operations(grid.path_of(config.out, twin).parent / "run")
        command += ["--steps", str(steps_for(made, cell.arm, run, data, config.preset))]
    if pretrain.main(command) == 130:
        raise KeyboardInterrupt


def operations(run: Path) -> float:
    """Floating-point operations that a finished run by the clock made."""
    from nextstate.errors import CheckpointError
    from nextstate.models.pretrained import from_pretrained
    from nextstate.training.schedule import read_pace

    if not (run / "model").is_dir():
        raise CheckpointError(f"{run} has not ended, so it does not tell how many operations are equal to it.")
    batch = json.loads((run / "config.json").read_text(encoding="utf-8"))["training"]["batch"]
    model = from_pretrained(run / "model")
    return float(sum(model.flops(batch, float(progress)) for progress in read_pace(run / "pace.f64")))


def steps_for(made: float, arm: str, run: Path, data: Path, preset: str) -> int:
    """Steps in which an arm makes as many operations."""
    from nextstate.commands.pretrain import Config, make_model
    from nextstate.data import open_cache

    config = Config(data, run, preset=preset, objective=arm)
    model = make_model(config, open_cache(data))
    mean = sum(model.flops(config.training.batch, (place + 0.5) / 64) for place in range(64)) / 64
    return max(round(made / mean), 1)


def _spent(run: Path) -> dict[str, float]:
    """Training time over all pieces of a run, and the energy of one busy core in it, by its own notes."""
    from nextstate.studies.energy import WATTS
    from nextstate.training.metrics import read_metrics

    seconds = [line["seconds"] for line in read_metrics(run / "metrics.jsonl") if line["kind"] == "end"]
    return {"seconds": seconds[-1], "kilojoules": round(seconds[-1] * WATTS / 1000, 3)} if seconds else {}


def _judge(design: Design, cell: Cell, data: Path, home: Path, model: StateModel, suite_seed: int) -> dict[str, Any]:
    """All figures; under ``spread`` the standard errors of those that have one, and ``by_snapshot`` as `told` does."""
    from nextstate.commands.grid import evaluated
    from nextstate.data import open_cache
    from nextstate.studies.probing import pace, probe

    figures = evaluated(home, cell.world, design.snapshots, suite_seed)
    hidden = _hidden(design, cell, home, model, suite_seed)
    if hidden is not None:
        low, high = hidden.interval()
        figures["hidden"] = hidden.value
        figures["spread"]["hidden"] = (high - low) / 3.92
        figures["by_snapshot"]["hidden"] = hidden.parts()
    speed = pace(model)
    figures |= {"step_ms": speed["imagined"], "drawn_ms": speed["drawn"]}
    read = probe(model, open_cache(data), data, HISTORY, design.probed, design.probed // 2)
    figures |= {name: value for name, value in read.items() if math.isfinite(value)}
    if cell.world in design.planned:
        rate = _planning(design, cell, home, model)
        figures["planning"] = rate["rate"]
        low, high = rate["interval"]
        figures["spread"]["planning"] = (high - low) / 3.92
    return figures


def _hidden(design: Design, cell: Cell, home: Path, model: StateModel, suite_seed: int) -> Ratio | None:
    """Fair CRPS against futures in which hidden factors were drawn anew; None where it cannot be measured."""
    from nextstate.commands.find import find_readout
    from nextstate.evaluation.building import build_suite
    from nextstate.evaluation.hidden import hidden_crps, resampled
    from nextstate.worlds import make_world

    suite = build_suite(cell.world, design.snapshots, seed=suite_seed, workers=1)
    readout = find_readout(
        str(home / "run" / "model"), make_world(cell.world, suite.recipe.size), list(model.spec.modalities)
    )
    if readout is None:
        return None
    return hidden_crps(model, suite, readout, resampled(suite)).get("1.0")


def _planning(design: Design, cell: Cell, home: Path, model: StateModel) -> dict[str, Any]:
    from nextstate.acting.contest import contest
    from nextstate.acting.notes import Notes, summary
    from nextstate.acting.ways import Tools
    from nextstate.commands.find import model_size
    from nextstate.commands.progress import bar
    from nextstate.evaluation.oracle import Oracle
    from nextstate.planning import make_planner
    from nextstate.worlds import make_world

    world = make_world(cell.world, size=model_size(str(home / "run" / "model")))
    settings = {"horizon": 10, "block": 2, "every": 2, "last": 0.5}
    tools = Tools(
        model,
        Oracle(make_world(world.name, world.size)),
        make_planner("icem", candidates=design.candidates),
        settings=settings,
    )
    notes = Notes(home / "trials.jsonl", {"tasks": design.tasks, **settings})
    with bar("planning", "trials") as progress:
        contest(world, tools, ["model"], notes, design.tasks, [0], design.steps, AHEAD, progress)
    return dict(summary(notes, "model")["strict"])
