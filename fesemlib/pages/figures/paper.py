"""The figures: each function takes arrays or tables and returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.network.architecture import FILTERS
from fesemlib.pages.style import COLOURS, INK, Look, colour_formulations, formulation_looks
from fesemlib.processing.background import FloatImage, GreyImage, ProcessedImage
from fesemlib.validation.errors import (
    at_the_end,
    held_out_error_along,
    held_out_errors,
    training_error_along,
)

if TYPE_CHECKING:
    import keras

_GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "antialiased"}
_REPRODUCED, _CUT = COLOURS[0], COLOURS[2]
_TRAINING = "#888888"
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
    >>> from fesemlib.processing.background import process
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
    >>> from fesemlib.processing.background import process
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


def network_figure(network: keras.Model) -> Figure:
    """Figure 4: the network, drawn from the Keras model itself.

    Feature maps are stacks of rectangles whose sides shrink with the logarithm of their size,
    dense layers are columns of units.

    Parameters
    ----------
    network
        A sequence of layers; whatever layers it has are drawn.

    Examples
    --------
    >>> from fesemlib.network.architecture import build_network
    >>> axes = network_figure(build_network((24, 32))).axes[0]
    >>> [text.get_text() for text in axes.texts[::3]][:4]
    ['input', 'convolution', 'max pooling', 'convolution']
    """
    drawn = [layer for layer in network.layers if type(layer).__name__ != "InputLayer"]
    shapes = [tuple(network.input_shape[1:])] + [tuple(layer.output.shape[1:]) for layer in drawn]
    names = ["Input"] + [type(layer).__name__ for layer in drawn]
    details = [""] + [_layer_detail(layer) for layer in drawn]
    figure = Figure(figsize=(9.4, 2.8))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.005, 0.0, 0.99, 1.0))
    position = 0.0
    tallest = np.log2(shapes[0][0])
    for number, (shape, name, detail) in enumerate(zip(shapes, names, details, strict=True)):
        size = _draw_stack(axes, position, shape, float(tallest))
        middle = position + size / 2
        axes.text(middle, -0.56, _SHORT_NAMES.get(name, name), ha="center", va="top", fontsize=9)
        axes.text(middle, -0.72, detail, ha="center", va="top", fontsize=8, color="#666666")
        axes.text(middle, 0.6, _shape_text(shape), ha="center", va="bottom", fontsize=8.5)
        gap = 0.23 if len(shape) == 3 else 0.4  # the names of dense layers are wider than they
        if number + 1 < len(shapes):
            axes.add_patch(_arrow((position + size + 0.03, 0), (position + size + gap - 0.03, 0)))
        position += size + gap
    axes.set(xlim=(-0.08, position - 0.15), ylim=(-1.05, 0.9))
    axes.set_axis_off()
    return figure


def held_out_figure(
    results: pd.DataFrame, predictions: pd.DataFrame, published: pd.DataFrame | None
) -> Figure:
    """Figure 5: predictions of the training micrographs and of the one that was held out.

    Parameters
    ----------
    results
        Of `leave_one_formulation_out`, one held-out formulation and one training set only.
    predictions
        The held-out predictions among them that count, see `held_out_predictions`.
    published
        Row of `published.candidates` for the held-out formulation, or None.

    Examples
    --------
    >>> rows = [["A", "a", "train", 2e-3, 1.9e-3], ["B", "b", "test", 1e-3, 1.4e-3]]
    >>> columns = ["formulation", "image", "role", "true_km", "predicted_km"]
    >>> results = pd.DataFrame(rows, columns=columns)
    >>> results = results.assign(held_out="B", training_set="original", epoch=1)
    >>> figure = held_out_figure(results, results[results["role"] == "test"], published=None)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['training, median and range', 'held out (B), median and range']
    """
    figure = Figure(figsize=(5.6, 4.8))
    axes = figure.subplots()
    train = at_the_end(results[results["role"] == "train"])
    _parity_line(axes, pd.concat([train, predictions]), published)
    held_out = str(predictions["held_out"].iloc[0])
    looks = formulation_looks([*train["formulation"], held_out])
    for frame, look, label in (
        (train, Look(_TRAINING, "o"), "training"),
        (predictions, looks[held_out], f"held out ({held_out})"),
    ):
        _whiskers(axes, _over_seeds(frame), look, f"{label}, median and range")
    if published is not None:
        _draw_candidates(axes, published)
    axes.legend(loc="upper left", fontsize=9)
    return figure


def training_figure(
    results: pd.DataFrame, criterion: float, steps_per_epoch: Mapping[str, int]
) -> Figure:
    """The errors along the training: of what is trained on, and of what is held out.

    Parameters
    ----------
    results
        Of `leave_one_formulation_out`, of one or more training sets.
    criterion
        Mean relative error on the training micrographs from which on a training is finished.
    steps_per_epoch
        Of each training set.

    Examples
    --------
    >>> rows = {"training_set": "original", "seed": 0, "held_out": "A", "epoch": [1, 2, 1, 2]}
    >>> rows |= {"role": ["train", "train", "test", "test"], "relative_error": [0.5, 0.2, 0.6, 0.5]}
    >>> figure = training_figure(pd.DataFrame(rows), 0.05, {"original": 1})
    >>> [axes.get_title() for axes in figure.axes]
    ['micrographs trained on', 'formulations held out']
    """
    figure = Figure(figsize=(9.4, 3.9))
    panels = figure.subplots(1, 2)
    for number, (training_set, steps) in enumerate(steps_per_epoch.items()):
        colour = COLOURS[number]
        for axes, along in zip(
            panels, (training_error_along(results), held_out_error_along(results)), strict=True
        ):
            course = 100 * along.loc[training_set]
            at = course.index.to_numpy() * steps
            axes.fill_between(
                at, course["least"], course["greatest"], color=colour, alpha=0.2, lw=0
            )
            axes.plot(at, course["median"], color=colour, label=f"{training_set} set")
    panels[0].axhline(100 * criterion, color=INK, linewidth=1, linestyle="--", label="criterion")
    panels[0].set_title("micrographs trained on")
    panels[1].set_title("formulations held out")
    for axes, ticks in zip(panels, ((1, 2, 5), (1, 2, 3, 4, 5, 7)), strict=True):
        axes.set(xscale="log", yscale="log")
        axes.set_xlabel("training steps", fontsize=10)
        axes.yaxis.set_major_locator(LogLocator(subs=ticks))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#e6e6e6")
    panels[0].set_ylabel("mean relative error (%)", fontsize=10)
    panels[0].legend(fontsize=9)
    return figure


def parity_figure(predictions: pd.DataFrame, published: pd.DataFrame | None) -> Figure:
    """Figures 6 and 8: held-out predictions against true values, and the errors of Table 2.

    Parameters
    ----------
    predictions
        Of `held_out_predictions`, one training set.
    published
        `published.candidates` of the same training set, or None.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {
    ...         "held_out": ["A", "B"], "image": ["a", "b"], "seed": 0, "true_km": [2e-3, 1e-3],
    ...         "predicted_km": [1e-3, 1.5e-3], "relative_error": 0.5,
    ...     }
    ... )
    >>> parity, errors = parity_figure(predictions, published=None).axes
    >>> errors.get_xlabel()
    'relative error of the held-out formulation (%)'
    """
    figure = Figure(figsize=(9.4, 4.7))
    parity, errors = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _parity_line(parity, predictions, published)
    names = list(dict.fromkeys(predictions["held_out"]))
    looks = formulation_looks(names)
    if published is not None:
        _draw_candidates(parity, published.loc[published.index.isin(names)])
    for name in names:
        own = predictions[predictions["held_out"] == name]
        _whiskers(parity, _over_seeds(own), looks[str(name)], str(name))
    handles, labels = parity.get_legend_handles_labels()
    last = [number for number, label in enumerate(labels) if label not in names]
    order = [*(number for number in range(len(labels)) if number not in last), *last]
    parity.legend(
        [handles[number] for number in order],
        [labels[number] for number in order],
        loc="upper left",
        fontsize=9,
        ncols=2,
        title="held out",
        alignment="left",
    )
    _draw_errors(errors, predictions, names, published)
    return figure


def augmentation_figure(images: Mapping[str, FloatImage | GreyImage]) -> Figure:
    """Figure 7: an image and its copies, in a 2 × 2 grid.

    Parameters
    ----------
    images
        Title and image, shape (H, W) each, grey levels up to 255.

    Examples
    --------
    >>> image = np.arange(1200, dtype=np.uint16).reshape(30, 40).astype(np.uint8)
    >>> copies = {"as it is": image, "mirrored": image[:, ::-1], "upside down": image[::-1]}
    >>> figure = augmentation_figure({**copies, "turned by 180°": image[::-1, ::-1]})
    >>> [axes.get_title() for axes in figure.axes]
    ['as it is', 'mirrored', 'upside down', 'turned by 180°']
    """
    height, width = next(iter(images.values())).shape
    figure = Figure(figsize=(8, 8 * height / width + 0.7))
    for axes, (title, image) in zip(figure.subplots(2, 2).ravel(), images.items(), strict=True):
        axes.imshow(image, **_GREY)
        axes.set_title(title)
        axes.set_axis_off()
    return figure


_SHORT_NAMES = {
    "Conv2D": "convolution",
    "MaxPooling2D": "max pooling",
    "Flatten": "flatten",
    "Dense": "dense",
    "Dropout": "dropout",
    "Input": "input",
}


def _layer_detail(layer: keras.Layer) -> str:
    """Kernel, pool or rate of a layer, and its activation, read off the layer."""
    settings = layer.get_config()
    lines = []
    for key in ("kernel_size", "pool_size"):
        if key in settings:
            lines.append("×".join(str(side) for side in settings[key]))
    if "rate" in settings:
        lines.append(f"{settings['rate']:.0%}")
    activation = settings.get("activation")
    if activation:
        lines.append({"relu": "ReLU"}.get(activation, activation))
    return "\n".join(lines)


def _shape_text(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"{shape[0]:,}"
    return f"{shape[1]}×{shape[0]}\n×{shape[2]}"


def _draw_stack(axes: Axes, left: float, shape: tuple[int, ...], tallest: float) -> float:
    """Draw a layer's output and return the width that it takes."""
    if len(shape) == 1:
        height = 1.1 * min(np.log2(shape[0] + 1) / 16, 1.0) + 0.06
        axes.add_patch(
            Rectangle((left, -height / 2), 0.09, height, facecolor="#d9a441", edgecolor=INK, lw=0.7)
        )
        return 0.09
    height = 0.6 * float(np.log2(shape[0])) / tallest
    width = height * shape[1] / shape[0]
    sheets = min(int(shape[2]), 16)
    for sheet in range(sheets):
        shift = 0.014 * (sheets - 1 - sheet)
        axes.add_patch(
            Rectangle(
                (left + shift, -height / 2 + shift),
                width,
                height,
                facecolor="#cfe0ee",
                edgecolor=INK,
                lw=0.5,
            )
        )
    return width + 0.014 * (sheets - 1)


