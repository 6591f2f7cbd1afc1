"""One cell of ``nextstate study data``: trains a model and measures it, in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextstate.commands.study_data import Config
    from nextstate.studies.data import Cell, Design

PICTURES = ("rgb", "depth", "motion")
"""All that is kept of silent episodes: neither what was done nor what the body felt."""

OWN = ("same", "latent")
"""Kinds of silent video that come from the same dataset."""

INFERRED = 128
"""Windows on which inferred actions are compared with commands."""


def measure_cell(design: Design, cell: Cell, labelled: Path, silent: Path | None, config: Config) -> None:
    """Trains and measures a cell and notes what came of it; one that diverges is noted as that.

    Interrupted, it raises `KeyboardInterrupt` and goes on from its last checkpoint when called again.

    Args:
        labelled: dataset whose first episodes are learned from, commands and all. silent: of whose pictures alone.
    """
    from nextstate.commands.grid import evaluated
    from nextstate.errors import DivergenceError
    from nextstate.studies import grid

    home = grid.path_of(config.out, cell).parent
    try:
        _train(design, cell, labelled, silent, home / "run", config)
    except DivergenceError as error:
        grid.keep(config.out, cell, "diverged", why=str(error))
        print(f"{cell.name} diverged: {error}")
        return
    began = time.monotonic()
    figures = evaluated(home, cell.world, design.snapshots, config.suite_seed)
    spread, pairs = figures.pop("spread"), figures.pop("by_snapshot")
    if cell.silent in OWN:
        figures["latent_r2"] = _told_by_inferred(home / "run" / "model", labelled)

    measuring = round(time.monotonic() - began, 1)
    facts = {"figures": figures, "spread": spread, "by_snapshot": pairs, "measuring": measuring}
    grid.keep(config.out, cell, "done", **facts)


def _train(design: Design, cell: Cell, labelled: Path, silent: Path | None, run: Path, config: Config) -> None:
    from nextstate.commands import pretrain

    command = ["--data", str(labelled), "--out", str(run), "--preset", config.preset, "--seed", str(cell.seed)]
    command += ["--name", f"{cell.world}-{config.preset}", "--no-tensorboard", "--minutes", f"{design.minutes:g}"]
    command += ["--objective", config.objective]
    command += ["--episodes", f"0:{cell.episodes}"]
    if silent is not None:
        command += ["--silent", str(silent), "--silent-modalities", *PICTURES]
        command += ["--silent-by", "latent" if cell.silent == "latent" else "labels"]
        command += ["--silent-episodes", f"{cell.episodes}:{design.whole}"] if cell.silent in OWN else []
    if pretrain.main(command) == 130:
        raise KeyboardInterrupt


def _told_by_inferred(model: Path, labelled: Path) -> float:
    """Linear R² of inferred actions to true commands."""
    from nextstate.data import open_cache
    from nextstate.models.pretrained import from_pretrained
    from nextstate.studies.latent_actions import action_r2

    return float(action_r2(from_pretrained(model), open_cache(labelled), windows=INFERRED).r2)
