"""Stand-in micrographs: a rendered open foam in place of the paper's unpublished images.

These images are *not data*. They let the book run from end to end without real micrographs, and
nothing learnt from them says anything about a real product.

Physical
    The throat between two cells follows from k_m by Knudsen's law, the porosity from the solids
    content, the cell from the throat, and the thickness of the walls from the porosity and the
    cell. `foam_volume` gives the geometry itself, in which the mean chord of the pores, the solid
    fraction and the openings of the walls can be measured. Twice the solids at the same k_m make
    walls about twice as thick; that 10 % solids are finer as well is in their lower k_m.
Assumed
    The ratio of throat to cell, the tortuosity and the temperature; the random geometry: walls
    between elongated cells, missing between some, perforated on the scale of the throats, and cut
    along a rough surface.
Cosmetic
    The microscope: yield that grows with slope and at edges, light that fades with depth, a
    charging patch streaked along the scan, defocus toward the borders, shot noise. So is the width
    of the walls that are seen edge on: real ones (0.3 to 0.8 µm for Table 1) are thinner than a
    pixel, and are drawn wider by an edge effect. A coarse pixel sees the scene along two rays
    across, not all that a frame of fine pixels would average: cells keep their place and size, but
    walls are drawn wider, what is finer than the rays is lost, and the contrast is that of a
    frame, which averaging would have lowered.

The gain, the offset and the skewness of the grey levels are drawn without regard to k_m, and the
histogram of each scene is made to follow them. The mean and the standard deviation of the raw grey
levels thus say nothing about k_m; after an averaging to fewer pixels, or a subtraction of the
background, they may.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse, special

from fesemlib.drying.equations import GAS_CONSTANT, MOLAR_MASS_WATER, porosity
from fesemlib.micrographs.reading import Micrograph
from fesemlib.processing import GreyImage

FloatImage = npt.NDArray[np.float32]  # axes (y, x)
Solid = npt.NDArray[np.bool_]  # axes (z, y, x)
Volume = npt.NDArray[np.float32]  # axes (z, y, x)

TORTUOSITY = 1.5  # assumed, usual for open foams
TEMPERATURE = 250.0  # K, assumed, typical of the product in primary drying
THROAT_TO_CELL = 0.2  # assumed; at the lower end of 0.2–0.4, Table 1 gives cells of 12–82 µm
WALL_AREA = 2.91  # wall area per volume × cell diameter in a random Voronoi foam (Meijering 1953)

# What can be made.
CELL_LIMITS_UM = (4.0, 2000.0)  # finer cells are lost between the pixels, wider ones fill the field
SIDE_LIMITS_PX = (8, 8192)
RAY_PITCH_UM = 1.05  # one ray a pixel is enough up to here, which includes the paper's frame
RAYS_PER_PIXEL = 2  # along either axis, at most
RAYS_LIMIT = 12_600_000  # four times those of the paper's frame; bounds memory to about 1 GB
CELLS_LIMIT = 200_000  # across the field; bounds the volume that carries them in the same way
LEAST_FIELD = 1.0  # shorter side in cell diameters; less of a cell does not show its size
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

# The microscope: assumed, chosen by eye.
EDGE_GLOW_UM = 0.5  # by how much the edge effect broadens a wall that is seen edge on
THINNEST_WALL = 0.6  # in ray spacings: a thinner one, seen edge on, would fall apart
EDGE_EFFECT_UM = 1.5  # width of the bright lines along edges
DEPTH_FADE = 2.0  # logarithm by which light fades over a cell diameter of depth
GRAIN_UM = (2.0, 6.0)  # scales of the roughness of a wall
GRAIN_HEIGHT_UM = 0.3  # its standard deviation on each scale
DEFOCUS_UM = (2.5, 4.5)  # standard deviation of the blur in the corners
SHARP_RADIUS = 0.3  # of the half diagonal: where the blur begins
CHARGING_LOSS = (0.25, 0.6)  # share of the signal lost in the middle of the patch
CHARGING_SIZE = (0.15, 0.35)  # standard deviation of the patch, of the sides of the field
STREAKS = 0.1  # standard deviation of that loss from scan line to scan line, relative to it
STREAK_HEIGHT = 0.004  # of the field
MEAN_GREY = (90.0, 125.0)  # the operator's choice, before charging
GREY_DEVIATION = (22.0, 38.0)
SKEWNESS = (0.2, 0.4)  # standard deviation of the logarithm of the grey level
TONE_RANGE = 2.6  # standard deviations of that logarithm at which bright and dark saturate
TONES = 16384  # brightnesses that are told apart; more than enough for 8 bits
SHOT_NOISE = (0.4, 0.8)  # standard deviation over the square root of the grey level


def throat_diameter(
    k_m: float,
    porosity: float,
    tortuosity: float = TORTUOSITY,
    temperature: float = TEMPERATURE,
) -> float:
    """Diameter of the throats that give this mass transfer coefficient by Knudsen diffusion.

    Parameters
    ----------
    k_m
        Mass transfer coefficient, m² s⁻¹.
    porosity
        Volume fraction of the pores, in (0, 1].
    tortuosity
        Length of the path of the vapour over the thickness of the cake, at least 1.
    temperature
        Temperature of the vapour, K.

    Returns
    -------
    float
        Diameter d in m, from k_m = (ε/τ) (d/3) √(8 R T / (π M_w)).

    Raises
    ------
    ValueError
        When a parameter is outside its range.

    References
    ----------
    M. Knudsen, Annalen der Physik 333 (1909) 75–130.

    Examples
    --------
    >>> diameter = throat_diameter(1.9e-3, porosity=0.97)  # formulation A
    >>> print(f"{1e6 * diameter:.0f} µm")
    16 µm
    """
    if not 0 < k_m < math.inf:
        raise ValueError(f"k_m {k_m!r}: not a positive number; give it in m² s⁻¹, about 1e-3")
    _check_porosity(porosity)
    if not 1 <= tortuosity < math.inf:
        raise ValueError(f"tortuosity {tortuosity!r}: below 1; a path is no shorter than the cake")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature!r}: not positive; give it in K, about 250")
    mean_speed = math.sqrt(8 * GAS_CONSTANT * temperature / (math.pi * MOLAR_MASS_WATER))
    return 3 * k_m * tortuosity / (porosity * mean_speed)


def cell_diameter(throat: float, throat_to_cell: float = THROAT_TO_CELL) -> float:
    """Mean diameter of the cells that a micrograph shows, from that of the throats between them.

    Parameters
    ----------
    throat
        Diameter of the throats, in any unit of length.
    throat_to_cell
        Ratio of the two diameters, in [0.2, 0.4] (assumed).

    Returns
    -------
    float
        Diameter in the unit of `throat`.

    Raises
    ------
    ValueError
        When `throat` is not positive or the ratio is outside its range.

    Examples
    --------
    >>> cell_diameter(15.0)  # as the throats, in µm
    75.0
    """
    if not 0 < throat < math.inf:
        raise ValueError(f"throat {throat!r}: not positive; give the diameter of the throats")
    _check_throat_to_cell(throat_to_cell)
    return throat / throat_to_cell


def wall_thickness(cell: float, porosity: float) -> float:
    """Thickness of the walls when all solids are in walls of equal thickness.

    Parameters
    ----------
    cell
        Diameter of the cells, in any unit of length.
    porosity
        Volume fraction of the pores, in (0, 1].

    Returns
    -------
    float
        Thickness in the unit of `cell`: solids fraction over wall area per volume, which is that
        of a random Voronoi foam, 2.91/`cell`.

    Raises
    ------
    ValueError
        When `cell` is not positive or `porosity` is not in (0, 1].

    References
    ----------
    J. L. Meijering, Philips Research Reports 8 (1953) 270–290.

    Examples
    --------
    >>> print(f"{wall_thickness(50.0, porosity=0.97):.2f} µm of wall around cells of 50 µm")
    0.52 µm of wall around cells of 50 µm
    """
    if not 0 < cell < math.inf:
        raise ValueError(f"cell {cell!r}: not positive; give the diameter of the cells")
    _check_porosity(porosity)
    return (1 - porosity) * cell / WALL_AREA


def foam_volume(
    cell_um: float,
    solid_fraction: float,
    shape: tuple[int, int, int],
    voxel_um: float,
    seed: int,
    throat_to_cell: float = THROAT_TO_CELL,
) -> Solid:
    """The foam that the stand-ins show, as a volume that can be measured.

    The fields are those that `synthesize_micrograph` cuts and renders; here the walls have their
    physical thickness, which the pixels of a frame cannot resolve.

    Parameters
    ----------
    cell_um
        Cell diameter in µm: that of the random Voronoi foam with the same area of walls per
        volume, S = 2.91/d. A line meets S/2 walls per length, so the mean chord of the pores is
        2 (1 − `solid_fraction`)/S = 0.687 (1 − `solid_fraction`) d, openings passed included.
    solid_fraction
        Volume fraction of the walls, in (0, 0.5]. Above 0.1 walls overlap, and less is solid than
        asked for, 0.19 for 0.2.
    shape
        Depth, height and width in voxels. A thin slab is a section through a foam that goes on.
    voxel_um
        Edge of a voxel in µm. Walls are `wall_thickness(cell_um, 1 - solid_fraction)` thick; let
        that be three voxels or more.
    seed
        Fixes everything random.
    throat_to_cell
        Diameter of the openings in the walls over that of the cells, in [0.2, 0.4].

    Returns
    -------
    ndarray of bool, shape (z, y, x)
        True in the solid.

    Raises
    ------
    ValueError
        When a parameter is outside what can be made; the message names it.

    References
    ----------
    J. L. Meijering, Philips Research Reports 8 (1953) 270–290.

    Examples
    --------
    >>> foam = foam_volume(10.0, 0.1, (64, 64, 64), voxel_um=0.1, seed=0)
    >>> foam.shape, foam.dtype.name
    ((64, 64, 64), 'bool')
    >>> 0.0 < float(foam.mean()) < 0.2
    True
    """
    _check_seed(seed)
    _check_volume(cell_um, solid_fraction, shape, voxel_um, throat_to_cell)
    voxel = voxel_um / cell_um
    depth, height, width = shape
    # In the midst of a foam, with one more level at either end for the slopes.
    z = SURROUNDINGS + (np.arange(depth + 2) + 0.5) * voxel
    for_foam, for_wrinkles, _ = _generators(seed)[:3]
    extent = (2 * SURROUNDINGS + len(z) * voxel, height * voxel, width * voxel)
    foam = _make_foam(extent, VOXEL, throat_to_cell, for_foam)
    grid = _Grid((height, width), voxel, cell_um)
    wrinkles = _layered_noise(grid, WALL_WRINKLES, for_wrinkles).T
    half_wall = np.float32(wall_thickness(1.0, 1 - solid_fraction) / 2)
    sections = _sections(foam, z, grid)
    planes = [sections.cells(0, wrinkles), sections.cells(1, wrinkles)]
    solid = np.empty(shape, dtype=bool)
    for level in range(depth):
        planes.append(sections.cells(level + 2, wrinkles))
        walls = np.zeros((width, height), dtype=bool)
        for before, here, after in zip(*planes, strict=True):
            walls |= _distance(before, here, after, np.float32(voxel)) < half_wall
        solid[level] = (walls & (sections.holes(level + 1) < foam.threshold)).T
        del planes[0]
    return solid


def wall_openings(
    throat_um: float, shape: tuple[int, int], pixel_size_um: float, seed: int
) -> npt.NDArray[np.bool_]:
    """The openings of a plane wall, made as those of the foam are.

    Parameters
    ----------
    throat_um
        Diameter of the openings in µm: their mean chord is π/4 of it, as that of a disc.
    shape
        Height and width in px.
    pixel_size_um
        Edge of a pixel in µm.
    seed
        Fixes everything random.

    Returns
    -------
    ndarray of bool, shape (y, x)
        True in the openings.

    Raises
    ------
    ValueError
        When a parameter is outside what can be made; the message names it.

    Examples
    --------
    >>> openings = wall_openings(8.0, (64, 64), pixel_size_um=1.0, seed=0)
    >>> openings.shape, bool(openings.any()), bool(openings.all())
    ((64, 64), True, False)
    """
    _check_seed(seed)
    if not 0 < throat_um < math.inf:
        raise ValueError(f"throat_um {throat_um!r}: not positive; give it in µm, about 8")
    _check_shape(shape, pixel_size_um)
    for_foam = _generators(seed)[0]
    _, for_holes, for_threshold = for_foam.spawn(3)
    pixel = pixel_size_um / throat_um
    y, x = ((np.arange(side) + 0.5) * pixel for side in shape)
    holes = _Sampled.at(_hole_volume(for_holes), HOLE_PITCH, np.zeros(1), y, x, periodic=True)
    return np.asarray(holes.section(0) >= _hole_threshold(for_threshold)).T


def synthesize_micrograph(
    k_m: float,
    seed: int,
    shape: tuple[int, int] = (1536, 2048),
    pixel_size_um: float = 2000 / 2048,
    solids_percent: float = 5.0,
) -> Micrograph:
    """Render a stand-in for the FESEM micrograph of a cake with this mass transfer coefficient.

    Parameters
    ----------
    k_m
        Mass transfer coefficient, m² s⁻¹. The finer the cells, the longer it takes.
    seed
        Fixes everything random; the same arguments give the same bytes.
    shape
        Height and width in px.
    pixel_size_um
        Edge of a pixel in µm. The same seed shows the same cells, of the same size in µm, whatever
        the pixel; coarse pixels see them along fewer rays.
    solids_percent
        Solids in the solution, mass %.

    Returns
    -------
    Micrograph
        With `image` uint8 of `shape` and no data bar.

    Raises
    ------
    ValueError
        When a parameter is outside what can be rendered, or the field is less than one cell across
        its shorter side; the message names what is wrong.

    Examples
    --------
    >>> micrograph = synthesize_micrograph(1.0e-3, seed=0, shape=(96, 128))
    >>> micrograph.image.shape, micrograph.image.dtype.name, round(micrograph.pixel_size_um, 3)
    ((96, 128), 'uint8', 0.977)
    >>> again = synthesize_micrograph(1.0e-3, seed=0, shape=(96, 128))
    >>> np.array_equal(micrograph.image, again.image)
    True
    """
    _check_seed(seed)
    cell_um = _cell_um(k_m, solids_percent)
    factor = _supersampling(shape, pixel_size_um)
    _check_cells(shape, pixel_size_um, cell_um)
    grid = _Grid((shape[0] * factor, shape[1] * factor), pixel_size_um / factor / cell_um, cell_um)
    for_foam, for_wrinkles, for_cut, for_walls, for_focus, for_exposure = _generators(seed)
    extent = (HEADROOM + DEPTH, grid.shape[0] * grid.pixel, grid.shape[1] * grid.pixel)
    foam = _make_foam(extent, _voxel(grid), THROAT_TO_CELL, for_foam)
    wall_um = wall_thickness(cell_um, porosity(solids_percent))
    cut = _layered_noise(grid, CUT_ROUGHNESS, for_cut)
    wrinkles = _layered_noise(grid, WALL_WRINKLES, for_wrinkles)
    height = _render_height(foam, grid, cut, wrinkles, wall_um)
    scene = _average_blocks(_defocus(_shade(height, grid, for_walls), grid, for_focus), factor)
    return Micrograph(
        image=_expose(scene, pixel_size_um, for_exposure), pixel_size_um=pixel_size_um
    )


@dataclass(frozen=True)
class _Grid:
    """The pixels that are rendered: their number, and their edge in cell diameters."""

    shape: tuple[int, int]
    pixel: float
    cell_um: float

    def from_um(self, length_um: float) -> float:
        """A length in µm, in px."""
        return length_um / (self.pixel * self.cell_um)

    def from_cells(self, length: float) -> float:
        """A length in cell diameters, in px."""
        return length / self.pixel


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"seed {seed!r}: negative; give a whole number from 0 on")


def _check_shape(shape: tuple[int, int], pixel_size_um: float) -> None:
    low, high = SIDE_LIMITS_PX
    if len(shape) != 2 or not all(low <= side <= high for side in shape):
        raise ValueError(
            f"shape {shape!r}: not a height and a width of {low} to {high} px each; "
            "choose 1536 and 2048 or so"
        )
    if not 0 < pixel_size_um < math.inf:
        raise ValueError(
            f"pixel_size_um {pixel_size_um!r}: not positive; give the edge of a pixel in µm"
        )


def _check_volume(
    cell_um: float,
    solid_fraction: float,
    shape: tuple[int, int, int],
    voxel_um: float,
    throat_to_cell: float,
) -> None:
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > VOXELS_LIMIT:
        raise ValueError(
            f"shape {shape!r}: not (depth, height, width) of 1 to {VOXELS_LIMIT:.0e} voxels in "
            "all; choose (200, 200, 200) or so"
        )
    if min(shape[1:]) < 2:
        raise ValueError(f"shape {shape!r}: sections need 2 × 2 voxels; choose larger ones")
    if not 0 < voxel_um < math.inf:
        raise ValueError(f"voxel_um {voxel_um!r}: not positive; give the edge of a voxel in µm")
    if not 4 * voxel_um <= cell_um < math.inf:
        raise ValueError(
            f"cell_um {cell_um!r}: less than 4 voxels of {voxel_um!r} µm; choose smaller voxels"
        )
    if not 0 < solid_fraction <= 0.5:
        raise ValueError(
            f"solid_fraction {solid_fraction!r}: not in (0, 0.5]; give the volume fraction of walls"
        )
    _check_throat_to_cell(throat_to_cell)
    depth, height, width = (side * voxel_um / cell_um for side in shape)
    cells = (depth + 2 * SURROUNDINGS) * height * width
    if cells > CELLS_LIMIT:
        raise ValueError(
            f"shape {shape!r} and voxel_um {voxel_um!r}: the volume holds {cells:.3g} cells of "
            f"{cell_um:.3g} µm; choose a smaller one"
        )


def _check_throat_to_cell(throat_to_cell: float) -> None:
    if not 0.2 <= throat_to_cell <= 0.4:
        raise ValueError(f"throat_to_cell {throat_to_cell!r}: not in [0.2, 0.4]; choose one there")


def _check_porosity(porosity: float) -> None:
    if not 0 < porosity <= 1:
        raise ValueError(f"porosity {porosity!r}: not in (0, 1]; give the volume fraction of pores")


def _cell_um(k_m: float, solids_percent: float) -> float:
    throat = throat_diameter(k_m, porosity(solids_percent))
    um_per_k_m = 1e6 * cell_diameter(throat_diameter(1.0, porosity(solids_percent)))
    low, high = (limit / um_per_k_m for limit in CELL_LIMITS_UM)
    if not low <= k_m <= high:
        lowest = Context(prec=3, rounding=ROUND_CEILING).create_decimal_from_float(low)
        highest = Context(prec=3, rounding=ROUND_FLOOR).create_decimal_from_float(high)
        raise ValueError(
            f"k_m {k_m!r}: gives cells of {um_per_k_m * k_m:.3g} µm, but only "
            f"{CELL_LIMITS_UM[0]:g}–{CELL_LIMITS_UM[1]:g} µm can be rendered; with solids_percent "
            f"{solids_percent!r} give k_m from {lowest:.2e} to {highest:.2e} m² s⁻¹"
        )
    return 1e6 * cell_diameter(throat)


def _supersampling(shape: tuple[int, int], pixel_size_um: float) -> int:
    _check_shape(shape, pixel_size_um)
    factor = min(math.ceil(pixel_size_um / RAY_PITCH_UM), RAYS_PER_PIXEL)
    rays = shape[0] * shape[1] * factor**2
    if rays > RAYS_LIMIT:
        raise ValueError(
            f"shape {shape!r} and pixel_size_um {pixel_size_um!r}: {rays} rays are too many to "
            f"render; stay below {RAYS_LIMIT // factor**2} px"
        )
    return factor


def _check_cells(shape: tuple[int, int], pixel_size_um: float, cell_um: float) -> None:
    height, width = (side * pixel_size_um / cell_um for side in shape)
    cells = height * width
    if cells > CELLS_LIMIT:
        raise ValueError(
            f"shape {shape!r} and pixel_size_um {pixel_size_um!r}: the field holds {cells:.3g} "
            f"cells of {cell_um:.3g} µm, but at most {CELLS_LIMIT} can be rendered; choose a "
            "smaller field (fewer or smaller pixels) or a larger k_m"
        )
    if min(height, width) < LEAST_FIELD:
        raise ValueError(
            f"shape {shape!r} and pixel_size_um {pixel_size_um!r}: the field's shorter side is "
            f"{min(shape) * pixel_size_um:.3g} µm, less than one cell of {cell_um:.3g} µm; "
            "choose a larger field (more or larger pixels) or a smaller k_m"
        )


# ------------------------------------------------------------------------------- smooth fields


def _spline_weights(
    positions: npt.NDArray[np.floating], knots: int, periodic: bool = False
) -> sparse.csr_array:
    """Weights of the cubic B-splines of `knots` knots at these positions, one row each."""
    first = np.floor(positions).astype(int) - 1
    if not periodic:
        first = np.clip(first, 0, knots - 4)
    t = positions - first - 1
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    columns = (first[:, None] + np.arange(4)) % knots
    rows = np.arange(0, 4 * len(positions) + 1, 4)
    return sparse.csr_array(
        ((weights / 6).ravel().astype(np.float32), columns.ravel(), rows),
        shape=(len(positions), knots),
    )


def _pixel_weights(length: int, step: float) -> sparse.csr_array:
    """Spline weights for `length` pixels, `step` knots apart, with a margin of knots."""
    positions = (np.arange(length) + 0.5) * step + 1.5
    return _spline_weights(positions, math.ceil(length * step - 1e-6) + 4)


def _upsample(knots: FloatImage, rows: sparse.csr_array, columns: sparse.csr_array) -> FloatImage:
    return np.asarray(rows @ np.ascontiguousarray((columns @ knots.T).T), dtype=np.float32)


def _smooth_noise(
    shape: tuple[int, int], spacing: float, random: np.random.Generator
) -> FloatImage:
    """Noise of zero mean and unit variance without features finer than `spacing` px.

    Where these would be finer than a pixel, they average out, and there is none.
    """
    if spacing < 1:
        return np.zeros(shape, dtype=np.float32)
    step = 1 / spacing
    rows, columns = _pixel_weights(shape[0], step), _pixel_weights(shape[1], step)
    knots = random.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    knots /= np.float32(0.48)  # mean of the sum of the squared weights, in two dimensions
    return _upsample(knots, rows, columns)


def _wide_blur(image: FloatImage, sigma: float) -> FloatImage:
    """A Gaussian blur, worked out on a coarser grid when it is wide."""
    step = max(int(sigma / 2.5), 1)
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(image, sigma, mode="reflect", truncate=3.0))
    height, width = image.shape
    padded = np.pad(image, ((0, -height % step), (0, -width % step)), mode="edge")
    coarse = _average_blocks(padded, step)
    # The spline adds a third of a squared step to the variance, the block average a twelfth.
    coarse_sigma = math.sqrt(max((sigma / step) ** 2 - 5 / 12, 0.1))
    coarse = ndimage.gaussian_filter(coarse, coarse_sigma, mode="reflect", truncate=3.0)
    coarse = np.pad(coarse, 2, mode="edge")
    rows = _spline_weights((np.arange(height) + 0.5) / step + 1.5, coarse.shape[0])
    columns = _spline_weights((np.arange(width) + 0.5) / step + 1.5, coarse.shape[1])
    return _upsample(coarse, rows, columns)


def _average_blocks(image: FloatImage, factor: int) -> FloatImage:
    if factor == 1:
        return image
    height, width = image.shape
    blocks = image.reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


# ------------------------------------------------------------------------------------ geometry


@dataclass(frozen=True)
class _Foam:
    """The fields that make a foam; lengths in cell diameters.

    Walls lie where one of `cells` changes sign, unless `holes` is above `threshold`. The volumes
    have axes (z, y, x); that of the holes is repeated without end.
    """

    cells: list[Volume]
    pitch: float
    holes: Volume
    hole_pitch: float
    threshold: np.float32


@dataclass(frozen=True)
class _Sampled:
    """A volume and the spline weights that give its values on horizontal planes."""

    volume: Volume
    levels: sparse.csr_array
    rows: sparse.csr_array
    columns: sparse.csr_array

    @classmethod
    def at(
        cls,
        volume: Volume,
        pitch: float,
        z: npt.NDArray[np.floating],
        y: npt.NDArray[np.floating],
        x: npt.NDArray[np.floating],
        periodic: bool = False,
    ) -> _Sampled:
        """Sample a volume of this pitch at these positions."""
        return cls(
            volume,
            *(
                _spline_weights(positions / pitch + 1.5, knots, periodic)
                for positions, knots in zip((z, y, x), volume.shape, strict=True)
            ),
        )

    def part(self, rows: slice) -> _Sampled:
        """The same for a band of rows."""
        weights = self.rows[rows]
        used = slice(int(weights.indices.min()), int(weights.indices.max()) + 1)
        return _Sampled(self.volume[:, used], self.levels, weights[:, used], self.columns)

    def section(self, level: int) -> FloatImage:
        """The values on one plane, shape (x, y)."""
        row = slice(self.levels.indptr[level], self.levels.indptr[level + 1])
        weights, knots = self.levels.data[row], self.volume[self.levels.indices[row]]
        plane = np.einsum("k,kyx->yx", weights, knots)
        return np.asarray(self.columns @ np.ascontiguousarray((self.rows @ plane).T))


@dataclass(frozen=True)
class _Sections:
    """The fields of a foam on horizontal planes, shape (x, y)."""

    cell_fields: list[_Sampled]
    hole_field: _Sampled

    def part(self, rows: slice) -> _Sections:
        """The same for a band of rows."""
        cells = [field.part(rows) for field in self.cell_fields]
        return _Sections(cells, self.hole_field.part(rows))

    def cells(self, level: int, wrinkles: FloatImage) -> list[FloatImage]:
        """The fields whose zero levels are the walls."""
        return [field.section(level) + wrinkles for field in self.cell_fields]

    def holes(self, level: int) -> FloatImage:
        """The field that perforates the walls."""
        return self.hole_field.section(level)


def _generators(seed: int) -> list[np.random.Generator]:
    """For the foam, its wrinkles, the cut, the surface of the walls, focus and exposure."""
    return np.random.default_rng(seed).spawn(6)


def _sections(foam: _Foam, z: npt.NDArray[np.floating], grid: _Grid) -> _Sections:
    """A foam under the pixels of a grid, at these depths."""
    y, x = ((np.arange(side) + 0.5) * grid.pixel for side in grid.shape)
    return _Sections(
        [_Sampled.at(cells, foam.pitch, z, y, x) for cells in foam.cells],
        _Sampled.at(foam.holes, foam.hole_pitch, z, y, x, periodic=True),
    )


def _voxel(grid: _Grid) -> float:
    """Pitch of the volume that carries the cells: coarser where few rays look at a cell."""
    return VOXEL if grid.pixel <= COARSE_RAYS else COARSE_VOXEL


def _make_foam(
    extent: tuple[float, float, float],
    pitch: float,
    throat_to_cell: float,
    random: np.random.Generator,
) -> _Foam:
    for_cells, for_holes, for_threshold = random.spawn(3)
    return _Foam(
        cells=_cell_volumes(extent, pitch, for_cells),
        pitch=pitch,
        holes=_hole_volume(for_holes),
        hole_pitch=HOLE_PITCH * throat_to_cell,
        threshold=_hole_threshold(for_threshold),
    )


def _layered_noise(
    grid: _Grid, layers: tuple[tuple[float, float], ...], random: np.random.Generator
) -> FloatImage:
    """Sum of noises, each of a scale in cell diameters and a standard deviation."""
    total = np.zeros(grid.shape, dtype=np.float32)
    for (scale, deviation), own in zip(layers, random.spawn(len(layers)), strict=True):
        total += np.float32(deviation) * _smooth_noise(grid.shape, grid.from_cells(scale), own)
    return total


def _rods(
    extent: tuple[float, float, float], random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Points along the axes of elongated cells, shape (3, cells, ROD_POINTS).

    There is about one cell in each box of a lattice; the lengths are lognormal; the directions
    lean toward a common one, as ice grows.
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
    directions += (random.uniform(0.3, 1.3) * growth).astype(np.float32)
    z, y, x = directions
    lengths = np.exp(
        np.float32(ROD_SPREAD) * random.standard_normal(centres.shape[1], dtype=np.float32)
    )
    directions *= np.float32(ROD_LENGTH) * lengths / np.sqrt(z * z + y * y + x * x)
    along = np.linspace(-0.5, 0.5, ROD_POINTS, dtype=np.float32)
    return centres[:, :, None] + directions[:, :, None] * along


def _cell_volumes(
    extent: tuple[float, float, float], pitch: float, random: np.random.Generator
) -> list[Volume]:
    """Smooth volumes in [−1, 1] whose zero levels are the walls, one for each channel.

    Each cell has a random sign, carried by the points of its rod; a volume is the mean of the
    signs, weighted by a Gaussian kernel around the points. With a narrow kernel the zero level
    tends to the walls of a Voronoi diagram of the rods.
    """
    rods = _rods(extent, random)
    signs = random.integers(0, 2, (CHANNELS, rods.shape[1]), dtype=np.int8) * np.float32(2) - 1
    shape = tuple(math.ceil(side / pitch - 1e-6) + 4 for side in extent)
    flat, near = np.zeros(rods.shape[1:], dtype=np.int32), np.ones(rods.shape[1:], dtype=bool)
    for positions, knots in zip(rods, shape, strict=True):
        # Shifted by 2 from the nearest knot, so that cutting off decimals rounds down.
        knot = (positions * np.float32(1 / pitch) + np.float32(4)).astype(np.int32) - 2
        near &= (knot >= 0) & (knot < knots)
        flat = flat * np.int32(knots) + knot
    flat = flat[near]
    sigma = math.sqrt((KERNEL / pitch) ** 2 - 1 / 3)  # the splines of the sections add the rest
    radius = math.ceil(0.5 / pitch)

    def blurred(weights: npt.NDArray[np.float32] | None) -> Volume:
        points = np.bincount(flat, weights, minlength=math.prod(shape)).astype(np.float32)
        return np.asarray(
            ndimage.gaussian_filter(points.reshape(shape), sigma, mode="nearest", radius=radius)
        )

    total = blurred(None) + np.float32(1e-25)
    return [blurred(np.broadcast_to(sign[:, None], near.shape)[near]) / total for sign in signs]


def _hole_volume(random: np.random.Generator) -> Volume:
    """Periodic noise of unit variance on the scale of the throats, here higher and there lower."""
    fine = random.standard_normal((HOLE_PERIOD,) * 3, dtype=np.float32)
    broad = ndimage.uniform_filter(fine, 7, mode="wrap") * np.float32(7**1.5)
    return np.asarray((fine + np.float32(0.25) * broad) / np.float32(0.42))


def _hole_threshold(random: np.random.Generator) -> np.float32:
    return np.float32(random.uniform(*HOLE_THRESHOLDS))


def _distance(
    before: FloatImage, here: FloatImage, after: FloatImage, voxel: np.float32
) -> FloatImage:
    """Distance to the zero level of a field, to first order, from three successive planes."""
    across, along = np.gradient(here, voxel)
    down = (after - before) / (2 * voxel)
    slope = np.sqrt(across * across + along * along + down * down)
    return np.asarray(np.abs(here) / np.maximum(slope, np.float32(1e-6)))


def _render_height(
    foam: _Foam, grid: _Grid, cut: FloatImage, wrinkles: FloatImage, wall_um: float
) -> FloatImage:
    """Height of the first wall under each pixel, in cell diameters, zero at the mean cut."""
    wall = max((wall_um + EDGE_GLOW_UM) / grid.cell_um, THINNEST_WALL * grid.pixel)
    # Across the wall between two points a distance D apart, the field grows as D/(2 KERNEL²).
    half_wall = np.float32(wall / 2 * SEED_SPACING / (2 * KERNEL**2))
    cut = np.clip(cut, 0.1 - HEADROOM, HEADROOM - 0.1)
    step = MARCH_STEP if grid.pixel <= COARSE_RAYS else COARSE_MARCH_STEP
    levels = np.arange(-HEADROOM, DEPTH, step)
    sections = _sections(foam, levels + HEADROOM, grid)
    depth = np.empty(grid.shape, dtype=np.float32)
    band = max(RAYS_IN_CACHE // grid.shape[1], 8)
    for start in range(0, grid.shape[0], band):
        part = slice(start, start + band)
        rays = _Rays(np.ascontiguousarray(cut[part].T), np.ascontiguousarray(wrinkles[part].T))
        depth[part] = _march(sections.part(part), rays, levels, half_wall, foam.threshold).T
    return -depth


@dataclass(frozen=True)
class _Rays:
    """Vertical rays, shape (x, y): the depth of the cut, where they start, and the wrinkles."""

    cut: FloatImage
    wrinkles: FloatImage


def _march(
    sections: _Sections,
    rays: _Rays,
    levels: npt.NDArray[np.floating],
    half_wall: np.float32,
    threshold: np.float32,
) -> FloatImage:
    """Depth of the first wall without a hole below the cut."""
    step = np.float32(levels[1] - levels[0])
    depth = np.full(rays.cut.shape, DEPTH, dtype=np.float32)
    free = np.ones(rays.cut.shape, dtype=bool)
    first = max(int(np.searchsorted(levels, rays.cut.min())) - 1, 0)
    above, holes_above = sections.cells(first, rays.wrinkles), sections.holes(first)
    for level in range(first, len(levels) - 1):
        below, holes_below = sections.cells(level + 1, rays.wrinkles), sections.holes(level + 1)
        top = np.float32(levels[level])
        # Rays that may meet a wall: the field changes sign, or is small at one of the levels.
        product = np.minimum(*(old * new for old, new in zip(above, below, strict=True)))
        near = np.flatnonzero((product < half_wall * half_wall) & free & (rays.cut < top + step))
        begin = np.maximum((rays.cut.ravel()[near] - top) / step, 0)
        share, hit = _first_crossing(
            [field.ravel()[near] for field in above],
            [field.ravel()[near] for field in below],
            begin,
            half_wall,
        )
        hole = holes_above.ravel()[near]
        hole += share * (holes_below.ravel()[near] - hole)
        hit &= hole < threshold
        met = near[hit]
        depth.ravel()[met] = top + step * share[hit]
        free.ravel()[met] = False
        if not free.any():
            break
        above, holes_above = below, holes_below
    return depth


def _first_crossing(
    above: list[FloatImage], below: list[FloatImage], begin: FloatImage, half_wall: np.float32
) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Where a ray meets the first wall on its way between two levels, and whether it does.

    Rays start at the share `begin` of the way.
    """
    share = np.ones(begin.shape, dtype=np.float32)
    hit = np.zeros(begin.shape, dtype=bool)
    for old, new in zip(above, below, strict=True):
        start = old + begin * (new - old)
        end = np.copysign(new, new * start)  # negative beyond the middle of the wall
        start = np.abs(start)
        crossing = end < half_wall
        met = (start - half_wall) / np.maximum(start - end, np.float32(1e-6))
        np.minimum(share, np.clip(met, 0, 1, out=met), out=share, where=crossing)
        hit |= crossing
    return begin + (1 - begin) * share, hit


