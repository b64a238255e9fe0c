"""Tables of the chapter on the numbers, for every kind of outcome."""

import numpy as np
import pandas as pd
import pytest
from as_shown import as_shown

from fesemlib.evaluation.controls import control_summary
from fesemlib.evaluation.epochs import SELECTIONS
from fesemlib.evaluation.published import table2
from fesemlib.evaluation.statistics import compare_pairs
from fesemlib.pages.numbers import MEASURES
from fesemlib.pages.report import show_table
from fesemlib.pages.tables import evaluation as tables


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
    assert as_shown(show_table(summary, "controls", MEASURES)).loc["lost", "mean"] == "—"


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
    shown = as_shown(show_table(control_summary(table), "controls", MEASURES))["mean |ln|"]
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
    table = as_shown(tables.show_permutations(orders))
    assert table.loc["mean"].to_list() == shown
    assert table.loc["mean |ln|"].to_list()[2:] == shown[2:]


# ------------------------------------------------------------------------------------- spread


def test_spread_tells_seeds_from_draws():
    """Two draws that differ by 20 points, of two seeds that differ by 10."""
    parts = [
        predictions({"A": [low, low + 0.1], "B": [low, low + 0.1]}).assign(draw=draw)
        for draw, low in enumerate([0.1, 0.3])
    ]
    shown = as_shown(tables.show_spread({"original": pd.concat(parts)})).loc["original set"]
    assert shown["mean"] == "25.0 (10.0–40.0)"
    # 0.1 / √2; and 0.2 / √2, of which the former is taken off in squares.
    assert (shown["between seeds"], shown["between draws"]) == ("7.07", "12.2")


@pytest.mark.parametrize(("seeds", "between"), [(1, "—"), (2, "14.1")])
def test_own_micrographs_have_no_draws(seeds, between):
    own = predictions({"A": [0.2, 0.4][:seeds]})
    shown = as_shown(tables.show_spread({"augmented": own}))
    assert list(shown.loc["augmented set", ["between seeds", "between draws"]]) == [between, "—"]


def test_difference_is_that_of_second_minus_first():
    compared = compare_pairs([0.5] * 3, [0.25, 0.25, 0.75])
    shown = as_shown(tables.show_difference(compared)).iloc[0]
    assert shown["mean difference"] == "−8.33"
    assert list(shown[["errs less on", "of"]]) == ["2", "3"]
    assert (shown["95 % from"], shown["to"]) == ("−25.0", "+25.0")


@pytest.mark.parametrize(("first", "second"), [(np.inf, 0.5), (0.5, np.inf), (np.inf, np.inf)])
def test_difference_of_diverged_trainings_is_a_dash(first, second):
    compared = compare_pairs([first, 0.5], [second, 0.25])
    shown = as_shown(tables.show_difference(compared)).iloc[0]
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
    table = as_shown(tables.show_selection(selected(CHOICES), None))
    assert list(table) == list(SELECTIONS.values())
    assert list(table.loc["b 2"]) == ["40.0", "40.0", "0.200"]
    assert list(table.loc["mean"]) == ["20.1", "30.0", "0.300"]
    assert list(table.loc["errors below 1 %"]) == ["3 of 6", "0 of 6", "6 of 6"]


def test_published_errors_stand_beside_the_selections():
    own = {name: {letter: [0.1] for letter in "ABCDEFGHI"} for name in SELECTIONS}
    table = as_shown(tables.show_selection(selected(own), table2()))
    published = table[["published, original set", "published, augmented set"]]
    assert list(published.loc["mean"]) == ["44.6", "30.5"]
    assert list(published.loc["mean |ln|"]) == ["—", "—"]
    assert list(published.loc["errors below 1 %"]) == ["4 of 9", "5 of 9"]


def test_selection_of_diverged_trainings():
    lost = {name: {"b": [np.inf]} for name in SELECTIONS}
    table = as_shown(tables.show_selection(selected(lost), None))
    assert list(table.loc["mean"]) == ["—"] * 3
    assert list(table.loc["errors below 1 %"]) == ["0 of 1"] * 3
