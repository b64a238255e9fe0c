"""Tables in the words of ``words.yml``: their captions, headings and ways to write numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pandas.io.formats.style import Styler

from fesemlib.pages.numbers import minus, percent, three_digits
from fesemlib.pages.report import show_table

WORDS: dict[str, dict[str, Any]] = yaml.load(
    Path(__file__).with_name("words.yml").read_text(encoding="utf-8"), yaml.BaseLoader
)


def shown(
    name: str,
    table: pd.DataFrame,
    formats: Mapping[Any, Any] | None = None,
    texts: Collection[str] = (),
    **told: object,
) -> Styler:
    """A table in its words: the columns that they name, if any; `formats` of further ones."""
    words = WORDS[name]
    columns = {key: each for key, each in words.get("columns", {}).items() if key in table}
    if columns:
        table = table[[*columns, *(formats or {})]]
        table = table.rename(columns={key: heading for key, (heading, _) in columns.items()})
    forms = {heading: _FORMS.get(form, form) for heading, form in columns.values()}
    texts = [*texts, *(heading for heading, form in columns.values() if form == "text")]
    caption = words["caption"].format(**told)
    return show_table(table, caption, {**forms, **(formats or {})}, "narrow" in words, texts)


def celsius(kelvin: float) -> str:
    """A temperature of ice; where it is infinite, the ice melts."""
    return "melts" if math.isinf(kelvin) else minus(f"{kelvin - 273.15:.1f}")


def _bounded(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


_FORMS: dict[str, str | Callable[[Any], str]] = {
    "text": "{}",  # over several lines
    "percent": percent,
    "signed percent": partial(percent, sign=True),
    "signed tenths of a percent": lambda fraction: minus(f"{100 * fraction:+.1f}"),
    "three digits": three_digits,
    "bounded": _bounded,
    "celsius": celsius,
    "hours": lambda seconds: f"{seconds / 3600:.1f}",
    "hundredths of hours": lambda seconds: f"{seconds / 3600:.2f}",
    "duration": lambda seconds: _bounded(seconds / 3600),
    "thousandths": lambda value: f"{1e3 * value:#.3g}",
}
