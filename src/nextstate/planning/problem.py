"""What is to be found: commands whose imagined future costs least."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.imagination.thoughts import ThoughtTree
from nextstate.modalities import Modality
from nextstate.models.protocol import Beliefs, WorldModel


class Future:
    """An imagined span, decoded only where a cost looks.

    Args:
        beliefs: ``(N, H, ...)``. start: ``(N, ...)``, from which they were imagined.
        rows: ``(N,)``, the instant of the problem to which each belongs.
        known: states that are known already, ``(N, H, *shape)``, such as those that came true.
    """

    def __init__(
        self,
        model: WorldModel,
        start: Beliefs,
        beliefs: Beliefs,
        rows: Tensor,
        known: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.model, self.start, self.beliefs, self.rows = model, start, beliefs, rows
        self._decoded: dict[str, Tensor] = dict(known or {})

    def states(self, *names: str) -> Mapping[str, Tensor]:
        """Modality -> ``(N, H, *shape)`` in physical units; each is decoded once."""
        missing = [name for name in names if name not in self._decoded]
        for name in missing:
            self.foreseen(name)
        if missing:
            self._decoded |= self.model.decode(self.beliefs, missing)
        return {name: self._decoded[name] for name in names}

    def foreseen(self, name: str) -> Modality:
        """A modality as the model foresees it; raises `PlanningError` for one that it does not."""
        if name not in self.model.spec.modalities:
            raise PlanningError(
                f"{self.model.spec.name} does not foresee {name}; it foresees "
                f"{', '.join(self.model.spec.modalities)}. Give the goal in one of these."
            )
        return self.model.spec.modalities[name]


Cost = Callable[[Future], Tensor]
"""Cost ``(N, H)`` of every imagined step, lower is better."""


@dataclass
class Count:
    """What a search spent, in futures of the whole horizon, and how many candidates it threw away."""

    imagined: float = 0
    dropped: int = 0


@dataclass(frozen=True)
class Problem:
    """Instants, what is wanted of each, and within which commands to look for it.

    Args:
        belief: B instants, ``(B, ...)``.
        cost: of every imagined step; summed over the horizon.
        horizon: H, steps looked ahead.
        block: steps for which a command is held.
        low, high: bounds ``(A,)`` of commands, within [-1, 1].
        stride: steps from one whose cost is asked to the next, up to the last; must divide the horizon.
        last: how much more than another the last step counts: 0 for the plain sum, 1 for the last step alone.
        caution: weight of the standard deviation of the cost among sampled futures.
        samples: sampled futures by which that is judged; 0 for the central one alone.
        chunk: futures imagined together.

    Raises:
        PlanningError: for settings that cannot be used.
    """

    model: WorldModel
    belief: Beliefs
    cost: Cost
    horizon: int
    block: int = 1
    low: Tensor | None = None
    high: Tensor | None = None
    stride: int = 1
    last: float = 0.0
    caution: float = 0.0
    samples: int = 0
    chunk: int = 1024
    count: Count = field(default_factory=Count)

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.block < 1 or self.horizon % self.block:
            raise PlanningError(
                f"a horizon of {self.horizon} steps in blocks of {self.block}: both must be at least 1, and blocks "
                "must fill the horizon."
            )
        if self.stride < 1 or self.horizon % self.stride:
            raise PlanningError(f"stride {self.stride}: it must be at least 1 and divide the horizon, {self.horizon}.")
        if not 0 <= self.last <= 1 or self.caution < 0 or self.samples < 0 or self.chunk < 1:
            raise PlanningError(
                f"last {self.last} must lie in [0, 1], caution {self.caution} and samples {self.samples} at least 0, "
                f"chunk {self.chunk} at least 1."
            )
        if self.caution and self.samples < 2:
            raise PlanningError("caution compares sampled futures; ask for at least 2 samples.")
        if self.samples and not self.model.spec.stochastic:
            raise PlanningError(f"{self.model.spec.name} knows only one future; plan with samples = 0.")
        if bool((self.lower >= self.upper).any()):
            raise PlanningError(f"bounds {self.lower.tolist()} to {self.upper.tolist()} leave no room for a command.")

    @property
    def instants(self) -> int:
        """B."""
        return len(self.belief)

    @property
    def shape(self) -> tuple[int, int]:
        """Commands of one plan: blocks and A."""
        return self.horizon // self.block, self.model.spec.action_size

    @property
    def lower(self) -> Tensor:
        return torch.full((self.shape[1],), -1.0) if self.low is None else self.low

    @property
    def upper(self) -> Tensor:
        return torch.full((self.shape[1],), 1.0) if self.high is None else self.high

    def bounded(self, commands: Tensor) -> Tensor:
        """Commands ``(..., A)`` brought within the bounds."""
        return torch.minimum(torch.maximum(commands, self.lower), self.upper)

    def held(self, commands: Tensor) -> Tensor:
        """Commands by block ``(..., blocks, A)`` as commands by step ``(..., H, A)``."""
        return commands.repeat_interleave(self.block, dim=-2)

    def evaluate(self, commands: Tensor) -> Tensor:
        """Costs ``(B, K)`` of K candidates for each instant, ``(B, K, blocks, A)``; infinite where not a number.

        Raises:
            PlanningError: when no candidate of an instant has a cost that is a number.
        """
        size, candidates = commands.shape[:2]
        actions = self.held(commands).flatten(0, 1)
        rows = torch.arange(size).repeat_interleave(candidates)
        parts = [
            self._costs(rows[start : start + self.chunk], actions[start : start + self.chunk])
            for start in range(0, len(rows), self.chunk)
        ]
        return self._sound(torch.cat(parts).view(size, candidates))

    def total(self, costs: Tensor) -> Tensor:
        """Costs ``(B, K)`` of candidates, from those of the steps that each was seen to take, ``(B, K, S)``.

        Raises:
            PlanningError: as `evaluate`.
        """
        return self._sound(self._summed(costs))

    def _sound(self, costs: Tensor) -> Tensor:
        sound = costs.isfinite()
        self.count.imagined += costs.numel()
        if not bool(sound.all()):
            if not bool(sound.any(dim=1).all()):
                raise PlanningError(
                    "every candidate's cost is not a number; look at what the cost reads, and at the goal."
                )
            dropped = int((~sound).sum())
            if not self.count.dropped:
                warnings.warn(f"{dropped} candidates whose cost is not a number were dropped", stacklevel=2)
            self.count.dropped += dropped
            costs = torch.where(sound, costs, torch.inf)
        return costs

    def _costs(self, rows: Tensor, actions: Tensor) -> Tensor:
        start = self.belief.select(rows.tolist())
        totals = []
        for sample in range(self.samples) if self.samples else (None,):
            span = self.model.imagine(start, actions, sample)
            seldom = span.map(lambda tensor: tensor[:, self.stride - 1 :: self.stride]) if self.stride > 1 else span
            totals.append(self._summed(self.cost(Future(self.model, start, seldom, rows))))
        stacked = torch.stack(totals)
        mean = stacked.mean(dim=0)
        return mean + self.caution * stacked.std(dim=0) if self.caution else mean

    def _summed(self, costs: Tensor) -> Tensor:
        return (1 - self.last) * costs.mean(dim=-1) + self.last * costs[..., -1]


@dataclass(frozen=True)
class Plan:
    """What was found for each instant.

    Args:
        commands: by block, ``(B, blocks, A)``. actions: by step, ``(B, H, A)``.
        cost: ``(B,)`` imagined.
        course: best cost after each round, ``(rounds, B)``.
        thoughts: trees grown on the way, one for each instant, of planners that think in branches.
        imagined, dropped: futures of the whole horizon imagined in all, and those whose cost was not a number.
    """

    commands: Tensor
    actions: Tensor
    cost: Tensor
    course: Tensor
    imagined: float
    dropped: int
    thoughts: Sequence[ThoughtTree] = ()

    def rest(self, blocks: int = 1) -> Tensor:
        """Commands that remain after the first `blocks`, the last one held: where to begin planning again."""
        return torch.cat([self.commands[:, blocks:], self.commands[:, -1:].expand(-1, blocks, -1)], dim=1)
