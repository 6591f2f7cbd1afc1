"""What is shown while training: live in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Status:
    """Where a run is.

    Args:
        progress: share of the run that is over. seconds_left: until its end.
        parts: the loss and its parts, means over the last lap.
        frames_per_second, share_of_peak: of the last lap.
        skipped: steps skipped so far. validation: the newest validation line.
    """

    step: int
    progress: float
    seconds_left: float
    parts: Mapping[str, float] = field(default_factory=dict)
    lr: float = 0.0
    frames_per_second: float = 0.0
    share_of_peak: float = 0.0
    skipped: int = 0
    validation: str = ""

    @property
    def facts(self) -> str:
        """One line of plain text."""
        loss = f"loss {self.parts['loss']:.4f}  " if "loss" in self.parts else ""
        skipped = f"  skipped {self.skipped}" if self.skipped else ""
        return (
            f"step {self.step}  {loss}{self.frames_per_second:,.0f} frames/s  "
            f"{self.share_of_peak:.0%} of peak{skipped}  {clock(self.seconds_left)} left"
        )


class Display(Protocol):
    """Shows statuses; entered while training."""

    def show(self, status: Status) -> None: ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDisplay:
    """A line every ten seconds, and every validation line once."""

    def __init__(self, every: float = 10.0) -> None:
        self._every, self._last, self._validation = every, -every, ""

    def show(self, status: Status) -> None:
        now = time.monotonic()
        fresh = status.validation != self._validation
        if now - self._last < self._every and not fresh:
            return
        self._last, self._validation = now, status.validation
        self.say(f"{status.progress:4.0%}  {status.facts}" + (f"  | {status.validation}" if status.validation else ""))

    def say(self, text: str) -> None:
        print(text, flush=True)

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class NoDisplay(PlainDisplay):
    """Says nothing: another process of the run does."""

    def show(self, status: Status) -> None:
        return None

    def say(self, text: str) -> None:
        return None


class RichDisplay:
    """A progress bar with the figures below it."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(TextColumn("pretrain"), BarColumn(None), TaskProgressColumn(), expand=True)
        self._task = self._progress.add_task("pretrain", total=1.0)
        self._live = Live(self._progress, console=console or Console(), refresh_per_second=2)

    def show(self, status: Status) -> None:
        self._progress.update(self._task, completed=status.progress)
        parts = Table.grid(padding=(0, 2))
        parts.add_row(*(Text(f"{name} {value:.4f}", style="dim") for name, value in status.parts.items()))
        rows: list[RenderableType] = [self._progress, Text(status.facts), parts]
        if status.validation:
            rows.append(Text(status.validation, style="green"))
        self._live.update(Group(*rows))

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> RichDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def choose_display() -> Display:
    """Live if standard output is a terminal."""
    return RichDisplay() if sys.stdout.isatty() else PlainDisplay()


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
