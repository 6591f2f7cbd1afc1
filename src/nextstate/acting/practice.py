"""Acting on plans while recording: what a model gets wrong shows where its own plans lead.

A planner looks for commands whose imagined future is good, and so it finds those of which the model thinks too well;
recordings of others hold few such. Episodes in which plans are acted out do (on-policy model learning, Ross and Bagnell
2012, https://arxiv.org/abs/1203.1007).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nextstate.acting.tasks import reached
from nextstate.planning.guide import Guide
from nextstate.policies.loading import load
from nextstate.policies.planned import Planned
from nextstate.training.precision import settle_threads
from nextstate.worlds import Policy, World

AHEAD = 25
"""Steps in which an exploring policy brings about what is then a goal."""

PATIENCE = 40
"""Steps for which one goal is pursued."""

DRAWS = 8
"""Goals that are looked at until one is not reached yet."""


class Practice:
    """Makes policies that pursue goals by plans in a model; it can be sent to other processes.

    Goals are what an exploring policy makes of the same instant in a fork of the world.

    Args:
        folder: of a model with a guide; raises `CheckpointError` for one without.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        Guide.load(folder)

    def __call__(self, world: World, rng: np.random.Generator) -> Policy:
        settle_threads(1)
        actor: Planned | None = None
        left = 0

        def command(world: World) -> np.ndarray:
            nonlocal actor, left
            if actor is None or left == 0:
                before, seed = actor, int(rng.integers(2**31))
                actor = load(self.folder, goal=imagined_goal(world, rng), decoder="planner", seed=seed)  # type: ignore[assignment]
                assert isinstance(actor, Planned)
                if before is not None:  # Goals change; what was sensed and done stays.
                    actor.memory = before.memory
                left = PATIENCE
            left -= 1
            return actor.select_action(world.observe())

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
