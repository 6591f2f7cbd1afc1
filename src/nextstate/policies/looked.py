"""What a model saw in a dataset, kept beside the dataset's arrays: who learns another head need not look again."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from nextstate.data import Cache
from nextstate.data.storage import exclusive
from nextstate.errors import DatasetError, StorageError
from nextstate.evaluation.store import read_arrays, write_arrays
from nextstate.models.folders import UNFINISHED, whole_folder
from nextstate.models.world_model import StateModel
from nextstate.training.recall import CHUNK

Look = Callable[[range], Mapping[str, np.ndarray]]
"""What is seen of some frames, ``(N, ...)``."""

PIECE = 32 * CHUNK
"""Frames that are seen before they are kept: half a minute on one slow core."""


def looked_once(cache: Cache, model: StateModel, how: str, frames: int, look: Look) -> dict[str, np.ndarray]:
    """What `look` finds, ``(N, ...)``, or found when the same model looked in the same way before.

    Whoever is interrupted goes on with the next `PIECE`. Whatever is kept goes when the arrays are built anew. Where it
    cannot be kept, that is said, and nothing else is lost.

    Args:
        how: what else decides on what is seen, such as the number format and `frames`, how many are looked at.
    """
    folder, pieces = cache.root / f"looked-{_key(model, how)}", Pieces(look)
    try:
        # Who comes second waits for what the first will have seen.
        with exclusive(cache.root / f"{folder.name}.lock", wait=True):
            found = _kept(folder)
            if found is not None:
                return found
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            found = pieces.all(frames, unfinished)
            with whole_folder(folder) as fresh:
                for name, array in found.items():
                    np.save(fresh / f"{name}.npy", array, allow_pickle=False)
            shutil.rmtree(unfinished, ignore_errors=True)
            return found
    except StorageError as error:
        # What cannot be written to may hold what was seen before.
        found = _kept(folder)
        if found is not None:
            return found
        warnings.warn(f"what is seen is not kept for another time: {error}", stacklevel=2)
        return pieces.all(frames, None)


class Pieces:
    """What is seen, piece by piece; whatever was seen stays in memory."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.seen: list[dict[str, np.ndarray]] = []

    def all(self, frames: int, folder: Path | None) -> dict[str, np.ndarray]:
        """Of all frames, ``(N, ...)``, each piece kept in a folder as soon as it was seen.

        Raises:
            StorageError: where the disk refuses.
        """
        for first in range(len(self.seen) * PIECE, frames, PIECE):
            rows = range(first, min(first + PIECE, frames))
            path = None if folder is None else folder / f"{first}.npz"
            found = None if path is None else _piece(path, len(rows))
            fresh = found is None
            self.seen.append(dict(self.look(rows)) if found is None else found)
            if fresh and path is not None:
                write_arrays(path, self.seen[-1])
        return {name: np.concatenate([piece[name] for piece in self.seen]) for name in self.seen[0]}


def _piece(path: Path, frames: int) -> dict[str, np.ndarray] | None:
    if not path.exists():
        return None
    try:
        found = read_arrays(path)
    except DatasetError:
        return None
    return found if all(len(array) == frames for array in found.values()) else None


def _kept(folder: Path) -> dict[str, np.ndarray] | None:
    for left in folder.parent.glob(f".{folder.name}.*{UNFINISHED}"):
        shutil.rmtree(left, ignore_errors=True)
    if not folder.is_dir():
        return None
    try:
        return {path.stem: np.load(path, mmap_mode="c", allow_pickle=False) for path in sorted(folder.glob("*.npy"))}
    except (OSError, ValueError) as error:
        warnings.warn(f"{folder} is damaged ({error}); looking again.", stacklevel=3)
        return None


def _key(model: StateModel, how: str) -> str:
    digest = hashlib.sha256(how.encode())
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode() + weights.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
