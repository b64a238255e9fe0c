"""Writing in every micrograph of a set: found where it was drawn here, and nowhere else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import texture
from PIL import Image, ImageDraw, ImageFont
from prediction_models import grain

from fesemlib.dataset import Dataset, DatasetError, load_dataset, with_cut_rows
from fesemlib.micrographs import MicrographError, crop_micrograph, read_micrograph
from fesemlib.micrographs.reading import Micrograph
from fesemlib.micrographs.writing import find_writing
from fesemlib.micrographs.zeiss import _FONT
from fesemlib.params import Parameters
from fesemlib.prediction.model import load_model, predict_files, train_model
from fesemlib.processing import equalize_histogram
from fesemlib.synthetic import synthesize_micrograph

SHAPE = (192, 256)
PLACES = {"top": 4, "middle": 90, "bottom": 170}
KM = (0.7e-3, 1.1e-3, 1.9e-3, 1.4e-3)


def stand_in(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return synthesize_micrograph(KM[seed % 4], seed=seed, shape=shape).image


def written(image: np.ndarray, top: int, text: str, white: bool = True, outline: bool = False):
    """A label, ticks and a unit in 16 rows, as Hitachi's program draws them."""
    colour, other = (255, 0) if white else (0, 255)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype(_FONT, 10)
    edge = {"stroke_width": 1, "stroke_fill": other} if outline else {}
    draw.text((8, top), text, colour, font, **edge)
    draw.text((200, top + 4), "50.0um", colour, font, **edge)
    for column in range(170, 250, 8):
        draw.line((column, top, column, top + 4), colour)
    return np.asarray(picture)


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


# --------------------------------------------------------------------------------------- found


@pytest.mark.parametrize("number", [3, 10])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("look", ["white", "black", "outlined", "jpeg", "differs", "lacking"])
def test_writing_is_found_where_it_is_and_gone_when_cut(number, place, look):
    plain = [stand_in(seed) for seed in range(number)]
    top = PLACES[place]
    texts = ["10.0kV 14.4mm x1.00k SE"] * number
    if look == "differs":
        texts = [f"{5 + n}.0kV x{n}00 SE {n * 37 % 10}{n * 53 % 10}" for n in range(number)]
    images = [
        written(image, top, text, look != "black", look == "outlined")
        for image, text in zip(plain, texts, strict=True)
    ]
    if look == "jpeg":
        images = [as_jpeg(image, 80) for image in images]
    if look == "lacking" and number == 10:
        images[3] = plain[3]
    ((first, last),) = find_writing(images)
    assert top - 32 <= first <= top
    assert top + 16 <= last <= top + 48
    assert not find_writing([np.delete(image, range(first, last), axis=0) for image in images])


@pytest.mark.parametrize("lines", [1, 3])
def test_lines_that_differ_and_the_ground_of_the_writing_go_with_it(lines):
    """Above the line that is the same: lines of other words, or a black label around it."""
    images = []
    for seed in range(8):
        image = stand_in(seed, (480, 320)).copy()
        if lines == 1:
            image[425:475, 4:316] = 0
        image = written(image, 450, "10.0kV 14.4mm x1.00k SE")
        words = f"Sample {seed * 7919} {chr(65 + seed)}{seed * 31}"
        images.append(written(image, 432, words)[:, :250] if lines == 3 else image)
        images[-1] = np.pad(images[-1], ((0, 0), (0, 320 - images[-1].shape[1])), "reflect")
    ((first, last),) = find_writing(images)
    assert 400 <= first <= 425 + 8 * (lines == 3)
    assert last >= 466


def test_scale_bar_alone_is_found():
    """The number beside it is another in each."""
    for number in (3, 6):
        images = []
        for seed in range(number):
            image = stand_in(seed).copy()
            image[180:183, 150:230] = 255
            picture = Image.fromarray(image)
            font = ImageFont.truetype(_FONT, 10)
            ImageDraw.Draw(picture).text((190 - 9 * seed, 165), f"{seed * 173}", 255, font)
            images.append(np.asarray(picture))
        ((first, last),) = find_writing(images)
        assert first <= 180
        assert last >= 183


