"""Predictors made of the truth, bent in known ways, so that every metric can be seen to order them as it must.

All are defined on effects: what a branch adds to the mean of the branches of its snapshot (to one half, for the
probability of an event). So an error of effects scaled by .8 is .04, of none 1, of reversed ones 4, exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nextstate.evaluation.agreement import felt
from nextstate.evaluation.flips import by_horizon
from nextstate.evaluation.prediction import Prediction, read_truth
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.suite import Suite
from nextstate.evaluation.uncertainty import ReadingError

GAIN = 0.8

ORDER: dict[str, tuple[str, ...]] = {
    "nce": ("oracle", "gain_0.8", "blind", "shuffled", "reversed"),
    "slope": ("oracle", "gain_0.8", "blind", "reversed"),
    "direction_cosine": ("oracle", "blind", "reversed"),
    "sign_accuracy": ("oracle", "blind", "reversed"),
    "retrieval": ("oracle", "blind"),
    "pairwise_accuracy": ("oracle", "blind"),
    "kendall_tau": ("oracle", "blind"),
    "regret": ("oracle", "blind"),
    "flips": ("oracle", "blind", "reversed"),
    "brier": ("oracle", "gain_0.8", "blind", "shuffled", "reversed"),
    "shuffle_gap": ("oracle", "blind", "reversed"),
    "drift": ("oracle", "gain_0.8", "blind", "shuffled", "reversed"),
}
"""What each metric says about the baselines by its definition, best first.

The wrong-physics simulator hears every action, so each metric puts it below the oracle and above blind; on which side
of gain_0.8 it lies depends on how wrong it is. Metrics of direction and rank do not see a gain: gain_0.8 ties with the
oracle there, or nearly. Shuffled futures are as good as blind ones, on average over shuffles, wherever chance is the
same for both: everywhere but in NCE, Brier score and drift. How far away an alternative ends does not change much
when all effects are turned round, so metrics of rank say nothing about reversed ones.
"""


def exact(suite: Suite) -> Prediction:
    """The truth."""
    touched = felt(suite.truth("touch"), suite.world.touch_shape)
    return _sure(suite.outcomes, suite.events, touched)


def wrong_physics(suite: Suite) -> Prediction:
    """A simulator with other masses, friction and gravity (see `WrongPhysics`), of the first Q snapshots."""
    touch = suite.arrays["wrong.touch"]
    return _sure(suite.arrays["wrong.outcomes"], suite.arrays["wrong.events"], felt(touch, suite.world.touch_shape))


def gain(suite: Suite, factor: float = GAIN) -> Prediction:
    """Every effect right but for its size."""
    return _bent(suite, lambda y: _mean(y) + factor * (y - _mean(y)), lambda p: 0.5 + factor * (p - 0.5))


def reversed_effects(suite: Suite) -> Prediction:
    """Every effect the wrong way round."""
    return gain(suite, -1.0)


def blind(suite: Suite) -> Prediction:
    """The mean of the true futures for all alternatives: the best that can be said without hearing the action."""
    return _bent(suite, lambda y: np.broadcast_to(_mean(y), y.shape), lambda p: np.broadcast_to(_mean(p), p.shape))


def shuffled(suite: Suite, seed: int = 0) -> Prediction:
    """True futures, dealt at random among the branches of each snapshot."""
    rng = np.random.default_rng(seed)
    order = np.argsort(rng.random(suite.outcomes.shape[:2]), axis=1)

    def deal(y: np.ndarray) -> np.ndarray:
        return np.take_along_axis(y, order.reshape(*order.shape, *[1] * (y.ndim - 2)), axis=1)

    return _bent(suite, deal, deal)


def copy_last(suite: Suite) -> Prediction:
    """Everything stays as it is at the snapshot."""
    before = np.broadcast_to(suite.arrays["outcome_before"][:, None, None], suite.outcomes.shape)
    events = np.broadcast_to(suite.arrays["events_before"][:, None, None], suite.events.shape)
    now = felt(suite.arrays["history.touch"][:, -1], suite.world.touch_shape)
    return _sure(before, events, np.broadcast_to(now[:, None, None], suite.outcomes.shape[:3]))


def climatology(suite: Suite) -> Prediction:
    """Everything is as it is on average."""
    outcomes = np.broadcast_to(suite.arrays["climate_mean"], suite.outcomes.shape)
    events = np.broadcast_to(suite.arrays["event_rate"], suite.events.shape)
    return Prediction(outcomes, events, events, np.zeros(suite.outcomes.shape[:3], bool))


def all_baselines(
    suite: Suite, readout: Readout | None = None, reading: ReadingError | None = None
) -> dict[str, tuple[Suite, Prediction]]:
    """Name -> the snapshots it speaks about and what it says.

    With a readout the oracle is the truth as the readout sees it (on the snapshots with pictures), beside which a
    model is to be judged; without one it is the truth itself.
    """
    found = {
        "oracle": (suite, exact(suite)),
        "gain_0.8": (suite, gain(suite)),
        "copy_last": (suite, copy_last(suite)),
        "blind": (suite, blind(suite)),
        "climatology": (suite, climatology(suite)),
        "shuffled": (suite, shuffled(suite)),
        "reversed": (suite, reversed_effects(suite)),
    }
    if readout is not None and suite.pictured:
        found["oracle"] = (suite.rows(range(suite.pictured)), read_truth(suite, readout, reading))
    if suite.probes:
        found["wrong_physics"] = (suite.rows(range(suite.probes)), wrong_physics(suite))
    return found


def _mean(y: np.ndarray) -> np.ndarray:
    return np.asarray(np.mean(y, axis=1, keepdims=True, dtype=float))


def _bent(
    suite: Suite, outcomes: Callable[[np.ndarray], np.ndarray], events: Callable[[np.ndarray], np.ndarray]
) -> Prediction:
    touch = felt(outcomes(suite.truth("touch")), suite.world.touch_shape)
    now, so_far = events(suite.events.astype(float)), events(by_horizon(suite.events).astype(float))
    return Prediction(outcomes(suite.outcomes), now, so_far, touch)


def _sure(outcomes: np.ndarray, events: np.ndarray, touched: np.ndarray) -> Prediction:
    return Prediction(outcomes, events.astype(float), by_horizon(events).astype(float), touched)
