"""Files that are either whole or absent, one writer at a time, and full disks said plainly."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from nextstate.errors import DatasetError, StorageError

PARTIAL = ".partial"
"""Ending of files and folders that are still being written; safe to delete once nobody holds the lock."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def naming_full_disk(where: Path) -> Iterator[None]:
    """Turns "no space left", "quota exceeded" and refused writes into `StorageError`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno in _FULL or "No space left" in str(error):
            raise StorageError(
                f"cannot write {where}: {os.strerror(error.errno) if error.errno else error}. Everything finished "
                "before is intact; make room (or fix permissions) and run the same command again to go on."
            ) from error
        raise


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` on a temporary path beside `path`, syncs it, and renames it into place."""
    with naming_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}{PARTIAL}")
        try:
            write(partial)
            sync(partial)
            partial.replace(path)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes atomically."""
    write_whole(path, lambda partial: _write_all(partial, content))


_FLAT = re.compile(r"\[\n([^\[\]{}]*)\n\s*\]")


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, lists of plain values in a line; numbers that are not finite are refused."""
    text = json.dumps(content, indent=2, allow_nan=False)
    # Within strings there are no line breaks, so nothing that is said changes.
    text = _FLAT.sub(lambda found: f"[{' '.join(line.strip() for line in found[1].splitlines())}]", text)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON; raises `DatasetError` when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing; is this the folder of a LeRobot v3 dataset?") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); restore it from a copy.") from error


def sync(path: Path) -> None:
    """Forces a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partials(folder: Path) -> None:
    """Deletes what interrupted writers left below `folder`; only for the holder of the lock."""
    if folder.is_dir():
        for partial in folder.rglob(f".*{PARTIAL}"):
            partial.unlink(missing_ok=True)


@contextmanager
def exclusive(lock: Path, wait: bool = False) -> Iterator[None]:
    """Holds `lock` for this process; raises `DatasetError` when another one has it (unless it should `wait`)."""
    with naming_full_disk(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle: IO[str] = lock.open("a+")
    with handle:
        try:
            # The kernel drops this lock when the process dies, however it dies.
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise DatasetError(
                f"{lock.parent.parent} is being written by another process; wait for it to finish, "
                "or record into another folder and merge them afterwards."
            ) from error
        yield


def _write_all(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
