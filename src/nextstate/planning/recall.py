"""What was seen and done before, brought to mind where a thought is: subgoals out of recorded episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.evaluation.readout import Readout
from nextstate.planning.goals import names_of, read
from nextstate.planning.problem import Future
from nextstate.worlds.base import World

AHEAD = 80
"""Steps within which what came of a recorded instant is looked at."""


@dataclass(frozen=True)
class Whereabouts:
    """Where imagined steps are, as some outcomes in units of their spread: ``(N, H, F)`` of a future.

    Args:
        world: whose outcomes. names: of those that tell places apart, ``one-other`` for a difference. scale: ``(F,)``.
        readout: reads them out of what a model imagines; the simulator needs none.
    """

    world: type[World]
    names: Sequence[str]
    scale: Tensor
    readout: Readout | None = None

    def __call__(self, future: Future) -> Tensor:
        return self.of(read(self.readout, future).outcomes)

    def of(self, outcomes: np.ndarray) -> Tensor:
        """From outcomes ``(..., D)``."""
        return torch.from_numpy(places(self.world, self.names, outcomes)).float() / self.scale


def places(world: type[World], names: Sequence[str], outcomes: np.ndarray) -> np.ndarray:
    """Named outcomes and differences ``(..., F)`` out of outcomes ``(..., D)``."""
    known = names_of(world)

    def one(name: str) -> np.ndarray:
        first, _, second = name.partition("-")
        value = outcomes[..., known.index(first)]
        return np.asarray(value - outcomes[..., known.index(second)] if second else value)

    return np.stack([one(name) for name in names], axis=-1)


@dataclass(frozen=True)
class Recall:
    """Recorded instants and what was done from there: ``recall(places, count, steps, generator)``.

    What a thought is like brings to mind what was done in similar recorded instants, each from another episode, and of
    these rather such as came to something: proposals for how to go on, and so subgoals, what such doing led to there.
    That they lead to the same here is for the model to say.

    Args:
        places: ``(E, T, F)`` of E episodes, as `Whereabouts` tells them. commands: ``(E, T, A)`` given at each.
        came_to: ``(E, T)`` the lowest cost in what followed each instant within `AHEAD` steps.
        reach: how many times more instants than asked for are considered.
    """

    places: Tensor
    commands: Tensor
    came_to: Tensor
    reach: int = 4

    @staticmethod
    def of(
        where: Whereabouts, episodes: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], ahead: int = AHEAD
    ) -> Recall:
        """From outcomes ``(T+1, D)``, commands ``(T, A)`` and costs ``(T+1,)`` of episodes of one length."""
        known = list(episodes)
        if not known:
            raise PlanningError("no episodes to recall; give some.")
        places = torch.stack([where.of(outcomes[: len(commands)]) for outcomes, commands, _ in known])
        commands = torch.stack([torch.from_numpy(np.asarray(given, np.float32)) for _, given, _ in known])
        costs = np.stack([cost[1:] for _, _, cost in known]).astype(np.float32)
        padded = np.pad(costs, ((0, 0), (0, ahead - 1)), constant_values=np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, ahead, axis=1)
        return Recall(places, commands, torch.from_numpy(windows.min(axis=2)))

    def promise(self, places: Tensor, count: int = 16) -> Tensor:
        """What the better half of the nearest recorded instants came to, one of each episode: ``(P,)``, a cost."""
        episodes, length = self.came_to.shape
        apart = torch.cdist(places, self.places.flatten(0, 1)).view(len(places), episodes, length)
        nearest, instants = apart.min(dim=2)
        near = nearest.argsort(dim=1)[:, : min(count, episodes)]
        came_to = self.came_to[near, instants.gather(1, near)].sort(dim=1).values
        return came_to[:, : max(came_to.shape[1] // 2, 1)].mean(dim=1)

    def __call__(self, places: Tensor, count: int, steps: int, generator: torch.Generator) -> Tensor:
        """Commands ``(P, count, steps, A)`` for places ``(P, F)``; the last one is held where an episode ended."""
        episodes, length = self.came_to.shape
        apart = torch.cdist(places, self.places.flatten(0, 1)).view(len(places), episodes, length)
        nearest, instants = apart.min(dim=2)
        wide = min(self.reach * count, episodes)
        near = nearest.argsort(dim=1)[:, :wide]
        begin = instants.gather(1, near)
        # Half of them for what they came to, half as they come, the nearer the likelier.
        best = self.came_to[near, begin].argsort(dim=1)[:, : count // 2]
        weight = torch.linspace(1.0, 0.1, wide).repeat(len(places), 1).scatter(1, best, 1e-6)
        rest = count - best.shape[1]
        drawn = torch.multinomial(weight, rest, replacement=rest > wide - best.shape[1], generator=generator)
        chosen = torch.cat([best, drawn], dim=1)
        rows, begin = near.gather(1, chosen), begin.gather(1, chosen)
        times = (begin[:, :, None] + torch.arange(steps)).clamp_max(length - 1)
        return self.commands[rows[:, :, None], times]
