"""Posture seen: what a body feels, read off a picture of it.

A goal is shown in pictures, and where the body belongs to it, the body has to be brought into the posture that is seen
there. Places of its parts say so only roughly; what a body feels of itself is exact, and so is what is foreseen of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import PlanningError
from nextstate.modalities import Modality
from nextstate.models.heads import Head, HeadShape

HIDDEN = 256

PICTURED = ("places", "codes", "gist")
"""What an eye sees in a picture."""

SHARP = 0.02
"""Error, in radians or standard deviations, below which it is squared."""

APART = 4
"""Frames of a window that are learned from lie so far apart: neighbours look alike."""

SHOWS = 0.9
"""Share of the variance of a reading that pictures must explain for it to count; speeds do not show in a picture."""

ROUNDER = 0.8
"""Angles are read where that misses by less than so much of what a plain number misses by."""


class Posture(Head):
    """Reads posture as numbers and as angles, and keeps for each joint what is read better.

    Joints that go round and round look the same after every turn, so a number cannot be read, and an angle can.
    """

    name = "posture"
    gisted = True

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        if not shape.proprio:
            raise PlanningError("this model feels no posture (proprio), so none can be read off pictures.")
        size = shape.things * (2 + shape.code) + shape.gist
        self.think = nn.Sequential(nn.Linear(size, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU())
        self.tell = nn.Linear(HIDDEN, 3 * shape.proprio)
        for name, length, value in (
            ("middle", size, 0.0), ("spread", size, 1.0), ("mean", shape.proprio, 0.0), ("std", shape.proprio, 1.0),
            ("turns", shape.proprio, 0.0), ("shows", shape.proprio, 0.0),
        ):  # fmt: skip
            self.register_buffer(name, torch.full((length,), value))

    middle: Tensor
    spread: Tensor
    mean: Tensor
    std: Tensor

    turns: Tensor
    """``(P,)``, 1 for what is read as an angle."""

    shows: Tensor
    """``(P,)`` up to 1, share of the variance of each reading that pictures explain."""

    @property
    def matters(self) -> Tensor:
        """``(P,)``, 1 for readings that show in pictures; raises `PlanningError` where none does."""
        weight = (self.shows > SHOWS).float()
        if not bool(weight.any()):
            raise PlanningError("no posture can be read off this model's pictures; lead plans another way (--goal).")
        return weight

    def forward(self, state: Mapping[str, Tensor]) -> Tensor:
        """Sine, cosine and number, normalised, of each reading: ``(N, 3, P)``.

        Args:
            state: what an eye sees in pictures, ``places (N, K, 2)``, ``codes (N, K, Z)`` and ``gist (N, ...)``.
        """
        seen = torch.cat([state[name].flatten(1) for name in PICTURED], dim=1).float()
        # Half a degree is finer than half precision.
        with torch.autocast(seen.device.type, enabled=False):
            told: Tensor = self.tell(self.think((seen - self.middle) / self.spread))
        return told.view(-1, 3, self.shape.proprio)

    def gap(self, felt: Tensor, told: Tensor) -> Tensor:
        """How far posture ``(..., P)``, normalised, is from what was read ``(..., 3, P)``, the shorter way round."""
        sine, cosine, number = told.unbind(dim=-2)
        raw = felt * self.std + self.mean
        angle = torch.remainder(torch.atan2(sine, cosine) - raw + math.pi, 2 * math.pi) - math.pi
        return torch.where(self.turns > 0.5, angle / self.std, number - felt)

    @torch.no_grad()
    def fit(self, batch: Mapping[str, Tensor], kind: Modality) -> None:
        """Scales of what is seen, and units of what is felt.

        Args:
            batch: as of `posture_loss`. kind: how posture was normalised.
        """
        flat = _frames(batch)
        seen = torch.cat([flat[name].flatten(1) for name in PICTURED], dim=1)
        self.middle.copy_(seen.mean(dim=0))
        self.spread.copy_(seen.std(dim=0) + 1e-3)
        still = torch.zeros(1, self.shape.proprio)
        self.mean.copy_(kind.denormalise(still)[0])
        self.std.copy_(kind.denormalise(still + 1)[0] - self.mean)

    @torch.no_grad()
    def judge(self, batch: Mapping[str, Tensor]) -> None:
        """Which readings are angles, and which show in pictures, on episodes held out."""
        flat = _frames(batch)
        told, missed = self(flat), []
        for turns in (0.0, 1.0):
            self.turns.fill_(turns)
            missed.append((self.gap(flat["proprio"], told) * self.std).square().mean(dim=0))
        number, angle = missed
        varied = (flat["proprio"] * self.std).var(dim=0)
        self.turns.copy_((angle < ROUNDER**2 * number).float())
        # An angle guessed at random misses by this much.
        guessed = torch.where(self.turns > 0.5, varied.clamp_max(math.pi**2 / 3), varied)
        self.shows.copy_(1 - torch.where(self.turns > 0.5, angle, number) / guessed.clamp_min(1e-12))


def posture_loss(head: Posture, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Errors of angles and of numbers in frames of windows.

    Of each the logarithm is lowered, so it counts in units of what it comes to (as with the uncertainties of Kendall et
    al. 2018, https://arxiv.org/abs/1705.07115): what does not show in pictures does not drown what does.

    Args:
        batch: what a model recalls of windows, ``(B, T, ...)``.
    """
    length = batch["proprio"].shape[1]
    first = int(torch.randint(0, min(APART, length), (1,), generator=generator, device=generator.device))
    flat = _frames({name: values[:, first::APART] for name, values in batch.items()})
    felt = flat["proprio"]
    raw = felt * head.std + head.mean
    wanted = torch.stack([raw.sin(), raw.cos(), felt], dim=1)
    missed = F.smooth_l1_loss(head(flat), wanted, beta=SHARP, reduction="none").mean(dim=0)
    loss = missed.clamp_min(1e-6).log().mean()
    return {"loss": loss, "angles": missed[:2].mean(), "numbers": missed[2].mean()}


def _frames(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: batch[name].float().flatten(0, 1) for name in (*PICTURED, "proprio")}
