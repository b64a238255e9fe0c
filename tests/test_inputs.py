"""The processed micrographs and the network's inputs: their values, their cache, their progress."""

import json
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesemlib.dataset import Dataset
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network import inputs as module
from fesemlib.network.inputs import (
    images_by_step,
    keep_network_inputs,
    network_inputs,
    processed_micrographs,
)
from fesemlib.params import Parameters, ProcessingParameters
from fesemlib.processing import process, process_with, resize_by_area
from fesemlib.progress import PROGRESS_FILE

PARAMETERS = Parameters(background_radius_px=12.0, input_width=24, parallel_jobs=2)


def dataset(number: int, shape: tuple[int, int] = (36, 48)) -> Dataset:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape).astype(np.uint8) for _ in range(number)]
    names = [f"{i}.png" for i in range(number)]
    table = pd.DataFrame({"formulation": names, "image": names, "k_m": 1e-3})
    micrographs = tuple(Micrograph(image) for image in images)
    return Dataset(table.set_index("formulation"), table, micrographs, False, "unused")


def serial(data: Dataset, **changed: object) -> list[np.ndarray]:
    parameters = PARAMETERS.model_copy(update=changed)
    return [
        process(
            micrograph.image,
            parameters.background_radius_px,
            parameters.light_background,
            parameters.smooth_background,
            parameters.equalization,
        ).equalized
        for micrograph in data.micrographs
    ]


