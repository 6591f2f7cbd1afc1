"""``nextstate study data``: the grid, what it needs recorded, its cost, and one cell of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nextstate.commands.grid import adopted, announce, given, one_cell, run_cells, settings_of, settled
from nextstate.commands.pretrain import BEST

if TYPE_CHECKING:
    from nextstate.studies.data import Cell, Design

QUESTION = "How much robot data, of what kind, and can video without commands stand in for it?"

EVALUATING = {"push": 110.0, "grasp": 150.0, "spill": 200.0}
"""Seconds that measuring a cell takes on one core, until finished cells tell better."""

OTHERS: dict[str, dict[str, str]] = {
    "push": {"worlds": "occlude", "bodies": "drop"},
    "spill": {"worlds": "push", "bodies": "drop"},
    "grasp": {"bodies": "drop"},
}
"""World -> the world that silent video of other worlds, and of other bodies, comes from."""

BESIDE = {"same": (0.01, 0.1), "latent": (0.1,), "worlds": (0.1,), "bodies": (0.1,)}
"""Shares of labels beside which a kind of silent video is tried."""

RECORDED = {
    "skills": ("--skill-fraction", "1"),
    "smooth": ("--skill-fraction", "0"),
    "random": ("--skill-fraction", "0", "--exploring", "random", "--digressions", "0"),
}
"""Policy -> options of `nextstate record`."""


@dataclass(frozen=True)
class Config:
    """Data: how errors fall with labelled episodes, silent video, scenes, and by who collected them.

    Cells are trained and measured side by side, a core each. Finished ones are kept, and the same command goes on
    where it was interrupted. What it will cost is printed first.
    """

    out: Path = Path("data-study")
    """Folder of results: data.json, data.html, datasets and cells."""
    world: str = "push"
    """In which everything is measured: push, grasp or spill."""
    data: tuple[str, ...] = ()
    """Datasets by world, such as push=data/push; those of other worlds are recorded."""
    episodes: int = 1000
    """All of the labelled data."""
    shares: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    """Of it, that are learned from; nested."""
    silent: tuple[Literal["same", "latent", "worlds", "bodies"], ...] = ("same", "latent", "worlds", "bodies")
    """Silent video of the same world, whose missing commands an inverse model writes, or whose actions stay latent; of
    other worlds; and of other bodies."""
    scenes: tuple[int, ...] = (30, 3)
    """Numbers of different scenes among as many episodes as --some."""
    policies: tuple[Literal["skills", "smooth", "random"], ...] = ("skills", "smooth", "random")
    """Who collected as many episodes as --some."""
    some: int = 300
    """Episodes of the series of scenes and policies."""
    seeds: int = 2
    """Trainings of each cell."""
    minutes: float = 5.0
    """Training of each cell."""
    budget: str = ""
    """Time for everything, such as 2h: the minutes of training are fitted to it."""
    snapshots: int = 60
    """Held-out snapshots on which each cell is measured."""
    suite_seed: int = 1
    """Of the suite."""
    preset: str = "small"
    """Size of the models."""
    objective: str = BEST
    """What they minimise, see `nextstate pretrain`."""
    known: Path | None = None
    """Results of this study made before, such as results/study/data.json: their cells are not made again."""
    workers: int = 0
    """Cells at a time; 0 for one per core."""
    smoke: bool = False
    """A minute's worth of everything, to see that it works; the figures mean nothing."""
    cell: str = ""
    """Only this cell, in this process: what the study runs on each core."""


