"""Predictors of measures, and the choice among them: against closed forms and naive loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import texture
from scipy import ndimage, stats
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

from fesemlib.dataset import Dataset, draw_stand_ins, load_dataset
from fesemlib.evaluation.baselines import linear_on_others
from fesemlib.formulations import table1
from fesemlib.micrographs.files import PredictionError
from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import Parameters, ProcessingParameters
from fesemlib.predictors import regressions, select, selection
from fesemlib.predictors.combined import _FAR, LENGTH_AND_TEXTURE, TEXTURE_MEAN, Combined
from fesemlib.predictors.domain import Domain
from fesemlib.predictors.known import Known, Predictor, Seen
from fesemlib.predictors.listing import candidates_of, predictor_named, predictors_of
from fesemlib.predictors.measures import (
    COMPOSITION,
    LENGTH,
    TEXTURE,
    Measuring,
    composition_of,
    measures_of,
    measuring_of,
    told_composition,
)
from fesemlib.predictors.regressions import (
    CORRECTED,
    MEAN,
    MEDIAN,
    PROPORTIONAL,
    RIDGE,
    TEXTURES,
    IdentifiedLine,
    Nearest,
    Regression,
    composition_predictors,
    is_identified,
    of_logarithm,
)
from fesemlib.processing import process_with
from fesemlib.texture import cooccurrence, correlation_length, spectrum, wavelets

RNG = np.random.default_rng(0)
STEADY = Regression("steady ridge", "texture", of_logarithm(Ridge(1.0)), (TEXTURE,))
LINE = Regression("line", "texture", LinearRegression(), (TEXTURE,), ("wavelets: 0",))
NEAREST = Regression("nearest", "texture", Nearest(), (TEXTURE,))
BOTH = Combined("both", "length_and_texture", (PROPORTIONAL, STEADY))
QUICK = (PROPORTIONAL, LINE, NEAREST, STEADY, BOTH)


def grains(seed: int, shape: tuple[int, int] = (96, 128), sigma: float = 2.0) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def names_of(number: int, images: int = 1) -> np.ndarray:
    return np.repeat([f"batch {n}" for n in range(number)], images)


def known_of(
    features: np.ndarray,
    k_m: np.ndarray,
    names: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    composition: pd.DataFrame | None = None,
) -> Known:
    """Numbers in place of measured ones."""
    kinds = {(LENGTH, LENGTH): np.ones(len(k_m)) if lengths is None else lengths}
    kinds |= {(TEXTURE, f"wavelets: {n}"): each for n, each in enumerate(np.transpose(features))}
    for component in [] if composition is None else composition:
        kinds[COMPOSITION, component] = composition[component].to_numpy()
    return Known(pd.DataFrame(kinds), k_m, names_of(len(k_m)) if names is None else names)


def following(seed: int, number: int, images: int = 1, noise: float = 0.3, features: int = 3):
    """k_m in proportion to a length, and texture that tells of it, both but for noise."""
    rng = np.random.default_rng(seed)
    k_m = np.repeat(1e-3 * np.exp(rng.normal(0, 0.6, number)), images)
    lengths = 5e3 * k_m * np.exp(noise * rng.normal(size=len(k_m)))
    texture = np.log(k_m)[:, np.newaxis] + noise * rng.normal(size=(len(k_m), features))
    return known_of(texture, k_m, names_of(number, images), lengths)


def chance(seed: int, number: int, images: int = 1, features: int = 6) -> Known:
    """Measures that tell nothing of k_m."""
    rng = np.random.default_rng(seed)
    k_m = np.repeat(1e-3 * np.exp(rng.normal(0, 0.6, number)), images)
    lengths = np.exp(rng.normal(1, 0.3, len(k_m)))
    random = rng.normal(size=(len(k_m), features))
    return known_of(random, k_m, names_of(number, images), lengths)


def each_left_out(predictor: Predictor, known: Known) -> np.ndarray:
    """Each micrograph as predicted without its formulation."""
    names = list(dict.fromkeys(known.formulations))
    table = predictor.left_out(known, [(name,) for name in names])
    for name, row in zip(names, table, strict=True):
        assert np.isnan(row[known.formulations != name]).all()
    return np.array(
        [table[names.index(name), image] for image, name in enumerate(known.formulations)]
    )


# ------------------------------------------------------------------------------------- measures


def test_half_the_pixel_size_gives_the_same_measures():
    """A finer micrograph of the same place, of four pixels for each: their mean is what counts."""
    measuring = Measuring((96, 128), 1.0, ProcessingParameters(background_radius_px=20.0))
    fine = grains(0, (192, 256), 4.0)
    coarse = np.rint(fine.reshape(96, 2, 128, 2).mean(axis=(1, 3))).astype(np.uint8)
    one, other = measuring.of(coarse, 1.0), measuring.of(fine, 0.5)
    pd.testing.assert_series_equal(one[TEXTURE], other[TEXTURE])
    assert other[LENGTH, LENGTH] == pytest.approx(one[LENGTH, LENGTH], rel=0.03)
    enlarged = np.kron(coarse, np.ones((2, 2), np.uint8))
    pd.testing.assert_series_equal(measuring.of(enlarged, 0.5)[TEXTURE], one[TEXTURE])


@pytest.mark.parametrize("pixel_size", [0.7, 0.41])
def test_any_finer_pixel_gives_about_the_same_measures(pixel_size):
    """Of one field, drawn again at another pixel size."""
    measuring = Measuring((192, 256), 1.0, ProcessingParameters(background_radius_px=20.0))
    field_um = ndimage.zoom(grains(1, (192, 256), 4.0).astype(float), 1 / pixel_size, order=3)
    drawn = np.clip(np.rint(field_um), 0, 255).astype(np.uint8)
    one, other = measuring.of(grains(1, (192, 256), 4.0)), measuring.of(drawn, pixel_size)
    assert other[LENGTH, LENGTH] == pytest.approx(one[LENGTH, LENGTH], rel=0.05)
    for name in ("co-occurrence: correlation at 4 px", "wavelets: share of the variance at 4 px"):
        assert other[TEXTURE, name] == pytest.approx(one[TEXTURE, name], abs=0.1)


@pytest.mark.parametrize("known_um", [1.0, None])
def test_wide_frames_are_measured_at_1024_px(known_um):
    """Averaged over blocks first, then processed with a ball as much smaller."""
    given = ProcessingParameters(background_radius_px=12.0)
    measuring = Measuring((100, 2048), known_um, given)
    image = texture(0, (100, 2048))
    halved = np.round(image.reshape(50, 2, 1024, 2).mean(axis=(1, 3))).astype(np.uint8)
    by_hand = process_with(given.changed(background_radius_px=6.0), halved).equalized
    assert np.array_equal(measuring.reduced(image), by_hand)
    assert measuring.length(image) == correlation_length(image)


def test_a_pixel_size_within_a_percent_is_that_of_the_set():
    measuring = Measuring((96, 128), 2.0, ProcessingParameters())
    image = grains(2)
    for pixel_size in (None, 1.981, 2.019):
        assert np.array_equal(measuring.reduced(image, pixel_size), measuring.reduced(image))
    assert measuring.length(image) == pytest.approx(2 * correlation_length(image))
    assert measuring.length(image, 1.5) == pytest.approx(1.5 * correlation_length(image))


def test_without_a_pixel_size_of_the_set_all_lengths_are_in_pixels():
    measuring = Measuring((96, 128), None, ProcessingParameters())
    image = grains(2)
    pd.testing.assert_series_equal(measuring.of(image, 0.3), measuring.of(image))


def test_a_part_of_a_frame_is_accepted_down_to_half_its_sides():
    measuring = Measuring((96, 128), 1.0, ProcessingParameters())
    whole = grains(3, (200, 300))
    for shape in ((96, 128), (48, 64), (49, 300), (200, 65)):
        measured = measuring.of(whole[: shape[0], : shape[1]])
        assert list(measured.index) == measuring.names
        assert np.isfinite(measured[TEXTURE]).all()
    for shape in ((47, 300), (200, 63)):
        with pytest.raises(PredictionError, match=f"^{shape[1]}×{shape[0]} px.*needs 64×48 px"):
            measuring.of(whole[: shape[0], : shape[1]])
    with pytest.raises(PredictionError, match=r"^128×90 px.*needs 128×96 px"):
        measuring.of(whole[:90, :128], 0.5)  # finer, so that it shows less


@pytest.mark.parametrize("pixel_size", [1.0, 0.77])
def test_the_size_that_a_message_asks_for_is_enough(pixel_size):
    for side in range(90, 100):
        measuring = Measuring((side, 128), 1.0, ProcessingParameters())
        with pytest.raises(PredictionError, match="needs") as refused:
            measuring.reduced(texture(0, (8, 8)), pixel_size)
        width, height = str(refused.value).split("needs ")[1].split(" px")[0].split("×")
        measuring.reduced(texture(0, (int(height), int(width))), pixel_size)


def test_what_is_too_coarse_is_refused():
    measuring = Measuring((96, 128), 1.0, ProcessingParameters())
    with pytest.raises(PredictionError, match=r"1\.2 µm a pixel, but the model needs 1 µm or fin"):
        measuring.of(grains(4), 1.2)
    wide = Measuring((192, 2048), 0.5, ProcessingParameters())  # measured at 1 µm
    assert wide.reduced(texture(0, (96, 1024)), 1.0).shape == (96, 1024)
    with pytest.raises(PredictionError, match=r"1\.1 µm a pixel, but the model needs 1 µm"):
        wide.of(texture(0, (96, 1024)), 1.1)


@pytest.mark.filterwarnings("error")
def test_a_flat_frame_has_no_length():
    measuring = Measuring((96, 128), 1.0, ProcessingParameters())
    measured = measuring.of(np.full((96, 128), 90, np.uint8))
    assert np.isnan(measured[LENGTH, LENGTH])
    assert np.isfinite(measured[TEXTURE]).all()
    assert np.isnan(measuring.length(grains(0, (48, 64), 30.0)))  # of too few pores


def test_names_are_those_of_the_values():
    """Each measure by itself, of what the others are measured on."""
    measuring = Measuring((96, 128), 1.0, ProcessingParameters())
    image = grains(5)
    reduced = measuring.reduced(image)
    expected = {(LENGTH, LENGTH): correlation_length(image)}
    families = {
        "co-occurrence": cooccurrence(reduced),
        "spectrum": spectrum(reduced),
        "wavelets": wavelets(reduced, 3),
    }
    for family, values in families.items():
        expected |= {(TEXTURE, f"{family}: {name}"): value for name, value in values.items()}
    assert measuring.of(image).to_dict() == expected
    assert measuring.names == list(expected)


def described(composition: object, images: int = 2) -> Dataset:
    """Formulations of these compositions, with micrographs of each."""
    number = 4 if isinstance(composition, str | float | None) else len(composition)
    names = pd.Index([f"batch {n} (new)" for n in range(number)], name="formulation")
    k_m = np.random.default_rng(number).uniform(2e-4, 2e-3, number)
    table = pd.DataFrame({"composition": composition, "k_m": k_m}, index=names)
    shown = pd.DataFrame({"formulation": np.tile(names, images), "k_m": np.tile(k_m, images)})
    shown["image"] = [f"{image}.png" for image in shown.index]
    micrographs = tuple(Micrograph(grains(seed), 0.5) for seed in shown.index)
    return Dataset(table, shown, micrographs, False, "")


def test_a_data_set_is_measured_one_by_one_and_has_its_composition():
    data = described(["4% a + 1% b", "5% b", "2.5% a"])
    parameters = Parameters(background_radius_px=10.0)
    known = Known.of(data, parameters)
    measuring = Measuring((96, 128), 0.5, parameters)
    for row, micrograph in enumerate(data.micrographs):
        expected = measuring.of(micrograph.image, 0.5)
        own = known.measures.loc[row]
        assert own[[LENGTH, TEXTURE]].to_dict() == expected.to_dict()
        assert measuring_of(data, parameters).of(micrograph.image).equals(expected)
    composition = known.measures[COMPOSITION]
    assert composition.to_dict("list") == {"a": [4, 0, 2.5] * 2, "b": [1, 5, 0] * 2}
    assert list(known.formulations) == list(data.images["formulation"])
    assert np.array_equal(known.k_m, data.k_m)


# ---------------------------------------------------------------------------------- composition


def test_composition_is_that_of_table_1():
    data = replace(described("5% PVP"), formulations=table1()[["composition", "k_m"]])
    expected = table1()[["dextran", "mannitol", "PVP"]]
    pd.testing.assert_frame_equal(composition_of(data)[list(expected)], expected)


def test_composition_of_any_solutes_is_read():
    data = described(["4% sucrose 2 + 1% glycine", "5% glycine", "2.5 % sucrose 2", "1% arginine"])
    expected = {"sucrose 2": [4, 0, 2.5, 0], "glycine": [1, 5, 0, 0], "arginine": [0, 0, 0, 1]}
    assert composition_of(data).to_dict("list") == expected


@pytest.mark.parametrize(
    "composition",
    [np.nan, None, "", "sugar", ["5% PVP", "5% PVP", np.nan], ["5% PVP", "4% PVP", "a lot"]],
)
def test_without_a_composition_there_are_no_measures_of_it(composition):
    data = described(composition, images=1)
    assert composition_of(data).empty
    assert COMPOSITION not in measures_of(data, Parameters())


def test_a_component_that_does_not_vary_tells_nothing():
    """It is known, but no line goes by it."""
    data = described(["1% a + 5% b", "2% a + 5% b", "4% a + 5% b", "3% a + 5% b"])
    known = Known.of(data, Parameters())
    assert known.measures[COMPOSITION].iloc[2].to_dict() == {"a": 4, "b": 5}
    assert known.components == ["a"]
    lines = [each.name for each in predictors_of(known) if each.kind == "composition"]
    assert lines == ["nearest composition", "linear in a"]
    same = Known.of(draw_stand_ins(3, 0, (48, 64)), Parameters())
    assert same.components == []
    assert not any(each.kind == "composition" for each in predictors_of(same))
    assert Known(pd.DataFrame(index=range(2)), same.k_m[:2], np.array(["a", "b"])).components == []


@pytest.mark.usefixtures("shared_build")
def test_stand_ins_have_the_composition_predictors_of_table_1():
    """The book's default data are read as they are loaded, not as a test would write them."""
    parameters = Parameters.model_construct(synthetic_width=128)
    known = Known.of(load_dataset(parameters), parameters)
    assert "linear in dextran, mannitol, PVP" in {each.name for each in predictors_of(known)}


