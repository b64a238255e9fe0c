"""Does the interval hold the truth, and is the strange told from the familiar?

Both can be tried only where the truth is known and fresh micrographs can be had: on stand-ins,
whatever the data set of the book. For real micrographs a model with the same settings is
trained on the stand-ins of Table 1 first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage import data

from fesemlib.dataset import draw_stand_ins, load_dataset
from fesemlib.drying.equations import porosity
from fesemlib.formulations import SOLUTES, table1
from fesemlib.params import SYNTHETIC, Parameters
from fesemlib.prediction.model import Model, predict_micrographs, train_model
from fesemlib.processing import GreyImage
from fesemlib.synthetic.foam import throat_diameter

FRESH = "fresh stand-ins in range"

_FRESH_SEED = 6_000_000  # far from that of the set and of the other chapters
_STRANGE_SEED = 6_500_000
_BEYOND = 3.0  # times the coarsest pores, or of the finest
_STRANGE_SHARE = 5  # one stand-in with strange pores, on either side, for so many fresh ones
_MOST_STRANGE = 10
_SAMPLES = ("brick", "grass", "gravel")
_TOLD = {"k_m": "predicted_km", "k_m_low": "low", "k_m_high": "high"}
_TOLD |= {"texture_distance": "distance"}
_GRAINS = (0.0, 0.7, 1.5, 3.0, 6.0, 12.0)  # standard deviation of the blur of noise, px


def stand_in_model(model: Model, parameters: Parameters) -> Model:
    """A model of the stand-ins of Table 1 with these settings; the given one where it is one.

    Its predictor is of the same kind, if that goes by the image or by nothing.
    """
    kind = model.predictor.kind
    if model.card.synthetic and kind != "composition":
        return model
    kind = "length" if kind == "composition" else kind
    settings = parameters.changed(dataset=SYNTHETIC, rescale=False, predictor=kind)
    dataset = load_dataset(settings)
    width = min(settings.input_width, dataset.shape[1])
    return train_model(dataset, settings.changed(input_width=width))


def coverage_trial(model: Model, number: int) -> pd.DataFrame:
    """Predict so many fresh stand-ins of random k_m.

    The logarithm of their k_m is uniform over the range of Table 1; all have 5 % solids. A row for
    each: ``true_km, predicted_km, low, high`` (m² s⁻¹), ``covered`` (whether the interval holds the
    truth), ``distance``, ``by_texture``, ``by_k_m`` (why it is outside the domain), ``flagged``.
    """
    labels = model.card.parameters.synthetic_labels
    fresh = draw_stand_ins(number, _FRESH_SEED, model.card.shape, labels=labels)
    table = _predicted(model, [each.image for each in fresh.micrographs])
    table.insert(0, "true_km", fresh.k_m)
    table["covered"] = (table["low"] <= fresh.k_m) & (fresh.k_m <= table["high"])
    return table


def domain_trial(model: Model, coverage: pd.DataFrame) -> pd.DataFrame:
    """Show a model what it has not been trained on, beside the fresh stand-ins of `coverage`.

    A row for each image: ``kind``, ``distance``, ``by_texture``, ``by_k_m`` and ``flagged``.
    """
    number = min(max(len(coverage) // _STRANGE_SHARE, 1), _MOST_STRANGE)
    tables = {FRESH: coverage} | {
        kind: _predicted(model, images)
        for kind, images in strange_images(model.card.shape, number).items()
    }
    table = pd.concat([each.assign(kind=kind) for kind, each in tables.items()], ignore_index=True)
    return table[["kind", "distance", "by_texture", "by_k_m", "flagged"]]


def strange_images(shape: tuple[int, int], pores: int) -> Mapping[str, list[GreyImage]]:
    """Images of a shape (H, W) that a model of the stand-ins should not be asked about, by kind.

    White and blurred noise; scikit-image's own pictures of brick, grass and gravel, tiled and
    enlarged, which are no pores; so many stand-ins with `pores` three times as coarse as those of
    the coarsest formulation of Table 1, and as many three times as fine as those of the finest.
    """
    table = table1()
    solids = table[list(SOLUTES)].sum(axis=1)
    throats = list(map(throat_diameter, table["k_m"], map(porosity, solids)))
    throat_of_one = throat_diameter(1.0, porosity(5.0))  # of k_m = 1 m² s⁻¹; proportional to k_m
    coarse = _BEYOND * max(throats) / throat_of_one
    fine = min(throats) / _BEYOND / throat_of_one

    def drawn(seed: int, k_m: tuple[float, float]) -> list[GreyImage]:
        return [each.image for each in draw_stand_ins(pores, seed, shape, k_m).micrographs]

    return {
        "noise": _noise(shape),
        "brick, grass, gravel": _textures(shape),
        "pores 3 times too coarse": drawn(_STRANGE_SEED, (coarse, 1.1 * coarse)),
        "pores 3 times too fine": drawn(_STRANGE_SEED + 1, (0.98 * fine, fine)),
    }


def _predicted(model: Model, images: Sequence[GreyImage]) -> pd.DataFrame:
    rows = pd.DataFrame(predict_micrographs(model, images))
    rows["by_texture"] = rows["texture_distance"] > rows["texture_limit"]
    rows["by_k_m"] = ~rows["k_m"].between(*model.card.k_m_range)
    rows["flagged"] = ~rows["in_domain"]
    return rows.rename(columns=_TOLD)[[*_TOLD.values(), "by_texture", "by_k_m", "flagged"]]


def _noise(shape: tuple[int, int]) -> list[GreyImage]:
    random = np.random.default_rng(_STRANGE_SEED)
    images = []
    for grain in _GRAINS:
        noise = random.standard_normal(shape, dtype=np.float32)
        smooth = ndimage.gaussian_filter(noise, grain)
        images.append(np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8))
    return images


def _textures(shape: tuple[int, int]) -> list[GreyImage]:
    height, width = shape
    images = []
    for name in _SAMPLES:
        picture: GreyImage = getattr(data, name)()
        rows, columns = picture.shape
        images.append(picture[np.ix_(np.arange(height) % rows, np.arange(width) % columns)])
        factor = max(height / rows, width / columns)
        enlarged = ndimage.zoom(picture.astype(np.float32), factor, order=1)
        images.append(enlarged[:height, :width].astype(np.uint8))
    return images
