"""Numbers as text: with a minus sign, with few digits, with their unit left to the heading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from fesemlib.validation import errors

_SYMBOLS = {"k_m": "kₘ", "R_p": "Rₚ"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def measure_range(measure: str, values: Mapping[str, float]) -> str:
    """One of the measures of `errors` as text: median and, of several runs, the range.

    Parameters
    ----------
    measure
        Its name; relative errors are given in %, logarithms as they are.
    values
        ``median, least, greatest``.

    Examples
    --------
    >>> measure_range(errors.LOG_MEAN, {"median": 0.3, "least": 0.25, "greatest": 0.4})
    '0.300 (0.250–0.400)'
    """
    shown = {name: measure_text(measure, values[name]) for name in ("median", "least", "greatest")}
    if shown["least"] == shown["greatest"]:
        return shown["median"]
    return f"{shown['median']} ({shown['least']}–{shown['greatest']})"


def measure_text(measure: str, value: float, sign: bool = False) -> str:
    """A value of one of the measures of `errors`; a dash where it is not finite.

    Examples
    --------
    >>> measure_text(errors.MEAN, 0.3), measure_text(errors.LOG_MEAN, 0.3)
    ('30.0', '0.300')
    """
    if measure != errors.LOG_MEAN:
        return percent(value, sign)
    return minus(f"{value:{'+' if sign else ''}.3f}") if np.isfinite(value) else "—"


def significant(value: float, digits: int) -> str:
    """So many digits, however small or large the value, and no power of ten."""
    return f"{Decimal(f'{value:.{digits - 1}e}'):f}"


def minus(number: str) -> str:
    return number.replace("-", "−")


def typeset(text: str) -> str:
    """Give the symbols in a plain text their subscripts.

    Parameters
    ----------
    text
        With ``k_m`` and ``R_p``.

    Examples
    --------
    >>> typeset("R_p follows from k_m.")
    'Rₚ follows from kₘ.'
    """
    return re.sub(r"\b(k_m|R_p)\b", lambda match: _SYMBOLS[match[1]], text)


def typeset_label(label: object) -> object:
    return typeset(label) if isinstance(label, str) else label


def power_of_ten(value: float, digits: int = 1) -> str:
    """A small positive number as it is typeset: ``3.1·10⁻⁸``; from 0.01 on, as a decimal number.

    Parameters
    ----------
    value
        Such as a probability.
    digits
        Significant ones.

    Examples
    --------
    >>> power_of_ten(3.1e-8, 2), power_of_ten(0.25, 2)
    ('3.1·10⁻⁸', '0.25')
    """
    if value == 0 or value >= 0.01:
        return f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def percent(fraction: float, sign: bool = False) -> str:
    """A fraction in percent with three significant digits, never in scientific notation.

    Parameters
    ----------
    fraction
        What is not finite, such as the error of a training that diverged, becomes a dash.
    sign
        Whether a positive number has its sign, too.

    Examples
    --------
    >>> percent(0.126), percent(0.126, sign=True), percent(float("inf"))
    ('12.6', '+12.6', '—')
    """
    if not np.isfinite(fraction):
        return "—"
    value = 100 * fraction
    decimals = 2 if value == 0 else max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return minus(f"{value:{'+' if sign else ''}.{decimals}f}")
