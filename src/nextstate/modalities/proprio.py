"""What a body feels of its own posture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nextstate.modalities.spec import Modality


def bars(values: np.ndarray, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """Values in [-1, 1] as vertical bars around a middle line, ``(h, w, 3)`` uint8."""
    height, width = size
    picture = np.full((height, width, 3), 245, np.uint8)
    middle = height // 2
    edges = np.linspace(0, width, len(values) + 1).astype(int)
    for value, left, right in zip(np.clip(values, -1, 1), edges[:-1], edges[1:], strict=True):
        top, bottom = sorted((middle, middle - round(float(value) * (middle - 1))))
        picture[top : bottom + 1, left : max(right - 1, left + 1)] = (70, 110, 190)
    return picture


@dataclass(frozen=True)
class Proprio(Modality):
    """Joint positions and velocities and the end effector's pose, ``(P,)`` float32 in SI units."""

    name = "proprio"
    kind = "vector"
    dtype = "float32"
    unit = "SI"

    def fitted(self, sample: np.ndarray) -> Proprio:
        values = np.asarray(sample, dtype=np.float64).reshape(len(sample), -1)
        std = np.maximum(values.std(axis=0), 1e-3)
        return replace(self, mean=tuple(values.mean(axis=0).tolist()), std=tuple(std.tolist()))

    def draw(self, values: np.ndarray) -> np.ndarray:
        flat = np.asarray(values, np.float32).reshape(-1)
        return bars(np.tanh((flat - np.asarray(self.mean)) / (2 * np.asarray(self.std))))
