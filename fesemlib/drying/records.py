"""Drying runs as thermocouples record them: reading the file, and setting bad readings apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import median_filter

from fesemlib.drying.columns import (
    FEWEST,
    READ,
    Column,
    DryingRunError,
    check_needed,
    columns_of,
    in_si,
    role_count,
)
from fesemlib.drying.equations import TRIPLE_POINT, FloatArray, ice_vapour_pressure
from fesemlib.params import quoted
from fesemlib.spreadsheets import read_cells

__all__ = ["DryingRun", "DryingRunError", "read_drying_run"]

_PLAUSIBLE = {"shelf": (110.0, 400.0), "pressure": (0.0, 110_000.0)}  # K, and Pa, up to the air
_FEWEST_ROWS = 20
_SUFFIXES = (".csv", ".txt", ".tsv", ".dat", ".xlsx")  # of the files in a folder
_SURELY = 1.0  # K by which ice is colder than the shelf that heats it, whatever the sensors' noise
_LONGEST_GAP = 1800.0  # s between readings that is closed by linear interpolation
_SPIKE_WINDOW = 7  # readings, at least: up to three bad ones in a row are a spike
_SPIKE_TIME = 150.0  # s: so are the readings of this time
_SPIKE = 1.0  # K from the median of the window, at least, and
_SPIKE_SPREADS = 8.0  # this many times the usual distance from it


@dataclass(frozen=True)
class DryingRun:
    """What was recorded at n instants of a drying."""

    name: str  # of the file, for messages
    time: FloatArray  # s, shape (n,), increasing
    shelf_temperature: FloatArray  # K, shape (n,); NaN: no reading, but not while ice sublimes
    chamber_pressure: FloatArray  # Pa, shape (n,); the same
    product_temperatures: pd.DataFrame  # K, a column a thermocouple; NaN: no reading to be used
    lines: npt.NDArray[np.int64]  # of the file, shape (n,), for messages
    remarks: tuple[str, ...] = ()  # what was set right or left out, a sentence each
    pirani_pressure: FloatArray | None = None  # Pa, shape (n,); NaN: no reading


def read_drying_run(path: Path | str) -> DryingRun:
    r"""Read the record of a drying run.

    Parameters
    ----------
    path
        A table, text or XLSX, with a line for each instant and a heading that names the columns
        with their units, for instance ``time (h),T_shelf (°C),T_product_1 (°C),pressure (mTorr)``;
        or a log as dryers and loggers write it; or a folder with the two files of a run.

    Returns
    -------
    DryingRun
        In SI units and in order of time, without spikes and readings that no sensor gives; gaps of
        up to half an hour are closed by lines. Pressure and shelf are NaN where they are not
        known, before and after the drying. Every repair and assumption is in its remarks.

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
        return _checked(_files(path), path.name)
    except DryingRunError as error:
        raise DryingRunError(f"{path}: {error}") from None


def _files(path: Path) -> list[Path]:
    """The file of a record, or those in its folder."""
    if not path.exists():
        raise DryingRunError(
            f"no such drying run (looked for {path.resolve()}); give the path of a CSV file"
        )
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.glob("[!.]*") if each.suffix.lower() in _SUFFIXES)
    if not files:
        raise DryingRunError(f"no table in this folder; they end in {', '.join(_SUFFIXES)}")
    return files


def _checked(files: list[Path], name: str) -> DryingRun:
    """The run, after every check and repair, from its files."""
    remarks: list[str] = []
    remedy = "or separate the columns with semicolons"
    read = [read_cells(file, DryingRunError, role_count, remedy) for file in files]
    parts = [columns_of(cells, remarks) for cells in read]
    read_as = {cells.attrs["encoding"] for cells in read} - {"utf-8-sig"}
    headings = [str(heading) for cells in read for heading in cells]
    there = f"the file has {quoted(', '.join(headings), 200)}"
    check_needed(parts, f"{there}, read as {', '.join(read_as)}" if read_as else there)
    used = {column.heading for columns in parts for column in columns.values()}
    ignored = [quoted(heading) for heading in headings if heading not in used]
    remarks[:0] = [f"Not used: {', '.join(ignored)}."] if ignored else []
    table = _joined([_table(columns, remarks) for columns in parts], parts, remarks)
    columns = {role: column for each in reversed(parts) for role, column in each.items()}
    products = [role for role, column in columns.items() if column.role == "product"]
    _check_products(table[products])
    for product in products:
        table[product] = _cleaned(table, product, remarks)
    _check_gaps(_while_it_counts(table, products), columns)
    pirani = table.get("pirani")
    return DryingRun(
        name=name,
        time=table["time"].to_numpy(),
        shelf_temperature=table["shelf"].to_numpy(),
        chamber_pressure=table["pressure"].to_numpy(),
        product_temperatures=table[products].reset_index(drop=True),
        lines=table.index.to_numpy(),
        remarks=tuple(remarks),
        pirani_pressure=None if pirani is None else pirani.where(pirani > 0).to_numpy(),
    )


