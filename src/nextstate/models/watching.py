"""Summing up what is seen of all things, of those that matter here most."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nextstate.models.dynamics import PACE


class Watching(nn.Module):
    """Sums up numbers known of each thing, of those that matter here most."""

    def __init__(self, things: int, known: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(known, width)
        self.identity = nn.Parameter(0.1 * torch.randn(things, width))
        self.think = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.matter = nn.Linear(width, 1)
        self.value = nn.Linear(width, width)

    def forward(self, things: Tensor) -> Tensor:
        """``(..., K, known)`` to ``(..., width)``."""
        found = self.think(self.enter(things) + self.identity)
        shares = self.matter(found).float().softmax(dim=-2)
        summed: Tensor = (shares * self.value(found)).sum(dim=-2)
        return summed


def known_of(state: Mapping[str, Tensor]) -> Tensor:
    """What is seen of each thing: where it is, in usual steps, and its looks, ``(..., K, 2 + code)``."""
    return torch.cat([state["places"] / PACE, state["codes"]], dim=-1)
