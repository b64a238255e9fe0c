"""Choices in combination: the plan, the effects, and what the page shows of them."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_tables import written

from fesemlib.dataset import load_dataset
from fesemlib.evaluation.sensitivity import (
    LOGARITHM,
    MEDIAN_RULE,
    MOST_COUNTED,
    RELATIVE,
    STEPS,
    cell_table,
    main_effects,
    parameters_of_cell,
    planned_cells,
    train_cells,
)
from fesemlib.pages.figures.sensitivity import effects_figure
from fesemlib.pages.tables import sensitivity as tables
from fesemlib.params import ParameterError, Parameters, read_parameters

TWO_LEVELS = {
    "dropout_position": ["flatten", "dense"],
    "target": ["minmax", "log10"],
    "learning_rate": [1e-4, 1e-3],
    "padding": ["same", "valid"],
    "light_background": [True, False],
}
NAMES = ["cake one", "cake two", "cake three"]
TRUE = np.array([1e-3, 2e-3, 4e-3])


def planned(number: int) -> tuple[Parameters, pd.DataFrame]:
    factors = dict(list(TWO_LEVELS.items())[:number])
    parameters = Parameters(factors=factors)
    return parameters, pd.DataFrame(planned_cells(parameters), dtype=object)


def invented(
    cells: pd.DataFrame, effects: dict[str, float], difficulty: np.ndarray
) -> pd.DataFrame:
    """Predictions too large by exp(difficulty of the formulation + effects of second levels)."""
    tables = []
    for cell, levels in cells.iterrows():
        shift = sum(effects.get(f, 0.0) for f in cells if levels[f] != TWO_LEVELS[f][0])
        predicted = TRUE * np.exp(difficulty + shift)
        tables.append(
            pd.DataFrame(
                {
                    "cell": cell + 1,
                    **levels.to_dict(),
                    "held_out": NAMES,
                    "seed": 0,
                    "true_km": TRUE,
                    "predicted_km": predicted,
                    "relative_error": np.abs(predicted - TRUE) / TRUE,
                    "training_error": 0.04,
                    "steps": 100 * np.exp(shift),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


# ------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"factors": {"epochz": [1, 2]}}, "unknown parameter 'epochz'; did you mean 'epochs'"),
        ({"factors": {"crop": ["none", "auto"]}}, "crop cannot be varied; it can be one of proc"),
        ({"factors": {"epochs": [1, 2]}}, "epochs cannot be varied"),
        ({"factors": {"batch_size": [10, 0]}}, "batch_size = 0 is not allowed; allowed: whole num"),
        ({"factors": {"padding": ["same", "full"]}}, "padding = 'full' is not allowed; allowed: s"),
        ({"factors": {"learning_rate": [0.1, "1e-3"]}}, "write a point, as in 1.0e-3"),
        ({"factors": {"dropout_rate": [True, 0.5]}}, "dropout_rate = True is not allowed"),
        ({"factors": {"padding": ["same"]}}, "padding = ['same']: give two levels or more, each"),
        ({"factors": {"padding": ["same", "same"]}}, "give two levels or more, each once"),
        ({"factors": {"padding": 3}}, "factors = {'padding': 3} is not allowed"),
        ({"factors": {}}, "factors = {} is not allowed"),
    ],
)
def test_invalid_factor_is_refused_by_its_name(changed, words):
    with pytest.raises(ParameterError) as caught:
        Parameters.from_namespace(changed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_invalid_levels_are_told_at_once():
    with pytest.raises(ParameterError, match=r"batch_size = 0 .*padding = 'full'"):
        Parameters.from_namespace({"factors": {"batch_size": [0, 1], "padding": ["full", "same"]}})


@pytest.mark.parametrize("profile", ["book", "paper", "evaluation", "sensitivity"])
def test_first_cell_of_a_profile_is_its_own_setting(profile):
    parameters = read_parameters(Path(__file__).parents[1] / "params" / f"{profile}.yml")
    assert planned_cells(parameters)[0] == {
        name: getattr(parameters, name) for name in parameters.factors
    }


# ------------------------------------------------------------------------------------------- plan


def signs(cells: pd.DataFrame) -> np.ndarray:
    """1 for the first level of a factor, −1 for the second, shape (cells, factors)."""
    first = [[row[f] == TWO_LEVELS[f][0] for f in cells] for _, row in cells.iterrows()]
    return np.where(first, 1, -1)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_plan_is_balanced_and_orthogonal(number):
    design = signs(planned(number)[1])
    assert len(np.unique(design, axis=0)) == len(design) == 2**number
    assert (design.T @ design == len(design) * np.eye(number)).all()
    assert (design.sum(axis=0) == 0).all()


def test_full_plan_of_more_levels_holds_every_combination_once():
    factors = {"target": ["raw", "log10", "zscore"], "first_seed": [0, 1000]}
    cells = planned_cells(Parameters(factors=factors))
    assert len(cells) == len({tuple(cell.values()) for cell in cells}) == 6


def test_cell_differs_from_the_book_in_its_levels_alone():
    parameters, cells = planned(5)
    shared = parameters_of_cell(parameters, {}).model_dump()
    for levels in cells.to_dict("records"):
        cell = parameters_of_cell(parameters, levels).model_dump()
        assert cell == {**shared, **levels}


# ---------------------------------------------------------------------------------------- effects


@settings(max_examples=20, deadline=None)
@given(
    shifts=st.lists(st.floats(0.0, 0.3), min_size=4, max_size=4),
    difficulty=st.lists(st.floats(0.0, 0.5), min_size=3, max_size=3),
)
def test_effects_that_add_up_are_found_whatever_the_formulations(shifts, difficulty):
    """Every formulation is shifted alike, so that nothing is left for the interval to span."""
    parameters, cells = planned(4)
    known = dict(zip(parameters.factors, shifts, strict=True))
    trained = invented(cells, known, np.array(difficulty))
    effects = main_effects(trained, parameters.factors)
    for measure in (LOGARITHM, STEPS):
        found = effects[effects["measure"] == measure].set_index("factor")
        assert found["effect"].to_dict() == pytest.approx(known, abs=1e-9)
        assert (found["high"] - found["low"]).abs().max() < 1e-9


def test_levels_are_compared_with_the_first_and_read_off_as_truth_values_too():
    parameters, cells = planned(5)
    effects = main_effects(
        invented(cells, {"light_background": 0.2}, np.zeros(3)), parameters.factors
    )
    found = effects[(effects["factor"] == "light_background") & (effects["measure"] == LOGARITHM)]
    assert found[["first", "level"]].to_numpy().tolist() == [[True, False]]
    assert found["effect"].item() == pytest.approx(0.2)


@pytest.mark.parametrize("prediction", [-1e-3, 0.0, np.nan, np.inf, 1.0])
def test_useless_prediction_counts_as_a_factor_of_ten(prediction):
    """One of three formulations in four of eight cells; the others are right."""
    parameters, cells = planned(3)
    trained = invented(cells, {}, np.zeros(3))
    useless = (trained["target"] == "log10") & (trained["held_out"] == NAMES[0])
    trained.loc[useless, "predicted_km"] = prediction
    trained.loc[useless, "relative_error"] = np.inf
    effects = main_effects(trained, parameters.factors).set_index(["measure", "factor"])["effect"]
    assert effects[LOGARITHM, "target"] == pytest.approx(MOST_COUNTED / 3)
    assert effects[LOGARITHM, "learning_rate"] == 0
    assert not np.isfinite(effects[RELATIVE, "target"])


def test_median_over_seeds_comes_before_the_mean_over_cells():
    parameters, cells = planned(3)
    runs = [invented(cells, {"target": 0.1 * shift}, np.zeros(3)) for shift in (1, 2, 9)]
    trained = pd.concat(run.assign(seed=seed) for seed, run in enumerate(runs))
    effects = main_effects(trained, parameters.factors).set_index(["measure", "factor"])["effect"]
    assert effects[LOGARITHM, "target"] == pytest.approx(0.2)


# ------------------------------------------------------------------------------------------ table


def test_table_of_cells_agrees_with_hand_calculation():
    parameters, cells = planned(2)
    trained = invented(cells, {"target": 0.5}, np.zeros(3))
    trained.loc[trained.index[:3], "training_error"] = [0.05, 0.06, np.nan]  # of the first cell
    table = cell_table(trained, parameters)
    assert list(table.index) == [1, 2, 3, 4, MEDIAN_RULE]
    assert table["missed"].iloc[:4].tolist() == [2, 0, 0, 0]
    of_cells = table["target"] == "log10"
    assert table.loc[of_cells, "mean"].to_list() == pytest.approx([math.exp(0.5) - 1] * 2)
    assert table.loc[of_cells, "mean |ln|"].to_list() == pytest.approx([0.5] * 2)
    assert table.loc[of_cells, "steps"].to_list() == pytest.approx([100 * math.exp(0.5)] * 2)
    # Medians of the others: 3e-3, 2.5e-3 and 1.5e-3, for 1e-3, 2e-3 and 4e-3.
    assert table.loc[MEDIAN_RULE, "mean"] == pytest.approx((2 + 0.25 + 0.625) / 3)
    assert table.loc[MEDIAN_RULE, "mean without the worst"] == pytest.approx((0.25 + 0.625) / 2)


def test_page_shows_every_cell_and_effect_even_of_a_training_that_diverged():
    parameters, cells = planned(4)
    trained = invented(cells, {"target": 0.5}, np.zeros(3))
    lost = ["predicted_km", "relative_error", "training_error"]
    trained.loc[trained.index[0], lost] = [np.nan, np.inf, np.inf]
    shown = written(tables.show_cells(cell_table(trained, parameters)))
    assert (shown.loc[1, "missed"], shown.loc[1, "trainings"]) == ("1", "3")
    assert shown.loc[1, "mean (%)"] == "—"
    assert (shown.loc[MEDIAN_RULE, ["target", "missed", "steps"]] == "—").all()
    effects = main_effects(trained, parameters.factors)
    shown = written(tables.show_effects(effects))
    assert shown.loc["target: minmax → log10", ("steps (times)", "effect")] == "1.65"
    assert shown.loc["target: minmax → log10", ("mean relative error (points)", "low")] == "—"
    assert not shown.isin(["nan", "inf"]).any(axis=None)
    figure = effects_figure(effects)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == list(shown.index)
    assert "learning rate: 0.0001 → 0.001" in labels


# --------------------------------------------------------------------------------------- training


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_cells_are_trained_to_the_criterion_and_no_further(manifest):
    """Three formulations, one of them with two micrographs; a criterion that is soon met."""
    path = manifest(
        "cake one,a.png,1e-3", "cake two,b.png,2e-3", "cake two,c.png,2e-3", "cake three,d.png,4e-3"
    )
    parameters = Parameters(
        dataset=str(path), crop="none", evaluation_width=48, epochs=100, batch_size=2,
        training_criterion=0.2, longer_training=3, parallel_jobs=1,
        factors={"learning_rate": [1e-3, 1e-9], "batch_size": [2, 16]},
    )  # fmt: skip
    trained = train_cells(load_dataset(parameters), parameters)
    assert len(trained) == 4 * 4
    fast = trained[trained["learning_rate"] == 1e-3]
    slow = trained[trained["learning_rate"] == 1e-9]
    assert (fast["training_error"] <= 0.2).all()
    assert (fast["epoch"] < 300).all()
    assert (slow["training_error"] > 0.2).all()
    assert (slow["epoch"] == 300).all()
    one_batch = (slow["batch_size"] == 16) | (slow["held_out"] == "cake two")
    assert (slow["steps"] == np.where(one_batch, 300, 600)).all()  # of three images, two batches
    table = cell_table(trained, parameters)
    assert table["missed"].iloc[:4].tolist() == [0, 0, 3, 3]  # with two images, one training
