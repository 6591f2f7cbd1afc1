"""EfficientNet-Lite0's body: what pictures look like to a network that learned to name things.

Inverted bottlenecks without squeezing (Tan and Le 2019, https://arxiv.org/abs/1905.11946; Lite variants:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Batch norms are folded into the
convolutions before them, so it behaves alike whether it learns or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BOTTLENECKS: tuple[tuple[int, int, int, int], ...] = (
    # kernel, stride, expansion, channels out
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (3, 1, 6, 24),
    (5, 2, 6, 40),
    (5, 1, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 80),
    (3, 1, 6, 80),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
)
"""As far as a sixteenth of the resolution; what follows names whole pictures."""

STEM = 32

SIDE = 4
"""Tokens along each side of a picture."""


def padded(x: Tensor, kernel: int) -> Tensor:
    """Zeros around maps so that convolving halves their size, the odd one to the right and below."""
    before = (kernel - 2) // 2
    after = kernel - 2 - before
    return F.pad(x, (before, after, before, after))


class Bottleneck(nn.Module):
    def __init__(self, given: int, kernel: int, stride: int, expansion: int, out: int) -> None:
        super().__init__()
        wide = given * expansion
        self.widen = nn.Conv2d(given, wide, 1) if expansion > 1 else None
        self.kernel, self.stride = kernel, stride
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2 if stride == 1 else 0, groups=wide)
        self.narrow = nn.Conv2d(wide, out, 1)
        self.skips = stride == 1 and given == out

    def forward(self, x: Tensor) -> Tensor:
        inside = x if self.widen is None else F.relu6(self.widen(x), inplace=True)
        inside = inside if self.stride == 1 else padded(inside, self.kernel)
        inside = self.narrow(F.relu6(self.depthwise(inside), inplace=True))
        told: Tensor = x + inside if self.skips else inside
        return told


class Eye(nn.Module):
    """Pictures to 16 tokens.

    Args:
        taps: numbers of bottlenecks whose maps are looked at, increasing.
        magnified: by how much pictures are enlarged first: it was trained on larger ones.
    """

    def __init__(self, taps: Sequence[int], magnified: int, picture: int) -> None:
        super().__init__()
        self.taps, self.magnified = tuple(taps), magnified
        self.stem = nn.Conv2d(3, STEM, 3, 2)
        given, side, channels, blocks = STEM, -(-picture * magnified // 2), [], []
        for number, (kernel, stride, expansion, out) in enumerate(BOTTLENECKS[: max(taps) + 1]):
            blocks.append(Bottleneck(given, kernel, stride, expansion, out))
            given, side = out, -(-side // stride)
            if number in taps:
                channels.append(out * (max(side // SIDE, 1)) ** 2)
        self.blocks = nn.ModuleList(blocks)
        self.size = sum(channels)

    def forward(self, rgb: Tensor) -> Tensor:
        """Pictures ``(N, H, W, 3)`` uint8 to ``(N, 16, size)``: every patch at full detail."""
        x = rgb.permute(0, 3, 1, 2).float().sub(127.0).div(128.0).contiguous(memory_format=torch.channels_last)
        if self.magnified > 1:
            x = F.interpolate(x, scale_factor=self.magnified, mode="bilinear")
        x, found = F.relu6(self.stem(padded(x, 3)), inplace=True), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taps:
                found.append(patches(x))
        return torch.cat(found, dim=-1)


def patches(maps: Tensor) -> Tensor:
    """``(N, C, H, W)`` to ``(N, 16, C * pixels of a patch)``; sizes that do not fit are resampled."""
    side = max(maps.shape[-1] // SIDE, 1)
    if maps.shape[-2:] != (side * SIDE, side * SIDE):
        maps = F.adaptive_avg_pool2d(maps, side * SIDE)
    return F.pixel_unshuffle(maps, side).flatten(2).transpose(1, 2)
