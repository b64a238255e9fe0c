"""A stack of sections, or a drawn foam → what its pores let through."""

from fesemlib.volume.diffusion import Diffusion, VolumeError, effective_diffusivity
from fesemlib.volume.kept import kept
from fesemlib.volume.stack import Volume, read_stack

__all__ = ["Diffusion", "Volume", "VolumeError", "effective_diffusivity", "kept", "read_stack"]
