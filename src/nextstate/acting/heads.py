"""Heads that follow words on a world model's beliefs: learned when they are first asked for, then kept in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from nextstate.acting.instructions import Instructed
from nextstate.acting.together import Directors, Heeders, Muster
from nextstate.data import Cache, open_cache
from nextstate.data.parts import require_commands
from nextstate.data.storage import write_json
from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models.director import Director, GuessedDirector
from nextstate.models.heads import Head
from nextstate.models.world_model import StateModel
from nextstate.planning import Guide
from nextstate.policies import Actor
from nextstate.policies.aiming import Aimed, Aiming
from nextstate.policies.choosing import Choosing
from nextstate.policies.directing import Heard, learn_director
from nextstate.policies.directing import Instructed as Practice
from nextstate.policies.directing import Seen as Practised
from nextstate.policies.heeding import Foretelling, Heeding, Labelled, Uniting, decoding, heeding
from nextstate.policies.instructing import Seen, guessed, learn_aiming, learn_guide, learn_instructed, learn_inverse
from nextstate.policies.inverse import Inverse
from nextstate.policies.looking import Looking, directing

Bar = Callable[[str, str], AbstractContextManager[Callable[[int, int], None]]]
"""What shows that something goes on: from a title and a unit."""

MODEL = "model"
"""Of which model heads are, in the file of their figures."""

KINDS: dict[str, type[Heeding]] = {kind.name: kind for kind in (Heeding, Uniting, Foretelling, Labelled)}


@dataclass
class Heads:
    """Heads of one model and dataset.

    Args:
        folder: where they are kept. minutes: how long each learns. silent: words whose episodes are silent videos.
    """

    model: StateModel
    folder: Path
    data: Path | None
    minutes: float
    silent: str
    seed: int
    bar: Bar
    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / "heads.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if known.get(MODEL, self.mark) != self.mark:
            raise SettingsError(
                f"the heads in {self.folder} were learned on another model than {self.model.spec.name}; give another "
                "--heads (or --out), and they are learned anew."
            )

    @cached_property
    def mark(self) -> str:
        """By which the model's weights are told from others."""
        found = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            found.update(name.encode())
            found.update(value.detach().float().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:12]

    @cached_property
    def cache(self) -> Cache:
        if self.data is None:
            raise SettingsError("heads that follow words learn from instructed episodes; give --data.")
        cache = open_cache(self.data)
        require_commands(cache, self.data, "following instructions")
        return cache

    @cached_property
    def seen(self) -> Seen:
        cache = self.cache
        with self.bar("looking", "frames") as progress:
            return Seen.of(self.model, cache, self.silent, progress)

    @cached_property
    def inverse(self) -> Inverse:
        """Inverse dynamics from pictures alone."""
        if not (self.folder / Inverse.file()).is_file():
            seen = self.seen
            with self.bar("learning inverse", "seconds") as progress:
                head, figures = learn_inverse(seen, 60 * self.minutes, self.seed, progress)
            self._keep(head, figures)
        return Inverse.load(self.folder)

    @cached_property
    def guide(self) -> Guide:
        """What leads plans."""
        if not (self.folder / Guide.file()).is_file():
            seen = self.seen
            with self.bar("learning guide", "seconds") as progress:
                self._keep(*learn_guide(seen, 60 * self.minutes, self.seed, progress))
        return Guide.load(self.folder)

    @cached_property
    def aiming(self) -> Aiming:
        """From words to where things are to be."""
        if not (self.folder / Aiming.file()).is_file():
            seen = self.seen
            with self.bar("learning aiming", "seconds") as progress:
                self._keep(*learn_aiming(seen, 60 * self.minutes, self.seed, progress))
        return Aiming.load(self.folder)

    @cached_property
    def guesses(self) -> np.ndarray:
        """Commands of all episodes, those of silent ones guessed ``(T, A)``; kept in the folder for other learners."""
        path = self.folder / "guessed.npy"
        if not path.is_file():
            actions, error = guessed(self.seen, self.inverse)
            np.save(path, actions)
            self._note("guessed", {"error": error})
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]

    def head(self, name: str) -> Heeding:
        """Raises `UnknownNameError` for one that is not in `KINDS`."""
        if name not in KINDS:
            raise UnknownNameError("head that follows words", name, KINDS)
        kind = KINDS[name]
        if not (self.folder / kind.file()).is_file():
            actions = self.guesses if kind is Labelled else None
            seen = self.seen
            with self.bar(f"learning {name}", "seconds") as progress:
                head, figures = learn_instructed(kind, seen, 60 * self.minutes, self.seed, progress, actions)
            self._keep(head, figures)
        return kind.load(self.folder)

    def director(self, kind: type[Director]) -> Director:
        """What was practised in imagination: by recorded commands, or (`GuessedDirector`) by guessed ones too."""
        if not (self.folder / kind.file()).is_file():
            cache, guessing = self.cache, kind is GuessedDirector
            commands = self.guesses if guessing else None
            found = Practice.of(cache, "" if guessing else self.silent, recorded=True)
            with one_after_another(self.bar) as show:
                heard = Heard.of(found.asked, show)
                learned, held = (
                    Practised.of(self.model, cache, found.episodes[rows], show, commands).shown(
                        self.model, found.skills[rows], self.seed, show
                    )
                    for rows in (~found.held_out, found.held_out)
                )
                director, figures = learn_director(
                    self.model, learned, held, heard, 0, self.seed, show, kind, 60 * self.minutes
                )
            self._keep(director, figures)
        return kind.load(self.folder)

    def _keep(self, head: Head, figures: dict[str, float]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        head.save(self.folder)
        self._note(head.name, figures)

    def _note(self, name: str, figures: dict[str, float]) -> None:
        path = self.folder / "heads.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        write_json(path, {**known, MODEL: self.mark, name: {k: round(v, 5) for k, v in figures.items()}})


@contextmanager
def one_after_another(bar: Bar) -> Iterator[Callable[[str, int, int], None]]:
    """What is told what goes on, and how much of how much is done: another bar whenever something else begins."""
    with ExitStack() as stack:
        now: dict[str, Callable[[int, int], None]] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in now:
                stack.pop_all().close()
                now.clear()
                now[what] = stack.enter_context(bar(what, ""))
            now[what](done, total)

        yield show


def _drawing(name: str) -> Callable[[Heads, int], Callable[[Instructed], Actor]]:
    def make(heads: Heads, every: int) -> Callable[[Instructed], Actor]:
        head = heads.head(name)
        return lambda task: Looking(heads.model, heeding(head, task.instruction, task.seed), every)

    return make


def _decoding(heads: Heads, every: int) -> Callable[[Instructed], Actor]:
    head, inverse = heads.head(Foretelling.name), heads.inverse
    assert isinstance(head, Foretelling)
    return lambda task: Looking(heads.model, decoding(head, inverse, task.instruction, task.seed), every)


def _choosing(heads: Heads, every: int) -> Callable[[Instructed], Actor]:
    head, foretelling = heads.head(Heeding.name), heads.head(Foretelling.name)
    assert isinstance(foretelling, Foretelling)
    return lambda task: Choosing(heads.model, head, foretelling, task.instruction, every, seed=task.seed)


def _choosing_labelled(heads: Heads, every: int) -> Callable[[Instructed], Actor]:
    head, foretelling = heads.head(Labelled.name), heads.head(Foretelling.name)
    assert isinstance(foretelling, Foretelling)
    return lambda task: Choosing(heads.model, head, foretelling, task.instruction, every, seed=task.seed)


def _directing(kind: type[Director]) -> Callable[[Heads, int], Callable[[Instructed], Actor]]:
    def make(heads: Heads, every: int) -> Callable[[Instructed], Actor]:
        director = heads.director(kind)
        return lambda task: Looking(heads.model, directing(heads.model, director, task.instruction, every), every)

    return make


def _planning(heads: Heads, every: int) -> Callable[[Instructed], Actor]:
    head, guide = heads.aiming, heads.guide
    return lambda task: Aimed(heads.model, head, guide, task.instruction, seed=task.seed)


WAYS: dict[str, Callable[[Heads, int], Callable[[Instructed], Actor]]] = {
    "heeding": _drawing("heeding"),
    "joint": _drawing("uniting"),
    "labelled": _drawing("labelled"),
    "decoding": _decoding,
    "choosing": _choosing,
    "choosing-labelled": _choosing_labelled,
    "planning": _planning,
    "directing": _directing(Director),
    "directing-guessed": _directing(GuessedDirector),
}
"""Ways to follow words on a world model's beliefs."""


def _team(name: str) -> Callable[[Heads, int], Muster]:
    def muster(heads: Heads, every: int) -> Muster:
        head = heads.head(name)
        return lambda tasks: Heeders(heads.model, head, tasks)

    return muster


def _decoders(heads: Heads, every: int) -> Muster:
    head, inverse = heads.head(Foretelling.name), heads.inverse
    return lambda tasks: Heeders(heads.model, head, tasks, inverse)


def _directors(kind: type[Director]) -> Callable[[Heads, int], Muster]:
    def muster(heads: Heads, every: int) -> Muster:
        director = heads.director(kind)
        return lambda tasks: Directors(heads.model, director, tasks, every)

    return muster


TEAMS: dict[str, Callable[[Heads, int], Muster]] = {
    "heeding": _team("heeding"),
    "joint": _team("uniting"),
    "labelled": _team("labelled"),
    "decoding": _decoders,
    "directing": _directors(Director),
    "directing-guessed": _directors(GuessedDirector),
}
"""Of those ways, the ones that need no memory, for many tasks at once."""
