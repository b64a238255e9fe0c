"""Controls: what other predictors make of the same folds.

Every control predicts each formulation from the others, as the networks do. Whatever it scales or
tunes, it does within the training fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LinearRegression

from fesemlib.dataset import Dataset
from fesemlib.evaluation import published
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters
from fesemlib.predictors import Known
from fesemlib.predictors.known import Predictor
from fesemlib.predictors.listing import predictors_of, too_few
from fesemlib.predictors.measures import TEXTURE
from fesemlib.predictors.networks import IMAGE, averaging_parameters, evaluation_parameters
from fesemlib.predictors.regressions import MEAN, MEDIAN, RIDGE, Regression
from fesemlib.texture import texture_measures, wavelet_scales
from fesemlib.validation import leave_one_out
from fesemlib.validation.errors import MEAN as MEAN_ERROR
from fesemlib.validation.errors import measures, measures_of_runs, relative_error

SPREAD, INPUT_TEXTURE = "standard deviation of the input", "texture of the input"
"""Kinds of measures of the networks' inputs."""


def with_errors(predictions: Mapping[str, npt.ArrayLike], table: pd.DataFrame) -> pd.DataFrame:
    """The predictions of controls, by name, a row an image: true and predicted k_m, m² s⁻¹, error.

    `table` has ``formulation``, ``image`` and ``k_m``; a prediction is NaN where there is none.
    """
    images = table[["formulation", "image", "k_m"]]
    images = images.rename(columns={"formulation": "held_out", "k_m": "true_km"})
    tables = [
        images.assign(control=name, predicted_km=np.asarray(predicted, dtype=np.float64))
        for name, predicted in predictions.items()
    ]
    empty = images.iloc[:0].assign(control="", predicted_km=0.0)
    rows = pd.concat(tables or [empty], ignore_index=True)
    rows["relative_error"] = relative_error(rows["predicted_km"], rows["true_km"])
    return rows[["control", *rows.columns.drop("control")]]


def blind_controls(dataset: Dataset) -> pd.DataFrame:
    """The median and the mean of the other formulations, which see nothing of the one left out."""
    names = dataset.images["formulation"].to_numpy()
    nothing = pd.DataFrame(index=range(len(names)))
    return left_out([MEDIAN, MEAN], Known(nothing, dataset.k_m, names), dataset.images)


def predictor_controls(known: Known, images: pd.DataFrame) -> pd.DataFrame:
    """What predictors make of every formulation: all but the networks and what sees nothing.

    Beside them parts of what these see: ridge regression of each family of the texture, and of the
    texture of the networks' inputs; and a line in their standard deviation (see `with_inputs`).
    Texture only of five formulations or more. `images` are those of the data set.
    """
    texture = known.measures[TEXTURE].columns
    families = dict.fromkeys(str(name).split(":")[0] for name in texture)
    parts = {name: [each for each in texture if each.startswith(f"{name}:")] for name in families}
    ridges = [
        Regression(f"{name}, ridge", "texture", RIDGE, (TEXTURE,), tuple(own))
        for name, own in parts.items()
    ]
    of_inputs = [
        Regression("line in the input's standard deviation", "line", LinearRegression(), (SPREAD,)),
        Regression("texture of the network's input, ridge", "texture", RIDGE, (INPUT_TEXTURE,)),
    ]
    unwanted = {TEXTURE, INPUT_TEXTURE, IMAGE} if too_few(known) else {IMAGE}
    offered = [*predictors_of(known), *ridges, *of_inputs]
    wanted = [each for each in offered if each.needs and not unwanted.intersection(each.needs)]
    return left_out(wanted, known, images)


def with_inputs(known: Known) -> Known:
    """The same, with what the networks' inputs tell in numbers among the measures."""
    assert known.dataset is not None
    assert known.parameters is not None
    inputs = network_inputs(known.dataset, known.parameters)
    levels = np.round(255 * inputs).astype(np.uint8)
    scales = wavelet_scales(levels.shape[1:])
    texture = pd.DataFrame([texture_measures(each, scales) for each in levels])
    tables = {
        SPREAD: pd.DataFrame({SPREAD: inputs.std(axis=(1, 2), dtype=np.float64)}),
        INPUT_TEXTURE: texture.set_axis(range(texture.shape[1]), axis="columns"),
    }
    return replace(known, measures=known.measures.join(pd.concat(tables, axis="columns")))


def left_out(predictors: Sequence[Predictor], known: Known, images: pd.DataFrame) -> pd.DataFrame:
    """What these predictors make of every formulation from the others; rows of `with_errors`."""
    single = [(str(name),) for name in dict.fromkeys(known.formulations)]
    tables = [each.left_out(known, single) for each in predictors]
    names = [each.name for each in predictors]
    left_out = {name: pd.DataFrame(table).max() for name, table in zip(names, tables, strict=True)}
    return with_errors(left_out, images)


