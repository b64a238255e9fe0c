"""Pores against closed forms, PoreSpy and properties; the command from end to end."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from skimage.measure import euler_number

from fesemlib.command.cli import main
from fesemlib.formulations import SOLUTES, table1
from fesemlib.micrographs import Micrograph
from fesemlib.micrographs.zeiss import write_zeiss_tiff
from fesemlib.params import ProcessingParameters
from fesemlib.pores import (
    PoresError,
    chord_lengths,
    euler_density,
    find_pores,
    local_thickness,
    threshold_level,
)

RAW = ProcessingParameters(processing="none")


def discs(places: np.ndarray, radius: float, shape: tuple[int, int]) -> np.ndarray:
    """Where discs about these places (rows, columns) are."""
    free = np.ones(shape, bool)
    free[tuple(places.T)] = False
    return ndimage.distance_transform_edt(free) < radius


def boolean_model(intensity: float, radius: int, side: int, seed: int) -> np.ndarray:
    """What overlapping discs at random places leave free."""
    random, whole = np.random.default_rng(seed), side + 2 * radius
    places = random.integers(0, whole, (random.poisson(intensity * whole**2), 2))
    return ~discs(places, radius, (whole, whole))[radius:-radius, radius:-radius]


def mean_chord(pores: np.ndarray) -> float:
    lengths, weights = chord_lengths(pores)
    return float(np.average(lengths, weights=weights))


def micrograph(pores: np.ndarray, pixel_size_um: float | None = None) -> Micrograph:
    return Micrograph(np.where(pores, 50, 200).astype(np.uint8), pixel_size_um)


def measures(pores: np.ndarray, pixel_size_um: float | None = None) -> dict[str, float]:
    return find_pores(micrograph(pores, pixel_size_um), RAW, ["120"])["120"].measures


def inner(pores):
    """Pixels but for the last row and column."""
    return pores[1:, 1:].size


SQUARES = np.zeros((120, 160), bool)
for row in range(10, 120, 40):
    for column in range(10, 160, 30):
        SQUARES[row : row + 15, column : column + 15] = True  # 15 of them, 15 px wide


def test_square_holes():
    lengths, _ = chord_lengths(SQUARES)
    assert set(lengths) == {15}
    assert len(lengths) == 2 * 15 * 15
    thickness = local_thickness(SQUARES)
    assert thickness.max() == 15
    assert (thickness > 0).tolist() == SQUARES.tolist()
    found = measures(SQUARES, pixel_size_um=2.0)
    assert found["mean chord (µm)"] == pytest.approx(30, rel=0.02)  # the blur takes the corners
    assert found["porosity"] == pytest.approx(15**3 / SQUARES.size, rel=0.02)
    assert found["share in one piece"] == pytest.approx(1 / 15)
    assert found["Euler number (per mm²)"] == pytest.approx(15e6 / (4 * inner(SQUARES)))


@pytest.mark.parametrize("radius", [8, 15, 40])
def test_discs_of_one_size(radius):
    pitch = 2 * radius + 7
    places = np.stack(np.mgrid[pitch : 4 * pitch : pitch, pitch : 4 * pitch : pitch]).reshape(2, -1)
    pores = discs(places.T, radius, (5 * pitch, 5 * pitch))
    assert mean_chord(pores) == pytest.approx(np.pi * radius / 2, rel=0.05)
    thickness = local_thickness(pores)[pores]
    assert np.median(thickness) == pytest.approx(2 * radius, abs=2)
    assert np.mean(thickness > 2 * radius - 3) > 0.95


@pytest.mark.parametrize(("intensity", "radius"), [(0.002, 8), (0.0008, 12)])
def test_boolean_model(intensity, radius):
    frames = [boolean_model(intensity, radius, 400, seed) for seed in range(8)]
    disc = discs(np.array([[radius, radius]]), radius, (2 * radius + 1, 2 * radius + 1))
    porosity = np.mean([frame.mean() for frame in frames])
    assert porosity == pytest.approx(np.exp(-intensity * disc.sum()), rel=0.05)
    # Along a line of pixels a pore ends with the first disc that it meets.
    expected = 1 / (1 - np.exp(-intensity * disc.any(axis=1).sum()))
    assert np.mean([mean_chord(frame) for frame in frames]) == pytest.approx(expected, rel=0.05)


def test_no_chord_is_missed_where_the_frame_is_small():
    """Windows of a wide frame have its mean chord, which is not that of the chords they show."""
    wide = boolean_model(0.002, 10, 1200, 0)
    windows = [
        wide[a : a + 150, b : b + 150] for a in range(0, 1200, 150) for b in range(0, 1200, 150)
    ]
    lengths, weights = (
        np.concatenate(each) for each in zip(*map(chord_lengths, windows), strict=True)
    )
    weighted, plain = np.average(lengths, weights=weights), lengths.mean()
    assert plain < 0.9 * mean_chord(wide)
    assert weighted == pytest.approx(mean_chord(wide), rel=0.06)


RING = discs(np.array([[60, 60]]), 40, (120, 120)) & ~discs(np.array([[60, 60]]), 20, (120, 120))
NET = np.ones((120, 120), bool)
NET[20:40, 20:40] = NET[60:100, 20:40] = NET[20:40, 60:100] = False


@pytest.mark.parametrize(("pores", "euler", "share"), [(RING, 0, 1), (NET, -3, 1), (~NET, 3, 0.4)])
def test_euler_number_and_share_in_one_piece(pores, euler, share):
    found = measures(pores)
    assert found["Euler number (per Mpx)"] == pytest.approx(1e6 * euler / inner(pores))
    assert found["share in one piece"] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("intensity", [0.0005, 0.004])
def test_euler_number_is_that_of_skimage_and_of_any_window(intensity):
    wide = boolean_model(intensity, 10, 1201, 0)
    windows = [
        wide[a : a + 101, b : b + 101] for a in range(0, 1200, 100) for b in range(0, 1200, 100)
    ]
    assert np.mean([euler_density(each) for each in windows]) == pytest.approx(euler_density(wide))
    framed = np.pad(wide, 1)
    assert euler_density(framed) * inner(framed) == pytest.approx(euler_number(wide, 1))


def test_local_thickness_is_that_of_porespy_and_of_its_definition():
    import porespy  # takes a second

    pores = boolean_model(0.002, 8, 100, 0)
    ours = (local_thickness(pores)[pores] + 1) / 2  # radii, to the centre of the next pixel
    theirs = porespy.filters.local_thickness(pores, method="dt", smooth=False)[pores]
    assert np.abs(ours - theirs).mean() < 0.75  # they take whole radii
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    distance = ndimage.distance_transform_edt(pores)[pores]
    places = np.argwhere(pores)
    apart = np.hypot(*(places[:, np.newaxis] - places).transpose(2, 0, 1))
    exact = np.where(apart < distance, distance, 0).max(axis=1)
    assert (ours <= exact + 1e-9).all()
    # A step less; at the edge of a disc, what the step takes off it.
    assert np.mean(ours > exact - 1.5) > 0.95


@pytest.mark.filterwarnings("ignore:.*filled_area:FutureWarning")
def test_chords_are_those_of_porespy_and_of_a_naive_count():
    import porespy

    pores = boolean_model(0.001, 10, 400, 0)
    lines = ("".join(map(str, line)) for line in [*pores.astype(int), *pores.T.astype(int)])
    naive = [len(chord) for line in lines for chord in re.findall("(?<=0)1+(?=0)", line)]
    ours, _ = chord_lengths(pores)
    assert sorted(ours) == sorted(naive)
    theirs = [
        porespy.metrics.chord_counts(
            porespy.filters.apply_chords(pores, axis=axis, spacing=1, trim_edges=True)
        )
        for axis in (0, 1)
    ]
    assert ours.mean() == pytest.approx(np.concatenate(theirs).mean(), rel=0.05)


def test_lengths_go_with_the_pixel_size_and_without_one_are_in_px():
    pores = boolean_model(0.002, 8, 200, 0)
    px, um = measures(pores), measures(pores, pixel_size_um=0.5)
    for name in ("mean chord", "mean thickness", "thickness, 10 % below", "correlation length"):
        assert um[f"{name} (µm)"] == pytest.approx(0.5 * px[f"{name} (px)"])
    assert um["Euler number (per mm²)"] == pytest.approx(4 * px["Euler number (per Mpx)"])


def test_measures_of_a_mirrored_frame_are_the_same():
    image = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)
    grain = (ndimage.gaussian_filter(image.astype(float), 3) * 4 - 380).clip(0, 255)
    first, mirrored = (
        find_pores(Micrograph(each.astype(np.uint8)), RAW) for each in (grain, grain[::-1])
    )
    for name in first:
        assert first[name].measures == pytest.approx(mirrored[name].measures, rel=1e-6)


def test_thresholds():
    levels = np.r_[np.full(600, 20), np.full(300, 30), np.full(100, 220)].astype(np.uint8)
    image = levels.reshape(20, 50)
    assert threshold_level(image, "median") == 20
    assert 30 <= threshold_level(image, "otsu") < 220
    assert threshold_level(image, "77") == 77
    for wrong in ("otsu ", "256", "-1", "½", "²", ""):
        with pytest.raises(ValueError, match="give otsu, median, or a grey level from 0 to 255"):
            threshold_level(image, wrong)


@pytest.mark.parametrize(("level", "which"), [("10", "nothing"), ("250", "all")])
def test_no_pores_or_nothing_else(level, which):
    with pytest.raises(
        PoresError, match=rf"^a\.tif: {which} is pore up to grey level {level}.*50 to 200"
    ):
        find_pores(micrograph(SQUARES), RAW, [level], name="a.tif")


def test_median_and_otsu_leave_the_brightest_level_to_the_walls():
    mostly_white = np.full((60, 80), 255, np.uint8)
    mostly_white[20:40, 20:40] = 10
    found = find_pores(Micrograph(mostly_white), RAW)
    assert all(0 < pores.measures["porosity"] < 0.5 for pores in found.values())
    with pytest.raises(PoresError, match="another --threshold"):
        find_pores(Micrograph(np.full((60, 80), 255, np.uint8)), RAW)


NAME = "<b onclick=x>&amp; $x$ 🧊.tif"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A micrograph with its pixel size, one without, and one that is damaged."""
    write_zeiss_tiff(tmp_path / NAME, micrograph(boolean_model(0.002, 8, 200, 0), 0.5))
    Image.fromarray(micrograph(SQUARES).image).save(tmp_path / "unsized.png")
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    return tmp_path


