"""Figures of the data set, of the processing and of the stand-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter

from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.network.architecture import FILTERS
from fesemlib.pages.style import COLOURS, INK, Look
from fesemlib.processing import FloatImage, GreyImage, ProcessedImage

if TYPE_CHECKING:
    pass


_GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "antialiased"}


_REPRODUCED, _CUT = COLOURS[0], COLOURS[2]


_K_M_LABEL = "mass transfer coefficient k$_m$ (10$^{-3}$ m² s$^{-1}$)"


def workflow_figure(
    processed: ProcessedImage,
    network_input: FloatImage,
    weights: int,
    k_m: float,
    synthetic: bool = False,
) -> Figure:
    """Figure 1: from the micrograph to k_m, each box holding what the pipeline really hands on.

    Parameters
    ----------
    processed
        The micrograph and its processing steps.
    network_input
        What the network sees, in [0, 1], shape (h, w).
    weights
        How many the network has.
    k_m
        The coefficient to be learnt for this micrograph, m² s⁻¹.
    synthetic
        Whether it is a stand-in.

    Examples
    --------
    >>> from fesemlib.processing import process
    >>> image = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)
    >>> small = process(image).equalized[::2, ::2] / 255
    >>> figure = workflow_figure(process(image), small, weights=3_445, k_m=1e-3)
    >>> print(figure.axes[3].get_title())
    network's input
    32×24 px
    """
    size = (11.0, 1.9)
    figure = Figure(figsize=size)
    figure.set_layout_engine("none")
    images: list[GreyImage | FloatImage] = [
        processed.original,
        processed.subtracted,
        processed.equalized,
        network_input * 255,
    ]
    height, width = network_input.shape
    titles = (
        "stand-in for\na micrograph" if synthetic else "micrograph\n(FESEM)",
        "background\nsubtracted",
        "histogram\nequalised",
        f"network's input\n{width}×{height} px",
    )
    wide = 0.14
    high = wide * size[0] / size[1] * height / width
    low = 0.38 - high / 2
    lefts = np.linspace(0.01, 0.99 - wide, 6)
    for left, image, title in zip(lefts, images, titles, strict=False):
        axes = figure.add_axes((left, low, wide, high))
        axes.imshow(image, **_GREY)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    boxes = (
        f"convolutional\nnetwork\n\n{len(FILTERS)} convolutions,\n"
        + f"{weights:,} weights".replace(",", "\u2009"),
        f"mass transfer\ncoefficient\n\nk$_m$ = {k_m * 1e3:.2g}·10$^{{-3}}$\nm² s$^{{-1}}$",
    )
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set(xlim=(0, 1), ylim=(0, 1))
    canvas.set_axis_off()
    canvas.patch.set_alpha(0)
    for left, text in zip(lefts[4:], boxes, strict=True):
        canvas.add_patch(
            Rectangle((left, low), wide, high, facecolor="#eef3f7", edgecolor=_REPRODUCED)
        )
        canvas.text(left + wide / 2, 0.38, text, ha="center", va="center", fontsize=10, color=INK)
    for left, right in zip(lefts[:-1] + wide, lefts[1:], strict=True):
        canvas.add_patch(_arrow((left + 0.001, 0.38), (right - 0.001, 0.38)))
    return figure


def processing_figure(processed: ProcessedImage) -> Figure:
    """Figure 2: the micrograph, background subtracted, histogram equalised; with histograms.

    Parameters
    ----------
    processed
        The three steps.

    Examples
    --------
    >>> from fesemlib.processing import process
    >>> image = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)
    >>> figure = processing_figure(process(image))
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['(a) original', '(b) background subtracted', '(c) histogram equalised']
    """
    return histograms_figure(
        {
            "(a) original": processed.original,
            "(b) background subtracted": processed.subtracted,
            "(c) histogram equalised": processed.equalized,
        }
    )


def histograms_figure(images: Mapping[str, GreyImage]) -> Figure:
    """Images side by side, each with the histogram of its grey levels below.

    Parameters
    ----------
    images
        Title and image, uint8, all of one shape.

    Examples
    --------
    >>> half = np.repeat(np.array([[0, 255]], np.uint8), 4, axis=0)  # half black, half white
    >>> figure = histograms_figure({"half": half})
    >>> share = figure.axes[1].patches[0].get_data().values
    >>> share[[0, 128, 255]].tolist()  # %
    [50.0, 0.0, 50.0]
    """
    height, width = next(iter(images.values())).shape
    side = 9.4 / len(images) - 0.4
    figure = Figure(figsize=(9.4, side * height / width + 2.4))
    axes = figure.subplots(
        2, len(images), squeeze=False, height_ratios=(side * height / width, 1.6)
    )
    for number, (title, image) in enumerate(images.items()):
        axes[0, number].imshow(image, **_GREY)
        axes[0, number].set_title(title)
        axes[0, number].set_axis_off()
        share = 100 * np.bincount(image.ravel(), minlength=256) / image.size
        axes[1, number].stairs(share, np.arange(257) - 0.5, fill=True, color=_REPRODUCED)
        axes[1, number].set(xlabel="grey level", xlim=(-5, 260))
        axes[1, number].yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes[1, number].set_xticks([0, 64, 128, 192, 255])
    axes[1, 0].set_ylabel("share of pixels (%)")
    return figure


def titled_figure(images: Mapping[str, GreyImage]) -> Figure:
    """Images in rows of up to three, each under its title.

    Parameters
    ----------
    images
        Title and image, uint8, all of about one aspect ratio.

    Examples
    --------
    >>> image = np.zeros((30, 40), np.uint8)
    >>> figure = titled_figure({"first": image, "second": image})
    >>> [axes.get_title() for axes in figure.axes]
    ['first', 'second']
    """
    columns = min(len(images), 3)
    rows = -(-len(images) // columns)
    height, width = next(iter(images.values())).shape
    figure = Figure(figsize=(8.5, rows * (8.5 / columns * height / width + 0.4)))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, (title, image) in zip(grid.ravel(), images.items(), strict=False):
        axes.imshow(image, **_GREY)
        axes.set_anchor("N")
        axes.set_title(title, fontsize=11)
    return figure


def crop_figure(whole: GreyImage, rows: int) -> Figure:
    """A micrograph as it was recorded, and a line above what is cut off.

    Parameters
    ----------
    whole
        With all its rows, uint8, shape (H, W).
    rows
        How many of them are kept, from the top.

    Examples
    --------
    >>> figure = crop_figure(np.zeros((768, 1024), np.uint8), rows=704)
    >>> figure.axes[0].texts[0].get_text()
    'kept: 704 of 768 rows'
    """
    height, width = whole.shape
    figure = Figure(figsize=(6.4, 6.4 * height / width))
    axes = figure.subplots()
    axes.imshow(whole, **_GREY)
    axes.axhspan(rows - 0.5, height - 0.5, facecolor=_CUT, alpha=0.25)
    axes.axhline(rows - 0.5, color=_CUT, linewidth=1.5)
    axes.text(
        width / 2,
        rows - 0.02 * height,
        f"kept: {rows} of {height} rows",
        color="white",
        ha="center",
        va="bottom",
        bbox={"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 3},
    )
    axes.set_axis_off()
    return figure


def grey_level_figure(k_m: npt.NDArray[np.float64], tested: Mapping[str, GreyLevelTest]) -> Figure:
    """Predictions from two numbers of an image, step by step of the processing.

    Parameters
    ----------
    k_m
        True values, m² s⁻¹, shape (n,).
    tested
        Of `baselines.grey_level_test`.

    Examples
    --------
    >>> k_m = np.array([1e-3, 2e-3])
    >>> test = GreyLevelTest(statistics=np.zeros((2, 2)), predicted=k_m, determination=1.0)
    >>> print(grey_level_figure(k_m, {"as read": test}).axes[0].get_title())
    as read
    R² = 1.00
    """
    figure = Figure(figsize=(8.5, 2.8))
    panels = figure.subplots(1, len(tested), sharex=True, sharey=True, squeeze=False)[0]
    ends = [1e3 * k_m.min(), 1e3 * k_m.max()]
    for axes, (step, test) in zip(panels, tested.items(), strict=True):
        axes.plot(ends, ends, color="#999999", linewidth=1)
        axes.plot(1e3 * k_m, 1e3 * test.predicted, "o", color=_REPRODUCED, markersize=4, alpha=0.8)
        value = f"{test.determination:.2f}".replace("-", "−")
        axes.set_title(f"{step}\nR² = {value}", fontsize=10)
        axes.set_box_aspect(1)
    figure.supxlabel("true " + _K_M_LABEL, fontsize=10)
    panels[0].set_ylabel("predicted k$_m$ (10$^{-3}$ m² s$^{-1}$)", fontsize=10)
    return figure


def composition_figure(formulations: pd.DataFrame) -> Figure:
    """k_m against the content of mannitol; what holds dextran or PVP as well is a series.

    Parameters
    ----------
    formulations
        Of `fesemlib.formulations.table1`: solutes in mass %, ``k_m`` in m² s⁻¹, ``std_percent``.

    Examples
    --------
    >>> from fesemlib.formulations import table1
    >>> legend = composition_figure(table1()).axes[0].get_legend()
    >>> [text.get_text() for text in legend.get_texts()]
    ['dextran and mannitol', 'PVP and mannitol', 'other']
    """
    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.subplots()
    table = formulations.sort_values("mannitol")
    dextran, pvp = table["dextran"] > 0, table["PVP"] > 0
    series = {
        "dextran and mannitol": (dextran & ~pvp, "o-", (7, 5)),
        "PVP and mannitol": (pvp & ~dextran, "s-", (7, -13)),
        "other": (dextran == pvp, "D", (7, 5)),
    }
    look: dict[str, Any] = {"linewidth": 1.2, "markersize": 5, "markerfacecolor": "white"}
    for (label, (members, style, offset)), colour in zip(series.items(), COLOURS, strict=False):
        mannitol, k_m = table["mannitol"][members], 1e3 * table["k_m"][members]
        std = k_m * table["std_percent"][members] / 100
        axes.errorbar(mannitol, k_m, std, fmt=style, color=colour, label=label, **look)
        for name in k_m.index:
            place = (mannitol[name], k_m[name])
            axes.annotate(name, place, xytext=offset, textcoords="offset points", fontsize=10)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("mannitol (mass %)", fontsize=10)
    axes.set_ylabel(_K_M_LABEL, fontsize=10)
    axes.legend(fontsize=9)
    return figure


def micrographs_figure(
    images: Sequence[GreyImage],
    labels: Sequence[str],
    pixel_size_um: float | None = None,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Figure 3: the micrographs side by side, three in a row.

    Parameters
    ----------
    images
        uint8, shape (H, W) each.
    labels
        One for each image.
    pixel_size_um
        For the scale bar in the first image; None draws none.
    looks
        Of `formulation_looks`, where the labels are formulations, to colour them.

    Examples
    --------
    Of ten micrographs that are 1000 µm wide, the first has a bar of 200 µm.

    >>> figure = micrographs_figure([np.zeros((75, 100), np.uint8)] * 10, list("ABCDEFGHIJ"), 10.0)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['A', '200 µm']
    """
    rows = -(-len(images) // 3)
    height, width = images[0].shape
    figure = Figure(figsize=(11, rows * (11 / 3 * height / width + 0.12)))
    grid = figure.subplots(rows, 3, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, image, label in zip(grid.ravel(), images, labels, strict=False):
        axes.imshow(image, **_GREY)
        _tag(axes, label, looks[label].colour if looks else INK)
    if pixel_size_um is not None:
        _scale_bar(grid[0, 0], pixel_size_um, width, height)
    return figure


def _tag(axes: Axes, label: str, colour: str) -> None:
    axes.text(
        0.03,
        0.95,
        label,
        transform=axes.transAxes,
        ha="left",
        va="top",
        fontsize=12,
        fontweight="bold",
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 3},
    )


def _scale_bar(axes: Axes, pixel_size_um: float, width: int, height: int) -> None:
    """A bar of a round length, about a fifth of the image's width."""
    target = 0.2 * width * pixel_size_um
    decade = 10.0 ** np.floor(np.log10(target))
    length = max(step * decade for step in (1, 2, 5) if step * decade <= target)
    pixels = length / pixel_size_um
    left, bottom = 0.94 * width - pixels, 0.93 * height
    axes.add_patch(Rectangle((left, bottom), pixels, 0.018 * height, facecolor="white"))
    text = f"{length:g} µm" if length >= 1 else f"{length * 1e3:g} nm"
    label = axes.text(
        left + pixels / 2, bottom - 0.02 * height, text, color="white", ha="center", va="bottom"
    )
    label.set_bbox({"facecolor": "black", "alpha": 0.5, "edgecolor": "none", "pad": 2})


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> FancyArrowPatch:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 11, "color": INK}
    return FancyArrowPatch(start, end, **style)


