"""Predicting: as in training, one bad file stops nothing, and what is said of each micrograph."""

import json
import math
import os
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from prediction_models import (
    K_M,
    PARAMETERS,
    RESIDUALS,
    SHAPE,
    fitted_model,
    grain,
    sigma_of,
    small_dataset,
    untrained_model,
    with_residuals,
    write_grain,
)

from fesemlib.command.cli import main
from fesemlib.drying.equations import product_resistance
from fesemlib.micrographs.files import PredictionError, image_files
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.inputs import network_inputs
from fesemlib.prediction import model as prediction
from fesemlib.prediction.folder import ModelError
from fesemlib.prediction.model import (
    Layer,
    Prediction,
    load_model,
    mean_prediction,
    predict_files,
    predict_micrographs,
    train_model,
)
from fesemlib.prediction.seeing import see
from fesemlib.predictors import Known, candidates_of, predictor_named
from fesemlib.predictors.known import Seen
from fesemlib.predictors.measures import LENGTH, measures_of
from fesemlib.predictors.networks import AVERAGING_NETWORK, IMAGE, PAPER_NETWORK
from fesemlib.predictors.regressions import MEDIAN, PROPORTIONAL, TEXTURES
from fesemlib.validation.leave_one_out import (
    full_splits,
    held_out_predictions,
    kept_networks,
    leave_one_out_splits,
    train_splits,
)

COLUMNS = [field.name for field in fields(Prediction)]

pytestmark = pytest.mark.usefixtures("shared_build")


@pytest.fixture(scope="module")
def model():
    return untrained_model()


@pytest.fixture(scope="module")
def length_model():
    return fitted_model(PROPORTIONAL)


@pytest.fixture(scope="module")
def texture_model():
    return fitted_model(TEXTURES[0])


@pytest.fixture
def only_length(monkeypatch):
    """Where nothing else is asked for, the length is all there is beside the median."""
    monkeypatch.setattr(prediction, "candidates_of", lambda *_: [PROPORTIONAL])
    monkeypatch.setattr(prediction, "TEXTURES", ())


