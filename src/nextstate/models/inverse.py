"""What was done between two instants, told from what is seen and felt at both; and which of a model's own actions a
command is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nextstate.models.dynamics import PACE
from nextstate.models.watching import Watching, known_of


class Inverse(nn.Module):
    """What was done between an instant and the next.

    Args:
        senses: vector modality -> its length, of those that silent episodes have too.
        length: of what it says.
    """

    def __init__(self, things: int, code: int, senses: Mapping[str, int], length: int, width: int) -> None:
        super().__init__()
        self.watch = Watching(things, 2 * (2 + code), width)
        self.feel = nn.ModuleDict({n: nn.Linear(2 * size, width) for n, size in senses.items()})
        self.tell = nn.Sequential(nn.SiLU(), nn.Linear(width, length))

    def forward(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Tensor:
        """States ``(..., K, 2)`` and so on to ``(..., length)``."""

        def pair(one: Tensor, other: Tensor) -> Tensor:
            return torch.cat([one, other - one], dim=-1)

        things = [known_of(state) for state in (before, after)]
        found = self.watch(pair(*things))
        for name, layer in self.feel.items():
            found = found + layer(pair(before[name], after[name]))
        told: Tensor = self.tell(found)
        return told.float()


class Plainly(nn.Module):
    """What was done between an instant and the next, read off linearly from how one thing went on.

    Which thing that is depends on what things are, never on how they moved, so what else moves in the scene stays out.
    And it is told what came, not what was before: a command that is kept on must read like one that begins.

    Args:
        as of `Inverse`.
    """

    def __init__(self, things: int, code: int, senses: Mapping[str, int], length: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(code, width)
        self.identity = nn.Parameter(0.1 * torch.randn(things, width))
        self.matter = nn.Sequential(nn.SiLU(), nn.Linear(width, 1))
        self.feel = nn.ModuleDict({n: nn.Linear(size, length, bias=False) for n, size in senses.items()})
        self.tell = nn.Linear(2 + code, length)

    def forward(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Tensor:
        """As of `Inverse`."""
        shares = self.matter(self.enter(after["codes"]) + self.identity).float().softmax(dim=-2)
        moved = (after["places"] - before["places"]) / PACE
        told: Tensor = self.tell((shares * torch.cat([moved, after["codes"]], dim=-1)).sum(dim=-2))
        for name, layer in self.feel.items():
            told = told + layer(after[name])
        return told.float()


class Ground(nn.Module):
    """Which latent action a command is, in a state."""

    def __init__(self, things: int, code: int, action_size: int, length: int, width: int) -> None:
        super().__init__()
        self.watch = Watching(things, 2 + code, width)
        self.command = nn.Linear(action_size, width)
        self.think = nn.Sequential(nn.SiLU(), nn.Linear(width, length))
        self.plainly = nn.Linear(action_size, length)

    def forward(self, state: Mapping[str, Tensor], commands: Tensor) -> Tensor:
        """Commands ``(..., A)`` to latent actions ``(..., L)``."""
        found: Tensor = self.think(self.watch(known_of(state)) + self.command(commands)) + self.plainly(commands)
        return found.float()
