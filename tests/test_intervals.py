"""The interval: against a naive implementation, and on residuals whose coverage is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.prediction.intervals import (
    expected_coverage,
    interval,
    jackknife_half_width,
    positive,
    residuals_of_formulations,
)

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


def test_unbounded_interval_covers_all():
    assert expected_coverage(60, 3) == (60, 60)


def test_clipping_does_not_look_at_what_is_held_out():
    """I has the least k_m; its negative prediction becomes a tenth of the least of the others."""
    table = pd.DataFrame(
        {
            "held_out": ["A", "I"], "image": ["a", "i"], "true_km": [2e-3, 3e-4],
            "predicted_km": [2e-3, -1.0],
        }
    )  # fmt: skip
    residuals = residuals_of_formulations(table)
    assert residuals["I"] == pytest.approx(math.log(3e-4 / 2e-4))


def test_less_than_four_give_no_bound():
    assert jackknife_half_width([0.1, 0.2, 0.3]) == math.inf
    assert jackknife_half_width([0.1, 0.2, 0.3, 0.4]) == 0.4
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


def test_residuals_are_of_the_mean_over_seeds_and_one_a_formulation():
    rows = [
        ("A", "a1", 2e-3, 1e-3),
        ("A", "a1", 2e-3, 3e-3),  # another seed: the mean is right
        ("A", "a2", 2e-3, 4e-3),
        ("A", "a2", 2e-3, 4e-3),  # ln(1/2)
        ("A", "a3", 2e-3, 1e-3),
        ("A", "a3", 2e-3, 0.6e-3),  # ln(2.5)
        ("B", "b", 1e-3, -5e-3),
        ("B", "b", 1e-3, -5e-3),  # less than nothing: a tenth of the least of the others
    ]
    table = pd.DataFrame(rows, columns=["held_out", "image", "true_km", "predicted_km"])
    residuals = residuals_of_formulations(table)
    assert list(residuals.index) == ["A", "B"]
    np.testing.assert_allclose(residuals, [math.log(0.5), math.log(1e-3 / 0.2e-3)])


def test_positive_leaves_what_has_a_logarithm():
    np.testing.assert_allclose(positive([1e-3, -1e-3, 0.0], 5e-4), [1e-3, 5e-5, 5e-5])
