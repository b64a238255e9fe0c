"""Training of the paper's network: the engine here against Keras' own `fit`, and how it scales.

Both train two folds on the stand-in micrographs, eight images in one batch or their 32 copies in
two, and predict the held-out one after every epoch. Keras is used as in its own examples: compile,
then fit with validation data, one fold after another on all cores. The engine here trains the two
folds side by side, one process with one thread each, as the book does.

What is compiled before the first step is left out of the times of an epoch on both sides: Keras
fits one epoch before, the engine a whole fold. The total includes it, starting the processes and
all epochs. Keras and the engine take turns; the ratio is the median of the turns, with its range.
The memory is the sum over processes, and counts what they share as often as there are processes.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from fesemlib.dataset import load_dataset
from fesemlib.network.architecture import build_network, load_tensorflow
from fesemlib.network.augmentation import TRANSFORMATIONS, augment
from fesemlib.network.engine import Settings, TargetScale, engine_for, train_fold, use_one_thread
from fesemlib.network.inputs import network_inputs
from fesemlib.params import Parameters

REPETITIONS = 3
FOLDS = 2
AT_ONCE = 25  # epochs in one graph
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Work:
    """What one row of the table trains: width of the input in px, epochs, and which set."""

    width: int
    epochs: int
    transformations: tuple[str, ...] = ("original",)


WORK = (
    Work(256, 100),
    Work(384, 50),
    Work(512, 30),
    Work(2048, 4),
    Work(2048, 2, transformations=tuple(TRANSFORMATIONS)),
)


@dataclass(frozen=True)
class Timing:
    """Seconds for an epoch of one fold, seconds for everything, and the memory at its highest."""

    epoch: float
    total: float
    memory: float


def settings_for(epochs: int, dropout_rate: float = 0.5) -> Settings:
    """The defaults, which are the paper's, with this number of epochs."""
    changes = {"epochs": epochs, "dropout_rate": dropout_rate}
    return Settings.of(Parameters()).model_copy(update=changes)


def peak_memory() -> float:
    """The most memory that this process has held, in bytes."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * (1 if sys.platform == "darwin" else 1024)


def fit_with_keras(images: np.ndarray, k_m: np.ndarray, work: Work) -> tuple[float, float]:
    """Train the folds one after another; seconds for an epoch, and peak memory."""
    keras = load_tensorflow().keras
    seconds = 0.0
    for fold in range(FOLDS):
        test = np.arange(len(images)) == fold
        targets = TargetScale.fit(k_m[~test], "minmax").to_target(k_m)
        train_images = augment(images[~test], work.transformations)
        train_targets = np.tile(targets[~test], len(work.transformations))
        model = build_network(images.shape[1:], seed=fold)
        model.compile(keras.optimizers.Adam(1e-4), loss="mse")

        def fit(
            number: int,
            model: object = model,
            examples: tuple[np.ndarray, np.ndarray] = (train_images, train_targets),
            held_out: tuple[np.ndarray, np.ndarray] = (images[test], targets[test]),
        ) -> None:
            model.fit(
                examples[0][..., np.newaxis],
                examples[1],
                batch_size=16,
                epochs=number,
                validation_data=(held_out[0][..., np.newaxis], held_out[1]),
                verbose=0,
            )

        fit(1)
        start = time.perf_counter()
        fit(work.epochs - 1)
        seconds += time.perf_counter() - start
    return seconds / (FOLDS * (work.epochs - 1)), peak_memory()


def train_with_engine(
    images: np.ndarray, k_m: np.ndarray, work: Work, fold: int, together: threading.Barrier
) -> tuple[float, float, float]:
    """Train one fold twice, the second time together with the other folds.

    Returns when that training began and ended, and peak memory.
    """
    test = np.arange(len(images)) == fold
    for _ in range(2):
        together.wait()
        begin = time.time()
        train_fold(
            images,
            k_m,
            test,
            settings_for(work.epochs),
            work.transformations,
            np.random.SeedSequence(fold),
        )
    return begin, time.time(), peak_memory()


def time_keras(images: np.ndarray, k_m: np.ndarray, work: Work) -> Timing:
    """Keras' time, in a process of its own."""
    start = time.perf_counter()
    with fresh_processes(1) as pool:
        epoch, memory = pool.submit(fit_with_keras, images, k_m, work).result()
    return Timing(epoch, time.perf_counter() - start, memory)


def time_engine(images: np.ndarray, k_m: np.ndarray, work: Work) -> Timing:
    """The engine's time: both folds at once. The total leaves the second training out."""
    start = time.perf_counter()
    with multiprocessing.Manager() as manager, fresh_processes(FOLDS) as pool:
        together = manager.Barrier(FOLDS)
        jobs = [
            pool.submit(train_with_engine, images, k_m, work, fold, together)
            for fold in range(FOLDS)
        ]
        begins, ends, memories = zip(*(job.result() for job in jobs), strict=True)
    total = time.perf_counter() - start
    seconds = max(ends) - min(begins)
    return Timing(seconds / (FOLDS * work.epochs), total - seconds, sum(memories))


