"""Seeing and drawing: pictures to things with a place, and things back to pictures."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 2
"""Pixels per cell of the grid on which things are outlined."""

CANVAS = 8
"""Cells along a side of the coarse picture that is drawn from the gist."""

PRESENT = 400.0
"""A thing counts wholly from a 400th of the picture on."""

SHAPED, PATCH = 8, 16
"""Channels, and cells along a side, of the shape that is painted of a thing."""


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
    averages = [torch.bmm(weights.to(m.dtype), m.flatten(2).transpose(1, 2)).float() for m in maps]
    areas = total[..., 0] / (height * width)
    return places, areas, torch.cat([spread * 20.0, *averages], dim=-1)


def presence(areas: Tensor) -> Tensor:
    """How much there is of each thing, from 0 to 1, by its share of the picture."""
    return (areas * PRESENT).clamp_max(1)


def translation(offset: Tensor, length: int) -> Tensor:
    """Matrices ``(..., length, length)`` that shift by `offset` cells with linear interpolation."""
    index = torch.arange(length, device=offset.device, dtype=offset.dtype)
    source = index[:, None] - offset[..., None, None]
    return (1 - (source - index).abs()).clamp_min(0)


def stamp(patches: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """The sum of small pictures, each put with its middle where it belongs, by linear interpolation.

    Args:
        patches: ``(N, K, C, p, p)``. places: ``(N, K, 2)`` in [-1, 1].

    Returns:
        ``(N, C, height, width)``.
    """
    frames, things, channels, side, _ = patches.shape
    down, across = (
        placing((places[..., axis] + 1) / 2 * length - 0.5, side, length).to(patches.dtype)
        for axis, length in ((1, height), (0, width))
    )
    rows = down.flatten(0, 1) @ patches.transpose(2, 3).reshape(frames * things, side, channels * side)
    rows = rows.view(frames, things, height, channels, side).permute(0, 3, 2, 1, 4)
    # The product over columns adds up all things at once.
    columns = across.transpose(2, 3).reshape(frames, things * side, width)
    return (rows.reshape(frames, channels * height, -1) @ columns).view(frames, channels, height, width)


def place_each(patches: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """Like `stamp` for patches ``(N, K, p, p)`` of one channel, but each in a picture of its own, ``(N, K, h, w)``."""
    side = patches.shape[-1]
    down, across = (
        placing((places[..., axis] + 1) / 2 * length - 0.5, side, length) for axis, length in ((1, height), (0, width))
    )
    return down.to(patches.dtype) @ patches @ across.to(patches.dtype).transpose(-1, -2)


def placing(centre: Tensor, side: int, length: int) -> Tensor:
    """Matrices ``(..., length, side)`` that put `side` cells into `length`, their middle at cell `centre`."""
    cells = torch.arange(length, device=centre.device, dtype=centre.dtype)
    own = torch.arange(side, device=centre.device, dtype=centre.dtype) - (side - 1) / 2
    return (1 - (cells[:, None] - centre[..., None, None] - own).abs()).clamp_min(0)


class Hand(nn.Module):
    """Draws the pictures of a future: things moved to where they are foreseen, then retouched.

    Each thing's outline and appearance, real pixels among it, are carried along from the last real frame, nearer
    things over farther ones. What a thing is then foreseen to be is painted where it is and where it was, and in the
    shape that it will have, turned or spread as it may be, that too in the colour that it really had; the gist is
    painted coarsely all over. From these a small convolutional network makes new pixels, and says for each whether to
    take it, to keep the last real one, to take the one carried there or the thing's own colour, or to fill in what
    surrounds the things that left. (A gate that starts out keeping most would close at once and nothing would be
    learned.)

    Args:
        channels: C, channels of all image modalities. code: length of a thing's code. gist: length of the gist.
        carried, painted: learned channels that are carried along and painted. width: of the network.
    """

    def __init__(self, channels: int, code: int, gist: int, carried: int, painted: int, width: int) -> None:
        super().__init__()
        self.channels, self.painted = channels, painted
        self.nearness = nn.Linear(code, 1)
        self.paint = nn.Linear(code, 2 * painted)
        self.shape = nn.Sequential(nn.Linear(code, 64), nn.SiLU(), nn.Linear(64, (SHAPED + 1) * PATCH**2))
        self.canvas = nn.Linear(gist, painted * CANVAS**2)
        self.before = nn.Conv2d(channels * CELL**2, 8, 1)
        self.mix = conv(2 * channels + carried + 3 * painted + SHAPED + 9, width)
        self.retouch = conv(width, width)
        self.out = nn.Conv2d(width, (5 + channels) * CELL**2, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, scene: dict[str, Tensor], places: Tensor, codes: Tensor, gist: Tensor) -> Tensor:
        """
        Args:
            scene: of the last real frame: ``masks (B, K, h, w)``, ``carried (B, C', h, w)`` and the frame itself,
                ``last (B, C, size, size)``; and ``from (B, K, 2)``, where things were in it.
            places: ``(B, S, K, 2)`` where each thing is, in [-1, 1]. codes: ``(B, S, K, Z)``. gist: ``(B, S, G)``.

        Returns:
            pictures ``(B, S, C, size, size)``.
        """
        last, kind = scene["last"], scene["carried"].dtype
        shifts = places - scene["from"][:, None]
        batch, things, height, width = scene["masks"].shape
        steps, frames = shifts.shape[1], shifts.shape[0] * shifts.shape[1]
        masks = scene["masks"].to(kind)
        appearance = torch.cat([F.avg_pool2d(last, CELL).to(kind), scene["carried"]], dim=1)
        nearness = self.nearness(codes).float().flatten(0, 1).exp()
        outlines, carried = carry(masks, appearance, shifts, nearness)
        here, there = self.paint(codes).reshape(frames, things, -1).transpose(1, 2).split(self.painted, dim=1)
        was = masks.flatten(2)[:, None].expand(-1, steps, -1, -1).reshape(frames, things, -1)
        before = self.before(F.pixel_unshuffle(last.to(kind), CELL))
        canvas = self.canvas(gist).reshape(frames, self.painted, CANVAS, CANVAS)
        patches = self.shape(codes).view(frames, things, SHAPED + 1, PATCH, PATCH)
        silhouettes = place_each((patches[:, :, SHAPED].float() - 1).sigmoid(), places.flatten(0, 1), height, width)
        dyed, covered = dye(last, masks.float(), silhouettes)
        drawing = torch.cat(
            [
                carried,
                stamp(patches[:, :, :SHAPED], places.flatten(0, 1), height, width),
                (here @ outlines.to(here.dtype)).view(frames, -1, height, width),
                (there @ was.to(there.dtype)).view(frames, -1, height, width),
                F.interpolate(canvas, size=(height, width), mode="bilinear"),
                before[:, None].expand(-1, steps, -1, -1, -1).flatten(0, 1),
                dyed.to(kind),
                covered.to(kind),
            ],
            dim=1,
        ).contiguous(memory_format=torch.channels_last)
        drawing = F.silu(self.mix(drawing))
        drawing = drawing + F.silu(self.retouch(drawing))
        full = F.pixel_shuffle(self.out(drawing), CELL).float().view(batch, steps, -1, *last.shape[2:])
        gates = full[:, :, :5].softmax(dim=2)
        left = (was - outlines).clamp_min(0).sum(dim=1).view(batch, steps, 1, height, width)
        moved = F.interpolate(carried[:, : self.channels].float(), scale_factor=float(CELL)).view_as(full[:, :, 5:])
        own = F.interpolate(dyed, scale_factor=float(CELL)).view_as(moved)
        sources = (last[:, None], surroundings(last, left), moved, own, full[:, :, 5:])
        return sum(gates[:, :, i : i + 1] * source for i, source in enumerate(sources))  # type: ignore[return-value]


def carry(masks: Tensor, appearance: Tensor, shifts: Tensor, nearness: Tensor) -> tuple[Tensor, Tensor]:
    """Each thing shifted by itself, nearer ones over farther ones.

    Args:
        masks: ``(B, K, h, w)``. appearance: ``(B, C', h, w)``. shifts: ``(B, S, K, 2)`` in [-1, 1] units.
        nearness: ``(B*S, K, 1)``, positive: a thing's weight where it meets others.

    Returns:
        outlines ``(B*S, K, h*w)`` and what is seen where something is, ``(B*S, C', h, w)``, else zero.
    """
    batch, things, height, width = masks.shape
    steps, channels = shifts.shape[1], appearance.shape[1]
    across = translation(shifts[..., 0] * (width / 2), width).to(masks.dtype)
    down = translation(shifts[..., 1] * (height / 2), height).to(masks.dtype)
    layers = torch.cat([masks[:, :, None], masks[:, :, None] * appearance[:, None]], dim=2)
    layers = layers.permute(0, 1, 3, 2, 4).reshape(batch * things, height, -1)
    moved = down.transpose(1, 2).reshape(batch * things, steps * height, height) @ layers
    moved = moved.view(batch, things, steps, height, -1).transpose(1, 2).reshape(batch * steps * things, -1, width)
    moved = moved @ across.transpose(-1, -2).reshape(-1, width, width)
    # The sum over things, nearer ones weighing more, is one small product for each frame.
    total = nearness.transpose(1, 2).to(masks.dtype) @ moved.view(batch * steps, things, -1)
    total = total.view(batch * steps, height, channels + 1, width).transpose(1, 2)
    outlines = moved.view(batch * steps, things, height, channels + 1, width)[:, :, :, 0]
    return outlines.reshape(batch * steps, things, -1), total[:, 1:] / (total[:, :1] + 1e-2)


def dye(last: Tensor, masks: Tensor, silhouettes: Tensor) -> tuple[Tensor, Tensor]:
    """Silhouettes in the mean colours that things had in the last real frame: a puddle is as blue as the bottle was.

    Args:
        last: ``(B, C, size, size)``. masks: ``(B, K, h, w)`` in it. silhouettes: ``(B*S, K, h, w)`` from 0 to 1.

    Returns:
        colours ``(B*S, C, h, w)``, zero where nothing is, and how much is there, ``(B*S, 1, h, w)``.
    """
    weights = masks.flatten(2).square()
    weights = weights / (weights.sum(dim=2, keepdim=True) + 1e-3)
    colours = weights @ F.avg_pool2d(last, CELL).flatten(2).transpose(1, 2)
    colours = colours.transpose(1, 2).repeat_interleave(len(silhouettes) // len(last), dim=0)
    covered = silhouettes.sum(dim=1, keepdim=True)
    dyed = (colours @ silhouettes.flatten(2)).view(len(silhouettes), -1, *covered.shape[2:])
    return dyed / (covered + 0.05), covered


def surroundings(last: Tensor, left: Tensor) -> Tensor:
    """What is seen around the places that things have left, everywhere, blurred.

    Args:
        last: ``(B, C, size, size)``. left: ``(B, S, 1, h, w)``, share of each cell that things have left.

    Returns:
        ``(B, S, C, size, size)``.
    """
    batch, steps = left.shape[:2]
    weight = (1 - F.max_pool2d(left.flatten(0, 1).float(), 2)).clamp_min(0) ** 4 + 1e-3
    scale = last.shape[-1] // weight.shape[-1]
    low = F.avg_pool2d(last, scale)[:, None].expand(-1, steps, -1, -1, -1).flatten(0, 1)
    around = F.avg_pool2d(torch.cat([low * weight, weight], dim=1), 5, 1, 2)
    fill = F.interpolate(around[:, :-1] / around[:, -1:], scale_factor=float(scale))
    return fill.view(batch, steps, *last.shape[1:])
