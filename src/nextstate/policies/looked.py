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
from nextstate.errors import StorageError
from nextstate.models.folders import UNFINISHED, whole_folder
from nextstate.models.world_model import StateModel

Look = Callable[[], Mapping[str, np.ndarray]]


def looked_once(cache: Cache, model: StateModel, how: str, look: Look) -> dict[str, np.ndarray]:
    """What `look` finds, ``(N, ...)``, or found when the same model looked in the same way before.

    Whatever is kept goes when the arrays are built anew. Where it cannot be kept, that is said, and nothing else is
    lost.

    Args:
        how: what else decides on what is seen, such as the number format and how many frames.
    """
    folder, found = cache.root / f"looked-{_key(model, how)}", None
    try:
        # Who comes second waits for what the first will have seen.
        with exclusive(cache.root / f"{folder.name}.lock", wait=True):
            found = _kept(folder)
            if found is None:
                found = dict(look())
                with whole_folder(folder) as fresh:
                    for name, array in found.items():
                        np.save(fresh / f"{name}.npy", array, allow_pickle=False)
    except StorageError as error:
        warnings.warn(f"what is seen is not kept for another time: {error}", stacklevel=2)
        found = found or dict(look())
    return found


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
