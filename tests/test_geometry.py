"""The foam of the stand-ins as a volume, measured with PoreSpy."""

from __future__ import annotations

import numpy as np
import pytest

from fesemlib.drying.equations import porosity
from fesemlib.synthetic import THROAT_TO_CELL, foam_volume, wall_thickness
from fesemlib.synthetic.fields import Grid
from fesemlib.synthetic.foam import generators, make_foam

# What PoreSpy calls and others deprecate is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

MEAN_CHORD = 2 / 2.91  # of a random Voronoi foam of thin walls, in cell diameters (Meijering 1953)


def chord_lengths(phase: np.ndarray, axis: int) -> np.ndarray:
    """Lengths of the chords in a phase of a section, in px, on every tenth line."""
    import porespy  # takes a second

    chords = porespy.filters.apply_chords(phase, axis=axis, spacing=9, trim_edges=False)
    return porespy.metrics.chord_counts(chords)


def mean_chord(phase: np.ndarray) -> float:
    """Mean chord of a phase in both directions of a section, in px."""
    return float(np.mean([chord_lengths(phase, axis).mean() for axis in (0, 1)]))


# ---------------------------------------------------------------------------------------- cells


@pytest.mark.slow
@pytest.mark.parametrize("cell_um", [5, 10, 20, 40, 60])
def test_the_mean_chord_of_the_pores_follows_the_cell(cell_um):
    """At one voxel size, so that the smallest cells are 33 voxels wide and the largest 400."""
    voxel_um = 0.15
    width = min(round(40 * cell_um / voxel_um), 8000)
    chords = [
        chord_lengths(~foam_volume(cell_um, 0.1, (1, width // 8, width), voxel_um, seed)[0], 1)
        for seed in range(2)
    ]
    expected = MEAN_CHORD * 0.9 * cell_um
    assert np.concatenate(chords).mean() * voxel_um == pytest.approx(expected, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("solids_percent", [5, 10])
def test_the_solid_fraction_and_the_chord_are_those_asked_for(solids_percent):
    solid_fraction = 1 - porosity(solids_percent)
    voxel = wall_thickness(1.0, porosity(solids_percent)) / 3  # in cell diameters
    sections = [foam_volume(1.0, solid_fraction, (1, 2500, 2500), voxel, s)[0] for s in range(5)]
    assert np.mean(sections) == pytest.approx(solid_fraction, rel=0.1)
    chord = np.mean([mean_chord(~section) for section in sections]) * voxel
    assert chord == pytest.approx(MEAN_CHORD * (1 - solid_fraction), rel=0.15)


@pytest.mark.slow
def test_walls_are_as_thick_as_asked_for():
    """Lines meet walls at angles θ of which cos²θ is uniform: half cross √2 times the thickness."""
    voxel = wall_thickness(1.0, 0.9) / 12
    sections = [foam_volume(1.0, 0.1, (1, 2000, 2000), voxel, seed)[0] for seed in range(3)]
    chords = np.concatenate([chord_lengths(s, axis) for s in sections for axis in (0, 1)])
    assert np.median(chords) / 12 == pytest.approx(np.sqrt(2), rel=0.1)


@pytest.mark.slow
def test_a_volume_is_alike_in_all_directions():
    """Cells lean along a random direction, but a volume and its sections agree."""
    chords = []
    for seed in range(4):
        pores = ~foam_volume(20.0, 0.1, (96, 192, 192), 1.0, seed)
        chords.append([chord_lengths(pores, axis).mean() for axis in (0, 1, 2)])
    # Lines of 96 voxels cut off more chords than those of 192.
    across, *along = np.mean(chords, axis=0)
    assert along[0] == pytest.approx(along[1], rel=0.1)
    assert across == pytest.approx(np.mean(along), rel=0.15)


# -------------------------------------------------------------------------------------- throats


def wall_openings(
    throat_um: float, shape: tuple[int, int], pixel_size_um: float, seed: int
) -> np.ndarray:
    """The openings of a plane wall, made as those of the foam are; shape (x, y)."""
    cell_um = throat_um / THROAT_TO_CELL
    grid = Grid(shape, pixel_size_um / cell_um, cell_um)
    foam = make_foam(grid, 1.0, np.zeros(1), generators(seed))
    return foam.plane(0)[1] >= foam.threshold


@pytest.mark.slow
@pytest.mark.parametrize("throat_um", [2.5, 8, 16])
def test_openings_are_as_wide_as_the_throat(throat_um):
    walls = [wall_openings(throat_um, (1200, 1200), 0.4, seed) for seed in range(6)]
    chords = np.concatenate([chord_lengths(wall, axis) for wall in walls for axis in (0, 1)])
    # A disc has a mean chord of π/4 of its diameter.
    assert chords.mean() * 0.4 * 4 / np.pi == pytest.approx(throat_um, rel=0.15)
    assert 0.03 < np.mean(walls) < 0.12


def test_vapour_finds_its_way_from_nearly_all_cells_to_the_top():
    pores = ~foam_volume(30.0, 0.1, (90, 90, 90), 1.0, 0)
    top = np.zeros_like(pores)
    top[0] = True
    import porespy

    open_pores = porespy.filters.trim_disconnected_voxels(pores, inlets=top)
    assert open_pores.sum() > 0.98 * pores.sum()


# --------------------------------------------------------------------------------------- limits


def test_the_seed_fixes_the_volume():
    first = foam_volume(20.0, 0.1, (4, 60, 70), 1.0, 1)
    assert first.shape == (4, 60, 70)
    assert first.dtype == bool
    np.testing.assert_array_equal(foam_volume(20.0, 0.1, (4, 60, 70), 1.0, 1), first)
    assert (foam_volume(20.0, 0.1, (4, 60, 70), 1.0, 2) != first).any()


def test_wider_throats_leave_the_cells_where_they_are():
    narrow, wide = (foam_volume(20.0, 0.1, (2, 200, 200), 0.5, 1, r) for r in (0.2, 0.4))
    assert (narrow & wide).sum() > 0.8 * narrow.sum()
    assert (narrow != wide).any()
    np.testing.assert_array_equal(
        foam_volume(20.0, 0.1, (2, 200, 200), 0.5, 1, THROAT_TO_CELL), narrow
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell_um": 3.0}, r"cell_um 3\.0: less than 4 voxels"),
        ({"cell_um": float("nan")}, "cell_um nan"),
        ({"solid_fraction": 0.0}, r"solid_fraction 0\.0"),
        ({"solid_fraction": 0.6}, r"solid_fraction 0\.6"),
        ({"shape": (10, 10)}, r"shape \(10, 10\)"),
        ({"shape": (0, 10, 10)}, r"shape \(0, 10, 10\)"),
        ({"shape": (2, 1, 10)}, r"shape \(2, 1, 10\): sections need"),
        ({"shape": (2000, 2000, 2000)}, r"shape \(2000, 2000, 2000\)"),
        ({"shape": (1, 20000, 20000)}, "the volume holds .* cells of 20 µm"),
        ({"voxel_um": 0.0}, r"voxel_um 0\.0"),
        ({"seed": -1}, "seed -1"),
        ({"throat_to_cell": 0.1}, r"throat_to_cell 0\.1"),
    ],
)
def test_volumes_that_cannot_be_made_are_named(arguments, message):
    usual = {
        "cell_um": 20.0,
        "solid_fraction": 0.1,
        "shape": (4, 40, 40),
        "voxel_um": 1.0,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=message):
        foam_volume(**{**usual, **arguments})