@pytest.fixture(scope="module")
def model_folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    model.save(folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_nothing_is_held_out_and_errors_are_those_of_leave_one_out():
    dataset = small_dataset()
    model = train_model(dataset, PARAMETERS)
    assert [member.seed for member in model.card.members] == [0, 1]
    assert model.card.k_m_range == (0.7e-3, 1.9e-3)
    scale = model.networks[0].scale
    assert (scale.offset, scale.spread) == pytest.approx((0.7e-3, 1.2e-3))  # of all formulations
    splits = leave_one_out_splits(dataset, PARAMETERS)
    predictions = held_out_predictions(train_splits(dataset, PARAMETERS, splits))
    for name, residual in model.card.log_residuals.items():
        own = predictions[predictions["held_out"] == name]
        least = min(k_m for other, k_m in K_M.items() if other != name)
        expected = math.log(K_M[name] / max(own["predicted_km"].mean(), 0.1 * least))
        assert residual == pytest.approx(expected)
    # The networks have learnt from every micrograph.
    (found,) = predict_micrographs(model, [dataset.micrographs[0].image])
    networks = kept_networks(dataset, PARAMETERS, full_splits(PARAMETERS))
    inputs = network_inputs(dataset, PARAMETERS)[:1]
    members = [float(network.predict(inputs)[0]) for network in networks]
    assert found.k_m == pytest.approx(max(np.mean(members), 0.07e-3), rel=1e-5)
    table = train_splits(dataset, PARAMETERS, full_splits(PARAMETERS))
    last = table["epoch"] == PARAMETERS.epochs
    own = table[(table["formulation"] == "A") & (table["role"] == "train") & last]
    np.testing.assert_allclose(own["predicted_km"], members, rtol=1e-4)
    assert set(table["role"]) == {"train"}


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_a_model_is_trained_once(monkeypatch):
    parameters = PARAMETERS.model_copy(update={"number_of_seeds": 1})
    first = train_model(small_dataset(), parameters)
    monkeypatch.setattr("fesemlib.validation.leave_one_out.trained", None)  # would train
    again = train_model(small_dataset(), parameters)
    for one, two in zip(first.networks, again.networks, strict=True):
        for before, after in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_augmented_set_is_another_model():
    parameters = PARAMETERS.model_copy(
        update={"number_of_seeds": 1, "prediction_training_set": "augmented"}
    )
    model = train_model(small_dataset({"A": 1e-3, "B": 2e-3}), parameters)
    assert model.card.parameters.prediction_training_set == "augmented"
    assert model.half_width == max(abs(each) for each in model.card.log_residuals.values())
    assert model.level == pytest.approx(2 / 3)


def test_one_formulation_is_no_training_set():
    with pytest.raises(ModelError, match="holds one formulation; a model needs at least two"):
        train_model(small_dataset({"A": 1e-3}), PARAMETERS)


@pytest.mark.slow
def test_diverged_networks_are_no_model():
    parameters = PARAMETERS.model_copy(
        update={"learning_rate": 1.0, "target": "raw", "epochs": 40, "initializer": "he_normal"}
    )
    dataset = small_dataset({"A": 1e30, "B": 2e38})
    with pytest.raises(ModelError, match="if a training diverged, lower learning_rate = 1 or"):
        train_model(dataset, parameters)


@pytest.mark.parametrize(
    ("kind", "without", "message"),
    [
        ("length", "pixel sizes", "predictor = length: the pixel size .* is not known"),
        ("length_and_texture", "pixel sizes", "needs the pixel size"),
        ("texture", "formulations", "fewer than five formulations"),
        ("length_and_texture", "formulations", "five formulations"),
        ("composition", "compositions", "not every formulation has a composition"),
    ],
)
def test_what_is_impossible_says_what_is_missing(kind, without, message):
    dataset = small_dataset(dict(list(K_M.items())[:4]) if without == "formulations" else K_M)
    if without == "pixel sizes":
        unknown = tuple(replace(each, pixel_size_um=None) for each in dataset.micrographs)
        dataset = replace(dataset, micrographs=unknown)
    with pytest.raises(ModelError, match=message):
        train_model(dataset, PARAMETERS.changed(predictor=kind))


def test_what_is_asked_for_is_taken_and_measured_by_leaving_out():
    model = train_model(small_dataset(readable=True), PARAMETERS.changed(predictor="length"))
    lengths = model.card.known.measures[LENGTH, LENGTH].to_numpy()
    constants = np.log(np.array(list(K_M.values())) / lengths)
    for number, residual in enumerate(model.card.residuals.values()):
        others = np.delete(constants, number).mean()
        assert residual == pytest.approx(constants[number] - others)
    assert model.predictor == PROPORTIONAL
    assert model.card.informed
    assert model.card.error == pytest.approx(np.abs(list(model.card.residuals.values())).mean())
    assert model.card.skill > 0.5
    assert set(model.card.candidates) == {MEDIAN.name, PROPORTIONAL.name}
    (found,) = predict_micrographs(model, [grain(0, SHAPE, sigma_of(K_M["A"]))])
    assert found.k_m == pytest.approx(np.exp(constants.mean()) * lengths[0])


@pytest.mark.usefixtures("only_length")
@pytest.mark.parametrize(("readable", "chosen"), [(True, PROPORTIONAL), (False, MEDIAN)])
def test_auto_takes_an_image_predictor_only_where_it_reads_something(readable, chosen):
    k_m = dict(zip("ABCDEFG", np.geomspace(0.6e-3, 2e-3, 7), strict=True))
    dataset = small_dataset(k_m, readable=readable)
    card = train_model(dataset, PARAMETERS.changed(predictor="auto")).card
    assert card.predictor == chosen.name
    assert set(card.chosen_in_fold.values()) == {chosen.name}
    assert card.informed == readable
    assert set(card.candidates) == {MEDIAN.name, PROPORTIONAL.name}


@pytest.mark.usefixtures("only_length")
def test_auto_takes_the_median_of_fewer_than_five_formulations():
    dataset = small_dataset(dict(list(K_M.items())[:4]), readable=True)
    model = train_model(dataset, PARAMETERS.changed(predictor="auto"))
    assert model.card.predictor == MEDIAN.name
    assert not model.card.informed
    (found,) = predict_micrographs(model, [grain(9)])
    assert found.k_m == pytest.approx(1.25e-3)
    assert found.k_m_high == pytest.approx(1.25e-3 * math.exp(model.half_width))


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_auto_compares_everything_there_is():
    k_m = dict(zip("ABCDEF", np.geomspace(0.6e-3, 2e-3, 6), strict=True))
    parameters = PARAMETERS.changed(
        predictor="auto", number_of_seeds=1, epochs=1, averaging_epochs=1, evaluation_width=32
    )
    dataset = small_dataset(k_m, readable=True)
    model = train_model(dataset, parameters)
    offered = candidates_of("auto", Known.of(dataset, parameters))
    assert {PROPORTIONAL, PAPER_NETWORK, AVERAGING_NETWORK} <= set(offered)
    beside = {each.name for each in (MEDIAN, *TEXTURES)}
    assert set(model.card.candidates) == {each.name for each in offered} | beside
    assert model.card.informed
    assert IMAGE not in model.predictor.needs


@pytest.mark.usefixtures("here")
def test_files_are_seen_as_in_training(model):
    """A file gives the same input and measures as the micrograph of a data set."""
    image = grain(50)
    Image.fromarray(image).save("new.png")
    (row,) = predict_files(model, ["new.png"])
    dataset = replace(small_dataset(), micrographs=(Micrograph(image, 1.0),) * 5)
    inputs = network_inputs(dataset, PARAMETERS)[:1]
    measures = measures_of(dataset, PARAMETERS).iloc[0]
    expected = model.predict(Seen(measures, inputs[0]), Layer())
    assert row.k_m == pytest.approx(expected.k_m, rel=1e-6)
    assert row.texture_distance == pytest.approx(expected.texture_distance)
    assert row.in_domain == expected.in_domain


def test_ensemble_interval_and_resistance(model, here):
    write_grain(here / "new.png", 50)
    layer = Layer(0.008, 240.0)
    (row,) = predict_files(model, ["new.png"], layer)
    dataset = replace(small_dataset(), micrographs=(Micrograph(grain(50), 1.0),) * 5)
    inputs = network_inputs(dataset, PARAMETERS)[:1]
    members = [float(network.predict(inputs)[0]) for network in model.networks]
    assert row.k_m == pytest.approx(max(np.mean(members), 0.07e-3))
    assert predict_micrographs(model, [grain(50)], layer)[0].resistance == row.resistance
    half = sorted(abs(each) for each in RESIDUALS.values())[4]  # ⌈0.8 · 6⌉ = 5th of five
    assert row.k_m_low == pytest.approx(row.k_m * math.exp(-half))
    assert row.k_m_high == pytest.approx(row.k_m * math.exp(half))
    for resistance, k_m in (
        (row.resistance, row.k_m),
        (row.resistance_low, row.k_m_high),
        (row.resistance_high, row.k_m_low),
    ):
        assert resistance == pytest.approx(float(product_resistance(k_m, 0.008, 240.0)))


def test_few_formulations_give_the_greatest_error(model, here):
    write_grain(here / "new.png", 50)
    few = with_residuals(model, {"A": 0.1, "B": -0.3, "C": 0.2})
    (row,) = predict_files(few, ["new.png"])
    assert few.level == 0.75
    assert row.k_m_low == pytest.approx(row.k_m * math.exp(-0.3))
    assert row.k_m_high == pytest.approx(row.k_m * math.exp(0.3))


def test_k_m_beyond_the_training_is_flagged(model):
    seen = Seen(model.card.known.measures.iloc[0], np.zeros((24, 32), np.float32))

    class Constant:
        def __init__(self, k_m):
            self.k_m = k_m

        def predict(self, images):
            return np.full(len(images), self.k_m)

    def remarks(k_m):
        found = replace(model, learned=[Constant(k_m)]).predict(seen, Layer())
        assert found.in_domain == (found.remarks == "")
        return found.remarks

    assert remarks(0.7e-3) == ""
    assert remarks(1.9e-3) == ""
    above = "above the range of the training set (0.7·10⁻³ to 1.9·10⁻³ m² s⁻¹)"
    assert remarks(2.0e-3) == f"the predicted k_m is {above}"
    assert "k_m is below" in remarks(-1e-3)


def test_another_texture_is_flagged(model):
    flat = np.tile(np.arange(SHAPE[1], dtype=np.uint8), (SHAPE[0], 1))
    (found,) = predict_micrographs(model, [flat])
    assert found.texture_distance > model.texture_limit
    assert "its texture resembles none" in found.remarks
    assert not found.in_domain


def test_one_bad_file_stops_nothing(model, here):
    write_grain(here / "a.png", 1)
    write_grain(here / "small.png", 2, (48, 64))
    (here / "broken.png").write_bytes(b"no image")
    (here / "flat.png").unlink(missing_ok=True)
    Image.fromarray(np.full(SHAPE, 9, np.uint8)).save("flat.png")
    write_grain(here / "b.png", 3)
    files = ["a.png", "small.png", "broken.png", "flat.png", "gone.tif", "notes.txt", "b.png"]
    rows = list(predict_files(model, files, pixel_size_um=1.0))
    assert [row.image for row in rows] == files
    assert [bool(row.error) for row in rows] == [False, True, True, True, True, True, False]
    assert rows[1].error.startswith("64×48 px, but the model was trained on 128×96 px")
    assert "cannot be read" in rows[2].error
    assert "grey level 9" in rows[3].error
    assert "no such file" in rows[4].error
    assert all(math.isnan(row.k_m) and row.in_domain is None for row in rows if row.error)


def test_pixel_size_is_that_of_the_model(model, here):
    Image.fromarray(grain(1)).save("two.tif", dpi=(25400 / 2, 25400 / 2))  # 2 µm a pixel
    Image.fromarray(grain(1)).save("half.tif", dpi=(50800, 50800))
    Image.fromarray(grain(1)).save("one.tif", dpi=(25400, 25400))
    write_grain(here / "untold.png", 1)
    files = ["two.tif", "half.tif", "one.tif", "untold.png"]
    two, half, one, untold = predict_files(model, files)
    assert two.error.startswith("2 µm a pixel, but the model needs 1 µm or finer")
    assert half.error.startswith("0.5 µm a pixel, but the model was trained at 1 µm")
    assert "--pixel-size" in two.error
    assert "--pixel-size" in half.error
    assert one.error == untold.error == ""
    assert "pixel size not told" in untold.remarks
    assert "pixel size" not in one.remarks
    (told,) = predict_files(model, ["two.tif"], pixel_size_um=1.0)
    assert told.k_m == one.k_m


def test_rescaling_models_rescale(here):
    parameters = PARAMETERS.model_copy(update={"rescale": True})
    model = untrained_model(parameters)
    fine = grain(3, (2 * SHAPE[0] + 10, 2 * SHAPE[1]), 4.0)
    Image.fromarray(fine).save("fine.tif", dpi=(50800, 50800))  # 0.5 µm a pixel
    Image.fromarray(grain(3)).save("coarse.tif", dpi=(12700, 12700))
    Image.fromarray(grain(3, (96, 120))).save("narrow.tif", dpi=(25400, 25400))
    write_grain(here / "untold.png", 1)
    rows = list(predict_files(model, ["fine.tif", "coarse.tif", "narrow.tif", "untold.png"]))
    assert rows[0].error == ""
    assert "2 µm a pixel, but the model needs 1 µm or finer" in rows[1].error
    assert "covers 120×96 px of 1 µm, but 128×96 px are needed" in rows[2].error
    assert "pixel size not told, taken for the model's 1 µm" in rows[3].remarks
    inside = fine[5 : 5 + 2 * SHAPE[0]].reshape(SHAPE[0], 2, SHAPE[1], 2).mean(axis=(1, 3))
    expected = predict_micrographs(model, [np.round(inside).astype(np.uint8)])[0]
    assert rows[0].k_m == pytest.approx(expected.k_m, rel=1e-3)


@pytest.mark.parametrize("kind", ["length", "texture"])
def test_a_frame_of_another_height_is_predicted_by_what_takes_any_size(
    kind, model, length_model, texture_model, here
):
    """As 2048×1370 px are, where a model was trained on 2048×1536."""
    regression = {"length": length_model, "texture": texture_model}[kind]
    write_grain(here / "whole.png", 60, SHAPE, 2.5)
    Image.fromarray(grain(60, SHAPE, 2.5)[:86]).save("cut.png")
    whole, cut = predict_files(regression, ["whole.png", "cut.png"], pixel_size_um=1.0)
    assert whole.error == cut.error == ""
    assert cut.k_m == pytest.approx(whole.k_m, rel=0.1)
    assert cut.in_domain
    assert whole.in_domain
    (refused,) = predict_files(model, ["cut.png"], pixel_size_um=1.0)
    assert refused.error.startswith("128×86 px, but the model was trained on 128×96 px")
    assert "train a predictor that takes any" in refused.error


@pytest.mark.parametrize("kind", ["length", "texture"])
def test_twice_the_magnification_is_predicted_nearly_alike(kind, length_model, texture_model):
    model = {"length": length_model, "texture": texture_model}[kind]
    fine = grain(50, (192, 256), 6.0)
    coarse = fine.reshape(96, 2, 128, 2).mean(axis=(1, 3)).round().astype(np.uint8)

    def predicted(image, pixel_size_um):
        return model.predict(see(model.card, Micrograph(image, pixel_size_um)), Layer())

    expected, found = predicted(coarse, 1.0), predicted(fine, 0.5)
    assert found.k_m == pytest.approx(expected.k_m, rel=0.03)
    assert found.texture_distance == pytest.approx(expected.texture_distance, abs=0.1)
    assert predicted(coarse, 1.005).texture_distance == expected.texture_distance  # within 1 %
    with pytest.raises(PredictionError, match=r"64×48 px, but at this magnification .* 128×96 px"):
        predicted(coarse[:48, :64], 0.5)
    with pytest.raises(PredictionError, match="2 µm a pixel, but the model needs 1 µm or finer"):
        predicted(coarse, 2.0)


def test_without_a_pixel_size_the_width_has_to_be_that_of_the_model(length_model, here):
    write_grain(here / "same.png", 60, (86, 128), 3.0)
    write_grain(here / "wide.png", 60, (96, 140), 3.0)
    same, wide = predict_files(length_model, ["same.png", "wide.png"])
    assert same.error == ""
    assert "pixel size not told, taken for the model's 1 µm" in same.remarks
    assert wide.error.startswith("140 px wide, but the model was trained on frames of 128 px")
    assert "--pixel-size" in wide.error
    told = list(predict_files(length_model, ["same.png", "wide.png"], pixel_size_um=1.0))
    assert [row.error for row in told] == ["", ""]
    assert told[0].k_m == same.k_m
    assert "pixel size" not in told[0].remarks


def test_a_model_that_knows_no_pixel_size_says_that_it_was_not_checked(here):
    dataset = small_dataset(readable=True)
    unknown = tuple(replace(each, pixel_size_um=None) for each in dataset.micrographs)
    model = fitted_model(TEXTURES[0], replace(dataset, micrographs=unknown))
    write_grain(here / "same.png", 60)
    write_grain(here / "wide.png", 60, (96, 140))
    same, wide = predict_files(model, ["same.png", "wide.png"], pixel_size_um=1.0)
    assert "the model knows no pixel size, so that it was not checked" in same.remarks
    assert "140 px wide" in wide.error


def test_a_micrograph_without_a_length_is_refused_by_what_goes_by_it(length_model, here):
    """What it shows is as large as the frame."""
    write_grain(here / "near.png", 1, SHAPE, 25.0)
    (row,) = predict_files(length_model, ["near.png"])
    assert row.error.startswith("has no correlation length, which the model goes by")


def by_composition(name="linear in mannitol"):
    mannitol = dict(zip(K_M, (4, 2, 3, 1, 0), strict=True))
    texts = {each: f"{5 - part}% dextran + {part}% mannitol" for each, part in mannitol.items()}
    predictor = predictor_named(name, ["dextran", "mannitol"])
    return fitted_model(predictor, small_dataset(compositions=texts))


def test_a_model_of_the_composition_has_to_be_told_it(here):
    model = by_composition()
    write_grain(here / "a.png", 1)

    def told(composition):
        (row,) = predict_files(model, ["a.png"], pixel_size_um=1.0, composition=composition)
        return row

    slope, offset = np.polyfit([4, 2, 3, 1, 0], list(K_M.values()), 1)
    assert told("3.5% dextran + 1.5% mannitol").k_m == pytest.approx(offset + 1.5 * slope)
    assert told("5% dextran").k_m == pytest.approx(offset)  # what is not named is not there
    assert "goes by the composition; tell it with --composition" in told("").error
    assert "composition 'some mannitol': write it as '4% dextran" in told("some mannitol").error


def test_a_composition_on_which_other_lines_would_differ_is_refused(here):
    """All formulations hold 5 %: nothing is known of 6 %, and no number is no prediction."""
    model = by_composition("linear in dextran, mannitol")
    write_grain(here / "a.png", 1)
    (row,) = predict_files(model, ["a.png"], composition="4% dextran + 1% mannitol")
    assert row.error == ""
    (row,) = predict_files(model, ["a.png"], composition="4% dextran + 2% mannitol")
    assert row.error
    assert row.in_domain is None


def test_mean_of_one_product_is_that_of_the_logarithms(length_model):
    rows = predict_micrographs(length_model, [grain(50, SHAPE, 1.6), grain(51, SHAPE, 3.0)])
    rows = [replace(row, in_domain=True) for row in rows]
    rows = [*rows, Prediction("broken.png", error="no image")]
    layer = Layer(0.008, 240.0)
    found = mean_prediction(length_model, rows, layer)
    assert found.image == "mean of 2"
    assert found.k_m == pytest.approx(math.sqrt(rows[0].k_m * rows[1].k_m))
    assert found.k_m_high == pytest.approx(found.k_m * math.exp(length_model.half_width))
    assert found.resistance_low == pytest.approx(layer.resistance(found.k_m_high))
    assert found.in_domain
    odd = [replace(rows[0], in_domain=False), rows[1]]
    without = mean_prediction(length_model, odd)
    assert (without.k_m, without.in_domain) == (pytest.approx(rows[1].k_m), True)
    assert without.remarks == "1 outside the domain left out"
    strange = mean_prediction(length_model, odd[:1])
    assert (strange.in_domain, strange.remarks) == (False, "all of them outside the domain")
    assert mean_prediction(length_model, rows[2:]).error == "no micrograph can be used"


def test_interval_of_a_mean_is_that_of_means_where_every_formulation_has_several():
    dataset = small_dataset(readable=True, each=3)
    model = fitted_model(PROPORTIONAL, dataset)
    assert model.card.micrographs_each == 3
    assert model.card.within_formulations > 0
    images = [each.image for each in dataset.micrographs[:3]]
    rows = [replace(row, in_domain=True) for row in predict_micrographs(model, images)]
    of_means = max(abs(each) for each in model.card.residuals.values())
    of_one = max(abs(each) for each in model.card.log_residuals.values())
    assert of_means != pytest.approx(of_one)
    found = mean_prediction(model, rows)
    assert found.k_m_high == pytest.approx(found.k_m * math.exp(of_means))
    fewer = mean_prediction(model, rows[:2])  # than those of the means
    assert fewer.k_m_high == pytest.approx(fewer.k_m * math.exp(of_one))
    assert rows[0].k_m_high == pytest.approx(rows[0].k_m * math.exp(of_one))


def test_predictions_do_not_depend_on_how_many_are_made_at_a_time(model, here):
    files = [str(write_grain(here / f"{seed}.png", seed)) for seed in range(7)]
    alone = list(predict_files(model, files, parallel_jobs=1))
    together = list(predict_files(model, files, parallel_jobs=4))
    assert alone == together


def test_page_is_that_of_the_training_set_unless_told(here, capsys):
    """A first page with a label, as in the files of the set, is passed over."""
    dataset = small_dataset()
    files = tuple((here / name, 2) for name in dataset.images["image"])
    assert replace(dataset, files=files).page == 2
    assert replace(dataset, files=(*files[1:], (here / "e.tif", 1))).page == dataset.page == 1
    of_second = fitted_model(TEXTURES[0], replace(dataset, files=files))
    assert of_second.card.page == 2
    of_second.save(here / "model")
    label = {"data": np.dstack([grain(7), grain(8), grain(9)]), "photometric": "rgb"}
    tifffile.imwrite(here / "label.tif", **label)
    tifffile.imwrite(here / "label.tif", grain(3), append=True)
    write_grain(here / "plain.png", 3)
    assert predict("model", "label.tif", "--csv", "out.csv", "--report", "page.html") == 0
    assert predict("model", "plain.png", "--page", "1", "--csv", "plain.csv") == 0
    both = [pd.read_csv(here / name)["k_m"][0] for name in ("out.csv", "plain.csv")]
    assert both[0] == pytest.approx(both[1])
    assert predict("model", "label.tif", "--page", "1") == 1
    assert "take page 2, which is grey" in capsys.readouterr().out


def test_only_a_few_micrographs_wait(model, here, monkeypatch):
    read: list[str] = []
    original = prediction.read_as_trained
    monkeypatch.setattr(
        prediction, "read_as_trained", lambda card, file: read.append(file) or original(card, file)
    )
    file = str(write_grain(here / "a.png", 1))
    rows = predict_files(model, [file] * 50, parallel_jobs=2)
    next(rows)
    assert len(read) <= 6
    rows.close()
    assert len(read) <= 8


def test_files_folders_and_patterns(here):
    for name in ("b.tif", "a.png", "notes.txt", ".hidden.tif"):
        (here / "folder" / name).parent.mkdir(exist_ok=True)
        (here / "folder" / name).touch()
    (here / "odd[1].tif").touch()
    assert image_files(["folder"]) == ["folder/a.png", "folder/b.tif"]
    assert image_files(["folder/*.tif", "gone.tif", "folder"]) == [
        "folder/b.tif",
        "gone.tif",
        "folder/a.png",
    ]
    assert image_files(["odd[1].tif"]) == ["odd[1].tif"]
    (here / "empty").mkdir()
    for argument, message in (("empty", "no micrographs"), ("*.jpg", "no file matches")):
        with pytest.raises(PredictionError, match=message):
            image_files([argument])
    with pytest.raises(PredictionError, match="no micrograph is named"):
        image_files([])


def test_any_name_of_a_file_can_be_printed_and_written(model, here):
    name = os.fsdecode(b"odd\n\xff.png")
    write_grain(here / name, 1)
    (row,) = predict_files(model, [name])
    assert row.error == ""
    assert row.image == "odd?\ufffd.png"
    row.image.encode("utf-8")


# The command


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def test_command_prints_and_writes(model_folder, here, capsys):
    write_grain(here / "images" / "a.png", 1)
    write_grain(here / "images" / "b.png", 2)
    written = ["--csv", "out.csv", "--json", "out.json"]
    assert predict(model_folder, "images", "--thickness", 8, *written) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    card = load_model(model_folder).card
    assert lines[0] == f"model: 5 micrographs of 5 formulations in manifest.csv; {card.made}"
    named = f"predictor: the paper's network (2 of them); {card.finding}: errs by "
    assert lines[1].startswith(f"{named}{100 * card.relative_error:.0f} % on average")
    assert card.finding == "no skill shown beyond chance (p < 1 %)"
    assert f"(mean |ln| 0.23), skill {card.skill:.2f} against the median" in lines[1]
    assert "few carry no guarantee" in lines[2]
    assert "8 mm dried, front at -30 °C" in lines[3]
    assert [line.split()[0] for line in lines[-2:]] == ["images/a.png", "images/b.png"]
    files = ["images/a.png", "images/b.png"]
    expected = pd.DataFrame(predict_files(load_model(model_folder), files, Layer(0.008, 243.15)))
    table = pd.read_csv("out.csv", keep_default_na=False, na_values={"k_m": [""]})
    assert list(table.columns) == COLUMNS
    np.testing.assert_allclose(table["k_m"], expected["k_m"])
    np.testing.assert_allclose(table["resistance_high"], expected["resistance_high"])
    content = json.loads((here / "out.json").read_text(encoding="utf-8"))
    assert content["model"]["synthetic"] is False
    assert content["model"]["predictor"] == card.predictor
    assert content["model"]["error"] == pytest.approx(0.23)
    assert content["model"]["skill"] == pytest.approx(card.skill)
    assert len(content["model"]["members"]) == 2
    assert content["level"] == 0.8
    assert content["layer_thickness"] == 0.008
    assert [each["k_m"] for each in content["predictions"]] == list(expected["k_m"])
    assert set(content["predictions"][0]) == set(COLUMNS)


def test_command_goes_on_after_a_bad_file_and_says_so(model_folder, here, capsys):
    write_grain(here / "a.png", 1)
    (here / "broken.png").write_bytes(b"no image")
    write_grain(here / "c.png", 2)
    written = ["--csv", "out.csv", "--json", "out.json"]
    assert predict(model_folder, "a.png", "broken.png", "c.png", *written) == 1
    told = capsys.readouterr()
    assert "1 of 3 micrographs could not be used" in told.err
    lines = told.out.splitlines()[-3:]
    assert lines[1].split()[:2] == ["broken.png", "error:"]
    table = pd.read_csv("out.csv")
    assert table["error"].notna().tolist() == [False, True, False]
    assert table["k_m"].isna().tolist() == [False, True, False]
    rows = json.loads((here / "out.json").read_text(encoding="utf-8"))["predictions"]
    assert rows[1]["k_m"] is None
    assert rows[1]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "a.png"], "nowhere: no such folder"),
        (["MODEL", "*.jpg"], "no file matches"),
        (["MODEL", "a.png", "--thickness", "0"], "--thickness 0: give the dried layer in mm"),
        (["MODEL", "a.png", "--thickness", "nan"], "--thickness nan"),
        (["MODEL", "a.png", "--thickness", "0.007"], "0.1 to 100; 7 is 7 mm"),
        (["MODEL", "a.png", "--front-temperature", "243.15"], "give °C, not K"),
        (["MODEL", "a.png", "--csv", "./a.png"], "a.png: is one of the files to read; choose"),
        (["MODEL", "a.png", "--json", "MODEL/model_card.json"], "is within the model's folder"),
        (["MODEL", "a.png", "--csv", "x", "--json", "x"], "is what --csv names, too; choose"),
        (["MODEL", "a.png", "--csv", "/dev/null"], "/dev/null: is no regular file"),
        (["MODEL", "a.png", "--front-temperature", "20"], "ice has -163.15 to 0.01 °C"),
        (["MODEL", "a.png", "--pixel-size", "0"], "--pixel-size 0: give µm"),
        (["MODEL", "a.png", "--page", "0"], "--page 0: pages are counted from 1"),
        (["MODEL", "a.png", "--jobs", "-1"], "--jobs -1"),
        (["MODEL", "a.png", "--csv", "nowhere/out.csv"], "there is no folder"),
        (["MODEL", "a.png", "--json", "."], "is a folder"),
        (["MODEL", "a.png", "--report", "MODEL/page.html"], "is within the model's folder"),
        (["MODEL", "a.png", "--csv", "x", "--report", "x"], "is what --csv names, too; choose"),
        (["MODEL", "a.png", "--cycle", "c.yml"], "is for the report; add --report FILE"),
        (
            ["MODEL", "a.png", "--cycle", "gone.yml", "--report", "x.html"],
            "gone.yml: no such parameter file",
        ),
        (["MODEL", "a.png", "--report", "a.png"], "is one of the files to read"),
        (["MODEL", "a.png", "--composition", "4% PVP"], "does not go by it; leave out"),
    ],
)
def test_wrong_arguments_end_before_any_work(arguments, message, model_folder, here, capsys):
    write_grain(here / "a.png", 1)
    before = {path: path.read_bytes() for path in [here / "a.png", *model_folder.iterdir()]}
    arguments = [each.replace("MODEL", str(model_folder)) for each in arguments]
    assert predict(*arguments) == 2
    assert before == {path: path.read_bytes() for path in before}
    told = capsys.readouterr()
    assert told.err.startswith("fesem: error: ")
    assert message in told.err
    assert told.out == ""


