"""Does a micrograph resemble those of the training set?

A predictor answers whatever it is shown. Here what counts is the distance of a micrograph's texture
(its `fesemlib.texture.wavelets`) to the nearest mixture of two micrographs of the training set:
with few formulations, what lies between two of them is familiar as well. It is compared with the
distances that these micrographs have when their own formulation is left out. If the
formulations are exchangeable, a new one exceeds all n of them in about one of n + 1 cases or in
fewer: its own distance is to all n, theirs to n − 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.predictors.measures import TEXTURE

Values = npt.NDArray[np.float64]

_MOST_MIXED = 32  # of the nearest training micrographs
_FAMILY = "^wavelets: "
_LEAST_SPREAD = 0.02  # of a feature over the training set, whose scale it is


@dataclass(frozen=True)
class Domain:
    """What the micrographs of a training set look like, and which formulation each shows."""

    textures: Values  # shape (n, features)
    formulations: tuple[str, ...]

    @classmethod
    def of(cls, measures: pd.DataFrame, formulations: npt.NDArray[np.str_]) -> Domain:
        """The domain of micrographs with these measures."""
        return cls(_texture(measures), tuple(formulations))

    def distance_of(self, measures: pd.Series[float]) -> float:
        """The distance of a micrograph with these measures."""
        return self.distance(_texture(measures.to_frame().T)[0])

    @property
    def spread(self) -> Values:
        """The scale of each feature: its standard deviation over the training set."""
        spread: Values = np.maximum(self.textures.std(axis=0), _LEAST_SPREAD)
        return spread

    @property
    def limit(self) -> float:
        """The greatest distance of a training micrograph to those of the other formulations.

        Infinite where there is only one formulation.
        """
        names = np.array(self.formulations)
        return max(
            _distance(texture, self.textures[names != name], self.spread)
            for texture, name in zip(self.textures, names, strict=True)
        )

    def distance(self, texture: Values) -> float:
        """Distance to the nearest mixture of two training micrographs (of a large set, near ones).

        Root mean square over the features, in units of `spread`.
        """
        return _distance(texture, self.textures, self.spread)


def _texture(measures: pd.DataFrame) -> Values:
    return measures[TEXTURE].filter(regex=_FAMILY).to_numpy(dtype=np.float64)


def _distance(texture: Values, others: Values, spread: Values) -> float:
    if len(others) == 0:
        return float("inf")
    points = (others - texture) / spread
    points = points[np.argsort((points**2).sum(axis=1), kind="stable")[:_MOST_MIXED]]
    first, second = np.triu_indices(len(points))  # each with itself, too
    start, way = points[first], points[second] - points[first]
    length = np.maximum((way**2).sum(axis=1), np.finfo(float).tiny)
    part = np.clip(-(start * way).sum(axis=1) / length, 0, 1)
    nearest = start + part[:, np.newaxis] * way
    return float(np.sqrt((nearest**2).mean(axis=1).min()))
