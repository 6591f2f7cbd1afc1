"""3D velocity of what is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nextstate.modalities.spec import Modality


@dataclass(frozen=True)
class Motion(Modality):
    """Velocity of the surface point seen at each pixel, ``(H, W, 3)`` float32 metres per second.

    Camera frame: x right, y down, z forward (away from the camera).
    """

    name = "motion"
    kind = "image"
    dtype = "float32"
    unit = "m/s"

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)

    def fitted(self, sample: np.ndarray) -> Motion:
        speed = np.linalg.norm(np.asarray(sample, dtype=np.float32), axis=-1)
        moving = speed[speed > 1e-3]
        scale = float(np.sqrt(np.mean(moving**2) / 3)) if moving.size else 1.0
        return replace(self, std=(max(scale, 1e-3),) * 3)

    def draw(self, values: np.ndarray) -> np.ndarray:
        """Grey is rest; red-cyan is right-left, green-magenta up-down, lightness nearer-farther."""
        x, y, z = np.moveaxis(np.tanh(np.asarray(values, np.float32) / (2.0 * self.std[0])), -1, 0)
        picture = np.stack([x - 0.5 * z, -y - 0.5 * z, -0.5 * (x - y) - 0.5 * z], axis=-1)
        return np.clip(127.5 + 127.5 * picture, 0, 255).astype(np.uint8)
