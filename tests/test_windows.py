"""Windows of a frame, and how several predictions combine."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fesemlib.dataset import fresh_stand_ins, load_dataset
from fesemlib.evaluation import frames as windows
from fesemlib.evaluation.frames import Scale
from fesemlib.pages.tables.robustness import frames_answer, scales_answer
from fesemlib.params import Parameters


def table(relative: np.ndarray, k_m: float = 2.0, name: str = "x") -> pd.DataFrame:
    """Predictions that are off by these shares of the true value."""
    return pd.DataFrame(
        {"formulation": name, "true_km": k_m, "predicted_km": k_m * (1 + np.asarray(relative))}
    )


@pytest.mark.parametrize(("across", "shape"), [(1, (30, 40)), (2, (30, 40)), (3, (30, 60))])
def test_windows_tile_the_frame(across, shape):
    covered = np.zeros(shape, dtype=int)
    window = (shape[0] // across, shape[1] // across)
    for place in windows.window_places(shape, window, across):
        covered[place] += 1
    assert (covered == 1).all()


def test_smaller_windows_reach_the_edges_and_keep_their_size():
    places = windows.window_places((31, 47), (8, 10), 3)
    assert len(places) == 9
    assert places[0] == (slice(0, 8), slice(0, 10))
    assert places[-1] == (slice(23, 31), slice(37, 47))
    assert all(r.stop - r.start == 8 and c.stop - c.start == 10 for r, c in places)


def test_windows_larger_than_the_frame_are_refused():
    with pytest.raises(ValueError, match="frame of"):
        windows.window_places((30, 40), (31, 40), 1)


def test_scales_go_from_the_frame_to_native_pixels():
    scales = windows.window_scales((1536, 2048), 128, 2)
    assert [scale.pitch for scale in scales] == [16, 8, 4, 1]
    assert [scale.across for scale in scales] == [1, 2, 2, 2]
    assert scales[-1].window == (96, 128)


def test_at_full_resolution_there_is_only_the_frame():
    scales = windows.window_scales((768, 1024), 1024, 2)
    assert scales == [Scale((768, 1024), 1, 1.0)]
    one = windows.compare_sources({scales[0].name: table([0.1])})
    assert "every pixel" in scales_answer(one)


def user_data(manifest):
    rows = ("lot 1,a.png,1.9e-3", "lot 1,b.png,1.9e-3", "lot 2,c.png,1.1e-3", "lot 3,d.png,4e-4")
    return load_dataset(Parameters(dataset=str(manifest(*rows)), crop="none"))


@pytest.mark.usefixtures("own_build")
def test_the_windows_of_a_formulation_stay_together(manifest):
    data = user_data(manifest)
    cut = windows.window_dataset(data, Scale((32, 48), 2, 1.5))
    assert cut.shape == (32, 48)
    assert list(cut.images["formulation"].value_counts()) == [8, 4, 4]
    assert cut.images["image"].is_unique
    assert cut.digest != data.digest
    whole = np.block([[cut.micrographs[0].image, cut.micrographs[1].image],
                      [cut.micrographs[2].image, cut.micrographs[3].image]])  # fmt: skip
    assert (whole == data.micrographs[0].image).all()


@pytest.mark.usefixtures("own_build")
def test_networks_on_windows_train_to_the_criterion_and_predict_every_window(manifest, monkeypatch):
    asked = {}

    def trained(dataset, _, splits):
        asked[len(dataset.images)] = splits
        tables = [
            dataset.images[dataset.images["formulation"] == split.held_out[0]]
            .rename(columns={"k_m": "true_km"})
            .assign(role="test", epoch=1, predicted_km=1e-3, training_set="original")
            .assign(held_out=split.held_out[0], seed=split.seed)
            for split in splits
        ]
        return pd.concat(tables)

    monkeypatch.setattr(windows, "train_splits", trained)
    data = user_data(manifest)
    parameters = Parameters(input_width=48, number_of_seeds=3)
    for scale in (Scale((64, 96), 1, 2.0), Scale((32, 48), 2, 1.0)):
        predicted = windows.window_predictions(data, parameters, scale)
        assert len(predicted) == 4 * scale.across**2
    for images in (4, 16):
        assert [split.held_out for split in asked[images]] == [("lot 1",), ("lot 2",), ("lot 3",)]
        assert all(split.to_criterion for split in asked[images])


def brightness_reader():
    """In place of a network: the mean grey level."""
    return SimpleNamespace(predict=lambda images: images.mean(axis=(1, 2)).astype(float))


@pytest.mark.usefixtures("own_build")
def test_frames_of_a_user_are_the_images_of_the_manifest(manifest):
    data = user_data(manifest)
    networks = {name: brightness_reader() for name in ("lot 1", "lot 2", "lot 3")}
    parameters = Parameters(input_width=48)
    name, predicted = windows.frame_predictions(data, parameters, networks)
    assert name != windows.FLIPS
    assert list(predicted["image"]) == list(data.images["image"])
    flips = windows.flipped_predictions(data, parameters, networks)
    assert len(flips) == 16
    scatter = windows.scatter_and_offset(flips[flips["formulation"] == "lot 2"])["scatter"]
    assert scatter.max() < 1e-3  # the mean grey level does not know of flips


@pytest.mark.usefixtures("own_build")
def test_without_a_second_image_there_are_the_flips(manifest):
    data = load_dataset(Parameters(dataset=str(manifest()), crop="none"))
    networks = {name: brightness_reader() for name in "ABC"}
    name, predicted = windows.frame_predictions(data, Parameters(input_width=48), networks)
    assert name == windows.FLIPS
    assert len(predicted) == 12


def test_independent_predictions_combine_as_one_over_the_root_of_their_number():
    """The mean of n normal errors scatters by σ/√n; its absolute value averages √(2/π) of that."""
    rng = np.random.default_rng(0)
    many = pd.concat([table(0.1 * rng.standard_normal(6), name=str(n)) for n in range(300)])
    errors = windows.combined_errors(many)
    assert list(errors.index) == list(range(1, 7))
    np.testing.assert_allclose(
        errors, 0.1 * np.sqrt(2 / np.pi) / np.sqrt(errors.index.to_numpy()), rtol=0.1
    )


def test_a_common_offset_does_not_average_away():
    errors = windows.combined_errors(table([0.5, 0.5, 0.5]))
    np.testing.assert_allclose(errors, 0.5)


def test_combination_by_hand():
    np.testing.assert_allclose(windows.combined_errors(table([0.3, -0.1])), [0.2, 0.1])


def test_as_many_are_combined_as_every_formulation_has():
    both = pd.concat([table([0.1, 0.2, 0.3]), table([0.1, 0.1], name="y")])
    assert list(windows.combined_errors(both).index) == [1, 2]


def test_scatter_and_offset_by_hand():
    parts = windows.scatter_and_offset(table([0.1, 0.3], k_m=5.0)).loc["x"]
    assert parts["copies"] == 2
    assert parts["scatter"] == pytest.approx(np.sqrt(0.02))
    assert parts["offset"] == pytest.approx(0.2)


def test_answers_follow_the_numbers():
    helped = windows.compare_sources({"frames": table([0.5, -0.5])})
    assert "worth taking" in frames_answer(helped, "frames")
    common = windows.compare_sources({"frames": table([0.5, 0.5])})
    assert "would not mend" in frames_answer(common, "frames")
    single = windows.compare_sources({"frames": table([0.5])})
    assert "nothing can be averaged" in frames_answer(single, "frames")


@pytest.mark.usefixtures("own_build")
def test_fresh_frames_are_others_than_the_sets_own():
    own = load_dataset(Parameters.model_construct(synthetic_width=128))
    fresh = fresh_stand_ins(2, 0, own.shape)
    assert fresh.shape == own.shape == (96, 128)
    assert len(fresh.micrographs) == 2 * len(own.micrographs)
    assert fresh.images["image"].is_unique
    assert list(fresh.k_m[::2]) == list(own.k_m)
    pictures = {m.image.tobytes() for m in (*own.micrographs, *fresh.micrographs)}
    assert len(pictures) == 3 * len(own.micrographs)
