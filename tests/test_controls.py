"""Controls: known errors on Table 1, isolation of what is left out, and tests that find a leak."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import texture
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from fesemlib.dataset import Dataset, draw_stand_ins, load_dataset
from fesemlib.evaluation import controls
from fesemlib.evaluation.baselines import linear_on_others
from fesemlib.evaluation.controls import (
    PUBLISHED,
    TEXTURE_MODELS,
    averaging_parameters,
    blind_controls,
    composition_controls,
    composition_of,
    evaluation_parameters,
    is_identified,
    network_controls,
    one_number_controls,
    other_dropout_parameters,
    permutation_test,
    predict_left_out,
    published_controls,
    texture_controls,
    with_errors,
)
from fesemlib.evaluation.statistics import permutation_p_value
from fesemlib.formulations import table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import Parameters
from fesemlib.validation.leave_one_out import (
    COLUMNS,
    held_out_predictions,
    leave_one_formulation_out,
)

RNG = np.random.default_rng(0)


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


def features_of(values: np.ndarray) -> pd.DataFrame:
    """Two families of features."""
    columns = [("one" if n % 2 else "two", str(n)) for n in range(values.shape[1])]
    return pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(columns)).rename_axis(
        columns=["family", "feature"]
    )


def mean_errors(table: pd.DataFrame) -> pd.Series:
    return table.groupby("control")["relative_error"].mean()


# ------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize("name", TEXTURE_MODELS)
def test_what_was_left_out_has_no_say(name):
    """Whatever its k_m is, it is predicted alike; scale and tuning come from the others."""
    features, k_m = RNG.normal(size=(10, 4)), RNG.uniform(2e-4, 2e-3, 10)
    formulations = np.repeat(list("ABCDE"), 2)
    before = predict_left_out(TEXTURE_MODELS[name], features, k_m, formulations)
    own = formulations == "C"
    after = predict_left_out(
        TEXTURE_MODELS[name], features, np.where(own, 20 * k_m, k_m), formulations
    )
    assert np.array_equal(before[own], after[own])
    assert not np.allclose(before[~own], after[~own], rtol=1e-6)


@pytest.mark.parametrize("name", TEXTURE_MODELS)
def test_features_of_what_is_left_out_scale_nothing(name):
    """Two images that are left out together: an outlier in one leaves the other's prediction."""
    features, k_m = RNG.normal(size=(10, 4)), RNG.uniform(2e-4, 2e-3, 10)
    formulations = np.repeat(list("ABCDE"), 2)
    outlier = features.copy()
    outlier[4] *= 1e4
    before, after = (
        predict_left_out(TEXTURE_MODELS[name], each, k_m, formulations)
        for each in (features, outlier)
    )
    assert before[5] == after[5]
    assert np.isfinite(after).all()


def ridge_by_hand(features, log_k_m, alpha, left_out):
    """Closed form on standardised features; the intercept is not penalised."""
    mean, std = features.mean(axis=0), features.std(axis=0)
    design = (features - mean) / std
    centred = log_k_m - log_k_m.mean()
    slope = np.linalg.solve(design.T @ design + alpha * np.eye(design.shape[1]), design.T @ centred)
    return np.exp((left_out - mean) / std @ slope + log_k_m.mean())


def test_ridge_equals_two_nested_loops():
    """Choose alpha by leaving out each of the others, then fit to all of these."""
    features = RNG.normal(size=(7, 4))
    k_m = 1e-3 * np.exp(0.5 * features[:, 0] + 0.2 * RNG.normal(size=7))
    alphas = 10.0 ** np.arange(-2, 5)
    expected = []
    for outer in range(7):
        others = np.delete(np.arange(7), outer)
        losses = []
        for alpha in alphas:
            inner = [
                abs(
                    ridge_by_hand(
                        features[others[others != left]],
                        np.log(k_m[others[others != left]]),
                        alpha,
                        features[left],
                    )
                    / k_m[left]
                    - 1
                )
                for left in others
            ]
            losses.append(np.mean(inner))
        best = alphas[int(np.argmin(losses))]
        expected.append(ridge_by_hand(features[others], np.log(k_m[others]), best, features[outer]))
    ours = predict_left_out(TEXTURE_MODELS["ridge"], features, k_m, np.arange(7))
    assert ours == pytest.approx(expected)


