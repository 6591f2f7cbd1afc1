"""All figures of one prediction: every metric at every horizon, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextstate.errors import StateError
from nextstate.evaluation import counterfactual, flips, uncertainty
from nextstate.evaluation.agreement import f1, lag
from nextstate.evaluation.bootstrap import Ratio
from nextstate.evaluation.chaos import HOPELESS, above_floor, chaos_floor
from nextstate.evaluation.drift import drift, valid_seconds
from nextstate.evaluation.listening import shuffle_gap
from nextstate.evaluation.prediction import Prediction
from nextstate.evaluation.results import Metrics
from nextstate.evaluation.suite import Suite
from nextstate.worlds.base import CONTROL_HZ

HORIZONS = (0.5, 1.0, 2.0)
"""Seconds."""

Metric = Callable[[np.ndarray, np.ndarray], Ratio]

OVER_HEADLINE: dict[str, Metric] = {
    "slope": counterfactual.slope,
    "direction_cosine": counterfactual.direction_cosine,
    "sign_accuracy": counterfactual.sign_accuracy,
    "specificity": counterfactual.specificity,
    "pairwise_accuracy": counterfactual.pairwise_accuracy,
    "kendall_tau": counterfactual.kendall_tau,
    "regret": counterfactual.regret,
    "drift": drift,
}
"""Metrics by horizon, besides `nce` and retrieval, that look at all headline dimensions."""


@dataclass(frozen=True)
class Floors:
    """Chaos floors: group (``headline`` is all of them) -> one value per step."""

    by_group: Mapping[str, np.ndarray]

    @staticmethod
    def of(suite: Suite) -> Floors:
        """From the branches of the perturbed simulator; 0 where the suite has none."""
        true = suite.scale(suite.outcomes[: suite.probes])
        off = suite.scale(suite.arrays["chaos.outcomes"]) if suite.probes else true
        steps = range(suite.recipe.horizon)
        return Floors(
            {
                name: np.array(
                    [chaos_floor(off[:, :, t][..., d], true[:, :, t][..., d]) if len(off) else 0.0 for t in steps]
                )
                for name, d in all_groups(suite).items()
            }
        )


def all_groups(suite: Suite) -> dict[str, np.ndarray]:
    """Outcome group -> indices, and ``headline`` for those that it counts."""
    return {**suite.groups(), "headline": suite.headline()}


def horizons(suite: Suite) -> dict[str, int]:
    """Label in seconds -> index of the step; horizons beyond the suite's are left out."""
    last = suite.recipe.horizon
    steps = {f"{seconds:.1f}": round(seconds * CONTROL_HZ) - 1 for seconds in HORIZONS}
    return {label: t for label, t in steps.items() if t < last} or {f"{last / CONTROL_HZ:.1f}": last - 1}


def score(suite: Suite, prediction: Prediction, floors: Floors, intervals: bool = True) -> tuple[Metrics, Metrics]:
    """Figures and their intervals, nested alike; see `results` for what they are called.

    Args:
        floors: of the whole suite, also where `suite` holds only some of its snapshots.
        intervals: whether to bootstrap them; else the second mapping is empty.
    """
    true, imagined = suite.scale(suite.outcomes), suite.scale(prediction.outcomes)
    ratios: dict[str, Any] = {}
    _score_effects(ratios, suite, true, imagined, floors)
    _score_events(ratios, suite, prediction)
    _score_contact(ratios, suite, prediction)
    _score_samples(ratios, suite, prediction, true)
    steps = horizons(suite)
    middle = steps.get("1.0", max(steps.values()))
    head = suite.headline()
    ratios["shuffle_gap"] = shuffle_gap(imagined[:, :, middle][..., head], true[:, :, middle][..., head])
    ratios["valid_seconds"] = valid_seconds(imagined[..., head], true[..., head], CONTROL_HZ)
    ratios["curves"] = _curves(true[..., head], imagined[..., head], floors)
    ratios["snapshots"] = len(suite)
    return _values(ratios), _intervals(ratios) if intervals else {}


