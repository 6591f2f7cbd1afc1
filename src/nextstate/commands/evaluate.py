"""``nextstate evaluate``: a model's what-ifs, measured against the true simulator."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from nextstate.evaluation.building import Progress
    from nextstate.evaluation.readout import Readout
    from nextstate.evaluation.results import Evaluation, Metrics
    from nextstate.evaluation.suite import Suite
    from nextstate.models.protocol import WorldModel

READOUT = "readout.safetensors"
WITHOUT_FOLDER = ("oracle", "wrong-physics", "copy-last")


@dataclass(frozen=True)
class Config:
    """Measure a model on held-out snapshots, each with K alternative futures that the simulator really played out.

    Suites are made once and kept in the user's cache, and so is a readout that turns imagined pictures into outcomes.
    """

    model: str
    """Folder of a model, or the world of a shipped one; or oracle (the true simulator), wrong-physics or copy-last."""
    world: str
    """Which world; `nextstate worlds` lists them."""
    snapshots: Annotated[int, tyro.conf.arg(aliases=("--suite-snapshots",))] = 200
    """Held-out snapshots."""
    alternatives: int = 8
    """Branches of each snapshot."""
    horizon: int = 20
    """Steps of 0.1 s in each branch."""
    suite_seed: int = 0
    """Of the suite: another seed, other scenes."""
    samples: int = 8
    """Sampled futures, of models that know several, for coverage and calibration."""
    shown: int = 4
    """Snapshots of which imagined pictures are kept for the report."""
    data: Path | None = None
    """Dataset whose true frames train a readout; by default the one that came with the model or the package is used,
    and where none fits, one is trained on what the model was trained on, or on frames drawn for the purpose."""
    out: Path | None = None
    """JSON file of the results; pictures go beside it, as .npz. By default results are only printed."""
    keep_readout: bool = False
    """Put the readout into the model's folder too, so that it need not be trained again where the model goes."""
    by_snapshot: bool = False
    """Keep in the JSON what each snapshot contributes, so that models can be compared snapshot by snapshot."""
    cache: Path | None = None
    """Folder to keep suites and readouts in; by default ~/.cache/nextstate."""
    workers: int = 0
    """Processes that simulate; 0 for one per core."""


def main(argv: list[str]) -> int:
    config = tyro.cli(Config, prog="nextstate evaluate", args=argv)
    check(config)
    from rich.console import Console

    from nextstate.data.storage import write_bytes, write_json
    from nextstate.evaluation.evaluate import evaluate
    from nextstate.evaluation.results import arrays_path
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads

    settle_threads()
    workers = config.workers or cores()
    console = Console(highlight=False, soft_wrap=True)
    with bars(console) as progress:
        model, size = load(config)
        suite = suite_for(config, size, workers, progress)
        readout = readout_for(config, suite, model, workers, progress)
        found, showcase = evaluate(model, suite, readout, config.samples, config.shown, config.by_snapshot, progress)
    command = f"nextstate evaluate {shlex.join(argv)}"
    found = replace(found, model=config.model, train_seconds=train_seconds(config.model), **provenance(command))
    if config.keep_readout and Path(config.model).is_dir():
        write_bytes(Path(config.model) / READOUT, readout.to_bytes())
    if config.out is not None:
        found.save(config.out)
        if showcase is not None:
            showcase.save(arrays_path(config.out))
        settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(config).items()}
        write_json(config.out.with_suffix(".config.json"), settings)
    console.print(table(found))
    if config.out is not None:
        console.print(f"{config.out}")
    return 0


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used, before anything is built."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.worlds import WORLDS

    if config.world not in WORLDS:
        raise UnknownNameError("world", config.world, WORLDS)
    limits = {"snapshots": 1, "alternatives": 2, "horizon": 1, "suite_seed": 0, "samples": 0, "shown": 0, "workers": 0}
    for name, least in limits.items():
        if getattr(config, name) < least:
            option = name.replace("_", "-")
            raise SettingsError(f"--{option} {getattr(config, name)}: give a whole number from {least} on.")
    if config.out is not None and config.out.suffix != ".json":
        raise SettingsError(f"--out {config.out}: give the name of a .json file.")


def load(config: Config) -> tuple[WorldModel, int]:
    """The model, and the size of its pictures; raises `CheckpointError` when it does not fit the world."""
    from nextstate.commands.find import find_model, model_size
    from nextstate.evaluation.oracle import CopyLast, Oracle
    from nextstate.evaluation.physics import WrongPhysics
    from nextstate.worlds import make_world

    if config.model in WITHOUT_FOLDER:
        oracle = Oracle(make_world(config.world), WrongPhysics() if config.model == "wrong-physics" else None)
        return CopyLast(oracle.spec) if config.model == "copy-last" else oracle, oracle.world.size
    size = model_size(config.model)
    return find_model(config.model, make_world(config.world, size)), size


