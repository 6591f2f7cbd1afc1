"""Seeing and drawing: pictures to things with a place, and things back to pictures."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 2
"""Pixels per cell of the grid on which things are outlined."""


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class Eye(nn.Module):
    """Pictures to a soft partition into `things` and to features, both on a grid of half the resolution.

    A small feature pyramid. What is seen is ``(N, C, size, size)`` normalised pictures of all image modalities.

    Args:
        channels: C. things: K masks that sum to one. width: channels on the fine grid; doubled when coarser.
        carried: channels of appearance that things carry along when they move.
    """

    def __init__(self, channels: int, things: int, width: int, carried: int) -> None:
        super().__init__()
        self.fine = conv(channels * CELL**2, width)
        self.middle = conv(width, 2 * width, stride=2)
        self.coarse = conv(2 * width, 3 * width, stride=2)
        self.coarse2 = conv(3 * width, 3 * width)
        self.down_middle = nn.Conv2d(3 * width, 2 * width, 1)
        self.merge_middle = conv(2 * width, 2 * width)
        self.down_fine = nn.Conv2d(2 * width, width, 1)
        self.merge_fine = conv(width, width)
        self.outline = nn.Conv2d(width, things, 1)
        self.carry = nn.Conv2d(width, carried, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Masks ``(N, K, h, w)``, features ``(N, width, h, w)``, carried appearance ``(N, carried, h, w)``."""
        fine = F.silu(self.fine(F.pixel_unshuffle(pictures, CELL)))
        middle = F.silu(self.middle(fine))
        coarse = F.silu(self.coarse(middle))
        coarse = coarse + F.silu(self.coarse2(coarse))
        middle = middle + F.interpolate(self.down_middle(coarse), scale_factor=2.0)
        middle = middle + F.silu(self.merge_middle(middle))
        fine = fine + F.interpolate(self.down_fine(middle), scale_factor=2.0)
        fine = fine + F.silu(self.merge_fine(fine))
        masks = self.outline(fine).float().softmax(dim=1)
        return masks, fine, self.carry(fine)


def grid_coordinates(height: int, width: int, device: torch.device) -> Tensor:
    """Centres of cells ``(h*w, 2)`` as (right, down) in [-1, 1]."""
    down, right = torch.meshgrid(
        (torch.arange(height, device=device) + 0.5) / height * 2 - 1,
        (torch.arange(width, device=device) + 0.5) / width * 2 - 1,
        indexing="ij",
    )
    return torch.stack([right, down], dim=-1).reshape(-1, 2)


def describe(masks: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What each thing is, by averaging over its mask.

    Args:
        masks: ``(N, K, h, w)``. maps: ``(N, C_i, h, w)``.

    Returns:
        places ``(N, K, 2)`` in [-1, 1], areas ``(N, K)`` as shares of the picture, and averages
        ``(N, K, 3 + sum C_i)``: second moments of the outline, then the maps.
    """
    _, _, height, width = masks.shape
    # Squared, since a faint share of the whole table would otherwise hold every place to the middle.
    weights = masks.flatten(2).float().square()
    total = weights.sum(dim=-1, keepdim=True)
    weights = weights / (total + 1e-3)
    xy = grid_coordinates(height, width, masks.device)
    moments = torch.cat([xy, xy**2, xy[:, :1] * xy[:, 1:]], dim=-1)
    pooled = weights @ moments
    places = pooled[..., :2]
    spread = pooled[..., 2:] - torch.cat([places**2, places[..., :1] * places[..., 1:]], dim=-1)
    averages = [torch.einsum("nkp,ncp->nkc", weights, m.flatten(2).float()) for m in maps]
    areas = total[..., 0] / (height * width)
    return places, areas, torch.cat([spread * 20.0, *averages], dim=-1)


def translation(offset: Tensor, length: int) -> Tensor:
    """Matrices ``(..., length, length)`` that shift by `offset` cells with linear interpolation."""
    index = torch.arange(length, device=offset.device, dtype=offset.dtype)
    source = index[:, None] - offset[..., None, None]
    return (1 - (source - index).abs()).clamp_min(0)


class Hand(nn.Module):
    """Draws the pictures of a future: things moved to where they are foreseen, then retouched.

    Each thing's outline and carried appearance are translated from the last real frame, and painted with
    what the thing is foreseen to be; a small convolutional network retouches the sum, fills what was
    uncovered, and decides per pixel how much of the last real frame to keep.

    Args:
        channels: C, channels of all image modalities. state: length of a thing's state vector.
    """

    def __init__(self, channels: int, state: int, carried: int, painted: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.paint = nn.Linear(state, painted)
        self.mix = conv(carried + painted, width)
        self.retouch = conv(width, width)
        self.out = nn.Conv2d(width, (channels + 1) * CELL**2, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, masks: Tensor, carried: Tensor, last: Tensor, shifts: Tensor, states: Tensor) -> Tensor:
        """
        Args:
            masks: ``(B, K, h, w)`` and carried: ``(B, C', h, w)`` of the last real frame.
            last: the last real frame ``(B, C, size, size)``.
            shifts: ``(B, S, K, 2)`` how far each thing has moved, in [-1, 1] units. states: ``(B, S, K, D)``.

        Returns:
            pictures ``(B, S, C, size, size)``.
        """
        batch, things, height, width = masks.shape
        steps, channels = shifts.shape[1], carried.shape[1]
        dtype = carried.dtype
        across = translation(shifts[..., 0] * (width / 2), width).to(dtype)
        down = translation(shifts[..., 1] * (height / 2), height).to(dtype)
        layers = torch.cat([masks.to(dtype)[:, :, None], masks.to(dtype)[:, :, None] * carried[:, None]], dim=2)
        layers = layers.permute(0, 1, 3, 2, 4).reshape(batch, things, height, -1)
        moved = (
            down.transpose(1, 2).reshape(batch * things, steps * height, height)
            @ layers.reshape(batch * things, height, -1)
        ).view(batch, things, steps, height, channels + 1, width)
        moved = moved.permute(0, 2, 1, 3, 4, 5).reshape(batch * steps * things, -1, width)
        moved = moved @ across.transpose(-1, -2).reshape(-1, width, width)
        moved = moved.view(batch * steps, things, height, channels + 1, width)
        outlines = moved[:, :, :, 0].reshape(batch * steps, things, height * width)
        appearance = moved[:, :, :, 1:].sum(dim=1).permute(0, 2, 1, 3)
        paint = self.paint(states).reshape(batch * steps, things, -1).to(dtype)
        painted = (paint.transpose(1, 2) @ outlines).view(batch * steps, -1, height, width)
        drawing = torch.cat([appearance, painted], dim=1).contiguous(memory_format=torch.channels_last)
        drawing = F.silu(self.mix(drawing))
        drawing = drawing + F.silu(self.retouch(drawing))
        full = F.pixel_shuffle(self.out(drawing), CELL).float().view(batch, steps, self.channels + 1, *last.shape[-2:])
        keep = torch.sigmoid(full[:, :, :1] + 2.0)
        return keep * last[:, None] + (1 - keep) * full[:, :, 1:]
