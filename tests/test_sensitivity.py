"""One choice changed at a time: what is planned, how it is compared, and how it is told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesemlib import sensitivity, sensitivity_report
from fesemlib.dataset import load_dataset
from fesemlib.params import VARIABLE, ParameterError, Parameters, read_parameters
from fesemlib.sensitivity import (
    AUGMENTED,
    MEDIAN_RULE,
    REFERENCE,
    Setting,
    planned_settings,
    predict_with_settings,
    sensitivity_table,
)
from fesemlib.sensitivity_figures import sensitivity_figure

K_M = pd.Series({"cake one": 1e-3, "cake two": 2e-3, "cake three": 4e-3})


@pytest.fixture
def small(manifest, tmp_path, monkeypatch):
    """Three formulations, one of them with two micrographs of 96 × 64 px; a quick training."""
    monkeypatch.setenv("FESEM_BUILD", str(tmp_path / "build"))
    path = manifest(
        "cake one,a.png,1e-3",
        "cake two,b.png,2e-3",
        "cake two,c.png,2e-3",
        "cake three,d.png,4e-3",
    )
    parameters = Parameters(
        dataset=str(path), crop="none", input_width=48, epochs=2, parallel_jobs=1
    )
    return load_dataset(parameters), parameters


def varied(parameters: Parameters, **variations: list[object]) -> Parameters:
    return Parameters.from_namespace({**parameters.model_dump(), "variations": variations})


def predictions_of(setting: str, errors: list[float], seed: int = 0, **more: object):
    """Rows as of `predict_with_settings`: one micrograph for each formulation."""
    return pd.DataFrame(
        {
            "setting": setting,
            "held_out": list(K_M.index),
            "seed": seed,
            "relative_error": errors,
            "collapsed": False,
            "diverged": False,
            **more,
        }
    )


def setting(name: str, parameter: str = "epochs", reference: str = REFERENCE, **changed: object):
    return Setting(name, Parameters(**changed), "original", reference, parameter)


# ------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("variations", "words"),
    [
        ({"epochz": [1]}, "unknown parameter 'epochz'; did you mean 'epochs'"),
        ({"crop": ["none"]}, "crop cannot be varied; it can be one of background_radius_px"),
        ({"variations": [1]}, "variations cannot be varied"),
        ({"epochs": [10, 0]}, "epochs = 0 is not allowed; allowed: whole number ≥ 1"),
        ({"padding": ["full"]}, "padding = 'full' is not allowed; allowed: same, valid"),
        ({"learning_rate": ["1e-3"]}, "write a point, as in 1.0e-3"),
        ({"dropout_rate": [True]}, "dropout_rate = True is not allowed"),
        ({"epochs": 3}, "variations = {'epochs': 3} is not allowed"),
        ({"epochs": [None]}, "variations = {'epochs': [None]} is not allowed"),
    ],
)
def test_invalid_variation_is_refused_by_its_name(variations, words):
    with pytest.raises(ParameterError) as caught:
        Parameters.from_namespace({"variations": variations})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_invalid_variations_are_told_at_once():
    with pytest.raises(ParameterError, match=r"epochs = 0 .*padding = 'full'"):
        Parameters.from_namespace({"variations": {"epochs": [0], "padding": ["full"]}})


BOOK = read_parameters(Path(__file__).parents[1] / "params" / "book.yml")


def test_book_varies_all_that_can_be_varied_but_the_head():
    assert set(BOOK.variations) == set(VARIABLE) - {"head"}
    assert Parameters(variations=BOOK.variations).variations == BOOK.variations


def test_default_is_a_part_of_what_the_book_varies():
    for name, values in Parameters().variations.items():
        assert set(values) <= set(BOOK.variations[name])


# ----------------------------------------------------------------------------------------- plan


def test_plan_changes_one_parameter_at_a_time(small):
    data, parameters = small
    parameters = varied(
        parameters, epochs=[2, 3, 3], target=["raw"], augmentation_group=["rotation"]
    )
    plan = planned_settings(data, parameters)
    assert [(s.name, s.training_set, s.reference) for s in plan] == [
        (REFERENCE, "original", REFERENCE),
        (AUGMENTED, "augmented", REFERENCE),
        ("epochs: 3", "original", REFERENCE),
        ("target: raw", "original", REFERENCE),
        ("augmentation: rotation", "augmented", AUGMENTED),
    ]
    reference = plan[0].parameters.model_dump()
    for each in plan[2:]:
        changed = each.parameters.model_dump()
        assert [name for name in reference if changed[name] != reference[name]] == [each.parameter]


def test_plan_passes_over_inputs_wider_than_the_micrographs_or_too_small(small):
    """Of micrographs of 96 × 64 px, one at 32 px is 21 px high, too few for the network."""
    data, parameters = small
    plan = planned_settings(data, varied(parameters, input_width=[16, 32, 48, 64, 96, 97, 512]))
    assert [s.parameters.input_width for s in plan[2:]] == [64, 96]


def test_last_epoch_counts_in_the_reference(small):
    data, parameters = small
    parameters = varied(parameters, model_selection=["last", "best_on_held_out"])
    parameters = parameters.model_copy(update={"model_selection": "best_on_held_out"})
    plan = planned_settings(data, parameters)
    assert [s.parameters.model_selection for s in plan] == ["last", "last", "best_on_held_out"]


@pytest.mark.parametrize("name", VARIABLE)
def test_every_value_has_a_name_of_its_own(small, name):
    data, parameters = small
    values = {
        "light_background": [True, False],
        "smooth_background": [True, False],
        "head": ["flatten", "global_average"],
    }.get(name, BOOK.variations.get(name))
    parameters = varied(parameters, **{name: values}).model_copy(
        update={} if name == "input_width" else {"input_width": 40}
    )
    plan = planned_settings(data, parameters)
    assert len({s.name for s in plan}) == len(plan)
    assert all("_" not in s.name for s in plan)


# ------------------------------------------------------------------------------------------ table


@pytest.mark.slow
def test_a_setting_equal_to_the_reference_changes_nothing(small):
    """Trained on its own, under another name: the very same errors."""
    data, parameters = small
    plan = planned_settings(data, varied(parameters, epochs=[3]))[:1]
    plan.append(Setting("the same", plan[0].parameters, "original", REFERENCE, "epochs"))
    predictions = predict_with_settings(data, plan)
    assert len(predictions) == 2 * len(data.images)
    table = sensitivity_table(predictions, plan, data.formulations["k_m"])
    same = table.loc["the same"]
    assert (same["change"], same["low"], same["high"], same["better"]) == (0, 0, 0, 0)
    assert same["p_value"] == 1
    assert same["runs"] == same["formulations"] == 3  # the formulation with two images is one


def test_table_is_complete_and_agrees_with_hand_calculation():
    plan = [setting(REFERENCE, ""), setting("worse"), setting("better", "target")]
    predictions = pd.concat(
        [
            predictions_of(REFERENCE, [0.1, 0.2, 0.3]),
            predictions_of("worse", [0.2, 0.4, 0.3], collapsed=[True, False, False]),
            predictions_of("better", [0.1, 0.1, 0.2], seed=0),
            predictions_of("better", [0.1, 0.1, 0.0], seed=1, diverged=[False, True, False]),
        ]
    )
    table = sensitivity_table(predictions, plan, K_M)
    assert set(table.index) == {REFERENCE, "worse", "better", MEDIAN_RULE}
    assert table["error"].to_dict() == pytest.approx(
        # Medians of the others: 3e-3, 2.5e-3 and 1.5e-3, for 1e-3, 2e-3 and 4e-3.
        {"better": 0.1, REFERENCE: 0.2, "worse": 0.3, MEDIAN_RULE: (2 + 0.25 + 0.625) / 3}
    )
    assert table["change"].to_dict() == pytest.approx(
        {"better": -0.1, REFERENCE: 0, "worse": 0.1, MEDIAN_RULE: 2.875 / 3 - 0.2}
    )
    assert list(table.index) == ["better", REFERENCE, "worse", MEDIAN_RULE]
    assert table["failed"].to_dict() == {REFERENCE: 0, "worse": 1, "better": 1, MEDIAN_RULE: 0}
    assert table["runs"].to_dict() == {REFERENCE: 3, "worse": 3, "better": 6, MEDIAN_RULE: 0}
    assert table.loc["better", "better"] == 2
    assert np.isnan(table.loc[REFERENCE, "p_value"])
    assert (table["low"] <= table["change"]).all()
    assert (table["high"] >= table["change"]).all()
    corrected = table["corrected"].dropna()  # of two choices, and not of the rule without an image
    assert set(corrected.index) == {"better", "worse"}
    assert (corrected >= table["p_value"][corrected.index]).all()


def test_augmented_settings_are_compared_with_the_augmented_reference():
    plan = [
        setting(REFERENCE, ""),
        setting(AUGMENTED, "training_set"),
        setting("one flip", "augmentation_group", AUGMENTED),
    ]
    predictions = pd.concat(
        predictions_of(each.name, [error] * 3)
        for each, error in zip(plan, (0.5, 0.3, 0.4), strict=True)
    )
    table = sensitivity_table(predictions, plan, K_M)
    assert table.loc["one flip", "change"] == pytest.approx(0.1)
    assert table.loc[AUGMENTED, "change"] == pytest.approx(-0.2)
    assert table.index[-1] == "one flip"


# ------------------------------------------------------------------------------------------ words


@pytest.fixture
def told():
    """A table with everything in it: chance, a clear effect, a look at the answer, a divergence."""
    rng = np.random.default_rng(0)
    names = [f"cake {number}" for number in range(20)]
    k_m = pd.Series(rng.uniform(1e-3, 2e-3, 20), index=names)
    base = rng.uniform(0.4, 0.6, 20)
    plan = [
        setting(REFERENCE, ""),
        setting("seeds, from: 7", "first_seed"),
        setting("target: raw", "target"),
        setting("epochs: 9"),
        setting("best epoch", "model_selection", model_selection="best_on_held_out"),
        setting("learning rate: 1", "learning_rate"),
    ]
    errors = {
        REFERENCE: base,
        "seeds, from: 7": base + rng.normal(0, 0.05, 20),
        "target: raw": base + 0.5,
        "epochs: 9": base + rng.normal(0, 0.001, 20),
        "best epoch": base - 0.3,
        "learning rate: 1": np.full(20, np.inf),
    }
    predictions = pd.concat(
        pd.DataFrame(
            {
                "setting": name,
                "held_out": names,
                "seed": 0,
                "relative_error": values,
                "collapsed": name == "target: raw",
                "diverged": name == "learning rate: 1",
            }
        )
        for name, values in errors.items()
    )
    return sensitivity_table(predictions, plan, k_m)


def test_answer_tells_the_clear_effect_and_leaves_chance_and_the_look_out(told):
    answer = sensitivity_report.sensitivity_answer(told)
    assert answer.startswith("Of 2 choices, 'epochs: 9' does most to lower")
    assert "'target: raw' most to raise it (+50.0 points, +50.0 to +50.0)" in answer
    assert "1 of them lies beyond the interval of an exchange of seeds" in answer
    assert answer.endswith(
        "1 differs clearly from the reference (false discovery rate of 5 %): target: raw."
    )


def test_only_choices_are_corrected_for_their_number(told):
    """As by hand: the smaller of two p-values twice, and the greater one as it is."""
    corrected = told["corrected"].dropna()
    finite = [name for name in corrected.index if name != "learning rate: 1"]
    assert set(finite) == {"target: raw", "epochs: 9"}
    assert np.isnan(told.loc["best epoch", "p_value"])
    p_values = told["p_value"][corrected.index].sort_values()
    by_hand = p_values * len(p_values) / np.arange(1, len(p_values) + 1)
    by_hand = by_hand[::-1].cummin()[::-1]
    assert corrected[p_values.index].tolist() == pytest.approx(by_hand.tolist())


def test_remark_on_what_one_choice_alone_can_show(told):
    remark = sensitivity_report.alone_remark(told)
    assert (
        remark == "Of 2 choices, one alone cannot come out below 3.8e-06 when this is allowed for."
    )
    few = told.assign(formulations=5)
    assert "0.12 when this is allowed for, however large" in sensitivity_report.alone_remark(few)


def test_remarks_tell_failures_and_the_look_at_the_answer(told):
    failures = sensitivity_report.failures_answer(told)
    assert "With the reference, 0 of 20 runs" in failures
    assert "'target: raw' (20 of 20)" in failures
    assert "'learning rate: 1' (20 of 20)" in failures
    assert "'best epoch'" in sensitivity_report.selection_remark(told)
    assert "−30.0" in sensitivity_report.selection_remark(told)
    assert "best epoch" not in sensitivity_report.yardstick_remark(told)


def test_words_without_seeds_variations_or_failures():
    plan = [setting(REFERENCE, "")]
    table = sensitivity_table(predictions_of(REFERENCE, [0.1, 0.2, 0.3]), plan, K_M)
    assert sensitivity_report.sensitivity_answer(table) == "Nothing was varied."
    assert sensitivity_report.selection_remark(table) == ""
    assert "no setting" in sensitivity_report.failures_answer(table)
    assert "1 of 1 errs less" in sensitivity_report.yardstick_remark(table)


def test_table_and_figure_show_every_setting_even_a_diverged_one(told):
    html = sensitivity_report.show_sensitivity(told).to_html()
    assert all(name in html for name in told.index)
    assert "nan" not in html
    assert "inf" not in html
    figure = sensitivity_figure(told)
    labels = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    assert labels == list(told.index)


def test_least_p_value_is_that_of_all_signs_equal():
    from fesemlib.statistics import compare_pairs

    for number in (3, 5, 9):
        zeros = np.zeros(number)
        found = compare_pairs(zeros, 1 + np.arange(number)).p_value
        assert sensitivity_report.least_p_value(number) == pytest.approx(found)


def test_change_parameter_checks_the_value():
    with pytest.raises(ValueError, match="epochs"):
        sensitivity.change_parameter(Parameters(), "epochs", 0)
    with pytest.raises(ValueError, match="epochz"):
        sensitivity.change_parameter(Parameters(), "epochz", 1)
