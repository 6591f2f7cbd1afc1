"""Model predictive path integral control: candidates are averaged, the cheaper the heavier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.planning.planners.icem import coloured
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Plan, Problem


@dataclass(frozen=True)
class MPPI:
    """Williams et al. 2017, https://arxiv.org/abs/1707.02342.

    Args:
        candidates: drawn in each round. rounds: of drawing. spread: standard deviation of commands.
        warmth: of the weights, in standard deviations of the candidates' costs, so that costs may have any unit.
        cooling: factor on the spread from round to round. colour: of the noise over time, see `ICEM`.
    """

    candidates: int = 128
    rounds: int = 5
    spread: float = 0.6
    warmth: float = 0.3
    cooling: float = 0.7
    colour: float = 1.0

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates, rounds=self.rounds)
        if self.warmth <= 0:
            raise PlanningError(f"warmth {self.warmth}; it must be above 0 (towards 0 the best candidate takes all).")
        search = Search(problem, seed, start)
        mean = search.start
        for number in range(self.rounds):
            noise = coloured(search.normal(problem.instants, self.candidates, *problem.shape), self.colour)
            noise[:, 0] = 0
            candidates = problem.bounded(mean[:, None] + self.spread * self.cooling**number * noise)
            costs = search.score(candidates)
            weight = torch.softmax(-costs / (self.warmth * _spread(costs)), dim=1)
            mean = (weight[:, :, None, None] * candidates).sum(dim=1)
        search.score(problem.bounded(mean)[:, None])
        return search.plan()


def _spread(costs: Tensor) -> Tensor:
    """Standard deviation ``(B, 1)`` of the costs that are finite."""
    sound = costs.isfinite()
    values = torch.where(sound, costs, 0.0)
    count = sound.sum(dim=1, keepdim=True)
    mean = values.sum(dim=1, keepdim=True) / count
    return (((values - mean) * sound).square().sum(dim=1, keepdim=True) / count).sqrt().clamp_min(1e-9)
