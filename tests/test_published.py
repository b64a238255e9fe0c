"""The paper's numbers and what they imply: sums by hand, simulation, other distributions."""

import statistics
from math import erf, exp, factorial, log, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fesemlib.evaluation.baselines import mean_of_others, median_of_others
from fesemlib.evaluation.published import (
    candidates,
    chances_of_perfect_model,
    concerns,
    perfect_model,
    published_beside_rules,
    table2,
)
from fesemlib.formulations import table1

SMALL = list("BDEFG")
SETS = ("original", "augmented")


@pytest.mark.parametrize(("training_set", "mean"), [("original", 0.446), ("augmented", 0.305)])
def test_mean_of_table_2_is_the_papers(training_set, mean):
    assert table2()[training_set].mean() == pytest.approx(mean, abs=5e-4)


def test_tables_1_and_2_have_the_same_formulations():
    assert list(table2().index) == list(table1().index) == list("ABCDEFGHI")


@pytest.mark.parametrize("training_set", ["original", "augmented"])
def test_candidates_have_the_published_error(training_set):
    allowed = candidates(training_set)
    for name, error in table2()[training_set].items():
        true, low, high = allowed.loc[name, ["true_km", "low_km", "high_km"]]
        assert high > true
        assert abs(high - true) / true == pytest.approx(error)
        if error < 1:
            assert 0 < low < true
            assert abs(low - true) / true == pytest.approx(error)
        else:  # the smaller one would be negative
            assert np.isnan(low)


def test_papers_numbers_concern_the_papers_formulations():
    paper = table1()
    assert concerns(paper)
    assert concerns(paper.iloc[::-1])
    assert not concerns(paper.iloc[:8])  # each was predicted from eight others
    assert concerns(paper.assign(k_m=paper["k_m"] * 1.005))
    assert not concerns(paper.assign(k_m=paper["k_m"] * 1.02))
    assert not concerns(paper.rename(index={"I": "J"}))
    assert not concerns(paper.set_index(paper.index[::-1]))


@pytest.mark.parametrize(("rule", "error"), [(median_of_others, 0.408), (mean_of_others, 0.501)])
def test_errors_without_images_on_table_1(rule, error):
    assert rule(table1()["k_m"])["relative_error"].mean() == pytest.approx(error, abs=5e-4)


@given(st.lists(st.floats(1e-5, 1e-1), min_size=2, max_size=9))
def test_rules_see_the_others_only(values):
    names = [f"formulation {number}" for number in range(len(values))]
    k_m = pd.Series(values, index=names)
    for rule, average in (
        (median_of_others, statistics.median),
        (mean_of_others, statistics.fmean),
    ):
        table = rule(k_m)
        for number, name in enumerate(names):
            expected = average(values[:number] + values[number + 1 :])
            assert table["true_km"][name] == values[number]
            assert table["predicted_km"][name] == pytest.approx(expected)
            error = abs(expected / values[number] - 1)
            assert table["relative_error"][name] == pytest.approx(error, abs=1e-9)


# ------------------------------------------------------------- what the numbers imply


def test_mean_errors_beside_the_rules_without_images():
    mean = published_beside_rules().mean()
    assert mean["original"] == pytest.approx(0.446, abs=5e-4)
    assert mean["augmented"] == pytest.approx(0.305, abs=5e-4)
    assert mean["median of the others"] == pytest.approx(0.408, abs=5e-4)
    assert mean["mean of the others"] == pytest.approx(0.501, abs=5e-4)


def test_words_about_the_large_errors_hold():
    """Chapter 07 names the formulations in its prose."""
    rules = published_beside_rules()
    worse = rules["original"] > rules["median of the others"]
    assert list(rules.index[worse]) == list("ACHI")
    k_m = table1()["k_m"]
    inside = [name for name in k_m.index if k_m.min() < k_m[name] < k_m.max()]
    assert inside == list("BCDEFGH")
    beyond = rules.loc[inside] > 0.05  # the abstract's claim
    assert list(beyond.index[beyond["original"]]) == list("BCH")
    assert list(beyond.index[beyond["augmented"]]) == ["C"]


def test_words_about_the_small_errors_hold():
    """Chapters 05 and 07 say what is picked, and that chance hardly explains it."""
    assert sorted(table2()["augmented"].nsmallest(5).index) == SMALL
    p_values = chances_of_perfect_model([6], SMALL)["p, all nine"]
    assert (p_values < 0.05).all()
    tiny = table2()["augmented"][table2()["augmented"] < 1e-3]
    assert len(tiny) >= 3  # "several", and far below the scatter
    assert (tiny < table1()["std_percent"][tiny.index] / 1000).all()


