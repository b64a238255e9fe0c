"""What the pages say and keep: banners, Table 2 beside the paper's, files of results."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path

import matplotlib.pyplot as plt
import myst_nb
import numpy as np
import pandas as pd
import pytest
import yaml
from as_shown import as_shown
from bs4 import BeautifulSoup
from conftest import texture
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from markdown_it import MarkdownIt

from fesemlib.command.render import _markdown
from fesemlib.dataset import Dataset
from fesemlib.evaluation.published import table2, table2_for
from fesemlib.formulations import table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.pages.numbers import measure_ranges, percent, power_of_ten
from fesemlib.pages.report import glue, results_folder, save_figure, save_table, show_table
from fesemlib.pages.statements import Banner, data_banner, selection_banner
from fesemlib.pages.tables import words
from fesemlib.pages.tables.validation import (
    show_comparison,
    show_measures,
    show_remedies,
    show_trainings,
)
from fesemlib.params import Parameters
from fesemlib.validation.errors import table_2

SEEDS = (0, 1, 2)
MEASURES = ["mean", "mean without the worst", "mean |ln|"]
STATISTICS = ["median", "least", "greatest"]


def dataset(synthetic: bool, pixel_size_um: float | None = 2000 / 2048) -> Dataset:
    """Table 1 with micrographs as wide as the paper's, but flatter."""
    table = table1()
    micrograph = Micrograph(texture(0, (4, 2048)), pixel_size_um)
    images = pd.DataFrame({"formulation": table.index, "image": "x.png", "k_m": list(table["k_m"])})
    formulations = table[["composition", "k_m", "std_percent"]]
    return Dataset(formulations, images, (micrograph,) * 9, synthetic, "")


# --------------------------------------------------------------------------------------- banners


def test_banner_shows_markup_as_text():
    html = Banner("<b>1 & 2</b>", "<script>alert('x')</script>", "note")._repr_html_()
    assert re.findall(r"<(\w+)", html) == ["div", "p", "p"]
    assert "&lt;b&gt;1 &amp; 2&lt;/b&gt;" in html
    assert 'class="admonition note' in html


def test_page_on_stand_ins_warns_and_names_their_seed():
    banner = data_banner(dataset(True), Parameters(synthetic_seed=17))
    assert banner.kind == "warning"
    assert "computed, not measured" in banner.text
    assert "seed 17" in banner.text
    assert "2048×4 px" in banner.text


def test_page_says_on_how_many_draws_its_numbers_rest():
    one, three = (data_banner(dataset(True), Parameters(synthetic_draws=n)).text for n in (1, 3))
    assert "draw" not in one
    assert "leave-one-out also on 2 more draws" in three


def test_page_on_own_data_names_the_manifest_without_its_folder():
    banner = data_banner(dataset(False), Parameters(dataset="folder/mine.csv", synthetic_draws=3))
    assert banner.kind == "note"
    assert "mine.csv" in banner.text
    assert "folder" not in str(banner)
    assert "synthetic" not in str(banner).lower()
    assert "computed" not in str(banner)


@pytest.mark.parametrize(("selection", "kind"), [("last", "note"), ("best_on_held_out", "warning")])
def test_selection_on_the_held_out_micrograph_is_a_warning(selection, kind):
    banner = selection_banner(Parameters(model_selection=selection, epochs=23))
    assert banner.kind == kind
    assert ("23 passes" in banner.text) == (selection == "last")


# --------------------------------------------------------------------------------------- Table 2


def predictions(formulations: pd.DataFrame, scale: float) -> pd.DataFrame:
    """Held-out predictions of three seeds, two micrographs of the first formulation."""
    rng = np.random.default_rng(int(100 * scale))
    names = [formulations.index[0], *formulations.index]
    rows = [(name, seed, scale * rng.random()) for name in names for seed in SEEDS]
    return pd.DataFrame(rows, columns=["held_out", "seed", "relative_error"])


