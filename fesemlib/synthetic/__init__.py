"""Stand-ins: micrographs of drawn foams whose k_m is known."""

from fesemlib.synthetic.foam import foam_volume, synthesize_micrograph

__all__ = ["foam_volume", "synthesize_micrograph"]
