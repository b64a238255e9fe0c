"""How long a book will take, and how much memory and disk, estimated before it is built.

The trainings of all chapters are counted. A few epochs are trained here and now, side by side as
the book would train them, and the rest follows by proportion: the time of an epoch grows with its
images and their pixels. What the chapters do beside training is not in the time.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from fesemlib.evaluation.controls import (
    averaging_parameters,
    evaluation_parameters,
    other_dropout_parameters,
)
from fesemlib.evaluation.first_step import REMEDIES, REMEDY_SEEDS, remedy_effort
from fesemlib.evaluation.frames import window_scales
from fesemlib.evaluation.sensitivity import parameters_of_cell, planned_cells
from fesemlib.network.augmentation import GROUPS
from fesemlib.processing import input_shape

if TYPE_CHECKING:
    from fesemlib.dataset import Dataset
    from fesemlib.params import Parameters

_LEAST_EPOCHS = 4
_SECONDS_OF_EPOCHS = 2.0
_BYTES = 4  # of a weight, and of a pixel of the network's input


@dataclass(frozen=True)
class Trainings:
    """Folds of one kind.

    Attributes
    ----------
    chapter
        Name of the notebook in which they are trained first.
    folds
        How many there are.
    images
        In the training set of each, copies counted.
    epochs
        Passes over it.
    width
        Of the network's input, px.
    """

    chapter: str
    folds: int
    images: int
    epochs: int
    width: int


@dataclass(frozen=True)
class Probe:
    """What a few epochs took, on this machine.

    Attributes
    ----------
    seconds_to_start
        Of a new process, once a chapter.
    seconds_to_compile
        Of a network, at most once for each kind of training.
    seconds_per_pixel
        Of one image in one epoch, with as many trainings side by side as the book has.
    bytes_of_training
        Memory of one such process with the augmented set.
    """

    seconds_to_start: float
    seconds_to_compile: float
    seconds_per_pixel: float
    bytes_of_training: int


@dataclass(frozen=True)
class Effort:
    """An estimate.

    Attributes
    ----------
    seconds
        Of training, by chapter.
    bytes_of_memory
        Of all trainings side by side.
    bytes_of_disk
        In the cache: micrographs, inputs, networks.
    """

    seconds: dict[str, float]
    bytes_of_memory: int
    bytes_of_disk: int


def planned_trainings(dataset: Dataset, parameters: Parameters) -> list[Trainings]:
    """The trainings of all chapters, each kind where it comes first.

    Parameters
    ----------
    dataset, parameters
        As in `fesemlib.validation.leave_one_out.leave_one_formulation_out`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.params import Parameters
    >>> data = draw_stand_ins(9, 0, (96, 128))
    >>> first = planned_trainings(data, Parameters(input_width=64, number_of_seeds=5))[0]
    >>> first.chapter, first.folds, first.images
    ('04_loocv_baseline', 45, 8)
    """
    formulations = len(dataset.formulations)
    images = round(len(dataset.images) * (1 - 1 / formulations))
    copies = len(GROUPS[parameters.augmentation_group])

    def loocv(chapter: str, used: Parameters, copies: int = 1) -> Trainings:
        folds = formulations * used.number_of_seeds
        steps, more = (math.ceil(number * images / used.batch_size) for number in (1, copies))
        epochs = max(1, round(used.epochs * steps / more))  # copies are trained in as many steps
        return Trainings(chapter, folds, images * copies, epochs, used.input_width)

    small = evaluation_parameters(parameters)
    one_seed = small.model_copy(update={"number_of_seeds": 1})
    quick = small.model_copy(update={"learning_rate": parameters.permutation_learning_rate})
    longest = {"epochs": parameters.longer_training * parameters.epochs}
    pairs = small.number_of_seeds * formulations * (formulations - 1) // 2
    scales = window_scales(dataset.shape, small.input_width, parameters.windows_per_side)
    draws = parameters.synthetic_draws if dataset.synthetic else 1
    moved = other_dropout_parameters(parameters)
    remedies = len(REMEDIES) * REMEDY_SEEDS
    planned = [
        *[loocv("04_loocv_baseline", parameters)] * draws,
        loocv("04_loocv_baseline", small),  # to the criterion
        loocv("04_loocv_baseline", moved.model_copy(update=longest)),
        *[
            Trainings("04_loocv_baseline", remedies, images, epochs, width)
            for width, epochs in remedy_effort(dataset, parameters).items()
        ],
        *[loocv("05_loocv_augmented", parameters, copies)] * draws,
        loocv("07_evaluation", averaging_parameters(parameters)),
        loocv("07_evaluation", quick),
        *[loocv("07_evaluation", one_seed)] * parameters.permutations,
        loocv("07_evaluation", small),  # in all epochs
        Trainings("07_evaluation", pairs, images, small.epochs, small.input_width),
        *[loocv("09_robustness", one_seed)] * (len(scales) - 1),  # the first is the whole frame
    ]
    if small.input_width == parameters.input_width:  # these have been trained
        planned.remove(loocv("07_evaluation", small))
    trained = (small, moved, quick)  # to the criterion, too
    for levels in planned_cells(parameters):
        cell = parameters_of_cell(parameters, levels)
        if cell not in trained:
            planned.append(loocv("08_sensitivity", cell))
    for used in (small, averaging_parameters(parameters)):
        planned += [
            Trainings(
                "08_sensitivity",
                parameters.learning_curve_seeds,
                size,
                used.epochs,
                used.input_width,
            )
            for size in parameters.learning_curve_sizes
        ]
    every = len(dataset.images) * (
        copies if parameters.prediction_training_set != "original" else 1
    )
    planned.append(
        Trainings(
            "06_prediction",
            parameters.number_of_seeds,
            every,
            parameters.epochs,
            parameters.input_width,
        )
    )
    return planned


def probe(dataset: Dataset, parameters: Parameters) -> Probe:
    """Train a few epochs as the book would, on noise, in as many processes side by side.

    Parameters
    ----------
    dataset, parameters
        As in `planned_trainings`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.params import Parameters
    >>> try:  # what cannot be trained costs no time
    ...     probe(draw_stand_ins(3, 0, (96, 128)), Parameters(input_width=512))
    ... except ValueError as error:
    ...     print(error)
    input_width = 512 px, but the micrographs are 128 px wide; set input_width to 128 or less
    """
    jobs = side_by_side(parameters)
    shape = input_shape(dataset.shape, parameters.input_width)
    images = round(len(dataset.images) * (1 - 1 / len(dataset.formulations)))
    with get_context("spawn").Pool(jobs) as pool:
        found = pool.starmap(_train_a_little, [(shape, images, parameters)] * jobs, chunksize=1)
    start, compiling, epoch, memory = (float(each) for each in np.mean(found, axis=0))
    return Probe(start, compiling, epoch / (images * math.prod(shape)), int(memory))


def estimate(dataset: Dataset, parameters: Parameters, probed: Probe) -> Effort:
    """Time, memory and disk of a book of which nothing is in the cache.

    Parameters
    ----------
    dataset, parameters
        As in `planned_trainings`.
    probed
        From `probe`.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.params import Parameters
    >>> data, parameters = draw_stand_ins(3, 0, (96, 128)), Parameters(parallel_jobs=2)
    >>> effort = estimate(data, parameters, Probe(5.0, 1.0, 1e-8, 10**9))
    >>> effort.bytes_of_memory
    2000000000
    """
    jobs = side_by_side(parameters)
    seconds: dict[str, float] = {}
    for kind in planned_trainings(dataset, parameters):
        pixels = math.prod(input_shape(dataset.shape, min(kind.width, dataset.shape[1])))
        fold = kind.epochs * kind.images * pixels * probed.seconds_per_pixel
        turns = math.ceil(kind.folds / jobs)
        seconds.setdefault(kind.chapter, probed.seconds_to_start)
        seconds[kind.chapter] += turns * fold + probed.seconds_to_compile
    return Effort(seconds, jobs * probed.bytes_of_training, _disk(dataset, parameters))


def shortages(effort: Effort, free_memory: int, free_disk: int) -> list[str]:
    """What this machine has too little of, a sentence each; none where it has enough.

    Parameters
    ----------
    effort
        From `estimate`.
    free_memory, free_disk
        Bytes.

    Examples
    --------
    >>> effort = Effort({}, bytes_of_memory=8 * 10**9, bytes_of_disk=10**9)
    >>> shortages(effort, free_memory=4 * 10**9, free_disk=2 * 10**9)
    ['8.0 GB of memory are needed and 4.0 GB free: lower parallel_jobs or input_width']
    """
    kinds = (
        ("memory", effort.bytes_of_memory, free_memory, "lower parallel_jobs or input_width"),
        (
            "disk",
            effort.bytes_of_disk,
            free_disk,
            "make room, or let FESEM_BUILD name another disk",
        ),
    )
    return [
        f"{needed / 1e9:.1f} GB of {name} are needed and {free / 1e9:.1f} GB free: {remedy}"
        for name, needed, free, remedy in kinds
        if needed > free
    ]


def side_by_side(parameters: Parameters) -> int:
    """How many folds are trained at the same time on this machine."""
    from loky import cpu_count

    return parameters.parallel_jobs or int(cpu_count())


def _disk(dataset: Dataset, parameters: Parameters) -> int:
    from fesemlib.evaluation.imaging import DEGRADATIONS
    from fesemlib.network.architecture import number_of_weights

    shape = input_shape(dataset.shape, parameters.input_width)
    weights = _BYTES * number_of_weights(shape, parameters.padding, parameters.head)
    kept = len(dataset.formulations) + parameters.number_of_seeds
    images = len(dataset.images)
    processed = images * math.prod(dataset.shape)
    degraded = parameters.imaging_strengths * len(DEGRADATIONS) * images
    inputs = (1 + degraded / images) * images * math.prod(shape) * _BYTES
    return round(2 * processed + inputs + kept * weights)


def _train_a_little(
    shape: tuple[int, int], images: int, parameters: Parameters
) -> tuple[float, float, float, int]:
    """Seconds to start, to compile and of an epoch, and bytes held; to be run in a new process."""
    from fesemlib.network.engine import Settings, train_fold

    random = np.random.default_rng(0)
    noise = random.random((images + 1, *shape), dtype=np.float32)
    test = np.arange(images + 1) == images
    k_m = np.linspace(1e-4, 1e-3, images + 1)

    def seconds(epochs: int, learning_rate: float, transformations: tuple[str, ...]) -> float:
        changed = {"epochs": epochs, "learning_rate": learning_rate}
        settings = Settings.of(parameters.model_copy(update=changed))
        begun = time.monotonic()
        train_fold(noise, k_m, test, settings, transformations, np.random.SeedSequence(0))
        return time.monotonic() - begun

    rate, original = parameters.learning_rate, ("original",)
    first = seconds(1, rate, original)
    again = seconds(1, rate / 2, original)  # another rate is compiled anew
    epochs = _LEAST_EPOCHS
    while (whole := seconds(epochs, rate / 2, original)) < _SECONDS_OF_EPOCHS:
        epochs *= 4
    seconds(1, rate / 2, GROUPS[parameters.augmentation_group])
    epoch = whole / epochs
    return max(first - again, 0.0), max(again - epoch, 0.0), epoch, _greatest_memory()


def _greatest_memory() -> int:
    """Bytes that this process has held at most."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
