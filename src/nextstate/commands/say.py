"""``nextstate say``: does what is said happen in the imagined future?"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHOICES = 8


@dataclass(frozen=True)
class Config:
    """Judge words as actions, in held-out scenes and in words that were never learned from.

    What counts: does the named event happen in the imagined future, and of several instructions from one instant, is
    the imagined future nearest to what the world's own skill of that meaning truly comes to. Beside it the same model
    under the true motor commands of those skills. Scenes are used in which the scripted skills do what they are named
    after, so truth has 1 everywhere; how often they do is told besides.
    """

    world: str
    """push, spill or grasp."""
    model: str
    """Folder of a model with a director (`nextstate direct`), or the world of a shipped one."""
    scenes: int = 40
    """Held-out instants."""
    choices: int = CHOICES
    """Instructions at each, or as many as the world has skills."""
    horizon: int = 0
    """Steps to foresee; 0 for 40, in `spill` 30."""
    seed: int = 0
    """Of the scenes and the words: 0 is for results, others for trying things out."""
    director: Path | None = None
    """Folder of the director, if not the model's."""
    out: Path | None = None
    """JSON file of the results."""


HORIZON = {"spill": 30}


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate say", args=argv)
    from contextlib import ExitStack
    from dataclasses import asdict

    from nextstate.commands.find import find_model, find_readout, model_size
    from nextstate.commands.progress import bar, one_bar_at_a_time
    from nextstate.data.storage import write_json
    from nextstate.errors import CheckpointError, SettingsError
    from nextstate.evaluation.words import figures, judge, make_scenes
    from nextstate.models.director import Director
    from nextstate.models.folders import folder_of
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    for name, least in {"scenes": 1, "choices": 2, "horizon": 0, "seed": 0}.items():
        if getattr(config, name) < least:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number from {least} on.")
    settle_threads()
    world = make_world(config.world, model_size(config.model))
    model = find_model(config.model, world)
    director = Director.load(config.director or folder_of(config.model))
    readout = find_readout(config.model, world, list(model.spec.modalities))
    if readout is None:
        raise CheckpointError(
            f"nothing reads outcomes out of what {config.model} imagines; run `nextstate evaluate "
            f"--model {config.model} --world {config.world} --keep-readout` first."
        )
    choices = min(config.choices, len(world.skills))
    horizon = config.horizon or HORIZON.get(config.world, 40)
    with ExitStack() as stack:
        bars = one_bar_at_a_time(stack, bar)
        now: dict[str, Callable[[int, int], None]] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in now:
                now[what] = bars(what)
            now[what](done, total)

        scenes = make_scenes(world, config.scenes, choices, horizon, config.seed, show)
        found = judge(world, model, director, readout, scenes, show)
    told = figures(found, config.world)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(config).items()}
    settings |= {"choices": choices, "horizon": horizon}
    if config.out is not None:
        write_json(config.out, {**provenance(f"nextstate say {shlex.join(argv)}"), "config": settings, **told})
    _print(config, told, choices)
    return 0


def _print(config: Config, told: dict[str, Any], choices: int) -> None:
    from rich.console import Console
    from rich.table import Table

    size = f"{config.scenes} scenes x {choices} instructions"
    table = Table("", title=f"{config.world}, {size}: {config.model}", title_justify="left", box=None)
    columns = {
        "words": "words",
        "held_out": "held out",
        "unheard": "unheard words",
        "motor": "motor commands",
        "again": "script again",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for key, title in {
        "event": "named event",
        "retrieval": f"retrieval@{choices}",
        "retrieved": "the other way",
    }.items():
        cells = []
        for who in columns:
            figure = told["figures"][who].get(key)
            cells.append("" if figure is None else f"{figure['value']:.2f} ({figure['low']:.2f}-{figure['high']:.2f})")
        table.add_row(title, *cells)
    table.caption = f"{told['named']} The scripts themselves do it in {told['scripted']:.0%} of what a scene allows."
    table.caption_justify = "left"
    Console().print(table)
