"""Acting while recording: what a model and its guide get wrong shows where they lead.

A planner looks for commands whose imagined future is good, and so it finds those of which the model thinks too well;
recordings of others hold few such. Episodes in which plans are acted out do (on-policy model learning, Ross and Bagnell
2012, https://arxiv.org/abs/1203.1007). A guide that acts gets to where only it gets to; wherever that is, is a goal
that was reached, and so it learns from its own episodes as from any other (goal-conditioned supervised learning, Ghosh
et al. 2019, https://arxiv.org/abs/1912.06088). Where a world has a coach, it shows what should be done from there
(as in DAgger, Ross et al. 2011, https://arxiv.org/abs/1011.0686).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from nextstate.acting.tasks import reached
from nextstate.models.pretrained import from_pretrained
from nextstate.models.world_model import StateModel
from nextstate.planning import SeenDistance
from nextstate.planning.guide import Guide
from nextstate.policies.loading import EVERY, load
from nextstate.policies.looking import Looking, cloning
from nextstate.policies.planned import Planned
from nextstate.policies.protocol import Actor
from nextstate.training.precision import settle_threads
from nextstate.worlds import Policy, World

AHEAD = 25
"""Steps in which an exploring policy brings about what is then a goal."""

PATIENCE = 40
"""Steps for which one goal is pursued."""

DRAWS = 8
"""Goals that are looked at until one is not reached yet."""

STRAYING, ASTRAY = 0.5, 0.3
"""Share of goals that a guide pursues with noise on its commands, and the standard deviation of that."""

ALONE, LONGEST = 0.6, 20
"""Share of goals that a guide begins to pursue before its coach goes on, and for how many steps at most."""

SETTLED = 6
"""Steps for which a coach stays with what it has reached."""

By = Literal["planner", "cloned", "coached"]
"""How goals are pursued: by plans; by what a guide says without planning, some twenty times faster; or so for a while,
and then by the world's own coach, who knows where everything is."""


class Practice:
    """Makes policies that pursue goals as a model and its guide do; it can be sent to other processes.

    Goals are what an exploring policy makes of the same instant in a fork of the world.

    Args:
        folder: of a model with a guide; raises `CheckpointError` for one without. by: see `By`.
    """

    def __init__(self, folder: Path, by: By = "planner") -> None:
        self.folder, self.by = folder, by
        Guide.load(folder)

    def __call__(self, world: World, rng: np.random.Generator) -> Policy:
        settle_threads(1)
        pursuit: Pursuit | None = None

        def command(world: World) -> np.ndarray:
            nonlocal pursuit
            if pursuit is None or pursuit.left == 0:
                pursuit = self._pursue(world, rng, pursuit)
            return pursuit(world)

        return command

    def _pursue(self, world: World, rng: np.random.Generator, before: Pursuit | None) -> Pursuit:
        goal, wanted = imagined_goal(world, rng)
        seed = int(rng.integers(2**31))
        actor = _cloned(self.folder, goal) if self.by != "planner" else load(self.folder, goal=goal, seed=seed)
        if before is not None and isinstance(actor, Planned) and isinstance(before.actor, Planned):
            actor.memory = before.actor.memory  # Goals change; what was sensed and done stays.
        pursuit = Pursuit(actor, wanted, rng)
        if self.by != "planner":
            pursuit.noise = ASTRAY * float(rng.random() < STRAYING)
        if self.by == "coached":
            pursuit.coach = world.coach(wanted, rng)
            pursuit.alone = int(rng.integers(LONGEST + 1)) if rng.random() < ALONE else 0
            pursuit.left += pursuit.alone
        return pursuit


@dataclass
class Pursuit:
    """Of one goal, for `left` more steps.

    Args:
        wanted: outcome ``(D,)``. noise: standard deviation, on the actor's commands.
        coach: who goes on after so many more steps `alone`.
    """

    actor: Actor
    wanted: np.ndarray
    rng: np.random.Generator
    left: int = PATIENCE
    noise: float = 0.0
    coach: Policy | None = None
    alone: int = 0

    def __call__(self, world: World) -> np.ndarray:
        self.left -= 1
        if self.coach is not None and self.alone == 0:
            if reached(world, world.outcome(), self.wanted):
                self.left = min(self.left, SETTLED)
            return self.coach(world)
        self.alone -= 1
        done = self.actor.select_action(world.observe())
        if not self.noise:
            return done
        return np.clip(done + self.noise * self.rng.standard_normal(done.shape), -1, 1).astype(done.dtype)


@lru_cache(maxsize=1)
def _known(folder: Path) -> tuple[StateModel, Guide]:
    """A model and its guide, which are asked for at every goal."""
    model = from_pretrained(folder)
    assert isinstance(model, StateModel)
    return model, Guide.load(folder)


def _cloned(folder: Path, goal: Mapping[str, np.ndarray]) -> Actor:
    model, guide = _known(folder)
    seen = SeenDistance.of(model, {name: torch.from_numpy(np.array(values))[None] for name, values in goal.items()})
    return Looking(model, cloning(guide, seen), EVERY, guide.calm)


def imagined_goal(world: World, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What would be sensed had the world been explored for a while, and come of it; it is left as it was.

    Returns:
        modality -> ``(*shape)``, and the outcome ``(D,)``.
    """
    snapshot, before = world.snapshot(), world.outcome()
    sensed, after = world.observe(), before
    for _ in range(DRAWS):
        policy = world.explore(rng)
        for _ in range(AHEAD):
            world.advance_action(policy(world))
        sensed, after = world.observe(), world.outcome()
        world.restore(snapshot)
        if not reached(world, before, after):
            break
    return sensed, after
