"""Ways to act: each makes, for a task, something that acts on it. A new one is a function and a line in `WAYS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from nextstate.acting.tasks import Task
from nextstate.errors import PlanningError, UnknownNameError
from nextstate.models.protocol import WorldModel
from nextstate.planning import Cost, Guide, PictureDistance, Planner, SeenDistance, TimeToGo
from nextstate.policies import Actor, Cloned, Planned
from nextstate.worlds import Snapshot


@dataclass
class Fixed:
    """Does what it was given, step by step, and then nothing."""

    actions: np.ndarray

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._step = 0

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        self._step += 1
        if self._step > len(self.actions):
            return np.zeros(self.actions.shape[1], np.float32)
        return np.asarray(self.actions[self._step - 1])


Way = Callable[[Task], Actor]
"""Makes an actor for a task."""


def still(task: Task) -> Actor:
    """Does nothing."""
    return Fixed(np.zeros_like(task.demonstration))


def aimless(task: Task) -> Actor:
    """Commands at random, each held for a few steps."""
    rng = np.random.default_rng(task.seed)
    drawn = rng.uniform(-1, 1, (100, task.demonstration.shape[1])).repeat(3, axis=0)
    return Fixed(drawn.astype(np.float32))


def replay(task: Task) -> Actor:
    """Does what led to the goal when it was first reached: that it can be done."""
    return Fixed(task.demonstration)


SIMPLE: dict[str, Way] = {"still": still, "random": aimless, "replay": replay}
"""Ways that need no model."""


GOALS = ("time", "view", "picture")


def aim(goal: str, task: Task, eye: WorldModel, guide: Guide | None = None) -> Cost:
    """The cost that leads to a task's goal, given as what is seen there.

    Args:
        goal: ``time``: steps that it still takes, as a guide learned them; ``view``: how far things are from where
            the model's eye sees them in the goal's pictures; ``picture``: pixels against pixels.

    Raises:
        UnknownNameError: for other kinds. PlanningError: for a kind that the model or a missing guide rules out.
    """
    if goal == "picture":
        return PictureDistance(torch.from_numpy(np.array(task.goal["rgb"]))[None])
    if goal not in GOALS:
        raise UnknownNameError("kind of goal", goal, GOALS)
    seen = SeenDistance.of(eye, {n: torch.from_numpy(np.array(v))[None] for n, v in task.goal.items()})
    if goal == "view":
        return seen
    known = _needed(guide)
    return TimeToGo(known, replace(seen, matters=(1 - known.obeys).square()))


def planned(
    model: WorldModel,
    planner: Planner,
    goal: str = "view",
    eye: WorldModel | None = None,
    guide: Guide | None = None,
    **settings: int | float,
) -> Way:
    """Plans in `model` towards each task's goal; see `aim` and `Planned` for the settings.

    Args:
        eye: the model that sees the goal, if not `model` itself: the oracle has no eyes.
    """

    def make(task: Task) -> Actor:
        cost = aim(goal, task, eye or model, guide)
        return Planned(model, planner, cost, seed=task.seed, **settings)  # type: ignore[arg-type]

    return make


def cloned(eye: WorldModel, guide: Guide | None) -> Way:
    """Does what recorded policies did on the way to such goals."""

    def make(task: Task) -> Actor:
        seen = aim("view", task, eye)
        assert isinstance(seen, SeenDistance)
        return Cloned(_needed(guide), seen)

    return make


def _needed(guide: Guide | None) -> Guide:
    if guide is None:
        raise PlanningError("this way to act needs a guide; make one with `nextstate guide`, or plan by view.")
    return guide
