"""Writing a stand-in as a Zeiss microscope writes its micrographs: metadata and a data bar.

What is written exercises the whole reading path, and says in both places that it is synthetic.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import matplotlib
import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont

from fesemlib.micrographs.reading import Micrograph
from fesemlib.processing import GreyImage
from fesemlib.storage import write_atomically

STATEMENT = "SYNTHETIC"

# SmartSEM gives the magnification of its display. The paper's frame, 2 mm wide, is 200 X.
_DISPLAY_WIDTH_UM = 400_000.0

_BAR_HEIGHT = 166 / 1536  # of the frame's height, as in Zeiss' frames of 2048×1536 px
_LEAST_BAR_PX = 24  # two lines of legible writing
_WHITE = 255
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # Pillow's has no µ


def write_zeiss_tiff(path: Path | str, micrograph: Micrograph) -> Path:
    """Write a stand-in as an uncompressed 8 bit TIFF with SmartSEM's metadata; return the path.

    Tag 34118 holds lines of text: numbers without a name first, then pairs of a key and
    ``name = value unit``. The pixel size is ``AP_IMAGE_PIXEL_SIZE``, in nm; without one, a
    ValueError is raised. That the image is synthetic stands in ``SV_USER_TEXT``, ``SV_SAMPLE_ID``
    and the image description.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> stand_in = Micrograph(np.zeros((48, 64), np.uint8), pixel_size_um=0.5)
    >>> path = write_zeiss_tiff(Path(folder.name, "stand_in.tif"), stand_in)
    >>> with tifffile.TiffFile(path) as file:
    ...     print(file.sem_metadata["ap_image_pixel_size"])
    ('Image Pixel Size', 500.0, 'nm')
    """
    text = _smartsem_text(micrograph)
    write = partial(
        tifffile.imwrite,
        data=micrograph.image,
        photometric="minisblack",
        metadata=None,
        description=f"{STATEMENT}: computed by fesem, not measured",
        software="fesem",
        extratags=[(34118, tifffile.DATATYPE.ASCII, len(text), text, True)],
    )
    return write_atomically(Path(path), write)


def burn_data_bar(micrograph: Micrograph) -> Micrograph:
    """Overwrite the bottom of a stand-in, which has no bar, with a data bar.

    Its last rows, a ninth of the height but at least 24 px, are black with white writing: the word
    SYNTHETIC, a scale bar, and, as far as there is room, the width of the field, the magnification
    and the pixel size. Raises ValueError when the pixel size is not known, the micrograph has a bar
    already, or is too small for one.

    Examples
    --------
    >>> stand_in = Micrograph(np.full((192, 256), 128, np.uint8), pixel_size_um=0.5)
    >>> with_bar = burn_data_bar(stand_in)
    >>> with_bar.image.shape, with_bar.data_bar_row
    ((192, 256), 168)
    """
    if micrograph.data_bar_row is not None:
        raise ValueError(f"the micrograph has a data bar from row {micrograph.data_bar_row} on")
    height, width = micrograph.image.shape
    bar = max(round(_BAR_HEIGHT * height), _LEAST_BAR_PX)
    pixel_size_um = _pixel_size_um(micrograph)
    drawn = _draw_bar(width, bar, pixel_size_um)
    if drawn is None or height < 2 * bar:
        legible = (w for w in count(width) if _draw_bar(w, bar, pixel_size_um) is not None)
        enough = f"{next(legible)}×{max(height, 2 * bar)}"
        raise ValueError(
            f"image of {width}×{height} px: too small for a legible data bar, for which {enough} "
            "px are enough; make it larger, or leave the bar out"
        )
    image = np.concatenate([micrograph.image[: height - bar], drawn])
    return replace(micrograph, image=image, data_bar_row=height - bar)


def _pixel_size_um(micrograph: Micrograph) -> float:
    if micrograph.pixel_size_um is None:
        raise ValueError("the micrograph has no pixel size, which Zeiss' files state; set it")
    return micrograph.pixel_size_um


def _smartsem_text(micrograph: Micrograph) -> bytes:
    pixel_size_um = _pixel_size_um(micrograph)
    height, width = micrograph.image.shape
    entries = {
        "DP_SEM": "Sem = none (computed by fesem)",
        "DP_IMAGE_STORE": f"Store resolution = {width} * {height}",
        "AP_IMAGE_PIXEL_SIZE": f"Image Pixel Size = {1e3 * pixel_size_um!r} nm",
        "AP_MAG": _magnification(width * pixel_size_um),
        "AP_WIDTH": f"Width = {_length(width * pixel_size_um)}",
        "AP_HEIGHT": f"Height = {_length(height * pixel_size_um)}",
        "SV_SAMPLE_ID": f"Sample ID = {STATEMENT}",
        "SV_USER_TEXT": f"User Text = {STATEMENT}, not measured",
    }
    magnification = _DISPLAY_WIDTH_UM / (width * pixel_size_um)
    lines = ["0", "0", "0", f"{1e-6 * pixel_size_um:.6e}", f"{magnification:.6e}"]
    lines += [str(len(entries)), *chain(*entries.items())]
    return ("\r\n".join(lines) + "\r\n\0").encode("cp1252")


def _magnification(width_um: float) -> str:
    magnification = _DISPLAY_WIDTH_UM / width_um
    thousands = f"Mag = {magnification / 1000:.2f} K X"
    return thousands if magnification >= 1000 else f"Mag = {magnification:.3g} X"


def _length(length_um: float) -> str:
    """A length in four digits, with its unit."""
    if length_um >= 1000:
        return f"{length_um / 1000:#.4g} mm"
    return f"{length_um:#.4g} µm" if length_um >= 1 else f"{1000 * length_um:#.4g} nm"


def round_length(longest_um: float) -> float:
    """The greatest of 1, 2 and 5 times a power of ten that is not longer."""
    decade = 10.0 ** math.floor(math.log10(longest_um))
    return max(step * decade for step in (1, 2, 5) if step * decade <= longest_um)


def _draw_bar(width: int, height: int, pixel_size_um: float) -> GreyImage | None:
    """The bar in black and white alone, or None where statement and scale find no room."""
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # no grey at the edges of letters: a reader finds the bar by its few levels
    font = ImageFont.truetype(_FONT, size=round(0.33 * height))
    stroke, gap = max(height // 60, 1), height // 4
    upper, lower = round(0.28 * height), round(0.72 * height)
    draw.rectangle((0, 0, width - 1, height - 1), outline=_WHITE, width=stroke)
    scale_um = round_length(0.15 * width * pixel_size_um)
    scale_px = round(scale_um / pixel_size_um)
    scale = f"{scale_um:g} µm" if scale_um < 1000 else f"{scale_um / 1000:g} mm"
    width_um = width * pixel_size_um
    columns = [
        (STATEMENT, "not measured"),
        (scale, ""),  # over the scale itself
        (f"Width = {_length(width_um)}", _magnification(width_um)),
        (f"Pixel = {_length(pixel_size_um)}", "fesem"),
    ]
    left = 2 * gap
    for number, texts in enumerate(columns):
        lengths = [draw.textlength(text, font) for text in texts]
        right = left + math.ceil(max(*lengths, scale_px if texts[0] == scale else 0))
        if right + gap > width:
            return np.asarray(picture) if number >= 2 else None
        for text, row in zip(texts, (upper, lower), strict=True):
            draw.text((left, row), text, _WHITE, font, anchor="lm")
        if texts[0] == scale:
            end = left + scale_px - 1
            draw.rectangle((left, lower - stroke, end, lower + stroke), fill=_WHITE)
            for x in (left, end):
                draw.line((x, lower - 4 * stroke, x, lower + 4 * stroke), fill=_WHITE)
        left = right + 2 * gap
    return np.asarray(picture)
