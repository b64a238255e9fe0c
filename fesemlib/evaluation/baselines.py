"""What a network has to beat: predictors that see no image, or only two numbers of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


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
        ``|predicted − true| / true``.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> errors = mean_of_others(table1()["k_m"])["relative_error"]
    >>> print(f"{errors.mean():.0%}, and {errors['I']:.0%} for I, which is unlike the others")
    50%, and 309% for I, which is unlike the others
    """
    return _errors(k_m, (k_m.sum() - k_m) / (len(k_m) - 1))


def median_of_others(k_m: pd.Series[float]) -> pd.DataFrame:
    """Predict every formulation by the median k_m of the others; see `mean_of_others`.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> errors = median_of_others(table1()["k_m"])["relative_error"]
    >>> print(f"{errors.mean():.0%}, and {errors['I']:.0%} for I, which is unlike the others")
    41%, and 250% for I, which is unlike the others
    """
    return _errors(k_m, pd.Series({name: k_m.drop(name).median() for name in k_m.index}))


def grey_level_statistics(images: Iterable[npt.NDArray[np.generic]]) -> npt.NDArray[np.float64]:
    """Mean and standard deviation of the grey levels: what an image tells without its structure.

    Parameters
    ----------
    images
        Of any shape and numeric type.

    Returns
    -------
    ndarray
        Shape (n, 2), in the unit of the images.

    Examples
    --------
    >>> flat, half = np.full((2, 2), 100.0), np.array([[0.0, 200.0]])
    >>> grey_level_statistics([flat, half]).tolist()
    [[100.0, 0.0], [100.0, 100.0]]
    """
    return np.array([(image.mean(), image.std()) for image in images], dtype=np.float64)


def linear_on_others(
    features: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    formulations: Sequence[str],
) -> npt.NDArray[np.float64]:
    """Predict every image by a linear model that is fitted to the other formulations.

    Parameters
    ----------
    features
        Shape (n, m).
    target
        For instance k_m, shape (n,).
    formulations
        To which formulation each image belongs; all images of one are left out together.

    Returns
    -------
    ndarray
        Predictions by ordinary least squares with an intercept, in the unit of `target`,
        shape (n,). Where the others are too few to fix all coefficients, the smallest are taken.

    Examples
    --------
    >>> brightness = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> predicted = linear_on_others(brightness, np.array([1.0, 2.0, 3.0, 8.0]), list("ABCD"))
    >>> print(predicted.round(2).tolist())  # the last is what A, B and C promise
    [-1.67, 2.57, 5.29, 4.0]
    """
    design = np.column_stack([np.ones(len(target)), features])
    names = np.asarray(formulations)
    predicted = np.empty(len(target))
    for name in np.unique(names):
        left_out = names == name
        coefficients = np.linalg.lstsq(design[~left_out], target[~left_out], rcond=None)[0]
        predicted[left_out] = design[left_out] @ coefficients
    return predicted


@dataclass(frozen=True)
class GreyLevelTest:
    """What mean and standard deviation of the grey levels tell of k_m at one step.

    Attributes
    ----------
    statistics
        Of `grey_level_statistics`, shape (n, 2).
    predicted
        k_m of the linear model for what was left out, m² s⁻¹, shape (n,).
    determination
        R² of these predictions.
    """

    statistics: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    determination: float


def grey_level_test(
    images_by_step: Mapping[str, Sequence[npt.NDArray[np.generic]]], table: pd.DataFrame
) -> dict[str, GreyLevelTest]:
    """Predict k_m from brightness and contrast alone, at each step of the processing.

    Parameters
    ----------
    images_by_step
        Name of the step and its images.
    table
        A row for each image, with ``formulation`` and ``k_m``.

    Examples
    --------
    >>> images = [np.full((4, 4), float(level)) for level in (10, 20, 30, 40)]
    >>> table = pd.DataFrame({"formulation": list("ABCD"), "k_m": [1e-3, 2e-3, 3e-3, 4e-3]})
    >>> test = grey_level_test({"as read": images}, table)["as read"]
    >>> print(f"R² = {test.determination:.2f}: k_m is brightness in disguise")
    R² = 1.00: k_m is brightness in disguise
    """
    k_m = table["k_m"].to_numpy(dtype=np.float64)
    tests = {}
    for step, images in images_by_step.items():
        statistics = grey_level_statistics(images)
        predicted = linear_on_others(statistics, k_m, list(table["formulation"]))
        tests[step] = GreyLevelTest(statistics, predicted, determination(k_m, predicted))
    return tests


def determination(true: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> float:
    """Coefficient of determination R² of predictions for what was left out.

    Parameters
    ----------
    true, predicted
        In one unit, shape (n,).

    Returns
    -------
    float
        1 − Σ(true − predicted)²/Σ(true − mean)²: 1 for perfect predictions, 0 for those that are
        no better than the mean of all, and negative for worse ones.

    Examples
    --------
    >>> true = np.array([1.0, 2.0, 3.0])
    >>> determination(true, true), determination(true, np.full(3, 2.0))
    (1.0, 0.0)
    >>> determination(true, true[::-1])
    -3.0
    """
    return float(1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def _errors(k_m: pd.Series[float], predicted: pd.Series[float]) -> pd.DataFrame:
    error = (predicted - k_m).abs() / k_m
    return pd.DataFrame({"true_km": k_m, "predicted_km": predicted, "relative_error": error})
