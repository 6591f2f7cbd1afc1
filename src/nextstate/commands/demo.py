"""``nextstate demo``: record, pretrain, evaluate and report, in a quarter of an hour."""

from __future__ import annotations

import importlib
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FEWEST_EPISODES, MOST_EPISODES = 24, 600
"""Below the first there is too little to learn from, above the second a few minutes of training see nothing twice."""

OVERHEAD = 1.4
"""Time per recorded episode over the time to play it alone: files are written, and cores share their caches."""


@dataclass(frozen=True)
class Config:
    """From nothing to a report: record worlds, pretrain a model on each, measure its what-ifs, and show them.

    Prints the commands it runs. Interrupt it whenever you like; run again, it goes on where it stopped.
    """

    out: Path = Path("demo")
    """Folder for datasets, runs, evaluations and the report."""
    worlds: tuple[str, ...] = ("push", "spill")
    """Which worlds; `nextstate worlds` lists them."""
    minutes: float = 15.0
    """Time for everything; recording and training get as much of it as evaluation leaves."""
    snapshots: int = 40
    """Held-out snapshots on which each model is measured."""
    preset: str = "small"
    """Size of the models."""
    seed: int = 0
    """Of recordings and training."""


@dataclass(frozen=True)
class Budget:
    """Seconds for each stage of one world."""

    record: float
    pretrain: float
    evaluate: float


BUDGETS = {"push": Budget(40, 580, 100), "spill": Budget(150, 495, 185)}
"""Of a quarter of an hour for both on two cores; beads make spill slower to simulate.

Recording goes world by world on all cores, the rest side by side, so there the longest counts.
"""
USUAL = Budget(90, 400, 330)
SPEEDS = {"push": 490.0, "spill": 98.0}
"""States a second that a core plays where evaluation takes as long as that; a slower one takes longer."""
REPORT = 25.0
"""Seconds for the report and for starting up, whatever the worlds."""
LEAST = 0.4
"""Share of its usual time that is left for recording and training, however long evaluation takes."""


@dataclass(frozen=True)
class Pace:
    """How fast a core plays a world: states a second, and seconds for an episode."""

    states: float
    episode: float


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate demo", args=argv)
    budgets, plans = planned(config)
    given = {
        verb: {world: arguments_of(verb, world, config, budgets[world], plans[world]) for world in config.worlds}
        for verb in ("record", "pretrain", "evaluate")
    }
    if status := one_by_one("record", given.pop("record"), config.out):
        return status
    if status := side_by_side(given, config.out):
        return status
    done = [
        command_line(verb, arguments_of(verb, world, config, budgets[world], plans[world]))
        for verb in ("record", "pretrain", "evaluate")
        for world in config.worlds
    ]
    evaluations = [config.out / world / "evaluation.json" for world in config.worlds]
    models = [str(config.out / world / "run" / "model") for world in config.worlds]
    arguments = [*map(str, evaluations), "--out", str(config.out), "--models", *models, "--commands", *done]
    status = run("report", arguments)
    if status:
        return status
    finish(config.out, evaluations)
    return 0


def divide(worlds: Sequence[str], minutes: float, paces: Mapping[str, Pace] | None = None) -> dict[str, Budget]:
    """Shares of the time for each world; raises `SettingsError` or `UnknownNameError` before anything is done.

    Args:
        paces: of this machine, by which it is judged how long evaluation takes here.
    """
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.worlds import WORLDS

    if not worlds or not minutes > 0:
        raise SettingsError("--worlds must name at least one world, and --minutes must be above 0.")
    for world in worlds:
        if world not in WORLDS:
            raise UnknownNameError("world", world, WORLDS)
    usual = {world: BUDGETS.get(world, USUAL) for world in worlds}
    evaluating = {
        world: budget.evaluate * (SPEEDS[world] / paces[world].states if paces and world in SPEEDS else 1.0)
        for world, budget in usual.items()
    }
    whole, recording = 60.0 * minutes - REPORT, sum(budget.record for budget in usual.values())
    share = min((whole - evaluating[world]) / (recording + budget.pretrain) for world, budget in usual.items())
    share = max(share, LEAST * minutes / 15.0)
    return {
        world: Budget(
            share * budget.record,
            max(whole - share * recording - evaluating[world], share * budget.pretrain),
            evaluating[world],
        )
        for world, budget in usual.items()
    }


def planned(config: Config) -> tuple[dict[str, Budget], dict[str, int]]:
    """Time and episodes for each world: settled once for this machine, then kept for later calls."""
    from nextstate.data.storage import write_json
    from nextstate.errors import SettingsError

    divide(config.worlds, config.minutes)
    path = config.out / "plan.json"
    asked: dict[str, Any] = {"seed": config.seed, "preset": config.preset, "minutes": config.minutes}
    asked |= {"snapshots": config.snapshots, "worlds": sorted(config.worlds)}
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept and any(kept.get(name, value) != value for name, value in asked.items()):
        raise SettingsError(f"{config.out} holds a demo with other options; give the same, or another --out.")
    paces = {world: Pace(*numbers) for world, numbers in kept.get("paces", {}).items()}
    episodes: dict[str, int] = dict(kept.get("episodes", {}))
    paces |= {world: pace_of(world, config.seed) for world in config.worlds if world not in paces}
    budgets = divide(config.worlds, config.minutes, paces)
    for world, budget in budgets.items():
        if world not in episodes:
            episodes[world] = episodes_in(budget.record, paces[world])
            print(f"{world}: {paces[world].states:.0f} states/s a core, so {episodes[world]} episodes to record")
    numbers = {world: [pace.states, pace.episode] for world, pace in paces.items()}
    write_json(path, {**asked, "paces": numbers, "episodes": episodes})
    return budgets, episodes


