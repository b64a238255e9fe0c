"""Stand-ins for the paper's unpublished micrographs: drawn foams whose k_m is known.

They are *not data*: nothing learnt from them says anything about a real product. *Physical* are the
throats, which follow from k_m by Knudsen's law of straight tubes, the porosity and the walls; the
k_m of the foam itself, a walk of molecules tells (`fesemlib.volume`).
*Assumed* are the ratio of throat to cell, the tortuosity, the temperature and the random geometry:
walls between elongated cells, missing between some, perforated on the scale of the throats, and
cut along a rough surface. *Cosmetic* is the microscope; walls seen edge on are drawn wider than
they are (0.3 to 0.8 µm for Table 1), and coarse pixels see the scene along two rays across only.
Gain, offset and skewness of the grey levels are drawn without regard to k_m: in raw frames their
mean and deviation say nothing about it, though they may after averaging or background subtraction.
"""

from fesemlib.synthetic.foam import (
    EDGE_GLOW_UM,
    THROAT_TO_CELL,
    Structure,
    cell_diameter,
    foam_volume,
    throat_diameter,
    wall_thickness,
)
from fesemlib.synthetic.microscope import PAPER_PIXEL_SIZE_UM, synthesize_micrograph
from fesemlib.synthetic.sets import part_of_frame

__all__ = [
    "EDGE_GLOW_UM",
    "PAPER_PIXEL_SIZE_UM",
    "THROAT_TO_CELL",
    "Structure",
    "cell_diameter",
    "foam_volume",
    "part_of_frame",
    "synthesize_micrograph",
    "throat_diameter",
    "wall_thickness",
]
