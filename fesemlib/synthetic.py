"""Stand-in micrographs: a rendered open foam in place of the paper's unpublished images.

These images are *not data*. They let the book run from end to end without real micrographs, and
nothing learnt from them says anything about a real product.

Physical
    The throat between two cells follows from k_m by Knudsen's law, the porosity from the solids
    content, the thickness of the walls from the porosity and the cell size, and lengths in µm do
    not depend on the pixel grid.
Assumed
    The ratio of throat to cell, the tortuosity, the random geometry (walls between elongated
    cells, cut along a rough surface), and the model of the microscope: yield that grows with slope
    and at edges, light that fades with depth, a charging patch, defocus toward the borders, shot
    noise, and a histogram (gain, offset and skewness) that is drawn without regard to k_m.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse, special

from fesemlib.drying import GAS_CONSTANT, ICE_DENSITY, MOLAR_MASS_WATER
from fesemlib.micrographs import GreyImage, Micrograph

__all__ = [
    "cell_diameter",
    "porosity",
    "synthesize_micrograph",
    "throat_diameter",
    "wall_thickness",
]

FloatImage = npt.NDArray[np.float32]  # axes (y, x)
Volume = npt.NDArray[np.float32]  # axes (z, y, x)

SOLIDS_DENSITY = 1500.0  # kg m⁻³, assumed for dextran, mannitol and PVP alike
TORTUOSITY = 1.5  # assumed, usual for open foams
TEMPERATURE = 250.0  # K, assumed, typical of the product in primary drying
THROAT_TO_CELL = 0.2  # assumed; at the lower end of 0.2–0.4, Table 1 gives cells of 12–82 µm
WALL_AREA = 2.91  # wall area per volume × cell diameter in a random Voronoi foam (Meijering 1953)

CELL_LIMITS_UM = (4.0, 2000.0)  # finer cells are lost between the pixels, wider ones fill the field
SIDE_LIMITS_PX = (8, 8192)
RENDER_PITCH_UM = 1.05  # coarser pixels are averages of finer ones: walls are about 1 µm thin
RENDER_LIMIT_PX = 12_000_000  # four times the paper's frame; bounds memory to about 1 GB
CELLS_LIMIT = 200_000  # across the field; bounds the volume that carries them in the same way

# The geometry, in cell diameters unless said otherwise: assumed, chosen by eye.
DEPTH = 2.4  # how far the rays go below the mean cut
HEADROOM = 1.3  # how far the foam reaches above it
MARCH_STEP = 0.1  # step of the rays
VOXEL = 0.25  # pitch of the volume that carries the cells
SEED_SPACING = 0.85  # gives cells of about unit diameter, as some neighbours merge
SEED_SCATTER = 0.5  # of the spacing: enough that the lattice of the seeds does not show
ROD_POINTS = 4  # points that stand for the axis of a cell
ROD_LENGTH = 0.8  # median length of that axis
ROD_SPREAD = 0.5  # standard deviation of the logarithm of the length
KERNEL = 0.22  # standard deviation of the kernel around a point: larger rounds the cells off
CHANNELS = 2  # neighbours have no wall between them where their random signs agree in all channels
CUT_ROUGHNESS = ((0.6, 0.07), (1.5, 0.22), (4.0, 0.18))  # scale, standard deviation
WALL_WRINKLES = ((0.3, 0.12), (0.1, 0.05))  # scale, strength relative to the field of the cells
HOLE_THRESHOLDS = (0.55, 0.7)  # of the noise that perforates the walls: higher leaves fewer holes

# The microscope: assumed, chosen by eye.
EDGE_GLOW_UM = 0.5  # by how much the edge effect broadens a wall that is seen edge on
GRAIN_UM = (2.0, 6.0)  # scales of the roughness of a wall
DEFOCUS_UM = (2.5, 4.5)  # standard deviation of the blur in the corners
SHARP_RADIUS = 0.3  # of the half diagonal: where the blur begins
CHARGING_LOSS = (0.25, 0.6)  # share of the signal lost in the middle of the patch
CHARGING_SIZE = (0.15, 0.35)  # standard deviation of the patch, of the sides of the field
MEAN_GREY = (90.0, 125.0)  # the operator's choice, before charging
GREY_DEVIATION = (20.0, 36.0)
SKEWNESS = (0.15, 0.35)  # standard deviation of the logarithm of the grey level
TONE_RANGE = 2.6  # standard deviations of that logarithm at which bright and dark saturate
SHOT_NOISE = (0.4, 0.8)  # standard deviation over the square root of the grey level


def porosity(solids_percent: float) -> float:
    """Porosity of the cake that is left when all ice has sublimed.

    Parameters
    ----------
    solids_percent
        Solids in the solution, mass %.

    Returns
    -------
    float
        Volume fraction of the pores: that of the ice, with the densities of ice and solids.

    Raises
    ------
    ValueError
        When `solids_percent` is not in (0, 50].
    """
    if not 0 < solids_percent <= 50:
        raise ValueError(
            f"solids_percent {solids_percent!r}: not in (0, 50]; give mass %, 5 for 5 %"
        )
    ice = (100 - solids_percent) / ICE_DENSITY
    return ice / (ice + solids_percent / SOLIDS_DENSITY)


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
    """
    if not 0 < throat < math.inf:
        raise ValueError(f"throat {throat!r}: not positive; give the diameter of the throats")
    if not 0.2 <= throat_to_cell <= 0.4:
        raise ValueError(f"throat_to_cell {throat_to_cell!r}: not in [0.2, 0.4]; choose one there")
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
        Thickness in the unit of `cell`: solids fraction over wall area per volume, for a random
        Voronoi foam.

    Raises
    ------
    ValueError
        When `cell` is not positive or `porosity` is not in (0, 1].

    References
    ----------
    J. L. Meijering, Philips Research Reports 8 (1953) 270–290.
    """
    if not 0 < cell < math.inf:
        raise ValueError(f"cell {cell!r}: not positive; give the diameter of the cells")
    _check_porosity(porosity)
    return (1 - porosity) * cell / WALL_AREA


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
        Mass transfer coefficient, m² s⁻¹. The finer the cells, the longer it takes: about 2 s for
        the paper's frame at 1e-3, 10 s and 1.3 GiB at 1e-4.
    seed
        Fixes everything random; the same arguments give the same bytes.
    shape
        Height and width in px.
    pixel_size_um
        Edge of a pixel in µm. The structure has the same size in µm whatever the pixel.
    solids_percent
        Solids in the solution, mass %.

    Returns
    -------
    Micrograph
        With `image` uint8 of `shape` and no data bar.

    Raises
    ------
    ValueError
        When a parameter is outside what can be rendered; the message names it.
    """
    if seed < 0:
        raise ValueError(f"seed {seed!r}: negative; give a whole number from 0 on")
    cell_um = _cell_um(k_m, solids_percent)
    factor = _supersampling(shape, pixel_size_um)
    _check_cells(shape, pixel_size_um, cell_um)
    grid = _Grid((shape[0] * factor, shape[1] * factor), pixel_size_um / factor / cell_um, cell_um)
    for_foam, for_walls, for_focus, for_exposure = np.random.default_rng(seed).spawn(4)
    foam = _make_foam(grid, wall_thickness(cell_um, porosity(solids_percent)), for_foam)
    scene = _shade(_render_height(foam, grid), grid, for_walls)
    scene = _average_blocks(_defocus(scene, grid, for_focus), factor)
    return Micrograph(image=_expose(scene, for_exposure), pixel_size_um=pixel_size_um)


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


