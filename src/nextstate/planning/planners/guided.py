"""Ask a guide all along the way what it would do, do that in imagination, more or less faithfully; keep the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.icem import ICEM, coloured
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Future, Plan, Problem

Commands = Callable[[Future], Tensor]
"""What a guide would do in every imagined state, ``(N, H, A)``."""


@dataclass(frozen=True)
class Guided:
    """Proposals, the best of them, and a short search around it.

    A policy that was learned from recordings knows how one usually goes about it, but not what comes of it here; a
    model knows what comes of it. Costs that know a policy (`TimeToGo`) have a method ``commands``; with any other
    cost, proposals are drawn blindly.

    Args:
        candidates: proposals of each instant, each wandering off by another amount, the first not at all.
        wander: the largest such amount, a standard deviation. colour: of its noise over time, see `ICEM`.
        blind: share of proposals drawn without asking.
        polish: candidates of the search around the best; 0 for none. rounds: of it.
    """

    candidates: int = 40
    wander: float = 0.8
    colour: float = 2.0
    blind: float = 0.25
    polish: int = 24
    rounds: int = 2

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates)
        search = Search(problem, seed, start)
        proposed = self._proposals(problem, search)
        search.score(torch.cat([search.start[:, None], proposed], dim=1))
        if self.polish:
            around = ICEM(self.polish, rounds=self.rounds, elites=max(self.polish // 6, 2), spread=0.3)
            better = around.plan(problem, search.best, seed + 1)
            search.score(better.commands[:, None])
        return search.plan()

    @torch.no_grad()
    def _proposals(self, problem: Problem, search: Search) -> Tensor:
        """``(B, candidates, blocks, A)``."""
        size, count = problem.instants, self.candidates
        noise = coloured(search.normal(size, count, *problem.shape), self.colour)
        amount = torch.linspace(0, self.wander, count)[None, :, None, None]
        ask: Commands | None = getattr(problem.cost, "commands", None)
        if ask is None:
            return problem.bounded(search.start[:, None] + amount * noise)
        asked = max(count - round(self.blind * count), 1)
        noise[:, :asked] *= amount[:, :asked]
        rows = torch.arange(size).repeat_interleave(count)
        belief = problem.belief.repeat(count)
        span = belief.map(lambda tensor: tensor[:, None])
        heeded = (torch.arange(count) < asked).float().repeat(size)[:, None]
        commands = []
        for block in range(problem.shape[0]):
            told = ask(Future(problem.model, belief, span, rows))[:, -1]
            commands.append(problem.bounded(heeded * told + noise[:, :, block].flatten(0, 1)))
            held = commands[-1][:, None].expand(-1, problem.block, -1)
            span = problem.model.imagine(span.map(lambda tensor: tensor[:, -1]), held)
        problem.count.imagined += len(rows)
        return torch.stack(commands, dim=1).view(size, count, *problem.shape)
