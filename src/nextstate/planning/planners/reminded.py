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

FREE = 0.3
"""How much the body counts, beside what counts most, below which it may be anywhere in the end."""

MOMENTS = 2
"""Steps from one moment at which a plan may end to the next, at least."""

SIGHT, ASTRAY = 0.96, 1000.0
"""Place, in halves of the picture, beyond which a thing gets out of sight; and what a plan costs from then on."""


@dataclass(frozen=True)
class Reminded:
    """Recorded stretches like the one ahead, each imagined from here; the best of them is mended, begun, and then left.

    A plan is judged by the best moment on its way, and ends there: what was done afterwards had another goal.

    Args:
        precedents: that are brought to mind, with a cost that knows which thing is the body (`TimeToGo`).
        candidates: of them.
        polish: variations of the best in each of `rounds` rounds; 0 for none.
        spread: standard deviation by which they vary at first; a third less in each later round.
        colour: of the variations over time, see `ICEM`.
        margin: by how much less than standing still a plan has to cost, in steps to go: what is home is let be.
    """

    needs: ClassVar[tuple[str, ...]] = (Precedents.name,)
    """Heads that are handed to it, by name."""

    precedents: Precedents
    candidates: int = 40
    polish: int = 16
    rounds: int = 4
    spread: float = 0.25
    colour: float = 1.0
    margin: float = 1.5

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates)
        if not isinstance(problem.cost, TimeToGo):
            raise PlanningError(
                "the planner reminded asks which thing is the body; lead it by --goal time, with a guide."
            )
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
        best, lowest = self._best(problem, cost, row, tried)
        course = [lowest]
        for number in range(self.rounds if self.polish else 0):
            noise = coloured(torch.randn(self.polish, blocks, size, generator=draw), self.colour)
            # What comes after the plan stays nothing.
            under_way = (best.abs().sum(dim=1) > 0).flip(0).cummax(dim=0).values.flip(0)
            mended = problem.bounded(best + self.spread * (2 / 3) ** number * noise * under_way[:, None])
            other, cheaper = self._best(problem, cost, row, mended)
            if cheaper < lowest:
                best, lowest = other, cheaper
            course.append(lowest)
        resting, cheap = self._best(problem, cost, row, still)
        if lowest > cheap - self.margin:
            return resting, [*course[:-1], cheap]
        return best, course

    def _recalled(self, problem: Problem, cost: TimeToGo, row: int) -> Tensor:
        """Commands of precedents ``(candidates, H, A)``."""
        here, seen = problem.belief.select([row]), cost.seen
        now = seen.state(Future(problem.model, here, here.map(lambda tensor: tensor[:, None]), torch.tensor([row])))
        if seen.looks is None:
            raise PlanningError("the planner reminded asks what goals look like; give codes with their places.")
        at, body = row if len(seen.places) > 1 else 0, int(cost.guide.obeys.argmax())
        return self.precedents.recall(
            now["places"][0, 0].float(),
            now["codes"][0, 0].float(),
            seen.places[at].float(),
            seen.looks["codes"][at].float(),
            seen.there[at].float(),
            body,
            self.candidates,
            problem.horizon,
            anywhere=seen.matters is not None and float(seen.matters[body]) < FREE * float(seen.matters.max()),
        )

    def _best(self, problem: Problem, cost: TimeToGo, row: int, tried: Tensor) -> tuple[Tensor, float]:
        """The best of plans ``(N, blocks, A)``, cut off at its best moment, and what that costs."""
        start = problem.belief.select([row] * len(tried))
        step = min(problem.block * -(-MOMENTS // problem.block), problem.horizon)
        when = torch.arange(step - 1, problem.horizon, step)
        span = problem.model.imagine(start, problem.held(tried)).steps(when.tolist())
        future = Future(problem.model, start, span, torch.full((len(tried),), row))
        costs = problem.cost(future) + SLOWLY * when
        # Nobody foresees what happens out of the picture, nor what comes of it later.
        strayed = (cost.seen.state(future)["places"] * self.precedents.moved[:, None]).abs().amax(dim=(2, 3)) > SIGHT
        costs = torch.where(strayed.cummax(dim=1).values, costs + ASTRAY, costs)
        problem.count.imagined += len(tried)
        lowest, moment = costs.min(dim=1)
        lowest = problem.sound(lowest[None])[0]
        index = int(lowest.argmin())
        kept = torch.arange(tried.shape[1]) * problem.block <= when[moment[index]]
        return tried[index] * kept[:, None], float(lowest[index])