def test_writing_at_both_edges_gives_two_bands():
    images = [written(written(stand_in(n), 4, "25-Nov-26"), 170, "5.0kV") for n in range(4)]
    (upper, lower) = find_writing(images)
    assert upper[1] < 60 < 140 < lower[0]


# ------------------------------------------------------------------------------- never anything


def framed(image: np.ndarray) -> np.ndarray:
    """A black frame with round corners."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    height, width = image.shape
    inside = (abs(2 * rows / height - 1) ** 6 + abs(2 * columns / width - 1) ** 6) < 0.9
    return np.where(inside, image, 0).astype(np.uint8)


def shaded(image: np.ndarray) -> np.ndarray:
    """Darker towards the corners."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    height, width = image.shape
    far = (2 * rows / height - 1) ** 2 + (2 * columns / width - 1) ** 2
    return (image * (1.25 - 0.6 * far).clip(0, 1)).astype(np.uint8)


def contrasted(image: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(factor * (image.astype(float) - 128) + 128, 0, 255).astype(np.uint8)


def charged(image: np.ndarray) -> np.ndarray:
    """Ever brighter towards the lower edge, where most is saturated."""
    rise = 0.6 + 1.8 * np.linspace(0, 1, len(image))[:, np.newaxis] ** 4
    return np.clip(rise * image, 0, 255).astype(np.uint8)


def with_hot_pixels(image: np.ndarray) -> np.ndarray:
    hot = image.copy()
    places = np.random.default_rng(0).integers(0, image.size, 60)
    hot.ravel()[places] = 255
    hot[60, 50:52] = 0
    return hot


Made = Callable[[int, tuple[int, int]], np.ndarray]
OTHERS: dict[str, Made] = {
    "as it is": stand_in,
    "equalised": lambda seed, shape: equalize_histogram(stand_in(seed, shape)),
    "shaded, equalised": lambda seed, shape: equalize_histogram(shaded(stand_in(seed, shape))),
    "black frame": lambda seed, shape: framed(stand_in(seed, shape)),
    "saturated": lambda seed, shape: contrasted(stand_in(seed, shape), 3),
    "binary": lambda seed, shape: contrasted(stand_in(seed, shape), 1000),
    "charged": lambda seed, shape: charged(stand_in(seed, shape)),
    "hot pixels": lambda seed, shape: with_hot_pixels(stand_in(seed, shape)),
    "noise": texture,
    "strong grain": lambda seed, shape: contrasted(grain(seed, shape), 3),
    "fine strong grain": lambda seed, shape: contrasted(grain(seed, shape, 0.8), 4),
    "same field": lambda seed, shape: contrasted(grain(seed // 3, shape, 1.0), 2),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_set_without_writing_is_never_cut(kind):
    images = [OTHERS[kind](seed, (96, 128)) for seed in range(66)]
    for first in range(0, 66, 3):
        assert find_writing(images[first : first + 3]) == []
    for number in (5, 12, 40):
        assert find_writing(images[:number]) == []
    assert find_writing([OTHERS[kind](seed, (384, 512)) for seed in range(3)]) == []


def test_two_micrographs_tell_nothing():
    assert find_writing([written(stand_in(n), 170, "5.0kV") for n in range(2)]) == []


# --------------------------------------------------------------------------------- whole sets


def save(path: Path, images: list[np.ndarray]) -> Path:
    """The manifest of these images, each a formulation."""
    path.mkdir()
    rows = []
    for number, image in enumerate(images):
        tifffile.imwrite(path / f"{number}.tif", image, photometric="minisblack")
        rows.append(f"{'ABCDEFGH'[number]},{number}.tif,{KM[number % 4] + 1e-5 * number},1.0")
    manifest = path / "manifest.csv"
    manifest.write_text("\n".join(["formulation,image,k_m,pixel_size_um", *rows]) + "\n")
    return manifest


def load(manifest: Path, crop: object = "auto") -> Dataset:
    return load_dataset(Parameters(dataset=str(manifest), crop=crop))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("place", ["top", "bottom"])
def test_set_is_cut_as_if_the_rows_had_never_been(tmp_path, place, deep):
    images = [written(stand_in(n), PLACES[place], "10.0kV 14.4mm x1.00k SE") for n in range(4)]
    if deep:  # 12 bit, below writing at the upper end of 16
        images = [np.where(im == 255, 65535, im.astype(np.uint16) * 16) for im in images]
        images = [image.astype(np.uint16) for image in images]
    dataset = load(save(tmp_path / "with", images))
    first, last = map(int, str(dataset.crop).split(":"))
    assert 144 <= dataset.shape[0] == last - first < 192
    other = load(save(tmp_path / "without", [image[first:last] for image in images]))
    assert other.crop == "auto"
    for ours, theirs in zip(dataset.micrographs, other.micrographs, strict=True):
        assert np.array_equal(ours.image, theirs.image)
        assert (ours.cut_top, ours.cut_rows) == (first, 192 - last)
    again = load(tmp_path / "with" / "manifest.csv", dataset.crop)
    assert again.crop == dataset.crop
    assert again.digest == dataset.digest
    whole, kept = with_cut_rows(dataset, 1)
    assert whole.image.shape == SHAPE
    assert kept.image.shape == dataset.shape


def test_writing_that_must_not_be_cut_is_refused_with_its_rows(tmp_path):
    plain = [stand_in(n) for n in range(3)]
    manifest = save(tmp_path / "inside", [written(image, 80, "5.0kV x50") for image in plain])
    words = r"0\.tif and nearly all others have .* in rows 7\d–\d+, .*set crop to .* '1[01]\d:192'"
    with pytest.raises(DatasetError, match=words) as caught:
        load(manifest)
    assert str(caught.value).startswith(str(manifest))
    crop = str(caught.value).split("'")[1]
    assert load(manifest, crop).shape == (192 - int(crop[:3]), 256)
    manifest = save(tmp_path / "below", [written(image, 170, "5.0kV x50") for image in plain])
    for asked in ("none", 190, "20:190"):
        with pytest.raises(DatasetError, match=r"in rows 1[56]\d–1\d\d, .* '(0|20):1[56]\d'"):
            load(manifest, asked)
    assert load(manifest, 150).shape == (150, 256)
    assert load(manifest, "20:150").micrographs[0].cut_top == 20


def test_sizes_that_differ_are_not_cut_at_one_place(tmp_path):
    images = [written(stand_in(n), 170, "5.0kV x50") for n in range(3)] + [stand_in(3, (96, 128))]
    manifest = save(tmp_path / "mixed", images)
    with pytest.raises(DatasetError, match=r"3\.tif: 128×96 px, but the set is 256×192 px"):
        load(manifest)
    with pytest.raises(DatasetError, match=r"0\.tif and nearly all others have the same writing"):
        load_dataset(Parameters(dataset=str(manifest), rescale=True))


def test_rows_that_are_not_there_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stand_in(0))
    for crop in ("0:193", "90:90", "100:20"):
        with pytest.raises(MicrographError, match=rf"crop = {crop} px .* to two such as 0:192"):
            read_micrograph(path, crop)
    part = crop_micrograph(Micrograph(stand_in(0)), "20:100")
    inner = crop_micrograph(part, "10:70")
    assert np.array_equal(inner.image, stand_in(0)[30:90])
    assert (inner.cut_top, inner.cut_rows) == (30, 102)


# ------------------------------------------------------------------------------------- prediction


def test_new_micrograph_is_cut_as_the_training_set_was(tmp_path):
    """Whatever stands there: one image alone does not tell."""
    images = [written(stand_in(n), 170, "10.0kV 14.4mm x1.00k SE") for n in range(5)]
    dataset = load(save(tmp_path / "set", images))
    parameters = Parameters(dataset=str(tmp_path / "set" / "manifest.csv"), predictor="median")
    train_model(dataset, parameters).save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.card.parameters.crop == dataset.crop
    new = stand_in(9)
    files = []
    for name, image in {
        "plain": new,
        "labelled": written(new, 170, "15.0kV 9.9mm x2.00k BSE"),
        "large": stand_in(9, (288, 384)),
        "low": new[:100],
    }.items():
        files.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(image).save(files[-1])
    plain, labelled, large, low = predict_files(model, files, pixel_size_um=1.0)
    assert plain.k_m == labelled.k_m
    assert "writing" not in plain.remarks + labelled.remarks
    for other in (large, low):
        assert not other.error
        assert "writing in it was not looked for" in other.remarks
