"""Formulations and their mass transfer coefficients: Table 1, or the rows of a manifest."""

from __future__ import annotations

import os
import re
import unicodedata
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from fesemlib.params import GREATEST_PIXEL_SIZE_UM, LEAST_PIXEL_SIZE_UM, quoted
from fesemlib.spreadsheets import read_cells, with_points

__all__ = ["SOLUTES", "ManifestError", "percentages", "read_manifest", "table1"]

SOLUTES = ("dextran", "mannitol", "PVP")

# Table 1: composition in mass %, k_m in m² s⁻¹, standard deviation in % of k_m.
_TABLE_1 = (
    ("A", "5% dextran", 1.9e-3, 2.3),
    ("B", "2.5% dextran + 2.5% mannitol", 1.1e-3, 9.3),
    ("C", "4% dextran + 1% mannitol", 1.4e-3, 4.5),
    ("D", "1% dextran + 4% mannitol", 1.0e-3, 4.4),
    ("E", "2.5% mannitol + 2.5% PVP", 9.3e-4, 8.2),
    ("F", "5% PVP", 9.4e-4, 8.9),
    ("G", "4% mannitol + 1% PVP", 9.6e-4, 9.3),
    ("H", "1% mannitol + 4% PVP", 9.3e-4, 3.5),
    ("I", "10% mannitol", 2.8e-4, 8.7),
)

_REQUIRED_COLUMNS = ("formulation", "image", "k_m")
_WORDS = ("composition", "provenance")
_KNOWN_COLUMNS = (*_REQUIRED_COLUMNS, *_WORDS, "std_percent", "page", "pixel_size_um")
_FEWEST_FORMULATIONS = 3

# What a k_m may be, m² s⁻¹: beyond it, it is in another unit or something else.
_LEAST_K_M, _GREATEST_K_M = 1e-6, 1e-1

_PERCENTAGE = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*(\S.*?)\s*")


class ManifestError(ValueError):
    """A manifest is missing, malformed or holds values that cannot be used."""


def table1() -> pd.DataFrame:
    """Table 1 of the paper (Marcato, Boccardo & Pisano, Processes 2025, 13, 365).

    Returns
    -------
    DataFrame
        Indexed by formulation: ``composition`` (as printed), ``dextran``, ``mannitol``, ``PVP``
        (mass %), ``k_m`` (m² s⁻¹), ``std_percent`` (over vials with a thermocouple, % of k_m).

    Examples
    --------
    >>> row = table1().loc["I"]
    >>> print(f"{row['composition']}: k_m = {row['k_m']:.1e} m² s⁻¹ ± {row['std_percent']:g} %")
    10% mannitol: k_m = 2.8e-04 m² s⁻¹ ± 8.7 %
    """
    table = pd.DataFrame(_TABLE_1, columns=["formulation", "composition", "k_m", "std_percent"])
    solutes = pd.DataFrame([percentages(text) or {} for text in table["composition"]])
    table = table.join(solutes.fillna(0.0)).set_index("formulation")
    return table[["composition", *SOLUTES, "k_m", "std_percent"]]


def percentages(text: str) -> dict[str, float] | None:
    """The mass % of each solute in a composition such as ``"4% sucrose + 1% glycine"``, or None.

    Examples
    --------
    >>> percentages("4% sucrose + 1% glycine"), percentages("sucrose")
    ({'sucrose': 4.0, 'glycine': 1.0}, None)
    """
    found: dict[str, float] = {}
    for part in text.split("+"):
        match = _PERCENTAGE.fullmatch(part)
        if match is None:
            return None
        found[match[2]] = found.get(match[2], 0.0) + float(match[1])
    return found


def read_manifest(path: Path) -> pd.DataFrame:
    r"""Read a manifest: which micrograph shows which formulation, and its k_m.

    Parameters
    ----------
    path
        A table, text or XLSX, with the columns ``formulation``, ``image`` (path relative to the
        table), ``k_m`` (m² s⁻¹) and, if need be, ``composition``, ``std_percent``, ``page``,
        ``pixel_size_um``, ``provenance``.

    Returns
    -------
    DataFrame
        A row for each micrograph; what is left out is missing (NaN), but for ``page``, then 1.

    Raises
    ------
    ManifestError
        When something cannot be used: it names the row and a remedy.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "manifest.csv")
    ...     _ = path.write_text("formulation,image,k_m\nA,a.tif,2e-3\nB,b.tif,1e-3\nC,c.tif,3e-3")
    ...     read_manifest(path)["k_m"].to_list()
    [0.002, 0.001, 0.003]
    """
    try:
        if not path.is_file():
            raise ManifestError(
                f"no such manifest (looked for {path.resolve()}); "
                "give the path of a CSV file, or 'synthetic'"
            )
        remedy = "as in 1.4e-3, and put text with a comma in quotation marks"
        cells = read_cells(path, ManifestError, _known, remedy)
        _check_columns(cells)
        table = _with_numbers(cells.reindex(columns=list(_KNOWN_COLUMNS), fill_value=""))
        _check_names(table["formulation"])
        _check_repetitions(table, path.parent)
        if (number := table["formulation"].nunique()) < _FEWEST_FORMULATIONS:
            raise ManifestError(
                f"{number} formulation(s); leaving one out needs at least "
                f"{_FEWEST_FORMULATIONS}: add micrographs of other formulations"
            )
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from None
    return table.reset_index(drop=True)


def _known(names: list[str]) -> int:
    """How many columns of a manifest are named."""
    return sum(name in _KNOWN_COLUMNS for name in names)


