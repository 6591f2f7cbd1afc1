"""What one chapter of a report is written from: an evaluation, its showcase, and where the model came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextstate.errors import DatasetError
from nextstate.evaluation.results import Evaluation, Showcase, arrays_path
from nextstate.worlds import WORLDS

UNTOLD = ("model", "best", "final", "")
"""Names of model folders that say nothing."""

MUST_LOSE = ("copy-last", "action-blind", "blind")


@dataclass(frozen=True)
class Chapter:
    """One model in one world.

    Args:
        evaluation: the figures.
        showcase: snapshots with true and imagined branches, None for a report without clips.
        ledger: owner -> number of parameters.
        commands: how the model came about, in order (record, pretrain, ...), before ``evaluation.command``.
    """

    evaluation: Evaluation
    showcase: Showcase | None = None
    ledger: Mapping[str, int] = field(default_factory=dict)
    commands: Sequence[str] = ()

    @property
    def model(self) -> str:
        """Name for tables: the last part of a path, unless it says nothing (``RUN/model``)."""
        name = Path(self.evaluation.model).name or self.evaluation.model
        return "the model" if name in UNTOLD else name

    @property
    def horizons(self) -> list[str]:
        """Horizons in seconds, as they are written in the figures."""
        return list(self.evaluation.metrics.get("nce") or {})

    @property
    def middle(self) -> str:
        """The horizon of sentences and rankings: one second where it was measured."""
        return "1.0" if "1.0" in self.horizons else (self.horizons[len(self.horizons) // 2] if self.horizons else "")

    @property
    def about(self) -> str:
        """What the world is, in a sentence."""
        world = WORLDS.get(self.evaluation.world)
        return (world.__doc__ or "").strip().splitlines()[0] if world else ""

    @property
    def baselines(self) -> dict[str, Mapping[str, Any]]:
        """Name as people write it -> figures."""
        return {name.replace("_", "-"): metrics for name, metrics in self.evaluation.baselines.items()}

    def rivals(self) -> dict[str, Mapping[str, Any]]:
        """The baselines that must lose: no change, and no hearing."""
        found = [name for name in MUST_LOSE if name in self.baselines]
        return {name: self.baselines[name] for name in found[:2]}

    def event_names(self) -> list[str]:
        """Names of the columns of the showcase's events."""
        count = 0 if self.showcase is None else self.showcase.events.shape[-1]
        world = WORLDS.get(self.evaluation.world)
        if world is not None and len(world.events) == count:
            return [name.replace("_", " ") for name in world.events]
        return [f"event {index + 1}" for index in range(count)]

    def predictors(self) -> dict[str, Mapping[str, Any]]:
        """Name -> figures: oracle first, then the model, then the baselines from best to worst."""
        others = self.baselines
        first = {"oracle": others.pop("oracle")} if "oracle" in others else {}
        ranked = sorted(others.items(), key=lambda item: _or_infinity(figure(item[1], "nce", self.middle)))
        return {**first, self.model: self.evaluation.metrics, **dict(ranked)}


def read_chapter(
    path: Path, ledger: Mapping[str, int] | None = None, commands: Sequence[str] = (), clips: bool = True
) -> Chapter:
    """The chapter of an evaluation's JSON and the arrays beside it; raises `DatasetError` when it cannot be read."""
    evaluation = Evaluation.load(path)
    if not isinstance(evaluation.metrics, dict) or not evaluation.world:
        raise DatasetError(f"{path}: not a saved evaluation; run `nextstate evaluate` with --out again.")
    arrays = arrays_path(path)
    showcase = Showcase.load(arrays) if clips and arrays.exists() else None
    return Chapter(evaluation, showcase, dict(ledger or {}), list(commands))


def figure(metrics: Mapping[str, Any], *keys: str) -> float | None:
    """A number nested in the figures, None where it was not measured."""
    value: Any = metrics
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def interval(chapter: Chapter, *keys: str) -> tuple[float, float] | None:
    """The 95 % interval of the model's figure under the same keys, None where there is none."""
    value: Any = chapter.evaluation.intervals
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, Sequence) or len(value) != 2 or any(v is None for v in value):
        return None
    return float(value[0]), float(value[1])


def retrieval_key(metrics: Mapping[str, Any]) -> str:
    """``retrieval_at_K`` for the K that was measured."""
    return next((key for key in metrics if key.startswith("retrieval_at_")), "retrieval_at_8")


def _or_infinity(value: float | None) -> float:
    return float("inf") if value is None else value
