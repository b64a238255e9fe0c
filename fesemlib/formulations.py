"""Formulations and their mass transfer coefficients: Table 1, or the rows of a manifest."""

from __future__ import annotations

import re
import unicodedata
import warnings
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from fesemlib.params import GREATEST_PIXEL_SIZE_UM, LEAST_PIXEL_SIZE_UM, quoted

__all__ = [
    "SOLUTES",
    "ManifestError",
    "parse_composition",
    "percentages",
    "read_manifest",
    "table1",
]

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
_OPTIONAL_COLUMNS = ("composition", "std_percent", "page", "pixel_size_um")
_KNOWN_COLUMNS = (*_REQUIRED_COLUMNS, *_OPTIONAL_COLUMNS)
_FEWEST_FORMULATIONS = 3

# What a k_m may be, m² s⁻¹: beyond it, it is in another unit or something else.
_LEAST_K_M, _GREATEST_K_M = 1e-6, 1e-1

_SUMMARY_ROW = "mean"  # of Table 2

_PERCENTAGE = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*(\S.*?)\s*")


class ManifestError(ValueError):
    """A manifest is missing, malformed or holds values that cannot be used."""


def table1() -> pd.DataFrame:
    """Table 1 of the paper: the nine formulations with their mass transfer coefficients.

    Returns
    -------
    DataFrame
        Indexed by formulation (A–I), with columns ``composition`` (as printed), ``dextran``,
        ``mannitol`` and ``PVP`` (mass %), ``k_m`` (m² s⁻¹) and ``std_percent`` (standard deviation
        of k_m over the vials with thermocouples, % of k_m).

    References
    ----------
    Marcato, Boccardo & Pisano, Processes 2025, 13, 365, Table 1.

    Examples
    --------
    >>> row = table1().loc["I"]
    >>> print(f"{row['composition']}: k_m = {row['k_m']:.1e} m² s⁻¹ ± {row['std_percent']:g} %")
    10% mannitol: k_m = 2.8e-04 m² s⁻¹ ± 8.7 %
    """
    table = pd.DataFrame(_TABLE_1, columns=["formulation", "composition", "k_m", "std_percent"])
    fractions = pd.DataFrame(
        [parse_composition(text) for text in table["composition"]], columns=list(SOLUTES)
    )
    table = pd.concat([table, fractions], axis=1).set_index("formulation")
    return table[["composition", *SOLUTES, "k_m", "std_percent"]]


def parse_composition(text: str) -> dict[str, float]:
    """Read a composition such as ``"2.5% dextran + 2.5% mannitol"``.

    Parameters
    ----------
    text
        Mass percentages and solutes, joined by ``+``.

    Returns
    -------
    dict
        Mass % of every solute in `SOLUTES`, zero for those that are absent.

    Raises
    ------
    ValueError
        When a part is not a percentage and one of the known solutes.

    Examples
    --------
    >>> parse_composition("4% dextran + 1% mannitol")
    {'dextran': 4.0, 'mannitol': 1.0, 'PVP': 0.0}
    """
    fractions = dict.fromkeys(SOLUTES, 0.0)
    for part in text.split("+"):
        match = _PERCENTAGE.fullmatch(part)
        if match is None or match[2] not in fractions:
            raise ValueError(
                f"composition {text!r}: {part.strip()!r} is not understood; "
                f"write percentages of {', '.join(SOLUTES)}, as in '4% dextran + 1% mannitol'"
            )
        fractions[match[2]] += float(match[1])
    return fractions


def percentages(text: str) -> dict[str, float] | None:
    """Read a composition of any solutes, such as ``"4% sucrose + 1% glycine"``.

    Parameters
    ----------
    text
        Mass percentages and names, joined by ``+``.

    Returns
    -------
    dict or None
        Mass % of every solute that is named; None where a part is not a percentage and a name.

    Examples
    --------
    >>> percentages("4% sucrose + 1% glycine")
    {'sucrose': 4.0, 'glycine': 1.0}
    >>> percentages("sucrose") is None
    True
    """
    matches = [_PERCENTAGE.fullmatch(part) for part in text.split("+")]
    found: dict[str, float] = {}
    for match in matches:
        if match is None:
            return None
        found[match[2]] = found.get(match[2], 0.0) + float(match[1])
    return found