# ---------------------------------------------------------------------------------- microscope


def _shade(height: FloatImage, grid: _Grid, random: np.random.Generator) -> FloatImage:
    """Brightness of the scene, in arbitrary units.

    The yield of secondary electrons grows with the slope, at edges and towards the detector on
    one side; it falls with depth and where higher walls stand around.
    """
    azimuth = random.uniform(0, 2 * math.pi)
    relief = height / np.float32(grid.pixel)  # px, as the steps across are
    grain = np.zeros(grid.shape, dtype=np.float32)
    for scale, own in zip(GRAIN_UM, random.spawn(len(GRAIN_UM)), strict=True):
        grain += _smooth_noise(grid.shape, grid.from_um(scale), own)
    grain *= np.float32(grid.from_um(GRAIN_HEIGHT_UM))
    toward, tilt = _slopes(relief, grain, azimuth)
    edge = _prominence(relief, max(grid.from_um(EDGE_EFFECT_UM), 0.7), 0.06 / grid.pixel)
    rim = _prominence(relief, grid.from_cells(0.12), 0.2 / grid.pixel)
    sky = _prominence(relief, grid.from_cells(0.5), 0.6 / grid.pixel)
    light = 0.35 + 0.45 * tilt + 0.18 * toward + 0.35 * rim + 0.3 * sky
    light += np.where(edge > 0, np.float32(0.45), np.float32(0.15)) * edge
    sunk = height - _wide_blur(height, grid.from_cells(1.5))
    return np.asarray(np.maximum(light, 0.03) * np.exp(DEPTH_FADE * sunk), dtype=np.float32)


