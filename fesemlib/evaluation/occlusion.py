"""Where a network looks: occlusion maps, and a picture on which the right answer is known.

A patch of the input is hidden; where that moves the prediction, the network has looked [1]_.

References
----------
.. [1] Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
   818–833 (Section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fesemlib.dataset import Dataset, fresh_stand_ins
from fesemlib.evaluation.frames import Place, grid_places, window_places
from fesemlib.network.inputs import network_inputs, shrunk_input
from fesemlib.params import Parameters
from fesemlib.processing import GreyImage, process_with
from fesemlib.validation.leave_one_out import COLLAPSED_RANGE, HeldOutNetworks

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]
Predictor = Callable[[Images], Values]  # from inputs in [0, 1], (n, h, w), to k_m in m² s⁻¹, (n,)
Reader = tuple[Predictor, int]  # and the width of its inputs, px

_PATCHES_ACROSS = 6  # that fit into the shorter side of an input
_AT_ONCE = 16  # copies that are predicted together: of large ones, all would fill memory
_PASTED_PARTS = 3  # patches that fit into each side of the frame
_MOST_MAPS = 9


def collapsed_networks(networks: HeldOutNetworks, inputs: Images, k_m: Values) -> list[str]:
    """The formulations whose networks answer the same to every input, as in `training_summary`."""
    least = COLLAPSED_RANGE * np.ptp(k_m)
    return [name for name, each in networks.of.items() if np.ptp(each.predict(inputs)) < least]


def occlusion_patch(shape: tuple[int, int]) -> int:
    """Side of the square that hides a part of an input of this shape (h, w), in px of the input."""
    return max(round(min(shape) / _PATCHES_ACROSS), 1)


def patch_places(shape: tuple[int, int], patch: int) -> list[Place]:
    """Where a square lies on its way over an image (h, w): half its side (px) further each time.

    The last one of a row or a column ends at the edge of the image.
    """
    tops, lefts = (
        sorted({*range(0, side - patch, max(patch // 2, 1)), max(side - patch, 0)})
        for side in shape
    )
    return grid_places(tops, lefts, (patch, patch))


def occlusion_map(
    predict: Predictor, image: Images, fill: float | Images = 0.5, patch: int = 0
) -> Values:
    """How a prediction changes when a place of the image is hidden.

    Parameters
    ----------
    predict
        From inputs in [0, 1], shape (n, h, w), to k_m in m² s⁻¹, shape (n,).
    image
        One input, shape (h, w).
    fill
        What hides: one grey level in [0, 1], mid-grey if not given, or an image of the same shape,
        such as the mean of a set.
    patch
        Side of the square that hides, in px; 0 for that of `occlusion_patch`.

    Returns
    -------
    ndarray
        Prediction with the patch hidden − prediction of the whole image, m² s⁻¹, shape (h, w): at
        each pixel the mean over the patches that cover it.

    Notes
    -----
    A patch of one grey level is a structure, too: to what reads texture it is a smooth place with
    a sharp rim. The map shows what the prediction depends on, not that the dependence is right.

    References
    ----------
    Zeiler & Fergus, ECCV 2014, Section 4.2.

    Examples
    --------
    What reads the mean of a white image loses the share of the patch that hides it:

    >>> white = np.ones((8, 8), np.float32)
    >>> change = occlusion_map(lambda images: images.mean(axis=(1, 2)), white, fill=0.0, patch=4)
    >>> change.shape, round(float(change[0, 0]), 6)
    ((8, 8), -0.25)
    """
    height, width = image.shape
    filling = np.broadcast_to(np.asarray(fill, dtype=np.float32), image.shape)
    places = patch_places((height, width), patch or occlusion_patch((height, width)))
    whole = predict(image[np.newaxis])[0]
    total, covering = np.zeros(image.shape), np.zeros(image.shape)
    for start in range(0, len(places), _AT_ONCE):
        hiding = places[start : start + _AT_ONCE]
        hidden = np.repeat(image[np.newaxis], len(hiding), axis=0)
        for copy, place in zip(hidden, hiding, strict=True):
            copy[place] = filling[place]
        for change, place in zip(predict(hidden) - whole, hiding, strict=True):
            total[place] += change
            covering[place] += 1
    return total / covering


def share_inside(change: Values, place: Place) -> float:
    """Share of a map's weight, the sum of its absolute values, within a place; NaN if all zero."""
    weight = np.abs(change)
    total = weight.sum()
    return float(weight[place].sum() / total) if total > 0 else np.nan


