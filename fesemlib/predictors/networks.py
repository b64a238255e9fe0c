"""Networks as predictors: the paper's, and the small one that averages its feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.dataset import Dataset
from fesemlib.params import Parameters
from fesemlib.predictors.known import Known, Seen
from fesemlib.validation.leave_one_out import (
    Split,
    TrainedNetwork,
    full_splits,
    held_out_predictions,
    kept_networks,
    train_splits,
)

Values = npt.NDArray[np.float64]

IMAGE = "image"
"""What a network is shown: the processed micrograph itself, of the training set's size."""


def evaluation_parameters(parameters: Parameters) -> Parameters:
    """The same training at the size and with the seeds of what repeats leave-one-out many times."""
    width = min(parameters.evaluation_width, parameters.input_width)
    return parameters.changed(input_width=width, number_of_seeds=parameters.evaluation_seeds)


def averaging_parameters(parameters: Parameters) -> Parameters:
    """The network that averages its feature maps, with its own learning rate and epochs."""
    return evaluation_parameters(parameters).changed(
        head="global_average",
        learning_rate=parameters.averaging_learning_rate,
        epochs=parameters.averaging_epochs,
    )


@dataclass(frozen=True)
class Networks:
    """An ensemble, a network a seed, whose prediction is the mean of its members'."""

    name: str
    kind: str
    own: Callable[[Parameters], Parameters]  # from all parameters to those of its trainings
    needs: tuple[str, ...] = (IMAGE,)

    def fit(self, known: Known) -> list[TrainedNetwork]:
        """Networks that have seen everything, one a seed."""
        dataset, parameters = self._trained_on(known)
        splits = full_splits(parameters, parameters.prediction_training_set)
        return kept_networks(dataset, parameters, splits)

    def predict(self, learned: list[TrainedNetwork], seen: Seen) -> float:
        """The mean over the members, m² s⁻¹."""
        assert seen.shown is not None
        return float(np.mean([each.predict(seen.shown[np.newaxis]) for each in learned]))

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], quickly: bool = False
    ) -> Values:
        """What it predicts of formulations that it has not seen; see `Predictor.left_out`."""
        dataset, parameters = self._trained_on(known)
        training_set = parameters.prediction_training_set
        if quickly:
            parameters, training_set = evaluation_parameters(parameters), "original"
        splits = [
            Split(names, training_set, seed) for names in held_out for seed in parameters.seeds
        ]
        results = held_out_predictions(train_splits(dataset, parameters, splits))
        by_image = results.groupby(["held_out", "image"])["predicted_km"].mean().unstack()
        rows = by_image.loc[[" + ".join(names) for names in held_out], dataset.images["image"]]
        return rows.to_numpy(dtype=np.float64)

    def _trained_on(self, known: Known) -> tuple[Dataset, Parameters]:
        assert known.dataset is not None
        assert known.parameters is not None
        return known.dataset, self.own(known.parameters)


def diverged(learned: Any) -> bool:
    """Whether there are weights of networks that are no numbers."""
    networks = learned if isinstance(learned, list) else []
    weights = [weight for network in networks for weight in network.model.get_weights()]
    return not all(np.isfinite(weight).all() for weight in weights)


PAPER_NETWORK = Networks("the paper's network", "paper_network", lambda parameters: parameters)
AVERAGING_NETWORK = Networks("network, averaged maps", "averaging_network", averaging_parameters)