def test_linear_model_equals_least_squares_on_the_others():
    features, k_m = RNG.normal(size=(9, 2)), RNG.uniform(2e-4, 2e-3, 9)
    formulations = np.array(list("ABCABCDDE"))
    assert predict_left_out(LinearRegression(), features, k_m, formulations) == pytest.approx(
        linear_on_others(features, k_m, list(formulations))
    )


def test_images_of_one_formulation_are_left_out_together():
    """Its nearest neighbours are its own other images; if they stayed, the errors were zero."""
    formulations = np.repeat(list("ABCDE"), 3)
    features = np.repeat(np.arange(5.0) ** 2, 3)[:, np.newaxis] + RNG.normal(0, 0.01, (15, 1))
    k_m = np.repeat([1.0, 2.0, 4.0, 8.0, 16.0], 3)
    nearest = KNeighborsRegressor(n_neighbors=1)
    predicted = predict_left_out(nearest, features, k_m, formulations)
    assert list(predicted) == [2.0] * 3 + [1.0] * 3 + [2.0] * 3 + [4.0] * 3 + [8.0] * 3


def test_inner_folds_are_formulations_and_at_most_eight():
    seen = []

    class Recording(controls.GridSearchCV):
        def fit(self, X, y, groups=None):
            seen.append([set(groups[test]) for _, test in self.cv.split(X, y, groups)])
            assert all(
                set(groups[train]).isdisjoint(groups[test])
                for train, test in self.cv.split(X, y, groups)
            )
            return super().fit(X, y, groups=groups)

    model = Recording(LinearRegression(), {"fit_intercept": [True]})
    for number in (4, 9, 12):
        names = np.repeat(np.arange(number), 2)
        predict_left_out(model, RNG.normal(size=(2 * number, 1)), np.ones(2 * number), names)
    folds = [len(each) for each in seen]
    assert folds == [3] * 4 + [8] * 9 + [8] * 12
    assert all(len(fold) == 1 for each in seen[:13] for fold in each)


# --------------------------------------------------------------------------- without an image


def test_rules_without_images_on_table_1():
    errors = mean_errors(blind_controls(of_table_1()))
    assert errors["median of the others"] == pytest.approx(0.408, abs=5e-4)
    assert errors["mean of the others"] == pytest.approx(0.501, abs=5e-4)


def test_several_images_do_not_change_what_is_predicted_without_them():
    one, three = (blind_controls(of_table_1(images)) for images in (1, 3))
    assert len(three) == 3 * len(one)
    keys = ["control", "held_out"]
    assert three.groupby(keys)["predicted_km"].nunique().eq(1).all()
    pd.testing.assert_series_equal(
        one.groupby(keys)["relative_error"].mean(), three.groupby(keys)["relative_error"].mean()
    )


def test_errors_are_relative_to_the_true_value():
    table = of_table_1().images
    errors = with_errors({"half": table["k_m"] / 2}, table)
    assert errors["relative_error"].to_numpy() == pytest.approx(0.5)
    assert list(errors["held_out"]) == list("ABCDEFGHI")
    assert with_errors({"none": np.full(9, np.nan)}, table)["relative_error"].isna().all()


# --------------------------------------------------------------------------------- composition


def test_composition_is_that_of_table_1():
    composition = composition_of(of_table_1())
    expected = table1()[["dextran", "mannitol", "PVP"]]
    pd.testing.assert_frame_equal(composition[list(expected)], expected)


@pytest.mark.usefixtures("shared_build")
def test_stand_ins_have_the_composition_controls_of_table_1():
    """The book's default data are read as they are loaded, not as a test would write them."""
    table = composition_controls(load_dataset(Parameters.model_construct(synthetic_width=128)))
    assert "linear in dextran, mannitol, PVP" in set(table["control"])


def test_composition_of_any_solutes_is_read():
    data = own_set(4, ["4% sucrose 2 + 1% glycine", "5% glycine", "2.5 % sucrose 2", "1% arginine"])
    expected = {"sucrose 2": [4, 0, 2.5, 0], "glycine": [1, 5, 0, 0], "arginine": [0, 0, 0, 1]}
    assert composition_of(data).to_dict("list") == expected


@pytest.mark.parametrize(
    "composition",
    [np.nan, None, "", "sugar", ["5% PVP", "5% PVP", np.nan], ["5% PVP", "4% PVP", "a lot"]],
)
def test_without_a_composition_there_are_no_controls_of_it(composition):
    data = own_set(3, composition)
    assert composition_of(data).empty
    table = composition_controls(data)
    assert table.empty
    joined = pd.concat([blind_controls(data), table], ignore_index=True)
    assert joined["relative_error"].dtype == float