def _slopes(relief: FloatImage, grain: FloatImage, azimuth: float) -> tuple[FloatImage, FloatImage]:
    """Inclination toward the detector, in [−1, 1], and away from the beam, in [0, 1]."""
    down, right = np.gradient(ndimage.gaussian_filter(relief, 0.7) + grain)
    cosine = 1 / np.sqrt(1 + down * down + right * right)
    toward = down * np.float32(math.sin(azimuth)) + right * np.float32(math.cos(azimuth))
    return toward * cosine, 1 - cosine


def _prominence(relief: FloatImage, sigma: float, scale: float) -> FloatImage:
    """How far a point stands above its surroundings, from −1 to 1."""
    return np.asarray(np.tanh((relief - _wide_blur(relief, sigma)) / np.float32(scale)))


def _defocus(scene: FloatImage, grid: _Grid, random: np.random.Generator) -> FloatImage:
    """Blur that grows from about the centre of the field to its borders."""
    worst = grid.from_um(random.uniform(*DEFOCUS_UM))
    y, x = (
        np.linspace(-1, 1, side, dtype=np.float32) - np.float32(random.uniform(-0.15, 0.15))
        for side in grid.shape
    )
    radius = np.sqrt((y[:, None] ** 2 + x**2) / 2)
    amount = np.clip((radius - SHARP_RADIUS) / (1 - SHARP_RADIUS), 0, 1)
    half_blurred = _wide_blur(scene, 0.4 * worst)
    fully_blurred = _wide_blur(scene, worst)
    blurred = scene + np.minimum(2 * amount, 1) * (half_blurred - scene)
    blurred += np.maximum(2 * amount - 1, 0) * (fully_blurred - half_blurred)
    return np.asarray(blurred)


