"""Handholds: where a thing is, told as the posture in which the body would hold it.

Where a thing is in a picture does not say how to get at it: that takes depth, a camera's pose and the lengths of an
arm, all of which the body knows without being told. Whenever it holds something, it feels where that thing is; and a
thing that has rested since, or will rest until then, is there already. So a picture can be read in the body's own
terms, and nobody has to say where anything is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.heads import Head, HeadShape

HIDDEN = 256

OFFSETS = 4
"""Numbers that say of each reading of a posture how far it is from another."""

SEES = ("places", "codes")
"""What it looks at."""

AROUND = 2
"""Steps before and after an instant between which a thing that is held moves, and all of which the skin feels."""

FIRST, MOVES = 0.08, 0.06
"""How far a thing moves meanwhile, in halves of the picture, while the body's place in the picture is not known yet,
and once it is."""

AT, RESTS = 0.05, 0.04
"""How far at most what is held is from where the body is seen to be, and a thing that rests from where it was held."""

PRESSED = 0.02
"""Reading of the skin, normalised, above its least, from which on it touches something."""

SEEN = 0.5
"""Presence from which on a thing can be said to be somewhere."""

ROUNDS, TRUSTED = 8, 2.0
"""Rounds in which the body's place in the picture is fitted, and medians beyond which something else was moved."""

FEWEST = 200
"""Instants, at least, in which something is held for handholds to be learned."""


