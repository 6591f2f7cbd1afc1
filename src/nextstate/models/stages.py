"""Stages of pretraining: what a model learns first, and from what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor

StageLoss = Callable[[Any, dict[str, Tensor], Generator, float], dict[str, Tensor]]
"""``loss(model, batch, generator, progress of the stage)`` to ``{"loss": ..., named parts}``."""


@dataclass(frozen=True)
class Stage:
    """Part of a run.

    Args:
        name: for people. share: of the run, relative to the other stages.
        loss: what to minimise.
        windows: per step, as a multiple of the batch size. rate: of learning, as a multiple of the usual one.
        recalled: whether windows hold what `recall` makes of each frame, rather than the frames themselves.
            Frames are then looked at once, when the stage begins, by parts of the model that it leaves as they are.
        pictured: of a stage from what was recalled, whether windows hold the pictures too.
        commanded: whether it can do nothing with windows whose commands are not known.
        deaf: whether it learns nothing of what actions do.
    """

    name: str
    share: float
    loss: StageLoss
    windows: float = 1.0
    rate: float = 1.0
    recalled: bool = False
    pictured: bool = False
    commanded: bool = False
    deaf: bool = False


def stage_at(stages: Sequence[Stage], progress: float) -> tuple[int, float]:
    """Which stage a run is in at `progress`, and how far into it, both from 0."""
    whole = sum(stage.share for stage in stages)
    begin = 0.0
    for index, stage in enumerate(stages):
        share = stage.share / whole
        if progress < begin + share or index == len(stages) - 1:
            return index, min(max((progress - begin) / share, 0.0), 1.0)
        begin += share
    raise ValueError("a run needs at least one stage")