def test_a_composition_that_is_told_is_that_of_the_known_components():
    told = told_composition("4% dextran", ["dextran", "mannitol"])
    assert told.to_dict() == {(COMPOSITION, "dextran"): 4.0, (COMPOSITION, "mannitol"): 0.0}
    for text in ("a lot", "", "dextran"):
        with pytest.raises(PredictionError, match=r"write it as '4% dextran \+ 1% mannitol'"):
            told_composition(text, ["dextran"])
    with pytest.raises(PredictionError, match="salt, sugar is unknown; the model knows dextran, b"):
        told_composition("1% sugar + 4% dextran + 2% salt", ["dextran", "b"])


def of_table_1(images: int = 1, turned: bool = False) -> Known:
    table = table1().iloc[:: -1 if turned else 1]
    table = table.loc[np.repeat(table.index, images)]
    features = np.zeros((len(table), 1))
    composition = table[["dextran", "mannitol", "PVP"]]
    return known_of(features, table["k_m"].to_numpy(), table.index.to_numpy(), None, composition)


def errors_by_composition(images: int = 1) -> pd.DataFrame:
    """The relative error of every formulation of Table 1, a column each."""
    known = of_table_1(images)
    rows = {
        each.name: np.abs(each_left_out(each, known) / known.k_m - 1)
        for each in composition_predictors(["dextran", "mannitol", "PVP"])
    }
    return pd.DataFrame(rows, index=known.formulations).T


