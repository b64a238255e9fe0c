"""A stack of sections, or a drawn foam → what its pores let through."""

from fesemlib.volume.diffusion import Diffusion, VolumeError, effective_diffusivity
from fesemlib.volume.kept import kept
from fesemlib.volume.knudsen import Knudsen, foam_knudsen, stand_in_k_m, volume_knudsen
from fesemlib.volume.stack import Volume, read_stack

__all__ = [
    "Diffusion",
    "Knudsen",
    "Volume",
    "VolumeError",
    "effective_diffusivity",
    "foam_knudsen",
    "kept",
    "read_stack",
    "stand_in_k_m",
    "volume_knudsen",
]
