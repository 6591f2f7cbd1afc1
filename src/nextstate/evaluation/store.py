"""Files that evaluation keeps: named by the content that made them, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nextstate.errors import DatasetError, StorageError


def cache_folder(override: Path | None = None) -> Path:
    """Where suites and readouts are kept: `override`, else ``nextstate`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if override is not None:
        return override
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nextstate"


def content_key(**parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any part does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Writes text atomically; raises `StorageError` when the disk refuses."""
    _write(Path(path), lambda file: file.write(text.encode("utf-8")))


def write_bytes(path: Path, data: bytes) -> None:
    """Writes bytes atomically; raises `StorageError` when the disk refuses."""
    _write(Path(path), lambda file: file.write(data))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Writes one ``.npz`` atomically, without pickles; raises `StorageError` when the disk refuses."""
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    _write(Path(path), lambda file: save(file, **dict(arrays)))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Inverse of `write_arrays`; raises `DatasetError` for a missing or damaged file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: missing or damaged ({error}); delete it and build it again.") from error


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        full = " the disk is full;" if error.errno == errno.ENOSPC else ""
        raise StorageError(f"cannot write {path}:{full} {error}. Free some space or choose another folder.") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
