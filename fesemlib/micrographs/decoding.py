"""One grey channel of the numbers that an image file holds, decoded within bounds."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from fesemlib.micrographs import channels
from fesemlib.micrographs.channels import ORIENTATION, Decoded, MicrographError, Pixels
from fesemlib.micrographs.pixel_size import pixel_size
from fesemlib.micrographs.tiff import decode_tiff

# PNG of 16 bit with several channels, as Pillow names them, and how many these are.
_DEEP_CHANNELS = {"LA;16B": 2, "RGB;16B": 3, "RGBA;16B": 4}

_MOST_RLE_COLUMNS = 1 << 16  # of a BMP: a jump of two bytes may skip 255 of its rows


@contextmanager
def silenced(decoder: str) -> Iterator[None]:
    """Keep what a decoder says about a file to itself: an error tells what matters."""
    log = logging.getLogger(decoder)
    with warnings.catch_warnings(action="ignore"):
        before = log.level
        log.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            log.setLevel(before)


@silenced("tifffile")
def decode(path: Path, page: int = 1) -> Decoded:
    """Decode one page (from 1) of a TIFF, PNG, JPEG or BMP file to a single grey channel.

    The first bytes tell which of these it is, whatever its name says. An alpha channel is left out,
    a palette looked up, and of three channels the second is taken if the others differ from it by 2
    grey levels of 8 bit at most, as colour management and JPEG leave them. The image is turned as
    the orientation in TIFF or EXIF says. Whatever a decoder stumbles over in a damaged file becomes
    a MicrographError, which does not name the file.
    """
    try:
        pixels, size = _reader(path)(path, page)
        if not all(np.isfinite(pixels[band]).all() for band in channels.in_bands(pixels)):
            raise MicrographError(
                "some pixels are not finite numbers, be it only at the border; cut those off in "
                "the program that wrote the file, or export it as 8 bit"
            )
    except MicrographError as error:
        raise MicrographError(_one_line(error)) from None
    except Exception as error:
        raise MicrographError(
            f"cannot be read ({_one_line(error)}); the file is damaged: export the micrograph "
            "again, as uncompressed TIFF or PNG"
        ) from error
    return pixels, size


def _reader(path: Path) -> Callable[[Path, int], Decoded]:
    """What reads a file of these first bytes; a MicrographError that says what it seems to be."""
    with path.open("rb") as file:
        start = file.read(512)
    for sign, reader in _READERS.items():
        if start.startswith(sign):
            return reader
    unknown = "a text" if start.isascii() and b"\0" not in start else "of an unknown kind"
    seems = next((what for sign, what in _OTHERS.items() if start.startswith(sign)), unknown)
    raise MicrographError(
        f"cannot be read: it is no TIFF, PNG, JPEG or BMP, but seems to be {seems}; export the "
        "micrograph as TIFF"
    )


def _one_line(error: Exception) -> str:
    """What a decoder says, in one printable line and not too long: it may quote the file."""
    text = " ".join(str(error).split()) or "without a reason"
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text if len(text) <= 300 else f"{text[:299]}…"


# PNG, JPEG and BMP


def _decode_with_pillow(kind: type[ImageFile], path: Path, page: int) -> Decoded:
    channels.check_page(page, 1)
    # Pillow's own guard against large images sits in Image.open and would only warn.
    with kind(path) as picture:
        layout, columns = str(picture.tile[0].args), picture.width
        channels.check_size(*picture.size, 2 * _DEEP_CHANNELS.get(layout, 0))
        if kind is JpegImageFile:
            channels.check_scans(path.read_bytes())
        if picture.tile[0].codec_name == "bmp_rle" and columns > _MOST_RLE_COLUMNS:
            raise ValueError(f"{columns} columns in run lengths")
        if layout in _DEEP_CHANNELS:
            pixels = _deep_channels(path, layout)
        elif picture.mode in ("L", "LA", "RGB", "RGBA") or picture.mode.startswith("I"):
            pixels = np.asarray(picture)
        else:
            pixels = np.asarray(picture.convert("L" if picture.mode == "1" else "RGB"))
        grey = channels.upright(channels.grey_channel(pixels), picture.getexif().get(ORIENTATION))
        return grey, pixel_size(path, columns)


def _deep_channels(path: Path, layout: str) -> Pixels:
    """The channels of a PNG of 16 bit, of which Pillow would keep the upper byte alone."""
    if layout == "LA;16B":  # two channels of two bytes are four of one
        return _channels_as(path, "RGBA").view(">u2")
    deep = _channels_as(path, layout).astype(np.uint16) << 8
    return deep | _channels_as(path, layout.replace(";16B", ";16L"))  # the lower bytes


def _channels_as(path: Path, layout: str) -> Pixels:
    with PngImageFile(path) as picture:
        picture.tile = [picture.tile[0]._replace(args=layout)]
        return np.asarray(picture)


# Kinds of files by their first bytes: those that are read, and others that people take for such.
_READERS: dict[bytes, Callable[[Path, int], Decoded]] = {
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), decode_tiff),
    b"\x89PNG": partial(_decode_with_pillow, PngImageFile),
    b"\xff\xd8": partial(_decode_with_pillow, JpegImageFile),
    b"BM": partial(_decode_with_pillow, BmpImageFile),
}
_OTHERS = {
    b"%PDF": "a PDF document",
    b"GIF8": "a GIF image",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"\x89HDF": "HDF5, such as EMD or NeXus",
    b"\0\0\0\3\0": "a DM3 file of DigitalMicrograph",
    b"\0\0\0\4\0": "a DM4 file of DigitalMicrograph",
    b"PK\3\4": "a zip archive, as is an Office document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"<": "a web page, or another text in XML",
}
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
