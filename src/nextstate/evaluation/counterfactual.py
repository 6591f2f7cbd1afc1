"""Do imagined futures differ as true ones do? All arrays are scaled outcomes ``(N, K, D)`` at one horizon.

The effect of doing a' instead of a is tau = y(a') - y(a). All K(K-1)/2 pairs of branches of a snapshot count, so
sums over pairs are K times sums over deviations from the mean of the branches.
"""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.bootstrap import Ratio, mean

SAME = 0.1
"""Scaled effects below this, a tenth of a climatological standard deviation, count as no effect."""


def centred(y: np.ndarray) -> np.ndarray:
    """Deviations from the mean over the branches of each snapshot."""
    return np.asarray(y - y.mean(axis=1, keepdims=True))


def nce(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Normalised counterfactual error, sum of ``|tau_hat - tau|^2`` over sum of ``|tau|^2``.

    0 is perfect and 1 deaf to actions. Effects scaled by g give ``(1-g)^2``, reversed ones 4; futures shuffled among
    the branches of a snapshot give 2 on average over permutations.
    """
    error, effect = centred(imagined) - centred(true), centred(true)
    return Ratio((error**2).sum(axis=(1, 2)), (effect**2).sum(axis=(1, 2)))


def noticeable(true: np.ndarray) -> bool:
    """Whether any pair of branches differs by more than `SAME` at all; else there is no effect to foretell."""
    return bool(np.ptp(true, axis=1).max(initial=0.0) > SAME)


def slope(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Sum of ``<tau_hat, tau>`` over sum of ``|tau|^2``: 1 is right, below 1 too timid, 0 deaf."""
    effect = centred(true)
    return Ratio((centred(imagined) * effect).sum(axis=(1, 2)), (effect**2).sum(axis=(1, 2)))


def direction_cosine(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Mean cosine between imagined and true effects, over pairs with ``|tau| > SAME``; 0 where nothing is imagined."""
    ours, theirs = effects(imagined), effects(true)
    lengths = np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1)
    cosine = (ours * theirs).sum(axis=-1) / np.maximum(lengths, 1e-9)
    return mean(cosine, np.linalg.norm(theirs, axis=-1) > SAME)


def sign_accuracy(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Share of dimensions with ``|tau| > SAME`` whose imagined effect has the right sign; none at all counts half."""
    ours, theirs = effects(imagined), effects(true)
    right = np.where(np.abs(ours) < 1e-9, 0.5, np.sign(ours) == np.sign(theirs))
    return mean(right, np.abs(theirs) > SAME)


def specificity(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Mean ``|tau_hat|`` where ``|tau| < SAME``: nothing should change there, so 0 is best."""
    return mean(np.abs(effects(imagined)), np.abs(effects(true)) < SAME)


def retrieval(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Share of alternatives whose imagined outcome is nearest to its own true outcome; chance is 1/K.

    Alternatives that truly end alike (within a thousandth) count as each other's own. The nearest ones share the
    point, so that a model deaf to actions gets 1/K.
    """
    distance = _distances(imagined, true)
    nearest = distance <= distance.min(axis=2, keepdims=True) + 1e-9
    own = nearest & (_distances(true, true) < 1e-3)
    return mean(own.sum(axis=2) / nearest.sum(axis=2))


def pairwise_accuracy(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Share of pairs of alternatives ranked rightly under a task cost (see `_costs`); a tie in imagination is half."""
    ours, theirs = _orders(imagined, true)
    return mean(np.where(ours == 0, 0.5, ours == theirs), theirs != 0)


def kendall_tau(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """Kendall's tau_b between imagined and true costs, mean over snapshots and tasks; all ties count 0."""
    ours, theirs = _orders(imagined, true)
    untied = np.sqrt((ours != 0).sum(axis=-1) * (theirs != 0).sum(axis=-1))
    tau = (ours * theirs).sum(axis=-1) / np.maximum(untied, 1e-9)
    return mean(tau, (theirs != 0).any(axis=-1))


def regret(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """True cost of the alternative imagined to be cheapest, above the best, over the same for a random choice.

    0 is the best choice and 1 one made blindly.
    """
    ours, theirs = _costs(imagined, true)
    chosen = ours <= ours.min(axis=-1, keepdims=True) + 1e-12
    cost = (theirs * chosen).sum(axis=-1) / chosen.sum(axis=-1)
    best = theirs.min(axis=-1)
    return Ratio((cost - best).sum(axis=1), (theirs.mean(axis=-1) - best).sum(axis=1))


def effects(y: np.ndarray) -> np.ndarray:
    """Effects of all pairs, ``(N, K(K-1)/2, D)``."""
    first, second = np.triu_indices(y.shape[1], 1)
    return np.asarray(y[:, second] - y[:, first])


def _distances(imagined: np.ndarray, true: np.ndarray) -> np.ndarray:
    """``(N, K, K)``: from imagined outcome k to true outcome j."""
    return np.asarray(np.linalg.norm(imagined[:, :, None] - true[:, None], axis=-1))


def _costs(imagined: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Imagined and true costs ``(N, tasks, K)``: task j is to bring about the true outcome of alternative j."""
    return _distances(imagined, true).swapaxes(1, 2), _distances(true, true).swapaxes(1, 2)


def _orders(imagined: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of each pair of alternatives costs more, -1, 0 or 1, ``(N, tasks, pairs)``, imagined and true."""
    first, second = np.triu_indices(imagined.shape[1], 1)
    ours, theirs = _costs(imagined, true)

    def order(costs: np.ndarray) -> np.ndarray:
        difference = costs[..., first] - costs[..., second]
        return np.where(np.abs(difference) < 1e-9, 0.0, np.sign(difference))

    return order(ours), order(theirs)
