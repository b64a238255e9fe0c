"""The figures show what they are given: what is drawn is read back from the artists."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

from fesemlib.drying.equations import porosity
from fesemlib.evaluation import published
from fesemlib.evaluation.baselines import linear_on_others
from fesemlib.formulations import table1
from fesemlib.network.architecture import build_network
from fesemlib.pages.figures import micrographs as micrographs_figures
from fesemlib.pages.figures import network as network_figures
from fesemlib.pages.figures import validation as validation_figures
from fesemlib.processing import process
from fesemlib.synthetic.foam import cell_diameter, throat_diameter
from fesemlib.validation.leave_one_out import COLUMNS

IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def predictions(names: str = "ABCDEFGHI") -> pd.DataFrame:
    """Two seeds, which predict 90 % and 120 % of the true value."""
    true = published.candidates("original")["true_km"]
    rows = [
        (name, name, f"{name}.png", "test", seed, "original", 1, true[name], true[name] * factor,
         abs(factor - 1))
        for seed, factor in enumerate([0.9, 1.2])
        for name in names
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "draw"])


@pytest.mark.parametrize(
    ("pixel_size_um", "label", "length_um"),
    [(2000 / 2048, "20 µm", 20), (0.01, "200 nm", 0.2), (12.0, "200 µm", 200)],
)
def test_scale_bar_is_as_long_as_it_says(pixel_size_um, label, length_um):
    figure = micrographs_figures.micrographs_figure([IMAGE] * 4, list("ABCD"), pixel_size_um)
    assert label in texts(figure)
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [pytest.approx(length_um / pixel_size_um)]


def test_no_scale_bar_without_a_pixel_size():
    figure = micrographs_figures.micrographs_figure([IMAGE] * 4, list("ABCD"))
    assert texts(figure) == list("ABCD")


def test_histograms_hold_every_pixel():
    steps = process(IMAGE, radius=20)
    images = (steps.original, steps.subtracted, steps.equalized)
    figure = micrographs_figures.histograms_figure(dict(zip("abc", images, strict=True)))
    drawn = [
        patch.get_data()[0]
        for axes in figure.axes
        for patch in axes.patches
        if isinstance(patch, StepPatch)
    ]
    for shares, image in zip(drawn, images, strict=True):
        assert shares.sum() == pytest.approx(100)
        assert (shares * np.arange(256)).sum() / 100 == pytest.approx(image.mean())


def test_network_figure_names_every_output():
    figure = network_figures.network_figure(build_network((48, 64)))
    shown = " ".join(texts(figure)).replace("\n", "")
    for shape in ("64×48×1", "64×48×4", "32×24×8", "16×12×16", "8×6×16", "768"):
        assert shape in shown
    assert shown.count("convolution") == 3
    assert "50%" in shown


def test_parity_shows_medians_ranges_and_both_published_candidates():
    candidates = published.candidates("original")
    figure = validation_figures.parity_figure(predictions(), candidates)
    parity, errors = figure.axes
    medians = {
        container.get_label(): container.lines[0].get_ydata()[0] for container in parity.containers
    }
    for name, true in candidates["true_km"].items():
        assert medians[name] == pytest.approx(1e3 * true * 1.05)
    drawn = np.concatenate([c.get_offsets() for c in parity.collections if len(c.get_offsets())])
    heights = {round(float(height), 6) for height in np.ma.getdata(drawn)[:, 1]}
    for column in ("low_km", "high_km"):
        for value in candidates[column].dropna():
            assert round(1e3 * value, 6) in heights
    published_errors = next(line for line in errors.lines if line.get_label() == "published")
    assert published_errors.get_xdata() == pytest.approx(100 * published.table2()["original"])


def test_nothing_published_is_drawn_for_other_formulations():
    figure = validation_figures.parity_figure(predictions("ABC"), None)
    labels = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]
    assert not [label for label in labels if "published" in label]


def test_held_out_figure_separates_training_from_test():
    train = predictions("ACD").assign(role="train", held_out="B")
    test = predictions("B")
    figure = validation_figures.held_out_figure(pd.concat([train, test]), test, None)
    sizes = {c.get_label(): len(c.lines[0].get_xdata()) for c in figure.axes[0].containers}
    assert sizes == {"training, median and range": 3, "held out (B), median and range": 1}


def test_workflow_shows_the_images_it_is_given():
    steps = process(IMAGE, radius=20)
    small = IMAGE[::2, ::2] / np.float32(255)
    figure = micrographs_figures.workflow_figure(steps, small, 3_445, 1.4e-3, False)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    expected = [steps.original, steps.subtracted, steps.equalized, small * 255]
    for ours, given in zip(shown, expected, strict=True):
        assert np.array_equal(ours, given)
    assert "1.4·10" in " ".join(texts(figure))


def test_composition_figure_draws_the_series_of_table_1_apart():
    table = table1()
    axes = micrographs_figures.composition_figure(table).axes[0]
    names = {(note.xy[0], round(note.xy[1], 6)): note.get_text() for note in axes.texts}
    drawn = {}
    for series in axes.containers:
        places = series.lines[0].get_xydata()
        drawn[series.get_label()] = "".join(names[x, round(y, 6)] for x, y in places)
    assert drawn == {"dextran and mannitol": "ACBD", "PVP and mannitol": "FHEG", "other": "I"}


def test_words_about_composition_hold_for_table_1():
    """Chapter 01 says that k_m falls in one series and stays within its scatter in the other."""
    falling, level = table1().loc[list("ACBD")], table1().loc[list("FHEG")]
    assert falling["k_m"].is_monotonic_decreasing
    assert not level["k_m"].is_monotonic_decreasing
    assert 100 * (level["k_m"].max() / level["k_m"].min() - 1) < level["std_percent"].min()
    for series in (falling, level):
        assert series["mannitol"].is_monotonic_increasing
        assert set(series[["dextran", "mannitol", "PVP"]].sum(axis=1)) == {5}
    table = table1()
    k_m = table["k_m"].to_numpy()
    errors = {
        solute: np.abs(linear_on_others(table[[solute]].to_numpy(), k_m, table.index) / k_m - 1)
        for solute in ("mannitol", "dextran", "PVP")
    }
    assert min(errors, key=lambda solute: errors[solute].mean()) == "mannitol"
    close, apart = table["k_m"].drop(["A", "C", "I"]), table["k_m"][["A", "C", "I"]]
    assert close.max() / close.min() < 1.2
    assert all((apart > 1.2 * close.max()) | (apart < close.min() / 1.2))


def test_words_about_the_size_of_stand_ins_hold():
    """Chapter 10: measured pores of 23.7 and 33 µm lie in the lower half of the range of cells."""
    ends = [table1()["k_m"].min(), table1()["k_m"].max()]
    least, greatest = (cell_diameter(1e6 * throat_diameter(k_m, porosity(5))) for k_m in ends)
    assert least < 23.7 < 33.0 < (least + greatest) / 2


def test_stand_in_figure_shows_every_point_and_the_mean_ratio():
    cell = np.array([10.0, 20.0, 40.0])
    k_m = np.array([2e-4, 5e-4, 1e-3])
    figure = micrographs_figures.stand_in_figure(cell, cell * [0.1, 0.2, 0.4], k_m, k_m[::-1])
    sizes, brightness = figure.axes
    line, points = sizes.lines
    np.testing.assert_allclose(points.get_xydata(), np.c_[cell, cell * [0.1, 0.2, 0.4]])
    np.testing.assert_allclose(line.get_ydata(), [2, 8])  # the geometric mean of the ratios is 0.2
    assert line.get_label() == "0.2 times the cell"
    line, points = brightness.lines
    np.testing.assert_allclose(points.get_xydata(), 1e3 * np.c_[k_m, k_m[::-1]])
    np.testing.assert_allclose(line.get_xdata(), line.get_ydata())


def test_errors_within_a_decade_have_labelled_ticks():
    table = predictions("ABC").assign(relative_error=[0.25, 0.4, 0.6] * 2)
    errors = validation_figures.parity_figure(table, None).axes[1]
    low, high = errors.get_xlim()
    ticks = [tick for tick in errors.xaxis.get_majorticklocs() if low <= tick <= high]
    assert len(ticks) >= 1
