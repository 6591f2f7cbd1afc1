"""Where even the true simulator cannot tell: it is restarted with positions off by a millionth of themselves."""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.bootstrap import Ratio
from nextstate.evaluation.counterfactual import nce

HOPELESS = 0.5
"""Where the floor exceeds this share of the effects nothing is scored."""


def chaos_floor(perturbed: np.ndarray, true: np.ndarray) -> float:
    """NCE of the perturbed simulator, scaled outcomes ``(N, K, D)`` at one horizon; 0 where nothing has an effect."""
    floor = nce(perturbed, true).value
    return floor if np.isfinite(floor) else 0.0


def above_floor(error: Ratio, floor: float) -> Ratio:
    """``(E - F) / (C - F)``: 0 as good as the true simulator can be, 1 as good as climatology.

    Climatology foresees no effects, so its error C is 1 on the scale of `nce`. NaN where the floor is too high.
    """
    if floor > HOPELESS:
        return error.mapped(lambda value: np.full_like(value, np.nan))
    return error.mapped(lambda value: (value - floor) / (1.0 - floor))
