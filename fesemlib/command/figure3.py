"""A data set from the paper's own figure: nine processed micrographs, as they are printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from PIL import Image

from fesemlib.command.checks import DEFAULT_PARAMETERS
from fesemlib.formulations import table1
from fesemlib.micrographs import MicrographError
from fesemlib.micrographs.decoding import silenced
from fesemlib.pages.figures.micrographs import contact_sheet
from fesemlib.panels.pdf import panels_of_pdf
from fesemlib.panels.sheet import (
    PANELS,
    Grid,
    SheetError,
    Writing,
    cut_off,
    find_writing,
    grey_of,
    panels_of,
)
from fesemlib.params import WIDEST_SYNTHETIC, Parameters
from fesemlib.processing import GreyImage
from fesemlib.storage import checkout, writable, write_atomically

_FIELD_UM = 2000.0, 1500.0  # width and height of the paper's micrographs (Section 2)
_ASPECT_TOLERANCE = 0.03
_SIDES = ("top", "left", "bottom", "right")
_MARGIN = re.compile(rf"\s*({'|'.join(_SIDES)})\s*=\s*(\d+(?:\.\d+)?)\s*(px|%|)\s*")
_PROVENANCE = "published figure, processed by the authors, resampled, JPEG"
_CITATION = (
    "Figure 3 of Marcato, Boccardo & Pisano, Processes 2025, 13, 365, "
    "https://doi.org/10.3390/pr13020365, CC BY 4.0"
)


def check_folder(folder: Path, force: bool) -> None:
    """Raise an OSError where the data set cannot be put."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file; give the name of a folder")
    if folder.exists() and any(folder.iterdir()) and not force:
        raise FileExistsError(
            f"{folder}: holds files already; choose another folder, or add --force to replace what "
            "this command writes"
        )
    writable(folder.resolve().parent)


@silenced("pypdf")
def read_panels(files: Sequence[Path], page: int | None, grid: str | None) -> list[GreyImage]:
    """The nine panels of a PDF file, of a picture of all, or of nine pictures, or a SheetError."""
    cells = _cells(grid)
    if len(files) not in (1, PANELS):
        remedy = f"give one with the whole figure, or {PANELS}, from A to I"
        raise SheetError(f"{len(files)} files", remedy)
    file, pictures = files[0], []
    try:
        with file.open("rb") as stream:
            is_pdf = b"%PDF-" in stream.read(1024)
        if len(files) == 1 and is_pdf:
            return panels_of_pdf(file, page, cells)
        if page is not None:
            raise SheetError(f"--page {page} is for a PDF", "leave it out")
        for file in files:
            with Image.open(file, formats=("PNG", "JPEG", "TIFF")) as picture:
                pictures.append(grey_of(picture))
        return panels_of(pictures, cells)
    except FileNotFoundError:
        raise SheetError(
            f"{file}: no such file", "give that of the paper or its Figure 3"
        ) from None
    except MicrographError as error:
        raise SheetError(f"{file}: {error}") from error
    except Exception as error:
        problem = f"{file}: cannot be read; it may be damaged or another kind of file"
        raise SheetError(problem, "give a PDF, PNG, JPEG or TIFF file that opens") from error


def _cells(grid: str | None) -> Grid | None:
    if grid is None:
        return None
    match = re.fullmatch(r"(\d{1,2})\s*[x×X]\s*(\d{1,2})", grid.strip())
    rows, columns = map(int, match.groups()) if match else (0, 0)
    if rows * columns < PANELS:
        raise SheetError(f"--grid {grid}", f"write ROWSxCOLUMNS, of {PANELS} cells or more: 3x3")
    return rows, columns


def margins(panels: Sequence[GreyImage], told: str | None) -> Writing:
    """What is cut off each panel: what is told, as in ``top=24,left=5%``, or the writing found."""
    if told is None:
        return find_writing(panels)
    height, width = panels[0].shape
    cut = dict.fromkeys(_SIDES, 0.0)
    for part in told.split(","):
        if not (match := _MARGIN.fullmatch(part)):
            raise SheetError(f"--cut {told}", "write it as top=24,left=5%, in px or % of the panel")
        side, number, unit = match.groups()
        whole = height if side in ("top", "bottom") else width
        cut[side] = float(number) * (whole / 100 if unit == "%" else 1)
    if cut["top"] + cut["bottom"] > height / 2 or cut["left"] + cut["right"] > width / 2:
        raise SheetError(f"--cut {told}", f"leave at least half of the {width}×{height} px")
    top, left, bottom, right = map(round, cut.values())
    return find_writing(panels, (top, left, bottom, right))


def write_data_set(folder: Path, panels: Sequence[GreyImage], writing: Writing) -> list[str]:
    """Write images, manifest, parameter file and contact sheet; what the user should know."""
    height, width = panels[0].shape
    images = [cut_off(panel, writing.cut) for panel in panels]
    table = table1()[["composition", "k_m", "std_percent"]].reset_index()
    for name, image in zip(table["formulation"], images, strict=True):
        write_atomically(folder / f"{name}.png", Image.fromarray(image).save)
    letters = "letters cut" if any(writing.cut) else "nothing cut"
    manifest = table.assign(
        image=table["formulation"] + ".png",
        pixel_size_um=_FIELD_UM[0] / width,
        provenance=f"{_PROVENANCE}, {letters}: {_CITATION}",
    )
    write_atomically(folder / "manifest.csv", lambda path: manifest.to_csv(path, index=False))
    remarks = _remarks(height, width, writing)
    titles = table["formulation"] + ": " + table["composition"]
    sheet = contact_sheet(panels, [*titles], *writing, "\n".join(remarks))
    write_atomically(folder / "contact_sheet.png", lambda path: sheet.savefig(path, dpi=150))
    parameters = yaml.safe_dump(_parameters(width, images[0].shape[1]), sort_keys=False)
    text = f"# {_CITATION}.\n{parameters}"
    write_atomically(folder / "figure3.yml", lambda path: path.write_text(text, encoding="utf-8"))
    return remarks


def _remarks(height: int, width: int, writing: Writing) -> list[str]:
    sides = zip(_SIDES, writing.cut, strict=True)
    cut = ", ".join(f"{side} {pixels} px" for side, pixels in sides if pixels) or "nothing"
    remarks = [f"{width}×{height} px, {_FIELD_UM[0] / width:.3g} µm a pixel; cut off: {cut}"]
    if abs(width / height * _FIELD_UM[1] / _FIELD_UM[0] - 1) > _ASPECT_TOLERANCE:
        remarks.append(
            "the panels are not 4:3 as the paper's field is; the pixel size is right only if they "
            "show its whole width, 2 mm"
        )
    if writing.left:
        remarks.append(f"writing in {len(writing.left)} place(s) is left (darker); see --cut")
    return remarks


def _parameters(width: int, kept: int) -> dict[str, object]:
    """Those of the published book, for panels so wide that are processed, and cut to `kept` px."""
    root = checkout()
    book = yaml.safe_load((root / DEFAULT_PARAMETERS).read_text(encoding="utf-8")) if root else {}
    defaults = Parameters().model_dump() | book
    narrow = {name: min(defaults[name], kept) for name in ("input_width", "evaluation_width")}
    own = {"dataset": "manifest.csv", "processing": "none", "crop": "none"}
    return own | book | narrow | {"synthetic_width": min(max(width, 384), WIDEST_SYNTHETIC)}
