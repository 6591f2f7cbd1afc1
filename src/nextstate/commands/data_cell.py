"""One cell of ``nextstate study data``: trains a model and measures it, in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextstate.commands.study_data import Config
    from nextstate.studies.data import Cell, Design


def measure_cell(design: Design, cell: Cell, labelled: Path, silent: Sequence[Path], config: Config) -> None:
    """Trains and measures a cell and notes what came of it; one that diverges is noted as that.

    Interrupted, it raises `KeyboardInterrupt` and goes on from its last checkpoint when called again.

    Args:
        labelled: dataset whose first episodes are learned from, commands and all. silent: of whose states alone.
    """
    from nextstate.commands.grid import evaluated
    from nextstate.errors import DivergenceError
    from nextstate.studies import grid

    home = grid.path_of(config.out, cell).parent
    try:
        _train(design, cell, labelled, silent, home / "run", config.preset)
    except DivergenceError as error:
        grid.keep(config.out, cell, "diverged", why=str(error))
        print(f"{cell.name} diverged: {error}")
        return
    began = time.monotonic()
    figures = evaluated(home, cell.world, design.snapshots, config.suite_seed)
    spread = figures.pop("spread")

    measuring = round(time.monotonic() - began, 1)
    grid.keep(config.out, cell, "done", figures=figures, spread=spread, measuring=measuring)


def _train(design: Design, cell: Cell, labelled: Path, silent: Sequence[Path], run: Path, preset: str) -> None:
    from nextstate.commands import pretrain

    command = ["--data", str(labelled), "--out", str(run), "--preset", preset, "--seed", str(cell.seed)]
    command += ["--name", f"{cell.world}-{preset}", "--no-tensorboard", "--minutes", f"{design.minutes:g}"]
    command += ["--episodes", f"0:{cell.episodes}"]
    if silent:
        command += ["--silent", *map(str, silent)]
        rest = f"{cell.episodes}:{design.whole}"
        command += ["--silent-episodes", rest] if cell.silent == "same" else []
    if pretrain.main(command) == 130:
        raise KeyboardInterrupt
