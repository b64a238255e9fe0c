"""Background subtraction of one full micrograph: ImageJ's algorithm here, ImageJ, scikit-image.

All use the same ball on a light background. Ours and ImageJ's are one algorithm; scikit-image's is
another with other results, and what a Python user would otherwise reach for. ImageJ runs where Java
(with its compiler) and Debian's package ``imagej`` are installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage.restoration import rolling_ball

from fesemlib.processing import GreyImage, subtract_background
from fesemlib.synthetic import synthesize_micrograph

RADII = (1, 10, 20, 50, 100, 200)
RADIUS = 50  # the one at which scikit-image's, which is slow, is compared
REPETITIONS = 7
JAR = Path("/usr/share/java/ij.jar")
PROGRAM = Path(__file__).with_name("ImageJBackground.java")


def ours(image: GreyImage, radius: float) -> GreyImage:
    """ImageJ's algorithm in this package."""
    return subtract_background(image, radius)


def scikit_image(image: GreyImage, radius: float) -> GreyImage:
    """The light background is the dark one of the negative."""
    negative = 255 - image
    return 255 - (negative - rolling_ball(negative, radius=radius))


def measure(function: Callable[[], GreyImage], repetitions: int) -> tuple[GreyImage, float, float]:
    """The result, the least of several times (s; other work only ever adds), and peak memory (MB).

    The memory is what the call itself allocates, measured in a call of its own.
    """
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, min(times), peak / 1e6


def imagej(image: GreyImage, radius: float) -> tuple[GreyImage, float]:
    """The result, and the least of several times in one Java process that has warmed up (s)."""
    height, width = image.shape
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "input"), Path(name, "output")
        source.write_bytes(image.tobytes())
        java = ["java", "-Djava.awt.headless=true", "-cp", str(JAR), str(PROGRAM)]
        words = [source, width, height, radius, REPETITIONS, target]
        times = subprocess.check_output([*java, *map(str, words)], text=True).split()
        result = np.fromfile(target, np.uint8).reshape(image.shape)
    return result, min(map(float, times))


def row(*cells: str) -> None:
    """Print one line of the table; cells left out are dashes."""
    radius, program, *others = [*cells, *["–"] * (6 - len(cells))]
    print(f"{radius:>6}  {program:<24}" + "".join(f"{cell:>14}" for cell in others))


def main() -> None:
    """Time all of them and print the table."""
    image = synthesize_micrograph(1.4e-3, seed=0).image
    print(f"{image.shape[1]}×{image.shape[0]} px, light background; times are the best of several")
    row("radius", "program", "time", "to ours", "peak memory", "from ImageJ's")
    with_imagej = bool(shutil.which("javac")) and JAR.is_file()
    for radius in RADII:
        reference, value = imagej(image, radius) if with_imagej else (None, 0.0)
        mine, seconds, memory = measure(lambda radius=radius: ours(image, radius), REPETITIONS)
        costs = [f"{seconds:.3f} s", "1.0", f"{memory:.0f} MB"]
        row(f"{radius} px", "fesemlib", *costs, largest_difference(mine, reference))
        if with_imagej:
            row("", "ImageJ, warm", f"{value:.3f} s", f"{value / seconds:.1f}")
        else:
            row("", "ImageJ: not installed")
        if radius == RADIUS:
            other, value, memory = measure(lambda: scikit_image(image, RADIUS), 1)
            costs = [f"{value:.3f} s", f"{value / seconds:.1f}", f"{memory:.0f} MB"]
            row("", "skimage rolling_ball", *costs, largest_difference(other, reference))
            likeness = np.corrcoef(mine.ravel(), other.ravel())[0, 1]
            print(f"{'':8}correlation of fesemlib's and scikit-image's results: {likeness:.2f}")


def largest_difference(result: GreyImage, reference: GreyImage | None) -> str:
    """From ImageJ's result, if there is one."""
    if reference is None:
        return "–"
    return f"{np.abs(result.astype(int) - reference).max()} levels"


if __name__ == "__main__":
    main()
