"""Tables of leave-one-out: trainings, Table 2, ways to train."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.evaluation import published
from fesemlib.network.architecture import HIDDEN_UNITS
from fesemlib.pages.numbers import (
    measure_range,
    measure_text,
    percent,
)
from fesemlib.pages.report import _narrow, show_table
from fesemlib.pages.tables.data import _number_in_paper
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import training_summary

_UNFINISHED = 0.1
"""Mean relative error on its own training micrographs above which a training is named."""


def published_statement(training_set: str, formulations: pd.DataFrame) -> str:
    """What is drawn of the paper's predictions, in a sentence; empty where nothing is.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> "all but I" in published_statement("augmented", table1())
    True
    >>> published_statement("augmented", table1().drop("I"))
    ''
    """
    if not published.concerns(formulations):
        return ""
    possible = published.candidates(training_set)
    single = ", ".join(str(name) for name in possible.index[possible["low_km"].isna()])
    return (
        "The paper's Table 2 states the size of each error but not its sign, which only its "
        "diagrams show. This book uses the printed numbers alone: where both signs give a "
        f"positive k_m, that is for all but {single}, both predictions are drawn."
    )


def show_trainings(results: pd.DataFrame, criterion: float, batch_size: int) -> Styler:
    """How well the networks fit what they were trained on, and which do not.

    Parameters
    ----------
    results
        Of `leave_one_formulation_out`, of one or more training sets.
    criterion
        Mean relative error on the training micrographs from which on a training is finished.
    batch_size
        Images in one step.

    Examples
    --------
    >>> rows = {"training_set": "original", "seed": 0, "role": "train", "epoch": 9}
    >>> results = pd.DataFrame({**rows, "held_out": ["A", "B"], "relative_error": [0.01, 0.2]})
    >>> results = results.assign(true_km=1e-3, predicted_km=1e-3)
    >>> shown = show_trainings(results, criterion=0.05, batch_size=16).data
    >>> shown.loc["original", ["steps", "median error (%)", "misses 5 %", "above 10 %"]].to_list()
    ['9', '10.5', '1 of 2', 'B']
    """
    summary = training_summary(results)
    rows = {}
    for name, part in summary.groupby("training_set", sort=False):
        lost = part["collapsed"] | part["diverged"]
        missed = part[(part["training_error"] > _UNFINISHED) | lost]["held_out"]
        rows[name] = {
            "steps": _steps(part, batch_size),
            "median error (%)": percent(float(part["training_error"].median())),
            "greatest (%)": percent(float(part["training_error"].max())),
            f"misses {100 * criterion:g} %": _of((part["training_error"] > criterion).sum(), part),
            f"above {100 * _UNFINISHED:g} %": ", ".join(_counted(missed)) or "none",
            "collapsed or diverged": _of(lost.sum(), part),
        }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Mean relative error of each network on the micrographs that it was trained on, after its "
        f"last step and without dropout. Those above {100 * _UNFINISHED:g} % are named by what "
        "they hold out",
    )


def show_measures(
    compared: Mapping[str, pd.DataFrame], caption: str, criterion: float, batch_size: int
) -> Styler:
    """Ways to train, one below the other: what each has fitted, and what it errs on the held-out.

    Parameters
    ----------
    compared
        Name and rows of `errors.at_the_end` or `errors.at_criterion`, of one training set each.
    caption
        What is compared, without a full stop.
    criterion, batch_size
        As in `show_trainings`.

    Examples
    --------
    >>> rows = {"training_set": "original", "seed": 0, "held_out": "A", "epoch": 9}
    >>> rows |= {"role": ["train", "test"], "true_km": 1e-3, "predicted_km": [1.01e-3, 2e-3]}
    >>> results = pd.DataFrame({**rows, "relative_error": [0.01, 1.0]})
    >>> shown = show_measures({"as it is": results}, "One way", criterion=0.05, batch_size=16).data
    >>> shown.loc["as it is"].to_list()
    ['9', '1.00', '0 of 1', '100', '100', '0.693']
    """
    rows = {}
    for name, results in compared.items():
        summary = training_summary(results)
        found = errors.measures(results[results["role"] == "test"])
        rows[name] = {
            "steps": _steps(summary, batch_size),
            "training (%)": percent(float(summary["training_error"].median())),
            f"misses {100 * criterion:g} %": _of(
                (summary["training_error"] > criterion).sum(), summary
            ),
            **{measure: measure_range(measure, found.loc[measure]) for measure in found.index},
        }
    return _narrow(
        show_table(
            pd.DataFrame.from_dict(rows, orient="index"),
            f"{caption}: steps and error on what was trained on (medians over the trainings), and "
            "three measures of the error on what was held out (median and range over the runs; "
            "means in %)",
        )
    )


def _steps(summary: pd.DataFrame, batch_size: int) -> str:
    steps = summary["epoch"] * np.ceil(summary["images"] / batch_size)
    return f"{steps.median():,.0f}"


def _of(number: float, table: pd.DataFrame) -> str:
    return f"{number:.0f} of {len(table)}"


def _counted(names: pd.Series[str]) -> list[str]:
    """Each name once, with how often it is there."""
    counts = names.value_counts(sort=False)
    return [
        str(name) if count == 1 else f"{name} ({count} times)" for name, count in counts.items()
    ]


def comparison(predictions: Mapping[str, pd.DataFrame], formulations: pd.DataFrame) -> pd.DataFrame:
    """Table 2: the errors of the held-out formulations beside the published ones.

    Parameters
    ----------
    predictions
        Training set and its `held_out_predictions`.
    formulations
        Of the data set; the published errors stand beside ours only where `published.concerns`
        them.

    Returns
    -------
    DataFrame
        Indexed by formulation, with the rows of `errors.measures` below; for each training set the
        columns ``{set} published``, ``{set} median``, ``{set} least``, ``{set} greatest`` (over the
        runs) and ``{set} difference`` (median − published); unsigned fractions of k_m.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> predictions = table1()[[]].rename_axis("held_out").reset_index()
    >>> predictions = predictions.assign(seed=0, relative_error=0.5)
    >>> table = comparison({"augmented": predictions}, table1())
    >>> print(f"published {table['augmented published']['mean']:.3f}, here 0.500")
    published 0.305, here 0.500
    """
    columns: dict[str, pd.Series[float]] = {}
    names = list(formulations.index)
    for training_set, own in predictions.items():
        found = pd.concat([errors.held_out_errors(own).loc[names], errors.measures(own)])
        for statistic in found.columns:
            columns[f"{training_set} {statistic}"] = found[statistic]
        if published.concerns(formulations):
            theirs = published.table2()[training_set].loc[names].rename_axis("held_out")
            measured = errors.measures(theirs.rename("relative_error").reset_index())["median"]
            columns[f"{training_set} published"] = pd.concat([theirs, measured])
            columns[f"{training_set} difference"] = (
                found["median"] - columns[f"{training_set} published"]
            )
    return pd.DataFrame(columns).rename_axis("formulation")


def show_comparison(table: pd.DataFrame, caption: str) -> Styler:
    """Table 2 for the page: in %, grouped by training set, the range in one column.

    Parameters
    ----------
    table
        Of `comparison`.
    caption
        What the table shows, without a full stop; its number in the paper is put before it, the
        meaning of the columns after it.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> predictions = table1()[[]].rename_axis("held_out").reset_index()
    >>> predictions = predictions.assign(seed=0, relative_error=0.5)
    >>> table = show_comparison(comparison({"augmented": predictions}, table1()), "errors")
    >>> table.data["augmented"].loc["B"].to_dict()
    {'published': '0.0792', 'median': '50.0', 'difference': '+49.9'}
    """
    shown: dict[tuple[str, str], list[str]] = {}
    for training_set in dict.fromkeys(name.split(" ")[0] for name in table.columns):
        own = {
            statistic: _measured(table[f"{training_set} {statistic}"], statistic == "difference")
            for statistic in ("published", "median", "least", "greatest", "difference")
            if f"{training_set} {statistic}" in table
        }
        least, greatest = own.pop("least"), own.pop("greatest")
        for statistic, values in own.items():
            shown[training_set, statistic] = values
            if statistic == "median" and least != greatest:  # of a single run there is no range
                shown[training_set, "range"] = [
                    "–".join(dict.fromkeys(ends)) for ends in zip(least, greatest, strict=True)
                ]
    frame = pd.DataFrame(shown, index=list(table.index))
    papers_own = any(name.endswith("published") for name in table.columns)
    table_2 = f"{_number_in_paper(2, papers_own)}: {caption}{_columns(papers_own)}"
    return _narrow(show_table(frame, table_2))


def _measured(values: pd.Series[float], sign: bool) -> list[str]:
    return [measure_text(str(name), value, sign) for name, value in values.items()]


def show_first_steps(steps: pd.DataFrame) -> Styler:
    """Present the table of `fesemlib.evaluation.first_step.first_step_by_width`.

    Examples
    --------
    >>> steps = pd.DataFrame(
    ...     {"inputs": [1536], "scale": [0.5], "shift": [0.2], "ratio": [0.4]}, index=[128]
    ... )
    >>> print("; ".join(show_first_steps(steps).data.loc["128 px"]))
    1,536; 0.500; 0.200; 0.40
    """
    shown = pd.DataFrame(
        {
            "numbers a unit sums over": [f"{number:,.0f}" for number in steps["inputs"]],
            "scale of a unit": [f"{scale:.3f}" for scale in steps["scale"]],
            "moved by one step": [f"{shift:.3f}" for shift in steps["shift"]],
            "in units of the scale": [f"{ratio:.2f}" for ratio in steps["ratio"]],
        },
        index=pd.Index([f"{width} px" for width in steps.index], name="input width"),
    )
    return show_table(shown, "The first step of training beside the scale of a hidden unit")


def show_remedies(trainings: pd.DataFrame, criterion: float) -> Styler:
    """Present the trainings of `fesemlib.evaluation.first_step.trainings_by_remedy`.

    Examples
    --------
    >>> training = {"width": 128, "remedy": "centred", "steps": 300.0, "silent": 1}
    >>> shown = show_remedies(pd.DataFrame([{**training, "training_error": 0.04}]), 0.05).data
    >>> shown.loc["128 px, centred"].to_list()
    ['300', '4.00', '0 of 1', '1.0 of 10']
    """
    rows = {
        f"{width} px, {remedy}": {
            "steps": f"{part['steps'].median():,.0f}",
            "training error (%)": percent(float(part["training_error"].median())),
            f"misses {100 * criterion:g} %": _of((part["training_error"] > criterion).sum(), part),
            "silent units": f"{part['silent'].mean():.1f} of {HIDDEN_UNITS}",
        }
        for (width, remedy), part in trainings.groupby(["width", "remedy"], sort=False)
    }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Trainings that end at the criterion, by width of the input and by what is done to keep "
        "the hidden units alive (medians over the seeds; of the silent units the mean)",
    )


def _columns(published_too: bool) -> str:
    """What the columns and the last row of `show_comparison` are, to end its caption."""
    what = "median and range over the runs"
    if published_too:
        what = f"published, reproduced ({what}), and the difference of median and published"
    return f"; {what}, in % of k_m but for |ln|. The means are taken within each run."
