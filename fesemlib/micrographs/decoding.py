"""One grey channel of the numbers that an image file holds, decoded within bounds.

Whatever a file claims, it is checked before memory is asked for: directories of a TIFF file are
walked once without loops, and sizes are known before anything is unpacked.
"""

from __future__ import annotations

import io
import logging
import mmap
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from fesemlib.micrographs.pixel_size import PixelSize, pixel_size

Pixels = npt.NDArray[Any]
# Of shape (H, W), in the file's own numbers; less than 8 bit are spread to 8 bit.
Decoded = tuple[Pixels, PixelSize | None]

_MOST_PIXELS = 100_000_000  # of an image that is decoded
_MOST_BYTES = 4 * _MOST_PIXELS  # decoded, all channels

# What microscopes and the programs after them write.
_COMPRESSIONS = (1, 5, 7, 8, 32946, 32773, 34925, 50000)
_COMPRESSION_NAMES = "none, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard"
_JPEG = 7
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}

_ORIENTATION = 274
_COLOUR_TOLERANCE = {"uint8": 2, "uint16": 2 * 257}

# Tags of which tifffile reads all values, and how large these may be.
_TAGS_READ = tifffile.TIFF.TAG_LOAD | {_ORIENTATION, 320, 34118, 34680, 34682}
_MOST_TAG_BYTES = 1 << 24

# PNG of 16 bit with several channels, as Pillow names them, and how many these are.
_DEEP_CHANNELS = {"LA;16B": 2, "RGB;16B": 3, "RGBA;16B": 4}

# A progressive JPEG has about ten scans; each costs a pass over the whole image.
_MOST_JPEG_SCANS = 100

_IN_COLOUR = "the image is in colour; a micrograph is grey: save it as greyscale"