def test_an_interrupt_leaves_no_file(model_folder, here, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "predict_files", interrupted)
    write_grain(here / "a.png", 1)
    assert predict(model_folder, "a.png", "--csv", "out.csv") == 130
    assert "interrupted; no file was written" in capsys.readouterr().err
    assert not (here / "out.csv").exists()


def test_no_image_is_a_wrong_argument(model_folder):
    assert predict(model_folder) == 2


def test_command_adds_the_mean_of_one_product(length_model, here, capsys):
    length_model.save(here / "model")
    write_grain(here / "images" / "a.png", 1)
    write_grain(here / "images" / "b.png", 2, SHAPE, 3.0)
    assert predict("model", "images", "--one-product", "--json", "out.json") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith("predictor: proportional to the correlation length; errs by ")
    assert told[-1].startswith("mean of 2 ")
    rows = json.loads((here / "out.json").read_text(encoding="utf-8"))["predictions"]
    assert [row["image"] for row in rows] == ["images/a.png", "images/b.png", "mean of 2"]
    assert rows[2]["k_m"] == pytest.approx(math.sqrt(rows[0]["k_m"] * rows[1]["k_m"]))
    (here / "broken.png").write_bytes(b"no image")
    assert predict("model", "broken.png", "--one-product") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("error: no micrograph can be used")


