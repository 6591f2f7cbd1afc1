"""``nextstate study objective``: the grid, its cost, and one cell of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextstate.commands.grid import adopted, announce, given, one_cell, run_cells, settings_of, settled

if TYPE_CHECKING:
    from nextstate.studies.objective import Cell, Design

QUESTION = "What should a world model be pretrained to predict: pixels, its own terms, or which states may come?"

EVALUATING = {"push": 150.0, "grasp": 180.0, "spill": 240.0}
"""Seconds that measuring a cell takes on one core, until finished cells tell better."""

EPISODES = {"push": 1000, "grasp": 400, "spill": 400}
"""Recorded of a world where no dataset is given."""

PLANNED = ("push", "grasp")
"""Worlds with tasks for a planner."""


@dataclass(frozen=True)
class Config:
    """Objectives: the same trunk, data, time and evaluation for each, and the same operations on the first world.

    Cells are trained and measured side by side, a core each. Finished ones are kept, and the same command goes on
    where it was interrupted. What it will cost is printed first.
    """

    out: Path = Path("objective")
    """Folder of results: objective.json, objective.html, datasets and cells."""
    data: tuple[str, ...] = ()
    """Datasets by world, such as push=data/push; those of other worlds are recorded."""
    arms: tuple[str, ...] = ("pixel", "latent", "flow", "pixel=1,latent=0.1")
    """Objectives, or mixtures by weight."""
    worlds: tuple[str, ...] = ("push", "grasp", "spill")
    """Worlds at equal time; the first also at equal operations."""
    seeds: int = 2
    """Trainings of each arm in each world."""
    minutes: float = 10.0
    """Training of each cell."""
    budget: str = ""
    """Time for everything, such as 2h: the minutes of training are fitted to it."""
    snapshots: int = 60
    """Held-out snapshots on which each cell is measured."""
    suite_seed: int = 1
    """Of the suites."""
    tasks: int = 20
    """Tasks for the planner in each world that has some; 0 for none."""
    candidates: int = 40
    """Futures imagined in each round of the planner."""
    steps: int = 50
    """Steps that the planner has for a task."""
    probed: int = 1024
    """Windows that linear readings of poses and masses are fitted on."""
    validated: int = 32
    """Windows on which training is validated, and how far samples lie apart is set."""
    episodes: int = 0
    """Episodes to record where no dataset is given; by default as many as a world needs."""
    preset: str = "small"
    """Size of the models."""
    said: tuple[Path, ...] = ()
    """Results of `nextstate say`, a file for each world, whose figures of words as actions join the summary."""
    known: Path | None = None
    """Results of this study made before, such as results/study/objective.json: their cells are not made again."""
    workers: int = 0
    """Cells at a time; 0 for one per core."""
    smoke: bool = False
    """A minute's worth of everything, to see that it works; the figures mean nothing."""
    cell: str = ""
    """Only this cell, in this process: what the study runs on each core."""


