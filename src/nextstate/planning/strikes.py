"""Strikes: the body goes round a thing that is out of place, and pushes it home.

A search around proposals finds nothing where what helps begins with a detour: every short plan looks as good as
standing still. A strike is such a detour, steered in imagination from what is imagined next; all it takes for granted
is that there is a body which goes as it is told, and that things move away from what pushes them. Whether they do is
for the model to say. Pushing from behind, in a line with the goal, is how pushing is usually planned (Lynch and Mason
1996, https://doi.org/10.1177/027836499601500602).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from nextstate.models.protocol import Beliefs
from nextstate.planning.costs import TimeToGo
from nextstate.planning.problem import Future, Problem

TRIED = 0.8
"""Commands by which it is found out how the body goes."""

GLANCE = 4
"""Steps for which each of them is held; the first half, in which the body gathers speed, does not count."""

HOME = 0.025
"""Gap, in halves of the picture, at which a thing is let be."""

ALIGNED = 0.09
"""Distance from the line of a push, in halves of the picture, within which it is pushed."""

IN_FRONT, STRIDE = 2.2, 0.7
"""Angles: from which on either way round is as good, and by which the body goes round at a time."""

NEARLY, SWIFT, SLOW = 0.22, 0.3, 0.01
"""Distance behind a thing within which the body slows down, and its largest and smallest step while pushing."""

ENDS = 0.85
"""How much of a strike's rating is how far things are from home in the end; the rest is how far on the way."""


@dataclass(frozen=True)
class Body:
    """What goes as it is told, here and now.

    Args:
        thing: number of the thing that obeys best. commands: that bring it one step further, ``(A, 2)``.
        part: ``(K,)`` from 0 to 1, how far each thing goes wherever the body goes: its shadow does, and what it pushes
            does in one direction only.
    """

    thing: int
    commands: Tensor
    part: Tensor

    @staticmethod
    @torch.no_grad()
    def of(problem: Problem, cost: TimeToGo, row: int) -> Body:
        """Found out by trying each way in imagination."""
        size, thing = problem.shape[1], int(cost.guide.obeys.argmax())
        here = problem.belief.select([row] * (2 * size))
        tried = TRIED * torch.cat([torch.eye(size), -torch.eye(size)])
        span = problem.model.imagine(here, tried[:, None].expand(-1, GLANCE, -1).contiguous())
        half = GLANCE // 2
        first, last = (_places(problem, cost, here, span.steps([step])) for step in (half - 1, GLANCE - 1))
        gone = (last - first) / half
        own = gone[:, thing : thing + 1]
        along = (gone * own).sum(dim=2) / own.square().sum(dim=2).clamp_min(1e-8)
        moves = (own[:size, 0] - own[size:, 0]) / (2 * TRIED)
        # Some commands do not show in the picture, and say nothing of what goes along.
        shown = own[:, 0].norm(dim=1) > 0.5 * own[:, 0].norm(dim=1).max()
        return Body(thing, torch.linalg.pinv(moves.T), along[shown].amin(dim=0).clamp(0, 1))


