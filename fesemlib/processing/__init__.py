"""From grey levels to grey levels of the same image: background, histogram, size."""

from fesemlib.processing.background import (
    ProcessedImage,
    equalize_histogram,
    input_shape,
    process,
    process_with,
    resample_by_area,
    resize_by_area,
    subtract_background,
)

__all__ = [
    "ProcessedImage",
    "equalize_histogram",
    "input_shape",
    "process",
    "process_with",
    "resample_by_area",
    "resize_by_area",
    "subtract_background",
]