def test_command_tells_a_model_the_composition(here, capsys):
    by_composition().save(here / "model")
    write_grain(here / "a.png", 1)
    for told, message in {
        "": "goes by the composition; tell it (--composition)",
        "mannitol": "write it as '4% dextran + 1% mannitol'",
        "90% dextran + 20% mannitol": "more than 100 mass %",
        "5% sucrose": "sucrose is unknown; the model knows dextran, mannitol",
    }.items():
        assert predict("model", "a.png", "--composition", told) == 2
        assert message in capsys.readouterr().err
    assert predict("model", "a.png", "--composition", "4% Dextran + 1% mannitol") == 0
    assert predict("model", "a.png", "--composition", "4% dextran + 1% mannitol") == 0


@pytest.fixture
def micrographs(manifest, here):
    """Write a manifest of formulations whose grains follow their k_m, or do not."""

    def make(readable, k_m=K_M):
        rows = []
        for number, (name, value) in enumerate(k_m.items()):
            sigma = sigma_of(value) if readable else 2.0
            write_grain(here / "set" / f"{name}.png", number, SHAPE, sigma)
            rows.append(f"{name},{name}.png,{value:.6g},1.0")
        return manifest(*rows, header="formulation,image,k_m,pixel_size_um")

    return make


def train(path, *options):
    small = {"dataset": path, "input_width": 32, "epochs": 1, "parallel_jobs": 1}
    overrides = [str(part) for name, value in small.items() for part in ("-p", name, value)]
    return main(["train", *overrides, "-o", "model", *map(str, options)])


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_train_writes_what_predict_reads(micrographs, capsys):
    path = micrographs(False)
    network = ["--predictor", "paper_network", "--force"]
    assert train(path, *network) == 0
    assert capsys.readouterr().out.splitlines()[0] == "model"
    assert predict("model", path.parent / "A.png", path.parent / "D.png") == 0
    assert train(path, "--predictor", "paper_network") == 2
    assert "model: holds a model already" in capsys.readouterr().err
    assert train(path, *network) == 0


