"""Starts the processes of a team on this machine, hands signals to their leader, and ends with it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import IO

from nextstate.errors import SettingsError

Process = subprocess.Popen[str]

INTERRUPTED = 130
"""Exit status of a run that a signal ended, and that can go on."""

GRACE = 30.0
"""Seconds in which processes may end by themselves once one has."""


def in_team() -> bool:
    """Whether this process is one of a team already."""
    return "RANK" in os.environ


def launch(processes: int, argv: Sequence[str]) -> int:
    """Runs ``nextstate ARGV`` in so many processes that know of each other; returns the leader's exit status.

    Raises:
        SettingsError: for more processes than cores, which would only wait for each other.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processes > cores:
        raise SettingsError(f"--processes {processes}: there are {cores} cores; more only wait for each other.")
    # Of a session of their own, so that Ctrl-C reaches them through here alone.
    with tempfile.TemporaryFile("w+") as aside:
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(processes)}
        if "OMP_NUM_THREADS" not in os.environ:
            address["OMP_NUM_THREADS"] = str(cores // processes)
        team = [_start(rank, address, argv, aside if rank else None) for rank in range(processes)]
        leader = team[0]

        def hand_on(number: int, frame: FrameType | None) -> None:
            leader.send_signal(number)

        before = {s: signal.signal(s, hand_on) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            # Others are through before the leader, who writes the model; but where one fails, all end.
            while leader.poll() is None and not any(map(_failed, team)):
                time.sleep(0.1)
            failed = next(filter(_failed, team), leader)
            _end(team)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if failed is not leader:
            aside.seek(0)
            print(aside.read().strip(), file=sys.stderr)
            return int(failed.returncode)
    return int(leader.returncode)


def _start(rank: int, address: Mapping[str, str], argv: Sequence[str], aside: IO[str] | None) -> Process:
    return subprocess.Popen(
        [sys.executable, "-m", "nextstate", *argv],
        env={**os.environ, **address, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        stdout=subprocess.DEVNULL if rank else None,
        stderr=aside,
        start_new_session=True,
        preexec_fn=_end_with_parent,
        text=True,
    )


def _failed(process: Process) -> bool:
    return process.poll() not in (None, 0, INTERRUPTED)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    # Asks the kernel for SIGTERM when the parent dies, however it does; prctl(2), Linux only.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _end(team: Sequence[Process]) -> None:
    until = time.monotonic() + GRACE
    for process in team:
        try:
            process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
