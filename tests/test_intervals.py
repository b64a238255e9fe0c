"""The interval: against a naive implementation, and on residuals whose coverage is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.prediction.intervals import (
    expected_coverage,
    interval,
    jackknife_half_width,
    level_of,
    residuals_of_formulations,
    within_formulations,
)
from fesemlib.predictors.selection import positive

sizes = st.lists(st.floats(-3, 3), min_size=1, max_size=30)


@given(sizes, st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_half_width_is_the_least_that_covers_enough(residuals, level):
    """By its definition: of n + 1 exchangeable residuals a share of `level` is not greater."""
    half = jackknife_half_width(residuals, level)
    needed = level * (len(residuals) + 1)
    candidates = [abs(each) for each in residuals] + [math.inf]
    covering = [each for each in candidates if sum(v <= each for v in candidates) >= needed - 1e-9]
    assert half == min(covering)


def test_nine_residuals_take_the_eighth():
    assert jackknife_half_width([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 9.0]) == 0.8


def test_coverage_of_one_model_varies_as_simulated_ones_do():
    """Exchangeable errors: the interval from nine of them, tried on sixty others, many times."""
    rng = np.random.default_rng(0)
    counts = [
        np.count_nonzero(fresh <= jackknife_half_width(errors))
        for errors, fresh in zip(
            np.abs(rng.normal(size=(4000, 9))), np.abs(rng.normal(size=(4000, 60))), strict=True
        )
    ]
    low, high = expected_coverage(60, 9)
    assert np.mean(np.less(counts, low)) < 0.03
    assert np.mean(np.less_equal(counts, low + 2)) > 0.025
    assert np.mean(np.greater(counts, high)) < 0.03
    assert np.mean(counts) == pytest.approx(0.8 * 60, rel=0.02)


@pytest.mark.parametrize(("number", "level"), [(1, 1 / 2), (3, 3 / 4), (4, 0.8), (9, 0.8)])
def test_less_than_four_allow_no_level_of_80_percent(number, level):
    assert level_of(number) == pytest.approx(level)


@given(sizes)
def test_half_width_is_never_more_than_the_greatest_residual(residuals):
    """Not even of few: their level is as much as they allow."""
    half = jackknife_half_width(residuals)
    assert half in np.abs(residuals)
    assert half == jackknife_half_width(residuals, level_of(len(residuals)))
    if len(residuals) <= 4:
        assert half == max(np.abs(residuals))


def test_few_fresh_ones_may_all_be_held():
    low, high = expected_coverage(60, 3)
    assert 0 < low < 45 < high == 60


def test_less_than_four_give_no_bound_at_80_percent():
    assert jackknife_half_width([0.1, 0.2, 0.3], 0.8) == math.inf
    assert jackknife_half_width([0.1, 0.2, 0.3, 0.4], 0.8) == 0.4
    assert interval(1e-3, math.inf) == (0.0, math.inf)


def test_coverage_is_as_known_for_exchangeable_residuals():
    """Of ten exchangeable numbers the last is among the eight smallest in 8 of 10 draws."""
    draws = np.random.default_rng(1).standard_t(3, size=(20_000, 10))
    covered = [abs(draw[-1]) <= jackknife_half_width(draw[:-1]) for draw in draws]
    assert np.mean(covered) == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / 20_000))


@pytest.mark.parametrize("level", [0, 1, -0.1, 80, math.nan])
def test_level_is_a_rate(level):
    with pytest.raises(ValueError, match="give a rate between 0 and 1"):
        jackknife_half_width([0.1] * 9, level)


def test_no_interval_from_what_is_no_number():
    with pytest.raises(ValueError, match="not a number"):
        jackknife_half_width([0.1, math.nan, 0.2, 0.3])


def test_interval_is_symmetric_in_the_logarithm():
    assert interval(1e-3, math.log(2)) == pytest.approx((0.5e-3, 2e-3))


def test_residual_of_a_formulation_is_one_that_most_of_its_micrographs_do_not_exceed():
    """As many as the interval is to hold: of three and of two all."""
    k_m = np.array([2e-3, 2e-3, 2e-3, 1e-3, 1e-3])
    predicted = np.array([2e-3, 4e-3, 0.8e-3, 0.9e-3, 0.5e-3])
    residuals = residuals_of_formulations(predicted, k_m, np.array(["B", "B", "B", "A", "A"]))
    assert list(residuals.index) == ["B", "A"]  # as they come
    np.testing.assert_allclose(residuals, [math.log(2.5), math.log(2)])


def test_spread_within_formulations_is_pooled():
    names = np.array(["A", "A", "B", "B", "B", "C"])
    logarithms = np.array([0.0, 0.2, 1.0, 1.3, 1.6, 5.0])
    expected = math.sqrt((2 * 0.1**2 + 2 * 0.3**2) / (1 + 2))
    assert within_formulations(np.exp(logarithms), names) == pytest.approx(expected)
    assert math.isnan(within_formulations(np.array([1e-3, 2e-3]), np.array(["A", "B"])))


def test_positive_leaves_what_has_a_logarithm():
    np.testing.assert_allclose(positive([1e-3, -1e-3, 0.0], 5e-4), [1e-3, 5e-5, 5e-5])