def read_manifest(path: Path) -> pd.DataFrame:
    r"""Read a manifest: which micrograph shows which formulation, and its k_m.

    Parameters
    ----------
    path
        A CSV file with the columns ``formulation``, ``image`` (path relative to the CSV) and
        ``k_m`` (m² s⁻¹, from 1e-6 to 1e-1; freeze-dried cakes have about 1e-4 to 1e-2), and
        optionally ``composition`` (in words), ``std_percent`` (%), ``page`` (of a TIFF file with
        several, counted from 1) and ``pixel_size_um`` (µm). A formulation may have several rows,
        one for each of its micrographs, with the same k_m and its name written in the same way.
        ``mean`` is no name for a formulation.

    Returns
    -------
    DataFrame
        One row for each micrograph, with the columns above; what the manifest leaves out is
        missing (NaN), but for ``page``, which is then 1.

    Raises
    ------
    ManifestError
        When the file cannot be read, a column is missing or repeated, a row is repeated, a k_m
        or a pixel size is not a positive number or not plausible, a page is no whole number from
        1, a formulation's name is not written in one way or taken, or fewer than three
        formulations are listed.

    Notes
    -----
    A resistance R_p of the dried layer, in m s⁻¹, becomes k_m = R T L_d/(M_w R_p); the inverse is
    `fesemlib.drying.equations.product_resistance`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name, "manifest.csv")
    >>> rows = ["formulation,image,k_m", "A,a.tif,1.9e-3", "B,b.tif,1.1e-3", "C,c.tif,1.4e-3"]
    >>> _ = path.write_text("\n".join(rows))
    >>> print(read_manifest(path)[["formulation", "image", "k_m", "page"]].to_string(index=False))
    formulation image    k_m  page
              A a.tif 0.0019     1
              B b.tif 0.0011     1
              C c.tif 0.0014     1
    """
    table = _read_csv(path)
    _check_columns(table, path)
    _check_filled(table, path)
    table["k_m"] = _coefficients(table["k_m"], path)
    table = _with_optional_columns(table, path)
    _check_names(table["formulation"], path)
    _check_repetitions(table, path)
    if table["formulation"].nunique() < _FEWEST_FORMULATIONS:
        raise ManifestError(
            f"{path}: {table['formulation'].nunique()} formulation(s); leaving one out needs at "
            f"least {_FEWEST_FORMULATIONS}: add micrographs of other formulations"
        )
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such manifest (looked for {path.resolve()}); "
            "give the path of a CSV file, or 'synthetic'"
        )
    try:
        if b"\0" in path.read_bytes():
            raise ValueError("it holds NUL bytes")
        with warnings.catch_warnings():
            # pandas would drop what exceeds the header: half of a k_m with a decimal comma.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = _parse_csv(path)
            names = _parse_csv(path, header=None, nrows=1)  # pandas renames repeated ones
    except pd.errors.ParserWarning:
        raise ManifestError(_too_many_values(path, "some lines hold")) from None
    except (OSError, ValueError) as error:
        if long_line := re.search(r"Expected \d+ fields in line (\d+)", str(error)):
            raise ManifestError(_too_many_values(path, f"line {long_line[1]} holds")) from None
        raise ManifestError(
            f"{path}: cannot be read as CSV ({str(error).strip()}); save it as comma-separated "
            "UTF-8 text whose first line names the columns"
        ) from error
    _check_repeated_columns(names.iloc[0].dropna().str.strip(), path)
    table = table.dropna(how="all").rename(columns=str.strip)  # rows: blank lines
    return pd.DataFrame({name: table[name].str.strip() for name in table.columns})


def _too_many_values(path: Path, lines: str) -> str:
    return (
        f"{path}: {lines} more values than the first line has names; write numbers "
        "with a decimal point, as in 1.4e-3, and put text with a comma in quotation marks"
    )


def _parse_csv(path: Path, header: int | None = 0, nrows: int | None = None) -> pd.DataFrame:
    return pd.read_csv(
        path,
        header=header,
        nrows=nrows,
        dtype=str,
        index_col=False,
        skipinitialspace=True,
        skip_blank_lines=False,
        keep_default_na=False,  # a formulation may be called NA
        na_values=[""],
    )


def _check_repeated_columns(names: pd.Series[str], path: Path) -> None:
    repeated = names[names.duplicated() & (names != "")]
    if not repeated.empty:
        raise ManifestError(
            f"{path}: column {quoted(repeated.iloc[0])} stands there twice; keep one"
        )


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    _check_separator(table, path)
    missing = [column for column in _REQUIRED_COLUMNS if column not in table.columns]
    if missing:
        raise ManifestError(
            f"{path}: column {', '.join(missing)} is missing, the file has "
            f"{quoted(', '.join(table.columns), 200)}; "
            f"the first line must name {', '.join(_REQUIRED_COLUMNS)}"
        )
    _check_misspelt(table, path)


def _check_misspelt(table: pd.DataFrame, path: Path) -> None:
    """Refuse columns that hardly differ from a known one; others are the owner's own."""
    for column in table.columns:
        meant = get_close_matches(column.lower(), _KNOWN_COLUMNS, n=1, cutoff=0.75)
        if meant and column not in _KNOWN_COLUMNS:
            raise ManifestError(
                f"{path}: column {quoted(column)} is not known; did you mean {meant[0]!r}? Rename "
                "it, or give a column of your own another name"
            )


def _check_separator(table: pd.DataFrame, path: Path) -> None:
    header = table.columns[0]
    other = next((sign for sign in (";", "\t") if len(table.columns) == 1 and sign in header), None)
    if other is not None:
        raise ManifestError(
            f"{path}: the columns are separated by {other!r}; save it with commas between the "
            "columns, and a point in decimal numbers"
        )


