"""Intervals, paired comparisons and p-values: against closed forms and other programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import permutation_test_score

from fesemlib.evaluation.statistics import (
    compare_pairs,
    mean_interval,
    permutation_p_value,
)

ERRORS = np.array([0.6, 0.13, 0.54, 0.01, 0.02, 0.001, 0.003, 0.07, 2.67])


# ------------------------------------------------------------------------------------ intervals


def test_interval_of_resampled_means_has_their_standard_error():
    """For many values it is mean ± 1.96 standard errors (central limit theorem)."""
    values = np.random.default_rng(0).exponential(size=2000)
    interval = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_interval_of_few_values_is_that_of_all_their_resamples():
    """Of two values, the ends have a probability of a quarter; of five, of 1/3125 each."""
    pair = mean_interval([1.0, 2.0])
    assert (pair.low, pair.high) == (1.0, 2.0)
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    every = np.array(np.meshgrid(*[values] * 5)).reshape(5, -1).mean(axis=0)
    found = mean_interval(values)
    assert (found.low, found.high) == pytest.approx(np.percentile(every, [2.5, 97.5]), rel=0.05)


def test_interval_of_nine_normal_values_covers_nine_times_in_ten():
    """As the notes say: by Student's distribution it is P(|t₈| < 1.96 √(8/9)) = 0.90."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        interval = mean_interval(rng.normal(1, 0.3, 9))
        hits += interval.low <= 1 <= interval.high
    expected = 1 - 2 * stats.t.sf(1.96 * np.sqrt(8 / 9), 8)
    assert expected == pytest.approx(0.90, abs=0.005)
    assert hits / 300 == pytest.approx(expected, abs=3 * np.sqrt(0.09 / 300))


def test_interval_is_the_same_whenever_it_is_made():
    assert mean_interval(ERRORS) == mean_interval(ERRORS)


@pytest.mark.parametrize(
    ("errors", "mean"),
    [
        ([], np.nan),
        ([0.3], 0.3),
        ([0.3, np.inf], np.inf),
        ([np.inf, -np.inf], np.nan),
        ([0.3, np.nan], np.nan),
    ],
)
def test_where_there_is_no_interval_it_has_no_limits(errors, mean):
    interval = mean_interval(errors)
    assert interval.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([interval.low, interval.high]).all()


def test_equal_errors_have_an_interval_without_width():
    interval = mean_interval([0.25] * 9)
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)


# ------------------------------------------------------------------------------------ pairs


def signed_rank_p_value(differences: np.ndarray) -> float:
    """Two-sided, by all choices of signs: the definition of the exact test, without ties."""
    ranks = stats.rankdata(np.abs(differences))
    signs = np.array(np.meshgrid(*[[0, 1]] * len(ranks))).reshape(len(ranks), -1)
    sums = ranks @ signs
    observed = ranks[differences > 0].sum()
    centre = ranks.sum() / 2
    return float((np.abs(sums - centre) >= abs(observed - centre)).mean())


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=9, unique_by=abs).filter(
        lambda values: 0 not in values
    )
)
def test_test_is_that_of_all_choices_of_signs(values):
    differences = np.array(values, dtype=float)
    compared = compare_pairs(np.zeros(len(values)), differences)
    assert compared.p_value == pytest.approx(signed_rank_p_value(differences))
    assert compared.least_p_value == pytest.approx(2.0 ** (1 - len(values)))
    assert compared.better == sum(value < 0 for value in values)
    assert compared.number == len(values)


def test_difference_is_that_of_second_minus_first():
    compared = compare_pairs(ERRORS, ERRORS - 0.01)
    assert compared.difference == pytest.approx(-0.01)
    assert compared.better == 9


def test_equal_errors_do_not_differ():
    compared = compare_pairs(ERRORS, ERRORS)
    assert (compared.p_value, compared.better, compared.difference) == (1.0, 0, 0.0)


def test_infinite_errors_are_compared_by_rank():
    lost = ERRORS.copy()
    lost[0] = np.inf
    both = compare_pairs(lost, lost * 2)
    assert both.better == 0
    assert both.p_value == pytest.approx(compare_pairs(ERRORS[1:], 2 * ERRORS[1:]).p_value)
    one = compare_pairs(lost, ERRORS)
    assert (one.better, one.difference) == (1, -np.inf)
    assert one.p_value == 1  # a single difference


def test_p_values_of_equals_are_distributed_as_those_of_symmetric_differences():
    """As of the plain test on differences that are symmetric about zero."""
    rng = np.random.default_rng(0)
    p_values = [stats.wilcoxon(rng.normal(size=9)).pvalue for _ in range(500)]
    ours = [compare_pairs(*rng.exponential(size=(2, 9))).p_value for _ in range(60)]
    assert stats.ks_2samp(ours, p_values).pvalue > 0.01


# ------------------------------------------------------------------------------------ shuffles


def test_p_value_counts_the_true_order_itself():
    assert permutation_p_value(0.1, np.array([0.2, 0.3, 0.4, 0.5])) == 1 / 5
    assert permutation_p_value(0.3, np.array([0.2, 0.3, 0.4, 0.5])) == 3 / 5
    assert permutation_p_value(0.1, []) == 1


def test_an_error_that_is_no_number_never_counts_for_the_true_order():
    assert permutation_p_value(np.nan, [0.2, 0.3]) == 1
    assert permutation_p_value(np.inf, [0.2, np.inf]) == 1
    assert permutation_p_value(0.1, [0.2, np.inf, np.nan]) == 2 / 4


def test_p_value_equals_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20, 3))
    target = features[:, 0] + rng.normal(size=20)
    score, scores, p_value = permutation_test_score(
        Ridge(), features, target, n_permutations=60, random_state=0, cv=5, scoring="r2"
    )
    assert permutation_p_value(-score, -scores) == pytest.approx(p_value)


def test_p_value_of_exchangeable_errors_is_uniform():
    rng = np.random.default_rng(0)
    errors = rng.exponential(size=(4000, 20))
    p_values = [permutation_p_value(row[0], row[1:]) for row in errors]
    counts = np.bincount(np.rint(20 * np.array(p_values)).astype(int), minlength=21)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.01
