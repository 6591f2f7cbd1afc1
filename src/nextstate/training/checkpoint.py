"""Checkpoints that are whole or absent: a kill, a power cut or a full disk never costs more than the newest one."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextstate.data.storage import write_json
from nextstate.errors import CheckpointError
from nextstate.models.folders import checksum, remove_unfinished, whole_folder

VERSION = 1
TENSORS, NUMBERS, BEST = "tensors.safetensors", "state.json", "best.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on after `step` steps.

    Args:
        tensors: ``weights/<name>``, ``ema/<name>``, ``optimiser/<name>.<moment>``.
        numbers: everything that is no tensor, as JSON.
    """

    step: int
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, without its prefix."""
        return {n.removeprefix(f"{name}/"): t for n, t in self.tensors.items() if n.startswith(f"{name}/")}


class Checkpoints:
    """The checkpoints of one run: the newest few, and the one that validated best.

    Args:
        folder: where they live, one folder each.
        keep: how many of the newest to keep.
        warn: told when a damaged one is passed over.
    """

    def __init__(self, folder: Path, keep: int = 2, warn: Callable[[str], None] = warnings.warn) -> None:
        self.folder, self.keep, self._warn = folder, keep, warn

    def save(self, checkpoint: Checkpoint, score: float | None = None) -> Path:
        """Writes a checkpoint, then deletes those no longer wanted; raises `StorageError` and keeps the old ones.

        Args:
            score: validation error at this step, lower is better; None if it was not measured.
        """
        remove_unfinished(self.folder)
        target = self.folder / f"step-{checkpoint.step:09d}"
        with whole_folder(target) as fresh:
            tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
            save_file(tensors, fresh / TENSORS)
            state = {
                "version": VERSION,
                "step": checkpoint.step,
                "checksum": checksum(fresh / TENSORS),
                "numbers": dict(checkpoint.numbers),
            }
            (fresh / NUMBERS).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        best = self._best()
        if score is not None and math.isfinite(score) and (best is None or score < best[1]):
            write_json(self.folder / BEST, {"step": checkpoint.step, "score": score})
        self._prune()
        return target

    def newest(self) -> Checkpoint | None:
        """The newest undamaged checkpoint; None if there are none, `CheckpointError` if all are damaged."""
        problems = []
        for step in reversed(self.steps()):
            try:
                return self.load(step)
            except CheckpointError as error:
                problems.append(str(error))
                self._warn(f"{error} Going on from the one before it.")
        if problems:
            raise CheckpointError(
                f"every checkpoint in {self.folder} is damaged; delete the run's folder and start again. "
                f"The newest: {problems[0]}"
            )
        return None

    def load(self, step: int) -> Checkpoint:
        """The checkpoint of a step, checked against its checksum; raises `CheckpointError`."""
        path = self.folder / f"step-{step:09d}"
        try:
            state = json.loads((path / NUMBERS).read_text(encoding="utf-8"))
            if state["version"] != VERSION:
                raise CheckpointError(
                    f"{path} has version {state['version']}, this nextstate reads {VERSION}; go on with the "
                    "nextstate it was made with, or start a new run."
                )
            if checksum(path / TENSORS) != state["checksum"]:
                raise CheckpointError(f"{path} is damaged (its checksum differs).")
            return Checkpoint(int(state["step"]), load_file(path / TENSORS), state["numbers"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{path} is damaged ({error}).") from error

    def steps(self) -> list[int]:
        """Steps of all checkpoints, oldest first."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*") if path.is_dir())

    def _best(self) -> tuple[int, float] | None:
        try:
            best = json.loads((self.folder / BEST).read_text(encoding="utf-8"))
            return int(best["step"]), float(best["score"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _prune(self) -> None:
        best = self._best()
        wanted = {*self.steps()[-self.keep :], *([best[0]] if best else [])}
        for step in set(self.steps()) - wanted:
            shutil.rmtree(self.folder / f"step-{step:09d}", ignore_errors=True)
