"""An instant of a world, complete: restoring it continues bit for bit."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nextstate.errors import SnapshotError

MEMORY_PREFIX = "memory."


@dataclass(frozen=True)
class Snapshot:
    """An instant of a world.

    Args:
        world, version: which simulator it belongs to.
        factors: every randomised property, from which the scene is rebuilt.
        state: MuJoCo's full integration state, float64.
        memory: what physics alone does not hold (stains, event times).
        steps: control steps since reset.
    """

    world: str
    version: int
    factors: Mapping[str, float]
    state: np.ndarray
    memory: Mapping[str, np.ndarray]
    steps: int

    def to_bytes(self) -> bytes:
        """The snapshot as an ``npz`` archive, without pickles."""
        head = {
            "world": self.world,
            "version": self.version,
            "factors": {name: value.hex() for name, value in self.factors.items()},
            "steps": self.steps,
            # Members are checked for damage by their archive, but their names are not.
            "memory": sorted(self.memory),
        }
        arrays = {MEMORY_PREFIX + name: value for name, value in self.memory.items()}
        buffer = io.BytesIO()
        np.savez(buffer, head=np.array(json.dumps(head)), state=self.state, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Snapshot:
        """Inverse of `to_bytes`; raises `SnapshotError` for damaged bytes."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                head = json.loads(str(archive["head"]))
                memory = {
                    name.removeprefix(MEMORY_PREFIX): archive[name]
                    for name in archive.files
                    if name.startswith(MEMORY_PREFIX)
                }
                if sorted(memory) != head.get("memory", sorted(memory)):
                    raise ValueError(f"it holds {', '.join(archive.files)}, not what it was saved with")
                factors = {name: float.fromhex(value) for name, value in head["factors"].items()}
                return Snapshot(head["world"], head["version"], factors, archive["state"], memory, head["steps"])
        except Exception as error:  # Damage shows in as many ways as the archive format has parts.
            raise SnapshotError(f"not a snapshot, or a damaged one ({error}); take a new one.") from error
