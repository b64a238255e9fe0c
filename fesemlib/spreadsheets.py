"""Tables as instruments and spreadsheets save them, text or XLSX: the cells below the heading."""

from __future__ import annotations

import csv
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, time, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from charset_normalizer import from_bytes

from fesemlib.params import quoted

Rows = list[tuple[int, list[str]]]  # the line of the file, and its cells

_SEPARATORS = ",;\t|"
_HIGHEST_HEADING = 200  # lines of the file among which the heading is looked for
_MOST_COLUMNS = 512
_MOST_BYTES = 64 << 20  # of an XLSX file, unpacked
_MOST_CELLS = 4_000_000

# A number as it is written with a decimal point, and with a decimal comma; with thousands signs.
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_POINT = rf"[+-]?(?:[1-9]\d{{0,2}}(?:,\d{{3}})+|\d*)(?:\.\d*)?{_EXPONENT}"
_COMMA = rf"[+-]?(?:[1-9]\d{{0,2}}(?:[. \u00a0'’]\d{{3}})+|\d*)(?:,\d*)?{_EXPONENT}"
# By the decimal sign, or where it cannot be told: how numbers are written, and what groups digits.
_STYLES = {".": (_POINT, ","), ",": (_COMMA, r"[. \u00a0'’]"), "": (_COMMA, "(?!)")}


def read_cells(
    path: Path, error: type[ValueError], named: Callable[[list[str]], int], remedy: str
) -> pd.DataFrame:
    """The cells below the heading as stripped text, by line of the file.

    The heading is the first line with the most cells that are looked for; `named` counts them.
    `remedy` says what to do about a decimal comma in a comma-separated file. Of a heading that
    stands there again the others are numbered, as in ``Time [2]``. ``attrs``: the `encoding`, and
    the `repeated` headings.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            raise ValueError("it is an Excel file of the old kind; save it as XLSX")
        is_book = content.startswith(b"PK\3\4")
        text, encoding = ("", "XLSX") if is_book else _text(content)
        tables = _sheets(content) if is_book else _separated(text)
        filled = [[row for row in rows if any(row[1])] for rows in tables]
        headings = [
            (names, rows, place + 1)
            for rows in filled
            for place, (_, row) in enumerate(rows[:_HIGHEST_HEADING])
            if any(names := [row[0].lstrip("#% "), *row[1:_MOST_COLUMNS]])
        ]
        if not headings:
            raise ValueError("its first line is empty")
    except (OSError, ValueError, csv.Error) as problem:
        raise error(
            f"cannot be read as CSV ({problem}); save it as comma-separated UTF-8 text whose "
            "first line names the columns"
        ) from problem
    # If no line names anything, the first one is told, parted into the most cells.
    names, rows, first = max(
        headings, key=lambda each: named(each[0]) or (each[2] == 1) * len(each[0]) / 1000
    )
    cells = _table(names, rows[first:], error, remedy)
    cells.attrs["encoding"] = encoding
    return cells


def _table(names: list[str], rows: Rows, error: type[ValueError], remedy: str) -> pd.DataFrame:
    """The cells by line and name, without columns that have none."""
    for line, row in rows:
        if any(row[len(names) :]):
            raise error(
                f"line {line} holds more values than the first line has names; write numbers with "
                f"a decimal point, {remedy}"
            )
    times = [names[:place].count(name) for place, name in enumerate(names)]
    unique = [f"{name} [{n + 1}]" if n else name for name, n in zip(names, times, strict=True)]
    padding = [""] * len(names)
    filled = {line: [*row, *padding][: len(names)] for line, row in rows}
    cells = pd.DataFrame.from_dict(filled, orient="index", columns=unique, dtype=str)
    cells.attrs["repeated"] = {name for name in names if name and names.count(name) > 1}
    return cells.loc[:, [name != "" for name in names]]


def _separated(text: str) -> list[Rows]:
    """The rows of a text by what may separate the cells; Excel may say it in the first line."""
    told = re.match(r"sep=(.)\s*\n", text)
    tables = []
    for separator in told[1] if told else [sign for sign in _SEPARATORS if sign in f"{text},"]:
        # A quotation mark that is never closed swallows the NUL, which no text has.
        lines = [*StringIO(f"{text}\n"), "\0"]
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        if rows.pop()[1] == ["\0"]:
            tables.append(rows[bool(told) :])
    if not tables:
        raise ValueError("a quotation mark is not closed")
    return tables


def _text(content: bytes) -> tuple[str, str]:
    """Decode a file, with the ends of its lines as Python has them; the encoding."""
    for encoding in _encodings(content):
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if "\0" in text:
                raise ValueError("it holds NUL bytes")
            with_minus = text.replace("\u2212", "-")
            return StringIO(with_minus, newline=None).read(), encoding
    raise ValueError("its encoding is not known")


def _encodings(content: bytes) -> Iterator[str]:
    """What a file may be encoded in, the likeliest first."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield "utf-16"
    if 3 * content.count(0) > len(content):
        yield "utf-16-be" if content[0] == 0 else "utf-16-le"
    yield "utf-8-sig"
    beyond = [len(each) for each in re.findall(rb"[\x80-\xff]+", content)]
    # Shift-JIS begins most characters with bytes that Windows' Western text hardly has, whose
    # letters beyond ASCII stand alone.
    if 4 * len(re.findall(rb"[\x81-\x9f]", content)) > sum(beyond):
        yield "cp932"
    if 2 * sum(each for each in beyond if each > 1) > sum(beyond):
        yield from (guess.encoding for guess in from_bytes(content[:100_000]))
    yield "cp1252"


