"""The walk of molecules, against tubes, a slit, spheres and itself; and the labels it gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from fesemlib import dataset
from fesemlib.dataset import draw_stand_ins, fresh_stand_ins, load_dataset
from fesemlib.drying.equations import porosity
from fesemlib.formulations import table1
from fesemlib.pages.statements import data_banner
from fesemlib.params import Parameters
from fesemlib.synthetic import (
    cell_diameter,
    foam,
    foam_volume,
    synthesize_micrograph,
    throat_diameter,
)
from fesemlib.synthetic.foam import Structure, mean_speed
from fesemlib.synthetic.sets import Recipe
from fesemlib.volume import (
    VolumeError,
    foam_knudsen,
    knudsen,
    stand_in_k_m,
    volume_knudsen,
)

USUAL = Structure(1.55, (0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FESEM_BUILD", str(tmp_path_factory.getbasetemp() / "knudsen"))


def across(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the middle of a section, in grid spacings."""
    y, x = np.indices(shape, dtype=np.float32)
    return y - np.float32((shape[0] - 1) / 2), x - np.float32((shape[1] - 1) / 2)


def drawn_out(section: np.ndarray) -> np.ndarray:
    """The field of a straight channel of this section, (1, 4, y, x)."""
    return np.ascontiguousarray(np.broadcast_to(section, (1, 4, *section.shape)))


def channel(width: float, height: float) -> float:
    """D/v of a rectangular channel: flights are independent, so D = ⟨z²⟩/(2⟨t⟩) = ⟨l²⟩ P/(8 A).

    l is the part of a flight in the section: from a point of the rim, at an angle of density cos/2.
    """
    angle = np.arcsin(np.linspace(-1, 1, 2002)[1:-1])  # of equal probability each
    squares = []
    for side, other in ((width, height), (height, width)):
        start = (np.arange(500) + 0.5)[:, None] / 500 * side
        free = np.where(angle > 0, side - start, start)
        chord = np.minimum(other / np.cos(angle), free / np.abs(np.sin(angle)))
        squares.append((chord**2).mean())
    mean = (squares[0] * width + squares[1] * height) / (width + height)
    return float(mean * 2 * (width + height) / (8 * width * height))


# ---------------------------------------------------------------------------------------- the walk


@pytest.mark.slow
def test_a_tube_lets_through_a_third_of_its_diameter():
    field = drawn_out(9.3 - np.hypot(*across((24, 24))))
    found = knudsen.walk(field, 18.6, 1, 6000)
    assert found.value[0] == pytest.approx(18.6 / 3, rel=0.03)
    assert found.error[0] < 0.02 * found.value[0]
    assert np.abs(found.value[1:]).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(12.0, 12.0), (8.0, 40.0)])
def test_a_square_channel_and_a_slit_let_through_what_theory_says(width, height):
    y, x = across((round(height) + 4, round(width) + 4))
    field = drawn_out(np.minimum(height / 2 - np.abs(y), width / 2 - np.abs(x)))
    found = knudsen.walk(field, 2 * width * height / (width + height), 0, 5000)
    assert found.value[0] == pytest.approx(channel(width, height), rel=0.04)


def test_the_theory_of_the_channel_is_the_known_one_for_a_square():
    """Its conductance is 1.115 of that of a tube as wide (Smoluchowski 1910)."""
    assert 3 * channel(1, 1) == pytest.approx(1.115, abs=0.003)


@pytest.mark.slow
def test_sparse_spheres_turn_molecules_back_by_four_ninths(monkeypatch):
    """Each flight goes on against the one before it: D = v λ/3 / (1 + 4/9), λ = 1/(n π r²)."""
    monkeypatch.setattr(knudsen, "LENGTH", 60.0)
    monkeypatch.setattr(knudsen, "MEMORY", 2)
    side, radius, number = 96, 4.0, 200
    places = np.random.default_rng(3).uniform(0, side - 1, (number, 3))
    away, _ = cKDTree(places).query(np.indices((side,) * 3).reshape(3, -1).T)
    field = (away.reshape(1, side, side, side) - radius).astype(np.float32)
    free = side**3 / (number * np.pi * radius**2)
    found = knudsen.walk(field, free, 0, 1000, step=1 / free)
    assert found.value.mean() == pytest.approx(free / 3 * 9 / 13, rel=0.1)


