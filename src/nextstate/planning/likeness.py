"""What a lone picture does not tell, such as depth, taken from the present where that looks alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nextstate.errors import PlanningError

SHADE = 64.0
"""Difference of colour, of 255, that weighs as much as a distance of the whole picture's side."""

CHUNK = 512
"""Pixels that are compared with all others at once."""


def filled_in(goal: Mapping[str, Tensor], now: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """The goal with those of `names` that it lacks: of every pixel, what the present has where it is most alike.

    Alike are pixels of the same colour, and of several the nearest: what was moved keeps its height, and what it
    uncovers gets that of the table.

    Args:
        goal, now: modality -> ``(B, h, w, ...)`` and ``(1, h, w, ...)`` in physical units, both with ``rgb``.

    Raises:
        PlanningError: when one of them has no ``rgb``, or another size, or the present lacks what is to be filled in.
    """
    missing = [name for name in names if name not in goal]
    if not missing:
        return dict(goal)
    absent = [name for name in ("rgb", *missing) if name not in now]
    if "rgb" not in goal or absent:
        raise PlanningError(
            f"a goal without {', '.join(missing)} is filled in by its colours: give rgb with it, and all of "
            f"{', '.join(('rgb', *missing))} of the present."
        )
    if goal["rgb"].shape[1:] != now["rgb"].shape[1:]:
        raise PlanningError(
            f"a goal of {tuple(goal['rgb'].shape[1:])} cannot be compared with the present, "
            f"{tuple(now['rgb'].shape[1:])}; "
            "give a picture of this world and size."
        )
    here = _traits(now["rgb"])[0]
    rows = []
    for picture in _traits(goal["rgb"]):
        rows.append(torch.cat([torch.cdist(part, here).argmin(dim=1) for part in picture.split(CHUNK)]))
    source = torch.stack(rows)
    size = tuple(goal["rgb"].shape[:3])
    return {**goal, **{n: now[n][0].flatten(0, 1)[source].view(*size, *now[n].shape[3:]) for n in missing}}


def _traits(pictures: Tensor) -> Tensor:
    """Colour and place of every pixel of ``(B, h, w, 3)``, ``(B, h * w, 5)``."""
    batch, height, width = pictures.shape[:3]
    down, right = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    place = torch.stack([down, right], dim=-1).expand(batch, -1, -1, -1)
    return torch.cat([pictures.float() / SHADE, place], dim=-1).flatten(1, 2)
