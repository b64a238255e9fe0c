"""What the choices do: leave-one-out for combinations of them, each trained to the same criterion.

The combinations are those of a factorial design, so that every level of every
factor meets the levels of the others equally often. The effects are for understanding: to pick the
best combination from them would be to tune on the formulations that are held out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.evaluation.baselines import median_of_others
from fesemlib.evaluation.controls import evaluation_parameters
from fesemlib.evaluation.statistics import mean_interval
from fesemlib.params import Parameters
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import (
    held_out_predictions,
    leave_one_formulation_out,
    training_summary,
)

Level = bool | int | float | str

MEDIAN_RULE = "median of the others"

RELATIVE = "relative error"
LOGARITHM = "|ln|"
STEPS = "ln steps"
"""What an effect is an effect on."""

MOST_COUNTED = math.log(10)
"""``|ln(predicted / true)|`` counts as this at most: a negative prediction makes it infinite."""


def planned_cells(parameters: Parameters) -> list[dict[str, Level]]:
    """The combinations of levels that are trained.

    Parameters
    ----------
    parameters
        `factors` are used.

    Returns
    -------
    list of dict
        The level of each factor, by its name; the first cell has the first levels of all.

    Examples
    --------
    >>> factors = {"target": ["minmax", "raw"], "padding": ["same", "valid"]}
    >>> planned_cells(Parameters(factors=factors))[1]
    {'target': 'minmax', 'padding': 'valid'}
    """
    names, levels = parameters.factors.keys(), parameters.factors.values()
    return [dict(zip(names, each, strict=True)) for each in product(*levels)]


def parameters_of_cell(parameters: Parameters, levels: Mapping[str, object]) -> Parameters:
    """The parameters of a cell's trainings, at the size of what repeats leave-one-out many times.

    Parameters
    ----------
    parameters
        Those that all cells share.
    levels
        Those of the factors.

    Raises
    ------
    pydantic.ValidationError
        When a factor or its level is not allowed.

    Examples
    --------
    >>> cell = parameters_of_cell(Parameters(evaluation_width=48), {"target": "raw"})
    >>> cell.target, cell.input_width
    ('raw', 48)
    """
    shared = evaluation_parameters(parameters).model_dump()
    return Parameters.model_validate({**shared, **levels}, strict=True)


def train_cells(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """Leave one formulation out in every cell, each training ending at the criterion.

    Parameters
    ----------
    dataset
        The micrographs.
    parameters
        With `factors`; `training_criterion` and `longer_training` say where a
        training ends.

    Returns
    -------
    DataFrame
        For each cell the rows and columns of `held_out_predictions` and
        `training_summary`, with ``cell``, its number from 1 on, the levels, and
        ``steps``, those of Adam until the end.

    Notes
    -----
    Finished folds are kept in the cache, as those of any leave-one-out.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> factors = {"target": ["minmax", "log10"]}
    >>> parameters = Parameters(
    ...     factors=factors, evaluation_width=32, epochs=2, parallel_jobs=1
    ... )
    >>> with temporary_build_folder():
    ...     trained = train_cells(draw_stand_ins(3, seed=0, shape=(48, 64)), parameters)
    >>> trained.groupby("target", sort=False)["held_out"].agg(list).to_dict()
    {'minmax': ['1', '2', '3'], 'log10': ['1', '2', '3']}
    """
    tables = []
    for cell, levels in enumerate(planned_cells(parameters), start=1):
        used = parameters_of_cell(parameters, levels)
        results = leave_one_formulation_out(dataset, used, to_criterion=True)
        runs = held_out_predictions(results).merge(training_summary(results), how="left")
        steps = runs["epoch"] * np.ceil(runs["images"] / used.batch_size)
        tables.append(runs.assign(cell=cell, steps=steps, **levels))
    return pd.concat(tables, ignore_index=True)


def cell_table(trained: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """How well each cell fits its training sets, in how many steps, and how it errs.

    Parameters
    ----------
    trained
        From `train_cells`.
    parameters
        `factors` and `training_criterion` are used.

    Returns
    -------
    DataFrame
        Indexed by ``cell``, and last `MEDIAN_RULE`, which trains nothing: the levels;
        ``training_error``, the median over the trainings; ``missed``, how many of the
        ``trainings`` are above the criterion, dead and diverged ones among them; ``steps``, the
        median; and the three measures of `measures`, medians over the runs.

    Examples
    --------
    >>> trained = pd.DataFrame(
    ...     {
    ...         "cell": 1, "target": "raw", "seed": 0, "held_out": ["A", "B"], "steps": 100,
    ...         "training_error": [0.01, 0.9], "true_km": [1e-3, 2e-3], "predicted_km": 1.5e-3,
    ...         "relative_error": [0.5, 0.25],
    ...     }
    ... )
    >>> factors = {"target": ["raw", "minmax"]}
    >>> table = cell_table(trained, Parameters(factors=factors))
    >>> table[["missed", "mean"]].to_numpy().tolist()
    [[1.0, 0.375], [nan, 0.75]]
    """
    rows: dict[object, dict[str, object]] = {}
    for cell, predictions in trained.groupby("cell"):
        runs = predictions.drop_duplicates([*errors.run_columns(predictions), "held_out"])
        reached = runs["training_error"] <= parameters.training_criterion
        rows[cell] = {
            **runs[list(parameters.factors)].iloc[0],
            "training_error": runs["training_error"].median(),
            "missed": int((~reached).sum()),
            "trainings": len(runs),
            "steps": runs["steps"].median(),
            **errors.measures(predictions)["median"],
        }
    true = trained.groupby("held_out", sort=False)["true_km"].first()
    rule = median_of_others(true).rename_axis("held_out").reset_index()
    rows[MEDIAN_RULE] = dict(errors.measures(rule)["median"])
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cell")


def main_effects(trained: pd.DataFrame, factors: Mapping[str, list[Level]]) -> pd.DataFrame:
    """What each factor does, averaged over the levels of the others.

    Parameters
    ----------
    trained
        From `train_cells`.
    factors
        Names and levels.

    Returns
    -------
    DataFrame
        For each ``factor``, each ``level`` of it but the ``first`` and each ``measure``
        (`RELATIVE`; `LOGARITHM`, at most `MOST_COUNTED`; `STEPS`, the logarithm of their number):
        ``effect``, level minus first, with its interval ``low`` to ``high`` over the formulations.

    Notes
    -----
    Of each formulation the median over the runs is taken in each cell, then the mean over the cells
    at a level. What makes one formulation harder than another drops out of the difference.

    Examples
    --------
    >>> trained = pd.DataFrame(
    ...     {
    ...         "cell": [1, 2], "target": ["raw", "log10"], "held_out": "A", "seed": 0,
    ...         "steps": [100, 200], "true_km": 1e-3, "predicted_km": [2e-3, 1e-3],
    ...         "relative_error": [1.0, 0.0],
    ...     }
    ... )
    >>> effects = main_effects(trained, {"target": ["raw", "log10"]})
    >>> effects.set_index("measure")["effect"].round(3).to_dict()
    {'relative error': -1.0, '|ln|': -0.693, 'ln steps': 0.693}
    """
    logarithms = errors.log_errors(trained).fillna(np.inf)  # NaN where a training diverged
    measured = trained.assign(
        **{
            RELATIVE: trained["relative_error"],
            LOGARITHM: logarithms.clip(upper=MOST_COUNTED),
            STEPS: np.log(trained["steps"]),
        }
    )
    levels_of_cells = trained.groupby("cell")[list(factors)].first()
    rows = []
    for measure in (RELATIVE, LOGARITHM, STEPS):
        by_cell = pd.DataFrame(
            {
                cell: errors.errors_of_runs(part, measure).median(axis=1, skipna=False)
                for cell, part in measured.groupby("cell")
            }
        )
        for factor, (first, *others) in factors.items():
            means = by_cell.T.groupby(levels_of_cells[factor]).mean().T
            for level in others:
                found = mean_interval(means[level] - means[first])
                rows.append((factor, first, level, measure, found.mean, found.low, found.high))
    columns = ["factor", "first", "level", "measure", "effect", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def in_words(value: object) -> str:
    """The name or a level of a factor, as the page shows it.

    Examples
    --------
    >>> in_words("learning_rate"), in_words(1e-4), in_words(False)
    ('learning rate', '0.0001', 'False')
    """
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def change_in_words(factor: str, first: object, level: object) -> str:
    """What an effect is an effect of.

    Examples
    --------
    >>> change_in_words("learning_rate", 1e-4, 1e-3)
    'learning rate: 0.0001 → 0.001'
    """
    return f"{in_words(factor)}: {in_words(first)} → {in_words(level)}"
