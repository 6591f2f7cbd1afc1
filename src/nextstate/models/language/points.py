"""Where what is spoken of lies, to a pixel: points that are followed over the maps of an eye, as tokens.

Sixteen tokens of a pretrained eye say what is where roughly. Commands need it exactly, and features that look at one
place each (spatial softmax: Finn et al. 2016, https://arxiv.org/abs/1509.06113) say so in two numbers. Which features
those are depends on the words that were heard (FiLM: Perez et al. 2018, https://arxiv.org/abs/1709.07871).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNELS = (1, 3)
"""Sizes of the convolutions."""

TOGETHER = 4
"""Points of one token."""

SHARP = 6.0
"""What features are multiplied by before the softmax: spread over the whole map it would say nothing, and what says
nothing is not learned from (decision 0023)."""


class Points(nn.Module):
    """Maps of an eye ``(N, C, S, S)`` and what was said ``(N, W)`` to tokens ``(N, points / 4, width)``.

    Args:
        points: how many are followed, a multiple of four. channels: of the maps. said: length of what was said.
        width: of tokens.
    """

    def __init__(self, points: int, channels: int, said: int, width: int) -> None:
        super().__init__()
        self.hear = nn.Linear(said, points)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(points if number else channels + 2, points, kernel, padding=kernel // 2)
            for number, kernel in enumerate(KERNELS)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(points // TOGETHER, points, affine=False) for _ in KERNELS)
        self.modulate = nn.ModuleList(nn.Linear(points, 2 * points) for _ in KERNELS)
        self.say = nn.Linear(3 * TOGETHER, width)
        self.kind = nn.Parameter(0.3 * torch.randn(points // TOGETHER, width))

    def forward(self, maps: Tensor, said: Tensor) -> Tensor:
        """Where several things were said of each map, ``(N * Q, W)``, those of one map in a row: ``N * Q`` rows."""
        heard = self.hear(said)
        x = torch.cat([maps, places(maps).to(maps.dtype)], dim=1)
        for convolve, norm, modulate in zip(self.convolutions, self.norms, self.modulate, strict=True):
            scale, shift = modulate(heard)[..., None, None].chunk(2, dim=1)
            x = norm(convolve(x))
            if len(x) < len(said):
                x = x.repeat_interleave(len(said) // len(x), dim=0)
            x = F.silu(x * (1 + scale) + shift)
        told = torch.stack([*located(x), x.float().amax(dim=(2, 3))], dim=-1)
        tokens: Tensor = self.say(told.reshape(len(said), -1, 3 * TOGETHER)) + self.kind
        return tokens


def located(features: Tensor) -> tuple[Tensor, Tensor]:
    """How far right and how far down, from -1 to 1, each feature of ``(N, C, H, W)`` is strongest, ``(N, C)`` each."""
    where = (SHARP * features.float().flatten(2)).softmax(dim=-1)
    right, down = (where @ places(features).flatten(2).transpose(1, 2)).unbind(dim=-1)
    return right, down


def places(maps: Tensor) -> Tensor:
    """Where each pixel of ``(N, C, H, W)`` lies, from -1 to 1: ``(N, 2, H, W)``."""
    height, width = maps.shape[-2:]
    down, right = (torch.linspace(-1, 1, size, device=maps.device) for size in (height, width))
    grid = torch.stack([right.expand(height, width), down[:, None].expand(height, width)])
    return grid.expand(len(maps), 2, height, width)
