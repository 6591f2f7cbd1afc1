"""Which snapshots and branches a report shows, and the series drawn under them.

Chosen by how differently the *true* branches end, never by how well the model did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextstate.evaluation.results import Showcase, plain
from nextstate.imagination.pictures import draw_errors, draw_states, drawable
from nextstate.modalities import MODALITIES
from nextstate.reports.chapter import Chapter
from nextstate.reports.sprites import sheet

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LIKELY = 0.5
OUTCOME_WEIGHT = 0.3
"""How much the largest difference in outcome counts beside one event that differs."""


@dataclass(frozen=True)
class Series:
    """One quantity over the instants 0..H of every branch.

    Args:
        kind: ``event`` (truth 0 or 1, imagined probability), ``trace``, or ``command`` (no imagination).
        truth, imagined: ``(K, H+1)``.
        low, high: range to draw.
    """

    name: str
    kind: str
    truth: np.ndarray
    imagined: np.ndarray | None
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One snapshot with the branches that are shown.

    Args:
        key: unique in the report; anchors and scripts refer to it.
        row: number of the snapshot in the suite.
        captions: per branch, what truly happens in words.
        sheets: ``truth-rgb`` and so on -> data URI; a row for each branch, a column for each instant.
        contrast: positions of the two branches that differ most.
    """

    key: str
    row: int
    hz: float
    tile: tuple[int, int]
    captions: list[str]
    sheets: Mapping[str, str]
    series: list[Series]
    contrast: tuple[int, int]

    @property
    def instants(self) -> int:
        return int(self.series[0].truth.shape[1])

    @property
    def pictures(self) -> list[str]:
        """Modalities that have sheets."""
        return [key.removeprefix("truth-") for key in self.sheets if key.startswith("truth-")]

    def to_json(self) -> dict[str, Any]:
        """The series as numbers; clips stay in the page."""
        return {
            "snapshot": self.row,
            "hz": self.hz,
            "branches": [
                {"name": LETTERS[branch], "what_happens": caption, "series": self._numbers(branch)}
                for branch, caption in enumerate(self.captions)
            ],
        }

    def _numbers(self, branch: int) -> dict[str, Any]:
        return {
            series.name: {
                "truth": plain(series.truth[branch]),
                **({} if series.imagined is None else {"imagined": plain(series.imagined[branch])}),
            }
            for series in self.series
        }


def choose_scenes(chapter: Chapter, scenes: int = 3, branches: int = 5) -> list[Scene]:
    """The snapshots whose true branches differ most, each with the branches that differ most."""
    showcase = chapter.showcase
    if showcase is None:
        return []
    ends = _ends(showcase)
    spread = [max_distance(end) for end in ends]
    chosen = sorted(np.argsort(spread)[::-1][:scenes].tolist(), key=lambda index: -spread[index])
    return [_scene(chapter, showcase, index, _farthest(ends[index], branches), ends[index]) for index in chosen]


def max_distance(points: np.ndarray) -> float:
    """Largest distance between any two of the points ``(K, D)``."""
    return float(np.abs(points[:, None] - points[None]).sum(-1).max())


def _ends(showcase: Showcase) -> np.ndarray:
    """How every branch ended ``(P, K, E + D)``: events that came about, and the last outcome."""
    happened = showcase.events.any(axis=2).astype(np.float32)
    last = np.nan_to_num(showcase.outcomes[:, :, -1])
    scale = np.maximum(last.reshape(-1, last.shape[-1]).std(axis=0), 1e-6)
    return np.concatenate([happened, OUTCOME_WEIGHT * last / (scale * last.shape[-1])], axis=-1)


def _farthest(ends: np.ndarray, count: int) -> list[int]:
    """Greedy farthest-point choice (Gonzalez 1985), the most eventful branch first."""
    distance = np.abs(ends[:, None] - ends[None]).sum(-1)
    chosen = [int(index) for index in np.unravel_index(int(distance.argmax()), distance.shape)]
    while len(chosen) < min(count, len(ends)):
        nearest = distance[:, chosen].min(axis=1)
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return sorted(sorted(set(chosen)), key=lambda index: -float(ends[index].sum()))


