"""What the chapter on new micrographs says and draws, and the room that looks ahead to drying."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prediction_models import grain, small_dataset, untrained_model, with_residuals, write_grain

from fesemlib.drying.coefficients import vial_of
from fesemlib.drying.outlook import cycle_of, outlook_of, outlook_table
from fesemlib.drying.vial import drying_time, simulate_primary_drying
from fesemlib.formulations import table1
from fesemlib.micrographs.files import PredictionError
from fesemlib.pages import statements
from fesemlib.pages.figures import prediction as figures
from fesemlib.pages.tables import prediction as tables
from fesemlib.params import Parameters
from fesemlib.prediction.model import Prediction
from fesemlib.prediction.new_micrographs import NewMicrographs, predict_new_micrographs
from fesemlib.prediction.trials import FRESH, domain_trial, strange_images
from fesemlib.texture import texture_names

ROW = Prediction(
    "vial.tif",
    k_m=1e-3,
    k_m_low=0.5e-3,
    k_m_high=2e-3,
    resistance=1.1e6,
    resistance_low=0.6e6,
    resistance_high=2.2e6,
    in_domain=True,
    texture_distance=1.0,
    texture_limit=1.5,
)
BROKEN = Prediction("x.tif", error="broken")
UNBOUNDED = replace(ROW, image="few.tif", k_m_low=0.0, k_m_high=math.inf)


def outlook_for(row, parameters):
    return outlook_of(row.image, row.k_m, row.k_m_low, row.k_m_high, parameters)


@pytest.fixture(scope="module")
def model():
    return untrained_model()


def test_outlook_is_the_model_of_drying_at_three_k_m():
    parameters = Parameters(shelf_hold_k=255.0, chamber_pressure_pa=8.0)
    outlook = outlook_for(ROW, parameters)
    cycle = cycle_of(parameters)
    assert (cycle.hold_temperature, cycle.chamber_pressure) == (255.0, 8.0)
    assert cycle.ramp_rate == pytest.approx(1 / 60)
    for case, k_m in ((outlook.predicted, 1e-3), (outlook.slow, 0.5e-3), (outlook.fast, 2e-3)):
        run = simulate_primary_drying(k_m, vial_of(parameters), cycle)
        assert case is not None
        assert case.time == pytest.approx(drying_time(run), rel=1e-4)
        assert case.warmest_front == pytest.approx(run["front_temperature"].max(), abs=0.01)
    assert outlook.fast.time < outlook.predicted.time < outlook.slow.time
    assert outlook.fast.warmest_front < outlook.predicted.warmest_front < outlook.slow.warmest_front


def test_interval_without_bounds_has_no_ends():
    outlook = outlook_for(UNBOUNDED, Parameters())
    assert outlook.slow is None
    assert outlook.fast is None
    table = outlook_table([outlook], 253.15)
    assert table["time_slow"].isna().all()
    assert not table["stays_below_slow"].any()
    shown = tables.show_drying(table)
    assert shown.data.loc[0, "stays below"] == "only as predicted"
    assert shown.to_html().count("—") == 3  # both times and the front at the lower end


@pytest.mark.parametrize(
    ("above", "told"),
    [(-1.0, "no"), (0.5, "only as predicted"), (50.0, "yes, for the whole interval")],
)
def test_planner_is_told_whether_the_front_stays_below(above, told):
    """Collapse temperatures below, just above and far above the warmest front as predicted."""
    outlook = outlook_for(ROW, Parameters())
    table = outlook_table([outlook], outlook.predicted.warmest_front + above)
    shown = tables.show_drying(table)
    assert shown.data.loc[0, "stays below"] == told
    assert f"{outlook.slow.time / 3600:.3g}" in shown.to_html()
    assert f"{outlook.predicted.warmest_front - 273.15:.1f}".replace("-", "−") in shown.to_html()


def test_melting_is_said_and_does_not_stop_the_page():
    hot = Parameters(shelf_hold_k=330.0, chamber_pressure_pa=100.0)
    outlook = outlook_for(ROW, hot)
    assert outlook.slow.run is None
    assert math.isinf(outlook.slow.time)
    shown = tables.show_drying(outlook_table([outlook], 253.15)).to_html()
    assert "melts" in shown
    assert "∞" in shown
    figures.drying_figure([outlook], 253.15)


def test_default_of_real_micrographs_is_a_mirror_image(model):
    new = predict_new_micrographs(model, small_dataset(), Parameters())
    assert new.source == "mirrored"
    assert new.rows[0].image == "A.png, mirrored"
    assert "have seen it" in statements.new_banner(new).text
    np.testing.assert_array_equal(new.pictures["A.png, mirrored"], grain(0)[:, ::-1])


def test_folder_gives_a_row_each(model, tmp_path):
    for seed in range(3):
        write_grain(tmp_path / f"{seed}.png", seed)
    (tmp_path / "broken.png").write_bytes(b"no image")
    new = predict_new_micrographs(model, small_dataset(), Parameters(image=str(tmp_path)))
    assert len(new.rows) == 4
    assert len(new.predicted) == 3
    assert len(new.pictures) == 3
    assert "3 of 4 files could be used" in statements.new_banner(new).text
    shown = tables.show_predictions(new, Parameters())
    assert "cannot be read" in shown.to_html()
    assert str(tmp_path) not in shown.to_html()
    assert "made with" not in shown.data  # no stand-in


@pytest.mark.usefixtures("own_build")
def test_default_of_stand_ins_is_a_fresh_one():
    model = untrained_model(synthetic=True)
    new = predict_new_micrographs(model, small_dataset(synthetic=True), Parameters())
    assert (new.source, list(new.pictures)) == ("stand-in", ["fresh stand-in", "processed"])
    shown = tables.show_predictions(new, Parameters())
    assert shown.data["made with"].item() == pytest.approx(1e3 * new.true_km)


@pytest.mark.parametrize(
    ("rows", "source", "told", "kind"),
    [
        ([ROW], "files", "1 of 1 files could be used.", "note"),
        ([ROW, BROKEN], "files", "what is wrong with the others", "warning"),
        ([ROW], "stand-in", "It is computed, not measured.", "warning"),
        ([ROW], "mirrored", "The networks have seen it.", "warning"),
        ([ROW, replace(ROW, in_domain=False)], "files", "of the model: 1 of 2. Such", "warning"),
    ],
)
def test_banner_says_what_the_new_micrographs_are(rows, source, told, kind):
    banner = statements.new_banner(NewMicrographs(source, tuple(rows), {}))
    assert told in banner.text
    assert ("Outside the domain" in banner.text) == any(row.in_domain is False for row in rows)
    assert banner.kind == kind


def test_table_tells_errors_bounds_and_domain():
    rows = (ROW, UNBOUNDED, replace(ROW, in_domain=False, remarks="too odd"))
    new = NewMicrographs("files", (*rows, BROKEN), {})
    shown = tables.show_predictions(new, Parameters(layer_thickness_mm=8)).to_html()
    for told in ("∞", "—", "inside", "outside: too odd", "prediction: broken", "8 mm", "−30.0"):
        assert told in shown


def test_model_card_is_shown(model):
    shown = tables.show_model(model).data[""]
    assert shown["network's input (px)"] == "32 × 24"
    assert shown["two pixels of it (µm)"] == "8"  # of 128 px of 1 µm, 32 are left
    unknown = replace(model, card=model.card.model_copy(update={"pixel_size_um": None}))
    assert tables.show_model(unknown).data[""]["pixel (µm)"] == "not known"


def test_nothing_usable_is_an_error_that_says_why(model, tmp_path):
    Image.fromarray(grain(1, (48, 64))).save(tmp_path / "small.png")
    with pytest.raises(PredictionError, match=r"no micrograph here can be used.*64×48 px"):
        predict_new_micrographs(model, small_dataset(), Parameters(image=str(tmp_path)))


def test_residuals_are_shown_from_the_smallest(model):
    few = with_residuals(model, {"A": 0.3, "B": -0.1, "C": 0.2, "D": 0.05})
    shown = tables.show_residuals(few).data
    assert list(shown.index) == ["D", "B", "C", "A"]
    assert shown["true / predicted"].to_list() == pytest.approx(np.exp([0.05, -0.1, 0.2, 0.3]))
    assert list(shown["within the interval"]) == ["yes"] * 4
    assert shown[shown.columns[0]].to_list() == pytest.approx([1.0, 1.1, 1.4, 1.9])


def test_what_is_said_to_lie_near_is_near():
    """The page says that most k_m of Table 1 lie near 10⁻³ m² s⁻¹."""
    near = (table1()["k_m"] / 1e-3).between(2 / 3, 3 / 2)
    assert near.mean() > 0.5


@pytest.mark.parametrize(("power", "change"), [(1.0, 2.0), (0.0, 1.0), (0.5, 2**0.5)])
def test_following_tells_networks_that_see_from_those_that_do_not(model, power, change):
    true = np.geomspace(3e-4, 2e-3, 9)
    trial = pd.DataFrame({"true_km": true, "predicted_km": 1e-3 * (true / 1e-3) ** power})
    shown = tables.show_following(trial, model).data
    ensemble, constant = shown.index
    assert shown.loc[ensemble].iloc[0] == pytest.approx(change)
    expected = np.exp(np.abs((1 - power) * np.log(true / 1e-3)).mean())
    assert shown.loc[ensemble].iloc[1] == pytest.approx(expected)
    off = np.abs(np.log(true / 1.1e-3)).mean()  # the median of the five formulations
    assert shown.loc[constant].iloc[1] == pytest.approx(np.exp(off))


def test_few_stand_ins_have_no_slope(model):
    trial = pd.DataFrame({"true_km": [1e-3, 2e-3], "predicted_km": [1e-3, 1e-3]})
    assert "—" in tables.show_following(trial, model).to_html()


def test_flags_are_counted_by_kind():
    kinds = [FRESH] * 10 + ["noise"] * 10 + ["brick"] * 10
    flagged = [True] * 2 + [False] * 8 + [True] * 10 + [True] * 5 + [False] * 5
    trial = pd.DataFrame(
        {"kind": kinds, "by_texture": flagged, "by_k_m": False, "flagged": flagged}
    )
    shown = tables.show_domain(trial)
    assert list(shown.data.index) == [FRESH, "noise", "brick"]
    assert list(shown.data["images"]) == [10, 10, 10]
    assert list(shown.data["should be"]) == ["no", "yes", "yes"]
    for told in ("20.0", "100", "50.0", "0.00"):
        assert f">{told}<" in shown.to_html()


def test_short_names_tell_files_apart():
    long = [f"folder/a_batch_of_very_many_micrographs_of_vial_{number}.tif" for number in (1, 2)]
    assert len(set(figures.short_names(long))) == 2
    assert all(len(name) <= 28 for name in figures.short_names(long))
    assert figures.short_names(["a/x.tif", "b/x.tif"]) == ["1: x.tif", "2: x.tif"]


def test_figures_draw_what_they_are_given(model):
    rows = [ROW, replace(ROW, image="odd.tif", in_domain=False), UNBOUNDED]
    axes = figures.predictions_figure(rows, model).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "vial.tif",
        "odd.tif",
        "few.tif",
        "training set",
    ]
    trial = pd.DataFrame(
        {
            "true_km": [0.8e-3, 1.5e-3],
            "predicted_km": [1e-3, 1e-3],
            "low": [0.7e-3] * 2,
            "high": [1.3e-3] * 2,
            "covered": [True, False],
        }
    )
    figure = figures.coverage_figure(trial, model)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "interval holds the truth (1)" in labels
    outlooks = [outlook_for(row, Parameters()) for row in (ROW, UNBOUNDED)]
    assert len(figures.drying_figure(outlooks, 253.15).axes) == 2


def test_strange_images_have_the_size_asked_for():
    shape = (300, 400)
    for images in strange_images(shape, 1).values():
        assert images
        assert all(image.shape == shape and image.dtype == np.uint8 for image in images)


@pytest.mark.slow
@pytest.mark.usefixtures("own_build")
def test_trial_counts_flags_by_reason():
    model = untrained_model()
    shape = (288, 384)
    names = list(texture_names(shape))
    textures = [[0.0] * len(names)] * len(model.card.textures)
    changes = {"shape": shape, "textures": textures, "texture_names": names}
    card = model.card.model_copy(update=changes)
    fresh = pd.DataFrame(
        {"distance": [0.0], "by_texture": [False], "by_k_m": [False], "flagged": [False]}
    )
    trial = domain_trial(replace(model, card=card), fresh)
    assert trial["by_texture"].iloc[1:].all()  # nothing is like a training set of zeros
    flagged = trial["by_texture"] | trial["by_k_m"]
    assert (trial["flagged"] == flagged).all()
    assert list(trial["kind"].value_counts().sort_index()) == [6, 1, 6, 1, 1]
