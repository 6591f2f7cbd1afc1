"""``nextstate act``: every way of acting on the same tasks, in one table."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from nextstate.acting.notes import Notes
    from nextstate.acting.ways import Tools
    from nextstate.models.protocol import WorldModel
    from nextstate.worlds import World


@dataclass(frozen=True)
class Config:
    """Compare ways to act on tasks from held-out episodes: bring everything to where a policy brought it 2.5 s later.

    Success is strict (the goal holds at the very end) and, beside it, as others publish it (it was touched at any
    step). Trials are noted one by one; the same command goes on where it was interrupted.
    """

    world: str = "push"
    """Which world: push, grasp, or a public yardstick: tworoom, pusht, gym_pusht, reacher, cartpole, cube."""
    model: str = ""
    """Folder of a model or the world of a shipped one; by default the shipped one of the world."""
    ways: tuple[str, ...] = ("still", "random", "replay", "model")
    """Without a model still, random and replay (what led to the goal); decoders cloned, inverse and joint, and the same
    given the true future, cloned_told, inverse_told and joint_told; planners in the model, model, proposals and leaps,
    and in the simulator, oracle and proposals_oracle, and simulator, which is led by the true distance. Decoders,
    proposals and leaps need heads from `nextstate guide`."""
    tasks: int = 100
    """Tasks of each seed."""
    seeds: int = 3
    """Sets of tasks."""
    protocol: Literal["strict", "published", "both"] = "strict"
    """Strict: goals that are not reached yet, and hold at the end. Published: starts that are solved already count,
    and so does touching the goal at any step."""
    first: int = 0
    """Number of the first set: choose settings on other sets than those that results are from."""
    steps: int = 50
    """Steps that an actor has."""
    ahead: int = 25
    """Steps in which the goal was reached."""
    goal: str = "view"
    """How a plan is led: view (how far things are from where the model's eye sees them in the goal's pictures), time
    (steps still to go, by a guide from `nextstate guide`), posture (how far the body is from how it looks there, by a
    head of that name) or picture (pixels)."""
    planner: str = "icem"
    """Planner of the ways that plan: shooting, cem, icem, mppi, gradient, guided, striking, or reminded, which needs
    --goal time and the head precedents; with --block 1 --horizon 30 --every 5."""
    candidates: int = 40
    """Futures imagined in each round of the planner."""
    margin: float | None = None
    """By how much better than what it would stay with another plan has to be for planner guided (there in steps to go,
    beside what the guide would do), striking or reminded; by default their own."""
    near: float = 60.0
    """With --goal time: weight of plain distance beside steps to go."""
    descend: int = 0
    """Way proposals: steps down the gradient from the best."""
    horizon: int = 10
    """Steps looked ahead."""
    block: int = 2
    """Steps for which a command is held."""
    every: int = 2
    """Steps acted before planning again."""
    last: float = 0.5
    """How much more than another the last step looked ahead counts, from 0 to 1."""
    caution: float = 0.0
    """How much it counts against a plan that the model is not sure of its cost: weight of the standard deviation among
    sampled futures; of planners that draw whole plans."""
    samples: int = 0
    """Sampled futures by which that is judged, at least 2; 0 plans by the central one."""
    out: Path = Path("act.json")
    """Where results go; trials are noted beside it, in act.jsonl."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate act", args=argv)
    check(config)
    from rich.console import Console

    from nextstate.acting.contest import contest
    from nextstate.acting.notes import Notes, marks
    from nextstate.commands.find import find_model, model_size
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.models.folders import folder_of
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    name = config.model or config.world
    world = make_world(config.world, size=model_size(name))
    tools = make_tools(config, find_model(name, world), world)
    folder = folder_of(name)
    notes = Notes(config.out.with_suffix(".jsonl"), {**settings_of(config), "weights": marks(folder)})
    weights = {way: marks(folder, needed_by(way, config)) for way in config.ways}
    seeds = range(config.first, config.first + config.seeds)
    protocols: list[tuple[str, Callable[[str], str], bool]] = []
    if config.protocol != "published":
        protocols.append(("acting", str, False))
    if config.protocol != "strict":
        protocols.append(("acting as published", LOOSE, True))
    counts = (config.tasks, seeds, config.steps, config.ahead)
    for title, label, solved in protocols:
        with bar(title, "trials") as progress:
            contest(world, tools, config.ways, notes, *counts, progress, label, solved, weights)
    rows = {way: row_of(notes, way, config.protocol, seeds) for way in config.ways}
    found = {"settings": settings_of(config), "ways": rows}
    if {"model", "oracle"} <= set(rows) and config.protocol != "published":
        found["planning_gap"] = gap(rows)
    write_json(config.out, {**provenance(f"nextstate act {shlex.join(argv)}"), **found})
    Console(highlight=False).print(table(config.world, rows))
    print(config.out)
    return 0


