"""Training of the paper's network: the engine here against Keras' own `fit`, and how it scales.

Both train two folds on the stand-in micrographs, eight images in one batch, and predict the
held-out one after every epoch. Keras is used as in its own examples: compile, then fit with
validation data, one fold after another on all cores. The engine here trains the two folds side by
side, one process with one thread each, as the book does.

What is compiled before the first step is left out of the times of an epoch on both sides: Keras
fits one epoch before, the engine a whole fold. The total includes it, and starting the process.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from fesemlib.dataset import load_dataset
from fesemlib.inputs import network_inputs
from fesemlib.network import build_network, load_tensorflow
from fesemlib.params import Parameters
from fesemlib.training import Settings, TargetScale, engine_for, train_fold, use_one_thread

EPOCHS = {256: 100, 384: 50, 512: 30, 2048: 8}
REPETITIONS = 3
FOLDS = 2
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Timing:
    """Seconds for an epoch of one fold, seconds for everything, and the memory at its highest."""

    epoch: float
    total: float
    memory: float


def settings_for(epochs: int, dropout_rate: float = 0.5) -> Settings:
    """The defaults, which are the paper's, with this number of epochs."""
    return replace(Settings.of(Parameters()), epochs=epochs, dropout_rate=dropout_rate)


def peak_memory() -> float:
    """The most memory that this process has held, in bytes."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * (1 if sys.platform == "darwin" else 1024)


def fit_with_keras(images: np.ndarray, k_m: np.ndarray, epochs: int) -> tuple[float, float]:
    """Train the folds one after another; seconds for an epoch, and peak memory."""
    keras = load_tensorflow().keras
    seconds = 0.0
    for fold in range(FOLDS):
        test = np.arange(len(images)) == fold
        targets = TargetScale.fit(k_m[~test], "minmax").to_target(k_m)
        model = build_network(images.shape[1:], seed=fold)
        model.compile(keras.optimizers.Adam(1e-4), loss="mse")

        def fit(
            number: int,
            model: object = model,
            test: np.ndarray = test,
            targets: np.ndarray = targets,
        ) -> None:
            model.fit(
                images[~test, ..., np.newaxis],
                targets[~test],
                batch_size=16,
                epochs=number,
                validation_data=(images[test, ..., np.newaxis], targets[test]),
                verbose=0,
            )

        fit(1)
        start = time.perf_counter()
        fit(epochs)
        seconds += time.perf_counter() - start
    return seconds / (FOLDS * epochs), peak_memory()


def train_with_engine(
    images: np.ndarray, k_m: np.ndarray, epochs: int, fold: int
) -> tuple[float, float, float]:
    """Train one fold twice; when the second training began and ended, and peak memory."""
    test = np.arange(len(images)) == fold
    settings = settings_for(epochs)
    for _ in range(2):
        begin = time.time()
        train_fold(images, k_m, test, settings, False, np.random.SeedSequence(fold))
    return begin, time.time(), peak_memory()


def time_keras(images: np.ndarray, k_m: np.ndarray, epochs: int) -> Timing:
    """Keras' time, in a process of its own."""
    start = time.perf_counter()
    with fresh_processes(1) as pool:
        epoch, memory = pool.submit(fit_with_keras, images, k_m, epochs).result()
    return Timing(epoch, time.perf_counter() - start, memory)


def time_engine(images: np.ndarray, k_m: np.ndarray, epochs: int) -> Timing:
    """The engine's time: both folds at once. The total leaves the second training out."""
    start = time.perf_counter()
    with fresh_processes(FOLDS) as pool:
        jobs = [pool.submit(train_with_engine, images, k_m, epochs, fold) for fold in range(FOLDS)]
        results = [job.result() for job in jobs]
    total = time.perf_counter() - start
    seconds = max(end - begin for begin, end, _ in results)
    memory = sum(memory for _, _, memory in results)
    return Timing(seconds / (FOLDS * epochs), total - seconds, memory)


def fresh_processes(number: int) -> ProcessPoolExecutor:
    """Processes that know nothing of this one's TensorFlow."""
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def best(measure: Callable[[], Timing]) -> Timing:
    """The least of several times: the machine's other work only ever adds."""
    timings = [measure() for _ in range(REPETITIONS)]
    return Timing(*(min(values) for values in zip(*map(_values, timings), strict=True)))


def _values(timing: Timing) -> tuple[float, float, float]:
    return timing.epoch, timing.total, timing.memory


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
    found = [engine.run_epoch(prepared, targets, order, step, 0)[0] for step in range(steps)]
    return float(np.max(np.abs(np.array(found) / np.array(expected, dtype=float) - 1)))


def largest_difference(images: np.ndarray, k_m: np.ndarray) -> float:
    """`loss_difference` in a process of its own, which gives its memory back."""
    with fresh_processes(1) as pool:
        return pool.submit(loss_difference, images, k_m).result()


def compare(width: int, images: np.ndarray, k_m: np.ndarray) -> None:
    """One row: Keras, the engine, their ratio, memory, and how far the losses are apart."""
    epochs = EPOCHS[width]
    keras = best(lambda: time_keras(images, k_m, epochs))
    engine = best(lambda: time_engine(images, k_m, epochs))
    difference = largest_difference(images[:8], k_m[:8])
    pixels = 8 * images.shape[1] * images.shape[2]
    print(
        f"{width:5d}×{images.shape[1]:<5d}{epochs:6d} {1e3 * keras.epoch:8.1f}"
        f"{1e3 * engine.epoch:9.1f} {keras.epoch / engine.epoch:6.1f} "
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
        for epoch in range(epochs):
            engine.run_epoch(prepared, targets, order, epoch, 0)
        times.append(time.process_time() - start)
    return min(times[1:])


def show_scaling(width: int, images: np.ndarray) -> None:
    """How processor time grows with epochs and images, in units of linear growth."""
    epochs = max(EPOCHS[width] // 4, 1)
    unit = 0.0
    for copies, factor in ((1, 1), (1, 2), (1, 4), (2, 1), (4, 1)):
        with fresh_processes(1) as pool:
            job = pool.submit(processor_seconds, images, copies, factor * epochs)
            seconds = job.result()
        unit = unit or seconds
        print(
            f"{width:5d}×{images.shape[1]:<5d}{factor * epochs:7d} epochs {8 * copies:4d} images"
            f"{seconds:9.3f} s {seconds / (unit * factor * copies):6.2f} of linear",
            flush=True,
        )


def main() -> None:
    """Print a row for each width, then how the time grows with epochs and images."""
    dataset = load_dataset(Parameters())
    k_m = dataset.images["k_m"].to_numpy(dtype=np.float64)
    inputs = {
        width: network_inputs(dataset, Parameters(input_width=width))
        for width in map(int, sys.argv[1:] or EPOCHS)
    }
    print(
        "                      ms an epoch of one fold ns a px  s in total     GiB at most   loss,"
    )
    print(
        "width×height epochs   Keras     here  ratio     here   Keras    here  Keras   here differs"
    )
    for width, images in inputs.items():
        compare(width, images, k_m)
    print("\nprocessor time of one fold on one core")
    for width, images in inputs.items():
        show_scaling(width, images)


if __name__ == "__main__":
    main()
