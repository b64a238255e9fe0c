"""Tables of the chapter on what the network looks at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.evaluation.imaging import DEGRADATIONS
from fesemlib.pages.numbers import percent, three_digits
from fesemlib.pages.report import show_table
from fesemlib.validation.errors import LOG_MEAN, WITHOUT_WORST


def show_maps(statistics: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.occlusion.map_statistics`, and their medians."""
    headings = {
        "greatest": ("greatest change (%)", percent),
        "densest": ("weight on a tenth (%)", percent),
        "fills": ("grey and mean", "{:.2f}"),
        "content": ("rotated back", "{:.2f}"),
        "place": ("not rotated back", "{:.2f}"),
    }
    return _shown(
        pd.concat([statistics, statistics.median().to_frame("median").T]),
        "The maps in numbers: greatest change, share of the weight on the tenth of the area that "
        "counts most, correlation with the other filling and with the micrograph rotated by 180°",
        headings,
    )


def show_pasted(found: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.occlusion.find_patches`, averaged over the pictures."""
    grouped = found.groupby("reader", sort=False)
    table, change = grouped.mean(numeric_only=True), grouped["change"]
    signed = partial(percent, sign=True)
    headings = {
        "area": ("share of the area (%)", percent),
        "detail": ("share of the detail (%)", percent),
        "fine": ("weight on the fine patch (%)", percent),
        "own": ("on its own texture (%)", percent),
        "change": ("change of the prediction (%)", signed),
        "least": ("least (%)", signed),
        "greatest": ("greatest (%)", signed),
    }
    return _shown(
        table.assign(least=change.min(), greatest=change.max()),
        "Shares of the patch in the area, the detail and the map's weight, and the change of the "
        "prediction by its finer pores: means over the pictures, and the extremes",
        headings,
    )


def show_sources(sources: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.frames.compare_sources`, with the ``pitch`` of scales if any."""
    headings = {
        "pitch": ("pixels in one of the input, across", "{:.3g}"),
        "images": ("images each", "{:.0f}"),
        "scatter": ("scatter (%)", percent),
        "offset": ("offset (%)", percent),
        "one": ("error of one (%)", percent),
        "all": ("error of all (%)", percent),
        WITHOUT_WORST: ("without the worst of all (%)", percent),
        LOG_MEAN: ("|ln| of all", three_digits),
    }
    return _shown(
        sources,
        "Several predictions of each formulation held out: scatter about their mean, offset of the "
        "mean, and relative errors of one and of the mean, also without the worst, and |ln|",
        headings,
    )


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
    headings = {
        "strength": ("at strength", "{:g}"),
        "unit": ("in", "{}"),
        "change": ("mean change (%)", percent),
        "worst": ("greatest change (%)", percent),
        "relative_error": ("error then (%)", percent),
    }
    others = {name: (f"mean change, {name} (%)", percent) for name in summary.columns[4:]}
    return _shown(
        summary.assign(unit=[DEGRADATIONS[name].unit for name in summary.index]),
        "Greatest change of the predicted k_m over the strengths, the most harmful one first",
        headings | others,
    )


def _shown(table: pd.DataFrame, caption: str, headings: Mapping[str, tuple[str, Any]]) -> Styler:
    """The columns of these names, as far as there are, with their headings and formats."""
    chosen = {name: heading for name, heading in headings.items() if name in table}
    renamed = table[list(chosen)].rename(columns={key: name for key, (name, _) in chosen.items()})
    return show_table(renamed, caption, dict(chosen.values()), narrow=True)
