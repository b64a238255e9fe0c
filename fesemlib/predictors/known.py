"""A training set as predictors see it, and what a predictor is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset
from fesemlib.params import Parameters
from fesemlib.predictors.measures import COMPOSITION, measures_of

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """Micrographs of known k_m.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> known = Known.of(draw_stand_ins(2, seed=0, shape=(96, 128)), Parameters())
    >>> known.measures.shape[0], list(known.measures.columns.unique(0))
    (2, ['correlation length', 'texture'])
    """

    measures: pd.DataFrame  # a row each, see `fesemlib.predictors.measures.measures_of`
    k_m: Values  # m² s⁻¹, (n,)
    formulations: npt.NDArray[Any]  # which one each micrograph shows, (n,)
    # The micrographs themselves and the parameters of the trainings, which only networks need.
    dataset: Dataset | None = None
    parameters: Parameters | None = None

    @classmethod
    def of(cls, dataset: Dataset, parameters: Parameters) -> Known:
        """The micrographs of a data set, measured."""
        names = dataset.images["formulation"].astype(str).to_numpy()
        return cls(measures_of(dataset, parameters), dataset.k_m, names, dataset, parameters)

    @property
    def components(self) -> list[str]:
        """Those of the composition that vary."""
        own = self.measures.get(COMPOSITION, pd.DataFrame())
        return [str(name) for name, each in own.items() if each.min() < each.max()]

    def only(self, wanted: npt.NDArray[np.bool_]) -> Known:
        """Some of the micrographs, for predictors that are no networks."""
        return Known(self.measures[wanted], self.k_m[wanted], self.formulations[wanted])


@dataclass(frozen=True)
class Seen:
    """A new micrograph as predictors see it."""

    measures: pd.Series[float]
    shown: npt.NDArray[np.float32] | None = None  # the network's input, where one is needed
    note: str = ""  # what could not be checked


class Predictor(Protocol):
    """What predicts k_m of a micrograph when it has been fitted to others."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def kind(self) -> str:
        """What the parameter `predictor` calls it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it is shown: kinds of measures, or the image; nothing if empty."""

    def fit(self, known: Known) -> Any:
        """What it has learned from everything known."""

    def predict(self, learned: Any, seen: Seen) -> float:
        """The k_m of a new micrograph, m² s⁻¹."""

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], quickly: bool = False
    ) -> Values:
        """Predict groups of formulations, each by a fit to all others; m² s⁻¹, (groups, n).

        NaN but for the micrographs of the group. `quickly`: by a smaller network, where there is
        one, which is good enough to compare predictors.
        """
