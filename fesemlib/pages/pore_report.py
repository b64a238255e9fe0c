"""Pores of micrographs: lines of a terminal, a table as CSV, a page with pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from fesemlib.micrographs.channels import MicrographError
from fesemlib.micrographs.files import readable
from fesemlib.pages.figures.pores import pores_figure
from fesemlib.pages.numbers import three_digits
from fesemlib.pages.standalone import embedded, write_page
from fesemlib.params import Parameters
from fesemlib.pores.micrographs import SMOOTHING_PX, PoresError, pores_of_file, row_of
from fesemlib.storage import write_atomically

_COLUMNS = {  # of the terminal: heading, unit
    "threshold": ("threshold", ""),
    "grey level": ("level", ""),
    "porosity": ("porosity", ""),
    "mean chord (µm)": ("chord", "µm"),
    "mean thickness (µm)": ("thickness", "µm"),
    "share in one piece": ("one piece", ""),
    "Euler number (per mm²)": ("Euler", "per mm²"),
    "correlation length (µm)": ("correlated", "µm"),
}


@dataclass(frozen=True)
class Measured:
    """What was found in one file: a row for each threshold, and a picture, base64; or an error."""

    image: str
    rows: Sequence[Mapping[str, object]] = ()
    picture: str = ""
    error: str = ""


def measured_files(
    files: Sequence[str],
    parameters: Parameters,
    thresholds: Sequence[str],
    pixel_size_um: float | None,
    page: int,
    with_picture: bool,
) -> Iterator[Measured]:
    """Measure files one after the other; what is wrong with one of them does not stop the rest."""
    for file in files:
        name = readable(file)
        try:
            image, found = pores_of_file(file, parameters, thresholds, pixel_size_um, page)
        except (MicrographError, PoresError) as error:
            yield Measured(name, error=readable(str(error)))
            continue
        picture = ""
        if with_picture:
            with mpl.rc_context({"figure.constrained_layout.use": True}):
                picture = embedded(pores_figure(image, found))
        yield Measured(name, [{"image": name, **row_of(each)} for each in found], picture)


def heading(width: int) -> str:
    """What stands above the lines: columns and units."""
    return "\n".join(
        f"{name:{width}} " + " ".join(f"{each[number]:>10}" for each in _COLUMNS.values())
        for number, name in enumerate(("image", ""))
    )


def lines(measured: Measured, width: int) -> Iterator[str]:
    """The rows of a file for the terminal, or its error."""
    if measured.error:
        yield f"error: {measured.error}"
    name = measured.image
    name = name if len(name) <= width else f"…{name[1 - width :]}"
    for row in measured.rows:
        yield f"{name:{width}} " + " ".join(f"{_text(row[column]):>10}" for column in _COLUMNS)


def _text(value: Any) -> str:
    return three_digits(value) if isinstance(value, float) else str(value)


def write_csv(path: Path, measured: Sequence[Measured]) -> None:
    """Write a row for each micrograph and threshold; of a file without pores, its error."""
    rows = [row for each in measured for row in each.rows or [vars(each)]]
    table = pd.DataFrame(rows).drop(columns=["rows", "picture"], errors="ignore")
    write_atomically(path, lambda unfinished: table.to_csv(unfinished, index=False))


def write_report(path: Path, measured: Sequence[Measured], parameters: Parameters) -> None:
    """Write each micrograph with its pores at each threshold, their distributions and measures."""
    tables = [pd.DataFrame(each.rows).iloc[:, 1:].map(_text).T for each in measured]
    results = [
        {**vars(each), "table": dict(zip(table.index, table.to_numpy(), strict=True))}
        for each, table in zip(measured, tables, strict=True)
    ]
    changed = parameters.model_dump(exclude_defaults=True)
    write_page(
        path, "pore_report.html.jinja", results=results, parameters=changed, blur=SMOOTHING_PX
    )
