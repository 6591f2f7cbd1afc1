"""An instant of an episode: what was sensed and done up to it, and the snapshot to fork it from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nextstate.errors import StateError
from nextstate.models.protocol import History
from nextstate.worlds import Policy, Snapshot, World


@dataclass(frozen=True)
class Instant:
    """Where futures fork.

    Args:
        states: modality -> ``(T, *shape)``, oldest first; the last one is the instant itself.
        actions: ``(T-1, A)``, the commands between those states.
        snapshot: the simulator at the last state, None when there is no simulator (a recorded dataset).
    """

    states: Mapping[str, np.ndarray]
    actions: np.ndarray
    snapshot: Snapshot | None = None

    def now(self, modality: str) -> np.ndarray:
        """The last reading of one modality, ``(*shape)``."""
        return np.asarray(self.states[modality][-1])

    def history(self, context: int, modalities: Sequence[str]) -> History:
        """The last `context` states as a batch of one, for any `WorldModel`."""
        length = len(self.actions) + 1
        first = max(0, length - context)
        states = {name: torch.from_numpy(np.ascontiguousarray(self.states[name][first:]))[None] for name in modalities}
        actions = torch.from_numpy(np.asarray(self.actions[first:], np.float32))[None]
        return History(states, actions, None if self.snapshot is None else [self.snapshot])


def reach(world: World, seed: int, step: int, policy: Policy | None = None, context: int = 16) -> Instant:
    """The instant `step` control steps into the episode of `seed`, with up to `context` states of history.

    Args:
        policy: what the body does until then; None waits with zero commands.

    Raises:
        StateError: `step` is negative or beyond the world's longest episode.
    """
    if not 0 <= step <= world.max_steps:
        raise StateError(f"{world.name}: step {step} is outside its episodes of 0 to {world.max_steps} steps.")
    observation, _ = world.reset(seed=seed)
    states, actions = [observation], []
    for _ in range(step):
        action = np.zeros(world.action_size, np.float32) if policy is None else policy(world)
        observation, *_ = world.step(action)
        states.append(observation)
        actions.append(action)
        if len(states) > max(context, 1):
            del states[0], actions[0]
    stacked = {name: np.stack([state[name] for state in states]) for name in states[0]}
    return Instant(stacked, np.reshape(actions, (-1, world.action_size)).astype(np.float32), world.snapshot())


def resume(world: World, snapshot: Snapshot) -> Instant:
    """The instant of a snapshot; nothing is known of what came before, so there is no history.

    Raises:
        SnapshotError: for a snapshot of another world, or of another version of it.
    """
    world.restore(snapshot)
    states = {name: values[None] for name, values in world.observe().items()}
    return Instant(states, np.zeros((0, world.action_size), np.float32), snapshot)