def _scene(chapter: Chapter, showcase: Showcase, index: int, branches: list[int], ends: np.ndarray) -> Scene:
    seconds = (chapter.evaluation.metrics.get("curves") or {}).get("seconds") or [0.1]
    hz = 1.0 / float(seconds[0])
    names = chapter.event_names()
    events = showcase.events[index][branches]
    probability = np.clip(np.nan_to_num(showcase.event_probability[index][branches]), 0.0, 1.0)
    distance = np.abs(ends[branches][:, None] - ends[branches][None]).sum(-1)
    first, second = sorted(int(i) for i in np.unravel_index(int(distance.argmax()), distance.shape))
    pictures = [name for name in showcase.truth if MODALITIES[name].kind == "image" and name in showcase.imagined]
    # Colour first: it is what a reader sees before touching anything.
    sheets: dict[str, str] = {}
    for name in sorted(pictures, key=list(MODALITIES).index):
        sheets |= _sheets(showcase, name, index, branches)
    return Scene(
        key=f"{chapter.evaluation.world}-{index}",
        row=int(showcase.rows[index]),
        hz=hz,
        tile=tuple(showcase.last[pictures[0]].shape[1:3]) if pictures else (1, 1),
        captions=[caption(names, branch, hz) for branch in events],
        sheets=sheets,
        series=[
            *_event_series(names, events, probability),
            *_trace_series(showcase, index, branches),
            _command_series(showcase.actions[index][branches]),
        ],
        contrast=(first, second),
    )


def caption(names: list[str], events: np.ndarray, hz: float) -> str:
    """When each event ``(H, E)`` first came about, in words."""
    onsets = sorted((int(column.argmax()), name) for name, column in zip(names, events.T, strict=True) if column.any())
    return ", ".join(f"{name} {(step + 1) / hz:.1f} s".replace(" ", "\u00a0") for step, name in onsets) or "no event"


def _event_series(names: list[str], events: np.ndarray, probability: np.ndarray) -> list[Series]:
    """Events that truly came about, or were thought likely, in any branch."""
    return [
        Series(
            name, "event", _from_start(events[..., column].astype(np.float32)), _from_start(probability[..., column])
        )
        for column, name in enumerate(names)
        if events[..., column].any() or (probability[..., column] > LIKELY).any()
    ]


def _trace_series(showcase: Showcase, index: int, branches: list[int]) -> list[Series]:
    """Total force on the skin, and the two parts of the posture in which the true branches differ most."""
    series = []
    if "touch" in showcase.truth and "touch" in showcase.imagined:
        truth, imagined = (_with_last(showcase, s, "touch", index, branches) for s in ("truth", "imagined"))
        total = truth.reshape(*truth.shape[:2], -1).sum(-1), imagined.reshape(*imagined.shape[:2], -1).sum(-1)
        series.append(_trace("touch (N)", *(np.log1p(np.maximum(force, 0)) for force in total)))
    if "proprio" in showcase.truth and "proprio" in showcase.imagined:
        truth, imagined = (_with_last(showcase, s, "proprio", index, branches) for s in ("truth", "imagined"))
        scale = np.maximum(showcase.truth["proprio"].reshape(-1, truth.shape[-1]).std(axis=0), 1e-3)
        differing = np.argsort((truth.std(axis=0) / scale).mean(axis=0))[::-1][:2]
        series += [_trace(f"posture {part + 1}", truth[..., part], imagined[..., part]) for part in sorted(differing)]
    return series


def _trace(name: str, truth: np.ndarray, imagined: np.ndarray) -> Series:
    low, high = float(min(truth.min(), imagined.min())), float(max(truth.max(), imagined.max()))
    return Series(name, "trace", truth, imagined, low, max(high, low + 1e-3))


def _command_series(actions: np.ndarray) -> Series:
    return Series(
        "command", "command", _from_start(np.linalg.norm(actions, axis=-1)), None, 0.0, actions.shape[-1] ** 0.5
    )


def _sheets(showcase: Showcase, name: str, index: int, branches: list[int]) -> dict[str, str]:
    truth, imagined = (_with_last(showcase, source, name, index, branches) for source in ("truth", "imagined"))
    kind = drawable(MODALITIES[name](shape=truth.shape[2:]), truth.reshape(-1, *truth.shape[2:]))
    return {
        f"truth-{name}": sheet(draw_states(kind, truth)),
        f"imagined-{name}": sheet(draw_states(kind, imagined)),
        f"error-{name}": sheet(draw_errors(kind, truth, imagined)),
    }


def _with_last(showcase: Showcase, source: str, name: str, index: int, branches: list[int]) -> np.ndarray:
    """Branches with the snapshot itself in front, ``(K, H+1, *shape)``."""
    future = getattr(showcase, source)[name][index][branches]
    now = np.broadcast_to(showcase.last[name][index], (len(branches), 1, *future.shape[2:]))
    return np.concatenate([now.astype(future.dtype), future], axis=1)


def _from_start(values: np.ndarray) -> np.ndarray:
    """``(K, H)`` at steps 1..H to ``(K, H+1)``: at the snapshot itself, the value of the first step."""
    return np.concatenate([values[:, :1], values], axis=1)
