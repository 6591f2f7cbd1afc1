"""Forces on the skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nextstate.modalities.spec import Modality

if TYPE_CHECKING:
    import torch

REFERENCE_NEWTON = 0.5
"""Force at which the logarithmic scale bends: resolves light contact, tames impacts."""


@dataclass(frozen=True)
class Touch(Modality):
    """Normal force on each taxel, ``(rows, columns)`` float32 newtons, never negative.

    Normalised as ``log(1 + f / 0.5 N)``, since contact forces span orders of magnitude.
    """

    name = "touch"
    kind = "vector"
    dtype = "float32"
    unit = "N"

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        return (values.float().clamp_min(0) / REFERENCE_NEWTON).log1p()

    def denormalise(self, values: torch.Tensor) -> torch.Tensor:
        return values.float().expm1().clamp_min(0) * REFERENCE_NEWTON

    def draw(self, values: np.ndarray) -> np.ndarray:
        grid = np.asarray(values, np.float32).reshape(self.shape[0], -1)
        level = np.clip(np.log1p(np.maximum(grid, 0) / REFERENCE_NEWTON) / 4.0, 0, 1)[..., None]
        cells = (1 - level) * np.array([240, 240, 240]) + level * np.array([200, 30, 60])
        scale = max(1, 64 // max(grid.shape))
        return np.repeat(np.repeat(cells.astype(np.uint8), scale, axis=0), scale, axis=1)
