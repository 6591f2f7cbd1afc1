"""``nextstate study honesty``: can what is imagined be trusted when one acts on it?"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

QUESTION = "Can what is imagined be trusted when one acts on it?"


@dataclass(frozen=True)
class Config:
    """Judge plans and policies in the model and by what really comes of them, and act in changed worlds.

    Trials are kept in the output folder, and the same command goes on where it was interrupted. The model's folder
    must hold a guide, see `nextstate guide`.
    """

    world: str = "push"
    """Which world: push or grasp."""
    model: str = ""
    """Folder of a model or the world of a shipped one; by default the shipped one of the world."""
    candidates: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Numbers of plans among which the best is chosen."""
    tasks: int = 40
    """Tasks on which plans and policies are judged."""
    trials: int = 60
    """Tasks on which the planner acts, of each seed, in the world and in each changed one."""
    oracle: int = 0
    """How many of these are also planned in the simulator, which takes about half a minute each; 0 for none."""
    seeds: int = 1
    """Sets of tasks."""
    first: int = 0
    """Number of the first set: choose settings on other sets than those that results are from."""
    steps: int = 50
    """Steps that an actor has."""
    ahead: int = 25
    """Steps in which the goal was reached."""
    proposals: int = 32
    """Futures that the planner imagines in its first round."""
    near: float = 60.0
    """Weight of plain distance beside steps to go."""
    out: Path = Path("honesty")
    """Folder of results: honesty.json, honesty.html and trials."""


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study honesty", args=argv)
    check(config)
    from nextstate.acting.notes import Notes, marks
    from nextstate.acting.ways import Tools
    from nextstate.commands.find import find_model, model_size
    from nextstate.commands.progress import one_bar_at_a_time
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.evaluation.oracle import Oracle
    from nextstate.models.folders import folder_of
    from nextstate.planning import Guide, make_planner
    from nextstate.provenance import provenance
    from nextstate.reports.honesty import honesty_page
    from nextstate.studies import honesty
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    name = config.model or config.world
    world = make_world(config.world, size=model_size(name))
    tools = Tools(
        find_model(name, world),
        Oracle(make_world(world.name, world.size)),
        make_planner("striking", candidates=config.proposals),
        {Guide.name: Guide.load(folder_of(name))},
        goal="time",
        near=config.near,
        settings={"horizon": 10, "block": 2, "stride": 2, "every": 2, "last": 0.5},
    )
    seeds = range(config.first, config.first + config.seeds)
    counts = sorted(config.candidates)
    design = honesty.Design(counts, config.tasks, config.trials, config.oracle, seeds, config.steps, config.ahead)
    kept = {n: v for n, v in asdict(config).items() if n not in ("out", "tasks", "trials", "oracle", "seeds", "first")}
    weights = marks(folder_of(name), [Guide.name])
    notes = Notes(config.out / "trials.jsonl", {**kept, "weights": weights})
    with ExitStack() as stack:
        honesty.run(design, world, tools, notes, one_bar_at_a_time(stack))
    found = honesty.conclude(design, notes)
    command = f"nextstate study honesty {shlex.join(argv)}".strip()
    settings = {**kept, "planner": "striking"}
    write_json(config.out / "honesty.json", {**provenance(command), "settings": settings, **found})
    write_bytes(config.out / "honesty.html", honesty_page(QUESTION, found, command).encode())
    print("\n".join(found["says"]))
    print(config.out / "honesty.html")
    return 0


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.worlds import WORLDS

    if config.world not in WORLDS:
        raise UnknownNameError("world", config.world, WORLDS)
    for name in ("tasks", "trials", "seeds", "steps", "ahead", "proposals"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")
    if not config.candidates or min(config.candidates) < 1:
        raise SettingsError("--candidates: give one or more whole numbers above 0.")
    if not 0 <= config.oracle <= config.trials:
        raise SettingsError(f"--oracle {config.oracle}: at most as many as --trials, {config.trials}.")
