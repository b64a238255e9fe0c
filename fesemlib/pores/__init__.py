"""A processed micrograph and a threshold → the dark areas taken for pores, measured."""

from fesemlib.pores.measures import chord_lengths, local_thickness, threshold_level
from fesemlib.pores.micrographs import Pores, PoresError, find_pores, measure_pores

__all__ = [
    "Pores",
    "PoresError",
    "chord_lengths",
    "find_pores",
    "local_thickness",
    "measure_pores",
    "threshold_level",
]
