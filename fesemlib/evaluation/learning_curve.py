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
import pandas as pd

from fesemlib.dataset import Dataset, draw_stand_ins
from fesemlib.evaluation import controls
from fesemlib.formulations import table1
from fesemlib.params import Parameters
from fesemlib.predictors import Known, regressions
from fesemlib.predictors.networks import averaging_parameters, evaluation_parameters
from fesemlib.storage import digest
from fesemlib.validation.errors import at_the_end, measures_of_runs
from fesemlib.validation.leave_one_out import Split, train_splits

NETWORK = "network"
AVERAGED = "network, averaged maps"
RIDGE = "texture, ridge"
MEDIAN = "median of the training set"

_WITHOUT_NETWORK = {MEDIAN: regressions.MEDIAN, RIDGE: regressions.TEXTURES[0]}

MIDDLE = 0.6  # share of the range of log k_m that the training sets come from
INSIDE, BELOW, ABOVE = 15, 8, 7  # stand-ins of the test set by where their k_m lies

_TEST_SEED = 4_000_000  # far from that of any draw
_DRAW_SEED = 5_000_000


@dataclass(frozen=True)
class StandIns:
    """What is trained on, and what is predicted; each stand-in is a formulation of its own."""

    dataset: Dataset
    training: dict[int, tuple[str, ...]]  # of each draw, in the order in which they join
    test: dict[str, str]  # name, and where its k_m lies: "inside" or "outside"
    k_m_range: tuple[float, float]  # that training sets are drawn from, m² s⁻¹


def draw_training_and_test(number: int, draws: Sequence[int], shape: tuple[int, int]) -> StandIns:
    """Draw so many stand-ins (H, W) to train on, for each draw anew, and one set to test with."""
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
    part = dataset.formulations["part"]
    test = part[part.isin(tests)].replace({"below": "outside", "above": "outside"})
    training = {draw: tuple(part.index[part == f"draw {draw}"]) for draw in draws}
    return StandIns(dataset, training, dict(zip(test.index, test, strict=True)), (low, high))


def _joined(parts: dict[str, Dataset]) -> Dataset:
    """Several data sets as one, their formulations called after the part that they come from."""
    formulations, images = [], []
    for part, each in parts.items():
        names = f"{part}, " + each.formulations.index
        formulations.append(each.formulations.set_axis(names).assign(part=part))
        called = {name: f"{part}, " + each.images[name] for name in ("formulation", "image")}
        images.append(each.images.assign(**called))
    return replace(
        next(iter(parts.values())),
        formulations=pd.concat(formulations),
        images=pd.concat(images, ignore_index=True),
        micrographs=tuple(m for each in parts.values() for m in each.micrographs),
        digest=digest(list(parts), [each.digest for each in parts.values()]),
    )


def learning_curve(
    stand_ins: StandIns, sizes: Sequence[int], parameters: Parameters
) -> pd.DataFrame:
    """Train on more and more stand-ins, and predict the test set: a row for each prediction.

    Columns ``predictor, size, draw, region`` ("inside", "outside"; of the networks also "training",
    what they were trained on), ``held_out``, ``image, true_km, predicted_km`` (m² s⁻¹),
    ``relative_error`` and, of the networks, ``steps`` of training. The paper's network is trained
    to the criterion, the one with averaged maps for its own epochs.
    """
    width = input_width(stand_ins, parameters)
    small = parameters.changed(input_width=width, evaluation_width=width)
    sizes = sorted(set(sizes))
    networks = {
        NETWORK: evaluation_parameters(small),
        AVERAGED: averaging_parameters(small),
    }
    tables = [_without_network(stand_ins, sizes, small)]
    for predictor, used in networks.items():
        tables += [_by_network(stand_ins, predictor, size, used) for size in sizes]
    table = pd.concat(tables, ignore_index=True)
    columns = ["image", "true_km", "predicted_km", "relative_error", "steps"]
    table["region"] = table["held_out"].map(stand_ins.test).fillna("training")
    return table[["predictor", "size", "draw", "region", "held_out", *columns]]


def input_width(stand_ins: StandIns, parameters: Parameters) -> int:
    """The width of the networks' input, px: that of the evaluation, but no more than there is."""
    return min(parameters.evaluation_width, stand_ins.dataset.shape[1])


def curve_of(results: pd.DataFrame) -> pd.DataFrame:
    """The measures of each ``predictor, region, size, draw``, and the ``steps`` of its training.

    Those of the region "training" tell how well a network fits what it was trained on; steps are
    NaN for what is not trained in steps.
    """
    grouped = results.groupby(["predictor", "region", "size", "draw"], sort=False)
    curve = grouped.apply(lambda part: measures_of_runs(part).iloc[0])
    return curve.assign(steps=grouped["steps"].first()).reset_index()


def _without_network(
    stand_ins: StandIns, sizes: Sequence[int], parameters: Parameters
) -> pd.DataFrame:
    """The median, and ridge regression of texture features that is tuned in the training set."""
    known = Known.of(stand_ins.dataset, parameters)
    test = np.isin(known.formulations, list(stand_ins.test))
    tables = []
    for draw, training in stand_ins.training.items():
        for size in sizes:
            train = np.isin(known.formulations, training[:size])
            used, left_out = known.only(train | test), [tuple(stand_ins.test)]
            predictions = {
                name: predictor.left_out(used, left_out)[0][test[train | test]]
                for name, predictor in _WITHOUT_NETWORK.items()
            }
            rows = controls.with_errors(predictions, stand_ins.dataset.images[test])
            tables.append(rows.assign(predictor=rows["control"], size=size, draw=draw))
    return pd.concat(tables).sort_values("predictor", kind="stable")  # the median first


def _by_network(
    stand_ins: StandIns, predictor: str, size: int, parameters: Parameters
) -> pd.DataFrame:
    """A network that is trained on the first stand-ins of every draw; the draw is its seed."""
    everything = set(stand_ins.dataset.formulations.index)
    splits = [
        Split(
            tuple(stand_ins.test),
            seed=draw,
            unused=tuple(sorted(everything - {*stand_ins.test, *training[:size]})),
            to_criterion=predictor == NETWORK,
        )
        for draw, training in stand_ins.training.items()
    ]
    trained = at_the_end(train_splits(stand_ins.dataset, parameters, splits))
    return trained.assign(
        predictor=predictor,
        held_out=trained["formulation"],
        draw=trained["seed"],
        size=size,
        steps=trained["epoch"] * math.ceil(size / parameters.batch_size),
    )
