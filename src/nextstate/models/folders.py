"""Folders that are either whole or absent, with checksums, so that damage is noticed and never half-loaded."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError

from nextstate.errors import StorageError

UNFINISHED = ".unfinished"
"""Ending of folders that are still being written; safe to delete when nobody writes."""


SHIPPED = Path(__file__).parents[1] / "weights"
"""Models that come with the package, each in a folder named after its world."""


def folder_of(name: Path | str) -> Path:
    """The folder that a model's name means: a folder of weights, or else the shipped model of that name."""
    given, shipped = Path(name), SHIPPED / Path(name).name
    known = len(given.parts) == 1 and (shipped / "config.json").is_file()
    return shipped if known and not (given / "config.json").is_file() else given


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes `target`'s place only if all went well.

    Everything in it is forced to the disk before it is renamed. Raises `StorageError` when the disk is full or
    refuses; whatever was at `target` is then still there.
    """
    beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}{UNFINISHED}")
    try:
        beside.mkdir(parents=True)
        yield beside
        for path in beside.iterdir():
            # Some writers make files that only their owner may read, which is wrong for what is shared.
            path.chmod(0o644)
            force_to_disk(path)
        force_to_disk(beside)
        if target.exists():
            old = target.with_name(f".{target.name}.{uuid4().hex[:8]}{UNFINISHED}")
            target.rename(old)
            beside.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            beside.rename(target)
        force_to_disk(target.parent)
    except (OSError, SafetensorError) as error:
        # safetensors reports a full disk as an error of its own, with the reason only in its text.
        raise StorageError(
            f"cannot write {target}: {error}. What was finished before is intact; free some space (or mend the "
            "permissions) and run the same command again to go on."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Deletes what killed writers left in `folder`."""
    for path in folder.glob(f".*{UNFINISHED}"):
        shutil.rmtree(path, ignore_errors=True)


def force_to_disk(path: Path) -> None:
    """Returns once a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
