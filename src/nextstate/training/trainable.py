"""What can be trained, and what it is trained on: the two contracts of the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.models import WorldModel, WorldModelSpec
from nextstate.models.stages import Stage


class Learner(Protocol):
    """A network that is a `torch.nn.Module` and knows its own loss.

    It is written for one device and in full precision; device, precision, memory layout and compiling are
    applied from outside, by `parallel.prepare`.
    """

    @property
    def spec(self) -> WorldModelSpec:
        """What it senses and does."""
        ...

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """What to minimise, under ``"loss"``, and its named parts: scalars.

        Args:
            batch: modality -> ``(B, T, *shape)`` in the stored type, and ``"action"`` -> ``(B, T-1, A)``.
            generator: the only source of randomness, derived from seed and step.
            progress: how much of the run is over, from 0 to 1.
        """
        ...

    @property
    def stages(self) -> Sequence[Stage]:
        """What it learns first and what then; at least one."""
        ...

    @property
    def images(self) -> Sequence[str]:
        """Modalities that are pictures: what windows of a pictured stage keep."""
        ...

    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What single frames ``(N, *shape)`` are to it, for stages that learn from that; else never called."""
        ...

    def finish(self, batch: Mapping[str, Tensor]) -> None:
        """Last touches that need windows nothing was learned from, modality -> ``(B, T, *shape)``; may do nothing."""
        ...

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        """Floating-point operations of one training step (forward and backward) at that point of the run."""
        ...

    def config(self) -> dict[str, Any]:
        """``{"preset": ..., "options": {...}}``: with the spec enough to rebuild it."""
        ...

    def owners(self) -> dict[str, int]:
        """Number of parameters by owner."""
        ...


class Trainable(WorldModel, Learner, Protocol):
    """A world model that learns."""


class Batches(Protocol):
    """Where batches come from; `nextstate.data.cache.Windows` is one."""

    def batch(self, step: int, size: int) -> Mapping[str, np.ndarray]:
        """The batch of a step: a pure function of its arguments, so a position never needs saving."""
        ...


class Frames(Batches, Protocol):
    """Batches that can also be had of what something else makes of each frame."""

    @property
    def rows(self) -> int:
        """Number of frames."""
        ...

    def frames(self, first: int, count: int) -> Mapping[str, np.ndarray]:
        """Modality -> ``(N, *shape)``: `count` frames from `first` on, or as many as there are."""
        ...

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> Batches:
        """The same windows of other arrays ``(rows, ...)`` and of those of its own to keep, with the same actions."""
        ...


def module_of(model: Learner) -> nn.Module:
    """The model as the torch module it is; raises `TypeError` if it is none."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{type(model).__name__} is not a torch.nn.Module, so there is nothing to train")
    return model


def to_tensors(batch: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """A batch as tensors in the stored types, on the device."""
    tensors = {name: torch.from_numpy(np.require(array, requirements=("C", "W"))) for name, array in batch.items()}
    if device.type == "cpu":
        return tensors
    return {name: t.pin_memory().to(device, non_blocking=True) for name, t in tensors.items()}
