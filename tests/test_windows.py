"""Windows of a frame, and how several predictions combine."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from written_tables import written

from fesemlib.dataset import fresh_stand_ins, load_dataset
from fesemlib.evaluation import frames as windows
from fesemlib.evaluation.frames import Scale
from fesemlib.pages.tables.robustness import show_sources
from fesemlib.params import Parameters
from fesemlib.validation.leave_one_out import HeldOutNetworks


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


def test_scales_go_from_the_frame_to_native_pixels():
    scales = windows.window_scales((1536, 2048), 128, 2)
    assert [scale.pitch for scale in scales] == [16, 8, 4, 1]
    assert [scale.across for scale in scales] == [1, 2, 2, 2]
    assert scales[-1].window == (96, 128)


def test_at_full_resolution_there_is_only_the_frame():
    scales = windows.window_scales((768, 1024), 1024, 2)
    assert scales == [Scale((768, 1024), 1, 1.0)]


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

    def trained(dataset, parameters, to_criterion):
        asked[len(dataset.images)] = (parameters.number_of_seeds, to_criterion)
        return dataset.images.rename(columns={"k_m": "true_km"}).assign(
            role="test", epoch=1, predicted_km=1e-3, training_set="original", seed=0,
            held_out=dataset.images["formulation"],
        )  # fmt: skip

    monkeypatch.setattr(windows.leave_one_out, "leave_one_formulation_out", trained)
    data = user_data(manifest)
    parameters = Parameters(input_width=48, number_of_seeds=3)
    for scale in (Scale((64, 96), 1, 2.0), Scale((32, 48), 2, 1.0)):
        predicted = windows.window_predictions(data, parameters, scale)
        assert len(predicted) == 4 * scale.across**2
    assert asked == {4: (1, True), 16: (1, True)}


def brightness_reader():
    """In place of a network: the mean grey level."""
    return SimpleNamespace(predict=lambda images: images.mean(axis=(1, 2)).astype(float))


@pytest.mark.usefixtures("own_build")
def test_frames_of_a_user_are_the_images_of_the_manifest(manifest):
    data = user_data(manifest)
    networks = HeldOutNetworks({f"lot {lot}": brightness_reader() for lot in (1, 2, 3)}, 48)
    sources = windows.predictions_of_images(data, Parameters(input_width=48), networks)
    assert list(sources) == [windows.FLIPS, windows.FRAMES]
    assert list(sources[windows.FRAMES]["image"]) == list(data.images["image"])
    flips = sources[windows.FLIPS]
    assert len(flips) == 16
    assert flips["image"].is_unique
    one = flips[flips["formulation"] == "lot 2"]
    scatter = windows.compare_sources({windows.FLIPS: one})["scatter"]
    assert scatter.max() < 1e-3  # the mean grey level does not know of flips


@pytest.mark.usefixtures("own_build")
def test_without_a_second_image_there_are_the_flips(manifest):
    data = load_dataset(Parameters(dataset=str(manifest()), crop="none"))
    networks = HeldOutNetworks({name: brightness_reader() for name in "ABC"}, 48)
    sources = windows.predictions_of_images(data, Parameters(input_width=48), networks)
    assert list(sources) == [windows.FLIPS]
    assert len(sources[windows.FLIPS]) == 12


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
    parts = windows.compare_sources({"frames": table([0.1, 0.3], k_m=5.0)}).loc["frames"]
    assert parts["images"] == 2
    assert parts["scatter"] == pytest.approx(np.sqrt(0.02))
    assert parts["offset"] == pytest.approx(0.2)


def test_what_averages_away_and_what_does_not_stand_in_the_table():
    sources = {"apart": table([0.5, -0.5]), "common": table([0.5, 0.5]), "single": table([0.5])}
    shown = written(show_sources(windows.compare_sources(sources).assign(pitch=[8, 4, 1])))
    columns = ["pixels in one of the input, across", "scatter (%)", "error of one (%)"]
    assert shown[[*columns, "error of all (%)"]].to_numpy().tolist() == [
        ["8", "70.7", "50.0", "0.00"],
        ["4", "0.00", "50.0", "50.0"],
        ["1", "—", "50.0", "50.0"],
    ]


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
