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
from fesemlib.micrographs.files import PredictionError
from fesemlib.pages.figures import prediction as figures
from fesemlib.pages.tables import prediction as answers
from fesemlib.params import Parameters
from fesemlib.prediction.model import Layer, Row
from fesemlib.prediction.new_micrographs import predict_new_micrographs
from fesemlib.prediction.trials import FRESH, NOISE, TEXTURES, domain_trial, strange_images
from fesemlib.texture import texture_names

ROW = Row(
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
    assert "not known" in answers.drying_answer([outlook], 300.0)


@pytest.mark.parametrize(
    ("above", "sentence"),
    [
        (-1.0, "does not stay below"),
        (0.5, "as predicted"),
        (50.0, "for the whole interval"),
    ],
)
def test_planner_is_told_whether_the_front_stays_below(above, sentence):
    """Collapse temperatures below, just above and far above the warmest front as predicted."""
    outlook = outlook_for(ROW, Parameters())
    answer = answers.drying_answer([outlook], outlook.predicted.warmest_front + above)
    assert sentence in answer
    more = (outlook.slow.time - outlook.predicted.time) / 3600
    assert f"{more:.1f} h longer" in answer


def test_melting_is_said_and_does_not_stop_the_page():
    hot = Parameters(shelf_hold_k=330.0, chamber_pressure_pa=100.0)
    outlook = outlook_for(ROW, hot)
    assert outlook.slow.run is None
    assert math.isinf(outlook.slow.time)
    answer = answers.drying_answer([outlook], 253.15)
    assert "melt" in answer
    answers.show_drying(outlook_table([outlook], 253.15)).to_html()
    figures.drying_figure([outlook], 253.15)


def test_of_several_the_slowest_is_planned_for():
    slow = replace(ROW, image="slow.tif", k_m=0.6e-3, k_m_low=0.3e-3, k_m_high=1.2e-3)
    outlooks = [outlook_for(row, Parameters()) for row in (ROW, slow)]
    answer = answers.drying_answer(outlooks, 253.15)
    assert answer.startswith("Of the 2 micrographs, slow.tif is the slowest.")


def test_default_of_real_micrographs_is_a_mirror_image(model):
    new = predict_new_micrographs(model, small_dataset(), Parameters())
    assert new.source == "mirrored"
    assert new.rows[0].image == "A.png, mirrored"
    assert "have seen it" in answers.new_banner(new).text
    np.testing.assert_array_equal(new.pictures["A.png, mirrored"], grain(0)[:, ::-1])


def test_folder_gives_a_row_each(model, tmp_path):
    for seed in range(3):
        write_grain(tmp_path / f"{seed}.png", seed)
    (tmp_path / "broken.png").write_bytes(b"no image")
    new = predict_new_micrographs(model, small_dataset(), Parameters(image=str(tmp_path)))
    assert len(new.rows) == 4
    assert len(new.predicted) == 3
    assert len(new.pictures) == 3
    assert "3 of 4 files could be used" in answers.new_banner(new).text
    assert "The 3 micrographs are predicted" in answers.predictions_answer(new)
    shown = answers.show_predictions(new.rows, Layer()).to_html()
    assert "cannot be read" in shown
    assert str(tmp_path) not in shown


def test_nothing_usable_is_an_error_that_says_why(model, tmp_path):
    Image.fromarray(grain(1, (48, 64))).save(tmp_path / "small.png")
    with pytest.raises(PredictionError, match=r"no micrograph here can be used.*64×48 px"):
        predict_new_micrographs(model, small_dataset(), Parameters(image=str(tmp_path)))


def test_interval_answer_names_the_rank(model):
    assert "number 5 of the 5 errors" in answers.interval_answer(model)
    assert "no guarantee" in answers.interval_answer(model)
    # The range is 1.9/0.7, the logarithm of which is 1.0: twice the error of 0.5 spans it.
    assert "as wide as the whole range" in answers.interval_answer(model)
    assert "the error of E, which has the least k_m" in answers.interval_answer(model)
    exact = with_residuals(model, dict.fromkeys("ABCDE", 0.1))
    assert "as wide as the whole range" not in answers.interval_answer(exact)
    few = with_residuals(model, {"A": 0.1, "B": 0.2})
    assert "too few for an interval of 80 %" in answers.interval_answer(few)


FORMULATIONS = [1e-3] * 29


def coverage(covered: int, number: int) -> pd.DataFrame:
    k_m = np.geomspace(3e-4, 2e-3, number)
    return pd.DataFrame(
        {
            "covered": [place < covered for place in range(number)],
            "true_km": k_m,
            "predicted_km": 1.1 * k_m,
        }
    )


@pytest.mark.parametrize(
    ("covered", "verdict"),
    [(80, "does not contradict"), (100, "This is more: "), (50, "This is less: ")],
)
def test_coverage_answer_compares_with_the_nominal_rate(covered, verdict):
    answer = answers.coverage_answer(coverage(covered, 100), FORMULATIONS)
    assert f"{covered} of 100 fresh stand-ins" in answer
    assert verdict in answer
    assert "doubles, the prediction changes by a factor of 2, and the prediction is off by a" in (
        answer
    )
    assert "whatever they see" not in answer


def test_coverage_of_networks_that_see_nothing_is_called_what_it_is():
    blind = coverage(100, 100).assign(predicted_km=8e-4)
    answer = answers.coverage_answer(blind, FORMULATIONS)
    assert "the prediction changes by a factor of 1, and" in answer
    assert "answer much the same whatever they see" in answer


def test_coverage_of_too_few_for_a_slope_is_told_without_a_gap():
    answer = answers.coverage_answer(coverage(2, 2), FORMULATIONS)
    assert "does not contradict the nominal rate; few counts would. The k_m of these" in answer


def test_coverage_is_that_of_one_model_among_many():
    """Half of the trials of a sound interval are not called too narrow for one model's sake."""
    answer = answers.coverage_answer(coverage(40, 60), [1e-3] * 9)
    assert "for 30 to 59 of them" in answer
    assert "does not contradict" in answer
    many = answers.coverage_answer(coverage(40, 60), [1e-3] * 999)
    assert "This is less" in many


def test_domain_answer_says_what_is_missed():
    kinds = [FRESH] * 10 + [NOISE] * 10 + [TEXTURES] * 10
    flagged = [True] * 2 + [False] * 8 + [True] * 10 + [True] * 5 + [False] * 5
    trial = pd.DataFrame({"kind": kinds, "flagged": flagged, "by_k_m": False})
    answer = answers.domain_answer(trial, 1.5)
    assert "All flags come from the texture" in answer
    some = trial.assign(by_k_m=trial["kind"] == NOISE)
    assert "All flags" not in answers.domain_answer(some, 1.5)
    assert "Of the strange images 75.0 % are flagged, of the fresh stand-ins 20.0 %" in answer
    assert f"Too few are flagged of: {TEXTURES}." in answer
    assert "more false alarms than one in ten" in answer


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
    image = model.card.image.model_copy(update={"height_px": shape[0], "width_px": shape[1]})
    names = list(texture_names(shape))
    textures = [
        each.model_copy(update={"values": [0.0] * len(names)}) for each in model.card.textures
    ]
    card = model.card.model_copy(
        update={"image": image, "textures": textures, "texture_names": names}
    )
    fresh = pd.DataFrame(
        {"distance": [0.0], "by_texture": [False], "by_k_m": [False], "flagged": [False]}
    )
    trial = domain_trial(replace(model, card=card), fresh)
    assert trial["by_texture"].iloc[1:].all()  # nothing is like a training set of zeros
    flagged = trial["by_texture"] | trial["by_k_m"]
    assert (trial["flagged"] == flagged).all()
    assert list(trial["kind"].value_counts().sort_index()) == [6, 1, 6, 1, 1]
