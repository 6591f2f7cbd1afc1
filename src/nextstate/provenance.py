"""Where a figure comes from: the command, the code and the machine that made it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "mujoco", "numpy")


def provenance(command: str | Sequence[str]) -> dict[str, Any]:
    """The head of every record of results: ``command``, ``commit``, ``date`` (UTC) and ``machine``.

    Args:
        command: what was typed, as it may be published: a line, or its words.
    """
    line = command if isinstance(command, str) else " ".join(command)
    return {
        "command": line,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def commit() -> str:
    """Commit of the running code, with ``+changes`` when it differs from it; outside of git the package version."""
    root = Path(__file__).resolve().parents[2]
    try:
        if (root / ".git").exists():
            found = _git(root, "rev-parse", "--short=12", "HEAD")
            return found + "+changes" if _git(root, "status", "--porcelain", "--", "src") else found
    except (OSError, subprocess.SubprocessError):
        pass
    return f"nextstate {_version('nextstate')}"


def machine() -> dict[str, Any]:
    """What decides how fast things are: processor, cores, memory, versions. No names of hosts, users or folders."""
    import psutil

    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def processor() -> str:
    """The processor's model name, or its architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