def _check_porosity(porosity: float) -> None:
    if not 0 < porosity <= 1:
        raise ValueError(f"porosity {porosity!r}: not in (0, 1]; give the volume fraction of pores")


def _cell_um(k_m: float, solids_percent: float) -> float:
    cell_um = 1e6 * cell_diameter(throat_diameter(k_m, porosity(solids_percent)))
    low, high = CELL_LIMITS_UM
    if not low <= cell_um <= high:
        raise ValueError(
            f"k_m {k_m!r}: gives cells of {cell_um:.3g} µm, but only {low:g}–{high:g} µm can be "
            "rendered; give k_m in m² s⁻¹, about 1e-3"
        )
    return cell_um


def _supersampling(shape: tuple[int, int], pixel_size_um: float) -> int:
    low, high = SIDE_LIMITS_PX
    if len(shape) != 2 or not all(low <= side <= high for side in shape):
        raise ValueError(
            f"shape {shape!r}: not (height, width) of {low} to {high} px; choose (1536, 2048) or so"
        )
    if not 0 < pixel_size_um < math.inf:
        raise ValueError(
            f"pixel_size_um {pixel_size_um!r}: not positive; give the edge of a pixel in µm"
        )
    factor = math.ceil(pixel_size_um / RENDER_PITCH_UM)
    if shape[0] * shape[1] * factor**2 > RENDER_LIMIT_PX:
        raise ValueError(
            f"shape {shape!r} and pixel_size_um {pixel_size_um!r}: a field too large to render; "
            f"stay below {RENDER_LIMIT_PX * RENDER_PITCH_UM**2 / 1e6:.0f} mm²"
        )
    return factor


