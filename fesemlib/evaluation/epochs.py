"""When to stop training, and what follows from who decides it.

The number of epochs can be fixed beforehand, or chosen where the held-out micrograph is predicted
best, or chosen on further formulations that are held out within the training fold. Only the second
looks at the answer.
"""

from __future__ import annotations

import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.params import Parameters
from fesemlib.validation.leave_one_out import Split, held_out_predictions, train_splits

SELECTIONS = {
    "last": "last epoch",
    "best_inner": "best epoch on inner formulations",
    "best_on_held_out": "best epoch on the held-out one",
}
"""Ways to choose the epoch, and what the pages call them."""


def train_for_selection(
    dataset: Dataset, parameters: Parameters, training_set: str = "original"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave-one-out, and within each of its folds leave-one-out again.

    Parameters
    ----------
    dataset, parameters
        As in `fesemlib.validation.leave_one_out.leave_one_formulation_out`.
    training_set
        ``"original"`` or ``"augmented"``.

    Returns
    -------
    outer
        As of `leave_one_formulation_out`.
    inner
        The same for every pair of formulations that is held out together, with the column
        ``outer`` for the one and rows for the predictions of the other. A pair is trained once
        and serves both.

    Raises
    ------
    ValueError
        For fewer than three formulations: a pair leaves none to train on.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     outer, inner = train_for_selection(draw_stand_ins(3, 0, (48, 64)), parameters)
    >>> pairs = sorted(set(zip(inner["outer"], inner["formulation"], strict=True)))
    >>> pairs[:3]
    [('1', '2'), ('1', '3'), ('2', '1')]
    """
    names = [str(name) for name in dataset.formulations.index]
    pairs = [
        (first, second) for position, first in enumerate(names) for second in names[position + 1 :]
    ]
    outer_splits = [
        Split((name,), training_set, seed) for seed in parameters.seeds for name in names
    ]
    inner_splits = [Split(pair, training_set, seed) for seed in parameters.seeds for pair in pairs]
    both = train_splits(dataset, parameters, inner_splits)
    outer = train_splits(dataset, parameters, outer_splits)
    both = both[both["role"] == "test"]
    inner = pd.concat(
        [
            both[
                (both["held_out"] == " + ".join(pair)) & (both["formulation"] == predicted)
            ].assign(outer=other)
            for pair in pairs
            for predicted, other in (pair, pair[::-1])
        ],
        ignore_index=True,
    )
    return outer, inner


def best_inner_epochs(inner: pd.DataFrame) -> pd.DataFrame:
    """The epoch with the least mean error on the formulations held out within each fold.

    Parameters
    ----------
    inner
        From `train_for_selection`.

    Returns
    -------
    DataFrame
        ``outer, seed, epoch``, a row for each fold and seed; the earliest of equal ones.

    Examples
    --------
    >>> inner = pd.DataFrame(
    ...     {
    ...         "outer": "A", "seed": 0, "epoch": [1, 1, 2, 2], "formulation": ["B", "C", "B", "C"],
    ...         "relative_error": [0.1, 0.9, 0.4, 0.4],
    ...     }
    ... )
    >>> best_inner_epochs(inner)["epoch"].item()
    2
    """
    errors = (
        inner.groupby(["outer", "seed", "epoch", "formulation"], sort=False)["relative_error"]
        .mean()
        .groupby(["outer", "seed", "epoch"], sort=False)
        .mean()
        .reset_index()
    )
    best = errors.groupby(["outer", "seed"], sort=False)["relative_error"].idxmin()
    return errors.loc[best, ["outer", "seed", "epoch"]].reset_index(drop=True)


def selected_predictions(outer: pd.DataFrame, inner: pd.DataFrame) -> pd.DataFrame:
    """The prediction that counts under each selection, one below the other.

    Parameters
    ----------
    outer, inner
        From `train_for_selection`.

    Returns
    -------
    DataFrame
        Rows of `outer`, with the column ``selection``, a key of `SELECTIONS`.

    Examples
    --------
    >>> run = {"training_set": "original", "seed": 0, "epoch": [1, 2, 3]}
    >>> errors = {"held_out": "A", "role": "test", "relative_error": [0.1, 0.5, 0.7]}
    >>> outer = pd.DataFrame({**run, **errors})
    >>> inner = pd.DataFrame(
    ...     {"outer": "A", "formulation": "B", **run, "relative_error": [0.5, 0.2, 0.3]}
    ... )
    >>> selected_predictions(outer, inner).set_index("selection")["relative_error"].to_dict()
    {'last': 0.7, 'best_inner': 0.5, 'best_on_held_out': 0.1}
    """
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
