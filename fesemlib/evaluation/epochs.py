"""When to stop training, and what follows from who decides it.

The number of epochs can be fixed beforehand, or chosen where the held-out micrograph is predicted
best, or chosen on further formulations that are held out within the training fold. Only the second
looks at the answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.params import Parameters
from fesemlib.predictors.selection import groups_of
from fesemlib.validation.leave_one_out import Split, held_out_predictions, train_splits

_GROUPS = 5  # in which more than twelve formulations are held out within a fold: pairs are too many

SELECTIONS = {
    "last": "last epoch",
    "best_inner": "best epoch on inner formulations",
    "best_on_held_out": "best epoch on the held-out one",
}
"""Ways to choose the epoch, and what the pages call them."""


def train_for_selection(
    dataset: Dataset, parameters: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave-one-out, and within each of its folds leave-one-out again, as `inner_folds` says.

    The first table is as of `leave_one_formulation_out`. The second is of what is held out
    together: the one in the column ``outer``, the predictions of the others in the rows.
    `ValueError` for fewer than three formulations.
    """
    names = [str(name) for name in dataset.formulations.index]
    folds = inner_folds(names)
    outer_splits = [Split((name,), seed=seed) for seed in parameters.seeds for name in names]
    inner_splits = [Split(fold, seed=seed) for seed in parameters.seeds for fold in folds]
    both = train_splits(dataset, parameters, inner_splits)
    outer = train_splits(dataset, parameters, outer_splits)
    serves = [
        (" + ".join(fold), inner, name)
        for fold, served in folds.items()
        for name in served
        for inner in fold
        if inner != name
    ]
    keys = ["held_out", "formulation"]
    test = both[both["role"] == "test"]
    return outer, test.merge(pd.DataFrame(serves, columns=[*keys, "outer"]), on=keys)


def inner_folds(names: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """What is held out together, and the formulations whose folds it serves.

    With each formulation every other one, or, of more than twelve, every one of five groups: a pair
    serves both, a group all its own.
    """
    folds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        for group in groups_of(names, _GROUPS):
            held_out = tuple(each for each in names if each == name or each in group)
            if len(held_out) > 1:
                folds[held_out].append(name)
    return dict(folds)


def best_inner_epochs(inner: pd.DataFrame) -> pd.DataFrame:
    """The epoch with the least mean error on the formulations held out within each fold.

    Columns ``outer, seed, epoch``, a row for each fold and seed; the earliest of equal epochs.
    """
    keys = ["outer", "seed", "epoch"]
    by_formulation = inner.groupby([*keys, "formulation"], sort=False)["relative_error"].mean()
    errors = by_formulation.groupby(keys, sort=False).mean()
    best = errors.groupby(["outer", "seed"], sort=False).idxmin()
    return pd.DataFrame(list(best), columns=keys)


def selected_predictions(outer: pd.DataFrame, inner: pd.DataFrame) -> pd.DataFrame:
    """The prediction that counts under each selection: rows of `outer`, with ``selection``."""
    chosen = best_inner_epochs(inner).rename(columns={"outer": "held_out"})
    test = outer[outer["role"] == "test"]
    by_selection = {
        "last": held_out_predictions(outer, "last"),
        "best_inner": test.merge(chosen, on=["held_out", "seed", "epoch"]),
        "best_on_held_out": held_out_predictions(outer, "best_on_held_out"),
    }
    return pd.concat(
        [table.assign(selection=name) for name, table in by_selection.items()], ignore_index=True
    )
