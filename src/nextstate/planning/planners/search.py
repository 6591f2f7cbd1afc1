"""What planners that draw candidates share: the best so far, and how it came about."""

from __future__ import annotations

import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.planning.problem import Plan, Problem


class Search:
    """Evaluates candidates of a problem and remembers the best of each instant.

    Args:
        start: commands ``(B, blocks, A)`` to begin from, such as the rest of an earlier plan; else standing still.

    Raises:
        PlanningError: for a start of another shape.
    """

    def __init__(self, problem: Problem, seed: int, start: Tensor | None) -> None:
        self.problem = problem
        self.generator = torch.Generator().manual_seed(seed)
        wanted = (problem.instants, *problem.shape)
        if start is not None and tuple(start.shape) != wanted:
            raise PlanningError(
                f"a start of shape {tuple(start.shape)}, where {wanted} (instants, blocks, A) is asked."
            )
        self.start = problem.bounded(torch.zeros(wanted) if start is None else start.clone())
        self.best = self.start
        self.cost = torch.full((problem.instants,), torch.inf)
        self.course: list[Tensor] = []

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """Commands ``(*shape, A)`` drawn evenly within the bounds."""
        low, high = self.problem.lower, self.problem.upper
        return low + (high - low) * torch.rand(*shape, len(low), generator=self.generator)

    def score(self, candidates: Tensor) -> Tensor:
        """Costs ``(B, K)`` of candidates ``(B, K, blocks, A)``; keeps the best of each instant."""
        return self.rated(candidates, self.problem.evaluate(candidates))

    def rated(self, candidates: Tensor, costs: Tensor) -> Tensor:
        """As `score`, of candidates whose costs ``(B, K)`` are known already."""
        lowest, index = costs.min(dim=1)
        better = lowest < self.cost
        found = candidates[torch.arange(len(index)), index]
        self.best = torch.where(better[:, None, None], found, self.best)
        self.cost = torch.where(better, lowest, self.cost)
        self.course.append(self.cost)
        return costs

    def prefer(self, commands: Tensor, costs: Tensor, margin: float) -> None:
        """Takes commands ``(B, blocks, A)`` of costs ``(B,)`` unless the best is cheaper by more than `margin`."""
        preferred = costs <= self.cost + margin
        self.best = torch.where(preferred[:, None, None], commands, self.best)
        self.cost = torch.where(preferred, costs, self.cost)

    def plan(self) -> Plan:
        """The best so far."""
        count = self.problem.count
        return Plan(
            self.best,
            self.problem.held(self.best),
            self.cost,
            torch.stack(self.course),
            count.imagined,
            count.dropped,
        )


def elites_of(candidates: Tensor, costs: Tensor, count: int) -> Tensor:
    """The `count` cheapest candidates of each instant, cheapest first, ``(B, count, blocks, A)``."""
    index = cheapest(costs, count)
    return candidates.gather(1, index[:, :, None, None].expand(-1, -1, *candidates.shape[2:]))


def cheapest(costs: Tensor, count: int) -> Tensor:
    """Of each instant the `count` cheapest candidates ``(B, count)``; where fewer have a cost that is a number, these
    again: what was dropped teaches nothing."""
    costs, index = costs.sort(dim=1)
    index, sound = index[:, :count], costs[:, :count].isfinite()
    again = torch.arange(index.shape[1]) % sound.sum(dim=1, keepdim=True).clamp_min(1)
    return index.gather(1, again)


def check_counts(**counts: int) -> None:
    """Raises `PlanningError` for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise PlanningError(f"{name} = {count}; a planner needs at least 1.")