@dataclass(frozen=True)
class Strikes:
    """Which are imagined.

    Args:
        horizon: steps looked ahead: long enough to walk round a thing and push it.
        most: things to strike, those farthest from home. placed: gap below which a thing is not struck.
        turns: radians by which a push may deviate from the line home.
        reaches: distances at which the body is behind a thing, all lengths in halves of the picture.
        paces: steps of the body while it pushes, as shares of what is left: who is fast throws, who is slow is late.
    """

    horizon: int = 20
    most: int = 2
    placed: float = 0.03
    turns: Sequence[float] = (-0.4, 0.0, 0.4)
    reaches: Sequence[float] = (0.25,)
    paces: Sequence[float] = (0.6, 1.0)

    def due(self, problem: Problem, row: int, cost: TimeToGo) -> list[int]:
        """Numbers of the things of an instant that are to be struck, the one farthest from home first.

        Args:
            row: which instant of the problem.
        """
        places = _places(problem, cost, problem.belief.select([row]))[0]
        gaps = _gaps(cost, places, row)[1]
        return [int(k) for k in gaps.argsort(descending=True)[: self.most] if gaps[k] > self.placed]

    @torch.no_grad()
    def imagine(
        self, problem: Problem, row: int, cost: TimeToGo, body: Body, due: Sequence[int], given: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Strikes of one instant, and how far things are from home on the way and in the end.

        Args:
            row: which instant. due: things to strike, see the method of this name.
            given: plans to be judged beside them, ``(G, blocks, A)`` over this horizon.

        Returns:
            commands by block ``(G + N, blocks, A)``, the given ones first, and ratings ``(G + N,)``, as `SeenDistance`.
        """
        here = problem.belief.select([row])
        home = cost.seen.places[row if len(cost.seen.places) > 1 else 0]
        plan = list(product(due, self.turns, (-1.0, 1.0), self.reaches, self.paces))
        known, count = len(given), len(given) + len(plan)
        thing = torch.tensor([case[0] for case in plan], dtype=torch.long)
        manner = [torch.tensor([case[n] for case in plan], dtype=torch.float32) for n in range(1, 5)]
        start = here.repeat(count)
        rows, each = torch.full((count,), row), torch.arange(len(plan))
        span, drawn, ends = start.map(lambda tensor: tensor[:, None]), list[Tensor](), list[Tensor]()
        for block in range(self.horizon // problem.block):
            command = given[:, block]
            if plan:
                now = _places(problem, cost, start, span)[known:]
                moves = course(now[:, body.thing], now[each, thing], home[thing], *manner)
                steered = moves @ body.commands.T
                steered = steered / steered.abs().amax(dim=1, keepdim=True).clamp_min(1)
                command = torch.cat([command, problem.bounded(steered)])
            drawn.append(command)
            held = command[:, None].expand(-1, problem.block, -1).contiguous()
            span = problem.model.imagine(span.map(lambda tensor: tensor[:, 0]), held).steps([problem.block - 1])
            ends.append(cost.seen(Future(problem.model, start, span, rows))[:, 0])
        problem.count.imagined += count * self.horizon / problem.horizon
        return torch.stack(drawn, dim=1), ENDS * ends[-1] + (1 - ENDS) * torch.stack(ends).mean(dim=0)


def course(
    body: Tensor, thing: Tensor, home: Tensor, turn: Tensor, side: Tensor, reach: Tensor, pace: Tensor
) -> Tensor:
    """Where the body goes next ``(N, 2)``: round the thing until it is behind it, then against it, slower near home.

    Args:
        body, thing, home: places ``(N, 2)`` in halves of the picture.
        turn, side, reach, pace: ``(N,)``, see `Strikes`; side is by which one to go round from in front.
    """
    way = home - thing
    left = way.norm(dim=1, keepdim=True)
    along = way / left.clamp_min(1e-3)
    cosine, sine = turn.cos()[:, None], turn.sin()[:, None]
    along = torch.cat([along[:, :1] * cosine - along[:, 1:] * sine, along[:, :1] * sine + along[:, 1:] * cosine], dim=1)
    across = torch.stack([-along[:, 1], along[:, 0]], dim=1)
    gap = body - thing
    ahead, beside = (gap * along).sum(dim=1), (gap * across).sum(dim=1)
    # Angle round the thing, 0 behind it; from in front it is counted by the side on which to go round.
    angle = torch.atan2(beside, -ahead)
    other = (angle.abs() > IN_FRONT) & (angle * side < 0)
    angle = angle + torch.where(other, 2 * torch.pi * side, 0.0)
    following = angle - angle.sign() * angle.abs().clamp_max(STRIDE)
    radius = reach * torch.where(following.abs() > STRIDE / 2, 1.3, 1.15)
    there = (radius * following.sin())[:, None] * across - (radius * following.cos())[:, None] * along
    lined_up = (ahead < -0.4 * reach) & (beside.abs() < ALIGNED)
    slowed = (pace * left[:, 0]).clamp(SLOW, SWIFT)
    speed = torch.where(-ahead < NEARLY, slowed, left[:, 0].clamp(SWIFT / 6, SWIFT))
    push = along * speed[:, None] - across * beside[:, None]
    walk = thing + there - body
    move: Tensor = torch.where(lined_up[:, None], push, walk) * (left >= HOME)
    return move


def _places(problem: Problem, cost: TimeToGo, start: Beliefs, span: Beliefs | None = None) -> Tensor:
    """Where things are, ``(N, K, 2)``, at the only step of a span, or at the start itself."""
    span = start.map(lambda tensor: tensor[:, None]) if span is None else span
    rows = torch.zeros(len(start), dtype=torch.long)
    places: Tensor = cost.seen.state(Future(problem.model, start, span, rows))["places"]
    return places[:, 0]


def _gaps(cost: TimeToGo, places: Tensor, row: int) -> tuple[Tensor, Tensor]:
    """Where things are wanted ``(K, 2)``, and how far each that matters is from there ``(K,)``."""
    seen = cost.seen
    at = row if len(seen.places) > 1 else 0
    matters = torch.ones(len(places)) if seen.matters is None else seen.matters
    return seen.places[at], (seen.places[at] - places).norm(dim=1) * seen.there[at] * matters
