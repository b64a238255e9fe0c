"""What the page says of a drying run, and its figure."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fesemlib.drying.calibration import vial_of
from fesemlib.drying.coefficients import (
    DryingLabels,
    label_run,
    worth_of_corrections,
)
from fesemlib.drying.records import read_drying_run
from fesemlib.drying.uncertainty import uncertainty_budget
from fesemlib.drying.vial import PAPER_CYCLE, recorded_drying
from fesemlib.formulations import table1
from fesemlib.pages.figures.drying import drying_run_figure
from fesemlib.pages.tables import drying as drying_report
from fesemlib.params import Parameters


@pytest.fixture
def parameters(tmp_path) -> Parameters:
    return Parameters(results=str(tmp_path / "results"))


def labels_for(path, coefficients, **columns) -> DryingLabels:
    record = recorded_drying(coefficients, vial_of(Parameters()), PAPER_CYCLE, time_step=300)
    record.assign(**columns).to_csv(path, index=False)
    return label_run(read_drying_run(path), vial_of(Parameters()))


@pytest.mark.parametrize(("example", "formulation"), [("A", "A"), ("I", "I"), ("sucrose", "C")])
def test_computed_run_makes_its_row_of_table_1(parameters, example, formulation):
    parameters = parameters.model_copy(update={"example_formulation": example})
    path = drying_report.drying_record(parameters)
    assert path.name == "drying_run.csv"
    labels = label_run(read_drying_run(path), vial_of(parameters))
    row = table1().loc[formulation]
    assert labels.k_m == pytest.approx(row["k_m"], rel=5e-3)
    assert labels.std_percent == pytest.approx(row["std_percent"], abs=0.5)
    assert drying_report.computed_formulation(parameters) == formulation


def test_computed_run_is_the_same_whenever_it_is_made(parameters):
    first = drying_report.drying_record(parameters).read_bytes()
    assert drying_report.drying_record(parameters).read_bytes() == first


def test_record_of_ones_own_is_the_one_that_is_named(parameters, tmp_path):
    own = parameters.model_copy(update={"drying_run": str(tmp_path / "run.csv")})
    assert drying_report.drying_record(own) == tmp_path / "run.csv"


def written(styler) -> pd.DataFrame:
    """The table as a page shows it."""
    text = StringIO(styler.to_string(delimiter="\t"))
    return pd.read_csv(text, sep="\t", index_col=0, dtype=str, keep_default_na=False)


def test_table_of_thermocouples_has_a_remark_only_where_there_is_one(tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3])
    table = written(drying_report.show_thermocouples(labels))
    assert list(table.index) == ["T_product_1", "T_product_2", "mean"]
    assert list(table["kₘ (10⁻³ m² s⁻¹)"]) == ["1.00", "1.10", "1.05"]
    assert table.loc["mean"].to_list() == ["1.05", "6.7", "—", "—"]
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3], **{"T_product_2 (°C)": 22.0})
    table = written(drying_report.show_thermocouples(labels))
    assert list(table["kₘ (10⁻³ m² s⁻¹)"]) == ["1.00", "—", "1.00"]
    assert "never reads ice" in table["remark"]["T_product_2"]
    assert table["spread (%)"]["mean"] == "—"  # of a single thermocouple


def test_contradiction_stands_beside_the_thermocouple(tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3, 2e-3])
    table = drying_report.show_thermocouples(labels).data
    assert table["remark"]["T_product_3"].startswith("differs from the others by a factor 1.9")
    assert not table["remark"]["T_product_1"]


def test_corrections_are_shown_with_their_size(parameters):
    run = read_drying_run(drying_report.drying_record(parameters))
    shown = drying_report.show_corrections(worth_of_corrections(run, vial_of(parameters)))
    differences = written(shown)["difference (%)"]
    assert differences["nothing"] == "+0.0"
    assert differences["area ratio"].startswith("−3")
    assert differences["both"].startswith("−3")


def test_uncertainty_stands_beside_the_spread(parameters, tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3])
    budget = uncertainty_budget(labels, parameters, vial_of(parameters), None)
    table = written(drying_report.show_uncertainty(budget, labels))
    assumed = ["0.5 K each", "5 %", "2 %", "3 %", "0 to 1.6 %", "2 %", "—", "—"]
    assert list(table["assumed"]) == assumed
    assert table["of kₘ (%)"].iloc[-1] == "6.7"
    assert table["of kₘ (%)"]["all together"] == f"{budget['percent']['all together']:.2g}"


def test_figure_has_no_front_where_none_was_worked_out(tmp_path):
    labels_for(tmp_path / "run.csv", [1e-3])
    run = read_drying_run(tmp_path / "run.csv")
    figure = drying_run_figure(label_run(run, vial_of(Parameters()), correct_front=False))
    assert [line.get_label() for line in figure.axes[0].lines] == ["shelf", "T_product_1"]


@pytest.mark.parametrize("number", [1, 3, 6])
def test_figure_shows_every_thermocouple_and_nothing_is_cut(tmp_path, number):
    labels = labels_for(tmp_path / "run.csv", list(1e-3 * np.linspace(0.9, 1.2, number)))
    figure = drying_run_figure(labels)
    FigureCanvasAgg(figure).draw()
    temperatures, coefficients = figure.axes
    assert len(temperatures.lines) == number + 2
    assert len(coefficients.lines) == 2 * number + 1
    low, high = coefficients.get_ylim()
    steady = labels.instants[labels.instants["steady"]]
    assert low < 1e3 * steady["k_m"].min() < 1e3 * steady["k_m"].max() < high
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(entries) == (number + 2 if number <= 4 else 3)
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
