"""Logs as dryers and loggers write them, made of one computed run: each must give its k_m."""

from __future__ import annotations

import os
import zipfile
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fesemlib.drying.coefficients import label_run
from fesemlib.drying.records import DryingRunError, read_drying_run
from fesemlib.drying.vial import PAPER_CYCLE, Vial, recorded_drying

VIAL = Vial(14.2, 7e-3)
RECORD = recorded_drying([1e-3, 1.2e-3], VIAL, PAPER_CYCLE, time_step=300).round(2)
RECORD.columns = ["hours", "shelf", "one", "two", "pa"]
N = len(RECORD)
START = datetime(2024, 2, 1, 20, 0, 17)
WHEN = [START + timedelta(minutes=5 * n) for n in range(N)]
MTORR = (RECORD["pa"] * 760 / 101.325).round(3)
FREEZING = 24  # instants before the run, with the gauge of the chamber at zero
PLAIN = 1.1e-3  # m² s⁻¹, mean of the two


def k_m(path: Path) -> float:
    return label_run(read_drying_run(path), VIAL).k_m


def lines(
    columns: dict[str, object], separator: str = ",", above: str = "", below: str = ""
) -> str:
    table = pd.DataFrame({name: np.asarray(values).astype(str) for name, values in columns.items()})
    heading = separator.join(table.columns)
    rows = "\n".join(separator.join(row) for row in table.itertuples(index=False))
    return f"{above}{heading}\n{below}{rows}\n"


def comma(values: object) -> list[str]:
    return [f"{value:.2f}".replace(".", ",") for value in np.asarray(values)]


def times(form: str) -> list[str]:
    return [f"{each:{form}}" for each in WHEN]


def with_freezing() -> pd.DataFrame:
    """The run after two hours in which the shelf cools and the chamber is not evacuated."""
    cold = np.linspace(20, -50, FREEZING)
    before = pd.DataFrame({"hours": (np.arange(FREEZING) - FREEZING) / 12, "shelf": cold})
    before = before.assign(one=cold, two=cold, pa=0.0)
    return pd.concat([before, RECORD], ignore_index=True)


def millrock() -> str:
    table = with_freezing()
    frozen = np.arange(len(table)) < FREEZING
    clock = [f"{START + timedelta(minutes=5 * n):%H:%M:%S}" for n in range(len(table))]
    mean = (table["one"] + table["two"]) / 2
    pressure = (table["pa"] * 760 / 101.325).round(1)
    columns = {"CycleTime": clock, "Cycle": 9, "Phase": np.where(frozen, 1, 4), "VacSetPT": 75}
    columns |= {
        "VacPirani": 120,
        "VacCPM": pressure,
        "ShelfSetPT": -10,
        "ShelfInlet": table["shelf"],
    }
    columns |= {"Condenser": -80, "TPAvg": mean, "TP1": table["one"], "TP2": table["two"]}
    columns |= {"TP3": np.full(len(table), 999.9)}
    return lines(columns, above='Run started: 6/4/2024 10:38:37 AM\n\nProduct Name: Man5, "A"\n\n')


def historian() -> str:
    tags = {"SHELF_SP": -10, "SHELF_INLET": RECORD["shelf"], "SHELF_OUTLET": RECORD["shelf"] - 3}
    tags |= {"TC_1": RECORD["one"], "TC_2": RECORD["two"], "TC_AVG": 0, "CHAMBER_CM": MTORR}
    columns = {"Timestamp": times("%m/%d/%Y %H:%M:%S")}
    columns |= {f"SPLYO.{tag}.F_CV": values for tag, values in tags.items()}
    return lines(columns, ", ", "#\n## Historian, Data Export\n## Interval: 1\n")


def coolsafe() -> str:
    """Clocks without seconds and two readings in some minutes, separators after the block."""
    clock = [f"{when:%H:%M}-{when.day}/{when.month}" for when in WHEN]
    columns = {"LOG nr": range(N), "Time": clock, "Shelf1": comma(RECORD["shelf"])}
    columns |= {"Shelf2": "83,0", "Ice condensor": "-98,6", "Product": comma(RECORD["one"])}
    columns |= {"Product 2": comma(RECORD["two"]), "Actual pressure": comma(10 * RECORD["pa"])}
    text = lines(columns, ";", "Labogene Datalogger;;;Date: 1/2-2024\nNo data...\n;;Graf 1\n")
    return text.replace("Actual pressure", "Actual pressure;Time").replace("\n", ";0\n")


