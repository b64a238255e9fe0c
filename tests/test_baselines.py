"""Predictors without structure: against closed forms."""

import numpy as np
import pandas as pd
import pytest

from fesemlib.evaluation.baselines import (
    determination,
    grey_level_statistics,
    grey_level_test,
    linear_on_others,
)

RANDOM = np.random.default_rng(0)


def test_statistics_of_grey_levels():
    image = np.array([[0, 4], [4, 8]], np.uint8)
    assert grey_level_statistics([image, image / 2]) == pytest.approx(
        np.array([[4, 8**0.5], [2, 2**0.5]])
    )


def test_leaving_one_out_equals_the_closed_form():
    """With one image a formulation, the error is the residual of the full fit over 1 − leverage."""
    features, target = RANDOM.normal(size=(9, 2)), RANDOM.normal(size=9)
    design = np.column_stack([np.ones(9), features])
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    expected = (target - hat @ target) / (1 - np.diag(hat))
    predicted = linear_on_others(features, target, list("ABCDEFGHI"))
    assert target - predicted == pytest.approx(expected)


def test_all_images_of_a_formulation_are_left_out_together():
    features, target = RANDOM.normal(size=(8, 1)), RANDOM.normal(size=8)
    names = list("ABABCCAB")
    predicted = linear_on_others(features, target, names)
    for name in "ABC":
        own = np.array(names) == name
        slope, intercept = np.polyfit(features[~own, 0], target[~own], 1)
        assert predicted[own] == pytest.approx(slope * features[own, 0] + intercept)


def test_what_was_left_out_has_no_say():
    features, target = RANDOM.normal(size=(6, 2)), RANDOM.normal(size=6)
    before = linear_on_others(features, target, list("ABCDEF"))
    target[2] += 100
    after = linear_on_others(features, target, list("ABCDEF"))
    assert after[2] == pytest.approx(before[2])
    assert abs(after[0] - before[0]) > 1e-3


def test_determination_of_perfect_of_average_and_of_worse_predictions():
    true = np.array([1.0, 2.0, 4.0, 5.0])
    assert determination(true, true) == 1
    assert determination(true, np.full(4, 3.0)) == 0
    assert determination(true, true[::-1]) == -3


def test_a_step_that_leaks_k_m_is_found_and_one_that_does_not_is_not():
    k_m = np.linspace(1e-3, 2e-3, 12)
    noise = [RANDOM.normal(100, 10, (16, 16)) for _ in k_m]
    leaking = [image * 1e3 * value for image, value in zip(noise, k_m, strict=True)]
    table = pd.DataFrame({"formulation": list("ABCDEFGHIJKL"), "k_m": k_m})
    tested = grey_level_test({"clean": noise, "leaking": leaking}, table)
    assert tested["clean"].determination < 0.2
    assert tested["leaking"].determination > 0.9
    assert tested["clean"].statistics == pytest.approx(grey_level_statistics(noise))
