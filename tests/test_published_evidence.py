"""What the paper's numbers imply: against sums by hand, simulation and other distributions."""

from math import erf, exp, factorial, log, sqrt

import numpy as np
import pytest
from scipy import stats

from fesemlib.evaluation.published import table2
from fesemlib.evaluation.published_evidence import (
    chance_of_perfect_model,
    combined_p_value,
    inside_the_others,
    perfect_model,
    published_beside_rules,
)
from fesemlib.formulations import table1

SMALL = list("BDEFG")
SETS = ("original", "augmented")


def test_mean_errors_beside_the_rules_without_images():
    mean = published_beside_rules().mean()
    assert mean["original"] == pytest.approx(0.446, abs=5e-4)
    assert mean["augmented"] == pytest.approx(0.305, abs=5e-4)
    assert mean["median of the others"] == pytest.approx(0.408, abs=5e-4)
    assert mean["mean of the others"] == pytest.approx(0.501, abs=5e-4)


def test_on_a_c_h_and_i_the_original_network_errs_more_than_the_median():
    rules = published_beside_rules()
    worse = rules.index[rules["original"] > rules["median of the others"]]
    assert list(worse) == ["A", "C", "H", "I"]


def test_only_the_ends_of_the_range_are_extrapolated():
    assert inside_the_others() == list("BCDEFGH")
    k_m = table1()["k_m"]
    assert k_m.idxmax() == "A"
    assert k_m.idxmin() == "I"


@pytest.mark.parametrize("thermocouples", [3, 6, 12])
def test_chance_of_each_formulation(thermocouples):
    """P(|z| < x) = erf(x/√2), for a standard normal z."""
    table = perfect_model(thermocouples)
    for name, row in table1().iterrows():
        scatter = row["std_percent"] / 100 / sqrt(thermocouples)
        assert table.loc[name, "scatter"] == pytest.approx(scatter)
        for training_set in SETS:
            x = table2().loc[name, training_set] / scatter
            assert table.loc[name, f"chance {training_set}"] == pytest.approx(erf(x / sqrt(2)))


def test_chance_is_the_share_of_averages_that_a_perfect_model_meets():
    """Six readings that scatter as Table 1 says, averaged; the model predicts the true k_m."""
    rng = np.random.default_rng(0)
    spread = table1().loc["D", "std_percent"] / 100
    averages = rng.normal(1, spread, (200_000, 6)).mean(axis=1)
    for training_set in SETS:
        met = np.abs(1 - averages) / averages < table2().loc["D", training_set]
        chance = perfect_model(6).loc["D", f"chance {training_set}"]
        assert met.mean() == pytest.approx(chance, rel=0.05)


@pytest.mark.parametrize(("training_set", "magnitude"), [("original", 1e-7), ("augmented", 1e-9)])
def test_chance_of_the_small_errors_together(training_set, magnitude):
    chance, corrected = chance_of_perfect_model(training_set, SMALL, 6)
    assert magnitude / 2 < chance < 2 * magnitude
    assert corrected == pytest.approx(126 * chance)
    table = perfect_model(6)[f"chance {training_set}"]
    assert chance == pytest.approx(np.prod([table[name] for name in SMALL]))


def test_a_correction_does_not_exceed_one():
    assert chance_of_perfect_model("original", ["A", "C", "I"], 6) == pytest.approx((1, 1))


def test_with_more_thermocouples_a_perfect_model_errs_less():
    chances = [chance_of_perfect_model("augmented", SMALL, n)[0] for n in (1, 3, 6, 12)]
    assert chances == sorted(chances)


@pytest.mark.parametrize("training_set", SETS)
def test_students_distribution_makes_the_chances_smaller_still(training_set):
    """Table 1's scatter is estimated from the readings themselves: t with five degrees."""
    ratio = (table2()[training_set] / perfect_model(6)["scatter"]).loc[SMALL]
    exact = np.prod(1 - 2 * stats.t.sf(ratio, 5))
    chance, _ = chance_of_perfect_model(training_set, SMALL, 6)
    assert 0.6 * chance < exact < chance


@pytest.mark.parametrize("training_set", SETS)
def test_combined_p_value_is_that_of_a_product_of_uniform_numbers(training_set):
    """P(∏ u ≤ c) = c Σ (−ln c)^k/k! for k below their number."""
    chance, _ = chance_of_perfect_model(training_set, list("ABCDEFGHI"), 6)
    expected = chance * sum((-log(chance)) ** k / factorial(k) for k in range(9))
    p_value = combined_p_value(training_set, 6)
    assert p_value == pytest.approx(expected)
    assert p_value > 1000 * chance  # the event laid down after looking is far less likely


def test_combined_p_value_is_uniform_for_a_perfect_model():
    """Simulated averages in place of Table 2; for the product itself it is not."""
    rng = np.random.default_rng(0)
    chances = stats.halfnorm.cdf(np.abs(rng.normal(size=(2000, 5))))
    combined = [stats.combine_pvalues(row, "fisher").pvalue for row in chances]
    assert stats.kstest(combined, "uniform").pvalue > 0.01
    products = chances.prod(axis=1)
    assert np.median(products) == pytest.approx(exp(-stats.gamma.median(5)), rel=0.15)
