"""Explorers: sliders beside the static figures, for a person in front of JupyterLab.

Every explorer has two parts: a function that computes what is seen, which needs no browser, and
the widgets that call it. Where nobody can move a slider, as in the rendered book, an explorer is
one line that says how to try it, and leaves nothing else behind.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from fesemlib.drying.equations import porosity
from fesemlib.drying.vial import Cycle, PrimaryDryingError, drying_time, simulate_primary_drying
from fesemlib.pages.numbers import typeset
from fesemlib.pages.statements import Banner
from fesemlib.pages.style import COLOURS, INK
from fesemlib.params import Parameters
from fesemlib.processing.background import GreyImage, process, resize_by_area
from fesemlib.progress import in_live_notebook
from fesemlib.synthetic.foam import cell_diameter, synthesize_micrograph, throat_diameter

if TYPE_CHECKING:
    from fesemlib.drying.vial import Vial
    from fesemlib.prediction.model import Model

_WIDTH = 480  # px of a picture
_WINDOW = (360, 480)  # px of a stand-in: small enough to follow the slider
_TIMES = 7  # points of the curve of drying times
_TIME_STEP = 1800.0  # s, between the rows of a drying of which the warmest front is told
_END_ONLY = 1e9  # s: no row but the first and the last


class Seen(NamedTuple):
    """What an explorer shows: pictures in a row, and a line below them.

    Attributes
    ----------
    pictures
        PNG, by what they show.
    text
        One line.
    """

    pictures: dict[str, bytes]
    text: str


def background_seen(
    image: GreyImage,
    radius: float,
    light_background: bool,
    equalization: str,
    smooth: bool = True,
) -> Seen:
    """What the processing makes of a micrograph.

    Parameters
    ----------
    image
        uint8, shape (H, W); what is given is processed as it is.
    radius
        Of the rolling ball, px of that image.
    light_background, equalization, smooth
        As in `fesemlib.processing.background.process`.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)
    >>> list(background_seen(image, 10, True, "classic").pictures)
    ['before', 'after', 'grey levels']
    """
    steps = process(image, radius, light_background, smooth, equalization)
    return Seen(
        {
            "before": _png(image),
            "after": _png(steps.equalized),
            "grey levels": _histograms(
                {"before": image, "subtracted": steps.subtracted, "after": steps.equalized}
            ),
        },
        f"mean grey level: {image.mean():.0f} before, {steps.subtracted.mean():.0f} without "
        f"background, {steps.equalized.mean():.0f} after",
    )


def stand_in_seen(k_m: float, solids_percent: float, pixel_size_um: float, seed: int) -> Seen:
    """A window of a stand-in, and the sizes it was made with.

    Parameters
    ----------
    k_m, solids_percent, pixel_size_um, seed
        As in `fesemlib.synthetic.foam.synthesize_micrograph`.

    Examples
    --------
    >>> print(stand_in_seen(1e-3, 5.0, 1.0, seed=0).text)
    synthetic; throats 8.6 µm, cells 43 µm, window 480 × 360 µm
    """
    micrograph = synthesize_micrograph(k_m, seed, _WINDOW, pixel_size_um, solids_percent)
    throat = 1e6 * throat_diameter(k_m, porosity(solids_percent))
    height, width = (pixel_size_um * side for side in _WINDOW)
    return Seen(
        {"stand-in": _png(micrograph.image)},
        f"synthetic; throats {throat:.2g} µm, cells {cell_diameter(throat):.2g} µm, window "
        f"{width:.0f} × {height:.0f} µm",
    )


def prediction_seen(
    model: Model,
    image: GreyImage,
    zoom: float = 1.0,
    across: float = 50.0,
    down: float = 50.0,
    **strengths: float,
) -> Seen:
    """What a model predicts of a micrograph that was cropped and degraded before.

    Parameters
    ----------
    model
        From `fesemlib.prediction.model.train_model`.
    image
        As those that it was trained on, uint8, shape (H, W).
    zoom
        How far a window of the frame is enlarged to the whole, as by another magnification that
        nobody wrote down.
    across, down
        Where the window is, % of the way from the left and from the top.
    **strengths
        Of `fesemlib.evaluation.imaging.DEGRADATIONS`, by name.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> from fesemlib.prediction.model import train_model
    >>> parameters = Parameters(input_width=64, epochs=1, parallel_jobs=1)
    >>> data = draw_stand_ins(3, 0, (96, 128))
    >>> model = train_model(data, parameters)
    >>> seen = prediction_seen(model, data.micrographs[0].image, noise=20)
    >>> list(seen.pictures), seen.text.startswith("k_m ")
    (['as taken', "network's input"], True)
    """
    from fesemlib.evaluation.imaging import degrade
    from fesemlib.prediction.model import predict_micrographs
    from fesemlib.processing.background import process_with

    changed = _zoomed(image, zoom, across, down)
    for name, strength in strengths.items():
        changed = degrade(changed, name, strength, np.random.default_rng(0))
    said = predict_micrographs(model, [changed])[0]
    parameters = model.card.parameters
    seen = resize_by_area(process_with(parameters, changed).equalized, parameters.input_width)
    verdict = said.remarks or "in the model's domain"
    interval = f"{1e3 * said.k_m_low:.2f} to {1e3 * said.k_m_high:.2f}"
    return Seen(
        {"as taken": _png(changed), "network's input": _png(seen.round().astype(np.uint8))},
        f"k_m {1e3 * said.k_m:.2f}·10⁻³ m² s⁻¹ ({interval}): {verdict}",
    )


def drying_seen(vial: Vial, cycle: Cycle, k_m: float) -> Seen:
    """How long primary drying takes along k_m, and at one of them.

    Parameters
    ----------
    vial, cycle
        What is dried, and how.
    k_m
        m² s⁻¹.

    Examples
    --------
    >>> from fesemlib.drying.vial import PAPER_CYCLE, Vial
    >>> vial = Vial(heat_transfer_coefficient=14.2, ice_thickness=7e-3)
    >>> "h of primary drying" in drying_seen(vial, PAPER_CYCLE, 1e-3).text
    True
    """
    along = np.geomspace(2e-4, 3e-3, _TIMES)
    times = np.array([_drying_hours(each, vial, cycle) for each in along])
    figure = _figure(5, 3)
    axes = figure.subplots()
    axes.plot(1e3 * along, times, color=COLOURS[0])
    try:
        run = simulate_primary_drying(k_m, vial, cycle, _TIME_STEP)
    except PrimaryDryingError as error:
        text = str(error)
    else:
        hours, warmest = drying_time(run) / 3600, float(run["front_temperature"].max())
        axes.plot(1e3 * k_m, hours, "o", color=COLOURS[1])
        text = (
            f"k_m {1e3 * k_m:.2f}·10⁻³ m² s⁻¹: {hours:.1f} h of primary drying, front no warmer "
            f"than {warmest - 273.15:.1f} °C"
        )
    axes.set(xlabel="k$_m$ (10$^{-3}$ m² s$^{-1}$)", ylabel="primary drying (h)")
    axes.set_ylim(bottom=0)
    return Seen({"drying time": _drawn(figure)}, text)


def explore_background(image: GreyImage, parameters: Parameters) -> Any:
    """Sliders for the rolling ball and the equalisation, with the histogram, at half the size.

    Parameters
    ----------
    image
        A micrograph, uint8, shape (H, W).
    parameters
        Where the sliders start.

    Returns
    -------
    widget
        For JupyterLab; elsewhere a line that says how to come by it.

    Examples
    --------
    >>> explore_background(np.zeros((60, 80), np.uint8), Parameters()).title
    'Explore it'
    """
    if not in_live_notebook():
        return _hint("radius, kind of background and equalisation", "02_image_processing")
    import ipywidgets as widgets

    small = resize_by_area(image, image.shape[1] // 2).round().astype(np.uint8)
    return _explorer(
        lambda radius, light, equalization: background_seen(
            small, radius / 2, light, equalization, parameters.smooth_background
        ),
        radius=widgets.FloatSlider(
            parameters.background_radius_px, min=4, max=200, step=2, description="radius (px)"
        ),
        light=widgets.Checkbox(parameters.light_background, description="light background"),
        equalization=widgets.Dropdown(
            options=["classic", "imagej", "clahe", "none"],
            value=parameters.equalization,
            description="equalisation",
        ),
    )


def explore_stand_in(seed: int = 0) -> Any:
    """Sliders for what a stand-in is made from.

    Parameters
    ----------
    seed
        Where its slider starts.

    Examples
    --------
    >>> explore_stand_in().title
    'Explore it'
    """
    if not in_live_notebook():
        return _hint("k_m, solids, pixel size and seed of a stand-in", "10_stand_ins")
    import ipywidgets as widgets

    return _explorer(
        lambda k_m, solids, pixel, seed: stand_in_seen(k_m / 1e3, solids, pixel, seed),
        k_m=widgets.FloatSlider(1.0, min=0.3, max=2.0, step=0.05, description="kₘ (10⁻³ m² s⁻¹)"),
        solids=widgets.FloatSlider(5.0, min=2, max=15, step=1, description="solids (%)"),
        pixel=widgets.FloatSlider(1.0, min=0.5, max=4, step=0.25, description="pixel (µm)"),
        seed=widgets.IntSlider(seed, min=0, max=max(20, seed), description="seed"),
    )


def explore_prediction(model: Model, image: GreyImage) -> Any:
    """Sliders that crop and degrade a micrograph, and what the model predicts of it.

    Parameters
    ----------
    model
        From `fesemlib.prediction.model.train_model`.
    image
        As those that it was trained on, uint8, shape (H, W).

    Examples
    --------
    >>> explore_prediction(None, np.zeros((60, 80), np.uint8)).title
    'Explore it'
    """
    if not in_live_notebook():
        return _hint("crop, brightness, contrast, defocus and noise", "06_prediction")
    import ipywidgets as widgets

    slider = widgets.FloatSlider
    return _explorer(
        lambda **changes: prediction_seen(model, image, **changes),
        zoom=slider(1, min=1, max=3, step=0.1, description="zoom"),
        across=slider(50, min=0, max=100, step=5, description="window across (%)"),
        down=slider(50, min=0, max=100, step=5, description="window down (%)"),
        brightness=slider(0, min=-40, max=40, step=5, description="brightness"),
        contrast=slider(1, min=0.25, max=1.5, step=0.05, description="contrast"),
        defocus=slider(0, min=0, max=8, step=0.5, description="defocus (px)"),
        noise=slider(0, min=0, max=40, step=2, description="noise"),
    )


def explore_drying(vial: Vial, parameters: Parameters) -> Any:
    """Sliders for k_m, shelf, heat transfer and filling, and the drying time that follows.

    Parameters
    ----------
    vial
        What is dried; the sliders change the thickness of its ice and its k_v.
    parameters
        Those of the cycle, and where the slider of the shelf starts. There is no slider for the
        pressure, since k_v depends on it in a way that only measurements tell.

    Examples
    --------
    >>> explore_drying(None, Parameters()).title
    'Explore it'
    """
    if not in_live_notebook():
        return _hint("k_m, shelf temperature, heat transfer and filling", "06_prediction")
    from dataclasses import replace

    import ipywidgets as widgets

    from fesemlib.drying.outlook import cycle_of

    cycle = cycle_of(parameters)
    slider = widgets.FloatSlider
    return _explorer(
        lambda k_m, shelf, k_v, ice: drying_seen(
            replace(vial, ice_thickness=ice / 1e3, heat_transfer_coefficient=k_v),
            replace(cycle, hold_temperature=shelf + 273.15),
            k_m / 1e3,
        ),
        k_m=slider(1.0, min=0.2, max=3.0, step=0.05, description="kₘ (10⁻³ m² s⁻¹)"),
        shelf=slider(
            parameters.shelf_hold_k - 273.15, min=-35, max=20, step=1, description="shelf (°C)"
        ),
        k_v=slider(
            vial.heat_transfer_coefficient, min=5, max=40, step=0.2, description="kᵥ (W m⁻² K⁻¹)"
        ),
        ice=slider(1e3 * vial.ice_thickness, min=2, max=20, step=0.5, description="ice (mm)"),
    )


def _hint(what: str, notebook: str) -> Banner:
    return Banner(
        "Explore it",
        f"In JupyterLab, sliders stand here for {what}: make lab, then open {notebook} and run it.",
        "tip explorer",
    )


def _explorer(see: Callable[..., Seen], **controls: Any) -> Any:
    """Widgets that call a function whenever one of them has been moved."""
    import ipywidgets as widgets

    for control in controls.values():
        control.style.description_width = "9em"
        control.layout.width = "24em"

    def now() -> Seen:
        return see(**{name: control.value for name, control in controls.items()})

    first = now()
    pictures = {
        name: widgets.Image(value=png, format="png") for name, png in first.pictures.items()
    }
    labels = [widgets.Label(name) for name in pictures]
    text = widgets.HTML(html.escape(typeset(first.text)))

    def show(_: object) -> None:
        seen = now()
        for name, png in seen.pictures.items():
            pictures[name].value = png
        text.value = html.escape(typeset(seen.text))

    for control in controls.values():
        control.observe(show, names="value")
    row = [
        widgets.VBox([label, picture])
        for label, picture in zip(labels, pictures.values(), strict=True)
    ]
    flow = widgets.Layout(flex_flow="row wrap")
    return widgets.VBox(
        [widgets.HBox(list(controls.values()), layout=flow), widgets.HBox(row, layout=flow), text]
    )


@lru_cache(maxsize=10 * _TIMES)
def _drying_hours(k_m: float, vial: Vial, cycle: Cycle) -> float:
    """Hours; NaN where the ice would melt. Kept, so that k_m slides along a curve that stays."""
    try:
        return drying_time(simulate_primary_drying(k_m, vial, cycle, _END_ONLY)) / 3600
    except PrimaryDryingError:
        return float("nan")


def _zoomed(image: GreyImage, factor: float, across: float = 50.0, down: float = 50.0) -> GreyImage:
    """A window of an image, enlarged to its size; where it is, in % of the way."""
    height, width = image.shape
    tall, wide = round(height / factor), round(width / factor)
    top, left = round((height - tall) * down / 100), round((width - wide) * across / 100)
    window = Image.fromarray(image[top : top + tall, left : left + wide])
    return np.asarray(window.resize((width, height), Image.Resampling.BICUBIC))


def _png(image: GreyImage) -> bytes:
    """An image as a picture that is quickly made and not too wide."""
    width = min(_WIDTH, image.shape[1])
    step = max(1, image.shape[1] // width)
    picture = Image.fromarray(np.ascontiguousarray(image[::step, ::step]))
    if picture.width < _WIDTH // 2:  # the input of a network: let its pixels be seen
        height = round(_WIDTH * picture.height / picture.width)
        picture = picture.resize((_WIDTH, height), Image.Resampling.NEAREST)
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _histograms(images: dict[str, GreyImage]) -> bytes:
    figure = _figure(4.8, 3.6)
    axes = figure.subplots()
    colours = (INK, *COLOURS)
    for colour, (name, image) in zip(colours, images.items(), strict=False):
        share = 100 * np.bincount(image.ravel(), minlength=256) / image.size
        axes.stairs(share, np.arange(257) - 0.5, color=colour, label=name)
    axes.set(xlabel="grey level", ylabel="share of pixels (%)", xlim=(-5, 260))
    # Above the axes: the search for the best place inside would take a third of the drawing.
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return _drawn(figure)


def _figure(width: float, height: float) -> Figure:
    """Without the layout of the notebooks' style, which takes longer than the drawing."""
    with rc_context({"figure.constrained_layout.use": False}):
        return Figure(figsize=(width, height), dpi=100)


def _drawn(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.subplots_adjust(bottom=0.17, right=0.97)
    figure.savefig(stream, format="png", pil_kwargs={"compress_level": 1})
    return stream.getvalue()