@pytest.mark.usefixtures("shared_build")
def test_a_component_that_does_not_vary_tells_nothing():
    assert composition_of(draw_stand_ins(3, 0, (48, 64))).empty
    data = own_set(4, ["1% a + 5% b", "2% a + 5% b", "4% a + 5% b", "3% a + 5% b"])
    assert list(composition_of(data)) == ["a"]


def test_linear_models_of_composition_on_table_1():
    table = composition_controls(of_table_1()).set_index(["control", "held_out"])["relative_error"]
    every = table["linear in dextran, mannitol, PVP"]
    assert every["A"] == pytest.approx(0.23, abs=5e-3)
    assert every["C"] == pytest.approx(0.14, abs=5e-3)
    assert list(every.index[every.isna()]) == ["I"]
    two = table["linear in dextran, mannitol"]
    assert two.mean() == pytest.approx(0.277, abs=5e-4)
    assert not two.isna().any()
    names = {"dextran", "mannitol", "PVP"}
    tried = {
        frozenset(control.removeprefix("linear in ").split(", "))
        for control in table.index.unique("control")
        if control.startswith("linear")
    }
    assert tried == {
        frozenset(part)
        for part in (*[{name} for name in names], *[names - {name} for name in names], names)
    }


def test_linear_model_of_composition_equals_its_closed_form():
    """The residual of the full fit over 1 − leverage."""
    design = np.column_stack([np.ones(9), table1()[["dextran", "mannitol"]]])
    k_m = table1()["k_m"].to_numpy()
    hat = design @ np.linalg.pinv(design)
    expected = np.abs((k_m - hat @ k_m) / (1 - np.diag(hat))) / k_m
    table = composition_controls(of_table_1()).set_index("control")
    assert table.loc["linear in dextran, mannitol", "relative_error"].to_numpy() == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("left_out", "identified"),
    [([0.5, 0.5], True), ([2.0, -1.0], True), ([0.5, 0.6], False), ([2.0, 0.0], False)],
)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_identified_is_what_all_fits_agree_on(left_out, identified, scale):
    """Points on the line x + y = 1 tell nothing of a point beside it."""
    others = scale * np.array([[0.0, 1.0], [1.0, 0.0], [0.3, 0.7], [0.8, 0.2]])
    assert is_identified(others, scale * np.array(left_out)) == identified


def test_with_fewer_formulations_than_coefficients_nothing_else_is_identified():
    assert not is_identified(np.array([[1.0, 2.0]]), np.array([1.0, 2.1]))
    assert is_identified(np.array([[1.0, 2.0]]), np.array([1.0, 2.0]))


def nearest_of(data: Dataset) -> pd.Series:
    table = composition_controls(data).set_index(["control", "held_out"])["predicted_km"]
    return table["nearest composition"]


def test_nearest_composition_takes_the_mean_of_equally_near_ones():
    """B lies as near to C as to D, in whatever order they stand."""
    data = of_table_1()
    nearest = nearest_of(data)
    assert nearest["A"] == pytest.approx(1.4e-3)  # C
    assert nearest["B"] == pytest.approx((1.4e-3 + 1.0e-3) / 2)
    assert nearest["I"] == pytest.approx((1.0e-3 + 9.6e-4) / 2)  # D and G
    turned = dataset_of(data.formulations.iloc[::-1])
    pd.testing.assert_series_equal(nearest, nearest_of(turned).loc[list(nearest.index)])


def test_many_components_do_not_make_thousands_of_models():
    words = [" + ".join(f"{n * m % 7 + 1}% c{m}" for m in range(1, 13)) for n in range(1, 21)]
    tried = set(composition_controls(own_set(20, words))["control"])
    assert len(tried) <= 1 + 12 + 1


# ------------------------------------------------------------------------------- one number


