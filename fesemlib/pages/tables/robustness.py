"""Tables of the chapter on what the network looks at."""

from __future__ import annotations

import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.evaluation.imaging import DEGRADATIONS
from fesemlib.pages.numbers import percent
from fesemlib.pages.tables.words import shown


def show_maps(statistics: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.occlusion.map_statistics`, and their medians."""
    return shown("maps", pd.concat([statistics, statistics.median().to_frame("median").T]))


def show_pasted(found: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.occlusion.find_patches`, averaged over the pictures."""
    grouped = found.groupby("reader", sort=False)
    table, change = grouped.mean(numeric_only=True), grouped["change"]
    return shown("pasted", table.assign(least=change.min(), greatest=change.max()))


def show_sources(sources: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.frames.compare_sources`, with the ``pitch`` of scales if any."""
    return shown("sources", sources)


def imaging_summary(degraded: pd.DataFrame) -> pd.DataFrame:
    """By degradation, for the first reader of `degraded_predictions`, the greatest change first.

    ``strength`` of the greatest mean ``|change|``; ``change``, that mean, and ``relative_error`` at
    it; ``worst``, the greatest ``|change|`` of a formulation at any strength; and, by its name, the
    greatest mean ``|change|`` of each further reader.
    """
    sized = degraded.assign(change=degraded["change"].abs())
    first, *others = sized["reader"].unique()
    grouped = sized.groupby(["reader", "degradation", "strength"], sort=False)
    means = grouped[["change", "relative_error"]].mean()
    strongest = means.loc[first]["change"].groupby("degradation", sort=False).idxmax()
    summary: pd.DataFrame = means.loc[first].loc[strongest].reset_index("strength")
    summary["worst"] = sized[sized["reader"] == first].groupby("degradation")["change"].max()
    for other in others:
        summary[other] = means.loc[other]["change"].groupby("degradation").max()
    return summary.sort_values("change", ascending=False, kind="stable")


def show_imaging(summary: pd.DataFrame) -> Styler:
    """Present `imaging_summary`."""
    others = {name: f"mean change, {name} (%)" for name in summary.columns[4:]}
    units = [DEGRADATIONS[name].unit for name in summary.index]
    table = summary.assign(unit=units).rename(columns=others)
    return shown("imaging", table, dict.fromkeys(others.values(), percent))
