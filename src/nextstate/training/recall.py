"""Looks at every frame once, so that a stage can learn from what was seen instead of from pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from nextstate.training.precision import autocast
from nextstate.training.team import Team
from nextstate.training.trainable import Batches, Frames, to_tensors

CHUNK = 128
"""Frames looked at together; part of what makes a repeated look give the same bits."""


class Recalls(Protocol):
    """Whatever makes something of single frames."""

    def recall(self, states: Mapping[str, Tensor], /) -> Mapping[str, Tensor]: ...


def recall(
    model: Recalls,
    source: Batches,
    device: torch.device,
    dtype: torch.dtype,
    stop: Callable[[], bool],
    show: Callable[[int, int], None],
    team: Team | None = None,
) -> dict[str, np.ndarray] | None:
    """What the model recalls of all frames of `source`, ``(rows, ...)``; None if `stop` said so before the end.

    It is kept in memory: a few hundred numbers for each frame, in half precision if that is how they come.

    Args:
        show: told how many of how many frames have been looked at.
        team: who shares the work; each then has all of it.
    """
    frames, team = cast(Frames, source), team or Team()
    count = frames.rows
    found: dict[str, np.ndarray] = {}
    for turn in range(0, count, CHUNK * team.size):
        if any(team.told(float(stop()))):
            return None
        first = turn + CHUNK * team.rank
        # In the last turn nothing may be left for some: they see what shape things have, and add nothing.
        idle = first >= count
        first = 0 if idle else first
        with torch.no_grad(), autocast(device, dtype):
            recalled = model.recall(to_tensors(frames.frames(first, CHUNK), device))
        for name, values in recalled.items():
            kept = values if values.dtype == torch.float16 else values.float()
            array = found.setdefault(name, np.zeros((count, *kept.shape[1:]), kept.cpu().numpy().dtype))
            if not idle:
                array[first : first + CHUNK] = kept.cpu().numpy()
        show(min(turn + CHUNK * team.size, count), count)
    team.gathered(found)
    return found
