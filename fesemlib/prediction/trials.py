"""Does the interval hold the truth, and is the strange told from the familiar?

Both can be tried only where the truth is known and fresh micrographs can be had: on stand-ins,
whatever the data set of the book. For real micrographs a model with the same settings is
trained on the stand-ins of Table 1 first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from fesemlib.dataset import Dataset, draw_stand_ins, load_dataset
from fesemlib.drying.equations import porosity
from fesemlib.formulations import SOLUTES, table1
from fesemlib.params import SYNTHETIC, Parameters
from fesemlib.prediction.model import Model, Prediction, predict_micrographs, train_model
from fesemlib.processing import GreyImage
from fesemlib.synthetic import throat_diameter

FRESH = "fresh stand-ins in range"
NOISE = "noise"
TEXTURES = "brick, grass, gravel"
COARSE = "pores 3 times too coarse"
FINE = "pores 3 times too fine"

_FRESH_SEED = 6_000_000  # far from that of the set and of the other chapters
_STRANGE_SEED = 6_500_000
_BEYOND = 3.0  # times the coarsest pores, or of the finest
_STRANGE_SHARE = 5  # one stand-in with strange pores, on either side, for so many fresh ones
_SAMPLES = ("brick", "grass", "gravel")
_MOST_STRANGE = 10
_GRAINS = (0.0, 0.7, 1.5, 3.0, 6.0, 12.0)  # standard deviation of the blur of noise, px


def stand_in_model(model: Model, parameters: Parameters) -> Model:
    """A model trained on the stand-ins of Table 1 with the settings of another.

    Parameters
    ----------
    model
        Is returned where it is one already.
    parameters
        The settings.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Card
    >>> model = Model(Card.model_construct(synthetic=True), networks=())
    >>> stand_in_model(model, Parameters()) is model  # trained on stand-ins already
    True
    """
    if model.card.synthetic:
        return model
    settings = parameters.model_copy(update={"dataset": SYNTHETIC, "rescale": False})
    dataset = load_dataset(settings)
    width = min(settings.input_width, dataset.shape[1])
    return train_model(dataset, settings.model_copy(update={"input_width": width}))


def coverage_trial(model: Model, number: int) -> pd.DataFrame:
    """Predict fresh stand-ins of random k_m.

    Parameters
    ----------
    model
        From `stand_in_model`.
    number
        Of stand-ins. The logarithm of their k_m is uniform over the range of Table 1; all have 5 %
        solids.

    Returns
    -------
    DataFrame
        A row for each: ``true_km, predicted_km, low, high`` (m² s⁻¹), ``covered`` (whether the
        interval holds the truth), ``distance``, ``by_texture``, ``by_k_m`` (why it is outside the
        domain) and ``flagged``.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(96, 128))
    ...     model = train_model(dataset, parameters)
    ...     trial = coverage_trial(model, 2)
    >>> trial["covered"].tolist()  # an interval without bounds, of two formulations
    [True, True]
    """
    fresh = draw_stand_ins(number, _FRESH_SEED, model.card.shape)
    table = _predicted(model, _images(fresh))
    table.insert(0, "true_km", fresh.k_m)
    table["covered"] = (table["low"] <= fresh.k_m) & (fresh.k_m <= table["high"])
    return table


def domain_trial(model: Model, coverage: pd.DataFrame) -> pd.DataFrame:
    """Show a model what it has not been trained on.

    Parameters
    ----------
    model
        From `stand_in_model`.
    coverage
        From `coverage_trial`: the fresh stand-ins, which it should not flag.

    Returns
    -------
    DataFrame
        A row for each image: ``kind``, ``distance``, ``by_texture``, ``by_k_m`` and ``flagged``.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, number_of_seeds=1, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     dataset = draw_stand_ins(2, seed=0, shape=(288, 384))
    ...     model = train_model(dataset, parameters)
    ...     trial = domain_trial(model, coverage_trial(model, 2))
    >>> list(trial["kind"].unique())[:3]
    ['fresh stand-ins in range', 'noise', 'brick, grass, gravel']
    """
    columns = ["distance", "by_texture", "by_k_m", "flagged"]
    tables = [coverage[columns].assign(kind=FRESH)]
    pores = min(max(len(coverage) // _STRANGE_SHARE, 1), _MOST_STRANGE)
    strange = strange_images(model.card.shape, pores)
    tables += [
        _predicted(model, images)[columns].assign(kind=kind) for kind, images in strange.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["kind", *columns]]


def strange_images(shape: tuple[int, int], pores: int) -> Mapping[str, list[GreyImage]]:
    """Images that a model of the stand-ins should not be asked about.

    Parameters
    ----------
    shape
        Height and width, px.
    pores
        How many stand-ins have pores three times as coarse as those of the coarsest formulation of
        Table 1, and as many three times as fine as those of the finest.

    Returns
    -------
    dict
        By kind: white and blurred noise; scikit-image's own pictures of brick, grass and gravel,
        tiled and enlarged, which are no pores; the stand-ins.

    Examples
    --------
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     images = strange_images((288, 384), pores=1)
    >>> [len(of_kind) for of_kind in images.values()]  # noise, textures, coarse and fine pores
    [6, 6, 1, 1]
    """
    table = table1()
    solids = table[list(SOLUTES)].sum(axis=1)
    throats = [
        throat_diameter(float(table["k_m"][name]), porosity(float(solids[name])))
        for name in table.index
    ]
    throat_of_one = throat_diameter(1.0, porosity(5.0))  # of k_m = 1 m² s⁻¹; proportional to k_m
    coarse = _BEYOND * max(throats) / throat_of_one
    fine = min(throats) / _BEYOND / throat_of_one
    return {
        NOISE: _noise(shape),
        TEXTURES: _textures(shape),
        COARSE: _images(draw_stand_ins(pores, _STRANGE_SEED, shape, (coarse, 1.1 * coarse))),
        FINE: _images(draw_stand_ins(pores, _STRANGE_SEED + 1, shape, (0.98 * fine, fine))),
    }


def _images(dataset: Dataset) -> list[GreyImage]:
    return [micrograph.image for micrograph in dataset.micrographs]


def _predicted(model: Model, images: Sequence[GreyImage]) -> pd.DataFrame:
    least, greatest = model.card.k_m_range

    def told(each: Prediction) -> dict[str, float | bool]:
        return {
            "predicted_km": each.k_m,
            "low": each.low,
            "high": each.high,
            "distance": each.distance,
            "by_texture": each.distance > model.texture_limit,
            "by_k_m": not least <= each.k_m <= greatest,
            "flagged": bool(each.reasons),
        }

    jobs = model.parameters.parallel_jobs
    return pd.DataFrame([told(each) for each in predict_micrographs(model, images, jobs)])


def _noise(shape: tuple[int, int]) -> list[GreyImage]:
    random = np.random.default_rng(_STRANGE_SEED)
    images = []
    for grain in _GRAINS:
        noise = random.standard_normal(shape, dtype=np.float32)
        smooth = ndimage.gaussian_filter(noise, grain) if grain else noise
        levels = 128 + 40 * smooth / smooth.std()
        images.append(np.clip(levels, 0, 255).astype(np.uint8))
    return images


def _textures(shape: tuple[int, int]) -> list[GreyImage]:
    images = []
    for name in _SAMPLES:
        picture = _sample(name)
        times = [-(-side // own) for side, own in zip(shape, picture.shape, strict=True)]
        images.append(np.ascontiguousarray(np.tile(picture, times)[: shape[0], : shape[1]]))
        factor = max(side / own for side, own in zip(shape, picture.shape, strict=True))
        enlarged = ndimage.zoom(picture.astype(np.float32), factor, order=1)
        images.append(enlarged[: shape[0], : shape[1]].astype(np.uint8))
    return images


def _sample(name: str) -> GreyImage:
    """A picture that comes with scikit-image."""
    with (files("skimage.data") / f"{name}.png").open("rb") as stream:
        return np.asarray(Image.open(stream).convert("L"))