class Handhold(Head):
    """Reads of each thing in a picture the posture in which the body would hold it."""

    name = "handhold"

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        size = shape.things * (2 + shape.code)
        layers: list[nn.Module] = [nn.Linear(size, HIDDEN), nn.SiLU()]
        for _ in range(2):
            layers += [nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
        self.think = nn.Sequential(*layers, nn.Linear(HIDDEN, shape.things * shape.proprio))
        self.register_buffer("middle", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("held", torch.zeros(shape.things))
        self.register_buffer("feels", torch.ones(shape.proprio))

    middle: Tensor
    spread: Tensor

    held: Tensor
    """``(K,)``, 1 for things that were held now and then; of others nothing is known."""

    feels: Tensor
    """``(P,)``, 1 for readings that tell a posture, 0 for those that tell a speed."""

    def forward(self, state: Mapping[str, Tensor]) -> Tensor:
        """Posture ``(N, K, P)``, normalised, in which the body would hold each thing.

        Args:
            state: ``places (N, K, 2)`` and ``codes (N, K, Z)``.
        """
        seen = self._seen(state)
        # Millimetres are finer than half precision.
        with torch.autocast(seen.device.type, enabled=False):
            told: Tensor = self.think((seen - self.middle) / self.spread)
        return told.view(-1, self.shape.things, self.shape.proprio)

    def _seen(self, state: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([state[name].float().flatten(1) for name in SEES], dim=1)

    @property
    def which(self) -> Tensor:
        """``(H,)``, the things that were held now and then, in order."""
        return self.held.topk(self.shape.holds).indices.sort().values

    def offsets(self, now: Tensor, proprio: Tensor, wanted: Tensor) -> Tensor:
        """How far the body is from holding each thing, and each thing from where it is wanted: ``(N, H, 4P)``.

        Args:
            now, wanted: postures ``(N, H, P)`` as of `forward`, of `which`. proprio: ``(N, P)``, normalised.
        """
        both = torch.cat([(now - proprio[:, None]) * self.feels, (wanted - now) * self.feels], dim=2)
        # Coarse for the way there, fine for the last few millimetres.
        return torch.cat([0.5 * both.clamp(-8, 8), (3 * both).clamp(-4, 4)], dim=2)

    @torch.no_grad()
    def fit(self, some: Mapping[str, Tensor], held: Tensor, speeds: Tensor) -> None:
        """Scales of what is seen, and what there is to be known.

        Args:
            some: frames ``(N, ...)``. held: ``(K,)`` bool. speeds: ``(P,)`` bool, readings that tell no posture.
        """
        seen = self._seen(some)
        self.middle.copy_(seen.mean(dim=0))
        self.spread.copy_(seen.std(dim=0) + 1e-3)
        self.held.copy_(held.float())
        self.feels.copy_((~speeds).float())


def handhold_loss(head: Handhold, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How far postures are from those in which things were held, where that is known.

    Absolute errors: now and then something else was held, and what most instants say is to count.

    Args:
        batch: frames, ``places``, ``codes``; ``hold (N, K, P)``, posture in which each thing was held, and
            ``known (N, K)``, whether it was.
    """
    known = batch["known"].float()[..., None] * head.feels
    missed = ((head(batch) - batch["hold"].float()).abs() * known).sum() / known.sum().clamp_min(1)
    return {"loss": missed}


def touched(skin: Tensor) -> Tensor:
    """Whether the skin feels anything, ``(...)``, of readings ``(..., S)``, among which each feels nothing once."""
    found: Tensor = (skin - skin.flatten(0, -2).amin(dim=0) > PRESSED).any(dim=-1)
    return found


@torch.no_grad()
def holdings(
    seen: Mapping[str, Tensor], starts: Tensor, lengths: Tensor, things: Tensor, speeds: Tensor
) -> Tensor | None:
    """Of each thing in each frame, the frame ``(N, K)`` in which it was held where it is then; -1 where none is known.

    A thing is held when it moves while the skin feels something, and is seen where the body is. Where that is, a
    polynomial of the posture tells, fitted to what moves in touch: of several things one is held, and the rest does not
    fit. Held or put down once, a thing was there before and is there later, as long as it rests.

    Args:
        seen: frames of all episodes, ``places (N, K, 2)``, ``there (N, K)``, ``touch (N, ...)``, ``proprio (N, P)``.
        starts, lengths: ``(E,)``, first frame and number of frames of each episode.
        things: ``(K,)`` bool, which may be held. speeds: as of `Handhold.fit`.

    Returns:
        nothing where hardly anything is ever held.
    """
    time = torch.arange(int(lengths.max()))
    rows = starts[:, None] + torch.minimum(time, lengths[:, None] - 1)
    places = seen["places"].float()[rows]
    there = (seen["there"].float()[rows] > SEEN) & things
    felt = touched(seen["touch"].float().flatten(1))[rows]
    before, after = (time - AROUND).clamp_min(0), (time + AROUND).clamp_max(len(time) - 1)
    moved = (places[:, after] - places[:, before]).norm(dim=3)
    holding = (felt & felt[:, before] & felt[:, after])[..., None] & there
    body = _body(_polynomial(seen["proprio"].float()[:, ~speeds])[rows], places, holding & (moved > FIRST))
    if body is None:
        return None
    held = holding & (moved > MOVES) & ((places - body[:, :, None]).norm(dim=3) < AT)
    if int(held.sum()) < FEWEST:
        return None
    when = _kept_by_rest(held, places)
    found = torch.full(seen["there"].shape, -1, dtype=torch.long)
    inside = time < lengths[:, None]
    found[rows[inside]] = torch.where(when >= 0, when + starts[:, None, None], when)[inside]
    return found


def _polynomial(posture: Tensor) -> Tensor:
    """All products of up to two of some readings ``(N, P)``, ``(N, F)``."""
    first, second = torch.triu_indices(posture.shape[1] + 1, posture.shape[1] + 1)
    whole = F.pad(posture, (0, 1), value=1.0)
    return whole[:, first] * whole[:, second]


def _body(posture: Tensor, places: Tensor, moving: Tensor) -> Tensor | None:
    """Where in the picture the body is, ``(E, T, 2)``, by the places of what most often moves in touch.

    Nothing where that is now here and now there about the body: what is pushed is not held.
    """
    episode, time, thing = moving.nonzero(as_tuple=True)
    known, wanted = posture[episode, time].double(), places[episode, time, thing].double()
    fits = torch.ones(len(known), dtype=torch.bool)
    if len(known) < FEWEST:
        return None
    for _ in range(ROUNDS):
        told = torch.linalg.lstsq(known[fits], wanted[fits], driver="gelsd").solution
        missed = (wanted - known @ told).norm(dim=1)
        usual = float(missed[fits].median())
        fits = missed < max(AT, TRUSTED * usual)
    if usual > AT / 2:
        return None
    where: Tensor = posture @ told.float()
    return where


def _kept_by_rest(held: Tensor, places: Tensor) -> Tensor:
    """Step of the nearest instant ``(E, T, K)`` at which a thing was held where it is; -1 where there is none."""
    length = held.shape[1]
    time = torch.arange(length)[:, None]
    own = torch.where(held, time, -1)
    ways = []
    for order, back in ((range(length - 2, -1, -1), 1), (range(1, length), -1)):
        when = own.clone()
        for step in order:
            other = when[:, step + back]
            there = places.gather(1, other.clamp_min(0)[:, None, :, None].expand(-1, -1, -1, 2))[:, 0]
            rests = (places[:, step] - there).norm(dim=2) < RESTS
            when[:, step] = torch.where((when[:, step] < 0) & (other >= 0) & rests, other, when[:, step])
        ways.append(when)
    later, earlier = ways
    nearer = (earlier >= 0) & ((later < 0) | (time - earlier <= later - time))
    return torch.where(nearer, earlier, later)
