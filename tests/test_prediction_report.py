"""What is said and drawn of new micrographs: the chapter, the page to hand on, and the drying."""

import base64
import math
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from prediction_models import (
    K_M,
    RESIDUALS,
    SHAPE,
    changed,
    fitted_model,
    grain,
    small_dataset,
    untrained_model,
    with_residuals,
    write_grain,
)

from fesemlib.command.cli import main
from fesemlib.drying.calibration import vial_of
from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.drying.outlook import cycle_of, outlook_of, outlook_table
from fesemlib.drying.vial import drying_time, simulate_primary_drying
from fesemlib.formulations import table1
from fesemlib.micrographs.files import PredictionError
from fesemlib.micrographs.reading import Micrograph
from fesemlib.pages import statements
from fesemlib.pages.figures import prediction as figures
from fesemlib.pages.prediction_report import write_report
from fesemlib.pages.tables import prediction as tables
from fesemlib.params import Parameters
from fesemlib.prediction import trials
from fesemlib.prediction.model import (
    Layer,
    Prediction,
    mean_prediction,
    predict_files,
)
from fesemlib.prediction.new_micrographs import NewMicrographs, predict_new_micrographs
from fesemlib.prediction.trials import FRESH, coverage_trial, domain_trial, strange_images
from fesemlib.predictors import Measuring, predictor_named
from fesemlib.predictors.regressions import MEDIAN, PROPORTIONAL, TEXTURES

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


@pytest.fixture(scope="module")
def length_model():
    return fitted_model(PROPORTIONAL)


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
    assert "The model has seen it" in statements.new_banner(new).text
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
    shown = tables.show_predictions(new, model, Parameters())
    assert "cannot be read" in shown.to_html()
    assert str(tmp_path) not in shown.to_html()
    assert "made with" not in shown.data  # no stand-in


@pytest.mark.usefixtures("own_build")
def test_default_of_stand_ins_is_a_fresh_one():
    model = untrained_model(synthetic=True)
    new = predict_new_micrographs(model, small_dataset(synthetic=True), Parameters())
    assert (new.source, list(new.pictures)) == ("stand-in", ["fresh stand-in", "processed"])
    shown = tables.show_predictions(new, model, Parameters())
    assert shown.data["made with"].item() == pytest.approx(1e3 * new.true_km)


@pytest.mark.parametrize(
    ("rows", "source", "told", "kind"),
    [
        ([ROW], "files", "1 of 1 files could be used.", "note"),
        ([ROW, BROKEN], "files", "what is wrong with the others", "warning"),
        ([ROW], "stand-in", "It is computed, not measured.", "warning"),
        ([ROW], "mirrored", "The model has seen it.", "warning"),
        ([ROW, replace(ROW, in_domain=False)], "files", "of the model: 1 of 2. Such", "warning"),
    ],
)
def test_banner_says_what_the_new_micrographs_are(rows, source, told, kind):
    banner = statements.new_banner(NewMicrographs(source, tuple(rows), {}))
    assert told in banner.text
    assert ("Outside the domain" in banner.text) == any(row.in_domain is False for row in rows)
    assert banner.kind == kind


def test_table_tells_errors_bounds_and_domain(model):
    rows = (ROW, UNBOUNDED, replace(ROW, in_domain=False, remarks="too odd"))
    new = NewMicrographs("files", (*rows, BROKEN), {})
    shown = tables.show_predictions(new, model, Parameters(layer_thickness_mm=8)).to_html()
    for told in ("∞", "—", "inside", "outside: too odd", "prediction: broken", "8 mm", "−30.0"):
        assert told in shown
    assert "nominally 80 %" in shown
    few = with_residuals(model, {"A": 0.1, "B": -0.3})
    assert "nominally 67 %" in tables.show_predictions(new, few, Parameters()).to_html()


def test_model_card_is_shown(model):
    shown = tables.show_model(model).data[""]
    assert shown["predictor"] == "the paper's network"
    assert shown["mean |ln(predicted/true)|, left out"] == "0.230"
    assert shown["skill against the median"] == f"{model.card.skill:.2f}"
    assert shown["deviation of ln within a formulation"] == "—"
    spread = np.std(list(RESIDUALS.values()))
    assert shown["deviation of ln between formulations"] == f"{spread:.3f}"
    assert shown["micrographs (px)"] == "128 × 96"
    unknown = replace(model, card=changed(model.card, pixel_size_um=None))
    assert tables.show_model(unknown).data[""]["pixel (µm)"] == "not known"


