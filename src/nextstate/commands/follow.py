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

PLAIN = ("still", "random", "scripted", "cloned")
ON_BELIEFS = (
    "heeding", "joint", "labelled", "decoding", "choosing", "choosing-labelled", "planning", "directing",
    "directing-guessed",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Compare ways to follow instructions in scenes that nothing was learned from.

    A task is a skill of the world, asked for in words, that the scripted skill itself does in time. Success is strict
    (it is done at the very end) and, beside it, whether it was done at any step. Trials are noted one by one; the same
    command goes on where it was interrupted.
    """

    world: str = "push"
    """Which world."""
    ways: tuple[str, ...] = ("still", "random", "scripted")
    """still, random, scripted (what the skill itself did), cloned (goal-conditioned cloning, shown a picture of the
    skill done; needs a guide). NAME=FOLDER: what `nextstate pretrain --policy vla` or bc wrote. On a world model's
    beliefs: heeding (cloning), joint (commands and futures drawn together), decoding (a future drawn, then inverse
    dynamics), choosing (proposals of heeding, imagined, the best of them), labelled (cloning, silent videos too, by
    guessed commands), choosing-labelled, planning (where things are to be, told by the words, and planning
    there, anew every four steps), directing (what was practised in imagination, where commands go astray and back)
    and directing-guessed (silent videos too, by guessed commands). Any of these followed by @vision acts with blank
    pictures, a rival followed by @language without its language model's blocks."""
    model: str = ""
    """World model on whose beliefs is acted; by default the shipped one of the world."""
    data: Path | None = None
    """Dataset whose instructed episodes ways on beliefs learn from, unless they have learned before."""
    minutes: float = 5.0
    """How long each of them learns."""
    withheld: str = ""
    """Episodes whose instructions hold these words are silent videos to all; tasks that do are of condition silent."""
    conditions: tuple[str, ...] = ("usual",)
    """usual; rephrased and renamed (other words); crowded and camera (other looks); heavy and slippery (other physics);
    silent (asked for what was seen in silent video alone)."""
    tasks: int = 100
    """Tasks of each seed."""
    changed: int = 0
    """The same under all conditions but usual; as many if 0."""
    seeds: int = 1
    """Sets of tasks."""
    first: int = 0
    """Number of the first set: choose settings on other sets than those that results are from."""
    steps: int = 60
    """Steps that an actor has."""
    every: int = 2
    """Commands done of each decision."""
    out: Path = Path("follow.json")
    """Where results go; trials are noted beside it."""
    heads: Path | None = None
    """Folder for what ways on beliefs learn; by default beside the results."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate follow", args=argv)
    check(config)
    from rich.console import Console

    from nextstate.commands.act import table
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.provenance import provenance

    with bar("following", "trials") as progress:
        rows = trials(config, progress)
    command = f"nextstate follow {shlex.join(argv)}"
    write_json(config.out, {**provenance(command), "settings": settings_of(config), "ways": rows})
    Console(highlight=False).print(table(config.world, rows))
    print(config.out)
    return 0


def settings_of(config: Config) -> dict[str, Any]:
    """What decides how a trial ends."""
    return {n: getattr(config, n) for n in ("world", "steps", "every", "withheld")}


def trials(
    config: Config, show: Callable[[int, int], None], left: Callable[[], float] = lambda: 1.0
) -> dict[str, dict[str, Any]]:
    """Makes the trials that are missing; way and condition -> rates over all that were ever made.

    Args:
        show: told how many of how many trials are done. left: seconds; when none are, no more trials are begun.
    """
    from nextstate.acting.conditions import CONDITIONS
    from nextstate.acting.instructions import follow, make_instructed
    from nextstate.acting.notes import Notes, median, summary
    from nextstate.acting.shifts import shifted
    from nextstate.acting.together import follow_together
    from nextstate.errors import SettingsError
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    usual = make_world(config.world)
    notes = Notes(config.out.with_suffix(".jsonl"), settings_of(config))
    weights = {name_of(way): weights_of(way, config) for way in config.ways}
    for (label, _, _), row in notes.found.items():
        name = label.partition(",")[0]
        if name in weights and row.get("weights", weights[name]) != weights[name]:
            raise SettingsError(f"{notes.path} holds trials of {name} with other weights; give another --out.")
    seeds = range(config.first, config.first + config.seeds)
    names = [name_of(way) for way in config.ways]
    labels = {(way, c): way if c == "usual" else f"{way}, {c}" for c in config.conditions for way in names}
    counts = {c: config.tasks if c == "usual" or not config.changed else config.changed for c in config.conditions}
    wanted = [(labels[way, c], seed, n) for way, c in labels for seed in seeds for n in range(counts[c])]
    shared: dict[str, Any] = {}
    makers: dict[str, Callable[[Instructed], Actor]] = {}
    musters: dict[str, Any] = {}

    def make_like(world: World) -> World:
        return type(world)(size=world.size, modalities=world.modalities)

    for name in config.conditions:
        condition = CONDITIONS[name]
        world = shifted(usual, condition.shift) if condition.shift else usual
        worlds: list[World] = []

        def asks(text: str, silent: bool = condition.silent) -> bool:
            return not config.withheld or (config.withheld in text) == silent

        for seed in seeds:
            keys = [(way, (labels[name_of(way), name], seed, n)) for way in config.ways for n in range(counts[name])]
            missing = [(way, key) for way, key in keys if key not in notes.found]
            if not missing or left() <= 0:
                continue
            tasks = make_instructed(world, counts[name], seed, config.steps, asks, condition.reword)
            for way in config.ways:
                mine = [key for whose, key in missing if whose == way]
                if way not in makers and mine:
                    makers[way] = make_way(way, config, usual, shared)
                    musters[way] = make_team(way, config, usual, shared)
                for share in _shares(mine, musters.get(way) is not None):
                    if left() <= 0:
                        break
                    chosen = [tasks[number] for _, _, number in share]
                    if len(share) == 1:
                        came = [follow(world, makers[way](chosen[0]), chosen[0], config.steps)]
                    else:
                        while len(worlds) < len(share):
                            worlds.append(make_like(world))
                        team = musters[way](chosen)
                        came = follow_together(worlds[: len(share)], team, chosen, config.steps, config.every)
                    for trial, task, one in zip(share, chosen, came, strict=True):
                        seconds = median(one.seconds) if one.seconds else None
                        told = {"instruction": task.instruction, "seconds": seconds, "weights": weights[name_of(way)]}
                        notes.add(trial, {**one.to_dict(), **told})
                    show(sum(key in notes.found for key in wanted), len(wanted))
    made = dict.fromkeys(key[0] for key in notes.found)
    known = [label for label in labels.values() if label in made]
    return {label: summary(notes, label) for label in dict.fromkeys([*known, *made])}


def weights_of(way: str, config: Config) -> dict[str, str]:
    """By which the weights of a way are told from others: a rival's own, or those of the world model."""
    from nextstate.acting.notes import marks
    from nextstate.models.folders import folder_of

    whole = way.partition("@")[0]
    if whole in PLAIN and whole != "cloned":
        return {}
    folder = way.partition("=")[2].rpartition("@")[0] if "@" in way else way.partition("=")[2]
    if not folder:
        return marks(folder_of(config.model or config.world), ["guide"] if whole == "cloned" else [])
    inside = Path(folder) / "model"
    return marks(inside if inside.is_dir() else Path(folder))


def milliseconds(config: Config, decisions: int = 15) -> dict[str, float]:
    """Way -> how long one of its decisions takes, the median of some in one task."""
    import numpy as np

    from nextstate.acting.instructions import follow, make_instructed
    from nextstate.acting.notes import median
    from nextstate.worlds import make_world

    world, shared, found = make_world(config.world), dict[str, Any](), dict[str, float]()
    (task,) = make_instructed(world, 1, config.first, config.steps)
    for way in config.ways:
        actor = make_way(way, config, world, shared)(task)
        # What is loaded or prepared on the way is not counted.
        follow(world, actor, task, 2 * config.every)
        came = follow(world, actor, task, decisions * config.every)
        found[name_of(way)] = float(np.round(1000 * median(came.seconds), 1))
    return found


def _shares(keys: list[Any], together: bool) -> list[list[Any]]:
    """Trials to be made at once: one alone, by which decisions are timed, then many side by side."""
    from nextstate.acting.together import SIDE_BY_SIDE

    if not together:
        return [[key] for key in keys]
    rest = keys[1:]
    return [keys[:1], *(rest[i : i + SIDE_BY_SIDE] for i in range(0, len(rest), SIDE_BY_SIDE))] if keys else []


def name_of(way: str) -> str:
    """The name of a way ``name=folder@lesion``: without the folder."""
    name, _, rest = way.partition("=")
    lesion = (rest or name).rpartition("@")[2] if "@" in way else ""
    return f"{name.partition('@')[0]}@{lesion}" if lesion else name


def make_way(way: str, config: Config, world: World, shared: dict[str, Any]) -> Callable[[Instructed], Actor]:
    """What makes an actor for each task.

    Args:
        shared: what several ways need, kept from one call to the next.
    """
    import numpy as np

    from nextstate.acting.lesions import LESIONS
    from nextstate.acting.ways import Fixed
    from nextstate.commands.find import find_model
    from nextstate.policies.following import Following

    if "@" in way:
        way, _, lesion = way.rpartition("@")
        make = make_way(way, config, world, shared)
        return lambda task: LESIONS[lesion](make(task))
    if way == "still":
        return lambda task: Fixed(np.zeros((1, world.action_size), np.float32))
    if way == "random":
        return lambda task: Fixed(_wandering(world, task, config.steps))
    if way == "scripted":
        return lambda task: Fixed(task.demonstration)
    if "=" in way:
        rival = shared.setdefault(way, _rival(way.partition("=")[2]))
        return lambda task: Following(rival, task.instruction, config.every, task.seed)
    model = shared.setdefault("model", find_model(config.model or config.world, world))
    return _cloned(model, config) if way == "cloned" else _on_beliefs(way, model, config, shared)


def make_team(way: str, config: Config, world: World, shared: dict[str, Any]) -> Any:
    """What decides for many tasks at once; None for ways that cannot."""
    from nextstate.acting.heads import TEAMS
    from nextstate.acting.together import Lesioned, Rivals

    if "@" in way:
        way, _, lesion = way.rpartition("@")
        muster = make_team(way, config, world, shared)
        return None if muster is None else lambda tasks: Lesioned(muster(tasks), lesion)
    if "=" in way:
        rival = shared[way]
        return lambda tasks: Rivals(rival, tasks)
    return TEAMS[way](shared["heads"], config.every) if way in TEAMS else None


def _wandering(world: World, task: Instructed, steps: int) -> Any:
    import numpy as np

    return np.random.default_rng(task.seed).uniform(-1, 1, (steps, world.action_size)).astype(np.float32)


def _rival(folder: str) -> Any:
    from nextstate.errors import CheckpointError
    from nextstate.models.language import Cloner, Vla
    from nextstate.models.pretrained import from_pretrained

    inside = Path(folder) / "model"
    rival = from_pretrained(inside if inside.is_dir() else folder)
    if not isinstance(rival, Vla | Cloner):
        raise CheckpointError(f"{folder} follows no instructions; train it with --policy vla or bc.")
    return rival


def _on_beliefs(way: str, model: Any, config: Config, shared: dict[str, Any]) -> Callable[[Instructed], Actor]:
    from nextstate.acting.heads import WAYS, Heads
    from nextstate.commands.progress import bar

    folder = config.heads or config.out.parent
    heads = shared.setdefault("heads", Heads(model, folder, config.data, config.minutes, config.withheld, 0, bar))
    return WAYS[way](heads, config.every)


def _cloned(model: Any, config: Config) -> Callable[[Instructed], Actor]:
    import torch

    from nextstate.models.folders import folder_of
    from nextstate.planning import Guide, SeenDistance
    from nextstate.policies.looking import Looking, cloning

    guide = Guide.load(folder_of(config.model or config.world))

    def make(task: Instructed) -> Actor:
        goal: Mapping[str, torch.Tensor] = {n: torch.from_numpy(v.copy())[None] for n, v in task.goal.items()}
        return Looking(model, cloning(guide, SeenDistance.of(model, goal)), config.every, guide.calm)

    return make


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.acting.conditions import CONDITIONS
    from nextstate.acting.lesions import LESIONS
    from nextstate.errors import SettingsError, UnknownNameError

    for way in config.ways:
        whole = way.partition("@")[0]
        if "=" not in way and whole not in (*PLAIN, *ON_BELIEFS):
            raise UnknownNameError("way to follow", whole, (*PLAIN, *ON_BELIEFS, "NAME=FOLDER"))
        lesion = way.rpartition("@")[2] if "@" in way else ""
        if lesion and lesion not in LESIONS:
            raise UnknownNameError("lesion", lesion, LESIONS)
        if lesion == "language" and "=" not in way:
            raise SettingsError(f"--ways {way}: only a rival (NAME=FOLDER@language) has a language model to lose.")
    for condition in config.conditions:
        if condition not in CONDITIONS:
            raise UnknownNameError("condition", condition, CONDITIONS)
        if not CONDITIONS[condition].possible(config.world):
            raise SettingsError(
                f"condition {condition} is not made for {config.world}; only for "
                f"{', '.join(CONDITIONS[condition].worlds)}."
            )
    if "silent" in config.conditions and not config.withheld:
        raise SettingsError(
            "condition silent needs --withheld: words of the instructions that were seen in video alone."
        )
    for name in ("tasks", "seeds", "steps", "every"):
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number above 0.")
    if config.first < 0 or not config.minutes > 0:
        raise SettingsError("--first must be at least 0, and --minutes above 0.")
