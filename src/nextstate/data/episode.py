"""One finished episode, in memory and as one file of its own until it is published."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nextstate.data.storage import write_bytes
from nextstate.errors import DatasetError


@dataclass(frozen=True)
class Episode:
    """What was sensed, done and the case, from reset to end.

    Args:
        index: number in the dataset.
        columns: feature -> ``(T, *shape)``; row t is the state at t and the command from t to t+1
            (zeros in the last row). Cameras are uint8 ``(T, H, W, 3)``.
        task: the instruction in words.
        facts: seed, policy and factors; kept beside the episode's other metadata.
    """

    index: int
    columns: Mapping[str, np.ndarray]
    task: str
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.columns["action"])

    def save(self, path: Path) -> None:
        """Writes the episode atomically: once `path` exists, it is whole."""
        head = {"index": self.index, "task": self.task, "facts": dict(self.facts)}
        buffer = io.BytesIO()
        np.savez(buffer, **{"head": np.array(json.dumps(head)), **self.columns})  # type: ignore[arg-type]
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(buffer.getbuffer())
        write_bytes(path, sink.getvalue().to_pybytes())

    @staticmethod
    def load(path: Path) -> Episode:
        """Inverse of `save`; raises `DatasetError` for damaged files."""
        try:
            with pa.CompressedInputStream(str(path), "zstd") as stream:
                content = io.BytesIO(stream.read())
            with np.load(content, allow_pickle=False) as archive:
                head = json.loads(str(archive["head"]))
                columns = {name: archive[name] for name in archive.files if name != "head"}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path} is damaged ({error}); delete it and record again.") from error
        return Episode(int(head["index"]), columns, str(head["task"]), head["facts"])


def check_finite(columns: Mapping[str, np.ndarray], where: str) -> None:
    """Raises `DatasetError` naming the first value that is not finite."""
    for name, values in columns.items():
        if values.dtype.kind != "f":
            continue
        finite = np.isfinite(values)
        if not finite.all():
            row = int(np.argwhere(~finite)[0][0])
            raise DatasetError(
                f"{where}: {name} holds {values[~finite][0]} at frame {row}; every value must be finite."
            )