def detail_of(images: Images) -> Values:
    """Mean squared difference of neighbouring pixels, down and to the right; (n, h, w) to (n,)."""
    down, right = np.diff(images, axis=1), np.diff(images, axis=2)
    both = np.square(down).mean(axis=(1, 2)) + np.square(right).mean(axis=(1, 2))
    return np.asarray(both / 2, dtype=np.float64)


def detail_model(inputs: Images, k_m: Values) -> Predictor:
    """A straight line through the detail of inputs (n, h, w): of it, what it reads is known.

    Every place counts in proportion to its detail, and where a place lies does not matter.
    """
    slope, intercept = np.polyfit(detail_of(inputs), k_m, 1)
    return lambda images: np.asarray(intercept + slope * detail_of(images), dtype=np.float64)


def share_of_detail(image: Images, place: Place) -> float:
    """Share of an image's detail within a place: the weight that `detail_model` gives it.

    Pairs of neighbours count where their first pixel is.
    """
    detail = np.zeros(image.shape)
    detail[:-1] += np.square(np.diff(image, axis=0))
    detail[:, :-1] += np.square(np.diff(image, axis=1))
    return share_inside(detail, place)


@dataclass(frozen=True)
class Pasted:
    """A micrograph with a patch pasted in, and the same with a patch of its own kind."""

    fine: GreyImage  # processed, (H, W), with a patch of the least k_m of the set
    own: GreyImage  # with a patch of itself, from where a rotation by 180° brings it
    place: Place  # of the patch in the micrograph

    def place_in(self, width: int) -> Place:
        """Where the patch lies in an input of this width in px, to the nearest pixel."""
        scale = width / self.fine.shape[1]
        rows, columns = (
            slice(round(side.start * scale), round(side.stop * scale)) for side in self.place
        )
        return rows, columns


def paste(image: GreyImage, source: GreyImage, place: Place) -> GreyImage:
    """Replace a place of a micrograph by the same place of another one of its shape (H, W).

    The patch gets the mean and the standard deviation of what it replaces, so that neither
    brightness nor contrast gives it away.
    """
    old, new = image[place].astype(np.float64), source[place].astype(np.float64)
    matched = (new - new.mean()) * (old.std() / max(new.std(), 1e-9)) + old.mean()
    result = image.copy()
    result[place] = np.clip(np.round(matched), 0, 255).astype(np.uint8)
    return result


