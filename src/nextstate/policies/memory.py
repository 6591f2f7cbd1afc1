"""What an actor remembers of its episode."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from nextstate.errors import StateError
from nextstate.models.protocol import History
from nextstate.worlds import Snapshot


class Memory:
    """The last states and commands of an episode, as a model wants them.

    Args:
        modalities: which readings to keep. context: how many states.
    """

    def __init__(self, modalities: Sequence[str], context: int) -> None:
        self.modalities, self.context = tuple(modalities), context
        self._states: deque[dict[str, np.ndarray]] = deque(maxlen=context)
        self._actions: deque[np.ndarray] = deque(maxlen=max(context - 1, 0))

    def sensed(self, observation: Mapping[str, np.ndarray]) -> None:
        """Adds what is sensed now; raises `StateError` for readings that are missing or not finite."""
        if missing := [name for name in self.modalities if name not in observation]:
            raise StateError(f"the observation lacks {', '.join(missing)}; it holds {', '.join(observation)}.")
        state = {name: np.array(observation[name]) for name in self.modalities}
        for name, reading in state.items():
            if not np.isfinite(reading).all():
                raise StateError(f"the observation's {name} is not finite.")
        self._states.append(state)

    def done(self, action: np.ndarray) -> None:
        """Adds the command that follows the last state."""
        self._actions.append(np.asarray(action, np.float32))

    def history(self, action_size: int, snapshot: Snapshot | None = None) -> History:
        """A batch of one; call it after `sensed` and before `done`."""
        length = len(self._states)
        states = {n: torch.from_numpy(np.stack([s[n] for s in self._states]))[None] for n in self.modalities}
        actions = list(self._actions)[-(length - 1) :] if length > 1 else []
        stacked = np.stack(actions) if actions else np.zeros((0, action_size), np.float32)
        return History(states, torch.from_numpy(stacked)[None], None if snapshot is None else [snapshot])
