"""``nextstate act``: every way of acting on the same tasks, in one table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextstate.acting.ways import Way
    from nextstate.models.protocol import WorldModel
    from nextstate.planning import Guide
    from nextstate.worlds import World


@dataclass(frozen=True)
class Config:
    """Compare ways to act on tasks from held-out episodes: bring everything to where a policy brought it 2.5 s later.

    Success is strict (the goal holds at the very end) and, beside it, as others publish it (it was touched at any
    step). Trials are noted one by one; the same command goes on where it was interrupted.
    """

    world: str = "push"
    """Which world: push or grasp."""
    model: str = ""
    """Folder of a model or the world of a shipped one; by default the shipped one of the world."""
    ways: tuple[str, ...] = ("still", "random", "replay", "model")
    """Of still, random, replay (what led to the goal), cloned (do as recorded policies did; needs a guide), model (plan
    in the model) and oracle (plan in the simulator)."""
    tasks: int = 100
    """Tasks of each seed."""
    seeds: int = 3
    """Sets of tasks."""
    steps: int = 50
    """Steps that an actor has."""
    ahead: int = 25
    """Steps in which the goal was reached."""
    goal: str = "view"
    """How a plan is led: view (how far things are from where the model's eye sees them in the goal's pictures), time
    (steps still to go, by a guide from `nextstate guide`) or picture (pixels)."""
    planner: str = "icem"
    """Planner of the ways that plan."""
    candidates: int = 40
    """Futures imagined in each round of the planner."""
    horizon: int = 10
    """Steps looked ahead."""
    block: int = 2
    """Steps for which a command is held."""
    every: int = 2
    """Steps acted before planning again."""
    last: float = 0.5
    """How much more than another the last step looked ahead counts, from 0 to 1."""
    out: Path = Path("act.json")
    """Where results go; trials are noted beside it, in act.jsonl."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate act", args=argv)
    check(config)
    from rich.console import Console

    from nextstate.acting import attempt, make_tasks
    from nextstate.commands.find import find_model, model_size
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    name = config.model or config.world
    world = make_world(config.world, size=model_size(name))
    model = find_model(name, world)
    notes = Notes(config.out.with_suffix(".jsonl"), settings_of(config))
    whole = len(config.ways) * config.seeds * config.tasks
    with bar("acting", "trials") as progress:
        for seed in range(config.seeds):
            if all((way, seed, i) in notes.found for way in config.ways for i in range(config.tasks)):
                continue
            tasks = make_tasks(world, config.tasks, seed, config.ahead, max(model.spec.context, 1))
            ways = dict(make_ways(config, model, world))
            for way, number in ((way, i) for way in config.ways for i in range(config.tasks)):
                if (way, seed, number) not in notes.found:
                    task = tasks[number]
                    trial = attempt(world, ways[way](task), task, config.steps)
                    notes.add((way, seed, number), {**trial.to_dict(), "seconds": _median(trial.seconds)})
                progress(len(notes.found), whole)
    rows = {way: summary(notes, way) for way in config.ways}
    write_json(
        config.out, {**provenance(f"nextstate act {shlex.join(argv)}"), "settings": settings_of(config), "ways": rows}
    )
    Console(highlight=False).print(table(config.world, rows))
    print(config.out)
    return 0


def make_ways(config: Config, model: WorldModel, world: World) -> Iterator[tuple[str, Way]]:
    """Name and maker of every way that the configuration asks for."""
    from nextstate.acting.ways import SIMPLE, cloned, planned
    from nextstate.evaluation.oracle import Oracle
    from nextstate.planning import make_planner
    from nextstate.worlds import make_world

    guide = find_guide(config)
    for way in config.ways:
        if way in SIMPLE:
            yield way, SIMPLE[way]
            continue
        if way == "cloned":
            yield way, cloned(model, guide)
            continue
        planner = make_planner(config.planner, candidates=config.candidates)
        inside = model if way == "model" else Oracle(make_world(world.name, world.size))
        yield (
            way,
            planned(
                inside,
                planner,
                config.goal,
                eye=model,
                guide=guide,
                horizon=config.horizon,
                block=config.block,
                every=config.every,
                last=config.last,
            ),
        )


