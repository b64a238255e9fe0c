"""The paper's numbers and the predictors without images, against sums done by hand."""

import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.evaluation.baselines import mean_of_others, median_of_others
from fesemlib.evaluation.published import candidates, concerns, table2
from fesemlib.formulations import table1


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
