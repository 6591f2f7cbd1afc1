"""Tasks: an instant of a held-out episode, and what its policy made of it a little later, as a goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nextstate.errors import PlanningError
from nextstate.imagination import Instant, reach
from nextstate.worlds import World
from nextstate.worlds.base import HELD_OUT_SEED

SCENES = 500_000_000
"""Scenes of tasks begin here, counted from the held-out seeds; those of suites lie below."""

EARLIEST, LATEST = 5, 30
"""Steps of an episode between which tasks begin."""

PATIENCE = 50
"""Scenes that are looked at for each task, at most."""


@dataclass(frozen=True)
class Task:
    """Bring the world from `instant` to `goal`.

    Args:
        seed: of the scene.
        goal: what was sensed there, modality -> ``(*shape)``; wanted: the outcome there, ``(D,)``.
        demonstration: commands ``(T, A)`` that led from the one to the other.
        shown: what was sensed after each of them, modality -> ``(T, *shape)``.
    """

    seed: int
    instant: Instant
    goal: Mapping[str, np.ndarray]
    wanted: np.ndarray
    demonstration: np.ndarray
    shown: Mapping[str, np.ndarray]


def make_tasks(
    world: World, count: int, seed: int = 0, ahead: int = 25, context: int = 8, solved: bool = False
) -> list[Task]:
    """Tasks whose goals an exploring policy reached `ahead` steps later; those solved at their start are left out.

    Args:
        world: which is left in some scene or other.
        seed: other seeds give other scenes.
        context: states of history before a start.
        solved: whether those that are solved at their start stay.

    Raises:
        PlanningError: for a world without goals, or when hardly any scene gives a task.
    """
    if not world.goal_within:
        raise PlanningError(f"{world.name} does not say when a goal is reached (goal_within); choose push or grasp.")
    tasks: list[Task] = []
    for candidate in range(count * PATIENCE):
        if len(tasks) == count:
            return tasks
        scene = HELD_OUT_SEED + SCENES + 1_000_000 * seed + candidate
        rng = np.random.default_rng([seed, candidate])
        world.reset(seed=scene)
        policy = world.explore(rng)
        instant = reach(world, scene, int(rng.integers(EARLIEST, LATEST + 1)), policy, context)
        before = world.outcome()
        demonstration, states = [], []
        for _ in range(ahead):
            demonstration.append(policy(world))
            world.advance_action(demonstration[-1])
            states.append(world.observe())
        wanted = world.outcome()
        if solved or not reached(world, before, wanted):
            shown = {name: np.stack([state[name] for state in states]) for name in states[0]}
            done = np.stack(demonstration).astype(np.float32)
            tasks.append(Task(scene, instant, states[-1], wanted, done, shown))
    raise PlanningError(f"only {len(tasks)} of {count} tasks found in {world.name} within {count * PATIENCE} scenes.")


def reached(world: World, outcome: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether every thing is where it is wanted."""
    return world.miss(outcome, wanted) <= 1.0
