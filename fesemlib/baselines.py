"""Predictors that see no image: what a network has to beat."""

from __future__ import annotations

import pandas as pd

__all__ = ["mean_of_others", "median_of_others"]


def mean_of_others(k_m: pd.Series[float]) -> pd.DataFrame:
    """Predict every formulation by the mean k_m of the others.

    Parameters
    ----------
    k_m
        Indexed by formulation, m² s⁻¹.

    Returns
    -------
    DataFrame
        Indexed like `k_m`: ``true_km``, ``predicted_km`` and ``relative_error``, which is
        |predicted − true| / true.
    """
    return _errors(k_m, (k_m.sum() - k_m) / (len(k_m) - 1))


def median_of_others(k_m: pd.Series[float]) -> pd.DataFrame:
    """Predict every formulation by the median k_m of the others; see `mean_of_others`."""
    return _errors(k_m, pd.Series({name: k_m.drop(name).median() for name in k_m.index}))


def _errors(k_m: pd.Series[float], predicted: pd.Series[float]) -> pd.DataFrame:
    error = (predicted - k_m).abs() / k_m
    return pd.DataFrame({"true_km": k_m, "predicted_km": predicted, "relative_error": error})