def test_spread_within_a_formulation_is_shown_where_there_are_several():
    several = fitted_model(PROPORTIONAL, small_dataset(readable=True, each=2))
    shown = tables.show_model(several).data[""]["deviation of ln within a formulation"]
    assert shown == f"{several.card.within_formulations:.3f}"


def test_candidates_are_shown_from_the_best_with_how_often_they_were_chosen(model):
    card = model.card
    gaps = {**card.candidates, "with gaps": dict.fromkeys(K_M)}
    folds = card.chosen_in_fold | {"A": MEDIAN.name}
    shown = tables.show_candidates(changed(card, candidates=gaps, chosen_in_fold=folds)).data
    assert list(shown.index) == ["the paper's network", MEDIAN.name]
    assert list(shown["chosen in folds"]) == [4, 1]
    assert shown["mean |ln|"].iloc[0] == pytest.approx(0.23)
    assert list(shown["skill"]) == pytest.approx([card.skill, 0.0])
    relative = [abs(math.exp(-each) - 1) for each in RESIDUALS.values()]
    assert shown["mean (%)"].iloc[0] == pytest.approx(np.mean(relative))


def test_candidates_are_drawn_with_the_choice_on_top(model):
    axes = figures.candidates_figure(model.card).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["chosen: the paper's network", "the paper's network", MEDIAN.name]
    diamonds = [line.get_xdata() for line in axes.lines if line.get_marker() == "D"]
    means = [*diamonds[1], *diamonds[0]]
    median = np.abs(list(model.card.candidates[MEDIAN.name].values())).mean()
    assert means == pytest.approx([0.23, 0.23, median])
    alike = fitted_model(MEDIAN, small_dataset(dict.fromkeys("ABC", 1e-3)))
    figures.candidates_figure(alike.card)  # no error has a logarithm


def test_banner_says_which_predictor_and_whether_it_reads_anything(model, length_model):
    found = statements.predictor_banner(length_model.card)
    assert found.kind == "note"
    assert "proportional to the correlation length" in found.text
    relative = f"{100 * length_model.card.relative_error:.3g}"
    assert f"errs by {relative[:2]}" in found.text
    none = statements.predictor_banner(model.card)
    assert (none.kind, none.title) == ("warning", "No image information found")
    assert "the paper's network" in none.text


def test_nothing_usable_is_an_error_that_says_why(model, tmp_path):
    Image.fromarray(grain(1, (48, 128))).save(tmp_path / "small.png")
    with pytest.raises(PredictionError, match=r"no micrograph here can be used.*128×48 px"):
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
    """Nothing else is like a training set that shows the same micrograph five times."""
    same = Micrograph(grain(0, (288, 384)), 1.0)
    model = fitted_model(MEDIAN, replace(small_dataset(), micrographs=(same,) * 5))
    fresh = pd.DataFrame(
        {"distance": [0.0], "by_texture": [False], "by_k_m": [False], "flagged": [False]}
    )
    trial = domain_trial(model, fresh)
    assert trial["by_texture"].iloc[1:].all()
    assert not trial["by_k_m"].any()  # it answers the median
    flagged = trial["by_texture"] | trial["by_k_m"]
    assert (trial["flagged"] == flagged).all()
    assert list(trial["kind"].value_counts().sort_index()) == [6, 1, 6, 1, 1]


@pytest.mark.usefixtures("own_build")
def test_coverage_is_tried_on_stand_ins_of_the_size_of_the_micrographs(length_model):
    trial = coverage_trial(length_model, 3)
    factor = math.exp(length_model.half_width)
    np.testing.assert_allclose(trial["high"], factor * trial["predicted_km"])
    inside = (trial["low"] <= trial["true_km"]) & (trial["true_km"] <= trial["high"])
    assert list(trial["covered"]) == list(inside)
    assert list(trial["flagged"]) == list(trial["by_texture"] | trial["by_k_m"])


def test_stand_ins_are_predicted_by_a_model_of_their_own_with_that_kind_of_predictor(
    length_model, monkeypatch
):
    stand_ins = small_dataset(synthetic=True, readable=True)
    monkeypatch.setattr(trials, "load_dataset", lambda _: stand_ins)
    for own, kind in ((length_model, "length"), (by_composition(), "length")):
        model = trials.stand_in_model(own, Parameters(input_width=32, predictor="auto"))
        assert model.card.synthetic
        assert model.predictor.kind == kind
        assert trials.stand_in_model(model, Parameters()) is model


