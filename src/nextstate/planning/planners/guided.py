"""Ask a guide all along the way what it would do, do that in imagination, more or less faithfully; mend the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.icem import coloured
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Future, Plan, Problem

Advise = Callable[[Future], tuple[Tensor, Tensor]]
"""Cost ``(N, H)`` of imagined states, and what a guide would do in each, ``(N, H, A)``."""


@dataclass(frozen=True)
class Guided:
    """Proposals, the best of them, and a little noise around it.

    A policy that was learned from recordings knows how one usually goes about it, but not what comes of it here; a
    model knows what comes of it. Costs that know a policy (`TimeToGo`) have a method ``advise``; with any other
    cost, proposals are drawn blindly.

    Args:
        candidates: proposals of each instant, each wandering off by another amount, the first not at all.
        wander: the largest such amount, a standard deviation. colour: of its noise over time, see `ICEM`.
        blind: share of proposals drawn without asking.
        polish: variations of the best in each of `rounds` rounds; 0 for none.
        spread: standard deviation by which they vary at first; half as much in each later round.
        margin: by how much less than what the guide would do, without wandering off, another plan has to cost to be
            chosen, in the cost's own unit (steps to go, of `TimeToGo`). What a search finds in an imperfect model is
            believed too well, what a guide does is foreseen as well as what was recorded.
    """

    candidates: int = 40
    wander: float = 0.8
    colour: float = 2.0
    blind: float = 0.25
    polish: int = 24
    rounds: int = 2
    spread: float = 0.3
    margin: float = 0.0

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates)
        search = Search(problem, seed, start)
        noise = coloured(search.normal(problem.instants, self.candidates, *problem.shape), self.colour)
        amount = torch.linspace(0, self.wander, self.candidates)[None, :, None, None]
        advise: Advise | None = getattr(problem.cost, "advise", None)
        # What was planned before, and standing still, which noise never proposes, are candidates too.
        given = torch.stack([search.start, problem.bounded(torch.zeros_like(search.start))], dim=1)
        faithful: tuple[Tensor, Tensor] | None = None
        if advise is None:
            drawn = problem.bounded(search.start[:, None] + amount * noise)
            search.score(torch.cat([given, drawn], dim=1))
        else:
            heeded = torch.arange(self.candidates) < max(self.candidates - round(self.blind * self.candidates), 1)
            noise *= torch.where(heeded[:, None, None], amount, 1.0)
            faithful = self._follow(problem, search, advise, given, noise, heeded.float())
        for number in range(self.rounds if self.polish else 0):
            noise = coloured(search.normal(problem.instants, self.polish, *problem.shape), self.colour)
            search.score(problem.bounded(search.best[:, None] + self.spread / 2**number * noise))
        if faithful is not None and self.margin:
            search.prefer(*faithful, self.margin)
        return search.plan()

    @torch.no_grad()
    def _follow(
        self, problem: Problem, search: Search, advise: Advise, given: Tensor, noise: Tensor, heeded: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Imagines block by block what the guide would do, and rates it on the way; what is given comes along.

        Returns:
            what the guide itself would do, ``(B, blocks, A)``, and its cost ``(B,)``.
        """
        size, known = problem.instants, given.shape[1]
        count = self.candidates + known
        rows = torch.arange(size).repeat_interleave(count)
        belief = problem.belief.repeat(count)
        span, costs, commands = belief.map(lambda tensor: tensor[:, None]), [], []
        for block in range(problem.shape[0]):
            cost, told = advise(Future(problem.model, belief, span, rows))
            costs.append(cost)
            drawn = heeded[:, None] * told[:, 0].view(size, count, -1)[:, known:] + noise[:, :, block]
            chosen = torch.cat([given[:, :, block], problem.bounded(drawn)], dim=1)
            commands.append(chosen)
            held = chosen.flatten(0, 1)[:, None].expand(-1, problem.block, -1)
            imagined = problem.model.imagine(span.map(lambda tensor: tensor[:, 0]), held)
            span = imagined.steps([problem.block - 1])
        costs.append(advise(Future(problem.model, belief, span, rows))[0])
        drawn = torch.stack(commands, dim=2)
        if problem.samples or problem.stride != problem.block:
            rated = search.score(drawn)
        else:
            rated = search.rated(drawn, problem.total(torch.cat(costs[1:], dim=1).view(size, count, -1)))
        return drawn[:, known], rated[:, known]
