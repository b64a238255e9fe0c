"""What the paper's own numbers imply: Table 2 beside the scatter that Table 1 states.

k_m of each formulation is the average over several thermocouples, which scatter. Even a model that
knew every true k_m would not meet these averages exactly.
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from fesemlib.evaluation.baselines import mean_of_others, median_of_others
from fesemlib.evaluation.published import table2
from fesemlib.formulations import table1

Values = npt.NDArray[np.float64]


CLAIMED_INSIDE = 0.05
"""Error on the interpolation test data below which the paper's abstract says that it stays."""


def published_beside_rules() -> pd.DataFrame:
    """The published errors beside those of the median and the mean of the other formulations.

    Returns
    -------
    DataFrame
        Indexed by formulation: ``original``, ``augmented``, ``median of the others`` and ``mean
        of the others``; unsigned fractions.

    Examples
    --------
    >>> print(published_beside_rules().mean().round(3).to_string())
    original                0.446
    augmented               0.305
    median of the others    0.408
    mean of the others      0.501
    """
    k_m = table1()["k_m"]
    return table2().assign(
        **{
            "median of the others": median_of_others(k_m)["relative_error"],
            "mean of the others": mean_of_others(k_m)["relative_error"],
        }
    )


def inside_the_others() -> list[str]:
    """The formulations whose k_m lies between two others: predicting them is no extrapolation.

    Examples
    --------
    >>> inside_the_others()
    ['B', 'C', 'D', 'E', 'F', 'G', 'H']
    """
    k_m = table1()["k_m"]
    return [
        str(name)
        for name in k_m.index
        if k_m.drop(name).between(k_m[name], np.inf).any()
        and k_m.drop(name).between(-np.inf, k_m[name]).any()
    ]


def perfect_model(thermocouples: int) -> pd.DataFrame:
    """How likely a model that knows every true k_m errs no more than was published.

    Parameters
    ----------
    thermocouples
        Over how many each k_m of Table 1 is averaged; the paper does not state it for each.

    Returns
    -------
    DataFrame
        Indexed by formulation: ``scatter`` of the average (relative standard error), and for each
        training set the published error and the ``chance``.

    Notes
    -----
    The average of n thermocouples is taken as normal about the true k_m with the relative
    standard deviation of Table 1 over √n. The relative error of the true value is then below e
    with the probability that a standard normal variable is below e √n/s in size. Table 1's s is
    itself an estimate from n values; with Student's distribution in place of the normal one small
    chances are a little smaller (by a tenth for three values). The micrograph shows another vial
    than those with thermocouples; if vials differ, a model that reads its own vial scatters by
    √(1 + 1/n) s about the average, and all chances are smaller still.

    Examples
    --------
    Table 1 states a standard deviation of 2.3 % for A, and Table 2 an error of 60 %.

    >>> found = perfect_model(thermocouples=6).loc["A"]
    >>> print(f"{found['scatter']:.4f}, {found['chance original']:.4f}")
    0.0094, 1.0000
    """
    scatter = table1()["std_percent"] / 100 / np.sqrt(thermocouples)
    published = table2()
    chances = {
        f"chance {name}": stats.halfnorm.cdf(published[name] / scatter) for name in published
    }
    return published.assign(scatter=scatter, **chances)


def chance_of_perfect_model(
    training_set: str, formulations: list[str], thermocouples: int
) -> tuple[float, float]:
    """The chance that a perfect model errs no more than published on all of some formulations.

    Parameters
    ----------
    training_set
        ``"original"`` or ``"augmented"``.
    formulations
        Some of A–I.
    thermocouples
        As in `perfect_model`.

    Returns
    -------
    chance
        For these formulations.
    corrected
        Times the number of ways to pick as many of nine, at most 1: these were picked after
        looking (Bonferroni).

    Examples
    --------
    >>> single, corrected = chance_of_perfect_model("original", ["F"], thermocouples=6)
    >>> print(f"{single:.1e}, {corrected / single:.0f} times that")
    8.3e-04, 9 times that
    """
    chance = float(np.prod(_chances(training_set, formulations, thermocouples)))
    return chance, min(1.0, chance * comb(len(table2()), len(formulations)))


def combined_p_value(training_set: str, thermocouples: int) -> float:
    """How unlikely errors as small as the published ones are, all nine together.

    `chance_of_perfect_model` is the probability of one event that was laid down after looking. This
    is a p-value, and nothing is picked for it: the probability, for a perfect model, of all
    outcomes that are as unlikely, whichever of the errors are the small ones.

    Parameters
    ----------
    training_set, thermocouples
        As in `chance_of_perfect_model`.

    Returns
    -------
    float
        Fisher's combination of the chances of all formulations; uniform for a perfect model.

    Examples
    --------
    >>> print(f"{combined_p_value('original', thermocouples=6):.3f}")
    0.024
    """
    chances = _chances(training_set, list(table2().index), thermocouples)
    return float(stats.combine_pvalues(chances, "fisher").pvalue)


def _chances(training_set: str, formulations: list[str], thermocouples: int) -> Values:
    chances = perfect_model(thermocouples)[f"chance {training_set}"]
    return chances.loc[formulations].to_numpy(dtype=np.float64)
