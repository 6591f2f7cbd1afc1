"""Do what was done when things went from a state like this to a goal like this, if imagination says that it helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.planning.costs import TimeToGo
from nextstate.planning.planners.icem import coloured
from nextstate.planning.planners.search import check_counts
from nextstate.planning.precedents import Precedents
from nextstate.planning.problem import Future, Plan, Problem

SLOWLY = 0.05
"""What each step costs that a plan takes, in steps to go: of two that lead home the shorter one."""


@dataclass(frozen=True)
class Reminded:
    """Recorded stretches like the one ahead, each imagined from here; the best of them is mended, begun, and then left.

    A plan is judged by the best moment on its way, and ends there: what was done afterwards had another goal.

    Args:
        precedents: that are brought to mind, with a cost that knows what matters (`TimeToGo`).
        candidates: of them.
        polish: variations of the best in each of `rounds` rounds; 0 for none.
        spread: standard deviation by which they vary at first; a third less in each later round.
        colour: of the variations over time, see `ICEM`.
    """

    needs: ClassVar[tuple[str, ...]] = (Precedents.name,)
    """Heads that are handed to it, by name."""

    precedents: Precedents
    candidates: int = 40
    polish: int = 16
    rounds: int = 4
    spread: float = 0.25
    colour: float = 1.0

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates)
        if not isinstance(problem.cost, TimeToGo):
            raise PlanningError("the planner reminded asks what matters; lead it by time (--goal time) with a guide.")
        draw = torch.Generator().manual_seed(seed)
        found = [self._one(problem, problem.cost, row, start, draw) for row in range(problem.instants)]
        commands = torch.stack([commands for commands, _ in found])
        costs = torch.tensor([course[-1] for _, course in found])
        course = torch.tensor([course for _, course in found]).T
        count = problem.count
        return Plan(commands, problem.held(commands), costs, course, count.imagined, count.dropped)

    @torch.no_grad()
    def _one(
        self, problem: Problem, cost: TimeToGo, row: int, start: Tensor | None, draw: torch.Generator
    ) -> tuple[Tensor, list[float]]:
        """The best plan of an instant ``(blocks, A)``, and what the best cost after each round."""
        blocks, size = problem.shape
        still = torch.zeros(1, blocks, size)
        given = [still] if start is None else [still, start[row : row + 1]]
        known = self._recalled(problem, cost, row).view(-1, blocks, problem.block, size).mean(dim=2)
        tried = problem.bounded(torch.cat([*given, known]))
        best, lowest = self._best(problem, row, tried)
        course = [lowest]
        for number in range(self.rounds if self.polish else 0):
            noise = coloured(torch.randn(self.polish, blocks, size, generator=draw), self.colour)
            # What comes after the plan stays nothing.
            under_way = (best.abs().sum(dim=1) > 0).flip(0).cummax(dim=0).values.flip(0)
            mended = problem.bounded(best + self.spread * (2 / 3) ** number * noise * under_way[:, None])
            other, cheaper = self._best(problem, row, mended)
            if cheaper < lowest:
                best, lowest = other, cheaper
            course.append(lowest)
        return best, course

    def _recalled(self, problem: Problem, cost: TimeToGo, row: int) -> Tensor:
        """Commands of precedents ``(candidates, H, A)``."""
        here, seen = problem.belief.select([row]), cost.seen
        now = seen.state(Future(problem.model, here, here.map(lambda tensor: tensor[:, None]), torch.tensor([row])))
        if seen.looks is None:
            raise PlanningError("the planner reminded asks what goals look like; give codes with their places.")
        at = row if len(seen.places) > 1 else 0
        return self.precedents.recall(
            now["places"][0, 0].float(),
            now["codes"][0, 0].float(),
            seen.places[at].float(),
            seen.looks["codes"][at].float(),
            cost.guide.matters,
            int(cost.guide.obeys.argmax()),
            self.candidates,
            problem.horizon,
        )

    def _best(self, problem: Problem, row: int, tried: Tensor) -> tuple[Tensor, float]:
        """The best of plans ``(N, blocks, A)``, cut off at its best moment, and what that costs."""
        start = problem.belief.select([row] * len(tried))
        span = problem.model.imagine(start, problem.held(tried))
        rows = torch.full((len(tried),), row)
        costs = problem.cost(Future(problem.model, start, span, rows)) + SLOWLY * torch.arange(problem.horizon)
        problem.count.imagined += len(tried)
        # The end of each block is a moment at which a plan can end.
        costs = costs[:, problem.block - 1 :: problem.block]
        lowest, moment = costs.min(dim=1)
        if not bool(lowest.isfinite().any()):
            raise PlanningError("every plan's cost is not a number; look at what the cost reads, and at the goal.")
        index = int(lowest.nan_to_num(nan=torch.inf).argmin())
        kept = torch.arange(tried.shape[1]) <= moment[index]
        return tried[index] * kept[:, None], float(lowest[index])
