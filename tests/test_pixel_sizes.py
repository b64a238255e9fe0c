"""The pixel size as other makers and programs tell it, written here from their descriptions."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import texture
from PIL import Image

from fesemlib.command.checks import checked_dataset
from fesemlib.dataset import DatasetError, load_dataset
from fesemlib.micrographs import read_micrograph
from fesemlib.pages.statements import data_banner
from fesemlib.params import Parameters

GREY = texture(0, (48, 96))
BYTE, ASCII, DOUBLE, UNDEFINED = 1, 2, 12, 7


def with_tag(path: Path, *tags: tuple[int, int, object], **options: object) -> Path:
    counted = [
        (code, kind, 1 if kind == DOUBLE else len(value), value) for code, kind, value in tags
    ]
    tifffile.imwrite(path, GREY, extratags=[(*tag, True) for tag in counted], **options)
    return path


def told(path: Path, page: int = 1) -> tuple[float | None, str | None]:
    micrograph = read_micrograph(path, page=page)
    um = micrograph.pixel_size_um
    return um and round(um, 6), micrograph.pixel_size_source


def tescan(across: str = "2.5012e-06", down: str = "2.5012e-06") -> bytes:
    lines = ["[MAIN]", "Device=MIRA3", "ImageStripSize=24", f"PixelSizeX={across}"]
    return "\r\n".join([*lines, f"PixelSizeY={down}", "[SEM]", "HV=5000.0", ""]).encode()


PHENOM = (
    '<?xml version="1.0"?><FeiImage><acquisition/><pixelWidth unit="{0}">{1}</pixelWidth>'
    '<pixelHeight unit="{0}">{1}</pixelHeight><databarHeight>9</databarHeight></FeiImage>'
)
TITAN = (
    '<?xml version="1.0"?><Metadata xmlns="http://schemas.fei.com"><BinaryResult><PixelSize>'
    '<X unit="{0}" unitPrefixPower="1">{1}</X><Y unit="{0}" unitPrefixPower="1">{1}</Y>'
    "</PixelSize></BinaryResult></Metadata>"
)


@pytest.mark.parametrize(
    ("code", "kind", "content", "um", "source"),
    [
        (50431, UNDEFINED, tescan(), 2.5012, "TESCAN tag"),
        (50431, BYTE, b"Y\x14\0\0\xffO\xffQ picture \n\0\x81" + tescan(), 2.5012, "TESCAN tag"),
        (50431, ASCII, tescan("9,8E-7", "9,8E-7"), 0.98, "TESCAN tag"),
        (50431, UNDEFINED, tescan(down="2.6e-06"), None, None),
        (50431, UNDEFINED, tescan("0", "0"), None, None),
        (50431, UNDEFINED, tescan("wide", "wide"), None, None),
        (50431, UNDEFINED, b"[MAIN]\r\nPixelSizeX=1e-6", None, None),
        (34683, ASCII, PHENOM.format("nm", "976.563").encode(), 0.976563, "Thermo Fisher XML"),
        (34683, BYTE, PHENOM.format("um", "0,9766").encode(), 0.9766, "Thermo Fisher XML"),
        (34683, BYTE, PHENOM.format("µm", "0.9766").encode(), 0.9766, "Thermo Fisher XML"),
        (34683, ASCII, TITAN.format("m", "6.4844E-07").encode(), 0.64844, "Thermo Fisher XML"),
        (34683, ASCII, PHENOM.format("nm", "976.563").encode()[:-9], None, None),
        (34683, ASCII, PHENOM.format("mile", "1").encode(), None, None),
        (34683, ASCII, b"<a>" * 5000 + b"</a>" * 5000, None, None),
        (34683, ASCII, b"", None, None),
        (
            34682,
            ASCII,
            b"[Scan]\r\nPixelWidth=9,76563e-007\r\nPixelHeight=9,76563e-007\r\n",
            0.976563,
            "FEI tag",
        ),
    ],
)
def test_pixel_size_of_a_maker_is_read_from_its_tag(tmp_path, code, kind, content, um, source):
    assert told(with_tag(tmp_path / "a.tif", (code, kind, content))) == (um, source)


@pytest.mark.parametrize(
    "definition",
    [
        '<!DOCTYPE a [<!ENTITY w "976.563">]>',
        '<!DOCTYPE a [<!ENTITY w SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    ],
)
def test_xml_that_defines_or_fetches_something_tells_nothing(tmp_path, definition):
    xml = PHENOM.format("nm", "976.563" if "http" in definition else "&w;")
    xml = xml.replace("<FeiImage>", f"{definition}<FeiImage>")
    assert told(with_tag(tmp_path / "a.tif", (34683, ASCII, xml.encode()))) == (None, None)


def test_sis_tag_is_read(tmp_path):
    """A table of pointers; behind the first, a power of ten and two numbers in that unit of 1 m."""
    content = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 1, 2, 3, 4, 118, b"cell", 1)
    path = with_tag(tmp_path / "a.tif", (33560, UNDEFINED, content + bytes(130)))
    raw = path.read_bytes()
    at = raw.index(b"SIS0")
    body = struct.pack("<10xhdd8xd2x34s32s", -9, 976.5, 976.5, 200.0, b"camera", b"SEM")
    pointer = struct.pack("<hhI", 1, 1, at + len(content) + 8)
    raw = raw[: at + len(content)] + pointer + body + raw[at + len(content) + 8 + len(body) :]
    path.write_bytes(raw)
    assert told(path) == (0.9765, "SIS tag")


@pytest.mark.parametrize(
    ("units", "across", "down", "um"),
    [
        ((ASCII, "µm".encode("cp1252") + b"\0"), 0.98, 0.98, 0.98),
        ((BYTE, "µm\0".encode("utf-16-le")), 0.98, 0.98, 0.98),
        ((ASCII, b"nm\0"), 980.0, 980.0, 0.98),
        ((ASCII, b"nm\0"), 980.0, 1980.0, None),
        ((ASCII, b"1/nm\0"), 0.98, 0.98, None),
    ],
)
def test_tags_of_digitalmicrograph_are_read(tmp_path, units, across, down, um):
    tags = [(65003, *units), (65004, *units), (65009, DOUBLE, across), (65010, DOUBLE, down)]
    source = "DigitalMicrograph tags" if um else None
    assert told(with_tag(tmp_path / "a.tif", *tags)) == (um, source)


def ome(*images: tuple[int, str]) -> bytes:
    pixels = "".join(
        f'<Image ID="{n}"><Pixels SizeX="{columns}" SizeY="48" {sizes}/></Image>'
        for n, (columns, sizes) in enumerate(images)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://ome.org/OME/2016-06">'
    return f"{head}{pixels}</OME>".encode()


def openfibsem(across: object, down: object, columns: int | None = None) -> bytes:
    image = {"image": {"resolution": [columns, 48]}} if columns else {}
    return json.dumps({**image, "pixel_size": {"x": across, "y": down}}).encode()


def sizes(across: object, down: object = None, unit: str | None = None) -> str:
    units = f' PhysicalSizeXUnit="{unit}" PhysicalSizeYUnit="{unit}"' if unit else ""
    return f'PhysicalSizeX="{across}" PhysicalSizeY="{down or across}"{units}'


@pytest.mark.parametrize(
    ("description", "um", "source"),
    [
        (ome((96, sizes(0.98))), 0.98, "OME-XML"),
        (ome((96, sizes(980, unit="nm"))), 0.98, "OME-XML"),
        (ome((96, sizes("9.8E-4", unit="mm"))), 0.98, "OME-XML"),
        (ome((96, sizes(9800, unit="Å"))), 0.98, "OME-XML"),
        (ome((24, sizes(3.92)), (96, sizes(0.98))), 0.98, "OME-XML"),
        (ome((96, sizes(0.98)), (96, sizes(0.33))), None, None),
        (ome((96, sizes(0.98, 1.2))), None, None),
        (ome((96, sizes(0.98, unit="pixel"))), None, None),
        (ome((96, "")), None, None),
        (ome((192, sizes(0.98))), None, None),
        (b"<OME><Pixels", None, None),
        (openfibsem(9.8e-7, 9.8e-7), 0.98, "OpenFIBSEM"),
        (openfibsem(9.8e-7, 9.8e-7, 96), 0.98, "OpenFIBSEM"),
        (openfibsem(9.8e-7, 9.8e-7, 192), None, None),
        (openfibsem(9.8e-7, 1e-6), None, None),
        (openfibsem(None, "wide"), None, None),
        (b'{"pixel_size": 9.8e-7}', None, None),
        (b"[" * 5000, None, None),
    ],
)
def test_pixel_size_is_read_from_a_description(tmp_path, description, um, source):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, description=description, metadata=None)
    assert told(path) == (um, source)


def test_description_of_ome_is_that_of_the_first_page(tmp_path):
    path = tmp_path / "a.ome.tif"
    stack = np.stack([GREY, 255 - GREY])
    tifffile.imwrite(
        path, stack, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    )
    assert told(path, page=2) == (0.5, "OME-XML")


# ------------------------------------------------------------------------- files beside an image


def hitachi(size: object = 992.2, columns: int = 96, head: str = "[SemImageFile]") -> str:
    lines = [head, "InstructName=SU1510", f"DataSize={columns}x48", f"PixelSize={size}"]
    return "\r\n".join([*lines, "Magnification=100", ""])


def jeol(bar: object = 102, marker: str = "100um", *others: str) -> str:
    lines = ["$CM_FORMAT JEOL-SEM", f"$$SM_MICRON_BAR {bar}", f"$$SM_MICRON_MARKER {marker}"]
    return "\r\n".join([*lines, *others, ""])


FULL = "$CM_FULL_SIZE 96 48"
HITACHI, JEOL, TESCAN = "Hitachi text", "JEOL text", "TESCAN header"


@pytest.mark.parametrize(
    ("name", "content", "um", "source"),
    [
        ("a.txt", hitachi().encode(), 0.9922, HITACHI),
        ("a.txt", hitachi().encode("utf-16"), 0.9922, HITACHI),
        ("a.txt", hitachi().encode("utf-16-le"), 0.9922, HITACHI),
        ("a.txt", hitachi().encode("utf-16-be"), 0.9922, HITACHI),
        ("a.txt", hitachi().encode("utf-8-sig"), 0.9922, HITACHI),
        ("a.txt", (hitachi("992,2") + "Note=20 \xb5m").encode("latin-1"), 0.9922, HITACHI),
        ("a.TXT", hitachi().encode(), 0.9922, HITACHI),
        ("a.Txt", hitachi().encode(), 0.9922, HITACHI),
        ("a.txt", hitachi(columns=192).encode(), None, None),
        ("a.txt", hitachi(head="my notes").encode(), None, None),
        ("a.txt", hitachi(0).encode(), None, None),
        ("a.txt", hitachi("nan").encode(), None, None),
        ("a.txt", hitachi("60000").encode(), None, None),
        ("a.txt", (hitachi() + "#" * (1 << 20)).encode(), None, None),
        ("a.txt", b"\xff\xfe\0", None, None),
        ("b.txt", hitachi().encode(), None, None),
        ("a.txt", jeol().encode(), 0.980392, JEOL),
        ("a.txt", jeol(75, "0.1mm", FULL).encode("utf-16"), 1.333333, JEOL),
        ("a.txt", jeol(102, "100µm").encode("latin-1"), 0.980392, JEOL),
        ("a.txt", jeol(102, "100μm").encode(), 0.980392, JEOL),
        ("a.txt", jeol(30, "10um", "$CM_FIELD_OF_VIEW 31.68µm 15.84µm").encode(), 0.33, JEOL),
        ("a.txt", jeol(30, "10um", "$CM_FIELD_OF_VIEW 0.03168 0.01584mm").encode(), 0.33, JEOL),
        ("a.txt", jeol(30, "10um", "$CM_FIELD_OF_VIEW 96.0µm 48.0µm").encode(), 0.333333, JEOL),
        ("a.txt", b"$CM_FIELD_OF_VIEW 31.68um 15.84um\n", 0.33, JEOL),
        ("a.txt", jeol(102, "100um", "$CM_FULL_SIZE 192 96").encode(), None, None),
        ("a.txt", jeol(102, "100um", "$CM_FULL_SIZE wide").encode(), None, None),
        ("a.txt", jeol(0).encode(), None, None),
        ("a.txt", jeol(102, "100").encode(), None, None),
        ("a.hdr", tescan(), 2.5012, TESCAN),
        ("a-{ending}.hdr", tescan(), 2.5012, TESCAN),
        ("a-{ending}.HDR", tescan("9,8e-7", "9,8e-7"), 0.98, TESCAN),
        ("a.hdr", tescan(down="1e-06"), None, None),
        ("a.hdr", b"ENVI\nsamples = 96\n", None, None),
    ],
)
@pytest.mark.parametrize("ending", ["tif", "bmp", "png", "jpg"])
def test_pixel_size_is_read_from_a_file_beside_the_image(
    tmp_path, name, content, um, source, ending
):
    image = tmp_path / f"a.{ending}"
    Image.fromarray(GREY).save(image)
    (tmp_path / name.format(ending=ending)).write_bytes(content)
    assert told(image) == (um, source)


def test_folder_or_fifo_beside_an_image_is_left_alone(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "a.hdr").symlink_to("/dev/zero")
    assert told(tmp_path / "a.png") == (None, None)


def test_what_an_image_says_of_itself_comes_before_what_lies_beside_it(tmp_path):
    """And that before a resolution."""
    options = {"resolution": (10_000, 10_000), "resolutionunit": "centimeter"}
    path = with_tag(tmp_path / "a.tif", (50431, UNDEFINED, tescan()), **options)
    (tmp_path / "a.txt").write_text(hitachi())
    assert told(path) == (2.5012, "TESCAN tag")
    tifffile.imwrite(path, GREY, **options)
    assert told(path) == (0.9922, "Hitachi text")
    (tmp_path / "a.txt").unlink()
    assert told(path) == (1.0, "TIFF resolution")


# ----------------------------------------------------------------------------- print resolutions

PRINTS = [512, 541.87, 584.5, 762, 1016, 1024, 3251.2]


@pytest.mark.parametrize("columns", [96, 1280, 2560, 4096])
@pytest.mark.parametrize("dpi", PRINTS)
@pytest.mark.parametrize("imagej", [False, True])
def test_resolution_of_a_print_is_no_calibration(tmp_path, columns, dpi, imagej):
    """Also of an image cut out of a frame; and where ImageJ hands on that it is one in inches."""
    options = (
        {"imagej": True, "metadata": {"unit": "inch"}} if imagej else {"resolutionunit": "inch"}
    )
    image = texture(0, (24, columns))
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=(dpi, dpi), **options)
    Image.fromarray(image).save(tmp_path / "a.jpg", dpi=(dpi, dpi))
    assert told(tmp_path / "a.tif") == told(tmp_path / "a.jpg") == (None, None)


def test_large_frame_at_a_fine_resolution_may_be_a_print(tmp_path):
    for columns, um in ((9_000, 5.0), (20_000, None)):  # 4.5 cm, 10 cm
        image = texture(0, (24, columns))
        tifffile.imwrite(tmp_path / "a.tif", image, resolution=(5_080,) * 2, resolutionunit="inch")
        assert told(tmp_path / "a.tif")[0] == um


def test_scale_of_imagej_is_believed_whatever_print_it_would_be(tmp_path):
    scale = {"imagej": True, "resolution": (0.1, 0.1), "metadata": {"unit": "micron"}}
    tifffile.imwrite(tmp_path / "a.tif", GREY, **scale)  # 2540 dpi, were it a print
    assert told(tmp_path / "a.tif") == (10.0, "ImageJ")


@pytest.mark.parametrize("unit", ["inch", None])
def test_calibration_of_a_frame_as_a_resolution_is_believed(tmp_path, unit):
    """Inches are meant where no unit is told."""
    path = tmp_path / "a.tif"
    per_inch = 25_400 / 0.977
    tifffile.imwrite(
        path, texture(0, (24, 2048)), resolution=(per_inch,) * 2, resolutionunit="inch"
    )
    if unit is None:
        with tifffile.TiffFile(path, mode="r+b") as file:
            entry = file.pages.first.tags[296].offset
        raw = bytearray(path.read_bytes())
        raw[entry : entry + 2] = struct.pack("<H", 65000)
        path.write_bytes(raw)
    um, source = told(path)
    assert um == pytest.approx(0.977, rel=1e-5)
    assert source == "TIFF resolution"


# ------------------------------------------------------------------------------------------- sets


def set_of(folder: Path, *texts: str | None) -> Parameters:
    rows = ["formulation,image,k_m"]
    for number, text in enumerate(texts):
        Image.fromarray(texture(number, (48, 96))).save(folder / f"{number}.png")
        rows.append(f"f{number},{number}.png,1e-3")
        if text:
            (folder / f"{number}.txt").write_text(text)
    (folder / "manifest.csv").write_text("\n".join(rows))
    return Parameters(dataset=str(folder / "manifest.csv"), input_width=48)


def test_mixed_magnification_is_refused_whatever_tells_it(tmp_path):
    with pytest.raises(DatasetError, match=r"2\.png: 0\.3307 µm a pixel, but the set has 0\.98"):
        load_dataset(set_of(tmp_path, hitachi(980), jeol(), hitachi(330.7)))


def test_unknown_pixel_sizes_are_said_to_be_unchecked(tmp_path, capsys):
    words = "pixel size unknown: magnification not checked"
    for texts, which in (
        ([hitachi(), None, None], "2 of 3 micrographs: 1.png, 2.png"),
        ([None] * 7, "7 of 7 micrographs: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more"),
    ):
        (tmp_path / str(len(texts))).mkdir()
        parameters = set_of(tmp_path / str(len(texts)), *texts)
        dataset = checked_dataset(tmp_path, parameters)
        assert capsys.readouterr().err == f"fesem: {words} ({which})\n"
        banner = data_banner(dataset, parameters)
        assert f"{words} ({which})." in banner.text
        assert banner.kind == "warning"
    known = set_of(tmp_path, hitachi(980), hitachi(980), jeol())
    assert words not in data_banner(checked_dataset(tmp_path, known), known).text
    assert capsys.readouterr().err == ""
