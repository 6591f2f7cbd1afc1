"""What the body feels where nobody wrote it down, told from what is seen: a film shows a hand, and not its joints.

An imputer learns from labelled windows, and fills in what silent ones lack; so dynamics learns from those, too, how a
body goes on whose posture it knows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.dynamics import PACE
from nextstate.models.watching import Watching, known_of

BEND = 0.3
"""Up to which error of a sense, in standard deviations, counts by its square."""


class Imputer(nn.Module):
    """Senses at each instant of a window, from what is seen then and how that came and goes.

    Args:
        things, code: K things, each with so many numbers of looks. senses: vector modality -> its length, of those
        that are told. width: of the network.
    """

    def __init__(self, things: int, code: int, senses: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.watch = nn.ModuleDict({name: Watching(things, 6 + code, width) for name in senses})
        self.tell = nn.ModuleDict(
            {
                name: nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, size))
                for name, size in senses.items()
            }
        )

    def forward(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Places and codes of windows ``(B, T, K, ...)``, T at least 2, to normalised senses ``(B, T, C)``."""
        went = (states["places"][:, 1:] - states["places"][:, :-1]) / PACE
        came, goes = torch.cat([went[:, :1], went], dim=1), torch.cat([went, went[:, -1:]], dim=1)
        things = torch.cat([known_of(states), came, goes], dim=-1)
        return {name: tell(self.watch[name](things)).float() for name, tell in self.tell.items()}

    def missed(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The error of each sense in windows that have it, in half squares of standard deviations."""
        told = self(states)
        found = {}
        for name, values in told.items():
            truth = states[name]
            error = F.smooth_l1_loss(values, truth.nan_to_num(), beta=BEND, reduction="none")
            known = ~truth.isnan()
            found[name] = (error * known).sum() / known.sum().clamp_min(1)
        return found

    @torch.no_grad()
    def filled(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same windows, without a gap in the senses that are told."""
        lacking = [name for name in self.tell if states[name].isnan().any()]
        if not lacking:
            return dict(states)
        told = self(states)
        return {**states, **{n: torch.where(states[n].isnan(), told[n], states[n].float()) for n in lacking}}
