"""The domain: what a texture is, and what is told from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_models import grain
from skimage import data

from fesemlib.dataset import draw_stand_ins, load_dataset
from fesemlib.formulations import table1
from fesemlib.params import Parameters
from fesemlib.prediction.domain import Domain
from fesemlib.processing import process_with
from fesemlib.texture import texture_description, texture_names


@given(st.integers(8, 300), st.integers(8, 1500))
@settings(max_examples=30, deadline=None)
def test_every_size_has_its_features(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    texture = texture_description(image)
    assert texture.shape == (len(texture_names((height, width))),)
    assert np.isfinite(texture).all()


def test_a_flat_image_is_described_too():
    assert np.isfinite(texture_description(np.full((64, 96), 7, np.uint8))).all()


def test_shares_add_up_to_the_variance():
    """An orthogonal transform keeps the energy: what all scales miss is in the coarsest."""
    image = grain(0, (512, 512), sigma=1.0)
    names = texture_names(image.shape)
    shares = [
        np.exp(value)
        for name, value in zip(names, texture_description(image), strict=True)
        if name.startswith("share")
    ]
    assert sum(shares) == pytest.approx(1, abs=0.05)
    assert sum(shares) < 1


def test_white_noise_has_the_values_of_theory():
    """Share 3/4 of the variance at each scale of what is left, Gaussian tails, no direction."""
    noise = np.clip(np.random.default_rng(0).normal(128, 20, (1024, 1024)), 0, 255)
    texture = dict(
        zip(texture_names(noise.shape), texture_description(noise.astype(np.uint8)), strict=True)
    )
    for number in range(3):
        scale = f"{2**number} px"
        assert np.exp(texture[f"share of the variance at {scale}"]) == pytest.approx(
            0.75 * 0.25**number, rel=0.03
        )
        assert np.exp(texture[f"tails at {scale}"]) == pytest.approx(3, rel=0.03)
        assert texture[f"rows against columns at {scale}"] == pytest.approx(0, abs=0.05)
        assert texture[f"skewness at {scale}"] == pytest.approx(0, abs=0.05)


def test_brightness_and_contrast_do_not_matter():
    image = grain(1) // 2
    brighter = (2 * image + 1).astype(np.uint8)
    np.testing.assert_allclose(
        texture_description(image), texture_description(brighter), rtol=1e-3, atol=1e-3
    )


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


def test_reduction_by_whole_blocks_is_that_by_area():
    image = grain(2, (1536, 2048), sigma=3.0)
    whole = texture_description(image)
    ragged = texture_description(image[:1535])  # no whole blocks: averaged by area
    np.testing.assert_allclose(whole, ragged, atol=0.15)


@pytest.mark.slow
def test_rates_on_stand_ins():
    """Fresh ones belong; noise, brick, grass, gravel and pores of thrice the size do not."""
    parameters = Parameters()
    dataset = load_dataset(parameters)

    def described(images):
        return [texture_description(process_with(parameters, image).equalized) for image in images]

    domain = Domain(
        np.stack(described([each.image for each in dataset.micrographs])),
        tuple(dataset.images["formulation"]),
    )

    def flagged(images):
        distances = [domain.distance(texture) for texture in described(images)]
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
