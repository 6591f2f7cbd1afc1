"""The folder of a run: what was asked for, on what machine, and everything that came of it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from nextstate.data.storage import naming_full_disk, write_json
from nextstate.errors import CheckpointError
from nextstate.provenance import commit, machine
from nextstate.training.settings import FREE_TO_CHANGE

if TYPE_CHECKING:
    from nextstate.training.validate import Validated

Resume = Literal["auto", "must", "never"]

CONFIG, ENVIRONMENT, METRICS, LOCK = "config.json", "environment.json", "metrics.jsonl", ".lock"


@dataclass(frozen=True)
class Outcome:
    """How a call of `Trainer.fit` ended.

    Args:
        step: steps made, over all calls. seconds: of training, over all calls.
        interrupted: whether a signal ended it; the run can go on.
        throughput: figures of this call. validated: the last validation.
    """

    step: int
    seconds: float
    interrupted: bool
    throughput: Mapping[str, float]
    validated: Validated | None


class Run:
    """A run's folder, held by one process at a time.

    ::

        config.json        the resolved configuration, seed and fingerprint of the data
        environment.json   versions, processor, threads, measured matrix peak
        metrics.jsonl      one line per lap and per validation; the same in tensorboard/
        pace.f64           progress of every step (runs by the clock only)
        recalled.json      how many frames the later stages learn from (likewise)
        checkpoints/       the newest two and the best
        model/             the result: averaged weights, configuration, model card

    Args:
        root: the folder. config: resolved, JSON; ``config["training"]`` are the settings.
        resume: ``auto`` goes on if the folder holds the same run, ``must`` wants one, ``never`` refuses one.
        follows: whether another process of the same run holds the folder, and this one only reads.

    Raises `CheckpointError` when the folder holds another run, something else, or is in use.
    """

    def __init__(self, root: Path, config: Mapping[str, Any], resume: Resume = "auto", follows: bool = False) -> None:
        self.root = root
        self.config = json.loads(json.dumps(config))
        self._lock: IO[str] | None = None
        if follows:
            return
        exists = (root / CONFIG).exists()
        if not exists and root.is_dir() and any(p.name != LOCK for p in root.iterdir()):
            raise CheckpointError(f"{root} is not empty and holds no run; choose another --out.")
        if resume == "must" and not exists:
            raise CheckpointError(f"{root} holds no run to resume; check --out, or leave out --resume must.")
        if resume == "never" and exists:
            raise CheckpointError(f"{root} already holds a run; choose another --out, or delete it.")
        with naming_full_disk(root):
            root.mkdir(parents=True, exist_ok=True)
            self._lock = (root / LOCK).open("a")
        try:
            # The kernel drops this lock when the process dies, however it dies.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"{root} is being trained by another process; choose another --out.") from error
        if exists:
            self._check_same()
        write_json(root / CONFIG, self.config)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.model.is_dir()

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def pace(self) -> Path:
        return self.root / "pace.f64"

    @property
    def recalled(self) -> Path:
        return self.root / "recalled.json"

    def note_environment(self, facts: Mapping[str, Any]) -> list[str]:
        """Writes down the machine; returns, in words, what differs from last time and can change bits.

        Args:
            facts: ``threads``, ``precision``, ``device`` and whatever else is worth knowing.
        """
        now = {**facts, "machine": machine(), "commit": commit()}
        path = self.root / ENVIRONMENT
        changed = []
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            for name in ("processes", "threads", "precision", "device", "machine"):
                # Notes of before there were several processes tell of none.
                changed += differences({name: before.get(name, now[name])}, {name: now[name]})
        write_json(path, now)
        return changed

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _check_same(self) -> None:
        try:
            before = json.loads((self.root / CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.root / CONFIG} is damaged ({error}); choose another --out.") from error
        changed = differences(before, self.config)
        if changed and not any(self.checkpoints.glob("step-*")) and not self.finished:
            # Nothing was learned yet (an option was wrong, or it was stopped at once): nothing is lost.
            for path in (self.pace, self.recalled, self.root / METRICS):
                path.unlink(missing_ok=True)
        elif changed:
            raise CheckpointError(
                f"{self.root} holds a run with another configuration: {'; '.join(changed)}. Give the same options "
                "to go on with it, or choose another --out."
            )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two configurations, in words, leaving out what does not touch the weights."""
    found = []
    for key in sorted({*before, *now} - {"notes"}):
        old, new = before.get(key), now.get(key)
        if key == "training" and isinstance(old, dict) and isinstance(new, dict):
            old = {k: v for k, v in old.items() if k not in FREE_TO_CHANGE}
            new = {k: v for k, v in new.items() if k not in FREE_TO_CHANGE}
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{key}.{line}" for line in differences(old, new)]
        elif old != new:
            found.append(f"{key} was {old!r}, is {new!r}")
    return found


def options_of_run(root: Path) -> dict[str, Any] | None:
    """Options of the model that a run trains; None where no run has begun, or its folder does not tell."""
    try:
        return dict(json.loads((root / CONFIG).read_text(encoding="utf-8"))["options"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def minutes_of(root: Path) -> float:
    """How long a run by the clock was to take; raises `CheckpointError` where the folder does not tell."""
    try:
        return float(json.loads((root / CONFIG).read_text(encoding="utf-8"))["training"]["minutes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{root} does not tell how long its run was to take ({error}).") from error
