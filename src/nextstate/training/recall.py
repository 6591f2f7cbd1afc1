"""Looks at every frame once, so that a stage can learn from what was seen instead of from pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from nextstate.data.storage import write_json
from nextstate.training.precision import autocast
from nextstate.training.run import Run, minutes_of
from nextstate.training.settings import TrainingSettings
from nextstate.training.team import Team
from nextstate.training.trainable import Batches, Frames, to_tensors

CHUNK = 128
"""Frames looked at together; part of what makes a repeated look give the same bits."""

SHARE = 0.1
"""Most of a run by the clock that this may take."""


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
    rows: range | None = None,
) -> dict[str, np.ndarray] | None:
    """What the model recalls of the frames of `source`, ``(rows, ...)``; None if `stop` said so before the end.

    It is kept in memory: a few hundred numbers for each frame, in half precision if that is how they come.

    Args:
        show: told how many of how many frames have been looked at.
        team: who shares the work; each then has all of it.
        rows: which frames, one after another; by default all. What is seen of a frame is the same to the last bit if
            they begin at a multiple of `CHUNK`.
    """
    frames, team = cast(Frames, source), team or Team()
    begin, count = (0, frames.rows) if rows is None else (rows.start, len(rows))
    found: dict[str, np.ndarray] = {}
    for turn in range(0, count, CHUNK * team.size):
        if any(team.told(float(stop()))):
            return None
        first = turn + CHUNK * team.rank
        # In the last turn nothing may be left for some: they see what shape things have, and add nothing.
        idle = first >= count
        first = 0 if idle else first
        with torch.no_grad(), autocast(device, dtype):
            some = frames.frames(begin + first, min(CHUNK, count - first))
            recalled = model.recall(to_tensors(some, device))
        for name, values in recalled.items():
            kept = values if values.dtype == torch.float16 else values.float()
            array = found.setdefault(name, np.zeros((count, *kept.shape[1:]), kept.cpu().numpy().dtype))
            if not idle:
                array[first : first + CHUNK] = kept.cpu().numpy()
        show(min(turn + CHUNK * team.size, count), count)
    team.gathered(found)
    return found


def chosen_frames(
    model: Recalls,
    source: Batches,
    settings: TrainingSettings,
    run: Run,
    device: torch.device,
    dtype: torch.dtype,
    team: Team,
) -> Frames:
    """What the stages of a run that learn from what was seen learn from.

    By the clock that is as much as can be looked at in `SHARE` of its time on this machine, and at most
    `TrainingSettings.recalled`. How much is noted in the run's folder: one that is gone on with, or repeated, has the
    same, whatever else the machine was busy with.
    """
    frames = cast(Frames, source)
    if settings.steps is not None or not settings.recalled or not hasattr(frames, "within"):
        return frames
    limit = 0
    if team.leads:
        noted = run.recalled if settings.pace_of is None else settings.pace_of / run.recalled.name
        found = _noted(noted)
        if found is None:
            minutes = settings.run_minutes if settings.pace_of is None else minutes_of(settings.pace_of)
            found = round(minutes * settings.recalled)
            if settings.pace_of is None:
                found = min(found, round(60 * minutes * SHARE * team.size * _rate(model, frames, device, dtype)))
        limit = min(max(found, 1), frames.rows)
        write_json(run.recalled, {"frames": limit})
    limit = round(team.told(float(limit))[0])
    return cast(Frames, frames.within(limit)) if limit < frames.rows else frames


def _rate(model: Recalls, frames: Frames, device: torch.device, dtype: torch.dtype) -> float:
    """Frames that can be looked at in a second."""
    took = 0.0
    for _ in range(2):  # The first look may take longer than all others.
        began = time.perf_counter()
        states = to_tensors(frames.frames(0, CHUNK), device)
        with torch.no_grad(), autocast(device, dtype):
            count = next(len(values.cpu()) for values in model.recall(states).values())
        took = time.perf_counter() - began
    return count / max(took, 1e-6)


def _noted(path: Path) -> int | None:
    """Frames that a run looked at; None where none are noted."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