@pytest.mark.parametrize("images", [1, 2])
def test_lines_in_the_composition_on_table_1(images):
    """However many micrographs show a formulation."""
    errors = errors_by_composition(images).T.groupby(level=0).first().T
    every = errors.loc["linear in dextran, mannitol, PVP"]
    assert every["A"] == pytest.approx(0.23, abs=5e-3)
    assert every["C"] == pytest.approx(0.14, abs=5e-3)
    assert list(every.index[every.isna()]) == ["I"]
    two = errors.loc["linear in dextran, mannitol"]
    assert two.mean() == pytest.approx(0.277, abs=5e-4)
    names = {"dextran", "mannitol", "PVP"}
    tried = {
        frozenset(control.removeprefix("linear in ").split(", "))
        for control in errors.index
        if control.startswith("linear")
    }
    assert tried == {
        frozenset(part)
        for part in (*[{name} for name in names], *[names - {name} for name in names], names)
    }


def test_line_in_the_composition_equals_its_closed_form():
    """The residual of the full fit over 1 − leverage."""
    design = np.column_stack([np.ones(9), table1()[["dextran", "mannitol"]]])
    k_m = table1()["k_m"].to_numpy()
    hat = design @ np.linalg.pinv(design)
    expected = np.abs((k_m - hat @ k_m) / (1 - np.diag(hat))) / k_m
    found = errors_by_composition().loc["linear in dextran, mannitol"]
    assert found.to_numpy() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("left_out", "identified"),
    [([0.5, 0.5], True), ([2.0, -1.0], True), ([0.5, 0.6], False), ([2.0, 0.0], False)],
)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_identified_is_what_all_fits_agree_on(left_out, identified, scale):
    """Points on the line x + y = 1 tell nothing of a point beside it."""
    others = scale * np.array([[0.0, 1.0], [1.0, 0.0], [0.3, 0.7], [0.8, 0.2]])
    left_out = scale * np.array(left_out)
    assert is_identified(others, left_out) == identified
    line = IdentifiedLine().fit(others, others[:, 0] / scale)
    expected = left_out[0] / scale if identified else np.nan
    assert line.predict(left_out[np.newaxis]) == pytest.approx([expected], nan_ok=True)


def test_with_fewer_formulations_than_coefficients_nothing_else_is_identified():
    assert not is_identified(np.array([[1.0, 2.0]]), np.array([1.0, 2.1]))
    assert is_identified(np.array([[1.0, 2.0]]), np.array([1.0, 2.0]))


def test_nearest_composition_takes_the_mean_of_equally_near_ones():
    """B lies as near to C as to D, in whatever order they stand."""
    predictor = composition_predictors(["dextran", "mannitol", "PVP"])[0]
    assert predictor.name == "nearest composition"
    for known in (of_table_1(), of_table_1(turned=True), of_table_1(images=3)):
        nearest = dict(zip(known.formulations, each_left_out(predictor, known), strict=True))
        assert nearest["A"] == pytest.approx(1.4e-3)  # C
        assert nearest["B"] == pytest.approx((1.4e-3 + 1.0e-3) / 2)
        assert nearest["I"] == pytest.approx((1.0e-3 + 9.6e-4) / 2)  # D and G


@pytest.mark.parametrize(("components", "predictors"), [(0, 0), (1, 2), (3, 8), (4, 6), (12, 14)])
def test_many_components_do_not_make_thousands_of_models(components, predictors):
    names = [f"c{number}" for number in range(components)]
    assert len(composition_predictors(names)) == predictors


# ---------------------------------------------------------------------------------- regressions


@pytest.mark.parametrize(
    "predictor", [PROPORTIONAL, CORRECTED, *TEXTURES], ids=lambda each: each.name
)
def test_what_was_left_out_has_no_say(predictor):
    """Whatever its k_m and the measures of its other micrographs are, it is predicted alike."""
    known = following(0, 6, images=2)
    own = known.formulations == "batch 2"
    held_out = [("batch 2",), ("batch 2", "batch 4")]
    before = predictor.left_out(known, held_out)
    relabelled = replace(known, k_m=np.where(own, 20 * known.k_m, known.k_m))
    np.testing.assert_array_equal(predictor.left_out(relabelled, held_out), before)
    outlier = known.measures.copy()
    outlier.loc[4] *= 1e4  # one of the two
    after = predictor.left_out(replace(known, measures=outlier), held_out)
    np.testing.assert_array_equal(np.delete(after, 4, axis=1), np.delete(before, 4, axis=1))
    assert np.isfinite(after[0, own]).all()
    assert (after[0, 4] > 0) & (after[0, 4] != before[0, 4])
    others = predictor.left_out(relabelled, [("batch 3",)])
    assert not np.allclose(others[0, 6:8], predictor.left_out(known, [("batch 3",)])[0, 6:8])