def find_guide(config: Config) -> Guide | None:
    """The guide that lies in the model's folder; raises `CheckpointError` where one is needed and there is none."""
    from nextstate.models.folders import folder_of
    from nextstate.planning.guide import FILE, Guide

    plans = {"model", "oracle"} & set(config.ways)
    if "cloned" not in config.ways and not (plans and config.goal == "time"):
        return None
    return Guide.load(folder_of(config.model or config.world) / FILE)


class Notes:
    """Trials as they come, one a line, so that an interrupted study goes on.

    Args:
        settings: under which they were made; raises `SettingsError` when those of the file differ.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        from nextstate.data.storage import write_bytes
        from nextstate.errors import SettingsError

        self.path, self.found = path, dict[tuple[str, int, int], dict[str, Any]]()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_bytes(path, (json.dumps({"settings": settings}) + "\n").encode())
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        try:
            same = json.loads(lines[0])["settings"] == json.loads(json.dumps(settings))
        except (IndexError, KeyError, ValueError):
            same = False
        if not same:
            raise SettingsError(f"{path} holds trials with other settings; give the same, or another --out.")
        whole = []
        for line in lines[1:]:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # A line that was being written when the study was killed.
            whole.append(line)
            self.found[row["way"], row["seed"], row["task"]] = row
        if len(whole) < len(lines) - 1:
            write_bytes(path, ("\n".join([lines[0], *whole]) + "\n").encode())

    def add(self, key: tuple[str, int, int], row: Mapping[str, Any]) -> None:
        from nextstate.data.storage import naming_full_disk

        way, seed, task = key
        self.found[key] = {"way": way, "seed": seed, "task": task, **row}
        with naming_full_disk(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.found[key]) + "\n")


def summary(notes: Notes, way: str) -> dict[str, Any]:
    """Rates of one way over all its trials."""
    from nextstate.acting import Rate

    rows = [row for row in notes.found.values() if row["way"] == way]
    return {
        "strict": Rate.of(row["held"] for row in rows).to_dict(),
        "published": Rate.of(row["touched"] for row in rows).to_dict(),
        "milliseconds": round(1000 * (_median([row["seconds"] for row in rows]) or 0.0), 1),
        "died": sum(bool(row["died"]) for row in rows),
    }


def table(world: str, rows: Mapping[str, Mapping[str, Any]]) -> Any:
    """What is printed at the end."""
    from rich.table import Table

    shown = Table("way", "strict", "95 %", "as published", "ms a decision", title=f"{world}: goals reached")
    for way, row in rows.items():
        low, high = row["strict"]["interval"]
        strict, published = row["strict"]["rate"], row["published"]["rate"]
        shown.add_row(way, f"{strict:.0%}", f"{low:.0%}-{high:.0%}", f"{published:.0%}", f"{row['milliseconds']:g}")
    return shown


def settings_of(config: Config) -> dict[str, Any]:
    """What decides a trial: everything but how many there are and where they go."""
    kept = {n: v for n, v in asdict(config).items() if n not in ("ways", "tasks", "seeds", "out")}
    return {**kept, "tasks": config.tasks}


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.worlds import WORLDS

    if config.world not in WORLDS:
        raise UnknownNameError("world", config.world, WORLDS)
    for way in config.ways:
        if way not in WAYS:
            raise UnknownNameError("way to act", way, WAYS)
    for name in ("tasks", "seeds", "steps", "ahead", "candidates"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")


WAYS = ("still", "random", "replay", "cloned", "model", "oracle")


def _median(values: Sequence[float]) -> float:
    import statistics

    return round(statistics.median(values), 5) if values else 0.0
