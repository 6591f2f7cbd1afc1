"""Runs commands side by side, each on its share of the cores, and shows what each is doing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

KEPT = 12
"""Last lines of a command that failed, which are shown."""

QUIET = 10.0
"""Seconds between lines away from a terminal."""


Command = Sequence[str]
"""Verb and arguments of ``nextstate``."""


@dataclass
class Lane:
    """Commands that follow each other, while other lanes do theirs.

    Args:
        name: for people. commands: in this order; after one that fails none follows.
        said: what they printed, newest last. took: seconds of each that ended. status: of the last that ended.
    """

    name: str
    commands: Sequence[Command]
    said: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    status: int = 0
    process: subprocess.Popen[str] | None = None

    def run(self, environment: Mapping[str, str], logs: Path) -> None:
        """Runs them all; `logs` gets a file for each, of what it printed."""
        for command in self.commands:
            began = time.monotonic()
            self.said.append(f"{command[0]}: starting")
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nextstate", *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
            assert self.process.stdout is not None
            with (logs / f"{command[0]}-{self.name}.log").open("a", encoding="utf-8") as log:
                for line in self.process.stdout:
                    log.write(line)
                    if line.strip():
                        self.said.append(f"{command[0]}: {line.strip()}")
            self.status = self.process.wait()
            self.took.append(time.monotonic() - began)
            if self.status:
                return


def run_abreast(lanes: Sequence[Lane], logs: Path, cores: int) -> int:
    """Runs lanes side by side, and returns the first exit status that is not 0, else 0.

    Two processes with one thread each do more than one process with two, which wait for each other at every step.

    Args:
        logs: folder for what the commands print. cores: to share out.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    share = str(max(1, cores // max(len(lanes), 1)))
    environment = {**os.environ, "OMP_NUM_THREADS": share, "MKL_NUM_THREADS": share, "PYTHONUNBUFFERED": "1"}
    logs.mkdir(parents=True, exist_ok=True)
    threads = [threading.Thread(target=lane.run, args=(environment, logs), daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        _watch(console, lanes, threads)
    except KeyboardInterrupt:
        # The terminal told the commands as well: each stops cleanly by itself.
        for thread in threads:
            thread.join()
    for lane in lanes:
        if lane.status:
            console.print(f"{lane.name} failed:", *lane.said[-KEPT:], sep="\n", markup=False)
    return next((lane.status for lane in lanes if lane.status), 0)


def _watch(console: Console, lanes: Sequence[Lane], threads: Sequence[threading.Thread]) -> None:
    """Shows what each lane said last until all have ended: live in a terminal, else every new line now and then."""
    from rich.live import Live
    from rich.table import Table

    def lines() -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        for lane in lanes:
            table.add_row(lane.name, lane.said[-1] if lane.said else "")
        return table

    def busy() -> bool:
        return any(thread.is_alive() for thread in threads)

    if console.is_terminal:
        with Live(lines(), console=console, refresh_per_second=2) as live:
            while busy():
                time.sleep(0.5)
                live.update(lines())
        return
    told: dict[str, str] = {}
    while busy():
        ends = time.monotonic() + QUIET
        while busy() and time.monotonic() < ends:
            time.sleep(0.2)
        for lane in lanes:
            if lane.said and lane.said[-1] != told.get(lane.name):
                told[lane.name] = lane.said[-1]
                console.print(f"{lane.name}  {told[lane.name]}", markup=False)
