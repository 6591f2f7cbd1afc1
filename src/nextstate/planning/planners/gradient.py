"""Down the slope: commands follow the gradient of the cost through the model itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.models.descent import Descent
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Plan, Problem


@dataclass(frozen=True)
class Gradient:
    """Adam on several plans at once, each brought back within the bounds after every step.

    Args:
        candidates: plans that descend side by side, one from the start and the others from around it.
        rounds: steps down. rate: of Adam. spread: standard deviation of where plans begin.
    """

    candidates: int = 16
    rounds: int = 20
    rate: float = 0.1
    spread: float = 0.5

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates, rounds=self.rounds)
        search = Search(problem, seed, start)
        noise = search.normal(problem.instants, self.candidates, *problem.shape)
        noise[:, 0] = 0
        commands = problem.bounded(search.start[:, None] + self.spread * noise).requires_grad_()
        adam = Descent([commands], self.rate)
        for _ in range(self.rounds):
            with torch.enable_grad():
                costs = search.score(commands)
                if not costs.requires_grad:
                    raise PlanningError(
                        f"{problem.model.spec.name} gives no gradient with respect to commands; plan by drawing (icem)."
                    )
                sound = costs.isfinite()
                (slope,) = torch.autograd.grad(costs[sound].sum(), commands)
            adam.step([torch.nan_to_num(slope, 0.0, 0.0, 0.0)])
            with torch.no_grad():
                commands.copy_(problem.bounded(commands))
        with torch.no_grad():
            search.score(commands.detach())
        found = search.plan()
        return found
