"""What a network has to beat: predictors that see no image, or only two numbers of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from fesemlib.validation.errors import relative_error

Values = npt.NDArray[np.float64]


def mean_of_others(k_m: pd.Series[float]) -> pd.DataFrame:
    """Predict every formulation by the mean k_m of the others; columns as `median_of_others`."""
    return _predictions(k_m, (k_m.sum() - k_m) / (len(k_m) - 1))


def median_of_others(k_m: pd.Series[float]) -> pd.DataFrame:
    """Predict every formulation by the median k_m of the others.

    Parameters
    ----------
    k_m
        Indexed by formulation, m² s⁻¹.

    Returns
    -------
    DataFrame
        Indexed like `k_m`: ``true_km``, ``predicted_km`` and ``relative_error``.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> errors = median_of_others(table1()["k_m"])["relative_error"]
    >>> print(f"{errors.mean():.0%}, and {errors['I']:.0%} for I, which is unlike the others")
    41%, and 250% for I, which is unlike the others
    """
    return _predictions(k_m, pd.Series({name: k_m.drop(name).median() for name in k_m.index}))


def _predictions(k_m: pd.Series[float], predicted: pd.Series[float]) -> pd.DataFrame:
    error = relative_error(predicted, k_m)
    return pd.DataFrame({"true_km": k_m, "predicted_km": predicted, "relative_error": error})


def linear_on_others(features: Values, target: Values, formulations: Sequence[str]) -> Values:
    """Predict a target (n,) from features (n, m), by least squares on the other formulations."""
    how = {"groups": np.asarray(formulations), "cv": LeaveOneGroupOut()}
    predicted: Values = cross_val_predict(LinearRegression(), features, target, **how)
    return predicted


def grey_level_statistics(images: Iterable[npt.NDArray[np.generic]]) -> Values:
    """Mean and standard deviation of the grey levels, (n, 2): an image without its structure."""
    return np.array([(image.mean(), image.std()) for image in images], dtype=np.float64)


@dataclass(frozen=True)
class GreyLevelTest:
    """What mean and standard deviation of the grey levels tell of k_m at one step."""

    statistics: Values  # of `grey_level_statistics`, (n, 2)
    predicted: Values  # k_m by the linear model for what was left out, m² s⁻¹, (n,)
    determination: float  # R² of these predictions


def grey_level_test(
    images_by_step: Mapping[str, Sequence[npt.NDArray[np.generic]]], table: pd.DataFrame
) -> dict[str, GreyLevelTest]:
    """Predict k_m from brightness and contrast alone, at each step of the processing.

    `table` has a row for each image, with ``formulation`` and ``k_m``.
    """
    k_m = table["k_m"].to_numpy(dtype=np.float64)
    tests = {}
    for step, images in images_by_step.items():
        statistics = grey_level_statistics(images)
        predicted = linear_on_others(statistics, k_m, list(table["formulation"]))
        tests[step] = GreyLevelTest(statistics, predicted, determination(k_m, predicted))
    return tests


def determination(true: Values, predicted: Values) -> float:
    """R² of predictions for what was left out; negative where the mean of all is better."""
    return float(r2_score(true, predicted))
