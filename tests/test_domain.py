"""The domain: how far a texture is from those of the training set."""

import numpy as np
import pandas as pd
import pytest
from prediction_models import grain
from skimage import data

from fesemlib.dataset import draw_stand_ins, load_dataset
from fesemlib.formulations import table1
from fesemlib.params import Parameters
from fesemlib.predictors.domain import Domain
from fesemlib.predictors.measures import LENGTH, TEXTURE, measuring_of


def test_limit_is_the_greatest_distance_to_other_formulations():
    """Two images of a formulation do not vouch for each other."""
    textures = np.array([[0.0], [0.1], [1.0], [3.0]])
    domain = Domain(textures, ("A", "A", "B", "C"))
    spread = textures.std()
    assert domain.limit == pytest.approx(2 / spread)
    assert domain.distance(np.array([4.0])) == pytest.approx(1 / spread)
    assert Domain(textures, ("A",) * 4).limit == np.inf


def test_distance_is_to_the_nearest_mixture_of_two():
    """Against all mixtures, one after the other."""
    random = np.random.default_rng(3)
    domain = Domain(random.normal(size=(6, 5)), tuple("ABCDEF"))
    texture = random.normal(size=5)
    parts = np.linspace(0, 1, 2001)[:, np.newaxis]
    mixtures = np.concatenate(
        [one * (1 - parts) + other * parts for one in domain.textures for other in domain.textures]
    )
    found = np.sqrt((((mixtures - texture) / domain.textures.std(axis=0)) ** 2).mean(axis=1)).min()
    assert domain.distance(texture) == pytest.approx(found, rel=1e-5)
    middle = domain.textures[[0, 3]].mean(axis=0)
    assert domain.distance(middle) == pytest.approx(0, abs=1e-9)


def test_equal_micrographs_have_a_distance():
    domain = Domain(np.ones((3, 4)), ("A", "B", "C"))
    assert domain.limit == 0
    assert np.isfinite(domain.distance(np.zeros(4)))


def test_of_the_measures_the_wavelets_count():
    """Neither the length nor another family, be they far off or not there."""
    names = [(LENGTH, LENGTH), *((TEXTURE, name) for name in ("spectrum: a", "wavelets: a",
             "wavelets: b"))]  # fmt: skip
    values = np.random.default_rng(4).normal(size=(5, 4))
    measures = pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(names))
    domain = Domain.of(measures[:4], np.array(list("ABCD")))
    by_hand = Domain(values[:4, 2:], tuple("ABCD"))
    assert domain.limit == by_hand.limit
    new = measures.iloc[4].copy()
    assert domain.distance_of(new) == by_hand.distance(values[4, 2:])
    new[[(LENGTH, LENGTH), (TEXTURE, "spectrum: a")]] = [np.nan, 1e6]
    assert domain.distance_of(new) == by_hand.distance(values[4, 2:])


@pytest.mark.slow
def test_rates_on_stand_ins():
    """Fresh ones belong; noise, brick, grass, gravel and pores of thrice the size do not."""
    parameters = Parameters()
    dataset = load_dataset(parameters)
    measuring = measuring_of(dataset, parameters)

    def measured(images):
        return pd.DataFrame([measuring.of(image) for image in images])

    domain = Domain.of(
        measured([each.image for each in dataset.micrographs]),
        dataset.images["formulation"].to_numpy(),
    )

    def flagged(images):
        distances = [domain.distance_of(row) for _, row in measured(images).iterrows()]
        return np.mean(np.array(distances) > domain.limit)

    shape = dataset.shape
    fresh = draw_stand_ins(20, 123, shape)
    assert flagged([each.image for each in fresh.micrographs]) <= 0.1
    greatest = table1()["k_m"].max()
    coarse = draw_stand_ins(4, 124, shape, (3 * greatest, 4 * greatest))
    assert flagged([each.image for each in coarse.micrographs]) >= 0.9
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, shape).astype(np.uint8)] + [
        grain(seed, shape, sigma) for seed, sigma in enumerate((0.7, 2.0, 5.0, 15.0))
    ]
    assert flagged(noise) >= 0.9
    textures = [np.tile(image(), (3, 4)) for image in (data.brick, data.grass, data.gravel)]
    assert flagged(textures) == 1
