"""Questions with known answers, made from the true states of worlds: what a scene is, and what would happen in it.

Knowledge is asked about an instant, physics about an instant and a plan. Every exact question has as many yeses as
noes, so neither the majority nor the words alone answer it; those about plans come in pairs from one snapshot, one plan
with a yes and one with a no, so the picture without the plan does not answer them either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Literal

import numpy as np

from nextstate.errors import UnknownNameError
from nextstate.evaluation.suite import Suite, group_indices
from nextstate.worlds import WORLDS, World
from nextstate.worlds.scene import COLOURS

if TYPE_CHECKING:
    from nextstate.data import Cache

Kind = Literal["knowledge", "physics"]

MOVES = 0.03
"""Metres from which a thing counts as moved; below a third of it, as not."""

CLEAR = 0.04
"""Metres by which places must differ before anyone asks which is further left."""


@dataclass(frozen=True)
class Cases:
    """N instants, each with a plan and what came of it.

    Args:
        group: ``(N,)``, number of the snapshot: cases of one snapshot differ in the plan alone.
        plan: ``(N, H, A)``. before: ``(N, D)``, outcomes ``(N, H, D)``: of the world.
        events_before: ``(N, E)``. events: ``(N, H, E)``.
    """

    world: type[World]
    group: np.ndarray
    plan: np.ndarray
    before: np.ndarray
    outcomes: np.ndarray
    events_before: np.ndarray
    events: np.ndarray

    def __len__(self) -> int:
        return len(self.group)

    @staticmethod
    def of_suite(suite: Suite) -> Cases:
        """All branches of a suite, snapshot by snapshot."""
        count, branches = suite.actions.shape[:2]
        arrays = suite.arrays
        return Cases(
            suite.world,
            np.repeat(np.arange(count), branches),
            suite.actions.reshape(-1, *suite.actions.shape[2:]),
            np.repeat(arrays["outcome_before"], branches, axis=0),
            suite.outcomes.reshape(-1, *suite.outcomes.shape[2:]),
            np.repeat(arrays["events_before"], branches, axis=0).astype(bool),
            suite.events.reshape(-1, *suite.events.shape[2:]).astype(bool),
        )

    @staticmethod
    def of_recording(cache: Cache, rows: np.ndarray, horizon: int) -> Cases:
        """Frames of a dataset at `rows`, and the commands that really followed: each its own snapshot."""
        world = WORLDS[str(cache.world)]
        ahead = rows[:, None] + np.arange(1, horizon + 1)
        outcome, events, action = (cache.arrays[name] for name in ("outcome", "events", "action"))
        return Cases(
            world,
            np.arange(len(rows)),
            np.asarray(action[ahead - 1]),
            np.asarray(outcome[rows]),
            np.asarray(outcome[ahead]),
            np.asarray(events[rows], bool),
            np.asarray(events[ahead], bool),
        )

    def imagined(self, outcomes: np.ndarray, events: np.ndarray, before: np.ndarray | None = None) -> Cases:
        """The same instants and plans, with what someone else says would come of them, and how it is now."""
        return replace(self, outcomes=outcomes, events=events, before=self.before if before is None else before)

    def places(self, outcomes: np.ndarray) -> np.ndarray:
        """Of things ``(..., things, 2)`` in metres; zero where there is none."""
        objects = outcomes[..., group_indices(self.world)["objects"]]
        return np.asarray(objects.reshape(*objects.shape[:-1], -1, 2))


Ask = Callable[[Cases], tuple[np.ndarray, np.ndarray]]
"""Of which cases it can be asked ``(N,)``, and whether the answer is yes ``(N,)``."""


@dataclass(frozen=True)
class Asker:
    """One exact question."""

    kind: Kind
    topic: str
    text: str
    ask: Ask


@dataclass(frozen=True)
class Questions:
    """M questions about cases.

    Args:
        askers: all exact questions. which: ``(M,)`` into them. case: ``(M,)``. answer: ``(M,)`` booleans.
    """

    askers: Sequence[Asker]
    which: np.ndarray
    case: np.ndarray
    answer: np.ndarray

    def __len__(self) -> int:
        return len(self.which)

    @property
    def texts(self) -> list[str]:
        return [self.askers[number].text for number in self.which]

    def of(self, kind: Kind) -> np.ndarray:
        """Which of them are of that kind, ``(M,)``."""
        return np.array([self.askers[number].kind == kind for number in self.which], bool)

    def answered_in(self, cases: Cases) -> np.ndarray:
        """What their answers would be if `cases` were true ``(M,)``: how an imagination answers."""
        told = np.zeros(len(self), bool)
        for number in np.unique(self.which):
            rows = self.which == number
            told[rows] = self.askers[number].ask(cases)[1][self.case[rows]]
        return told

    def accuracy(self, told: np.ndarray) -> dict[str, dict[str, float]]:
        """Kind -> topic, and ``all`` -> share of answers ``(M,)`` that are right; a probability of .5 is half right."""
        right = np.where(told == 0.5, 0.5, (told > 0.5) == self.answer)
        found: dict[str, dict[str, float]] = {}
        for kind in dict.fromkeys(asker.kind for asker in self.askers):
            inside = self.of(kind)
            if not inside.any():
                continue
            topics = np.array([self.askers[number].topic for number in self.which])
            found[kind] = {"all": float(right[inside].mean())}
            for topic in np.unique(topics[inside]):
                found[kind][str(topic)] = float(right[inside & (topics == topic)].mean())
        return found


def make_questions(cases: Cases, rng: np.random.Generator, most: int = 200) -> Questions:
    """Balanced questions about cases.

    Args:
        most: of each exact question, yeses and noes together.

    Raises:
        UnknownNameError: for a world of which nothing can be asked.
    """
    if cases.world.name not in ASKERS:
        raise UnknownNameError("world that can be asked about", cases.world.name, ASKERS)
    askers = ASKERS[cases.world.name]()
    which, case, answer = [], [], []
    for number, asker in enumerate(askers):
        can, yes = asker.ask(cases)
        chosen = _balanced(np.flatnonzero(can & yes), np.flatnonzero(can & ~yes), cases.group, asker.kind, rng, most)
        which += [number] * len(chosen)
        case += chosen.tolist()
        answer += yes[chosen].tolist()
    return Questions(askers, np.array(which, int), np.array(case, int), np.array(answer, bool))


def _balanced(
    yes: np.ndarray, no: np.ndarray, group: np.ndarray, kind: Kind, rng: np.random.Generator, most: int
) -> np.ndarray:
    yes, no = rng.permutation(yes), rng.permutation(no)
    # About an instant one question is enough, however many plans there are.
    yes, no = yes[np.unique(group[yes], return_index=True)[1]], no[np.unique(group[no], return_index=True)[1]]
    shared = np.intersect1d(group[yes], group[no])
    if kind == "physics" and len(np.unique(group)) < len(group):
        yes, no = (side[np.searchsorted(group[side], shared)] for side in (yes, no))
        kept = rng.permutation(len(shared))[: most // 2]
        return np.concatenate([yes[kept], no[kept]])
    count = min(len(yes), len(no), most // 2)
    return np.concatenate([rng.permutation(yes)[:count], rng.permutation(no)[:count]])


def _there(cases: Cases, slot: int) -> np.ndarray:
    return np.asarray(np.abs(cases.places(cases.before)[:, slot]).sum(axis=1) > 0)


def _box(cases: Cases, slot: int) -> np.ndarray:
    turn = cases.before[:, group_indices(cases.world)["turn"]].reshape(len(cases), -1, 2)[:, slot]
    return np.asarray(np.abs(turn).sum(axis=1) > 0)


def _is_there(slot: int) -> Ask:
    return lambda cases: (np.ones(len(cases), bool), _there(cases, slot))


def _is_box(slot: int) -> Ask:
    return lambda cases: (_there(cases, slot), _box(cases, slot))


def _are(count: int) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        here = (np.abs(cases.places(cases.before)).sum(axis=-1) > 0).sum(axis=1)
        return np.ones(len(cases), bool), here == count

    return ask


def _further(one: int, other: int, axis: int, sign: float) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        places = cases.places(cases.before)
        gap = sign * (places[:, one, axis] - places[:, other, axis])
        return _there(cases, one) & _there(cases, other) & (np.abs(gap) > CLEAR), gap > 0

    return ask


def _fits(one: int, other: int) -> Ask:
    """Whether a sentence about both shapes fits: a box and a disc."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        return _there(cases, one) & _there(cases, other), _box(cases, one) & ~_box(cases, other)

    return ask


