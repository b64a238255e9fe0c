"""The model folder: what is kept, and what is refused."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from prediction_models import PARAMETERS, SHAPE, grain, untrained_model

from fesemlib.network.architecture import load_tensorflow
from fesemlib.params import Parameters
from fesemlib.prediction import folder as model_folder
from fesemlib.prediction.folder import CARD, ModelError
from fesemlib.prediction.model import load_model, predict_micrographs
from fesemlib.storage import DiskFullError


@pytest.fixture(scope="module")
def model():
    return untrained_model()


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


def resealed(folder: Path, change) -> None:
    """Change the card, and give it the checksum that fits: damage is not what is tested."""
    path = folder / CARD
    card = json.loads(path.read_text(encoding="utf-8"))
    change(card)
    card.pop("sha256", None)
    card["sha256"] = model_folder._seal(card)
    path.write_text(json.dumps(card), encoding="utf-8")


def replaced(folder: Path, file: str) -> None:
    """Let the card vouch for a member as it is now."""
    found = hashlib.sha256((folder / file).read_bytes()).hexdigest()

    def change(card):
        for member in card["members"]:
            if member["file"] == file:
                member["sha256"] = found

    resealed(folder, change)


@pytest.mark.slow
def test_a_fresh_interpreter_predicts_the_same(model, folder, tmp_path):
    images = [grain(seed) for seed in (100, 101)]
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys, numpy as np\n"
        "from fesemlib.prediction.model import load_model, predict_micrographs\n"
        f"model = load_model({str(folder)!r})\n"
        f"images = list(np.load({str(tmp_path / 'images.npy')!r}))\n"
        "for each in predict_micrographs(model, images):\n"
        "    print(each.k_m.hex(), each.low.hex(), each.high.hex(), each.distance.hex())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found = [[float.fromhex(part) for part in line.split()] for line in done.stdout.splitlines()]
    expected = [
        [each.k_m, each.low, each.high, each.distance]
        for each in predict_micrographs(model, images)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_card_tells_what_there_is(folder):
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    assert card["data"] == "5 micrographs of 5 formulations in manifest.csv"
    assert card["synthetic"] is False
    assert card["k_m_range"] == [0.7e-3, 1.9e-3]
    assert card["image"] == {"height_px": 96, "width_px": 128, "pixel_size_um": 1.0}
    assert {each["name"]: each["log_residual"] for each in card["formulations"]}["E"] == -0.5
    assert card["parameters"]["background_radius_px"] == 50.0
    assert card["parameters"]["dataset"] == "manifest.csv"  # no path of this machine
    assert set(card["software"]) >= {"Python", "keras", "numpy", "tensorflow", "fesem"}
    for member in card["members"]:
        content = (folder / member["file"]).read_bytes()
        assert member["sha256"] == hashlib.sha256(content).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [CARD, *[member["file"] for member in card["members"]]]
    )


def test_stand_ins_are_called_so(tmp_path):
    model = untrained_model(synthetic=True).save(tmp_path / "model")
    assert load_model(tmp_path / "model").card.synthetic
    assert model.card.data.startswith("SYNTHETIC")


def test_what_is_there_is_replaced_only_when_told(model, folder, tmp_path):
    with pytest.raises(ModelError, match="holds a model already"):
        model.save(folder)
    model.save(folder, overwrite=True)
    load_model(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="is no model folder"):
        model.save(other, overwrite=True)
    assert (other / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


def test_a_full_disk_leaves_the_model_that_was_there(model, folder, tmp_path, monkeypatch):
    before = (folder / CARD).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder, "_as_text", full)
    with pytest.raises(DiskFullError, match="the disk is full, model could not be written"):
        model.save(folder, overwrite=True)
    assert (folder / CARD).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (CARD, Path.unlink, f"{CARD}: no such file"),
        (CARD, cut, f"{CARD}: not readable as JSON"),
        (CARD, flip, CARD),
        (CARD, lambda path: path.write_bytes(b""), "not readable as JSON"),
        (CARD, lambda path: path.write_bytes(b"\xff\xfe"), "not readable as JSON"),
        (CARD, lambda path: path.write_text("[" * 100_000), "not readable as JSON"),
        (CARD, lambda path: path.write_text("[1]"), "holds no JSON object"),
        (CARD, lambda path: path.write_text('{"format": 2}'), "format 2, but this version"),
        (CARD, lambda path: path.write_text('{"format": 1}'), "does not fit its checksum"),
        ("member_1.keras", Path.unlink, "member_1.keras: cannot be read"),
        ("member_2.keras", cut, "member_2.keras: the content does not fit"),
        ("member_1.keras", flip, "member_1.keras: the content does not fit"),
    ],
)
def test_damage_is_refused_in_one_sentence(folder, file, damage, message):
    damage(folder / file)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_edited_card_is_refused(folder):
    text = (folder / CARD).read_text(encoding="utf-8")
    (folder / CARD).write_text(text.replace('"log_residual": -0.5', '"log_residual": -0.1'))
    with pytest.raises(ModelError, match="does not fit its checksum"):
        load_model(folder)


def test_no_folder(tmp_path):
    with pytest.raises(ModelError, match="nowhere: no such folder"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("textures"), "textures: Field required"),
        (lambda card: card.update(spam=1), "spam: Extra inputs"),
        (lambda card: card["members"][0].update(file="../evil.keras"), "members.0.file"),
        (lambda card: card["members"][0].update(spread=0.0), "no scale"),
        (lambda card: card["textures"][0]["values"].pop(), "texture features"),
        (lambda card: card["parameters"].update(epochs="many"), "epochs"),
        (lambda card: card.update(k_m_range=[2e-3, 1e-3]), "no range of k_m"),
        (lambda card: card["parameters"].update(input_width=4096), "input_width = 4096"),
        (lambda card: card["parameters"].update(input_width=48), "not the network"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(folder, change, message):
    resealed(folder, change)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def lambda_network(marker: Path):
    """A network whose Lambda layer would leave a mark when it runs."""
    keras = load_tensorflow().keras
    path = str(marker)
    return keras.Sequential(
        [
            keras.Input((24, 32, 1)),
            keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1]),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )


def test_a_lambda_layer_is_refused_and_not_run(folder, tmp_path):
    marker = tmp_path / "ran"
    lambda_network(marker).save(folder / "member_1.keras")
    marker.unlink(missing_ok=True)
    replaced(folder, "member_1.keras")
    with pytest.raises(ModelError, match="'Lambda', which is no part of a network of fesem"):
        load_model(folder)
    assert not marker.exists()


@pytest.mark.parametrize(
    "part",
    [
        {"class_name": "function", "module": "builtins", "config": "exec"},
        {"class_name": "Dense", "module": "os", "config": {}},
        {"class_name": "Dense", "module": "keras.layers", "registered_name": "package>Evil"},
    ],
)
def test_what_a_configuration_would_import_is_refused_wherever_it_stands(folder, part):
    path = folder / "member_1.keras"
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    configuration = json.loads(contents["config.json"])
    configuration["config"]["layers"][1]["config"]["activation"] = part
    contents["config.json"] = json.dumps(configuration).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    replaced(folder, "member_1.keras")
    with pytest.raises(ModelError, match="could execute code"):
        load_model(folder)


def test_another_network_is_refused(folder):
    keras = load_tensorflow().keras
    network = keras.Sequential([keras.Input((24, 32, 1)), keras.layers.Flatten()])
    network.save(folder / "member_1.keras")
    replaced(folder, "member_1.keras")
    with pytest.raises(ModelError, match="not the network that the card describes"):
        load_model(folder)


def test_what_unpacks_to_more_than_a_network_is_refused(folder):
    path = folder / "member_1.keras"
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(20_000_000))
    replaced(folder, "member_1.keras")
    with pytest.raises(ModelError, match="more than the network has"):
        load_model(folder)


def test_no_keras_file(folder):
    (folder / "member_1.keras").write_bytes(b"no archive")
    replaced(folder, "member_1.keras")
    with pytest.raises(ModelError, match="not a network in Keras' format"):
        load_model(folder)


@pytest.mark.slow
@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_every_kind_of_network_can_be_kept(tmp_path, initializer, padding):
    parameters = PARAMETERS.model_copy(update={"initializer": initializer, "padding": padding})
    model = untrained_model(parameters).save(tmp_path / "model")
    (found,) = predict_micrographs(load_model(tmp_path / "model"), [grain(7, SHAPE)])
    (expected,) = predict_micrographs(model, [grain(7, SHAPE)])
    assert found == expected


def test_parameters_are_those_of_the_training(folder):
    settings = load_model(folder).parameters
    assert settings.input_width == PARAMETERS.input_width
    assert settings.scheduler == Parameters().scheduler  # that of another machine is not kept


def test_another_processing_is_remarked_upon(folder, capsys):
    resealed(folder, lambda card: card["software"].update(processing="another"))
    load_model(folder)
    assert "another version of the code that processes" in capsys.readouterr().err
