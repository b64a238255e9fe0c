"""Tables of the data set, of its grey levels and of the stand-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.drying.equations import CLASSIC_RESISTANCE, porosity, product_resistance
from fesemlib.evaluation import published
from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.formulations import SOLUTES, table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.pages.numbers import (
    minus,
    significant,
)
from fesemlib.pages.report import show_table
from fesemlib.pages.statements import Banner
from fesemlib.params import Parameters
from fesemlib.processing import input_shape
from fesemlib.synthetic import THROAT_TO_CELL, cell_diameter, throat_diameter

# A feature narrower than two pixels cannot be told from its neighbours (sampling theorem).
_PIXELS_TO_RESOLVE = 2


# From this R² on, predictions are called telling.
_TELLING = 0.2


# The dried layer whose resistance stands beside its k_m: thickness in m, front in K.
_LAYER, _FRONT = 0.01, 250.0


# With fewer images, chance reaches that R² about once in a hundred tests, or more often.
_FEW = 20


def resolution(dataset: Dataset, parameters: Parameters) -> Banner:
    """Say what the network's input size leaves to be seen.

    Examples
    --------
    >>> from textwrap import fill
    >>> from types import SimpleNamespace
    >>> dataset = SimpleNamespace(shape=(1536, 2048), pixel_size_um=0.977, synthetic=False)
    >>> print(fill(resolution(dataset, Parameters(input_width=512)).text, 80))
    The network sees 512×384 px, 3.91 µm a pixel: what is narrower than two pixels,
    7.82 µm, cannot be told apart.
    """
    height, width = input_shape(dataset.shape, parameters.input_width)
    text = f"The network sees {width}×{height} px"
    if dataset.pixel_size_um is None:
        return Banner(
            "Resolution",
            f"{text}; the pixel size in µm is not known, or not the same for all micrographs.",
            "note",
        )
    pixel = dataset.pixel_size_um * dataset.shape[1] / width
    limit = _PIXELS_TO_RESOLVE * pixel
    text += (
        f", {pixel:.3g} µm a pixel: what is narrower than two pixels, {limit:.3g} µm, cannot be "
        "told apart."
    )
    if dataset.synthetic:
        text += _lost_cells(limit)
    return Banner("Resolution", text, "note")


def show_reading(dataset: Dataset) -> Styler:
    """What was read of the micrographs: rows kept and cut off, and the pixel size.

    Parameters
    ----------
    dataset
        The data set. Micrographs of which the same is to be told share a row.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> table = show_reading(draw_stand_ins(2, 0, (96, 128))).data
    >>> table[["micrographs", "kept (px)", "known from"]].to_dict("records")
    [{'micrographs': '1, 2', 'kept (px)': '128 × 96', 'known from': 'rendered'}]
    """
    source = "rendered" if dataset.synthetic else ""
    told = pd.DataFrame(
        {
            "kept (px)": [f"{w} × {h}" for h, w in (m.image.shape for m in dataset.micrographs)],
            "rows cut off": [m.cut_rows for m in dataset.micrographs],
            "data bar": [
                "none found" if m.data_bar_row is None else f"from row {m.data_bar_row}"
                for m in dataset.micrographs
            ],
            "pixel (µm)": [_pixel_size(micrograph) for micrograph in dataset.micrographs],
            "known from": [m.pixel_size_source or source for m in dataset.micrographs],
        }
    )
    files = dataset.images["formulation" if dataset.synthetic else "image"]
    names = files.groupby([told[column] for column in told], sort=False)
    shown = names.agg(", ".join).rename("micrographs").reset_index()
    table = show_table(shown[["micrographs", *told]], "What was read of the micrographs")
    table = _to_the_left(table.hide(axis="index"), "micrographs")
    return table.set_properties(
        subset=["micrographs"], **{"white-space": "normal", "min-width": "10em"}
    )


def show_grey_levels(tested: Sequence[Mapping[str, GreyLevelTest]]) -> Styler:
    """Brightness and contrast of the images at each step, and what they tell of k_m.

    Parameters
    ----------
    tested
        Of `baselines.grey_level_test`, for each set of images.

    Examples
    --------
    >>> test = GreyLevelTest(np.array([[100.0, 50.0], [110.0, 52.0]]), np.zeros(2), -0.3)
    >>> show_grey_levels([{"original": test}]).data.loc["original"].to_dict()
    {'mean': '105.0 ± 5.0', 'standard deviation': '51.0 ± 1.0', 'R²': '−0.30'}
    """
    rows = {}
    for step in tested[0]:
        statistics = np.concatenate([tests[step].statistics for tests in tested])
        mean, deviation = (
            f"{value:.1f} ± {spread:.1f}"
            for value, spread in zip(statistics.mean(axis=0), statistics.std(axis=0), strict=True)
        )
        rows[step] = {
            "mean": mean,
            "standard deviation": deviation,
            "R²": _range_of([tests[step].determination for tests in tested]),
        }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Mean and standard deviation of the grey levels, each as mean ± standard deviation over "
        "the images, and R² of the linear model on both"
        + (", lowest and highest of the sets" if len(tested) > 1 else ""),
    )


def _pixel_size(micrograph: Micrograph) -> str:
    if micrograph.pixel_size_um is None:
        return "not known"
    size = f"{micrograph.pixel_size_um:.4g}"
    before = micrograph.rescaled_from_um
    return size if before is None else f"{size}, rescaled from {before:.4g}"


def data_bar(dataset: Dataset) -> str:
    """Whose data bar `fesemlib.dataset.with_data_bar` shows, in a sentence.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> data_bar(draw_stand_ins(2, 0, (96, 128)))
    'The stand-ins have no bar; one was drawn into this copy.'
    """
    if any(micrograph.data_bar_row is not None for micrograph in dataset.micrographs):
        return "The bar is the micrograph's own."
    if dataset.synthetic:
        return "The stand-ins have no bar; one was drawn into this copy."
    return "None of these micrographs has a bar, so that a stand-in with one is shown."


def grey_levels(tested: Sequence[Mapping[str, GreyLevelTest]], synthetic: bool) -> str:
    """What brightness and contrast alone tell of k_m, step by step, in a few sentences.

    Parameters
    ----------
    tested
        Of `baselines.grey_level_test`, for each set of images; the first step is that of the
        micrographs as they are. A step counts as telling when R² reaches 0.2 in every set.
    synthetic
        Whether the images are stand-ins.

    Examples
    --------
    >>> from textwrap import fill
    >>> test = GreyLevelTest(np.zeros((9, 2)), np.zeros(9), determination=-0.3)
    >>> print(fill(grey_levels([{"original": test}], synthetic=False), 80))
    In 9 micrographs, no step shows that brightness and contrast predict k_m, which
    is no proof that they do not. With 9 images, an R² of 0.2 may be chance.
    """
    number = len(next(iter(tested[0].values())).predicted)
    of_what = f"{number} {'stand-ins drawn for this test' if synthetic else 'micrographs'}"
    sets = f"{len(tested)} sets of {of_what}" if len(tested) > 1 else of_what
    first, *_ = tested[0]
    telling = [
        step for step in tested[0] if min(tests[step].determination for tests in tested) >= _TELLING
    ]
    if first in telling:
        verdict = "brightness and contrast predict k_m already in the micrographs as they are."
    elif telling:
        verdict = (
            "brightness and contrast do not predict k_m in the micrographs as they are, but they "
            f"do later: {', '.join(telling)}."
        )
    else:
        verdict = (
            "no step shows that brightness and contrast predict k_m, which is no proof that they "
            "do not."
        )
    if number < _FEW:
        verdict += f" With {number} images, an R² of {_TELLING} may be chance."
    return f"In {sets}, {verdict}"


def _range_of(values: Sequence[float]) -> str:
    """The least and the greatest of some numbers, as text; one number, if they are one."""
    ends = dict.fromkeys(minus(f"{value:.2f}") for value in (min(values), max(values)))
    return " to ".join(ends)


def _lost_cells(limit_um: float) -> str:
    """Which stand-ins have cells or throats below this size, in two sentences."""
    table = table1()
    solids = table[list(SOLUTES)].sum(axis=1)
    diameters = {
        name: 1e6 * cell_diameter(throat_diameter(table["k_m"][name], porosity(solids[name])))
        for name in table.index
    }
    throats = {name: diameter * THROAT_TO_CELL for name, diameter in diameters.items()}
    text = f" The cells are {_span(diameters)} across, {_lost(diameters, limit_um)}."
    text += f" The throats between them, which set the cells' size, are {_span(throats)} wide, "
    return f"{text}{_lost(throats, limit_um)}: the network can know these only from the cells."


def _span(sizes_um: Mapping[str, float]) -> str:
    return f"{min(sizes_um.values()):.2g} to {max(sizes_um.values()):.2g} µm"


def _lost(sizes_um: Mapping[str, float], limit_um: float) -> str:
    lost = [name for name, size in sizes_um.items() if size < limit_um]
    if len(lost) in (0, len(sizes_um)):
        return f"all of them {'narrower' if lost else 'wider'} than these two pixels"
    return f"those of {', '.join(lost)} narrower than these two pixels"


def show_formulations(formulations: pd.DataFrame, caption: str) -> Styler:
    """Table 1 for the page, with R_p; what a manifest does not tell is left empty.

    Parameters
    ----------
    formulations
        Of the data set.
    caption
        What the table shows, without a full stop; its number in the paper is put before it, the
        layer that R_p belongs to after it.

    Examples
    --------
    >>> table = show_formulations(table1(), "k_m")
    >>> print(table.caption)
    Table 1 of the paper: kₘ. Added: the product resistance Rₚ of a dried layer of 1 cm at 250 K.
    >>> print(table.data.loc["I"].to_list())  # the last is R_p in cm² Torr h g⁻¹
    ['10% mannitol', '0.28', '8.7', '86']
    """
    papers_own = published.concerns(formulations)
    digits = 2 if papers_own else 3  # the paper prints two
    resistance = product_resistance(formulations["k_m"], _LAYER, _FRONT) / CLASSIC_RESISTANCE
    shown = pd.DataFrame(
        {
            "composition": formulations["composition"].fillna(""),
            "k_m (10⁻³ m² s⁻¹)": [significant(1e3 * k_m, digits) for k_m in formulations["k_m"]],
            "std (%)": ["" if pd.isna(v) else f"{v:g}" for v in formulations["std_percent"]],
            "R_p (cm² Torr h g⁻¹)": [significant(r_p, digits) for r_p in resistance],
        },
        index=list(formulations.index),
    )
    layer = f"the product resistance R_p of a dried layer of {100 * _LAYER:g} cm at {_FRONT:g} K"
    table = show_table(shown, f"{_number_in_paper(1, papers_own)}: {caption}. Added: {layer}.")
    return _to_the_left(table, "composition")


def show_textures(textures: pd.DataFrame, shape: tuple[int, int], rows: int) -> Styler:
    """Present the textures of the stand-ins beside those of real frames.

    Parameters
    ----------
    textures
        Rows of `fesemlib.texture.statistics`, with ``pixel_size_um``.
    shape
        Height and width of the stand-ins, px.
    rows
        Of the real frames that were measured, px; of a stand-in no more either.

    Examples
    --------
    >>> from fesemlib.texture import real_frames
    >>> list(show_textures(real_frames(), (768, 1024), rows=1344).data.columns)
    ['pixel (µm)', 'correlation length (px)', 'slope', 'contrast', 'shade (%)']
    """
    shown = pd.DataFrame(
        {
            "pixel (µm)": [f"{value:.3g}" for value in textures["pixel_size_um"]],
            "correlation length (px)": [
                f"{value:.1f}" for value in textures["correlation_length_px"]
            ],
            "slope": [minus(f"{value:.2f}") for value in textures["slope"]],
            "contrast": [f"{value:.1f}" for value in textures["contrast"]],
            "shade (%)": [f"{100 * value:.0f}" for value in textures["charging"]],
        },
        index=textures.index,
    )
    size = f"{shape[1]}×{min(shape[0], rows)} px"
    return show_table(
        shown,
        f"Texture of the nine stand-ins, {size}, and of two real frames of another kind of sample, "
        f"2048×{rows} px.",
    )


def _to_the_left(table: Styler, column: str) -> Styler:
    """A column of text, which is the first, with its heading."""
    table = table.set_properties(subset=[column], **{"text-align": "left"})
    return table.set_table_styles(
        [{"selector": "th.col_heading.col0", "props": "text-align: left;"}], overwrite=False
    )


def _number_in_paper(number: int, papers_own: bool) -> str:
    return f"{'Table' if papers_own else 'In the form of Table'} {number} of the paper"
