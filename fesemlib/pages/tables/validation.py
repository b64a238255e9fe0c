"""Tables of leave-one-out: trainings, Table 2, ways to train."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.network.architecture import HIDDEN_UNITS
from fesemlib.pages.numbers import in_percent, measure_ranges, percent, three_digits
from fesemlib.pages.tables.words import shown
from fesemlib.params import Parameters
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import training_summary

_UNFINISHED = 0.1
"""Mean relative error on its own training micrographs above which a training is named."""

_STEPS, _FIT = "steps", "training error (%)"
_FORMATS: dict[str, Any] = {_STEPS: "{:,.0f}", _FIT: percent}


def show_trainings(results: pd.DataFrame, parameters: Parameters) -> Styler:
    """How well the networks fit what they were trained on, by training set, and which do not."""
    rows, unfinished = {}, f"above {100 * _UNFINISHED:g} %"
    for name, part in _trainings(results, parameters).groupby("training_set", sort=False):
        error, lost = part["training_error"], part["collapsed"] | part["diverged"]
        rows[name] = {
            **_effort(part, parameters),
            "greatest (%)": percent(error.max()),
            unfinished: _counted(part["held_out"][(error > _UNFINISHED) | lost]),
            "collapsed or diverged": _share(lost),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return shown("trainings", table, _FORMATS, [unfinished], unfinished=unfinished)


def show_measures(
    compared: Mapping[str, pd.DataFrame], caption: str, parameters: Parameters
) -> Styler:
    """Ways to train, one below the other: what each has fitted, and what it errs on the held-out.

    `compared` holds rows of `errors.at_the_end` or `errors.at_criterion`, of one training set each,
    by their name; the `caption` says what is compared, without a full stop.
    """
    rows = {}
    for name, results in compared.items():
        held_out = errors.measures(results[results["role"] == "test"])
        rows[name] = {
            **_effort(_trainings(results, parameters), parameters),
            **measure_ranges(held_out),
        }
    return shown("measures", pd.DataFrame.from_dict(rows, orient="index"), _FORMATS, what=caption)


def show_comparison(table: pd.DataFrame, caption: str) -> Styler:
    """Table 2 of `errors.table_2` for the page: in %, the range over the runs in one column.

    The `caption` says what it shows, without a full stop; the number of the table in the paper is
    put before it, the meaning of the columns after it.
    """
    sets = {name: pd.DataFrame(table[name]) for name in table.columns.get_level_values(0)}
    both = pd.concat({name: _with_range(own) for name, own in sets.items()}, axis="columns")
    papers_own = "published" in both.columns.get_level_values(1)
    columns = "median and range over the runs"
    if papers_own:
        columns = f"published, reproduced ({columns}), and the difference of median and published"
    number = "Table" if papers_own else "In the form of Table"
    formats = {
        column: partial(three_digits, sign=column[1] == "difference")
        for column in both
        if column[1] != "range"
    }
    told: dict[str, Any] = {"number": number, "what": caption, "columns": columns}
    return shown("comparison", both.rename_axis(None), formats, **told)


def _with_range(errors_of_set: pd.DataFrame) -> pd.DataFrame:
    """The columns of one training set; of a single run there is no range."""
    table = in_percent(errors_of_set)
    ends = table[["least", "greatest"]].map(three_digits)
    if not ends["least"].equals(ends["greatest"]):
        table["range"] = ["–".join(dict.fromkeys(pair)) for pair in ends.itertuples(index=False)]
    return table.filter(["published", "median", "range", "difference"])


def show_remedies(trainings: pd.DataFrame, parameters: Parameters) -> Styler:
    """Present the trainings of `fesemlib.evaluation.first_step.trainings_by_remedy`."""
    rows = {
        f"{width} px, {remedy}": {
            **_effort(part, parameters),
            "silent units": part["silent"].mean(),
        }
        for (width, remedy), part in trainings.groupby(["width", "remedy"], sort=False)
    }
    formats = {**_FORMATS, "silent units": f"{{:.1f}} of {HIDDEN_UNITS}"}
    return shown("remedies", pd.DataFrame.from_dict(rows, orient="index"), formats)


def _trainings(results: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """Of `training_summary`, with the number of steps."""
    summary = training_summary(results)
    return summary.assign(
        steps=summary["epoch"] * np.ceil(summary["images"] / parameters.batch_size)
    )


def _effort(trainings: pd.DataFrame, parameters: Parameters) -> dict[str, float | str]:
    """Steps and training error of some trainings (medians), and how many miss the criterion."""
    error, criterion = trainings["training_error"], parameters.training_criterion
    return {
        _STEPS: trainings["steps"].median(),
        _FIT: error.median(),
        f"misses {100 * criterion:g} %": _share(error > criterion),
    }


def _share(flags: pd.Series[bool]) -> str:
    return f"{flags.sum()} of {len(flags)}"


def _counted(names: pd.Series[str]) -> str:
    """Each name once, with how often it is there."""
    counts = names.value_counts(sort=False).items()
    counted = [str(name) if count == 1 else f"{name} ({count} times)" for name, count in counts]
    return ", ".join(counted) or "none"