def _moves(slot: int) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        went = np.linalg.norm(cases.places(cases.outcomes[:, -1]) - cases.places(cases.before), axis=-1)[:, slot]
        return _there(cases, slot) & ((went > MOVES) | (went < MOVES / 3)), went > MOVES / 2

    return ask


def _goes(slot: int, axis: int, sign: float) -> Ask:
    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        went = sign * (cases.places(cases.outcomes[:, -1]) - cases.places(cases.before))[:, slot, axis]
        return _there(cases, slot) & (np.abs(went) > MOVES), went > 0

    return ask


def _farther(one: int, other: int) -> Ask:
    """Which goes farther: clear cases only."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        went = np.linalg.norm(cases.places(cases.outcomes[:, -1]) - cases.places(cases.before), axis=-1)
        gap = went[:, one] - went[:, other]
        return _there(cases, one) & _there(cases, other) & (np.abs(gap) > MOVES), gap > 0

    return ask


def happens(event: str, within: int | None = None) -> Ask:
    """Whether an event that is not the case now happens under the plan, or within its first steps."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        place = cases.world.events.index(event)
        return ~cases.events_before[:, place], np.any(cases.events[:, :within, place], axis=1)

    return ask


DIRECTIONS = {"left": (0, -1.0), "right": (0, 1.0), "away": (1, 1.0), "closer": (1, -1.0)}


