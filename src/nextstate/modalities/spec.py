"""What one kind of sensing looks like: its shape, unit, and how it becomes numbers a network likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

Kind = Literal["image", "vector"]


@dataclass(frozen=True)
class Modality:
    """One kind of sensing.

    Args:
        shape: shape of one reading, without batch or time. Images are ``(H, W)`` or ``(H, W, C)``.
        mean, std: per-channel (images) or per-element (vectors) statistics used by `normalise`;
            `fitted` fills them from data.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    dtype: ClassVar[str]
    unit: ClassVar[str]

    shape: tuple[int, ...]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def channels(self) -> int:
        """Channels of an image, or elements of a vector."""
        if self.kind == "vector":
            return int(np.prod(self.shape))
        return self.shape[2] if len(self.shape) == 3 else 1

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """Physical units ``(..., *shape)`` to roughly unit-scale floats ``(..., *shape)``."""
        mean, std = self._statistics(values)
        return (values.float() - mean) / std

    def denormalise(self, values: torch.Tensor) -> torch.Tensor:
        """Inverse of `normalise`."""
        mean, std = self._statistics(values)
        return values.float() * std + mean

    def fitted(self, sample: np.ndarray) -> Modality:
        """A copy whose statistics come from `sample`, ``(N, *shape)`` in physical units."""
        return self

    def draw(self, values: np.ndarray) -> np.ndarray:
        """One reading ``shape`` as a uint8 picture ``(h, w, 3)``."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "mean": list(self.mean), "std": list(self.std)}

    def _statistics(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        mean = torch.tensor(self.mean, dtype=torch.float32, device=like.device)
        std = torch.tensor(self.std, dtype=torch.float32, device=like.device)
        if self.kind == "vector" and mean.numel() > 1:
            return mean.view(self.shape), std.view(self.shape)
        return mean, std


StateSpec = Mapping[str, Modality]
"""Modality name to its description: what a state of one world, dataset or model is made of."""
