"""Which predictors there are, the simplest first."""

from __future__ import annotations

from collections.abc import Sequence

from fesemlib.predictors.combined import LENGTH_AND_TEXTURE, TEXTURE_MEAN
from fesemlib.predictors.known import Known, Predictor
from fesemlib.predictors.measures import BORROWED
from fesemlib.predictors.networks import AVERAGING_NETWORK, PAPER_NETWORK
from fesemlib.predictors.regressions import (
    MEDIAN,
    PROPORTIONAL,
    TEXTURES,
    composition_predictors,
    ridges_of_layers,
)
from fesemlib.predictors.selection import FEWEST_FORMULATIONS

_OF_IMAGES: tuple[Predictor, ...] = (
    PROPORTIONAL,
    *TEXTURES,
    TEXTURE_MEAN,
    LENGTH_AND_TEXTURE,
    *ridges_of_layers(BORROWED),
    AVERAGING_NETWORK,
    PAPER_NETWORK,
)


def predictors_of(known: Known) -> list[Predictor]:
    """All of them that what is known suffices for: composition and borrowed features may lack."""
    every = _every(known.components)
    return [each for each in every if BORROWED not in each.needs or BORROWED in known.measures]


def too_few(known: Known) -> bool:
    """Whether there are fewer formulations than a choice needs, or the tuning of a regression."""
    return len(set(known.formulations)) < FEWEST_FORMULATIONS


def candidates_of(kind: str, known: Known, with_composition: bool = False) -> list[Predictor]:
    """What the parameter `predictor` offers for a training set, the simplest first.

    ``"auto"`` is the length and the networks; of the regressions on texture their mean, with the
    length where the pixel size is known, since to choose among so similar ones costs more than it
    gains; and the composition where new micrographs come with theirs. Empty where a kind is
    impossible: the length without a pixel size, texture and borrowed features of fewer than five
    formulations, of which no network is trained either.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> known = Known(pd.DataFrame(index=range(5)), np.ones(5), np.array(list("ABCDE")))
    >>> [each.name for each in candidates_of("length", known)]
    ['proportional to the correlation length']
    """
    impossible = set()
    if known.dataset is not None and known.dataset.pixel_size_um is None:
        impossible |= {"length", "length_and_texture"}
    if too_few(known):
        impossible |= {"texture", "length_and_texture", "borrowed"}
    offered = [each for each in predictors_of(known) if each.kind not in impossible]
    if kind != "auto":
        return [each for each in offered if each.kind == kind]
    left = {each.name for each in (MEDIAN, *TEXTURES)}
    if too_few(known):
        left |= {AVERAGING_NETWORK.name, PAPER_NETWORK.name}
    if LENGTH_AND_TEXTURE in offered:
        left.add(TEXTURE_MEAN.name)
    others = [each for each in offered if each.name not in left]
    return [each for each in others if with_composition or each.kind != "composition"]


def predictor_named(name: str, components: Sequence[str] = ()) -> Predictor:
    """The predictor that tables call so, of formulations that differ in these components.

    Examples
    --------
    >>> predictor_named("linear in mannitol", ["mannitol", "PVP"]).kind
    'composition'
    """
    found = {each.name: each for each in _every(components)}
    if name not in found:
        raise ValueError(f"there is no predictor {name!r} for this training set")
    return found[name]


def _every(components: Sequence[str]) -> list[Predictor]:
    return [MEDIAN, *composition_predictors(components), *_OF_IMAGES]
