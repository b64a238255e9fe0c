"""Predictors of k_m: one interface, what there is, and the choice among them."""

from fesemlib.predictors.known import Known
from fesemlib.predictors.listing import candidates_of, predictor_named
from fesemlib.predictors.measures import Measuring
from fesemlib.predictors.selection import Selection, select

__all__ = ["Known", "Measuring", "Selection", "candidates_of", "predictor_named", "select"]
