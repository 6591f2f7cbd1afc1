"""Words to a goal, and the goal to commands by planning in the world model.

What an instruction asks for is where things end up when it is followed, and that can be seen in videos without any
command. How to get there is what the world model is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.dynamics import PACE
from nextstate.models.heads import THOUGHT, Gaze, Head, HeadShape
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning import Guide, SeenDistance, TimeToGo, make_planner
from nextstate.policies.heeding import BUCKETS, told
from nextstate.policies.looking import glance
from nextstate.policies.planned import Planned
from nextstate.worlds import Snapshot

AIMED = 40
"""Steps later at which things are where they were asked to be."""

EVERY = 4
"""Steps after which is planned anew."""

STRIDE = 0.4
"""Halves of the picture by which a thing is to go at most: farther than that nobody can tell how long it takes."""


class Aiming(Head):
    """Tells where things will be once an instruction has been followed for a while."""

    name = "aiming"
    learned_by, way = "nextstate follow", "planning"

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.gaze = Gaze(shape, BUCKETS)
        self.go = nn.Linear(THOUGHT, 2 * shape.things)

    def forward(self, state: Mapping[str, Tensor], words: Tensor) -> Tensor:
        """How far things go, ``(N, K, 2)`` in halves of the picture.

        Args:
            state: ``places``, ``codes``, ``there (N, K)``. words: ``(N, 256)``.
        """
        thought = self.gaze(state, state["places"], state["there"], words)
        return PACE * self.go(thought).float().unflatten(1, (self.shape.things, 2))  # type: ignore[no-any-return]


def aiming_loss(head: Aiming, batch: Mapping[str, Tensor]) -> Tensor:
    """Robust error of where things that are there will be; ``aim (N, K, 2)``."""
    missed = F.smooth_l1_loss(head(batch, batch["words"]) / PACE, batch["aim"].float() / PACE, reduction="none")
    there = batch["there"]
    return (missed.sum(dim=-1) * there).sum() / there.sum().clamp_min(1)


@dataclass
class Aimed:
    """Tells once where things are to be, then plans there.

    Args:
        eye: the world model. guide: that leads its plans. every: commands done of each plan, an even number.
        candidates: futures imagined in each round of the planner.
    """

    eye: StateModel
    head: Aiming
    guide: Guide
    instruction: str
    every: int = EVERY
    candidates: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        self.words = torch.from_numpy(told(self.instruction))[None]
        self.reset()

    def reset(self) -> None:
        self.planned: Planned | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(self.eye.spec.modalities)

    @property
    def memory(self) -> object:
        """It remembers what it sensed, so it looks at every step."""
        return None if self.planned is None else self.planned.memory

    @property
    def due(self) -> bool:
        """Whether the next command is planned first."""
        return self.planned is None or self.planned.due

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        if self.planned is None:
            self.planned = self._towards(observation)
        return self.planned.select_action(observation)

    @torch.no_grad()
    def _towards(self, observation: Mapping[str, np.ndarray]) -> Planned:
        state = glance(self.eye, observation)
        known = {"places": state["places"], "codes": state["codes"], "there": presence(state["areas"])}
        go = self.head(known, self.words)
        go = go * (STRIDE / go.norm(dim=-1, keepdim=True).clamp_min(1e-6)).clamp_max(1.0)
        goal = SeenDistance(self.eye, state["places"] + go, known["there"], self.guide.matters)
        planner = make_planner("striking", candidates=self.candidates)
        cost = TimeToGo(self.guide, goal)
        return Planned(self.eye, planner, cost, 10, 2, self.every, 2, 0.5, seed=self.seed)