@pytest.fixture
def processed(own_build: Path, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The images that are really processed from now on, in an empty cache."""
    seen: list[np.ndarray] = []
    original = module.process_with

    def spy(parameters: Parameters, image: np.ndarray) -> object:
        seen.append(image)
        return original(parameters, image)

    monkeypatch.setattr(module, "process_with", spy)
    assert not own_build.exists()
    return seen


def cached(own_build: Path) -> list[Path]:
    return sorted((own_build / "cache" / "processed").glob("*.npy"))


@pytest.mark.parametrize("jobs", [0, 1, 3])
@pytest.mark.parametrize("equalization", ["classic", "imagej", "clahe", "none"])
def test_same_numbers_as_one_after_the_other(own_build, equalization, jobs):
    data = dataset(5)
    chosen = {"equalization": equalization, "parallel_jobs": jobs}
    parameters = PARAMETERS.model_copy(update=chosen)
    expected = serial(data, equalization=equalization)
    for _ in range(2):  # computed, then from the cache
        for ours, image in zip(processed_micrographs(data, parameters), expected, strict=True):
            assert ours.dtype == np.uint8
            assert np.array_equal(ours, image)
    small = np.stack([resize_by_area(image, 24) for image in expected]) / 255
    assert np.allclose(network_inputs(data, parameters), small, atol=1e-6)
    assert network_inputs(data, parameters).dtype == np.float32
    assert len(cached(own_build)) == 5


@pytest.mark.usefixtures("own_build")
def test_inputs_lie_between_zero_and_one():
    values = network_inputs(dataset(2), PARAMETERS)
    assert values.shape == (2, 18, 24)
    assert values.min() >= 0
    assert values.max() <= 1


def test_each_micrograph_is_processed_once(processed):
    data = dataset(4)
    path = keep_network_inputs(data, PARAMETERS)
    assert len(processed) == 4
    assert keep_network_inputs(data, PARAMETERS) == path
    processed_micrographs(data, PARAMETERS)
    narrower = keep_network_inputs(data, PARAMETERS.model_copy(update={"input_width": 16}))
    assert narrower != path
    assert len(processed) == 4


def test_only_what_is_new_is_processed(processed):
    three, four = dataset(3), dataset(4)
    network_inputs(three, PARAMETERS)
    processed.clear()
    larger = network_inputs(four, PARAMETERS)
    (new,) = processed
    assert np.array_equal(new, four.micrographs[3].image)
    assert np.array_equal(larger[:3], network_inputs(three, PARAMETERS))


@pytest.mark.parametrize(
    "changed",
    [
        {"background_radius_px": 13.0},
        {"light_background": False},
        {"smooth_background": False},
        {"equalization": "imagej"},
    ],
)
def test_other_settings_are_processed_anew(processed, changed):
    data = dataset(2)
    processed_micrographs(data, PARAMETERS)
    others = processed_micrographs(data, PARAMETERS.model_copy(update=changed))
    assert len(processed) == 4
    assert all(map(np.array_equal, others, serial(data, **changed)))


def test_settings_without_influence_do_not_count(processed):
    data = dataset(2)
    path = keep_network_inputs(data, PARAMETERS)
    other = PARAMETERS.model_copy(update={"epochs": 7, "parallel_jobs": 1})
    assert keep_network_inputs(data, other) == path
    assert len(processed) == 2


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"not an array",
    "cut short": lambda content: content[:-1],
    "cut in the header": lambda content: content[:40],
    "broken header": lambda content: content.replace(b"(", b"{"),
    "other type": lambda content: content.replace(b"|u1", b"|i1").replace(b"<f4", b"<i4"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_files_are_made_anew(own_build, processed, damage):
    data = dataset(3)
    path = keep_network_inputs(data, PARAMETERS)
    expected = np.load(path)
    for file in (path, cached(own_build)[1]):
        assert damage(file.read_bytes()) != file.read_bytes()
        file.write_bytes(damage(file.read_bytes()))
    processed.clear()
    assert np.array_equal(network_inputs(data, PARAMETERS), expected)
    assert len(processed) == 1
    assert all(map(np.array_equal, processed_micrographs(data, PARAMETERS), serial(data)))
    assert len(processed) == 1


def test_an_interrupt_loses_nothing_that_is_finished(own_build, monkeypatch):
    data = dataset(6)
    one_at_a_time = PARAMETERS.model_copy(update={"parallel_jobs": 1})
    original = module.process_with
    calls = []

    def interrupted(parameters: Parameters, image: np.ndarray) -> object:
        calls.append(image)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(parameters, image)

    monkeypatch.setattr(module, "process_with", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processed_micrographs(data, one_at_a_time)
    kept = len(cached(own_build))
    assert kept == len(calls) - 1 < 6
    assert set(own_build.rglob("*.npy")) == set(cached(own_build))  # nothing half written
    before = len(calls)
    assert all(map(np.array_equal, processed_micrographs(data, one_at_a_time), serial(data)))
    assert len(calls) - before == 6 - kept


@pytest.mark.usefixtures("own_build")
def test_progress_counts_micrographs(monkeypatch, tmp_path):
    file = tmp_path / "progress.json"
    monkeypatch.setenv(PROGRESS_FILE, str(file))
    reported = []

    replace = Path.replace

    def spy(path, target):
        replace(path, target)
        if target == file:
            state = json.loads(file.read_text())
            reported.append((state["done"], state["total"], state["what"]))

    monkeypatch.setattr(Path, "replace", spy)
    network_inputs(dataset(2), PARAMETERS)
    assert reported == [(done, 2, "micrographs") for done in (0, 1, 2)]
    reported.clear()
    network_inputs(dataset(4), PARAMETERS)
    assert reported == [(done, 4, "micrographs") for done in (2, 3, 4)]
    reported.clear()
    network_inputs(dataset(4), PARAMETERS)
    assert reported == []
    assert not file.exists()


def test_enlarging_is_refused_before_anything_is_processed(processed):
    with pytest.raises(ValueError, match=r"input_width = 49 px.*48 px wide"):
        network_inputs(dataset(2), PARAMETERS.model_copy(update={"input_width": 49}))
    assert processed == []


@pytest.mark.usefixtures("own_build")
def test_images_of_different_shapes_can_be_processed():
    one, other = dataset(1), dataset(1, (20, 31))
    both = replace(one, micrographs=one.micrographs + other.micrographs)
    assert [image.shape for image in processed_micrographs(both, PARAMETERS)] == [
        (36, 48),
        (20, 31),
    ]


def test_every_step_is_that_of_the_processing(own_build: Path) -> None:
    data = dataset(3)
    steps = images_by_step(data, PARAMETERS, 12)
    assert list(steps) == [
        "original",
        "background subtracted",
        "histogram equalised",
        "network's input",
    ]
    for position, micrograph in enumerate(data.micrographs):
        expected = process(micrograph.image, PARAMETERS.background_radius_px)
        small = resize_by_area(expected.equalized, 12)
        ours = [images[position] for images in steps.values()]
        wanted = (micrograph.image, expected.subtracted, expected.equalized, small)
        for image, other in zip(ours, wanted, strict=True):
            assert np.array_equal(image, other)
    assert not own_build.exists()


def test_every_parameter_of_the_processing_names_what_is_kept():
    """Nothing reaches the processing that images in the cache are not named by."""
    read = set()

    class Watched(Parameters):
        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    process_with(Watched(), image)
    assert read & set(Parameters.model_fields) == set(ProcessingParameters.model_fields)
    steps = set(ProcessingParameters.model_fields) - {"processing"}  # which switches both off
    assert len(signature(process).parameters) - 1 == len(steps)
