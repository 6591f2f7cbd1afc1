"""Pictures as tokens: EfficientNet-Lite0's maps, every patch at full detail."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.models.lite import BLOCKS, Trunk

SIDE = 4
"""Tokens along each side of a picture."""


class Eye(Trunk):
    """Pictures to 16 tokens.

    Args:
        taps: numbers of blocks whose maps are looked at, increasing.
        magnified: by how much pictures are enlarged first: it was trained on larger ones.

    Attributes:
        size: of what a token says, of which the first `finest` are the finest map, with `detail` channels.
    """

    def __init__(self, taps: Sequence[int], magnified: int, picture: int) -> None:
        super().__init__(max(taps) + 1)
        self.taps, self.magnified = tuple(taps), magnified
        side, channels = -(-picture * magnified // 2), []
        for number, (out, _, stride, _) in enumerate(BLOCKS[: max(taps) + 1]):
            side = -(-side // stride)
            if number in taps:
                channels.append(out * (max(side // SIDE, 1)) ** 2)
        self.size, self.finest, self.detail = sum(channels), channels[0], BLOCKS[min(taps)][0]

    def forward(self, rgb: Tensor) -> Tensor:
        """Pictures ``(N, H, W, 3)`` uint8 to ``(N, 16, size)``: every patch at full detail."""
        x = rgb.permute(0, 3, 1, 2).float().sub(127.0).div(128.0).contiguous(memory_format=torch.channels_last)
        if self.magnified > 1:
            x = F.interpolate(x, scale_factor=self.magnified, mode="bilinear")
        return torch.cat([patches(maps) for maps in self.maps(x, self.taps)], dim=-1)

    def finest_map(self, tokens: Tensor) -> Tensor:
        """Tokens ``(N, 16, size)`` back to the finest map that was looked at, ``(N, detail, S, S)``."""
        patch = tokens[..., : self.finest].transpose(1, 2).reshape(len(tokens), self.finest, SIDE, SIDE)
        return F.pixel_shuffle(patch, round((self.finest / self.detail) ** 0.5))


def patches(maps: Tensor) -> Tensor:
    """``(N, C, H, W)`` to ``(N, 16, C * pixels of a patch)``; sizes that do not fit are resampled."""
    side = max(maps.shape[-1] // SIDE, 1)
    if maps.shape[-2:] != (side * SIDE, side * SIDE):
        maps = F.adaptive_avg_pool2d(maps, side * SIDE)
    return F.pixel_unshuffle(maps, side).flatten(2).transpose(1, 2)
