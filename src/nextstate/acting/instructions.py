"""Instructions as tasks: what is asked for in words, whether it was done, and trials of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextstate.errors import PlanningError
from nextstate.evaluation.named import Witness
from nextstate.policies.protocol import Actor
from nextstate.worlds import Snapshot, World
from nextstate.worlds.base import HELD_OUT_SEED

SCENES = 700_000_000
"""Scenes of instructed tasks begin here, counted from the held-out seeds."""

PATIENCE = 20
"""Scenes that are looked at for each task, at most."""


@dataclass(frozen=True)
class Instructed:
    """A skill asked for in words.

    Args:
        skill: its name, which says what counts as done. instruction: how it is asked for.
        snapshot: the start.
        goal: what was sensed when the scripted skill had done it, for those that follow pictures rather than words.
        demonstration: its commands ``(T, A)``.
    """

    seed: int
    skill: str
    instruction: str
    snapshot: Snapshot
    goal: Mapping[str, np.ndarray]
    demonstration: np.ndarray


def make_instructed(
    world: World,
    count: int,
    seed: int = 0,
    steps: int = 60,
    asks: Callable[[str], bool] = lambda instruction: True,
    reword: Callable[[str, str, np.random.Generator], str] | None = None,
) -> list[Instructed]:
    """Tasks in held-out scenes that the scripted skill does within `steps` steps.

    Args:
        asks: which instructions are wanted. reword: from a world's and a skill's name to how it is asked for instead.

    Raises:
        UnknownNameError: for a world of which nobody said what counts as done.
        PlanningError: when hardly any scene gives a task.
    """
    tasks: list[Instructed] = []
    for candidate in range(count * PATIENCE):
        if len(tasks) == count:
            return tasks
        scene = HELD_OUT_SEED + SCENES + 1_000_000 * seed + candidate
        rng = np.random.default_rng([seed, candidate])
        world.reset(seed=scene)
        texts = {name: [text for text in skill.instructions if asks(text)] for name, skill in world.skills.items()}
        possible = [name for name, skill in world.skills.items() if texts[name] and skill.possible(world)]
        if not possible:
            continue
        name = possible[int(rng.integers(len(possible)))]
        skill = world.skills[name]
        text = texts[name][int(rng.integers(len(texts[name])))]
        policy = skill.make(world, rng)
        text = reword(world.name, name, rng) if reword else text
        start, witness, commands, done = world.snapshot(), Witness(world, name), [], False
        for _ in range(steps):
            commands.append(policy(world))
            world.advance_action(commands[-1])
            done = witness.look()
        if done:
            shown = np.stack(commands).astype(np.float32)
            tasks.append(Instructed(scene, name, text, start, world.observe(), shown))
    raise PlanningError(f"only {len(tasks)} of {count} tasks found in {world.name} within {count * PATIENCE} scenes.")


@dataclass(frozen=True)
class Followed:
    """What came of an instruction.

    Args:
        done: whether it was done, after every step. seconds: that decisions took. died: why it ended early.
    """

    done: list[bool]
    seconds: list[float]
    died: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, under the names that `acting.notes` adds up."""
        held = not self.died and bool(self.done) and self.done[-1]
        return {"held": held, "touched": any(self.done), "died": self.died}


def follow(world: World, actor: Actor, task: Instructed, steps: int = 60) -> Followed:
    """Lets `actor` act for `steps` steps; an error of the world or the actor ends the trial and is noted."""
    world.restore(task.snapshot)
    actor.reset()
    witness, done = Witness(world, task.skill), list[bool]()
    seconds: list[float] = []
    looks = getattr(actor, "modalities", None)
    now: dict[str, np.ndarray] = {}
    for _ in range(steps):
        try:
            deciding = getattr(actor, "due", True)
            # Whoever remembers nothing looks only when it decides.
            if deciding or hasattr(actor, "memory"):
                now = world.observe(looks)
            began = time.perf_counter()
            action = actor.select_action(now, world.snapshot())
            if deciding:
                seconds.append(time.perf_counter() - began)
            world.advance_action(action)
        except Exception as error:  # One broken episode is a failure of that episode, not of the study.
            return Followed(done, seconds, f"{type(error).__name__}: {error}")
        done.append(witness.look())
    return Followed(done, seconds)
