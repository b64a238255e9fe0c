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
from fesemlib.evaluation.statistics import mean_interval
from fesemlib.params import Parameters
from fesemlib.predictors.networks import evaluation_parameters
from fesemlib.validation import errors, leave_one_out

Level = bool | int | float | str

MEDIAN_RULE = "median of the others"

RELATIVE, LOGARITHM, STEPS = "relative error", "|ln|", "ln steps"  # what an effect is an effect on

# |ln(predicted / true)| counts as this at most: a negative prediction makes it infinite.
MOST_COUNTED = math.log(10)


def planned_cells(parameters: Parameters) -> list[dict[str, Level]]:
    """The combinations of the levels of `factors`; the first cell has the first levels of all."""
    names, levels = parameters.factors.keys(), parameters.factors.values()
    return [dict(zip(names, each, strict=True)) for each in product(*levels)]


def parameters_of_cell(parameters: Parameters, levels: Mapping[str, object]) -> Parameters:
    """The parameters of a cell's trainings, at the size of what repeats leave-one-out many times.

    A factor or a level that is not allowed raises pydantic's ``ValidationError``.
    """
    shared = evaluation_parameters(parameters).model_dump()
    return Parameters.model_validate({**shared, **levels}, strict=True)


def train_cells(dataset: Dataset, parameters: Parameters) -> pd.DataFrame:
    """Leave one formulation out in every cell, each training ending at the criterion.

    For each cell the rows and columns of `held_out_predictions` and `training_summary`, with
    ``cell``, its number from 1 on, the levels, and ``steps``, those of Adam until the end.
    """
    tables = []
    for cell, levels in enumerate(planned_cells(parameters), start=1):
        used = parameters_of_cell(parameters, levels)
        results = leave_one_out.leave_one_formulation_out(dataset, used, to_criterion=True)
        fits = leave_one_out.training_summary(results)
        runs = leave_one_out.held_out_predictions(results).merge(fits, how="left")
        steps = runs["epoch"] * np.ceil(runs["images"] / used.batch_size)
        tables.append(runs.assign(cell=cell, steps=steps, **levels))
    return pd.concat(tables, ignore_index=True)


def cell_table(trained: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """How well each cell of `train_cells` fits its training sets, in how many steps, how it errs.

    By ``cell``, and last `MEDIAN_RULE`, which trains nothing: the levels; ``training_error``, the
    median over the trainings; ``missed``, how many of the ``trainings`` are above the criterion,
    dead and diverged ones among them; median ``steps``; and the medians of the measures of a run.
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
    """What each factor does in `train_cells`, averaged over the levels of the others.

    For each ``factor``, each ``level`` of it but the ``first`` and each ``measure`` (`RELATIVE`;
    `LOGARITHM`, at most `MOST_COUNTED`; `STEPS`, the logarithm of their number): ``effect``, level
    minus first, with its interval ``low`` to ``high`` over the formulations. Of each formulation
    the median over the runs is taken in each cell, then the mean over the cells at a level: what
    makes one formulation harder than another drops out of the difference.
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
                effect = mean_interval(means[level] - means[first])
                rows.append((factor, first, level, measure, *effect))
    columns = ["factor", "first", "level", "measure", "effect", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