SMOKE: dict[str, Any] = {
    "episodes": 20,
    "shares": (0.1, 1.0),
    "silent": ("latent",),
    "scenes": (2,),
    "policies": ("random",),
    "some": 10,
    "seeds": 1,
    "minutes": 0.1,
    "snapshots": 2,
    "preset": "tiny",
}


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study data", args=argv)
    if config.smoke:
        config = replace(config, **SMOKE)
    check(config)
    from nextstate.commands.data_cell import measure_cell
    from nextstate.data.workers import cores

    workers = config.workers or cores()
    design = settled(config, design_of(config), workers)
    if config.cell:

        def measure(cell: Cell) -> None:
            measure_cell(design, cell, labelled(config, cell), unlabelled(config, cell), config)

        return one_cell(design, config.cell, measure)
    about = f"{config.world}, up to {config.episodes} episodes, {config.seeds} seeds"
    adopted(config, design)
    left = announce(config, design, about, workers)
    if left:
        _prepare(config, left, workers)
    status = run_cells(config, left, ["data", *argv], workers)
    _write(config, design, f"nextstate study data {shlex.join(argv)}")
    return status


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used, before anything is made."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.models.objectives import OBJECTIVES, parse_weights
    from nextstate.models.world_model import PRESETS
    from nextstate.studies.grid import parse_time

    if config.world not in OTHERS:
        raise UnknownNameError("world of this study", config.world, OTHERS)
    if config.preset not in PRESETS:
        raise UnknownNameError("preset", config.preset, PRESETS)
    parse_weights(config.objective, OBJECTIVES)
    given(config.data)
    if not config.shares or not all(0 < share <= 1 for share in config.shares):
        raise SettingsError(f"--shares {' '.join(map(str, config.shares))}: give shares above 0 and up to 1.")
    for name, least in {"episodes": 10, "some": 2, "seeds": 1, "snapshots": 1, "workers": 0}.items():
        if getattr(config, name) < least:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number from {least} on.")
    if any(not 0 < count <= config.some for count in config.scenes):
        raise SettingsError(f"--scenes: give numbers from 1 to {config.some}, the episodes that they are spread over.")
    if config.some > config.episodes:
        raise SettingsError(f"--some {config.some} episodes are more than all of them, {config.episodes}.")
    if not config.minutes > 0:
        raise SettingsError(f"--minutes {config.minutes}: give a time above 0.")
    if config.budget:
        parse_time(config.budget)


def design_of(config: Config) -> Design:
    """What is compared."""
    from nextstate.studies.data import Design

    kinds = [kind for kind in config.silent if kind in ("same", "latent") or kind in OTHERS[config.world]]
    return Design(
        world=config.world,
        whole=config.episodes,
        shares=sorted(config.shares),
        silent=kinds,
        beside=BESIDE,
        some=config.some,
        layouts=config.scenes,
        policies=config.policies,
        seeds=range(config.seeds),
        minutes=config.minutes,
        snapshots=config.snapshots,
        evaluating=EVALUATING,
    )


def labelled(config: Config, cell: Cell) -> Path:
    """The dataset whose first episodes a cell learns from, commands and all."""
    if cell.layouts:
        return config.out / "data" / f"{cell.world}-{cell.layouts}-scenes"
    if cell.policy != "mixed":
        return config.out / "data" / f"{cell.world}-{cell.policy}"
    return _of_world(config, cell.world)


def unlabelled(config: Config, cell: Cell) -> Path | None:
    """The dataset whose pictures alone it learns from; of its own world, those of episodes that are not labelled."""
    if cell.silent == "none":
        return None
    return _of_world(config, OTHERS[cell.world].get(cell.silent, cell.world))


def _of_world(config: Config, world: str) -> Path:
    return given(config.data).get(world, config.out / "data" / world)


def _recordings(config: Config, cells: Sequence[Cell]) -> dict[Path, list[str]]:
    """Folder -> options of `nextstate record`, of everything that is not given."""
    told: dict[Path, list[str]] = {}
    for cell in cells:
        home = labelled(config, cell)
        if home not in given(config.data).values():
            count = config.some if cell.layouts or cell.policy != "mixed" else config.episodes
            options = list(RECORDED.get(cell.policy, ()))
            options += ["--layouts", str(cell.layouts)] if cell.layouts else []
            told.setdefault(home, ["--world", cell.world, "--episodes", str(count), *options])
        path = unlabelled(config, cell)
        if path is not None and path not in given(config.data).values():
            told.setdefault(path, ["--world", path.name, "--episodes", str(config.some)])
    return told


def _prepare(config: Config, cells: Sequence[Cell], workers: int) -> None:
    """Records what is missing and grows the suite, on all cores, so that cells need not do it side by side."""
    from rich.console import Console

    from nextstate.commands import record
    from nextstate.commands.evaluate import bars
    from nextstate.evaluation.building import build_suite

    for path, options in _recordings(config, cells).items():
        record.main([*options, "--out", str(path), "--workers", str(workers)])
    with bars(Console(highlight=False)) as progress:
        build_suite(config.world, config.snapshots, seed=config.suite_seed, workers=workers, progress=progress)


def _write(config: Config, design: Design, command: str) -> None:
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.provenance import provenance
    from nextstate.reports.amounts import data_page
    from nextstate.studies import data

    found = data.conclude(design, config.out, chance=1 / 8)
    write_json(config.out / "data.json", {**provenance(command), "settings": settings_of(config, design), **found})
    write_bytes(config.out / "data.html", data_page(QUESTION, found, data.FIGURES, data.label, command).encode())
    print("\n".join(found["says"]))
    print(config.out / "data.html")
