"""Files and data bars like Zeiss' own: read by our reader, tifffile and Pillow."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fesemlib.micrographs.reading import Micrograph, read_micrograph
from fesemlib.micrographs.zeiss import burn_data_bar, write_zeiss_tiff
from fesemlib.synthetic import synthesize_micrograph

SIZES = [((96, 128), 4.0), ((192, 256), 2.0), ((768, 1024), 0.1), ((384, 512), 2000 / 512)]

by_size = pytest.mark.parametrize(("shape", "pixel_size_um"), SIZES)


def grey(shape: tuple[int, int], pixel_size_um: float | None = 1.0) -> Micrograph:
    noise = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    return Micrograph(noise, pixel_size_um)


@by_size
def test_reader_gets_back_what_was_above_the_bar(shape, pixel_size_um, tmp_path):
    micrograph = grey(shape, pixel_size_um)
    barred = burn_data_bar(micrograph)
    read = read_micrograph(write_zeiss_tiff(tmp_path / "a.tif", barred))
    assert read.data_bar_row == barred.data_bar_row
    assert read.pixel_size_um == pytest.approx(pixel_size_um, rel=1e-12)
    np.testing.assert_array_equal(read.image, micrograph.image[: barred.data_bar_row])


def test_stand_in_survives_the_whole_path(tmp_path):
    micrograph = synthesize_micrograph(1.1e-3, 3, (192, 256), 2.0)
    read = read_micrograph(write_zeiss_tiff(tmp_path / "a.tif", burn_data_bar(micrograph)))
    assert read.data_bar_row is not None
    np.testing.assert_array_equal(read.image, micrograph.image[: read.data_bar_row])


def test_without_a_bar_every_row_comes_back(tmp_path):
    micrograph = grey((96, 128))
    read = read_micrograph(write_zeiss_tiff(tmp_path / "a.tif", micrograph))
    assert read.data_bar_row is None
    np.testing.assert_array_equal(read.image, micrograph.image)


def test_other_readers_find_the_metadata(tmp_path):
    path = write_zeiss_tiff(tmp_path / "a.tif", grey((1536, 2048), 2000 / 2048))
    with tifffile.TiffFile(path) as file:
        assert file.is_sem
        found = file.sem_metadata
        assert file.pages.first.compression == tifffile.COMPRESSION.NONE
    assert found["ap_image_pixel_size"] == ("Image Pixel Size", 976.5625, "nm")
    assert found["ap_width"] == ("Width", 2.0, "mm")
    assert found["ap_height"] == ("Height", 1.5, "mm")
    assert found["ap_mag"] == ("Mag", 200, "X")  # Section 2 of the paper
    assert found[""][3] == pytest.approx(976.5625e-9)  # in m, as SmartSEM's fourth line
    with Image.open(path) as picture:
        assert (picture.mode, picture.size) == ("L", (2048, 1536))
        text = picture.tag_v2[34118]
    assert re.search(r"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 976\.5625 nm\r\n", text)


@pytest.mark.parametrize(
    ("pixel_size_um", "width", "magnification"),
    [
        (0.01, (20.48, "µm"), "19.53 K X"),  # 400 mm over 20.48 µm
        (0.0001, (204.8, "nm"), "1953.12 K X"),
    ],
)
def test_units_of_the_metadata(pixel_size_um, width, magnification, tmp_path):
    path = write_zeiss_tiff(tmp_path / "a.tif", grey((96, 2048), pixel_size_um))
    with tifffile.TiffFile(path) as file:
        found = file.sem_metadata
    assert found["ap_width"] == ("Width", *width)
    assert found["ap_mag"] == ("Mag", magnification)


def test_says_that_it_is_synthetic(tmp_path):
    path = write_zeiss_tiff(tmp_path / "a.tif", grey((96, 128)))
    with tifffile.TiffFile(path) as file:
        assert "SYNTHETIC" in file.sem_metadata["sv_user_text"][1]
        assert file.sem_metadata["sv_sample_id"][1] == "SYNTHETIC"
        assert "SYNTHETIC" in file.pages.first.description


@by_size
def test_bar_is_black_and_white_writing_at_the_bottom(shape, pixel_size_um):
    micrograph = grey(shape, pixel_size_um)
    barred = burn_data_bar(micrograph)
    row = barred.data_bar_row
    assert row is not None
    assert barred.image.shape == shape
    assert barred.image.dtype == np.uint8
    bar = barred.image[row:]
    assert set(np.unique(bar)) == {0, 255}
    assert len(bar) == max(round(shape[0] * 166 / 1536), 24)
    assert 0.03 < (bar == 255).mean() < 0.3
    assert micrograph.data_bar_row is None  # the one handed over stays as it was


@by_size
def test_scale_bar_is_as_long_as_a_round_number_of_micrometres(shape, pixel_size_um):
    """Its stroke is the longest run of white inside the frame."""
    barred = burn_data_bar(grey(shape, pixel_size_um))
    bar = barred.image[barred.data_bar_row :]
    inner = bar[3:-3, 3:-3] == 255
    longest = max(
        len(run) for row in inner for run in "".join("x" if p else " " for p in row).split()
    )
    length = longest * pixel_size_um
    nearest = min((step * 10.0**n for n in range(-2, 4) for step in (1, 2, 5)),
                  key=lambda value: abs(value - length))  # fmt: skip
    assert length == pytest.approx(nearest, abs=pixel_size_um / 2)
    assert 0.05 * shape[1] < longest <= 0.15 * shape[1] + 1


@pytest.mark.parametrize(
    ("micrograph", "message"),
    [
        (grey((96, 128), None), "no pixel size"),
        (grey((96, 60)), "image of 60×96 px: too small"),
        (grey((40, 128)), "image of 128×40 px: too small .* 128×48 px are enough"),
        (burn_data_bar(grey((96, 128))), "has a data bar from row 72 on"),
    ],
)
def test_no_bar(micrograph, message):
    with pytest.raises(ValueError, match=message):
        burn_data_bar(micrograph)


@pytest.mark.parametrize("pixel_size_um", [0.01, 1.0, 2000 / 2048, 30.0])
@pytest.mark.parametrize("shape", [(100, 100), (40, 20), (1536, 300)])
def test_size_that_is_named_for_a_bar_is_the_smallest(shape, pixel_size_um):
    with pytest.raises(ValueError, match="are enough") as caught:
        burn_data_bar(grey(shape, pixel_size_um))
    width, height = map(int, re.findall(r"(\d+)×(\d+) px are enough", str(caught.value))[0])
    assert width >= shape[1]
    assert height >= shape[0]
    assert burn_data_bar(grey((height, width), pixel_size_um)).data_bar_row is not None
    for smaller in [(height, width - 1)] + [(height - 1, width)] * (height > shape[0]):
        with pytest.raises(ValueError, match="too small"):
            burn_data_bar(grey(smaller, pixel_size_um))


def test_no_file_without_a_pixel_size(tmp_path):
    with pytest.raises(ValueError, match="no pixel size"):
        write_zeiss_tiff(tmp_path / "a.tif", grey((96, 128), None))
    assert list(Path(tmp_path).iterdir()) == []
