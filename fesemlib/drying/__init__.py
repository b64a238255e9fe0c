"""Drying runs and the mass transfer coefficient k_m, in SI units; of use without the rest."""

from fesemlib.drying.coefficients import label_run
from fesemlib.drying.equations import (
    ice_vapour_pressure,
    mass_transfer_coefficient,
    product_resistance,
    vapour_flux,
)
from fesemlib.drying.outlook import outlook_of
from fesemlib.drying.records import DryingRunError, read_drying_run
from fesemlib.drying.vial import Cycle, Vial, simulate_primary_drying

__all__ = [
    "Cycle",
    "DryingRunError",
    "Vial",
    "ice_vapour_pressure",
    "label_run",
    "mass_transfer_coefficient",
    "outlook_of",
    "product_resistance",
    "read_drying_run",
    "simulate_primary_drying",
    "vapour_flux",
]
