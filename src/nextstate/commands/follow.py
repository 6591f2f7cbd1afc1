"""``nextstate follow``: the language-first rival and others follow the same instructions."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextstate.acting.instructions import Instructed
    from nextstate.policies import Actor
    from nextstate.worlds import World

WAYS = ("still", "random", "scripted", "rival", "heeding", "cloned")


@dataclass(frozen=True)
class Config:
    """Compare ways to follow instructions in scenes that nothing was learned from.

    A task is a skill of the world, asked for in words, that the scripted skill itself does in time. Success is strict
    (it is done at the very end) and, beside it, whether it was done at any step. Trials are noted one by one; the same
    command goes on where it was interrupted.
    """

    world: str = "push"
    """Which world."""
    rival: str = ""
    """Way rival: folder that `nextstate pretrain --policy vla` wrote."""
    model: str = ""
    """World model whose beliefs heeding and cloned act on; by default the shipped one of the world."""
    data: Path | None = None
    """Way heeding: dataset whose instructed episodes it learns from, unless it was learned before."""
    minutes: float = 5.0
    """Way heeding: how long it learns."""
    ways: tuple[str, ...] = ("still", "random", "scripted")
    """still, random, and scripted (what the skill itself did); rival; heeding (cloning of instructed episodes, on a
    world model's beliefs); cloned (goal-conditioned cloning, shown a picture of the skill done; needs a guide)."""
    tasks: int = 100
    """Tasks of each seed."""
    seeds: int = 1
    """Sets of tasks."""
    first: int = 0
    """Number of the first set: choose settings on other sets than those that results are from."""
    steps: int = 60
    """Steps that an actor has."""
    every: int = 2
    """Commands done of each decision."""
    out: Path = Path("follow.json")
    """Where results go; trials are noted beside it, and so is the head of way heeding."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate follow", args=argv)
    check(config)
    from rich.console import Console

    from nextstate.acting.instructions import follow, make_instructed
    from nextstate.acting.notes import Notes, median, summary
    from nextstate.commands.act import table
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    world = make_world(config.world)
    makers = {way: make_way(way, config, world) for way in config.ways}
    settings = {"world": config.world, "steps": config.steps, "every": config.every, "tasks": config.tasks}
    notes = Notes(config.out.with_suffix(".jsonl"), settings)
    seeds = range(config.first, config.first + config.seeds)
    wanted = [(way, seed, number) for way in config.ways for seed in seeds for number in range(config.tasks)]
    with bar("following", "trials") as progress:
        for seed in seeds:
            left = [key for key in wanted if key[1] == seed and key not in notes.found]
            tasks = make_instructed(world, config.tasks, seed, config.steps) if left else []
            for way, _, number in left:
                task = tasks[number]
                came = follow(world, makers[way](task), task, config.steps)
                row = {"instruction": task.instruction, **came.to_dict(), "seconds": median(came.seconds)}
                notes.add((way, seed, number), row)
                progress(sum(key in notes.found for key in wanted), len(wanted))
    rows = {way: summary(notes, way) for way in config.ways}
    write_json(config.out, {**provenance(f"nextstate follow {shlex.join(argv)}"), "settings": settings, "ways": rows})
    Console(highlight=False).print(table(config.world, rows))
    print(config.out)
    return 0


def make_way(way: str, config: Config, world: World) -> Callable[[Instructed], Actor]:
    """What makes an actor for each task."""
    import numpy as np

    from nextstate.acting.ways import Fixed
    from nextstate.commands.find import find_model
    from nextstate.models.pretrained import from_pretrained
    from nextstate.policies.following import Following

    if way == "still":
        return lambda task: Fixed(np.zeros((1, world.action_size), np.float32))
    if way == "random":
        return lambda task: Fixed(_wandering(world, task, config.steps))
    if way == "scripted":
        return lambda task: Fixed(task.demonstration)
    if way == "rival":
        rival = from_pretrained(config.rival)
        return lambda task: Following(rival, task.instruction, config.every, task.seed)
    model = find_model(config.model or config.world, world)
    return _heeding(model, config) if way == "heeding" else _cloned(model, config)


def _wandering(world: World, task: Instructed, steps: int) -> Any:
    import numpy as np

    return np.random.default_rng(task.seed).uniform(-1, 1, (steps, world.action_size)).astype(np.float32)


def _heeding(model: Any, config: Config) -> Callable[[Instructed], Actor]:
    from nextstate.commands.progress import bar
    from nextstate.data import open_cache
    from nextstate.data.parts import require_commands
    from nextstate.errors import SettingsError
    from nextstate.policies.heeding import Heeding, heeding, learn_heeding
    from nextstate.policies.looking import Looking

    folder = config.out.parent
    if not (folder / Heeding.file()).is_file():
        if config.data is None:
            raise SettingsError("way heeding learns from instructed episodes; give --data.")
        with bar("learning to heed", "seconds") as progress:
            cache = open_cache(config.data)
            require_commands(cache, config.data, "following instructions")
            head, figures = learn_heeding(model, cache, 60 * config.minutes, show=progress)
        print(f"heeding: error of commands {figures['commands']:.3f} after {figures['steps']:.0f} steps")
        folder.mkdir(parents=True, exist_ok=True)
        head.save(folder)
    learned = Heeding.load(folder)
    return lambda task: Looking(model, heeding(learned, task.instruction, task.seed), config.every)


def _cloned(model: Any, config: Config) -> Callable[[Instructed], Actor]:
    import torch

    from nextstate.models.folders import folder_of
    from nextstate.planning import Guide, SeenDistance
    from nextstate.policies.looking import Looking, cloning

    guide = Guide.load(folder_of(config.model or config.world))

    def make(task: Instructed) -> Actor:
        goal: Mapping[str, torch.Tensor] = {n: torch.from_numpy(v.copy())[None] for n, v in task.goal.items()}
        return Looking(model, cloning(guide, SeenDistance.of(model, goal)), config.every)

    return make


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.errors import SettingsError, UnknownNameError

    for way in config.ways:
        if way not in WAYS:
            raise UnknownNameError("way to follow", way, WAYS)
    if "rival" in config.ways and not config.rival:
        raise SettingsError("way rival needs --rival, a folder that `nextstate pretrain --policy vla` wrote.")
    for name in ("tasks", "seeds", "steps", "every"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")
