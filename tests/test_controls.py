"""Controls: known errors on Table 1, isolation of what is left out, and tests that find a leak."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import texture
from scipy import stats

from fesemlib.dataset import Dataset
from fesemlib.evaluation import controls
from fesemlib.evaluation.baselines import linear_on_others
from fesemlib.evaluation.controls import (
    COMPRESSION,
    INPUT_TEXTURE,
    PUBLISHED,
    SPREAD,
    blind_controls,
    control_summary,
    network_controls,
    other_dropout_parameters,
    permutation_test,
    predictor_controls,
    published_controls,
    with_errors,
    with_inputs,
)
from fesemlib.evaluation.statistics import permutation_p_value
from fesemlib.formulations import table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters
from fesemlib.predictors import Known
from fesemlib.predictors.measures import LENGTH, TEXTURE
from fesemlib.predictors.networks import averaging_parameters, evaluation_parameters
from fesemlib.texture import texture_measures
from fesemlib.validation.leave_one_out import (
    COLUMNS,
    held_out_predictions,
    leave_one_formulation_out,
)

LINE = "line in the input's standard deviation"


def dataset_of(formulations: pd.DataFrame, images: int = 1) -> Dataset:
    """So many micrographs of each formulation, of noise."""
    names = np.repeat(formulations.index.to_numpy(), images)
    table = pd.DataFrame(
        {
            "formulation": names,
            "image": [f"{number}.png" for number in range(len(names))],
            "k_m": np.repeat(formulations["k_m"].to_numpy(), images),
        }
    )
    micrographs = tuple(Micrograph(texture(seed, (24, 32))) for seed in range(len(names)))
    return Dataset(formulations, table, micrographs, False, "")


def of_table_1(images: int = 1) -> Dataset:
    return dataset_of(table1()[["composition", "k_m", "std_percent"]], images)


def own_set(number: int, composition: object = np.nan, images: int = 1) -> Dataset:
    """Formulations of a user: names that are no letters, and nothing known but k_m."""
    names = pd.Index([f"batch {n} (new)" for n in range(number)], name="formulation")
    k_m = np.random.default_rng(number).uniform(2e-4, 2e-3, number)
    columns = {"composition": composition, "k_m": k_m, "std_percent": np.nan}
    return dataset_of(pd.DataFrame(columns, index=names), images)


def known_of(data: Dataset, features: np.ndarray, coarse: np.ndarray) -> Known:
    """Measures in place of those of the images: two families in turn, and of the inputs."""
    kinds = {
        (LENGTH, LENGTH): np.ones(len(features)),
        (SPREAD, SPREAD): features[:, 0],
        **{
            (TEXTURE, f"{'wavelets' if number % 2 else 'spectrum'}: {number}"): column
            for number, column in enumerate(features.T)
        },
        **{(INPUT_TEXTURE, number): column for number, column in enumerate(coarse.T)},
        **{(COMPRESSION, number): column for number, column in enumerate(coarse.T)},
    }
    return Known(pd.DataFrame(kinds), data.k_m, data.images["formulation"].to_numpy())


def mean_errors(table: pd.DataFrame) -> pd.Series:
    return table.groupby("control")["relative_error"].mean()


# --------------------------------------------------------------------------- without an image


def test_rules_without_images_on_table_1():
    errors = mean_errors(blind_controls(of_table_1()))
    assert errors["median of the others"] == pytest.approx(0.408, abs=5e-4)
    assert errors["mean of the others"] == pytest.approx(0.501, abs=5e-4)


@pytest.mark.parametrize("images", [1, 3])
def test_rules_without_images_are_those_of_the_other_formulations(images):
    """Each formulation counts once, however many micrographs show it."""
    data = own_set(4, images=images)
    k_m = data.formulations["k_m"]
    table = blind_controls(data).set_index(["control", "held_out"])["predicted_km"]
    assert len(table) == 2 * 4 * images
    for (control, name), predicted in table.items():
        rule = {"mean": np.mean, "median": np.median}[control.split()[0]]
        assert predicted == pytest.approx(rule(k_m.drop(name)))


def test_errors_are_relative_to_the_true_value():
    table = of_table_1().images
    errors = with_errors({"half": table["k_m"] / 2}, table)
    assert errors["relative_error"].to_numpy() == pytest.approx(0.5)
    assert list(errors["held_out"]) == list("ABCDEFGHI")
    assert with_errors({"none": np.full(9, np.nan)}, table)["relative_error"].isna().all()


def test_those_that_predict_most_come_first_and_of_these_the_best():
    table = of_table_1().images
    k_m = table["k_m"]
    tried = {"half": k_m / 2, "all but A": k_m.where(k_m.index > 0), "near": 1.1 * k_m}
    summary = control_summary(with_errors({**tried, "none": k_m * np.nan}, table))
    assert list(summary.index) == ["near", "half", "all but A"]
    assert summary["mean"].to_numpy() == pytest.approx([0.1, 0.5, 0])
    assert list(summary["formulations"]) == [9, 9, 8]


# --------------------------------------------------------------------------------- predictors


def predicted(data: Dataset, parameters: Parameters) -> pd.DataFrame:
    return predictor_controls(with_inputs(Known.of(data, parameters)), data.images)


@pytest.mark.usefixtures("own_build")
@pytest.mark.parametrize("images", [1, 2])
def test_what_the_networks_inputs_tell_stands_beside_the_measures(images):
    data, parameters = own_set(3, images=images), Parameters(input_width=16)
    known = Known.of(data, parameters)
    both = with_inputs(known)
    before = both.measures[list(known.measures)]
    pd.testing.assert_frame_equal(before, known.measures, check_column_type=False)
    for row, shown in enumerate(network_inputs(data, parameters)):
        assert both.measures[SPREAD, SPREAD][row] == pytest.approx(np.std(shown), rel=1e-5)
        levels = np.rint(255 * shown).astype(np.uint8)
        expected = texture_measures(levels, 1)  # 12 rows are too few for a second scale
        assert both.measures[INPUT_TEXTURE].loc[row].to_numpy() == pytest.approx(
            expected.to_numpy()
        )


@pytest.mark.usefixtures("own_build")
def test_line_finds_k_m_that_follows_the_contrast():
    """Of the same image in several strengths about one mean."""
    contrasts = np.array([0.2, 0.5, 0.7, 1.0])
    pattern = texture(0, (48, 64)).astype(float) - 128
    images = [np.rint(128 + contrast * pattern).astype(np.uint8) for contrast in contrasts]
    data = replace(
        own_set(4).with_k_m(1e-3 * (1 + contrasts)),
        micrographs=tuple(Micrograph(image) for image in images),
    )
    settings = {"equalization": "none", "smooth_background": False, "background_radius_px": 500.0}
    parameters = Parameters(**settings, input_width=64)
    line = predicted(data, parameters).set_index("control").loc[LINE]
    assert line["relative_error"].max() < 0.1
    spread = with_inputs(Known.of(data, parameters)).measures[SPREAD].to_numpy()
    expected = linear_on_others(spread, data.k_m, list(data.images["formulation"]))
    assert line["predicted_km"].to_numpy() == pytest.approx(expected)


@pytest.mark.usefixtures("own_build")
@pytest.mark.parametrize(
    "composition",
    [np.nan, None, "", "sugar", ["5% PVP", "5% PVP", np.nan], ["5% PVP", "4% PVP", "a lot"]],
)
def test_without_a_composition_there_are_no_controls_of_it(composition):
    tried = set(predicted(own_set(3, composition), Parameters(input_width=16))["control"])
    assert tried == {"proportional to the correlation length", LINE}


@pytest.mark.usefixtures("own_build")
def test_a_composition_has_controls_of_its_own():
    data = own_set(3, ["5% a", "4% a + 1% b", "1% a"], images=2)
    table = predicted(data, Parameters(input_width=16))
    tried = {control for control in table["control"] if control.startswith(("linear", "nearest"))}
    assert tried == {"nearest composition", "linear in a", "linear in b", "linear in a, b"}
    assert table.groupby("control").size().eq(6).all()
    nearest = table[table["control"] == "nearest composition"].set_index("held_out")
    k_m = data.formulations["k_m"].to_numpy()
    assert nearest["predicted_km"].unique() == pytest.approx(k_m[[1, 0, 1]][:2])


@pytest.mark.usefixtures("own_build")
def test_no_control_is_listed_twice():
    """In the table of the evaluation they stand one below the other."""
    data = own_set(3)
    every = pd.concat([blind_controls(data), predicted(data, Parameters(input_width=16))])
    assert not every.duplicated(["control", "image"]).any()


@pytest.mark.slow
def test_a_feature_that_leaks_is_found_and_noise_is_not():
    data = own_set(7)
    leaking = np.random.default_rng(3).normal(size=(7, 6))
    leaking[:, 1] = np.log(data.k_m) * 10
    blind = mean_errors(blind_controls(data))["median of the others"]
    found = mean_errors(predictor_controls(known_of(data, leaking, leaking), data.images))
    assert found["wavelets, ridge"] < 0.5 * blind
    assert found["texture, ridge"] < 0.8 * blind
    assert found["spectrum, ridge"] > 0.6 * blind  # the leak is in the other family
    noise = np.random.default_rng(5).normal(size=(7, 6))
    coarse = mean_errors(predictor_controls(known_of(data, noise, leaking), data.images))
    assert coarse["texture of the network's input, ridge"] == found["texture, ridge"]
    assert coarse["texture, ridge"] > 0.6 * blind


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("number", [2, 4, 5])
def test_texture_of_few_formulations(number, images):
    data = own_set(number, images=images)
    features = np.random.default_rng(0).normal(size=(number * images, 5))
    features[:, 3] = 1.0  # what is constant
    table = predictor_controls(known_of(data, features, features), data.images)
    of_texture = table[table["control"].str.contains("texture|wavelets|spectrum")]
    if number < 5:
        assert of_texture.empty
        return
    assert list(of_texture.groupby("control").size()) == [number * images] * 8
    assert np.isfinite(of_texture["predicted_km"]).all()
    assert (of_texture["predicted_km"] > 0).all()


# ------------------------------------------------------------------------------------ networks


def predictions(errors: dict[tuple[str, int], float]) -> pd.DataFrame:
    rows = [
        (name, name, f"{name}.png", "test", 0, seed, "original", 1, 1.0, 1 + error, error)
        for (name, seed), error in errors.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_every_seed_of_a_network_is_a_row():
    table = network_controls({"ours": predictions({("A", 0): 0.1, ("A", 1): 0.3, ("B", 0): 1.0})})
    assert list(table["control"]) == ["ours"] * 3
    assert list(table["seed"]) == [0, 1, 0]
    assert list(table["relative_error"]) == [0.1, 0.3, 1.0]


def test_published_errors_stand_beside_the_papers_formulations_only():
    table = published_controls(of_table_1())
    assert tuple(table["control"].unique()) == PUBLISHED
    assert mean_errors(table).loc[list(PUBLISHED)].to_numpy() == pytest.approx(
        [0.446, 0.305], abs=5e-4
    )
    none = published_controls(own_set(4))
    assert none.empty
    joined = pd.concat([blind_controls(own_set(4)), none], ignore_index=True)
    assert joined["relative_error"].dtype == float


def test_settings_of_what_is_repeated_many_times():
    given = Parameters(
        input_width=96,
        evaluation_width=64,
        evaluation_seeds=3,
        epochs=7,
        averaging_epochs=50,
        averaging_learning_rate=0.01,
    )
    small = evaluation_parameters(given)
    assert (small.input_width, small.number_of_seeds, small.epochs) == (64, 3, 7)
    assert evaluation_parameters(Parameters(input_width=32)).input_width == 32
    other = other_dropout_parameters(given)
    assert {given.dropout_position, other.dropout_position} == {"flatten", "dense"}
    assert other == small.model_copy(update={"dropout_position": other.dropout_position})
    averaging = averaging_parameters(given)
    assert (averaging.head, averaging.epochs, averaging.learning_rate) == (
        "global_average",
        50,
        0.01,
    )
    changed = {"input_width", "number_of_seeds", "head", "epochs", "learning_rate"}
    assert averaging.model_dump(exclude=changed) == given.model_dump(exclude=changed)


# -------------------------------------------------------------------------------- permutations


def by_brightness(dataset: Dataset, parameters: Parameters, _: object) -> pd.DataFrame:
    """In place of a network: least squares on the mean grey level, with every fold of its own."""
    grey = np.array([[m.image.mean()] for m in dataset.micrographs])
    predicted = linear_on_others(grey, dataset.k_m, list(dataset.images["formulation"]))
    return dataset.images.assign(
        held_out=dataset.images["formulation"],
        role="test",
        seed=parameters.first_seed,
        training_set="original",
        epoch=1,
        true_km=dataset.k_m,
        predicted_km=predicted,
        relative_error=np.abs(predicted - dataset.k_m) / dataset.k_m,
    )


def with_brightness(data: Dataset, levels: np.ndarray) -> Dataset:
    images = tuple(Micrograph(np.full((2, 2), level)) for level in levels)
    return Dataset(data.formulations, data.images, images, False, "")


def test_shuffled_labels_find_images_that_leak(monkeypatch):
    monkeypatch.setattr(controls.leave_one_out, "train_splits", by_brightness)
    data = own_set(8)
    leaking = with_brightness(data, 1e5 * data.k_m)
    orders = permutation_test(leaking, Parameters(), 99)
    assert orders.iloc[0].to_numpy() == pytest.approx(0, abs=1e-9)
    for measure in orders:
        p_value = permutation_p_value(orders[measure][0], orders[measure][1:])
        assert p_value == pytest.approx(1 / 100)


def test_p_values_of_images_that_tell_nothing_are_uniform(monkeypatch):
    monkeypatch.setattr(controls.leave_one_out, "train_splits", by_brightness)
    rng = np.random.default_rng(0)
    data = own_set(6)
    p_values = []
    for number in range(60):
        told = with_brightness(data, rng.normal(100, 10, 6))
        errors = permutation_test(told, Parameters(first_seed=number), 9)["mean"]
        p_values.append(permutation_p_value(errors[0], errors[1:]))
    counts = np.bincount(np.rint(10 * np.array(p_values)).astype(int), minlength=11)[1:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_shuffles_keep_the_images_of_a_formulation_together(monkeypatch):
    seen = []

    def record(dataset, parameters, splits):
        seen.append(dataset)
        assert [split.held_out for split in splits] == [
            (name,) for name in dataset.formulations.index
        ]
        assert all(split.to_criterion for split in splits)
        return by_brightness(dataset, parameters, splits)

    monkeypatch.setattr(controls.leave_one_out, "train_splits", record)
    data = own_set(5, images=2)
    permutation_test(data, Parameters(), 6)
    assert np.array_equal(seen[0].k_m, data.k_m)
    for shuffled in seen:
        assert sorted(shuffled.formulations["k_m"]) == sorted(data.formulations["k_m"])
        own = shuffled.formulations["k_m"].loc[list(shuffled.images["formulation"])]
        assert np.array_equal(shuffled.k_m, own)
    assert len({tuple(each.formulations["k_m"]) for each in seen}) > 3


@pytest.mark.slow
@pytest.mark.usefixtures("shared_build")
def test_true_order_is_leave_one_out_of_the_first_seed():
    """Of the real network, which is trained for it once."""
    data = own_set(3)
    settings = {"input_width": 32, "epochs": 1, "first_seed": 4, "parallel_jobs": 1}
    orders = permutation_test(data, Parameters(**settings, number_of_seeds=2), 1)
    results = leave_one_formulation_out(data, Parameters(**settings), to_criterion=True)
    last = held_out_predictions(results)
    assert orders["mean"].to_list()[0] == last["relative_error"].mean()
    assert len(orders) == 2
