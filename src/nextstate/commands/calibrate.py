"""``nextstate calibrate``: how sure a model is, set by what truly comes of other actions."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

NOTE = "calibration.json"


@dataclass(frozen=True)
class Config:
    """Set how far a model's sampled futures lie apart, so that 80 % intervals cover 80 % of what truly comes.

    Branches of a development suite are sampled under a few scales of noise; the scale that covers most nearly 80 % is
    kept in the model's configuration, and what was tried in calibration.json beside it. The central future, and so all
    other figures, stay as they are.
    """

    model: Path
    """Folder of a model."""
    world: str
    """Which world it foresees; `nextstate worlds` lists them."""
    snapshots: int = 64
    """Snapshots of the suite."""
    suite_seed: int = 1
    """Of the suite. Results are from suites of seed 0, so nothing may be fitted to these."""
    samples: int = 8
    """Sampled futures of each branch."""
    data: Path | None = None
    """Dataset whose true frames train a readout, as of `nextstate evaluate`."""
    cache: Path | None = None
    """Folder to keep suites and readouts in; by default ~/.cache/nextstate."""
    workers: int = 0
    """Processes that simulate; 0 for one per core."""


def main(argv: list[str]) -> int:
    config = tyro.cli(Config, prog="nextstate calibrate", args=argv)
    from rich.console import Console

    from nextstate.commands import evaluate
    from nextstate.data.storage import write_json
    from nextstate.errors import CheckpointError, SettingsError
    from nextstate.evaluation.calibrating import LEVEL, NEAR, fit_scale
    from nextstate.evaluation.readout import accuracy
    from nextstate.models.pretrained import CONFIG, read_config
    from nextstate.models.world_model import StateModel
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads

    if config.suite_seed == 0:
        raise SettingsError(
            "--suite-seed 0: results are from that suite, so nothing may be fitted to it; give another."
        )
    if not (config.model / CONFIG).is_file():
        raise CheckpointError(f"{config.model} is no folder of a model; copy one that came along to change it.")
    asked = evaluate.Config(
        str(config.model),
        config.world,
        config.snapshots,
        suite_seed=config.suite_seed,
        samples=max(config.samples, 2),
        data=config.data,
        cache=config.cache,
        workers=config.workers,
    )
    evaluate.check(asked)
    settle_threads()
    workers = config.workers or evaluate.cores()
    console = Console(highlight=False, soft_wrap=True)
    with evaluate.bars(console) as progress:
        model, size = evaluate.load(asked)
        if not isinstance(model, StateModel):
            raise SettingsError(f"{model.spec.name} does not sample futures around a central one.")
        suite = evaluate.suite_for(asked, size, workers, progress)
        readout = evaluate.readout_for(asked, suite, model, workers, progress)
        reading = accuracy(readout, suite)["error"] if suite.pictured else None

        def at(scale: float) -> StateModel:
            model.scatter(scale)
            return model

        before = model.size.temperature
        tried = fit_scale(at, before, suite, readout, reading, asked.samples, progress)
    best = tried[-1]
    kept = read_config(config.model)
    kept["options"] = {**kept.get("options", {}), "temperature": best.scale}
    write_json(config.model / CONFIG, kept)
    command = f"nextstate calibrate {shlex.join(argv)}"
    note = {**provenance(command), "before": before, "after": best.scale, "tried": [asdict(one) for one in tried]}
    write_json(config.model / NOTE, note)
    for one in tried:
        console.print(f"scale {one.scale:g}: 80 % intervals cover {one.covered:.1%}")
    short = "" if abs(best.covered - LEVEL) <= 2 * NEAR else f", as near as it came to {LEVEL:.0%}"
    console.print(f"{config.model}: scale {before:g} before, {best.scale:g} now{short}.")
    return 0
