"""The model folder: what is kept, and what is refused."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prediction_models import (
    K_M,
    PARAMETERS,
    RESIDUALS,
    SHAPE,
    fitted_model,
    grain,
    small_dataset,
    untrained_model,
)

from fesemlib.network.engine import InputScale
from fesemlib.params import Parameters
from fesemlib.prediction import folder as model_folder
from fesemlib.prediction.folder import CARD, ModelError, write_keras
from fesemlib.prediction.model import load_model, predict_micrographs
from fesemlib.predictors import predictor_named
from fesemlib.predictors.combined import LENGTH_AND_TEXTURE
from fesemlib.predictors.networks import PAPER_NETWORK
from fesemlib.predictors.regressions import MEDIAN, PROPORTIONAL, TEXTURES
from fesemlib.storage import DiskFullError


@pytest.fixture(scope="module")
def model():
    return untrained_model()


@pytest.fixture(scope="module")
def length_model():
    return fitted_model(PROPORTIONAL)


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def length_folder(length_model, tmp_path):
    length_model.save(tmp_path / "length")
    return tmp_path / "length"


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


def test_the_former_model_stays_where_the_new_one_cannot_be_put(model, folder, monkeypatch):
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == "model" and path != folder:
            raise PermissionError(13, "Permission denied", str(target))
        return rename(path, target)

    before = (folder / CARD).read_bytes()
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        model.save(folder, overwrite=True)
    assert (folder / CARD).read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    load_model(folder)


@pytest.mark.parametrize(
    "predictor",
    [MEDIAN, PROPORTIONAL, *TEXTURES, LENGTH_AND_TEXTURE],
    ids=lambda predictor: predictor.name,
)
def test_a_regression_is_fitted_anew_and_predicts_the_same(tmp_path, predictor):
    """The card holds what it was fitted to; nothing else is in the folder."""
    model = fitted_model(predictor).save(tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == [CARD]
    read = load_model(tmp_path / "model")
    assert (read.card, read.networks) == (model.card, ())
    assert read.learned is not model.learned
    images = [grain(100, SHAPE, 2.5), grain(101, (100, 140), 3.0)]
    assert predict_micrographs(read, images) == predict_micrographs(model, images)


def test_what_a_formulation_is_made_of_is_kept(tmp_path):
    """A predictor that goes by the composition is known by the components in the card."""
    mannitol = dict(zip(K_M, (4, 2, 3, 1, 0), strict=True))
    texts = {name: f"{5 - part}% dextran + {part}% mannitol" for name, part in mannitol.items()}
    texts["E"] = "5% dextran"
    dataset = small_dataset(compositions=texts)
    predictor = predictor_named("linear in mannitol", ["dextran", "mannitol"])
    model = fitted_model(predictor, dataset).save(tmp_path / "model")
    read = load_model(tmp_path / "model")
    assert read.predictor.name == predictor.name
    told = "2.5% dextran + 2.5% mannitol"
    found = predict_micrographs(read, [grain(7)], composition=told)
    assert found == predict_micrographs(model, [grain(7)], composition=told)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["network", "length"])
def test_a_fresh_interpreter_predicts_the_same(model, length_model, tmp_path, kind):
    model = {"network": model, "length": length_model}[kind]
    folder = tmp_path / "model"
    model.save(folder)
    images = [grain(seed) for seed in (100, 101)]
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys, numpy as np\n"
        "from fesemlib.prediction.model import load_model, predict_micrographs\n"
        f"model = load_model({str(folder)!r})\n"
        f"images = list(np.load({str(tmp_path / 'images.npy')!r}))\n"
        "for each in predict_micrographs(model, images):\n"
        "    print(each.k_m.hex(), each.k_m_low.hex(), each.k_m_high.hex())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found = [[float.fromhex(part) for part in line.split()] for line in done.stdout.splitlines()]
    expected = [
        [each.k_m, each.k_m_low, each.k_m_high] for each in predict_micrographs(model, images)
    ]
    assert found == expected


def test_card_tells_what_there_is(folder):
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    assert card["data"] == "5 micrographs of 5 formulations in manifest.csv"
    assert card["synthetic"] is False
    assert card["k_m"] == K_M
    assert (card["shape"], card["pixel_size_um"]) == ([96, 128], 1.0)
    assert card["residuals"] == pytest.approx(RESIDUALS)
    assert card["log_residuals"] == pytest.approx(RESIDUALS)  # one micrograph each
    assert card["predictor"] == PAPER_NETWORK.name
    assert set(card["candidates"]) == {PAPER_NETWORK.name, MEDIAN.name}
    assert card["formulations"] == list(K_M)
    assert [len(each) for each in card["measures"]] == [len(card["measure_names"])] * len(K_M)
    assert card["parameters"]["background_radius_px"] == 50.0
    assert card["parameters"]["dataset"] == "manifest.csv"  # no path of this machine
    assert set(card["software"]) >= {"Python", "keras", "numpy", "scikit-learn", "fesem"}
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
        (CARD, cut, f"{CARD}: damaged: no JSON can be read"),
        (CARD, flip, CARD),
        (CARD, lambda path: path.write_bytes(b""), "no JSON can be read"),
        (CARD, lambda path: path.write_bytes(b"\xff\xfe"), "no JSON can be read"),
        (CARD, lambda path: path.write_text("[" * 100_000), "no JSON can be read"),
        (CARD, lambda path: path.write_text("[1]"), "holds no JSON object"),
        (CARD, lambda path: path.write_text('{"format": 4}'), "format 4, but this version"),
        (CARD, lambda path: path.write_text('{"format": 3}'), "does not fit its checksum"),
        ("member_1.npz", Path.unlink, "member_1.npz: cannot be read"),
        ("member_2.npz", cut, "member_2.npz: damaged or replaced"),
        ("member_1.npz", flip, "member_1.npz: damaged or replaced"),
        ("member_2.npz", lambda path: path.write_bytes(b""), "member_2.npz: damaged or replaced"),
    ],
)
def test_damage_is_refused_in_one_sentence(folder, file, damage, message):
    damage(folder / file)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert re.search("restore it|again|give a folder|is no model card", str(caught.value))


def test_swapped_members_are_refused(folder):
    (folder / "member_1.npz").rename(folder / "kept")
    (folder / "member_2.npz").rename(folder / "member_1.npz")
    (folder / "kept").rename(folder / "member_2.npz")
    with pytest.raises(ModelError, match=r"member_1\.npz: damaged or replaced"):
        load_model(folder)


@pytest.mark.parametrize(("number", "file"), [(1, "member_1.keras"), (2, "member_1.npz")])
def test_a_folder_of_a_former_kind_is_to_be_trained_again(tmp_path, number, file):
    """They held networks only, at first in Keras' format."""
    former = {"format": number, "members": [{"file": file, "sha256": ""}], "sha256": ""}
    (tmp_path / CARD).write_text(json.dumps(former), encoding="utf-8")
    (tmp_path / file).write_bytes(b"PK")
    told = rf"format {number}, but .* reads format 3; train the model again with `fesem train`"
    with pytest.raises(ModelError, match=told):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [('"E": 0.0007', '"E": 0.0009'), ('"pixel_size_um": 1.0', '"pixel_size_um": 2.0')],
)
def test_an_edited_card_is_refused(length_folder, before, after):
    text = (length_folder / CARD).read_text(encoding="utf-8")
    assert before in text
    (length_folder / CARD).write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit its checksum"):
        load_model(length_folder)


