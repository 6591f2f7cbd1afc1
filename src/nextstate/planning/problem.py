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
        settings = (self.horizon, self.block, self.stride, self.last, self.caution, self.samples, self.chunk)
        check_settings(self.model, *settings)
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
        self.count.imagined += costs.numel()
        return self.sound(costs)

    def sound(self, costs: Tensor) -> Tensor:
        """Costs ``(B, K)`` with those infinite that are not numbers, which are counted as dropped, with a warning.

        Raises:
            PlanningError: as `evaluate`.
        """
        sound = costs.isfinite()
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


def check_settings(
    model: WorldModel,
    horizon: int,
    block: int = 1,
    stride: int = 1,
    last: float = 0.0,
    caution: float = 0.0,
    samples: int = 0,
    chunk: int = 1024,
) -> None:
    """Warns of a horizon beyond what the model learned to foresee.

    Raises:
        PlanningError: for settings of a `Problem` that cannot be used.
    """
    if horizon < 1 or block < 1 or horizon % block:
        raise PlanningError(
            f"a horizon of {horizon} steps in blocks of {block}: both must be at least 1, and blocks must fill the "
            "horizon."
        )
    if stride < 1 or horizon % stride:
        raise PlanningError(f"stride {stride}: it must be at least 1 and divide the horizon, {horizon}.")
    if not 0 <= last <= 1 or caution < 0 or samples < 0 or chunk < 1:
        raise PlanningError(
            f"last {last} must lie in [0, 1], caution {caution} and samples {samples} at least 0, chunk {chunk} at "
            "least 1."
        )
    if caution and samples < 2:
        raise PlanningError("caution compares sampled futures; ask for at least 2 samples.")
    if samples and not model.spec.stochastic:
        raise PlanningError(f"{model.spec.name} knows only one future; plan with samples = 0.")
    if horizon > model.spec.horizon:
        warnings.warn(
            f"{horizon} steps are looked ahead, and {model.spec.name} learned to foresee {model.spec.horizon}; what "
            "it says of later ones is less sure.",
            stacklevel=3,
        )


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
