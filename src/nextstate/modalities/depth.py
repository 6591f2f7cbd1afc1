"""Distance along the optical axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nextstate.modalities.spec import Modality


@dataclass(frozen=True)
class Depth(Modality):
    """Distance from the camera plane to the visible surface along the optical axis, ``(H, W)`` float32 metres."""

    name = "depth"
    kind = "image"
    dtype = "float32"
    unit = "m"

    def fitted(self, sample: np.ndarray) -> Depth:
        values = np.asarray(sample, dtype=np.float64)
        return replace(self, mean=(float(values.mean()),), std=(max(float(values.std()), 1e-3),))

    def draw(self, values: np.ndarray) -> np.ndarray:
        low, high = self.mean[0] - 2.5 * self.std[0], self.mean[0] + 2.5 * self.std[0]
        near = 1.0 - np.clip((np.asarray(values, dtype=np.float32) - low) / (high - low), 0.0, 1.0)
        stops = np.array([[13, 8, 60], [80, 50, 140], [205, 90, 100], [250, 200, 120], [252, 253, 220]], np.float32)
        position = near * (len(stops) - 1)
        index = np.minimum(position.astype(int), len(stops) - 2)
        blend = (position - index)[..., None]
        colour: np.ndarray = (1 - blend) * stops[index] + blend * stops[index + 1]
        return colour.astype(np.uint8)
