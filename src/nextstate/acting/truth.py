"""How far a future really is from a goal: a cost for the true simulator alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.planning.problem import Future
from nextstate.worlds import World


@dataclass(frozen=True)
class TrueMiss:
    """`World.miss` after every imagined step, for futures of an `Oracle`: nothing is drawn and nothing is looked at.

    Args:
        world: is left wherever the last future ended. wanted: the outcome at the goal, ``(D,)``.
    """

    world: World
    wanted: np.ndarray

    def __call__(self, future: Future) -> Tensor:
        if "future" not in future.beliefs.handles:
            raise PlanningError(f"{future.model.spec.name} only imagines; true distances are the simulator's to tell.")
        steps = future.beliefs.tensors["step"].tolist()
        rows = zip(future.beliefs.handles["future"], steps, strict=True)
        return torch.tensor([self._misses(one.snapshot, one.actions, counted) for one, counted in rows])

    def _misses(self, snapshot: object, actions: np.ndarray, counted: list[int]) -> list[float]:
        self.world.restore(snapshot)  # type: ignore[arg-type]
        misses = []
        for step, action in enumerate(actions, start=1):
            self.world.advance_action(action)
            if step in counted:
                misses.append(self.world.miss(self.world.outcome(), self.wanted))
        return misses
