"""Bringing the body into the posture that is seen in a goal's pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.models.dynamics import PACE
from nextstate.models.posture import Posture
from nextstate.models.protocol import Beliefs, WorldModel
from nextstate.planning.problem import Future

BLUNT = 0.5
"""Gap, in tenths of a standard deviation, below which a distance grows with its square."""

REST = 0.05
"""Weight of what does not show in pictures, such as speeds: wanted as it is on average, so that the body comes to rest
and is not merely there whenever it is looked at."""


@dataclass(frozen=True)
class PostureDistance:
    """How far the body's posture is from the one that a head reads off the goal's pictures, in tenths of its spread.

    Args:
        posture: reads pictures. told: what it read off the goal's, ``(B or 1, 3, P)``.
        shows: ``(P,)``, 1 for readings that show in pictures.
    """

    posture: Posture
    told: Tensor
    shows: Tensor

    @staticmethod
    @torch.no_grad()
    def of(posture: Posture, seen: Mapping[str, Tensor]) -> PostureDistance:
        """For a goal as an eye sees it, see `Posture.forward`; raises `PlanningError` where no posture shows."""
        shows = posture.matters
        return PostureDistance(posture, posture(seen), shows)

    def __call__(self, future: Future) -> Tensor:
        told = self.told[future.rows] if len(self.told) > 1 else self.told
        # From where it is now: an arm that goes round goes the shorter way.
        now = felt(future.model, future.start.map(lambda tensor: tensor[:, None]))[:, 0]
        shows = self.shows
        goal = ((now + self.posture.gap(now, told)) * shows)[:, None]
        gap = (felt(future.model, future.beliefs) - goal) / PACE
        weight = shows + REST * (1 - shows)
        return ((gap.square() + BLUNT**2).sqrt() - BLUNT) @ weight / weight.sum()


def felt(model: WorldModel, beliefs: Beliefs) -> Tensor:
    """Posture ``(N, H, P)``, normalised, as a model believes in it."""
    if "proprio" in beliefs.tensors:
        return beliefs.tensors["proprio"].float()
    kind = model.spec.modalities["proprio"]
    return kind.normalise(model.decode(beliefs, ["proprio"])["proprio"])
