"""Prediction of micrographs at full resolution: how many a second, and with how much memory.

A model of each kind is written to a folder; the networks are five, barely trained, since their
weights do not matter here. Processes of their own then read it and predict stand-ins
from TIFF files, with everything that `fesem predict` computes: reading, processing, the
predictor, texture, interval and resistance. The files are copies of a few, so that the memory for
few and for many files can be compared; they are read anew each time.

The time begins when the model is loaded and includes compiling what is compiled at first use. The
memory is the most that the process has held, TensorFlow included.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

from fesemlib.dataset import draw_stand_ins, load_dataset
from fesemlib.micrographs.files import image_files
from fesemlib.micrographs.zeiss import write_zeiss_tiff
from fesemlib.params import Parameters
from fesemlib.prediction.model import load_model, predict_files, train_model

MEMBERS = 5
WIDTH = 128
SHAPE = (1536, 2048)
PREDICTORS = ("texture", "length", "length_and_texture", "paper_network")
NUMBERS = (8, 32, 128)
FRAMES = 4
REPETITIONS = 3
GIBIBYTE = 2**30


def make_model(folder: Path, predictor: str) -> None:
    """A model of the default stand-ins; networks that have been trained for one epoch."""
    parameters = Parameters(
        synthetic_width=SHAPE[1],
        input_width=WIDTH,
        epochs=1,
        number_of_seeds=MEMBERS,
        predictor=predictor,
    )
    train_model(load_dataset(parameters), parameters).save(folder)


def make_files(folder: Path, number: int) -> None:
    """Copies of a few stand-ins."""
    folder.mkdir()
    for position, micrograph in enumerate(draw_stand_ins(FRAMES, 7_000_000, SHAPE).micrographs):
        write_zeiss_tiff(folder / f"frame_{position}.tif", micrograph)
        for copy in range(position + FRAMES, number, FRAMES):
            shutil.copy(folder / f"frame_{position}.tif", folder / f"frame_{copy}.tif")


def predict(model_folder: Path, files: Path) -> tuple[float, float, float]:
    """Seconds to load the model, seconds for all files, and peak memory in bytes."""
    start = time.perf_counter()
    model = load_model(model_folder)
    loaded = time.perf_counter()
    rows = list(predict_files(model, image_files([str(files)])))
    assert not any(row.error for row in rows), rows
    seconds = time.perf_counter() - loaded
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return loaded - start, seconds, memory * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print a row for each number of files; the best of some repetitions, and their range."""
    print(f"{os.cpu_count()} cores, {MEMBERS} networks of {WIDTH} px, micrographs of 2048×1536 px")
    print("predictor            images   load (s)   images a second (range)   GiB at most")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in NUMBERS:
            make_files(folder / str(number), number)
        for predictor, number in product(PREDICTORS, NUMBERS):
            model = folder / predictor
            if not model.exists():
                make_model(model, predictor)
            found = []
            for _ in range(REPETITIONS):
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    found.append(pool.submit(predict, model, folder / str(number)).result())
            load, seconds, memory = zip(*found, strict=True)
            rates = sorted(number / each for each in seconds)
            print(
                f"{predictor:20} {number:6d}{statistics.median(load):11.1f}"
                f"{statistics.median(rates):14.1f} ({rates[0]:.1f}–{rates[-1]:.1f})"
                f"{max(memory) / GIBIBYTE:20.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