SMOKE: dict[str, Any] = {
    "worlds": ("push",),
    "seeds": 1,
    "minutes": 0.1,
    "snapshots": 2,
    "tasks": 1,
    "candidates": 4,
    "steps": 8,
    "probed": 64,
    "validated": 4,
    "episodes": 24,
    "preset": "tiny",
}


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study objective", args=argv)
    if config.smoke:
        config = replace(config, **SMOKE)
    check(config)
    from nextstate.commands.objective_cell import measure_cell
    from nextstate.data.workers import cores

    workers = config.workers or cores()
    design = settled(config, _design(config), workers)
    if config.cell:

        def measure(cell: Cell) -> None:
            data = _dataset(config, cell.world)
            measure_cell(design, cell, data, config)

        return one_cell(design, config.cell, measure)
    about = f"{', '.join(design.arms)} on {', '.join(design.worlds)}, {len(design.seeds)} seeds"
    adopted(config, design)
    left = announce(config, design, about, workers)
    if left:
        _prepare(config, workers, {cell.world for cell in left})
    status = 0
    # At equal operations comes last: it needs to know how many the reference made.
    for equal in ("time", "operations"):
        status = status or run_cells(config, [c for c in left if c.equal == equal], ["objective", *argv], workers)
    _write(config, design, f"nextstate study objective {shlex.join(argv)}")
    return status


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used, before anything is made."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.models.objectives import OBJECTIVES, parse_weights
    from nextstate.models.world_model import PRESETS
    from nextstate.studies.grid import parse_time
    from nextstate.worlds import WORLDS

    if not config.arms or not config.worlds:
        raise SettingsError("give at least one of --arms and one of --worlds.")
    for arm in config.arms:
        parse_weights(arm, OBJECTIVES)
    for world in (*config.worlds, *(given(config.data))):
        if world not in WORLDS:
            raise UnknownNameError("world", world, WORLDS)
    if config.preset not in PRESETS:
        raise UnknownNameError("preset", config.preset, PRESETS)
    for name, least in {
        "seeds": 1,
        "snapshots": 1,
        "tasks": 0,
        "probed": 32,
        "validated": 1,
        "candidates": 1,
        "steps": 1,
        "episodes": 0,
        "workers": 0,
    }.items():
        if getattr(config, name) < least:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number from {least} on.")
    if not config.minutes > 0:
        raise SettingsError(f"--minutes {config.minutes}: give a time above 0.")
    if config.budget:
        parse_time(config.budget)
    _in_words(config.said)


def _design(config: Config) -> Design:
    from nextstate.studies.objective import Design

    planned = [world for world in config.worlds if world in PLANNED] if config.tasks else []
    return Design(
        arms=config.arms,
        worlds=config.worlds,
        seeds=range(config.seeds),
        minutes=config.minutes,
        snapshots=config.snapshots,
        tasks=config.tasks,
        planned=planned,
        evaluating=EVALUATING,
        probed=config.probed,
        candidates=config.candidates,
        steps=config.steps,
    )


def _dataset(config: Config, world: str) -> Path:
    return given(config.data).get(world, config.out / "data" / world)


def _prepare(config: Config, workers: int, worlds: Set[str]) -> None:
    """Records what is missing and grows suites, on all cores, so that cells need not do it side by side."""
    from rich.console import Console

    from nextstate.commands import record
    from nextstate.commands.evaluate import bars
    from nextstate.evaluation.building import build_suite
    from nextstate.evaluation.hidden import resampled

    for world in (world for world in config.worlds if world in worlds):
        if world not in given(config.data):
            episodes = config.episodes or EPISODES.get(world, 400)
            out = str(_dataset(config, world))
            record.main(["--world", world, "--out", out, "--episodes", str(episodes), "--workers", str(workers)])
        with bars(Console(highlight=False)) as progress:
            suite = build_suite(world, config.snapshots, seed=config.suite_seed, workers=workers, progress=progress)
            resampled(suite, progress=progress)


def _in_words(paths: Sequence[Path]) -> dict[str, float | None]:
    """Means over worlds of what came of instructions; retrieval over those that have eight of them, None if none has.

    Raises:
        SettingsError: for a file that does not hold results of `nextstate say`.
    """
    from nextstate.errors import SettingsError

    told: dict[str, list[float]] = {"text_event": [], "text_retrieval_at_8": []}
    for path in paths:
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))["summary"]
            told["text_event"].append(float(summary["text_event"]))
            told["text_retrieval_at_8"] += [float(v) for n, v in summary.items() if n == "text_retrieval_at_8"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"--said {path}: no results of `nextstate say` ({error}).") from None
    return {name: round(sum(values) / len(values), 4) if values else None for name, values in told.items()}


def _write(config: Config, design: Design, command: str) -> None:
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.provenance import provenance
    from nextstate.reports.objectives import objective_page
    from nextstate.studies import objective

    found = objective.conclude(design, config.out)
    found["summary"] |= _in_words(config.said)
    settings = settings_of(config, design)
    write_json(config.out / "objective.json", {**provenance(command), "settings": settings, **found})
    page = objective_page(QUESTION, found, objective.FIGURES, command)
    write_bytes(config.out / "objective.html", page.encode())
    print("\n".join(found["says"]))
    print(config.out / "objective.html")