def test_words_about_the_signs_hold():
    """Chapter 04 says that all but I have two candidates, in either set."""
    for training_set in SETS:
        possible = candidates(training_set)
        assert list(possible.index[possible["low_km"].isna()]) == ["I"]


@pytest.mark.parametrize("thermocouples", [3, 6, 12])
def test_chance_of_each_formulation(thermocouples):
    """P(|z| < x) = erf(x/√2), for a standard normal z."""
    table = perfect_model(thermocouples)
    for name, row in table1().iterrows():
        scatter = row["std_percent"] / 100 / sqrt(thermocouples)
        assert table.loc[name, "scatter"] == pytest.approx(scatter)
        for training_set in SETS:
            x = table2().loc[name, training_set] / scatter
            assert table.loc[name, f"chance, {training_set}"] == pytest.approx(erf(x / sqrt(2)))


def test_chance_is_the_share_of_averages_that_a_perfect_model_meets():
    """Six readings that scatter as Table 1 says, averaged; the model predicts the true k_m."""
    rng = np.random.default_rng(0)
    spread = table1().loc["D", "std_percent"] / 100
    averages = rng.normal(1, spread, (200_000, 6)).mean(axis=1)
    for training_set in SETS:
        met = np.abs(1 - averages) / averages < table2().loc["D", training_set]
        chance = perfect_model(6).loc["D", f"chance, {training_set}"]
        assert met.mean() == pytest.approx(chance, rel=0.05)


def chance(training_set: str, formulations: list[str], thermocouples: int) -> float:
    table = chances_of_perfect_model([thermocouples], formulations)
    return float(table.loc[(training_set, thermocouples), "chance"])


@pytest.mark.parametrize(("training_set", "magnitude"), [("original", 1e-7), ("augmented", 1e-9)])
def test_chance_of_the_small_errors_together(training_set, magnitude):
    found = chances_of_perfect_model([3, 6], SMALL).loc[(training_set, 6)]
    assert magnitude / 2 < found["chance"] < 2 * magnitude
    assert found["corrected"] == pytest.approx(126 * found["chance"])
    table = perfect_model(6)[f"chance, {training_set}"]
    assert found["chance"] == pytest.approx(np.prod([table[name] for name in SMALL]))


def test_a_correction_does_not_exceed_one():
    found = chances_of_perfect_model([6], list("ACI")).loc[("original", 6)]
    assert list(found[["chance", "corrected"]]) == pytest.approx([1, 1])


def test_with_more_thermocouples_a_perfect_model_errs_less():
    chances = chances_of_perfect_model([1, 3, 6, 12], SMALL).loc["augmented", "chance"]
    assert chances.is_monotonic_increasing


@pytest.mark.parametrize("training_set", SETS)
def test_students_distribution_makes_the_chances_smaller_still(training_set):
    """Table 1's scatter is estimated from the readings themselves: t with five degrees."""
    ratio = (table2()[training_set] / perfect_model(6)["scatter"]).loc[SMALL]
    exact = np.prod(1 - 2 * stats.t.sf(ratio, 5))
    assert 0.6 * chance(training_set, SMALL, 6) < exact < chance(training_set, SMALL, 6)


@pytest.mark.parametrize("training_set", SETS)
def test_combined_p_value_is_that_of_a_product_of_uniform_numbers(training_set):
    """P(∏ u ≤ c) = c Σ (−ln c)^k/k! for k below their number."""
    found = chances_of_perfect_model([6], list("ABCDEFGHI")).loc[(training_set, 6)]
    product = found["chance"]
    expected = product * sum((-log(product)) ** k / factorial(k) for k in range(9))
    assert found["p, all nine"] == pytest.approx(expected)
    assert expected > 1000 * product  # the event laid down after looking is far less likely


def test_combined_p_value_is_uniform_for_a_perfect_model():
    """Simulated averages in place of Table 2; for the product itself it is not."""
    rng = np.random.default_rng(0)
    chances = stats.halfnorm.cdf(np.abs(rng.normal(size=(2000, 5))))
    combined = [stats.combine_pvalues(row, "fisher").pvalue for row in chances]
    assert stats.kstest(combined, "uniform").pvalue > 0.01
    products = chances.prod(axis=1)
    assert np.median(products) == pytest.approx(exp(-stats.gamma.median(5)), rel=0.15)
