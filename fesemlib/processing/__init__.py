"""From grey levels to grey levels of the same image: background, histogram, size."""

from fesemlib.processing.arrays import FloatImage, GreyImage
from fesemlib.processing.background import subtract_background
from fesemlib.processing.resize import central_detail, input_shape, resample_by_area, resize_by_area
from fesemlib.processing.steps import ProcessedImage, equalize_histogram, process, process_with

__all__ = [
    "FloatImage",
    "GreyImage",
    "ProcessedImage",
    "central_detail",
    "equalize_histogram",
    "input_shape",
    "process",
    "process_with",
    "resample_by_area",
    "resize_by_area",
    "subtract_background",
]
