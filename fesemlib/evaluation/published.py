"""The paper's own numbers, each with the table or figure that it stands in.

Marcato, Boccardo & Pisano, "Enhancing Mass Transfer Coefficient Prediction from Field Emission
Scanning Electron Microscope Images Through Convolutional Neural Networks and Data Augmentation
Techniques", Processes 13 (2025) 365, https://doi.org/10.3390/pr13020365.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fesemlib.formulations import table1

TRAINING_TIME_HOURS = 5.0  # Section 4.1, approximately, on one GPU

# Table 2: formulation, relative error with the original and with the augmented training set.
_TABLE_2 = {
    "A": (5.99e-1, 5.66e-1),
    "B": (1.29e-1, 7.92e-4),
    "C": (5.36e-1, 2.12e-1),
    "D": (2.2e-3, 1.55e-3),
    "E": (5.66e-3, 9.00e-4),
    "F": (3.78e-5, 1.93e-4),
    "G": (5.80e-4, 4.52e-4),
    "H": (6.92e-2, 4.490e-2),
    "I": (2.67, 1.92),
}


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
    return pd.DataFrame.from_dict(_TABLE_2, orient="index", columns=["original", "augmented"])


def candidates(training_set: str) -> pd.DataFrame:
    """The k_m that the published errors allow.

    Table 2 gives no signs and no predictions, so that each error stands for two predictions,
    k_m (1 + e) and k_m (1 − e). A negative k_m is left out: it has no physical meaning, although
    nothing in the network forbids it.

    Parameters
    ----------
    training_set
        ``"original"`` or ``"augmented"``.

    Returns
    -------
    DataFrame
        Indexed by formulation, columns ``true_km``, ``low_km`` (NaN where it would be negative)
        and ``high_km``, m² s⁻¹.

    Examples
    --------
    >>> allowed = candidates("augmented").loc["B"]
    >>> print(f"{allowed['true_km']:.2e}: {allowed['low_km']:.4e} or {allowed['high_km']:.4e}")
    1.10e-03: 1.0991e-03 or 1.1009e-03
    >>> bool(np.isnan(candidates("augmented")["low_km"]["I"]))  # an error of 192 % has one sign
    True
    """
    k_m = table1()["k_m"]
    error = table2()[training_set]
    low = k_m * (1 - error)
    return pd.DataFrame(
        {"true_km": k_m, "low_km": low.where(low > 0), "high_km": k_m * (1 + error)}
    )


def candidates_for(training_set: str, formulations: pd.DataFrame) -> pd.DataFrame | None:
    """`candidates`, or None where the paper's numbers do not concern these formulations.

    Examples
    --------
    >>> list(candidates_for("original", table1()).columns)
    ['true_km', 'low_km', 'high_km']
    >>> candidates_for("original", table1().drop("I")) is None
    True
    """
    return candidates(training_set) if concerns(formulations) else None


def table2_for(formulations: pd.DataFrame) -> pd.DataFrame | None:
    """`table2`, or None where the paper's numbers do not concern these formulations.

    Examples
    --------
    >>> len(table2_for(table1()))
    9
    >>> table2_for(table1().drop("I")) is None
    True
    """
    return table2() if concerns(formulations) else None


def concerns(formulations: pd.DataFrame) -> bool:
    """Whether these are the paper's nine formulations: its numbers may stand beside ours.

    A part of them is not enough, since every published prediction was trained on eight others.

    Parameters
    ----------
    formulations
        Indexed by formulation, with a column ``k_m`` in m² s⁻¹.

    Examples
    --------
    >>> concerns(table1()), concerns(table1().drop("I"))
    (True, False)
    """
    own = table1()["k_m"]
    return set(formulations.index) == set(own.index) and bool(
        np.allclose(formulations["k_m"], own.loc[formulations.index], rtol=0.01)
    )
