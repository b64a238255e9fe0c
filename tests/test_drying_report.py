"""What the page says of a drying run, and its figure."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fesemlib.drying.coefficients import (
    DryingLabels,
    label_run,
    recorded_drying,
    spread_of_offsets,
    uncertainty_budget,
    vial_of,
    worth_of_corrections,
)
from fesemlib.drying.records import read_drying_run
from fesemlib.drying.vial import PAPER_CYCLE
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


def test_banner_says_whether_the_run_is_computed(parameters, tmp_path):
    run = read_drying_run(drying_report.drying_record(parameters))
    computed = drying_report.run_banner(run, parameters)
    assert computed.kind == "warning"
    assert "computed, not measured" in computed.text
    assert "formulation C" in computed.text
    own = parameters.model_copy(update={"drying_run": str(tmp_path / "results" / "drying_run.csv")})
    assert drying_report.drying_record(own) == tmp_path / "results" / "drying_run.csv"
    banner = drying_report.run_banner(run, own)
    assert banner.kind == "note"
    assert "from drying_run.csv: 3 thermocouple(s)" in banner.text
    assert str(tmp_path) not in banner.text


def test_remarks_are_told_or_that_there_are_none(parameters):
    run = read_drying_run(drying_report.drying_record(parameters))
    assert drying_report.remarks_sentence(run) == "Nothing in the record had to be set right."
    repaired = SimpleNamespace(remarks=("First.", "Second."))
    assert drying_report.remarks_sentence(repaired) == "First. Second."


def test_table_of_thermocouples_has_a_remark_only_where_there_is_one(tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3])
    table = drying_report.show_thermocouples(labels).data
    assert list(table.index) == ["T_product_1", "T_product_2", "mean"]
    assert list(table["kₘ (10⁻³ m² s⁻¹)"]) == ["1.00", "1.10", "1.05"]
    assert "remark" not in table
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3], **{"T_product_2 (°C)": 22.0})
    table = drying_report.show_thermocouples(labels).data
    assert list(table["kₘ (10⁻³ m² s⁻¹)"]) == ["1.00", "—", "1.00"]
    assert "never reads ice" in table["remark"]["T_product_2"]


def test_run_is_told_as_a_row_of_table_1(tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3])
    assert drying_report.label_sentence(labels) == (
        "As a row of Table 1: k_m = 1.05·10⁻³ m² s⁻¹, with a standard deviation of 6.7 % over 2 "
        "thermocouples."
    )
    single = drying_report.label_sentence(labels_for(tmp_path / "run.csv", [1e-3]))
    assert single.endswith("of a single one there is no spread.")


def test_what_speaks_against_a_run_stands_beside_its_row(tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3, 2e-3])
    assert drying_report.label_sentence(labels).endswith(
        "over 3 thermocouples. T_product_3 differs from the others by a factor 1.9: check its unit "
        "or leave it out."
    )
    table = drying_report.show_thermocouples(labels).data
    assert table["remark"]["T_product_3"].startswith("differs from the others by a factor 1.9")
    assert not table["remark"]["T_product_1"]


def test_banner_counts_the_thermocouples_that_have_readings(parameters, tmp_path):
    labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3], **{"T_product_2 (°C)": "OL"})
    own = parameters.model_copy(update={"drying_run": str(tmp_path / "run.csv")})
    banner = drying_report.run_banner(read_drying_run(tmp_path / "run.csv"), own)
    assert "run.csv: 1 thermocouple(s)" in banner.text


def test_corrections_are_told_with_their_size(parameters):
    run = read_drying_run(drying_report.drying_record(parameters))
    corrections = worth_of_corrections(run, vial_of(parameters))
    table = drying_report.show_corrections(corrections).data
    assert table["difference (%)"].iloc[0] == ""
    assert table["difference (%)"].iloc[2].startswith("−3")
    sentence = drying_report.corrections_answer(corrections)
    for value in corrections["difference"].iloc[1:]:
        assert f"{abs(100 * value):.1f} %" in sentence
    assert "leaving both out lowers it" in sentence


def test_uncertainty_stands_beside_the_spread(parameters, tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3])
    uncertainty = drying_report.uncertainty_of(parameters)
    assert (uncertainty.temperature, uncertainty.heat_transfer) == (0.5, 0.05)
    budget = uncertainty_budget(labels, vial_of(parameters), uncertainty, draws=100)
    table = drying_report.show_uncertainty(budget, parameters, labels).data
    assert list(table["assumed"]) == ["0.5 K each", "5 %", "2 %", "", ""]
    assert table["of kₘ (%)"].iloc[-1] == "6.7"
    assert (
        "of one thermocouple"
        in drying_report.show_uncertainty(budget, parameters, labels).to_html()
    )
    single = labels_for(tmp_path / "run.csv", [1e-3])
    assert len(drying_report.show_uncertainty(budget, parameters, single).data) == 4


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (
            [2.3, 9.3],
            "run from 2.3 to 9.3 %, beside the uncertainty found here for one thermocouple, 16 %",
        ),
        ([5.0, np.nan], "are 5 %, beside"),
        (
            [np.nan, np.nan],
            "states no standard deviations to compare with the uncertainty found here for one "
            "thermocouple, 16 %",
        ),
    ],
)
def test_spread_of_the_data_set_is_told_as_far_as_it_is_known(stated, words):
    data = SimpleNamespace(formulations=pd.DataFrame({"std_percent": stated}))
    budget = pd.Series({"all together": 15.9})
    assert words in drying_report.spread_sentence(data, budget)


def test_spread_that_offsets_make_stands_beside_those_found(parameters, tmp_path):
    labels = labels_for(tmp_path / "run.csv", [1e-3, 1.1e-3])
    uncertainty = drying_report.uncertainty_of(parameters)
    spread = spread_of_offsets(labels, vial_of(parameters), uncertainty, draws=100)
    assert drying_report.offsets_sentence(spread, labels, parameters) == (
        f"Independent offsets of 0.5 K alone would make a spread of {spread:.2g} % over the "
        "thermocouples; this run has 6.7 %, and the paper's Table 1 has 2.3 to 9.3 %. The paper's "
        "thermocouples differed less than that throughout: their offsets were smaller, or the same "
        "for all, as after calibration in one bath."
    )
    single = labels_for(tmp_path / "run.csv", [1e-3])
    assert "this run has a single one" in drying_report.offsets_sentence(5.0, single, parameters)


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