def test_the_command_from_end_to_end(folder, capsys):
    table, page = folder / "pores.csv", folder / "pores.html"
    asked = ("-p", "processing", "none", "--csv", table, "--report", page)
    assert main(["pores", str(folder), *map(str, asked)]) == 1
    told = capsys.readouterr()
    assert "unsized.png: pixel size not known; tell it with --pixel-size" in told.out
    assert "2 of 3 micrographs could not be used" in told.err
    rows = pd.read_csv(table).set_index("image")
    assert rows.loc[str(folder / NAME), "threshold"].to_list() == ["otsu", "median"]
    assert "broken.tif" in rows.loc[str(folder / "broken.tif"), "error"]
    chord = rows.loc[str(folder / NAME), "mean chord (µm)"].iloc[0]
    assert chord == pytest.approx(0.5 * mean_chord(boolean_model(0.002, 8, 200, 0)), rel=0.1)
    assert f"{chord:.1f}" in told.out
    html = page.read_text(encoding="utf-8")
    assert "<b onclick" not in html
    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count('class="warning"') == 2
    assert "processing" in html  # it is not preset


def test_a_told_pixel_size_counts(folder, capsys):
    asked = ["pores", str(folder / "unsized.png"), "-p", "processing", "none", "--threshold", "120"]
    assert main([*asked, "--pixel-size", "2"]) == 0
    assert "mean chord (µm)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--threshold", "dark"], "threshold 'dark': give otsu, median, or a grey level"),
        (["--csv", NAME], "is one of the files to read"),
        (["--pixel-size", "0"], "--pixel-size 0: give µm"),
        (["-p", "background_radius_px", "0"], "-p: background_radius_px = 0"),
    ],
)
def test_wrong_asking_ends_the_command(folder, monkeypatch, capsys, more, problem):
    monkeypatch.chdir(folder)
    assert main(["pores", NAME, *more]) == 2
    assert problem in capsys.readouterr().err


def test_pores_need_no_tensorflow(folder):
    code = (
        "import sys\nfrom fesemlib.command.cli import main\n"
        "assert main(['pores', sys.argv[1], '--report', sys.argv[2]]) == 0\n"
        "assert not {'tensorflow', 'keras', 'porespy'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, folder / NAME, folder / "page.html"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def test_what_the_chapter_says_of_the_series_of_the_paper():
    table = table1()
    alone = table[(table["dextran"] == 0) & (table["PVP"] == 0)]
    solids = table[list(SOLUTES)].sum(axis=1)
    assert list(alone.index) == ["I"]
    assert (solids.drop("I") < solids["I"]).all()
    assert (table[list(SOLUTES)] > 0).sum().idxmax() == "mannitol"