def stand_in_figure(
    cell_um: npt.NDArray[np.float64],
    length_um: npt.NDArray[np.float64],
    k_m: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
) -> Figure:
    """What stand-ins show of their cells, and what their brightness gives away of k_m.

    Parameters
    ----------
    cell_um, length_um
        Requested cell diameter and measured correlation length, µm, shape (n,).
    k_m, predicted
        True values and predictions from mean and standard deviation, m² s⁻¹, shape (n,).

    Examples
    --------
    >>> cell, k_m = np.array([20.0, 40.0]), np.array([1e-3, 2e-3])
    >>> sizes, brightness = stand_in_figure(cell, 0.1 * cell, k_m, k_m[::-1]).axes
    >>> sizes.get_legend().get_texts()[0].get_text()
    '0.1 times the cell'
    """
    figure = Figure(figsize=(9.4, 4.3))
    sizes, brightness = figure.subplots(1, 2)
    share = float(np.exp(np.mean(np.log(length_um / cell_um))))
    ends = np.array([cell_um.min(), cell_um.max()])
    sizes.plot(
        ends, share * ends, color="#999999", linewidth=1, label=f"{share:.2g} times the cell"
    )
    sizes.plot(cell_um, length_um, "o", color=_REPRODUCED, markersize=5)
    sizes.set(xscale="log", yscale="log")
    for axis in (sizes.xaxis, sizes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    sizes.set_xticks([10, 20, 40, 80])
    sizes.set_yticks([2, 5, 10])
    sizes.set_xlabel("cell diameter asked for (µm)", fontsize=10)
    sizes.set_ylabel("correlation length measured (µm)", fontsize=10)
    sizes.set_title("(a) structure", fontsize=11)
    sizes.legend(loc="upper left", fontsize=9)
    ends = 1e3 * np.array([k_m.min(), k_m.max()])
    brightness.plot(ends, ends, color="#999999", linewidth=1, label="perfect")
    brightness.plot(1e3 * k_m, 1e3 * predicted, "o", color=_REPRODUCED, markersize=5)
    brightness.set_xlabel(f"true {_K_M_LABEL}", fontsize=10)
    brightness.set_ylabel("predicted k$_m$ (10$^{-3}$ m² s$^{-1}$)", fontsize=10)
    brightness.set_title("(b) brightness", fontsize=11)
    brightness.legend(loc="upper left", fontsize=9)
    return figure
