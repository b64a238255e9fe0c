"""Background subtraction of one full micrograph: ImageJ's algorithm here against scikit-image's.

Both use a ball of 50 px on a light background. They are different algorithms with different
results; scikit-image's is what a Python user would otherwise reach for.
"""

import time
from collections.abc import Callable

import numpy as np
from skimage.restoration import rolling_ball

from fesemlib.processing import subtract_background
from fesemlib.synthetic import synthesize_micrograph

RADIUS = 50


def seconds(function: Callable[[], object], repetitions: int) -> float:
    """The least of several times: the machine's other work only ever adds."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Time both and print the ratio."""
    image = synthesize_micrograph(1.4e-3, seed=0).image
    negative = 255 - image
    ours = seconds(lambda: subtract_background(image, RADIUS), 5)
    theirs = seconds(lambda: negative - rolling_ball(negative, radius=RADIUS), 1)
    result = subtract_background(image, RADIUS).astype(float)
    other = 255.0 - (negative - rolling_ball(negative, radius=RADIUS))
    likeness = np.corrcoef(result.ravel(), other.ravel())[0, 1]
    print(f"image                          {image.shape[1]}×{image.shape[0]} px")
    print(f"fesemlib.subtract_background   {ours:8.2f} s")
    print(f"skimage rolling_ball           {theirs:8.2f} s   {theirs / ours:.0f} times as long")
    print(f"correlation of the two results {likeness:8.2f}")


if __name__ == "__main__":
    main()