def _joined(
    tables: list[pd.DataFrame], parts: list[dict[str, Column]], remarks: list[str]
) -> pd.DataFrame:
    """One table at the instants of the file with most products; what others hold, interpolated."""
    clocks = {columns["time"].unit == READ for columns in parts}
    if len(clocks) > 1:
        raise DryingRunError(
            "one file tells the time of day and another the time that has passed; give both alike"
        )
    products = [sum(column.role == "product" for column in columns.values()) for columns in parts]
    table = tables.pop(int(np.argmax(products)))
    for other in tables:
        again = other.columns.intersection(table.columns).drop("time")
        remarks += [f"Read from one file only: {', '.join(again)}."] * (again.size > 0)
        both = pd.concat([other, table[["time"]]], ignore_index=True).sort_values("time")
        for name in other.columns.difference(table.columns):
            there = _filled(both[name], both["time"]).sort_index().iloc[len(other) :]
            if there.isna().all() and other[name].notna().any():
                raise DryingRunError("its files have no time in common; check their clocks")
            table[name] = there.to_numpy()
    if clocks == {True}:
        table["time"] -= table["time"].iloc[0]
    return table


def _table(columns: dict[str, Column], remarks: list[str]) -> pd.DataFrame:
    """The rows of a file in SI by time, shelf and pressure without what is no reading."""
    table = pd.DataFrame({role: in_si(column, remarks) for role, column in columns.items()})
    if (instants := len(table.drop_duplicates())) < _FEWEST_ROWS:
        raise DryingRunError(
            f"{instants} instants are too few for a drying; record {_FEWEST_ROWS}, minutes apart"
        )
    table = _in_order(table, columns["time"].heading, remarks)
    for role in filter(columns.get, _PLAUSIBLE):
        table[role] = _sensible(table, columns[role], remarks)
    return table


def _in_order(table: pd.DataFrame, heading: str, remarks: list[str]) -> pd.DataFrame:
    """The rows by increasing time, each time once."""
    missing = table.index[table["time"].isna()]
    if not missing.empty:
        raise DryingRunError(f"line {missing[0]} has no {heading}; fill it in or delete the line")
    if table["time"].is_monotonic_decreasing:
        table = table.iloc[::-1]
        remarks.append("The last instant stands first; the lines were reversed.")
    falls = table["time"][table["time"].diff() < 0]
    restarts = falls[falls <= table["time"].iloc[0]]
    if not restarts.empty:
        raise DryingRunError(
            f"line {restarts.index[0]}: the clock starts again; give the time that has passed "
            "since the start, AM and PM, or one run a file"
        )
    if not falls.empty:
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
            "but different readings; export the time with more decimals, keep one of the lines, or "
            "undo a change of the clock"
        )
    return table.copy()


def _sensible(table: pd.DataFrame, column: Column, remarks: list[str]) -> pd.Series[float]:
    """The shelf's temperature or the pressure, without what is no reading, gaps closed."""
    values = table[column.role]
    texts = column.texts.reindex(values.index)
    bad = _implausible(values, column.role)
    nothing = bad & ((values <= 0) | (texts.map(texts.value_counts()) >= FEWEST))
    if (bad & ~nothing).any() or (values.isna() | bad).all():
        line = int(values.index[bad | values.isna()][0])
        raise DryingRunError(
            f"line {line}: {texts.name} = {quoted(texts[line])} is not plausible; check its "
            "unit, or leave the cell empty"
        )
    if nothing.any():
        told = ", ".join(map(quoted, texts[nothing].unique()[:3]))
        number = _some(int(nothing.sum()), "line")
        remarks.append(f"{texts.name}: {told} taken for no reading in {number}.")
    return _filled(values.mask(nothing), table["time"])


