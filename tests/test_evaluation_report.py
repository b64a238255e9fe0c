"""Tables of the chapter on the numbers, for every kind of outcome."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fesemlib.evaluation.controls import control_summary
from fesemlib.evaluation.epochs import SELECTIONS
from fesemlib.evaluation.published import table2
from fesemlib.evaluation.published_evidence import published_beside_rules
from fesemlib.evaluation.statistics import compare_pairs
from fesemlib.pages.tables import evaluation as answers


def controls(errors: dict[str, list[float]]) -> pd.DataFrame:
    """Errors of each control on the formulations 1, 2, …"""
    rows = [
        (name, str(number), error)
        for name, values in errors.items()
        for number, error in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["control", "held_out", "relative_error"])


def predictions(
    errors: dict[str, list[float]], column: str = "seed", signs: int = 1
) -> pd.DataFrame:
    """Errors of each formulation over the seeds, or over the draws."""
    rows = [
        (name, number, 1e-3, 1e-3 * (1 + signs * error), error)
        for name, values in errors.items()
        for number, error in enumerate(values)
    ]
    columns = ["held_out", column, "true_km", "predicted_km", "relative_error"]
    return pd.DataFrame(rows, columns=columns)


# -------------------------------------------------------------------------- published numbers


def test_published_answer_names_where_the_network_errs_more():
    answer = answers.published_answer(published_beside_rules())
    assert "44.6 % (original set) and 30.5 % (augmented set)" in answer
    assert "40.8 %" in answer
    assert "more than that median: A, C, H and I. On the pairs" in answer
    paired = [
        stats.wilcoxon(table2()["augmented"] - other).pvalue
        for other in (table2()["original"], published_beside_rules()["median of the others"])
    ]
    assert f"p = {paired[0]:.2g} for the augmented set against the original one" in answer
    assert f"p = {paired[1]:.2g} and" in answer
    better = published_beside_rules().assign(original=0.0)
    assert ": none. On the pairs" in answers.published_answer(better)


def test_small_errors_are_likely_or_not_by_the_p_value():
    answer = answers.small_errors_answer(list("BDEFG"), 6)
    assert "1·10⁻⁷ (original set) and 1·10⁻⁹ (augmented set), or, times the" in answer
    both = (
        "0.024 for the original set and 1.3·10⁻³ for the augmented set, both of which chance hardly"
    )
    assert both in answer
    one = answers.small_errors_answer(list("BDEFG"), 20)
    assert "for the original set, which chance may explain, and" in one
    assert one.endswith("for the augmented set, which chance hardly explains.")
    none = answers.small_errors_answer(list("BDEFG"), 100)
    assert none.endswith("for the augmented set, both of which chance may explain.")


def test_claim_is_told_beside_the_errors_that_exceed_it():
    rules = published_beside_rules()
    told = answers.claim_answer(rules)
    errors = table2()["original"].drop(["A", "I"])  # the ends of the range
    assert all(f"{name} (" in told for name in errors.index[errors > 0.05])
    assert "D (" not in told


def test_published_tables_show_what_was_computed():
    rules = answers.show_rules(published_beside_rules()).to_html()
    for number in ("44.6", "30.5", "40.8", "50.1", "267", "0.00378"):
        assert f">{number}<" in rules
    shown = answers.show_perfect_model(6).to_html()
    assert "6 thermocouples" in shown
    assert ">0.939<" in shown  # scatter of A's average: 2.3 % over √6
    chances = answers.show_chances([3, 6], list("BDEFG")).data
    assert list(chances.loc["original set, 6 thermocouples"]) == [
        "1.3·10⁻⁷", "1.7·10⁻⁵", "0.024"
    ]  # fmt: skip
    assert chances.loc["augmented set, 6 thermocouples", "chance"] == "9.9·10⁻¹⁰"
    assert list(answers.show_chances([3], list("ACI")).data["chance"]) == ["1", "1"]
    assert len(chances) == 4


# ----------------------------------------------------------------------------------- controls


def test_summary_puts_controls_that_predict_less_behind():
    table = controls(
        {
            "worse": [0.5, 0.5, 0.8],
            "partial": [0.1, np.nan, 0.1],
            "better": [0.1, 0.2, 0.6],
            "none": [np.nan] * 3,
            "lost": [0.1, np.inf, 0.1],
        }
    )
    summary = control_summary(table)
    assert list(summary.index) == ["better", "worse", "lost", "partial"]
    assert summary["mean"].to_list() == pytest.approx([0.3, 0.6, np.inf, 0.1])
    assert summary["mean without the worst"].to_list() == pytest.approx([0.15, 0.5, 0.1, 0.1])
    assert summary["formulations"].to_list() == [3, 3, 3, 2]
    shown = answers.show_controls(summary, 3).data
    assert shown.loc["lost", "mean"] == "—"
    assert shown.loc["partial", "predicted"] == "2 of 3"


def test_of_a_network_the_median_over_its_seeds_stands_beside_controls_without_any():
    """On the way, a mean is taken within each seed: 0.6, 0.2 and 0.4."""
    network = predictions({"1": [1.0, 0.3, 0.2], "2": [0.2, 0.1, 0.6]}).assign(control="net")
    table = pd.concat([controls({"rule": [0.5, 0.5]}), network])
    means = control_summary(table)["mean"]
    assert means.to_dict() == pytest.approx({"net": 0.4, "rule": 0.5})


def test_logarithms_stand_where_there_are_signs_only():
    half = predictions({"1": [0.5], "2": [0.5]}, signs=-1).assign(control="half")
    negative = predictions({"1": [0.5], "2": [1.5]}, signs=-1).assign(control="negative")
    table = pd.concat([half, negative, controls({"unsigned": [0.5, 0.5]})])
    shown = answers.show_controls(control_summary(table), 2).data["mean |ln|"]
    assert shown.to_dict() == {"half": "0.693", "unsigned": "—", "negative": "—"}


# ------------------------------------------------------------------------------- permutations


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ([0.1, *[0.5] * 99], ["10.0", "50.0", "0 of 99", "0.01"]),
        ([0.5, *[0.4] * 50, *[0.6] * 49], ["50.0", "40.0", "50 of 99", "0.51"]),
        ([0.1, 0.5, np.inf, np.nan], ["10.0", "—", "0 of 3", "0.25"]),
        ([np.inf, 0.5, np.inf], ["—", "—", "2 of 2", "1"]),
        ([np.nan, 0.5], ["—", "50.0", "1 of 1", "1"]),
    ],
)
def test_shuffles_that_do_as_well_are_counted(errors, shown):
    orders = pd.DataFrame({"mean": errors, "mean |ln|": errors})
    table = answers.show_permutations(orders).data
    assert table.loc["mean"].to_list() == shown
    assert table.loc["mean |ln|"].to_list()[2:] == shown[2:]


# ------------------------------------------------------------------------------------- spread


def test_spread_tells_seeds_from_draws():
    """Two draws that differ by 20 points, of two seeds that differ by 10."""
    parts = [
        predictions({"A": [low, low + 0.1], "B": [low, low + 0.1]}).assign(draw=draw)
        for draw, low in enumerate([0.1, 0.3])
    ]
    shown = answers.show_spread({"original": pd.concat(parts)}).data.loc["original set"]
    assert shown["mean"] == "25.0 (10.0–40.0)"
    # 0.1 / √2; and 0.2 / √2, of which the former is taken off in squares.
    assert (shown["between seeds"], shown["between draws"]) == ("7.07", "12.2")


@pytest.mark.parametrize(("seeds", "between"), [(1, "—"), (2, "14.1")])
def test_own_micrographs_have_no_draws(seeds, between):
    shown = answers.show_spread({"augmented": predictions({"A": [0.2, 0.4][:seeds]})}).data
    assert list(shown.loc["augmented set", ["between seeds", "between draws"]]) == [between, "—"]


def test_difference_is_that_of_second_minus_first():
    shown = answers.show_difference(compare_pairs([0.5] * 3, [0.25, 0.25, 0.75])).data.iloc[0]
    assert shown["mean difference"] == "−8.33"
    assert shown["errs less on"] == "2 of 3"


@pytest.mark.parametrize(("first", "second"), [(np.inf, 0.5), (0.5, np.inf), (np.inf, np.inf)])
def test_difference_of_diverged_trainings_is_a_dash(first, second):
    shown = answers.show_difference(compare_pairs([first, 0.5], [second, 0.25])).data.iloc[0]
    assert ("—" in shown["mean difference"]) == (first != second)
    assert not {"nan", "inf"} & set(" ".join(shown).split())


# ---------------------------------------------------------------------------------- selection


def selected(errors: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """By selection and formulation, over the seeds."""
    return pd.concat(
        predictions(by_name).assign(selection=selection) for selection, by_name in errors.items()
    )


CHOICES = {
    "last": {"b 2": [0.5, 0.3, 0.4], "b 1": [0.005, 0.001, 0.002]},
    "best_inner": {"b 2": [0.4] * 3, "b 1": [0.2] * 3},
    "best_on_held_out": {"b 2": [0.002] * 3, "b 1": [0.004] * 3},
}


def test_selection_has_medians_over_seeds_and_counts_trainings():
    table = answers.show_selection(selected(CHOICES), None).data
    assert list(table) == list(SELECTIONS.values())
    assert list(table.loc["b 2"]) == ["40.0", "40.0", "0.200"]
    assert list(table.loc["mean"]) == ["20.1", "30.0", "0.300"]
    assert list(table.loc["errors below 1 %"]) == ["3 of 6", "0 of 6", "6 of 6"]


def test_published_errors_stand_beside_the_selections():
    own = {name: {letter: [0.1] for letter in "ABCDEFGHI"} for name in SELECTIONS}
    table = answers.show_selection(selected(own), table2()).data
    published = table[["published, original set", "published, augmented set"]]
    assert list(published.loc["mean"]) == ["44.6", "30.5"]
    assert list(published.loc["mean |ln|"]) == ["—", "—"]
    assert list(published.loc["errors below 1 %"]) == ["4 of 9", "5 of 9"]


def test_selection_of_diverged_trainings():
    lost = {name: {"b": [np.inf]} for name in SELECTIONS}
    table = answers.show_selection(selected(lost), None).data
    assert list(table.loc["mean"]) == ["—"] * 3
    assert list(table.loc["errors below 1 %"]) == ["0 of 1"] * 3


# -------------------------------------------------------------------------------------- words


@settings(deadline=None)
@given(st.lists(st.sampled_from(["A", "B + C", "5% x"]), max_size=5))
def test_lists_name_everything_in_order(names):
    listed = answers._listed(names)
    if not names:
        assert listed == "none"
    else:
        assert re.split(r", | and ", listed) == names
        assert listed.count(" and ") == (len(names) > 1)
