"""CEM where commands are chosen from a list: probabilities move to what the best plans chose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.planning.planners.search import Search, cheapest, check_counts
from nextstate.planning.problem import Plan, Problem


@dataclass(frozen=True)
class CategoricalCEM:
    """The cross-entropy method over a table of probabilities, one row for each block.

    Args:
        choices: commands ``(C, A)`` from which to choose, within the problem's bounds.
        candidates, rounds, elites: as of `CEM`. keep: share of the old probabilities that stays in each round.
        least: probability below which no choice falls.
    """

    choices: Tensor
    candidates: int = 128
    rounds: int = 5
    elites: int = 12
    keep: float = 0.2
    least: float = 0.01

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates, rounds=self.rounds, elites=self.elites)
        blocks, length = problem.shape
        if self.choices.dim() != 2 or self.choices.shape[1] != length or len(self.choices) < 2:
            raise PlanningError(
                f"choices of shape {tuple(self.choices.shape)}: give at least two commands of {length} numbers, "
                "(C, A); for commands that are not a list, plan with icem."
            )
        if bool((problem.bounded(self.choices) != self.choices).any()):
            raise PlanningError("some of the choices lie outside the bounds of commands.")
        search, count = Search(problem, seed, start), len(self.choices)
        chance = torch.full((problem.instants, blocks, count), 1 / count)
        if start is not None:
            # Half of the probability begins with the choice nearest to the start.
            nearest = torch.cdist(search.start.flatten(0, 1), self.choices).argmin(dim=1).view(-1, blocks)
            chance = 0.5 * chance + 0.5 * F.one_hot(nearest, count)
        for _ in range(self.rounds):
            drawn = torch.multinomial(
                chance.flatten(0, 1), self.candidates, replacement=True, generator=search.generator
            )
            chosen = drawn.view(problem.instants, blocks, -1).transpose(1, 2)
            costs = search.score(self.choices[chosen])
            index = cheapest(costs, self.elites)
            best = chosen.gather(1, index[:, :, None].expand(-1, -1, blocks))
            share = F.one_hot(best, count).float().mean(dim=1)
            chance = (self.keep * chance + (1 - self.keep) * share).clamp_min(self.least)
            chance = chance / chance.sum(dim=-1, keepdim=True)
        search.score(self.choices[chance.argmax(dim=-1)][:, None])
        return search.plan()
