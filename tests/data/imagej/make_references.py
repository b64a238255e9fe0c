"""Make the references in this folder: images of our own, and what ImageJ makes of them.

``python tests/data/imagej/make_references.py`` writes one file for each image. It needs ImageJ and
a Java development kit: on Debian, the packages ``imagej`` and ``default-jdk-headless``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
JAR = Path("/usr/share/java/ij.jar")

# Every shrink factor (1 up to 10 px, 2 up to 30, 4 up to 100, 8 above), both sides of every limit.
RADII = (1, 2, 5, 7.3, 10, 10.5, 11, 20, 25.4, 30, 31, 50, 75, 100, 101, 150, 200)
FEW_RADII = (8, 20, 50, 120, 200)

Task = tuple[np.ndarray, str]  # an image and the words after it in a line for References.java


def missing() -> str:
    """What is missing on this machine, or nothing."""
    if not shutil.which("java"):
        return "no java (Debian: default-jdk-headless)"
    if not shutil.which("javac"):
        return "no Java compiler (Debian: default-jdk-headless)"
    return "" if JAR.is_file() else f"no {JAR} (Debian: imagej)"


def images() -> dict[str, tuple[np.ndarray, Sequence[float]]]:
    """The images, uint8 of shape (H, W), and the radii for each (px).

    They are made with whole numbers only, so that they are the same on every machine. ImageJ needs
    both sides to be longer than the factor by which it shrinks.
    """
    flat = np.full((40, 33), 117, np.uint8)
    flat[20, 11] = 40  # one dark and one light pixel, so that the ball is seen
    flat[8, 25] = 200
    return {
        "textured": (textured(1, 58, 75), RADII),
        "multiple_of_eight": (textured(2, 48, 64), RADII),
        "large": (textured(3, 129, 158), FEW_RADII),
        "noisy": (np.random.default_rng(4).integers(0, 256, (37, 53)).astype(np.uint8), RADII),
        "saturated": (saturated(5, 51, 67), RADII),
        "flat": (flat, RADII),
        "uniform": (np.full((17, 23), 200, np.uint8), RADII),
        "wide": (textured(6, 11, 197), RADII),
        "high": (textured(7, 150, 9), RADII),
        "nine_by_nine": (textured(8, 9, 9), RADII),
        "five_by_six": (textured(9, 5, 6), [radius for radius in RADII if radius <= 100]),
        "three_by_four": (textured(10, 3, 4), [radius for radius in RADII if radius <= 30]),
        "one_by_seven": (textured(11, 1, 7), [radius for radius in RADII if radius <= 10]),
        "one_pixel": (np.full((1, 1), 93, np.uint8), [radius for radius in RADII if radius <= 10]),
    }


def histograms() -> np.ndarray:
    """Images of shape (16, 16) with histograms that a look-up table may stumble over."""
    ramp = np.arange(256)
    half = np.repeat([0, 1], 128)
    rng = np.random.default_rng(12)
    levels = [
        *(np.full(256, level) for level in (0, 1, 100, 254, 255)),  # one level
        *(low + (high - low) * half for low, high in ((0, 255), (0, 1), (254, 255), (60, 61))),
        np.where(ramp == 0, 0, 255),
        np.where(ramp == 255, 255, 0),
        np.where(ramp == 0, 7, 180),
        np.where(half == 0, ramp // 8, 255 - ramp // 16),  # an empty middle
        ramp,
        ramp // 2,
        np.minimum(ramp, 200),
        np.maximum(ramp, 50),
    ]
    for occupied in (2, 3, 10, 40, 120):
        for _ in range(8):
            chosen = rng.integers(0, 256, occupied)
            levels.append(chosen[(rng.integers(0, 1000, 256) ** 2 * occupied) // 1_000_000])
    return np.array(levels, dtype=np.uint8).reshape(-1, 16, 16)


def textured(seed: int, height: int, width: int) -> np.ndarray:
    """Structure on three scales, a dark patch, and a slope."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), np.int64)
    for reach, weight in ((1, 3), (3, 6), (9, 9)):
        noise = rng.integers(-1000, 1001, (height + 4 * reach, width + 4 * reach))
        total += weight * (2 * reach + 1) * box_mean(box_mean(noise, reach), reach)
    rows, columns = np.mgrid[:height, :width]
    patch = np.maximum(0, 20 - np.abs(rows - height // 2)) * np.maximum(
        0, 20 - np.abs(columns - width // 3)
    )
    return np.clip(120 + total // 150 - patch // 8 + 40 * columns // width, 0, 255).astype(np.uint8)


def saturated(seed: int, height: int, width: int) -> np.ndarray:
    """White and black areas, some at the border, on a texture of little contrast."""
    image = textured(seed, height, width) // 4 + 100
    image[: height // 3, : width // 3] = 255
    image[height // 2 :, width // 2 : width // 2 + 20] = 0
    image[-5:, :9] = 255
    image[5:9, -12:-4] = 0
    return image


def box_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean over a square of side 2 · reach + 1, rounded down; each side loses `reach`."""
    side = 2 * reach + 1
    for axis in (0, 1):
        padded = np.insert(np.cumsum(values, axis=axis), 0, 0, axis=axis)
        ends = np.arange(side, padded.shape[axis])
        values = (np.take(padded, ends, axis) - np.take(padded, ends - side, axis)) // side
    return values


def imagej(tasks: Iterable[Task]) -> list[np.ndarray]:
    """What ImageJ makes of each image, all in one Java process."""
    tasks = list(tasks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = []
        for number, (image, words) in enumerate(tasks):
            source, target = folder / f"{number}.in", folder / f"{number}.out"
            source.write_bytes(image.tobytes())
            lines.append(f"{source} {image.shape[1]} {image.shape[0]} {target} {words}")
        task_file = folder / "tasks.txt"
        task_file.write_text("\n".join(lines), encoding="utf-8")
        java = ["java", "-Djava.awt.headless=true", "-cp", str(JAR)]
        subprocess.run([*java, str(FOLDER / "References.java"), str(task_file)], check=True)
        return [
            np.fromfile(folder / f"{number}.out", np.uint8).reshape(image.shape)
            for number, (image, _) in enumerate(tasks)
        ]


def references() -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each file in this folder, by name."""
    inputs = images()
    tasks: list[Task] = []
    for name, (image, radii) in inputs.items():
        for create in _kinds(name).values():
            for radius, light, smooth in product(radii, (False, True), (False, True)):
                tasks.append((image, f"subtract {radius} {light} {smooth} {create}".lower()))
        tasks.extend(_equalizations(image))
    stack = histograms()
    for image in stack:
        tasks.extend(_equalizations(image))
    results = iter(imagej(tasks))

    files = {}
    for name, (image, radii) in inputs.items():
        shape = (len(radii), 2, 2, *image.shape)
        files[name] = {"image": image, "radii": np.array(radii, np.float64)}
        for kind in _kinds(name):
            files[name][kind] = np.array([next(results) for _ in range(4 * len(radii))])
            files[name][kind] = files[name][kind].reshape(shape)
        files[name]["classic"], files[name]["imagej"] = next(results), next(results)
    both = np.array(list(results)).reshape(len(stack), 2, 16, 16)
    files["histograms"] = {"image": stack, "classic": both[:, 0], "imagej": both[:, 1]}
    return files


def _kinds(name: str) -> dict[str, bool]:
    """What is kept of the background's subtraction, and whether to ask ImageJ to create it."""
    only = {"subtracted": False}
    return {**only, "background": True} if name == "saturated" else only


def _equalizations(image: np.ndarray) -> list[Task]:
    return [(image, "equalize true"), (image, "equalize false")]


def main() -> None:
    """Write the files."""
    if problem := missing():
        raise SystemExit(f"{problem}: install it and try again")
    for name, arrays in references().items():
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
        print(f"{name}.npz: {arrays['image'].shape}")


if __name__ == "__main__":
    main()
