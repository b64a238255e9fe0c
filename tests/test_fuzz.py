"""Damaged and hostile files: each gives an image, or one error that names the file.

Most files are read in a process of its own with limited memory, so that a decoder that crashes,
hangs or takes too much fails the test; the file that did it is named and kept. Hypothesis damages
others here, and shrinks the damage that a file does not bear.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import test_figure3 as figures
import tifffile
from conftest import texture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.reading import read_micrograph

NUMBER_OF_FILES = int(os.environ.get("FESEM_FUZZ_FILES", "2400"))
FILES_AT_ONCE = 600
SECONDS_FOR_A_FILE = 10
SECONDS_FOR_THE_LARGEST = 60
SPARE_MEMORY = 2 << 30

READER = """
import faulthandler, json, resource, sys
from pathlib import Path
import numpy as np
from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.reading import read_micrograph
from fesemlib.panels.sheet import SheetError

if sys.argv[4] == "figure":
    from fesemlib.command.figure3 import read_panels

def read(path):
    figure = sys.argv[4] == "figure"
    if figure:
        return read_panels([path], None, None)[0], None
    micrograph = read_micrograph(path)
    return micrograph.image, micrograph.pixel_size_um

folder, spare, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
status = Path("/proc/self/status")
taken = 1024 * int(status.read_text().split("VmSize:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_AS, (taken + spare, taken + spare))
outcomes = {}
for path in sorted(folder.iterdir()):
    (folder.parent / "current").write_text(path.name)
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        image, um = read(path)
        good = image.dtype == np.uint8 and image.ndim == 2 and np.ptp(image) > 0
        good = good and (um is None or 1e-4 <= um <= 50)
        outcome = "image" if good else f"wrong: {image.dtype} {image.shape}"
    except (MicrographError, SheetError) as error:
        text = str(error)
        good = text.startswith(f"{path}: ") and text.isprintable() and len(text) < 1000
        outcome = "error" if good else f"wrong: {text!r}"
    except BaseException as error:
        outcome = f"wrong: {error!r}"
    faulthandler.cancel_dump_traceback_later()
    outcomes[path.name] = outcome
peak = 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
print(json.dumps([outcomes, peak]))
"""


def read_all(
    folder: Path, seconds: float = SECONDS_FOR_A_FILE, kind: str = "micrograph"
) -> dict[str, str]:
    """What became of each file of a folder; the reader must survive and keep silent."""
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder), str(SPARE_MEMORY), str(seconds), kind],
        capture_output=True,
        text=True,
        check=False,
    )
    last = (folder.parent / "current").read_text()
    assert done.returncode == 0, f"{folder / last}: {done.returncode}\n{done.stderr[-3000:]}"
    assert done.stderr == ""
    outcomes, peak = json.loads(done.stdout)
    assert peak < SPARE_MEMORY
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome.startswith("wrong")}
    assert not wrong, f"in {folder}: {wrong}"
    images = list(outcomes.values()).count("image")
    errors = len(outcomes) - images
    print(f"{images} images, {errors} errors, at most {peak / 1e6:.0f} MB")
    return outcomes


# --------------------------------------------------------------------------------------- seeds

GREY = texture(0, (24, 32))
DEEP = GREY.astype(np.uint16) * 200 + 3
REAL = (GREY / 255).astype(np.float32)
IDENTITY = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
ZEISS = (
    b"0\r\n0\r\nDP_IMAGE_STORE\r\nStore resolution = 32 * 24\r\nAP_IMAGE_PIXEL_SIZE\r\n"
    b"Image Pixel Size = 976.6 nm\r\nAP_WIDTH\r\nWidth = 31.25 \xb5m\r\n"
)
FEI = (
    b"[Beam]\r\nBeam=EBeam\r\nScan=EScan\r\n[Scan]\r\nPixelWidth=9.766e-007\r\n"
    b"PixelHeight=9.766e-007\r\n[Image]\r\nResolutionX=32\r\n"
)
TESCAN = b"[MAIN]\r\nDevice=MIRA3\r\nPixelSizeX=9.8e-07\r\nPixelSizeY=9.8e-07\r\n[SEM]\r\n"
PHENOM = (
    b'<?xml version="1.0"?><FeiImage><pixelWidth unit="nm">980.0</pixelWidth>'
    b'<pixelHeight unit="nm">980.0</pixelHeight></FeiImage>'
)
FIBSEM = json.dumps({"image": {"resolution": [32, 24]}, "pixel_size": {"x": 1e-6, "y": 1e-6}})
MICRON = "µm\0".encode("utf-16-le")
GATAN = [(code, "B", len(MICRON), MICRON, True) for code in (65003, 65004)]
GATAN += [(code, "d", 1, 0.98, True) for code in (65009, 65010)]
SIS = struct.pack("<4s6xhhhhh6x32sHhhI", b"SIS0", 1, 2, 3, 4, 118, b"cell", 1, 1, 1, 8) + bytes(99)


HITACHI = "[SemImageFile]\r\nDataSize=32x24\r\nPixelSize=992.2\r\nMagnification=100\r\n"
JEOL = (
    "$CM_FORMAT JEOL-SEM\r\n$$SM_MICRON_BAR 102\r\n$$SM_MICRON_MARKER 100um\r\n"
    "$CM_FIELD_OF_VIEW 31.37um 23.53um\r\n$CM_FULL_SIZE 32 24\r\n"
)


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def with_pillow(pixels: np.ndarray, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def run_lengths() -> bytes:
    """A BMP of 8 bit, whose rows are runs of one pixel."""
    rows = b"".join(b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in GREY)
    start = 54 + 4 * 256
    head = struct.pack("<2sIIIIii", b"BM", start + len(rows), 0, start, 40, 32, 24)
    head += struct.pack("<HHIIiiII", 1, 8, 1, len(rows), 0, 0, 256, 256)
    return head + b"".join(bytes((n, n, n, 0)) for n in range(256)) + rows + b"\0\1"


def several_pages() -> bytes:
    return tiff(np.stack([GREY, 255 - GREY, GREY // 2]), photometric="minisblack")


RGB = np.dstack([GREY] * 3)
SEEDS: dict[str, bytes] = {
    "uint8.tif": tiff(GREY),
    "big-endian.tif": tiff(DEEP, byteorder=">"),
    "BigTIFF.tif": tiff(DEEP, bigtiff=True),
    "strips.tif": tiff(GREY, rowsperstrip=5),
    "tiles.tif": tiff(GREY, tile=(16, 16)),
    "deflate.tif": tiff(DEEP, compression="zlib", predictor=2, rowsperstrip=5),
    "deflate-tiles.tif": tiff(GREY, compression="zlib", tile=(16, 16)),
    "lzw.tif": tiff(GREY, compression="lzw", rowsperstrip=5),
    "lzw-16.tif": tiff(DEEP, compression="lzw", predictor=2, byteorder=">"),
    "packbits.tif": tiff(GREY, compression="packbits", rowsperstrip=7),
    "jpeg.tif": tiff(GREY, compression="jpeg"),
    "jpeg-tiles.tif": tiff(GREY, compression="jpeg", tile=(16, 16)),
    "jpeg-rgb.tif": tiff(RGB, compression="jpeg", photometric="rgb"),
    "lzma.tif": tiff(GREY, compression="lzma"),
    "zstd.tif": tiff(DEEP, compression="zstd", predictor=2),
    "float.tif": tiff(REAL),
    "float-predictor.tif": tiff(REAL, compression="zlib", predictor=3),
    "float64.tif": tiff(GREY * 1e-9),
    "int64.tif": tiff(GREY.astype(np.int64) - 99),
    "complex.tif": tiff(REAL.astype(np.complex64)),
    "one-bit.tif": tiff(GREY > 99, photometric="minisblack"),
    "palette.tif": tiff(GREY, photometric="palette", colormap=IDENTITY),
    "inverted.tif": tiff(GREY, photometric="palette", colormap=IDENTITY[:, ::-1]),
    "rgb.tif": tiff(RGB, photometric="rgb"),
    "planes.tif": tiff(np.stack([GREY] * 3), photometric="rgb", planarconfig="separate"),
    "cmyk.tif": with_pillow(np.dstack([GREY * 0] * 3 + [GREY]), "TIFF"),
    "pages.tif": several_pages(),
    "zeiss.tif": tiff(
        GREY,
        photometric="palette",
        colormap=IDENTITY,
        extratags=[(34118, "s", 0, ZEISS, True)],
    ),
    "fei.tif": tiff(DEEP, extratags=[(34682, "s", 0, FEI, True)]),
    "imagej.tif": tiff(DEEP, imagej=True, resolution=(1, 1), metadata={"unit": "um"}),
    "tescan.tif": tiff(GREY, extratags=[(50431, 7, len(TESCAN), b"Y\x14\0\0" + TESCAN, True)]),
    "phenom.tif": tiff(GREY, extratags=[(34683, "s", 0, PHENOM, True)]),
    "sis.tif": tiff(GREY, extratags=[(33560, 7, len(SIS), SIS, True)]),
    "dm.tif": tiff(GREY, extratags=GATAN),
    "openfibsem.tif": tiff(GREY, description=FIBSEM, metadata=None),
    "ome.tif": tiff(GREY, ome=True, metadata={"PhysicalSizeX": 0.98, "PhysicalSizeY": 0.98}),
    "grey.bmp": with_pillow(GREY, "BMP"),
    "rgb.bmp": with_pillow(RGB, "BMP"),
    "palette.bmp": run_lengths()[:30] + bytes(4) + run_lengths()[34:].ljust(4096, b"\7"),
    "run-lengths.bmp": run_lengths(),
    "grey.png": with_pillow(GREY, "PNG"),
    "deep.png": with_pillow(DEEP, "PNG"),
    "rgba.png": with_pillow(np.dstack([RGB, GREY * 0 + 255]), "PNG"),
    "deep-alpha.png": imagecodecs.png_encode(np.dstack([DEEP, DEEP])),
    "deep-rgb.png": imagecodecs.png_encode(np.dstack([DEEP] * 3)),
    "one-bit.png": with_pillow(GREY > 99, "PNG"),
    "grey.jpg": with_pillow(GREY, "JPEG", quality=85),
    "rgb.jpg": with_pillow(RGB, "JPEG", progressive=True),
    **{f"hitachi-{code}.txt": HITACHI.encode(code) for code in ("ascii", "utf-16")},
    "jeol.txt": JEOL.encode(),
    "tescan.hdr": TESCAN,
}
BESIDE = (".txt", ".hdr")  # the endings of files that lie beside an image


# ----------------------------------------------------------------------------------- mutations


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(0, len(content))]


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.choice([1, 2, 8, 64]))):
        changed[rng.integers(0, len(changed))] ^= 1 << rng.integers(0, 8)
    return bytes(changed)


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    """Write an extreme number, or noise, somewhere."""
    changed = bytearray(content)
    start = int(rng.integers(0, len(changed)))
    extremes = [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 64, rng.bytes(16)]
    piece = extremes[rng.integers(len(extremes))]
    changed[start : start + len(piece)] = piece
    return bytes(changed)


def splice(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a piece of another file in the place of one of this."""
    other = list(SEEDS.values())[rng.integers(len(SEEDS))]
    start, stop = sorted(rng.integers(0, len(content), 2))
    first, last = sorted(rng.integers(0, len(other), 2))
    return content[:start] + other[first:last] + content[stop:]


# Codes of tags, and numbers, that decide what a reader does.
CODES = (256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 282, 284, 317, 320, 322, 323, 324, 325)
CODES += (254, 330, 338, 339, 347, 32997, 33628, 34118, 34412, 34680, 34682, 50838, 50839)
CODES += (270, 296, 33560, 34683, 50431, 65003, 65009)
NUMBERS = (*range(13), 16, 31, 33, 64, 255, 256, 32773, 34892, 34925, 50000, 65535, 65536, 10**6)
NUMBERS += (2**31 - 1, 2**31, 2**32 - 1)


def change_tag(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a field of an entry of the first TIFF directory to something odd."""
    big = content[2:4] in (b"\x2b\0", b"\0\x2b")
    order = "<" if content[:2] == b"II" else ">"
    offset, number, head, step = ("Q", "Q", 8, 20) if big else ("I", "H", 2, 12)
    try:
        (start,) = struct.unpack_from(order + offset, content, 8 if big else 4)
        (entries,) = struct.unpack_from(order + number, content, start)
        entry = start + head + step * int(rng.integers(entries))
        changed = bytearray(content)
        field = rng.choice(["code", "kind", "count", "value", "value"])
        if field == "code":
            struct.pack_into(order + "H", changed, entry, int(rng.choice(CODES)))
        elif field == "kind":
            struct.pack_into(order + "H", changed, entry + 2, int(rng.integers(0, 20)))
        else:
            at = entry + (4 if field == "count" else step - (8 if big else 4))
            value = int(rng.choice([*NUMBERS, len(content) - 1, start]))
            form = "H" if field == "value" and value < 65536 and rng.integers(2) else offset
            struct.pack_into(order + form, changed, at, value)
    except (struct.error, ValueError):  # no directory is left to change
        return flip_bits(content, rng)
    return bytes(changed)


MUTATIONS = (truncate, flip_bits, flip_bits, overwrite, splice, change_tag, change_tag, change_tag)


def mutated(number: int) -> tuple[str, bytes]:
    """The name and content of a file; the same number gives the same."""
    rng = np.random.default_rng(number)
    name = list(SEEDS)[number % len(SEEDS)]
    content = SEEDS[name]
    for _ in range(int(rng.choice([1, 1, 2]))):
        mutation: Callable[[bytes, np.random.Generator], bytes]
        mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
        content = mutation(content, rng) or b"\0"
    if rng.random() < 0.05:
        name += str(rng.choice([".tif", ".png", ".jpg", ".TIFF", ".bmp"]))
    return f"{number:06}-{name}", content


BATCHES = [
    range(first, min(first + FILES_AT_ONCE, NUMBER_OF_FILES))
    for first in range(0, NUMBER_OF_FILES, FILES_AT_ONCE)
]


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: f"{batch.start}-{batch.stop - 1}")
def test_mutated_file_gives_an_image_or_an_error(tmp_path, batch):
    folder = tmp_path / "files"
    folder.mkdir()
    images = []
    for name, content in map(mutated, batch):
        (folder / name).write_bytes(content)
        if name.endswith(BESIDE):
            images.append(f"{name.rpartition('.')[0]}.png")
            (folder / images[-1]).write_bytes(SEEDS["grey.png"])
    read = read_all(folder)
    assert {read.pop(name) for name in images} <= {"image"}
    outcomes = list(read.values())
    assert len(outcomes) == len(batch)
    assert 0.05 * len(batch) < outcomes.count("image") < 0.95 * len(batch)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of which up to three pieces are replaced by others, under its name or a wrong one."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[name])
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([0, 1, 2, 4, 12, len(content)]))
        content[start : start + length] = draw(st.binary(max_size=16))
    return name + draw(st.sampled_from(["", "", "", ".tif", ".png", ".bmp"])), bytes(content)


@given(damaged())
@settings(max_examples=NUMBER_OF_FILES // 4, deadline=None)
def test_damaged_file_gives_an_image_or_an_error(tmp_path_factory, file):
    name, content = file
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        image = read_micrograph(path).image
    except MicrographError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017  # an image is right, too
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 2
        assert np.ptp(image) > 0


# -------------------------------------------------------------------------------- hostile files

WIDE = struct.pack(">II", 30_000, 20_000)


def png(header: bytes, data: bytes) -> bytes:
    """A PNG of this IHDR and compressed data, with right checksums."""
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def tiff_with(
    tags: dict[int, tuple[int, int, int]], after: bytes = b"", following: int = 0
) -> bytes:
    """A TIFF file of one directory, and what comes after it; tags as (type, count, value)."""
    entries = [struct.pack("<HHII", code, *entry) for code, entry in sorted(tags.items())]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    return head + b"".join(entries) + struct.pack("<I", following) + after


def plain_tags(width: int, height: int, **others: tuple[int, int, int]) -> dict[int, tuple]:
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1)}
    tags |= {262: (3, 1, 1), 273: (4, 1, 200), 277: (3, 1, 1), 278: (4, 1, height)}
    return tags | {279: (4, 1, 64)} | {int(code[1:]): entry for code, entry in others.items()}


def many_directories(loop_to: int) -> bytes:
    """Two thousand empty directories in a chain, whose last leads back to one of them."""
    offsets = [8 + 6 * number for number in range(2000)]
    chain = [struct.pack("<HI", 0, offset) for offset in [*offsets[1:], offsets[loop_to]]]
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(chain)


def many_scans() -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    content = with_pillow(texture(0, (64, 64)), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * 500 + content[-2:]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "wide.png": (
        lambda: png(WIDE + b"\x08\0\0\0\0", zlib.compress(b"")),
        r"30000×20000 px are more than the 100 megapixels .*; cut out a field",
    ),
    "bomb.png": (
        lambda: png(struct.pack(">II", 8000, 8000) + b"\x08\0\0\0\0", zlib.compress(bytes(10**8))),
        "grey level 0",
    ),
    "deep-rgba.png": (
        lambda: png(struct.pack(">II", 9000, 8000) + b"\x10\x06\0\0\0", zlib.compress(b"")),
        "9000×8000 px take 576 MB unpacked",
    ),
    "wide.jpg": (
        lambda: with_pillow(GREY, "JPEG").replace(
            struct.pack(">HH", 24, 32), struct.pack(">HH", 65500, 65500), 1
        ),
        "65500×65500 px are more than",
    ),
    "scans.jpg": (many_scans, "more than 100 scans"),
    "wide.tif": (
        lambda: tiff_with(plain_tags(30_000, 20_000), bytes(99)),
        r"30000×20000 px are more than the 100 megapixels",
    ),
    "widest.tif": (lambda: tiff_with(plain_tags(2**32 - 1, 2**32 - 1), bytes(99)), "megapixels"),
    "deep.tif": (
        lambda: tiff_with(plain_tags(10_000, 8_000, t258=(3, 1, 64)), bytes(99)),
        "take 640 MB unpacked, .*400 MB are read; save it as 8-bit grey",
    ),
    "channels.tif": (
        lambda: tiff_with(plain_tags(99, 99, t277=(3, 1, 60000)), bytes(999)),
        r"60000 channel\(s\) of 8 bit",
    ),
    "tiles.tif": (
        lambda: tiff_with(
            plain_tags(32, 24, t322=(4, 1, 10**6), t323=(4, 1, 10**6), t259=(3, 1, 8)), bytes(999)
        ),
        "1000000×1000000 px",
    ),
    "bomb.tif": (
        lambda: tiff_with(
            plain_tags(32, 24, t259=(3, 1, 8), t279=(4, 1, 90_000)),
            bytes(200 - 130) + zlib.compress(bytes(9 * 10**7)).ljust(90_000, b"\0"),
        ),
        "cannot be read",
    ),
    "compression.tif": (
        lambda: tiff_with(plain_tags(32, 24, t259=(3, 1, 34712)), bytes(999)),
        r"compression \w+ is not read, only none, LZW, .*; save it uncompressed",
    ),
    "count.tif": (
        lambda: tiff_with(plain_tags(32, 24, t273=(4, 2**30, 8)), bytes(999)),
        "tag 273 claims 1073741824 values",
    ),
    "loop.tif": (lambda: many_directories(1500), "cannot be read"),
    "cut.tif": (lambda: tiff_with(plain_tags(32, 24))[:40], "directory is missing or cut off"),
    "nothing.tif": (lambda: tiff_with(plain_tags(0, 0), bytes(999)), "cannot be read"),
    "missing-strip.tif": (
        lambda: tiff_with(plain_tags(32, 24, t278=(4, 1, 12), t259=(3, 1, 8)), bytes(999)),
        "1 strips or tiles where 2 belong",
    ),
    "no-ground.tif": (
        lambda: tiff_with(plain_tags(32, 24, t259=(3, 1, 8), t273=(4, 1, 10**6)), bytes(999)),
        "outside the file",
    ),
    "jpeg-in.tif": (
        lambda: tiff(GREY, compression="jpeg").replace(
            struct.pack(">HH", 24, 32), struct.pack(">HH", 65500, 65500)
        ),
        "65500×65500 px where",
    ),
}


def test_hostile_files_end_in_an_error_each(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name, (make, _) in HOSTILE.items():
        (folder / name).write_bytes(make())
    assert set(read_all(folder).values()) == {"error"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_with_its_reason(tmp_path, name):
    make, words = HOSTILE[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(MicrographError, match=words) as caught:
        read_micrograph(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("page", [1, 999, 2000, 2001])
def test_chain_of_directories_is_counted_once(tmp_path, page):
    path = tmp_path / "loop.tif"
    path.write_bytes(many_directories(1500))
    words = "the file has 2000 pages" if page == 2001 else "cannot be read"
    with pytest.raises(MicrographError, match=words):
        read_micrograph(path, page=page)


def bomb(root: str) -> str:
    """An XML text of a few hundred bytes which would be of many billions."""
    parts = [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12)]
    return f'<!DOCTYPE {root} [<!ENTITY e0 "1">{"".join(parts)}]><{root}>&e11;</{root}>'


def described(text: str) -> bytes:
    return tiff(GREY, description=text, metadata=None)


METADATA: dict[str, bytes] = {
    "bomb": tiff(GREY, extratags=[(34683, "s", 0, bomb("FeiImage").encode(), True)]),
    "ome-bomb": described(bomb("OME")),
    "deep": tiff(GREY, extratags=[(34683, "s", 0, b"<a>" * 300_000, True)]),
    "many": described("<OME>" + "<Pixels/>" * 100_000 + "</OME>"),
    "long": described("<OME>" + "<Pixels/>" * 1_600_000 + "</OME>"),
    "list": described("[" * 15_000_000),
    "number": described('{"pixel_size": {"x": ' + "9" * 1_000_000 + "}}"),
    "spaces": tiff(GREY, extratags=[(50431, 2, 10**7, b"PixelSizeX" + b" " * 10**7, True)]),
}


def test_hostile_metadata_tell_nothing_and_take_little(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in METADATA.items():
        (folder / f"{name}.tif").write_bytes(content)
    for name in ("large.txt", "large.hdr"):
        (folder / "large.png").write_bytes(SEEDS["grey.png"])
        with (folder / name).open("wb") as file:
            file.write(HITACHI.encode())
            file.truncate(8 << 30)
    outcomes = read_all(folder)
    assert (outcomes.pop("large.txt"), outcomes.pop("large.hdr")) == ("error", "error")
    assert set(outcomes.values()) == {"image"}


# ------------------------------------------------------------------------------------ PDF files


@pytest.fixture(scope="module")
def pdf_seeds(tmp_path_factory) -> list[bytes]:
    """Figures of nine panels in PDF: one picture, in a form, nine pictures, mirrored, by Pillow."""
    folder = tmp_path_factory.mktemp("pdf")
    panels = [texture(seed, (48, 64)) for seed in range(9)]
    forms = (figures.one_picture, figures.in_a_form, figures.nine_pictures, figures.mirrored)
    made = [form(folder, panels)[0].read_bytes() for form in (*forms, figures.pillow_pdf)]
    # What is packed hides from mutations; this shows its drawing to them.
    assert all(b" cm /X0 Do" in content for content in made[:-1])
    return made


@pytest.mark.parametrize("batch", BATCHES[:-1] or BATCHES, ids=lambda batch: str(batch.start))
def test_mutated_pdf_gives_panels_or_an_error(tmp_path, pdf_seeds, batch):
    folder = tmp_path / "files"
    folder.mkdir()
    for number in batch[::6]:
        rng = np.random.default_rng(number)
        content = pdf_seeds[rng.integers(len(pdf_seeds))]
        for _ in range(int(rng.choice([1, 1, 2]))):
            mutation = (truncate, flip_bits, overwrite, splice, change_number)[rng.integers(5)]
            content = mutation(content, rng)
        (folder / f"{number:06}.pdf").write_bytes(content or b"%PDF-")
    outcomes = list(read_all(folder, kind="figure").values())
    assert 0.05 * len(outcomes) < outcomes.count("image") < 0.95 * len(outcomes)


def change_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Write another number, or another name, in the text of a PDF file."""
    found = list(re.finditer(rb"(?<=[ \[])\d+\b|/[A-Z][A-Za-z0-9]+", content))
    start, stop = found[rng.integers(len(found))].span()
    others = (b"0", b"-1", b"1", b"7", b"99999", b"4294967296", b"1e9", b"null", b"<<>>", b"[]")
    names = (b"/Image", b"/Form", b"/FlateDecode", b"/DCTDecode", b"/Indexed", b"/X0")
    other = (*others, *names)[rng.integers(len(others) + len(names))]
    return content[:start] + other + content[stop:]


# -------------------------------------------------------------------------------- largest files


@pytest.mark.slow
@pytest.mark.parametrize("order", ["<", ">"])
def test_largest_image_is_read_within_the_memory(tmp_path, order):
    """Of 100 megapixels with floats, most of them in a hole of the file."""
    folder = tmp_path / "files"
    folder.mkdir()
    side = 10_000
    tags = plain_tags(side, side, t258=(3, 1, 32), t279=(4, 1, 4 * side**2), t339=(3, 1, 3))
    content = tiff_with(tags)
    if order == ">":
        content = b"MM" + struct.pack(">HIH", 42, 8, len(tags))
        for code, (kind, count, value) in sorted(tags.items()):
            field = struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
            content += struct.pack(">HHI", code, kind, count) + field
        content += bytes(4)
    with (folder / "large.tif").open("wb") as file:
        file.write(content.ljust(200, b"\0"))
        file.write(np.arange(side, dtype=f"{order}f4").tobytes())
        file.truncate(200 + 4 * side**2)
    assert read_all(folder, SECONDS_FOR_THE_LARGEST) == {"large.tif": "image"}