@pytest.mark.parametrize(
    "predictor", [MEDIAN, MEAN, *QUICK, CORRECTED, *TEXTURES], ids=lambda each: each.name
)
def test_left_out_are_the_groups_that_are_named_and_no_other(predictor):
    """As predicted one by one by what is fitted to a set that they are not in."""
    known = following(1, 6, images=2)
    held_out = [("batch 1",), ("batch 5", "batch 2")]
    table = predictor.left_out(known, held_out)
    for names, row in zip(held_out, table, strict=True):
        test = np.isin(known.formulations, names)
        learned = predictor.fit(known.only(~test))
        expected = [
            predictor.predict(learned, Seen(measures)) for _, measures in known.measures.iterrows()
        ]
        assert row == pytest.approx(np.where(test, expected, np.nan), nan_ok=True)


def ridge_by_hand(features, log_k_m, alpha, left_out):
    """Closed form; the intercept is not penalised. The logarithm of k_m."""
    mean, centred = features.mean(axis=0), log_k_m - log_k_m.mean()
    design = features - mean
    slope = np.linalg.solve(design.T @ design + alpha * np.eye(design.shape[1]), design.T @ centred)
    return (left_out - mean) @ slope + log_k_m.mean()


@pytest.mark.parametrize("images", [1, 2])
def test_ridge_equals_two_nested_loops(images):
    """Scale the others, choose alpha by leaving out each of them, then fit to all of them."""
    known = following(3, 7, images, noise=0.8, features=4)
    features, log_k_m = known.measures[TEXTURE].to_numpy(), np.log(known.k_m)
    alphas = 10.0 ** np.arange(-2, 5)
    expected, chosen = np.zeros(len(log_k_m)), set()
    for outer in names_of(7):
        test = known.formulations == outer
        scaled = (features - features[~test].mean(axis=0)) / features[~test].std(axis=0)
        losses = []
        for alpha in alphas:
            inner = []
            for left in set(known.formulations) - {outer}:
                own = known.formulations == left
                rest = ~test & ~own
                said = ridge_by_hand(scaled[rest], log_k_m[rest], alpha, scaled[own])
                inner.extend(np.abs(said - log_k_m[own]))
            losses.append(np.mean(inner))
        best = alphas[int(np.argmin(losses))]
        chosen.add(best)
        expected[test] = np.exp(ridge_by_hand(scaled[~test], log_k_m[~test], best, scaled[test]))
    assert len(chosen) > 1
    ours = each_left_out(TEXTURES[0], known)
    assert TEXTURES[0].regressor is RIDGE
    assert ours == pytest.approx(expected)


def test_line_equals_least_squares_on_the_others():
    features, k_m = RNG.normal(size=(9, 2)), RNG.uniform(2e-4, 2e-3, 9)
    known = known_of(features, k_m, np.array(list("ABCABCDDE")))
    both = Regression("line in both", "texture", LinearRegression(), (TEXTURE,))
    expected = linear_on_others(features, k_m, list(known.formulations))
    assert each_left_out(both, known) == pytest.approx(expected)
    expected = linear_on_others(features[:, :1], k_m, list(known.formulations))
    assert each_left_out(LINE, known) == pytest.approx(expected)


def test_images_of_one_formulation_are_left_out_together():
    """Its nearest neighbours are its own other images; if they stayed, the errors were zero."""
    features = np.repeat(np.arange(5.0) ** 2, 3)[:, np.newaxis] + RNG.normal(0, 0.01, (15, 1))
    known = known_of(features, np.repeat([1.0, 2.0, 4.0, 8.0, 16.0], 3), names_of(5, 3))
    nearest = Regression("neighbour", "texture", KNeighborsRegressor(n_neighbors=1), (TEXTURE,))
    expected = [2.0] * 3 + [1.0] * 3 + [2.0] * 3 + [4.0] * 3 + [8.0] * 3
    assert list(each_left_out(nearest, known)) == expected


@pytest.mark.parametrize("images", [1, 3])
def test_median_and_mean_count_a_formulation_once(images):
    """Even where it has more micrographs than the others."""
    k_m = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    names = np.concatenate([names_of(5), *[["batch 4"]] * (images - 1)])
    known = known_of(np.zeros((len(names), 1)), k_m[[0, 1, 2, 3, 4, *[4] * (images - 1)]], names)
    for predictor, rule in ((MEDIAN, np.median), (MEAN, np.mean)):
        found = each_left_out(predictor, known)
        for number in range(5):
            assert found[number] == pytest.approx(rule(np.delete(k_m, number)))


def test_inner_folds_are_formulations_and_at_most_eight(monkeypatch):
    seen = []

    class Recording(regressions.GroupKFold):
        def split(self, X, y=None, groups=None):
            folds = list(super().split(X, y, groups))
            seen.append([set(groups[test]) for _, test in folds])
            assert all(set(groups[train]).isdisjoint(groups[test]) for train, test in folds)
            return iter(folds)

    monkeypatch.setattr(regressions, "GroupKFold", Recording)
    tuned = Regression("tuned", "texture", of_logarithm(Ridge(), alpha=[1.0, 2.0]), (TEXTURE,))
    for number in (4, 9, 12):
        each_left_out(tuned, chance(number, number, images=2))
    folds = [len(each) for each in seen]
    assert folds == [3] * 4 + [8] * 9 + [8] * 12
    assert all(len(fold) == 1 for each in seen[:13] for fold in each)
    for each in seen:
        assert sum(map(len, each)) == len(set().union(*each))


def test_length_law_is_the_geometric_mean_of_the_ratios():
    known = following(4, 5, images=2)
    lengths = known.measures[LENGTH, LENGTH].to_numpy()
    found = each_left_out(PROPORTIONAL, known)
    for image, name in enumerate(known.formulations):
        others = known.formulations != name
        constant = stats.gmean(known.k_m[others] / lengths[others])
        assert found[image] == pytest.approx(constant * lengths[image])


def test_corrected_length_is_the_length_times_a_ridge_of_the_ratio():
    """As if k_m per length were what is asked for, and given by the texture alone."""
    known = following(4, 6, images=2)
    lengths = known.measures[LENGTH, LENGTH].to_numpy()
    ratios = each_left_out(TEXTURES[0], replace(known, k_m=known.k_m / lengths))
    assert each_left_out(CORRECTED, known) == pytest.approx(lengths * ratios)


