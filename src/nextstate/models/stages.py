"""Stages of pretraining: what a model learns first, and from what."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Generator, Tensor

from nextstate.errors import SettingsError, UnknownNameError

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
        grows: whether its steps take more operations as it goes on, since it foresees farther.
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
    grows: bool = False


def chosen_stages(stages: Sequence[Stage], wanted: Sequence[str]) -> tuple[Stage, ...]:
    """Those of `stages` that are `wanted`, each by name, or as ``name=share`` to give it another share of the run.

    Raises `UnknownNameError` for a stage there is not, and `SettingsError` for a share that is not above 0, or a stage
    that is named twice.
    """
    known = {stage.name: stage for stage in stages}
    shares: dict[str, float] = {}
    for text in wanted:
        name, equals, share = text.partition("=")
        if name not in known:
            raise UnknownNameError("stage", name, known)
        if name in shares:
            raise SettingsError(f"--stages {text}: {name} is named twice; give each stage one share.")
        try:
            shares[name] = float(share) if equals else known[name].share
        except ValueError:
            shares[name] = math.nan
        if not (math.isfinite(shares[name]) and shares[name] > 0):
            raise SettingsError(f"--stages {text}: {share!r} is no share; give a number above 0, as in look=0.1.")
    return tuple(replace(stage, share=shares[stage.name]) for stage in stages if stage.name in shares)


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
