"""Reading micrographs: files written by other libraries, data bars drawn here, damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import texture
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from fesemlib.micrographs import Micrograph, MicrographError, crop_micrograph, read_micrograph

GREY = texture(0)
WIDE = GREY.astype(np.uint16) * 257  # the same grey levels in 16 bit
SMOOTH = np.round(ndimage.gaussian_filter(GREY.astype(float), 3)).astype(np.uint8)
OPAQUE = np.full_like(GREY, 255)
IDENTITY = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))


def rgb(image: np.ndarray = GREY) -> np.ndarray:
    return np.dstack([image] * 3)


def with_tifffile(pixels: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, pixels, **options)


def with_pillow(pixels: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def palette(entries: dict[int, tuple[int, int, int]], times: int = 257) -> np.ndarray:
    """The identity but for some entries, as TIFF has it."""
    colours = IDENTITY // 257 * times
    for index, colour in entries.items():
        colours[:, index] = np.array(colour) * times
    return colours


# ------------------------------------------------------------------------------------- formats

RED_MARKS = palette({18: (0, 255, 0), 200: (255, 0, 0), 243: (255, 255, 255)})
SAME_GREY = {
    "uint8.tif": with_tifffile(GREY),
    "uint8.TIFF": with_tifffile(GREY),
    "big-endian.tif": with_tifffile(GREY, byteorder=">"),
    "BigTIFF.tif": with_tifffile(GREY, bigtiff=True),
    "tiles.tif": with_tifffile(GREY, tile=(32, 32)),
    "strips.tif": with_tifffile(GREY, rowsperstrip=7),
    "uint16.tif": with_tifffile(WIDE),
    "uint16-big-endian.tif": with_tifffile(WIDE, byteorder=">"),
    "int16.tif": with_tifffile(GREY.astype(np.int16) - 100),
    "float32.tif": with_tifffile(GREY.astype(np.float32) / 255),
    "float64.tif": with_tifffile(GREY * 1e-9 - 1),
    "white-is-zero.tif": with_tifffile(255 - GREY, photometric="miniswhite"),
    "white-is-zero-16.tif": with_tifffile(65535 - WIDE, photometric="miniswhite"),
    "white-is-zero-float.tif": with_tifffile(1 - GREY / 255, photometric="miniswhite"),
    "rgb.tif": with_tifffile(rgb(), photometric="rgb"),
    "rgb-planes.tif": with_tifffile(
        np.stack([GREY] * 3), photometric="rgb", planarconfig="separate"
    ),
    "rgba.tif": with_tifffile(
        np.dstack([rgb(), OPAQUE]), photometric="rgb", extrasamples=["unassalpha"]
    ),
    "alpha.tif": with_tifffile(
        np.dstack([GREY, OPAQUE]), photometric="minisblack", extrasamples=["unassalpha"]
    ),
    "identity-palette.tif": with_tifffile(GREY, photometric="palette", colormap=IDENTITY),
    "identity-256.tif": with_tifffile(GREY, photometric="palette", colormap=palette({}, 256)),
    "identity-8-bit.tif": with_tifffile(GREY, photometric="palette", colormap=palette({}, 1)),
    "coloured-marks.tif": with_tifffile(GREY, photometric="palette", colormap=RED_MARKS),
    "inverted-palette.tif": with_tifffile(
        255 - GREY, photometric="palette", colormap=IDENTITY[:, ::-1]
    ),
    "deflate.tif": with_tifffile(GREY, compression="zlib"),
    "deflate-predictor.tif": with_tifffile(GREY, compression="zlib", predictor=2),
    "lzw.tif": with_pillow(GREY, compression="tiff_lzw"),
    "lzw-predictor.tif": with_pillow(GREY, compression="tiff_lzw", tiffinfo={317: 2}),
    "lzw-16.tif": with_pillow(WIDE, compression="tiff_lzw"),
    "lzw-rgb.tif": with_pillow(rgb(), compression="tiff_lzw"),
    # Pillow inverts 8 bit when it writes white as zero, 16 bit not.
    "lzw-white-is-zero.tif": with_pillow(GREY, compression="tiff_lzw", tiffinfo={262: 0}),
    "lzw-white-is-zero-16.tif": with_pillow(
        65535 - WIDE, compression="tiff_lzw", tiffinfo={262: 0}
    ),
    "packbits.tif": with_pillow(GREY, compression="packbits"),
    "grey.png": with_pillow(GREY),
    "GREY.PNG": with_pillow(GREY),
    "alpha.png": with_pillow(np.dstack([GREY, OPAQUE])),
    "rgb.png": with_pillow(rgb()),
    "rgba.png": with_pillow(np.dstack([rgb(), OPAQUE])),
    "16-bit.png": with_pillow(WIDE),
    "palette.png": lambda path: Image.fromarray(GREY).convert("P").save(path),
}


@pytest.mark.parametrize("name", SAME_GREY)
def test_lossless_file_gives_its_grey_levels(tmp_path, name):
    SAME_GREY[name](tmp_path / name)
    micrograph = read_micrograph(tmp_path / name)
    assert micrograph.image.dtype == np.uint8
    assert np.array_equal(micrograph.image, GREY)
    assert micrograph.pixel_size_um is None
    assert micrograph.data_bar_row is None


LOSSY = {
    "grey.jpg": with_pillow(SMOOTH, quality=90),
    "rgb.jpeg": with_pillow(rgb(SMOOTH), quality=90),
    "cmyk.jpg": lambda path: Image.fromarray(SMOOTH).convert("CMYK").save(path, quality=90),
    "jpeg.tif": with_pillow(SMOOTH, compression="jpeg"),
    "jpeg-rgb.tif": with_pillow(rgb(SMOOTH), compression="jpeg"),
    "cmyk.tif": lambda path: Image.fromarray(SMOOTH).convert("CMYK").save(path),
    "few-colours.png": lambda path: Image.fromarray(SMOOTH).quantize(128).save(path),
}


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_file_gives_nearly_its_grey_levels(tmp_path, name):
    LOSSY[name](tmp_path / name)
    difference = read_micrograph(tmp_path / name).image - SMOOTH.astype(float)
    assert np.abs(difference).max() <= 8
    assert np.abs(difference).mean() <= 1.5


def test_two_levels_become_black_and_white(tmp_path):
    with_pillow(GREY > 127)(tmp_path / "binary.png")
    with_tifffile(GREY > 127, photometric="minisblack")(tmp_path / "binary.tif")
    for name in ("binary.png", "binary.tif"):
        image = read_micrograph(tmp_path / name, "none").image
        assert np.array_equal(image, np.where(GREY > 127, 255, 0))


def test_first_page_counts(tmp_path):
    pages = np.stack([GREY, 255 - GREY])
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    assert np.array_equal(read_micrograph(tmp_path / "pages.tif").image, GREY)


@given(arrays(np.uint16, (3, 4), elements=st.integers(0, 65535)).filter(np.ptp))
@settings(max_examples=25)
def test_deep_grey_is_stretched_linearly(tmp_path_factory, pixels):
    path = tmp_path_factory.getbasetemp() / "deep.tif"
    tifffile.imwrite(path, pixels)
    image = read_micrograph(path, "none").image
    ends = [int(pixels.min()), int(pixels.max())]
    assert np.abs(image - np.interp(pixels, ends, [0, 255])).max() <= 0.5 + 1e-9


# ---------------------------------------------------------------------------------- pixel size


def zeiss(*entries: str) -> list[tuple[int, str, int, bytes, bool]]:
    """Zeiss' tag: numbers, then a name and a line 'label = value' for each entry."""
    lines = ["0", "0", "0", *entries, ""]
    return [(34118, "s", 0, "\r\n".join(lines).encode("cp1252"), True)]


