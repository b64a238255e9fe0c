"""What is done to a micrograph, and what the processing undoes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from written_tables import written

from fesemlib.dataset import load_dataset
from fesemlib.evaluation import imaging as robustness
from fesemlib.evaluation.imaging import DEGRADATIONS, degrade
from fesemlib.pages.tables.robustness import imaging_summary, show_imaging
from fesemlib.params import Parameters
from fesemlib.processing import process_with
from fesemlib.validation.leave_one_out import HeldOutNetworks

PARAMETERS = Parameters(background_radius_px=10.0)


def micrograph(seed: int = 0, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """A smooth random image that reaches neither black nor white."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 180, (shape[0] // 4, shape[1] // 4))
    return (np.kron(coarse, np.ones((4, 4))) + rng.integers(-5, 6, shape)).astype(np.uint8)


def done(name: str, strength: float, image: np.ndarray | None = None) -> np.ndarray:
    image = micrograph() if image is None else image
    return degrade(image, name, strength, np.random.default_rng(0))


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_neutral_strength_is_the_identity(name):
    """Also where the formula is used rather than the shortcut."""
    kind, image = DEGRADATIONS[name], micrograph()
    assert (done(name, kind.neutral) == image).all()
    assert (kind.apply(image, kind.neutral, np.random.default_rng(0)) == image).all()


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_strength_keeps_shape_and_type_and_changes_something(name):
    image = micrograph()
    for strength in DEGRADATIONS[name].strengths:
        changed = done(name, strength)
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert (changed != image).any()
    assert list(DEGRADATIONS[name].strengths) == sorted(DEGRADATIONS[name].strengths)
    assert DEGRADATIONS[name].neutral not in DEGRADATIONS[name].strengths
    assert DEGRADATIONS[name].tried(4) == DEGRADATIONS[name].strengths
    assert DEGRADATIONS[name].tried(1) == DEGRADATIONS[name].strengths[-1:]


def test_shift_by_hand():
    image = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=np.uint8)
    expected = [[2, 1, 1, 2], [6, 5, 5, 6]]
    assert done("shift", 50, image).tolist() == expected


def test_half_a_turn_is_exact():
    image = micrograph()
    assert (done("rotation", 180, image) == image[::-1, ::-1]).all()


def test_rotation_turns_about_the_middle():
    """A spot to the right of the middle of an image moves up when it turns counterclockwise."""
    image = np.zeros((101, 101), dtype=np.uint8)
    image[49:52, 79:82] = 200
    turned = np.argwhere(done("rotation", 15, image) > 50).mean(axis=0) - 50
    expected = 30 * np.array([-np.sin(np.radians(15)), np.cos(np.radians(15))])
    np.testing.assert_allclose(turned, expected, atol=0.5)


def test_brightness_and_contrast_saturate():
    image = np.array([[0, 100, 250]], dtype=np.uint8)
    assert done("brightness", 20, image).tolist() == [[20, 120, 255]]
    assert done("brightness", -20, image).tolist() == [[0, 80, 230]]
    mean = 350 / 3
    assert done("contrast", 0.5, image).tolist() == [
        [round(mean + 0.5 * (grey - mean)) for grey in (0, 100, 250)]
    ]


def test_noise_has_the_strength_that_is_asked_for():
    flat = np.full((200, 200), 128, dtype=np.uint8)
    assert done("noise", 10, flat).std() == pytest.approx(10, rel=0.05)


def test_blur_spreads_a_point_as_a_gaussian():
    image = np.zeros((61, 61), dtype=np.uint8)
    image[20:41, 20:41] = 255
    blurred = done("defocus", 4, image).astype(float)
    assert blurred.sum() == pytest.approx(image.sum(), rel=0.02)
    assert blurred[30, 20] == pytest.approx(255 * 0.55, abs=8)  # the edge: half, by half a pixel


def test_charging_takes_light_in_one_place_only():
    flat = np.full((300, 400), 200, dtype=np.uint8)
    charged = done("charging", 0.6, flat).astype(float)
    assert charged.max() == pytest.approx(200, abs=2)
    assert charged.min() == pytest.approx(200 * 0.4, abs=35)  # streaks scatter about the loss


