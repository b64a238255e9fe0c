"""How long the leave-one-out of a book will take, and how much memory and disk the book.

A few epochs are trained here and now, side by side as the book would train them, and the rest
follows by proportion: the time of an epoch grows with its images.
"""

from __future__ import annotations

import math
import sys
import time
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import psutil

from fesemlib.command.cache import size_text
from fesemlib.evaluation.epochs import inner_folds
from fesemlib.network.augmentation import GROUPS
from fesemlib.predictors.selection import groups_of
from fesemlib.processing import input_shape
from fesemlib.storage import build_folder

if TYPE_CHECKING:
    from fesemlib.dataset import Dataset
    from fesemlib.params import Parameters

_SECONDS_OF_EPOCHS = 2.0
_BYTES = 4  # of a weight, and of a pixel of the network's input


class Probe(NamedTuple):
    """What a few epochs took on this machine, in as many trainings as the book has at a time."""

    jobs: int  # side by side
    seconds_per_image: float  # in one epoch
    bytes_of_training: int  # memory of one process, with the augmented set


class Effort(NamedTuple):
    """An estimate for a book of which nothing is in the cache."""

    # Of the leave-one-out, by chapter; in 06 to choose a predictor, in 07 the epoch.
    seconds: dict[str, float]
    bytes_of_memory: int  # of all trainings side by side
    bytes_of_disk: int  # in the cache: micrographs, inputs, networks


def probe(dataset: Dataset, parameters: Parameters) -> Probe:
    """Train a few epochs as the book would, on noise, in as many processes side by side."""
    from fesemlib.validation.workers import trainings_at_once

    jobs = trainings_at_once(parameters.parallel_jobs)
    shape = input_shape(dataset.shape, parameters.input_width)
    task = (shape, _images_of_fold(dataset), parameters)
    with get_context("spawn").Pool(jobs) as pool:
        seconds, memory = np.mean(pool.starmap(_trial, [task] * jobs, chunksize=1), axis=0)
    return Probe(jobs, float(seconds), int(memory))


def estimate(dataset: Dataset, parameters: Parameters, probed: Probe) -> Effort:
    """The folds of chapters 04 and 05, as many times what one takes; memory and disk."""
    images = _images_of_fold(dataset)
    draws = parameters.synthetic_draws if dataset.synthetic else 1
    turns = draws * math.ceil(len(dataset.formulations) * parameters.number_of_seeds / probed.jobs)
    seconds = {}
    for chapter, copies in (("04", 1), ("05", len(GROUPS[parameters.augmentation_group]))):
        once, more = (math.ceil(each * images / parameters.batch_size) for each in (1, copies))
        epochs = max(1, round(parameters.epochs * once / more))  # copies: in as many steps
        seconds[chapter] = turns * epochs * copies * images * probed.seconds_per_image
    small = min(parameters.evaluation_width / parameters.input_width, 1.0) ** 2
    image = small * probed.seconds_per_image / probed.jobs
    names = list(dataset.formulations.index)
    if parameters.predictor == "auto":
        groups = len(groups_of(names))
        trainings = parameters.evaluation_seeds * math.comb(groups + 1, 2)  # of each, of each pair
        epochs = trainings * (parameters.epochs + parameters.averaging_epochs)
        fits = math.comb(groups + 1, 2) + 2 * len(names)
        seconds["06"] = epochs * images * image + fits * _seconds_of_a_fit(dataset)
    trainings = parameters.evaluation_seeds * len(inner_folds(names))
    seconds["07"] = trainings * parameters.epochs * images * image
    return Effort(seconds, probed.jobs * probed.bytes_of_training, _disk(dataset, parameters))


def shortages(effort: Effort, free_memory: int, free_disk: int) -> list[str]:
    """What this machine has too little of (bytes), a sentence each; none where it has enough."""
    memory, disk = effort.bytes_of_memory, effort.bytes_of_disk
    needs = (
        ("memory", memory, free_memory, "lower parallel_jobs or input_width"),
        ("disk", disk, free_disk, "make room, or let FESEM_BUILD name another disk"),
    )
    return [
        f"{size_text(needed)} of {name} are needed and {size_text(free)} free: {remedy}"
        for name, needed, free, remedy in needs
        if needed > free
    ]


def free_bytes() -> tuple[int, int]:
    """Of memory, and of the disk that the build folder lies on or will lie on."""
    folder = build_folder().absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return psutil.virtual_memory().available, psutil.disk_usage(str(there)).free


def _seconds_of_a_fit(dataset: Dataset) -> float:
    """Of the regressions, on noise of the size of the measures, one group left out."""
    from fesemlib.params import ProcessingParameters
    from fesemlib.predictors.combined import LENGTH_AND_TEXTURE
    from fesemlib.predictors.known import Known
    from fesemlib.predictors.listing import too_few
    from fesemlib.predictors.measures import Measuring

    names = Measuring(dataset.shape, 1.0, ProcessingParameters()).names
    images = dataset.images["formulation"].astype(str).to_numpy()
    noise = np.random.default_rng(0).uniform(1.0, 2.0, (len(images), len(names)))
    measures = pd.DataFrame(noise, columns=pd.MultiIndex.from_tuples(names))
    known = Known(measures, dataset.k_m, images)
    if too_few(known):
        return 0.0
    begun = time.monotonic()
    LENGTH_AND_TEXTURE.left_out(known, [(images[0],)])
    return time.monotonic() - begun


def _images_of_fold(dataset: Dataset) -> int:
    """How many images a fold is trained on, copies not counted."""
    return round(len(dataset.images) * (1 - 1 / len(dataset.formulations)))


def _disk(dataset: Dataset, parameters: Parameters) -> int:
    from fesemlib.evaluation.imaging import DEGRADATIONS
    from fesemlib.network.architecture import number_of_weights

    shape = input_shape(dataset.shape, parameters.input_width)
    weights = number_of_weights(shape, parameters.padding, parameters.head)
    kept = len(dataset.formulations) + parameters.number_of_seeds
    images = len(dataset.images)
    degraded = images * parameters.imaging_strengths * len(DEGRADATIONS)
    inputs = (images + degraded) * math.prod(shape)
    return 2 * images * math.prod(dataset.shape) + _BYTES * (inputs + kept * weights)


def _trial(shape: tuple[int, int], images: int, parameters: Parameters) -> tuple[float, int]:
    """Seconds of an image in an epoch, and bytes held; to be run in a new process."""
    from fesemlib.network.engine import Settings, train_fold

    random = np.random.default_rng(0)
    noise = random.random((images + 1, *shape), dtype=np.float32)
    test = np.arange(images + 1) == images
    k_m = np.linspace(1e-4, 1e-3, images + 1)

    def seconds(epochs: int, transformations: tuple[str, ...] = ("original",)) -> float:
        settings = Settings.of(parameters.model_copy(update={"epochs": epochs}))
        begun = time.monotonic()
        train_fold(noise, k_m, test, settings, transformations, np.random.SeedSequence(0))
        return time.monotonic() - begun

    seconds(1)  # and compile
    epochs = 4
    while (whole := seconds(epochs)) < _SECONDS_OF_EPOCHS:
        epochs *= 4
    seconds(1, GROUPS[parameters.augmentation_group])
    return whole / (epochs * images), _greatest_memory()


def _greatest_memory() -> int:
    """Bytes that this process has held at most."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