def _implausible(values: pd.Series[float], role: str) -> pd.Series[bool]:
    """Which readings cannot be those of a shelf or vial, K, or of a pressure, Pa."""
    return values.notna() & ~values.between(*_PLAUSIBLE[role], inclusive="right")


def _check_products(products: pd.DataFrame) -> None:
    """Refuse temperatures of which none is one, or that look as if all were in another unit."""
    faults = products.where(products.apply(_implausible, role="shelf"))
    various = faults.nunique()
    if (faults.count() >= 0.5 * products.count()).all() and various.max() > FEWEST:
        first = faults[various.idxmax()].dropna()
        raise DryingRunError(
            f"line {first.index[0]}: {first.name} = {first.iloc[0]:g} K, like most of its "
            "readings, is not plausible; check the unit of the column"
        )
    if faults.count().equals(products.count()):
        names = quoted(", ".join(map(str, products)), 200)
        raise DryingRunError(
            f"no thermocouple has any reading (columns {names}); give the record of a run with one"
        )


def _while_it_counts(table: pd.DataFrame, products: list[str]) -> pd.DataFrame:
    """The rows from before any ice that is colder than the shelf sublimes, to the last of them."""
    bottoms = table[products]
    ice = bottoms.where((bottoms < TRIPLE_POINT) & bottoms.lt(table["shelf"] - _SURELY, axis=0))
    warmest = ice.max(axis=1)
    counts = ice_vapour_pressure(warmest.fillna(150.0)) > table["pressure"]
    if "phase" in table:
        counts &= table["phase"] > 0.5
    places = np.flatnonzero(counts & warmest.notna())
    return table.iloc[max(places[0] - 1, 0) : places[-1] + 1] if places.size else table.iloc[:0]


def _check_gaps(table: pd.DataFrame, columns: dict[str, Column]) -> None:
    """Refuse rows too far from each other, and those where shelf or pressure are not known."""
    for role in _PLAUSIBLE:
        unknown = table.index[1:][table[role].isna()[1:]]
        if not unknown.empty:
            raise DryingRunError(
                f"line {unknown[0]}: {columns[role].heading} is missing, and no readings within "
                f"{_LONGEST_GAP:g} s enclose it; fill it in, or delete the lines before or after "
                "the drying"
            )
    steps = table["time"].diff()
    if steps.max() > _LONGEST_GAP:
        place = int(steps.argmax())
        raise DryingRunError(
            f"nothing was recorded for {steps.max():g} s between the lines "
            f"{table.index[place - 1]} and {table.index[place]}, more than {_LONGEST_GAP:g} s; "
            "delete the lines before or after the drying"
        )


def _filled(values: pd.Series[float], times: pd.Series[float]) -> pd.Series[float]:
    """Values with gaps up to the longest closed by linear interpolation."""
    known = values.notna()
    gaps = times.where(known).bfill() - times.where(known).ffill()
    filled = values.set_axis(times).interpolate("index").set_axis(values.index)
    return filled.where(gaps <= _LONGEST_GAP)


def _cleaned(table: pd.DataFrame, name: str, remarks: list[str]) -> pd.Series[float]:
    """A product temperature without spikes, faults and short gaps."""
    values, times = table[name], table["time"]
    missing = values.isna()
    faults = _implausible(values, "shelf")
    values = values.mask(faults)
    if values.isna().all():
        remarks.append(f"{name}: no reading at all.")
        return values
    spikes = _spikes(values, float(np.median(np.diff(times))))
    filled = _filled(values.mask(spikes), times)
    for found, what, more in (
        (faults, "that no thermocouple gives left out", ""),
        (spikes, "in spikes left out", ""),
        (missing, "missing", f", {(missing & filled.notna()).sum()} of them interpolated"),
    ):
        if found.any():
            number = _some(int(found.sum()), "reading")
            remarks.append(f"{name}: {number} {what} (first in line {found.idxmax()}){more}.")
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
