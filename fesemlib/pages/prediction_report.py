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

from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.drying.outlook import Case, outlook_of
from fesemlib.micrographs.reading import Micrograph
from fesemlib.pages.numbers import minus
from fesemlib.pages.report import write_page
from fesemlib.pages.style import COLOURS, INK, embedded, plain_logarithmic
from fesemlib.params import Parameters
from fesemlib.prediction.model import Layer, Model, Prediction
from fesemlib.prediction.seeing import read_as_trained, with_pixel_size
from fesemlib.predictors.measures import LENGTH
from fesemlib.processing import GreyImage, resize_by_area

_WIDTH = 900  # px, of a micrograph in the report
_DETAIL = 24  # correlation lengths across the part of it that is enlarged
_CYCLE = {  # what the drying depends on, and what the page calls it
    "heat_transfer_coefficient": "k_v (W m⁻² K⁻¹)",
    "area_ratio": "A_v/A_p",
    "ice_thickness_mm": "ice (mm)",
    "solids_percent": "solids (mass %)",
    "shelf_start_k": "shelf at the start (°C)",
    "shelf_hold_k": "shelf then (°C)",
    "shelf_ramp_k_per_min": "ramp of the shelf (K/min)",
    "chamber_pressure_pa": "chamber (Pa)",
    "collapse_temperature_k": "collapse temperature (°C)",
}
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
    cycle = {
        text: minus(f"{getattr(drying, name) - 273.15 * name.endswith('_k'):.4g}")
        for name, text in _CYCLE.items()
    }
    write_page(
        path,
        "prediction_report.html.jinja",
        card=model.card,
        level=100 * model.level,
        factor=math.exp(model.half_width),
        candidates=model.card.candidate_residuals.abs().mean(skipna=False).sort_values().to_dict(),
        parameters=model.card.parameters.model_dump(exclude_defaults=True),
        cycle=cycle,
        drying=f"{cycle['ice (mm)']} mm of ice, shelf at {cycle['shelf then (°C)']} °C, chamber at "
        f"{cycle['chamber (Pa)']} Pa, collapse temperature {cycle['collapse temperature (°C)']} °C",
        layer=f"{1e3 * layer.thickness:g} mm of dried cake, front at "
        f"{minus(f'{layer.front_temperature - 273.15:g}')} °C",
        micrographs=len(files),
        results=[
            _result(row, file, model, drying, pixel_size_um)
            for row, file in zip(rows, pictures, strict=True)
        ],
    )


def _result(
    row: Prediction, file: str | None, model: Model, drying: Parameters, told_um: float | None
) -> dict[str, object]:
    """What the page shows of one prediction."""
    if row.error:
        return {"image": row.image, "error": row.error}
    outlook = outlook_of(row.image, row.k_m, row.k_m_low, row.k_m_high, drying)
    cases = {"as predicted": outlook.predicted, "slowest": outlook.slow, "fastest": outlook.fast}
    collapse = drying.collapse_temperature_k
    resistances = (row.resistance, row.resistance_low, row.resistance_high)
    return {
        "image": row.image,
        "k_m": [f"{1e3 * each:.3g}" for each in (row.k_m, row.k_m_low, row.k_m_high)],
        "resistance_si": [f"{1e-5 * each:.3g}" for each in resistances],
        "resistance": [f"{each / CLASSIC_RESISTANCE:.3g}" for each in resistances],
        "in_domain": row.in_domain,
        "remarks": row.remarks,
        "drying": {
            name: _drying(case, collapse) for name, case in cases.items() if case and row.in_domain
        },
        "picture": _picture(file, row, model, told_um) if file else "",
    }


def _drying(case: Case, collapse: float) -> dict[str, str]:
    if case.run is None:
        return {"hours": "—", "front": "—", "stays": "no: the ice would melt"}
    return {
        "hours": f"{case.time / 3600:.1f}",
        "front": minus(f"{case.warmest_front - 273.15:.1f}"),
        "stays": "yes" if case.warmest_front < collapse else "no",
    }


def _picture(file: str, row: Prediction, model: Model, told_um: float | None) -> str:
    """The micrograph with its correlation length, and where its prediction stands; base64."""
    read = read_as_trained(model.card, file)
    read = replace(read, pixel_size_um=told_um or read.pixel_size_um)
    micrograph, _ = with_pixel_size(read, model.card)
    length = model.card.measuring.length(micrograph.image, micrograph.pixel_size_um)
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    frame, detail, right = figure.subplots(1, 3, width_ratios=(1.35, 1, 1.2))
    _draw_frame(frame, micrograph.image)
    _draw_detail(detail, micrograph, length, model)
    _draw_training_set(right, length, row, model)
    return embedded(figure)


def _draw_frame(axes: Axes, image: GreyImage) -> None:
    shown = resize_by_area(image, min(image.shape[1], _WIDTH))
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title("as it is read, without its data bar", fontsize=11)


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