def test_randomness_is_the_same_at_all_strengths():
    flat = np.full((50, 50), 128, dtype=np.uint8)
    weak, strong = (done("noise", strength, flat).astype(float) - 128 for strength in (10, 20))
    np.testing.assert_allclose(strong, 2 * weak, atol=1.5)


@pytest.mark.parametrize("offset", [-40, 40])
def test_an_offset_of_brightness_is_removed_where_nothing_saturates(offset):
    image = micrograph()
    assert image.min() >= 40
    assert image.max() <= 215
    before = process_with(PARAMETERS, image).equalized
    after = process_with(PARAMETERS, done("brightness", offset, image)).equalized
    assert (before != after).mean() < 0.001  # rounding of single precision
    assert np.abs(before.astype(int) - after).mean() < 0.05


def test_what_the_processing_removes():
    changes = robustness.processing_changes(micrograph(), PARAMETERS)
    assert (changes["equalised"] == 0).all()  # brightness and contrast are monotonic
    brightness = changes[changes.index.str.startswith("brightness")]
    assert (brightness["processed"] < 0.05).all()
    assert changes.loc["contrast × 1.5", "processed"] > 0.5  # the ball has a height
    assert (changes["micrograph"] > 1).all()


def reads(level: float):
    """In place of a network: a constant and the mean of the input's upper half."""
    return SimpleNamespace(
        predict=lambda images: 1 + level * images[:, : images.shape[1] // 2].mean(axis=(1, 2))
    )


@pytest.mark.usefixtures("own_build")
def test_predictions_of_degraded_micrographs(manifest):
    rows = ("lot 1,a.png,1.9e-3", "lot 1,b.png,1.9e-3", "lot 2,c.png,1.1e-3", "lot 3,d.png,4e-4")
    data = load_dataset(Parameters(dataset=str(manifest(*rows)), crop="none"))
    parameters = PARAMETERS.model_copy(update={"input_width": 48, "imaging_strengths": 2})
    lots = ["lot 1", "lot 2", "lot 3"]
    readers = {
        "blind": HeldOutNetworks(dict.fromkeys(lots, reads(0.0)), 48),
        "other": HeldOutNetworks(dict.fromkeys(lots, reads(1.0)), 32),
    }
    table = robustness.degraded_predictions(data, parameters, readers)
    assert len(table) == 2 * 3 * (1 + 2) * len(DEGRADATIONS)
    assert not table.loc[table["reader"] == "blind", "change"].any()
    neutral = table[table["strength"] == table["degradation"].map(
        {name: kind.neutral for name, kind in DEGRADATIONS.items()})]  # fmt: skip
    assert not neutral["change"].any()
    again = robustness.degraded_predictions(data, parameters, readers)  # from the cache
    pd.testing.assert_frame_equal(table, again)
    exchanged = robustness.exchanged_changes(data, parameters, readers["blind"])
    assert list(exchanged.index) == ["lot 1", "lot 2", "lot 3"]
    assert not exchanged.any()
    summary = imaging_summary(table)
    assert not summary["change"].any()
    assert summary["other"].max() > 0


def test_table_is_sorted_by_the_greatest_change():
    rows = [
        ("net", "defocus", 1.0, "A", 0.1),
        ("net", "defocus", 2.0, "A", -0.3),
        ("net", "noise", 5.0, "A", 0.2),
        ("net", "shift", 1.0, "A", 0.0),
    ]
    table = pd.DataFrame(
        rows, columns=["reader", "degradation", "strength", "formulation", "change"]
    ).assign(relative_error=0.5)
    summary = imaging_summary(table)
    assert list(summary.index) == ["defocus", "noise", "shift"]
    assert summary.loc["defocus", "strength"] == 2.0
    assert summary.loc["defocus", "change"] == pytest.approx(0.3)
    shown = written(show_imaging(summary.assign(averaged=[0.1, 1.2, 0.2])))
    assert shown.loc["defocus"].to_list() == [
        "2",
        "σ of the blur, px",
        "30.0",
        "30.0",
        "50.0",
        "10.0",
    ]