def both(formulations: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {
        training_set: predictions(formulations, scale)
        for training_set, scale in (("original", 0.4), ("augmented", 2.5))
    }


def by_hand(own: pd.DataFrame, names: list[str]) -> dict[str, list[float]]:
    """Errors over the seeds for each formulation and, last, for two means of each seed."""
    errors: dict[str, list[float]] = {}
    for name in names:
        for seed in SEEDS:
            of_run = own[(own["held_out"] == name) & (own["seed"] == seed)]["relative_error"]
            errors.setdefault(name, []).append(statistics.fmean(of_run))
    runs = list(zip(*errors.values(), strict=True))
    errors["mean"] = [statistics.fmean(run) for run in runs]
    errors["mean without the worst"] = [statistics.fmean(sorted(run)[:-1]) for run in runs]
    return errors


def compared(formulations: pd.DataFrame) -> pd.DataFrame:
    return table_2(both(formulations), formulations.index, table2_for(formulations))


@pytest.mark.parametrize("names", [list("ABCDEFGHI"), list("DBIACEFGH")])
def test_comparison_has_ours_theirs_and_the_difference(names):
    formulations = table1().loc[names]
    table = compared(formulations)
    assert list(table.index) == [*names, *MEASURES]
    for training_set, own in both(formulations).items():
        theirs = {**table2()[training_set][names]}
        ordered = sorted(theirs.values())
        theirs["mean"] = statistics.fmean(ordered)
        theirs["mean without the worst"] = statistics.fmean(ordered[:-1])
        for name, errors in by_hand(own, names).items():
            row = table.loc[name, training_set]
            ours = [row[statistic] for statistic in STATISTICS]
            assert ours == pytest.approx([statistics.median(errors), min(errors), max(errors)])
            assert row["published"] == pytest.approx(theirs[name])
            assert row["difference"] == pytest.approx(ours[0] - theirs[name])


def test_other_formulations_stand_beside_no_published_errors():
    other = table1().rename(index={"A": "Z"})
    table = compared(other)
    assert list(table.index) == [*other.index, *MEASURES]
    assert set(table.columns.unique(1)) == set(STATISTICS)


def test_comparison_is_kept_under_headings_of_one_line(tmp_path):
    table = compared(table1())
    save_table(table, "table_2", Parameters(results=str(tmp_path)))
    kept = pd.read_csv(tmp_path / "table_2.csv", index_col="formulation")
    columns = [*STATISTICS, "published", "difference"]
    assert list(kept) == [
        f"{name} {each}" for name in ("original", "augmented") for each in columns
    ]
    assert np.array_equal(kept.to_numpy(), table.to_numpy(), equal_nan=True)


def test_comparison_is_shown_in_percent_with_three_digits():
    table = compared(table1())
    shown = as_shown(show_comparison(table, "errors"))
    columns = ["published", "median", "range", "difference"]
    assert list(shown["original"].columns) == list(shown["augmented"].columns) == columns
    assert list(shown.index) == [*"ABCDEFGHI", *MEASURES]
    original = shown["original"]["published"]
    assert (original["A"], original["D"], original["F"]) == ("59.9", "0.220", "0.00378")
    assert (original["I"], original["mean"]) == ("267", "44.6")
    for name in table.index[:-1]:  # there is no logarithm without predictions
        row, exact = shown.loc[name, "augmented"], 100 * table.loc[name, "augmented"]
        low, high = (float(value) for value in row["range"].split("–"))
        assert low == pytest.approx(exact["least"], rel=5.1e-3)
        assert high == pytest.approx(exact["greatest"], rel=5.1e-3)
        assert row["difference"][0] in "+−"
        difference = float(row["difference"].replace("−", "-"))
        assert difference == pytest.approx(exact["difference"], rel=5.1e-3)
    assert not any("e" in text for text in shown.to_numpy().ravel())


def test_comparison_of_other_formulations_is_shown_without_published_columns():
    other = table1().rename(index={"A": "Z"})
    shown = show_comparison(compared(other), "errors")
    assert list(shown.data["original"].columns) == ["median", "range"]
    assert shown.caption.startswith("In the form of Table 2")


def test_logarithms_are_shown_as_they_are():
    """Half of the true value everywhere: 50 %, and a logarithm of 0.693 that is no percentage."""
    own = table1()[["k_m"]].rename_axis("held_out").reset_index().assign(seed=0)
    own = own.assign(true_km=own["k_m"], predicted_km=own["k_m"] / 2, relative_error=0.5)
    table = table_2({"original": own}, table1().index, table2())
    shown = as_shown(show_comparison(table, "errors"))["original"]
    assert shown.loc["mean", "median"] == "50.0"
    assert shown.loc["mean |ln|"].to_dict() == {
        "published": "—",
        "median": "0.693",
        "difference": "—",
    }


def test_of_one_run_no_range_is_shown():
    table = compared(table1())
    single = table.copy()
    for name in ("original", "augmented"):
        single[name, "greatest"] = table[name, "least"]
    assert "range" in show_comparison(table, "errors").data["original"].columns
    assert "range" not in show_comparison(single, "errors").data["original"].columns


def training(name: str, seed: int, error: float) -> pd.DataFrame:
    """The rows of five micrographs that a training ends with, all with one error."""
    true = np.linspace(1e-3, 2e-3, 5)
    run = {"training_set": "original", "held_out": name, "seed": seed, "role": "train", "epoch": 7}
    km = {"true_km": true, "predicted_km": true * (1 + error), "relative_error": error}
    return pd.DataFrame({**km, **run})


def test_a_training_that_is_not_finished_is_named_by_what_it_holds_out():
    """Six trainings: four end at 1 %, one at 20 %, and one answers the same to everything."""
    runs = [("A", 0, 0.01), ("B", 0, 0.2), ("C", 0, 0.01), ("A", 1, 0.01), ("B", 1, 0.01)]
    constant = training("C", 1, 0.3).assign(predicted_km=1.5e-3)
    results = pd.concat([*(training(*run) for run in runs), constant])
    shown = as_shown(show_trainings(results, Parameters(training_criterion=0.05, batch_size=2)))
    assert shown.loc["original"].to_list() == ["21", "1.00", "2 of 6", "30.0", "B, C", "1 of 6"]


def test_ways_to_train_are_shown_with_what_they_fit_and_what_they_err():
    test = pd.DataFrame({"true_km": [1e-3], "predicted_km": 2e-3, "relative_error": 1.0})
    parts = [
        pd.concat([training("A", seed, 0.04), test.assign(**run)])
        for seed in (0, 1)
        for run in [{"training_set": "original", "held_out": "A", "seed": seed, "role": "test"}]
    ]
    results = pd.concat(parts).fillna({"epoch": 7})
    shown = as_shown(show_measures({"as it is": results}, "One way", Parameters(batch_size=16)))
    assert shown.loc["as it is"].to_list() == ["7", "4.00", "0 of 2", "100", "100", "0.693"]


def test_remedies_are_shown_by_width_with_their_silent_units():
    row = {"width": 128, "remedy": "centred", "steps": [300.0, 500.0], "silent": [1, 2]}
    trainings = pd.DataFrame({**row, "training_error": [0.04, 0.08]})
    shown = as_shown(show_remedies(trainings, Parameters()))
    assert shown.loc["128 px, centred"].to_list() == ["400", "6.00", "1 of 2", "1.5 of 10"]


# ------------------------------------------------------------------------------------------ files


def glued(how, value):
    """What a notebook's cell would keep of a value that is glued."""
    shell = InteractiveShell.instance()
    try:
        with capture_output() as captured:
            how(error=value)
    finally:
        shell.clear_instance()
    return [(output.data, output.metadata) for output in captured.outputs]


@pytest.mark.parametrize(
    "value", [np.float32(0.25), np.float64(1 / 3), np.int64(7), 12, 1e-9, math.nan, "0.5 % of 'A'"]
)
def test_glue_keeps_what_the_one_of_myst_keeps(value):
    def glue_of_myst(error):
        number = error.item() if isinstance(error, np.generic) else error
        myst_nb.glue("error", number, display=False)

    assert glued(glue, value) == glued(glue_of_myst, value) != []


def test_who_explores_sees_what_is_glued(monkeypatch):
    """JupyterLab shows the text with the name only."""
    monkeypatch.setattr("fesemlib.pages.report.in_live_notebook", lambda: True)
    ((data, _),) = glued(glue, 0.25)
    assert data["text/plain"] == "error: 0.25"


def test_symbols_are_typeset_wherever_a_page_shows_plain_text():
    banner = Banner("On k_m", "R_p and k_m, but not k_mean or walk_m.", "note")
    assert "<p>Rₚ and kₘ, but not k_mean or walk_m.</p>" in banner._repr_html_()
    table = show_table(pd.DataFrame({"k_m (m²/s)": [1.0]}, ["k_m"]), "Of k_m").to_html()
    assert "k_m" not in table
    assert table.count("kₘ") == 3


def test_texts_in_tables_are_text_as_they_stand():
    """In cells, in the labels of rows and columns, and in the caption; a hyphen stays one."""
    name = "<script>alert(1)</script> & $x$ PVP-K30"
    table = pd.DataFrame({name: [name, name]}, index=[name, "T<Tg"])
    for formats in ({}, {name: "{}"}):
        html = show_table(table, name, formats).to_html()
        shown = BeautifulSoup(html, "html.parser")
        assert [cell.get_text() for cell in shown.select("td")] == [name, name]
        assert [cell.get_text() for cell in shown.select("tbody th")] == [name, "T<Tg"]
        assert shown.select("thead th")[-1].get_text() == name
        assert shown.caption.get_text() == name
        assert shown.script is None
        assert "mathjax_ignore" in shown.table["class"]


@pytest.mark.parametrize("name", ["plain", "a`b", "``", "`<script>alert(1)</script>`", "a|b"])
def test_parameters_of_a_page_are_code_whatever_they_hold(name):
    """Read as CommonMark with tables, by another reader than the book's."""
    told = dict.fromkeys(("commit", "data", "device", "date"), "") | {"versions": {}, "seconds": 1}
    note = _markdown("provenance", stamp={**told, "parameters": {"name": name}})
    rows = note[note.index("| parameter") :].removesuffix("```")
    html = MarkdownIt("commonmark").enable("table").render(rows)
    shown = BeautifulSoup(html, "html.parser")
    assert yaml.safe_load(shown.select("td code")[1].get_text()) == name
    assert shown.script is None


def test_every_table_has_its_words_and_no_words_are_left():
    code = "".join(path.read_text("utf-8") for path in Path(words.__file__).parent.glob("*.py"))
    assert set(re.findall(r'shown\(\s*"(\w+)"', code)) == set(words.WORDS)


def test_table_looks_the_same_whenever_it_is_made():
    first, again, other = (
        show_table(pd.DataFrame({"x": [1]}), caption).to_html() for caption in ("a", "a", "b")
    )
    assert first == again != other


def test_results_are_kept_where_asked_or_in_the_build_folder(own_build, tmp_path):
    assert results_folder(Parameters()) == own_build / "explore" / "results"
    asked = tmp_path / "deep" / "results"
    assert results_folder(Parameters(results=str(asked))) == asked
    assert asked.is_dir()


def test_results_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError, match=re.escape(str(tmp_path / "file" / "results"))):
        results_folder(Parameters(results=str(tmp_path / "file" / "results")))


