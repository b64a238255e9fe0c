"""Tables of the chapter on what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.evaluation.epochs import SELECTIONS
from fesemlib.evaluation.statistics import Comparison, permutation_p_value
from fesemlib.pages.numbers import in_percent, measure_ranges, percent, three_digits
from fesemlib.pages.tables.words import shown
from fesemlib.validation import errors

_SMALL = 0.01  # relative error


def show_permutations(orders: pd.DataFrame) -> Styler:
    """How often a shuffle of the k_m does as well as the true order, by each measure.

    `orders` is of `fesemlib.evaluation.controls.permutation_test`, the true order first.
    """
    true, shuffled = orders.iloc[0], orders.iloc[1:].fillna(np.inf)
    table = in_percent(pd.DataFrame({"true": true, "shuffled": shuffled.median()}))
    table["as_small"] = (~(shuffled > true)).sum().map(f"{{}} of {len(shuffled)}".format)
    table["p"] = [permutation_p_value(true[str(name)], drawn) for name, drawn in shuffled.items()]
    return shown("permutations", table)


def show_spread(predictions: Mapping[str, pd.DataFrame]) -> Styler:
    """The three measures over the runs, and how far the mean moves with the seed and the draw.

    `predictions` are of `fesemlib.validation.leave_one_out.held_out_predictions`, by training set.
    """
    rows = {}
    for name, table in predictions.items():
        drawn = table if "draw" in table else table.assign(draw=0)
        spread = errors.spread_of_seeds_and_draws(drawn).add_prefix("between ")
        rows[f"{name} set"] = {**measure_ranges(errors.measures(table)), **spread}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return shown("spread", table, {"between seeds": percent, "between draws": percent})


def show_difference(compared: Comparison) -> Styler:
    """Present `fesemlib.evaluation.statistics.compare_pairs` of the original and augmented set."""
    return shown("difference", pd.DataFrame([vars(compared)], ["augmented − original"]))


def show_selection(selected: pd.DataFrame, published: pd.DataFrame | None) -> Styler:
    """The errors under each way to choose the epoch: medians over the runs.

    `selected` is of `fesemlib.evaluation.epochs.selected_predictions`; `published`, the paper's
    Table 2, or None where it does not concern the data.
    """
    tables = {label: selected[selected["selection"] == key] for key, label in SELECTIONS.items()}
    if published is not None:
        for name, theirs in published.rename_axis("held_out").items():
            tables[f"published, {name} set"] = theirs.rename("relative_error").reset_index()
    medians = {
        label: pd.concat([errors.errors_of_formulations(table), errors.measures(table)["median"]])
        for label, table in tables.items()
    }
    table = in_percent(pd.concat(medians, axis="columns")).map(three_digits)
    runs = [errors.errors_of_runs(table).to_numpy() for table in tables.values()]
    table.loc[f"errors below {100 * _SMALL:g} %"] = [
        f"{(each < _SMALL).sum()} of {each.size}" for each in runs
    ]
    return shown("selection", table)
