"""The columns of a record as dryers and loggers write them: what each holds, in SI units."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fesemlib.params import quoted
from fesemlib.spreadsheets import with_points

# What turns a unit, written without blanks and in small letters, into SI: a factor and a summand.
_UNITS = {
    "time": {
        "s sec second seconds": (1.0, 0.0),
        "min minute minutes": (60.0, 0.0),
        "h hr hrs hour hours": (3600.0, 0.0),
    },
    "pressure": {
        "pa": (1.0, 0.0),
        "hpa mbar": (100.0, 0.0),
        "kpa": (1000.0, 0.0),
        "ubar microbar": (0.1, 0.0),
        "mtorr mt millitorr micron microns": (101_325 / 760_000, 0.0),
        "torr mmhg": (101_325 / 760, 0.0),
    },
    "temperature": {
        "°c c degc celsius": (1.0, 273.15),
        "k kelvin": (1.0, 0.0),
        "°f f degf fahrenheit": (5 / 9, 273.15 - 160 / 9),
    },
}
_KNOWN = {
    kind: {name: by for names, by in units.items() for name in names.split()}
    for kind, units in _UNITS.items()
}
_ALLOWED = {"time": "s, min or h", "temperature": "°C or K", "pressure": "Pa, mbar or mTorr"}
_KINDS = {"pirani": "pressure", "product": "temperature", "shelf": "temperature"}

# Names of columns, in small letters and without signs; of several that fit, those before go.
_T = r"(temperature|temp|t)?"
_ROLES = {
    "time": (
        r"t|time|(elapsed|process|run|cycle)time|elapsed|zeit|(経過)?時間",
        r"timestamp|date(and)?time|uhrzeit|時刻|日時|チャンネル名",
        r"date|datum|日付",
    ),
    "shelf": (
        rf"{_T}(shelf|fluid){_T}|tf|stellfl(ä|ae)che|棚温?度?",
        rf"{_T}(shelf|fluid|棚)(inlet|in|入口){_T}",
        rf"{_T}(shelf|fluid|棚)(outlet|out|出口){_T}",
        rf"{_T}(shelf|fluid|棚)\d{_T}",
    ),
    "pressure": (
        r"(vac|chamber|pressure)?(cpm|cm|capman|capacitance(manometer|gauge)?|baratron)(pressure)?",
        r"p|pc|pch|pchamber|(actual|chamber)?(pressure|vacuum)|(kammer)?druck|vakuum"
        r"|\w*(真空度|圧力)",
    ),
    "pirani": (r"\w*pirani(pressure|gauge)?",),
    "phase": (r"(drying|process|recipe)?(phase|stage)(name)?",),
    "product": (
        r"(t|tc|temperature)?(product|bottom|vial|thermocouple|probe)\w*|tc\d*|tp\d*|t\d+"
        r"|produkt\w*|(品温|製品)\w*",
    ),
}
_NEEDED = {
    "time": ("for the time", "time (h)"),
    "shelf": ("for the shelf", "T_shelf (°C)"),
    "pressure": ("for the pressure", "pressure (Pa)"),
    "product": ("of a product temperature", "T_product_1 (°C)"),
}

# What is computed of several readings, or set, is no reading of a sensor; words between "_".
_COMPUTED = (
    r"(?i)_(av|avg|average|mean|mittel\w*|min|max|minimum|maximum|std|sd|sp|set|sv|target|soll\w*)"
    r"\d*_|avg|average|set_?(point|pt)|平均|設定"
)
_TAG = r"[.:|\\]"  # between the parts of the name of a tag
_CAMEL = r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+"

# Makers whose headings say no unit, but who write one only: Millrock, SP's LyoStar, LabOgene.
_MAKERS = {r"vac(cpm|pirani)|chamber(cm|pirani)": "mTorr", "actualpressure": "µbar"}
_PRIMARY_DRYING = {"vaccpm": 4}  # Millrock numbers the phases

_EMPTY = {"", "nan", "na", "n/a", "-", "--", "---", "none", "null", "ol", "open"}
_WORDS = r"(?i)burn ?out|(over|under)( ?(range|flow|load))?|err(or)?|fault|#.*|\*+"
FEWEST = 3  # times that a word or a value stands in a column, to be no misprint

_CLOCK = r"(\d{1,3}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?:\s*([AaPp])\.?[Mm]\b)?"
_DATE = r"(\d{1,4})[-/. 年](\d{1,2}|[A-Za-z]{3})[A-Za-z]*[-/. 月](\d{2,4})"
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_DAY = 86_400.0  # s
READ = "as read"  # the unit of what is read already: clocks in s, phases as 1 and 0


class DryingRunError(ValueError):
    """A record of a drying run is missing, malformed, or cannot give a k_m."""


@dataclass(frozen=True)
class Column:
    """A column of a record."""

    texts: pd.Series[Any]  # by line of the file; its name is the heading
    role: str  # a key of _ROLES, or "" for none
    rank: int  # among the names of the role
    name: str
    unit: str

    @property
    def heading(self) -> str:
        """As it stands in the file."""
        return str(self.texts.name)

    @property
    def kind(self) -> str:
        """What the unit is one of."""
        return _KINDS.get(self.role, self.role)


def role_count(headings: list[str]) -> int:
    """How many columns of a record the headings of a line name."""
    roles = [_role(*_split(heading))[0] for heading in headings]
    return roles.count("product") + len({*roles} - {"", "product"})


def columns_of(cells: pd.DataFrame, remarks: list[str]) -> dict[str, Column]:
    """The columns that a record is read from, by role, or by name for products."""
    repeated = cells.attrs["repeated"]
    cells = cells[~cells.iloc[:, 0].str.startswith("#")]
    is_data = cells.apply(lambda texts: texts.str.fullmatch(rf"[+-]?[\d.,]*\d|.*{_CLOCK}.*"))
    below = cells.index[~is_data.any(axis=1).cummax()]  # units, and what a logger computes
    found = [_column(texts, list(texts[below])) for _, texts in cells.items()]
    for column in found:
        if column.role and column.unit and column.heading in repeated:
            name = quoted(column.heading)
            raise DryingRunError(f"column {name} stands there twice; keep one, or rename it")
    headings = [column.heading for column in found if column.role]
    texts = with_points(cells[headings].drop(below), DryingRunError)
    columns = [_dated(replace(c, texts=texts[c.heading])) for c in found if c.role]
    chosen = {role: _chosen(role, columns) for role in _ROLES if role != "product"}
    products = [column for column in columns if column.role == "product"]
    names = [column.name for column in products]
    named = {c.heading if names.count(c.name) > 1 else c.name: c for c in products}
    chosen |= named
    known = _with_phase({role: column for role, column in chosen.items() if column})
    return _with_units(known, remarks)


def _column(texts: pd.Series[str], below: list[str]) -> Column:
    """A column by its heading and what stands between that and the readings."""
    heading = str(texts.name)
    if {"avg", "smp"} & {text.casefold() for text in below}:  # Campbell: over the interval
        heading = re.sub(r"(?i)_(avg|smp)(?=\W|$)", "", heading)
    name, unit = _split(heading)
    role, rank = _role(name, unit)
    column = Column(texts, role, rank, name, unit)
    units = [text for text in below if _plain_unit(text) in _KNOWN.get(column.kind, ())]
    return replace(column, unit=next(iter([unit] * bool(unit) + units), ""))


def _split(heading: str) -> tuple[str, str]:
    """Name and unit of a heading; a number in brackets counts the columns."""
    text = unicodedata.normalize("NFKC", heading.replace("º", "°"))
    match = re.fullmatch(r"(.*?)\s*[(\[]\s*([^)\]]*?)\s*[)\]]", text)
    if match and not match[2].isdigit():
        return match[1], match[2]
    match = re.fullmatch(r"(.*?)[\s_,/]+(\S+)", text)
    is_time = match is not None and _plain(match[1]) in ("t", "time")
    known = {unit for units in _KNOWN.values() for unit in units if is_time or len(unit) > 1}
    return (match[1], match[2]) if match and _plain_unit(match[2]) in {*known, "c"} else (text, "")


def _plain_unit(unit: str) -> str:
    text = unicodedata.normalize("NFKC", unit.replace("º", "°"))
    return re.sub(r"[\s.]", "", text).casefold().replace("\u03bc", "u")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _role(name: str, unit: str) -> tuple[str, int]:
    """The role of a column of that name, and the rank of the name; a tag may have several parts."""
    for part in (name, *re.split(_TAG, name)):
        for role, patterns in _ROLES.items():
            for rank, pattern in enumerate(patterns):
                if re.fullmatch(pattern, _plain(part)):
                    words = re.sub(_CAMEL, "_", f"_{name[name.index(part) :]}_{unit}_")
                    computed = role != "time" and re.search(_COMPUTED, words)
                    return ("", 0) if computed else (role, rank)
    return "", 0


def _chosen(role: str, columns: list[Column]) -> Column | None:
    """The column of a role that can be read, and whose name goes first."""
    fitting = [column for column in columns if column.role == role]
    if role == "time":
        fitting = [column for column in fitting if column.unit] or fitting
    alike = [each for each in fitting if each.rank == min(other.rank for other in fitting)]
    if len(alike) > 1 and alike[0].rank > 2:  # a shelf without a sensor reads the same throughout
        alike = [each for each in alike if len({*each.texts}) > 1] or alike
    if len(alike) > 1 and role in _NEEDED:
        names = " and ".join(quoted(each.heading) for each in alike[:2])
        why, example = _NEEDED[role]
        raise DryingRunError(f"both {names} {why}; name one of them {example!r}")
    return alike[0] if alike else None


def _with_units(columns: dict[str, Column], remarks: list[str]) -> dict[str, Column]:
    """Columns with the units that go without saying: of temperatures, and of some makers."""
    assumed: dict[str, list[str]] = {}
    for role, column in columns.items():
        if not column.unit and column.kind in _KNOWN:
            parts = [_plain(part) for part in re.split(_TAG, column.name)]
            told = [u for maker, u in _MAKERS.items() if any(re.fullmatch(maker, p) for p in parts)]
            unit = "°C" if column.kind == "temperature" else "".join(told)
            columns = columns | {role: replace(column, unit=unit)}
            assumed.setdefault(unit, []).append(quoted(column.heading))
    remarks += [f"{', '.join(c)}: no unit, taken as {unit}." for unit, c in assumed.items() if unit]
    return {role: column for role, column in columns.items() if role != "pirani" or column.unit}


def check_needed(files: list[dict[str, Column]], read: list[pd.DataFrame]) -> None:
    """Refuse a record that lacks something, in one message; each of its files needs a time."""
    columns = [column for each in files for column in each.values()]
    roles = {column.role for column in columns if all("time" in each for each in files)}
    roles |= {column.role for column in columns} - {"time"}
    missing = [_NEEDED[role] for role in _NEEDED if role not in roles]
    told = []
    if missing:
        headings = quoted(", ".join(str(heading) for cells in read for heading in cells), 200)
        as_what = {cells.attrs["encoding"] for cells in read} - {"utf-8-sig"}
        there = f"the file has {headings}" + "".join(f" (read as {each})" for each in as_what)
        whys, examples = zip(*missing, strict=True)
        names = ", one ".join(map(repr, examples))
        told = [f"no column {', '.join(whys)}, {there}; name one of them {names}"]
    for column in columns:
        units = _ALLOWED.get(column.kind, "")
        if units and not column.unit:
            first = re.split("[ ,]", units)[0]
            told += [
                f"column {quoted(column.heading)} has no unit; write it as in "
                f"'{column.name} ({first})', in {units}"
            ]
    if told:
        raise DryingRunError("; ".join(told))


def in_si(column: Column, remarks: list[str]) -> pd.Series[float]:
    """The values of a column in SI, NaN where there is none; of a clock, s."""
    texts, heading = column.texts, column.heading
    if column.unit == READ:
        return texts.astype(float)
    unit = _plain_unit(column.unit)
    if unit not in _KNOWN[column.kind]:
        raise DryingRunError(
            f"column {quoted(heading)}: unit {quoted(column.unit)} is no unit of {column.kind} "
            f"that is understood; convert to {_ALLOWED[column.kind]}"
        )
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    empty = texts.str.casefold().isin(_EMPTY)
    often = texts.map(texts.value_counts()) >= FEWEST
    words = texts.str.fullmatch(_WORDS) | (often & ~texts.str.contains(r"\d"))
    words &= ~empty & (column.role != "time")
    if words.any():
        told = ", ".join(map(quoted, texts[words].unique()[:3]))
        remarks.append(f"{heading}: {told} in {words.sum()} lines taken for no reading.")
    bad = texts[~np.isfinite(numbers) & ~empty & ~words]
    if not bad.empty:
        remedy = "correct it or leave it empty"
        if re.search(r"\d[:-]\d", bad.iloc[0]):
            remedy = "give the time that has passed, as a number"
        raise DryingRunError(
            f"line {bad.index[0]}: {heading} = {quoted(bad.iloc[0])} is not a number; {remedy}"
        )
    factor, summand = _KNOWN[column.kind][unit]
    return numbers.where(~empty & ~words) * factor + summand


def _with_phase(columns: dict[str, Column]) -> dict[str, Column]:
    """The same columns, the phase as 1 in primary drying and 0 elsewhere, if it can be told."""
    if "phase" not in columns:
        return columns
    column, names = columns["phase"], {_plain(column.name) for column in columns.values()}
    numbers = [number for maker, number in _PRIMARY_DRYING.items() if maker in names]
    told = column.texts.str.contains("primary|haupttrocknung|一次", case=False)
    told |= pd.to_numeric(column.texts, errors="coerce").isin(numbers)
    phase = {"phase": replace(column, texts=told.rename(column.heading), unit=READ)}
    return {role: each for role, each in columns.items() if role != "phase"} | (
        phase if told.any() else {}
    )


def _dated(column: Column) -> Column:
    """A column of clocks as s from some midnight, the other columns as they are.

    Without dates, no step is longer than half a day.
    """
    texts = column.texts
    found = texts.str.extract(_CLOCK)
    if column.role != "time" or found[0].notna().mean() < 0.5 or texts.empty:
        return column
    if found[0].isna().any():
        line = found.index[found[0].isna()][0]
        raise DryingRunError(
            f"line {line}: {texts.name} = {quoted(texts[line])} is no time of day, as the others "
            "are; correct it or delete the line"
        )
    hours, minutes, seconds = (pd.to_numeric(found[n].str.replace(",", ".")) for n in range(3))
    half = found[3].str.casefold()
    hours = hours.where(half.isna(), hours % 12) + 12 * (half == "p")
    time = 3600 * hours + 60 * minutes + seconds.fillna(0)
    if seconds.isna().all():  # several readings in one minute
        same = time.groupby((time != time.shift()).cumsum())
        time += 60 * same.cumcount() / same.transform("size")
    days = _days(texts.str.replace(_CLOCK, "", regex=True))
    if days is None:
        steps = (time.diff().fillna(0) + _DAY / 2) % _DAY - _DAY / 2
        days = (time.iloc[0] + steps.cumsum() - time) / _DAY
    return replace(column, texts=(_DAY * days + time).rename(texts.name), unit=READ)


def _days(texts: pd.Series[str]) -> pd.Series[float] | None:
    """Days from dates; whether the day or the month stands first, the shorter record decides."""
    parts = texts.str.extract(_DATE)
    if parts.isna().any(axis=None):
        return None
    months = parts[1].str.casefold().map({_MONTHS[3 * n : 3 * n + 3]: n + 1 for n in range(12)})
    first, third = pd.to_numeric(parts[0]), pd.to_numeric(parts[2])
    second = months.fillna(pd.to_numeric(parts[1], errors="coerce"))
    orders = [(third, second, first), (third, first, second)]
    if first.max() > 31:
        orders = [(first, second, third)]
    tried = []
    for year, month, day in orders:
        dates = {"year": year.where(year > 99, year + 2000), "month": month, "day": day}
        days = pd.to_datetime(pd.DataFrame(dates), errors="coerce") - pd.Timestamp(2000, 1, 1)
        tried += [days.dt.days.astype(float)] * bool(days.notna().all())
    return min(tried, key=lambda days: days.diff().abs().sum(), default=None)
