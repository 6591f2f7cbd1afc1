"""The cross-entropy method: draw plans around a mean, move mean and spread to the best of them, again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.search import Search, check_counts, elites_of
from nextstate.planning.problem import Plan, Problem


@dataclass(frozen=True)
class CEM:
    """Rubinstein 1999, https://doi.org/10.1023/A:1010091220143.

    Args:
        candidates: drawn in each round. rounds: of drawing. elites: best candidates to which the mean moves.
        spread: standard deviation at first. keep: share of the old mean and spread that stays in each round.
        narrowest: standard deviation below which it never falls.
    """

    candidates: int = 128
    rounds: int = 5
    elites: int = 12
    spread: float = 0.6
    keep: float = 0.1
    narrowest: float = 0.03

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates, rounds=self.rounds, elites=self.elites)
        search = Search(problem, seed, start)
        mean, spread = search.start, torch.full_like(search.start, self.spread)
        for _ in range(self.rounds):
            noise = search.normal(problem.instants, self.candidates, *problem.shape)
            # The mean itself is among them, so that a good start is never lost.
            noise[:, 0] = 0
            candidates = problem.bounded(mean[:, None] + spread[:, None] * noise)
            best = elites_of(candidates, search.score(candidates), self.elites)
            mean = self.keep * mean + (1 - self.keep) * best.mean(dim=1)
            spread = self.keep * spread + (1 - self.keep) * best.std(dim=1, correction=0)
            spread = spread.clamp_min(self.narrowest)
        search.score(problem.bounded(mean)[:, None])
        return search.plan()
