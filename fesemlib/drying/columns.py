"""The columns of a record as dryers and loggers write them: what each holds, in SI units."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fesemlib.params import quoted
from fesemlib.spreadsheets import with_points

_VOCABULARY = yaml.safe_load(Path(__file__).with_name("columns.yml").read_text(encoding="utf-8"))
_KNOWN: dict[tuple[str, str], tuple[float, float]] = {
    (kind, name): by for kind, names, *by in _VOCABULARY["units"] for name in names.split()
}
_ALLOWED = {"time": "s, min or h", "temperature": "°C or K", "pressure": "Pa, mbar or mTorr"}
_KINDS = {"pirani": "pressure", "product": "temperature", "shelf": "temperature"}

_COLUMNS: dict[str, dict[str, list[str]]] = _VOCABULARY["columns"]
_ROLES = {role: column["names"] for role, column in _COLUMNS.items()}
_NEEDED = {role: column["needed"] for role, column in _COLUMNS.items() if "needed" in column}

# What is computed of several readings, or set, is no reading of a sensor; words between "_".
_COMPUTED = (
    r"(?i)_(av|avg|average|mean|mittel\w*|mw|durchschnitt|min|max|minimum|maximum|std|sd|delta|diff"
    r"|rate|sp|set|sv|target|control|soll\w*)\d*_|avg|average|[øØΔ]|set_?(point|pt)|平均|設定"
)
_MEASURED = r"(?<=\w\w)(ist(wert)?|actual|pv|value)$"  # at the end of a plain name: it is read
_TAG = r"[.:|\\]"  # between the parts of the name of a tag
_CAMEL = r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+"

# Makers whose headings say no unit, but who write one only, by the heading and all headings of the
# file: Millrock and SP's LyoStar, LabOgene. Millrock numbers the phases; this is primary drying.
_MAKERS = {
    r"\S*(vac|chamber)(cpm|cm|pirani)": "mTorr",
    r"actualpressure .*icecondensor": "µbar",
}
_MILLROCK, _PRIMARY_DRYING = "vaccpm", "4"

_EMPTY = {"", "nan", "na", "n/a", "-", "--", "---", "none", "null", "ol", "open"}
_WORDS = r"(?i)burn ?out|(over|under)( ?(range|flow|load))?|err(or)?|fault|#.*|\d\.#\w+|\*+"
_MOST_BELOW = 9  # lines between the heading and the readings
FEWEST = 3  # times that a word or a value stands in a column, to be no misprint

_CLOCK = r"(\d{1,3}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?:\s*([AaPp])\.?[Mm]\b)?"
_DATE = r"(\d{1,4}[-/. 年](?:\d{1,2}|[A-Za-z]{3})[-/. 月]\d{1,4})"
_DATES = ("%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%m-%y", "%m-%d-%y")
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
    kind: str  # of the unit

    @property
    def heading(self) -> str:
        """As it stands in the file."""
        return str(self.texts.name)


def role_count(headings: list[str]) -> int:
    """How many columns of a record the headings of a line name."""
    roles = [_role(*_split(heading))[0] for heading in headings]
    return roles.count("product") + len({*roles} - {"", "product"})


def columns_of(cells: pd.DataFrame, remarks: list[str]) -> dict[str, Column]:
    """The columns that a record is read from, by role, or by name for products."""
    repeated = cells.attrs["repeated"]
    cells = cells[~cells.iloc[:, 0].str.startswith("#")]
    top = cells.head(_MOST_BELOW)
    is_data = top.apply(lambda texts: texts.str.fullmatch(rf"[+-]?[\d.,]*\d|.*{_CLOCK}.*"))
    below = top.index[~is_data.any(axis=1).cummax()]  # units, and what a logger computes
    found = [_column(texts, list(texts[below])) for _, texts in cells.items()]
    found = [column for column in found if column.role]
    for column in found:
        if column.unit and column.heading in repeated:
            name = quoted(column.heading)
            raise DryingRunError(f"column {name} stands there twice; keep one, or rename it")
    texts = with_points(cells[[each.heading for each in found]].drop(below), DryingRunError)
    columns = [_dated(replace(each, texts=texts[each.heading])) for each in found]
    names = [column.name for column in columns]
    chosen = {role: each for role in _ROLES for each in _chosen(role, columns)}
    for each in columns:
        if each.role == "product":
            chosen[each.heading if names.count(each.name) > 1 else each.name] = each
    headings = " ".join(_plain(str(heading)) for heading in cells)
    return _with_units(_with_phase(chosen, headings), headings, remarks)


def _column(texts: pd.Series[str], below: list[str]) -> Column:
    """A column by its heading and what stands between that and the readings."""
    heading = str(texts.name)
    if {"avg", "smp"} & {text.casefold() for text in below}:  # Campbell: over the interval
        heading = re.sub(r"(?i)_(avg|smp)(?=\W|$)", "", heading)
    name, unit = _split(heading)
    role, rank = _role(name, unit)
    kind = _KINDS.get(role, role)
    units = [each for each in (unit, *below) if each == unit or (kind, _plain_unit(each)) in _KNOWN]
    return Column(texts, role, rank, name, max(units[:2], key=bool), kind)


def _split(heading: str) -> tuple[str, str]:
    """Name and unit of a heading; a number in brackets counts the columns."""
    text = unicodedata.normalize("NFKC", heading.replace("º", "°"))
    match = re.fullmatch(r"(.*?)\s*[(\[]\s*([^)\]]*?)\s*[)\]]", text)
    if match and not match[2].isdigit():
        return match[1], match[2]
    match = re.fullmatch(r"(.*?)[\s_,/]+(\S+)", text)
    is_time = match is not None and _plain(match[1]) in ("t", "time")
    known = {unit for _, unit in _KNOWN if is_time or len(unit) > 1 or unit == "c"}
    return (match[1], match[2]) if match and _plain_unit(match[2]) in known else (text, "")


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
                if re.fullmatch(pattern, re.sub(_MEASURED, "", _plain(part))):
                    words = re.sub(_CAMEL, "_", f"_{name[name.index(part) :]}_{unit}_")
                    computed = role != "time" and re.search(_COMPUTED, words)
                    return ("", 0) if computed else (role, rank)
    return "", 0


def _chosen(role: str, columns: list[Column]) -> list[Column]:
    """The column of a role that can be read, and whose name goes first, if there is one."""
    fitting = [column for column in columns if column.role == role != "product"]
    fitting = [column for column in fitting if column.unit] or fitting
    if role == "shelf":  # one that is set, or has no sensor, reads the same throughout
        fitting = [column for column in fitting if len({*column.texts}) > 1] or fitting
    alike = [each for each in fitting if each.rank == min(other.rank for other in fitting)]
    if len(alike) > 1 and role in _NEEDED:
        names = " and ".join(quoted(each.heading) for each in alike[:2])
        why, example = _NEEDED[role]
        raise DryingRunError(f"both {names} {why}; name one of them {example!r}")
    return alike[:1]


def _with_units(columns: dict[str, Column], headings: str, remarks: list[str]) -> dict[str, Column]:
    """Columns with the units that go without saying: of temperatures, and of some makers."""
    assumed: dict[str, list[str]] = {}
    for role, column in columns.items():
        if not column.unit and column.kind in _ALLOWED:
            told = f"{_plain(column.name)} {headings}"
            units = [unit for maker, unit in _MAKERS.items() if re.match(maker, told)]
            unit = "°C" if column.kind == "temperature" else "".join(units)
            columns = columns | {role: replace(column, unit=unit)}
            assumed.setdefault(unit, []).append(quoted(column.heading))
    remarks += [f"{', '.join(c)}: no unit, taken as {unit}." for unit, c in assumed.items() if unit]
    if "pirani" in columns and ("pressure", _plain_unit(columns["pirani"].unit)) not in _KNOWN:
        del columns["pirani"]
    return columns


def check_needed(files: list[dict[str, Column]], there: str) -> None:
    """Refuse a record that lacks something, in one message; each of its files needs a time."""
    columns = [column for each in files for column in each.values()]
    missing = {*_NEEDED} - {column.role for column in columns}
    missing |= set() if all("time" in each for each in files) else {"time"}
    told = []
    if missing:
        whys, examples = zip(*(_NEEDED[role] for role in _NEEDED if role in missing), strict=True)
        names = ", one ".join(map(repr, examples))
        told = [f"no column {', '.join(whys)}, {there}; name one of them {names}"]
    for column in columns:
        if column.kind in _ALLOWED and not column.unit:
            units = _ALLOWED[column.kind]
            example = f"{column.name} ({re.split('[ ,]', units)[0]})"
            name = quoted(column.heading)
            told.append(f"column {name} has no unit; write it as in {example!r}, in {units}")
    if told:
        raise DryingRunError("; ".join(told))


def in_si(column: Column, remarks: list[str]) -> pd.Series[float]:
    """The values of a column in SI, NaN where there is none; of a clock, s."""
    texts, heading = column.texts, column.heading
    if column.unit == READ:
        return texts.astype(float)
    unit = _plain_unit(column.unit)
    if (column.kind, unit) not in _KNOWN:
        raise DryingRunError(
            f"column {quoted(heading)}: unit {quoted(column.unit)} is no unit of {column.kind} "
            f"that is understood; convert to {_ALLOWED[column.kind]}"
        )
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    odd = texts[~np.isfinite(numbers)]
    odd = odd[~odd.str.casefold().isin(_EMPTY)]
    often = odd.map(odd.value_counts()) >= FEWEST
    words = odd.str.fullmatch(_WORDS) | (often & ~odd.str.contains(r"\d"))
    words |= column.role == "pirani"  # which the run can do without
    words &= column.role != "time"
    if words.any():
        told = ", ".join(map(quoted, odd[words].unique()[:3]))
        remarks.append(f"{heading}: {told} in {words.sum()} lines taken for no reading.")
    bad = odd[~words]
    if not bad.empty:
        remedy = "correct it or " + (
            "delete the line" if column.role == "time" else "leave it empty"
        )
        if re.search(r"\d[:-]\d", bad.iloc[0]):
            remedy = "give the time that has passed, as a number"
        raise DryingRunError(
            f"line {bad.index[0]}: {heading} = {quoted(bad.iloc[0])} is not a number; {remedy}"
        )
    factor, summand = _KNOWN[column.kind, unit]
    return numbers.where(np.isfinite(numbers)) * factor + summand


def _with_phase(columns: dict[str, Column], headings: str) -> dict[str, Column]:
    """The same columns, the phase as 1 in primary drying and 0 elsewhere, if it can be told."""
    phase = columns.pop("phase", None)
    if phase is not None:
        told = phase.texts.str.contains("primary|haupttrocknung|一次", case=False)
        told |= (phase.texts == _PRIMARY_DRYING) & (_MILLROCK in headings)
        if told.any():
            columns["phase"] = replace(phase, texts=told.rename(phase.heading), unit=READ)
    return columns


def _dated(column: Column) -> Column:
    """A column of clocks as s from some midnight, the other columns as they are.

    Without dates, no step is longer than half a day.
    """
    found = column.texts.str.extract(_CLOCK)
    if column.role != "time" or not found[0].notna().mean() > 0.5:
        return column
    hours, minutes, seconds = (pd.to_numeric(found[n].str.replace(",", ".")) for n in range(3))
    half = found[3].str.casefold()
    hours = hours.where(half.isna(), hours % 12) + 12 * (half == "p")
    time = 3600 * hours + 60 * minutes + seconds.fillna(0)
    if seconds.isna().all():  # several readings in one minute
        same = time.groupby((time != time.shift()).cumsum())
        time += 60 * same.cumcount() / same.transform("size")
    days = _days(column.texts.str.replace(_CLOCK, "", regex=True))
    steps = (time.diff().fillna(0) + _DAY / 2) % _DAY - _DAY / 2
    time = time.iloc[0] + steps.cumsum() if days is None else _DAY * days + time
    time = time.where(found[0].notna()).rename(column.heading)
    return replace(column, texts=time, unit=READ)


def _days(texts: pd.Series[str]) -> pd.Series[int] | None:
    """Days from dates; whether the day or the month stands first, the shorter record decides."""
    dates = texts.str.extract(_DATE)[0].str.replace(r"\W|年|月", "-", regex=True)
    tried = [pd.to_datetime(dates, format=form, errors="coerce") for form in _DATES]
    days = [(each - pd.Timestamp(2000, 1, 1)).dt.days for each in tried if each.notna().all()]
    return min(days, key=lambda each: each.diff().abs().sum(), default=None)
