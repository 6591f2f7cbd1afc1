"""Foreseeing in leaps: five steps of the world at once, for planners that imagine many thousand futures.

A step of `Dynamics` lets all things talk to each other, which is what long and rare events need; a planner that tries
300 plans in 30 rounds asks for something smaller. A leap learns, on what a frozen model sees, where five commands in a
row bring things, and carries a memory from leap to leap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import PlanningError
from nextstate.models.dynamics import PACE
from nextstate.models.heads import Head, HeadShape
from nextstate.models.light import MANY
from nextstate.models.protocol import Beliefs, History, States
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel

STRIDE = 5
"""Steps of one leap."""

MEMORY, HIDDEN = 96, 256


class Leap(Head):
    """Where things are, and how the body feels, after every leap."""

    name = "leap"

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.flat = 2 * shape.things + shape.proprio
        known = shape.things * (shape.code + 1) + self.flat
        self.begin = nn.Sequential(nn.Linear(known, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, MEMORY))
        told = MEMORY + self.flat + STRIDE * shape.action
        self.think = nn.Sequential(nn.Linear(told, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU())
        self.conclude = nn.Linear(HIDDEN, self.flat + MEMORY)
        nn.init.zeros_(self.conclude.weight)
        nn.init.zeros_(self.conclude.bias)

    def forward(self, state: Mapping[str, Tensor], there: Tensor, commands: Tensor) -> tuple[Tensor, Tensor]:
        """Places ``(N, S, K, 2)`` and posture ``(N, S, P)``, normalised, after each of S leaps.

        Args:
            state: ``places (N, K, 2)``, ``codes (N, K, Z)`` and ``proprio (N, P)`` where posture is felt.
            there: ``(N, K)``, how much of each thing is seen. commands: ``(N, S, STRIDE * A)``.
        """
        felt = [state["proprio"]] if self.shape.proprio else []
        here = torch.cat([state["places"].flatten(1), *felt], dim=1)
        memory = self.begin(torch.cat([here, state["codes"].flatten(1), there], dim=1))
        found = []
        for command in commands.unbind(1):
            told = self.think(torch.cat([memory, here, command], dim=1))
            news = self.conclude(told).float()
            here, memory = here + PACE * news[:, : self.flat], memory + news[:, self.flat :]
            found.append(here)
        span = torch.stack(found, dim=1)
        places, felt_then = span[..., : 2 * self.shape.things], span[..., 2 * self.shape.things :]
        return places.reshape(*places.shape[:2], self.shape.things, 2), felt_then


def leap_loss(leap: Leap, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Error of as many leaps as fit into windows, places in tenths of half a picture.

    Args:
        batch: what a model recalls of windows, ``(B, T, ...)``, with ``areas`` as ``there``, and ``action``.
    """
    size, length, _ = batch["action"].shape
    count = length // STRIDE
    spare = length - STRIDE * count
    first = int(torch.randint(0, spare + 1, (1,), generator=generator, device=generator.device)) if spare else 0
    commands = batch["action"][:, first : first + STRIDE * count].float().reshape(size, count, -1)
    ends = slice(first + STRIDE, first + STRIDE * count + 1, STRIDE)
    now = {name: batch[name][:, first].float() for name in ("places", "codes", "proprio") if name in batch}
    places, felt = leap(now, batch["there"][:, first].float(), commands)
    weight = batch["there"][:, ends].float() * batch["there"][:, first, None].float()
    gap = F.huber_loss(places / PACE, batch["places"][:, ends].float() / PACE, reduction="none").sum(dim=-1)
    missed = (gap * weight).sum() / weight.sum().clamp_min(1e-6)
    stayed = (batch["places"][:, ends] - batch["places"][:, first, None]).float() / PACE
    still = (F.huber_loss(stayed, torch.zeros_like(stayed), reduction="none").sum(dim=-1) * weight).sum()
    posture = missed.new_zeros(())
    if leap.shape.proprio:
        posture = F.huber_loss(felt / PACE, batch["proprio"][:, ends].float() / PACE)
    return {"loss": missed + posture, "places": missed, "still": still / weight.sum().clamp_min(1e-6), "felt": posture}


class Leaping:
    """A world model that foresees in leaps: its step is five of the world's, its command five commands in a row.

    Implements `observe` and `imagine` of `WorldModel`; it draws nothing.

    Args:
        eye: whose view of the world it starts from. leap: learned on that view.
    """

    state: tuple[str, ...] = ("places", "codes", "proprio")

    def __init__(self, eye: StateModel, leap: Leap) -> None:
        self.eye, self.leap = eye, leap
        size = STRIDE * eye.spec.action_size
        changed = {"action_size": size, "hz": eye.spec.hz / STRIDE, "context": 1, "stochastic": False}
        self.spec = replace(eye.spec, name=f"{eye.spec.name}, leaping", **changed)  # type: ignore[arg-type]
        if not leap.shape.proprio:
            self.state = ("places", "codes")

    def observe(self, history: History) -> Beliefs:
        now = {name: history.states[name][:, -1] for name in self.eye.spec.modalities}
        with torch.no_grad(), self.eye.precision():
            seen = self.eye.recall({name: values.to(self.eye.device) for name, values in now.items()})
        known = {name: seen[name].float() for name in self.state}
        return Beliefs({**known, "there": presence(seen["areas"]).float()})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        """Spans at the ends of leaps; codes stay as they were seen."""
        b = belief.tensors
        with torch.set_grad_enabled(actions.requires_grad), self.eye.precision():
            places, felt = self.leap({name: b[name] for name in self.state}, b["there"], actions)
        span = {"places": places, "proprio": felt} if self.leap.shape.proprio else {"places": places}
        steps = actions.shape[1]
        kept = {name: b[name][:, None].expand(-1, steps, *b[name].shape[1:]) for name in ("codes", "there")}
        return Beliefs({**kept, **span})

    def precision(self, rows: int = MANY) -> AbstractContextManager[object]:
        """That of its eye."""
        return self.eye.precision(rows)

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        """Raises `PlanningError`: it draws nothing."""
        raise PlanningError(f"{self.spec.name} draws nothing; give goals as places.")
