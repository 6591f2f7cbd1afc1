"""``nextstate study language``: who knows what a scene is, and who foresees what happens in it?"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextstate.commands import follow
    from nextstate.studies.answers import Panel
    from nextstate.worlds import World

QUESTION = "Do language-first models know what things are, and not what happens to them?"


@dataclass(frozen=True)
class Config:
    """Ask language-first rivals and a world model the same questions, and let both follow the same instructions.

    Questions are made from true states, about held-out layouts. Every exact question has as many yeses as noes, and
    those about plans come in pairs from one snapshot. Answers and trials are kept in the output folder; the same
    command goes on where it was interrupted, or where its budget ended.
    """

    data: Path
    """Dataset that all learned from."""
    vlms: tuple[str, ...] = ()
    """Rivals that answer, each NAME=FOLDER as `nextstate pretrain --policy vlm` wrote it; names begin with vlm."""
    vlas: tuple[str, ...] = ()
    """Rivals that act, NAME=FOLDER; names begin with vla."""
    guessing: tuple[str, ...] = ()
    """Rivals that act and learned from commands guessed by a world model (--guessed)."""
    bc: str = ""
    """Folder of plain behaviour cloning."""
    ours: tuple[str, ...] = ("heeding", "joint", "decoding", "choosing", "labelled")
    """World-model policies, see `nextstate follow`."""
    slow: tuple[str, ...] = ("planning",)
    """World-model policies whose decisions take long: under usual, silent and physical conditions alone, and with as
    many instructions as others follow under changed ones."""
    further: tuple[str, ...] = ()
    """Further ways of `nextstate follow`, such as those with something taken away: the same, under usual conditions."""
    heads: Path | None = None
    """Folder of their heads; by default the output folder."""
    minutes: float = 5.0
    """How long each head learns, unless it learned before."""
    withheld: str = ""
    """Words of the instructions that were seen in silent video alone."""
    world: str = "push"
    """Which world."""
    model: str = ""
    """World model; by default the shipped one of the world."""
    snapshots: int = 100
    """Held-out snapshots, each with eight plans."""
    questions: int = 100
    """Of each exact question, at most."""
    learned: int = 400
    """Of each exact question that probes learn from, at most."""
    horizon: int = 16
    """Steps of a plan."""
    tasks: int = 100
    """Instructions to follow; 0 to ask questions alone, as in worlds of whose skills nobody has said when they are
    done."""
    changed: int = 40
    """Instructions to follow under each changed condition."""
    conditions: tuple[str, ...] = (
        "usual", "silent", "heavy", "slippery", "crowded", "camera", "rephrased", "renamed",
    )  # fmt: skip
    """See `nextstate follow`."""
    every: int = 2
    """Commands done of each decision."""
    seeds: int = 1
    """Sets of instructions."""
    seed: int = 0
    """Of the suite, the questions, and the first set of instructions."""
    known: Path | None = None
    """language.json of an earlier run: its answers and trials stand for whoever is not given now, since machines come
    and go."""
    followed: tuple[Path, ...] = ()
    """Results of `nextstate follow` on the same tasks, whose trials count like this study's own."""
    budget: float = 60.0
    """Minutes after which no more is begun."""
    out: Path = Path("language")
    """Folder of results: language.json, language.html, answers and trials."""


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study language", args=argv)
    from nextstate.commands import follow
    from nextstate.commands.ledger import Config as Ledgers
    from nextstate.commands.ledger import ledger_of
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.errors import SettingsError
    from nextstate.policies.aiming import EVERY as PLANNED
    from nextstate.provenance import provenance
    from nextstate.reports.language import language_page
    from nextstate.studies.curves import learning_curve
    from nextstate.studies.earlier import Earlier
    from nextstate.studies.summing import rates_of_decisions, summed
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    began = time.monotonic()
    # Before hours are spent: what cannot be followed, and ways that two would share a name of.
    for acting in actings(config) if config.tasks else ():
        follow.check(acting)
    called = [way.partition("=")[0] for way in (*config.vlas, *config.vlms, *config.guessing, *cloner(config))]
    if twice := sorted({name for name in called if called.count(name) > 1}):
        raise SettingsError(f"{', '.join(twice)}: give each rival a name of its own, NAME=FOLDER.")

    def left() -> float:
        return 60 * config.budget - (time.monotonic() - began)

    config.out.mkdir(parents=True, exist_ok=True)
    answers = answered(config, make_world(config.world), left)
    control, taken = acted(config, left) if config.tasks else ({}, {})
    names = [
        [follow.name_of(way) for way in ways] for ways in ((*config.ours, *config.slow), config.vlas, config.guessing)
    ]
    earlier = Earlier.read(config.known, config.followed, answers["ways"], control)
    answers["ways"], control = earlier.answers | answers["ways"], earlier.control | control
    answers["counts"] = answers.get("counts") or earlier.counts
    taken = earlier.milliseconds | taken
    for mine, more in zip(names, (earlier.ours, earlier.vlas), strict=False):
        mine += [name for name in more if name not in mine]
    summary = summed(answers["ways"], control, *names)
    every = {way: PLANNED if way == "planning" else config.every for way in taken}
    summary |= rates_of_decisions(control, taken, every, names[0], names[1])
    named = dict(way.partition("=")[::2] for way in (*config.vlas, *config.vlms))
    owned = {"world model": ledger_of(config.model or config.world, Ledgers())}
    owned |= {name: ledger_of(folder, Ledgers()) for name, folder in named.items()}
    # Rivals are told apart by what they are called here: several may be of one preset.
    ledgers = [vars(found) | {"name": name, "total": found.total} for name, found in owned.items()]
    ledgers += [entry for entry in earlier.ledger if entry["name"] not in {known["name"] for known in ledgers}]
    command = f"nextstate study language {shlex.join(argv)}"
    shown = {n: v for n, v in answers.items() if n != "examples"}
    control = {way: {**row, "milliseconds": taken.get(way)} for way, row in control.items()}
    runs = [way.partition("=")[::2] for way in (*config.vlas, *config.guessing, *cloner(config), *config.vlms)]
    curves = earlier.curves | {name: learning_curve(Path(folder)) for name, folder in runs}
    found = {"answers": shown, "control": control, "curves": curves, "ledger": ledgers, "summary": summary}
    found |= {"taken_over": earlier.sources} if earlier.sources else {}
    write_json(config.out / "language.json", {**provenance(command), **found})
    page = language_page(QUESTION, found, answers["examples"], command)
    write_bytes(config.out / "language.html", page.encode())
    print(json.dumps(summary, indent=1))
    print(config.out / "language.html")
    return 0


