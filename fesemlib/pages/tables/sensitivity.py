"""Tables of the chapter on what the choices do."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.evaluation.sensitivity import LOGARITHM, RELATIVE, STEPS
from fesemlib.pages.numbers import percent, three_digits
from fesemlib.pages.tables.words import shown
from fesemlib.validation.errors import LOG_MEAN, MEAN, WITHOUT_WORST


def choice(value: object) -> str:
    """The name or a level of a factor, as the page shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def changes(effects: pd.DataFrame) -> list[str]:
    """What each row of `main_effects` is an effect of, as ``learning rate: 0.0001 → 0.001``."""
    parts = effects[["factor", "first", "level"]].map(choice)
    return list(parts["factor"] + ": " + parts["first"] + " → " + parts["level"])


def show_cells(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.sensitivity.cell_table`."""
    levels = table.columns[: table.columns.get_loc("training_error")]
    errors = {"training_error": "training error (%)", MEAN: "mean (%)"}
    errors[WITHOUT_WORST] = "without the worst (%)"
    formats: dict[str, Any] = dict.fromkeys(map(choice, levels), choice)
    formats |= dict.fromkeys(errors.values(), percent) | {LOG_MEAN: three_digits}
    formats |= {"missed": "{:.0f}", "trainings": "{:.0f}", "steps": "{:,.0f}"}
    return shown("cells", table.rename(columns=errors).rename(columns=choice), formats)


def show_effects(effects: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.sensitivity.main_effects`."""
    tables: dict[str, pd.DataFrame] = {}
    formats: dict[Any, Any] = {}
    for measure, name, number in (
        (RELATIVE, "mean relative error (points)", partial(percent, sign=True)),
        (LOGARITHM, "mean |ln|", partial(three_digits, sign=True)),
        (STEPS, "steps (times)", "{:.2f}".format),
    ):
        own = effects[effects["measure"] == measure]
        found = own[["effect", "low", "high"]].set_axis(changes(own))
        tables[name] = found.apply(np.exp) if measure == STEPS else found
        formats |= {(name, part): number for part in found}
    return shown("effects", pd.concat(tables, axis=1), formats)


def show_learning_curve(curve: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.learning_curve.curve_of`: medians and ranges of the draws."""
    table = curve.groupby(["predictor", "size", "region"], sort=False).agg(
        steps=("steps", "median"),
        **{"mean (%)": (MEAN, "median"), "least (%)": (MEAN, "min"), "greatest (%)": (MEAN, "max")},
        **{LOG_MEAN: (LOG_MEAN, "median")},
    )
    numbers = dict.fromkeys(table, percent) | {"steps": "{:,.0f}".format, LOG_MEAN: three_digits}
    tested = ["inside", "outside"]
    regions = {region: table.xs(region, level="region") for region in [*tested, "training"]}
    wide = pd.concat(regions, axis=1)
    columns: list[Any] = [("training", "steps"), ("training", "mean (%)")]
    columns += [(region, name) for region in tested for name in table.columns[1:]]
    named = wide[columns].set_axis([f"{predictor}, {size}" for predictor, size in wide.index])
    return shown("learning_curve", named, {column: numbers[column[1]] for column in columns})