def test_length_law_finds_k_m_that_follows_the_size_of_the_structure():
    """Noise in blocks of so many px, measured as a micrograph is."""
    sides = np.array([4, 4, 8, 8, 16])
    images = []
    for seed, side in enumerate(sides):
        noise = np.random.default_rng(seed).integers(0, 256, (192 // side, 256 // side))
        images.append(np.kron(noise, np.ones((side, side))).astype(np.uint8))
    measuring = Measuring((192, 256), 0.5, ProcessingParameters())
    lengths = np.array([measuring.length(image) for image in images])
    known = known_of(np.zeros((5, 1)), 1e-4 * sides, None, lengths)
    assert each_left_out(PROPORTIONAL, known) == pytest.approx(known.k_m, rel=0.15)


def test_what_has_no_length_has_no_prediction_and_no_say():
    known = following(5, 4)
    lengths = known.measures[LENGTH, LENGTH].to_numpy()
    lengths = np.where(np.arange(4) == 2, np.nan, lengths)
    known = known_of(np.zeros((4, 1)), known.k_m, None, lengths)
    found = each_left_out(PROPORTIONAL, known)
    constant = stats.gmean((known.k_m / lengths)[[1, 3]])
    assert found[0] == pytest.approx(constant * lengths[0])
    assert list(np.isnan(found)) == [False, False, True, False]
    none = known_of(np.zeros((4, 1)), known.k_m, None, np.full(4, np.nan))
    assert np.isnan(each_left_out(PROPORTIONAL, none)).all()
    learned = PROPORTIONAL.fit(known)
    assert np.isnan(PROPORTIONAL.predict(learned, Seen(known.measures.loc[2])))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("predictor", TEXTURES, ids=lambda each: each.name)
def test_however_far_a_texture_is_its_prediction_is_a_number(predictor):
    known = following(6, 8)
    known.measures.loc[3, TEXTURE] = 1e9
    found = each_left_out(predictor, known)
    assert np.isfinite(found**2).all()
    assert (found > 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("predictor", TEXTURES, ids=lambda each: each.name)
def test_a_pair_of_five_can_be_left_out_without_a_warning(predictor):
    """As the choice does: three are left, and two of these while a regression is tuned."""
    known = following(7, 5)
    assert np.isfinite(predictor.left_out(known, [("batch 0", "batch 1")])[0, :2]).all()


# ------------------------------------------------------------------------------------- combined


OF_TEXTURE = Combined("of texture", "texture", (STEADY, NEAREST))


@pytest.mark.parametrize("combined", [BOTH, OF_TEXTURE], ids=lambda each: each.name)
def test_inside_the_domain_all_have_a_say_and_beyond_what_does_without_the_texture(combined):
    known = following(8, 7)
    learned = combined.fit(known)
    domain = Domain.of(known.measures, known.formulations)

    def members(measures: pd.Series) -> list[float]:
        return [each.predict(each.fit(known), Seen(measures)) for each in combined.members]

    middle = known.measures.loc[[2, 4]].mean()
    assert domain.distance_of(middle) <= domain.limit
    assert combined.predict(learned, Seen(middle)) == pytest.approx(stats.gmean(members(middle)))
    far = middle.copy()
    far[TEXTURE] = 100.0
    assert domain.distance_of(far) > 10 * domain.limit
    expected = members(far)[0] if combined is BOTH else stats.gmean(members(far))
    assert combined.predict(learned, Seen(far)) == pytest.approx(expected)


def test_combined_is_silent_where_all_are():
    """Without a length the texture speaks alone, and nothing does where it is far off as well."""
    known = following(9, 7)
    learned = BOTH.fit(known)
    middle = known.measures.loc[[1, 3]].mean()
    middle[LENGTH] = np.nan
    expected = STEADY.predict(STEADY.fit(known), Seen(middle))
    assert BOTH.predict(learned, Seen(middle)) == pytest.approx(expected)
    middle[TEXTURE] = 100.0
    assert np.isnan(BOTH.predict(learned, Seen(middle)))
    known.measures.loc[2, LENGTH] = np.nan
    assert np.isfinite(each_left_out(Combined("all", "", (PROPORTIONAL, *QUICK[1:4])), known)).any()


def test_combined_leaves_out_what_its_members_and_its_domain_do():
    """One by one: inside are those within the distances of the others."""
    known = following(10, 6, images=2)
    known.measures.loc[2, TEXTURE] = 50.0  # one micrograph is far off
    held_out = [("batch 1",), ("batch 3", "batch 0"), ("batch 5",)]
    table = BOTH.left_out(known, held_out)
    sides = set()
    for names, row in zip(held_out, table, strict=True):
        test = np.isin(known.formulations, names)
        others = known.only(~test)
        domain = Domain.of(others.measures, others.formulations)
        for image in np.flatnonzero(test):
            measures = known.measures.loc[image]
            inside = domain.distance_of(measures) <= _FAR * domain.limit
            length, steady = (
                each.predict(each.fit(others), Seen(measures)) for each in (PROPORTIONAL, STEADY)
            )
            assert row[image] == pytest.approx(np.sqrt(length * steady) if inside else length)
            sides.add(bool(inside))
        assert np.isnan(row[~test]).all()
    assert sides == {True, False}


def test_those_on_offer_combine_the_regressions_on_texture_and_the_length():
    assert TEXTURE_MEAN.members == TEXTURES
    assert LENGTH_AND_TEXTURE.members == (PROPORTIONAL, CORRECTED, *TEXTURES)
    assert LENGTH_AND_TEXTURE.needs == (LENGTH, TEXTURE)


# -------------------------------------------------------------------------------------- listing


def with_pixel_size(known: Known, pixel_size_um: float | None) -> Known:
    shown = tuple(Micrograph(texture(0), pixel_size_um) for _ in known.k_m)
    return replace(known, dataset=Dataset(pd.DataFrame(), pd.DataFrame(), shown, False, ""))


def kinds_and_names(kind: str, known: Known, with_composition: bool = False) -> list[str]:
    return [each.name for each in candidates_of(kind, known, with_composition)]


def test_auto_is_the_length_texture_in_one_and_the_networks():
    known = with_pixel_size(following(0, 5), 1.0)
    networks = ["network, averaged maps", "the paper's network"]
    length = "proportional to the correlation length"
    assert kinds_and_names("auto", known) == [length, "length and texture", *networks]
    unknown = with_pixel_size(known, None)
    assert kinds_and_names("auto", unknown) == ["texture, mean of the three", *networks]
    few = with_pixel_size(following(0, 4), 1.0)
    assert kinds_and_names("auto", few) == [length]  # networks would not be chosen, either
    assert len(kinds_and_names("paper_network", few)) == 1


def test_composition_is_chosen_by_where_it_is_told():
    assert kinds_and_names("composition", following(0, 5)) == []
    known = of_table_1()
    assert "nearest composition" not in kinds_and_names("auto", known)
    assert kinds_and_names("auto", known, True)[0] == "nearest composition"
    assert len(kinds_and_names("composition", known)) == 1 + 7


def test_what_is_impossible_is_not_on_offer():
    known = following(0, 5)
    assert len(kinds_and_names("texture", known)) == 3 + 1
    assert kinds_and_names("texture", following(0, 4)) == []
    assert kinds_and_names("length", with_pixel_size(known, None)) == []
    assert kinds_and_names("length_and_texture", with_pixel_size(known, None)) == []
    assert kinds_and_names("median", known) == ["median of the others"]


def test_every_predictor_is_found_by_its_name():
    known = of_table_1()
    every = predictors_of(known)
    assert len({each.name for each in every}) == len(every)
    for each in every:
        assert repr(predictor_named(each.name, known.components)) == repr(each)
    with pytest.raises(ValueError, match="no predictor 'linear in salt'"):
        predictor_named("linear in salt", known.components)


# ------------------------------------------------------------------------------------ selection


@dataclass(frozen=True)
class Told:
    """Says what it was told of each micrograph, whatever it is fitted to."""

    name: str
    said: np.ndarray
    kind: str = "told"
    needs: tuple[str, ...] = ()

    def fit(self, _known: Known) -> None:
        """There is nothing to learn."""

    def predict(self, _learned: None, _seen: Seen) -> float:
        return np.nan

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], _quickly: bool = False
    ) -> np.ndarray:
        shown = [np.isin(known.formulations, names) for names in held_out]
        return np.stack([np.where(own, self.said, np.nan) for own in shown])


@dataclass(frozen=True)
class Numbering:
    """Predicts the number of the fit, from 1 on, and keeps what each has not seen."""

    asked: list[tuple[tuple[str, ...], ...]] = field(default_factory=list)
    quickly: list[bool] = field(default_factory=list)
    name: str = "numbering"
    kind: str = "told"
    needs: tuple[str, ...] = ()

    def fit(self, _known: Known) -> None:
        """There is nothing to learn."""

    def predict(self, _learned: None, _seen: Seen) -> float:
        return np.nan

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], quickly: bool = False
    ) -> np.ndarray:
        self.asked.append(tuple(held_out))
        self.quickly.append(quickly)
        own = np.array([np.isin(known.formulations, names) for names in held_out])
        return np.where(own, 1.0 + np.arange(len(held_out))[:, np.newaxis], np.nan)