def actings(config: Config) -> list[follow.Config]:
    """Settings of trials: of ways that decide quickly, of those that take long, and of further ones."""
    from nextstate.acting.conditions import CONDITIONS
    from nextstate.commands import follow

    acting = follow.Config(
        world=config.world,
        ways=(*config.ours, *config.vlas, *config.guessing, *cloner(config)),
        model=config.model,
        data=config.data,
        minutes=config.minutes,
        withheld=config.withheld,
        conditions=tuple(
            c
            for c in config.conditions
            if (c != "silent" or config.withheld) and (c not in CONDITIONS or CONDITIONS[c].possible(config.world))
        ),
        tasks=config.tasks,
        changed=config.changed,
        seeds=config.seeds,
        first=config.seed,
        every=config.every,
        out=config.out / "trials.json",
        heads=config.heads or config.out,
    )
    physical = [name for name, condition in CONDITIONS.items() if condition.physical]
    few = [c for c in acting.conditions if c in ("usual", "silent", *physical)]
    slow = replace(acting, ways=config.slow, conditions=tuple(few), tasks=config.changed)
    lesioned = replace(slow, ways=config.further, conditions=("usual",))
    return [acting, slow, lesioned]


def acted(config: Config, left: Callable[[], float]) -> tuple[dict[str, Any], dict[str, float]]:
    """What came of instructions that were followed, and milliseconds of a decision, by way."""
    from nextstate.commands import follow
    from nextstate.commands.progress import bar

    control: dict[str, Any] = {}
    kinds = actings(config)
    for what, acting in zip(("following", "following by plans", "following, lesioned"), kinds, strict=True):
        with bar(what, "trials") as progress:
            control = follow.trials(acting, progress, left)
    # Heads that the budget left no time for would have to be learned to be timed.
    ways = [way for kind in kinds for way in kind.ways if follow.name_of(way) in control or left() > 0]
    return control, follow.milliseconds(replace(kinds[0], ways=tuple(ways)))


