"""Tables of the chapter on what the choices do, and the banner of its second half."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.evaluation.sensitivity import LOGARITHM, RELATIVE, STEPS, change_in_words, in_words
from fesemlib.pages.numbers import percent
from fesemlib.pages.report import show_table
from fesemlib.pages.statements import Banner
from fesemlib.validation.errors import LOG_MEAN, MEAN, WITHOUT_WORST


def show_cells(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.sensitivity.cell_table`.

    Examples
    --------
    >>> cell = {"target": "raw", "training_error": [0.04], "missed": 1, "trainings": 9}
    >>> errors = {"steps": 800.0, "mean": 0.4, "mean without the worst": 0.1, "mean |ln|": 0.25}
    >>> shown = show_cells(pd.DataFrame({**cell, **errors}, index=[1])).data
    >>> ", ".join(shown.loc[1])
    'raw, 4.00, 1 of 9, 800, 40.0, 10.0, 0.25'
    """
    trained = table["steps"].notna()
    levels = list(table.columns[: table.columns.get_loc("training_error")])
    missed = [f"{row.missed:.0f} of {row.trainings:.0f}" for row in table.itertuples()]
    shown = pd.DataFrame({in_words(name): table[name].map(in_words) for name in levels})
    shown["training error (%)"] = table["training_error"].map(percent)
    shown["missed"] = missed
    shown["steps"] = [f"{steps:,.0f}" for steps in table["steps"]]
    shown = shown.where(trained, "")
    shown["mean (%)"] = table[MEAN].map(percent)
    shown["without the worst (%)"] = table[WITHOUT_WORST].map(percent)
    shown[LOG_MEAN] = [_logarithm(value) for value in table[LOG_MEAN]]
    return show_table(
        shown,
        "Every combination of the levels: training error and steps, medians over the trainings, "
        "and how many trainings missed the criterion; then the relative error of the held-out "
        "formulations, its mean with and without the worst of them, and the mean of "
        "|ln(predicted / true)|",
    )


def show_effects(effects: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.sensitivity.main_effects`.

    Examples
    --------
    >>> effect = {"factor": "target", "first": "minmax", "level": "log10", "effect": -0.1}
    >>> limits = {"low": -0.2, "high": 0.0, "measure": [RELATIVE, LOGARITHM, STEPS]}
    >>> shown = show_effects(pd.DataFrame({**effect, **limits})).data
    >>> print("; ".join(shown.loc["target: minmax → log10"]))
    −10.0 (−20.0 to +0.0); −0.10 (−0.20 to +0.00); 0.90 (0.82 to 1.00)
    """
    rows: dict[str, dict[str, str]] = {}
    for row in effects.to_dict("records"):
        name = change_in_words(row["factor"], row["first"], row["level"])
        column, written = _EFFECTS[row["measure"]]
        rows.setdefault(name, {})[column] = _with_limits(
            *(written(row[part]) if np.isfinite(row[part]) else "" for part in _WITH_LIMITS)
        )
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Main effects: what a level does instead of the first one of its factor, averaged over the "
        "levels of the others, with 95 % intervals over the formulations",
    )


def show_learning_curve(curve: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.learning_curve.curve_of`: medians, and ranges, over the draws.

    Examples
    --------
    >>> row = {"predictor": "network", "size": 5, "mean |ln|": 0.5}
    >>> draws = {"draw": [1, 2] * 3, "region": ["training"] * 2 + ["inside"] * 2 + ["outside"] * 2}
    >>> values = {"mean": [0.04, 0.05, 0.3, 0.4, 0.6, 0.6], "steps": [800, 900] * 3}
    >>> shown = show_learning_curve(pd.DataFrame({**row, **draws, **values})).data
    >>> print("; ".join(shown.loc["network, 5"]))
    850; 4.50; 35.0 (30.0–40.0); 0.50; 60.0; 0.50
    """
    rows = {}
    for (predictor, size), part in curve.groupby(["predictor", "size"], sort=False):
        by_region = dict(iter(part.groupby("region")))
        row = {("training", "steps"): "", ("training", "mean (%)"): ""}
        if "training" in by_region:
            trained = by_region["training"]
            row["training", "steps"] = f"{trained['steps'].median():,.0f}"
            row["training", "mean (%)"] = percent(trained[MEAN].median())
        for region in ("inside", "outside"):
            row[region, "mean (%)"] = _with_range(by_region[region][MEAN])
            row[region, LOG_MEAN] = _logarithm(by_region[region][LOG_MEAN].median())
        rows[f"{predictor}, {size}"] = row
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "By predictor and number of stand-ins trained on: steps and mean relative error of the "
        "training, then the errors of the stand-ins of the test set inside and outside of the "
        "range; medians (and ranges) over the draws",
    )


def always_synthetic(dataset: Dataset) -> Banner:
    """Say that this part is about stand-ins, whatever the data set.

    Examples
    --------
    >>> own = Dataset(pd.DataFrame(), pd.DataFrame(), (), synthetic=False, digest="")
    >>> print(always_synthetic(own).text.split(":")[0])
    From here on, this page is always computed from stand-ins with known k_m, not from your data
    """
    whatever = "" if dataset.synthetic else ", not from your data"
    return Banner(
        "Synthetic, whatever the data set",
        f"From here on, this page is always computed from stand-ins with known k_m{whatever}: "
        "nobody has this many real formulations. It says what a predictor can learn from "
        "stand-ins, and nothing about a real product.",
        "warning",
    )


def field_width_mm(dataset: Dataset) -> float:
    """How much of a cake a stand-in shows, mm; NaN where the pixel size is not known.

    Examples
    --------
    >>> from fesemlib.micrographs.reading import Micrograph
    >>> frame = Micrograph(np.zeros((1536, 2048), np.uint8), pixel_size_um=2000 / 2048)
    >>> frames = Dataset(pd.DataFrame(), pd.DataFrame(), (frame,), synthetic=True, digest="")
    >>> round(field_width_mm(frames), 6)
    2.0
    """
    return (dataset.pixel_size_um or np.nan) * dataset.shape[1] / 1000


_WITH_LIMITS = ("effect", "low", "high")
_EFFECTS: dict[str, tuple[str, Callable[[float], str]]] = {
    RELATIVE: ("mean relative error (points)", lambda effect: _minus(f"{100 * effect:+.1f}")),
    LOGARITHM: ("mean |ln|", lambda effect: _minus(f"{effect:+.2f}")),
    STEPS: ("steps (times)", lambda effect: f"{math.exp(effect):.2f}"),
}


def _with_limits(effect: str, low: str, high: str) -> str:
    return f"{effect} ({low} to {high})" if low and high else effect or "—"


def _with_range(errors: pd.Series[float]) -> str:
    ends = dict.fromkeys(percent(end) for end in (errors.min(), errors.max()))
    middle = percent(errors.median())
    return f"{middle} ({'–'.join(ends)})" if len(ends) > 1 else middle


def _logarithm(error: float) -> str:
    return f"{error:.2f}".replace("inf", "∞")


def _minus(number: str) -> str:
    return number.replace("-", "−")
