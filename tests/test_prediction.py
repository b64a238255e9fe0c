"""Predicting: as in training, one bad file stops nothing, and what is said of each micrograph."""

import json
import math
import os
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prediction_models import (
    K_M,
    PARAMETERS,
    RESIDUALS,
    SHAPE,
    grain,
    small_dataset,
    untrained_model,
    with_residuals,
    write_grain,
)

from fesemlib.command.cli import main
from fesemlib.drying.equations import product_resistance
from fesemlib.micrographs.files import PredictionError, image_files
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.inputs import network_inputs, processed_micrographs
from fesemlib.prediction import model as prediction
from fesemlib.prediction.folder import ModelError
from fesemlib.prediction.model import (
    Layer,
    Prediction,
    load_model,
    predict_files,
    predict_micrographs,
    train_model,
)
from fesemlib.texture import texture_description
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
        expected = math.log(K_M[name] / max(own["predicted_km"].mean(), 0.07e-3))
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
    assert model.half_width == math.inf


def test_one_formulation_is_no_training_set():
    with pytest.raises(ModelError, match="holds one formulation; a model needs at least two"):
        train_model(small_dataset({"A": 1e-3}), PARAMETERS)


@pytest.mark.slow
def test_diverged_networks_are_no_model():
    parameters = PARAMETERS.model_copy(
        update={"learning_rate": 1.0, "target": "raw", "epochs": 40, "initializer": "he_normal"}
    )
    dataset = small_dataset({"A": 1e30, "B": 2e38})
    with pytest.raises(ModelError, match="learning_rate = 1: a training diverged"):
        train_model(dataset, parameters)


@pytest.mark.usefixtures("here")
def test_files_are_seen_as_in_training(model):
    """A file gives the same input and texture as the micrograph of a data set."""
    image = grain(50)
    Image.fromarray(image).save("new.png")
    (row,) = predict_files(model, ["new.png"])
    dataset = replace(small_dataset(), micrographs=(Micrograph(image, 1.0),) * 5)
    inputs = network_inputs(dataset, PARAMETERS)[:1]
    texture = texture_description(processed_micrographs(dataset, PARAMETERS)[0])
    expected = model.predict((inputs[0], texture, ""), Layer())
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


def test_too_few_formulations_give_no_bounds(model, here):
    write_grain(here / "new.png", 50)
    few = with_residuals(model, {"A": 0.1, "B": 0.2, "C": 0.3})
    (row,) = predict_files(few, ["new.png"])
    assert (row.k_m_low, row.k_m_high) == (0.0, math.inf)
    assert (row.resistance_low, row.resistance_high) == (0.0, math.inf)


def test_k_m_beyond_the_training_is_flagged(model):
    seen = np.zeros((24, 32), np.float32), model.domain.textures[0], ""

    class Constant:
        def __init__(self, k_m):
            self.k_m = k_m

        def predict(self, images):
            return np.full(len(images), self.k_m)

    def remarks(k_m):
        found = replace(model, networks=(Constant(k_m),)).predict(seen, Layer())
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
    rows = list(predict_files(model, files))
    assert [row.image for row in rows] == files
    assert [bool(row.error) for row in rows] == [False, True, True, True, True, True, False]
    assert rows[1].error.startswith("64×48 px, but the model was trained on 128×96 px")
    assert "cannot be read" in rows[2].error
    assert "grey level 9" in rows[3].error
    assert "no such file" in rows[4].error
    assert all(math.isnan(row.k_m) and row.in_domain is None for row in rows if row.error)