def cloner(config: Config) -> list[str]:
    """Plain cloning as NAME=FOLDER, where it takes part."""
    return [f"bc={config.bc}"] if config.bc else []


def answered(config: Config, world: World, left: Any) -> dict[str, Any]:
    """Shares of right answers of every way, kept one by one, and some questions to show."""
    import numpy as np

    from nextstate.data.storage import write_json
    from nextstate.studies.answers import scored

    path = config.out / "answers.json"
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"ways": {}, "told": {}}
    _check_answers(known, config, path)
    panel: Panel | None = None
    groups: list[str] = _groups(config)
    for name in groups:
        if name in known.get("done", ()) or left() <= 0:
            continue
        panel = panel or make_panel(config, world)
        held = panel.held.questions
        for way, told in panel.ways()[name]().items():
            known["ways"][way] = scored(held, told, panel.held.cases.group[held.case])
            known["told"][way] = np.round(told, 3).tolist()
        known["counts"] = {kind: int(held.of(kind).sum()) for kind in ("knowledge", "physics")}
        known["done"] = [*known.get("done", ()), name]
        if "examples" not in known:
            known["examples"] = examples(panel)
        write_json(path, known)
    for example in known.get("examples", ()):
        example["told"] = {way: told[example["number"]] for way, told in known["told"].items() if "@" not in way}
    return {n: v for n, v in known.items() if n not in ("told", "done", "of")} | {"examples": known.get("examples", [])}


def _check_answers(known: dict[str, Any], config: Config, path: Path) -> None:
    """Notes what answers are of; raises `SettingsError` where known ones are of something else."""
    from nextstate.acting.notes import marks
    from nextstate.errors import SettingsError
    from nextstate.models.folders import folder_of

    asked: dict[str, Any] = {n: str(getattr(config, n)) for n in ("world", "data", *COUNTED)}
    asked["weights"] = marks(folder_of(config.model or config.world))
    now = {"questions": asked}
    for name, _, folder in (way.partition("=") for way in (*config.vlms, *config.vlas)):
        inside = Path(folder) / "model"
        now[name] = marks(inside if inside.is_dir() else Path(folder))
    before = known.setdefault("of", {})
    if other := [name for name, what in now.items() if before.get(name, what) != what]:
        raise SettingsError(f"{path} holds answers to, or by, other {', '.join(other)}; give another --out.")
    before.update(now)


COUNTED = ("snapshots", "questions", "learned", "horizon", "seed")
"""Settings that decide which questions are asked."""


def _groups(config: Config) -> list[str]:
    names = [way.partition("=")[0] for way in (*config.vlms, *config.vlas)]
    lesions = [f"{way.partition('=')[0]}@{lesion}" for way in config.vlms for lesion in ("vision", "language")]
    ours = [f"{way}@{lesion}" for way in ("imagination", "beliefs, probed") for lesion in ("dynamics", "vision")]
    return ["words alone", "imagination", "beliefs, probed", *names, *ours, *lesions]


