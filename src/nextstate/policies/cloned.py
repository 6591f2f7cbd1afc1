"""Acting as recorded policies did on their way to such a goal, without imagining anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from nextstate.models.protocol import Beliefs
from nextstate.planning import Future, Guide
from nextstate.planning.costs import SeenDistance
from nextstate.worlds import Snapshot


class Cloned:
    """Goal-conditioned behaviour cloning on what a model's eye sees.

    Args:
        guide: what to do first. goal: where things are wanted, and the eye.
        every: commands taken from one look, at most what the guide tells.
    """

    def __init__(self, guide: Guide, goal: SeenDistance, every: int = 1) -> None:
        self.guide, self.goal, self.every = guide, goal, min(every, guide.shape.chunk)
        self.reset()

    def reset(self) -> None:
        self._left: list[np.ndarray] = []

    @property
    def due(self) -> bool:
        """Whether the next command takes a look."""
        return not self._left

    @torch.no_grad()
    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        if self.due:
            eye = self.goal.eye
            known = {n: torch.from_numpy(np.array(observation[n]))[None, None] for n in eye.spec.modalities}
            seen = self.goal.state(Future(eye, Beliefs(), Beliefs(), torch.zeros(1).long(), known))
            state = {n: v[:, 0].float() for n, v in seen.items() if n in ("places", "codes", "proprio")}
            _, commands = self.guide(state, self.goal.places, self.goal.there)
            self._left = list(commands[0, : self.every].cpu().numpy().astype(np.float32))
        return self._left.pop(0)