def by_snapshot(suite: Suite, prediction: Prediction) -> dict[str, Ratio]:
    """NCE, retrieval and CRPS at 1 s as ratios of sums over snapshots, so that models can be compared in pairs."""
    label, t = min(horizons(suite).items(), key=lambda item: abs(float(item[0]) - 1.0))
    head = suite.headline()
    theirs, ours = (suite.scale(values)[:, :, t][..., head] for values in (suite.outcomes, prediction.outcomes))
    ratios = {"nce": counterfactual.nce(ours, theirs), "retrieval": counterfactual.retrieval(ours, theirs)}
    sampled: dict[str, Any] = {"calibration": {}}
    _score_samples(sampled, suite, prediction, suite.scale(suite.outcomes))
    if "crps" in sampled:
        ratios["crps"] = sampled["crps"][label]
    return ratios


def _score_effects(
    ratios: dict[str, Any], suite: Suite, true: np.ndarray, imagined: np.ndarray, floors: Floors
) -> None:
    retrieval = f"retrieval_at_{suite.recipe.alternatives}"
    for name in ("nce", "chaos_floor", "nce_above_chaos", "nce_of_groups", retrieval, *OVER_HEADLINE):
        ratios[name] = {}
    ratios["groups"] = {}
    for label, t in horizons(suite).items():
        for group, dims in all_groups(suite).items():
            theirs, ours = true[:, :, t][..., dims], imagined[:, :, t][..., dims]
            owner = ratios if group == "headline" else ratios["groups"].setdefault(group, {})
            error, floor = counterfactual.nce(ours, theirs), float(floors.by_group[group][t])
            noticed = counterfactual.noticeable(theirs)
            found = {
                "nce": error if floor <= HOPELESS and noticed else None,
                "chaos_floor": floor,
                "nce_above_chaos": above_floor(error, floor) if noticed else None,
                "slope": counterfactual.slope(ours, theirs),
            }
            for name, ratio in found.items():
                owner.setdefault(name, {})[label] = ratio
            if group == "headline":
                ratios[retrieval][label] = counterfactual.retrieval(ours, theirs)
                for name, metric in OVER_HEADLINE.items():
                    ratios[name][label] = metric(ours, theirs)
        heads = [ratios["groups"][group]["nce"][label] for group in suite.world.headline]
        scored = [ratio.value for ratio in heads if ratio is not None and np.isfinite(ratio.value)]
        ratios["nce_of_groups"][label] = float(np.mean(scored)) if scored else None


def _score_events(ratios: dict[str, Any], suite: Suite, prediction: Prediction) -> None:
    happened = flips.by_horizon(suite.events)[:, :, -1]
    claimed = prediction.happened[:, :, -1]
    sure, truly = claimed, happened
    if prediction.samples is not None:
        # A probability is the share of sampled futures in which the event happens, each read with its own doubt.
        drawn = prediction.samples.happened[:, :, :, -1].mean(axis=0)
        sure, truly = drawn, happened[: drawn.shape[0], : drawn.shape[1]]
    names = suite.world.events
    for i, name in enumerate(names):
        late = flips.time_error(
            prediction.happened[..., i], suite.events[..., i], suite.arrays["events_before"][:, i], CONTROL_HZ
        )
        found = {
            "flips": flips.flip_accuracy(claimed[..., i], happened[..., i]),
            "brier": flips.brier(sure[..., i], truly[..., i]),
            "ece": flips.expected_calibration_error(sure[..., i], truly[..., i]),
            "event_time_error": late,
        }
        for metric, ratio in found.items():
            ratios.setdefault(metric, {})[name] = ratio
    ratios.setdefault("calibration", {})["events"] = {
        name: flips.reliability(sure[..., i], truly[..., i]) for i, name in enumerate(names)
    }


