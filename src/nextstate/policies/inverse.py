"""Inverse dynamics: from a state and one a few steps later, what was done in between."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nextstate.models.heads import THOUGHT, Gaze, Head, HeadShape, draw_stretches
from nextstate.planning.journeys import commands_missed, commands_to

MAGNIFIED = 3.0
"""A few steps move things little."""

UNSURE = 0.02
"""Noise on the later state's places, in halves of the picture: an imagined future is never quite right."""


class Inverse(Head):
    """Commands that lead from a state to a later one, at most a chunk of steps away.

    Posture at the later instant is looked at too, since whoever foresees a state foresees that as well.
    """

    name = "inverse"

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.gaze = Gaze(shape, shape.proprio + shape.chunk)
        self.commands = nn.Linear(THOUGHT, shape.chunk * shape.action)

    def forward(self, state: Mapping[str, Tensor], later: Mapping[str, Tensor], gap: Tensor) -> Tensor:
        """Commands ``(N, chunk, A)`` in [-1, 1], of which the first `gap` count.

        Args:
            state: as of `Gaze`. later: ``places``, ``there (N, K)`` and ``proprio``. gap: ``(N,)``, 1 to chunk.
        """
        steps = torch.arange(self.shape.chunk, device=gap.device) < gap[:, None]
        extra = [4 * (later["proprio"] - state["proprio"])] if self.shape.proprio else []
        known = torch.cat([*extra, steps.float()], dim=1)
        thought = self.gaze(state, later["places"], later["there"], known, MAGNIFIED)
        told: Tensor = self.commands(thought).float().tanh().view(-1, self.shape.chunk, self.shape.action)
        return told


def inverse_loss(network: Inverse, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Squared error of the commands between two instants.

    Args:
        batch: as of `draw_stretches`.
    """
    drawn = draw_stretches(batch, generator, 1, network.shape.chunk)
    rows = torch.arange(len(drawn.gap), device=drawn.gap.device)
    blur = UNSURE * torch.randn(drawn.places.shape, generator=generator, device=drawn.places.device)
    later = {"places": drawn.places + blur, "there": drawn.there}
    if network.shape.proprio:
        later["proprio"] = batch["proprio"][rows, drawn.first + drawn.gap]
    told = network(drawn.now, later, drawn.gap)
    missed = commands_missed(told, *commands_to(batch["action"], drawn, told.shape[1]))
    return {"loss": missed, "commands": missed}