def of_blocks(sides: list[int], pixel_sizes: list[float | None] | None = None) -> Dataset:
    """Noise in blocks of so many px, as long as they are wide; k_m in proportion to the µm."""
    sizes = pixel_sizes or [1.0] * len(sides)
    micrographs = []
    for side, pixel_size in zip(sides, sizes, strict=True):
        noise = np.random.default_rng(7).integers(0, 256, (192 // side, 256 // side))
        blocks = noise.repeat(side, axis=0).repeat(side, axis=1).astype(np.uint8)
        micrographs.append(Micrograph(blocks, pixel_size_um=pixel_size))
    data = own_set(len(sides))
    k_m = 1e-4 * np.array(sides) * [size or 1.0 for size in sizes]
    return replace(data.with_k_m(k_m), micrographs=tuple(micrographs))


LINE, LENGTH = "line in the input's standard deviation", "proportional to the correlation length"


def one_number(data: Dataset, control: str) -> pd.DataFrame:
    parameters = Parameters(equalization="none", background_radius_px=1.0, input_width=64)
    table = one_number_controls(data, parameters)
    return table[table["control"] == control].reset_index(drop=True)


@pytest.mark.usefixtures("shared_build")
@pytest.mark.parametrize("sizes", [None, [0.5] * 4, [2.0, 1.0, 0.5, 1.0]])
def test_correlation_length_finds_k_m_that_follows_the_size_of_the_structure(sizes):
    """In µm where all pixel sizes are known, be they equal or not."""
    errors = one_number(of_blocks([4, 4, 8, 8], sizes), LENGTH)["relative_error"]
    assert errors.max() < 0.1


@pytest.mark.usefixtures("shared_build")
def test_correlation_length_is_in_pixels_where_a_pixel_size_is_unknown():
    known = one_number(of_blocks([4, 4, 8, 8]), LENGTH)
    unknown = of_blocks([4, 4, 8, 8], [None, 1.0, 1.0, 1.0])
    assert one_number(unknown, LENGTH)["predicted_km"].equals(known["predicted_km"])


@pytest.mark.usefixtures("shared_build")
def test_a_flat_frame_has_no_correlation_length_and_no_say():
    data = of_blocks([4, 8, 8])
    flat = Micrograph(np.full((192, 256), 100, np.uint8), pixel_size_um=1.0)
    with_flat = replace(data, micrographs=(*data.micrographs[:2], flat))
    found = one_number(with_flat, LENGTH)["predicted_km"]
    assert np.isnan(found[2])
    assert found[0] == pytest.approx(data.k_m[0], rel=0.1)  # by the second one alone
    alone = replace(data, micrographs=(flat, flat, data.micrographs[2]))
    assert one_number(alone, LENGTH)["predicted_km"].isna().all()


@pytest.mark.usefixtures("shared_build")
@pytest.mark.parametrize("control", [LINE, LENGTH])
def test_one_number_of_what_was_left_out_is_not_fitted(control):
    data = of_blocks([4, 4, 8, 8])
    changed = data.with_k_m(data.formulations["k_m"].to_numpy() * [20.0, 1.0, 1.0, 1.0])
    before, after = (one_number(each, control)["predicted_km"] for each in (data, changed))
    assert before[0] == pytest.approx(after[0])
    assert (after[1:] != before[1:]).all()


@pytest.mark.usefixtures("shared_build")
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
    table = one_number_controls(data, Parameters(**settings, input_width=64))
    assert table.loc[table["control"] == LINE, "relative_error"].max() < 0.1


# ------------------------------------------------------------------------------------- texture


@pytest.mark.slow
def test_a_feature_that_leaks_is_found_and_noise_is_not():
    data = own_set(7)
    leaking = np.random.default_rng(3).normal(size=(7, 6))
    leaking[:, 1] = np.log(data.k_m) * 10
    blind = mean_errors(blind_controls(data))["median of the others"]
    leak = features_of(leaking)
    found = mean_errors(texture_controls(data, leak, leak, Parameters()))
    assert found["one, ridge"] < 0.5 * blind
    assert found["texture, ridge"] < 0.8 * blind
    assert found["two, ridge"] > 0.6 * blind  # the leak is in the other family
    noise = features_of(np.random.default_rng(5).normal(size=(7, 6)))
    coarse = mean_errors(texture_controls(data, noise, leak, Parameters()))
    assert coarse["texture of the network's input, ridge"] == found["texture, ridge"]
    assert coarse["texture, ridge"] > 0.6 * blind


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_texture_of_few_formulations(number, images):
    data = own_set(number, images=images)
    features = features_of(np.random.default_rng(0).normal(size=(number * images, 4)))
    features[("one", "constant")] = 1.0
    table = texture_controls(data, features, features, Parameters())
    if number < 5:
        assert table.empty
        return
    assert list(table.groupby("control").size()) == [number * images] * 6
    assert np.isfinite(table["predicted_km"]).all()
    assert (table["predicted_km"] > 0).all()


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