def suite_for(config: Config, size: int, workers: int, progress: Progress) -> Suite:
    """The suite that is asked for, with pictures of `size` pixels; out of the cache if it is there."""
    from nextstate.evaluation.building import build_suite

    return build_suite(
        config.world,
        config.snapshots,
        config.alternatives,
        config.horizon,
        seed=config.suite_seed,
        size=size,
        workers=workers,
        cache=config.cache,
        progress=progress,
    )


def readout_for(config: Config, suite: Suite, model: WorldModel, workers: int, progress: Progress) -> Readout:
    """The readout that came with the model's weights or with the package, else one trained for what it foresees.

    One ruler for all models of a world: figures of two of them then differ by what they imagine alone.
    """
    from nextstate.errors import DatasetError
    from nextstate.evaluation.evaluate import make_readout
    from nextstate.evaluation.readout import Readout
    from nextstate.models.folders import SHIPPED, folder_of

    kept = [] if config.data else [folder_of(config.model) / READOUT, SHIPPED / config.world / READOUT]
    for path in kept:
        with suppress(DatasetError):
            readout = Readout.load(path)
            if readout.fits(suite, model.spec):
                return readout
    return make_readout(suite, model.spec, config.data or training_data(config), workers, config.cache, progress)


def training_data(config: Config) -> Path | None:
    """The dataset that a model was trained on, when its run is still there and it is of this world."""
    from nextstate.data import open_cache
    from nextstate.errors import NextstateError

    try:
        run = json.loads((Path(config.model).resolve().parent / "config.json").read_text(encoding="utf-8"))
        data = Path(run["notes"]["data"])
        if run["notes"]["world"] != config.world or not data.is_dir():
            return None
        return data if {"outcome", "events"} <= set(open_cache(data).arrays) else None
    except (OSError, ValueError, KeyError, TypeError, NextstateError):
        return None


def train_seconds(model: str) -> float | None:
    """Training time by the model's card; None for predictors that were not trained, or where it does not tell."""
    from nextstate.models.folders import folder_of

    try:
        card = (folder_of(model) / "README.md").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'"training_seconds":\s*([0-9.]+)', card)
    return float(found.group(1)) if found else None


def table(found: Evaluation) -> Any:
    """The model, with 95 % intervals, beside the oracle and those that must lose."""
    from rich.table import Table

    metrics = found.metrics
    labels = list(metrics["nce"])
    retrieval = next(name for name in metrics if name.startswith("retrieval_at_"))
    middle = "1.0" if "1.0" in labels else labels[-1]
    columns: list[tuple[str, tuple[str, ...]]] = [(f"NCE {label} s", ("nce", label)) for label in labels]
    columns += [
        (f"slope {middle} s", ("slope", middle)),
        (f"{retrieval.replace('_at_', '@')} {middle} s", (retrieval, middle)),
        *((name.replace("_", " "), ("flips", name)) for name in metrics["flips"]),
        ("shuffle gap", ("shuffle_gap",)),
    ]
    size = f"{found.suite['snapshots']} snapshots x {found.suite['alternatives']}"
    made = Table(title=f"{found.world}, {size}: {found.model}", title_justify="left", box=None)
    made.add_column("", no_wrap=True)
    made.add_column("model", style="bold", justify="right")
    made.add_column("95 %", style="dim", justify="right", no_wrap=True)
    others = {"oracle": "oracle", "wrong_physics": "wrong physics", "copy_last": "copy last", "blind": "action blind"}
    others = {name: title for name, title in others.items() if name in found.baselines}
    for title in others.values():
        made.add_column(title, justify="right")
    for title, keys in columns:
        low, high = at(found.intervals, keys) or (None, None)
        cells = [number(at(metrics, keys)), "" if low is None else f"{low:.2f} - {high:.2f}"]
        made.add_row(title, *cells, *(number(at(found.baselines[name], keys)) for name in others))
    if metrics.get("coverage_80") is not None:
        made.add_row("80 % coverage", number(metrics["coverage_80"]), "", *([""] * len(others)))
    made.caption = "NCE: error of the effect of an action; 0 perfect, 1 blind to actions. Events: balanced accuracy."
    made.caption_justify = "left"
    return made


def at(tree: Metrics, keys: tuple[str, ...]) -> Any:
    """What is nested under `keys`, or None."""
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def bars(console: Any) -> Iterator[Progress]:
    """A bar with time left for each stage that reports; away from a terminal, a line now and then."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    if not console.is_terminal:
        told = 0.0

        def line(what: str, done: int, total: int) -> None:
            nonlocal told
            if done == total or time.monotonic() - told > 5:
                told = time.monotonic()
                print(f"{what} {done}/{total}", flush=True)

        yield line
        return

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as shown:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done, total=total)

        yield report