def _check_cells(shape: tuple[int, int], pixel_size_um: float, cell_um: float) -> None:
    cells = shape[0] * shape[1] * (pixel_size_um / cell_um) ** 2
    if cells > CELLS_LIMIT:
        raise ValueError(
            f"shape {shape!r} and pixel_size_um {pixel_size_um!r}: the field holds {cells:.3g} "
            f"cells of {cell_um:.3g} µm; choose a smaller field or a larger k_m"
        )


# ------------------------------------------------------------------------------- smooth fields


def _spline_weights(positions: npt.NDArray[np.floating], knots: int) -> sparse.csr_array:
    """Weights of the cubic B-splines of `knots` knots at these positions, one row each."""
    first = np.clip(np.floor(positions).astype(int) - 1, 0, knots - 4)
    t = positions - first - 1
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    columns = first[:, None] + np.arange(4)
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
    """Noise of zero mean and unit variance without features finer than `spacing` px."""
    step = 1 / max(spacing, 1.0)
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
    """A foam and the surface along which it is cut; lengths in cell diameters.

    The volumes have axes (z, y, x) and pitch VOXEL; z points down from HEADROOM above the mean
    cut. Walls lie where one of `cells` changes sign, unless `holes` is above `threshold`.
    """

    cells: list[Volume]
    holes: Volume
    half_wall: np.float32  # half a wall's thickness, in the values of `cells`
    threshold: np.float32
    cut: FloatImage  # depth of the cut under each pixel
    wrinkles: FloatImage  # added to `cells` under each pixel


def _make_foam(grid: _Grid, wall_um: float, random: np.random.Generator) -> _Foam:
    extent = (HEADROOM + DEPTH, grid.shape[0] * grid.pixel, grid.shape[1] * grid.pixel)
    z, y, x = (math.ceil(side / VOXEL - 1e-6) + 4 for side in extent)
    # Across the wall between two points a distance D apart, the field grows as D/(2 KERNEL²).
    slope = SEED_SPACING / (2 * KERNEL**2)
    wall = (wall_um + EDGE_GLOW_UM) / grid.cell_um
    return _Foam(
        cells=_cell_volumes((z, y, x), random),
        holes=_hole_volume((z, y, x), random),
        half_wall=np.float32(wall / 2 * slope),
        threshold=np.float32(random.uniform(*HOLE_THRESHOLDS)),
        cut=np.clip(_layered_noise(grid, CUT_ROUGHNESS, random), 0.1 - HEADROOM, HEADROOM - 0.1),
        wrinkles=_layered_noise(grid, WALL_WRINKLES, random),
    )


def _layered_noise(
    grid: _Grid, layers: tuple[tuple[float, float], ...], random: np.random.Generator
) -> FloatImage:
    """Sum of noises, each of a scale in cell diameters and a standard deviation."""
    total = np.zeros(grid.shape, dtype=np.float32)
    for scale, deviation in layers:
        total += np.float32(deviation) * _smooth_noise(grid.shape, grid.from_cells(scale), random)
    return total


