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
from fesemlib.evaluation.frames import window_places
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters
from fesemlib.processing import GreyImage, process_with, resize_by_area
from fesemlib.validation.leave_one_out import (
    COLLAPSED_RANGE,
    TrainedNetwork,
    kept_networks,
    leave_one_out_splits,
)

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]
Predictor = Callable[[Images], Values]
Place = tuple[slice, slice]

MID_GREY = 0.5

_PATCHES_ACROSS = 6  # that fit into the shorter side of an input
_AT_ONCE = (
    16  # copies of an input that are predicted together: of large ones, all would fill memory
)
_PASTED_PARTS = 3  # patches that fit into each side of the frame


def held_out_networks(dataset: Dataset, parameters: Parameters) -> dict[str, TrainedNetwork]:
    """For each formulation the network of the first seed that was trained on the others.

    Parameters
    ----------
    dataset, parameters
        As in `leave_one_formulation_out`, for the original training set; what
        that has trained is taken from the cache.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> parameters = Parameters(input_width=32, epochs=2, parallel_jobs=1)
    >>> with temporary_build_folder():
    ...     networks = held_out_networks(draw_stand_ins(2, 0, (48, 64)), parameters)
    >>> list(networks)
    ['1', '2']
    """
    first_seed = parameters.model_copy(update={"number_of_seeds": 1})
    splits = leave_one_out_splits(dataset, first_seed)
    names = [split.held_out[0] for split in splits]
    return dict(zip(names, kept_networks(dataset, first_seed, splits), strict=True))


def collapsed_networks(
    networks: Mapping[str, TrainedNetwork], inputs: Images, k_m: Values
) -> list[str]:
    """Those that answer the same to every micrograph, as in `training_summary`.

    Parameters
    ----------
    networks
        From `held_out_networks`.
    inputs
        What the networks are given, shape (n, h, w).
    k_m
        Of the micrographs, m² s⁻¹, shape (n,).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> silent = SimpleNamespace(predict=lambda images: np.full(len(images), 1e-3))
    >>> reading = SimpleNamespace(predict=lambda images: images.mean(axis=(1, 2)))
    >>> inputs, k_m = np.arange(2.0)[:, None, None] * np.ones((2, 3, 4)), np.array([1e-3, 2e-3])
    >>> collapsed_networks({"A": silent, "B": reading}, inputs, k_m)
    ['A']
    """
    least = COLLAPSED_RANGE * np.ptp(k_m)
    return [name for name, network in networks.items() if np.ptp(network.predict(inputs)) < least]


def occlusion_patch(shape: tuple[int, int]) -> int:
    """Side of the square that hides a part of an input of this shape (h, w), in px of the input.

    Examples
    --------
    >>> occlusion_patch((192, 256))
    32
    """
    return max(round(min(shape) / _PATCHES_ACROSS), 1)


