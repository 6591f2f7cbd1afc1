"""Colour pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextstate.modalities.spec import Modality


@dataclass(frozen=True)
class Rgb(Modality):
    """Colour, ``(H, W, 3)`` uint8 in [0, 255]; normalised to about [-1, 1]."""

    name = "rgb"
    kind = "image"
    dtype = "uint8"
    unit = "1/255"

    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    std: tuple[float, ...] = (127.5, 127.5, 127.5)

    def draw(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values, dtype=np.uint8)
