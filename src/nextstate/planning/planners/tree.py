"""Thinking in branches: imagine stretches of future one after another, keep the promising, distrust the too good."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.imagination.thoughts import CROWDED, IMPLAUSIBLE, ROOT, ThoughtTree
from nextstate.models.protocol import Beliefs
from nextstate.planning.planners.icem import ICEM, coloured
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Future, Plan, Problem


@dataclass(frozen=True)
class TreeSearch:
    """Beam search over stretches of commands, then a short search around the best line.

    A flat planner draws whole futures, and where reaching a goal first leads away from it, hardly any of them do so
    and then come back. Here each stretch begins from where a promising one ended. A model errs most where planning
    likes it best; so a stretch that gains far more than its siblings is imagined again under slightly other commands,
    and pruned when most of the gain is gone.

    Args:
        depth: stretches one after another, into which the horizon is cut evenly.
        proposals: stretches imagined after each thought that was kept.
        breadth: thoughts kept at each depth, half of them for being good and half for being different: a detour looks
            bad until it has been made.
        spread: standard deviation of proposed commands. colour: of their noise over time, see `ICEM`.
        leap: gain, in median absolute deviations among siblings, from which a thought is imagined again.
        doubt: times that it is imagined again, with commands changed by `tremor` (standard deviation).
        polish: candidates of the search around the best line; 0 for none.
    """

    depth: int = 3
    proposals: int = 48
    breadth: int = 6
    spread: float = 0.8
    colour: float = 1.0
    leap: float = 3.0
    doubt: int = 4
    tremor: float = 0.05
    polish: int = 48

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        """As of every planner; each instant is thought about by itself."""
        check_counts(depth=self.depth, proposals=self.proposals, breadth=self.breadth)
        if problem.shape[0] < self.depth:
            raise PlanningError(
                f"{problem.shape[0]} blocks of commands cannot be cut into {self.depth} stretches; change horizon or "
                "depth."
            )
        search = Search(problem, seed, start)
        grown = [self._think(problem, row, search) for row in range(problem.instants)]
        search.score(torch.stack([torch.stack([line for _, line in grown]), search.start], dim=1))
        if self.polish:
            around = ICEM(self.polish, rounds=2, elites=max(self.polish // 8, 2), spread=0.25)
            better = around.plan(problem, search.best, seed + 1)
            search.score(better.commands[:, None])
        return replace(search.plan(), thoughts=[tree for tree, _ in grown])

    def think(self, problem: Problem, row: int = 0, seed: int = 0, start: Tensor | None = None) -> ThoughtTree:
        """The tree grown for one instant, its best line chosen."""
        return self._think(problem, row, Search(problem, seed, start))[0]

    def _think(self, problem: Problem, row: int, search: Search) -> tuple[ThoughtTree, Tensor]:
        size = problem.shape[1]
        stretches = torch.arange(problem.shape[0]).tensor_split(self.depth)
        tree, here = ThoughtTree(), problem.belief.select([row])
        now = self._look(problem, row, here, torch.zeros(1, 1, size))
        tree.add(None, np.zeros((0, size), np.float32), float(now.costs[0, 0]), float(now.costs[0, 0]))
        kept, beliefs, ways = [ROOT], here, {ROOT: torch.zeros(0, size)}
        best = ROOT
        for depth, stretch in enumerate(stretches):
            parents = [number for number in kept for _ in range(self.proposals)]
            drawn = self._propose(problem, search, row, kept, ways, stretch)
            begin = beliefs.repeat(self.proposals)
            seen = self._look(problem, row, begin, drawn)
            before = torch.tensor([tree.thoughts[n].cost for n in parents])
            paths = torch.tensor([tree.thoughts[n].path for n in parents])
            path = (paths * depth + seen.costs.mean(dim=1)) / (depth + 1)
            confidence = self._confidence(problem, row, search, begin, drawn, before, seen.costs[:, -1])
            numbers = []
            for i, parent in enumerate(parents):
                commands = problem.held(drawn[i]).numpy().astype(np.float32)
                sure = float(confidence[i])
                thought = tree.add(parent, commands, float(seen.costs[i, -1]), float(path[i]), confidence=sure)
                thought.fate = CROWDED if sure >= 0.5 else IMPLAUSIBLE
                ways[thought.number] = torch.cat([ways[parent], drawn[i]])
                numbers.append(thought.number)
            chosen = self._keep(tree, numbers, problem.last, _features(problem, seen.ends, drawn, parents, ways))
            for number in chosen:
                tree.thoughts[number].fate = "kept"
            best = min([best, *chosen], key=lambda n: _worth(tree, n, problem.last))
            beliefs = seen.ends.select([numbers.index(n) for n in chosen])
            kept = chosen
        tree.choose(best)
        line = ways[best]
        # Where the best line ends early, nothing more is done.
        rest = torch.zeros(problem.shape[0] - len(line), size)
        return tree, problem.bounded(torch.cat([line, rest]))

    def _propose(
        self, problem: Problem, search: Search, row: int, kept: list[int], ways: dict[int, Tensor], stretch: Tensor
    ) -> Tensor:
        """Stretches ``(kept * proposals, blocks, A)``: drawn, and two that go on as before and as was planned."""
        length, size = len(stretch), problem.shape[1]
        noise = coloured(search.normal(len(kept), self.proposals, length, size), self.colour)
        # Half of the noise is one direction held, or stretches would hardly leave the spot.
        held = search.normal(len(kept), self.proposals, 1, size)
        drawn = self.spread * (0.7 * noise + held)
        planned = search.start[row, stretch]
        for index, number in enumerate(kept):
            drawn[index, 0] = planned
            if self.proposals > 1 and len(ways[number]):
                drawn[index, 1] = ways[number][-1]
        return problem.bounded(drawn.flatten(0, 1))

    def _confidence(
        self,
        problem: Problem,
        row: int,
        search: Search,
        begin: Beliefs,
        drawn: Tensor,
        before: Tensor,
        after: Tensor,
    ) -> Tensor:
        """Share of each stretch's gain that remains under slightly other commands; 1 where nothing is striking."""
        confidence = torch.ones(len(drawn))
        gain = torch.where(after.isfinite(), before - after, -torch.inf)
        sound = gain[gain.isfinite()]
        middle = sound.median()
        usual = (sound - middle).abs().median().clamp_min(1e-9)
        striking = ((gain - middle) / usual > self.leap).nonzero()[:, 0]
        if len(striking) and self.doubt:
            again = drawn[striking].repeat_interleave(self.doubt, dim=0)
            again = problem.bounded(again + self.tremor * search.normal(*again.shape))
            held = begin.select([int(i) for i in striking for _ in range(self.doubt)])
            costs = self._look(problem, row, held, again).costs[:, -1].view(-1, self.doubt)
            remains = before[striking] - costs.median(dim=1).values
            confidence[striking] = (remains / gain[striking]).clamp(0, 1)
        confidence[~after.isfinite()] = 0
        return confidence

    def _keep(self, tree: ThoughtTree, numbers: list[int], last: float, features: Tensor) -> list[int]:
        """Half of the places for the best plausible thoughts, half for those that lead elsewhere than all kept."""
        able = [n for n in numbers if tree.thoughts[n].fate != IMPLAUSIBLE] or numbers
        able = sorted(able, key=lambda n: _worth(tree, n, last))
        kept = able[: max(self.breadth // 2, 1)]
        points = {n: features[numbers.index(n)] for n in able}
        while len(kept) < min(self.breadth, len(able)):
            there = torch.stack([points[n] for n in kept])
            spare = [n for n in able if n not in kept]
            nearest = torch.cdist(torch.stack([points[n] for n in spare]), there).min(dim=1).values
            kept.append(spare[int(nearest.argmax())])
        return kept

    def _look(self, problem: Problem, row: int, begin: Beliefs, commands: Tensor) -> _Seen:
        actions = problem.held(commands)
        span = problem.model.imagine(begin, actions)
        future = Future(problem.model, begin, span, torch.full((len(commands),), row))
        costs = problem.cost(future).detach()
        problem.count.imagined += len(commands) * commands.shape[1] / problem.shape[0]
        # The end of a span, as something to imagine from.
        end = span.steps([actions.shape[1] - 1]).map(lambda tensor: tensor[:, 0])
        return _Seen(costs, end)


@dataclass(frozen=True)
class _Seen:
    costs: Tensor
    ends: Beliefs


def _worth(tree: ThoughtTree, number: int, last: float) -> float:
    thought = tree.thoughts[number]
    worth = (1 - last) * thought.path + last * thought.cost
    return worth if np.isfinite(worth) else float("inf")


def _features(problem: Problem, ends: Beliefs, drawn: Tensor, parents: list[int], ways: dict[int, Tensor]) -> Tensor:
    """Where thoughts lead, ``(N, F)``: in the model's own space where it has one, else by what was commanded so far."""
    embed = getattr(problem.model, "embed", None)
    if embed is not None:
        points: Tensor = embed(ends.map(lambda tensor: tensor[:, None]))[:, 0]
        return points
    return torch.stack([ways[parent].sum(dim=0) for parent in parents]) + drawn.sum(dim=1)