def _check_filled(table: pd.DataFrame, path: Path) -> None:
    for column in _REQUIRED_COLUMNS:
        empty = table.index[table[column].isna() | (table[column] == "")]
        if not empty.empty:
            raise ManifestError(
                f"{path}: row {_row(empty[0])} has no {column}; fill it in or delete the row"
            )


def _coefficients(values: pd.Series[str], path: Path) -> pd.Series[float]:
    """The values of k_m as numbers, which have to be positive and plausible."""
    numbers = pd.to_numeric(values, errors="coerce")
    bad = numbers.index[~(np.isfinite(numbers) & (numbers > 0))]
    if not bad.empty:
        raise ManifestError(
            f"{path}: row {_row(bad[0])}: k_m = {quoted(values[bad[0]])} is not a positive "
            "number; give it in m² s⁻¹, as in 1.4e-3"
        )
    odd = numbers.index[~numbers.between(_LEAST_K_M, _GREATEST_K_M)]
    if not odd.empty:
        raise ManifestError(
            f"{path}: row {_row(odd[0])}: k_m = {quoted(values[odd[0]])} is not plausible for a "
            "freeze-dried cake (about 1e-4 to 1e-2 m² s⁻¹; accepted are 1e-6 to 1e-1); is it in "
            "10⁻³ m² s⁻¹, or a resistance? Give it in m² s⁻¹: k_m = R T L_d/(M_w R_p)"
        )
    return numbers


def _check_names(formulations: pd.Series[str], path: Path) -> None:
    """Refuse a name that is taken, and one name written in several ways."""
    spellings: dict[str, tuple[str, int]] = {}
    for row, name in zip(formulations.index, formulations, strict=True):
        plain = "".join(unicodedata.normalize("NFC", name).split()).casefold()
        if plain == _SUMMARY_ROW:
            raise ManifestError(
                f"{path}: row {_row(row)}: a formulation cannot be called {quoted(name)}, as the "
                "last row of Table 2 is; rename it"
            )
        first, first_row = spellings.setdefault(plain, (name, _row(row)))
        if name != first:
            raise ManifestError(
                f"{path}: row {_row(row)}: formulation {quoted(name)} is {quoted(first)} in row "
                f"{first_row}, and one would be trained on the other; write it in one way (or "
                "rename one of them, if they are two)"
            )


def _check_repetitions(table: pd.DataFrame, path: Path) -> None:
    files = table["image"].map(lambda image: str((path.parent / image).resolve()))
    repeated = table.index[pd.DataFrame({"file": files, "page": table["page"]}).duplicated()]
    if not repeated.empty:
        page = table["page"][repeated[0]]
        raise ManifestError(
            f"{path}: row {_row(repeated[0])} lists {quoted(table['image'][repeated[0]])} again"
            f"{f', page {page}' if page > 1 else ''}; "
            "a micrograph must stand there once, or it would be trained and tested on"
        )
    for formulation, values in table.groupby("formulation")["k_m"]:
        if (values != values.iloc[0]).any():
            raise ManifestError(
                f"{path}: formulation {quoted(formulation)} has the k_m "
                f"{', '.join(f'{value:g}' for value in values.unique())} m² s⁻¹; give one value "
                "for a formulation, in all of its rows"
            )


def _with_optional_columns(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table = table.reindex(columns=list(_KNOWN_COLUMNS))
    spread = _numbers(table["std_percent"])
    _check_values(
        table["std_percent"],
        spread >= 0,
        "not a number of percent; correct it or leave it empty",
        path,
    )
    pages = _numbers(table["page"])
    _check_values(
        table["page"],
        (pages >= 1) & (pages % 1 == 0) & (pages < 2**31),
        "not a whole number from 1; correct it, or leave it empty for the first page",
        path,
    )
    sizes = _numbers(table["pixel_size_um"])
    _check_values(
        table["pixel_size_um"],
        sizes.between(LEAST_PIXEL_SIZE_UM, GREATEST_PIXEL_SIZE_UM),
        f"not a number from {LEAST_PIXEL_SIZE_UM:g} to {GREATEST_PIXEL_SIZE_UM:g}; give the edge "
        "of a pixel in µm, or leave it empty",
        path,
    )
    return table.assign(std_percent=spread, page=pages.fillna(1).astype(int), pixel_size_um=sizes)


def _numbers(values: pd.Series[str]) -> pd.Series[float]:
    """Values as finite numbers, and missing where they are none."""
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.where(np.isfinite(numbers)).astype(float)


def _check_values(values: pd.Series[str], good: pd.Series[bool], why: str, path: Path) -> None:
    """Refuse the first value that stands there and is not good."""
    bad = values.index[values.notna() & (values != "") & ~good]
    if not bad.empty:
        raise ManifestError(
            f"{path}: row {_row(bad[0])}: {values.name} = {quoted(values[bad[0]])} is {why}"
        )


def _row(index: int) -> int:
    """The line of the file in which a row stands: the header is line 1."""
    return int(index) + 2
