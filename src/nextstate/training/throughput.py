"""How much of the machine training uses: frames per second, and the share of what its matrix units can do."""

from __future__ import annotations

import time

import torch


def measure_peak(device: torch.device, dtype: torch.dtype, size: int = 2048, seconds: float = 0.5) -> float:
    """Floating-point operations per second of plain ``size``-cubed matrix products: the best of three or more.

    On a machine that does other things as well, any one measurement can only be too low.
    """
    left = torch.randn(size, size, device=device).to(dtype)
    right = torch.randn(size, size, device=device).to(dtype)
    out = torch.empty(size, size, device=device, dtype=dtype)
    best, ends = float("inf"), time.perf_counter() + seconds
    rounds = 0
    while time.perf_counter() < ends or rounds < 3:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        _wait(device)
        best = min(best, time.perf_counter() - began)
        rounds += 1
    return 2.0 * size**3 / best


class Throughput:
    """Counts steps, frames and time; time spent on validating and saving is kept apart.

    Args:
        peak: of the machine, operations per second.
    """

    def __init__(self, peak: float) -> None:
        self.peak = peak
        self.steps, self.frames, self.flops = 0, 0, 0.0
        self.aside = 0.0
        """Seconds that were not spent on steps."""
        self._start = self._mark = self._now()

    def count(self, frames: int, flops: float) -> None:
        """Call after each step, with the frames it saw and the operations it took."""
        self.steps += 1
        self.frames += frames
        self.flops += flops

    def lap(self) -> dict[str, float]:
        """Figures since the last lap."""
        figures = self._since(self._mark)
        self._mark = self._now()
        return figures

    def total(self) -> dict[str, float]:
        """Figures since the start."""
        return self._since(self._start)

    @property
    def seconds_per_step(self) -> float:
        """Everything included, so that it can be used to foresee the end."""
        return (time.perf_counter() - self._start[0]) / max(self.steps, 1)

    def _now(self) -> tuple[float, int, int, float, float]:
        return time.perf_counter(), self.steps, self.frames, self.flops, self.aside

    def _since(self, mark: tuple[float, int, int, float, float]) -> dict[str, float]:
        passed, steps, frames, flops, aside = (now - then for now, then in zip(self._now(), mark, strict=True))
        seconds = max(passed - aside, 1e-9)
        return {
            "steps_per_second": steps / seconds,
            "frames_per_second": frames / seconds,
            "share_of_peak": flops / seconds / self.peak,
        }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
