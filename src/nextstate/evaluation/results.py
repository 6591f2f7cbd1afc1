"""What an evaluation found: figures as JSON, and arrays that a report draws.

JSON (``Evaluation.save``), numbers that could not be measured are null:

    {"world", "command", "commit", "date", "machine": {...}, "model", "train_seconds",
     "suite": {"snapshots", "alternatives", "horizon", "context", "seed", "size", "flip_share", "null_share", ...},
     "metrics": METRICS, "intervals": 95 % bootstrap intervals [low, high] nested as in "metrics",
     "baselines": {name: METRICS}, "readout": {"r2": {group: R2}, "events": {event: balanced accuracy}, ...},
     "notes": [sentence, ...],
     "by_snapshot": {"nce" | "retrieval" | "crps", at 1 s: [numerators, denominators]}, empty unless asked for}

    METRICS = {
      by horizon in seconds, {"0.5": x, "1.0": x, "2.0": x}, over the headline outcome groups:
        "nce" (null where chaos or a lack of effects leaves nothing to score), "chaos_floor", "nce_above_chaos",
        "nce_of_groups" (mean of the groups' own), "slope", "direction_cosine", "sign_accuracy", "specificity",
        "retrieval_at_8" (at_K), "pairwise_accuracy", "kendall_tau", "regret", "drift", "contact_f1",
        "crps", "spread_skill"
      "groups": {group: {"nce", "chaos_floor", "nce_above_chaos", "slope": by horizon}}
      by event, at the longest horizon: "flips", "brier", "ece", "event_time_error" (seconds)
      single: "shuffle_gap", "valid_seconds", "coverage_50", "coverage_80", "coverage_95", "agreement_f1",
        "agreement_lag" (seconds), "delta_psnr" (dB), "last_action_gradient", "actions_heard", "snapshots" (how many
        were scored)
      "curves": {"seconds": [...], "nce": [...], "drift": [...], "chaos_floor": [...]}, one value per step
      "calibration": {"events": {event: [[mean probability, observed frequency, count], ...]},
                      "coverage": [[level, coverage], ...]}
    }

Arrays (``Showcase.save``, an ``.npz`` beside the JSON): the snapshots with true pictures that a report shows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nextstate.errors import DatasetError
from nextstate.evaluation.store import read_arrays, write_arrays, write_text

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """Everything measured about one model on one suite; see the module's docstring for the figures."""

    world: str
    model: str
    metrics: Metrics
    intervals: Metrics = field(default_factory=dict)
    baselines: dict[str, Metrics] = field(default_factory=dict)
    suite: dict[str, Any] = field(default_factory=dict)
    readout: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    commit: str = ""
    date: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    train_seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    by_snapshot: dict[str, list[list[float]]] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(plain(asdict(self)), indent=1, allow_nan=False)

    def save(self, path: Path) -> None:
        """Writes the JSON atomically."""
        write_text(path, self.to_json() + "\n")

    @staticmethod
    def load(path: Path) -> Evaluation:
        """Inverse of `save`; raises `DatasetError` when the file is missing or not an evaluation."""
        try:
            return Evaluation(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DatasetError(
                f"{path}: not a saved evaluation ({error}); run `nextstate evaluate` with --out again."
            ) from error


@dataclass(frozen=True)
class Showcase:
    """P snapshots, K branches each: what was true and what was imagined, H steps from 0.1 s on.

    Args:
        rows: ``(P,)`` indices into the suite.
        actions: ``(P, K, H, A)``.
        last: modality -> ``(P, *shape)``, the state at the snapshot, from which everything branches.
        truth, imagined: modality -> ``(P, K, H, *shape)`` in physical units; the model may foresee fewer.
        events, event_probability: ``(P, K, H, E)`` booleans and what was read out of the imagination.
        outcomes, imagined_outcomes: ``(P, K, H, D)`` in physical units.
    """

    rows: np.ndarray
    actions: np.ndarray
    last: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]
    imagined: Mapping[str, np.ndarray]
    events: np.ndarray
    event_probability: np.ndarray
    outcomes: np.ndarray
    imagined_outcomes: np.ndarray

    def save(self, path: Path) -> None:
        """Writes one compressed ``.npz`` atomically; mappings become keys such as ``truth.rgb``."""
        arrays: dict[str, np.ndarray] = {}
        for name, value in vars(self).items():
            if isinstance(value, Mapping):
                arrays |= {f"{name}.{key}": _compact(key, entry) for key, entry in value.items()}
            else:
                arrays[name] = value
        write_arrays(path, arrays, compressed=True)

    @staticmethod
    def load(path: Path) -> Showcase:
        """Inverse of `save`, up to half precision of depth and motion; raises `DatasetError`."""
        fields: dict[str, Any] = {"last": {}, "truth": {}, "imagined": {}}
        for name, value in read_arrays(path).items():
            owner, _, key = name.partition(".")
            if key:
                fields[owner][key] = value.astype(np.float32) if value.dtype == np.float16 else value
            else:
                fields[owner] = value
        return Showcase(**fields)


def arrays_path(json_path: Path) -> Path:
    """Where the `Showcase` of an evaluation lies."""
    return json_path.with_suffix(".npz")


def plain(value: Any) -> Any:
    """Numpy numbers and arrays as what JSON knows, floats to six digits, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{float(value):.6g}") if math.isfinite(value) else None
    return value


def _compact(modality: str, values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16) if modality in ("depth", "motion") else values