def fresh_processes(number: int) -> ProcessPoolExecutor:
    """Processes that know nothing of this one's TensorFlow."""
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def combined(timings: list[Timing]) -> Timing:
    """The least times, since the machine's other work only ever adds, and the most memory."""
    return Timing(
        min(timing.epoch for timing in timings),
        min(timing.total for timing in timings),
        max(timing.memory for timing in timings),
    )


def loss_difference(images: np.ndarray, k_m: np.ndarray, steps: int = 20) -> float:
    """The largest relative difference of the two losses, from the same weights without dropout."""
    keras = load_tensorflow().keras
    targets = TargetScale.fit(k_m, "minmax").to_target(k_m)[:, np.newaxis].astype(np.float32)
    model = build_network(images.shape[1:], dropout_rate=0.0, seed=1)
    model.compile(keras.optimizers.Adam(1e-4), loss="mse")
    expected = [model.train_on_batch(images[..., np.newaxis], targets) for _ in range(steps)]
    engine = engine_for(images.shape[1:], settings_for(1, dropout_rate=0.0))
    engine.start(seed=1)
    prepared, order = engine.form.prepare(images), np.arange(len(images))
    found, _ = engine.run_epochs(prepared, targets, [order] * steps, 0, 0)
    return float(np.max(np.abs(found[:, 0] / np.array(expected, dtype=float) - 1)))


def largest_difference(images: np.ndarray, k_m: np.ndarray) -> float:
    """`loss_difference` in a process of its own, which gives its memory back."""
    with fresh_processes(1) as pool:
        return pool.submit(loss_difference, images, k_m).result()


def compare(work: Work, images: np.ndarray, k_m: np.ndarray) -> None:
    """One row: Keras, the engine, their ratio, memory, and how far the losses are apart."""
    pairs = [
        (time_keras(images, k_m, work), time_engine(images, k_m, work)) for _ in range(REPETITIONS)
    ]
    keras, engine = (combined(list(timings)) for timings in zip(*pairs, strict=True))
    ratios = sorted(first.epoch / second.epoch for first, second in pairs)
    difference = largest_difference(images[:8], k_m[:8])
    pixels = (len(images) - 1) * images[0].size * len(work.transformations)
    name = "augmented" if len(work.transformations) > 1 else "original"
    print(
        f"{images.shape[2]:5d}×{images.shape[1]:<5d}{name:9s}"
        f"{work.epochs:7d} {1e3 * keras.epoch:8.1f}{1e3 * engine.epoch:9.1f} "
        f"{statistics.median(ratios):6.1f} ({ratios[0]:.1f}–{ratios[-1]:.1f}) "
        f"{1e9 * engine.epoch / pixels:8.1f} {keras.total:7.1f}{engine.total:8.1f} "
        f"{keras.memory / GIBIBYTE:6.1f}{engine.memory / GIBIBYTE:7.1f} {difference:.1e}",
        flush=True,
    )


def processor_seconds(images: np.ndarray, copies: int, epochs: int) -> float:
    """Processor time of some epochs on one core, once everything is compiled."""
    use_one_thread()
    many = np.concatenate([images[:8]] * copies)
    targets = np.linspace(0, 1, len(many), dtype=np.float32)[:, np.newaxis]
    engine = engine_for(images.shape[1:], settings_for(epochs))
    engine.start(seed=1)
    prepared, order = engine.form.prepare(many), np.arange(len(many))
    times = []
    for _ in range(REPETITIONS + 1):
        start = time.process_time()
        for first in range(0, epochs, AT_ONCE):
            engine.run_epochs(prepared, targets, [order] * min(AT_ONCE, epochs - first), first, 0)
        times.append(time.process_time() - start)
    return min(times[1:])


def show_scaling(work: Work, images: np.ndarray) -> None:
    """How processor time grows with epochs and images, in units of linear growth."""
    epochs = max(work.epochs // 4, 1)
    unit = 0.0
    for copies, factor in ((1, 1), (1, 2), (1, 4), (2, 1), (4, 1)):
        with fresh_processes(1) as pool:
            job = pool.submit(processor_seconds, images, copies, factor * epochs)
            seconds = job.result()
        unit = unit or seconds
        print(
            f"{images.shape[2]:5d}×{images.shape[1]:<5d}{factor * epochs:7d} epochs"
            f"{8 * copies:4d} images{seconds:9.3f} s {seconds / (unit * factor * copies):6.2f} "
            "of linear",
            flush=True,
        )


def main() -> None:
    """Print a row for each piece of work, then how the time grows with epochs and images."""
    dataset = load_dataset(Parameters(synthetic_width=2048))
    k_m = dataset.images["k_m"].to_numpy(dtype=np.float64)
    widths = set(map(int, sys.argv[1:]))
    chosen = [work for work in WORK if not widths or work.width in widths]
    inputs = {
        work.width: network_inputs(dataset, Parameters(input_width=work.width)) for work in chosen
    }
    print(
        "                              ms an epoch of one fold             ns a px  s in total"
        "     GiB at most   loss,"
    )
    print(
        "width×height set      epochs   Keras     here  ratio (range)       here   Keras    here"
        "  Keras   here differs"
    )
    for work in chosen:
        compare(work, inputs[work.width], k_m)
    print("\nprocessor time of one fold on one core")
    for work in chosen:
        if len(work.transformations) == 1:
            show_scaling(work, inputs[work.width])


if __name__ == "__main__":
    main()
