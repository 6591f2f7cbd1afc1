"""Instants with plans, and questions about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from nextstate.evaluation.suite import Suite, group_indices
from nextstate.worlds import WORLDS, World

if TYPE_CHECKING:
    from nextstate.data import Cache

Kind = Literal["knowledge", "physics"]


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
    """One exact question.

    Args:
        planned: of physics, whether what is planned decides the answer; else the instant does, as in knowledge.
    """

    kind: Kind
    topic: str
    text: str
    ask: Ask
    planned: bool = True


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


def happens(event: str, within: int | None = None) -> Ask:
    """Whether an event that is not the case now happens under the plan, or within its first steps."""

    def ask(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        place = cases.world.events.index(event)
        return ~cases.events_before[:, place], np.any(cases.events[:, :within, place], axis=1)

    return ask
