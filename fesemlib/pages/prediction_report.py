"""A report of predictions that can be handed on: one HTML file, which needs no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from fesemlib.drying.calibration import vial_of
from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.drying.outlook import Case, outlook_of
from fesemlib.micrographs.reading import Micrograph
from fesemlib.pages.report import write_page
from fesemlib.pages.style import COLOURS, INK, embedded, plain_logarithmic
from fesemlib.params import Parameters
from fesemlib.prediction.model import Layer, Model, Prediction
from fesemlib.prediction.seeing import read_as_trained, with_pixel_size
from fesemlib.predictors.measures import LENGTH
from fesemlib.processing import resize_by_area

_WIDTH = 900  # px, of a micrograph in the report
_DETAIL = 24  # correlation lengths across the part of it that is enlarged
_K_M = "k$_m$ (10$^{-3}$ m² s$^{-1}$)"


def write_report(
    path: Path,
    rows: Sequence[Prediction],
    files: Sequence[str],
    model: Model,
    layer: Layer,
    drying: Parameters,
    pixel_size_um: float | None = None,
) -> None:
    """Write predictions with their micrographs, the drying that they promise, and the model card.

    `rows` are of the files, in their order; what follows them, such as a mean, has no picture. The
    pixel size, if it is told, is that of all files.
    """
    pictures = [*files, *[None] * (len(rows) - len(files))]
    write_page(
        path,
        "prediction_report.html.jinja",
        model=model,
        card=model.card,
        factor=math.exp(model.half_width),
        candidates=model.card.candidate_residuals.abs().mean(skipna=False).sort_values().to_dict(),
        parameters=model.card.parameters.model_dump(exclude_defaults=True),
        drying=drying,
        vial=vial_of(drying),
        layer=layer,
        classic=CLASSIC_RESISTANCE,
        micrographs=len(files),
        results=[
            {
                "row": row,
                "cases": _cases(row, drying),
                "picture": ""
                if row.error or not file
                else _picture(file, row, model, pixel_size_um),
            }
            for row, file in zip(rows, pictures, strict=True)
        ],
    )


def _cases(row: Prediction, drying: Parameters) -> dict[str, Case | None]:
    """The drying of what may be predicted, by what the page calls the case."""
    if not row.in_domain:
        return {}
    outlook = outlook_of(row.image, row.k_m, row.k_m_low, row.k_m_high, drying)
    return {"as predicted": outlook.predicted, "slowest": outlook.slow, "fastest": outlook.fast}


def _picture(file: str, row: Prediction, model: Model, told_um: float | None) -> str:
    """The micrograph with its correlation length, and where its prediction stands; base64."""
    read = read_as_trained(model.card, file)
    read = replace(read, pixel_size_um=told_um or read.pixel_size_um)
    micrograph, _ = with_pixel_size(read, model.card)
    length = model.card.measuring.length(micrograph.image, micrograph.pixel_size_um)
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    frame, detail, right = figure.subplots(1, 3, width_ratios=(1.35, 1, 1.2))
    shown = resize_by_area(micrograph.image, min(micrograph.image.shape[1], _WIDTH))
    frame.imshow(shown, cmap="gray", vmin=0, vmax=255)
    frame.set_axis_off()
    frame.set_title("as it is read, without its data bar", fontsize=11)
    _draw_detail(detail, micrograph, length, model)
    _draw_training_set(right, length, row, model)
    return embedded(figure)


def _draw_detail(axes: Axes, micrograph: Micrograph, length: float, model: Model) -> None:
    """The middle of the frame, and circles as wide as it is correlated."""
    pixel = micrograph.pixel_size_um or model.card.pixel_size_um or 1.0
    width = length / pixel  # px
    sides = micrograph.image.shape
    half = int(min(_DETAIL * width if width > 0 else min(sides), *sides) / 2)
    rows, columns = (slice(side // 2 - half, side // 2 + half) for side in sides)
    axes.imshow(micrograph.image[rows, columns], cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    unit = "µm" if model.card.pixel_size_um else "px"
    if not math.isfinite(length):
        axes.set_title("no correlation length", fontsize=11)
        return
    axes.set_title(f"circles: correlation length, {length:.3g} {unit}", fontsize=11)
    for across, down in product((0.2, 0.5, 0.8), repeat=2):
        place = (2 * half * across, 2 * half * down)
        axes.add_patch(Circle(place, width / 2, fill=False, color=COLOURS[1], lw=1.5))


def _draw_training_set(axes: Axes, length: float, row: Prediction, model: Model) -> None:
    """The training set and the prediction: against the length, where that is what it goes by."""
    known, card = model.card.known, model.card
    new: Any = {"fmt": "D", "color": COLOURS[3], "ms": 8, "lw": 2, "label": "this micrograph"}
    k_m = [1e3 * each for each in (row.k_m, row.k_m_low, row.k_m_high)]
    error = [[k_m[0] - k_m[1]], [k_m[2] - k_m[0]]]
    if model.predictor.needs == (LENGTH,):
        lengths = known.measures[LENGTH].to_numpy()[:, 0]
        line = np.array([np.nanmin([*lengths, length]), np.nanmax([*lengths, length])])
        axes.plot(line, 1e3 * np.asarray(model.learned.predict(line[:, np.newaxis])), color=INK)
        axes.plot(lengths, 1e3 * known.k_m, "o", color=COLOURS[0], label="training set")
        axes.errorbar([length], k_m[:1], error, **new)
        axes.set(xlabel="correlation length (µm)", ylabel=_K_M)
    else:
        true = 1e3 * np.array([card.k_m[name] for name in card.residuals])
        left_out = true / np.exp(list(card.residuals.values()))
        axes.plot([true.min(), true.max()], [true.min(), true.max()], "--", color=INK, lw=1)
        axes.plot(left_out, true, "o", color=COLOURS[0], label="training set, each left out")
        axes.axvspan(k_m[1], k_m[2], color=COLOURS[3], alpha=0.2)
        axes.axvline(k_m[0], color=COLOURS[3], lw=2, label="this micrograph")
        axes.set(xlabel=f"predicted {_K_M}", ylabel=f"measured {_K_M}")
    plain_logarithmic(axes, "xy", (1, 2, 5))
    axes.legend(loc="best", fontsize=9)
