"""Acting by planning in leaps: each command of a plan is several of the world's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nextstate.imagination import Instant
from nextstate.models.leap import STRIDE
from nextstate.policies.planned import Planned
from nextstate.worlds import Snapshot


@dataclass
class InLeaps:
    """Does what a planner of leaps says, command by command, and asks it again when a leap is done."""

    planned: Planned

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.planned.reset()
        self._left: list[np.ndarray] = []

    def recall(self, instant: Instant) -> None:
        """It needs no history: leaps start from what is seen."""

    @property
    def due(self) -> bool:
        """Whether the next action will be planned first."""
        return not self._left and self.planned.due

    @property
    def surprises(self) -> list[float]:
        return self.planned.surprises

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        if not self._left:
            commands = self.planned.select_action(observation)
            self._left = list(commands.reshape(STRIDE, -1))
        return self._left.pop(0)