def _sheets(content: bytes) -> list[Rows]:
    """The sheets of an XLSX file, as text."""
    import openpyxl

    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"unpacked it takes {size >> 20} MiB, more than {_MOST_BYTES >> 20}")
        with warnings.catch_warnings(action="ignore"):
            book = openpyxl.load_workbook(BytesIO(content), read_only=True, data_only=True)
            return [list(_sheet(sheet)) for sheet in book.worksheets]
    except Exception as problem:  # what openpyxl raises is not told
        raise ValueError(f"as an XLSX file: {quoted(str(problem), 120)}") from problem


def _sheet(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # what the file says of them may be wrong
    seen = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        seen += len(row) + 4  # an empty row costs, too
        if seen > _MOST_CELLS:
            raise ValueError(f"a sheet has more than {_MOST_CELLS} cells")
        if any(value is not None for value in row):
            yield number, [_written(value).strip() for value in row]


def _written(value: object) -> str:
    """The value of a cell as text that reads as in a text file."""
    if isinstance(value, timedelta):
        minutes, seconds = divmod(value.total_seconds(), 60)
        return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{seconds:06.3f}"
    if isinstance(value, date | time):
        return value.isoformat().replace("T", " ")
    return "" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)


def with_points(cells: pd.DataFrame, error: type[ValueError]) -> pd.DataFrame:
    """The same cells, in which numbers have a decimal point and no thousands signs.

    A column tells how it is written, or else the others do; one that mixes both stays as it is.
    """
    whole = _style(pd.Series(pd.unique(cells.to_numpy(dtype=str).ravel()), dtype=str))
    return cells.apply(lambda texts: _as_points(texts, whole, error))


def _style(texts: pd.Series[str]) -> str:
    """The decimal sign: a point or a comma; both, or nothing where it cannot be told."""
    numbers = texts[texts.str.contains(r"[.,]") & texts.str.contains(r"\d")]
    point, comma = (numbers.str.fullmatch(form) for form in (_POINT, _COMMA))
    return "." * bool((point & ~comma).any()) + "," * bool((comma & ~point).any())


def _as_points(texts: pd.Series[str], whole: str, error: type[ValueError]) -> pd.Series[str]:
    each = pd.Series(texts.unique(), dtype=str)
    style = _style(each) or whole
    doubtful = each[each.str.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+")]
    if not style and not doubtful.empty and each.str.fullmatch(r"[+-]?\d{3}").any():
        line, text = (texts == doubtful.iloc[0]).idxmax(), quoted(doubtful.iloc[0])
        raise error(
            f"line {line}: {texts.name} = {text} has a decimal comma or a thousands sign; write it "
            "without the latter"
        )
    if style not in _STYLES:
        return texts
    form, groups = _STYLES[style]
    plain = each.str.replace(groups, "", regex=True).str.replace(",", ".", regex=False)
    fits = each.str.fullmatch(form)
    return texts.map(dict(zip(each, each.mask(fits, plain), strict=True)))
