"""``nextstate data``: what is in a dataset, whether it is whole, and what can be made of it."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Info:
    """Shows what a dataset holds."""

    dataset: tyro.conf.Positional[Path]
    """Folder of a LeRobot v3 dataset, or of videos."""


@dataclass(frozen=True)
class Check:
    """Reads every file, row and picture of a dataset and lists what is damaged; exit status 1 if anything is."""

    dataset: tyro.conf.Positional[Path]
    """Folder of a LeRobot v3 dataset, or of videos."""
    workers: int = 0
    """Processes; 0 for one per core."""


@dataclass(frozen=True)
class Convert:
    """Builds the memory-mapped arrays that training reads, from any LeRobot v3 dataset or folder of videos."""

    dataset: tyro.conf.Positional[Path]
    """Folder of a LeRobot v3 dataset with at least one camera, or of videos; without an action it is silent."""
    modalities: tuple[str, ...] = ()
    """Which modalities to take; all that are found by default."""
    size: int = 0
    """Height and width of pictures; 0 for as recorded by nextstate, else 64."""
    hz: float = 0.0
    """Pictures a second taken from videos of a folder; 0 for 10."""
    camera: str | None = None
    """Which camera becomes rgb; the first by default."""
    on_damage: Literal["skip", "stop"] = "stop"
    """Whether an unreadable episode is left out with a warning, or stops the conversion."""
    workers: int = 0
    """Processes; 0 for one per core."""


@dataclass(frozen=True)
class Merge:
    """Writes the episodes of several datasets of the same kind into a new one."""

    datasets: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of LeRobot v3 datasets."""
    out: Path
    """New folder."""


def main(argv: list[str]) -> int:
    command = tyro.cli(
        Annotated[Info, tyro.conf.subcommand("info")]
        | Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[Convert, tyro.conf.subcommand("convert")]
        | Annotated[Merge, tyro.conf.subcommand("merge")],
        prog="nextstate data",
        args=argv,
    )
    run = {Info: _info, Check: _check, Convert: _convert, Merge: _merge}[type(command)]
    return run(command)  # type: ignore[operator, no-any-return]


def _info(config: Info) -> int:
    from rich.console import Console
    from rich.table import Table

    from nextstate.data.footage import is_footage, open_footage
    from nextstate.data.format import ROW_FEATURES
    from nextstate.data.lerobot import content_files, open_dataset
    from nextstate.data.sources import find_sources
    from nextstate.data.writer import recover, staged_paths
    from nextstate.errors import NextstateError

    console = Console()
    if is_footage(config.dataset):
        footage = open_footage(config.dataset)
        console.print(
            f"a folder of videos, silent: {footage.info.episodes} episodes, {footage.info.frames} pictures at "
            f"{footage.info.fps:g}/s"
        )
        for text in footage.damage:
            console.print(f"[red]{text}")
        return 1 if footage.damage else 0
    recover(config.dataset)
    dataset = open_dataset(config.dataset)
    info = dataset.info
    size = sum((config.dataset / path).stat().st_size for path in content_files(config.dataset))
    facts = Table(show_header=False, box=None)
    if info.own:
        facts.add_row("world", f"{info.own.get('world')} (version {info.own.get('world_version')})")
        facts.add_row("seeds from", str(info.own.get("base_seed")))
    facts.add_row("episodes", str(info.episodes))
    facts.add_row("frames", f"{info.frames} at {info.fps:g}/s, {info.frames / info.fps / 60:.1f} minutes")
    facts.add_row("on disk", f"{size / 1e6:.1f} MB, {size / max(info.frames, 1) / 1e3:.2f} kB a frame")
    waiting = staged_paths(config.dataset)
    if waiting:
        facts.add_row("unpublished", f"{len(waiting)} finished episodes of an interrupted recording; record again")
    console.print(facts)
    try:
        sources = find_sources(info, str(config.dataset), None, None, None)
        taken = {source.feature: source.name for source in sources}
    except NextstateError as error:
        taken = {}
        console.print(f"[yellow]{error}")
    features = Table("feature", "type", "shape", "read as")
    for name, feature in info.features.items():
        if name not in ROW_FEATURES:
            features.add_row(name, feature["dtype"], "x".join(map(str, feature["shape"])), taken.get(name, "-"))
    console.print(features)
    for title, counts in (
        ("instruction", Counter(entry.task for entry in dataset.episodes)),
        ("policy", Counter(str(entry.fields.get("nextstate/policy") or "-") for entry in dataset.episodes)),
    ):
        table = Table(title, "episodes")
        for name, count in counts.most_common(12):
            table.add_row(name, str(count))
        console.print(table)
    for text in dataset.damage:
        console.print(f"[red]{text}")
    return 1 if dataset.damage else 0


def _check(config: Check) -> int:
    from nextstate.commands.progress import bar
    from nextstate.data.check import check
    from nextstate.data.footage import flaws, is_footage
    from nextstate.data.writer import recover

    if is_footage(config.dataset):
        with bar("checking", "videos") as progress:
            found = flaws(config.dataset, progress)
        print("\n".join(found) or f"{config.dataset}: no damage found")
        return 1 if found else 0
    recover(config.dataset)
    with bar("checking", "files") as progress:
        problems = check(config.dataset, config.workers or None, progress)
    for problem in problems:
        print(problem.what)
    damaged = sorted({problem.episode for problem in problems if problem.episode is not None})
    if not problems:
        print(f"{config.dataset}: no damage found")
        return 0
    names = ", ".join(map(str, damaged)) or "none"
    print(f"{config.dataset}: {len(problems)} problems; damaged episodes: {names}")
    return 1


def _convert(config: Convert) -> int:
    from nextstate.commands.progress import bar
    from nextstate.data import open_cache
    from nextstate.data.footage import is_footage
    from nextstate.errors import SettingsError

    if config.hz and not is_footage(config.dataset):
        raise SettingsError(
            f"--hz {config.hz:g}: only videos of a folder are resampled; {config.dataset} is a dataset."
        )
    with warnings.catch_warnings(record=True) as caught, bar("building the training cache", "files") as progress:
        warnings.simplefilter("always")
        cache = open_cache(
            config.dataset,
            config.modalities or None,
            config.on_damage,
            size=config.size or None,
            camera=config.camera,
            hz=config.hz or None,
            workers=config.workers or None,
            progress=progress,
        )
    for warning in caught:
        print(f"warning: {warning.message}")
    shapes = ", ".join(f"{name} {'x'.join(map(str, m.shape))}" for name, m in cache.state_spec.items())
    print(
        f"{cache.root}: {len(cache)} episodes, {int(cache.lengths.sum())} rows of {shapes}, "
        + (f"action {cache.action_size}" if cache.action_size else "silent: no action")
    )
    return 0


def _merge(config: Merge) -> int:
    from nextstate.data.merge import merge

    info = merge(config.datasets, config.out)
    print(f"{config.out}: {info.episodes} episodes, {info.frames} frames")
    return 0