@pytest.mark.slow
def test_a_tube_of_voxels_lets_through_about_as_much(monkeypatch):
    """A little less, as voxels are rough."""
    monkeypatch.setattr(knudsen, "MEMORY", 1)
    tube = np.broadcast_to(np.hypot(*across((24, 24))) > 8.5, (4, 24, 24))
    found = volume_knudsen(tube, 1, 1500)
    share = (~tube).mean()
    diameter = 2 * np.sqrt(24**2 * share / np.pi)
    assert found.value[0] == pytest.approx(share * diameter / 3, rel=0.08)


def test_walls_of_three_voxels_hold_molecules_back_in_wide_pores(monkeypatch):
    monkeypatch.setattr(knudsen, "LENGTH", 60.0)
    layers = np.zeros((30, 27, 30), dtype=bool)
    layers[:, 12:15] = True
    found = volume_knudsen(layers, 0, 200)
    assert abs(found.value[1]) < 0.1 * found.value[[0, 2]].min()


def test_pores_that_lead_nowhere_let_nothing_through(monkeypatch):
    """However long they are."""
    monkeypatch.setattr(knudsen, "LENGTH", 60.0)
    tubes = np.ones((120, 15, 30), dtype=bool)
    tubes[:, 3:12, 3:12] = False
    alone = volume_knudsen(tubes, 0, 100)
    tubes[3:117, 3:12, 18:27] = False
    np.testing.assert_array_equal(volume_knudsen(tubes, 0, 100), alone)


THIN = np.zeros((20, 20, 20), bool)
THIN[:, 5::10] = True
NARROW = np.ones((20, 20, 20), bool)
NARROW[:, 5::10, 5::10] = False
CLOSED = np.ones((20, 20, 20), bool)
CLOSED[5:15, 5:15, 5:15] = False


@pytest.mark.parametrize(
    ("solid", "message"),
    [
        (np.zeros((4, 4, 4), bool), "0% wall; give a volume"),
        (np.eye(4, dtype=bool), "shape .4, 4."),
        (CLOSED, "no pore leads through"),
        (THIN, "100% of the walls .* finer voxels"),
        (NARROW, "100% of the pores .* thinner than three voxels"),
    ],
)
def test_a_volume_of_which_a_walk_tells_nothing_is_refused(solid, message):
    with pytest.raises(VolumeError, match=message):
        volume_knudsen(solid, 0)


@pytest.mark.slow
def test_a_drawn_volume_lets_through_what_its_foam_does():
    solid, cell = foam_volume(30.0, 0.45, (120, 120, 120), 1.0, seed=0), 30.0
    found = volume_knudsen(solid, 0, 1000).value.mean() / (1 - solid.mean()) / cell
    threshold = foam.generators(0)[0].spawn(3)[2].uniform(*foam.HOLE_THRESHOLDS)
    thin = foam_knudsen(foam.Structure(threshold, (0.0, 0.0, 0.0)), 0, walkers=1000).value.mean()
    assert 0.5 * thin < found < thin  # its walls take room and narrow the openings


def test_the_walk_is_the_same_for_a_seed_and_open_walls_let_more_through(monkeypatch):
    monkeypatch.setattr(knudsen, "LENGTH", 60.0)
    first, again = (foam_knudsen(USUAL, 5, walkers=150) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    wide = foam_knudsen(USUAL._replace(threshold=0.5), 5, walkers=150)
    assert wide.value.mean() > 2 * first.value.mean()


@pytest.mark.slow
def test_the_foam_is_alike_in_all_directions_but_where_its_cells_lean():
    flat = [foam_knudsen(USUAL, seed) for seed in (0, 1)]
    mean, error = np.mean(flat, axis=0)
    assert np.ptp(mean) < 4 * error.max()
    assert (error < 0.03 * mean).all()
    leaning = foam_knudsen(USUAL._replace(lean=(0.0, 2.0, 0.0)), 0).value
    assert leaning[1] > 1.2 * max(leaning[0], leaning[2])


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"step": 0.08}, {"box": 16.0, "pitch": 0.06}, {"pitch": 0.03}])
def test_the_foam_lets_through_as_much_in_finer_steps_and_in_a_larger_box(change):
    def found(seed: int, box: float = 8.0, pitch: float = 0.04, step: float = 0.16) -> float:
        fields, holes = knudsen.foam_fields(USUAL, seed, 0.2, box, pitch)
        walked = knudsen.walk(fields, knudsen.CHORD / pitch, seed, 2000, holes, step)
        return pitch * float(walked.value.mean())

    usual, changed = (np.mean([found(s, **how) for s in (0, 1)]) for how in ({}, change))
    assert changed == pytest.approx(usual, rel=0.05)


