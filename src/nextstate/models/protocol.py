"""The one contract for everything that predicts: networks, the true simulator, baselines, outside models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from nextstate.modalities import StateSpec

States = Mapping[str, Tensor]
"""Modality name to readings ``(B, T, *shape)`` in physical units (rgb uint8, the rest float32)."""


@dataclass(frozen=True)
class History:
    """What has been sensed and done up to now.

    Args:
        states: modality -> ``(B, T, *shape)``; the last one is the instant from which futures are imagined.
        actions: ``(B, T-1, A)``, the commands between those states.
        snapshots: one opaque simulator snapshot per batch element, taken at the last state. Only true
            simulators (the oracle, wrong physics) may look at them; anything learned must not.
    """

    states: States
    actions: Tensor
    snapshots: Sequence[Any] | None = None

    def __len__(self) -> int:
        return int(self.actions.shape[0])


@dataclass(frozen=True)
class Beliefs:
    """What a model holds to be the case, for a batch ``(B, ...)`` or a batch of spans ``(B, H, ...)``.

    Only the model that made it knows what is inside; everyone else may index and repeat it along the batch.

    Args:
        tensors: name -> tensor with batch as first dimension.
        handles: name -> one opaque object per batch element (snapshots of simulators).
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    handles: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        for tensor in self.tensors.values():
            return int(tensor.shape[0])
        for handles in self.handles.values():
            return len(handles)
        return 0

    def map(self, function: Callable[[Tensor], Tensor]) -> Beliefs:
        return Beliefs({k: function(v) for k, v in self.tensors.items()}, self.handles)

    def select(self, indices: Sequence[int]) -> Beliefs:
        """The batch elements at `indices`."""
        rows = torch.as_tensor(list(indices))
        return Beliefs(
            {k: v[rows.to(v.device)] for k, v in self.tensors.items()},
            {k: [v[i] for i in indices] for k, v in self.handles.items()},
        )

    def repeat(self, times: int) -> Beliefs:
        """Each batch element `times` times in a row: K alternatives of one instant."""
        return self.select([i for i in range(len(self)) for _ in range(times)])

    def steps(self, indices: Sequence[int]) -> Beliefs:
        """Of spans ``(B, H, ...)`` only the steps at `indices`, ``(B, len(indices), ...)``."""
        rows = list(indices)
        return Beliefs({k: v[:, rows] for k, v in self.tensors.items()}, self.handles)


@dataclass(frozen=True)
class WorldModelSpec:
    """What a model can and cannot do.

    Args:
        name: for tables and plots.
        modalities: what it predicts, with shapes and statistics.
        action_size: A, the length of a motor command in [-1, 1].
        hz: states per second.
        context: states of history it wants (it accepts fewer).
        horizon: steps it was trained to foresee; longer rollouts are allowed.
        stochastic: whether ``imagine(..., sample=i)`` differs between samples.
    """

    name: str
    modalities: StateSpec
    action_size: int
    hz: float
    context: int
    horizon: int
    stochastic: bool = False


def unfit_commands(spec: WorldModelSpec, size: int, whose: str) -> list[str]:
    """Why a model cannot be told commands of `size` numbers, in words; empty where it can."""
    if spec.action_size == size:
        return []
    if not spec.action_size:
        return ["it learned from silent episodes alone and takes no motor commands until labelled ones ground it"]
    return [f"its actions have {spec.action_size} numbers, {whose} {size}"]


@runtime_checkable
class WorldModel(Protocol):
    """Observe a history, imagine futures under actions, decode what they would look and feel like."""

    @property
    def spec(self) -> WorldModelSpec: ...

    def observe(self, history: History) -> Beliefs:
        """Belief at the last state of the history, batch ``(B, ...)``."""
        ...

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        """Beliefs ``(B, H, ...)`` at steps 1..H under `actions` ``(B, H, A)`` in [-1, 1].

        `sample` is None for the central future, else the number of a sampled one: the same number
        gives the same draw of what is unknown, for every batch element and every call.
        """
        ...

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        """Spans ``(B, H, ...)`` to states ``(B, H, *shape)`` in physical units, only what is asked for."""
        ...
