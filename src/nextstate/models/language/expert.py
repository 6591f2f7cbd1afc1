"""An action expert: commands drawn by flow matching, attending to what a backbone made of picture, body and words.

As in pi0 (Black et al. 2024, https://arxiv.org/abs/2410.24164) and SmolVLA (Shukor et al. 2025,
https://arxiv.org/abs/2506.01844): a small transformer over the commands to come, that attends to itself and, in turn,
to the backbone's tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.language.backbone import BLOCKED, Norm

WAVES = 8
"""Frequencies by which a noise level is told."""

HEADS = 4

EULER = 5
"""Steps from noise to commands."""


class Attention(nn.Module):
    """Of some tokens to others, or to themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)

    def read(self, others: Tensor) -> Tensor:
        """Keys and values side by side of what will be attended to, ``(B, M, 2 W)``."""
        told: Tensor = self.keys_values(others)
        return told

    def forward(self, tokens: Tensor, read: Tensor, absent: Tensor | None = None) -> Tensor:
        """``(B, S, W)`` and what was `read` of others to ``(B, S, W)``; `absent` ``(B, M)`` is not looked at."""
        batch, _, width = tokens.shape

        def split(x: Tensor) -> Tensor:
            return x.view(batch, -1, HEADS, width // HEADS).transpose(1, 2)

        keys, values = (split(x) for x in read.chunk(2, dim=-1))
        scores = (split(self.queries(tokens)) @ keys.transpose(-2, -1)).float() * (width // HEADS) ** -0.5
        if absent is not None:
            scores = scores + BLOCKED * absent[:, None, None].float()
        mixed = scores.softmax(dim=-1).to(values.dtype) @ values
        told: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, -1, width))
        return told


class Layer(nn.Module):
    """Commands look at one another and at the memory; the noise level scales what each part adds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(Norm(width) for _ in range(3))
        self.own, self.reading = Attention(width), Attention(width)
        self.think = nn.Sequential(nn.Linear(width, 3 * width), nn.SiLU(), nn.Linear(3 * width, width))

    def forward(self, tokens: Tensor, read: Tensor, absent: Tensor, draws: int) -> Tensor:
        """`draws` sets of commands share each memory: tokens ``(B * draws, S, W)``, what was read ``(B, M, 2 W)``."""
        first, second, third = self.norms
        normed = first(tokens)
        tokens = tokens + self.own(normed, self.own.read(normed))
        batch, length, width = tokens.shape
        asking = second(tokens).view(batch // draws, draws * length, width)
        tokens = tokens + self.reading(asking, read, absent).view(batch, length, width)
        told: Tensor = tokens + self.think(third(tokens))
        return told


class Expert(nn.Module):
    """Velocities of commands on their way from noise (Lipman et al. 2023, https://arxiv.org/abs/2210.02747).

    Args:
        chunk: commands drawn at once. action: length of each.
    """

    def __init__(self, width: int, depth: int, chunk: int, action: int) -> None:
        super().__init__()
        self.chunk, self.action = chunk, action
        self.enter, self.leave = nn.Linear(action, width), nn.Linear(width, action)
        self.level = nn.Sequential(nn.Linear(2 * WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.step = nn.Parameter(0.5 * torch.randn(chunk, width))
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.norm = Norm(width)

    def forward(self, memory: Tensor, absent: Tensor, commands: Tensor, levels: Tensor) -> Tensor:
        """
        Args:
            memory: ``(B, M, W)``; absent: ``(B, M)``, what of it does not count.
            commands: ``(B, D, S, A)``, D draws for each memory. levels: ``(B, D)``, from 0 (noise) to 1 (drawn).
        """
        return self._towards(self._read(memory), absent, commands, levels)

    def _read(self, memory: Tensor) -> list[Tensor]:
        return [layer.reading.read(memory) for layer in self.layers]  # type: ignore[union-attr, operator]

    def _towards(self, reads: list[Tensor], absent: Tensor, commands: Tensor, levels: Tensor) -> Tensor:
        batch, draws = levels.shape
        waves = torch.pi * levels.reshape(-1, 1) * torch.arange(1, WAVES + 1, device=levels.device)
        told = self.level(torch.cat([waves.sin(), waves.cos()], dim=-1))
        tokens = self.enter(commands.flatten(0, 1)) + self.step + told[:, None]
        for layer, read in zip(self.layers, reads, strict=True):
            tokens = layer(tokens, read, absent, draws)
        return self.leave(self.norm(tokens)).float().view(batch, draws, self.chunk, self.action)  # type: ignore[no-any-return]

    def loss(self, memory: Tensor, absent: Tensor, wanted: Tensor, generator: torch.Generator, draws: int) -> Tensor:
        """Squared error of velocities towards commands ``(B, S, A)``, at `draws` noise levels each.

        Noisy levels are drawn more often, as in pi0: there it is decided what will be done.
        """
        shape, device = (len(wanted), draws), wanted.device
        levels = 1 - torch.rand(shape, generator=generator, device=device) ** (2 / 3)
        noise = torch.randn((*shape, self.chunk, self.action), generator=generator, device=device)
        part, goal = levels[..., None, None], wanted[:, None]
        found = self(memory, absent, (1 - part) * noise + part * goal, levels)
        return F.mse_loss(found, goal - noise)

    @torch.no_grad()
    def draw(
        self,
        memory: Tensor,
        absent: Tensor,
        generator: torch.Generator,
        steps: int = EULER,
        bound: float = 1.0,
        spread: float = 1.0,
    ) -> Tensor:
        """Commands ``(B, S, A)`` within [-bound, bound], by Euler steps from noise.

        Args:
            spread: of the noise; 0 draws nothing at random, but what lies in the middle of all that could be drawn.
        """
        shape = (len(memory), 1, self.chunk, self.action)
        commands = spread * torch.randn(shape, generator=generator).to(memory.device)
        # What is read of the memory stays the same from step to step.
        reads = self._read(memory)
        for i in range(steps):
            levels = torch.full(shape[:2], i / steps, device=memory.device)
            commands = commands + self._towards(reads, absent, commands, levels) / steps
        return commands[:, 0].clamp(-bound, bound)
