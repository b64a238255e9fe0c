"""Drying runs as thermocouples record them: reading the file, and setting bad readings apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import median_filter

from fesemlib.drying.equations import BoolArray, FloatArray
from fesemlib.formulations import read_cells
from fesemlib.params import quoted

# What turns a unit, written without blanks and in small letters, into SI.
_FACTORS = {
    "time": {"s sec second seconds": 1.0, "min minute minutes": 60.0, "h hr hrs hour hours": 3600},
    "pressure": {
        "pa": 1.0,
        "hpa mbar": 100.0,
        "kpa": 1000.0,
        "ubar microbar": 0.1,
        "mtorr": 101_325 / 760_000,
        "torr": 101_325 / 760,
    },
    "temperature": {"°c c degc celsius": 1.0, "k kelvin": 1.0},
}
_UNITS = {"time": "s, min or h", "temperature": "°C or K", "pressure": "Pa, mbar or mTorr"}

# Names of columns, in small letters and without signs.
_NAMES = {
    "time": r"t|time|(elapsed|process|run)time|elapsed",
    "shelf": r"(t|temperature)?(shelf|fluid)\d?(temp|temperature|t)?|tf",
    "pressure": r"p|pc|pch|pchamber|(chamber|capacitance|cm)?pressure|vacuum",
}
_PRODUCT = r"(t|tc|temperature)?(product|bottom|vial|thermocouple|probe)\w*|tc\d*|tp\d*|t\d+"
_EXTRAS = {"pirani": r"\w*pirani", "phase": r"(drying|process|recipe)?(phase|stage)(name)?"}
_EXAMPLES = {"time": "time (h)", "shelf": "T_shelf (°C)", "pressure": "pressure (Pa)"}

_NO_READING = {"", "nan", "na", "n/a", "-", "--", "---", "none", "null", "ol", "open"}
_PLAUSIBLE = {"shelf": (110.0, 400.0), "pressure": (0.0, 110_000.0)}  # K, and Pa, up to the air
_FEWEST_ROWS = 20
_LONGEST_GAP = 1800.0  # s between readings that is closed by linear interpolation
_SPIKE_WINDOW = 7  # readings, at least: up to three bad ones in a row are a spike
_SPIKE_TIME = 150.0  # s: so are the readings of this time
_SPIKE = 1.0  # K from the median of the window, at least, and
_SPIKE_SPREADS = 8.0  # this many times the usual distance from it


class DryingRunError(ValueError):
    """A record of a drying run is missing, malformed, or cannot give a k_m."""


@dataclass(frozen=True)
class DryingRun:
    """What was recorded at n instants of a drying."""

    name: str  # of the file, for messages
    time: FloatArray  # s, shape (n,), increasing
    shelf_temperature: FloatArray  # K, shape (n,)
    chamber_pressure: FloatArray  # Pa, shape (n,)
    product_temperatures: pd.DataFrame  # K, a column a thermocouple; NaN: no reading to be used
    lines: npt.NDArray[np.int64]  # of the file, shape (n,), for messages
    remarks: tuple[str, ...] = ()  # what was set right or left out, a sentence each
    pirani_pressure: FloatArray | None = None  # Pa, shape (n,); NaN: no reading
    primary_drying: BoolArray | None = None  # where the dryer's phase says so, shape (n,)


def read_drying_run(path: Path | str) -> DryingRun:
    r"""Read the record of a drying run.

    Parameters
    ----------
    path
        A text file with a line for each instant, whose first line names the columns with their
        units, for instance ``time (h),T_shelf (°C),T_product_1 (°C),pressure (mTorr)``. Commas,
        semicolons or tabs separate the columns.

    Returns
    -------
    DryingRun
        In SI units and in order of time, without spikes and readings that no thermocouple gives;
        gaps of up to half an hour are closed by lines. Every repair is in its remarks.

    Raises
    ------
    DryingRunError
        When the file, a column or a value cannot be used: the message names it, and a remedy.

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
    try:
        if not path.exists():
            raise DryingRunError(
                f"no such drying run (looked for {path.resolve()}); give the path of a CSV file"
            )
        remedy = "or separate the columns with semicolons, or delete the lines above the heading"
        cells = read_cells(path, DryingRunError, remedy, spreadsheet=True)
        return _checked(cells, path.name)
    except DryingRunError as error:
        raise DryingRunError(f"{path}: {error}") from None