def control_summary(controls: pd.DataFrame) -> pd.DataFrame:
    """The three measures of each control; of one with several runs, the medians over them.

    Parameters
    ----------
    controls
        Rows as of `with_errors`, of networks with ``seed``; the error is NaN without a prediction.

    Returns
    -------
    DataFrame
        By ``control``: the measures of `fesemlib.validation.errors`, and ``formulations``, the
        number of those that it predicts. Those that predict most come first, and of these the best:
        a mean over fewer formulations cannot be compared.

    Examples
    --------
    >>> errors = {"held_out": ["A", "B"] * 2, "relative_error": [0.5, 0.25, 0.1, np.nan]}
    >>> controls = pd.DataFrame({"control": ["all"] * 2 + ["partial"] * 2, "seed": 0, **errors})
    >>> control_summary(controls)["mean"].to_dict()
    {'all': 0.375, 'partial': 0.1}
    """
    predicted = controls.dropna(subset="relative_error").fillna({"seed": 0})  # of one run
    grouped = predicted.groupby("control", sort=False)
    summary = pd.DataFrame({name: measures(table)["median"] for name, table in grouped}).T
    summary["formulations"] = grouped["held_out"].nunique()
    return summary.sort_values(["formulations", MEAN_ERROR], ascending=[False, True])


def network_controls(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Predictions of networks, by name, as rows of the table of controls, one an image and run."""
    columns = ["held_out", "image", "seed", "true_km", "predicted_km", "relative_error"]
    return pd.concat(
        [table.filter(columns).assign(control=name) for name, table in predictions.items()],
        ignore_index=True,
    )


def mean_of_seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of an ensemble: of each micrograph, the mean over the seeds."""
    keys = ["held_out", "image", "true_km"]
    mean = predictions.groupby(keys, sort=False)["predicted_km"].mean().reset_index()
    return mean.assign(relative_error=relative_error(mean["predicted_km"], mean["true_km"]))


PUBLISHED = ("published, original set", "published, augmented set")
"""What the paper's own errors are called among the controls."""


def published_controls(dataset: Dataset) -> pd.DataFrame:
    """The paper's errors as rows of the table of controls; none where they do not concern the data.

    They have no predictions: Table 2 states no signs.
    """
    names = dict(zip(leave_one_out.TRAINING_SETS, PUBLISHED, strict=True))
    errors = published.table2().rename(columns=names).rename_axis("held_out").reset_index()
    rows = errors.melt("held_out", var_name="control", value_name="relative_error")
    return rows if published.concerns(dataset.formulations) else rows.iloc[:0]


def other_dropout_parameters(parameters: Parameters) -> Parameters:
    """The paper's network with its dropout at the other place of the two that the text allows."""
    other = "dense" if parameters.dropout_position == "flatten" else "flatten"
    return evaluation_parameters(parameters).changed(dropout_position=other)


def trained_networks(dataset: Dataset, parameters: Parameters) -> dict[str, pd.DataFrame]:
    """Leave-one-out by each network among the controls: training sets, dropout, averaged maps."""
    small, other = evaluation_parameters(parameters), other_dropout_parameters(parameters)
    place = {"flatten": "before", "dense": "after"}[other.dropout_position]
    train = partial(leave_one_out.leave_one_formulation_out, dataset)
    return {
        "network, original set": train(parameters),
        "network, augmented set": train(parameters, "augmented"),
        "network, small input": train(small, to_criterion=True),
        f"network, small input, dropout {place} the ten units": train(other, to_criterion=True),
        "network, averaged maps": train(averaging_parameters(parameters)),
    }


def permutation_test(dataset: Dataset, parameters: Parameters, permutations: int) -> pd.DataFrame:
    """Leave-one-out with the k_m of the formulations shuffled: is the true order better?

    Rows of `measures_of_runs`: the first is of the true order, each further one of a shuffle, which
    may be the true order again. Trained are the folds of the first seed, to the criterion. What is
    left out is predicted, and its error taken, with the shuffled k_m as if they were true.
    """
    rng = np.random.default_rng(parameters.first_seed)
    k_m = dataset.formulations["k_m"].to_numpy(dtype=np.float64)
    orders = [k_m, *(rng.permutation(k_m) for _ in range(permutations))]
    splits = [
        leave_one_out.Split((name,), seed=parameters.first_seed, to_criterion=True)
        for name in dataset.formulations.index
    ]
    tables = []
    for order in orders:
        results = leave_one_out.train_splits(dataset.with_k_m(order), parameters, splits)
        tables.append(measures_of_runs(leave_one_out.held_out_predictions(results)))
    return pd.concat(tables, ignore_index=True)
