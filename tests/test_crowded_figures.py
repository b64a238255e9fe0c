"""Figures of 3 to 200 formulations: no text lies on another, or leaves its figure."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import combinations, islice
from unittest.mock import patch

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from prediction_models import fitted_model

from fesemlib.drying.calibration import vial_of
from fesemlib.drying.coefficients import label_run
from fesemlib.drying.outlook import outlook_of
from fesemlib.drying.records import read_drying_run
from fesemlib.drying.resistance import fit_resistance
from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
from fesemlib.evaluation.occlusion import HeldOutMap
from fesemlib.pages import report
from fesemlib.pages.figures import evaluation, micrographs, prediction, robustness, validation
from fesemlib.pages.figures.drying import depth_figure, drying_run_figure
from fesemlib.pages.names import shortened
from fesemlib.pages.style import formulation_looks, use_style
from fesemlib.params import Parameters
from fesemlib.prediction.model import Prediction
from fesemlib.predictors.regressions import MEDIAN
from fesemlib.validation.leave_one_out import COLUMNS

AWKWARD = (
    "x" * 300,
    r"price $\foo$ of $x$ & <b>bold</b>",
    "_hidden_ `a` {doc}`b` \"quoted\" 'so'",
    "🧊 سكروز مانيتول",
    "W" * 300,
    "T<Tg <script>alert(1)</script>",
)
NUMBERS = (3, 9, *(pytest.param(many, marks=pytest.mark.slow) for many in (40, 200)))
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8)


def names_of(number: int) -> list[str]:
    plain = (f"{number}: sucrose with {number} % of mannitol" for number in range(number))
    return [*AWKWARD[:number], *islice(plain, max(0, number - len(AWKWARD)))]


def held_out(names: list[str], epochs: tuple[int, ...] = (1, 8, 60)) -> pd.DataFrame:
    """Predictions of one to three images, two seeds; about one in fifteen is not positive."""
    random = np.random.default_rng(len(names))
    rows = []
    for number, name in enumerate(names):
        true = 3e-4 * 7 ** random.uniform()
        for image in range(1 + number % 3):
            for seed in range(2):
                for epoch in epochs:
                    predicted = true * random.normal(1, 0.4) if number else -0.2 * true
                    rows.append(
                        (name, name, f"{image}.png", "test", 0, seed, "original", epoch, true,
                         predicted, abs(predicted / true - 1))
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def last_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["epoch"] == table["epoch"].max()]


def parity(names, _):
    return validation.parity_figure(last_of(held_out(names)), None)


def one_held_out(names, _):
    table = last_of(held_out(names))
    train = table[table["held_out"] != names[0]].assign(held_out=names[0], role="train")
    test = table[table["held_out"] == names[0]]
    return validation.held_out_figure(pd.concat([train, test]), test, None)


def training(names, _):
    table = held_out(names)
    both = pd.concat([table, table.assign(role="train")])
    return validation.training_figure(both, Parameters())


def controls(names, _):
    table = last_of(held_out(names))
    rules = (f"linear in {name}, of the components" for name in names[:25])
    tables = [table.assign(control=rule) for rule in ["network, original set", *rules]]
    return evaluation.controls_figure(pd.concat(tables))


def spread(names, _):
    table = last_of(held_out(names))
    return evaluation.spread_figure({"original": table, "augmented": table})


def epochs(names, _):
    table = held_out(names)
    fitted = table.assign(role="train", relative_error=0.02)
    return evaluation.epochs_figure(pd.concat([table, fitted]), 0.4)


def sheet(names, _):
    labels = [name for number, name in enumerate(names) for _ in range(1 + number % 3)]
    k_m = np.array([1e-4 * (1 + names.index(label)) for label in labels])
    looks = formulation_looks(names)
    return micrographs.micrographs_figure([IMAGE] * len(labels), labels, 1.0, looks, k_m)


def grey_levels(names, _):
    from fesemlib.evaluation.baselines import grey_level_test

    table = pd.DataFrame({"formulation": names, "k_m": np.linspace(1e-3, 2e-3, len(names))})
    images = np.random.default_rng(0).integers(0, 256, (len(names), 8, 8)).astype(np.uint8)
    steps = {f"step {number}": images for number in range(4)}
    return micrographs.grey_level_figure(table["k_m"].to_numpy(), grey_level_test(steps, table))


def maps(names, _):
    noise = np.random.default_rng(0).normal(size=(3, 48, 64))
    each = [HeldOutMap(name, IMAGE / 255, 1e-3, *(1e-5 * noise)) for name in names[:9]]
    return robustness.maps_figure(each, formulation_looks(names))


def combination(names, _):
    frames = last_of(held_out(names)).rename(columns={"draw": "frame"})
    several = dict.fromkeys(("flips of one frame", "frames of one formulation"), frames)
    scales = dict.fromkeys(("whole frame", "windows of 1024×768 px"), frames)
    return robustness.combination_figure(several, scales, names)


def imaging(names, _):
    rows = [
        (reader, kind, strength, name, 0.1 * strength)
        for reader in ("paper's network", "averaged maps")
        for kind in robustness.DEGRADATIONS
        for strength in robustness.DEGRADATIONS[kind].strengths
        for name in names
    ]
    columns = ["reader", "degradation", "strength", "formulation", "change"]
    exchanged = {"paper's network": 0.3, "averaged maps": 0.4}
    return robustness.imaging_figure(pd.DataFrame(rows, columns=columns), exchanged)


def new_micrographs(names, _):
    random = np.random.default_rng(0)
    k_m = 1e-3 * np.exp(random.normal(size=len(names)))
    rows = [
        Prediction(f"folder/{name}.tif", each, each / 2, 2 * each, 1e5, 2e5, 5e4, in_domain=True)
        for name, each in zip(names, k_m, strict=True)
    ]
    return prediction.predictions_figure(rows, fitted_model(MEDIAN))


def outlooks(names, _):
    one = outlook_of("", 1e-3, 8e-4, 1.2e-3, Parameters())
    return prediction.drying_figure([replace(one, image=name) for name in names], 253.15)


def recorded(names, folder):
    chosen = names[:9]
    record = recorded_drying([1e-3] * len(chosen), vial_of(Parameters()), PAPER_CYCLE)
    columns = [name for name in record if name.startswith("T_product")]
    told = {column: f"T_product_{name} (°C)" for column, name in zip(columns, chosen, strict=True)}
    record.rename(columns=told).to_csv(folder / "run.csv", index=False)
    return label_run(read_drying_run(folder / "run.csv"), vial_of(Parameters()))


def drying_run(names, folder):
    return drying_run_figure(recorded(names, folder))


def depth(names, folder):
    labels = recorded(names, folder)
    return depth_figure(labels, fit_resistance(labels, vial_of(Parameters()), 2.0))


FIGURES = (
    parity, one_held_out, training, controls, spread, epochs, sheet, grey_levels, maps,
    combination, imaging, new_micrographs, outlooks, drying_run, depth,
)  # fmt: skip


def texts(figure: Figure) -> list[Text]:
    """What is written in a figure as it is drawn, ticks outside of their axes left out."""
    drawn: list[Text] = []
    draw = Text.draw

    def noted(text: Text, renderer: object) -> None:
        drawn.append(text)
        draw(text, renderer)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    with patch.object(Text, "draw", noted):
        canvas.draw()
    return [text for text in dict.fromkeys(drawn) if text.get_visible() and text.get_text().strip()]


def collisions(figure: Figure) -> list[str]:
    """Texts that lie on each other, or leave the figure, by more than a pixel."""
    boxes = [(text.get_text(), Text.get_window_extent(text).padded(-1)) for text in texts(figure)]
    whole = figure.bbox.padded(1)
    found = [
        f"{text!r} leaves the figure"
        for text, box in boxes
        if box.x0 < whole.x0 or box.y0 < whole.y0 or box.x1 > whole.x1 or box.y1 > whole.y1
    ]
    pairs = combinations(boxes, 2)
    return found + [f"{one!r} on {other!r}" for (one, a), (other, b) in pairs if a.overlaps(b)]


@pytest.fixture(autouse=True)
def style():
    """As in a notebook."""
    with mpl.rc_context(), warnings.catch_warnings():
        use_style()
        yield


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("make", FIGURES, ids=lambda make: make.__name__)
def test_no_text_lies_on_another_or_leaves_its_figure(make, number, tmp_path):
    assert collisions(make(names_of(number), tmp_path)) == []


def test_long_names_are_cut_in_the_middle_and_told_apart():
    long = ["x" * 300 + end for end in "ab"]
    assert shortened(["A", "formulation B"]) == {"A": "A", "formulation B": "formulation B"}
    assert all(len(name) <= 24 and "…" in name for name in shortened(long).values())
    alike = shortened(["y" * 100 + middle + "y" * 100 for middle in "ab"])
    assert [name[:3] for name in alike.values()] == ["1: ", "2: "]
    assert len(set(shortened(names_of(200)).values())) == 200


@pytest.mark.parametrize(
    "name", [r"price $\foo$ x", "a $x$ b", "$", "$$", r"\$a$", "_hidden", "a\nb"]
)
def test_names_are_drawn_as_written(name):
    """Beside the same text that nothing takes for a formula, pixel by pixel."""
    pictures = []
    for written, math in ((shortened([name])[name], True), (" ".join(name.split()), False)):
        figure = Figure((3, 1), layout=None)
        figure.text(0.1, 0.5, written, parse_math=math)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()))
    assert (pictures[0] == pictures[1]).all()


def test_a_sheet_of_many_goes_from_the_greatest_k_m_to_the_least():
    names = [str(number) for number in range(40)]
    figure = micrographs.micrographs_figure([IMAGE] * 40, names, k_m=np.arange(40.0))
    assert [axes.texts[0].get_text() for axes in figure.axes] == [
        str(number) for number in (39, 34, 29, 24, 19, 15, 10, 5, 0)
    ]


def test_parity_of_many_names_the_largest_errors():
    names = [f"F{number:02}" for number in range(40)]
    table = last_of(held_out(names))
    runs = table.groupby(["held_out", "seed"])["relative_error"].mean()
    worst = runs.groupby("held_out").median().nlargest(6).index
    axes = validation.parity_figure(table, None).axes[0]
    assert {text.get_text() for text in axes.texts} == set(worst)
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown == ["not positive"]


def test_what_is_not_positive_is_shaded_and_nothing_else():
    table = last_of(held_out(list("ABCDEFGHI")))
    for predicted, said in ((table["predicted_km"], True), (table["predicted_km"].abs(), False)):
        axes = validation.parity_figure(table.assign(predicted_km=predicted), None).axes[0]
        shown = [text.get_text() for text in axes.get_legend().get_texts()]
        assert ("not positive" in shown) == said
        assert axes.get_ylim()[0] <= 1e3 * predicted.min() if said else axes.get_ylim()[0] == 0


def test_saved_figures_are_small_enough_to_send(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 768, 1024)).astype(np.uint8)
    figure = micrographs.micrographs_figure(list(noise), [str(number) for number in range(12)])
    report.save_figure(figure, "sheet", Parameters(results=str(tmp_path)))
    assert 1e6 < (tmp_path / "sheet.svg").stat().st_size <= 5e6
