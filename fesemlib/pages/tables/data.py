"""Tables of the data set and of its grey levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.drying.equations import CLASSIC_RESISTANCE, product_resistance
from fesemlib.evaluation import published
from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.pages.numbers import significant
from fesemlib.pages.report import show_table

# The dried layer whose resistance stands beside its k_m: thickness in m, front in K.
_LAYER, _FRONT = 0.01, 250.0


def show_formulations(formulations: pd.DataFrame) -> Styler:
    """Table 1 for the page, with R_p added; what a manifest does not tell is a dash."""
    papers_own = published.concerns(formulations)
    digits = 2 if papers_own else 3  # the paper prints two
    resistance = product_resistance(formulations["k_m"], _LAYER, _FRONT) / CLASSIC_RESISTANCE
    shown = formulations[["composition"]].rename_axis(None)
    shown["k_m (10⁻³ m² s⁻¹)"] = 1e3 * formulations["k_m"]
    shown["std (%)"] = formulations["std_percent"]
    shown["R_p (cm² Torr h g⁻¹)"] = resistance
    formats = dict.fromkeys(shown, lambda value: significant(value, digits))
    return show_table(
        shown,
        f"{'Table' if papers_own else 'In the form of Table'} 1 of the paper: composition, mass "
        "transfer coefficient, and its standard deviation over the vials with a thermocouple. "
        f"Added: the product resistance R_p of a dried layer of {100 * _LAYER:g} cm at {_FRONT:g} "
        "K.",
        {**formats, "composition": "{}", "std (%)": "{:g}"},
        texts=["composition"],
    )


def show_reading(dataset: Dataset) -> Styler:
    """What was read of the micrographs; those of which the same is to be told share a row."""
    rendered = "rendered" if dataset.synthetic else None
    told = pd.DataFrame(
        {
            "kept (px)": f"{micrograph.image.shape[1]} × {micrograph.image.shape[0]}",
            "rows cut off": micrograph.cut_rows,
            "off the top": micrograph.cut_top or None,
            "data bar from row": micrograph.data_bar_row,
            "pixel (µm)": micrograph.pixel_size_um,
            "known from": micrograph.pixel_size_source or rendered,
            "before rescaling (µm)": micrograph.rescaled_from_um,
        }
        for micrograph in dataset.micrographs
    ).dropna(axis="columns", how="all")
    names = dataset.images["formulation" if dataset.synthetic else "image"].rename("micrographs")
    shared = names.groupby([told[name] for name in told], sort=False, dropna=False)
    shown = shared.agg(", ".join).reset_index()[["micrographs", *told]]
    formats = dict.fromkeys(("pixel (µm)", "before rescaling (µm)"), "{:.4g}")
    formats |= dict.fromkeys(("off the top", "data bar from row"), "{:.0f}")
    caption = "What was read of the micrographs; a dash, or no column, for what was not found"
    return show_table(shown, caption, formats, texts=["micrographs"]).hide(axis="index")


def show_grey_levels(tested: Sequence[Mapping[str, GreyLevelTest]]) -> Styler:
    """Brightness and contrast at each step in some sets of images, and what they tell of k_m."""
    rows = {}
    for step in tested[0]:
        levels = np.concatenate([tests[step].statistics for tests in tested])
        found = [tests[step].determination for tests in tested]
        rows[step] = [*np.c_[levels.mean(axis=0), levels.std(axis=0)].flat, min(found), max(found)]
    names = ["mean", "± of means", "deviation", "± of deviations", "lowest R²", "highest R²"]
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index", columns=names),
        "Mean and standard deviation of the grey levels, averaged over the images of all sets, each"
        " with its spread (±) from image to image; R² of the linear model on both, in the set where"
        " it is lowest and in the one where it is highest",
        dict.fromkeys(names[:4], "{:.1f}") | dict.fromkeys(names[4:], "{:.2f}"),
    )