def _over_seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """Median, least and greatest prediction of each image over the runs, 10⁻³ m² s⁻¹."""
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    grouped = finite.groupby(["image", "true_km"], sort=False)["predicted_km"]
    summary = grouped.agg(median="median", least="min", greatest="max").reset_index()
    summary[["true_km", "median", "least", "greatest"]] *= 1e3
    return pd.DataFrame(summary)


def _whiskers(axes: Axes, summary: pd.DataFrame, look: Look, label: str) -> None:
    spread = [summary["median"] - summary["least"], summary["greatest"] - summary["median"]]
    axes.errorbar(
        summary["true_km"],
        summary["median"],
        yerr=np.array(spread),
        fmt=look.marker,
        color=look.colour,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.6,
        elinewidth=1.2,
        capsize=3,
        label=label,
        zorder=3,
    )


def _parity_line(axes: Axes, predictions: pd.DataFrame, published: pd.DataFrame | None) -> None:
    predicted = predictions["predicted_km"]
    predicted = predicted[np.isfinite(predicted)]  # the others diverged
    values = [predictions["true_km"].max(), *predicted]
    if published is not None:
        values += [published["high_km"].max()]
    top = 1.08e3 * max(values)
    bottom = 1.05e3 * min(0.0, *values)
    axes.plot([0, top], [0, top], color=INK, linewidth=1, linestyle="--", zorder=1)
    axes.set(xlim=(0, 1.1e3 * predictions["true_km"].max()), ylim=(bottom, top))
    axes.set_xlabel(f"true {_K_M_LABEL}", fontsize=10)
    axes.set_ylabel(f"predicted {_K_M_LABEL}", fontsize=10)