def test_a_folder_from_before_pages_were_kept_is_of_the_first(length_folder):
    resealed(length_folder, lambda card: card.pop("page"))
    assert load_model(length_folder).card.page == 1


def test_no_folder(tmp_path):
    with pytest.raises(ModelError, match="nowhere: no such folder"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("measures"), "measures: Field required"),
        (lambda card: card.update(spam=1), "spam: Extra inputs"),
        (lambda card: card["members"][0].update(file="../evil.npz"), "members.0.file"),
        (lambda card: card["members"][0]["scale"].update(spread=0.0), "is not positive"),
        (lambda card: card["measures"][0].pop(), "the measures are not those of this version"),
        (lambda card: card.update(members=[]), "network has members, and no other has"),
        (lambda card: card["parameters"].update(epochs="many"), "epochs"),
        (lambda card: card["k_m"].update(A=-1e-3), "is not positive"),
        (lambda card: card["parameters"].update(input_width=4096), "input_width = 4096"),
        (lambda card: card["parameters"].update(input_width=24), "at least 22 px"),
        (lambda card: card["parameters"].update(input_width=48), "not the weights"),
        (lambda card: card["parameters"].update(head="global_average"), "not the weights"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(folder, change, message):
    resealed(folder, change)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def another_measure(card):
    card["measure_names"][-1][1] = "wavelets: of another version"


def without_median(card):
    del card["candidates"][MEDIAN.name]


MEMBER = {"file": "member_1.npz", "sha256": "", "seed": 0}
MEMBER["scale"] = {"offset": 0.0, "spread": 1.0, "logarithmic": False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_measure, "the measures are not those of this version"),
        (lambda card: card["measure_names"].pop(), "the measures are not those of this version"),
        (lambda card: card["measures"].pop(), "not those of the formulations"),
        (lambda card: card["formulations"].pop(), "not those of the formulations"),
        (lambda card: card["formulations"].append("Z"), "not those of the formulations"),
        (lambda card: card.update(k_m={}), "not those of the formulations"),
        (lambda card: card.update(members=[MEMBER]), "network has members, and no other has"),
        (lambda card: card.update(predictor=PAPER_NETWORK.name), "network has members"),
        (lambda card: card.update(predictor="oracle"), "oracle"),
        (lambda card: card.update(predictor="linear in mannitol"), "linear in mannitol"),
        (lambda card: card["residuals"].pop("A"), "residuals"),
        (lambda card: card["residuals"].update(Z=0.1), "residuals"),
        (lambda card: card["log_residuals"].clear(), "residuals"),
        (lambda card: card["candidates"][MEDIAN.name].pop("A"), "candidates"),
        (without_median, "candidates"),
    ],
)
def test_a_card_of_a_regression_that_does_not_fit_is_refused(length_folder, change, message):
    resealed(length_folder, change)
    with pytest.raises(ModelError, match=message):
        load_model(length_folder)


