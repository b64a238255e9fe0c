"""Tables of the data set and of its grey levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.drying.equations import CLASSIC_RESISTANCE, product_resistance
from fesemlib.evaluation import published
from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.pages.numbers import significant
from fesemlib.pages.tables.words import shown

# The dried layer whose resistance stands beside its k_m: thickness in m, front in K.
_LAYER, _FRONT = 0.01, 250.0


def show_formulations(formulations: pd.DataFrame) -> Styler:
    """Table 1 for the page, with R_p added; what a manifest does not tell is a dash."""
    papers_own = published.concerns(formulations)
    digits = partial(significant, digits=2 if papers_own else 3)  # the paper prints two
    resistance = product_resistance(formulations["k_m"], _LAYER, _FRONT) / CLASSIC_RESISTANCE
    table = formulations.rename_axis(None).assign(
        k_m=(1e3 * formulations["k_m"]).map(digits), resistance=[*map(digits, resistance)]
    )
    number = "Table" if papers_own else "In the form of Table"
    return shown("formulations", table, number=number, layer=100 * _LAYER, front=_FRONT)


def show_reading(dataset: Dataset) -> Styler:
    """What was read of the micrographs; those of which the same is to be told share a row."""
    told = pd.DataFrame([vars(each) for each in dataset.micrographs]).drop(columns="image")
    shapes = [each.image.shape for each in dataset.micrographs]
    told.insert(0, "kept", [f"{width} × {height}" for height, width in shapes])
    told["cut_top"] = told["cut_top"].where(told["cut_top"] > 0)
    if dataset.synthetic:
        told["pixel_size_source"] = "rendered"
    told = told.dropna(axis="columns", how="all")
    names = dataset.images["formulation" if dataset.synthetic else "image"].rename("micrographs")
    shared = names.groupby([told[name] for name in told], sort=False, dropna=False)
    return shown("reading", shared.agg(", ".join).reset_index()).hide(axis="index")


def show_grey_levels(tested: Sequence[Mapping[str, GreyLevelTest]]) -> Styler:
    """Brightness and contrast at each step in some sets of images, and what they tell of k_m."""
    rows = {}
    for step in tested[0]:
        levels = np.concatenate([tests[step].statistics for tests in tested])
        found = [tests[step].determination for tests in tested]
        rows[step] = [*np.c_[levels.mean(axis=0), levels.std(axis=0)].flat, min(found), max(found)]
    names = ["mean", "mean_spread", "deviation", "deviation_spread", "lowest", "highest"]
    return shown("grey_levels", pd.DataFrame.from_dict(rows, orient="index", columns=names))
