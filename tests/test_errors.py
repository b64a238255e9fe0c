"""Means, medians and ranges of a tidy table, against loops over its rows."""

import math
from statistics import median

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.validation import errors
from fesemlib.validation.errors import LOG_MEAN, MEAN, WITHOUT_WORST

NAMES = ["C", "A", "B"]


def table_of(errors_by_run: dict[tuple[int, int], list[float]]) -> pd.DataFrame:
    """Predictions of three formulations, the second with two images, too large by these factors."""
    rows = [
        {
            "training_set": "original", "role": "test", "held_out": name, "image": f"{name}{image}",
            "draw": draw, "seed": seed, "epoch": 3, "true_km": 2e-3,
            "predicted_km": 2e-3 * (1 + error), "relative_error": abs(error),
        }
        for (draw, seed), values in errors_by_run.items()
        for name, error in zip(NAMES, values, strict=True)
        for image in range(1 + (name == "A"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


some_errors = st.lists(st.floats(-0.9, 5.0), min_size=3, max_size=3)


@given(st.lists(some_errors, min_size=4, max_size=4))
def test_measures_are_what_loops_give(values):
    runs = {(draw, seed): values[2 * draw + seed] for draw in (0, 1) for seed in (0, 1)}
    found = errors.measures(table_of(runs))
    loops = {MEAN: [], WITHOUT_WORST: [], LOG_MEAN: []}
    for run in runs.values():
        sizes = sorted(abs(error) for error in run)
        loops[MEAN].append(sum(sizes) / 3)
        loops[WITHOUT_WORST].append(sum(sizes[:2]) / 2)
        loops[LOG_MEAN].append(sum(abs(math.log1p(error)) for error in run) / 3)
    for measure, expected in loops.items():
        assert found.loc[measure].to_list() == pytest.approx(
            [median(expected), min(expected), max(expected)], abs=1e-9
        )


@given(st.lists(some_errors, min_size=2, max_size=2))
def test_errors_of_a_formulation_are_over_the_runs_in_the_order_of_the_table(values):
    found = errors.held_out_errors(table_of({(0, seed): run for seed, run in enumerate(values)}))
    assert list(found.index) == NAMES
    for name, *of_runs in zip(NAMES, *values, strict=True):
        sizes = [abs(error) for error in of_runs]
        assert found.loc[name].to_list() == pytest.approx([median(sizes), min(sizes), max(sizes)])


def test_twice_and_half_are_equally_wrong_and_no_prediction_below_zero_is_forgiven():
    table = table_of({(0, 0): [1.0, -0.5, -1.5]})
    assert errors.log_errors(table).to_list() == pytest.approx(
        [math.log(2), math.log(2), math.log(2), math.inf]
    )
    assert errors.measures(table).loc[LOG_MEAN, "median"] == math.inf
    assert errors.measures(table).loc[WITHOUT_WORST, "median"] == pytest.approx(0.75)


def test_what_one_formulation_does_to_the_mean_it_does_not_do_without_it():
    tame, wild = (table_of({(0, 0): [0.1, 0.2, worst]}) for worst in (0.3, 4.0))
    means = [errors.measures(table)["median"] for table in (tame, wild)]
    assert means[1][MEAN] > 5 * means[0][MEAN]
    assert means[1][WITHOUT_WORST] == pytest.approx(means[0][WITHOUT_WORST])


def test_a_diverged_training_is_not_averaged_away():
    table = table_of({(0, 0): [0.1, 0.2, 0.3], (0, 1): [0.1, math.inf, 0.3]})
    table["predicted_km"] = table["predicted_km"].where(np.isfinite(table["relative_error"]))
    found = errors.measures(table)
    assert found.loc[MEAN, "greatest"] == math.inf
    assert found.loc[MEAN, "least"] == pytest.approx(0.2)
    assert np.isnan(found.loc[LOG_MEAN, "greatest"])


def test_spread_of_seeds_and_of_draws_are_told_apart():
    """The mean error is 0.1 (1 + 2 draw) + 0.01 seed."""
    runs = {(d, s): [0.1 * (1 + 2 * d) + 0.01 * s] * 3 for d in (0, 1, 2) for s in (0, 1)}
    found = errors.spread_of_seeds_and_draws(table_of(runs))
    assert found.to_dict() == pytest.approx(
        {"seeds": 0.01 / math.sqrt(2), "draws": math.sqrt(0.2**2 - 0.01**2 / 2)}
    )


def course_of(held_out: str, seed: int, train: list[float], test: list[float]) -> pd.DataFrame:
    rows = [
        {"role": role, "epoch": epoch, "relative_error": error}
        for role, values in (("train", train), ("test", test))
        for epoch, error in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows).assign(training_set="original", held_out=held_out, seed=seed)


COURSES = pd.concat(
    [
        course_of("A", 0, [0.5, 0.04, 0.06], [0.9, 0.7, 0.5]),
        course_of("B", 0, [0.5, 0.3, 0.2], [0.1, 0.3, 0.1]),  # never gets to the criterion
        course_of("A", 1, [0.5, 0.06], [0.7, 0.6]),  # ended earlier
    ]
)


def test_last_epoch_is_that_of_each_training():
    last = errors.at_the_end(COURSES)
    found = last.pivot_table("relative_error", ["held_out", "seed"], "role").to_dict("index")
    assert found == {
        ("A", 0): {"train": 0.06, "test": 0.5},
        ("B", 0): {"train": 0.2, "test": 0.1},
        ("A", 1): {"train": 0.06, "test": 0.6},
    }


def test_criterion_is_met_where_the_training_error_first_falls_below_it():
    epochs = errors.at_criterion(COURSES, 0.05).groupby(["held_out", "seed"])["epoch"].unique()
    assert {key: list(value) for key, value in epochs.items()} == {
        ("A", 0): [2], ("A", 1): [2], ("B", 0): [3]
    }  # fmt: skip


def test_courses_are_medians_over_trainings_and_over_runs():
    fits = errors.training_error_along(COURSES).loc["original"]
    assert fits["median"].to_list() == pytest.approx([0.5, 0.06, 0.13])
    assert fits["greatest"].to_list() == pytest.approx([0.5, 0.3, 0.2])
    held_out = errors.held_out_error_along(COURSES).loc["original"]
    assert held_out["median"].to_list() == pytest.approx([0.6, 0.55, 0.3])  # .5 .5 .3 and .7 .6
