"""Explorers: what is seen follows the sliders, and nothing is left where nobody can move them."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
from matplotlib import rc_context
from PIL import Image
from prediction_models import SHAPE, fitted_model, grain, untrained_model

from fesemlib.drying.outlook import cycle_of
from fesemlib.drying.vial import Vial, drying_time, simulate_primary_drying
from fesemlib.pages import explorers
from fesemlib.pages.statements import Banner
from fesemlib.pages.style import use_style
from fesemlib.params import Parameters
from fesemlib.prediction.model import Model, predict_micrographs
from fesemlib.predictors.regressions import PROPORTIONAL
from fesemlib.processing import process
from fesemlib.synthetic import synthesize_micrograph

IMAGE = synthesize_micrograph(1e-3, 0, (192, 256), 2.0).image
VIAL = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
GRAIN = grain(0)  # of the set of the model below


@pytest.fixture(scope="module")
def model() -> Model:
    return untrained_model()


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    """As in the notebooks, whose style lays figures out in another way."""
    with rc_context():
        use_style()
        yield


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorers, "in_live_notebook", lambda: True)


def controls(explorer: Any) -> dict[str, Any]:
    return {control.description: control for control in explorer.children[0].children}


def pictures(explorer: Any) -> list[bytes]:
    return [box.children[1].value for box in explorer.children[1].children]


def text(explorer: Any) -> str:
    return str(explorer.children[2].value)


def test_background_is_that_of_the_processing() -> None:
    seen = explorers.background_seen(IMAGE, 20, False, "imagej")
    assert np.array_equal(pixels(seen.pictures["before"]), IMAGE)
    after = process(IMAGE, 20, False, equalization="imagej").equalized
    assert np.array_equal(pixels(seen.pictures["after"]), after)
    rough = explorers.background_seen(IMAGE, 20, False, "imagej", smooth=False)
    assert rough.pictures["after"] != seen.pictures["after"]


def test_drying_time_is_that_of_the_model() -> None:
    cycle = cycle_of(Parameters())
    hours = drying_time(simulate_primary_drying(6e-4, VIAL, cycle)) / 3600
    seen = explorers.drying_seen(VIAL, cycle, 6e-4)
    assert f"0.60·10⁻³ m² s⁻¹: {hours:.1f} h" in seen.text


def test_zoom_of_two_shows_the_middle_twice_as_large() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    zoomed = explorers._zoomed(ramp, 2, across=50, down=50)
    assert zoomed.shape == ramp.shape
    slope = np.polyfit(np.arange(40, 160), zoomed[50, 40:160].astype(float), 1)[0]
    assert slope == pytest.approx(0.5, rel=0.01)
    assert zoomed[50].mean() == pytest.approx(ramp[50].mean(), abs=0.6)


@pytest.mark.parametrize(
    ("across", "down", "rows", "columns"),
    [(0, 0, (0, 4), (0, 6)), (100, 0, (0, 4), (6, 12)), (100, 100, (4, 8), (6, 12))],
)
def test_window_is_cut_where_it_is_put(across, down, rows, columns) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 12)).astype(np.uint8)
    window = Image.fromarray(image[slice(*rows), slice(*columns)])
    expected = np.asarray(window.resize((12, 8), Image.Resampling.BICUBIC))
    assert np.array_equal(explorers._zoomed(image, 2, across, down), expected)


def test_untouched_micrograph_gets_the_prediction_that_it_gets_elsewhere(model: Model) -> None:
    seen = explorers.prediction_seen(model, GRAIN, zoom=1, across=50, down=50)
    (expected,) = predict_micrographs(model, [GRAIN])
    assert seen.text.startswith(f"k_m {1e3 * expected.k_m:.2f}·10⁻³ m² s⁻¹ ")
    assert f"({1e3 * expected.k_m_low:.2f} to {1e3 * expected.k_m_high:.2f})" in seen.text


def test_what_cannot_be_predicted_says_why() -> None:
    """A model that goes by the length, and a micrograph that has none."""
    near = grain(1, SHAPE, 25.0)
    seen = explorers.prediction_seen(fitted_model(PROPORTIONAL), near, zoom=1, across=50, down=50)
    assert "has no correlation length" in seen.text
    assert "as taken" in seen.pictures


@pytest.mark.usefixtures("live")
def test_prediction_follows_what_is_done_to_the_micrograph(model: Model) -> None:
    explorer = explorers.explore_prediction(model, GRAIN)
    first, said = pictures(explorer), text(explorer)
    assert "in the model" in said.partition("): ")[2]
    for name, value in {
        "zoom": 2.0, "brightness": 40, "contrast": 0.25, "defocus (px)": 8, "noise": 40,
    }.items():  # fmt: skip
        control = controls(explorer)[name]
        neutral = control.value
        control.value = value
        assert all(new != old for new, old in zip(pictures(explorer), first, strict=True)), name
        if name in ("defocus (px)", "noise"):
            assert "in the model" not in text(explorer)
        control.value = neutral
        assert (pictures(explorer), text(explorer)) == (first, said)


@pytest.mark.usefixtures("live")
def test_moving_a_slider_changes_picture_histogram_and_text() -> None:
    explorer = explorers.explore_background(IMAGE, Parameters())
    before, after, histogram = pictures(explorer)
    said = text(explorer)
    controls(explorer)["radius (px)"].value = 10
    now = pictures(explorer)
    assert now[0] == before
    assert now[1] != after
    assert now[2] != histogram
    assert text(explorer) != said
    controls(explorer)["radius (px)"].value = Parameters().background_radius_px
    assert pictures(explorer) == [before, after, histogram]


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    ("explorer", "slider", "value"),
    [
        (lambda: explorers.explore_stand_in(3), "kₘ (10⁻³ m² s⁻¹)", 0.4),
        (lambda: explorers.explore_stand_in(3), "seed", 4),
        (lambda: explorers.explore_drying(VIAL, Parameters()), "kᵥ (W m⁻² K⁻¹)", 20),
        (lambda: explorers.explore_drying(VIAL, Parameters()), "ice (mm)", 12),
    ],
)
def test_every_explorer_follows_its_sliders(explorer: Any, slider: str, value: float) -> None:
    shown = explorer()
    before = pictures(shown)
    controls(shown)[slider].value = value
    assert pictures(shown) != before


@pytest.mark.usefixtures("live")
def test_benchmark_moves_every_control(model: Model) -> None:
    benchmark = run_path(str(Path(__file__).parents[1] / "benchmarks" / "explorers.py"))
    shown = (
        explorers.explore_background(IMAGE, Parameters()),
        explorers.explore_stand_in(3),
        explorers.explore_prediction(model, GRAIN),
        explorers.explore_drying(VIAL, Parameters()),
    )
    assert set(benchmark["CHANGES"]) == {name for each in shown for name in controls(each)}


@pytest.mark.usefixtures("live")
def test_more_ice_takes_longer_to_dry() -> None:
    shown = explorers.explore_drying(VIAL, Parameters())
    hours = []
    for ice in (5, 10):
        controls(shown)["ice (mm)"].value = ice
        hours.append(float(text(shown).split(": ")[1].split(" h")[0]))
    assert hours[1] > 2 * hours[0]


def test_outside_of_jupyterlab_there_is_one_line_and_no_widget() -> None:
    for shown in (
        explorers.explore_background(IMAGE, Parameters()),
        explorers.explore_stand_in(),
        explorers.explore_drying(VIAL, Parameters()),
    ):
        assert isinstance(shown, Banner)
        assert "make lab" in shown.text
