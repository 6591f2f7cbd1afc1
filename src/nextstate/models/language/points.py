"""Where things are, to a pixel: points that a small network of convolutions learns to follow, as tokens.

Sixteen tokens of a pretrained eye say what is where roughly. Commands need it exactly, and features that look at one
place each (spatial softmax: Finn et al. 2016, https://arxiv.org/abs/1509.06113) say so in two numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNELS = ((5, 2), (3, 2), (3, 2), (3, 1))
"""Of the convolutions: size and stride."""

TOGETHER = 4
"""Points of one token."""


class Points(nn.Module):
    """Pictures ``(N, H, W, 3)`` to ``(N, points / 4, width)``.

    Args:
        points: how many are followed, a multiple of four. width: of tokens.
    """

    def __init__(self, points: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(5 if number == 0 else points, points, kernel, stride, kernel // 2)
            for number, (kernel, stride) in enumerate(KERNELS)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(points // TOGETHER, points) for _ in KERNELS)
        self.say = nn.Linear(3 * TOGETHER, width)
        self.kind = nn.Parameter(0.3 * torch.randn(points // TOGETHER, width))

    def forward(self, rgb: Tensor) -> Tensor:
        x = rgb.permute(0, 3, 1, 2).float().sub(127.0).div(128.0)
        x = torch.cat([x, places(x)], dim=1)
        for convolve, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.silu(norm(convolve(x)))
        where = x.float().flatten(2).softmax(dim=-1)
        located = (where[:, :, None] * places(x).flatten(2)[:, None]).sum(dim=-1)
        told = torch.cat([located, x.float().amax(dim=(2, 3))[..., None]], dim=-1)
        tokens: Tensor = self.say(told.reshape(len(rgb), -1, 3 * TOGETHER)) + self.kind
        return tokens


def places(maps: Tensor) -> Tensor:
    """Where each pixel of ``(N, C, H, W)`` lies, from -1 to 1: ``(N, 2, H, W)``."""
    height, width = maps.shape[-2:]
    down, right = (torch.linspace(-1, 1, size, device=maps.device) for size in (height, width))
    grid = torch.stack([right.expand(height, width), down[:, None].expand(height, width)])
    return grid.expand(len(maps), 2, height, width)
