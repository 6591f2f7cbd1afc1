"""Files that evaluation keeps: named by the content that made them, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nextstate.cache_home import cache_home
from nextstate.data.storage import write_bytes, write_whole
from nextstate.errors import DatasetError


def cache_folder(override: Path | None = None) -> Path:
    """Where suites and readouts are kept: `override`, else the user's cache."""
    return cache_home() if override is None else override


def content_key(**parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any part does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Writes text atomically; raises `StorageError` when the disk refuses."""
    write_bytes(Path(path), text.encode("utf-8"))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Writes one ``.npz`` atomically, without pickles; raises `StorageError` when the disk refuses."""
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            save(file, **dict(arrays))

    write_whole(Path(path), write)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Inverse of `write_arrays`; raises `DatasetError` for a missing or damaged file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: missing or damaged ({error}); delete it and build it again.") from error
