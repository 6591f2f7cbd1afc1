"""``nextstate study thoughts``: does it help to think in branches?"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextstate.acting.puzzles import Puzzle
    from nextstate.studies.thoughts import Design


DECISIVE = ("model", "budget", "episodes", "change")
"""Options under which trials may be compared."""


@dataclass(frozen=True)
class Config:
    """Thoughts: a tree of imagined branches against a flat search, on puzzles, with the same number of steps imagined.

    Trials are kept in the output folder, and the same command goes on where it was interrupted.
    """

    puzzles: tuple[str, ...] = ("detour", "remove", "chain", "reach_behind", "pour")
    """Which puzzles."""
    model: str = "oracle"
    """What imagines: oracle (the true simulator) or the folder of a model of the one puzzle given."""
    ways: tuple[str, ...] = ("tree", "flat")
    """tree, flat, flat_recalled (the flat search with the tree's memory), tree_alone (the tree without it)."""
    tasks: int = 20
    """Tasks of each puzzle."""
    first: int = 0
    """Set of tasks: from 100 on for choosing settings, below for results."""
    budget: int = 1600
    """Steps imagined for each decision."""
    episodes: int = 400
    """Recorded episodes that may be recalled."""
    change: str = "{}"
    """Settings to try, as JSON: horizon, block, every, last, tree_* and flat_* of the planners."""
    draw: bool = False
    """Also draw the first decision of each puzzle's first task: the tree of its thoughts as <puzzle>.html."""
    out: Path = Path("thoughts")
    """Folder of results: thoughts.json and trials."""
    summary: Path | None = None
    """Also put the headline figures into this JSON file, as its entry thought_tree."""


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study thoughts", args=argv)
    check(config)
    from nextstate.acting.notes import Notes
    from nextstate.acting.puzzles import PUZZLES
    from nextstate.commands.find import ORACLE, find_model, find_readout, model_size
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.provenance import provenance
    from nextstate.studies import thoughts
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    changed = json.loads(config.change)
    kept = {n: v for n, v in asdict(config).items() if n in DECISIVE}
    notes = Notes(config.out / "trials.jsonl", kept)
    design = thoughts.Design(config.budget, config.tasks, config.first, config.episodes, changed)
    # The simulator needs no pictures to tell what is the case.
    senses = ("proprio", "touch") if config.model == ORACLE else None
    for name in config.puzzles:
        world = make_world(PUZZLES[name].world, model_size(config.model), senses)
        model = find_model(config.model, world)
        readout = None if config.model == ORACLE else find_readout(config.model, world, list(model.spec.modalities))
        with bar(name, "trials") as show:
            thoughts.run(design, PUZZLES[name], world, model, readout, config.ways, notes, show)
        found = thoughts.conclude(config.puzzles, config.ways, notes, config.first)
        if config.draw:
            _draw(config, PUZZLES[name], design)
        head = provenance(f"nextstate study {shlex.join(['thoughts', *argv])}")
        settings = {**kept, "set": config.first, "tasks": config.tasks}
        own = {n: asdict(PUZZLES[n]) for n in config.puzzles}
        write_json(config.out / "thoughts.json", {**head, "settings": settings, **found, "definitions": own})
    if config.summary is not None:
        known = json.loads(config.summary.read_text(encoding="utf-8")) if config.summary.exists() else {}
        write_json(config.summary, {**known, "thought_tree": thoughts.headline(found, config.model)})
    print("\n".join(found["says"]))
    print(config.out / "thoughts.json")
    return 0


def _draw(config: Config, puzzle: Puzzle, design: Design) -> None:
    import torch

    from nextstate.acting.puzzles import Wanted, scene_of
    from nextstate.commands.find import ORACLE, find_model, find_readout, model_size
    from nextstate.commands.thinking import show_thoughts
    from nextstate.studies import thoughts
    from nextstate.worlds import make_world

    world = make_world(puzzle.world, model_size(config.model))
    model = find_model(config.model, world)
    readout = None if config.model == ORACLE else find_readout(config.model, world, list(model.spec.modalities))
    cost, scene = Wanted(puzzle, readout), scene_of(design.seed, 0)
    memory = thoughts.memory_of(puzzle, design.episodes, cost)
    actor = thoughts.actor_of("tree", puzzle, model, cost, memory, design, scene)
    now, _ = world.reset(seed=scene)
    snapshot = world.snapshot()
    with torch.no_grad():
        actor.select_action(now, snapshot)
    assert actor.belief is not None
    title = f"{puzzle.world}: what it thinks before it acts"
    show_thoughts(
        actor.thoughts[0], actor.belief, snapshot, world, model, readout, title, config.out / f"{puzzle.world}.html"
    )


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.acting.puzzles import PUZZLES
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.studies.thoughts import WAYS, check_changes

    for kind, given, known in (("puzzle", config.puzzles, tuple(PUZZLES)), ("way to plan", config.ways, WAYS)):
        for name in given:
            if name not in known:
                raise UnknownNameError(kind, name, known)
    if not config.puzzles or not config.ways:
        raise SettingsError("give at least one of --puzzles and one of --ways.")
    for name in ("tasks", "budget", "episodes"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")
    try:
        changed = json.loads(config.change)
        if not isinstance(changed, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise SettingsError(f"--change {config.change!r} is no JSON object ({error}).") from error
    check_changes(changed)