# -------------------------------------------------------------------------------------- the labels


@pytest.mark.parametrize("shape", [(96, 128), (192, 256)])
def test_a_stand_in_of_the_structure_that_its_seed_draws_is_the_same(shape):
    (own,) = knudsen.structures([Recipe("x", 1e-3, 5.0, 7)], shape)
    same = synthesize_micrograph(1e-3, 7, shape, structure=own).image
    np.testing.assert_array_equal(same, synthesize_micrograph(1e-3, 7, shape).image)
    other = synthesize_micrograph(1e-3, 7, shape, structure=own._replace(threshold=0.5)).image
    assert (other != same).mean() > 0.05


@pytest.fixture
def as_walked(monkeypatch):
    """Every foam lets through as much as its cells lean down, without a walk."""

    def walked(jobs):
        return np.array([[[0.05 + 0.01 * s.lean[1]] * 3, [1e-3] * 3] for s, *_ in jobs])

    monkeypatch.setattr(knudsen, "walked", walked)


@pytest.mark.usefixtures("as_walked")
def test_k_m_is_in_proportion_to_the_cells_and_to_the_walk():
    recipes = [Recipe("x", k_m, 5.0, 0, 0, USUAL) for k_m in (4e-4, 1.2e-3)]
    found = stand_in_k_m(recipes, (192, 256))
    assert found.value[1] == pytest.approx(3 * found.value[0])
    cell = cell_diameter(throat_diameter(4e-4, porosity(5)))
    assert found.value[0] == pytest.approx(porosity(5) * mean_speed() * cell * 0.05)
    assert found.error / found.value == pytest.approx(np.full(2, 0.02))


@pytest.mark.usefixtures("as_walked")
def test_labels_of_the_geometry_change_no_image():
    formula = Parameters(synthetic_width=384)
    geometry = formula.changed(synthetic_labels="geometry")
    plain, walked = load_dataset(formula), load_dataset(geometry)
    for one, other in zip(plain.micrographs, walked.micrographs, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(plain.k_m, table1()["k_m"])
    assert np.ptp(np.log(walked.k_m / plain.k_m)) > 0.05
    assert walked.digest != plain.digest
    assert "walk of molecules" in data_banner(walked, geometry).text
    assert "measured ones of Table 1" in data_banner(plain, formula).text


@pytest.mark.usefixtures("as_walked")
def test_fresh_frames_show_foams_of_the_structure_that_was_walked_in():
    parameters = Parameters(synthetic_width=384, synthetic_labels="geometry")
    own, fresh = load_dataset(parameters), fresh_stand_ins(2, 0, (288, 384), parameters)
    np.testing.assert_array_equal(fresh.k_m, np.repeat(own.k_m, 2))
    plain = fresh_stand_ins(2, 0, (288, 384))
    assert (fresh.micrographs[0].image != plain.micrographs[0].image).any()
    drawn = draw_stand_ins(3, 0, (96, 128), labels="geometry")
    assert (drawn.k_m != draw_stand_ins(3, 0, (96, 128)).k_m).all()


def test_labels_scatter_as_those_of_table_1():
    parameters = Parameters(synthetic_width=384, synthetic_label_scatter=True)
    noisy, plain = load_dataset(parameters), load_dataset(Parameters(synthetic_width=384))
    np.testing.assert_array_equal(load_dataset(parameters).k_m, noisy.k_m)
    seeds = [parameters.changed(synthetic_seed=seed) for seed in range(12)]
    relative = np.log([dataset._scattered(plain, each).k_m / plain.k_m for each in seeds])
    np.testing.assert_allclose(relative[0], np.log(noisy.k_m / plain.k_m))
    relative /= table1()["std_percent"].to_numpy() / 100
    assert 0.8 < relative.std() < 1.2


@pytest.mark.slow
def test_a_walk_is_kept():
    recipes = [Recipe("x", 1e-3, 5.0, 0, 0, USUAL)]
    first, again = (stand_in_k_m(recipes, (192, 256)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert 0.01 < first.error[0] / first.value[0] < 0.03
