"""Opinions of one look at a state and a goal: how many steps it takes from the one to the other, and what comes first.

A guide has one or more of them, all of a kind.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.dynamics import PACE
from nextstate.models.handhold import OFFSETS
from nextstate.models.heads import FAR, THOUGHT, Gaze, HeadShape

UNIT = 10.0
"""Steps that count as one while learning."""

HIDDEN, BLOCKS = 192, 2
"""Width and depth of what weighs up handholds."""


class Telling(nn.Module):
    """What either kind says in the end."""

    def __init__(self, thought: int, shape: HeadShape) -> None:
        super().__init__()
        self.steps = nn.Linear(thought, 1)
        self.commands = nn.Linear(thought, shape.chunk * shape.action)
        self.shape = shape

    def told(self, thought: Tensor) -> tuple[Tensor, Tensor]:
        """Steps ``(N,)`` and commands ``(N, chunk, A)``, as of `Guide.forward`."""
        commands = self.commands(thought).float().tanh().view(-1, self.shape.chunk, self.shape.action)
        return UNIT * F.softplus(self.steps(thought).float())[:, 0], commands


class Opinion(Telling):
    """Of one that sees where things are in the picture.

    Args:
        extra: length of what else is to be considered, as of `Gaze`.
    """

    def __init__(self, shape: HeadShape, extra: int) -> None:
        super().__init__(THOUGHT, shape)
        self.gaze = Gaze(shape, extra, shape.looks)

    def forward(
        self, state: Mapping[str, Tensor], wanted: Tensor, there: Tensor, extra: Tensor | None, like: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """As of `Telling.told`; arguments as of `Gaze.forward`."""
        return self.told(self.gaze(state, wanted, there, extra, like=like))


class Grip(Telling):
    """Of one that knows where to hold things: there is nothing left to be seen, only to be weighed up.

    Of each thing that is ever held it hears where that is, how far that is, how far it is to be carried, how far it is
    from its place in the picture and whether it is seen there. How it looks it does not hear, nor does it compare
    things pair by pair: so a step takes a quarter of the time, and what was done in a few thousand episodes is less
    easily learned by heart.

    Args:
        extra: length of what is felt besides posture.
    """

    def __init__(self, shape: HeadShape, extra: int) -> None:
        super().__init__(HIDDEN, shape)
        each = (1 + OFFSETS) * shape.proprio + 3
        self.enter = nn.Linear(shape.holds * each + shape.proprio + extra, HIDDEN)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN))
            for _ in range(BLOCKS)
        )
        self.norm = nn.LayerNorm(HIDDEN)

    def forward(
        self, state: Mapping[str, Tensor], wanted: Tensor, there: Tensor, extra: Tensor | None, like: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As of `Telling.told`.

        Args:
            state: ``places (N, H, 2)`` of what is held, and ``proprio (N, P)``, normalised, 0 where it tells a speed.
            wanted, there, extra: as of `Gaze.forward`, of the same H things.
            like: ``(N, H, 5P)``, where each of them is held, and `Handhold.offsets`.
        """
        gap = 0.5 * ((wanted - state["places"]) / PACE).clamp(-FAR, FAR) * there[..., None]
        of_things = torch.cat([like, gap, there[..., None]], dim=2).flatten(1)
        felt = [state["proprio"]] if extra is None else [state["proprio"], extra]
        thought = F.silu(self.enter(torch.cat([of_things, *felt], dim=1)))
        for block in self.blocks:
            thought = thought + block(thought)
        return self.told(self.norm(thought))