def keyence() -> str:
    clock = times("%Y/%m/%d %H:%M:%S")
    columns = {"チャンネル名": clock, "": "020", "品温1": RECORD["one"], "品温2": RECORD["two"]}
    columns |= {"棚-OUT": RECORD["shelf"], "乾燥缶真空度": RECORD["pa"]}
    below = "単位,,℃,℃,℃,Pa\n\n#EndHeader,ms,1)TH_CH1,1)TH_CH2,1)TH_CH3,1)TH_CH4\n"
    text = lines(columns, above="#BeginHeader,6\n機器名,\n", below=below).splitlines()
    text[-3:] = [line.replace(f",{RECORD['one'].iloc[-1]},", ",BURNOUT,") for line in text[-3:]]
    return "\n".join(text)


def campbell() -> str:
    columns = {'"TIMESTAMP"': times('"%Y-%m-%d %H:%M:%S"'), '"RECORD"': range(N)}
    columns |= {'"Shelf_Avg"': RECORD["shelf"], '"TC_Avg(1)"': RECORD["one"]}
    columns |= {'"TC_Avg(2)"': RECORD["two"], '"TC_Max(1)"': 0, '"Pch_Avg"': MTORR}
    below = (
        '"TS","RN","Deg C","Deg C","Deg C","Deg C","mTorr"\n"","","Avg","Avg","Avg","Max","Avg"\n'
    )
    return lines(
        columns, above='"TOA5","dryer","CR1000","1","CR1000.Std.31","a.CR1"\n', below=below
    )


def american() -> str:
    fahrenheit = (RECORD[["shelf", "one", "two"]] * 1.8 + 32).round(3)
    columns = {"Time": times("%m/%d/%Y %I:%M:%S %p"), "VACUUM (micron)": 2000, "CAPMAN (mT)": MTORR}
    columns |= {"Shelf temp (ºF)": fahrenheit["shelf"], "TC1, °F": fahrenheit["one"]}
    return lines({**columns, "TC2 [deg F]": fahrenheit["two"]}, "\t")


def excel() -> str:
    columns = {"time": comma(RECORD["hours"] * 60), "T_shelf": comma(RECORD["shelf"])}
    columns |= {"TC1": comma(RECORD["one"]), "TC2": comma(RECORD["two"])}
    columns |= {"pressure": comma(RECORD["pa"])}
    return lines(columns, ";", above="sep=;\n", below="min;°C;°C;°C;Pa\n")


def thousands() -> str:
    columns = {"time (s)": [f"{3600 * hours:,.0f}" for hours in RECORD["hours"]]}
    columns |= {"T_shelf (°C)": RECORD["shelf"], "TC1 (°C)": RECORD["one"], "TC2": RECORD["two"]}
    return lines({**columns, "P (Pa)": RECORD["pa"]}, "\t")


def american_dates_of_one_month() -> str:
    """Day and month could be exchanged but for the step at midnight."""
    columns = {"Date": times("%d/%m/%Y"), "Uhrzeit": times("%H:%M:%S"), "T1": RECORD["one"]}
    columns |= {"Tshelf_C": RECORD["shelf"], "T2 / °C": RECORD["two"], "Pch_mTorr": MTORR}
    return lines(columns)


FORMS = {
    "Millrock": (millrock, "utf-8"),
    "historian": (historian, "utf-8"),
    "CoolSafe": (coolsafe, "cp1252"),
    "Keyence": (keyence, "cp932"),
    "Campbell": (campbell, "utf-8"),
    "American": (american, "utf-8-sig"),
    "American in cp1252": (american, "cp1252"),
    "Excel": (excel, "utf-16"),
    "Excel without mark": (excel, "utf-16-le"),
    "thousands": (thousands, "utf-8"),
    "date and time": (american_dates_of_one_month, "utf-8"),
}


@pytest.mark.parametrize(("form", "encoding"), FORMS.values(), ids=FORMS)
def test_each_form_gives_the_k_m_of_the_run(tmp_path, form, encoding):
    path = tmp_path / "run.log"
    path.write_bytes(form().encode(encoding))
    run = read_drying_run(path)
    labels = label_run(run, VIAL)
    assert len(labels.used) == 2, run.remarks
    assert labels.k_m == pytest.approx(PLAIN, rel=5e-3)
    assert labels.doubts == ()