def _checked(cells: pd.DataFrame, name: str) -> DryingRun:
    """The run, after every check and repair, from the cells of the file by line."""
    headings = _headings(list(cells.columns))
    cells, ignored = cells[list(headings.values())], cells.columns.drop(list(headings.values()))
    remarks = [f"Not used: {', '.join(map(quoted, ignored))}."] if len(ignored) else []
    if (instants := len(cells.drop_duplicates())) < _FEWEST_ROWS:
        raise DryingRunError(
            f"{instants} instants are too few for a drying; record {_FEWEST_ROWS}, minutes apart"
        )
    readers = dict.fromkeys(headings, _in_si) | {"phase": _is_primary_drying}
    table = pd.DataFrame(
        {role: readers[role](role, cells[each]) for role, each in headings.items()}
    )
    table = _in_order(table, headings["time"], remarks)
    for role in ("shelf", "pressure"):
        table[role] = _without_gaps(table, role, cells[headings[role]])
    _check_steps(table["time"])
    products = [role for role in headings if role not in {**_NAMES, **_EXTRAS}]
    for product in products:
        table[product] = _cleaned(table, product, remarks)
    if table[products].isna().all(axis=None):
        raise DryingRunError(
            f"no thermocouple has any reading (columns {quoted(', '.join(products), 200)}); give "
            "the record of a run with one"
        )
    phase = table.get("phase", pd.Series(dtype=bool))
    return DryingRun(
        name=name,
        time=table["time"].to_numpy(),
        shelf_temperature=table["shelf"].to_numpy(),
        chamber_pressure=table["pressure"].to_numpy(),
        product_temperatures=table[products].reset_index(drop=True),
        lines=table.index.to_numpy(),
        remarks=tuple(remarks),
        pirani_pressure=table["pirani"].to_numpy() if "pirani" in table else None,
        primary_drying=phase.to_numpy() if phase.any() else None,
    )


def _headings(columns: list[str]) -> dict[str, str]:
    """The headings of time, shelf, pressure and the products, by role or product name."""
    there = f"the file has {quoted(', '.join(columns), 200)}"
    names = {heading: _name_and_unit(heading)[0] for heading in columns}
    plain = {heading: re.sub(r"[\W_]+", "", name).casefold() for heading, name in names.items()}
    found: dict[str, str] = {}
    for role, pattern in _NAMES.items():
        alike = [heading for heading in columns if re.fullmatch(pattern, plain[heading])]
        if len(alike) != 1:
            problem = f"both {quoted(alike[0])} and {quoted(alike[1])}" if alike else "no column"
            raise DryingRunError(
                f"{problem} for the {role}, {there}; name one of them {_EXAMPLES[role]!r}"
            )
        found[role] = alike[0]
    products = [heading for heading in columns if re.fullmatch(_PRODUCT, plain[heading])]
    if not products:
        raise DryingRunError(
            f"no column of a product temperature, {there}; name it as in 'T_product_1 (°C)'"
        )
    for role, pattern in _EXTRAS.items():
        alike = [heading for heading in columns if re.fullmatch(pattern, plain[heading])]
        found |= {role: alike[0]} if len(alike) == 1 else {}
    for heading in products:
        found[heading if names[heading] in found else names[heading]] = heading
    return found


def _name_and_unit(heading: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)\s*[(\[]\s*([^)\]]*?)\s*[)\]]", heading)
    return (match[1], match[2]) if match else (heading, "")


def _in_si(role: str, texts: pd.Series[str]) -> pd.Series[float]:
    """The values of a column in SI, NaN where there is none."""
    kind = {"pirani": "pressure"}.get(role, role if role in _UNITS else "temperature")
    name, unit = _name_and_unit(str(texts.name))
    if not unit:
        raise DryingRunError(
            f"column {quoted(texts.name)} has no unit; write it as in "
            f"'{name} ({re.split('[ ,]', _UNITS[kind])[0]})', in {_UNITS[kind]}"
        )
    plain = unit.replace(" ", "").replace("º", "°").casefold()
    plain = plain.replace("\u00b5", "u").replace("\u03bc", "u")  # the micro sign, or a Greek letter
    factors = {each: by for names, by in _FACTORS[kind].items() for each in names.split()}
    if plain not in factors:
        raise DryingRunError(
            f"column {quoted(texts.name)}: unit {quoted(unit)} is no unit of {kind} that is "
            f"understood; convert to {_UNITS[kind]}"
        )
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    empty = texts.str.casefold().isin(_NO_READING)
    bad = texts[~np.isfinite(numbers) & ~empty]
    if not bad.empty:
        remedy = "correct it or leave it empty"
        if re.search(r"\d[:-]\d", bad.iloc[0]):
            remedy = "give the time that has passed, as a number"
        raise DryingRunError(
            f"line {bad.index[0]}: {texts.name} = {quoted(bad.iloc[0])} is not a number; {remedy}"
        )
    zero = 273.15 if kind == "temperature" and plain[0] != "k" else 0.0
    return numbers.where(~empty) * factors[plain] + zero


def _is_primary_drying(_: str, texts: pd.Series[str]) -> pd.Series[bool]:
    """Where the name of the phase says that it is primary drying."""
    return texts.str.contains("primary", case=False)