@pytest.mark.parametrize(
    ("written", "pixel_size_um"),
    [
        ("976.6 pm", 976.6e-6),
        ("12.33 nm", 0.01233),
        ("0.9766 µm", 0.9766),
        ("0.0010 mm", 1.0),
        ("0.0 nm", None),
        ("0.0 fm", None),
        ("2 parsec", None),
        ("unknown", None),
    ],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pixel_size_is_read_from_zeiss_tag(tmp_path, written, pixel_size_um, compression):
    entries = ["AP_PIXEL_SIZE", "Pixel Size = 24.65 nm"]  # the monitor's, which is not meant
    entries += ["AP_IMAGE_PIXEL_SIZE", f"Image Pixel Size = {written}"]
    path = tmp_path / "zeiss.tif"
    tifffile.imwrite(path, GREY, extratags=zeiss(*entries), compression=compression)
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size_um == (pixel_size_um and pytest.approx(pixel_size_um))
    assert np.array_equal(micrograph.image, GREY)


def test_pixel_size_is_unknown_where_an_old_tag_lacks_it(tmp_path):
    tag = zeiss("AP_PIXEL_SIZE", "Pixel Size = 5.825 nm")
    tifffile.imwrite(tmp_path / "old.tif", GREY, extratags=tag)
    assert read_micrograph(tmp_path / "old.tif").pixel_size_um is None


# ------------------------------------------------------------------------------------ data bar


def drawn(bar: int, below: int = 0, above: int = 48) -> np.ndarray:
    """Texture over a black bar with white writing over some rows of texture again."""
    rows = np.zeros((bar, 96), np.uint8)
    rows[2:-2, 5:60:3] = 255
    rows[2:-2, 6:60:3] = 130
    return np.vstack([texture(1, (above, 96)), rows, texture(2, (below, 96))])


def saved(tmp_path: Path, image: np.ndarray) -> Path:
    Image.fromarray(image).save(tmp_path / "micrograph.png")
    return tmp_path / "micrograph.png"


@pytest.mark.parametrize("bar", [8, 16])
@pytest.mark.parametrize("below", [0, 1, 2, 3])
def test_data_bar_is_cut_off(tmp_path, bar, below):
    image = drawn(bar, below)
    micrograph = read_micrograph(saved(tmp_path, image))
    assert micrograph.data_bar_row == 48
    assert np.array_equal(micrograph.image, image[:48])


@pytest.mark.parametrize(
    "image",
    [
        texture(0),
        drawn(16, below=4),
        drawn(4),
        np.vstack([drawn(16, above=0), texture(1)]),
        drawn(16, above=0),
    ],
    ids=["texture", "flat band inside", "few flat rows", "flat band at the top", "all bar"],
)
def test_image_without_data_bar_stays_whole(tmp_path, image):
    micrograph = read_micrograph(saved(tmp_path, image))
    assert micrograph.data_bar_row is None
    assert np.array_equal(micrograph.image, image)


def test_twenty_grey_levels_are_still_a_bar(tmp_path):
    for levels, row in ((20, 48), (21, None)):
        bar = np.tile(np.arange(96) % levels, (10, 1)).astype(np.uint8)
        path = saved(tmp_path, np.vstack([texture(1, (48, 96)), bar]))
        assert read_micrograph(path).data_bar_row == row


@pytest.mark.parametrize(("crop", "rows"), [("auto", 48), ("none", 67), (48, 48), (1, 1)])
def test_crop_keeps_rows_from_the_top(tmp_path, crop, rows):
    image = drawn(16, below=3)
    micrograph = read_micrograph(saved(tmp_path, image), crop)
    assert np.array_equal(micrograph.image, image[:rows])
    assert micrograph.data_bar_row == 48


@pytest.mark.parametrize(
    ("image", "crop", "words"),
    [
        (texture(0), 65, r"crop = 65 px .* is 64 px high; set crop to a number from 1 to 64"),
        (drawn(16), 49, r"crop = 49 px .* bar from row 48 on; set crop to a number from 1 to 48"),
        (texture(0), 0, r"crop = 0 px .* from 1 to 64"),
        (texture(0), -1, r"crop = -1 px .* from 1 to 64"),
    ],
)
def test_crop_that_cannot_be_is_refused_with_what_can(tmp_path, image, crop, words):
    path = saved(tmp_path, image)
    with pytest.raises(MicrographError, match=words) as caught:
        read_micrograph(path, crop)
    assert str(caught.value).startswith(f"{path}: ")


def test_image_whose_kept_rows_are_flat_is_refused(tmp_path):
    path = saved(tmp_path, np.vstack([np.full((48, 96), 9, np.uint8), texture(1)]))
    assert read_micrograph(path, 49).image.shape == (49, 96)
    with pytest.raises(MicrographError, match="all pixels have grey level 9; it shows nothing"):
        read_micrograph(path, 48)


def test_crop_of_a_micrograph_in_memory_keeps_the_rest():
    micrograph = Micrograph(GREY, 0.5, 40)
    cropped = crop_micrograph(micrograph, "auto")
    assert (cropped.image.shape, cropped.pixel_size_um) == ((40, 96), 0.5)
    assert micrograph.image.shape == GREY.shape


# -------------------------------------------------------------------------------------- damage

REFUSED = {
    "absent.tif": (Path.exists, "no such file .*correct the path"),
    "folder.png": (Path.mkdir, "no such file"),
    "empty.tif": (Path.touch, "the file is empty; export"),
    "image.bmp": (with_pillow(GREY), r"not one of \.tif, \.tiff, \.png, \.jpg, \.jpeg; export"),
    "none": (with_pillow(GREY, format="PNG"), "not one of"),
    "text.tif": (lambda path: path.write_text("text"), "cannot be read .*export the micrograph"),
    "text.png": (lambda path: path.write_text("text"), "cannot be read"),
    "text.jpg": (lambda path: path.write_text("text"), "cannot be read"),
    "png.tif": (with_pillow(GREY, format="PNG"), "not what its name says"),
    "colour.png": (with_pillow(np.dstack([GREY, GREY, 255 - GREY])), "colour; .*greyscale"),
    "colour.jpg": (with_pillow(np.dstack([GREY, GREY, 255 - GREY])), "in colour"),
    "colour.tif": (
        with_tifffile(np.dstack([GREY, GREY, 255 - GREY]), photometric="rgb"),
        "in colour",
    ),
    "palette.tif": (
        with_tifffile(
            GREY, photometric="palette", colormap=np.vstack([IDENTITY[:2], IDENTITY[:1, ::-1]])
        ),
        "in colour",
    ),
    "palette.png": (
        lambda path: Image.fromarray(np.dstack([GREY, GREY, OPAQUE])).quantize(64).save(path),
        "in colour",
    ),
    "nan.tif": (with_tifffile(np.where(GREY > 9, GREY, np.nan)), "not finite numbers; export"),
    "flat.png": (with_pillow(np.full_like(GREY, 7)), "all pixels have grey level 7; .*: export"),
    "flat-16.tif": (with_tifffile(np.full_like(WIDE, 700)), "all pixels have grey level"),
    "complex.tif": (with_tifffile(GREY.astype(np.complex64)), "a single grey image is needed"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("error")
def test_file_that_is_no_micrograph_is_refused(tmp_path, name):
    write, words = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(MicrographError, match=words) as caught:
        read_micrograph(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


TRUNCATED = {
    "strips.tif": with_tifffile(GREY, rowsperstrip=8),
    "deflate.tif": with_tifffile(GREY, rowsperstrip=8, compression="zlib"),
    "lzw.tif": with_pillow(GREY, compression="tiff_lzw"),
    "16-bit.tif": with_tifffile(WIDE),
    "grey.png": with_pillow(GREY),
    "grey.jpg": with_pillow(GREY),
}


@pytest.mark.parametrize("name", TRUNCATED)
@pytest.mark.filterwarnings("ignore")
def test_truncated_file_is_refused_or_misses_nothing(tmp_path, name):
    path = tmp_path / name
    TRUNCATED[name](path)
    content = path.read_bytes()
    whole = read_micrograph(path).image
    refused = 0
    for length in {*np.linspace(1, len(content) - 1, 24).astype(int), len(content) - 50}:
        path.write_bytes(content[:length])
        try:
            image = read_micrograph(path).image
        except MicrographError:
            refused += 1
        else:
            assert np.array_equal(image, whole)
    assert refused >= 22
