"""How far sampled futures are to lie apart, by what truly came of other actions.

Training fits that on windows as they were recorded (`nextstate.models.calibration`). Of actions that the recorded
policy would not have chosen a model is surer than it should be; where the world can be forked, that shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nextstate.errors import SettingsError
from nextstate.evaluation.building import Progress
from nextstate.evaluation.prediction import Prediction, check_fits, sample
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.scoring import coverage
from nextstate.evaluation.suite import Suite
from nextstate.evaluation.uncertainty import ReadingError
from nextstate.models.protocol import WorldModel

LEVEL, NEAR = 0.8, 0.005
"""Share that intervals of this level are to cover, and what is near enough."""

TRIES, STEP, FARTHEST = 6, 1.15, 2.0
"""Scales that are tried, by which factor the second differs from the first, and any from the one before at most."""

LEAST, MOST = 0.25, 6.0
"""Between which scales it stays."""


@dataclass(frozen=True)
class Tried:
    """A scale of noise, and the share of true outcomes that lie within 80 % intervals under it."""

    scale: float
    covered: float


def fit_scale(
    at: Callable[[float], WorldModel],
    scale: float,
    suite: Suite,
    readout: Readout,
    reading: ReadingError | None = None,
    samples: int = 8,
    progress: Progress | None = None,
) -> list[Tried]:
    """Scales tried from `scale` on, the best one last: secants over the logarithm of the scale.

    Args:
        at: the model with its sampled futures so far apart.
        suite: of a seed that no result is from. reading: error of the readout, as `evaluate` takes it.

    Raises:
        SettingsError: for a model that knows one future only, or a suite in which actions change nothing.
        StateError: for a model of other states than the suite's.
    """
    model = at(scale)
    if not model.spec.stochastic:
        raise SettingsError(f"{model.spec.name} foresees a single future, so there are no intervals to calibrate.")
    check_fits(model, suite, readout)
    tried: list[Tried] = []
    while len(tried) < TRIES:
        drawn = sample(at(scale), suite, readout, samples, progress=progress)
        found = Prediction(suite.outcomes, suite.events, suite.events, samples=drawn, reading=reading)
        tried.append(Tried(scale, coverage(suite, found, LEVEL)))
        if not math.isfinite(tried[-1].covered):
            raise SettingsError("in this suite no action changes anything that is scored; take more snapshots.")
        if abs(tried[-1].covered - LEVEL) <= NEAR:
            break
        scale = round(_following(tried), 3)
        if scale in [one.scale for one in tried]:
            break
    return sorted(tried, key=lambda one: -abs(one.covered - LEVEL))


def _following(tried: list[Tried]) -> float:
    last = tried[-1]
    factor = STEP if last.covered < LEVEL else 1 / STEP
    if len(tried) > 1 and (rise := last.covered - tried[-2].covered):
        factor = (last.scale / tried[-2].scale) ** ((LEVEL - last.covered) / rise)
    return min(max(last.scale * min(max(factor, 1 / FARTHEST), FARTHEST), LEAST), MOST)
