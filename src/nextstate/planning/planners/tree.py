"""Thinking in branches: imagine stretches of future one after another, keep the promising, distrust the too good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.imagination.thoughts import CROWDED, IMPLAUSIBLE, KEPT, ROOT, ThoughtTree
from nextstate.models.protocol import Beliefs
from nextstate.planning.planners.icem import coloured
from nextstate.planning.planners.search import Search, check_counts
from nextstate.planning.problem import Future, Plan, Problem

LOST = -1
"""Number of no thought: what was planned before turned out to be implausible."""

Sense = Callable[[Future], Tensor]
"""Where imagined steps are, ``(N, H, F)``: thoughts that are far apart in it are different thoughts."""


class Memory(Protocol):
    """What was done and came of it in similar places, see `Recall`."""

    def __call__(self, places: Tensor, count: int, steps: int, generator: torch.Generator) -> Tensor:
        """Commands by step ``(P, count, steps, A)`` for places ``(P, F)``."""
        ...

    def promise(self, places: Tensor) -> Tensor:
        """The cost ``(P,)`` to which one gets from there."""
        ...


@dataclass(frozen=True)
class TreeSearch:
    """Beam search over stretches of commands, then a short search around the best line.

    A flat planner draws whole futures, and where reaching a goal first leads away from it, hardly any of them do so
    and then come back. Here each stretch begins from where a promising one ended. A model errs most where planning
    likes it best; so a stretch that gains far more than its siblings is imagined again under slightly other commands,
    and pruned when most of the gain is gone. What was planned before stays among the thoughts.

    Args:
        depth: stretches one after another, into which the horizon is cut evenly.
        proposals: stretches imagined after each thought that was kept.
        breadth: thoughts kept at each depth, half of them for being good and half for being unlike all that were kept
            before: a detour looks bad until it has been made.
        spread: standard deviation of proposed commands. colour: of their noise over time, see `ICEM`.
        leap: gain, in median absolute deviations among siblings, from which a thought is imagined again.
        doubt: times that it is imagined again, with commands changed by `tremor` (standard deviation).
        polish: candidates of the search around the best line; 0 for none.
        budget: steps imagined for each decision, at most; then `proposals` follow from it, and `polish` is made with
            what is left. 0 for no limit.
        sense: tells thoughts apart; by default the model's own space, else the commands that led there.
        memory: proposes what was done in similar states, and knows what came of it; `remembered` is the share of such
            proposals, `trust` the weight of what came of it beside a thought's own cost.
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
    budget: int = 0
    sense: Sense | None = None
    memory: Memory | None = None
    remembered: float = 0.7
    trust: float = 2.0

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        """As of every planner; each instant is thought about by itself."""
        check_counts(depth=self.depth, proposals=self.proposals, breadth=self.breadth)
        if problem.shape[0] < self.depth:
            raise PlanningError(
                f"{problem.shape[0]} blocks of commands cannot be cut into {self.depth} stretches; change horizon or "
                "depth."
            )
        if self.budget and self.budget < (2 + 2 * self.breadth) * problem.horizon:
            raise PlanningError(
                f"a budget of {self.budget} steps is too small for {self.breadth} thoughts over {problem.horizon}."
            )
        search = Search(problem, seed, start)
        grown = [self._think(problem, row, search) for row in range(problem.instants)]
        search.score(torch.stack([line for _, line in grown])[:, None])
        left = self.budget - problem.count.imagined * problem.horizon / problem.instants
        self._polish(search, int(left // problem.horizon) if self.budget else self.polish)
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
        best = planned = ROOT
        places, seen_before = now.places, now.places
        worth = {ROOT: self._worth(problem, now)[0]}
        # One line scored at the end, and a tenth for polishing.
        spare = 0.9 * self.budget - problem.horizon - problem.block
        for depth, stretch in enumerate(stretches):
            share = spare * len(stretch) / problem.shape[0]
            count = self.proposals
            if self.budget:
                count = max(int(0.9 * share / (len(kept) * len(stretch) * problem.block)), 1)
            parents = [number for number in kept for _ in range(count)]
            drawn = self._propose(problem, search, row, kept, count, ways, stretch, places)
            begin = beliefs.repeat(count)
            seen = self._look(problem, row, begin, drawn)
            before = torch.tensor([tree.thoughts[n].cost for n in parents])
            paths = torch.tensor([tree.thoughts[n].path for n in parents])
            path = (paths * depth + seen.costs.mean(dim=1)) / (depth + 1)
            value = self._worth(problem, seen, path)
            doubted = int(0.1 * share / (len(stretch) * problem.block * max(self.doubt, 1))) if self.budget else None
            confidence = self._confidence(problem, row, search, begin, drawn, before, seen.costs[:, -1], doubted)
            numbers = []
            for i, parent in enumerate(parents):
                commands = problem.held(drawn[i]).numpy().astype(np.float32)
                sure = float(confidence[i])
                thought = tree.add(parent, commands, float(seen.costs[i, -1]), float(path[i]), confidence=sure)
                thought.fate = CROWDED if sure >= 0.5 else IMPLAUSIBLE
                ways[thought.number] = torch.cat([ways[parent], drawn[i]])
                worth[thought.number] = value[i]
                numbers.append(thought.number)
            features = seen.places
            if features is None:
                features = _features(problem, seen.ends, drawn, parents, ways)
            # What was planned before goes on from where it has come to.
            planned = numbers[parents.index(planned)] if planned in parents else LOST
            chosen = self._keep(tree, numbers, worth, features, seen_before, planned)
            for number in chosen:
                tree.thoughts[number].fate = KEPT
            best = min([best, *chosen], key=worth.__getitem__)
            rows = [numbers.index(n) for n in chosen]
            beliefs, places, kept = seen.ends.select(rows), features[rows], chosen
            seen_before = places if seen_before is None else torch.cat([seen_before, places])
        tree.choose(best)
        line = ways[best]
        # Where the best line ends early, nothing more is done.
        rest = torch.zeros(problem.shape[0] - len(line), size)
        return tree, problem.bounded(torch.cat([line, rest]))

    def _propose(
        self,
        problem: Problem,
        search: Search,
        row: int,
        kept: list[int],
        count: int,
        ways: dict[int, Tensor],
        stretch: Tensor,
        places: Tensor | None,
    ) -> Tensor:
        """Stretches ``(kept * count, blocks, A)``: as was planned, remembered, as before, and drawn."""
        length, size = len(stretch), problem.shape[1]
        noise = coloured(search.normal(len(kept), count, length, size), self.colour)
        # Half of the noise is one direction held, or stretches would hardly leave the spot.
        held = search.normal(len(kept), count, 1, size)
        drawn = self.spread * (0.7 * noise + held)
        drawn[:, 0] = search.start[row, stretch]
        remembered = round(self.remembered * (count - 1)) if self.memory is not None else 0
        if self.memory is not None and remembered and places is not None:
            steps = self.memory(places, remembered, length * problem.block, search.generator)
            blocks = steps.view(len(kept), remembered, length, problem.block, size).mean(dim=3)
            drawn[:, 1 : 1 + remembered] = blocks + self.tremor * search.normal(*blocks.shape)
        for index, number in enumerate(kept):
            if count > remembered + 1 and len(ways[number]):
                drawn[index, -1] = ways[number][-1]
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
        most: int | None,
    ) -> Tensor:
        """Share of each stretch's gain that remains under slightly other commands; 1 where nothing is striking."""
        confidence = torch.ones(len(drawn))
        gain = torch.where(after.isfinite(), before - after, -torch.inf)
        sound = gain[gain.isfinite()]
        middle = sound.median()
        usual = (sound - middle).abs().median().clamp_min(1e-9)
        striking = ((gain - middle) / usual > self.leap).nonzero()[:, 0]
        striking = striking[gain[striking].argsort(descending=True)][:most]
        if len(striking) and self.doubt:
            again = drawn[striking].repeat_interleave(self.doubt, dim=0)
            again = problem.bounded(again + self.tremor * search.normal(*again.shape))
            held = begin.select([int(i) for i in striking for _ in range(self.doubt)])
            costs = self._look(problem, row, held, again).costs[:, -1].view(-1, self.doubt)
            remains = before[striking] - costs.median(dim=1).values
            confidence[striking] = (remains / gain[striking]).clamp(0, 1)
        confidence[~after.isfinite()] = 0
        return confidence

    def _keep(
        self,
        tree: ThoughtTree,
        numbers: list[int],
        worth: Mapping[int, float],
        features: Tensor,
        seen_before: Tensor | None,
        planned: int,
    ) -> list[int]:
        """What was planned, the best plausible thoughts, and those that lead elsewhere than any kept so far."""
        able = [n for n in numbers if tree.thoughts[n].fate != IMPLAUSIBLE] or numbers
        able = sorted(able, key=worth.__getitem__)
        kept = list(dict.fromkeys([*able[: max(self.breadth // 2, 1)], *([planned] if planned in able else [])]))
        spare = [n for n in able if n not in kept]
        if not spare:
            return kept
        where = {n: i for i, n in enumerate(numbers)}
        points = features[[where[n] for n in spare]]
        there = features[[where[n] for n in kept]]
        if seen_before is not None and seen_before.shape[1] == features.shape[1]:
            there = torch.cat([there, seen_before])
        nearest = torch.cdist(points, there).min(dim=1).values
        for _ in range(min(self.breadth - len(kept), len(spare))):
            index = int(nearest.argmax())
            kept.append(spare[index])
            nearest = torch.minimum(nearest, torch.cdist(points, points[index : index + 1])[:, 0])
            nearest[index] = -1.0
        return kept

    def _worth(self, problem: Problem, seen: _Seen, path: Tensor | None = None) -> list[float]:
        """What thoughts cost, on the way and at their end, and what is hoped for from there; infinite if unknown."""
        end = seen.costs[:, -1]
        value = (1 - problem.last) * (end if path is None else path) + problem.last * end
        if self.memory is not None and seen.places is not None and self.trust:
            value = value + self.trust * self.memory.promise(seen.places)
        problem.count.dropped += int(value.isnan().sum())
        return torch.where(value.isfinite(), value, torch.inf).tolist()

    def _polish(self, search: Search, count: int) -> None:
        """Two rounds of candidates around the best line so far, the second ones nearer to it."""
        problem = search.problem
        for spread, share in ((0.3, count // 2), (0.12, count - count // 2)):
            if share:
                noise = coloured(search.normal(problem.instants, share, *problem.shape), self.colour)
                search.score(problem.bounded(search.best[:, None] + spread * noise))

    def _look(self, problem: Problem, row: int, begin: Beliefs, commands: Tensor) -> _Seen:
        actions = problem.held(commands)
        span = problem.model.imagine(begin, actions)
        future = Future(problem.model, begin, span, torch.full((len(commands),), row))
        costs = problem.cost(future).detach()
        places = None if self.sense is None else self.sense(future)[:, -1]
        problem.count.imagined += len(commands) * commands.shape[1] / problem.shape[0]
        # The end of a span, as something to imagine from.
        end = span.steps([actions.shape[1] - 1]).map(lambda tensor: tensor[:, 0])
        return _Seen(costs, end, places)


@dataclass(frozen=True)
class _Seen:
    costs: Tensor
    ends: Beliefs
    places: Tensor | None


def _features(problem: Problem, ends: Beliefs, drawn: Tensor, parents: list[int], ways: dict[int, Tensor]) -> Tensor:
    """Where thoughts lead, ``(N, F)``: in the model's own space where it has one, else by what was commanded so far."""
    embed = getattr(problem.model, "embed", None)
    if embed is not None:
        points: Tensor = embed(ends.map(lambda tensor: tensor[:, None]))[:, 0]
        return points
    return torch.stack([ways[parent].sum(dim=0) for parent in parents]) + drawn.sum(dim=1)
