"""The stand-ins' microscope: a micrograph of the foam that belongs to a k_m."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

import numpy as np
from scipy import ndimage, special

from fesemlib.drying.equations import porosity
from fesemlib.micrographs.reading import Micrograph
from fesemlib.processing import FloatImage, GreyImage
from fesemlib.synthetic import fields, foam
from fesemlib.synthetic.fields import Grid, check, layered_noise, smooth_noise, wide_blur

PAPER_PIXEL_SIZE_UM = 2000 / 2048  # Section 2: 2048 × 1536 px show 2 mm × 1.5 mm

# What can be made.
CELL_LIMITS_UM = (4.0, 2000.0)  # finer cells are lost between the pixels, wider ones fill the field
SIDE_LIMITS_PX = (8, 8192)
RAY_PITCH_UM = 1.05  # one ray a pixel is enough up to here, which includes the paper's frame
RAYS_PER_PIXEL = 2  # along either axis, at most
RAYS_LIMIT = 12_600_000  # four times those of the paper's frame; bounds memory to about 1 GB
LEAST_FIELD = 1.0  # shorter side in cell diameters; less of a cell does not show its size

# Assumed, chosen by eye.
EDGE_EFFECT_UM = 1.5  # width of the bright lines along edges
DEPTH_FADE = 2.0  # logarithm by which light fades over a cell diameter of depth
GRAIN_UM = ((2.0, 1.0), (6.0, 1.0))  # scale of the roughness of a wall, share of its height
GRAIN_HEIGHT_UM = 0.3  # standard deviation
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


def synthesize_micrograph(
    k_m: float,
    seed: int,
    shape: tuple[int, int] = (1536, 2048),
    pixel_size_um: float = PAPER_PIXEL_SIZE_UM,
    solids_percent: float = 5.0,
    structure: foam.Structure | None = None,
) -> Micrograph:
    """Render a stand-in for the FESEM micrograph of a cake with this mass transfer coefficient.

    Parameters
    ----------
    k_m
        Mass transfer coefficient, m² s⁻¹. The finer the cells, the longer it takes.
    seed
        Fixes everything random; the same arguments give the same bytes.
    shape, pixel_size_um
        Height and width in px; edge of a pixel in µm. The same seed shows the same cells, of the
        same size in µm, whatever the pixel.
    solids_percent
        Solids in the solution, mass %.
    structure
        Openness of the walls and direction of the cells; drawn from the seed if not given. `k_m` is
        then no more than another word for the size of the cells.

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
    """
    cell_um = _cell_um(k_m, solids_percent)
    factor = _rays_along_pixel(shape, pixel_size_um, cell_um)
    grid = Grid((shape[0] * factor, shape[1] * factor), pixel_size_um / factor / cell_um, cell_um)
    *for_foam, for_walls, for_focus, for_exposure = foam.generators(seed)
    height = foam.visible_height(grid, porosity(solids_percent), for_foam, structure)
    rays = _defocus(_shade(height, grid, for_walls), grid, for_focus)
    scene = fields.average_blocks(rays, factor)
    return Micrograph(_expose(scene, pixel_size_um, for_exposure), pixel_size_um)


def _cell_um(k_m: float, solids_percent: float) -> float:
    throat, unit = (foam.throat_diameter(each, porosity(solids_percent)) for each in (k_m, 1.0))
    um_per_k_m = 1e6 * foam.cell_diameter(unit)
    low, high = (limit / um_per_k_m for limit in CELL_LIMITS_UM)
    lowest = Context(prec=3, rounding=ROUND_CEILING).create_decimal_from_float(low)
    highest = Context(prec=3, rounding=ROUND_FLOOR).create_decimal_from_float(high)
    problem = (
        f"gives cells of {um_per_k_m * k_m:.3g} µm, but only {CELL_LIMITS_UM[0]:g}–"
        f"{CELL_LIMITS_UM[1]:g} µm can be rendered; with solids_percent {solids_percent!r} give "
        f"k_m from {lowest:.2e} to {highest:.2e} m² s⁻¹"
    )
    check("k_m", k_m, low <= k_m <= high, problem)
    return 1e6 * foam.cell_diameter(throat)


def _rays_along_pixel(shape: tuple[int, int], pixel_size_um: float, cell_um: float) -> int:
    """How many rays look at a pixel along either side, if the frame can be rendered."""
    low, high = SIDE_LIMITS_PX
    fits = len(shape) == 2 and all(low <= side <= high for side in shape)
    problem = f"not a height and a width of {low} to {high} px each; choose 1536 and 2048 or so"
    check("shape", shape, fits, problem)
    fits, problem = 0 < pixel_size_um < math.inf, "not positive; give the edge of a pixel in µm"
    check("pixel_size_um", pixel_size_um, fits, problem)
    factor = min(math.ceil(pixel_size_um / RAY_PITCH_UM), RAYS_PER_PIXEL)
    both = f"shape {shape!r} and pixel_size_um"
    rays, most = math.prod(shape) * factor**2, RAYS_LIMIT // factor**2
    problem = f"{rays} rays are too many to render; stay below {most} px"
    check(both, pixel_size_um, rays <= RAYS_LIMIT, problem)
    height, width = (side * pixel_size_um / cell_um for side in shape)
    problem = (
        f"the field holds {height * width:.3g} cells of {cell_um:.3g} µm, but at most "
        f"{foam.CELLS_LIMIT} can be rendered; choose a smaller field (fewer or smaller pixels) or "
        "a larger k_m"
    )
    check(both, pixel_size_um, height * width <= foam.CELLS_LIMIT, problem)
    problem = (
        f"the field's shorter side is {min(shape) * pixel_size_um:.3g} µm, less than one cell of "
        f"{cell_um:.3g} µm; choose a larger field (more or larger pixels) or a smaller k_m"
    )
    check(both, pixel_size_um, min(height, width) >= LEAST_FIELD, problem)
    return factor


def _shade(height: FloatImage, grid: Grid, random: np.random.Generator) -> FloatImage:
    """Brightness of the scene, in arbitrary units.

    The yield of secondary electrons grows with the slope, at edges and towards the detector on
    one side; it falls with depth and where higher walls stand around.
    """
    azimuth = random.uniform(0, 2 * math.pi)
    relief = height / np.float32(grid.pixel)  # px, as the steps across are
    grain = layered_noise(grid.shape, grid.pixel_um, GRAIN_UM, random)
    grain *= np.float32(GRAIN_HEIGHT_UM / grid.pixel_um)
    toward, tilt = _slopes(relief, grain, azimuth)
    edge = _prominence(relief, max(EDGE_EFFECT_UM / grid.pixel_um, 0.7), 0.06 / grid.pixel)
    rim = _prominence(relief, 0.12 / grid.pixel, 0.2 / grid.pixel)
    sky = _prominence(relief, 0.5 / grid.pixel, 0.6 / grid.pixel)
    light = 0.35 + 0.45 * tilt + 0.18 * toward + 0.35 * rim + 0.3 * sky
    light += np.where(edge > 0, np.float32(0.45), np.float32(0.15)) * edge
    sunk = height - wide_blur(height, 1.5 / grid.pixel)
    return np.asarray(np.maximum(light, 0.03) * np.exp(DEPTH_FADE * sunk), dtype=np.float32)


def _slopes(relief: FloatImage, grain: FloatImage, azimuth: float) -> tuple[FloatImage, FloatImage]:
    """Inclination toward the detector, in [−1, 1], and away from the beam, in [0, 1]."""
    down, right = np.gradient(ndimage.gaussian_filter(relief, 0.7) + grain)
    cosine = 1 / np.sqrt(1 + down * down + right * right)
    toward = down * np.float32(math.sin(azimuth)) + right * np.float32(math.cos(azimuth))
    return toward * cosine, 1 - cosine


def _prominence(relief: FloatImage, sigma: float, scale: float) -> FloatImage:
    """How far a point stands above its surroundings, from −1 to 1."""
    return np.asarray(np.tanh((relief - wide_blur(relief, sigma)) / np.float32(scale)))


def _defocus(scene: FloatImage, grid: Grid, random: np.random.Generator) -> FloatImage:
    """Blur that grows from about the centre of the field to its borders."""
    worst = random.uniform(*DEFOCUS_UM) / grid.pixel_um
    y, x = (
        np.linspace(-1, 1, side, dtype=np.float32) - np.float32(random.uniform(-0.15, 0.15))
        for side in grid.shape
    )
    radius = np.sqrt((y[:, None] ** 2 + x**2) / 2)
    amount = np.clip((radius - SHARP_RADIUS) / (1 - SHARP_RADIUS), 0, 1)
    half_blurred = wide_blur(scene, 0.4 * worst)
    fully_blurred = wide_blur(scene, worst)
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
    outline = np.exp(np.float32(0.4) * smooth_noise(shape, max(shape) / 5, random))
    patch = np.exp((y[:, None] ** 2 + x**2) * outline / -2)
    lines = smooth_noise((shape[0], 1), shape[0] * STREAK_HEIGHT, random)
    loss = np.float32(random.uniform(*CHARGING_LOSS)) * (1 + np.float32(STREAKS) * lines)
    return np.asarray(1 - loss * patch)


def _tone(scene: FloatImage, skewness: float) -> FloatImage:
    """The scene with a given histogram: log-normal, of zero mean and unit standard deviation.

    The map is monotonic: it keeps where the bright points are, and makes the numbers of bright and
    dark ones the same for every structure.
    """
    low, high = float(scene.min()), float(scene.max())
    scale = np.float32((TONES - 1) / max(high - low, 1e-6))
    bins = ((scene - np.float32(low)) * scale).astype(np.intp)
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
