"""Precedents: recorded stretches from a state like this one to a goal like this one, and what was done on the way.

A guide tells the mean of what was done, and of two ways round a thing the mean is neither. So stretches are kept as
they were: what has to be brought somewhere, seen from where it is, and the body beside it. That what was done there
leads there from here too is for a model to say (episodic control, Lengyel and Dayan 2007,
https://papers.nips.cc/paper/2007/hash/1f4477bad7af3616c1f933a02bfabe4e-Abstract.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from nextstate.data import Windows
from nextstate.models.heads import Head, HeadShape

SPANS = (6, 9, 12, 16, 20, 25, 30)
"""Steps between the two instants of a stretch."""

BETWEEN = 2
"""Steps from the beginning of one stretch to that of the next."""

FINE, COARSE = 0.08, 0.2
"""Gaps, in halves of the picture, that count as one: between places of what is brought home, and of the body."""

ABOUT = 0.15
"""Standard deviation of its place, in halves of the picture, from which on a thing is moved about."""

LOOK = 3
"""Main directions in which what an eye says of a thing varies, that are kept of it: how it is turned is among them."""

TURNED = 0.5
"""How many gaps that count as one a difference of a standard deviation in these is."""


class Precedents(Head):
    """Every instant of recorded episodes as a model's eye saw it, and the command given there.

    Nothing is learned. Where several things are to be brought home at once, stretches are compared in all of them, so
    it takes more recordings to find one that fits.

    Args:
        instants: N. kept: directions of codes that are kept, at most `LOOK`.
    """

    name = "precedents"

    def __init__(self, shape: HeadShape, instants: int = 0, kept: int = LOOK) -> None:
        super().__init__(shape)
        things, half = shape.things, torch.float16
        self.register_buffer("places", torch.zeros(instants, things, 2, dtype=half))
        self.register_buffer("looks", torch.zeros(instants, things, kept, dtype=half))
        self.register_buffer("commands", torch.zeros(instants, shape.action, dtype=half))
        self.register_buffer("left", torch.zeros(instants, dtype=torch.int16))
        self.register_buffer("moved", torch.ones(things, dtype=torch.bool))
        self.register_buffer("middle", torch.zeros(things, shape.code))
        self.register_buffer("directions", torch.zeros(things, shape.code, kept))

    places: Tensor
    """``(N, K, 2)`` in halves of the picture."""
    looks: Tensor
    """``(N, K, L)``, see `view`."""
    commands: Tensor
    """``(N, A)``."""
    left: Tensor
    """``(N,)``, commands until the episode ends."""
    moved: Tensor
    """``(K,)`` bool, which things are seen here and there, and not always in one place."""
    middle: Tensor
    directions: Tensor

    def facts(self) -> dict[str, Any]:
        return {"instants": len(self.places), "kept": self.looks.shape[2]}

    @classmethod
    def made(cls, shape: HeadShape, facts: Mapping[str, Any]) -> Self:
        return cls(shape, int(facts["instants"]), int(facts["kept"]))

    @classmethod
    def of(cls, shape: HeadShape, windows: Windows) -> Self:
        """Of all episodes that windows come from, in whose arrays are ``places`` and ``codes`` of every frame."""
        cache, arrays = windows.cache, windows.arrays
        starts, lengths = cache.starts[windows.episodes], cache.lengths[windows.episodes]
        rows = np.concatenate([np.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)])
        found = cls(shape, len(rows), min(LOOK, shape.code))
        codes = torch.from_numpy(np.asarray(arrays["codes"][rows], np.float32))
        found.middle.copy_(codes.mean(dim=0))
        apart = codes - found.middle
        for k in range(shape.things):
            values, vectors = torch.linalg.eigh(apart[:, k].T @ apart[:, k] / len(rows))
            kept = vectors[:, -found.looks.shape[2] :] / values[-found.looks.shape[2] :].clamp_min(1e-8).sqrt()
            found.directions[k] = kept
        found.places.copy_(torch.from_numpy(np.asarray(arrays["places"][rows], np.float32)))
        found.moved.copy_(found.places.float().std(dim=0).norm(dim=1) > ABOUT)
        found.looks.copy_(found.view(codes))
        found.commands.copy_(torch.from_numpy(np.asarray(cache.arrays["action"][rows], np.float32)))
        left = np.concatenate([np.arange(n - 1, -1, -1) for n in lengths])
        found.left.copy_(torch.from_numpy(left.astype(np.int16)))
        return found

    def view(self, codes: Tensor) -> Tensor:
        """What is kept of codes ``(N, K, Z)``: ``(N, K, L)``, in standard deviations."""
        return torch.einsum("nkz,kzl->nkl", codes.float() - self.middle, self.directions)

    def stretches(self) -> tuple[Tensor, Tensor]:
        """First instants and spans of all stretches, ``(M,)`` each."""
        first, spans = [], []
        # Counted from the end, so that the last instant of every episode is the end of one.
        begins = (self.left.long() % BETWEEN) == 0
        for span in SPANS:
            rows = torch.nonzero(begins & (self.left >= span))[:, 0]
            first.append(rows)
            spans.append(torch.full_like(rows, span))
        return torch.cat(first), torch.cat(spans)

    def recall(
        self,
        places: Tensor,
        codes: Tensor,
        wanted: Tensor,
        looks: Tensor,
        there: Tensor,
        body: int,
        count: int,
        steps: int,
        anywhere: bool = False,
    ) -> Tensor:
        """What was done in the stretches most like this, ``(count, steps, A)``, followed by nothing.

        Things are compared by how far they are to go: where others are, and stay, matters little.

        Args:
            places, codes: of the present, ``(K, 2)`` and ``(K, Z)``. wanted, looks: the same of the goal.
            there: ``(K,)``, how much there is of each thing in the goal.
            body: number of the thing that obeys. anywhere: whether it may be anywhere in the end.
        """
        first, spans, *known = self._known()
        asked = (places, self.view(codes[None])[0], wanted, self.view(looks[None])[0])
        some = self.moved.clone()
        some[body] = False
        gap = (wanted - places).norm(dim=1) * there * some
        # Where nothing is to go anywhere all things are alike, and where there are none the body is seen from itself.
        weight = gap if float(gap.max()) > 0 else some.float() if bool(some.any()) else torch.eye(len(some))[body]
        apart = _apart(known, asked, weight / weight.sum(), body, anywhere)
        near = apart.topk(min(count, len(apart)), largest=False).indices
        time = torch.arange(steps)
        rows = (first[near][:, None] + time).clamp_max(len(self.commands) - 1)
        return self.commands[rows].float() * (time < spans[near][:, None])[..., None]

    @lru_cache(maxsize=1)  # noqa: B019 - one memory lives as long as whoever acts by it
    def _known(self) -> tuple[Tensor, ...]:
        """Of all stretches, first instants and spans ``(M,)``, and places and looks at both ends, as `_apart` asks."""
        first, spans = self.stretches()
        ends = (first, first + spans)
        return first, spans, *(told[rows].float() for rows in ends for told in (self.places, self.looks))


def _apart(known: Sequence[Tensor], asked: Sequence[Tensor], weight: Tensor, body: int, anywhere: bool) -> Tensor:
    """How unlike what is asked for each of M stretches is, ``(M,)``.

    Args:
        known: places ``(M, K, 2)`` and looks ``(M, K, L)`` at the beginning, and the same at the end.
        asked: the same of one stretch. weight: ``(K,)``, how much each thing counts, 1 together.
    """
    some = weight > 0.05 * weight.max()

    def seen(now: Tensor, turned: Tensor, then: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        middle = (now[..., some, :] * weight[some, None]).sum(dim=-2, keepdim=True) / weight[some].sum()
        things = [(now[..., some, :] - middle) / FINE, (then[..., some, :] - middle) / FINE]
        things += [TURNED * turned[..., some, :], TURNED * later[..., some, :]]
        own = [now[..., body : body + 1, :] - middle] + ([] if anywhere else [then[..., body : body + 1, :] - middle])
        return torch.cat(things, dim=-1), torch.cat(own, dim=-1) / COARSE

    (things, own), (same, mine) = seen(*known), seen(*asked)
    things, own = (things - same).square().sum(dim=-1), (own - mine).square().sum(dim=-1)
    return (things * weight[some]).sum(dim=-1) + own.sum(dim=-1)
