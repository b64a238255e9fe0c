"""The paper's own numbers, each with its table, and what they imply.

Marcato, Boccardo & Pisano, "Enhancing Mass Transfer Coefficient Prediction from Field Emission
Scanning Electron Microscope Images Through Convolutional Neural Networks and Data Augmentation
Techniques", Processes 13 (2025) 365, https://doi.org/10.3390/pr13020365.

k_m of each formulation is the average over several thermocouples, which scatter as Table 1 states.
Even a model that knew every true k_m would not meet these averages exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from fesemlib.evaluation.baselines import mean_of_others, median_of_others
from fesemlib.formulations import table1

TRAINING_TIME_HOURS = 5.0  # Section 4.1, approximately, on one GPU


def table2() -> pd.DataFrame:
    """Table 2: the published relative errors of the held-out formulations.

    Returns
    -------
    DataFrame
        Indexed by formulation (A–I), columns ``original`` and ``augmented``; unsigned fractions.

    Examples
    --------
    >>> print(table2().loc[["F", "I"]].to_string())
       original  augmented
    F  0.000038   0.000193
    I  2.670000   1.920000
    """
    table = pd.read_csv(Path(__file__).with_name("table_2.csv"), index_col="formulation")
    return table.rename_axis(None)


def table2_for(formulations: pd.DataFrame) -> pd.DataFrame | None:
    """`table2`, or None where the paper's numbers do not concern these formulations."""
    return table2() if concerns(formulations) else None


def candidates(training_set: str) -> pd.DataFrame:
    """The two k_m that each published error e allows, as Table 2 gives no signs: k_m (1 ± e).

    Indexed by formulation: ``true_km``, ``low_km`` and ``high_km``, m² s⁻¹. A negative ``low_km``
    is NaN: it has no physical meaning, although nothing in the network forbids it.
    """
    k_m, error = table1()["k_m"], table2()[training_set]
    low = k_m * (1 - error)
    return pd.DataFrame(
        {"true_km": k_m, "low_km": low.where(low > 0), "high_km": k_m * (1 + error)}
    )


def candidates_for(training_set: str, formulations: pd.DataFrame) -> pd.DataFrame | None:
    """`candidates`, or None where the paper's numbers do not concern these formulations."""
    return candidates(training_set) if concerns(formulations) else None


def concerns(formulations: pd.DataFrame) -> bool:
    """Whether these are the paper's nine formulations: its numbers may stand beside ours.

    A part of them is not enough, since every published prediction was trained on eight others.
    """
    own = table1()["k_m"]
    return set(formulations.index) == set(own.index) and bool(
        np.allclose(formulations["k_m"], own.loc[formulations.index], rtol=0.01)
    )


def published_beside_rules() -> pd.DataFrame:
    """The published errors beside those of two rules that see no image; unsigned fractions."""
    k_m, errors = table1()["k_m"], table2()
    errors["median of the others"] = median_of_others(k_m)["relative_error"]
    errors["mean of the others"] = mean_of_others(k_m)["relative_error"]
    return errors


def perfect_model(thermocouples: int) -> pd.DataFrame:
    """How likely a model that knows every true k_m errs no more than was published.

    By formulation: ``scatter`` of the average of so many thermocouples (relative standard error),
    and for each training set the published error and the chance.

    The average of n thermocouples is taken as normal about the true k_m with the relative standard
    deviation s of Table 1 over √n, so that the error of the true value is below e with the
    probability that a standard normal variable is below e √n/s in size. That s is itself an
    estimate from n values; with Student's distribution small chances are a little smaller (by a
    tenth for three values). The micrograph shows another vial than those with thermocouples; if
    vials differ, a model that reads its own vial scatters by √(1 + 1/n) s about the average, and
    all chances are smaller still.
    """
    table = pd.DataFrame({"scatter": table1()["std_percent"] / 100 / np.sqrt(thermocouples)})
    for name, errors in table2().items():
        table[f"published, {name}"] = errors
        table[f"chance, {name}"] = stats.halfnorm.cdf(errors / table["scatter"])
    return table


def chances_of_perfect_model(
    thermocouples: Sequence[int], formulations: Sequence[str]
) -> pd.DataFrame:
    """The chance that a perfect model errs no more than published on several formulations at once.

    By training set and number of thermocouples: ``chance`` on all `formulations`; ``corrected``,
    times the number of ways to pick as many of nine, at most 1, as they were picked after looking
    (Bonferroni); and ``p, all nine``, Fisher's combination of all formulations: a p-value, for
    which nothing is picked.
    """
    rows = {}
    for training_set in table2():
        for number in thermocouples:
            single = perfect_model(number)[f"chance, {training_set}"]
            chance = float(np.prod(single.loc[list(formulations)].to_numpy()))
            rows[training_set, number] = {
                "chance": chance,
                "corrected": min(1.0, chance * comb(len(single), len(formulations))),
                "p, all nine": stats.combine_pvalues(single, "fisher").pvalue,
            }
    names = ["training set", "thermocouples"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(names)
