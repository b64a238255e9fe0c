"""What a volume of pores and walls lets through."""

from fesemlib.volume.knudsen import Knudsen, foam_knudsen, stand_in_k_m, volume_knudsen

__all__ = ["Knudsen", "foam_knudsen", "stand_in_k_m", "volume_knudsen"]
