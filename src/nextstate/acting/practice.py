"""Acting while recording: what a model and its guide get wrong shows where they lead.

A planner looks for commands whose imagined future is good, and so it finds those of which the model thinks too well;
recordings of others hold few such. Episodes in which plans are acted out do (on-policy model learning, Ross and Bagnell
2012, https://arxiv.org/abs/1203.1007). A guide that acts gets to where only it gets to; wherever that is, is a goal
that was reached, and so it learns from its own episodes as from any other (goal-conditioned supervised learning, Ghosh
et al. 2019, https://arxiv.org/abs/1912.06088).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from nextstate.acting.tasks import reached
from nextstate.planning.guide import Guide
from nextstate.policies.loading import load
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

By = Literal["planner", "cloned"]
"""How goals are pursued: by plans, or by what a guide says without planning, some twenty times faster."""


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
        actor: Actor | None = None
        left, noise = 0, 0.0

        def command(world: World) -> np.ndarray:
            nonlocal actor, left, noise
            if actor is None or left == 0:
                before, seed = actor, int(rng.integers(2**31))
                actor = load(self.folder, goal=imagined_goal(world, rng), decoder=self.by, seed=seed)
                if isinstance(actor, Planned) and isinstance(before, Planned):
                    actor.memory = before.memory  # Goals change; what was sensed and done stays.
                if self.by == "cloned":
                    noise = ASTRAY * float(rng.random() < STRAYING)
                left = PATIENCE
            left -= 1
            done = actor.select_action(world.observe())
            return np.clip(done + noise * rng.standard_normal(done.shape), -1, 1).astype(done.dtype) if noise else done

        return command


def imagined_goal(world: World, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What would be sensed had the world been explored for a while, modality -> ``(*shape)``; it is left as it was."""
    snapshot, before = world.snapshot(), world.outcome()
    sensed: dict[str, np.ndarray] = {}
    for _ in range(DRAWS):
        policy = world.explore(rng)
        for _ in range(AHEAD):
            world.advance_action(policy(world))
        sensed, after = world.observe(), world.outcome()
        world.restore(snapshot)
        if not reached(world, before, after):
            break
    return sensed