LEADS = {"time": "guide", "posture": "posture"}
"""Kind of goal -> the head that leads plans to it."""

LOOSE = "{}, published".format
"""Under which name trials of the published protocol are noted: their tasks are others."""


def row_of(notes: Notes, way: str, protocol: str, seeds: Collection[int] | None = None) -> dict[str, Any]:
    """What one way came to. Without tasks of the published protocol, how often goals of the strict one were touched.

    With those alone there is no strict rate: some of them are solved at their start.
    """
    from nextstate.acting.notes import summary

    row = summary(notes, way if protocol != "published" else LOOSE(way), seeds)
    if protocol == "both":
        row["published"] = summary(notes, LOOSE(way), seeds)["published"]
    elif protocol == "published":
        row["strict"] = None
    return row


def make_tools(config: Config, model: WorldModel, world: World) -> Tools:
    """What the ways of the configuration are made of; raises `CheckpointError` for heads that are missing."""
    from nextstate.acting.ways import Tools
    from nextstate.evaluation.oracle import Oracle
    from nextstate.models.folders import folder_of
    from nextstate.planning import check_caution
    from nextstate.policies.learning import HEADS
    from nextstate.policies.loading import planner_by
    from nextstate.worlds import make_world

    check_caution(config.planner, config.caution, config.samples)
    needed = {head for way in config.ways for head in needed_by(way, config)}
    folder = folder_of(config.model or config.world)
    margin = {} if config.margin is None else {"margin": config.margin}
    return Tools(
        model,
        Oracle(make_world(world.name, world.size)),
        planner_by(config.planner, folder, candidates=config.candidates, **margin),
        {name: HEADS[name][0].load(folder) for name in sorted(needed)},
        config.goal,
        config.near,
        {
            "horizon": config.horizon,
            "block": config.block,
            "stride": config.block,
            "every": config.every,
            "last": config.last,
            "caution": config.caution,
            "samples": config.samples,
        },
        config.candidates,
        config.descend,
        config.every,
        world.goal_of_body,
    )


def needed_by(way: str, config: Config) -> set[str]:
    """Heads that a way needs, that which leads its plans among them."""
    from nextstate.acting.ways import NEEDS, PLANS

    leads = {LEADS[config.goal]} if config.goal in LEADS and way in PLANS else set()
    return {*NEEDS.get(way, ()), *leads}


def gap(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Success of the planner in the simulator minus in the model, with its interval."""
    from nextstate.acting import Rate, difference

    rates = [
        Rate(round(row["rate"] * row["trials"]), row["trials"])
        for row in (rows[w]["strict"] for w in ("oracle", "model"))
    ]
    value, low, high = difference(*rates)
    return {"points": round(100 * value, 1), "interval": [round(100 * low, 1), round(100 * high, 1)]}


def table(world: str, rows: Mapping[str, Mapping[str, Any]]) -> Any:
    """What is printed at the end."""
    from rich.table import Table

    died = any(row.get("died") for row in rows.values())
    names = ("way", "strict", "95 %", "as published", "ms a decision", *(["ended by an error"] if died else []))
    shown = Table(*names, title=f"{world}: goals reached")
    for way, row in rows.items():
        strict = row["strict"]
        told = [f"{strict['rate']:.0%}", "{:.0%}-{:.0%}".format(*strict["interval"])] if strict else ["", ""]
        last = [f"{row.get('died', 0)}"] if died else []
        shown.add_row(way, *told, f"{row['published']['rate']:.0%}", f"{row['milliseconds']:g}", *last)
    return shown


def settings_of(config: Config) -> dict[str, Any]:
    """What decides a trial: everything but how many there are and where they go."""
    aside = {"ways", "tasks", "seeds", "first", "protocol", "out"} | ({"margin"} if config.margin is None else set())
    aside |= set() if config.samples else {"caution", "samples"}
    return {**{n: v for n, v in asdict(config).items() if n not in aside}, "tasks": config.tasks}


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.worlds import world_class

    world_class(config.world)
    for way in config.ways:
        if way not in WAYS:
            raise UnknownNameError("way to act", way, WAYS)
    for name in ("tasks", "seeds", "steps", "ahead", "candidates"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")
    if config.first < 0:
        raise SettingsError(f"--first {config.first}: sets of tasks are counted from 0.")


WAYS = (
    "still",
    "random",
    "replay",
    "cloned",
    "inverse",
    "joint",
    "model",
    "proposals",
    "leaps",
    "cloned_told",
    "inverse_told",
    "joint_told",
    "oracle",
    "simulator",
    "proposals_oracle",
)
"""As in `acting.ways`, which is slow to import."""