def test_log_of_millrock_says_what_was_assumed_and_left_out(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text(millrock())
    run = read_drying_run(path)
    told = " ".join(run.remarks)
    assert "Not used: 'Cycle', 'VacSetPT', 'ShelfSetPT', 'Condenser', 'TPAvg'." in told
    assert "'ShelfInlet', 'TP1', 'TP2', 'TP3': no unit, taken as °C." in told
    assert "'VacCPM', 'VacPirani': no unit, taken as mTorr." in told
    assert "VacCPM: '0.0' taken for no reading in 24 lines." in told
    assert "TP3: no reading at all." in told
    assert run.time[[0, -1]] == pytest.approx([0, 300 * (N + FREEZING - 1)])
    assert run.pirani_pressure == pytest.approx(120 * 101.325 / 760)
    assert np.isnan(run.chamber_pressure).sum() == FREEZING


def plain(**columns: object) -> pd.DataFrame:
    names = ["time (h)", "T_shelf (°C)", "T_product_1 (°C)", "T_product_2 (°C)", "pressure (Pa)"]
    return RECORD.set_axis(names, axis=1).assign(**columns)


@pytest.mark.parametrize("clock", ["time", "datetime", "timedelta"])
def test_xlsx_is_read_from_the_sheet_that_has_the_columns(tmp_path, clock):
    book = openpyxl.Workbook()
    book.active.append(["Batch", 7])
    sheet = book.create_sheet("log")
    sheet.append(["exported by", "somebody"])
    sheet.append(["Time", "Shelf", "TC1", "TC2", "P (mbar)"])
    for when, (_, shelf, one, two, pa) in zip(WHEN, RECORD.itertuples(index=False), strict=True):
        written = {"time": when.time(), "datetime": when, "timedelta": when - datetime(2024, 2, 1)}
        sheet.append([written[clock], shelf, one, two, pa / 100])
    book.save(tmp_path / "run.csv")  # the first bytes decide, not the name
    assert k_m(tmp_path / "run.csv") == pytest.approx(PLAIN, rel=5e-3)


def test_xlsx_that_unpacks_to_too_much_is_refused_before(tmp_path):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(300 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DryingRunError, match="unpacked it takes 300 MiB"):
        read_drying_run(path)
    path.write_text("x," * 300_000 + "\n1")
    with pytest.raises(DryingRunError, match="no column for the time"):
        read_drying_run(path)
    path.write_bytes(b"PK\3\4" + bytes(99))
    with pytest.raises(DryingRunError, match="as an XLSX file"):
        read_drying_run(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(99))
    with pytest.raises(DryingRunError, match="old kind; save it as XLSX"):
        read_drying_run(path)


def xlsx() -> bytes:
    book = openpyxl.Workbook()
    for row in [list(plain()), *plain().to_numpy().tolist()]:
        book.active.append(row)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


SEEDS = [xlsx(), *(form().encode(encoding) for form, encoding in FORMS.values())]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=16))))
@settings(max_examples=int(os.environ.get("FESEM_FUZZ_FILES", "200")) // 4, deadline=None)
def test_damaged_log_is_read_or_refused(tmp_path_factory, content, pieces):
    damaged = bytearray(content)
    for place, piece in pieces:
        start = int(place * len(damaged))
        damaged[start : start + len(piece)] = piece
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(damaged)
    try:
        run = read_drying_run(path)
    except DryingRunError as error:
        text = str(error)
        good = (
            text.startswith(f"{path}: ")
            and text.isprintable()
            and len(text) < 1000 + len(str(path))
        )
        assert good, text
    else:
        assert (np.diff(run.time) > 0).all()


def test_two_files_with_clocks_of_their_own_are_one_record(tmp_path):
    process = {"Zeit": times("%d.%m.%Y %H:%M:%S"), "Stellfläche (°C)": RECORD["shelf"]}
    process |= {"Vakuum (mbar)": RECORD["pa"] / 100, "Vacuum Pirani (mbar)": 0.2}
    (tmp_path / "process.csv").write_text(lines(process))
    late = [f"{when + timedelta(seconds=40):%Y-%m-%dT%H:%M:%S}" for when in WHEN[:-5]]
    product = {"timestamp": late, "TC1": RECORD["one"][:-5], "TC2": RECORD["two"][:-5]}
    (tmp_path / "temperatures.txt").write_text(lines(product, ";"))
    run = read_drying_run(tmp_path)
    assert label_run(run, VIAL).k_m == pytest.approx(PLAIN, rel=0.02)
    assert run.pirani_pressure == pytest.approx(20)
    (tmp_path / "process.csv").write_text(
        lines({"time (h)": RECORD["hours"], "shelf": RECORD["shelf"], "P (Pa)": RECORD["pa"]})
    )
    with pytest.raises(DryingRunError, match="one file tells the time of day and another"):
        read_drying_run(tmp_path)
    next_year = {**process, "Zeit": [each.replace("2024", "2025") for each in process["Zeit"]]}
    (tmp_path / "process.csv").write_text(lines(next_year))
    with pytest.raises(DryingRunError, match="no time in common"):
        read_drying_run(tmp_path)


SPANS = {"nothing else": 0, "falls off": N // 3}


@pytest.mark.parametrize("first", SPANS.values(), ids=SPANS)
@pytest.mark.parametrize("value", [999.9, 999.0, -9999, 3276.7, "BURNOUT", "Over Range", "#N/A"])
def test_channel_without_a_sensor_leaves_the_others(tmp_path, value, first):
    record = plain().astype({"T_product_2 (°C)": object})
    record.iloc[first:, 3] = value
    record.to_csv(tmp_path / "run.csv", index=False)
    run = read_drying_run(tmp_path / "run.csv")
    labels = label_run(run, VIAL)
    assert labels.thermocouples["k_m"]["T_product_1"] == pytest.approx(1e-3, rel=5e-3)
    reason = "there are no readings" if first else "it has no reading at all"
    assert reason in labels.thermocouples["remark"]["T_product_2"]
    assert any("T_product_2" in remark for remark in run.remarks)


def test_gauge_may_be_at_zero_below_it_or_at_its_end_outside_primary_drying(tmp_path):
    table = with_freezing()
    after = (
        table.iloc[-1:]
        .loc[np.repeat(table.index[-1], 30)]
        .assign(
            hours=table["hours"].iloc[-1] + np.arange(1, 31) / 12, pa=-0.8 - np.arange(30) / 100
        )
    )
    table = pd.concat([table, after])
    table.iloc[:4, 4] = 133_000
    table.set_axis(plain().columns, axis=1).to_csv(tmp_path / "run.csv", index=False)
    run = read_drying_run(tmp_path / "run.csv")
    assert label_run(run, VIAL).k_m == pytest.approx(PLAIN, rel=5e-3)
    assert "taken for no reading in 54 lines" in " ".join(run.remarks)


@pytest.mark.parametrize(
    "name",
    [
        "TPAvg",
        "TC_AVG",
        "T_product_avg (°C)",
        "Product setpoint (°C)",
        "ProductSP",
        "TC mean",
        "Product Max",
        "TC.MIN",
        "product target",
        "Produkt Mittelwert",
        "品温平均",
    ],
)
def test_what_is_computed_or_set_is_no_thermocouple(tmp_path, name):
    mean = RECORD[["one", "two"]].mean(axis=1)
    plain(**{name: mean, "ShelfSetPT": -10, "shelf avg": -10, "Vac SP (Pa)": 10}).to_csv(
        tmp_path / "run.csv", index=False
    )
    run = read_drying_run(tmp_path / "run.csv")
    assert list(run.product_temperatures) == ["T_product_1", "T_product_2"]
    assert run.remarks == (f"Not used: '{name}', 'ShelfSetPT', 'shelf avg', 'Vac SP (Pa)'.",)


def test_one_message_names_all_that_is_missing(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("Rezept;Zeit\n1;0\n")
    with pytest.raises(DryingRunError) as caught:
        read_drying_run(path)
    assert str(caught.value) == (
        f"{path}: no column for the shelf, for the pressure, of a product temperature, the file "
        "has 'Rezept, Zeit'; name one of them 'T_shelf (°C)', one 'pressure (Pa)', one "
        "'T_product_1 (°C)'; column 'Zeit' has no unit; write it as in 'Zeit (s)', in s, min or h"
    )
    path.write_bytes("Temps écoulé,été\n1,0\n".encode("cp1252"))
    with pytest.raises(DryingRunError, match="'Temps écoulé, été', read as cp1252; name"):
        read_drying_run(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (excel().replace("min;", ";", 1), "column 'time' has no unit"),
        (
            thousands().replace(".", ""),
            "line 6: time (s) = '1,188' has a decimal comma or a thousa",
        ),
        (american().replace("CAPMAN (mT)", "CAPMAN (psi)"), "unit 'psi' is no unit of pressure"),
        (coolsafe().replace("83,0", "-5,0", 2), "both 'Shelf1' and 'Shelf2' for the shelf"),
        (historian().replace("_CM", "_GAUGE"), "no column for the pressure"),
        (millrock().replace("VacCPM", "Vacuum"), "column 'Vacuum' has no unit; write it as in"),
        (campbell().replace(f"{WHEN[9]:%H:%M:%S}", "later"), "line 14 has no TIMESTAMP; fill it"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, text, words):
    path = tmp_path / "run.csv"
    path.write_text(text)
    with pytest.raises(DryingRunError) as caught:
        read_drying_run(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pressure (Pa)", "Baratron 1 (Pa)"),
        ("pressure (Pa)", "Chamber CM gauge (Pa)"),
        ("pressure (Pa)", "Chamber Press (Pa)"),
        ("pressure (Pa)", "Vakuum Ist (Pa)"),
        ("T_shelf (°C)", "Stellfläche Ist (°C)"),
        ("T_shelf (°C)", "Shelf PV (°C)"),
        ("T_product_1 (°C)", "TC 1 PV (°C)"),
        ("T_product_1 (°C)", "制品1 (°C)"),
    ],
)
def test_names_that_dryers_give(tmp_path, old, new):
    record = recorded_drying([1e-3], VIAL, PAPER_CYCLE).rename(columns={old: new})
    others = {"Pirani (Pa)": 16.0, "Product MW (°C)": -20.0, "Shelf set (°C)": -10.0}
    record.assign(**others).to_csv(tmp_path / "run.csv", index=False)
    run = read_drying_run(tmp_path / "run.csv")
    assert label_run(run, VIAL).k_m == pytest.approx(1e-3, rel=5e-3)
    assert "Product MW" in run.remarks[0]
    assert run.product_temperatures.shape[1] == 1


def test_shelf_that_is_set_gives_way_to_one_that_is_read(tmp_path):
    record = recorded_drying([1e-3], VIAL, PAPER_CYCLE).rename(
        columns={"T_shelf (°C)": "Shelf inlet (°C)"}
    )
    record.assign(**{"Shelf (°C)": -10.0}).to_csv(tmp_path / "run.csv", index=False)
    assert label_run(read_drying_run(tmp_path / "run.csv"), VIAL).k_m == pytest.approx(
        1e-3, rel=5e-3
    )


def test_minus_sign_of_typographers_is_one(tmp_path):
    text = recorded_drying([1e-3], VIAL, PAPER_CYCLE).round(3).to_csv(index=False)
    (tmp_path / "run.csv").write_text(text.replace("-", "\u2212"), encoding="utf-8")
    assert label_run(read_drying_run(tmp_path / "run.csv"), VIAL).k_m == pytest.approx(
        1e-3, rel=5e-3
    )


def test_table_of_which_nothing_is_known_is_split_at_its_own_separator(tmp_path):
    lines = ["tempo;piastra;vuoto;sonda", *("0,1;-10,0;10,0;-30,5" for _ in range(30))]
    (tmp_path / "run.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        DryingRunError, match=r"no column for the time.*tempo, piastra, vuoto, sonda"
    ):
        read_drying_run(tmp_path / "run.csv")


def test_phase_says_where_shelf_and_pressure_count(tmp_path):
    record = recorded_drying([1e-3], VIAL, PAPER_CYCLE)
    gap = record["time (h)"].between(8, 10)
    record.loc[gap, "pressure (Pa)"] = np.nan
    path = tmp_path / "run.csv"
    record.to_csv(path, index=False)
    with pytest.raises(DryingRunError, match="is missing"):
        read_drying_run(path)
    phase = np.where(record["time (h)"] < 8, "primary drying", "secondary drying")
    record.assign(phase=phase).to_csv(path, index=False)
    assert np.isnan(read_drying_run(path).chamber_pressure).sum() == gap.sum()
