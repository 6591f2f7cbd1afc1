"""Proposals from elsewhere, the best of them, then down the gradient of their cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.gradient import Gradient
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Plan, Problem

Propose = Callable[[Problem, int, torch.Generator], Tensor]
"""``propose(problem, count, generator)`` to commands by step ``(B, count, H, A)``."""


@dataclass(frozen=True)
class Proposed:
    """Best of N proposals of a policy, judged in imagination.

    Args:
        propose: the policy. candidates: N.
        blind: shares of candidates that are drawn without asking, evenly within bounds.
        descend: steps down the gradient from the best; 0 for none. rate: of each, see `Gradient`.
    """

    propose: Propose
    candidates: int = 32
    blind: float = 0.0
    descend: int = 0
    rate: float = 0.05

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates)
        search = Search(problem, seed, start)
        drawn = self.propose(problem, self.candidates, search.generator)
        by_block = drawn.view(*drawn.shape[:2], -1, problem.block, drawn.shape[3]).mean(dim=3)
        blind = round(self.blind * self.candidates)
        parts = [search.start[:, None], problem.bounded(by_block)]
        if blind:
            parts.append(search.uniform(problem.instants, blind, problem.shape[0]))
        search.score(torch.cat(parts, dim=1))
        if self.descend:
            downhill = Gradient(candidates=1, rounds=self.descend, rate=self.rate)
            better = downhill.plan(problem, search.best, seed + 1)
            search.score(better.commands[:, None])
        return search.plan()