class MicrographError(ValueError):
    """A file is missing, unreadable or no grey micrograph."""


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep what decoders say about a file to themselves: an error tells what matters."""
    log = logging.getLogger("tifffile")
    with warnings.catch_warnings(action="ignore"):
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before


@_silenced()
def decode(path: Path, page: int = 1) -> Decoded:
    """Decode one page (from 1) of a TIFF, PNG or JPEG file to a single grey channel.

    An alpha channel is left out, a palette looked up, and of three channels the second is taken if
    the others differ from it by 2 grey levels of 8 bit at most, as colour management and JPEG leave
    them. The image is turned as the orientation in TIFF or EXIF says. Whatever a decoder stumbles
    over in a damaged file becomes a MicrographError, which does not name the file.
    """
    try:
        pixels, size = _READERS[path.suffix.lower()](path, page)
        if not all(np.isfinite(pixels[band]).all() for band in in_bands(pixels)):
            raise MicrographError(
                "some pixels are not finite numbers, be it only at the border; cut those off in "
                "the program that wrote the file, or export it as 8 bit"
            )
    except MicrographError as error:
        raise MicrographError(_one_line(error)) from None
    except Exception as error:
        raise MicrographError(
            f"cannot be read ({type(error).__name__}: {_one_line(error)}); the file is damaged or "
            "not what its name says: export the micrograph again, as uncompressed TIFF or PNG"
        ) from error
    return pixels, size


def _one_line(error: Exception) -> str:
    """What a decoder says, in one printable line and not too long: it may quote the file."""
    text = " ".join(str(error).split())
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text if len(text) <= 300 else f"{text[:299]}…"


def in_bands(pixels: Pixels) -> Iterator[slice]:
    """Slices of rows that together are the image, each small enough to be copied freely."""
    rows = max((1 << 22) // max(pixels[:1].size, 1), 1)
    return (slice(row, row + rows) for row in range(0, pixels.shape[0], rows))


def _check_page(page: int, pages: int) -> None:
    if not 1 <= page <= pages:
        there = "1 page; set page to 1" if pages == 1 else f"{pages} pages; set page to 1–{pages}"
        raise MicrographError(f"page = {page}, but the file has {there}")


def _check_size(width: int, height: int, bytes_per_pixel: int) -> None:
    if width * height > _MOST_PIXELS:
        raise MicrographError(
            f"{width}×{height} px are more than the {_MOST_PIXELS // 10**6} megapixels that are "
            "read; cut out a field, or save the image at a smaller size"
        )
    if width * height * bytes_per_pixel > _MOST_BYTES:
        raise MicrographError(
            f"{width}×{height} px take {width * height * bytes_per_pixel / 1e6:.0f} MB unpacked, "
            f"and at most {_MOST_BYTES / 1e6:.0f} MB are read; save it as 8-bit grey"
        )


# PNG and JPEG


def _decode_with_pillow(path: Path, page: int) -> Decoded:
    _check_page(page, 1)
    # Pillow's own guard against large images sits in Image.open and would only warn.
    with path.open("rb") as file:
        picture_class = JpegImageFile if file.read(2) == b"\xff\xd8" else PngImageFile
    with picture_class(path) as picture:
        layout = str(picture.tile[0].args)
        _check_size(*picture.size, 2 * _DEEP_CHANNELS.get(layout, 0))
        if isinstance(picture, JpegImageFile):
            _check_scans(path.read_bytes())
        if layout in _DEEP_CHANNELS:
            pixels = _deep_channels(path, layout)
        elif picture.mode in ("L", "LA", "RGB", "RGBA") or picture.mode.startswith("I"):
            pixels = np.asarray(picture)
        else:
            pixels = np.asarray(picture.convert("L" if picture.mode == "1" else "RGB"))
        return _upright(_grey_channel(pixels), picture.getexif().get(_ORIENTATION)), None


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


def _check_scans(jpeg: bytes) -> None:
    if jpeg.count(b"\xff\xda") > _MOST_JPEG_SCANS:
        raise MicrographError(
            f"a JPEG of more than {_MOST_JPEG_SCANS} scans is not read; save it as PNG or TIFF"
        )


# TIFF


def _decode_tiff(path: Path, page_number: int) -> Decoded:
    _check_page(page_number, _count_pages(path, page_number))
    with tifffile.TiffFile(path, is_lsm=False, is_scanimage=False, is_ndpi=False) as file:
        page = file.pages[page_number - 1]
        assert isinstance(page, tifffile.TiffPage)
        _check_layout(page)
        _check_segments(page)
        pixels = page.asarray(maxworkers=1)
        if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
        grey = _upright(_grey_of_page(pixels, page), page.tags.valueof(_ORIENTATION))
        return grey, pixel_size(page)


def _count_pages(path: Path, wanted: int) -> int:
    """How many pages a TIFF file has, counted up to the wanted one if it is there.

    The directories of the first and the wanted page, which tifffile will read, are checked.
    """
    pages = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        order = {b"II": "<", b"MM": ">"}[content[:2]]
        big = struct.unpack_from(order + "H", content, 2) == (43,)
        number, entry, offset, link = ("Q", "HHQQ", "Q", 8) if big else ("H", "HHII", "I", 4)
        seen = {0}
        with suppress(struct.error, OverflowError):  # the chain leads beyond the end of the file
            while (position := struct.unpack_from(order + offset, content, link)[0]) not in seen:
                seen.add(position)
                (tags,) = struct.unpack_from(order + number, content, position)
                start = position + struct.calcsize("<" + number)
                link = start + tags * struct.calcsize("<" + entry)
                if tags > 4096 or link > len(content):
                    break
                pages += 1
                if pages in (1, wanted):
                    _check_directory(struct.iter_unpack(order + entry, content[start:link]))
                if pages == wanted:
                    break
    if pages == 0:
        raise ValueError("the first directory is missing or cut off")
    return pages


def _check_directory(directory: Iterator[tuple[int, ...]]) -> None:
    for code, kind, values, _ in directory:
        size = values * struct.calcsize("<" + tifffile.TIFF.DATA_FORMATS.get(kind, ""))
        if code in _TAGS_READ and size > _MOST_TAG_BYTES:
            raise ValueError(f"tag {code} claims {values} values")


def _check_layout(page: tifffile.TiffPage) -> None:
    """Refuse what would need too much memory, or is of a kind that is not read."""
    width, height, samples = page.imagewidth, page.imagelength, page.samplesperpixel
    if width < 1 or height < 1:
        raise ValueError("the page holds no image")
    if page.compression not in _COMPRESSIONS:
        name = getattr(page.compression, "name", f"number {page.compression}")
        raise MicrographError(
            f"TIFF compression {name} is not read, only {_COMPRESSION_NAMES}; save it uncompressed"
        )
    of_jpeg = (page.photometric, page.compression) == (_YCBCR, _JPEG)  # which becomes RGB
    encoded = 3 if of_jpeg else _CHANNELS.get(page.photometric, 0)
    # With alpha; or up to four channels, as grey images with others of an untold kind have.
    most = 4 if page.photometric == _BLACK_IS_ZERO else encoded + 1
    if page.dtype is None or not encoded or page.imagedepth != 1 or not encoded <= samples <= most:
        kind = getattr(page.photometric, "name", page.photometric)
        raise MicrographError(
            f"{samples} channel(s) of {page.bitspersample} bit, {kind}, are not read; a single "
            "grey image is needed: export it as one"
        )
    size = page.dtype.itemsize * samples
    _check_size(width, height, size)
    if page.is_tiled:
        _check_size(page.tilewidth, page.tilelength, size)
        if page.tiledepth != 1:
            raise ValueError("tiles in three dimensions")


def _check_segments(page: tifffile.TiffPage) -> None:
    """Refuse strips or tiles that are missing; tifffile would leave them black."""
    if page.is_contiguous:
        return
    length = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(segments) != np.prod(page.chunked):
        raise ValueError(f"{len(segments)} strips or tiles where {np.prod(page.chunked)} belong")
    if any(offset < 1 or size < 1 or offset + size > length for offset, size in segments):
        raise ValueError("a strip or tile lies outside the file")
    if page.compression == _JPEG:
        for offset, size in segments:
            page.parent.filehandle.seek(offset)
            _check_jpeg_segment(page.parent.filehandle.read(size), page)


def _check_jpeg_segment(jpeg: bytes, page: tifffile.TiffPage) -> None:
    """Refuse a strip or tile that would unpack to more than its place."""
    with JpegImageFile(io.BytesIO(jpeg)) as picture:
        width, height = picture.size
    place = (page.tilewidth, page.tilelength) if page.is_tiled else page.shape[1::-1]
    if width > place[0] or height > place[1]:
        raise ValueError(f"a strip or tile of {width}×{height} px where {place} belong")
    _check_scans(jpeg)


def _grey_of_page(pixels: Pixels, page: tifffile.TiffPage) -> Pixels:
    if page.photometric == _PALETTE:
        return _look_up(pixels if pixels.ndim == 2 else pixels[..., 0], page.colormap)
    if page.photometric == _CMYK:
        return _grey_of_cmyk(pixels)
    grey = _grey_channel(pixels)
    if grey.dtype.kind == "c":
        raise MicrographError(
            "the numbers are complex; a single grey image is needed: export the magnitude"
        )
    if page.bitspersample < 8:  # bring its levels to the scale of 8 bit
        levels = np.round(np.linspace(0, 255, 2**page.bitspersample)).astype(np.uint8)
        grey = levels[grey.astype(np.uint8)]
    if page.photometric == _WHITE_IS_ZERO:
        np.negative(grey, out=grey) if grey.dtype.kind == "f" else np.invert(grey, out=grey)
    return grey


def _grey_channel(pixels: Pixels) -> Pixels:
    """The one channel of a grey image, which may be stored as three and with alpha."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2] - (pixels.shape[2] in (2, 4))  # an alpha channel says nothing
    grey = np.ascontiguousarray(pixels[..., channels // 2])
    most = _COLOUR_TOLERANCE.get(grey.dtype.name, 0)
    for other in range(channels):
        for band in in_bands(grey):
            values, others = pixels[band, :, other], grey[band]
            apart = values != others
            if most:  # of unsigned numbers, whose difference could wrap around
                apart = np.maximum(values, others) - np.minimum(values, others) > most
            if apart.any():
                raise MicrographError(_IN_COLOUR)
    return grey


def _upright(pixels: Pixels, orientation: object) -> Pixels:
    """Turn and flip an image as its orientation says, from 1 to 8 as in TIFF."""
    if not isinstance(orientation, int) or orientation not in range(2, 9):
        return pixels
    turned = pixels.T if orientation >= 5 else pixels
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(turned[::down, ::across])


def _grey_of_cmyk(pixels: Pixels) -> Pixels:
    grey = np.empty(pixels.shape[:2], np.uint8)
    for band in in_bands(pixels):
        inks = Image.fromarray(np.ascontiguousarray(pixels[band, :, :4]), "CMYK")
        grey[band] = _grey_channel(np.asarray(inks.convert("RGB")))
    return grey


def _look_up(pixels: Pixels, palette: Pixels | None) -> Pixels:
    """Look pixels up in a palette that is grey where it is used.

    Zeiss writes grey images with the identity as palette, but for a few entries that only its
    writing and marks use; there the index itself is the grey level.
    """
    if palette is None:
        raise ValueError("a palette is missing")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    levels = palette >> 8 if palette.max() > 255 else palette  # some writers fill 8 of 16 bits
    if np.all(levels == np.arange(levels.shape[1]), axis=0).mean() > 0.5:
        return pixels
    used = np.zeros(levels.shape[1], bool)
    used[pixels] = True
    if np.any(abs(levels[:, used].astype(int) - levels[1, used]) > _COLOUR_TOLERANCE["uint8"]):
        raise MicrographError(_IN_COLOUR)
    return np.asarray(levels[1].astype(np.uint8)[pixels])


_READERS: dict[str, Callable[[Path, int], Decoded]] = {
    **dict.fromkeys((".tif", ".tiff"), _decode_tiff),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), _decode_with_pillow),
}
SUFFIXES = tuple(_READERS)
