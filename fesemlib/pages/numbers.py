"""Numbers as text: with a minus sign, with few digits, with their unit left to the heading."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from fesemlib.validation import errors

_SYMBOLS = {"k_m": "kₘ", "R_p": "Rₚ"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def three_digits(value: float, sign: bool = False) -> str:
    """Three significant digits, never in scientific notation; a dash for what is not finite."""
    if not np.isfinite(value):
        return "—"
    decimals = 2 if value == 0 else max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return minus(f"{value:{'+' if sign else ''}.{decimals}f}")


def percent(fraction: float, sign: bool = False) -> str:
    """A fraction in percent, as `three_digits`: 0.126 is 12.6."""
    return three_digits(100 * fraction, sign)


MEASURES: dict[str, Callable[[float], str]] = {
    errors.MEAN: percent,
    errors.WITHOUT_WORST: percent,
    errors.LOG_MEAN: three_digits,
}
"""How each measure of `errors` is written: relative errors in %, logarithms as they are."""


def in_percent(measured: pd.DataFrame) -> pd.DataFrame:
    """Rows of relative errors in %, that of the mean logarithm as it is."""
    return measured.mul(np.where(measured.index == errors.LOG_MEAN, 1, 100), axis=0)


def measure_ranges(measures: pd.DataFrame) -> dict[str, str]:
    """Each row of `errors.measures`: the median and, of several runs, the range."""
    return {
        str(name): row["median"]
        if row["least"] == row["greatest"]
        else f"{row['median']} ({row['least']}–{row['greatest']})"
        for name, row in in_percent(measures).map(three_digits).iterrows()
    }


def significant(value: float, digits: int) -> str:
    """So many digits, however small or large the value, and no power of ten."""
    return f"{Decimal(f'{value:.{digits - 1}e}'):f}"


def power_of_ten(value: float, digits: int = 2) -> str:
    """A small positive number as it is typeset, ``3.1·10⁻⁸``; from 0.01 on as a decimal number."""
    if value == 0 or value >= 0.01:
        return f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def minus(number: str) -> str:
    return number.replace("-", "−")


def typeset(text: str) -> str:
    """Give the symbols k_m and R_p in a plain text their subscripts: kₘ, Rₚ."""
    return re.sub(r"\b(k_m|R_p)\b", lambda match: _SYMBOLS[match[1]], text)


def typeset_label(label: Any) -> Any:
    return typeset(label) if isinstance(label, str) else label