class Marking:
    """What leaves a mark when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_no_pickle_is_opened(folder, tmp_path):
    np.savez(folder / "member_1.npz", np.array([Marking(tmp_path / "ran")], dtype=object))
    replaced(folder, "member_1.npz")
    with pytest.raises(ModelError, match=r"member_1\.npz: not the weights"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()


def saved(change):
    """Write the weights of a member anew, changed."""

    def write(path: Path) -> None:
        with np.load(path) as arrays:
            weights = list(arrays.values())
        np.savez(path, *change(weights))

    return write


def with_nan(weights):
    weights[0][0, 0, 0, 0] = np.nan
    return weights


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (saved(lambda weights: weights[:-1]), "not the weights"),
        (saved(lambda weights: [*weights, weights[0]]), "not the weights"),
        (saved(lambda weights: [weight[..., :1] for weight in weights]), "not the weights"),
        (saved(with_nan), "weights that are no numbers"),
        (lambda path: path.write_bytes(b"no archive"), "not the weights"),
        (lambda path: path.write_bytes(b""), "not the weights"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "not the weights"),
        (lambda path: np.save(path.open("wb"), np.ones(3)), "not the weights"),
    ],
)
def test_other_weights_are_refused_though_the_card_vouches_for_them(folder, write, message):
    write(folder / "member_1.npz")
    replaced(folder, "member_1.npz")
    with pytest.raises(ModelError, match=f"member_1.npz: .*{message}"):
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
    settings = load_model(folder).card.parameters
    assert settings.input_width == PARAMETERS.input_width
    assert settings.scheduler == Parameters().scheduler  # that of another machine is not kept


def test_another_processing_is_remarked_upon(folder, capsys):
    resealed(folder, lambda card: card["software"].update(processing="another"))
    load_model(folder)
    assert "another version of the code that processes" in capsys.readouterr().err


@pytest.mark.parametrize("scale", [InputScale(0.4, 0.3), InputScale(0.0, 2.5)])
def test_the_scale_of_the_input_is_kept(tmp_path, scale):
    """Its layer holds no weights: the card has to tell it."""
    model = untrained_model(shown=scale)
    model.save(tmp_path / "model")
    (found,) = predict_micrographs(load_model(tmp_path / "model"), [grain(7)])
    assert predict_micrographs(model, [grain(7)]) == [found]
    assert predict_micrographs(untrained_model(), [grain(7)]) != [found]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "seeds"), [("minmax", 2), ("log10", 2), ("zscore", 1)])
def test_an_ordinary_keras_file_predicts_the_same_without_fesem(tmp_path, target, seeds):
    parameters = PARAMETERS.model_copy(update={"target": target, "number_of_seeds": seeds})
    model = untrained_model(parameters, shown=InputScale(0.4, 0.3))
    write_keras(model.networks, tmp_path / "model.keras")
    images = np.random.default_rng(0).random((3, 24, 32), dtype=np.float32)
    np.save(tmp_path / "images.npy", images[..., np.newaxis])
    script = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model('model.keras')\n"
        "np.save('found.npy', model.predict(np.load('images.npy'), verbose=0))\n"
        "assert not any(name.startswith('fesem') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True)
    expected = np.mean([network.predict(images) for network in model.networks], axis=0)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy")[:, 0], expected, rtol=1e-5)
