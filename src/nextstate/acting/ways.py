"""Ways to act: each makes, for a task, something that acts on it. A new one is a function and a line in `WAYS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from nextstate.acting.tasks import Task
from nextstate.errors import UnknownNameError
from nextstate.models.protocol import WorldModel
from nextstate.planning import Cost, Planner
from nextstate.planning.costs import PictureDistance, SeenDistance
from nextstate.policies import Actor, Planned
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


def aim(goal: str, task: Task, model: WorldModel) -> Cost:
    """The cost that leads to a task's goal.

    Args:
        goal: ``picture`` compares imagined pictures with the goal's; ``view`` compares, in the model's own space, where
            things are with where the model's eye sees them in the goal's pictures.
    """
    if goal == "picture":
        return PictureDistance(torch.from_numpy(np.array(task.goal["rgb"]))[None])
    if goal == "view":
        return SeenDistance.of(model, {n: torch.from_numpy(np.array(v))[None] for n, v in task.goal.items()})
    raise UnknownNameError("kind of goal", goal, ("picture", "view"))


def planned(
    model: WorldModel,
    planner: Planner,
    goal: str = "view",
    eye: WorldModel | None = None,
    **settings: int | float,
) -> Way:
    """Plans in `model` towards each task's goal; see `aim` and `Planned` for the settings.

    Args:
        eye: the model that sees the goal, if not `model` itself: the oracle has no eyes.
    """

    def make(task: Task) -> Actor:
        cost = aim(goal, task, eye or model)
        return Planned(model, planner, cost, seed=task.seed, **settings)  # type: ignore[arg-type]

    return make