def rises_by_hand(said: np.ndarray, true: np.ndarray) -> bool:
    """One-sided t test of the correlation, at 1 %."""
    if len(true) < 3 or np.std(said) == 0:
        return False
    r = np.corrcoef(said, true)[0, 1]
    t = r * np.sqrt((len(true) - 2) / (1 - r**2))
    return bool(stats.t.sf(t, len(true) - 2) < 0.01)


def choice_by_hand(errors: dict[str, list[float]], or_median: bool) -> str:
    """The first within one standard error of the best; the median if that is no better."""
    sizes = {name: np.abs(each) for name, each in errors.items()}
    rivals = [name for name in errors if not or_median or name != MEDIAN.name]
    best = min(rivals, key=lambda name: sizes[name].mean())
    for first in rivals:
        worse = sizes[first] - sizes[best]
        if worse.mean() <= worse.std(ddof=1) / np.sqrt(len(worse)):
            break
    if not or_median:
        return first
    return first if sizes[first].mean() < sizes[MEDIAN.name].mean() else MEDIAN.name


def select_by_hand(known: Known, candidates: Sequence[Regression], or_median: bool):
    """Refit everything for every pair; what is chosen in each fold and at last, and predicted."""
    every = {each.name: each for each in ((MEDIAN, *candidates) if or_median else candidates)}
    names = list(dict.fromkeys(known.formulations))
    log_k_m = {name: np.log(known.k_m[known.formulations == name][0]) for name in names}

    def said(candidate: str, without: set[str], of: str) -> np.ndarray:
        used = known.only(np.array([name not in without for name in known.formulations]))
        learned = every[candidate].fit(used)
        shown = known.measures[known.formulations == of]
        predicted = [every[candidate].predict(learned, Seen(row)) for _, row in shown.iterrows()]
        return np.log(np.maximum(predicted, 0.1 * used.k_m.min()))

    def chosen(outer: str | None) -> str:
        inner = [name for name in names if name != outer]
        errors = {
            each: [np.mean(said(each, {outer, name}, name)) - log_k_m[name] for name in inner]
            for each in every
        }
        return choice_by_hand(errors, or_median)

    in_fold = {name: chosen(name) for name in names}
    return in_fold, chosen(None), [said(in_fold[name], {name}, name) for name in names]


@pytest.mark.parametrize("or_median", [True, False])
@pytest.mark.parametrize(("seed", "images", "noise"), [(0, 1, 0.4), (1, 2, 0.5), (4, 3, 0.2)])
def test_choice_equals_two_nested_loops(seed, images, noise, or_median):
    known = following(seed, 6, images, noise)
    ours = select(known, QUICK, or_median)
    in_fold, final, predicted = select_by_hand(known, QUICK, or_median)
    names = list(in_fold)
    log_k_m = [np.log(known.k_m[known.formulations == name][0]) for name in names]
    residuals = np.array(log_k_m) - [each.mean() for each in predicted]
    median = [
        np.log(np.median([np.exp(other) for other in np.delete(log_k_m, number)]))
        for number in range(6)
    ]
    skill = 1 - np.abs(residuals).mean() / np.abs(np.array(log_k_m) - median).mean()
    useful = skill > 0 and rises_by_hand(np.array(log_k_m) - residuals, np.array(log_k_m))
    if or_median and (final == MEDIAN.name or not useful):
        assert ours.chosen is MEDIAN
        assert set(ours.in_fold) == {MEDIAN.name}
        assert ours.skill == 0
        assert ours.residuals.to_numpy() == pytest.approx(np.array(log_k_m) - median)
        return
    assert ours.in_fold.to_dict() == in_fold
    assert ours.chosen.name == final
    assert ours.predicted == pytest.approx(np.exp(np.concatenate(predicted)))
    assert list(ours.residuals.index) == names
    assert ours.residuals.to_numpy() == pytest.approx(residuals)
    assert ours.skill == pytest.approx(skill)
    assert ours.informed(known) == useful


def test_candidates_are_measured_each_by_itself():
    """Those beside as well, which are not chosen even where they are perfect."""
    known = following(2, 6, images=2, noise=0.1)
    perfect = Told("perfect", known.k_m)
    ours = select(known, [PROPORTIONAL, STEADY], beside=[perfect])
    assert list(ours.candidates) == [MEDIAN.name, "perfect", PROPORTIONAL.name, STEADY.name]
    assert ours.candidates["perfect"].to_numpy() == pytest.approx(0)
    assert "perfect" not in {ours.chosen.name, *ours.in_fold}
    for predictor in (MEDIAN, PROPORTIONAL, STEADY):
        logarithms = pd.Series(np.log(known.k_m / each_left_out(predictor, known)))
        expected = logarithms.groupby(known.formulations).mean()
        assert ours.candidates[predictor.name].to_dict() == pytest.approx(expected.to_dict())


