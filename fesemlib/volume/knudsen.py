"""Knudsen flow: single molecules that fly from wall to wall of a foam, or of a volume.

Walls are the zeros of fields that are sampled on a grid. A molecule flies straight, at the mean
speed, and leaves a wall in a direction of the cosine law. Its mean squared displacement grows in
proportion to time when it has forgotten where it began, and half of that slope is the diffusivity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, spline_filter

from fesemlib.drying.equations import porosity
from fesemlib.storage import code_digest, digest, folder_in_cache, read_sealed, write_sealed
from fesemlib.synthetic import foam
from fesemlib.synthetic.fields import Grid
from fesemlib.synthetic.microscope import PAPER_PIXEL_SIZE_UM
from fesemlib.synthetic.sets import Recipe
from fesemlib.volume.diffusion import Solid, VolumeError, percolating

Values = npt.NDArray[np.float64]
Fields = npt.NDArray[np.float32]
Holes = Fields | None

FLOW_AXIS = 1  # of depth, down and across: down the image

# In mean chords of the pores, 2/3 of a cell.
STEP = 0.16
BLOCK = 6.0  # after which the place is noted
MEMORY = 8  # blocks after which a molecule has forgotten where it flew
LENGTH = 270.0  # of each path
WALKERS = 2000  # which give a standard error of some 2.5 % in each direction

# What the smoothing of a volume may take away; where it takes more, voxels are too coarse.
THIN_WALLS, THIN_PORES = 0.05, 0.15

BOX, PITCH = 8.0, 0.04  # side and grid of the foam that is walked in, in cell diameters
CHORD = 0.65  # mean chord of its pores, in cell diameters


class Knudsen(NamedTuple):
    """A diffusivity over the mean speed, along depth, down and across, and its standard error.

    Both in the unit of length of what was walked in, shape (3,); k_m is the diffusivity of the
    medium, pores and walls together: `value` times the mean speed.
    """

    value: Values
    error: Values


def volume_knudsen(solid: Solid, seed: int, walkers: int = WALKERS) -> Knudsen:
    """Knudsen diffusivity of a volume over the mean speed, in voxels.

    Parameters
    ----------
    solid
        True in the walls, axes (depth, height, width). The volume goes on, mirrored at its sides.
        Pores that lead through it in no direction are filled. Voxels are rough: of a tube of 17
        voxels they let through some 3 % less than a smooth one.
    seed
        Of the molecules.
    walkers
        How many molecules; the error falls as their square root.

    Returns
    -------
    Knudsen
        Per cross section of pores and walls; times a voxel's edge in m and the mean speed in m/s it
        is k_m in m² s⁻¹. Of a straight tube of diameter d it is d/3 times the share of its pore
        (Knudsen, Annalen der Physik 333 (1909) 75–130). The error is that of the molecules alone:
        another piece of the same medium differs.

    Raises
    ------
    VolumeError
        When there is no wall, no pore leads through, or too much is thinner than three voxels.

    Examples
    --------
    >>> y, x = np.indices((25, 25)) - 12
    >>> tube = np.broadcast_to(np.hypot(y, x) > 9, (4, 25, 25))
    >>> along, down, across = volume_knudsen(tube, seed=0, walkers=200).value / (~tube).mean()
    >>> bool(5 < along < 7), round(abs(across))  # 18/3 voxels are expected, and none across
    (True, 0)
    """
    walls = ~_leading_through(solid)
    distance = distance_transform_edt(~walls) - distance_transform_edt(walls)
    distance -= np.sign(distance) / 2  # between the last pore and the first wall
    field = gaussian_filter(distance.astype(np.float32), 1.0)
    thin = np.mean(field[walls] > 0), np.mean(field[~walls] <= 0)
    if thin[0] > THIN_WALLS or thin[1] > THIN_PORES:
        raise VolumeError(
            f"no k_m: {thin[0]:.0%} of the walls and {thin[1]:.0%} of the pores are thinner than "
            "three voxels, and lost; take finer voxels, or another threshold"
        )
    # Four times the pores over the walls, of whose area voxels show 3/2.
    faces = sum(np.count_nonzero(np.diff(walls, axis=axis)) for axis in range(3))
    chord = 6 * np.count_nonzero(~walls) / faces
    found = walk(field[None], chord, seed, walkers, step=min(STEP, 1 / chord))  # of a voxel
    return Knudsen(*(np.mean(~walls) * np.stack(found)))


def _leading_through(solid: Solid) -> Solid:
    """The pores that lead from one face to the opposite one, along any axis."""
    if solid.ndim != 3 or not solid.any():
        raise VolumeError(f"no k_m: shape {solid.shape}, {solid.mean():.0%} wall; give a volume")
    found = np.zeros_like(solid)
    for axis in range(3):
        with suppress(VolumeError):
            found |= percolating(solid, axis)
    if not found.any():
        raise VolumeError("no k_m: no pore leads through the volume; try another threshold")
    return found


def foam_knudsen(
    structure: foam.Structure,
    seed: int,
    throat_to_cell: float = foam.THROAT_TO_CELL,
    walkers: int = WALKERS,
) -> Knudsen:
    """Knudsen diffusivity of the stand-ins' foam over the mean speed, in cell diameters.

    Of its pores: times the porosity, the diameter of the cells in m and the mean speed it is k_m.
    The walls are taken as thin. `throat_to_cell` in [0.2, 0.4]; `walkers`: number of molecules.

    Examples
    --------
    >>> rough = foam_knudsen(foam.Structure(1.55, (0.0, 0.0, 0.0)), seed=0, walkers=20)
    >>> bool(0.02 < rough.value.mean() < 0.1)
    True
    """
    fields, holes = foam_fields(structure, seed, throat_to_cell)
    return Knudsen(*(PITCH * np.stack(walk(fields, CHORD / PITCH, seed, walkers, holes))))


def stand_in_k_m(
    recipes: Sequence[Recipe], shape: tuple[int, int], walkers: int = WALKERS
) -> Knudsen:
    """k_m of the foams that stand-ins show, down the image, m² s⁻¹, and its standard error, (n,).

    Walked once and kept in the cache. `shape`: of the images, in px at the paper's pixel size.

    Examples
    --------
    >>> len(stand_in_k_m([], (96, 128)).value)
    0
    """
    seen = zip(structures(recipes, shape), recipes, strict=True)
    found = walked([(each, recipe.seed, foam.THROAT_TO_CELL, walkers) for each, recipe in seen])
    cells = np.array([1e-6 * _grid(recipe, shape).cell_um for recipe in recipes])
    pores = np.array([porosity(recipe.solids_percent) for recipe in recipes])
    return Knudsen(*(foam.mean_speed() * pores * cells * found[:, :, FLOW_AXIS].T))


def structures(recipes: Sequence[Recipe], shape: tuple[int, int]) -> list[foam.Structure]:
    """Those of the foams that stand-ins show: as given, or as drawn from their seeds."""
    return [r.structure or foam.structure_seen(_grid(r, shape), r.seed) for r in recipes]


def _grid(recipe: Recipe, shape: tuple[int, int]) -> Grid:
    throat = foam.throat_diameter(recipe.k_m, porosity(recipe.solids_percent))
    cell_um = 1e6 * foam.cell_diameter(throat)
    return Grid(shape, PAPER_PIXEL_SIZE_UM / cell_um, cell_um)


def walked(jobs: Sequence[tuple[foam.Structure, int, float, int]]) -> Values:
    """What `foam_knudsen` makes of these, from the cache where it is there, (n, 2, 3)."""
    folder = folder_in_cache("volumes")
    made_by = code_digest(__name__, "fesemlib.synthetic", "fesemlib.drying")
    paths = [folder / f"knudsen-{digest(made_by, job)}.npy" for job in jobs]
    missing = [(path, job) for path, job in zip(paths, jobs, strict=True) if not read_sealed(path)]
    Parallel(n_jobs=-1)(delayed(_walk_and_keep)(*each) for each in missing)
    return np.reshape([np.load(path) for path in paths], (-1, 2, 3))


def _walk_and_keep(path: Path, job: tuple[foam.Structure, int, float, int]) -> None:
    write_sealed(path, partial(np.save, arr=np.stack(foam_knudsen(*job))))


def foam_fields(
    structure: foam.Structure, seed: int, ratio: float, box: float = BOX, pitch: float = PITCH
) -> tuple[Fields, Fields]:
    """Fields of a foam whose zeros are walls, (channels, z, y, x), but where the second is ≥ 0.

    `ratio`: of throats to cells; `box` and `pitch` in cell diameters.
    """
    side = round(box / pitch)
    levels = foam.SURROUNDINGS + (np.arange(side) + 0.5) * pitch
    grid, depth = Grid((side, side), pitch, 1.0), 2 * foam.SURROUNDINGS + box
    random = foam.generators(seed)
    made = foam.make_foam(grid, depth, levels, random, ratio, structure=structure)
    cells, holes = zip(*map(made.plane, range(side)), strict=True)
    fields = np.stack(cells, axis=1).swapaxes(-1, -2)
    return np.ascontiguousarray(fields), np.stack(holes).swapaxes(-1, -2) - made.threshold


def walk(
    fields: Fields, chord: float, seed: int, walkers: int, holes: Holes = None, step: float = STEP
) -> Knudsen:
    """Diffusivity over the mean speed, per pore volume, in grid spacings.

    What is thinner than a step may be flown through.

    Where there are no `holes`, the pores are where all fields are positive. `chord`: mean chord of
    the pores, in grid spacings; `step`: of a flight, in chords.
    """
    molecules = _Molecules(fields, holes, walkers, seed)
    places = [molecules.place.copy()]
    for _ in range(round(LENGTH / BLOCK)):
        for _ in range(round(BLOCK / step)):
            molecules.fly(step * chord)
        places.append(molecules.place.copy())
    # Of each block, the displacement times itself and twice that of the blocks that follow.
    moved = np.diff(places, axis=0)
    blocks = len(moved)
    later = [(moved[k:] * moved[: blocks - k]).mean(axis=0) for k in range(1, MEMORY + 1)]
    squared = (moved**2).mean(axis=0) + 2 * np.sum(later, axis=0)
    each = squared * blocks / (2 * molecules.flown)
    return Knudsen(each.mean(axis=1), each.std(axis=1, ddof=1) / math.sqrt(each.shape[1]))


class _Molecules:
    """Where molecules are and fly to, (3, n), in spacings of a grid mirrored without end."""

    def __init__(self, fields: Fields, holes: Holes, number: int, seed: int) -> None:
        self._fields, self._random = fields, np.random.default_rng(seed)
        # Holes are narrow: what lies between the points of the grid is cubic.
        self._holes = None if holes is None else spline_filter(holes, mode="mirror", output="f4")
        pores = np.flatnonzero((fields > 0).all(axis=0) if holes is None else holes == holes)
        begin = np.unravel_index(self._random.choice(pores, number), fields.shape[1:])
        self.place = np.array(begin) + self._random.uniform(-0.5, 0.5, (3, number))
        self.flown = np.zeros(number)
        self._direction = self._any_direction(number)
        self._values = self._at(self.place, slice(None))
        # On which side of each field.
        self._side = np.ones((len(fields), number)) if holes is None else np.sign(self._values)

    def fly(self, step: float) -> None:
        """A step, or less of it to the wall that is in the way, where the direction changes."""
        old, new = self._values, self._at(self.place + step * self._direction, slice(None))
        crossing = new * self._side < 0
        share = np.clip(old / np.where(crossing, old - new, 1), 0, 1)
        closed = crossing & ~self._open(crossing, share * step)
        first = np.where(closed, share, 1).min(axis=0)
        self._side[crossing & ~closed & (share <= first)] *= -1
        self.place += first * step * self._direction
        self.flown += first * step
        self._values = old + first * (new - old)
        hit = np.flatnonzero(closed.any(axis=0))
        self._leave(hit, np.where(closed, share, 2)[:, hit].argmin(axis=0))

    def _open(self, crossing: npt.NDArray[np.bool_], ahead: Values) -> npt.NDArray[np.bool_]:
        """Where there is a hole in the walls that are so far ahead, (channels, n)."""
        found = np.zeros_like(crossing)
        if self._holes is not None:
            _, own = np.nonzero(crossing)
            place = self.place[:, own] + ahead[crossing] * self._direction[:, own]
            how = {"order": 3, "mode": "mirror", "prefilter": False}
            found[crossing] = map_coordinates(self._holes, place, **how) >= 0
        return found

    def _leave(self, hit: npt.NDArray[np.intp], walls: npt.NDArray[np.intp]) -> None:
        """Send those at a wall, of these fields, away from it by the cosine law."""
        normal = np.empty((3, len(hit)))
        ahead = np.stack([np.eye(3), -np.eye(3)])[..., None] / 2
        for wall in range(len(self._fields)):
            own = walls == wall
            around = (self.place[:, hit[own]] + ahead).transpose(2, 0, 1, 3)
            before_after = self._at(around, slice(wall, wall + 1))[0]
            normal[:, own] = before_after[0] - before_after[1]
        normal *= self._side[walls, hit]
        normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
        away = normal + 0.999999 * self._any_direction(len(hit))
        self._direction[:, hit] = away / np.linalg.norm(away, axis=0)

    def _at(self, place: Values, which: slice) -> Values:
        """The values of these fields, linear between the points of the grid."""
        fields = self._fields[which]
        return np.stack([map_coordinates(each, place, order=1, mode="mirror") for each in fields])

    def _any_direction(self, number: int) -> Values:
        direction = self._random.standard_normal((3, number))
        return np.asarray(direction / np.linalg.norm(direction, axis=0))
