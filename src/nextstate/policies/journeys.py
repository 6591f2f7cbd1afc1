"""Journeys of a whole dataset, drawn from tables of what was seen in each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.data import Windows
from nextstate.models.heads import SEEN, STILL
from nextstate.planning.guide import Guide
from nextstate.planning.journeys import CALM, COUNTS, HOME, LATER, Journey

CARRIED = 0.12
"""Handholds of a thing that differ by more, in standard deviations of an average reading, are two places: to be home is
to be nearer than goals ask for, or one stops short of them."""

CHUNK = 8192
"""Frames that are read together."""


@dataclass(frozen=True)
class Frames:
    """What is seen and felt in each of N frames, in motion and as stills, and ``(N, A)`` what is done there."""

    moving: Mapping[str, Tensor]
    still: Mapping[str, Tensor]
    action: Tensor

    @staticmethod
    def of(windows: Windows) -> Frames:
        """All frames that windows are drawn from."""
        told = {name: torch.from_numpy(np.array(array)) for name, array in windows.arrays.items()}
        moving = {name: values for name, values in told.items() if not name.startswith(STILL)}
        still = moving | {n.removeprefix(STILL): values for n, values in told.items() if n.startswith(STILL)}
        action = torch.from_numpy(np.array(windows.cache.arrays["action"][: len(moving["places"])])).float()
        return Frames(moving, still, action)

    def told(self, guide: Guide) -> Frames:
        """The same with what a guide reads off them."""
        moving, still = dict(self.moving), dict(self.still)
        if guide.handhold is not None:
            still["holds"] = _over(guide.handhold, still)
            same = moving["codes"] is still["codes"]
            moving["holds"] = still["holds"] if same else _over(guide.handhold, moving)
        if guide.posture is not None:
            still["posture"] = _over(guide.posture, still)
        return replace(self, moving=moving, still=still)


@torch.no_grad()
def _over(head: nn.Module, frames: Mapping[str, Tensor]) -> Tensor:
    device = next(head.parameters()).device
    seen = {name: frames[name] for name in ("places", "codes", "gist") if name in frames}
    parts = [
        head({name: values[first : first + CHUNK].to(device) for name, values in seen.items()}).cpu()
        for first in range(0, len(frames["places"]), CHUNK)
    ]
    return torch.cat(parts)


class Journeys:
    """Draws journeys, both ends of each within a window; only the instants that count are gathered.

    Args:
        windows: where journeys begin and end. frames: as of `Frames.told`.
        away: ``(N,)``, as of `steps_since_away`, where one has arrived once things are home; else none.
    """

    def __init__(self, windows: Windows, frames: Frames, away: Tensor | None) -> None:
        self.windows, self.frames, self.away = windows, frames, away

    def draw(self, step: int, size: int, chunk: int) -> Journey:
        """So many journeys with the first `chunk` commands of each, a function of the step."""
        rng = np.random.default_rng([self.windows.seed, 1, step])
        longest = self.windows.length - 1
        apart = rng.integers(0, longest + 1, size)
        first = self.windows.first_rows(step, size) + (rng.random(size) * (longest - apart + 1)).astype(np.int64)
        resting = torch.from_numpy(rng.random(size) < CALM)
        start, end, gap = torch.from_numpy(first), torch.from_numpy(first + apart), torch.from_numpy(apart)
        if self.away is not None:
            back = self.away[end]
            gap = torch.where((back > 0) & (back <= gap), gap - back + 1, 0)
        passed = gap.clamp_max(LATER)
        now, later = self._state(start, resting), self._state(start + passed, resting)
        goal = {name: values[end].float() for name, values in self.frames.still.items()}
        read: dict[str, Tensor] = {name: goal[name] for name in ("codes", "posture", "holds") if name in goal}
        ahead = torch.arange(chunk)
        on_the_way = (ahead < gap[:, None]).float()
        done = self.frames.action[(start[:, None] + ahead).clamp_max(len(self.frames.action) - 1)]
        done = done * on_the_way[..., None]
        return Journey(now, later, goal["places"], goal["there"], read, gap, passed, done, on_the_way)

    def _state(self, rows: Tensor, resting: Tensor) -> dict[str, Tensor]:
        """What is seen then, of some as a still."""
        state = {}
        for name in (name for name in (*SEEN, "holds") if name in self.frames.moving):
            moving, still = self.frames.moving[name], self.frames.still[name]
            state[name] = moving[rows].float()
            if moving is not still:
                chosen = resting.view(-1, *[1] * (moving.dim() - 1))
                state[name] = torch.where(chosen, still[rows].float(), state[name])
        return state


def steps_since_away(frames: Mapping[str, Tensor], first: Tensor, longest: int, guide: Guide) -> Tensor:
    """How many steps before each frame ``(N,)`` things were last elsewhere than they are there; 0 if never.

    Where a body holds things, those count, and are elsewhere where it would hold them otherwise (`CARRIED`); else all
    that matters (`COUNTS`), elsewhere in the picture (`HOME`).

    Args:
        frames: of all episodes, ``(N, ...)``. first: ``(N,)``, row at which the episode of each began.
        longest: steps that are looked back.
    """
    rows, there = torch.arange(len(first)), frames["there"].float()
    if guide.handhold is not None:
        things, felt = guide.handhold.held.cpu() > 0, guide.handhold.feels.cpu() > 0
        where, limit = frames["holds"].float()[:, things][..., felt] / float(felt.sum()) ** 0.5, CARRIED
    else:
        things = guide.matters.cpu() > COUNTS
        where, limit = frames["places"].float()[:, things], HOME
    there = there[:, things]
    found = torch.zeros_like(rows)
    for back in range(longest, 0, -1):
        before = (rows - back).clamp_min(0)
        off = (where - where[before]).norm(dim=-1) * there * there[before]
        found[(off > limit).any(dim=1) & (rows - back >= first)] = back
    return found
