"""The small network that reads outcomes and events out of a state."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FAINT = 1e-3
"""Spread of a feature, in squares of half the picture, below which it has no shape to speak of."""


class SpatialSoftArgmax(nn.Module):
    """Where each of `points` learned features is, and how clearly: ``(B, C, H, W)`` to ``(B, 3 points)``.

    The expected position under a softmax resolves fractions of a pixel (Finn et al. 2016, deep spatial autoencoders).

    Args:
        shapes: whether to tell how elongated each is, too, and which way: ``(B, 5 points)``. What second moments say,
            cosine and sine of twice an angle, is how a thing is turned.
    """

    def __init__(self, channels: int, points: int, shapes: bool = False) -> None:
        super().__init__()
        self.shapes = shapes
        self.maps = nn.Conv2d(channels, points, 1)
        self.sharpness = nn.Parameter(torch.tensor(6.0))

    def forward(self, features: Tensor) -> Tensor:
        maps = self.maps(features)
        height, width = maps.shape[-2:]
        weight = (maps.flatten(2) * self.sharpness).softmax(dim=-1)
        y = torch.linspace(-1, 1, height, device=maps.device).repeat_interleave(width)
        x = torch.linspace(-1, 1, width, device=maps.device).repeat(height)
        expected = weight @ torch.stack([x, y], dim=1)
        told = [expected.flatten(1), torch.tanh(maps.flatten(2).amax(dim=2) / 4)]
        if self.shapes:
            squares = weight @ torch.stack([x * x, y * y, x * y], dim=1)
            spread = squares[..., :2] - expected.square()
            across = squares[..., 2] - expected[..., 0] * expected[..., 1]
            whole = spread.sum(dim=2) + FAINT
            told += [(spread[..., 0] - spread[..., 1]) / whole, 2 * across / whole]
        return torch.cat(told, dim=1)


class ReadoutNetwork(nn.Module):
    """Pictures ``(B, C, H, W)`` and vectors ``(B, V)``, both normalised, to outcomes, event and contact logits.

    Args:
        channels, vector: C and V. outcomes, events: how many of each to read.
        patch: pixels that are folded into channels first, so that 64 and 128 px cost alike.
        shapes: whether it sees which way things are turned.
    """

    def __init__(
        self,
        channels: int,
        vector: int,
        outcomes: int,
        events: int,
        patch: int = 2,
        width: int = 24,
        shapes: bool = True,
    ) -> None:
        super().__init__()
        self.patch, self.shapes = patch, shapes
        self.register_buffer("middle_colour", torch.zeros(channels))
        self.register_buffer("whitening", torch.eye(channels))
        # At full resolution only the colours near each pixel are looked at: that is where the time goes.
        self.fine = nn.Sequential(
            nn.Conv2d(channels * patch * patch, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, width, 1), nn.SiLU()
        )
        self.middle = nn.Sequential(_block(width, 2 * width, stride=2), _block(2 * width, 2 * width))
        self.coarse = nn.Sequential(_block(2 * width, 2 * width, stride=2), nn.Conv2d(2 * width, 16, 1))
        self.fine_points = SpatialSoftArgmax(width, 32, shapes)
        self.middle_points = SpatialSoftArgmax(2 * width, 16, shapes)
        self.seen = nn.Sequential(nn.LazyLinear(256), nn.SiLU())
        self.contact = nn.Linear(256, 1)
        # Few numbers that tell much: without an entrance of their own they drown among what is seen.
        self.feel = nn.Sequential(nn.Linear(vector, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.mix = nn.Sequential(nn.Linear(256 + 64, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU())
        self.forget = nn.Dropout(0.25)
        self.place = nn.Linear((5 if shapes else 3) * (32 + 16), outcomes)
        self.gate = nn.Linear(256, outcomes)
        self.remainder = nn.Linear(256, outcomes)
        self.events = nn.Linear(256, events)

    middle_colour: Tensor
    whitening: Tensor

    def whiten(self, pictures: Tensor) -> None:
        """From now on sees channels uncorrelated and of unit scale: hue varies less than brightness, but tells more.

        Args:
            pictures: a sample, ``(B, C, H, W)`` normalised.
        """
        values = pictures.movedim(1, -1).reshape(-1, pictures.shape[1]).double()
        self.middle_colour.copy_(values.mean(dim=0))
        variance, axes = torch.linalg.eigh(torch.cov(values.T).reshape(len(self.whitening), -1))
        self.whitening.copy_((axes / (variance.clamp_min(0) + 1e-3).sqrt()).T)

    def forward(self, pictures: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outcomes ``(B, D)``, event logits ``(B, E)``, and the logit of contact from pictures alone ``(B,)``."""
        shift = -(self.whitening @ self.middle_colour)
        white = functional.conv2d(pictures, self.whitening[:, :, None, None], shift)
        fine = self.fine(functional.pixel_unshuffle(white, self.patch))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        # From here on in full precision: half would round positions to a fraction of a centimetre.
        with torch.autocast(pictures.device.type, enabled=False):
            points = torch.cat([self.fine_points(fine.float()), self.middle_points(middle.float())], dim=1)
            seen = self.seen(torch.cat([points, coarse.float().flatten(1)], dim=1))
            mixed = self.mix(torch.cat([self.forget(seen), self.feel(vectors)], dim=1))
            # What is linear in positions keeps their precision; the gate switches it off for what is absent.
            outcomes = torch.sigmoid(self.gate(mixed)) * self.place(points) + self.remainder(mixed)
            return outcomes, self.events(mixed), self.contact(seen)[:, 0]


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(4, outputs), nn.SiLU())
