"""Regressions that predict together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.predictors.domain import Domain
from fesemlib.predictors.known import Known, Seen
from fesemlib.predictors.measures import TEXTURE
from fesemlib.predictors.regressions import CORRECTED, PROPORTIONAL, TEXTURES, Regression

Values = npt.NDArray[np.float64]

# Of the limit of the domain, which one of n + 1 micrographs of the same kind exceeds, too.
_FAR = 1.5


@dataclass(frozen=True)
class Combined:
    """The mean of several regressions in log k_m.

    Where one of them does without the texture, the others have no say of a micrograph whose texture
    is far from those that they are fitted to: they would extrapolate.
    """

    name: str
    kind: str
    members: tuple[Regression, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """What any of them needs."""
        return tuple(dict.fromkeys(need for each in self.members for need in each.needs))

    def fit(self, known: Known) -> Any:
        """The members, fitted, and the domain of their training set."""
        domain = Domain.of(known.measures, known.formulations)
        return domain, tuple(each.fit(known) for each in self.members)

    def predict(self, learned: Any, seen: Seen) -> float:
        """The k_m of a new micrograph, m² s⁻¹."""
        domain, members = learned
        inside = np.array([domain.distance_of(seen.measures) <= _FAR * domain.limit])
        pairs = zip(self.members, members, strict=True)
        said = np.array([[member.predict(each, seen)] for member, each in pairs])
        return float(self._mean(said, inside)[0])

    def left_out(
        self, known: Known, held_out: Sequence[tuple[str, ...]], quickly: bool = False
    ) -> Values:
        """What they predict of formulations not seen; see `Predictor.left_out`."""
        said = np.stack([each.left_out(known, held_out, quickly) for each in self.members])
        rows = []
        for number, names in enumerate(held_out):
            test = np.isin(known.formulations, names)
            domain = Domain.of(known.measures[~test], known.formulations[~test])
            distances = [domain.distance_of(row) for _, row in known.measures[test].iterrows()]
            inside = np.zeros(len(test), bool)
            inside[test] = np.array(distances) <= _FAR * domain.limit
            rows.append(self._mean(said[:, number], inside))
        return np.stack(rows)

    def _mean(self, said: Values, inside: npt.NDArray[np.bool_]) -> Values:
        """The geometric mean of what the members say, (members, n), that have a say."""
        of_texture = np.array([TEXTURE in each.needs for each in self.members])
        logarithms = np.log(said)
        if not of_texture.all():
            logarithms[np.outer(of_texture, ~inside)] = np.nan
        return np.asarray(np.exp(pd.DataFrame(logarithms).mean()))


TEXTURE_MEAN = Combined("texture, mean of the three", "texture", TEXTURES)
LENGTH_AND_TEXTURE = Combined(
    "length and texture", "length_and_texture", (PROPORTIONAL, CORRECTED, *TEXTURES)
)
