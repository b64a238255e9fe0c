"""The geometry of the stand-ins: an open foam, as a volume or seen from above."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from fesemlib.drying.equations import GAS_CONSTANT, MOLAR_MASS_WATER
from fesemlib.processing import FloatImage
from fesemlib.synthetic.fields import Grid, Positions, check, layered_noise, spline_weights

Generators = Sequence[np.random.Generator]
Lean = Sequence[float] | None
Fields = npt.NDArray[np.float32]  # in a volume, axes (z, y, x), or on a plane, (…, x, y)

# By the law of straight tubes k_m sets the size of what is drawn. The foam does not obey it: over
# porosity, mean speed and cell diameter its k_m was 0.054, 0.050 and 0.047 for throats of 0.2, 0.3
# and 0.4 cells (threshold 1.55, no lean, three foams each, ± 0.001; `fesemlib.volume`), where the
# law says 0.044, 0.067 and 0.089. Without any opening in its walls it is 0.030: most of what flows,
# flows where a wall is missing.
TORTUOSITY = 1.5  # assumed, usual for open foams
TEMPERATURE = 250.0  # K, assumed, typical of the product in primary drying
THROAT_TO_CELL = 0.2  # assumed; at the lower end of 0.2–0.4, Table 1 gives cells of 12–82 µm
WALL_AREA = 2.91  # wall area per volume × cell diameter in a random Voronoi foam (Meijering 1953)

CELLS_LIMIT = 200_000  # that can be made; bounds the volume that carries them to about 1 GB
VOXELS_LIMIT = 10**9  # of a volume, a byte each

# The geometry, in cell diameters unless said otherwise. Chosen by eye, but for two lengths that are
# calibrated so that the volume measures what was asked for. SEED_SPACING: the mean chord of the
# pores was 0.99 and 1.00 of what `foam_volume` promises, and the solid fraction 1.03 and 1.02, for
# 5 and 10 % solids, over 40 sections of each (standard deviation of one, 9 and 18 cells a side:
# 0.05 and 0.03). HOLE_PITCH: the openings were 0.99 of a throat, over 100 plane walls.
SEED_SPACING = 0.755  # of the lattice that the cells start from; some of them merge
SEED_SCATTER = 0.5  # of the spacing: enough that the lattice of the seeds does not show
ROD_POINTS = 4  # points that stand for the axis of a cell
ROD_LENGTH = 0.7  # median length of that axis: cells are a little longer than wide
ROD_SPREAD = 0.5  # standard deviation of the logarithm of the length
KERNEL = 0.19  # standard deviation of the kernel around a point: larger rounds the cells off
CHANNELS = 2  # neighbours have no wall between them where their random signs agree in all channels
WALL_WRINKLES = ((0.25, 0.12), (0.08, 0.05))  # scale, strength relative to the field of the cells
HOLE_PITCH = 0.56  # of the noise that perforates the walls, in throat diameters
HOLE_PERIOD = 64  # of that noise, in its pitch: seven cells, on which no wall looks twice alike
HOLE_THRESHOLDS = (1.4, 1.7)  # in its standard deviations: 3 to 11 % of a wall are open
CUT_ROUGHNESS = ((0.5, 0.06), (1.2, 0.18), (3.2, 0.15))  # scale, standard deviation
DEPTH = 1.5  # how far the rays go below the mean cut: one in twenty would go further
HEADROOM = 0.7  # how far the foam reaches above it
MARGIN = 0.15  # by which seeds reach beyond what is rendered
SURROUNDINGS = 1.0  # of foam above and below a volume that is measured: as deep inside as anywhere

# How finely it is worked out, in cell diameters unless said otherwise.
VOXEL = 0.21  # pitch of the volume that carries the cells: a little more than the kernel
MARCH_STEP = 0.09  # step of the rays
COARSE_RAYS = 0.12  # where rays are further apart, the two that follow are fine enough
COARSE_VOXEL = 0.305  # the kernel is that of the splines, or nearly
COARSE_MARCH_STEP = 0.17
RAYS_IN_CACHE = 65536  # rays that march together

EDGE_GLOW_UM = 0.5  # by how much the edge effect broadens a wall that is seen edge on
THINNEST_WALL = 0.6  # in ray spacings: a thinner one, seen edge on, would fall apart


class Structure(NamedTuple):
    """What two foams of one cell size may differ in, beside chance.

    Examples
    --------
    >>> closed = Structure(threshold=1.7, lean=(0.0, 0.0, 0.0))
    >>> closed._replace(lean=(0.0, 1.0, 0.0)).lean  # cells that grew down the image
    (0.0, 1.0, 0.0)
    """

    threshold: float  # of the noise that opens the walls, in its standard deviations: low is open
    lean: tuple[float, float, float]  # of the cells, along depth, down and across the image


def throat_diameter(k_m: float, porosity: float) -> float:
    """Diameter in m of the throats that give this k_m (m² s⁻¹) by Knudsen diffusion.

    It is the d of k_m = (ε/τ) (d/3) √(8 R T / (π M_w)), with the porosity ε, and the tortuosity τ
    and temperature T that are assumed (Knudsen, Annalen der Physik 333 (1909) 75–130). That holds
    for straight tubes; the drawn foam has another k_m, which `fesemlib.volume.stand_in_k_m` works
    out.

    Examples
    --------
    >>> diameter = throat_diameter(1.9e-3, porosity=0.97)  # formulation A
    >>> print(f"{1e6 * diameter:.0f} µm")
    16 µm
    """
    check("k_m", k_m, 0 < k_m < inf, "not a positive number; give it in m² s⁻¹, about 1e-3")
    check("porosity", porosity, 0 < porosity <= 1, "not in (0, 1]; give the pores' volume fraction")
    return 3 * k_m * TORTUOSITY / (porosity * mean_speed())


def mean_speed(temperature: float = TEMPERATURE) -> float:
    """Mean speed of the molecules of water vapour at a temperature in K, m/s."""
    return math.sqrt(8 * GAS_CONSTANT * temperature / (math.pi * MOLAR_MASS_WATER))


def cell_diameter(throat: float) -> float:
    """Mean diameter of the cells from that of the throats between them, in the same unit.

    Examples
    --------
    >>> cell_diameter(15.0)  # as the throats, in µm
    75.0
    """
    check("throat", throat, 0 < throat < inf, "not positive; give the throats' diameter")
    return throat / THROAT_TO_CELL


def wall_thickness(cell: float, porosity: float) -> float:
    """Thickness of the walls, in the unit of the cells' diameter, when all solids are in them.

    Solids over wall area per volume, which is 2.91/`cell` in a Voronoi foam (Meijering 1953).

    Examples
    --------
    >>> print(f"{wall_thickness(50.0, porosity=0.97):.2f} µm of wall around cells of 50 µm")
    0.52 µm of wall around cells of 50 µm
    """
    check("cell", cell, 0 < cell < inf, "not positive; give the diameter of the cells")
    check("porosity", porosity, 0 < porosity <= 1, "not in (0, 1]; give the pores' volume fraction")
    return (1 - porosity) * cell / WALL_AREA


def foam_volume(
    cell_um: float,
    solid_fraction: float,
    shape: tuple[int, int, int],
    voxel_um: float,
    seed: int,
    throat_to_cell: float = THROAT_TO_CELL,
) -> npt.NDArray[np.bool_]:
    """The foam that the stand-ins show, as a volume that can be measured: True in the solid.

    Parameters
    ----------
    cell_um
        Cell diameter d in µm: that of the random Voronoi foam with the same area of walls per
        volume, 2.91/d. The mean chord of the pores is 0.687 (1 − `solid_fraction`) d.
    solid_fraction
        Volume fraction of the walls, in (0, 0.5]; above 0.1 they overlap (0.19 for 0.2). They have
        their physical thickness, `wall_thickness`; let that be three voxels or more.
    shape, voxel_um
        Depth, height and width in voxels, and a voxel's edge in µm. A thin slab is a section
        through a foam that goes on.
    seed
        Fixes everything random.
    throat_to_cell
        Diameter of the openings in the walls over that of the cells, in [0.2, 0.4].

    Examples
    --------
    >>> foam = foam_volume(10.0, 0.1, (64, 64, 64), voxel_um=0.1, seed=0)
    >>> foam.shape, 0.0 < float(foam.mean()) < 0.2
    ((64, 64, 64), True)
    """
    _check_volume(shape, voxel_um, cell_um)
    problem = "not in (0, 0.5]; give the volume fraction of walls"
    check("solid_fraction", solid_fraction, 0 < solid_fraction <= 0.5, problem)
    problem = "not in [0.2, 0.4]; choose one there"
    check("throat_to_cell", throat_to_cell, 0.2 <= throat_to_cell <= 0.4, problem)
    grid = Grid(shape[1:], voxel_um / cell_um, cell_um)
    # In the midst of a foam, with one more level at either end for the slopes.
    levels = (np.arange(shape[0] + 2) + 0.5) * grid.pixel
    depth = 2 * SURROUNDINGS + len(levels) * grid.pixel
    foam = make_foam(grid, depth, SURROUNDINGS + levels, generators(seed), throat_to_cell)
    half_wall = np.float32(wall_thickness(1.0, 1 - solid_fraction) / 2)
    solid = np.empty(shape, dtype=bool)
    planes = map(foam.plane, range(len(levels)))
    (before, _), (here, holes) = next(planes), next(planes)
    for section, (after, next_holes) in zip(solid, planes, strict=True):
        distance = _distance(before, here, after, np.float32(grid.pixel))
        section[:] = ((distance < half_wall).any(axis=0) & (holes < foam.threshold)).T
        before, here, holes = here, after, next_holes
    return solid


def visible_height(
    grid: Grid, porosity: float, random: Generators, structure: Structure | None = None
) -> FloatImage:
    """Height of the first wall under each pixel, in cell diameters, zero at the mean cut.

    `random`: the first of the `generators`, from which the structure follows where none is given.
    """
    coarse = grid.pixel > COARSE_RAYS
    pitch, step = (COARSE_VOXEL, COARSE_MARCH_STEP) if coarse else (VOXEL, MARCH_STEP)
    levels = np.arange(-HEADROOM, DEPTH, step)
    foam = make_foam(
        grid, HEADROOM + DEPTH, levels + HEADROOM, random, THROAT_TO_CELL, pitch, structure
    )
    cut = layered_noise(grid.shape, grid.pixel, CUT_ROUGHNESS, random[2])
    cut = np.clip(cut, 0.1 - HEADROOM, HEADROOM - 0.1)
    wall_um = wall_thickness(grid.cell_um, porosity)
    wall = max((wall_um + EDGE_GLOW_UM) / grid.cell_um, THINNEST_WALL * grid.pixel)
    # Across the wall between two points a distance D apart, the field grows as D/(2 KERNEL²).
    half_wall = np.float32(wall / 2 * SEED_SPACING / (2 * KERNEL**2))
    depth = np.empty(grid.shape, dtype=np.float32)
    band = max(RAYS_IN_CACHE // grid.shape[1], 8)
    for start in range(0, grid.shape[0], band):
        part = slice(start, start + band)
        own_cut = np.ascontiguousarray(cut[part].T)
        depth[part] = _march(foam.part(part), own_cut, levels, half_wall).T
    return -depth


def structure_seen(grid: Grid, seed: int) -> Structure:
    """The structure of the foam that a stand-in of this seed shows on this grid."""
    for_cells, _, for_threshold = generators(seed)[0].spawn(3)
    extent = (HEADROOM + DEPTH, *(side * grid.pixel for side in grid.shape))
    depth, down, across = _rods(extent, for_cells)[1].tolist()
    return Structure(for_threshold.uniform(*HOLE_THRESHOLDS), (depth, down, across))


def generators(seed: int) -> list[np.random.Generator]:
    """For the foam, its wrinkles, the cut, the surface of the walls, focus and exposure."""
    check("seed", seed, seed >= 0, "negative; give a whole number from 0 on")
    return np.random.default_rng(seed).spawn(6)


def _check_volume(shape: tuple[int, ...], voxel_um: float, cell_um: float) -> None:
    fits = len(shape) == 3 and min(shape) >= 1 and math.prod(shape) <= VOXELS_LIMIT
    problem = f"not (depth, height, width) of 1 to {VOXELS_LIMIT:.0e} voxels in all; "
    check("shape", shape, fits, problem + "choose (200, 200, 200) or so")
    check("shape", shape, min(shape[1:]) >= 2, "sections need 2 × 2 voxels; choose larger ones")
    check("voxel_um", voxel_um, 0 < voxel_um < inf, "not positive; give the edge of a voxel in µm")
    problem = f"less than 4 voxels of {voxel_um!r} µm; choose smaller voxels"
    check("cell_um", cell_um, 4 * voxel_um <= cell_um < inf, problem)
    depth, height, width = (side * voxel_um / cell_um for side in shape)
    cells = (depth + 2 * SURROUNDINGS) * height * width
    problem = f"the volume holds {cells:.3g} cells of {cell_um:.3g} µm; choose a smaller one"
    check(f"shape {shape!r} and voxel_um", voxel_um, cells <= CELLS_LIMIT, problem)


def _rods(
    extent: Sequence[float], random: np.random.Generator, lean: Lean = None
) -> tuple[Fields, Fields]:
    """Points along the axes of elongated cells, shape (3, cells, ROD_POINTS), and their lean (3,).

    There is about one cell in each box of a lattice; the lengths are lognormal; the directions
    lean toward a common one, as ice grows: a random one, where none is given.
    """
    counts = [math.ceil((side + 2 * MARGIN) / SEED_SPACING) for side in extent]
    centres = np.indices(counts, dtype=np.float32).reshape(3, -1)
    centres += np.float32(0.5)
    centres += np.float32(SEED_SCATTER) * random.standard_normal(centres.shape, dtype=np.float32)
    centres *= np.float32(SEED_SPACING)
    centres -= np.float32(MARGIN)
    angle = random.uniform(0, math.pi)
    growth = np.array([[random.uniform(-0.6, 0.6)], [math.sin(angle)], [math.cos(angle)]])
    directions = random.standard_normal(centres.shape, dtype=np.float32)
    drawn = (random.uniform(0.3, 1.3) * growth).astype(np.float32).ravel()
    leaning = drawn if lean is None else np.asarray(lean, dtype=np.float32)
    directions += leaning[:, None]
    z, y, x = directions
    logarithms = random.standard_normal(centres.shape[1], dtype=np.float32)
    lengths = np.exp(np.float32(ROD_SPREAD) * logarithms)
    directions *= np.float32(ROD_LENGTH) * lengths / np.sqrt(z * z + y * y + x * x)
    along = np.linspace(-0.5, 0.5, ROD_POINTS, dtype=np.float32)
    return centres[:, :, None] + directions[:, :, None] * along, leaning


def _cell_volumes(
    extent: Sequence[float], pitch: float, random: np.random.Generator, lean: Lean
) -> list[Fields]:
    """Smooth volumes in [−1, 1] whose zero levels are the walls, one for each channel.

    Each cell has a random sign, carried by the points of its rod; a volume is the mean of the
    signs, weighted by a Gaussian kernel around the points. With a narrow kernel the zero level
    tends to the walls of a Voronoi diagram of the rods.
    """
    rods, _ = _rods(extent, random, lean)
    signs = random.integers(0, 2, (CHANNELS, rods.shape[1]), dtype=np.int8) * np.float32(2) - 1
    shape = tuple(math.ceil(side / pitch - 1e-6) + 4 for side in extent)
    # Shifted by 2 from the nearest knot, so that cutting off decimals rounds down.
    knots = (rods * np.float32(1 / pitch) + np.float32(4)).astype(np.int32) - 2
    near = ((knots >= 0) & (knots < np.reshape(shape, (3, 1, 1)))).all(axis=0)
    flat = np.ravel_multi_index(tuple(knots[:, near]), shape)
    sigma = math.sqrt((KERNEL / pitch) ** 2 - 1 / 3)  # the splines of the sections add the rest
    radius = math.ceil(0.5 / pitch)

    def blurred(weights: npt.NDArray[np.float32] | None) -> Fields:
        points = np.bincount(flat, weights, minlength=math.prod(shape)).astype(np.float32)
        points = points.reshape(shape)
        return np.asarray(ndimage.gaussian_filter(points, sigma, mode="nearest", radius=radius))

    total = blurred(None) + np.float32(1e-25)
    return [blurred(np.broadcast_to(sign[:, None], near.shape)[near]) / total for sign in signs]


def _hole_volume(random: np.random.Generator) -> Fields:
    """Periodic noise of unit variance on the scale of the throats, here higher and there lower."""
    fine = random.standard_normal((HOLE_PERIOD,) * 3, dtype=np.float32)
    broad = ndimage.uniform_filter(fine, 7, mode="wrap") * np.float32(7**1.5)
    return np.asarray((fine + np.float32(0.25) * broad) / np.float32(0.42))


@dataclass(frozen=True)
class Sampled:
    """A volume and the spline weights that give its values on horizontal planes."""

    volume: Fields
    levels: sparse.csr_array
    rows: sparse.csr_array
    columns: sparse.csr_array

    def part(self, rows: slice) -> Sampled:
        """The same for a band of rows."""
        weights = self.rows[rows]
        used = slice(int(weights.indices.min()), int(weights.indices.max()) + 1)
        return Sampled(self.volume[:, used], self.levels, weights[:, used], self.columns)

    def section(self, level: int) -> FloatImage:
        """The values on one plane, shape (x, y)."""
        row = slice(self.levels.indptr[level], self.levels.indptr[level + 1])
        weights, knots = self.levels.data[row], self.volume[self.levels.indices[row]]
        plane = np.einsum("k,kyx->yx", weights, knots)
        return np.asarray(self.columns @ np.ascontiguousarray((self.rows @ plane).T))


def _sampled(
    volume: Fields, pitch: float, at: Sequence[Positions], periodic: bool = False
) -> Sampled:
    """A volume of this pitch at positions along z, y and x."""
    pairs = zip(at, volume.shape, strict=True)
    weights = (spline_weights(each / pitch + 1.5, knots, periodic) for each, knots in pairs)
    return Sampled(volume, *weights)


@dataclass(frozen=True)
class Foam:
    """The fields that make a foam, under the pixels of a grid.

    Walls lie where one of `cells` and the wrinkles change sign, unless `holes` is above
    `threshold`; the volume of the holes is repeated without end.
    """

    cells: list[Sampled]
    wrinkles: Fields
    holes: Sampled
    threshold: np.float32

    def part(self, rows: slice) -> Foam:
        """The same for a band of rows."""
        cells, wrinkles = [each.part(rows) for each in self.cells], self.wrinkles[:, rows].copy()
        return Foam(cells, wrinkles, self.holes.part(rows), self.threshold)

    def plane(self, level: int) -> tuple[Fields, Fields]:
        """On one level, the fields whose zeros are walls, and that of the holes, shape (x, y)."""
        cells = [each.section(level) + self.wrinkles for each in self.cells]
        return np.stack(cells), self.holes.section(level)


def make_foam(
    grid: Grid,
    depth: float,
    levels: Positions,
    random: Generators,
    throat_to_cell: float = THROAT_TO_CELL,
    pitch: float = VOXEL,
    structure: Structure | None = None,
) -> Foam:
    """A foam of this depth under a grid, to be seen at these levels.

    `random`: the first of the `generators`, from which the structure follows where none is given;
    `pitch`: of the volumes that carry the cells.
    """
    for_cells, for_holes, for_threshold = random[0].spawn(3)
    at = (levels, *((np.arange(side) + 0.5) * grid.pixel for side in grid.shape))
    extent = (depth, *(side * grid.pixel for side in grid.shape))
    threshold, lean = structure or (for_threshold.uniform(*HOLE_THRESHOLDS), None)
    volumes = _cell_volumes(extent, pitch, for_cells, lean)
    return Foam(
        cells=[_sampled(each, pitch, at) for each in volumes],
        wrinkles=layered_noise(grid.shape, grid.pixel, WALL_WRINKLES, random[1]).T,
        holes=_sampled(_hole_volume(for_holes), HOLE_PITCH * throat_to_cell, at, periodic=True),
        threshold=np.float32(threshold),
    )


def _distance(before: Fields, here: Fields, after: Fields, voxel: np.float32) -> Fields:
    """Distance to the zero level of fields, to first order, from three successive planes."""
    across, along = np.gradient(here, voxel, axis=(1, 2))
    down = (after - before) / (2 * voxel)
    slope = np.sqrt(across * across + along * along + down * down)
    return np.asarray(np.abs(here) / np.maximum(slope, np.float32(1e-6)))


def _march(foam: Foam, cut: FloatImage, levels: Positions, half_wall: np.float32) -> FloatImage:
    """Depth of the first wall without a hole below the cut, along rays of shape (x, y)."""
    step = np.float32(levels[1] - levels[0])
    depth = np.full(cut.shape, DEPTH, dtype=np.float32)
    free = np.ones(cut.shape, dtype=bool)
    first = max(int(np.searchsorted(levels, cut.min())) - 1, 0)
    planes = map(foam.plane, range(first, len(levels)))
    tops = levels[first:-1].astype(np.float32)
    for top, (above, below) in zip(tops, pairwise(planes), strict=True):
        # Rays that may meet a wall: the field changes sign, or is small at one of the levels.
        product = np.minimum(*(above[0] * below[0]))
        near = np.flatnonzero((product < half_wall * half_wall) & free & (cut < top + step))
        (old, old_hole), (new, new_hole) = (
            (cells.reshape(CHANNELS, -1)[:, near], holes.ravel()[near])
            for cells, holes in (above, below)
        )
        begin = np.maximum((cut.ravel()[near] - top) / step, 0)
        share, hit = _first_crossing(old, new, begin, half_wall)
        hit &= old_hole + share * (new_hole - old_hole) < foam.threshold
        met = near[hit]
        depth.ravel()[met] = top + step * share[hit]
        free.ravel()[met] = False
        if not free.any():
            break
    return depth


def _first_crossing(
    above: Fields, below: Fields, begin: FloatImage, half_wall: np.float32
) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Where a ray meets the first wall on its way between two levels, and whether it does.

    Rays start at the share `begin` of the way.
    """
    start = above + begin * (below - above)
    end = np.copysign(below, below * start)  # negative beyond the middle of the wall
    start = np.abs(start)
    crossing = end < half_wall
    met = (start - half_wall) / np.maximum(start - end, np.float32(1e-6))
    share = np.minimum(*np.where(crossing, np.clip(met, 0, 1), np.float32(1)))
    return begin + (1 - begin) * share, np.logical_or(*crossing)