def image_path(folder: Path, image: str) -> Path:
    """The file that a manifest in this folder names, though by Windows' or a Mac's spelling."""
    found = folder
    for part in Path(image if os.path.exists(folder / image) else image.replace("\\", "/")).parts:
        there = [] if os.path.exists(found / part) or not found.is_dir() else os.listdir(found)
        found /= next((name for name in there if _composed(name) == _composed(part)), part)
    return found if os.path.exists(found) else folder / image


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _check_columns(cells: pd.DataFrame) -> None:
    """Refuse a missing column, and one that hardly differs from a known one; others are free."""
    names = list(cells.columns)
    for name in cells.attrs["repeated"]:
        raise ManifestError(f"column {quoted(name)} stands there twice; keep one, or rename it")
    missing = [column for column in _REQUIRED_COLUMNS if column not in names]
    if missing:
        raise ManifestError(
            f"column {', '.join(missing)} is missing, the file has "
            f"{quoted(', '.join(names), 200)}; "
            f"the first line must name {', '.join(_REQUIRED_COLUMNS)}"
        )
    for name in names:
        meant = get_close_matches(name.lower(), _KNOWN_COLUMNS, n=1, cutoff=0.75)
        if meant and name not in _KNOWN_COLUMNS:
            raise ManifestError(
                f"column {quoted(name)} is not known; did you mean {meant[0]!r}? Rename it, or "
                "give a column of your own another name"
            )
    for column in _REQUIRED_COLUMNS:
        empty = cells.index[cells[column] == ""]
        if not empty.empty:
            raise ManifestError(f"row {empty[0]} has no {column}; fill it in or delete the row")


def _with_numbers(cells: pd.DataFrame) -> pd.DataFrame:
    """The columns that hold numbers, as finite ones; missing where there is none."""
    columns = ["k_m", "std_percent", "page", "pixel_size_um"]
    numbers = (
        with_points(cells[columns], ManifestError)
        .apply(pd.to_numeric, errors="coerce")
        .astype(float)
    )
    numbers = numbers.where(np.isfinite(numbers))
    k_m, spread, page, size = (numbers[column] for column in columns)
    _check(cells["k_m"], k_m > 0, "not a positive number; give it in m² s⁻¹, as in 1.4e-3")
    _check(
        cells["k_m"],
        k_m.between(_LEAST_K_M, _GREATEST_K_M),
        "not plausible for a freeze-dried cake (about 1e-4 to 1e-2 m² s⁻¹; accepted are 1e-6 to "
        "1e-1); is it in 10⁻³ m² s⁻¹, or a resistance? Give it in m² s⁻¹: k_m = R T L_d/(M_w R_p)",
    )
    _check(
        cells["std_percent"], spread >= 0, "not a number of percent; correct it or leave it empty"
    )
    _check(
        cells["page"],
        (page >= 1) & (page % 1 == 0) & (page < 2**31),
        "not a whole number from 1; correct it, or leave it empty for the first page",
    )
    _check(
        cells["pixel_size_um"],
        size.between(LEAST_PIXEL_SIZE_UM, GREATEST_PIXEL_SIZE_UM),
        f"not a number from {LEAST_PIXEL_SIZE_UM:g} to {GREATEST_PIXEL_SIZE_UM:g}; give the edge "
        "of a pixel in µm, or leave it empty",
    )
    numbers["page"] = page.fillna(1).astype(int)
    words = cells[list(_WORDS)]
    return cells.assign(**numbers, **words.where(words != ""))


def _check(texts: pd.Series[str], good: pd.Series[bool], why: str) -> None:
    """Refuse the first value that stands there and is not good."""
    bad = texts.index[(texts != "") & ~good]
    if not bad.empty:
        raise ManifestError(f"row {bad[0]}: {texts.name} = {quoted(texts[bad[0]])} is {why}")


def _check_names(formulations: pd.Series[str]) -> None:
    """Refuse a name that is taken, and one name written in several ways."""
    spellings: dict[str, tuple[str, object]] = {}
    for row, name in formulations.items():
        plain = "".join(_composed(name).split()).casefold()
        if plain == "mean":
            raise ManifestError(
                f"row {row}: a formulation cannot be called {quoted(name)}, as the last row of "
                "Table 2 is; rename it"
            )
        first, first_row = spellings.setdefault(plain, (name, row))
        if name != first:
            raise ManifestError(
                f"row {row}: formulation {quoted(name)} is {quoted(first)} in row {first_row}, "
                "and one would be trained on the other; write it in one way (or rename one of "
                "them, if they are two)"
            )


def _check_repetitions(table: pd.DataFrame, folder: Path) -> None:
    """Refuse a micrograph that stands there twice, and a formulation with two k_m."""
    files = table["image"].map(lambda image: str(image_path(folder, image).resolve()))
    repeated = table.index[table.assign(image=files).duplicated(["image", "page"])]
    if not repeated.empty:
        image, page = table.loc[repeated[0], ["image", "page"]]
        raise ManifestError(
            f"row {repeated[0]} lists {quoted(image)} again{f', page {page}' if page > 1 else ''}; "
            "a micrograph must stand there once, or it would be trained and tested on"
        )
    for formulation, values in table.groupby("formulation")["k_m"]:
        if (values != values.iloc[0]).any():
            raise ManifestError(
                f"formulation {quoted(formulation)} has the k_m "
                f"{', '.join(f'{value:g}' for value in values.unique())} m² s⁻¹; give one value "
                "for a formulation, in all of its rows"
            )