def _charging(shape: tuple[int, int], random: np.random.Generator) -> FloatImage:
    """The share of the signal that a broad patch of charge leaves, streaked along the scan."""
    y, x = (
        (np.linspace(0, 1, side, dtype=np.float32) - np.float32(random.uniform(0.1, 0.9)))
        / np.float32(random.uniform(*CHARGING_SIZE))
        for side in shape
    )
    outline = np.exp(np.float32(0.4) * _smooth_noise(shape, max(shape) / 5, random))
    patch = np.exp((y[:, None] ** 2 + x**2) * outline / -2)
    lines = _smooth_noise((shape[0], 1), shape[0] * STREAK_HEIGHT, random)
    loss = np.float32(random.uniform(*CHARGING_LOSS)) * (1 + np.float32(STREAKS) * lines)
    return np.asarray(1 - loss * patch)


def _tone(scene: FloatImage, skewness: float) -> FloatImage:
    """The scene with a given histogram: log-normal, of zero mean and unit standard deviation.

    The map is monotonic: it keeps where the bright points are, and makes the numbers of bright and
    dark ones the same for every structure.
    """
    low, high = float(scene.min()), float(scene.max())
    bins = ((scene - np.float32(low)) * np.float32((TONES - 1) / max(high - low, 1e-6))).astype(
        np.intp
    )
    counts = np.bincount(bins.ravel(), minlength=TONES)
    below = (np.cumsum(counts) - counts / 2) / scene.size
    normal = np.clip(special.ndtri(below), -TONE_RANGE, TONE_RANGE)
    tones = np.exp(skewness * normal) - math.exp(skewness**2 / 2)
    tones /= math.exp(skewness**2 / 2) * math.sqrt(math.expm1(skewness**2))
    return np.asarray(tones.astype(np.float32)[bins])


def _expose(scene: FloatImage, pixel_size_um: float, random: np.random.Generator) -> GreyImage:
    """Grey levels: the operator's gain and offset, charging and shot noise."""
    mean, deviation = random.uniform(*MEAN_GREY), random.uniform(*GREY_DEVIATION)
    signal = _tone(scene, random.uniform(*SKEWNESS)) * np.float32(deviation) + np.float32(mean)
    signal *= _charging((scene.shape[0], scene.shape[1]), random)
    # The dose per area is that of the paper's frame: a coarser pixel counts more electrons.
    shot = random.uniform(*SHOT_NOISE) * min(RAY_PITCH_UM / pixel_size_um, 1.0)
    noise = random.standard_normal(scene.shape, dtype=np.float32)
    noise *= np.float32(shot) * np.sqrt(np.maximum(signal, 1))
    grey: GreyImage = np.clip(signal + noise + np.float32(0.5), 0, 255).astype(np.uint8)
    return grey
