"""What the chapter on the numbers says of them, for every kind of outcome."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fesemlib import evaluation_report as answers
from fesemlib.controls import PUBLISHED
from fesemlib.protocol import SELECTIONS
from fesemlib.published import table2
from fesemlib.published_evidence import published_beside_rules
from fesemlib.statistics import (
    Interval,
    compare_pairs,
    mean_interval,
    permutation_p_value,
)
from fesemlib.validation import COLUMNS


def controls(errors: dict[str, list[float]]) -> pd.DataFrame:
    """Errors of each control on the formulations 1, 2, …"""
    rows = [
        (name, str(number), error)
        for name, values in errors.items()
        for number, error in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["control", "held_out", "relative_error"])


def predictions(errors: dict[str, list[float]], training_set: str = "original") -> pd.DataFrame:
    """Errors over the seeds by formulation, and three training rows of each run."""
    rows = []
    for name, values in errors.items():
        for seed, error in enumerate(values):
            rows.append((name, name, "x.png", "test", seed, training_set, 1, 1.0, 1 + error, error))
            rows += [
                (name, "Z", f"{n}.png", "train", seed, training_set, 1, n, n * error, error)
                for n in (1.0, 2.0, 3.0)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def only(table: pd.DataFrame, role: str = "test") -> pd.DataFrame:
    return table[table["role"] == role]


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


def test_training_is_told_to_be_at_its_end_or_not():
    def run(train: float, epochs: int) -> pd.DataFrame:
        table = predictions({"b": [0.5]})
        table.loc[table["role"] == "train", "relative_error"] = train
        return table.assign(epoch=epochs)

    told = answers.training_answer(run(0.3, 10), run(0.05, 99), 64)
    assert "After 10 epochs it is not trained to the end." in told
    told = answers.training_answer(run(0.3, 10), run(0.28, 99), 64)
    assert "With an input of 64 px, the paper's network errs by 30.0 %" in told
    assert "after 10 epochs and by 28.0 % after 99; on those held out by 50.0 % and by 50.0" in told
    assert told.endswith("bring it little closer to its training set.")
    told = answers.training_answer(run(0.05, 10), run(0.01, 99), 64)
    assert "After 10 epochs it is trained to the end." in told


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
    summary = answers.control_summary(table)
    assert list(summary.index) == ["better", "worse", "lost", "partial"]
    assert summary["mean"].to_list() == pytest.approx([0.3, 0.6, np.inf, 0.1])
    assert summary.loc["better", ["median", "greatest", "formulations"]].to_list() == [0.2, 0.6, 3]
    assert summary["formulations"].to_list() == [3, 3, 3, 2]
    shown = answers.show_controls(summary, 3).data
    assert shown.loc["lost", "mean"] == "—"
    assert shown.loc["partial", "predicted"] == "2 of 3"


def test_images_and_seeds_are_averaged_within_a_formulation():
    table = pd.concat([controls({"net": [0.1, 0.2]}), controls({"net": [0.3]})])
    assert answers.control_summary(table).loc["net", "mean"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (
            [0.1, 0.1],
            "has rank 1: its mean error is 10.0 %, less than the 30.0 % of the best of the others",
        ),
        (
            [0.6, 0.6],
            "has rank 3: its mean error is 60.0 %, more than the 30.0 % of the best of the others",
        ),
        (
            [0.3, 0.3],
            "has rank 1: its mean error is 30.0 %, as much as the 30.0 % of the best of the others",
        ),
        (
            [0.1, np.inf],
            "has rank 3: its mean error is infinite, for a training diverged, more than",
        ),
    ],
)
def test_rank_of_the_network(errors, words):
    """The published errors and what does not predict everything are no rivals."""
    table = controls(
        {
            "mean": [0.5, 0.5],
            "net": errors,
            "median": [0.3, 0.3],
            PUBLISHED[0]: [0.0, 0.0],
            "partial": [0.01, np.nan],
        }
    )
    answer = answers.controls_answer(answers.control_summary(table), "net", 2)
    assert answer.startswith("Of the 3 predictors of this run that predict every formulation")
    assert words in answer


def test_without_rivals_or_network_nothing_is_compared():
    alone = answers.control_summary(controls({"net": [0.1]}))
    for summary, name in ((alone, "net"), (alone, "other"), (alone.iloc[:0], "net")):
        assert answers.controls_answer(summary, name, 1).startswith("There is nothing")


# ------------------------------------------------------------------------------- permutations


@pytest.mark.parametrize(
    ("observed", "shuffled", "words"),
    [
        (0.1, [0.5] * 99, "0 of 99 shuffles did as well, p = 0.01. Chance hardly explains"),
        (0.1, [0.5] * 299, "p = 0.0033. Chance hardly"),
        (0.5, [0.4] * 50 + [0.6] * 49, "50 of 99 shuffles did as well, p = 0.51. Chance may"),
        (0.1, [0.5] * 5, "p = 0.17. With so few shuffles p cannot fall below 0.05"),
        (0.1, [0.5], "0 of 1 shuffles did as well, p = 0.5. With so few"),
        (np.inf, [0.5, np.inf], "error is infinite, for a training diverged, with shuffled ones"),
    ],
)
def test_few_shuffles_conclude_nothing(observed, shuffled, words):
    p_value = permutation_p_value(observed, shuffled)
    assert words in answers.permutation_answer(observed, shuffled, p_value, np.inf)


def test_few_formulations_have_few_orders():
    answer = answers.permutation_answer(0.1, [0.1, *[0.5] * 98], 0.02 * 6, 6.0)
    assert "With so few formulations p hardly falls below 0.05" in answer


# ------------------------------------------------------------------------------------- spread


@pytest.mark.parametrize("seeds", [1, 3])
def test_spread_over_the_seeds(seeds):
    """Training rows whose predictions do not range at all are those of a collapsed run."""
    original = predictions({"b 2": [0.0, 0.5, 0.3][:seeds], "b 1": [0.2, 0.4, np.inf][:seeds]})
    augmented = predictions({"b 2": [0.1] * seeds, "b 1": [0.2] * seeds}, "augmented")
    both = pd.concat([original, augmented])
    shown = answers.show_spread(
        {"original": only(original), "augmented": only(augmented)}, both
    ).data
    assert list(shown.index) == ["b 2", "b 1"]
    assert list(shown["augmented: range"]) == ["10.0", "20.0"]
    assert list(shown["augmented: failed"]) == [f"0 of {seeds}"] * 2
    assert shown.loc["b 2", "original: failed"] == f"1 of {seeds}"
    if seeds == 3:
        assert list(shown["original: median"]) == ["30.0", "40.0"]
        assert list(shown["original: range"]) == ["0.00–50.0", "20.0–—"]
        assert shown.loc["b 1", "original: failed"] == "1 of 3"


ORIGINAL = np.array([0.6, 0.13, 0.54, 0.01, 0.02, 0.001, 0.003, 0.07, 2.67])


def comparison(original: np.ndarray, augmented: np.ndarray) -> str:
    return answers.comparison_answer(
        compare_pairs(original, augmented),
        mean_interval(original),
        mean_interval(augmented),
        [100, 200],
    )


def test_sets_are_compared_by_their_formulations():
    """Seeds are averaged before: three seeds of the original set are one error."""
    original = only(predictions({"b 2": [0.2, 0.3, 0.4], "b 1": [0.5, 0.5, 0.5]}))
    augmented = only(predictions({"b 2": [0.1], "b 1": [0.7]}, "augmented"))
    answer = answers.comparison_of_sets({"original": original, "augmented": augmented}, [5, 5])
    by_hand = answers.comparison_answer(
        compare_pairs([0.3, 0.5], [0.1, 0.7]),
        mean_interval([0.3, 0.5]),
        mean_interval([0.1, 0.7]),
        [5, 5],
    )
    assert answer == by_hand


def test_a_consistent_improvement_is_called_one():
    answer = comparison(ORIGINAL, ORIGINAL * 0.7)
    assert "less on 9 of 9 formulations" in answer
    assert "p = 0.0039" in answer
    assert "takes 200 steps with the augmented set and 100 with the original one" in answer
    assert "errs less, more clearly than chance" in answer
    assert "other sign" not in answer
    assert "errs more, more clearly" in comparison(ORIGINAL * 0.7, ORIGINAL)


def test_direction_is_that_of_the_test_and_an_outlier_is_pointed_out():
    answer = comparison(ORIGINAL, np.array([*(ORIGINAL[:8] * 0.5), 3.0 + ORIGINAL[8]]))
    assert "errs less on 8 of 9" in answer
    if "more clearly" in answer:
        assert "errs less, more clearly than chance would explain, although" in answer
    many, more = np.full(20, 0.5), np.full(20, 0.4) - np.arange(20) / 1000
    more[0] = 9.0
    assert "errs less, more clearly than chance would explain, although" in comparison(many, more)


def test_mixed_differences_may_be_chance():
    signs = np.array([1, -1] * 4 + [1])
    assert "may be chance" in comparison(ORIGINAL, ORIGINAL + 0.0005 * signs * np.arange(1, 10))


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_few_formulations_show_nothing(number):
    answer = comparison(ORIGINAL[:number], ORIGINAL[:number] / 10)
    assert "With so few formulations" in answer
    assert "nan" not in answer


@pytest.mark.parametrize("position", [[0], [0, 1]])
def test_diverged_trainings_are_said_to_be(position):
    lost = ORIGINAL.copy()
    lost[position] = np.inf
    for answer in (
        comparison(lost, ORIGINAL),
        comparison(ORIGINAL, lost),
        comparison(lost, lost[::-1]),
        comparison(lost, lost),
    ):
        assert "diverged" in answer
        assert not re.search(r"\b(nan|inf)\b", answer)


def test_limits_stand_beside_the_mean():
    interval = Interval(0.4, 0.25, 0.612)
    answer = answers.comparison_answer(compare_pairs([0.1], [0.1]), interval, interval, [100, 100])
    assert "steps" not in answer
    assert "40.0 % (25.0–61.2 %)" in answer


@pytest.mark.parametrize(
    ("original", "augmented", "words"),
    [
        ([0.5, 0.6], [0.55, 0.7], "errs more throughout, by 5.0 to 10.0 points"),
        ([0.5, 0.6], [0.45, 0.57], "errs less throughout, by 3.0 to 5.0 points"),
        ([0.5, 0.6], [0.45, 0.7], "now less, by up to 5.0 points, now more, by up to 10.0: which"),
        ([0.5], [0.4], "a single epoch"),
        ([0.5, np.inf], [0.4, 0.4], "diverged"),
    ],
)
def test_a_difference_that_wanders_is_told(original, augmented, words):
    assert words in answers.end_answer(pd.DataFrame({"original": original, "augmented": augmented}))


# ---------------------------------------------------------------------------------- selection


def selected(errors: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """By selection and formulation, over the seeds."""
    return pd.concat(
        only(predictions(by_name)).assign(selection=selection)
        for selection, by_name in errors.items()
    )


CHOICES = {
    "last": {"b 2": [0.5, 0.3, 0.4], "b 1": [0.005, 0.001, 0.002]},
    "best_inner": {"b 2": [0.4] * 3, "b 1": [0.2] * 3},
    "best_on_held_out": {"b 2": [0.002] * 3, "b 1": [0.004] * 3},
}


def test_selection_table_has_medians_over_seeds_and_their_mean():
    table = answers.selection_table(selected(CHOICES), None)
    assert list(table.index) == ["b 2", "b 1", "mean"]
    assert list(table) == list(SELECTIONS.values())
    assert list(table["last epoch"]) == pytest.approx([0.4, 0.002, 0.201])
    assert list(table["best epoch on the held-out one"]) == pytest.approx([0.002, 0.004, 0.003])
    shown = answers.show_selection(table).data
    assert list(shown["best epoch on inner formulations"]) == ["40.0", "20.0", "30.0"]


def test_selection_answer_counts_small_errors():
    answer = answers.selection_answer(
        answers.selection_table(selected(CHOICES), None), selected(CHOICES)
    )
    assert "fixed beforehand the mean error is 20.1 %" in answer
    assert "inner formulations 30.0 %" in answer
    assert "held-out micrograph best 0.300 %" in answer
    assert "Trainings that err by less than 1 %, of 6: with the epoch that suits the" in answer
    assert "held-out micrograph best 6, with the epoch fixed beforehand 3." in answer
    assert "published" not in answer


def test_published_errors_stand_beside_the_selections():
    own = {name: {letter: [0.1] for letter in "ABCDEFGHI"} for name in SELECTIONS}
    table = answers.selection_table(selected(own), table2())
    assert table.loc["mean", "published, original set"] == pytest.approx(0.446, abs=5e-4)
    answer = answers.selection_answer(table, selected(own))
    assert (
        "Of the 9 published errors, 4 (original set) and 5 (augmented set) are that small."
        in answer
    )


def test_selection_of_diverged_trainings():
    lost = {name: {"b": [np.inf]} for name in SELECTIONS}
    table = answers.selection_table(selected(lost), None)
    assert list(answers.show_selection(table).data.loc["mean"]) == ["—"] * 3
    assert "inf " not in answers.selection_answer(table, selected(lost))
    assert "beforehand 0." in answers.selection_answer(table, selected(lost))


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