def _score_contact(ratios: dict[str, Any], suite: Suite, prediction: Prediction) -> None:
    from nextstate.evaluation.agreement import felt

    if prediction.felt is None:
        return
    truly = felt(suite.truth("touch"), suite.world.touch_shape)
    ratios["contact_f1"] = {label: f1(prediction.felt[:, :, t], truly[:, :, t]) for label, t in horizons(suite).items()}
    if prediction.seen is not None:
        ratios["agreement_f1"] = f1(prediction.felt, prediction.seen)
        ratios["agreement_lag"] = lag(prediction.felt, prediction.seen, CONTROL_HZ)


def _score_samples(ratios: dict[str, Any], suite: Suite, prediction: Prediction, true: np.ndarray) -> None:
    if prediction.samples is None:
        return
    views, reading = _sampled(suite, prediction, true)
    for label, (ours, theirs, where) in views.items():
        ratios.setdefault("crps", {})[label] = uncertainty.fair_crps(ours, theirs, where)
        ratios.setdefault("spread_skill", {})[label] = uncertainty.spread_skill(ours, theirs, reading, where)

    def covered(level: float) -> Ratio:
        return _covered(views, reading, level)

    for level in uncertainty.LEVELS:
        ratios[f"coverage_{round(100 * level)}"] = covered(level)
    levels = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    ratios["calibration"]["coverage"] = [[level, covered(level).value] for level in levels]


def coverage(suite: Suite, prediction: Prediction, level: float) -> float:
    """Share of what truly came that lies within the intervals of that level; raises `StateError` without samples."""
    if prediction.samples is None:
        raise StateError("only sampled futures have intervals, and this prediction has none.")
    return _covered(*_sampled(suite, prediction, suite.scale(suite.outcomes)), level).value


Views = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Horizon -> samples ``(M, N, K, D)``, truth ``(N, K, D)`` and which dimensions count ``(N, 1, D)``."""


def _sampled(suite: Suite, prediction: Prediction, true: np.ndarray) -> tuple[Views, uncertainty.ReadingError]:
    assert prediction.samples is not None
    samples = suite.scale(prediction.samples.outcomes)
    head = suite.headline()
    rows, branches = samples.shape[1:3]
    views = {}
    for label, t in horizons(suite).items():
        theirs, where = true[:rows, :branches, t][..., head], uncertainty.open_dimensions(true[:rows, :, t][..., head])
        views[label] = (samples[:, :, :, t][..., head], theirs, where)
    return views, (prediction.reading or uncertainty.ReadingError.none(true.shape[-1])).only(head)


def _covered(views: Views, reading: uncertainty.ReadingError, level: float) -> Ratio:
    parts = [uncertainty.coverage(ours, theirs, level, reading, where) for ours, theirs, where in views.values()]
    return Ratio(sum(p.numerator for p in parts), sum(p.denominator for p in parts))  # type: ignore[arg-type]


def _curves(true: np.ndarray, imagined: np.ndarray, floors: Floors) -> dict[str, list[float]]:
    steps = range(true.shape[2])
    floor = floors.by_group["headline"]
    error = [counterfactual.nce(imagined[:, :, t], true[:, :, t]).value for t in steps]
    return {
        "seconds": [(t + 1) / CONTROL_HZ for t in steps],
        "nce": [e if floor[t] <= HOPELESS else float("nan") for t, e in zip(steps, error, strict=True)],
        "drift": [drift(imagined[:, :, t], true[:, :, t]).value for t in steps],
        "chaos_floor": floor.tolist(),
    }


def _values(tree: Any) -> Any:
    if isinstance(tree, Ratio):
        return tree.value
    return {name: _values(value) for name, value in tree.items()} if isinstance(tree, Mapping) else tree


def _intervals(tree: Mapping[str, Any]) -> Metrics:
    found: Metrics = {}
    for name, value in tree.items():
        if isinstance(value, Ratio):
            found[name] = list(value.interval())
        elif isinstance(value, Mapping) and (inner := _intervals(value)):
            found[name] = inner
    return found
