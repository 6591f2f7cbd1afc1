"""What acts: readings in, a command out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from nextstate.worlds import Snapshot


@runtime_checkable
class Actor(Protocol):
    """Acts in one episode at a time."""

    def reset(self) -> None:
        """Forgets the episode; call it when a new one begins."""
        ...

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        """The command ``(A,)`` in [-1, 1] for what is sensed now, modality -> ``(*shape)``.

        Args:
            snapshot: of the simulator, for actors that may fork it (the oracle's); anything learned must not look.
        """
        ...
