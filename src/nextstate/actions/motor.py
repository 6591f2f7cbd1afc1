"""Motor commands: what they must satisfy before anything acts on them."""

from __future__ import annotations

import numpy as np

from nextstate.errors import ActionError


def check_actions(actions: np.ndarray, size: int, where: str = "actions") -> np.ndarray:
    """`actions` as float32 ``(..., size)`` in [-1, 1], or `ActionError` naming the first offender."""
    array = np.asarray(actions, dtype=np.float32)
    if array.ndim == 0 or array.shape[-1] != size:
        raise ActionError(f"{where}: expected shape (..., {size}), got {array.shape}.")
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ActionError(f"{where}: {array[first]} at index {first}; every command must be finite.")
    outside = np.abs(array) > 1.0 + 1e-6
    if outside.any():
        first = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ActionError(
            f"{where}: {array[first]:.4g} at index {first} is outside [-1, 1]; clip or rescale the command."
        )
    return np.clip(array, -1.0, 1.0)