def _in_order(table: pd.DataFrame, heading: str, remarks: list[str]) -> pd.DataFrame:
    """The rows by increasing time, each time once."""
    missing = table.index[table["time"].isna()]
    if not missing.empty:
        raise DryingRunError(f"line {missing[0]} has no {heading}; fill it in or delete the line")
    falls = np.flatnonzero(np.diff(table["time"]) < 0) + 1
    if falls.size == len(table) - 1:
        table, falls = table.iloc[::-1], falls[:0]
        remarks.append("The last instant stands first; the lines were reversed.")
    seconds = table["time"].to_numpy()
    restarts = falls[seconds[falls] <= seconds[0]]
    if restarts.size:
        raise DryingRunError(
            f"line {table.index[restarts[0]]}: the clock starts again; give the time that has "
            "passed since the start, or one run a file"
        )
    if falls.size:
        table = table.sort_values("time", kind="stable")
        remarks.append(f"{_some(falls.size, 'line')} out of order sorted by time.")
    again = table.duplicated()
    if again.any():
        remarks.append(f"{_some(int(again.sum()), 'repeated line')} left out.")
        table = table[~again]
    same = table[table.duplicated("time", keep=False)]
    if not same.empty:
        raise DryingRunError(
            f"lines {same.index[0]} and {same.index[1]} have one time, {same['time'].iloc[0]:g} s, "
            "but different readings; export the time with more decimals, or keep one of the lines"
        )
    return table.copy()


def _without_gaps(table: pd.DataFrame, role: str, texts: pd.Series[str]) -> pd.Series[float]:
    """The shelf's temperature or the pressure, which have to be plausible and known throughout."""
    values, (low, high) = table[role], _PLAUSIBLE[role]
    bad = values.index[values.notna() & ~((values > low) & (values <= high))]
    if not bad.empty:
        raise DryingRunError(
            f"line {bad[0]}: {texts.name} = {quoted(texts[bad[0]])} is not plausible; check its "
            "unit, or leave the cell empty"
        )
    filled = _filled(values, table["time"])
    unknown = filled.index[filled.isna()]
    if not unknown.empty:
        raise DryingRunError(
            f"line {unknown[0]}: {texts.name} is missing, and no readings within "
            f"{_LONGEST_GAP:g} s enclose it; fill it in, or delete the lines before or after the "
            "drying"
        )
    return filled


def _check_steps(times: pd.Series[float]) -> None:
    steps = np.diff(times)
    place = int(np.argmax(steps))
    if steps[place] > _LONGEST_GAP:
        raise DryingRunError(
            f"nothing was recorded for {steps[place]:g} s between the lines {times.index[place]} "
            f"and {times.index[place + 1]}, more than {_LONGEST_GAP:g} s; delete the lines before "
            "or after the drying"
        )


def _filled(values: pd.Series[float], times: pd.Series[float]) -> pd.Series[float]:
    """Values with gaps up to the longest closed by linear interpolation."""
    known = values.notna()
    if not known.any():
        return values
    gaps = times.where(known).bfill() - times.where(known).ffill()
    filled = values.copy()
    filled[:] = np.interp(times, times[known], values[known])
    return filled.where(gaps <= _LONGEST_GAP)


def _cleaned(table: pd.DataFrame, name: str, remarks: list[str]) -> pd.Series[float]:
    """A product temperature without spikes, faults and short gaps."""
    values, times = table[name], table["time"]
    if values.isna().all():
        remarks.append(f"{name}: no reading at all.")
        return values

    def tell(found: pd.Series[bool], what: str, more: str = "") -> None:
        if found.any():
            number = _some(int(found.sum()), "reading")
            remarks.append(f"{name}: {number} {what} (first in line {found.idxmax()}){more}.")

    missing = values.isna()
    faults = ~missing & ~values.between(*_PLAUSIBLE["shelf"])
    if faults.sum() > 0.5 * (~missing).sum():
        raise DryingRunError(
            f"line {values.index[faults][0]}: {name} = {values[faults].iloc[0]:g} K, like most of "
            "its readings, is not plausible; check the unit of the column"
        )
    tell(faults, "that no thermocouple gives left out")
    values = values.mask(faults)
    spikes = _spikes(values, float(np.median(np.diff(times))))
    tell(spikes, "in spikes left out")
    filled = _filled(values.mask(spikes), times)
    tell(missing, "missing", f", {(missing & filled.notna()).sum()} of them interpolated")
    return filled


def _spikes(values: pd.Series[float], step: float) -> pd.Series[bool]:
    """Readings, K, that stand out from the median of those around them (Hampel's filter).

    By more than 1 K, eight times what is usual, and what the median itself changes by within half
    of its window. `step`: s between readings.
    """
    known = values.dropna()
    half = max(_SPIKE_WINDOW // 2, round(_SPIKE_TIME / step))
    if len(known) <= 2 * half:
        return pd.Series(False, index=values.index)
    centre = median_filter(known.to_numpy(), 2 * half + 1, mode="nearest")
    distance = np.abs(known.to_numpy() - centre)
    usual = 1.4826 * float(np.median(distance))
    # Where the median itself climbs, as at the start of a ramp, the reading may be right.
    slope = median_filter(np.abs(np.gradient(centre)), 2 * half + 1, mode="nearest")
    limit = np.maximum(max(_SPIKE, _SPIKE_SPREADS * usual), half * slope)
    return pd.Series(distance > limit, index=known.index).reindex(values.index, fill_value=False)


def _some(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