def test_pixel_size_is_that_of_the_model(model, here):
    Image.fromarray(grain(1)).save("two.tif", dpi=(25400 / 2, 25400 / 2))  # 2 µm a pixel
    Image.fromarray(grain(1)).save("one.tif", dpi=(25400, 25400))
    write_grain(here / "untold.png", 1)
    two, one, untold = predict_files(model, ["two.tif", "one.tif", "untold.png"])
    assert two.error.startswith("2 µm a pixel, but the model was trained at 1 µm")
    assert "--pixel-size" in two.error
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
    assert "2 µm, and 1 µm or finer is needed" in rows[1].error
    assert "covers 120×96 px of 1 µm, but 128×96 px are needed" in rows[2].error
    assert "the pixel size is not known" in rows[3].error
    inside = fine[5 : 5 + 2 * SHAPE[0]].reshape(SHAPE[0], 2, SHAPE[1], 2).mean(axis=(1, 3))
    expected = predict_micrographs(model, [np.round(inside).astype(np.uint8)])[0]
    assert rows[0].k_m == pytest.approx(expected.k_m, rel=1e-3)


def test_predictions_do_not_depend_on_how_many_are_made_at_a_time(model, here):
    files = [str(write_grain(here / f"{seed}.png", seed)) for seed in range(7)]
    alone = list(predict_files(model, files, parallel_jobs=1))
    together = list(predict_files(model, files, parallel_jobs=4))
    assert alone == together


def test_only_a_few_micrographs_wait(model, here, monkeypatch):
    read: list[str] = []
    original = prediction.read_micrograph
    monkeypatch.setattr(
        prediction, "read_micrograph", lambda file, crop: read.append(file) or original(file, crop)
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
    assert lines[0].startswith("model: 5 micrographs of 5 formulations in manifest.csv; 2 networks")
    assert "few carry no guarantee" in lines[1]
    assert "8 mm dried, front at -30 °C" in lines[2]
    assert [line.split()[0] for line in lines[-2:]] == ["images/a.png", "images/b.png"]
    files = ["images/a.png", "images/b.png"]
    expected = pd.DataFrame(predict_files(load_model(model_folder), files, Layer(0.008, 243.15)))
    table = pd.read_csv("out.csv", keep_default_na=False, na_values={"k_m": [""]})
    assert list(table.columns) == COLUMNS
    np.testing.assert_allclose(table["k_m"], expected["k_m"])
    np.testing.assert_allclose(table["resistance_high"], expected["resistance_high"])
    content = json.loads((here / "out.json").read_text(encoding="utf-8"))
    assert content["model"]["synthetic"] is False
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
        (["MODEL", "a.png", "--csv", "./a.png"], "a.png: is one of the micrographs; choose"),
        (["MODEL", "a.png", "--json", "MODEL/model_card.json"], "is within the model's folder"),
        (["MODEL", "a.png", "--csv", "x", "--json", "x"], "is what --csv names, too; choose"),
        (["MODEL", "a.png", "--csv", "/dev/null"], "/dev/null: is no regular file"),
        (["MODEL", "a.png", "--front-temperature", "20"], "ice has -163.15 to 0.01 °C"),
        (["MODEL", "a.png", "--pixel-size", "0"], "--pixel-size 0: give µm"),
        (["MODEL", "a.png", "--jobs", "-1"], "--jobs -1"),
        (["MODEL", "a.png", "--csv", "nowhere/out.csv"], "there is no folder"),
        (["MODEL", "a.png", "--json", "."], "is a folder"),
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


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_train_writes_what_predict_reads(manifest, capsys):
    path = manifest("A,a.png,1.9e-3", "B,b.png,1.1e-3", "C,c.png,1.4e-3", "D,d.png,1.0e-3")
    small = {"dataset": path, "input_width": 48, "epochs": 1}
    overrides = [str(part) for name, value in small.items() for part in ("-p", name, value)]
    assert main(["train", *overrides, "-o", "model"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "model"
    assert predict("model", path.parent / "a.png", path.parent / "d.png") == 0
    assert main(["train", *overrides, "-o", "model"]) == 2
    assert "model: holds a model already" in capsys.readouterr().err
    assert main(["train", *overrides, "-o", "model", "--force"]) == 0


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
