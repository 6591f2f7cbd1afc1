"""How things move each other: one step of physics among a few tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def relative_features(places: Tensor) -> Tensor:
    """Relative positions ``(N, T, T, 21)`` of tokens at `places` ``(N, T, 2)``, at several scales."""
    delta = places[:, None, :] - places[:, :, None]
    scales = torch.tensor([1.0, 2.0, 4.0, 8.0], device=places.device) * torch.pi
    waves = (delta[..., None] * scales).flatten(-2)
    distance = (delta**2).sum(dim=-1, keepdim=True)
    widths = torch.tensor([0.1, 0.2, 0.4], device=places.device)
    near = torch.exp(-distance / (2 * widths**2))
    return torch.cat([delta, waves.sin(), waves.cos(), near], dim=-1)


RELATIVE = 21


class Interaction(nn.Module):
    """Tokens tell each other where they are and what they do, then each thinks for itself.

    Messages depend on relative positions, so that physics is the same everywhere (interaction networks,
    Battaglia et al. 2016, https://arxiv.org/abs/1612.00222).
    """

    def __init__(self, width: int, message: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.receive = nn.Linear(width, message)
        self.send = nn.Linear(width, message, bias=False)
        self.where = nn.Linear(RELATIVE, message, bias=False)
        self.gather = nn.Linear(message, width)
        self.norm_think = nn.LayerNorm(width)
        self.think = nn.Linear(width, hidden)
        self.conclude = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, relative: Tensor) -> Tensor:
        normed = self.norm(tokens)
        messages = self.receive(normed)[:, :, None] + self.send(normed)[:, None] + self.where(relative)
        tokens = tokens + self.gather(F.silu(messages).sum(dim=2))
        thought: Tensor = self.conclude(F.silu(self.think(self.norm_think(tokens))))
        return tokens + thought


class Dynamics(nn.Module):
    """One control step: tokens and their places under an action to tokens and places 0.1 s later."""

    def __init__(self, width: int, layers: int, message: int, action_size: int) -> None:
        super().__init__()
        self.action = nn.Linear(action_size, width)
        self.place = nn.Linear(2, width)
        self.layers = nn.ModuleList(Interaction(width, message, 2 * width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.move = nn.Linear(width, 2)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def forward(self, tokens: Tensor, places: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            tokens: ``(N, T, D)``. places: ``(N, T, 2)`` float32. action: ``(N, A)``.
        """
        relative = relative_features(places).to(tokens.dtype)
        x = tokens + self.action(action)[:, None] + self.place(places.to(tokens.dtype))
        for layer in self.layers:
            x = layer(x, relative)
        x = self.norm(x)
        return x, places + 0.1 * self.move(x).float()
