"""What computing costs: an estimate to compare arms by, not a bill."""

from __future__ import annotations

import os
import time
from typing import Any

WATTS = 10.0
"""Assumed of a busy core: counters of the processor see all that runs on it, and virtual machines have none."""


class Meter:
    """Core-seconds, and energy, from when it was made; of this process and those it waited for."""

    def __init__(self) -> None:
        self._seconds, self._began = _core_seconds(), time.monotonic()

    def read(self) -> dict[str, Any]:
        """``core_seconds``, ``seconds``, ``kilojoules`` at `WATTS` a core."""
        busy = _core_seconds() - self._seconds
        return {
            "core_seconds": round(busy, 1),
            "seconds": round(time.monotonic() - self._began, 1),
            "kilojoules": round(busy * WATTS / 1000, 3),
        }


def _core_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
