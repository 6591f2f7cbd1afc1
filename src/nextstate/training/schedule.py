"""How far the run is (by steps or by the clock), and how fast to learn at that point."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from nextstate.data.storage import naming_full_disk
from nextstate.errors import CheckpointError
from nextstate.training.settings import Interval, TrainingSettings


@dataclass(frozen=True)
class Schedule:
    """Learning rate as a share of its peak, over progress from 0 to 1.

    ``trapezoid`` rises, stays, and falls linearly in the end (Hägele et al. 2024,
    https://arxiv.org/abs/2405.18392); ``cosine`` rises and falls along half a cosine (Loshchilov and Hutter 2017,
    https://arxiv.org/abs/1608.03983).
    """

    shape: Literal["trapezoid", "cosine"] = "trapezoid"
    warmup: float = 0.02
    cooldown: float = 0.4
    final: float = 0.0

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return max(progress / self.warmup, 0.01)
        if self.shape == "cosine":
            along = (progress - self.warmup) / max(1.0 - self.warmup, 1e-9)
            level = 0.5 * (1.0 + math.cos(math.pi * along))
        else:
            level = min(1.0, (1.0 - progress) / max(self.cooldown, 1e-9))
        return self.final + (1.0 - self.final) * level


class Pace(Protocol):
    """Maps steps to progress. The run is over at the first step whose progress is 1."""

    def at(self, step: int) -> float:
        """Progress of a step, asked for once, in order, just before the step is made."""
        ...

    def seconds_left(self, step: int, seconds_per_step: float) -> float: ...

    def keep(self) -> None:
        """Makes what was noted so far outlive a power cut."""
        ...

    def close(self) -> None: ...


class StepPace:
    """A fixed number of steps: progress depends on nothing else."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def at(self, step: int) -> float:
        return min(step / self.steps, 1.0)

    def seconds_left(self, step: int, seconds_per_step: float) -> float:
        return max(self.steps - step, 0) * seconds_per_step

    def keep(self) -> None:
        pass

    def close(self) -> None:
        pass


class TimePace:
    """A fixed time: progress is the share of it that has passed, and is noted for every step.

    A step that was made before (the run was killed after its last checkpoint) gets its noted progress again, so
    that making it again gives the same weights; the clock goes on from the last note. Time during which nobody
    trained does not count.

    Args:
        seconds: length of the run.
        log: file of one float64 per step.
        elapsed: seconds of training before the first step that is not in the log, if notes were lost.
    """

    def __init__(
        self, seconds: float, log: Path, elapsed: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self.clock, self._path = seconds, clock, log
        self._noted = read_pace(log).tolist() if log.exists() else []
        with naming_full_disk(log):
            self._file = log.open("ab", buffering=0)
            self._file.truncate(8 * len(self._noted))
        self._before = max([elapsed, *(p * seconds for p in self._noted[-1:])])
        self._origin: float | None = None

    def at(self, step: int) -> float:
        if step < len(self._noted):
            return float(self._noted[step])
        if self._origin is None:
            self._origin = self.clock() - self._before
        progress = (self.clock() - self._origin) / self.seconds
        if progress >= 1.0:
            return 1.0
        with naming_full_disk(self._path):
            missing = step - len(self._noted)
            self._noted += [progress] * (missing + 1)
            self._file.write(np.full(missing + 1, progress).tobytes())
        return progress

    def seconds_left(self, step: int, seconds_per_step: float) -> float:
        return max(self.seconds - self._elapsed(), 0.0)

    def keep(self) -> None:
        with naming_full_disk(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _elapsed(self) -> float:
        return self._before if self._origin is None else self.clock() - self._origin


class RecordedPace:
    """The progress of an earlier run, step for step: repeats a run by the clock bit for bit."""

    def __init__(self, log: Path) -> None:
        if not log.exists():
            raise CheckpointError(f"{log} is missing: only runs with --minutes note their pace; give such a run.")
        self._noted = read_pace(log)

    def at(self, step: int) -> float:
        return float(self._noted[step]) if step < len(self._noted) else 1.0

    def seconds_left(self, step: int, seconds_per_step: float) -> float:
        return max(len(self._noted) - step, 0) * seconds_per_step

    def keep(self) -> None:
        pass

    def close(self) -> None:
        pass


def choose_pace(settings: TrainingSettings, log: Path, elapsed: float) -> Pace:
    """By the clock (noted in `log`), by steps, or as an earlier run had it; `elapsed` seconds were trained before."""
    if settings.pace_of is not None:
        return RecordedPace(settings.pace_of / log.name)
    if settings.steps is not None:
        return StepPace(settings.steps)
    return TimePace(60.0 * settings.run_minutes, log, elapsed)


def read_pace(log: Path) -> np.ndarray:
    """Progress of every step made, ``(steps,)`` float64; half a number at the end (a killed writer) is dropped."""
    content = log.read_bytes()
    return np.frombuffer(content[: len(content) // 8 * 8], dtype=np.float64)


class Recurring:
    """Says when something is due again.

    Args:
        step: at which the run begins or goes on.
    """

    def __init__(self, interval: Interval, step: int) -> None:
        self._interval, self._step, self._time = interval, step, time.monotonic()
        self._not_before = 0.0

    def due(self, step: int) -> bool:
        now = time.monotonic()
        if self._interval.steps is not None:
            due = step - self._step >= self._interval.steps
        else:
            due = now >= self._not_before and now - self._time >= (self._interval.seconds or 0.0)
        if due:
            self._step, self._time = step, now
        return due

    def rest(self, seconds: float) -> None:
        """Not again for so long, if it recurs by the clock."""
        self._not_before = time.monotonic() + seconds