def _rods(shape: tuple[int, int, int], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Points along the axes of elongated cells, shape (cells, ROD_POINTS, 3), in voxels.

    There is about one cell in each box of a lattice; the lengths are lognormal; the directions
    lean toward a common one, as ice grows.
    """
    spacing = SEED_SPACING / VOXEL
    boxes = np.indices([math.ceil(side / spacing) for side in shape]).reshape(3, -1).T
    centres = (boxes + 0.5 + SEED_SCATTER * random.standard_normal(boxes.shape)) * spacing
    angle = random.uniform(0, math.pi)
    growth = np.array([random.uniform(-0.6, 0.6), math.sin(angle), math.cos(angle)])
    directions = random.standard_normal(boxes.shape) + random.uniform(0.3, 1.3) * growth
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = ROD_LENGTH / VOXEL * random.lognormal(0.0, ROD_SPREAD, (len(boxes), 1, 1))
    along = np.linspace(-0.5, 0.5, ROD_POINTS)[:, None]
    return np.asarray(centres[:, None, :] + along * lengths * directions[:, None, :])


def _cell_volumes(shape: tuple[int, int, int], random: np.random.Generator) -> list[Volume]:
    """Smooth volumes in [−1, 1] whose zero levels are the walls, one for each channel.

    Each cell has a random sign, carried by the points of its rod; a volume is the mean of the
    signs, weighted by a Gaussian kernel around the points. With a narrow kernel the zero level
    tends to the walls of a Voronoi diagram of the rods.
    """
    rods = _rods(shape, random)
    voxels = np.clip(rods.astype(np.intp), 0, np.array(shape) - 1).reshape(-1, 3)
    flat = np.ravel_multi_index(tuple(voxels.T), shape)
    sigma = math.sqrt((KERNEL / VOXEL) ** 2 - 1 / 3)  # the splines of the rays add the rest

    def blurred(weights: npt.NDArray[np.float32] | None) -> Volume:
        points = np.bincount(flat, weights, minlength=math.prod(shape)).astype(np.float32)
        return np.asarray(
            ndimage.gaussian_filter(points.reshape(shape), sigma, mode="nearest", radius=5)
        )

    total = blurred(None) + np.float32(1e-25)
    signs = random.choice(np.array([-1, 1], dtype=np.float32), (CHANNELS, len(rods)))
    return [blurred(np.repeat(sign, ROD_POINTS)) / total for sign in signs]


def _hole_volume(shape: tuple[int, int, int], random: np.random.Generator) -> Volume:
    """Noise on the scale of the throats, higher in some places than in others."""
    fine = random.standard_normal(shape, dtype=np.float32)
    broad = ndimage.uniform_filter(fine, 7, mode="wrap") * np.float32(7**1.5)
    return np.asarray(fine + np.float32(0.25) * broad)


def _render_height(foam: _Foam, grid: _Grid) -> FloatImage:
    """Height of the first wall under each pixel, in cell diameters, zero at the mean cut."""
    rows = _pixel_weights(grid.shape[0], grid.pixel / VOXEL)
    columns = _pixel_weights(grid.shape[1], grid.pixel / VOXEL)
    depth = np.empty(grid.shape, dtype=np.float32)
    band = max(65536 // grid.shape[1], 8)  # rows that fit the cache
    for start in range(0, grid.shape[0], band):
        part = slice(start, start + band)
        depth[part] = _march(foam, part, rows[part], columns).T
    return -depth


def _march(
    foam: _Foam, part: slice, rows: sparse.csr_array, columns: sparse.csr_array
) -> FloatImage:
    """Depth of the first wall without a hole below the cut, shape (W, rows of the band)."""
    cut = np.ascontiguousarray(foam.cut[part].T)
    wrinkles = np.ascontiguousarray(foam.wrinkles[part].T)
    levels = np.arange(-HEADROOM, DEPTH, MARCH_STEP)
    first = max(int(np.searchsorted(levels, cut.min())) - 1, 0)
    planes = _planes(foam, levels, rows, columns)
    depth = np.full(cut.shape, DEPTH, dtype=np.float32)
    free = np.ones(cut.shape, dtype=bool)
    above = planes(first, wrinkles)
    for level in range(first, len(levels) - 1):
        below = planes(level + 1, wrinkles)
        begin = np.clip((cut - np.float32(levels[level])) / np.float32(MARCH_STEP), 0, 1)
        share, hit = _first_crossing(above[:-1], below[:-1], begin, foam.half_wall)
        hit &= free
        hit &= above[-1] + share * (below[-1] - above[-1]) < foam.threshold
        np.copyto(depth, np.float32(levels[level]) + np.float32(MARCH_STEP) * share, where=hit)
        free &= ~hit
        if not free.any():
            break
        above = below
    return depth


def _planes(
    foam: _Foam,
    levels: npt.NDArray[np.float64],
    rows: sparse.csr_array,
    columns: sparse.csr_array,
) -> Callable[[int, FloatImage], list[FloatImage]]:
    """A function that gives the wrinkled cells and the holes at a level, under the pixels."""
    used = slice(int(rows.indices.min()), int(rows.indices.max()) + 1)
    rows = rows[:, used]
    along_z = _spline_weights((levels + HEADROOM) / VOXEL + 1.5, foam.holes.shape[0])

    def plane(volume: Volume, level: int) -> FloatImage:
        row = slice(along_z.indptr[level], along_z.indptr[level + 1])
        knots = np.tensordot(along_z.data[row], volume[along_z.indices[row], used], axes=1)
        return np.asarray(columns @ np.ascontiguousarray((rows @ knots).T))

    def planes(level: int, wrinkles: FloatImage) -> list[FloatImage]:
        return [*(plane(cells, level) + wrinkles for cells in foam.cells), plane(foam.holes, level)]

    return planes


def _first_crossing(
    above: list[FloatImage], below: list[FloatImage], begin: FloatImage, half_wall: np.float32
) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Where a ray meets the first wall on its way between two levels, and whether it does.

    Rays start at the share `begin` of the way, which is 1 for those that stay above the cut.
    """
    share = np.ones(begin.shape, dtype=np.float32)
    hit = np.zeros(begin.shape, dtype=bool)
    inside = begin < 1
    for old, new in zip(above, below, strict=True):
        start = old + begin * (new - old)
        end = np.copysign(new, new * start)  # negative beyond the middle of the wall
        start = np.abs(start)
        crossing = (end < half_wall) & inside
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
    relief = height / np.float32(grid.pixel)  # px, as the steps across are
    grain = np.zeros(grid.shape, dtype=np.float32)
    for scale in GRAIN_UM:
        grain += np.float32(0.3) * _smooth_noise(grid.shape, grid.from_um(scale), random)
    toward, tilt = _slopes(relief, grain, random.uniform(0, 2 * math.pi))
    edge = _prominence(relief, 1.5, 0.06 / grid.pixel)
    rim = _prominence(relief, grid.from_cells(0.12), 0.2 / grid.pixel)
    sky = _prominence(relief, grid.from_cells(0.5), 0.6 / grid.pixel)
    light = 0.35 + 0.45 * tilt + 0.18 * toward + 0.35 * rim + 0.3 * sky
    light += np.where(edge > 0, np.float32(0.45), np.float32(0.15)) * edge
    sunk = height - _wide_blur(height, grid.from_cells(1.5))
    return np.asarray(np.maximum(light, 0.03) * np.exp(1.7 * sunk), dtype=np.float32)


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
    """The share of the signal that a broad patch of charge leaves, in (0, 1]."""
    y, x = (
        (np.linspace(0, 1, side, dtype=np.float32) - np.float32(random.uniform(0.1, 0.9)))
        / np.float32(random.uniform(*CHARGING_SIZE))
        for side in shape
    )
    outline = np.exp(np.float32(0.4) * _smooth_noise(shape, max(shape) / 5, random))
    patch = np.exp((y[:, None] ** 2 + x**2) * outline / -2)
    return np.asarray(1 - np.float32(random.uniform(*CHARGING_LOSS)) * patch)


def _tone(scene: FloatImage, skewness: float) -> FloatImage:
    """The scene with a given histogram: log-normal, of zero mean and unit standard deviation.

    The map is monotonic: it keeps where the bright points are, and makes the numbers of bright and
    dark ones the same for every structure.
    """
    counts, edges = np.histogram(scene, bins=4096)
    below = np.concatenate([[0], np.cumsum(counts)]) / scene.size
    normal = np.clip(special.ndtri(below), -TONE_RANGE, TONE_RANGE)
    tones = np.exp(skewness * normal) - math.exp(skewness**2 / 2)
    tones /= math.exp(skewness**2 / 2) * math.sqrt(math.expm1(skewness**2))
    return np.asarray(np.interp(scene, edges, tones), dtype=np.float32)


def _expose(scene: FloatImage, random: np.random.Generator) -> GreyImage:
    """Grey levels: the operator's gain and offset, charging and shot noise."""
    mean, deviation = random.uniform(*MEAN_GREY), random.uniform(*GREY_DEVIATION)
    signal = _tone(scene, random.uniform(*SKEWNESS)) * np.float32(deviation) + np.float32(mean)
    signal *= _charging((scene.shape[0], scene.shape[1]), random)
    noise = random.standard_normal(scene.shape, dtype=np.float32)
    noise *= np.float32(random.uniform(*SHOT_NOISE)) * np.sqrt(np.maximum(signal, 1))
    grey: GreyImage = np.clip(signal + noise + np.float32(0.5), 0, 255).astype(np.uint8)
    return grey
