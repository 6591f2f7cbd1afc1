"""Trials: an actor is let loose on a task, and what came of it is noted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nextstate.acting.tasks import Task
from nextstate.errors import CheckpointError, PlanningError, UnknownNameError
from nextstate.policies.protocol import Actor
from nextstate.worlds import World

UNUSABLE = (PlanningError, CheckpointError, UnknownNameError)
"""Errors that say of a first decision that no other could be made either: not a failed trial, but unusable settings."""


@dataclass(frozen=True)
class Trial:
    """What came of a task.

    Args:
        misses: distance from the goal after every step, see `World.miss`; the first is that of the start.
        actions: ``(T, A)`` what was done.
        seconds: that decisions took, of those steps at which something was decided.
        died: why it ended early, empty if it did not.
        surprises: how far from where it was expected the farthest thing was, in halves of the picture, at every
            decision after the first, of actors that expect something.
    """

    misses: Sequence[float]
    actions: np.ndarray
    seconds: Sequence[float] = field(default_factory=list)
    died: str = ""
    surprises: Sequence[float] = ()

    @property
    def held(self) -> bool:
        """The strict protocol: the goal is reached at the very end."""
        return not self.died and self.misses[-1] <= 1.0

    @property
    def touched(self) -> bool:
        """The published protocol: the goal was reached after any step."""
        return min(self.misses[1:], default=np.inf) <= 1.0

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without commands."""
        return {
            "held": self.held,
            "touched": self.touched,
            "miss": round(float(self.misses[-1]), 4),
            "closest": round(float(min(self.misses)), 4),
            "died": self.died,
        }


def attempt(world: World, actor: Actor, task: Task, steps: int = 50) -> Trial:
    """Lets `actor` act on a task for `steps` steps; an error of the world or the actor ends it and is noted.

    Args:
        world: is brought to the task's start.

    Raises:
        PlanningError, CheckpointError, UnknownNameError: at the first decision, for settings with which none is made.
    """
    assert task.instant.snapshot is not None
    world.restore(task.instant.snapshot)
    actor.reset()
    recall = getattr(actor, "recall", None)
    if recall is not None:
        recall(task.instant)
    misses, actions, seconds = [world.miss(world.outcome(), task.wanted)], list[np.ndarray](), list[float]()
    died = ""
    now = world.observe()
    for _ in range(steps):
        try:
            deciding, began = getattr(actor, "due", True), time.perf_counter()
            action = actor.select_action(now, world.snapshot())
            if deciding:
                seconds.append(time.perf_counter() - began)
            world.advance_action(action)
            now = world.observe()
        except Exception as error:
            if not actions and isinstance(error, UNUSABLE):
                raise
            # One broken episode is a failure of that episode, not of the study.
            died = f"{type(error).__name__}: {error}"
            break
        actions.append(action)
        misses.append(world.miss(world.outcome(), task.wanted))
    done = np.reshape(actions, (-1, world.action_size)).astype(np.float32)
    return Trial(misses, done, seconds, died, list(getattr(actor, "surprises", ())))