def pace_of(world: str, seed: int) -> Pace:
    """How fast this machine is, judging by an episode that is played and thrown away."""
    from nextstate.data.recording import Plan, play

    play(Plan(world, base_seed=seed, steps=8), 0)
    began = time.perf_counter()
    episode = play(Plan(world, base_seed=seed), 1)
    seconds = time.perf_counter() - began
    return Pace(round(len(episode) / seconds, 1), round(seconds, 4))


def episodes_in(seconds: float, pace: Pace) -> int:
    """Episodes that all cores record in that time."""
    from nextstate.data.workers import cores

    fitting = int(seconds * cores() / (OVERHEAD * pace.episode))
    return min(max(fitting, FEWEST_EPISODES), MOST_EPISODES)


def arguments_of(verb: str, world: str, config: Config, budget: Budget, episodes: int) -> list[str]:
    """What one command of the demo is given."""
    home = config.out / world
    options: dict[str, dict[str, Any]] = {
        "record": {"world": world, "out": home / "data", "episodes": episodes, "seed": config.seed},
        "pretrain": {
            "data": home / "data",
            "out": home / "run",
            "minutes": round(budget.pretrain / 60, 2),
            "preset": config.preset,
            "seed": config.seed,
        },
        "evaluate": {
            "world": world,
            "model": home / "run" / "model",
            "snapshots": config.snapshots,
            "out": home / "evaluation.json",
        },
    }
    return [text for name, value in options[verb].items() for text in (f"--{name}", str(value))]


def is_finished(verb: str, home: Path) -> bool:
    """Whether an evaluation of the model as it is now exists; the other commands know it of themselves."""
    evaluation, model = home / "evaluation.json", home / "run" / "model" / "config.json"
    if verb != "evaluate" or not evaluation.exists() or not model.exists():
        return False
    return evaluation.stat().st_mtime >= model.stat().st_mtime


def one_by_one(verb: str, given: Mapping[str, list[str]], out: Path) -> int:
    """Runs a command that uses all cores for one world after the other."""
    for world, arguments in given.items():
        began = time.monotonic()
        if status := run(verb, arguments):
            return status
        note_seconds(out / "seconds.json", f"{verb} {world}", time.monotonic() - began)
    return 0


def side_by_side(given: Mapping[str, Mapping[str, list[str]]], out: Path) -> int:
    """Runs commands, verb -> world -> arguments, one after the other in each world and all worlds at once."""
    from nextstate.commands.abreast import Lane, run_abreast
    from nextstate.commands.evaluate import cores

    lanes = [Lane(world, []) for world in next(iter(given.values()))]
    for verb, by_world in given.items():
        for lane in lanes:
            announce(verb, by_world[lane.name])
            if is_finished(verb, out / lane.name):
                print("finished before")
            else:
                lane.commands = [*lane.commands, [verb, *by_world[lane.name]]]
    status = run_abreast(lanes, out / "logs", cores())
    for lane in lanes:
        for command, took in zip(lane.commands, lane.took, strict=False):
            note_seconds(out / "seconds.json", f"{command[0]} {lane.name}", took)
    return status


def run(verb: str, arguments: list[str]) -> int:
    """Shows and runs a command in this process; returns its exit status."""
    announce(verb, arguments)
    command = importlib.import_module(f"nextstate.commands.{verb}")
    return int(command.main(arguments) or 0)


def announce(verb: str, arguments: list[str]) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(f"\n$ {command_line(verb, arguments)}", style="bold", markup=False)


def command_line(verb: str, arguments: Sequence[str]) -> str:
    shown = arguments
    if verb == "report":
        shown = arguments[: arguments.index("--commands")]
    return f"nextstate {verb} {shlex.join(shown)}"


def note_seconds(path: Path, stage: str, seconds: float) -> None:
    """Adds the time of a stage to what it took in earlier, interrupted calls."""
    from nextstate.data.storage import write_json

    noted: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {**noted, stage: round(noted.get(stage, 0.0) + seconds, 1)})


def finish(out: Path, evaluations: Sequence[Path]) -> None:
    """Prints the tables and where the report is."""
    from rich.console import Console

    from nextstate.commands.evaluate import table
    from nextstate.evaluation.results import Evaluation

    console = Console(highlight=False, soft_wrap=True)
    for path in evaluations:
        console.print()
        console.print(table(Evaluation.load(path)))
    console.print("\nTruth above, imagination below; open in a browser:")
    console.print(str((out / "report.html").resolve()))
