"""Random shooting: draw plans, take the best. What every other planner has to beat at equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Plan, Problem


@dataclass(frozen=True)
class Shooting:
    """Random shooting. Args: candidates: plans drawn for each instant."""

    candidates: int = 512

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates)
        search = Search(problem, seed, start)
        drawn = search.uniform(problem.instants, self.candidates, problem.shape[0])
        search.score(torch.cat([search.start[:, None], drawn[:, 1:]], dim=1))
        return search.plan()