def by_composition():
    texts = {"A": "4% dextran + 1% mannitol", "B": "3% dextran", "C": "2% dextran"}
    texts |= {"D": "1% dextran + 1% mannitol", "E": "5% mannitol"}
    predictor = predictor_named("nearest composition", ["dextran", "mannitol"])
    return fitted_model(predictor, small_dataset(compositions=texts))


def test_composition_of_new_micrographs_is_that_of_the_first_formulation_unless_told():
    texts = dict.fromkeys(K_M, "4% dextran") | {"A": "5% dextran", "B": "5% mannitol"}
    model, dataset = by_composition(), small_dataset(compositions=texts)
    first = predict_new_micrographs(model, dataset, Parameters()).rows[0]
    assert first.k_m == pytest.approx(K_M["A"])
    told = Parameters(composition="4% mannitol")
    assert predict_new_micrographs(model, dataset, told).rows[0].k_m == pytest.approx(K_M["E"])


# The page to hand on


def page_of(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def report_of(model, files, folder, drying=None, rows=None) -> BeautifulSoup:
    layer = Layer(0.008, 240.0)
    rows = list(predict_files(model, files, layer)) if rows is None else rows
    write_report(folder / "page.html", rows, files, model, layer, drying or Parameters())
    return page_of(folder / "page.html")


def pictures_of(page: BeautifulSoup) -> list[Image.Image]:
    start = "data:image/jpeg;base64,"
    found = [image["src"] for image in page.find_all("img")]
    assert all(each.startswith(start) for each in found)
    return [Image.open(BytesIO(base64.b64decode(each.removeprefix(start)))) for each in found]


def test_page_is_one_file_that_needs_no_network(model, tmp_path):
    files = [str(write_grain(tmp_path / f"{seed}.png", seed)) for seed in range(2)]
    page = report_of(model, files, tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["0.png", "1.png", "page.html"]
    linked = [tag.get("src") or tag.get("href") for tag in page.find_all(src=True)]
    linked += [tag["href"] for tag in page.find_all(href=True)]
    assert all(each.startswith("data:") for each in linked)
    assert page.find_all(["script", "link", "iframe", "object"]) == []
    assert not re.search(r"@import|url\(", page.find("style").get_text())
    pictures = pictures_of(page)
    assert len(pictures) == 2
    assert all(picture.width > 1000 for picture in pictures)
    assert np.asarray(pictures[0]).tobytes() != np.asarray(pictures[1]).tobytes()


def test_page_holds_what_is_predicted_of_each_micrograph(length_model, tmp_path):
    name = str(write_grain(tmp_path / "a.png", 1, SHAPE, 2.5))
    (tmp_path / "broken.png").write_bytes(b"no image")
    odd = str(write_grain(tmp_path / "odd.png", 2, SHAPE, 12.0))
    files = [name, str(tmp_path / "broken.png"), odd]
    drying = Parameters(shelf_hold_k=255.0, collapse_temperature_k=245.0, ice_thickness_mm=5.0)
    rows = list(predict_files(length_model, files, Layer(0.008, 240.0)))
    page = report_of(length_model, files, tmp_path, drying)
    own, broken, strange, of_model = page.find_all("section")
    for row, section in ((rows[0], own), (rows[2], strange)):
        text = " ".join([*section.get_text(" ").split(), ""])
        for value in (row.k_m, row.k_m_low, row.k_m_high):
            assert f" {1e3 * value:.3g} " in text
        for value in (row.resistance, row.resistance_low, row.resistance_high):
            assert f" {value / CLASSIC_RESISTANCE:.3g} " in text
        outlook = outlook_for(row, drying)
        if not row.in_domain:
            assert "Primary drying" not in text
            continue
        for case in (outlook.predicted, outlook.slow, outlook.fast):
            assert f" {case.time / 3600:.1f} " in text
            assert f" {case.warmest_front - 273.15:.1f} ".replace("-", "−") in text
        assert len(section.find_all("img")) == 1
    assert rows[0].in_domain
    assert "Inside the domain of the model." in own.get_text()
    assert own.find(class_="warning") is None
    assert "Outside the domain of the model: do not use" in strange.find(class_="warning").text
    assert rows[2].remarks in strange.get_text()
    assert "No prediction: cannot be read" in broken.get_text()
    assert broken.find("img") is None
    text = of_model.get_text(" ")
    assert length_model.card.data_digest in text
    assert "128×96 px of 1 µm" in text
    assert PROPORTIONAL.name in text
    assert "−18.15" in text
    assert "8 mm of dried cake, front at −33.15 °C" in page.get_text()


def test_page_tells_the_predictor_its_error_and_where_it_reads_nothing(
    model, length_model, tmp_path
):
    files = [str(write_grain(tmp_path / "a.png", 1))]
    for own in (model, length_model):
        page, card = report_of(own, files, tmp_path), own.card
        text = " ".join(page.get_text(" ").split())
        assert f"Predictor: {card.predictor} ." in text
        assert f"errs by {100 * card.relative_error:.0f} % on average" in text
        assert f"median of the others is {card.skill:.2f}" in text
        assert f"divided by {math.exp(own.half_width):.2f}" in text
        assert ("No skill shown beyond chance" in text) == (not card.informed)
        assert "SYNTHETIC" not in text
    synthetic = untrained_model(synthetic=True)
    assert "SYNTHETIC" in report_of(synthetic, files, tmp_path).find(class_="warning").text


def test_a_hostile_name_of_a_file_is_text_on_the_page(length_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["<script>alert(1)</script>.png", '"><img src=x onerror=alert(2)>.png', "{{ 7*7 }}.png"]
    for seed, name in enumerate(names[:2]):
        write_grain(Path(name), seed, SHAPE, 2.5)
    Path(names[2]).write_bytes(b"no image")
    page = report_of(length_model, names, tmp_path)
    assert [heading.get_text() for heading in page.find_all("h2")][:3] == names
    assert page.find("script") is None
    assert len(pictures_of(page)) == 2
    assert not [tag for tag in page.find_all() if any(name.startswith("on") for name in tag.attrs)]


@pytest.mark.parametrize("predictor", [MEDIAN, TEXTURES[0]], ids=lambda each: each.name)
def test_page_is_drawn_whatever_predicts_and_whatever_is_shown(predictor, tmp_path):
    """Of the second micrograph there is no correlation length."""
    model = fitted_model(predictor)
    files = [
        str(write_grain(tmp_path / "a.png", 1, SHAPE, 2.5)),
        str(write_grain(tmp_path / "near.png", 1, SHAPE, 25.0)),
    ]
    rows = list(predict_files(model, files))
    assert [row.error for row in rows] == ["", ""]
    rows = [replace(row, in_domain=True) for row in rows]
    rows.append(mean_prediction(model, rows))
    page = report_of(model, files, tmp_path, rows=rows)
    assert len(pictures_of(page)) == 2
    assert page.find_all("h2")[2].get_text() == "mean of 2"


def test_page_says_that_the_ice_melts_where_it_does(length_model, tmp_path):
    files = [str(write_grain(tmp_path / "a.png", 1, SHAPE, 2.5))]
    hot = Parameters(shelf_hold_k=360.0, chamber_pressure_pa=500.0)
    text = report_of(length_model, files, tmp_path, hot).get_text()
    assert "no: the ice would melt" in text


def test_command_writes_the_page_with_the_cycle_of_a_file(
    length_model, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    length_model.save("model")
    write_grain(tmp_path / "a.png", 1, SHAPE, 2.5)
    Path("mine.yml").write_text("shelf_hold_k: 255.0\n", encoding="utf-8")
    assert main(["predict", "model", "a.png", "--report", "page.html", "--cycle", "mine.yml"]) == 0
    assert capsys.readouterr().err == ""
    page = page_of(Path("page.html"))
    assert len(pictures_of(page)) == 1
    (row,) = predict_files(length_model, ["a.png"])
    hours = outlook_for(row, Parameters(shelf_hold_k=255.0)).predicted.time / 3600
    assert f" {hours:.1f} " in page.find("section").get_text(" ")


def test_page_takes_the_pixel_size_that_was_told(length_model, tmp_path, monkeypatch):
    """The length that is drawn is that which was predicted by."""
    monkeypatch.chdir(tmp_path)
    length_model.save("model")
    write_grain(tmp_path / "fine.png", 1, (192, 256), 5.0)
    lengths, original = [], Measuring.length

    def length(*of):
        lengths.append(original(*of))
        return lengths[-1]

    monkeypatch.setattr(Measuring, "length", length)
    told = ["predict", "model", "fine.png", "--pixel-size", "0.5", "--report", "page.html"]
    assert main(told) == 0
    assert len(lengths) >= 1
    assert set(lengths) == {lengths[0]}
