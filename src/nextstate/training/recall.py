"""Looks at every frame once, so that a stage can learn from what was seen instead of from pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from nextstate.training.precision import autocast
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
) -> dict[str, np.ndarray] | None:
    """What the model recalls of all frames of `source`, ``(rows, ...)``; None if `stop` said so before the end.

    It is kept in memory: a few hundred numbers for each frame, in half precision if that is how they come.

    Args:
        show: told how many of how many frames have been looked at.
    """
    frames = cast(Frames, source)
    count = frames.rows
    found: dict[str, np.ndarray] = {}
    for first in range(0, count, CHUNK):
        if stop():
            return None
        with torch.no_grad(), autocast(device, dtype):
            recalled = model.recall(to_tensors(frames.frames(first, CHUNK), device))
        for name, values in recalled.items():
            kept = values if values.dtype == torch.float16 else values.float()
            array = found.setdefault(name, np.empty((count, *kept.shape[1:]), kept.cpu().numpy().dtype))
            array[first : first + CHUNK] = kept.cpu().numpy()
        show(min(first + CHUNK, count), count)
    return found
