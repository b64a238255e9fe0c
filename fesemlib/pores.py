"""A processed micrograph and a threshold → the dark areas, taken for pores, in numbers.

A micrograph of a broken cake is no section: it shows what lies deeper, too. What is dark is as near
to a pore as a grey level comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from fesemlib.micrographs.reading import Micrograph
from fesemlib.params import ProcessingParameters
from fesemlib.processing import GreyImage, process_with
from fesemlib.texture import FloatArray, correlation_length

__all__ = ["Pores", "PoresError", "chord_lengths", "find_pores", "local_thickness"]

THRESHOLDS = ("otsu", "median")
SMOOTHING_PX = 1.0
"""Standard deviation of the blur before the threshold, against the noise of single pixels."""
_MOST_RADII = 32


class PoresError(ValueError):
    """A micrograph has no pores at a threshold, or nothing but pores, or lacks its pixel size."""


@dataclass(frozen=True, eq=False)
class Pores:
    """What of a micrograph is taken for pores at one threshold; lengths in µm, or px.

    Examples
    --------
    >>> image = np.full((64, 96), 200, np.uint8)
    >>> image[20:41, 30:60] = 50
    >>> asked = ProcessingParameters(processing="none")
    >>> found = find_pores(Micrograph(image, pixel_size_um=2.0), asked, ["100"])
    >>> diameters, _ = found["100"].lengths["local thickness (µm)"]
    >>> print(diameters.max())  # twice the 21 px of the narrower side
    42.0
    """

    frame: GreyImage  # what the threshold is of: background subtracted, blurred; shape (H, W)
    lengths: dict[str, tuple[FloatArray, FloatArray]]  # by name: lengths, and what each counts
    measures: dict[str, float]  # by name with unit; first the brightest grey level of the pores


def find_pores(
    micrograph: Micrograph,
    parameters: ProcessingParameters,
    thresholds: Sequence[str] = THRESHOLDS,
    name: str = "micrograph",
) -> dict[str, Pores]:
    """Take what is dark for pores, at each threshold, and measure it.

    The threshold is one of the micrograph whose background is subtracted, and which is then blurred
    by 1 px. Its histogram is not equalised: after that each grey level is a share of the area, and
    Otsu's would be a half of any micrograph.

    Parameters
    ----------
    micrograph
        As recorded, without data bar; where its pixel size is not known, lengths are in px.
    parameters
        Of the processing.
    thresholds
        ``"otsu"`` parts the grey levels into two groups, each as uniform as can be (Otsu 1979);
        ``"median"`` takes the darker half of any micrograph; a number is the brightest grey level
        of the pores.
    name
        What an error calls the micrograph.

    Returns
    -------
    dict of Pores
        By threshold. Their measures: porosity (share of the frame), mean of the chords, mean, 10 %
        and 90 % quantile of the local thickness over the area of the pores, share of the pores in
        one piece, Euler number (pieces, whose pixels touch along edges, less the holes in them) per
        mm² or Mpx, and correlation length of the micrograph as recorded, which has no threshold.

    Raises
    ------
    ValueError
        For any other threshold; as a PoresError where all of the frame is on one side of it.

    Examples
    --------
    >>> from fesemlib.synthetic import synthesize_micrograph
    >>> stand_in = synthesize_micrograph(1e-3, seed=0, shape=(192, 256))
    >>> found = find_pores(stand_in, ProcessingParameters())
    >>> print(f"{found['median'].measures['porosity']:.1f}")  # as of any image
    0.5
    """
    subtracted = process_with(parameters, micrograph.image).subtracted.astype(np.float32)
    frame = np.rint(ndimage.gaussian_filter(subtracted, SMOOTHING_PX)).astype(np.uint8)
    try:
        length = correlation_length(micrograph.image)
    except ValueError:
        length = np.nan
    um = micrograph.pixel_size_um or 0.0
    return {each: _measured(frame, each, length, um, name) for each in thresholds}


def threshold_level(image: GreyImage, threshold: str) -> int:
    """The grey level up to which pixels are pores; `find_pores` describes the thresholds."""
    if threshold in THRESHOLDS:
        found = np.median(image) if threshold == "median" else threshold_otsu(image)  # type: ignore[no-untyped-call]
        return min(int(found), int(image.max()) - 1)  # the brightest level is wall
    if threshold.isascii() and threshold.isdigit() and int(threshold) <= 255:
        return int(threshold)
    raise ValueError(f"threshold {threshold!r}: give otsu, median, or a grey level from 0 to 255")


def _measured(frame: GreyImage, threshold: str, length: float, um: float, name: str) -> Pores:
    """The pores of a frame, (H, W), whose correlation length is in px; µm a pixel, 0 if unknown."""
    level, pitch, unit = threshold_level(frame, threshold), um or 1.0, "µm" if um else "px"
    pores = frame <= level
    if pores.all() or not pores.any():
        raise PoresError(
            f"{name}: {'all' if pores.all() else 'nothing'} is pore up to grey level {level}: less "
            f"its background, it has {frame.min()} to {frame.max()}; take another --threshold"
        )
    chords, weights = chord_lengths(pores)
    thickness = pitch * local_thickness(pores)[pores]
    euler = 1e6 * euler_density(pores) / pitch**2
    measures = {
        "grey level": level,
        "porosity": pores.mean(),
        f"mean chord ({unit})": pitch * (chords @ weights) / (weights.sum() or np.nan),
        f"mean thickness ({unit})": thickness.mean(),
        **{f"thickness, {p} % below ({unit})": np.percentile(thickness, p) for p in (10, 90)},
        "share in one piece": np.bincount(ndimage.label(pores)[0][pores]).max() / pores.sum(),
        f"Euler number (per {'mm²' if um else 'Mpx'})": euler,
        f"correlation length ({unit})": pitch * length,
    }
    lengths = {
        f"chord length ({unit})": (pitch * chords, weights),
        f"local thickness ({unit})": (thickness, np.ones(len(thickness))),
    }
    return Pores(frame, lengths, measures)


def chord_lengths(pores: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """The lengths of the runs of pore along all rows and columns, and what each run counts.

    A run that touches the frame's edge is left out: where it ends is not known. Long runs touch it
    more often than short ones, and what fits into fewer places counts for so much more (after Miles
    & Lantuéjoul): without that, a mean would come out too small. Runs as long as the frame are
    never seen. Rows count as much as columns.

    Parameters
    ----------
    pores
        Where the pores are, bool, shape (H, W).

    Returns
    -------
    lengths, weights
        Shape (n,) each: px, and a relative number.

    Examples
    --------
    >>> pores = np.zeros((40, 60), bool)
    >>> pores[10:16, 20:30] = True
    >>> np.unique(chord_lengths(pores)[0]).tolist()
    [6.0, 10.0]
    """
    found = []
    for lines in (pores, pores.T):
        number, side = lines.shape
        steps = np.diff(np.pad(lines.astype(np.int8), ((0, 0), (1, 1))))
        starts, ends = np.nonzero(steps == 1)[1], np.nonzero(steps == -1)[1]
        runs = (ends - starts)[(starts > 0) & (ends < side)]
        found.append((runs, 1 / (number * (side - 1.0 - runs))))
    lengths, weights = (np.concatenate(each) for each in zip(*found, strict=True))
    return lengths.astype(np.float64), weights


def euler_density(pores: npt.NDArray[np.bool_]) -> float:
    """Pieces, whose pixels touch along edges, less the holes in them, per pixel.

    Pixels, less edges between two of them, plus squares of four; of these, one row and one column
    at the border are left to the next frame, or pieces that the frame cuts would count whole. Which
    ones, is averaged over.
    """
    found = []
    for turned in (pores, pores[::-1], pores[:, ::-1], pores[::-1, ::-1]):
        here, right = turned[:-1, :-1], turned[:-1, 1:]
        below, beyond = turned[1:, :-1], turned[1:, 1:]
        edges = (here & right).sum() + (here & below).sum()
        found.append((here.sum() - edges + (here & right & below & beyond).sum()) / here.size)
    return float(np.mean(found))


def local_thickness(pores: npt.NDArray[np.bool_]) -> FloatArray:
    """At each place of the pores the diameter of the largest disc in them that covers it.

    Diameters go in steps of two pixels, or, in pores wider than 64 px, of a 32nd of the widest;
    each is the greatest of those that fit (Hildebrand & Rüegsegger 1997): a slit of an even number
    of pixels comes out one too narrow. What lies beyond the frame is taken for more of the same:
    pores that its edge cuts come out rather too wide.

    Parameters
    ----------
    pores
        Where the pores are, bool, shape (H, W); there is something else, too.

    Returns
    -------
    ndarray
        float64, shape (H, W), px; zero outside the pores.

    Examples
    --------
    >>> pores = np.zeros((40, 60), bool)
    >>> pores[10:17] = True  # a slit of seven rows
    >>> np.unique(local_thickness(pores)).tolist()
    [0.0, 7.0]
    """
    distance = ndimage.distance_transform_edt(pores)
    thickness = np.where(pores, 1.0, 0.0)
    # From the narrowest on: the widest disc has the last word. A pore ends half a pixel before the
    # centre of the next pixel.
    for radius in np.linspace(1, distance.max(), min(int(distance.max()), _MOST_RADII)):
        thickness[ndimage.distance_transform_edt(distance < radius) < radius] = 2 * radius - 1
    return thickness