def make_panel(config: Config, world: World) -> Panel:
    """Who is asked, and the questions; raises `CheckpointError` for models that cannot answer."""
    import numpy as np

    from nextstate.commands.find import find_model, find_readout
    from nextstate.data import open_cache
    from nextstate.data.parts import require_commands
    from nextstate.errors import CheckpointError
    from nextstate.evaluation.building import build_suite
    from nextstate.evaluation.questions import Cases, make_questions
    from nextstate.models.language import Vla, Vlm
    from nextstate.models.pretrained import from_pretrained
    from nextstate.models.world_model import StateModel
    from nextstate.studies.answers import Panel
    from nextstate.studies.language import Asked, of_recording, of_suite

    def loaded(ways: tuple[str, ...], kind: type, policy: str) -> Mapping[str, Any]:
        found = {}
        for way in ways:
            name, _, folder = way.partition("=")
            inside = Path(folder) / "model"
            found[name] = from_pretrained(inside if inside.is_dir() else folder)
            if not isinstance(found[name], kind):
                raise CheckpointError(f"{folder} is another kind of model; train it with --policy {policy}.")
        return found

    name = config.model or config.world
    model = find_model(name, world)
    readout = find_readout(name, world, list(model.spec.modalities))
    if not isinstance(model, StateModel) or readout is None:
        raise CheckpointError(f"{name}: a world model that outlines things, and a readout for it, are needed.")
    rng = np.random.default_rng(config.seed)
    suite = build_suite(config.world, config.snapshots, horizon=config.horizon, seed=config.seed)
    cases = Cases.of_suite(suite)
    held = Asked(cases, make_questions(cases, rng, config.questions), of_suite(suite))
    cache = open_cache(config.data)
    require_commands(cache, config.data, "this study")
    rows = _frames(cache, rng, model.spec.context, config.horizon)
    before = Cases.of_recording(cache, rows, config.horizon)
    learned = Asked(before, make_questions(before, rng, config.learned), of_recording(cache, rows))
    instruction = next(iter(world.skills.values())).instructions[0]
    vlms, vlas = loaded(config.vlms, Vlm, "vlm"), loaded(config.vlas, Vla, "vla")
    return Panel(model, readout, vlms, vlas, instruction, suite, learned, held)


def examples(panel: Panel, count: int = 12) -> list[dict[str, Any]]:
    """The first question of each topic of physics about snapshots whose pictures were kept, and those pictures."""
    import numpy as np

    from nextstate.reports.sprites import sheet

    questions, suite = panel.held.questions, panel.suite
    branches = suite.actions.shape[1]
    found: list[dict[str, Any]] = []
    topics: set[str] = set()
    used: set[int] = set()
    for number in np.flatnonzero(questions.of("physics")):
        asker, case = questions.askers[questions.which[number]], int(questions.case[number])
        row, branch = divmod(case, branches)
        # Yeses and noes in turn.
        wanted = len(found) % 2 == 0
        if asker.topic in topics or row >= suite.pictured or case in used or questions.answer[number] != wanted:
            continue
        topics.add(asker.topic)
        used.add(case)
        now = suite.arrays["history.rgb"][row, -1]
        steps = np.linspace(0, suite.actions.shape[2] - 1, 4).astype(int)
        pictures = np.concatenate([now[None], suite.truth("rgb")[row, branch][steps]])[None]
        answer = bool(questions.answer[number])
        found.append({"number": int(number), "text": asker.text, "answer": answer, "picture": sheet(pictures)})
    return found[:count]


def _frames(cache: Any, rng: Any, context: int, horizon: int) -> Any:
    """Rows of training episodes with a history before and a plan after them, at most 6,000."""
    import numpy as np

    from nextstate.data import Windows

    windows = Windows(cache, context + horizon, "train", 0, [])
    counts = cache.lengths[windows.episodes] - horizon - context + 1
    starts = cache.starts[windows.episodes] + context - 1
    rows = np.concatenate([s + np.arange(n) for s, n in zip(starts, counts, strict=True)])
    return np.sort(rng.permutation(rows)[:6_000])