def pasted_patches(dataset: Dataset, parameters: Parameters) -> tuple[str, str, list[Pasted]]:
    """Pictures whose answer is known: the coarsest micrograph with finer pores in one place.

    The formulations of the greatest and of the least k_m, which the patch comes from, and a picture
    for each corner of the frame; a patch takes a third of either side. Of stand-ins, both are fresh
    frames that no network has seen.
    """
    k_m = dataset.formulations["k_m"]
    coarse, fine = str(k_m.idxmax()), str(k_m.idxmin())
    source, seed = dataset, parameters.synthetic_seed
    if dataset.synthetic:
        source = fresh_stand_ins(parameters.fresh_frames, seed, dataset.shape, parameters)
    base, patch = (source.micrographs[source.first_image(name)].image for name in (coarse, fine))
    turned = np.ascontiguousarray(base[::-1, ::-1])
    size = (dataset.shape[0] // _PASTED_PARTS, dataset.shape[1] // _PASTED_PARTS)
    pictures = []
    for place in window_places(dataset.shape, size, 2):
        pasted = (paste(base, other, place) for other in (patch, turned))
        with_fine, with_own = (process_with(parameters, image).equalized for image in pasted)
        pictures.append(Pasted(with_fine, with_own, place))
    return coarse, fine, pictures


def find_patches(pictures: Sequence[Pasted], readers: Mapping[str, Reader]) -> pd.DataFrame:
    """Whether maps and predictions of several readers single the pasted patches out.

    One row for each ``reader`` and ``picture``: ``area`` (share of the patch), ``fine`` and ``own``
    (share of the map's weight inside the patch when it is fine, and when it is the micrograph's
    own), ``detail`` (share of the detail inside the fine patch) and ``change`` (prediction with the
    fine patch over that with its own, less one).
    """
    rows = []
    for reader, (predict, width) in readers.items():
        for number, picture in enumerate(pictures, start=1):
            place = picture.place_in(width)
            fine, own = (shrunk_input(image, width) for image in (picture.fine, picture.own))
            predicted = predict(np.stack([fine, own]))
            rows.append(
                {
                    "reader": reader,
                    "picture": number,
                    "area": fine[place].size / fine.size,
                    "fine": share_inside(occlusion_map(predict, fine), place),
                    "own": share_inside(occlusion_map(predict, own), place),
                    "detail": share_of_detail(fine, place),
                    "change": predicted[0] / predicted[1] - 1,
                }
            )
    return pd.DataFrame(rows)


def pasted_maps(
    picture: Pasted, readers: Mapping[str, Reader]
) -> dict[str, tuple[Images, Values, Place]]:
    """For a figure: of each reader its input of the fine patch, the map of it as a share of the
    prediction, and where the patch is."""
    maps = {}
    for reader, (predict, width) in readers.items():
        image = shrunk_input(picture.fine, width)
        share = occlusion_map(predict, image) / abs(float(predict(image[np.newaxis])[0]))
        maps[reader] = (image, share, picture.place_in(width))
    return maps


@dataclass(frozen=True)
class HeldOutMap:
    """Where the network looks that has not seen the formulation of a micrograph.

    The maps are those of `occlusion_map` with mid-grey, with the mean of all inputs, and of the
    input rotated by 180° with mid-grey (not rotated back); m² s⁻¹, shape (h, w).
    """

    formulation: str
    image: Images  # the input, in [0, 1], shape (h, w)
    predicted: float  # m² s⁻¹
    grey: Values
    mean: Values
    rotated: Values


def held_out_maps(
    dataset: Dataset, parameters: Parameters, networks: HeldOutNetworks
) -> list[HeldOutMap]:
    """Maps of the first micrograph of each formulation, the greatest k_m first.

    Of more than nine formulations, so many are taken, evenly spread over the order of k_m.
    """
    names = dataset.formulations["k_m"].sort_values(ascending=False, kind="stable").index
    chosen = np.linspace(0, len(names) - 1, min(_MOST_MAPS, len(names))).round().astype(int)
    inputs = network_inputs(dataset, parameters)
    mean = inputs.mean(axis=0)
    maps = []
    for name in names[chosen]:
        image, predict = inputs[dataset.first_image(name)], networks.of[name].predict
        predicted = float(predict(image[np.newaxis])[0])
        grey, filled = occlusion_map(predict, image), occlusion_map(predict, image, mean)
        rotated = occlusion_map(predict, np.ascontiguousarray(image[::-1, ::-1]))
        maps.append(HeldOutMap(name, image, predicted, grey, filled, rotated))
    return maps


def map_statistics(maps: Sequence[HeldOutMap]) -> pd.DataFrame:
    """Numbers that sum the maps up, by formulation; NaN for a map that is constant.

    ``greatest`` (``|change|`` as a share of the prediction), ``densest`` (share of the weight on
    the tenth of the area where it is greatest), ``fills`` (correlation of the maps with the two
    fillings), ``content`` (correlation of the map with that of the rotated image, rotated back: 1
    where the network follows what is there) and ``place`` (the same, not rotated back: 1 where it
    follows the place).
    """
    rows = {}
    for each in maps:
        weight = np.sort(np.abs(each.grey).ravel())[::-1]
        total = weight.sum()
        rows[each.formulation] = {
            "greatest": weight[0] / abs(each.predicted),
            "densest": weight[: len(weight) // 10].sum() / total if total > 0 else np.nan,
            "fills": _correlation(each.grey, each.mean),
            "content": _correlation(each.grey, each.rotated[::-1, ::-1]),
            "place": _correlation(each.grey, each.rotated),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("formulation")


def _correlation(first: Values, second: Values) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
