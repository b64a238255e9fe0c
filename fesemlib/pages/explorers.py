"""Explorers: sliders beside the static figures, for a person in front of JupyterLab.

Every explorer has two parts: a function that computes what is seen, which needs no browser, and
the widgets that call it. Where nobody can move a slider, as in the rendered book, an explorer is
one line that says how to try it, and leaves nothing else behind.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fesemlib.drying.equations import porosity
from fesemlib.drying.outlook import cycle_of
from fesemlib.drying.vial import Cycle, PrimaryDryingError, Vial, drying_time
from fesemlib.drying.vial import simulate_primary_drying as simulate
from fesemlib.evaluation.imaging import degrade
from fesemlib.micrographs.files import PredictionError
from fesemlib.pages.numbers import typeset
from fesemlib.pages.statements import Banner
from fesemlib.pages.style import COLOURS, INK
from fesemlib.params import Parameters
from fesemlib.prediction.model import Model, predict_micrographs
from fesemlib.processing import GreyImage, process, resize_by_area
from fesemlib.progress import in_live_notebook
from fesemlib.synthetic import synthesize_micrograph
from fesemlib.synthetic.foam import cell_diameter, throat_diameter

_WIDTH = 480  # px of a picture
_WINDOW = (360, 480)  # px of a stand-in: small enough to follow the slider
_NO_LAYOUT: Any = "none"  # the one of the notebooks takes longer than the drawing
_TIMES = 7  # points of the curve of drying times


class Seen(NamedTuple):
    """What an explorer shows: PNG pictures in a row, by what they show, and a line below them."""

    pictures: dict[str, bytes]
    text: str


def background_seen(
    image: GreyImage, radius: float, light_background: bool, equalization: str, smooth: bool = True
) -> Seen:
    """What the processing makes of a micrograph; the radius is in px of this image."""
    steps = process(image, radius, light_background, smooth, equalization)
    levels = {"before": image, "without background": steps.subtracted, "after": steps.equalized}
    pictures = {name: _png(levels[name]) for name in ("before", "after")}
    means = ", ".join(f"{each.mean():.0f} {name}" for name, each in levels.items())
    return Seen({**pictures, "grey levels": _histograms(levels)}, f"mean grey level: {means}")


def stand_in_seen(k_m: float, solids_percent: float, pixel_size_um: float, seed: int) -> Seen:
    """A window of a stand-in, and the sizes it was made with; k_m in m² s⁻¹."""
    micrograph = synthesize_micrograph(k_m, seed, _WINDOW, pixel_size_um, solids_percent)
    throat = 1e6 * throat_diameter(k_m, porosity(solids_percent))
    height, width = (pixel_size_um * side for side in _WINDOW)
    return Seen(
        {"stand-in": _png(micrograph.image)},
        f"synthetic; throats {throat:.2g} µm, cells {cell_diameter(throat):.2g} µm, window "
        f"{width:.0f} × {height:.0f} µm",
    )


def prediction_seen(
    model: Model, image: GreyImage, zoom: float, across: float, down: float, **strengths: float
) -> Seen:
    """What a model predicts of a micrograph that was zoomed into and degraded before.

    The window is so many % of the way from the left and from the top; the strengths are those of
    `fesemlib.evaluation.imaging.DEGRADATIONS`, by name.
    """
    changed = _zoomed(image, zoom, across, down)
    for name, strength in strengths.items():
        changed = degrade(changed, name, strength, np.random.default_rng(0))
    try:
        said = predict_micrographs(model, [changed])[0]
    except PredictionError as error:
        return Seen({"as taken": _png(changed)}, str(error))
    seen = model.card.measuring.reduced(changed)
    verdict = said.remarks or "in the model's domain"
    interval = f"{1e3 * said.k_m_low:.2f} to {1e3 * said.k_m_high:.2f}"
    return Seen(
        {"as taken": _png(changed), "as measured": _png(seen)},
        f"k_m {1e3 * said.k_m:.2f}·10⁻³ m² s⁻¹ ({interval}): {verdict}",
    )


def drying_seen(vial: Vial, cycle: Cycle, k_m: float) -> Seen:
    """How long primary drying takes along k_m (m² s⁻¹), and at one of them."""
    along = np.geomspace(2e-4, 3e-3, _TIMES)
    figure = Figure(figsize=(5, 3), dpi=100, layout=_NO_LAYOUT)
    axes = figure.subplots()
    axes.plot(1e3 * along, [_drying_hours(each, vial, cycle) for each in along], color=COLOURS[0])
    text = f"k_m {1e3 * k_m:.2f}·10⁻³ m² s⁻¹: "
    try:
        run = simulate(k_m, vial, cycle, time_step=1800.0)
    except PrimaryDryingError as error:
        text = str(error)
    else:
        hours, warmest = drying_time(run) / 3600, run["front_temperature"].max() - 273.15
        axes.plot(1e3 * k_m, hours, "o", color=COLOURS[1])
        text += f"{hours:.1f} h of primary drying, front no warmer than {warmest:.1f} °C"
    axes.set(xlabel="k$_m$ (10$^{-3}$ m² s$^{-1}$)", ylabel="primary drying (h)", ylim=(0, None))
    return Seen({"drying time": _drawn(figure)}, text)


def explore_background(image: GreyImage, parameters: Parameters) -> Any:
    """Sliders for the rolling ball and the equalisation, with the histogram, at half the size."""
    small = resize_by_area(image, image.shape[1] // 2).round().astype(np.uint8)
    smooth = parameters.smooth_background
    kinds = ["classic", "imagej", "clahe", "none"]
    return _explorer(
        "radius, kind of background and equalisation: make lab, then open 02_image_processing",
        lambda radius, light, kind: background_seen(small, radius / 2, light, kind, smooth),
        ("radius (px)", parameters.background_radius_px, 4, 200, 2),
        ("light background", parameters.light_background),
        ("equalisation", parameters.equalization, *kinds),
    )


def explore_stand_in(seed: int = 0) -> Any:
    """Sliders for what a stand-in is made from."""
    return _explorer(
        "k_m, solids, pixel size and seed of a stand-in: make lab, then open 10_stand_ins",
        lambda k_m, *others: stand_in_seen(k_m / 1e3, *others),
        ("kₘ (10⁻³ m² s⁻¹)", 1.0, 0.3, 2.0, 0.05),
        ("solids (%)", 5.0, 2, 15, 1),
        ("pixel (µm)", 1.0, 0.5, 4, 0.25),
        ("seed", seed, 0, max(20, seed), 1),
    )


def explore_prediction(model: Model, image: GreyImage) -> Any:
    """Sliders that crop and degrade a micrograph, and what the model predicts of it."""
    faults = ("brightness", "contrast", "defocus", "noise")
    return _explorer(
        "crop, brightness, contrast, defocus and noise: make lab, then open 06_prediction",
        lambda zoom, across, down, *strengths: prediction_seen(
            model, image, zoom, across, down, **dict(zip(faults, strengths, strict=True))
        ),
        ("zoom", 1.0, 1, 3, 0.1),
        ("window across (%)", 50.0, 0, 100, 5),
        ("window down (%)", 50.0, 0, 100, 5),
        ("brightness", 0.0, -40, 40, 5),
        ("contrast", 1.0, 0.25, 1.5, 0.05),
        ("defocus (px)", 0.0, 0, 8, 0.5),
        ("noise", 0.0, 0, 40, 2),
    )


def explore_drying(vial: Vial, parameters: Parameters) -> Any:
    """Sliders for k_m, shelf, heat transfer and filling, and the drying time that follows.

    There is none for the pressure, since k_v depends on it in a way that only measurements tell.
    """
    cycle = cycle_of(parameters)
    return _explorer(
        "k_m, shelf temperature, heat transfer and filling: make lab, then open 06_prediction",
        lambda k_m, shelf, k_v, ice: drying_seen(
            replace(vial, ice_thickness=ice / 1e3, heat_transfer_coefficient=k_v),
            replace(cycle, hold_temperature=shelf + 273.15),
            k_m / 1e3,
        ),
        ("kₘ (10⁻³ m² s⁻¹)", 1.0, 0.2, 3.0, 0.05),
        ("shelf (°C)", parameters.shelf_hold_k - 273.15, -35, 20, 1),
        ("kᵥ (W m⁻² K⁻¹)", vial.heat_transfer_coefficient, 5, 40, 0.2),
        ("ice (mm)", 1e3 * vial.ice_thickness, 2, 20, 0.5),
    )


def _control(name: str, start: Any, *others: Any) -> Any:
    """A box to tick, a list to choose from, or a slider: least, greatest and step."""
    if isinstance(start, bool):
        return widgets.Checkbox(start, description=name)
    if isinstance(start, str):
        return widgets.Dropdown(options=others, value=start, description=name)
    slider = widgets.IntSlider if isinstance(start, int) else widgets.FloatSlider
    return slider(start, **dict(zip(("min", "max", "step"), others, strict=True)), description=name)


def _explorer(hint: str, see: Callable[..., Seen], *settings: tuple[Any, ...]) -> Any:
    """Widgets that call a function whenever one of them has been moved; elsewhere, the hint."""
    if not in_live_notebook():
        text = f"In JupyterLab, sliders stand here for {hint} and run it."
        return Banner("Explore it", text, "tip explorer")
    controls = [_control(*setting) for setting in settings]
    pictures: dict[str, Any] = defaultdict(widgets.Image)
    line = widgets.HTML()

    def show(_: object) -> None:
        seen = see(*(control.value for control in controls))
        for name, png in seen.pictures.items():
            pictures[name].value = png
        line.value = html.escape(typeset(seen.text))

    show(None)
    for control in controls:
        control.style.description_width = "9em"
        control.layout.width = "24em"
        control.observe(show, names="value")
    row = [widgets.VBox([widgets.Label(name), picture]) for name, picture in pictures.items()]
    flow = widgets.Layout(flex_flow="row wrap")
    return widgets.VBox([*(widgets.HBox(part, layout=flow) for part in (controls, row)), line])


@lru_cache(maxsize=10 * _TIMES)
def _drying_hours(k_m: float, vial: Vial, cycle: Cycle) -> float:
    """Hours; NaN where the ice would melt. Kept, so that k_m slides along a curve that stays."""
    try:
        return drying_time(simulate(k_m, vial, cycle, time_step=1e9)) / 3600
    except PrimaryDryingError:
        return float("nan")


def _zoomed(image: GreyImage, factor: float, across: float, down: float) -> GreyImage:
    """A window of an image, enlarged to its size; where it is, in % of the way."""
    height, width = image.shape
    tall, wide = round(height / factor), round(width / factor)
    top, left = round((height - tall) * down / 100), round((width - wide) * across / 100)
    window = Image.fromarray(image[top : top + tall, left : left + wide])
    return np.asarray(window.resize((width, height), Image.Resampling.BICUBIC))


def _png(image: GreyImage) -> bytes:
    """An image as a picture that is quickly made and not too wide."""
    step = max(1, image.shape[1] // _WIDTH)
    picture = Image.fromarray(np.ascontiguousarray(image[::step, ::step]))
    if picture.width < _WIDTH // 2:  # the input of a network: let its pixels be seen
        height = round(_WIDTH * picture.height / picture.width)
        picture = picture.resize((_WIDTH, height), Image.Resampling.NEAREST)
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _histograms(images: dict[str, GreyImage]) -> bytes:
    figure = Figure(figsize=(4.8, 3.6), dpi=100, layout=_NO_LAYOUT)
    axes = figure.subplots()
    for colour, (name, image) in zip((INK, *COLOURS), images.items(), strict=False):
        share = 100 * np.bincount(image.ravel(), minlength=256) / image.size
        axes.stairs(share, np.arange(257) - 0.5, color=colour, label=name)
    axes.set(xlabel="grey level", ylabel="share of pixels (%)", xlim=(-5, 260))
    # Above the axes: the search for the best place inside would take a third of the drawing.
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return _drawn(figure)


def _drawn(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.subplots_adjust(bottom=0.17, right=0.97)
    figure.savefig(stream, format="png", pil_kwargs={"compress_level": 1})
    return stream.getvalue()
