"""What a guide proposes; and where that promises nothing, strikes from behind whatever is out of place."""

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
    """`Guided`, which stalls where everything useful begins with a detour, and `Strikes` there.

    Costs that know neither a body nor things to bring home (all but `TimeToGo`) leave it at `Guided`.

    Args:
        candidates: of `Guided`. strikes: which are imagined.
        promise: share of what is left by which a plan has to bring things nearer, or strikes are imagined.
        margin: share by which a strike must be better than that plan, than standing still, and than going on with the
            strike that is under way.
    """

    candidates: int = 40
    strikes: Strikes = field(default_factory=Strikes)
    promise: float = 0.15
    margin: float = 0.1

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        cost, length = problem.cost, self.strikes.horizon // problem.block
        if not isinstance(cost, TimeToGo) or self.strikes.horizon % problem.block or length <= problem.shape[0]:
            return Guided(self.candidates).plan(problem, start, seed)
        bodies = [Body.of(problem, cost, row) for row in range(problem.instants)]
        cost = _without(cost, bodies)
        problem = replace(problem, cost=cost)
        left = self._left(problem, cost)
        rows = range(problem.instants)
        underway = None if start is None or start.shape[1] != length else start
        if underway is not None:
            # A strike that goes well is gone on with; nothing else is asked until it does not.
            found = [self._best(problem, cost, bodies[row], row, underway[row : row + 1]) for row in rows]
            if all(better < (1 - self.promise) * left[row] for row, (_, better) in enumerate(found)):
                return _plan_of(problem, torch.stack([commands for commands, _ in found]), found)
        plan = Guided(self.candidates).plan(problem, None if start is None else start[:, : problem.shape[0]], seed)
        promised = self._left(problem, cost, plan)
        stuck = [row for row in rows if promised[row] > (1 - self.promise) * left[row]]
        found = [(F.pad(commands, (0, 0, 0, length - problem.shape[0])), torch.inf) for commands in plan.commands]
        for row in stuck:
            commands, end = self._best(problem, cost, bodies[row], row, found[row][0][None, :0])
            if end < (1 - self.margin) * float(promised[row]):
                found[row] = commands, end
        if all(end == torch.inf for _, end in found):
            return plan
        return _plan_of(problem, torch.stack([commands for commands, _ in found]), found)

    def _best(self, problem: Problem, cost: TimeToGo, body: Body, row: int, underway: Tensor) -> tuple[Tensor, float]:
        """The best strike of an instant, by block, and how far things are from home after it; infinite if none helps.

        Args:
            underway: what is left of the last one, ``(1 or 0, blocks, A)``.
        """
        length = self.strikes.horizon // problem.block
        still = torch.zeros(1, length, problem.shape[1])
        given = torch.cat([still, underway]) if underway.shape[1] == length else still
        drawn, ends = self.strikes.imagine(problem, row, cost, body, given)
        weighed = ends.clone()
        weighed[1 : len(given)] *= 1 - self.margin
        best = int(weighed.argmin())
        helps = best > 0 and weighed[best] < (1 - self.margin) * ends[0]
        return drawn[best], float(ends[best]) if helps else torch.inf

    @torch.no_grad()
    def _left(self, problem: Problem, cost: TimeToGo, plan: Plan | None = None) -> Tensor:
        """How far things are from home, ``(B,)``, now or at the end of a plan."""
        belief = problem.belief
        if plan is None:
            then = belief.map(lambda tensor: tensor[:, None])
        else:
            then = problem.model.imagine(belief, plan.actions).steps([problem.horizon - 1])
        return cost.seen(Future(problem.model, belief, then, torch.arange(problem.instants)))[:, 0]


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
