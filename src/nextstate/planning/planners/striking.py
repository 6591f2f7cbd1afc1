"""Strikes from behind whatever is out of place; and where none of them helps, what a guide proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.planning.costs import TimeToGo
from nextstate.planning.planners.guided import Guided
from nextstate.planning.problem import Future, Plan, Problem
from nextstate.planning.strikes import Body, Strikes


@dataclass(frozen=True)
class Striking:
    """The best of some `Strikes`, steered anew from what is seen at every decision; `Guided` where none helps.

    Costs that know neither a body nor things to bring home (all but `TimeToGo`) leave it at `Guided`.

    Args:
        candidates: of `Guided`. strikes: which are imagined.
        helps: share by which a strike has to bring things nearer than standing still does.
        margin: share by which another strike must be better than going on with what is under way.
    """

    candidates: int = 40
    strikes: Strikes = field(default_factory=Strikes)
    helps: float = 0.05
    margin: float = 0.1

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        cost, length = problem.cost, self.strikes.horizon // problem.block
        if not isinstance(cost, TimeToGo) or self.strikes.horizon % problem.block or length <= problem.shape[0]:
            return Guided(self.candidates).plan(problem, start, seed)
        bodies = [Body.of(problem, cost, row) for row in range(problem.instants)]
        cost = _without(cost, bodies)
        problem = replace(problem, cost=cost)
        nothing = torch.zeros(problem.instants, 0, length, problem.shape[1])
        underway = nothing if start is None or start.shape[1] != length else start[:, None]
        found = [self._best(problem, cost, body, row, underway[row]) for row, body in enumerate(bodies)]
        if any(end == torch.inf for _, end in found):
            guided = Guided(self.candidates).plan(
                problem, None if start is None else start[:, : problem.shape[0]], seed
            )
            if all(end == torch.inf for _, end in found):
                return guided
            rest = F.pad(guided.commands, (0, 0, 0, length - problem.shape[0]))
            found = [
                (rest[row], float(guided.cost[row])) if end == torch.inf else (commands, end)
                for row, (commands, end) in enumerate(found)
            ]
        return _plan_of(problem, torch.stack([commands for commands, _ in found]), found)

    def _best(self, problem: Problem, cost: TimeToGo, body: Body, row: int, underway: Tensor) -> tuple[Tensor, float]:
        """The best strike of an instant, by block, and its rating; infinite where things are out of place and none
        helps. Where nothing is due, standing still.

        Args:
            underway: what is left of the last one, ``(1 or 0, blocks, A)``.
        """
        still = torch.zeros(1, *underway.shape[1:])
        due = self.strikes.due(problem, row, cost)
        if not due:
            here = problem.belief.select([row])
            now = Future(problem.model, here, here.map(lambda tensor: tensor[:, None]), torch.tensor([row]))
            return still[0], float(cost.seen(now)[0, 0])
        given = torch.cat([still, underway])
        drawn, ends = self.strikes.imagine(problem, row, cost, body, due, given)
        ends = problem.sound(ends[None])[0]
        weighed = ends.clone()
        weighed[1 : len(given)] *= 1 - self.margin
        best = int(weighed.argmin())
        helps = best > 0 and weighed[best] < (1 - self.helps) * ends[0]
        return drawn[best], float(ends[best]) if helps else torch.inf


def _plan_of(problem: Problem, commands: Tensor, found: Sequence[tuple[Tensor, float]]) -> Plan:
    """A plan of commands by block, each with how far things are from home after it."""
    ends = torch.tensor([end for _, end in found])
    count = problem.count
    return Plan(commands, problem.held(commands), ends, ends[None], count.imagined, count.dropped)


def _without(cost: TimeToGo, bodies: Sequence[Body]) -> TimeToGo:
    """The cost where all that goes along with the body counts as little as the body does, if that counts little."""
    matters, thing = cost.seen.matters, bodies[0].thing
    if matters is None or matters[thing] > 0.5 * matters.max():
        return cost
    part = torch.stack([body.part for body in bodies]).amin(dim=0)
    part[thing] = 0
    return cost.trusting((1 - part).square())
