"""Metrics on made-up outcomes, where what they must say is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nextstate.evaluation import agreement, chaos, flips, uncertainty
from nextstate.evaluation import counterfactual as cf
from nextstate.evaluation.bootstrap import Ratio, mean
from nextstate.evaluation.drift import drift, valid_seconds
from nextstate.evaluation.listening import shuffle_gap

finite = st.floats(-10, 10).map(lambda x: round(x, 3))
outcomes = arrays(np.float64, (4, 5, 3), elements=finite).filter(lambda y: cf.centred(y).std() > 0.1)
some = settings(max_examples=30, deadline=None)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def bend(true: np.ndarray, gain: float) -> np.ndarray:
    middle = true.mean(axis=1, keepdims=True)
    return middle + gain * (true - middle)


@some
@given(outcomes, st.floats(-2, 2))
def test_effects_of_the_wrong_size(true: np.ndarray, gain: float) -> None:
    assert cf.nce(bend(true, gain), true).value == pytest.approx((1 - gain) ** 2, abs=1e-9)
    assert cf.slope(bend(true, gain), true).value == pytest.approx(gain, abs=1e-9)


def test_reference_points() -> None:
    true = normal(6, 8, 4)
    points = [cf.nce(bend(true, gain), true).value for gain in (1, 0.8, 0, -1)]
    assert points == pytest.approx([0, 0.04, 1, 4])


def test_shuffled_futures_give_two_on_average() -> None:
    true = normal(5, 4, 3)
    values = [cf.nce(true[:, order], true).value for order in itertools.permutations(range(4))]
    assert np.mean(values) == pytest.approx(2)


@some
@given(outcomes, st.permutations(range(4)), st.floats(0.1, 10), arrays(np.float64, (4, 1, 3), elements=finite))
def test_nothing_depends_on_order_unit_or_what_all_branches_share(
    true: np.ndarray, order: list[int], scale: float, shared: np.ndarray
) -> None:
    imagined = true + 0.3 * normal(*true.shape)
    for metric in (cf.nce, cf.slope):
        value = metric(imagined, true).value
        assert metric(imagined[order], true[order]).value == pytest.approx(value)
        assert metric(scale * imagined, scale * true).value == pytest.approx(value)
        assert metric(imagined + shared, true).value == pytest.approx(value, abs=1e-6)


def test_sums_over_pairs_are_what_the_definition_says() -> None:
    true, imagined = normal(3, 4, 2), normal(3, 4, 2, seed=1)
    ours, theirs = cf.effects(imagined), cf.effects(true)
    assert cf.nce(imagined, true).value == pytest.approx(((ours - theirs) ** 2).sum() / (theirs**2).sum())
    assert cf.slope(imagined, true).value == pytest.approx((ours * theirs).sum() / (theirs**2).sum())


def test_direction_and_sign_see_no_size() -> None:
    true = normal(6, 5, 3)
    for gain, cosine, right in ((0.3, 1, 1), (0, 0, 0.5), (-2, -1, 0)):
        assert cf.direction_cosine(bend(true, gain), true).value == pytest.approx(cosine)
        assert cf.sign_accuracy(bend(true, gain), true).value == pytest.approx(right)


def test_specificity_counts_effects_where_there_are_none() -> None:
    true = np.zeros((2, 3, 2))
    true[..., 0] = np.arange(3)
    imagined = true.copy()
    imagined[:, 0, 1] = 0.6
    assert cf.specificity(true, true).value == 0
    assert cf.specificity(imagined, true).value == pytest.approx(0.4)


def test_retrieval_and_ranking() -> None:
    true = normal(40, 8, 6)
    blind = bend(true, 0)
    assert cf.retrieval(true, true).value == 1
    assert cf.retrieval(blind, true).value == pytest.approx(1 / 8)
    assert [metric(true, true).value for metric in (cf.pairwise_accuracy, cf.kendall_tau, cf.regret)] == [1, 1, 0]
    found = [metric(blind, true).value for metric in (cf.pairwise_accuracy, cf.kendall_tau, cf.regret)]
    assert found == pytest.approx([0.5, 0, 1])


def test_alternatives_that_end_alike_may_be_mistaken_for_each_other() -> None:
    true = normal(3, 4, 2)
    true[:, 1] = true[:, 0]
    assert cf.retrieval(true, true).value == 1


def test_flips_are_balanced() -> None:
    happened = np.random.default_rng(0).random((30, 8)) < 0.1
    assert flips.flip_accuracy(happened.astype(float), happened).value == 1
    assert flips.flip_accuracy(1.0 - happened, happened).value == 0
    for always in (0.0, 0.5, 1.0):
        assert flips.flip_accuracy(np.full(happened.shape, always), happened).value == 0.5


def test_calibration_prefers_neither_boldness_nor_timidity() -> None:
    rng = np.random.default_rng(0)
    right = rng.uniform(0.02, 0.98, (50, 80))
    happened = rng.random(right.shape) < right
    logit = np.log(right / (1 - right))
    errors = {}
    for sharpness in (0.4, 1.0, 2.5):
        said = 1 / (1 + np.exp(-sharpness * logit))
        errors[sharpness] = flips.expected_calibration_error(said, happened), flips.brier(said, happened).value
    assert errors[1.0][0] < 0.04 < min(errors[0.4][0], errors[2.5][0])
    assert errors[1.0][1] < min(errors[0.4][1], errors[2.5][1])


def test_reliability_of_a_constant_is_one_bin() -> None:
    happened = np.arange(10) < 3
    assert flips.reliability(np.full(10, 0.3), happened) == [(pytest.approx(0.3), pytest.approx(0.3), 10)]


def test_time_of_events() -> None:
    events = np.zeros((1, 3, 10), bool)
    events[0, 0, 4:], events[0, 1, 2:] = True, True
    happened = np.zeros((1, 3, 10))
    happened[0, 0, 6:], happened[0, 2, 1:] = 0.9, 0.9
    assert flips.time_error(happened, events, np.array([False]), hz=10).value == pytest.approx(0.2)
    assert math.isnan(flips.time_error(happened, events, np.array([True]), hz=10).value)


@pytest.mark.parametrize("count", [4, 8, 30])
def test_intervals_of_the_true_law_cover_as_often_as_they_say(count: int) -> None:
    centre = normal(200, 10, 5)
    true = centre + normal(200, 10, 5, seed=1)
    noise = normal(count, 200, 10, 5, seed=2)
    everywhere, reading = np.ones((1, 1, 1), bool), uncertainty.ReadingError.none(5)
    for level in uncertainty.LEVELS:
        right, timid, bold = (
            uncertainty.coverage(centre + spread * noise, true, level, reading, everywhere).value
            for spread in (1.0, 2.0, 0.5)
        )
        assert right == pytest.approx(level, abs=0.02)
        assert bold < right < timid
    ratio = [uncertainty.spread_skill(centre + s * noise, true, reading, everywhere).value for s in (0.5, 1.0, 2.0)]
    assert ratio[0] < 0.75 and ratio[1] == pytest.approx(1, abs=0.03) and ratio[2] > 1.3


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_crps_is_best_for_the_true_law_however_few_the_samples(spread: float) -> None:
    true = normal(4000, 1, 1)
    for count in (2, 8):
        noise = normal(count, 4000, 1, 1, seed=3)
        right, wrong = (uncertainty.fair_crps(s * noise, true).value for s in (1.0, spread))
        assert right < wrong
        # The CRPS of a standard normal law against itself.
        assert right == pytest.approx(1 / math.sqrt(math.pi), abs=0.03)


def test_a_coarse_reading_widens_intervals_by_as_much_as_it_errs() -> None:
    everywhere = np.ones((1, 1, 1), bool)
    # Mostly near and now and then far, as readings of pictures are.
    missed = np.random.default_rng(0).standard_t(2, (4000, 3))
    reading = uncertainty.ReadingError.of(missed, everywhere[0])
    true, samples = np.random.default_rng(1).standard_t(2, (1000, 2, 3)), np.zeros((8, 1000, 2, 3))
    for level in uncertainty.LEVELS:
        covered = uncertainty.coverage(samples, true, level, reading, everywhere).value
        assert covered == pytest.approx(level, abs=0.03)
    known = uncertainty.ReadingError.none(3)
    assert uncertainty.coverage(samples, true, 0.8, known, everywhere).value < 0.05


def test_student_quantiles() -> None:
    assert uncertainty.student_quantile(0.9, 7) == pytest.approx(1.4149, abs=1e-3)
    assert uncertainty.student_quantile(0.975, 7) == pytest.approx(2.3646, abs=1e-3)
    assert uncertainty.student_quantile(0.975, 10_000) == pytest.approx(1.960, abs=2e-3)


def test_listening() -> None:
    true = normal(10, 8, 4)
    assert shuffle_gap(true, true).value == pytest.approx(1)
    assert shuffle_gap(bend(true, 0), true).value == pytest.approx(0)
    assert shuffle_gap(bend(true, -1), true).value < 0


def test_drift_and_validity() -> None:
    true = normal(5, 3, 10, 4)
    assert drift(true[:, :, 3], true[:, :, 3]).value == 0
    assert drift(np.zeros((5, 3, 4)), true[:, :, 3]).value == pytest.approx(1)
    imagined = true.copy()
    imagined[:, :, 6:] += 1
    assert valid_seconds(imagined, true, hz=10).value == pytest.approx(0.6)


def test_above_the_chaos_floor() -> None:
    true = normal(6, 8, 4)
    error = cf.nce(bend(true, 0.5), true)
    assert chaos.above_floor(error, 0.25).value == pytest.approx(0)
    assert chaos.above_floor(cf.nce(bend(true, 0), true), 0.25).value == pytest.approx(1)
    assert math.isnan(chaos.above_floor(error, 0.6).value)
    assert chaos.chaos_floor(true, true) == 0


def test_touch_that_comes_late_has_a_lag() -> None:
    seen = np.random.default_rng(0).random((4, 3, 20)) < 0.2
    felt = np.roll(seen, 2, axis=2)
    felt[:, :, :2] = False
    assert agreement.lag(felt, seen, hz=10) == pytest.approx(0.2)
    assert agreement.lag(seen, seen, hz=10) == 0
    assert agreement.f1(seen, seen).value == 1
    assert math.isnan(agreement.f1(seen & False, seen & False).value)


def test_intervals_hold_the_value_and_narrow_with_snapshots() -> None:
    widths = []
    for count in (20, 2000):
        values = normal(count) + 3
        ratio = mean(values)
        low, high = ratio.interval()
        assert low < ratio.value < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_nothing_to_measure_is_not_a_number() -> None:
    nothing = Ratio(np.zeros(4), np.zeros(4))
    assert math.isnan(nothing.value) and math.isnan(nothing.interval()[0])
