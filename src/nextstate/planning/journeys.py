"""Journeys: what a guide learns from. From an instant of an episode to a later one, which shows where to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from nextstate.models.heads import Stretch, draw_stretches, stills
from nextstate.models.posture import posture_loss
from nextstate.planning.guide import Guide
from nextstate.planning.opinions import UNIT

OPTIMISM = 0.3
"""Quantile of the time taken that is learned: recorded policies dawdle, and what is asked is how fast one can be."""

ARRIVED = 0.3
"""Weight of commands after the goal, which should be none, beside those on the way: where bodies alone go anywhere."""

KEPT = 1.0
"""The same where things are brought home, and are to stay there."""


CALM = 0.5
"""Share of windows whose present a guide that looks sees as a still."""

HOME, COUNTS = 0.02, 0.1
"""Gap, in halves of the picture, up to which a thing is where it is wanted; how much one must matter to be asked."""

HURRY, LATER = 0.1, 8
"""By how much, in logarithms, a command counts more for each step that was saved within so many steps of it."""

MOST = 2.0
"""The same, at most; at least minus twice that."""

READING = 0.1
"""Weight of reading posture off goals, beside time and commands."""


def homecoming(batch: Mapping[str, Tensor], drawn: Stretch, matters: Tensor) -> Tensor:
    """Steps ``(B,)`` from the first instant until all that matters (`COUNTS`) is, and stays, where it is at the later.

    Args:
        batch: as of `guide_loss`. matters: ``(K,)``.
    """
    places, there = batch["places"].float(), batch["there"]
    rows, end = torch.arange(len(places), device=places.device), drawn.first + drawn.gap
    off = (places - places[rows, end][:, None]).norm(dim=-1) * there * there[rows, end][:, None]
    time = torch.arange(places.shape[1], device=places.device)
    away = (off[..., matters > COUNTS] > HOME).any(dim=2) & (time >= drawn.first[:, None]) & (time < end[:, None])
    last: Tensor = ((time + 1) * away).amax(dim=1)
    return (last - drawn.first).clamp_min(0)


@dataclass(frozen=True)
class Journey:
    """What a guide is asked of B instants and goals, and what it should have said.

    Args:
        now, later: states ``(B, ...)`` at the instant, and `passed` steps on.
        places, there: ``(B, K, 2)`` and ``(B, K)`` of the goal. read: what the guide reads of it, as of `Guide.read`.
        gap: ``(B,)``, steps that it took. passed: ``(B,)``, steps from now to later.
        done: commands ``(B, chunk, A)``, none after arriving. on_the_way: ``(B, chunk)``, 1 until then.
    """

    now: Mapping[str, Tensor]
    later: Mapping[str, Tensor]
    places: Tensor
    there: Tensor
    read: Mapping[str, Tensor]
    gap: Tensor
    passed: Tensor
    done: Tensor
    on_the_way: Tensor

    def to(self, device: torch.device) -> Journey:
        """The same on a device."""

        def moved(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device)
            return {name: one.to(device) for name, one in value.items()}

        return Journey(**{field.name: moved(getattr(self, field.name)) for field in fields(self)})

    @staticmethod
    def of(guide: Guide, batch: Mapping[str, Tensor], drawn: Stretch) -> Journey:
        """Out of windows ``(B, T, ...)`` and an instant and a later one of each."""
        rows = torch.arange(len(drawn.gap), device=drawn.gap.device)
        passed = drawn.gap.clamp_max(LATER)
        later = {name: batch[name][rows, drawn.first + passed] for name in drawn.now}
        read = guide.read(drawn.places, drawn.looks)
        done, on_the_way = commands_to(batch["action"], drawn, guide.shape.chunk)
        return Journey(drawn.now, later, drawn.places, drawn.there, read, drawn.gap, passed, done, on_the_way)


def guide_loss(guide: Guide, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Two instants of each window: how long from one to the other, and what was done first.

    Args:
        batch: what a model recalls of windows, ``(B, T, ...)``, with ``areas`` as ``there``, and ``action``.
    """
    drawn = draw_stretches(batch, generator, 0, batch["action"].shape[1], still=True, calm=CALM if guide.calm else 0.0)
    if guide.brings:
        drawn = replace(drawn, gap=homecoming(batch, drawn, guide.matters))
    losses = journey_loss(guide, Journey.of(guide, batch, drawn), generator)
    if guide.posture is not None:
        reading = posture_loss(guide.posture, stills(batch), generator)
        losses |= {"loss": losses["loss"] + READING * reading["loss"], "posture": reading["numbers"]}
    return losses


def journey_loss(guide: Guide, journey: Journey, generator: torch.Generator) -> dict[str, Tensor]:
    """How far a guide is from what journeys took, and from what was done first.

    For a guide that looks, commands that saved time, as the guide itself sees it a little later, count more than those
    that wasted it (weighted goal-conditioned supervised learning, Yang et al. 2022, https://arxiv.org/abs/2202.04478).
    """
    member = None
    if guide.training and guide.shape.members > 1:
        member = int(torch.randint(guide.shape.members, (1,), generator=generator, device=generator.device))
    steps, commands = guide(journey.now, journey.places, journey.there, journey.read, member)
    short = (journey.gap - steps) / UNIT
    timing = torch.maximum(OPTIMISM * short, (OPTIMISM - 1) * short).mean()
    counts = worth(guide, journey, steps, member) if guide.calm else None
    arrived = KEPT if guide.brings else ARRIVED
    missed = commands_missed(commands, journey.done, journey.on_the_way, counts, arrived)
    return {"loss": timing + missed, "timing": timing, "commands": missed}


@torch.no_grad()
def worth(guide: Guide, journey: Journey, steps: Tensor, member: int | None = None) -> Tensor:
    """How much what was done in each journey counts, ``(B,)``: by the time that it saved within `LATER` steps.

    Args:
        steps: that it takes from the first instant, in the guide's opinion. member: whose.
    """
    left = guide(journey.later, journey.places, journey.there, journey.read, member)[0]
    saved: Tensor = steps - left * (journey.passed < journey.gap) - journey.passed
    return (HURRY * saved).clamp(-2 * MOST, MOST).exp()


def commands_missed(
    commands: Tensor, done: Tensor, on_the_way: Tensor, worth: Tensor | None = None, arrived: float = ARRIVED
) -> Tensor:
    """Squared error of commands ``(B, chunk, A)`` from what was done until the goal, and from none after it.

    Args:
        done, on_the_way: as of `commands_to`. worth: ``(B,)``, how much each row counts; all alike by default.
        arrived: weight of commands after the goal.
    """
    weight = on_the_way + arrived * (1 - on_the_way)
    if worth is not None:
        weight = weight * worth[:, None]
    return ((commands - done).square().mean(dim=2) * weight).sum() / weight.sum()


def commands_to(action: Tensor, drawn: Stretch, chunk: int) -> tuple[Tensor, Tensor]:
    """What was done from an instant on, ``(B, chunk, A)``, none once arrived; and which steps were on the way."""
    rows = torch.arange(len(drawn.first), device=action.device)[:, None]
    ahead = torch.arange(chunk, device=action.device)
    done = action[rows, (drawn.first[:, None] + ahead).clamp_max(action.shape[1] - 1)].float()
    on_the_way = (ahead < drawn.gap[:, None]).float()
    return done * on_the_way[..., None], on_the_way