# ------------------------------------------------- what is held out in a fold has no say in it


def own_label_has_a_say(known: Known, or_median: bool, by: float) -> bool:
    """Whether another k_m of a formulation changes what is chosen or predicted for it."""
    before = select(known, QUICK[:3], or_median)
    names = list(dict.fromkeys(known.formulations))
    for name in names[:: len(names) // 6]:
        own = known.formulations == name
        changed = replace(known, k_m=np.where(own, by * known.k_m, known.k_m))
        after = select(changed, QUICK[:3], or_median)
        if or_median:  # else the whole choice falls on the median, for all
            assert before.informed(known)
            assert after.informed(changed)
        if after.in_fold[name] != before.in_fold[name]:
            return True
        if not np.array_equal(after.predicted[own], before.predicted[own]):
            return True
    return False


CROSSED, BEST = selection._crossed, selection._best


def crossed_by_fits_that_have_seen(
    predictor: Predictor, known: Known, groups: Sequence[tuple[str, ...]]
) -> np.ndarray:
    """Leaks: one fit for each formulation, whatever the fold holds out."""
    own = [np.isin(known.formulations, group) for group in groups]
    once = np.select(own, list(CROSSED(predictor, known, groups)))
    return np.tile(once, (len(groups), 1))


def best_of_all(
    predicted: dict[str, np.ndarray], known: Known, _held_out: Sequence[str], or_median: bool
) -> str:
    """Leaks: what the fold holds out is among what it compares on."""
    return BEST(predicted, known, (), or_median)


LEAKS = {"_crossed": crossed_by_fits_that_have_seen, "_best": best_of_all}


@pytest.mark.parametrize("groups", [7, 4])
@pytest.mark.parametrize("part", LEAKS)
def test_own_label_has_no_say(groups, part, monkeypatch):
    """Be it left out alone or in a group; and a choice that leaks does not pass."""
    monkeypatch.setattr(selection, "_MOST_GROUPS", groups)
    known = following(0, 7, noise=0.5)
    assert not own_label_has_a_say(known, False, 20.0)
    monkeypatch.setattr(selection, part, LEAKS[part])
    assert own_label_has_a_say(known, False, 20.0)


def test_own_label_has_no_say_where_the_median_may_be_chosen():
    assert not own_label_has_a_say(following(1, 7, noise=0.05), True, 1.2)


@dataclass(frozen=True)
class Cheating(Told):
    """Knows what is held out alone, and nothing of it where something else is, too."""

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], _quickly: bool = False
    ) -> np.ndarray:
        rows = super().left_out(known, held_out)
        alone = np.array([len(names) == 1 for names in held_out])
        return np.where(alone[:, np.newaxis], rows, 10 * rows)


def test_a_feature_that_leaks_in_the_outer_fold_alone_cannot_help(monkeypatch):
    """Who cheats there is compared on what else was left out, unless the choice leaks as well."""
    known = following(2, 8, noise=0.2)
    both = [PROPORTIONAL, Cheating("cheating", known.k_m)]
    ours, honest = (select(known, each, or_median=False) for each in (both, both[:1]))
    assert set(ours.in_fold) == {PROPORTIONAL.name}
    np.testing.assert_array_equal(ours.predicted, honest.predicted)
    monkeypatch.setattr(selection, "_crossed", crossed_by_fits_that_have_seen)
    leaking = select(known, both, or_median=False)
    assert set(leaking.in_fold) == {"cheating"}
    assert leaking.skill == pytest.approx(1)


# -------------------------------------------------------------------- every pair is left out once


