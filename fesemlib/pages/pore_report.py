"""Pores of a user's micrographs: text, CSV, and a page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.files import readable
from fesemlib.micrographs.reading import read_micrograph
from fesemlib.pages.figures.pores import pores_figure
from fesemlib.pages.numbers import three_digits
from fesemlib.pages.report import write_page
from fesemlib.pages.style import embedded
from fesemlib.params import Parameters
from fesemlib.pores import PoresError, find_pores
from fesemlib.storage import write_atomically

Rows = list[dict[str, Any]]  # of one file: one for each threshold, or one with the error


def measured(
    file: str, asked: Parameters, threshold: Sequence[str], pixel_size: float | None, page: int
) -> tuple[Rows, str]:
    """The pores of a file in numbers, and their picture, base64; a pixel size in µm counts."""
    try:
        micrograph = read_micrograph(file, asked.crop, page)
        micrograph = replace(micrograph, pixel_size_um=pixel_size or micrograph.pixel_size_um)
        if micrograph.pixel_size_um is None:
            raise PoresError(f"{file}: pixel size not known; tell it with --pixel-size, in µm")
        if micrograph.has_data_bar:
            raise PoresError(f"{file}: the data bar would count, too; leave crop at auto")
        found = find_pores(micrograph, asked, threshold, file)
    except (MicrographError, PoresError) as error:
        return [{"image": readable(file), "error": readable(str(error))}], ""
    rows = [{"image": readable(file), "threshold": t} | found[t].measures for t in found]
    return rows, embedded(pores_figure(micrograph.image, found))


def as_text(rows: Rows) -> str:
    """What was found in a file, for the terminal."""
    if error := rows[0].get("error"):
        return f"error: {error}"
    table = pd.DataFrame(rows).set_index(["image", "threshold"]).T
    return table.to_string(float_format=three_digits)


def write_csv(path: Path, found: Sequence[tuple[Rows, str]]) -> None:
    """Write a row for each file and threshold, or for its error."""
    table = pd.DataFrame([row for rows, _ in found for row in rows])
    write_atomically(path, lambda unfinished: table.to_csv(unfinished, index=False))


def write_report(path: Path, found: Sequence[tuple[Rows, str]], asked: Parameters) -> None:
    """Write each micrograph with its pores at each threshold, their distributions and measures."""
    write_page(path, "pore_report.html.jinja", found=found, asked=asked, written=three_digits)