def about_push() -> list[Asker]:
    """Of `push`: colours, shapes, counts, relations; what moves, which way, how far, what hits what, and when."""
    asked: list[Asker] = []

    def add(kind: Kind, topic: str, text: str, ask: Ask) -> None:
        asked.append(Asker(kind, topic, text, ask))

    for slot, colour in enumerate(COLOURS):
        add("knowledge", "colour", f"is there a {colour} object?", _is_there(slot))
        add("knowledge", "shape", f"is the {colour} object a box?", _is_box(slot))
        add("physics", "moves", f"does the {colour} object move?", _moves(slot))
        for way, (axis, sign) in DIRECTIONS.items():
            add("physics", "direction", f"does the {colour} object go {way}?", _goes(slot, axis, sign))
    for count in range(1, len(COLOURS) + 1):
        add("knowledge", "count", f"are there {count} objects?", _are(count))
    for one, other in permutations(range(len(COLOURS)), 2):
        names = COLOURS[one], COLOURS[other]
        add(
            "knowledge",
            "relation",
            f"is the {names[0]} object left of the {names[1]} one?",
            _further(one, other, 0, -1),
        )
        add("knowledge", "fits", f"does this fit: a {names[0]} box and a {names[1]} disc?", _fits(one, other))
        add(
            "physics",
            "farther",
            f"does the {names[0]} object go farther than the {names[1]} one?",
            _farther(one, other),
        )
    for event, text in {"collided": "do two objects hit each other?", "blocked": "is the pusher stopped?"}.items():
        add("physics", event, text, happens(event))
    add("physics", "contact", "does the pusher touch something?", happens("contact"))
    add("physics", "time", "does the pusher touch something within half a second?", happens("contact", 5))
    return asked


ASKERS: Mapping[str, Callable[[], list[Asker]]] = {"push": about_push}
"""World -> what can be asked about it."""


def probe(
    features: np.ndarray, questions: Questions, asked_of: np.ndarray, asked: Questions, ridge: float = 1.0
) -> np.ndarray:
    """Linear probe, one for each exact question: learned from `questions`, and its answers to `asked`, ``(M,)``.

    Ridge regression on standardised features; its penalty is `ridge` for each question learned from.

    Args:
        features: ``(M', F)`` of each question to learn from. asked_of: ``(M, F)`` of each that is asked.

    Returns:
        scores, above one half for yes; one half where nothing could be learned.
    """
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
    known, new = (features - mean) / std, (asked_of - mean) / std
    told = np.full(len(asked), 0.5)
    numbers = {asker.text: number for number, asker in enumerate(questions.askers)}
    for number in np.unique(asked.which):
        mine = questions.which == numbers.get(asked.askers[number].text, -1)
        if mine.sum() < 4:
            continue
        x, y = known[mine], 2.0 * questions.answer[mine] - 1.0
        # In the dual: there are more features than questions.
        weights = np.linalg.solve(x @ x.T + ridge * len(x) * np.eye(len(x)), y - y.mean())
        rows = asked.which == number
        told[rows] = 0.5 + 0.5 * (new[rows] @ x.T @ weights + y.mean())
    return told