@pytest.mark.usefixtures("here")
def test_train_takes_the_predictor_that_is_asked_for(micrographs, capsys):
    path = micrographs(True)
    assert train(path, "--predictor", "length") == 0
    folder, told = capsys.readouterr().out.splitlines()
    assert folder == "model"
    assert "predictor: proportional to the correlation length; errs by " in told
    assert "no image information" not in told
    model = load_model("model")
    assert f"interval: k_m divided by {math.exp(model.half_width):.2f} to k_m times" in told
    assert predict("model", path.parent / "A.png") == 0


@pytest.mark.usefixtures("here")
def test_train_writes_no_image_predictor_without_skill(micrographs, here, capsys):
    path = micrographs(False)
    assert train(path, "--predictor", "length") == 1
    told = capsys.readouterr()
    assert "predictor = length: no skill shown beyond chance (p < 1 %): errs by" in told.err
    assert "no model was written: take --predictor median, or --force" in told.err
    assert told.out == ""
    assert not (here / "model").exists()
    assert train(path, "--predictor", "length", "--force") == 0
    assert load_model("model").predictor == PROPORTIONAL
    assert train(path, "--predictor", "median", "--force") == 0
    assert load_model("model").predictor == MEDIAN


@pytest.mark.usefixtures("here")
def test_train_writes_the_median_where_it_is_asked_for(micrographs):
    assert train(micrographs(False), "--predictor", "median") == 0
    assert load_model("model").predictor == MEDIAN


