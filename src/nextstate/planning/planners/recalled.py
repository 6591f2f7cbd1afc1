"""A flat search that begins with what was done in similar states: the memory of a tree, asked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.cem import CEM
from nextstate.planning.planners.search import Search, check_counts, elites_of
from nextstate.planning.problem import Future, Plan, Problem


@dataclass(frozen=True)
class RecalledCEM:
    """CEM whose first round is half remembered; the rest as in `CEM`, around the best of that round.

    Args:
        candidates, rounds, elites, spread: as of `CEM`, the whole search together as much as one without memory.
        sense, memory: as of `TreeSearch`.
    """

    candidates: int
    sense: Callable[[Future], Tensor]
    memory: Callable[[Tensor, int, int, torch.Generator], Tensor]
    rounds: int = 5
    elites: int = 12
    spread: float = 0.6

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates, rounds=self.rounds, elites=self.elites)
        search = Search(problem, seed, start)
        noise = search.normal(problem.instants, self.candidates, *problem.shape)
        noise[:, 0] = 0
        drawn = problem.bounded(search.start[:, None] + self.spread * noise)
        still = problem.model.imagine(problem.belief, torch.zeros(problem.instants, 1, problem.shape[1]))
        here = self.sense(Future(problem.model, problem.belief, still, torch.arange(problem.instants)))[:, -1]
        count = self.candidates // 2
        steps = self.memory(here, count, problem.horizon, search.generator)
        blocks = steps.view(problem.instants, count, *problem.shape[:1], problem.block, -1).mean(dim=3)
        drawn[:, 1 : 1 + count] = problem.bounded(blocks)
        best = elites_of(drawn, search.score(drawn), 1)[:, 0]
        around = CEM(self.candidates, max(self.rounds - 1, 1), self.elites, 0.5 * self.spread)
        return around.plan(problem, best, seed + 1)
