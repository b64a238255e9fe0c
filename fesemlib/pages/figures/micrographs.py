"""Figures of the data set, of the processing and of the stand-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.micrographs.zeiss import round_length
from fesemlib.pages.names import A_DOZEN, shortened
from fesemlib.pages.numbers import minus
from fesemlib.pages.style import COLOURS, INK, Look, drawing, plain_logarithmic, shade_not_positive
from fesemlib.processing import FloatImage, GreyImage, ProcessedImage

FloatArray = npt.NDArray[np.float64]

_EXAMPLES = 9  # of more than a dozen micrographs
_REPRODUCED, _CUT = COLOURS[0], COLOURS[2]
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 11, "color": INK}
_GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "antialiased"}
K_M_LABEL = "mass transfer coefficient k$_m$ (10$^{-3}$ m² s$^{-1}$)"
_PREDICTED_LABEL = "predicted k$_m$ (10$^{-3}$ m² s$^{-1}$)"


def workflow_figure(
    processed: ProcessedImage, network_input: FloatImage, weights: int, k_m: float, synthetic: bool
) -> Figure:
    """Figure 1: from the micrograph to k_m (m² s⁻¹), each box holding what the pipeline hands on.

    The network's input is in [0, 1], of shape (h, w); `weights` is their number.
    """
    height, width = network_input.shape
    background, histogram = step_titles(processed)
    images: dict[str, GreyImage | FloatImage] = {
        "stand-in for\na micrograph" if synthetic else "micrograph\n(FESEM)": processed.original,
        background.replace(" ", "\n", 1): processed.subtracted,
        histogram.replace(" ", "\n", 1): processed.equalized,
        f"network's input\n{width}×{height} px": network_input * 255,
    }
    boxes = (
        f"convolutional\nnetwork\n\n3 convolutions,\n{weights:_} weights".replace("_", "\u2009"),
        f"mass transfer\ncoefficient\n\nk$_m$ = {k_m * 1e3:.2g}·10$^{{-3}}$\nm² s$^{{-1}}$",
    )
    across = len(images) + len(boxes)
    figure, panels = drawing(11.0, 1.9, 1, across)
    figure.set_layout_engine("constrained", wspace=0.19)
    for axes, (title, image) in zip(panels, images.items(), strict=False):
        _picture(axes, image, title, fontsize=10)
    for axes, text in zip(panels[len(images) :], boxes, strict=True):
        axes.set(xticks=[], yticks=[], facecolor="#eef3f7", box_aspect=height / width)
        axes.spines[:].set(visible=True, edgecolor=_REPRODUCED)
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=10, color=INK)
    for axes in panels[1:]:
        axes.annotate("", (-0.02, 0.5), (-0.21, 0.5), "axes fraction", arrowprops=ARROW)
    return figure


def step_titles(processed: ProcessedImage) -> tuple[str, str]:
    """What the two steps of the processing did, or that they are off."""
    subtracted = processed.subtracted is not processed.original
    equalized = processed.equalized is not processed.subtracted
    return (
        "background subtracted" if subtracted else "background subtraction: off",
        "histogram equalised" if equalized else "histogram equalisation: off",
    )


def histograms_figure(images: Mapping[str, GreyImage]) -> Figure:
    """Figure 2: images of one shape side by side, each with the histogram of its grey levels."""
    height, width = next(iter(images.values())).shape
    high = (9.4 / len(images) - 0.4) * height / width
    rows = {"squeeze": False, "height_ratios": (high, 1.6)}
    figure, axes = drawing(9.4, high + 2.4, 2, len(images), label_size=12, **rows)
    for (above, below), (title, image) in zip(axes.T, images.items(), strict=True):
        _picture(above, image, title)
        share = 100 * np.bincount(image.ravel(), minlength=256) / image.size
        below.stairs(share, np.arange(257) - 0.5, fill=True, color=_REPRODUCED)
        below.set(xlabel="grey level", xticks=[0, 64, 128, 192, 255], xlim=(-5, 260))
        below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[1, 0].set_ylabel("share of pixels (%)")
    return figure


def titled_figure(images: Mapping[str, GreyImage], columns: int = 3) -> Figure:
    """Images of about one aspect ratio in rows of so many at most, each under its title."""
    figure, grid = grid_of([*images.values()], min(len(images), columns), 8.5, 0.4)
    for axes, title in zip(grid, images, strict=False):
        axes.set_anchor("N")
        axes.set_title(title, fontsize=11)
    return figure


def grey_level_figure(k_m: FloatArray, tested: Mapping[str, GreyLevelTest]) -> Figure:
    """Predictions from two numbers of an image beside the true k_m (m² s⁻¹), step by step."""
    together = {"sharex": True, "sharey": True, "squeeze": False}
    figure, (panels,) = drawing(8.5, 2.8, 1, len(tested), **together)
    for axes, (step, test) in zip(panels, tested.items(), strict=True):
        _beside_truth(axes, k_m, test.predicted, markersize=4, alpha=0.8)
        axes.set_title(f"{step}\nR² = {minus(f'{test.determination:.2f}')}", fontsize=10)
        axes.set_box_aspect(1)
    figure.supxlabel(f"true {K_M_LABEL}", fontsize=10)
    panels[0].set_ylabel(_PREDICTED_LABEL)
    return figure


def contact_sheet(
    panels: Sequence[GreyImage],
    titles: Sequence[str],
    cut: tuple[int, int, int, int],
    left: Sequence[tuple[slice, slice]],
    remark: str,
) -> Figure:
    """Panels of a printed figure under what they are taken for.

    Coloured: the px cut off at the top, left, bottom and right, and, more, writing that is left.
    """
    figure, grid = grid_of(panels, 3, 11, 0.4)
    figure.set_layout_engine("constrained")
    figure.suptitle(remark, fontsize=10)
    height, width = panels[0].shape
    top, at_left, bottom, at_right = cut
    shade = np.full((height, width, 4), to_rgba(_CUT, 0.3))
    shade[top : height - bottom, at_left : width - at_right] = 0
    for box in left:
        shade[box] = to_rgba(_CUT, 0.6)
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.imshow(shade)
    return figure


def composition_figure(formulations: pd.DataFrame) -> Figure:
    """k_m of Table 1 against the content of mannitol; with dextran or PVP it is a series."""
    figure, axes = drawing(6.4, 4.0)
    table = formulations.sort_values("mannitol")
    dextran, pvp = table["dextran"] > 0, table["PVP"] > 0
    series = {
        "dextran and mannitol": (dextran & ~pvp, "o-", (7, 5)),
        "PVP and mannitol": (pvp & ~dextran, "s-", (7, -13)),
        "other": (dextran == pvp, "D", (7, 5)),
    }
    look: dict[str, Any] = {"linewidth": 1.2, "markersize": 5, "markerfacecolor": "white"}
    beside: dict[str, Any] = {"textcoords": "offset points", "fontsize": 10}
    for (label, (members, style, offset)), colour in zip(series.items(), COLOURS, strict=False):
        mannitol, k_m = table["mannitol"][members], 1e3 * table["k_m"][members]
        std = k_m * table["std_percent"][members] / 100
        axes.errorbar(mannitol, k_m, std, fmt=style, color=colour, label=label, **look)
        for name, *place in zip(k_m.index, mannitol, k_m, strict=True):
            axes.annotate(name, place, xytext=offset, **beside)
    axes.set(xlabel="mannitol (mass %)", ylabel=K_M_LABEL, ylim=(0, None))
    axes.legend()
    return figure


def micrographs_figure(
    images: Sequence[GreyImage],
    labels: Sequence[str],
    pixel_size_um: float | None = None,
    looks: Mapping[str, Look] | None = None,
    k_m: FloatArray | None = None,
) -> Figure:
    """Figure 3: micrographs, three in a row, each with its label; a scale bar where it is known.

    Where labels are formulations, they get the colours of `looks`, of `formulation_looks`. With
    their `k_m` (m² s⁻¹, shape (n,)), of more than a dozen images those of nine formulations are
    shown, evenly spread over the order of k_m from the greatest.
    """
    short = shortened(labels)
    if k_m is not None and len(labels) > A_DOZEN:
        firsts = sorted(map([*labels].index, short), key=lambda first: -k_m[first])
        places = np.linspace(0, len(firsts) - 1, min(_EXAMPLES, len(firsts))).round().astype(int)
        images = [images[firsts[place]] for place in places]
        labels = [labels[firsts[place]] for place in places]
    figure, grid = grid_of(images, 3, 11, 0.12)
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 3}
    corner: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 12, "fontweight": "bold"}
    for axes, label in zip(grid, labels, strict=False):
        look = {"color": looks[label].colour if looks else INK, "bbox": ground, **corner}
        axes.text(0.03, 0.95, short[label], transform=axes.transAxes, **look)
    if pixel_size_um is not None:
        _scale_bar(grid[0], pixel_size_um, *images[0].shape)
    return figure


def stand_in_figure(
    cell_um: FloatArray, length_um: FloatArray, k_m: FloatArray, predicted: FloatArray
) -> Figure:
    """What stand-ins show of their cells, and what their brightness gives away of k_m.

    Cell diameter asked for and correlation length measured, µm; k_m and what is predicted from
    mean and standard deviation of the grey levels, m² s⁻¹; all of shape (n,).
    """
    figure, (sizes, brightness) = drawing(9.4, 4.3, 1, 2)
    share = float(np.exp(np.mean(np.log(length_um / cell_um))))
    ends = np.array([cell_um.min(), cell_um.max()])
    label = f"{share:.2g} times the cell"
    sizes.plot(ends, share * ends, color="#999999", linewidth=1, label=label)
    sizes.plot(cell_um, length_um, "o", color=_REPRODUCED, markersize=5)
    plain_logarithmic(sizes, "xy")
    sizes.set(xlabel="cell diameter asked for (µm)", xticks=[10, 20, 40, 80])
    sizes.set(ylabel="correlation length measured (µm)", yticks=[2, 5, 10])
    _beside_truth(brightness, k_m, predicted, markersize=5)
    brightness.set(xlabel=f"true {K_M_LABEL}", ylabel=_PREDICTED_LABEL)
    for axes, title in ((sizes, "(a) structure"), (brightness, "(b) brightness")):
        axes.set_title(title, fontsize=11)
        axes.legend(loc="upper left")
    return figure


def _picture(axes: Axes, image: GreyImage | FloatImage, title: str, **font: Any) -> None:
    axes.imshow(image, **_GREY)
    axes.set_title(title, **font)
    axes.set_axis_off()


def grid_of(
    images: Sequence[GreyImage | FloatImage], columns: int, inches: float, above: float
) -> tuple[Figure, list[Axes]]:
    """Images in rows, so many inches across, with so many inches above each row."""
    rows = -(-len(images) // columns)
    height, width = images[0].shape
    high = rows * (inches / columns * height / width + above)
    figure, grid = drawing(inches, high, rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image in zip(grid.flat, images, strict=False):
        axes.imshow(image, **_GREY)
    return figure, list(grid.flat)


def _beside_truth(axes: Axes, k_m: FloatArray, predicted: FloatArray, **points: Any) -> None:
    """Predictions over the true values, and the line on which perfect ones would lie."""
    ends = [1e3 * k_m.min(), 1e3 * k_m.max()]
    axes.plot(ends, ends, color="#999999", linewidth=1, label="perfect")
    axes.plot(1e3 * k_m, 1e3 * predicted, "o", color=_REPRODUCED, **points)
    shade_not_positive(axes, "y", predicted)


def _scale_bar(axes: Axes, pixel_size_um: float, height: int, width: int) -> None:
    """A bar of a round length, about a fifth of the image's width."""
    length = round_length(0.2 * width * pixel_size_um)
    pixels = length / pixel_size_um
    left, bottom = 0.94 * width - pixels, 0.93 * height
    axes.add_patch(Rectangle((left, bottom), pixels, 0.018 * height, facecolor="white"))
    text = f"{length:g} µm" if length >= 1 else f"{length * 1e3:g} nm"
    look: Any = {"color": "white", "ha": "center", "va": "bottom"}
    ground = {"facecolor": "black", "edgecolor": "none", "alpha": 0.5, "pad": 2}
    axes.text(left + pixels / 2, bottom - 0.02 * height, text, bbox=ground, **look)
