"""Tables of the data set and of its grey levels: what a page shows, read from its HTML."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import texture
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset, draw_stand_ins
from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.formulations import table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.pages.tables.data import show_formulations, show_grey_levels, show_reading


def cells(table: Styler) -> list[list[str]]:
    """The rows of a table as a page shows them, without their names."""
    rows = BeautifulSoup(table.to_html(), "html.parser").select("tbody tr")
    return [[cell.text for cell in row.select("td")] for row in rows]


@pytest.fixture
def own() -> Dataset:
    """Table 1 with micrographs of somebody's own."""
    table = table1()
    micrograph = Micrograph(texture(0, (4, 2048)), 2000 / 2048)
    images = pd.DataFrame(
        {
            "formulation": table.index,
            "image": [f"{name}.tif" for name in table.index],
            "k_m": list(table["k_m"]),
        }
    )
    formulations = table[["composition", "k_m", "std_percent"]]
    return Dataset(formulations, images, (micrograph,) * 9, False, "")


def test_table_1_is_shown_as_it_is_printed():
    table = show_formulations(table1())
    assert table.caption.startswith("Table 1 of the paper: ")
    assert "Rₚ of a dried layer of 1 cm at 250 K" in table.caption
    assert cells(table)[-1] == ["10% mannitol", "0.28", "8.7", "86"]


def test_formulations_are_shown_with_dashes_for_what_is_not_known():
    known = table1().loc[["A", "D"], ["composition", "k_m", "std_percent"]]
    unknown = pd.DataFrame({"composition": [np.nan], "k_m": [5e-4], "std_percent": [np.nan]}, ["Z"])
    table = show_formulations(pd.concat([known, unknown]))
    assert table.caption.startswith("In the form of Table 1 of the paper: ")
    assert cells(table) == [
        ["5% dextran", "1.90", "2.3", "12.7"],
        ["1% dextran + 4% mannitol", "1.00", "4.4", "24.0"],
        ["—", "0.500", "—", "48.1"],
    ]


def test_resistance_beside_k_m_is_driving_pressure_over_flux():
    k_m = np.array([1e-6, 2.8e-4, 1.0e-3, 1e-1])  # the least and the greatest of a manifest, too
    table = pd.DataFrame({"composition": "", "k_m": k_m, "std_percent": np.nan})
    shown = [row[-1] for row in cells(show_formulations(table))]
    driving = 40.0  # Pa, whatever it is
    flux = k_m * driving * 0.018015 / (8.3145 * 250 * 0.01)  # Eq. (2), kg s⁻¹ m⁻²
    torr, g_per_h_and_cm2 = driving / 133.322, flux * 1e3 * 3600 / 1e4
    assert np.array(shown, dtype=float) == pytest.approx(torr / g_per_h_and_cm2, rel=5e-3)
    assert shown == ["24000", "85.9", "24.0", "0.240"]


def test_what_was_read_is_told_once_for_micrographs_that_share_it(own):
    odd = Micrograph(texture(0, (3, 2048)), None, 3, None, cut_rows=1)
    shown = cells(show_reading(replace(own, micrographs=(*own.micrographs[:8], odd))))
    same = ", ".join(f"{name}.tif" for name in "ABCDEFGH")
    assert shown == [
        [same, "2048 × 4", "0", "—", "0.9766"],
        ["I.tif", "2048 × 3", "1", "3", "—"],
    ]


def test_stand_ins_are_rendered_and_named_by_their_formulations():
    shown = cells(show_reading(draw_stand_ins(2, 0, (96, 128))))
    assert shown == [["1, 2", "128 × 96", "0", "0.9766", "rendered"]]


def test_a_rescaled_micrograph_tells_its_first_pixel_size(own):
    rescaled = replace(own.micrographs[0], rescaled_from_um=0.5)
    shown = cells(show_reading(replace(own, micrographs=(rescaled, *own.micrographs[1:]))))
    assert [row[-1] for row in shown] == ["0.5", "—"]


def test_grey_levels_are_shown_with_their_spread_and_the_range_over_the_sets():
    levels = np.array([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]])
    tested = [
        {
            "original": GreyLevelTest(levels + shift, levels[:, 0], first),
            "equalised": GreyLevelTest(levels, levels[:, 0], last),
        }
        for shift, first, last in ((0, -0.2, 0.4), (2, -0.1, 0.404))
    ]
    assert cells(show_grey_levels(tested)) == [
        ["2.0", "1.3", "12.0", "1.3", "−0.20", "−0.10"],
        ["1.0", "0.8", "11.0", "0.8", "0.40", "0.40"],
    ]
