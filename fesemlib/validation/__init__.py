"""Leave-one-formulation-out: folds, who trains them, and one tidy table of errors."""

from fesemlib.validation.errors import table_2
from fesemlib.validation.leave_one_out import (
    TRAINING_SETS,
    held_out_predictions,
    leave_one_formulation_out,
)

__all__ = ["TRAINING_SETS", "held_out_predictions", "leave_one_formulation_out", "table_2"]
