"""``nextstate study decoding``: how should motor commands be decoded?"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

QUESTION = "How should motor commands be decoded, even from a perfect future?"


@dataclass(frozen=True)
class Config:
    """Decoding: let every decoder of motor commands act on imagined futures, and on true ones.

    Decoders stand on the beliefs of one frozen model and learn from the same demonstrations. Heads and trials are kept
    in the output folder, and the same command goes on where it was interrupted.
    """

    data: Path
    """LeRobot v3 dataset to learn from."""
    world: str = "push"
    """Which world: push or grasp."""
    model: str = ""
    """Folder of a model or the world of a shipped one; by default the shipped one of the world."""
    decoders: tuple[str, ...] = ("cloned", "inverse", "joint", "proposals", "planner")
    """Which decoders."""
    demonstrations: tuple[int, ...] = (100, 400, 1600)
    """Numbers of episodes to learn from."""
    minutes: float = 2.0
    """Learning of each head."""
    tasks: int = 100
    """Tasks of each seed."""
    seeds: int = 3
    """Sets of tasks."""
    steps: int = 50
    """Steps that an actor has."""
    ahead: int = 25
    """Steps in which the goal was reached."""
    goal: str = "time"
    """How plans are led, as of `nextstate act`."""
    planner: str = "guided"
    """Planner of the decoder planner."""
    candidates: int = 32
    """Futures imagined in each round."""
    descend: int = 5
    """Decoder proposals: steps down the gradient from the best, in the model."""
    horizon: int = 10
    """Steps looked ahead."""
    near: float = 60.0
    """Weight of plain distance beside steps to go."""
    seed: int = 0
    """Of the heads."""
    out: Path = Path("decoding")
    """Folder of results: decoding.json, decoding.html, heads and trials."""


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study decoding", args=argv)
    check(config)
    from nextstate.acting.notes import Notes, marks
    from nextstate.acting.ways import Tools
    from nextstate.commands.find import find_model, model_size
    from nextstate.commands.progress import bar, one_bar_at_a_time
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.evaluation.oracle import Oracle
    from nextstate.models.folders import folder_of
    from nextstate.planning import make_planner
    from nextstate.policies.learning import Recollection
    from nextstate.provenance import provenance
    from nextstate.reports.studies import decoding_page
    from nextstate.studies import decoding
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    name = config.model or config.world
    world = make_world(config.world, size=model_size(name))
    model = find_model(name, world)
    settings = {"horizon": config.horizon, "block": 2, "every": 2, "last": 0.5}
    tools = Tools(
        model,
        Oracle(make_world(world.name, world.size)),
        make_planner(config.planner, candidates=config.candidates),
        goal=config.goal,
        near=config.near,
        settings=settings,
        candidates=config.candidates,
        descend=config.descend,
    )
    design = decoding.Design(
        config.decoders,
        config.demonstrations,
        60 * config.minutes,
        config.tasks,
        range(config.seeds),
        config.steps,
        config.ahead,
        config.seed,
    )
    # Which decoders take part, and in how many sets of tasks, decides no trial.
    free = ("out", "decoders", "seeds")
    kept = {n: str(v) if isinstance(v, Path) else v for n, v in asdict(config).items() if n not in free}
    weights = marks(folder_of(config.model or config.world))
    notes = Notes(config.out / "trials.jsonl", {**kept, "weights": weights})
    with bar("looking", "frames") as progress:
        seen = Recollection.of(model, config.data, config.seed, progress)
    with ExitStack() as stack:
        show = one_bar_at_a_time(stack)
        decoding.run(design, world, tools, seen, config.out, notes, show)
    found = decoding.conclude(design, notes)
    command = f"nextstate study decoding {shlex.join(argv)}"
    write_json(config.out / "decoding.json", {**provenance(command), "settings": kept, **found})
    write_bytes(config.out / "decoding.html", decoding_page(QUESTION, found, command).encode())
    print("\n".join(found["says"]))
    print(config.out / "decoding.html")
    return 0


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.studies.decoding import DECODERS
    from nextstate.worlds import WORLDS

    for kind, given, known in (
        ("world", [config.world], tuple(WORLDS)),
        ("decoder", config.decoders, tuple(DECODERS)),
    ):
        for name in given:
            if name not in known:
                raise UnknownNameError(kind, name, known)
    if not config.decoders or not config.demonstrations:
        raise SettingsError("give at least one of --decoders and one of --demonstrations.")
    for name in ("tasks", "seeds", "steps", "ahead", "candidates"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")
    if not config.minutes > 0 or config.descend < 0:
        raise SettingsError("--minutes must be above 0, and --descend at least 0.")
