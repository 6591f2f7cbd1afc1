"""What is noted while training: JSON lines for programs, TensorBoard for eyes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from nextstate.data.storage import naming_full_disk, write_bytes
from nextstate.training.run import METRICS


class Metrics:
    """Appends to ``metrics.jsonl`` and ``tensorboard/`` of a run.

    Args:
        folder: of the run.
        step: from which the run goes on; notes of later steps, which will be made again, are dropped.
        tensorboard: whether to write that too.
    """

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = True) -> None:
        self.path = folder / METRICS
        if self.path.exists():
            kept = [line for line in read_metrics(self.path) if line["step"] <= step]
            write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        with naming_full_disk(self.path):
            self._file = self.path.open("a", buffering=1, encoding="utf-8")
        self._refused = False
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def note(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """One line: ``{"kind", "step", **values}``; values may be nested mappings of numbers."""
        line = {"kind": kind, "step": step, **plain(values)}
        self._refused = True
        with naming_full_disk(self.path):
            self._file.write(json.dumps(line) + "\n")
        self._refused = False
        if self._board is not None:
            for name, value in flat(values).items():
                if isinstance(value, (int, float)):
                    with naming_full_disk(self.path):
                        self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        # A line that met a full disk is tried again here, and was told of already.
        with naming_full_disk(self.path), suppress(OSError) if self._refused else nullcontext():
            self._file.close()
        if self._board is not None:
            with naming_full_disk(self.path):
                self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; a line that a killed writer left unfinished is dropped."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with names joined by slashes."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{name}/"))
        else:
            found[f"{prefix}{name}"] = value
    return found


def plain(value: Any, digits: int = 6) -> Any:
    """Nested mappings of numbers as JSON can hold them: rounded, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(k): plain(v, digits) for k, v in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