@pytest.mark.parametrize("named", [True, False])
def test_table_is_kept_with_every_digit_and_handed_back(tmp_path, named):
    table = pd.DataFrame({"k_m": np.random.default_rng(0).random(5)}, list("ABCDE"))
    table = table.rename_axis("formulation") if named else table.reset_index(drop=True)
    parameters = Parameters(results=str(tmp_path))
    assert save_table(table, "table_1", parameters) is table
    read = pd.read_csv(tmp_path / "table_1.csv", index_col=0 if named else None)
    pd.testing.assert_frame_equal(read, table, check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == ["table_1.csv"]


def test_figure_is_kept_as_svg_and_handed_back(tmp_path):
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    try:
        assert save_figure(figure, "figure_2", Parameters(results=str(tmp_path))) is figure
    finally:
        plt.close(figure)
    assert [path.name for path in tmp_path.iterdir()] == ["figure_2.svg"]
    content = (tmp_path / "figure_2.svg").read_text()
    assert "<svg" in content
    assert content.rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(3.3e-8, 2, "3.3·10⁻⁸"), (9.96e-10, 2, "1.0·10⁻⁹"), (1.2e-7, 1, "1·10⁻⁷"),
     (0.0, 1, "0"), (0.0123, 2, "0.012"), (1.0, 1, "1")],
)  # fmt: skip
def test_power_of_ten(value, digits, shown):
    assert power_of_ten(value, digits) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0.126, "12.6"), (2.6704, "267"), (3.78e-5, "0.00378"), (0.0, "0.00"),
     (-0.05, "−5.00"), (math.inf, "—"), (math.nan, "—")],
)  # fmt: skip
def test_percentages_have_three_digits_and_no_power_of_ten(fraction, shown):
    assert percent(fraction) == shown
    assert percent(fraction, sign=True).lstrip("+") == shown


def test_a_measure_is_shown_with_its_range_over_the_runs():
    found = pd.DataFrame(
        {"median": [0.3, 0.3], "least": [0.25, 0.3], "greatest": [0.4, 0.3]}, ["mean |ln|", "mean"]
    )
    assert measure_ranges(found) == {"mean |ln|": "0.300 (0.250–0.400)", "mean": "30.0"}