@pytest.mark.usefixtures("here", "only_length")
@pytest.mark.parametrize("number", [4, 5])
def test_auto_without_skill_writes_the_median_and_ends_with_1(micrographs, number, capsys):
    path = micrographs(number == 4, dict(list(K_M.items())[:number]))
    assert train(path) == 1
    told = capsys.readouterr()
    assert "predictor: median of the others; no image information found" in told.out
    assert "model holds the median of the formulations, which sees no image" in told.err
    assert load_model("model").predictor == MEDIAN
    assert train(path, "--force") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("here", "only_length")
def test_auto_with_skill_ends_with_0_but_is_no_keras_file(micrographs, here, capsys):
    path = micrographs(True, dict(zip("ABCDEFG", np.geomspace(0.6e-3, 2e-3, 7), strict=True)))
    assert train(path) == 0
    assert "predictor: proportional to the correlation length; errs" in capsys.readouterr().out
    assert train(path, "--force", "--keras", "model.keras") == 1
    assert "--keras: the predictor is no network; add --predictor" in capsys.readouterr().err
    assert not (here / "model.keras").exists()
    assert load_model("model").predictor == PROPORTIONAL  # which is kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictor", "length", "--keras", "k.keras"], "predictor = length is no network"),
        (["--predictor", "median", "--keras", "k.keras"], "add --predictor paper_network"),
        (["--predictor", "oracle"], "predictor = 'oracle' is not allowed"),
    ],
)
def test_train_refuses_what_cannot_be_before_any_work(
    options, message, micrographs, here, monkeypatch, capsys
):
    monkeypatch.setattr(prediction, "train_model", None)  # would train
    assert train(micrographs(True), *options) == 2
    assert message in capsys.readouterr().err
    assert not (here / "model").exists()


@pytest.mark.usefixtures("here", "only_length")
def test_train_offers_the_composition_where_it_is_told_to(micrographs, monkeypatch):
    asked = []

    def offered(kind, _, with_composition):
        asked.append((kind, with_composition))
        return [PROPORTIONAL]

    monkeypatch.setattr(prediction, "candidates_of", offered)
    assert train(micrographs(True), "--composition", "--force") == 0
    assert asked == [("auto", True)]
    assert load_model("model").card.parameters.with_composition


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "epoch", "1"], "-p: unknown parameter 'epoch'"),
        (["-p", "dataset", "gone.csv"], "gone.csv"),
        (["gone.yml"], "gone.yml: no such parameter file"),
    ],
)
def test_train_refuses_what_is_wrong(arguments, message, here, capsys):
    assert main(["train", *arguments, "-o", "model"]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "model").exists()
