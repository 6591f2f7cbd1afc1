"""Imagining before acting: proposals of a policy that follows words, judged by what the words make one expect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from nextstate.models.world_model import StateModel
from nextstate.policies.heeding import Foretelling, Heeding, told
from nextstate.policies.looking import glance
from nextstate.policies.memory import Memory
from nextstate.worlds import Snapshot


class Choosing:
    """Draws commands many times, imagines each in the world model, and does what leads nearest to what is foretold.

    Args:
        model: in which is imagined. head: proposes. foretelling: what things look like when the words are followed.
        candidates: proposals; `futures` are foretold, and their median is what is aimed at.
        every: commands done of each decision.
    """

    def __init__(
        self,
        model: StateModel,
        head: Heeding,
        foretelling: Foretelling,
        instruction: str,
        every: int = 2,
        candidates: int = 16,
        futures: int = 8,
        seed: int = 0,
    ) -> None:
        self.model, self.head, self.foretelling = model, head, foretelling
        self.words = torch.from_numpy(told(instruction))[None]
        self.every, self.candidates, self.futures, self.seed = every, candidates, futures, seed
        self.reset()

    def reset(self) -> None:
        self.memory = Memory(list(self.model.spec.modalities), self.model.spec.context)
        self._left: list[np.ndarray] = []
        self._generator = torch.Generator().manual_seed(self.seed)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(self.model.spec.modalities)

    @property
    def due(self) -> bool:
        """Whether the next command takes a look."""
        return not self._left

    @torch.no_grad()
    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        self.memory.sensed(observation)
        if self.due:
            state = glance(self.model, observation)
            commands, _ = self.head.draw(
                {n: _many(v, self.candidates) for n, v in self.head.known(state).items()},
                _many(self.words, self.candidates),
                self._generator,
            )
            _, ahead = self.foretelling.draw(
                {n: _many(v, self.futures) for n, v in self.foretelling.known(state).items()},
                _many(self.words, self.futures),
                self._generator,
            )
            assert commands is not None and ahead is not None
            aim = state["places"][0] + ahead[:, -1].median(dim=0).values
            belief = self.model.observe(self.memory.history(self.model.spec.action_size)).repeat(self.candidates)
            reached = self.model.imagine(belief, commands).tensors["places"][:, -1].float()
            there = self.foretelling.known(state)["there"]
            miss = ((reached - aim).square().sum(dim=-1) * there).sum(dim=-1)
            self._left = list(commands[int(miss.argmin()), : self.every].float().numpy())
        action = self._left.pop(0)
        self.memory.done(action)
        return action


def _many(values: torch.Tensor, count: int) -> torch.Tensor:
    return values.expand(count, *values.shape[1:])
