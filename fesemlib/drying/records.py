"""Drying runs as thermocouples record them: reading the file, and setting bad readings apart."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import median_filter

from fesemlib.params import quoted

FloatArray = npt.NDArray[np.float64]
Conversion = Callable[[FloatArray], FloatArray]

# What turns a unit, written without blanks and in small letters, into SI.
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}
_PASCALS = {
    "pa": 1.0,
    "hpa": 100.0,
    "kpa": 1000.0,
    "mbar": 100.0,
    **dict.fromkeys(("ubar", "microbar"), 0.1),
    "mtorr": 101_325 / 760_000,
    "torr": 101_325 / 760,
}
_CELSIUS = ("°c", "c", "degc", "celsius")
_KELVIN = ("k", "kelvin")
_UNITS = {"time": "s, min or h", "temperature": "°C or K", "pressure": "Pa, mbar or mTorr"}

# Names of columns, in small letters and without signs.
_TIME = re.compile(r"t|time|(elapsed|process|run)time|elapsed")
_SHELF = re.compile(r"(t|temperature)?(shelf|fluid)\d?(temp|temperature|t)?|tf")
_PRESSURE = re.compile(r"p|pc|pch|pchamber|(chamber|capacitance|cm)?pressure|vacuum")
_PRODUCT = re.compile(
    r"(t|tc|temperature)?(product|bottom|vial|thermocouple|probe)\w*|tc\d*|tp\d*|t\d+"
)

_NO_READING = {"", "nan", "na", "n/a", "-", "--", "---", "none", "null", "ol", "open"}
_PLAUSIBLE = (110.0, 400.0)  # K
_FEWEST_ROWS = 20
_HIGHEST_PRESSURE = 110_000.0  # Pa: the air
_SPIKE_WINDOW = 7  # readings, at least: up to three bad ones in a row are a spike
_SPIKE_TIME = 150.0  # s: so are the readings of this time
_SPIKE = 1.0  # K from the median of the window, at least, and
_SPIKE_SPREADS = 8.0  # this many times the usual distance from it


class DryingRunError(ValueError):
    """A record of a drying run is missing, malformed, or cannot give a k_m."""


@dataclass(frozen=True)
class DryingRun:
    """What was recorded of a drying.

    Parameters
    ----------
    name
        Of the file, for messages.
    time
        s, shape (n,), increasing.
    shelf_temperature
        K, shape (n,).
    chamber_pressure
        Pa, shape (n,).
    product_temperatures
        K, one column for each thermocouple, n rows; NaN where there is no reading to be used.
    lines
        Of the file, shape (n,), for messages.
    remarks
        What was set right or left out, a sentence each.
    """

    name: str
    time: FloatArray
    shelf_temperature: FloatArray
    chamber_pressure: FloatArray
    product_temperatures: pd.DataFrame
    lines: npt.NDArray[np.int64]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    """A column of the file: its heading, and what turns its numbers into SI."""

    heading: str
    name: str
    to_si: Conversion


def read_drying_run(
    path: Path | str,
    *,
    time_unit: str | None = None,
    temperature_unit: str | None = None,
    pressure_unit: str | None = None,
    products: Sequence[str] | None = None,
    longest_gap: float = 1800.0,
) -> DryingRun:
    r"""Read the record of a drying run.

    Parameters
    ----------
    path
        A text file with a line for each instant, whose first line names the columns with their
        units, for instance ``time (h),T_shelf (°C),T_product_1 (°C),pressure (mTorr)``. Commas,
        semicolons or tabs separate the columns; a decimal comma is understood where a comma does
        not separate them.
    time_unit, temperature_unit, pressure_unit
        Of columns whose heading has no unit.
    products
        Headings of the product thermocouples, with or without their units; by default all columns
        that are named like one (``T_product``, ``TC``, ``T1``, …).
    longest_gap
        Up to this long, s, a gap between readings is filled by linear interpolation.

    Returns
    -------
    DryingRun
        In SI units and in order of time. Spikes of up to three readings, or two and a half
        minutes, and readings that no thermocouple gives are replaced like gaps; every such repair
        is in its remarks.

    Raises
    ------
    DryingRunError
        When the file cannot be read, a column is missing, doubtful or without a unit, a value is
        not a number or not plausible, one time has two different records, the clock starts
        again, the shelf or the pressure has a gap longer than `longest_gap`, or no thermocouple
        has any reading.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name, "run.csv")
    >>> lines = ["time (h),T_shelf (°C),TC1 (°C),pressure (mTorr)"]
    >>> lines += [f"{hour / 10},-10,{-40 + 0.1 * hour:.1f},75" for hour in range(30)]
    >>> _ = path.write_text("\n".join(lines))
    >>> run = read_drying_run(path)
    >>> print(f"{run.chamber_pressure[0]:.2f} Pa, {run.shelf_temperature[0]:.2f} K")
    10.00 Pa, 263.15 K
    """
    path = Path(path)
    cells = _cells(path)
    units = {"time": time_unit, "temperature": temperature_unit, "pressure": pressure_unit}
    known = _recognised(list(cells.columns), units, products, path)
    _check_number(len(cells), path)
    lines = cells.index.to_numpy(dtype=np.int64) + 2
    columns: dict[str, FloatArray] = {}
    for role, column in known.items():
        columns[role] = _numbers(cells[column.heading], column, path)
    remarks: list[str] = []
    ignored = [c for c in cells.columns if c not in {column.heading for column in known.values()}]
    if ignored:
        remarks.append(f"Not used: {', '.join(quoted(heading) for heading in ignored)}.")
    table = _in_order(pd.DataFrame(columns, index=pd.Index(lines)), known, path, remarks)
    _check_number(len(table), path)
    for role in ("shelf", "pressure"):
        _check_plausible(table[role], role, known[role], cells, path)
        table[role] = _filled(table[role], table["time"], longest_gap)
        _check_filled(table, role, known[role], longest_gap, path)
    names = [role for role in known if role not in _ROLES]
    for name in names:
        table[name] = _cleaned(table, name, longest_gap, path, remarks)
    if table[names].isna().all(axis=None):
        raise DryingRunError(
            f"{path}: no thermocouple has any reading (columns {quoted(', '.join(names), 200)}); "
            "give the record of a run with one"
        )
    return DryingRun(
        name=path.name,
        time=table["time"].to_numpy(),
        shelf_temperature=table["shelf"].to_numpy(),
        chamber_pressure=table["pressure"].to_numpy(),
        product_temperatures=pd.DataFrame(table[names].reset_index(drop=True)),
        lines=table.index.to_numpy(),
        remarks=tuple(remarks),
    )


_ROLES = ("time", "shelf", "pressure")


def _cells(path: Path) -> pd.DataFrame:
    """All cells as text; the index counts the lines below the heading."""
    try:
        text = _decoded(path.read_bytes())
        heading = text.split("\n", 1)[0]
        separator = next((sign for sign in ";\t" if sign in heading), ",")
        with warnings.catch_warnings():
            # pandas would drop what exceeds the heading: half of a number with a decimal comma.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            cells = _parsed(text, separator, 0, None)
            names = _parsed(text, separator, None, 1).iloc[0]  # pandas renames repeated ones
    except FileNotFoundError:
        raise DryingRunError(
            f"{path}: no such drying run (looked for {path.resolve()}); give the path of a CSV file"
        ) from None
    except pd.errors.ParserWarning:
        raise DryingRunError(
            f"{path}: some lines hold more values than the first line has names; write numbers "
            "with a decimal point, or separate the columns with semicolons, or delete the lines "
            "above the heading"
        ) from None
    except (OSError, ValueError) as error:
        raise DryingRunError(
            f"{path}: cannot be read as CSV ({str(error).strip()}); save it as text whose first "
            "line names the columns"
        ) from error
    repeated = names[names.duplicated() & (names != "")]
    if not repeated.empty:
        raise DryingRunError(
            f"{path}: column {quoted(repeated.iloc[0])} stands there twice; rename one"
        )
    cells = cells.fillna("").apply(lambda column: column.str.strip())
    if separator != ",":
        cells = cells.apply(lambda column: column.str.replace(",", ".", regex=False))
    named = [name for name in cells.columns if not str(name).startswith("Unnamed: ")]
    filled = (cells != "").any(axis=1)
    return pd.DataFrame(cells.loc[filled, named])


def _parsed(text: str, separator: str, header: int | None, nrows: int | None) -> pd.DataFrame:
    return pd.read_csv(
        StringIO(text),
        sep=separator,
        header=header,
        nrows=nrows,
        dtype=str,
        index_col=False,
        skipinitialspace=True,
        skip_blank_lines=False,
        keep_default_na=False,
    )


def _decoded(content: bytes) -> str:
    """The text of a file as spreadsheets and loggers save it, with one kind of line ends."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16")
    else:
        if b"\0" in content:
            raise ValueError("it holds NUL bytes")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _recognised(
    headings: list[str],
    units: dict[str, str | None],
    products: Sequence[str] | None,
    path: Path,
) -> dict[str, _Column]:
    """The columns of time, shelf, pressure and the products, by role or product name."""
    split = {heading: _name_and_unit(heading) for heading in headings}
    found: dict[str, _Column] = {}
    for role, pattern, kind in (
        ("time", _TIME, "time"),
        ("shelf", _SHELF, "temperature"),
        ("pressure", _PRESSURE, "pressure"),
    ):
        alike = [h for h, (name, _) in split.items() if pattern.fullmatch(_plain(name))]
        if len(alike) != 1:
            example = {"time": "time (h)", "shelf": "T_shelf (°C)", "pressure": "pressure (Pa)"}
            problem = f"both {quoted(alike[0])} and {quoted(alike[1])}" if alike else "no column"
            raise DryingRunError(
                f"{path}: {problem} for the {role}, the file has "
                f"{quoted(', '.join(headings), 200)}; name one of them {example[role]!r}"
            )
        found[role] = _column(alike[0], split[alike[0]], kind, units[kind], path)
    taken = {column.heading for column in found.values()}
    for heading in _product_headings(split, taken, products, path):
        name = split[heading][0]
        label = name if name not in found else heading
        found[label] = _column(heading, split[heading], "temperature", units["temperature"], path)
    return found