@pytest.mark.parametrize("number", [5, 9, 12])
def test_every_pair_is_left_out_once(number):
    """Of nine 36 pairs, and each of them alone."""
    known, predictor = following(0, number, images=2), Numbering()
    select(known, [predictor])
    names = list(dict.fromkeys(known.formulations))
    alone, crossed = ([frozenset(names) for names in asked] for asked in predictor.asked)
    assert predictor.quickly == [False, True]
    assert alone == [frozenset([name]) for name in names]
    assert sorted(map(len, crossed)) == [1] * number + [2] * (number * (number - 1) // 2)
    assert len(set(crossed)) == len(crossed)


@pytest.mark.parametrize("number", [13, 20, 50])
def test_of_many_every_pair_of_twelve_groups_is_left_out_once(number):
    """The time that a choice takes does not grow further."""
    known, predictor = following(0, number), Numbering()
    select(known, [predictor])
    alone, crossed = predictor.asked
    assert len(alone) == number
    groups, pairs = crossed[:12], crossed[12:]
    assert {len(group) for group in groups} <= {number // 12, number // 12 + 1}
    assert sorted(name for group in groups for name in group) == sorted(known.formulations)
    joined = {frozenset(one + other) for one, other in combinations(groups, 2)}
    assert len(pairs) == 66
    assert {frozenset(pair) for pair in pairs} == joined


@pytest.mark.parametrize("number", [5, 9, 13, 20])
def test_what_is_compared_in_a_fold_saw_neither_itself_nor_what_the_fold_holds_out(number):
    """And everything else was seen; what is held out itself is predicted by the whole fold."""
    known, predictor = following(0, number, images=2), Numbering()
    groups = selection.groups_of(list(dict.fromkeys(known.formulations)))
    of = {name: set(group) for group in groups for name in group}
    table = selection._crossed(predictor, known, groups)
    for group, row in zip(groups, table, strict=True):
        for name, fit in zip(known.formulations, row, strict=True):
            unseen = set(predictor.asked[0][int(fit) - 1])
            assert unseen == set(group) | of[name]


# ------------------------------------------------------------------------------ what is chosen


def told(known: Known, name: str, logarithms: object) -> Told:
    return Told(name, known.k_m * np.exp(logarithms))


def test_fewer_than_five_formulations_are_predicted_by_the_median():
    known = following(0, 4)
    ours = select(known, [told(known, "perfect", 0)])
    assert ours.chosen is MEDIAN
    assert set(ours.in_fold) == {MEDIAN.name}
    assert ours.skill == 0
    assert ours.predicted == pytest.approx(each_left_out(MEDIAN, known))
    asked = select(known, [told(known, "first", 0.1), told(known, "second", 0)], or_median=False)
    assert asked.chosen.name == "first"  # which leaves nothing to choose by, either
    five = following(0, 5)
    assert select(five, [told(five, "perfect", 0)]).chosen.name == "perfect"


def test_within_one_standard_error_the_first_is_chosen():
    """The error of the first differs by ±0.2 and less than a standard error of that."""
    known = following(3, 9)
    sign = np.where(np.arange(9) % 2, 1.0, -1.0)
    better = told(known, "better", 0.3)
    for more, chosen in ((0.05, "simple"), (0.1, "better")):
        simple = told(known, "simple", 0.3 + more + 0.2 * sign)
        differences = more + 0.2 * sign
        error = differences.std(ddof=1) / 3
        assert (differences.mean() <= error) == (chosen == "simple")
        assert select(known, [simple, better], or_median=False).chosen.name == chosen
        assert select(known, [better, simple], or_median=False).chosen.name == "better"
    equal = [told(known, name, 0.2) for name in "ab"]
    assert select(known, equal, or_median=False).chosen.name == "a"


def test_what_is_silent_is_never_chosen():
    known = following(4, 8, images=2, noise=0.1)
    silent = Told("silent", np.full(16, np.nan))
    for or_median in (True, False):
        ours = select(known, [silent, PROPORTIONAL], or_median)
        assert {ours.chosen.name, *ours.in_fold} == {PROPORTIONAL.name}
    alone = select(known, [silent])
    assert alone.chosen is MEDIAN
    assert np.isfinite(alone.residuals).all()


@pytest.mark.parametrize("or_median", [True, False])
def test_what_is_silent_of_one_formulation_leaves_the_choice_to_others(or_median):
    """As a line in the composition is of what is not identified; it is perfect of all others."""
    known = following(4, 8, images=2, noise=0.1)
    partly = Told("partly", np.where(np.arange(16) == 5, np.nan, known.k_m))
    ours = select(known, [partly, PROPORTIONAL], or_median)
    assert ours.chosen is PROPORTIONAL
    assert np.isfinite(ours.predicted).all()


def test_what_errs_less_but_does_not_rise_with_the_truth_is_not_chosen():
    """A constant that is better than the median of the others, which moves away from each."""
    known = following(5, 9)
    constant = Told("constant", np.full(9, np.median(known.k_m)))
    assert select(known, [constant], or_median=False).skill > 0
    ours = select(known, [constant])
    assert ours.chosen is MEDIAN
    assert ours.skill == 0
    assert not ours.informed(known)


@pytest.mark.parametrize("images", [1, 2])
def test_skill_is_the_part_of_the_median_s_error_that_is_gone(images):
    known = following(6, 9, images)
    log_k_m = np.log(known.k_m)[::images]
    median = [np.log(np.median(np.exp(np.delete(log_k_m, n)))) for n in range(9)]
    error = np.abs(log_k_m - median).mean()
    errors = np.linspace(-0.2, 0.1, 9 * images)
    ours = select(known, [told(known, "told", errors)])
    each = -errors.reshape(9, images).mean(axis=1)
    assert ours.residuals.to_numpy() == pytest.approx(each)
    assert ours.skill == pytest.approx(1 - np.abs(each).mean() / error)
    assert ours.informed(known)


def test_a_prediction_without_a_logarithm_counts_as_a_tenth_of_the_least():
    """Of those that it was fitted to: the least of all is not among them for itself."""
    known = following(7, 6)
    ours = select(known, [Told("negative", np.full(6, -1.0))], or_median=False)
    least = [np.delete(known.k_m, number).min() for number in range(6)]
    assert ours.predicted == pytest.approx(0.1 * np.array(least))
    assert selection.positive([np.nan, 3.0], 1.0) == pytest.approx([np.nan, 3.0], nan_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_rising_is_a_correlation_beyond_chance(seed):
    rng = np.random.default_rng(seed)
    true = pd.Series(rng.normal(size=9))
    said = 0.8 * true + rng.normal(size=9)
    assert selection.rises(said, true) == rises_by_hand(said.to_numpy(), true.to_numpy())
    assert not selection.rises(-true, true)
    assert not selection.rises(0 * true, true)
    assert selection.rises(true, true)
    assert not selection.rises(true[:2], true[:2])


# --------------------------------------------------------------------------- no skill by chance


def shuffled(known: Known, seed: int) -> Known:
    """The same micrographs, the formulations' k_m in another order."""
    names = list(dict.fromkeys(known.formulations))
    k_m = [known.k_m[known.formulations == name][0] for name in names]
    order = np.random.default_rng(seed).permutation(k_m)
    return replace(known, k_m=order[[names.index(name) for name in known.formulations]])


NULLS = {
    "k_m shuffled": lambda seed: shuffled(following(100, 9, images=2), seed),
    "one micrograph, random measures": lambda seed: chance(seed, 9),
    "three micrographs, random measures": lambda seed: chance(seed, 7, images=3),
    "more measures than formulations": lambda seed: chance(seed, 9, features=30),
}


@pytest.mark.parametrize("null", NULLS)
def test_no_skill_is_claimed_where_there_is_none(null):
    for seed in range(3):
        known = NULLS[null](seed)
        ours = select(known, QUICK[:4])
        assert ours.skill <= 0.1
        assert not ours.informed(known)


class Leaking(Regression):
    """Has seen all that it predicts."""

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], quickly: bool = False
    ) -> np.ndarray:
        del quickly
        said = self.fit(known).predict(self.shown(known.measures))
        return np.stack(
            [np.where(np.isin(known.formulations, each), said, np.nan) for each in held_out]
        )


def test_a_predictor_that_leaks_shows_as_skill_where_there_is_none():
    """So that the test above would find it."""
    leaking = Leaking("leaking", "texture", STEADY.regressor, (TEXTURE,))
    for seed in range(3):
        assert select(NULLS["more measures than formulations"](seed), [leaking]).skill > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("null", NULLS)
def test_skill_by_chance_is_rare(null):
    """In one of twenty draws at most."""
    skills = [select(NULLS[null](seed), QUICK).skill for seed in range(10, 30)]
    assert sum(skill > 0.1 for skill in skills) <= 1


@pytest.mark.slow
def test_no_skill_is_claimed_by_the_predictors_on_offer():
    known = chance(50, 7, features=30)
    offered = [each for each in candidates_of("auto", known) if "image" not in each.needs]
    assert offered == [PROPORTIONAL, LENGTH_AND_TEXTURE]
    assert select(known, offered).skill <= 0.1


@pytest.mark.parametrize("seed", range(3))
def test_skill_is_found_where_k_m_follows_the_length(seed):
    """Among textures that tell nothing; the predictions are those of the length."""
    random = chance(seed, 9, images=2)
    lengths = 5e3 * random.k_m * np.exp(0.1 * np.random.default_rng(seed).normal(size=18))
    features = random.measures[TEXTURE].to_numpy()
    known = known_of(features, random.k_m, random.formulations, lengths)
    ours = select(known, QUICK)
    assert ours.chosen is PROPORTIONAL
    assert ours.skill > 0.5
    assert ours.informed(known)
    assert ours.predicted == pytest.approx(each_left_out(PROPORTIONAL, known))


def test_skill_is_found_where_k_m_follows_the_texture():
    known = following(8, 9, noise=0.1)
    known = known_of(known.measures[TEXTURE].to_numpy(), known.k_m)
    ours = select(known, QUICK)
    assert ours.skill > 0.5
    assert TEXTURE in ours.chosen.needs
