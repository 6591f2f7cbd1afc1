"""Runs commands side by side, each on its share of the cores, and shows what each is doing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

KEPT = 12
"""Last lines of a command that failed, which are shown."""


def run_abreast(jobs: Mapping[str, Sequence[str]], logs: Path, cores: int) -> tuple[int, dict[str, float]]:
    """Runs ``nextstate <arguments>`` for each job at the same time.

    Two processes with one thread each do more than one process with two, which wait for each other at every step.

    Args:
        jobs: name -> verb and arguments. logs: folder for ``<verb>-<name>.log``, what each command printed.
        cores: to share out.

    Returns:
        the first exit status that is not 0, else 0; and the seconds that each job took.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    share = str(max(1, cores // max(len(jobs), 1)))
    environment = {**os.environ, "OMP_NUM_THREADS": share, "MKL_NUM_THREADS": share, "PYTHONUNBUFFERED": "1"}
    logs.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[str]] = {}
    heard: dict[str, list[str]] = {name: [] for name in jobs}
    took: dict[str, float] = {}
    began = time.monotonic()

    def listen(name: str, output: IO[str], log: Path) -> None:
        with log.open("a", encoding="utf-8") as file:
            for line in output:
                file.write(line)
                if line.strip():
                    heard[name].append(line.rstrip())
        took[name] = time.monotonic() - began

    listeners = []
    for name, arguments in jobs.items():
        process = subprocess.Popen(
            [sys.executable, "-m", "nextstate", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        assert process.stdout is not None
        running[name] = process
        log = logs / f"{arguments[0]}-{name}.log"
        listeners.append(threading.Thread(target=listen, args=(name, process.stdout, log), daemon=True))
        listeners[-1].start()
    try:
        _watch(console, running, heard)
    except KeyboardInterrupt:
        # The terminal told them as well: each stops cleanly by itself.
        for process in running.values():
            process.wait()
    for listener in listeners:
        listener.join(timeout=10)
    status = 0
    for name, process in running.items():
        code = process.wait()
        if code:
            console.print(f"{name} failed:", *heard[name][-KEPT:], sep="\n", markup=False)
            status = status or code
    return status, took


def _watch(console: object, running: Mapping[str, subprocess.Popen[str]], heard: Mapping[str, list[str]]) -> None:
    """Shows the last line of each until all have ended: live in a terminal, else every new line now and then."""
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    assert isinstance(console, Console)

    def lines() -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        for name in running:
            table.add_row(name, heard[name][-1] if heard[name] else "starting")
        return table

    if console.is_terminal:
        with Live(lines(), console=console, refresh_per_second=2) as live:
            while any(process.poll() is None for process in running.values()):
                time.sleep(0.5)
                live.update(lines())
            live.update(lines())
        return
    told = dict.fromkeys(running, "")
    while any(process.poll() is None for process in running.values()):
        for _ in range(20):
            if any(process.poll() is None for process in running.values()):
                time.sleep(0.5)
        for name in running:
            if heard[name] and heard[name][-1] != told[name]:
                told[name] = heard[name][-1]
                console.print(f"{name}: {told[name]}", markup=False)