def _draw_candidates(axes: Axes, published: pd.DataFrame) -> None:
    """Both predictions that each unsigned published error allows, joined by a line."""
    scaled = published * 1e3
    axes.vlines(
        scaled["true_km"], scaled["low_km"], scaled["high_km"], color="#bbbbbb", lw=1, zorder=1
    )
    for column in ("low_km", "high_km"):
        axes.scatter(
            scaled["true_km"],
            scaled[column],
            marker="d",
            s=42,
            facecolor="white",
            edgecolor=INK,
            linewidth=1,
            zorder=2,
            label="published, sign not in Table 2" if column == "high_km" else None,
        )


def _draw_errors(
    axes: Axes, predictions: pd.DataFrame, names: Sequence[str], published: pd.DataFrame | None
) -> None:
    finite = predictions[np.isfinite(predictions["predicted_km"])]
    summary = held_out_errors(finite).reindex(list(names)) * 100
    rows = np.arange(len(names))
    looks = formulation_looks(names)
    for row, name in enumerate(names):
        colour, marker = looks[str(name)]
        axes.hlines(
            row, summary["least"][name], summary["greatest"][name], color=colour, linewidth=1.6
        )
        axes.plot(summary["median"][name], row, marker, color=colour)
    axes.plot([], [], "o-", color=_TRAINING, label="reproduced, range of runs")
    if published is not None:
        error = 100 * (published["high_km"] / published["true_km"] - 1).reindex(list(names))
        axes.plot(error, rows, "d", markerfacecolor="white", color=INK, label="published")
    axes.set_xscale("log")
    if np.ptp(np.log10(axes.get_xlim())) < 1.5:  # a decade or less would have no label
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(rows, list(names))
    colour_formulations(axes)
    axes.invert_yaxis()
    axes.set_xlabel("relative error of the held-out formulation (%)", fontsize=10)
    axes.grid(axis="x", color="#e6e6e6")
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)


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
