"""Occlusion maps of models whose answer is known by construction."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from written_tables import written

from fesemlib.dataset import Dataset
from fesemlib.evaluation import occlusion as attention
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.inputs import shrunk_input
from fesemlib.pages.statements import collapse_banner
from fesemlib.pages.tables.robustness import show_maps, show_pasted
from fesemlib.params import Parameters
from fesemlib.validation.leave_one_out import HeldOutNetworks


def noise(seed: int = 0, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def reads_corner(images: np.ndarray) -> np.ndarray:
    """Reads the upper left 6 × 6 px and nothing else."""
    return images[:, :6, :6].mean(axis=(1, 2)).astype(np.float64)


def test_a_model_that_reads_one_corner_has_weight_only_there():
    change = attention.occlusion_map(reads_corner, noise(), fill=0.0, patch=4)
    reached = (slice(0, 6 + 3), slice(0, 6 + 3))  # by patches that touch the corner
    assert attention.share_inside(change, reached) == pytest.approx(1.0)
    assert (change[:4, :4] < 0).all()  # black in place of what is brighter
    outside = change.copy()
    outside[reached] = 0
    assert not outside.any()


def test_a_constant_model_has_an_empty_map():
    change = attention.occlusion_map(lambda images: np.ones(len(images)), noise(), patch=4)
    assert not change.any()
    assert np.isnan(attention.share_inside(change, (slice(0, 4), slice(0, 4))))


def test_map_of_one_patch_by_hand():
    """A patch as large as the image: the change is that of the whole image, everywhere."""
    image = np.full((4, 4), 0.75, dtype=np.float32)
    change = attention.occlusion_map(lambda images: images.mean(axis=(1, 2)), image, 0.5, 4)
    np.testing.assert_allclose(change, -0.25)


def test_an_image_hidden_by_itself_does_not_change():
    image = noise()
    change = attention.occlusion_map(reads_corner, image, image, patch=5)
    assert not change.any()


@pytest.mark.parametrize("shape", [(24, 32), (25, 31), (7, 7), (22, 60)])
def test_patches_reach_every_pixel_and_stay_inside(shape):
    patch = attention.occlusion_patch(shape)
    covered = np.zeros(shape, dtype=int)
    for place in attention.patch_places(shape, patch):
        assert covered[place].shape == (patch, patch)
        covered[place] += 1
    assert covered.min() >= 1


def test_the_map_of_the_detail_model_gives_the_known_share():
    """Half of the image has all the detail, and must get nearly all the weight."""
    image = np.full((60, 80), 0.5, dtype=np.float32)
    image[:, :40] = noise(1, (60, 40))
    inputs = np.stack([image, noise(2, (60, 80))])
    model = attention.detail_model(inputs, np.array([1e-3, 2e-3]))
    np.testing.assert_allclose(model(inputs), [1e-3, 2e-3])
    left = (slice(0, 60), slice(0, 40))
    assert attention.share_of_detail(image, left) == pytest.approx(1.0, abs=0.01)
    assert attention.share_inside(
        attention.occlusion_map(model, image, patch=10), left
    ) == pytest.approx(1.0, abs=0.08)


def test_detail_by_hand():
    image = np.array([[0.0, 1.0], [0.0, 1.0]], dtype=np.float32)
    assert attention.detail_of(image[np.newaxis])[0] == pytest.approx(0.5)
    assert attention.share_of_detail(image, (slice(0, 1), slice(0, 2))) == pytest.approx(0.5)


def test_a_pasted_patch_has_the_brightness_and_contrast_of_what_it_replaces():
    rng = np.random.default_rng(0)
    image = rng.integers(80, 160, (40, 60)).astype(np.uint8)
    source = rng.integers(0, 256, (40, 60)).astype(np.uint8)
    place = (slice(10, 30), slice(20, 50))
    pasted = attention.paste(image, source, place)
    assert pasted[place].mean() == pytest.approx(image[place].mean(), abs=0.5)
    assert pasted[place].std() == pytest.approx(image[place].std(), abs=0.5)
    assert np.corrcoef(pasted[place].ravel(), source[place].ravel())[0, 1] > 0.99
    changed = pasted != image
    changed[place] = False
    assert not changed.any()


def two_formulations() -> Dataset:
    """Wide stripes, coarse, and narrow ones, fine; the names are not letters."""
    x = np.arange(96)
    stripes = [np.where((x // half) % 2, 180, 70).astype(np.uint8) for half in (12, 2)]
    rng = np.random.default_rng(0)
    micrographs = tuple(
        Micrograph((row + rng.integers(0, 20, (72, 96))).astype(np.uint8)) for row in stripes
    )
    k_m = np.array([2e-3, 3e-4])
    names = ["lot 7, coarse", "lot 8"]
    return Dataset(
        pd.DataFrame({"k_m": k_m}, index=pd.Index(names, name="formulation")),
        pd.DataFrame({"formulation": names, "image": ["1", "2"], "k_m": k_m}),
        micrographs,
        False,
        "two",
    )


def test_a_reader_of_detail_finds_the_finer_patch_in_a_users_micrographs():
    data = two_formulations()
    parameters = Parameters(input_width=96, background_radius_px=10.0)
    coarse, fine, pictures = attention.pasted_patches(data, parameters)
    assert (coarse, fine) == ("lot 7, coarse", "lot 8")
    assert len(pictures) == 4
    inputs = np.stack([shrunk_input(m.image, 96) for m in data.micrographs])
    model = attention.detail_model(inputs, data.k_m)
    found = attention.find_patches(pictures, {"linear in detail": (model, 96)})
    assert (found["fine"] > found["area"]).all()
    assert (found["fine"] > found["own"]).all()
    assert (found["change"] < 0).all()
    np.testing.assert_allclose(found["fine"], found["detail"], rtol=0.2)
    row = written(show_pasted(found)).loc["linear in detail"]
    assert row["share of the area (%)"] == "11.1"
    assert row["change of the prediction (%)"].startswith("−")


def test_place_in_the_input():
    image = np.zeros((60, 80), dtype=np.uint8)
    picture = attention.Pasted(image, image, (slice(0, 20), slice(40, 80)))
    assert picture.place_in(40) == (slice(0, 10), slice(20, 40))


def statistics(each: attention.HeldOutMap) -> pd.Series:
    return attention.map_statistics([each]).iloc[0]


def test_maps_that_follow_the_place_and_maps_that_follow_the_content():
    change = np.random.default_rng(0).normal(size=(12, 16))
    image = noise(shape=(12, 16))
    place = statistics(attention.HeldOutMap("x", image, 1.0, change, change, change))
    assert place["place"] == pytest.approx(1.0)
    assert place["fills"] == pytest.approx(1.0)
    content = statistics(attention.HeldOutMap("x", image, 1.0, change, change, change[::-1, ::-1]))
    assert content["content"] == pytest.approx(1.0)
    assert content["greatest"] == pytest.approx(np.abs(change).max())


def test_an_empty_map_is_shown_without_correlations():
    nothing = np.zeros((12, 16))
    each = attention.HeldOutMap("x", noise(shape=(12, 16)), 1e-3, nothing, nothing, nothing)
    shown = written(show_maps(attention.map_statistics([each])))
    assert list(shown.index) == ["x", "median"]
    assert shown.loc["median"].to_list() == ["0.00", "—", "—", "—", "—"]


def test_of_more_than_nine_formulations_nine_maps_are_drawn_from_coarse_to_fine(monkeypatch):
    names = [f"lot {number}" for number in range(12)]
    k_m = np.linspace(1e-4, 1e-3, 12)
    data = Dataset(
        pd.DataFrame({"k_m": k_m}, index=pd.Index(names, name="formulation")),
        pd.DataFrame({"formulation": names, "image": names, "k_m": k_m}),
        (), synthetic=False, digest="",
    )  # fmt: skip
    inputs = np.stack([noise(number, (12, 16)) for number in range(12)])
    monkeypatch.setattr(attention, "network_inputs", lambda *_: inputs)
    reader = SimpleNamespace(predict=lambda images: 1 + reads_corner(images))
    networks = HeldOutNetworks(dict.fromkeys(names, reader), 16)
    maps = attention.held_out_maps(data, Parameters(), networks)
    drawn = [each.formulation for each in maps]
    assert len(drawn) == 9
    assert (drawn[0], drawn[-1]) == ("lot 11", "lot 0")
    assert sorted(drawn, key=names.index, reverse=True) == drawn


def test_a_silent_network_has_collapsed_and_the_page_says_so():
    silent = SimpleNamespace(predict=lambda images: np.full(len(images), 1e-3))
    reading = SimpleNamespace(predict=lambda images: images.mean(axis=(1, 2)))
    networks = HeldOutNetworks({"lot 1": silent, "lot 2": reading}, 4)
    inputs = np.arange(2.0)[:, None, None] * np.ones((2, 3, 4))
    collapsed = attention.collapsed_networks(networks, inputs, np.array([1e-3, 2e-3]))
    assert collapsed == ["lot 1"]
    assert "says of lot 1 says nothing" in collapse_banner(collapsed).text
    assert collapse_banner(collapsed).kind == "warning"
    assert collapse_banner([]).text.startswith("None of these networks")
