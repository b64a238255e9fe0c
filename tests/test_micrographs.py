"""Reading micrographs: files written by other libraries, data bars drawn here, damage."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import texture
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.reading import Micrograph, crop_micrograph, read_micrograph
from fesemlib.synthetic import synthesize_micrograph

GREY = texture(0)
WIDE = GREY.astype(np.uint16) * 257  # the same grey levels in 16 bit
NARROW = GREY.astype(np.uint16) * 3 + 7000  # and in few of its levels
SMOOTH = np.round(ndimage.gaussian_filter(GREY.astype(float), 3)).astype(np.uint8)
OPAQUE = np.full_like(GREY, 255)
IDENTITY = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))


def rgb(image: np.ndarray = GREY) -> np.ndarray:
    return np.dstack([image] * 3)


def marked(image: np.ndarray) -> np.ndarray:
    colours = rgb(image)
    colours[50:53, 60:80] = (255, 255, 0)
    return colours


def with_tifffile(pixels: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, pixels, **options)


def with_pillow(pixels: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def with_imagecodecs(pixels: np.ndarray) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(imagecodecs.png_encode(pixels))


def palette(entries: dict[int, tuple[int, int, int]], times: int = 257) -> np.ndarray:
    """The identity but for some entries, as TIFF has it."""
    colours = IDENTITY // 257 * times
    for index, colour in entries.items():
        colours[:, index] = np.array(colour) * times
    return colours


# ------------------------------------------------------------------------------------- formats

PALETTE = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(256, 4)
PALETTE[:, 3] = 0


def bmp(pixels: np.ndarray, colours: np.ndarray, kind: int = 0, data: bytes | None = None) -> bytes:
    """A BMP of 8 bit from the top down, or of this kind of compressed rows from the bottom up."""
    height, width = pixels.shape
    data, start = pixels.tobytes() if data is None else data, 54 + colours.size
    head = struct.pack("<2sIIIIii", b"BM", start + len(data), 0, start, 40, width, -height)
    if kind:
        head = head[:-4] + struct.pack("<i", height)
    head += struct.pack("<HHIIiiII", 1, 8, kind, len(data), 0, 0, 256, 256)
    return head + colours.tobytes() + data


def run_lengths(pixels: np.ndarray) -> bytes:
    rows = (b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in pixels[::-1])
    return bmp(pixels, PALETTE, 1, b"".join(rows) + b"\0\1")


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
    "lzw-tiles-16.tif": with_tifffile(
        WIDE, compression="lzw", tile=(32, 32), byteorder=">", predictor=2
    ),
    "lzw-planes.tif": with_tifffile(
        np.stack([GREY] * 3), photometric="rgb", planarconfig="separate", compression="lzw"
    ),
    "float-predictor.tif": with_tifffile(
        GREY.astype(np.float32) / 255, compression="zlib", predictor=3
    ),
    "zstd.tif": with_tifffile(WIDE, compression="zstd"),
    "lzma.tif": with_tifffile(GREY, compression="lzma"),
    "int64.tif": with_tifffile(GREY.astype(np.int64) * 7 - 2**62),
    "uint64.tif": with_tifffile(np.uint64(2**64 - 256) + GREY.astype(np.uint64)),
    "largest-floats.tif": with_tifffile((GREY / 127.5 - 1) * np.finfo(float).max),
    "least-floats.tif": with_tifffile(GREY * np.nextafter(0, 1)),
    "12-bit.tif": with_tifffile(GREY.astype(np.uint16) * 16, bitspersample=12),
    "packbits.tif": with_pillow(GREY, compression="packbits"),
    "grey.png": with_pillow(GREY),
    "GREY.PNG": with_pillow(GREY),
    "alpha.png": with_pillow(np.dstack([GREY, OPAQUE])),
    "rgb.png": with_pillow(rgb()),
    "rgba.png": with_pillow(np.dstack([rgb(), OPAQUE])),
    "16-bit.png": with_pillow(WIDE),
    "16-bit-alpha.png": with_imagecodecs(np.dstack([NARROW, WIDE])),
    "16-bit-rgb.png": with_imagecodecs(np.dstack([NARROW] * 3)),
    "16-bit-rgba.png": with_imagecodecs(np.dstack([NARROW] * 3 + [WIDE])),
    "palette.png": lambda path: Image.fromarray(GREY).convert("P").save(path),
    "grey.bmp": with_pillow(GREY),
    "rgb.bmp": with_pillow(rgb()),
    "rgba.bmp": with_pillow(np.dstack([rgb(), OPAQUE])),
    "upside-down-palette.bmp": lambda path: path.write_bytes(bmp(255 - GREY, PALETTE[::-1])),
    "run-lengths.bmp": lambda path: path.write_bytes(run_lengths(GREY)),
    # The first bytes decide, not the ending.
    "png.tif": with_pillow(GREY, format="PNG"),
    "bmp.tif": with_pillow(GREY, format="BMP"),
    "tiff.jpg": with_pillow(GREY, format="TIFF"),
    "tiff.bmp": with_pillow(GREY, format="TIFF"),
    "png.jpeg": with_pillow(GREY, format="PNG"),
    "no-ending": with_pillow(GREY, format="PNG"),
    "other.dat": lambda path: tifffile.imwrite(path, GREY, bigtiff=True, byteorder=">"),
}


@pytest.mark.parametrize("name", SAME_GREY)
def test_lossless_file_gives_its_grey_levels(tmp_path, name):
    SAME_GREY[name](tmp_path / name)
    micrograph = read_micrograph(tmp_path / name)
    assert micrograph.image.dtype == np.uint8
    assert np.array_equal(micrograph.image, GREY)
    assert micrograph.pixel_size_um is None
    assert micrograph.data_bar_row is None


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_colours_that_are_grey_but_for_rounding_count_as_grey(tmp_path, depth):
    grey = GREY.clip(2, 253).astype(int)[..., np.newaxis]
    off = np.random.default_rng(3).integers(-2, 3, (*GREY.shape, 3)) * (1, 0, 1)
    unit = np.iinfo(depth).max // 255
    tifffile.imwrite(tmp_path / "rgb.tif", ((grey + off) * unit).astype(depth), photometric="rgb")
    image = read_micrograph(tmp_path / "rgb.tif").image
    # 16 bit is stretched from 2..253 to 0..255.
    expected = GREY.clip(2, 253) if depth == np.uint8 else (GREY.clip(2, 253) - 2.0) * 255 / 251
    assert np.abs(image - expected).max() <= 0.5


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("name", ["turned.tif", "turned.png", "turned.jpg"])
def test_image_is_turned_as_its_orientation_says(tmp_path, orientation, name):
    """As Pillow turns it; orientations that do not exist change nothing."""
    path = tmp_path / name
    if name == "turned.tif":
        tifffile.imwrite(path, SMOOTH, extratags=[(274, "H", 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(SMOOTH).save(path, exif=exif)
    stored = SMOOTH if name == "turned.tif" else np.asarray(Image.open(path))
    picture = Image.fromarray(stored)
    picture.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(read_micrograph(path).image, expected)


LOSSY = {
    "grey.jpg": with_pillow(SMOOTH, quality=90),
    "rgb.jpeg": with_pillow(rgb(SMOOTH), quality=90),
    "cmyk.jpg": lambda path: Image.fromarray(SMOOTH).convert("CMYK").save(path, quality=90),
    "jpeg.tif": with_pillow(SMOOTH, compression="jpeg"),
    "jpeg-tiles.tif": with_tifffile(SMOOTH, compression="jpeg", tile=(32, 32)),
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


@pytest.mark.parametrize(("bits", "step"), [(2, 85), (4, 17)])
def test_few_levels_spread_over_the_scale(tmp_path, bits, step):
    levels = GREY % 2**bits
    tifffile.imwrite(tmp_path / "few.tif", levels, bitspersample=bits)
    assert np.array_equal(read_micrograph(tmp_path / "few.tif", "none").image, levels * step)


def test_pages_are_counted_from_one(tmp_path):
    pages = [texture(seed, (64 + seed, 96)) for seed in range(3)]
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page)
    assert np.array_equal(read_micrograph(path).image, pages[0])
    for number, page in enumerate(pages, start=1):
        assert np.array_equal(read_micrograph(path, page=number).image, page)


@pytest.mark.parametrize("page", [0, -1, 3, 10**12])
def test_page_that_does_not_exist_is_refused_with_those_that_do(tmp_path, page):
    tifffile.imwrite(tmp_path / "two.tif", np.stack([GREY, GREY]), photometric="minisblack")
    Image.fromarray(GREY).save(tmp_path / "one.png")
    for name, words in (("two.tif", "2 pages; set page to 1–2"), ("one.png", "1 page; set")):
        with pytest.raises(MicrographError, match=f"page = {page}, but the file has {words}"):
            read_micrograph(tmp_path / name, page=page)


COLOURED = {"data": np.dstack([GREY, GREY, 255 - GREY]), "photometric": "rgb"}


@pytest.mark.parametrize("first", [COLOURED, {"data": GREY, "photometric": "cfa"}])
def test_message_names_the_pages_that_would_do(tmp_path, first):
    """Not those in colour, complex or small copies; nor what lies beyond the first dozen."""
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        small = {"data": GREY[:8, :8], "subfiletype": 1}
        for page in (first, COLOURED, {"data": WIDE[:40]}, small):
            file.write(**page)
        for _ in range(8):
            file.write(GREY.astype(np.complex64))
        file.write(GREY)
    told = "which is grey: set page in the manifest, or --page of fesem predict"
    with pytest.raises(MicrographError, match=f"page 1: .*, or take page 3, {told}$"):
        read_micrograph(path)
    tifffile.imwrite(path, **first)
    tifffile.imwrite(path, GREY, append=True)
    tifffile.imwrite(path, GREY[:50], append=True)
    with pytest.raises(MicrographError, match="take page 2 or 3, which is grey"):
        read_micrograph(path)
    assert np.array_equal(read_micrograph(path, page=2).image, GREY)


def test_message_names_no_page_where_none_would_do(tmp_path):
    path = tmp_path / "pages.tif"
    for _ in range(2):
        tifffile.imwrite(path, **COLOURED, append=True)
    with pytest.raises(MicrographError) as caught:
        read_micrograph(path)
    assert str(caught.value).endswith("is grey: save it as greyscale")


def test_grey_is_stretched_from_what_is_kept(tmp_path):
    """The white of a bar, or of what is cropped, does not darken the image."""
    image = GREY.astype(np.uint16) * 16 + 7
    bar = np.where(drawn(16, above=0) > 99, 65535, 0).astype(np.uint16)
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.vstack([image, bar]))
    for crop in ("auto", "none"):
        assert np.array_equal(read_micrograph(path, crop).image[:64], GREY)
    part = read_micrograph(path, 20).image
    assert (part.min(), part.max()) == (0, 255)


def test_a_hot_pixel_keeps_the_order_of_grey_levels(tmp_path):
    pixels = WIDE // 2
    pixels[5, 5] = 65535
    tifffile.imwrite(tmp_path / "hot.tif", pixels)
    image = read_micrograph(tmp_path / "hot.tif").image
    order = np.argsort(pixels, axis=None, kind="stable")
    assert np.all(np.diff(image.ravel()[order].astype(int)) >= 0)
    assert image.ravel()[order[-2]] == 127


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
    lines = "\r\n".join(["0", "0", "0", *entries, ""])
    try:
        text = lines.encode("cp1252")
    except UnicodeEncodeError:
        text = lines.encode()
    return [(34118, "s", 0, text, True)]


@pytest.mark.parametrize(
    ("written", "pixel_size_um"),
    [
        ("976.6 pm", 976.6e-6),
        ("12.33 nm", 0.01233),
        ("0.9766 µm", 0.9766),
        ("0.9766 μm", 0.9766),
        ("0.9766 um", 0.9766),
        ("0,9766 µm", 0.9766),
        ("0.9766µm", 0.9766),
        ("9.766e-001 µm", 0.9766),
        ("9766 Å", 0.9766),
        ("9766 \N{ANGSTROM SIGN}", 0.9766),
        ("0.0010 mm", 1.0),
        ("1E-6 m", 1.0),
        ("60 µm", None),
        ("0.05 pm", None),
        ("-1.0 nm", None),
        ("nan nm", None),
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
    assert micrograph.pixel_size_source == ("Zeiss tag" if pixel_size_um else None)
    assert np.array_equal(micrograph.image, GREY)


OLD = {"AP_PIXEL_SIZE": "5.000 nm", "AP_WIDTH": "5.120 µm", "AP_HEIGHT": "3.413 µm"}


@pytest.mark.parametrize(
    ("changes", "pixel_size_um"),
    [
        ({}, 5.12 / 96),
        ({"AP_PIXEL_SIZE": "5.04 nm"}, 5.12 / 96),
        ({"AP_PIXEL_SIZE": "5.1 nm"}, None),
        ({"AP_HEIGHT": "3.0 µm"}, None),
        ({"AP_PIXEL_SIZE": None}, None),
        ({"AP_WIDTH": None}, None),
        ({"AP_HEIGHT": None}, None),
    ],
    ids=["whole", "rounded", "resampled", "cropped", "no monitor", "no width", "no height"],
)
def test_old_zeiss_tag_is_trusted_where_it_agrees_with_itself(tmp_path, changes, pixel_size_um):
    """An old tag tells the monitor's pixel size, for 1024 columns, and the field's size."""
    entries = [
        line
        for name, value in (OLD | changes).items()
        if value
        for line in (name, f"{name.title()} = {value}")
    ]
    tifffile.imwrite(tmp_path / "old.tif", GREY, extratags=zeiss(*entries))
    micrograph = read_micrograph(tmp_path / "old.tif")
    assert micrograph.pixel_size_um == (pixel_size_um and pytest.approx(pixel_size_um))


@pytest.mark.parametrize(("stored", "pixel_size_um"), [("96 * 64", 0.5), ("192 * 128", None)])
def test_zeiss_tag_about_another_width_is_not_trusted(tmp_path, stored, pixel_size_um):
    entries = ["DP_IMAGE_STORE", f"Store resolution = {stored}"]
    entries += ["AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 500.0 nm"]
    tifffile.imwrite(tmp_path / "zeiss.tif", GREY, extratags=zeiss(*entries))
    assert read_micrograph(tmp_path / "zeiss.tif").pixel_size_um == pixel_size_um


def fei(*lines: str, code: int = 34682) -> list[tuple[int, str, int, bytes, bool]]:
    return [(code, "s", 0, "\r\n".join(lines).encode(), True)]


EDGES = ("PixelWidth=4.8828e-007", "PixelHeight=4.8828e-007")


@pytest.mark.parametrize(
    ("lines", "pixel_size_um"),
    [
        (("[Scan]", *EDGES), 0.48828),
        (("[Beam]", "Scan=IScan", "[EScan]", "PixelWidth=1", "[IScan]", *EDGES), 0.48828),
        (("[EScan]", *EDGES, "[Image]", "ResolutionX=96"), 0.48828),
        (("[EScan]", *EDGES, "[Image]", "ResolutionX=48"), None),
        (("[Scan]", "PixelWidth=4.8828e-007", "PixelHeight=5e-007"), None),
        (("[Scan]", "PixelWidth=4.8828e-007"), None),
        (("[Scan]", "PixelWidth=0", "PixelHeight=0"), None),
        (("[User]", *EDGES), None),
        (EDGES, None),
    ],
)
@pytest.mark.parametrize("code", [34680, 34682])
def test_pixel_size_is_read_from_fei_tag(tmp_path, lines, pixel_size_um, code):
    tifffile.imwrite(tmp_path / "fei.tif", WIDE, extratags=fei(*lines, code=code))
    micrograph = read_micrograph(tmp_path / "fei.tif")
    assert micrograph.pixel_size_um == (pixel_size_um and pytest.approx(pixel_size_um))
    assert micrograph.pixel_size_source == ("FEI tag" if pixel_size_um else None)
    assert np.array_equal(micrograph.image, GREY)


@pytest.mark.parametrize(
    ("unit", "per_unit", "pixel_size_um"),
    [
        ("um", 2.0, 0.5),
        ("micron", 2.0, 0.5),
        ("\\u00B5m", 4.0, 0.25),
        ("nm", 0.002, 0.5),
        ("mm", 2000.0, 0.5),
        ("pixel", 1.0, None),
        ("inch", 600.0, None),
        ("inch", 50800.0, 0.5),
    ],
)
def test_pixel_size_is_read_as_imagej_writes_it(tmp_path, unit, per_unit, pixel_size_um):
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(
        path, GREY, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit}
    )
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size_um == (pixel_size_um and pytest.approx(pixel_size_um))
    assert micrograph.pixel_size_source == ("ImageJ" if pixel_size_um else None)


@pytest.mark.parametrize(
    ("across", "down", "unit", "pixel_size_um"),
    [
        (10_000, 10_000, "centimeter", 1.0),
        (25_400, 25_400, "inch", 1.0),
        (5_080, 5_090, "inch", 5.0),
        (10_000, 10_200, "centimeter", None),
        (10_000, 10_000, "none", None),
        (1, 1, "centimeter", None),
        (10**9, 10**9, "centimeter", None),
        *((dpi, dpi, "inch", None) for dpi in (72, 96, 150, 300, 600, 1200, 2400, 9600)),
        (236.22, 236.22, "centimeter", None),
    ],
)
def test_pixel_size_is_read_from_a_resolution_that_is_no_printers(
    tmp_path, across, down, unit, pixel_size_um
):
    path = tmp_path / "resolution.tif"
    tifffile.imwrite(path, GREY, resolution=(across, down), resolutionunit=unit)
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size_um == (pixel_size_um and pytest.approx(pixel_size_um))
    assert micrograph.pixel_size_source == ("TIFF resolution" if pixel_size_um else None)


def test_resolution_as_pillow_writes_it_is_read(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "pillow.tif", dpi=(50_800, 50_800))
    assert read_micrograph(tmp_path / "pillow.tif").pixel_size_um == pytest.approx(0.5)


def test_the_instrument_is_asked_before_the_resolution(tmp_path):
    tags = zeiss("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 500.0 nm")
    options = {"resolution": (10_000, 10_000), "resolutionunit": "centimeter"}
    tifffile.imwrite(tmp_path / "both.tif", GREY, extratags=tags, **options)
    assert read_micrograph(tmp_path / "both.tif").pixel_size_um == pytest.approx(0.5)


def test_each_page_has_its_own_pixel_size(tmp_path):
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        for size in (100, 200):
            tag = zeiss("AP_IMAGE_PIXEL_SIZE", f"Image Pixel Size = {size} nm")
            file.write(GREY, extratags=tag)
        file.write(GREY)
    sizes = [read_micrograph(path, page=page).pixel_size_um for page in (1, 2, 3)]
    assert sizes == [pytest.approx(0.1), pytest.approx(0.2), None]


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
@pytest.mark.parametrize("below", [0, 1, 3, 8])
def test_data_bar_is_cut_off(tmp_path, bar, below):
    image = drawn(bar, below)
    micrograph = read_micrograph(saved(tmp_path, image))
    assert micrograph.data_bar_row == 48
    assert micrograph.cut_rows == bar + below
    assert np.array_equal(micrograph.image, image[:48])


def written(ground: int, ink: int, frame: int = 0) -> np.ndarray:
    """A micrograph of 256 × 192 px, soft but noisy, over a bar of 40 rows with letters."""
    bar = np.full((40, 256), ground, np.uint8)
    for row in (8, 24):
        bar[row : row + 8, 16:176] = np.where(
            np.kron(texture(row, (4, 40)) > 150, np.ones((2, 4), bool)), ink, ground
        )
    bar[:frame] = bar[40 - frame :] = ink
    field = ndimage.gaussian_filter(texture(1, (192, 256)).astype(float), 4)
    field = 120 + 40 * (field - field.mean()) / field.std()
    field += np.random.default_rng(2).normal(0, 8, field.shape)
    return np.vstack([np.clip(field, 0, 255).astype(np.uint8), bar])


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (90, 240)])
@pytest.mark.parametrize("frame", [0, 1, 3])
@pytest.mark.parametrize("quality", [50, 75, 95])
def test_data_bar_is_found_after_jpeg(tmp_path, ground, ink, frame, quality):
    path = tmp_path / "bar.jpg"
    Image.fromarray(written(ground, ink, frame)).save(path, quality=quality)
    assert read_micrograph(path).data_bar_row == 192


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (90, 240)])
def test_data_bar_is_found_in_16_bit(tmp_path, ground, ink):
    """Clean, with noise of less than a grey level, and beyond a range that is hardly used."""
    image = written(ground, ink, 1).astype(np.uint16)
    noise = np.random.default_rng(0).integers(0, 100, image.shape).astype(np.uint16)
    narrow = np.where(np.arange(232)[:, np.newaxis] < 192, image, image * 257)
    for pixels in (image * 257, image * 257 - (noise * (image > 0)), narrow):
        tifffile.imwrite(tmp_path / "bar.tif", pixels)
        assert read_micrograph(tmp_path / "bar.tif").data_bar_row == 192


def test_line_of_the_frame_above_the_bar_is_cut_off_with_it(tmp_path):
    image = drawn(16)
    image[45] = 255
    assert read_micrograph(saved(tmp_path, image)).data_bar_row == 45


def field(mean: float, deviation: float) -> np.ndarray:
    """A soft, slightly noisy image of 192 × 512 px, as floats."""
    rng = np.random.default_rng(8)
    soft = ndimage.gaussian_filter(rng.standard_normal((192, 512)), 2)
    return mean + deviation * soft / soft.std() + rng.normal(0, deviation / 4, soft.shape)


def typeset(ground: int, ink: int, rows: int = 40) -> np.ndarray:
    """A data bar 512 px wide with writing whose edges are smoothed."""
    picture = Image.new("L", (512, rows), ground)
    font = ImageFont.load_default(size=16)
    ImageDraw.Draw(picture).text((8, 8), "5.00 kV  200 x  6.0 mm  300 µm", ink, font)
    return np.asarray(picture)


def clipped(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("deviation", [300, 500, 1500])
def test_data_bar_is_found_under_an_image_that_uses_little_of_16_bit(tmp_path, deviation):
    image = np.round(field(25_000, deviation)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "bar.tif", np.vstack([image, typeset(0, 255).astype(np.uint16) * 257])
    )
    micrograph = read_micrograph(tmp_path / "bar.tif")
    assert micrograph.data_bar_row == 192
    assert (micrograph.image.min(), micrograph.image.max()) == (0, 255)


@pytest.mark.parametrize("deviation", [3, 5, 6])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_data_bar_is_found_under_an_image_of_low_contrast(tmp_path, deviation, suffix):
    image = np.vstack([clipped(field(110, deviation)), typeset(0, 255)])
    path = tmp_path / f"bar.{suffix}"
    Image.fromarray(image).save(path, quality=90)
    assert read_micrograph(path).data_bar_row == 192


@pytest.mark.parametrize("ground", [100, 128])
@pytest.mark.parametrize("deviation", [20, 35])
@pytest.mark.parametrize("name", ["bar.png", "bar-75.jpg", "bar-85.jpg"])
def test_data_bar_as_grey_as_the_image_is_found(tmp_path, ground, deviation, name):
    image = np.vstack([clipped(field(110, deviation)), typeset(ground, 255)])
    Image.fromarray(image).save(tmp_path / name, quality=75 if "75" in name else 85)
    assert read_micrograph(tmp_path / name).data_bar_row == 192


@pytest.mark.parametrize(
    "bar",
    [
        np.vstack([typeset(0, 255), typeset(255, 0)]),
        np.vstack([typeset(255, 0, 35), np.zeros((35, 512), np.uint8)]),
        np.vstack([np.full((20, 512), 255, np.uint8), typeset(0, 255)]),
        np.vstack([typeset(90, 255, 32), typeset(255, 0, 32), typeset(0, 255, 32)]),
    ],
    ids=["black over white", "blank below", "blank above", "three"],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_data_bar_of_several_grounds_is_cut_off_whole(tmp_path, bar, suffix):
    path = tmp_path / f"bar.{suffix}"
    Image.fromarray(np.vstack([clipped(field(110, 30)), bar])).save(path, quality=95)
    assert read_micrograph(path).data_bar_row == 192


@pytest.mark.parametrize("level", [0, 3, 252, 255])
@pytest.mark.parametrize("name", ["void.png", "void-75.jpg", "void-95.jpg"])
def test_void_with_a_wavy_edge_is_no_bar(tmp_path, level, name):
    edge = 160 + 12 * np.sin(np.arange(512) / 40)
    image = clipped(field(110, 30))
    image[np.arange(192)[:, np.newaxis] > edge] = level
    image[180:183, 100:160] = 255 - level  # a particle in the void
    Image.fromarray(image).save(tmp_path / name, quality=75 if "75" in name else 95)
    assert read_micrograph(tmp_path / name).data_bar_row is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_stand_in_that_saturates_towards_its_lower_edge_has_no_bar(tmp_path, seed, suffix):
    image = synthesize_micrograph(1e-3, seed, (240, 320)).image.astype(float)
    fade = np.clip((240 - np.arange(240)) / 75, 0, 1)[:, np.newaxis]
    glow = np.clip((np.arange(240) - 165) / 50, 0, 1)[:, np.newaxis]
    path = tmp_path / f"edge.{suffix}"
    for saturated in (image * fade**2, image + 250 * glow):
        Image.fromarray(clipped(saturated)).save(path)
        assert read_micrograph(path).data_bar_row is None


def edge_of_specimen(level: int, noise: float, rows: int = 24) -> np.ndarray:
    """A micrograph whose lowest rows fade into black or white, with a few bright or dark specks."""
    rng = np.random.default_rng(5)
    fade = np.clip((192 - np.arange(192)) / rows - 1, 0, 1)[:, np.newaxis]
    field = level + (written(0, 255)[:192].astype(float) - level) * fade
    field += rng.normal(0, noise, field.shape)
    field[rng.random(field.shape) < 0.002] = 255 - level
    return np.clip(np.round(field), 0, 255).astype(np.uint8)


def test_image_that_is_nearly_black_has_no_bar(tmp_path):
    """Clipped, all rows hold few grey levels here and there, and bright specks."""
    rng = np.random.default_rng(6)
    image = np.where(rng.random((192, 256)) < 0.06, rng.integers(0, 256, (192, 256)), 0)
    image[-12:] = np.where(image[-12:] > 128, 200, 0)
    path = saved(tmp_path, image.astype(np.uint8))
    assert read_micrograph(path).data_bar_row is None


@pytest.mark.parametrize("level", [0, 4, 250, 255])
@pytest.mark.parametrize("noise", [0.7, 2.0, 4.0])
def test_dark_or_saturated_edge_of_the_specimen_is_no_bar(tmp_path, level, noise):
    image = edge_of_specimen(level, noise)
    assert read_micrograph(saved(tmp_path, image)).data_bar_row is None
    path = tmp_path / "edge.jpg"
    Image.fromarray(image).save(path, quality=85)
    assert read_micrograph(path).data_bar_row is None


@pytest.mark.parametrize(
    "image",
    [
        texture(0),
        drawn(16, below=9),
        drawn(4),
        np.vstack([drawn(16, above=0), texture(1)]),
        drawn(16, above=0),
        drawn(16, above=15),
    ],
    ids=[
        *("texture", "flat band inside", "few flat rows", "flat band at the top", "all bar"),
        "more bar than image",
    ],
)
def test_image_without_data_bar_stays_whole(tmp_path, image):
    micrograph = read_micrograph(saved(tmp_path, image))
    assert micrograph.data_bar_row is None
    assert np.array_equal(micrograph.image, image)


@pytest.mark.parametrize(("columns", "row"), [(330, 192), (200, None)])
def test_ground_of_a_bar_begins_at_once_in_most_columns(tmp_path, columns, row):
    image = clipped(field(110, 30))
    image = np.vstack([image, image[:40]])
    image[192:, :columns] = typeset(0, 255)[:, :columns]
    assert read_micrograph(saved(tmp_path, image)).data_bar_row == row


@pytest.mark.parametrize(("crop", "rows"), [("auto", 48), ("none", 67), (48, 48), (1, 1)])
def test_crop_keeps_rows_from_the_top(tmp_path, crop, rows):
    image = drawn(16, below=3)
    micrograph = read_micrograph(saved(tmp_path, image), crop)
    assert np.array_equal(micrograph.image, image[:rows])
    assert micrograph.data_bar_row == 48
    assert micrograph.cut_rows == 67 - rows


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
    assert (cropped.image.shape, cropped.pixel_size_um, cropped.cut_rows) == ((40, 96), 0.5, 24)
    assert crop_micrograph(cropped, 30).cut_rows == 34
    assert micrograph.image.shape == GREY.shape


# -------------------------------------------------------------------------------------- damage

REFUSED = {
    "absent.tif": (Path.exists, "no such file .*correct the path"),
    "folder.png": (Path.mkdir, "no such file"),
    "empty.tif": (Path.touch, "the file is empty; export"),
    **{
        f"{number}.{ending}": (
            lambda path, start=start: path.write_bytes(start + bytes(9)),
            f"no TIFF, PNG, JPEG or BMP, but seems to be .*{what}.*; export the micrograph as TIFF",
        )
        for number, (ending, start, what) in enumerate(
            [
                ("tif", b"%PDF-1.7\n", "PDF"),
                ("png", b"GIF89a", "GIF"),
                ("jpg", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
                ("tif", b"\x89HDF\r\n\x1a\n", "HDF5, such as EMD"),
                ("tif", b"\0\0\0\3\0\0\x10", "DM3"),
                ("tif", b"\0\0\0\4\0\0\0\0", "DM4"),
                ("tif", b"PK\3\4", "zip"),
                ("bmp", b"\xd0\xcf\x11\xe0", "Office"),
                ("jpg", b"<!DOCTYPE html>", "web page"),
                ("tif", b"\xd4what", "of an unknown kind"),
                ("gif", b"GIF89a", "GIF"),
            ]
        )
    },
    "text.tif": (lambda path: path.write_text("text"), "seems to be a text; export the micrograph"),
    "bm.bmp": (lambda path: path.write_text("BM, no image"), "cannot be read .*damaged: export"),
    "colour.bmp": (with_pillow(np.dstack([GREY, GREY, 255 - GREY])), "in colour"),
    "wide.bmp": (
        lambda path: path.write_bytes(bmp(np.zeros((1, 70_000), np.uint8), PALETTE, 1, b"\0\1")),
        "70000 columns in run lengths",
    ),
    "huge.bmp": (
        lambda path: path.write_bytes(
            bmp(GREY, PALETTE)[:18] + struct.pack("<ii", 30_000, 20_000) + bmp(GREY, PALETTE)[26:]
        ),
        "30000×20000 px are more than the 100 megapixels",
    ),
    "colour.png": (with_pillow(np.dstack([GREY, GREY, 255 - GREY])), "colour; .*greyscale"),
    "colour.jpg": (with_pillow(np.dstack([GREY, GREY, 255 - GREY])), "in colour"),
    "colour.tif": (
        with_tifffile(np.dstack([GREY, GREY, 255 - GREY]), photometric="rgb"),
        "in colour",
    ),
    "nearly-grey.png": (
        with_pillow(np.dstack([GREY // 2, GREY // 2, GREY // 2 + 3])),
        "in colour",
    ),
    "colour-16.png": (with_imagecodecs(np.dstack([NARROW] * 2 + [NARROW + 515])), "in colour"),
    "nearly-grey-16.tif": (
        with_tifffile(np.dstack([WIDE // 2, WIDE // 2, WIDE // 2 + 515]), photometric="rgb"),
        "in colour",
    ),
    "yellow-mark.jpg": (with_pillow(marked(SMOOTH), quality=75), "in colour"),
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
    "nan.tif": (
        with_tifffile(np.where(GREY > 9, GREY, np.nan)),
        "not finite .* border; cut those off .* export",
    ),
    "flat.png": (with_pillow(np.full_like(GREY, 7)), "all pixels have grey level 7; .*: export"),
    "flat-16.tif": (with_tifffile(np.full_like(WIDE, 700)), "all pixels have grey level 700;"),
    "flat-float.tif": (with_tifffile(np.full(GREY.shape, -2.5)), r"grey level -2\.5;"),
    "infinite.tif": (with_tifffile(np.where(GREY > 9, GREY, np.inf)), "not finite numbers"),
    "cfa.tif": (with_tifffile(GREY, photometric="cfa"), r"1 channel\(s\) of 8 bit, CFA, are not"),
    "webp.tif": (
        with_tifffile(rgb(), photometric="rgb", compression="webp"),
        "TIFF compression WEBP is not read, only none, LZW, .*; save it uncompressed",
    ),
    "complex.tif": (with_tifffile(GREY.astype(np.complex64)), "complex; a single grey image"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("error")
def test_file_that_is_no_micrograph_is_refused(tmp_path, name, capfd, caplog):
    write, words = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(MicrographError, match=words) as caught:
        read_micrograph(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


TRUNCATED = {
    "strips.tif": with_tifffile(GREY, rowsperstrip=8),
    "deflate.tif": with_tifffile(GREY, rowsperstrip=8, compression="zlib"),
    "lzw.tif": with_pillow(GREY, compression="tiff_lzw"),
    "16-bit.tif": with_tifffile(WIDE),
    "grey.png": with_pillow(GREY),
    "grey.jpg": with_pillow(GREY),
    "grey.bmp": with_pillow(GREY),
    "run-lengths.bmp": lambda path: path.write_bytes(run_lengths(GREY)),
}


@pytest.mark.parametrize("name", TRUNCATED)
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
