"""What the numbers of a leave-one-out mean, and what they depend on."""

from fesemlib.evaluation.baselines import median_of_others
from fesemlib.evaluation.controls import control_summary
from fesemlib.evaluation.published import table2
from fesemlib.evaluation.statistics import compare_pairs

__all__ = ["compare_pairs", "control_summary", "median_of_others", "table2"]