def _product_headings(
    split: dict[str, tuple[str, str | None]],
    taken: set[str],
    products: Sequence[str] | None,
    path: Path,
) -> list[str]:
    free = [heading for heading in split if heading not in taken]
    if products is None:
        chosen = [heading for heading in free if _PRODUCT.fullmatch(_plain(split[heading][0]))]
        if not chosen:
            raise DryingRunError(
                f"{path}: no column of a product temperature, the file has "
                f"{quoted(', '.join(split), 200)}; name it as in 'T_product_1 (°C)'"
            )
        return chosen
    chosen = []
    for product in products:
        alike = [heading for heading in free if product in (heading, split[heading][0])]
        if not alike:
            raise DryingRunError(
                f"{path}: no column {quoted(product)}, the file has "
                f"{quoted(', '.join(split), 200)}; correct the name"
            )
        chosen.append(alike[0])
    return chosen


def _check_number(instants: int, path: Path) -> None:
    if instants < _FEWEST_ROWS:
        raise DryingRunError(
            f"{path}: {instants} instants are too few for a drying; record at least "
            f"{_FEWEST_ROWS}, some minutes apart"
        )


def _name_and_unit(heading: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"\s*(.*?)\s*[(\[]\s*([^)\]]*?)\s*[)\]]\s*", heading)
    return (match[1], match[2]) if match else (heading.strip(), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _column(
    heading: str, named: tuple[str, str | None], kind: str, default: str | None, path: Path
) -> _Column:
    name, own = named
    unit = own or default
    if not unit:
        raise DryingRunError(
            f"{path}: column {quoted(heading)} has no unit; write it as in "
            f"'{name} ({_UNITS[kind].split(',')[0].split(' ')[0]})', in {_UNITS[kind]}"
        )
    conversion = _conversion(unit, kind)
    if conversion is None:
        raise DryingRunError(
            f"{path}: column {quoted(heading)}: unit {quoted(unit)} is no unit of {kind} "
            f"that is understood; convert to {_UNITS[kind]}"
        )
    return _Column(heading, name, conversion)


def _conversion(unit: str, kind: str) -> Conversion | None:
    """What turns numbers of a unit into SI; None where it is no unit of this kind."""
    plain = unit.replace(" ", "").replace("º", "°").casefold()
    plain = plain.replace("\u00b5", "u").replace("\u03bc", "u")  # the micro sign, or a Greek letter
    if kind == "temperature":
        if plain in _CELSIUS:
            return lambda values: values + 273.15
        return (lambda values: values) if plain in _KELVIN else None
    factor = (_SECONDS if kind == "time" else _PASCALS).get(plain)
    return None if factor is None else (lambda values: factor * values)


def _numbers(texts: pd.Series[str], column: _Column, path: Path) -> FloatArray:
    """The values in SI, NaN where there is none."""
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    empty = texts.str.casefold().isin(_NO_READING)
    bad = texts.index[~np.isfinite(numbers) & ~empty]
    if not bad.empty:
        remedy = "correct it or leave it empty"
        if re.search(r"\d[:-]\d", texts[bad[0]]):
            remedy = "give the time that has passed, as a number"
        raise DryingRunError(
            f"{path}: line {bad[0] + 2}: {column.heading} = {quoted(texts[bad[0]])} is not a "
            f"number; {remedy}"
        )
    return column.to_si(np.asarray(numbers.where(~empty), dtype=np.float64))


def _in_order(
    table: pd.DataFrame, known: dict[str, _Column], path: Path, remarks: list[str]
) -> pd.DataFrame:
    """The rows by increasing time, each time once."""
    missing = table.index[table["time"].isna()]
    if not missing.empty:
        raise DryingRunError(
            f"{path}: line {missing[0]} has no {known['time'].heading}; fill it in or delete the "
            "line"
        )
    falls = np.flatnonzero(np.diff(table["time"]) < 0) + 1
    if falls.size == len(table) - 1:
        table, falls = table.iloc[::-1], falls[:0]
        remarks.append("The last instant stands first; the lines were reversed.")
    seconds = table["time"].to_numpy()
    restarts = falls[seconds[falls] <= seconds[0]]
    if restarts.size:
        line = table.index[int(restarts[0])]
        raise DryingRunError(
            f"{path}: line {line}: the clock starts again; give the time that has passed since the "
            "start, or one run a file"
        )
    if falls.size:
        table = table.sort_values("time", kind="stable")
        remarks.append(f"{_some(falls.size, 'line')} out of order sorted by time.")
    again = table.duplicated()
    if again.any():
        remarks.append(f"{_some(int(again.sum()), 'repeated line')} left out.")
        table = table[~again]
    twice = table.index[table["time"].duplicated()]
    if not twice.empty:
        line = twice[0]
        first = table.index[table["time"] == table["time"][line]][0]
        raise DryingRunError(
            f"{path}: lines {first} and {line} have one time, {table['time'][line]:g} s, but "
            "different readings; export the time with more decimals, or keep one of the lines"
        )
    return table.copy()


def _check_plausible(
    values: pd.Series[float], role: str, column: _Column, cells: pd.DataFrame, path: Path
) -> None:
    low, high = _PLAUSIBLE if role == "shelf" else (0.0, _HIGHEST_PRESSURE)
    bad = values.index[values.notna() & ~((values > low) & (values <= high))]
    if not bad.empty:
        text = cells[column.heading][bad[0] - 2]
        raise DryingRunError(
            f"{path}: line {bad[0]}: {column.heading} = {quoted(text)} is not plausible; check its "
            "unit, or leave the cell empty"
        )


def _filled(
    values: pd.Series[float], times: pd.Series[float], longest_gap: float
) -> pd.Series[float]:
    """Values with gaps up to that long, s, closed by linear interpolation."""
    known = values.notna().to_numpy()
    if not known.any():
        return values
    seconds = times.to_numpy()
    numbers = np.interp(seconds, seconds[known], values.to_numpy()[known])
    places = np.flatnonzero(known)
    before = np.searchsorted(places, np.arange(len(values)), side="right") - 1
    after = np.searchsorted(places, np.arange(len(values)), side="left")
    inside = (before >= 0) & (after < len(places))
    numbers[~inside] = np.nan
    here = np.flatnonzero(inside)
    length = seconds[places[after[here]]] - seconds[places[before[here]]]
    numbers[here[length > longest_gap]] = np.nan
    return pd.Series(numbers, index=values.index, name=values.name)


def _check_filled(
    table: pd.DataFrame, role: str, column: _Column, longest_gap: float, path: Path
) -> None:
    """Refuse a shelf or a pressure that is not known, and times that are far apart."""
    open_ = table.index[table[role].isna()]
    if not open_.empty:
        raise DryingRunError(
            f"{path}: line {open_[0]}: {column.heading} is missing, and no readings within "
            f"{longest_gap:g} s enclose it; fill it in, or delete the lines before or after the "
            "drying"
        )
    steps = np.diff(table["time"])
    if steps.max() > longest_gap:
        place = int(np.argmax(steps))
        raise DryingRunError(
            f"{path}: nothing was recorded for {steps[place]:g} s between the lines "
            f"{table.index[place]} and {table.index[place + 1]}, more than {longest_gap:g} s; "
            "delete the lines before or after the drying, or allow a longer gap"
        )


def _cleaned(
    table: pd.DataFrame, name: str, longest_gap: float, path: Path, remarks: list[str]
) -> pd.Series[float]:
    """A product temperature without spikes, faults and short gaps."""
    values = table[name].copy()
    if not values.notna().any():
        remarks.append(f"{name}: no reading at all.")
        return values
    low, high = _PLAUSIBLE
    faults = values.notna() & ~values.between(low, high)
    if faults.sum() > 0.5 * values.notna().sum():
        raise DryingRunError(
            f"{path}: line {values.index[faults][0]}: {name} = {values[faults].iloc[0]:g} K, like "
            "most of its readings, is not plausible; check the unit of the column"
        )
    if faults.any():
        remarks.append(
            f"{name}: {_some(int(faults.sum()), 'reading')} that no thermocouple gives left out "
            f"(first in line {values.index[faults][0]})."
        )
        values[faults] = np.nan
    spikes = _spikes(values, float(np.median(np.diff(table["time"]))))
    if spikes.any():
        remarks.append(
            f"{name}: {_some(int(spikes.sum()), 'reading')} in spikes left out (first in line "
            f"{values.index[spikes][0]})."
        )
        values[spikes] = np.nan
    gaps = values.isna() & ~faults & ~spikes
    filled = _filled(values, table["time"], longest_gap)
    if gaps.any():
        remarks.append(
            f"{name}: {_some(int(gaps.sum()), 'reading')} missing (first in line "
            f"{values.index[gaps][0]}), {int((gaps & filled.notna()).sum())} of them interpolated."
        )
    return filled


def _spikes(values: pd.Series[float], step: float) -> pd.Series[bool]:
    """Readings that stand out from the median of those around them (Hampel's filter).

    Parameters
    ----------
    values
        K; what is missing is passed over.
    step
        Between the readings, s.

    Returns
    -------
    Series
        True where the distance from the running median exceeds 1 K, eight times what is usual,
        and what the median itself changes by within half of its window.
    """
    found = pd.Series(False, index=values.index)
    known = values.dropna()
    half = max(_SPIKE_WINDOW // 2, round(_SPIKE_TIME / step))
    if len(known) <= 2 * half:
        return found
    centre = median_filter(known.to_numpy(), 2 * half + 1, mode="nearest")
    distance = np.abs(known.to_numpy() - centre)
    usual = 1.4826 * float(np.median(distance))
    # Where the median itself climbs, as at the start of a ramp, the reading may be right.
    slope = median_filter(np.abs(np.gradient(centre)), 2 * half + 1, mode="nearest")
    limit = np.maximum(max(_SPIKE, _SPIKE_SPREADS * usual), half * slope)
    found.loc[known.index[distance > limit]] = True
    return found


def _some(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