def patch_places(shape: tuple[int, int], patch: int) -> list[Place]:
    """Where a square patch lies on its way over an image: half a patch further each time.

    Parameters
    ----------
    shape
        Of the image (h, w) in px.
    patch
        Side in px; the last patch of a row or a column ends at the edge of the image.

    Examples
    --------
    >>> [(place[0].start, place[1].start) for place in patch_places((4, 6), 4)]
    [(0, 0), (0, 2)]
    """
    stride = max(patch // 2, 1)
    rows, columns = (
        sorted({*range(0, max(side - patch, 0) + 1, stride), max(side - patch, 0)})
        for side in shape
    )
    return [
        (slice(top, top + patch), slice(left, left + patch)) for top in rows for left in columns
    ]


def occlusion_map(
    predict: Predictor, image: Images, patch: int, fill: float | Images = MID_GREY
) -> Values:
    """How a prediction changes when a place of the image is hidden.

    Parameters
    ----------
    predict
        From inputs in [0, 1], shape (n, h, w), to k_m in m² s⁻¹, shape (n,).
    image
        One input, shape (h, w).
    patch
        Side of the square that hides, in px.
    fill
        What hides: one grey level in [0, 1], or an image of the same shape, such as the mean of a
        set.

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
    >>> change = occlusion_map(lambda images: images.mean(axis=(1, 2)), white, patch=4, fill=0.0)
    >>> change.shape, round(float(change[0, 0]), 6)
    ((8, 8), -0.25)
    """
    shape = (image.shape[0], image.shape[1])
    filling = np.broadcast_to(np.asarray(fill, dtype=np.float32), shape)
    places = patch_places(shape, patch)
    whole = predict(image[np.newaxis])[0]
    changes = np.concatenate(
        [
            predict(_hidden(image, filling, places[start : start + _AT_ONCE])) - whole
            for start in range(0, len(places), _AT_ONCE)
        ]
    )
    total, covering = np.zeros(shape), np.zeros(shape)
    for change, place in zip(changes, places, strict=True):
        total[place] += change
        covering[place] += 1
    return total / covering


def _hidden(image: Images, filling: Images, places: Sequence[Place]) -> Images:
    """A copy of the image for each place, which is hidden there."""
    hidden: Images = np.repeat(image[np.newaxis], len(places), axis=0)
    for copy, place in zip(hidden, places, strict=True):
        copy[place] = filling[place]
    return hidden


def share_inside(change: Values, place: Place) -> float:
    """Share of a map's weight, the sum of its absolute values, that lies within a place.

    NaN for a map that is zero everywhere.

    Examples
    --------
    >>> change = np.array([[1.0, -1.0], [0.0, 2.0]])
    >>> share_inside(change, (slice(0, 1), slice(0, 2)))  # the upper row
    0.5
    """
    weight = np.abs(change)
    total = float(weight.sum())
    return float(weight[place].sum()) / total if total > 0 else float("nan")


def detail_of(images: Images) -> Values:
    """Mean squared difference of neighbouring pixels, down and to the right.

    Parameters
    ----------
    images
        Shape (n, h, w).

    Returns
    -------
    ndarray
        Shape (n,).

    Examples
    --------
    >>> checks = np.indices((4, 4)).sum(axis=0) % 2
    >>> detail_of(np.stack([np.ones((4, 4)), checks])).tolist()
    [0.0, 1.0]
    """
    down, right = np.diff(images, axis=1), np.diff(images, axis=2)
    return np.asarray(
        (np.square(down).mean(axis=(1, 2)) + np.square(right).mean(axis=(1, 2))) / 2,
        dtype=np.float64,
    )


def detail_model(inputs: Images, k_m: Values) -> Predictor:
    """A model that is linear in the detail of the whole image: what it reads is known.

    Every place counts in proportion to its detail, and where a place lies does not matter.

    Parameters
    ----------
    inputs
        To which it is fitted, shape (n, h, w).
    k_m
        m² s⁻¹, shape (n,).

    Examples
    --------
    >>> images = np.random.default_rng(0).random((2, 24, 32), np.float32) * [[[0.5]], [[1.0]]]
    >>> predict = detail_model(images, np.array([2e-3, 1e-3]))
    >>> predict(images).round(6).tolist()
    [0.002, 0.001]
    """
    slope, intercept = np.polyfit(detail_of(inputs), k_m, 1)
    return lambda images: np.asarray(intercept + slope * detail_of(images), dtype=np.float64)


def share_of_detail(image: Images, place: Place) -> float:
    """Share of an image's detail that lies within a place: the weight that `detail_model` gives it.

    Parameters
    ----------
    image
        Shape (h, w).
    place
        Pairs of neighbours count where their first pixel is.

    Examples
    --------
    >>> image = np.zeros((8, 8), np.float32)
    >>> image[2, 2] = 1  # a dot in the upper left quarter
    >>> share_of_detail(image, (slice(0, 4), slice(0, 4)))
    1.0
    """
    detail = np.zeros(image.shape)
    detail[:-1] += np.square(np.diff(image, axis=0))
    detail[:, :-1] += np.square(np.diff(image, axis=1))
    total = float(detail.sum())
    return float(detail[place].sum()) / total if total > 0 else float("nan")


@dataclass(frozen=True)
class Pasted:
    """A micrograph with a patch pasted in, and the same with a patch of its own kind.

    Attributes
    ----------
    fine, own
        Processed micrographs, uint8, shape (H, W): with a patch of the least k_m of the set, and
        with a patch of the micrograph itself, from where a rotation by 180° brings it.
    place
        Of the patch, rows and columns of the micrograph.

    Examples
    --------
    >>> image = np.zeros((90, 120), np.uint8)
    >>> picture = Pasted(fine=image, own=image, place=(slice(0, 30), slice(0, 40)))
    >>> picture.place_in(width=60)
    (slice(0, 15, None), slice(0, 20, None))
    """

    fine: GreyImage
    own: GreyImage
    place: Place

    def place_in(self, width: int) -> Place:
        """Where the patch lies in an input of this width in px, to the nearest pixel."""
        scale = width / self.fine.shape[1]
        rows, columns = (
            slice(round(side.start * scale), round(side.stop * scale)) for side in self.place
        )
        return rows, columns


def paste(image: GreyImage, source: GreyImage, place: Place) -> GreyImage:
    """Replace a place of a micrograph by the same place of another one.

    Parameters
    ----------
    image, source
        uint8, of one shape (H, W).
    place
        Rows and columns.

    Returns
    -------
    ndarray
        uint8, shape (H, W). The patch gets the mean and the standard deviation of what it replaces,
        so that neither brightness nor contrast gives it away.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> coarse, fine = (random.integers(60, most, (30, 40)).astype(np.uint8) for most in (200, 90))
    >>> place = slice(0, 10), slice(0, 10)
    >>> pasted = paste(coarse, fine, place)
    >>> bool(abs(pasted[place].mean() - coarse[place].mean()) < 0.5)  # no brighter than before
    True
    """
    old, new = image[place].astype(np.float64), source[place].astype(np.float64)
    matched = (new - new.mean()) * (old.std() / max(new.std(), 1e-9)) + old.mean()
    result = image.copy()
    result[place] = np.clip(np.round(matched), 0, 255).astype(np.uint8)
    return result


def pasted_patches(dataset: Dataset, parameters: Parameters) -> tuple[str, str, list[Pasted]]:
    """Pictures whose answer is known: a coarse micrograph with finer pores in one place.

    Parameters
    ----------
    dataset
        The micrographs. The one of the greatest k_m gets patches from that of the least. For
        stand-ins, both are fresh frames that no network has seen.
    parameters
        Those of processing; `synthetic_seed` for stand-ins.

    Returns
    -------
    coarse, fine : str
        The formulations.
    pictures : list of Pasted
        One for each corner of the frame; a patch takes a third of either side.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> with temporary_build_folder():
    ...     dataset = replace(draw_stand_ins(2, 0, (96, 128)), synthetic=False)
    >>> coarse, fine, pictures = pasted_patches(dataset, Parameters())
    >>> k_m = dataset.formulations["k_m"]
    >>> bool(k_m[coarse] > k_m[fine]), len(pictures), pictures[0].place
    (True, 4, (slice(0, 32, None), slice(0, 42, None)))
    """
    k_m = dataset.formulations["k_m"]
    coarse, fine = str(k_m.idxmax()), str(k_m.idxmin())
    source = (
        fresh_stand_ins(parameters.fresh_frames, parameters.synthetic_seed, dataset.shape)
        if dataset.synthetic
        else dataset
    )
    base = source.micrographs[source.first_image(coarse)].image
    patch = source.micrographs[source.first_image(fine)].image
    part = (base.shape[0] // _PASTED_PARTS, base.shape[1] // _PASTED_PARTS)
    pictures = []
    for place in window_places((base.shape[0], base.shape[1]), part, 2):
        with_fine, with_own = (
            process_with(parameters, paste(base, other, place)).equalized
            for other in (patch, np.ascontiguousarray(base[::-1, ::-1]))
        )
        pictures.append(Pasted(with_fine, with_own, place))
    return coarse, fine, pictures


def as_input(image: GreyImage, width: int) -> Images:
    """A processed micrograph as an input of this width in px: in [0, 1], shape (h, w).

    Examples
    --------
    >>> as_input(np.full((96, 128), 255, np.uint8), width=32).shape
    (24, 32)
    """
    return resize_by_area(image, width) / np.float32(255)


def find_patches(
    pictures: Sequence[Pasted], readers: Mapping[str, tuple[Predictor, int]]
) -> pd.DataFrame:
    """Whether maps and predictions single the pasted patches out.

    Parameters
    ----------
    pictures
        From `pasted_patches`.
    readers
        Name of a predictor, the predictor and the width of its input in px.

    Returns
    -------
    DataFrame
        One row for each reader and picture: ``reader``, ``picture``, ``area`` (share of the patch),
        ``fine`` and ``own`` (share of the map's weight inside the patch when it is fine, and when
        it is the micrograph's own), ``detail`` (share of the detail inside the fine patch) and
        ``change`` (prediction with the fine patch over that with its own, less one).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> own = np.kron(random.integers(60, 190, (24, 32)), np.ones((4, 4))).astype(np.uint8)
    >>> place = slice(0, 32), slice(0, 40)
    >>> fine = own.copy()
    >>> fine[place] = random.integers(60, 190, (32, 40))
    >>> inputs = np.stack([as_input(own, 128), as_input(fine, 128)])
    >>> reader = detail_model(inputs, np.array([2.0, 1.0]))  # the finer, the less
    >>> found = find_patches([Pasted(fine, own, place)], {"linear in detail": (reader, 128)})
    >>> bool(found["fine"].item() > found["own"].item()), round(found["change"].item(), 6)
    (True, -0.5)
    """
    rows = []
    for reader, (predict, width) in readers.items():
        for number, picture in enumerate(pictures, start=1):
            place = picture.place_in(width)
            fine, own = as_input(picture.fine, width), as_input(picture.own, width)
            shape = (fine.shape[0], fine.shape[1])
            maps = [occlusion_map(predict, image, occlusion_patch(shape)) for image in (fine, own)]
            predicted = predict(np.stack([fine, own]))
            rows.append(
                {
                    "reader": reader,
                    "picture": number,
                    "area": fine[place].size / fine.size,
                    "fine": share_inside(maps[0], place),
                    "own": share_inside(maps[1], place),
                    "detail": share_of_detail(fine, place),
                    "change": float(predicted[0] / predicted[1] - 1),
                }
            )
    return pd.DataFrame(rows)


def pasted_maps(
    picture: Pasted, readers: Mapping[str, tuple[Predictor, int]]
) -> dict[str, tuple[Images, Values, Place]]:
    """Maps of one picture with its fine patch, for a figure.

    Parameters
    ----------
    picture, readers
        As in `find_patches`.

    Returns
    -------
    dict
        Name of the reader and its input, its map as a share of the prediction, and where the patch
        is.

    Examples
    --------
    >>> image = np.full((96, 128), 255, np.uint8)
    >>> picture = Pasted(image, image, (slice(0, 32), slice(0, 40)))
    >>> maps = pasted_maps(picture, {"mean": (lambda images: images.mean(axis=(1, 2)), 32)})
    >>> image, share, place = maps["mean"]
    >>> share.shape, place, bool((share < 0).all())  # hiding a place makes a white image darker
    ((24, 32), (slice(0, 8, None), slice(0, 10, None)), True)
    """
    maps = {}
    for reader, (predict, width) in readers.items():
        image = as_input(picture.fine, width)
        change = occlusion_map(predict, image, occlusion_patch((image.shape[0], image.shape[1])))
        predicted = abs(float(predict(image[np.newaxis])[0]))
        maps[reader] = (image, change / predicted, picture.place_in(width))
    return maps


@dataclass(frozen=True)
class HeldOutMap:
    """Where the network looks that has not seen the formulation of a micrograph.

    Attributes
    ----------
    formulation
        Its name.
    image
        The input, in [0, 1], shape (h, w).
    predicted
        m² s⁻¹.
    grey, mean, rotated
        `occlusion_map` with mid-grey, with the mean of all inputs, and of the input rotated by
        180° with mid-grey (not rotated back); m² s⁻¹, shape (h, w).
    """

    formulation: str
    image: Images
    predicted: float
    grey: Values
    mean: Values
    rotated: Values


def held_out_maps(
    dataset: Dataset, parameters: Parameters, networks: Mapping[str, TrainedNetwork], most: int = 9
) -> list[HeldOutMap]:
    """Occlusion maps of the first micrograph of formulations that were held out.

    Parameters
    ----------
    dataset, parameters
        As in `fesemlib.validation.leave_one_out.leave_one_formulation_out`.
    networks
        From `held_out_networks`.
    most
        Of more formulations than this, so many are taken, evenly spread over the order of k_m.

    Returns
    -------
    list of HeldOutMap
        In the order of k_m, the greatest first.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.storage import temporary_build_folder
    >>> blind = SimpleNamespace(predict=lambda images: np.full(len(images), 1e-3))
    >>> with temporary_build_folder():
    ...     dataset, parameters = draw_stand_ins(2, 0, (96, 128)), Parameters(input_width=32)
    ...     maps = held_out_maps(dataset, parameters, {"1": blind, "2": blind}, most=1)
    >>> len(maps), maps[0].grey.shape, float(abs(maps[0].grey).max())
    (1, (24, 32), 0.0)
    """
    names = list(dataset.formulations["k_m"].sort_values(ascending=False, kind="stable").index)
    chosen = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    inputs = network_inputs(dataset, parameters)
    mean = inputs.mean(axis=0)
    patch = occlusion_patch((mean.shape[0], mean.shape[1]))
    maps = []
    for name in (str(names[position]) for position in chosen):
        image = inputs[dataset.first_image(name)]
        predict = networks[name].predict
        maps.append(
            HeldOutMap(
                name,
                image,
                float(predict(image[np.newaxis])[0]),
                occlusion_map(predict, image, patch),
                occlusion_map(predict, image, patch, mean),
                occlusion_map(predict, np.ascontiguousarray(image[::-1, ::-1]), patch),
            )
        )
    return maps


def map_statistics(maps: Sequence[HeldOutMap]) -> pd.DataFrame:
    """Numbers that sum the maps up.

    Parameters
    ----------
    maps
        From `held_out_maps`.

    Returns
    -------
    DataFrame
        Indexed by formulation: ``greatest`` (``|change|`` as a share of the prediction),
        ``densest`` (share of the weight on the tenth of the area where it is greatest), ``fills``
        (correlation of the maps with the two fillings), ``content`` (correlation of the map with
        that of the rotated image, rotated back: 1 where the network follows what is there) and
        ``place`` (the same, not rotated back: 1 where it follows the place). NaN for a map that is
        constant.

    Examples
    --------
    >>> change, image = np.zeros((4, 5)), np.zeros((4, 5), np.float32)
    >>> change[0, 0] = 1e-4  # all of the weight in one place, whatever the image shows
    >>> one = HeldOutMap("A", image, predicted=1e-3, grey=change, mean=change, rotated=change)
    >>> map_statistics([one]).round(2).loc["A"].to_dict()
    {'greatest': 0.1, 'densest': 1.0, 'fills': 1.0, 'content': -0.05, 'place': 1.0}
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
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
