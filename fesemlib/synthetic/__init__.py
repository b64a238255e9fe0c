"""Stand-ins for the paper's unpublished micrographs: drawn foams whose k_m is known.

They are *not data*: nothing learnt from them says anything about a real product.

Physical
    The throat between two cells follows from k_m by Knudsen's law, the porosity from the solids
    content, the cell from the throat, and the thickness of the walls from porosity and cell.
Assumed
    The ratio of throat to cell, the tortuosity and the temperature; the random geometry: walls
    between elongated cells, missing between some, perforated on the scale of the throats, and cut
    along a rough surface.
Cosmetic
    The microscope: yield that grows with slope and at edges, light that fades with depth, a
    charging patch streaked along the scan, defocus toward the borders, shot noise. Walls seen edge
    on are drawn wider than they are (0.3 to 0.8 µm for Table 1, less than a pixel). A coarse pixel
    sees the scene along two rays across, not all that a frame of fine pixels would average.

The gain, the offset and the skewness of the grey levels are drawn without regard to k_m, and the
histogram of each scene is made to follow them: their mean and deviation say nothing about k_m in a
raw frame, though they may after averaging to fewer pixels or subtracting the background.
"""

from fesemlib.synthetic.foam import (
    EDGE_GLOW_UM,
    THROAT_TO_CELL,
    cell_diameter,
    foam_volume,
    throat_diameter,
    wall_thickness,
)
from fesemlib.synthetic.microscope import PAPER_PIXEL_SIZE_UM, synthesize_micrograph
from fesemlib.synthetic.sets import part_of_frame, stand_ins

__all__ = [
    "EDGE_GLOW_UM",
    "PAPER_PIXEL_SIZE_UM",
    "THROAT_TO_CELL",
    "cell_diameter",
    "foam_volume",
    "part_of_frame",
    "stand_ins",
    "synthesize_micrograph",
    "throat_diameter",
    "wall_thickness",
]
