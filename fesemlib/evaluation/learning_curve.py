"""How many formulations it would take: the error against their number, on stand-ins.

Real formulations are few, so that the question is put to stand-ins, whatever the data set of the
book. The training sets come from the middle of the range of k_m; a fixed test set holds stand-ins
from there, and others from beyond on either side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset, draw_stand_ins
from fesemlib.evaluation.controls import (
    TEXTURE_MODELS,
    averaging_parameters,
    evaluation_parameters,
    fitted,
    with_errors,
)
from fesemlib.formulations import table1
from fesemlib.network.inputs import processed_micrographs
from fesemlib.params import Parameters
from fesemlib.storage import digest
from fesemlib.texture import texture_features
from fesemlib.validation.errors import at_the_end, measures_of_runs
from fesemlib.validation.leave_one_out import Split, train_splits

Values = npt.NDArray[np.float64]

NETWORK = "network"
AVERAGED = "network, averaged maps"
RIDGE = "texture, ridge"
MEDIAN = "median of the training set"

MIDDLE = 0.6
"""Share of the range of log k_m that the training sets come from."""

INSIDE, BELOW, ABOVE = 15, 8, 7
"""Stand-ins of the test set by where their k_m lies."""

_TEST_SEED = 4_000_000  # far from that of any draw
_DRAW_SEED = 5_000_000


@dataclass(frozen=True)
class StandIns:
    """What is trained on, and what is predicted.

    Attributes
    ----------
    dataset
        All stand-ins, each a formulation of its own.
    training
        For each draw the names of those that may be trained on, in the order in which they join:
        a smaller training set is part of every larger one.
    test
        Name of each of the others and where its k_m lies, ``"inside"`` or ``"outside"``.
    k_m_range
        The least and the greatest k_m that training sets are drawn from, m² s⁻¹.
    """

    dataset: Dataset
    training: dict[int, tuple[str, ...]]
    test: dict[str, str]
    k_m_range: tuple[float, float]


def draw_training_and_test(number: int, draws: Sequence[int], shape: tuple[int, int]) -> StandIns:
    """Draw stand-ins to train on, several times, and one set to test with.

    Parameters
    ----------
    number
        How many there are to train on.
    draws
        Numbers of the draws; each has its own stand-ins.
    shape
        Height and width, px, such as that of a `fesemlib.synthetic.part_of_frame`.

    Examples
    --------
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     drawn = draw_training_and_test(2, draws=[1, 2], shape=(96, 128))
    >>> drawn.training[1], list(drawn.test.values()).count("outside")
    (('draw 1, 1', 'draw 1, 2'), 15)
    """
    k_m = np.log(table1()["k_m"])
    centre, half = (k_m.max() + k_m.min()) / 2, MIDDLE * (k_m.max() - k_m.min()) / 2
    low, high = float(np.exp(centre - half)), float(np.exp(centre + half))
    least, greatest = float(np.exp(k_m.min())), float(np.exp(k_m.max()))
    tests = {
        "inside": draw_stand_ins(INSIDE, _TEST_SEED, shape, (low, high)),
        "below": draw_stand_ins(BELOW, _TEST_SEED + 1, shape, (least, low)),
        "above": draw_stand_ins(ABOVE, _TEST_SEED + 2, shape, (high, greatest)),
    }
    drawn = {
        f"draw {draw}": draw_stand_ins(number, _DRAW_SEED + draw, shape, (low, high))
        for draw in draws
    }
    dataset = _joined({**tests, **drawn})
    names = dataset.formulations.groupby("part", sort=False).groups
    return StandIns(
        dataset,
        {draw: tuple(str(name) for name in names[f"draw {draw}"]) for draw in draws},
        {
            str(name): "inside" if part == "inside" else "outside"
            for part in tests
            for name in names[part]
        },
        (low, high),
    )


def _joined(parts: dict[str, Dataset]) -> Dataset:
    """Several data sets as one, their formulations called after the part that they come from."""

    def renamed(part: str, names: pd.Series[str]) -> list[str]:
        return [f"{part}, {name}" for name in names]

    formulations = pd.concat(
        [
            each.formulations.set_axis(renamed(part, each.formulations.index.to_series())).assign(
                part=part
            )
            for part, each in parts.items()
        ]
    ).rename_axis("formulation")
    images = pd.concat(
        [
            each.images.assign(
                formulation=renamed(part, each.images["formulation"]),
                image=renamed(part, each.images["image"]),
            )
            for part, each in parts.items()
        ],
        ignore_index=True,
    )
    first = next(iter(parts.values()))
    return replace(
        first,
        formulations=formulations,
        images=images,
        micrographs=tuple(m for each in parts.values() for m in each.micrographs),
        digest=digest(list(parts), [each.digest for each in parts.values()]),
    )


def learning_curve(
    stand_ins: StandIns, sizes: Sequence[int], parameters: Parameters
) -> pd.DataFrame:
    """Train on more and more stand-ins, and predict the test set.

    Parameters
    ----------
    stand_ins
        From `draw_training_and_test`, at least as many as the greatest size.
    sizes
        Numbers of stand-ins that are trained on.
    parameters
        Those of the processing, the networks and their training.

    Returns
    -------
    DataFrame
        A row for each prediction: ``predictor, size, draw, region`` ("inside" or "outside"; of the
        networks also "training", what they were trained on), ``held_out``, which is the
        formulation, ``image, true_km, predicted_km`` (m² s⁻¹), ``relative_error`` and, of the
        networks, ``steps``, those of their training. The paper's network is trained until its
        training error is at most `training_criterion`, the other one for its own epochs.

    Raises
    ------
    ValueError
        When a size is greater than the number of stand-ins.

    Examples
    --------
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(evaluation_width=32, epochs=2, averaging_epochs=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     drawn = draw_training_and_test(5, draws=[1], shape=(96, 128))
    ...     results = learning_curve(drawn, sizes=[5], parameters=parameters)
    >>> results.groupby(["predictor", "region"]).size()[NETWORK].to_dict()
    {'inside': 15, 'outside': 15, 'training': 5}
    """
    available = min(len(names) for names in stand_ins.training.values())
    sizes = sorted(set(sizes))
    if sizes[-1] > available:
        raise ValueError(f"{sizes[-1]} stand-ins to train on, but only {available} were drawn")
    width = input_width(stand_ins, parameters)
    small = parameters.model_copy(update={"input_width": width, "evaluation_width": width})
    tables = [_blind(stand_ins, sizes), _by_texture(stand_ins, sizes, small)]
    for predictor, settings in (
        (NETWORK, evaluation_parameters(small)),
        (AVERAGED, averaging_parameters(small)),
    ):
        tables += [
            _by_network(stand_ins, size, settings, to_criterion=predictor == NETWORK).assign(
                predictor=predictor
            )
            for size in sizes
        ]
    table = pd.concat(tables, ignore_index=True)
    columns = ["image", "true_km", "predicted_km", "relative_error", "steps"]
    table["region"] = table["held_out"].map(stand_ins.test).fillna("training")
    return table[["predictor", "size", "draw", "region", "held_out", *columns]]


def input_width(stand_ins: StandIns, parameters: Parameters) -> int:
    """The width of the networks' input, px: that of the evaluation, but no more than there is.

    Parameters
    ----------
    stand_ins
        From `draw_training_and_test`.
    parameters
        `evaluation_width` is used.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> stand_ins = SimpleNamespace(dataset=SimpleNamespace(shape=(96, 128)))
    >>> input_width(stand_ins, Parameters(evaluation_width=512))
    128
    """
    return min(parameters.evaluation_width, stand_ins.dataset.shape[1])


def curve_of(results: pd.DataFrame) -> pd.DataFrame:
    """The errors of each draw, and the steps of training.

    Parameters
    ----------
    results
        From `learning_curve`.

    Returns
    -------
    DataFrame
        ``predictor, region, size, draw``, the measures of `measures_of_runs`, and
        ``steps``, NaN for what is not trained in steps. Those of the region "training" tell how
        well a network fits what it was trained on.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "predictor": RIDGE, "region": "inside", "size": 5, "draw": 1, "steps": np.nan,
    ...         "held_out": ["A", "B"], "relative_error": [0.25, 0.75],
    ...     }
    ... )
    >>> curve_of(results)["mean"].to_list()
    [0.5]
    """
    keys = ["predictor", "region", "size", "draw"]
    rows = [
        dict(zip(keys, found, strict=True))
        | measures_of_runs(part).iloc[0].to_dict()
        | {"steps": part["steps"].iloc[0]}
        for found, part in results.groupby(keys, sort=False)
    ]
    return pd.DataFrame(rows)


def _test_images(stand_ins: StandIns) -> pd.DataFrame:
    images = stand_ins.dataset.images
    return images[images["formulation"].isin(stand_ins.test)]


def _blind(stand_ins: StandIns, sizes: Sequence[int]) -> pd.DataFrame:
    test = _test_images(stand_ins)
    k_m = stand_ins.dataset.formulations["k_m"]
    return pd.concat(
        [
            with_errors(MEDIAN, test, np.full(len(test), k_m[list(names[:size])].median())).assign(
                predictor=MEDIAN, size=size, draw=draw
            )
            for draw, names in stand_ins.training.items()
            for size in sizes
        ],
        ignore_index=True,
    )


def _by_texture(stand_ins: StandIns, sizes: Sequence[int], parameters: Parameters) -> pd.DataFrame:
    """Ridge regression of texture features, tuned within the training set."""
    images = processed_micrographs(stand_ins.dataset, parameters)
    features = texture_features(images, stand_ins.dataset.pixel_size_um).to_numpy(dtype=np.float64)
    names = stand_ins.dataset.images["formulation"]
    test = names.isin(stand_ins.test).to_numpy()
    tables = []
    for draw, training in stand_ins.training.items():
        for size in sizes:
            train = names.isin(training[:size]).to_numpy()
            model = fitted(
                TEXTURE_MODELS["ridge"](),
                features[train],
                stand_ins.dataset.k_m[train],
                names[train].to_numpy(),
            )
            predicted: Values = np.ravel(model.predict(features[test]))
            tables.append(
                with_errors(RIDGE, _test_images(stand_ins), predicted).assign(
                    predictor=RIDGE, size=size, draw=draw
                )
            )
    return pd.concat(tables, ignore_index=True)


def _by_network(
    stand_ins: StandIns, size: int, parameters: Parameters, to_criterion: bool
) -> pd.DataFrame:
    """A network that is trained on the first stand-ins of every draw; the draw is its seed."""
    everything = set(stand_ins.dataset.formulations.index)
    splits = [
        Split(
            tuple(stand_ins.test),
            seed=draw,
            unused=tuple(sorted(everything - {*stand_ins.test, *training[:size]})),
            to_criterion=to_criterion,
        )
        for draw, training in stand_ins.training.items()
    ]
    trained = at_the_end(train_splits(stand_ins.dataset, parameters, splits))
    return trained.assign(
        held_out=trained["formulation"],
        draw=trained["seed"],
        size=size,
        steps=trained["epoch"] * math.ceil(size / parameters.batch_size),
    )
