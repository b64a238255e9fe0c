"""What the notebooks hand to the book: glued numbers, files of results, and what the data are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.drying.equations import CLASSIC_RESISTANCE, porosity, product_resistance
from fesemlib.evaluation import published
from fesemlib.evaluation.baselines import GreyLevelTest
from fesemlib.formulations import SOLUTES, table1
from fesemlib.micrographs.reading import Micrograph
from fesemlib.network.architecture import HIDDEN_UNITS
from fesemlib.pages.numbers import (
    measure_range,
    measure_text,
    minus,
    percent,
    significant,
    typeset,
    typeset_label,
)
from fesemlib.pages.statements import Banner
from fesemlib.params import Parameters
from fesemlib.processing.background import input_shape
from fesemlib.progress import in_live_notebook
from fesemlib.storage import build_folder, digest, writable, write_atomically
from fesemlib.synthetic.foam import THROAT_TO_CELL, cell_diameter, throat_diameter
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import training_summary

# A feature narrower than two pixels cannot be told from its neighbours (sampling theorem).
_PIXELS_TO_RESOLVE = 2

_UNFINISHED = 0.1
"""Mean relative error on its own training micrographs above which a training is named."""

_UNSEEN = "application/papermill.record/"  # prefix of a MIME type that no page shows

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


def published_statement(training_set: str, formulations: pd.DataFrame) -> str:
    """What is drawn of the paper's predictions, in a sentence; empty where nothing is.

    Examples
    --------
    >>> "all but I" in published_statement("augmented", table1())
    True
    >>> published_statement("augmented", table1().drop("I"))
    ''
    """
    if not published.concerns(formulations):
        return ""
    possible = published.candidates(training_set)
    single = ", ".join(str(name) for name in possible.index[possible["low_km"].isna()])
    return (
        "The paper's Table 2 states the size of each error but not its sign, which only its "
        "diagrams show. This book uses the printed numbers alone: where both signs give a "
        f"positive k_m, that is for all but {single}, both predictions are drawn."
    )


def results_folder(parameters: Parameters) -> Path:
    """The folder for tables and figures, made if it is missing.

    Raises
    ------
    PermissionError
        When it cannot be written to.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     results_folder(Parameters(results=f"{folder}/results")).is_dir()
    True
    """
    return writable(Path(parameters.results or build_folder() / "explore" / "results"))


def save_figure(figure: Figure, name: str, parameters: Parameters) -> Figure:
    """Keep a figure as SVG among the results and hand it back for display.

    Parameters
    ----------
    figure
        The figure.
    name
        File name without suffix, for instance ``figure_2``.
    parameters
        `results` is used.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     figure = save_figure(Figure(), "figure_2", Parameters(results=folder))
    ...     Path(folder, "figure_2.svg").is_file()
    True
    """
    path = results_folder(parameters) / f"{name}.svg"
    undated = {"Date": None}  # the same figure is the same file
    write_atomically(path, lambda file: figure.savefig(file, bbox_inches="tight", metadata=undated))
    return figure


def save_table(table: pd.DataFrame, name: str, parameters: Parameters) -> pd.DataFrame:
    """Keep a table as CSV among the results and hand it back; see `save_figure`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = save_table(table1(), "table_1", Parameters(results=folder))
    ...     Path(folder, "table_1.csv").read_text(encoding="utf-8").splitlines()[0]
    'formulation,composition,dextran,mannitol,PVP,k_m,std_percent'
    """
    path = results_folder(parameters) / f"{name}.csv"
    index = table.index.name is not None
    write_atomically(path, lambda unfinished: table.to_csv(unfinished, index=index))
    return table


def glue(*pair: Any, **numbers: float | str) -> None:
    """Keep numbers or texts under their names, for the prose of any page.

    Parameters
    ----------
    **numbers
        A page asks for one with the role ``{glue:text}`` and, say, the text
        ``/notebooks/page.ipynb::name:.2f``. A text is `typeset`; NumPy's numbers become Python's,
        which format as expected.

    Notes
    -----
    What MyST-NB's own ``glue`` keeps, without the two seconds that importing it takes.

    Examples
    --------
    >>> glue(error=np.float32(0.25))  # goes into the outputs of a notebook's cell, unseen
    """
    for name, value in (dict([pair]) if pair else numbers).items():
        _glue_one(name, value)


def _glue_one(name: str, value: float | str) -> None:
    from IPython.display import publish_display_data

    if isinstance(value, np.generic):
        value = value.item()
    kept = typeset(value) if isinstance(value, str) else value
    seen = {"text/plain": f"{name}: {kept}"} if in_live_notebook() else {}  # no page shows it there
    publish_display_data(  # type: ignore[no-untyped-call]
        {f"{_UNSEEN}text/plain": repr(kept), **seen},
        metadata={"scrapbook": {"name": name, "mime_prefix": _UNSEEN}},
    )


def first_sentence(answer: str) -> str:
    """The first sentence of an answer, which a chapter ends with when it has told the rest before.

    Parameters
    ----------
    answer
        One or more sentences.

    Examples
    --------
    >>> first_sentence("The error is 40.0 % (p = 0.04). It may be chance.")
    'The error is 40.0 % (p = 0.04).'
    """
    return re.split(r"(?<=[.!?]) (?=[A-Z])", answer, maxsplit=1)[0]


def show_trainings(results: pd.DataFrame, criterion: float, batch_size: int) -> Styler:
    """How well the networks fit what they were trained on, and which do not.

    Parameters
    ----------
    results
        Of `leave_one_formulation_out`, of one or more training sets.
    criterion
        Mean relative error on the training micrographs from which on a training is finished.
    batch_size
        Images in one step.

    Examples
    --------
    >>> rows = {"training_set": "original", "seed": 0, "role": "train", "epoch": 9}
    >>> results = pd.DataFrame({**rows, "held_out": ["A", "B"], "relative_error": [0.01, 0.2]})
    >>> results = results.assign(true_km=1e-3, predicted_km=1e-3)
    >>> shown = show_trainings(results, criterion=0.05, batch_size=16).data
    >>> shown.loc["original", ["steps", "median error (%)", "misses 5 %", "above 10 %"]].to_list()
    ['9', '10.5', '1 of 2', 'B']
    """
    summary = training_summary(results)
    rows = {}
    for name, part in summary.groupby("training_set", sort=False):
        lost = part["collapsed"] | part["diverged"]
        missed = part[(part["training_error"] > _UNFINISHED) | lost]["held_out"]
        rows[name] = {
            "steps": _steps(part, batch_size),
            "median error (%)": percent(float(part["training_error"].median())),
            "greatest (%)": percent(float(part["training_error"].max())),
            f"misses {100 * criterion:g} %": _of((part["training_error"] > criterion).sum(), part),
            f"above {100 * _UNFINISHED:g} %": ", ".join(_counted(missed)) or "none",
            "collapsed or diverged": _of(lost.sum(), part),
        }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Mean relative error of each network on the micrographs that it was trained on, after its "
        f"last step and without dropout. Those above {100 * _UNFINISHED:g} % are named by what "
        "they hold out",
    )


def show_measures(
    compared: Mapping[str, pd.DataFrame], caption: str, criterion: float, batch_size: int
) -> Styler:
    """Ways to train, one below the other: what each has fitted, and what it errs on the held-out.

    Parameters
    ----------
    compared
        Name and rows of `errors.at_the_end` or `errors.at_criterion`, of one training set each.
    caption
        What is compared, without a full stop.
    criterion, batch_size
        As in `show_trainings`.

    Examples
    --------
    >>> rows = {"training_set": "original", "seed": 0, "held_out": "A", "epoch": 9}
    >>> rows |= {"role": ["train", "test"], "true_km": 1e-3, "predicted_km": [1.01e-3, 2e-3]}
    >>> results = pd.DataFrame({**rows, "relative_error": [0.01, 1.0]})
    >>> shown = show_measures({"as it is": results}, "One way", criterion=0.05, batch_size=16).data
    >>> shown.loc["as it is"].to_list()
    ['9', '1.00', '0 of 1', '100', '100', '0.693']
    """
    rows = {}
    for name, results in compared.items():
        summary = training_summary(results)
        found = errors.measures(results[results["role"] == "test"])
        rows[name] = {
            "steps": _steps(summary, batch_size),
            "training (%)": percent(float(summary["training_error"].median())),
            f"misses {100 * criterion:g} %": _of(
                (summary["training_error"] > criterion).sum(), summary
            ),
            **{measure: measure_range(measure, found.loc[measure]) for measure in found.index},
        }
    return _narrow(
        show_table(
            pd.DataFrame.from_dict(rows, orient="index"),
            f"{caption}: steps and error on what was trained on (medians over the trainings), and "
            "three measures of the error on what was held out (median and range over the runs; "
            "means in %)",
        )
    )


def _steps(summary: pd.DataFrame, batch_size: int) -> str:
    steps = summary["epoch"] * np.ceil(summary["images"] / batch_size)
    return f"{steps.median():,.0f}"


def _of(number: float, table: pd.DataFrame) -> str:
    return f"{number:.0f} of {len(table)}"


def _counted(names: pd.Series[str]) -> list[str]:
    """Each name once, with how often it is there."""
    counts = names.value_counts(sort=False)
    return [
        str(name) if count == 1 else f"{name} ({count} times)" for name, count in counts.items()
    ]


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


def comparison(predictions: Mapping[str, pd.DataFrame], formulations: pd.DataFrame) -> pd.DataFrame:
    """Table 2: the errors of the held-out formulations beside the published ones.

    Parameters
    ----------
    predictions
        Training set and its `held_out_predictions`.
    formulations
        Of the data set; the published errors stand beside ours only where `published.concerns`
        them.

    Returns
    -------
    DataFrame
        Indexed by formulation, with the rows of `errors.measures` below; for each training set the
        columns ``{set} published``, ``{set} median``, ``{set} least``, ``{set} greatest`` (over the
        runs) and ``{set} difference`` (median − published); unsigned fractions of k_m.

    Examples
    --------
    >>> predictions = table1()[[]].rename_axis("held_out").reset_index()
    >>> predictions = predictions.assign(seed=0, relative_error=0.5)
    >>> table = comparison({"augmented": predictions}, table1())
    >>> print(f"published {table['augmented published']['mean']:.3f}, here 0.500")
    published 0.305, here 0.500
    """
    columns: dict[str, pd.Series[float]] = {}
    names = list(formulations.index)
    for training_set, own in predictions.items():
        found = pd.concat([errors.held_out_errors(own).loc[names], errors.measures(own)])
        for statistic in found.columns:
            columns[f"{training_set} {statistic}"] = found[statistic]
        if published.concerns(formulations):
            theirs = published.table2()[training_set].loc[names].rename_axis("held_out")
            measured = errors.measures(theirs.rename("relative_error").reset_index())["median"]
            columns[f"{training_set} published"] = pd.concat([theirs, measured])
            columns[f"{training_set} difference"] = (
                found["median"] - columns[f"{training_set} published"]
            )
    return pd.DataFrame(columns).rename_axis("formulation")


def show_comparison(table: pd.DataFrame, caption: str) -> Styler:
    """Table 2 for the page: in %, grouped by training set, the range in one column.

    Parameters
    ----------
    table
        Of `comparison`.
    caption
        What the table shows, without a full stop; its number in the paper is put before it, the
        meaning of the columns after it.

    Examples
    --------
    >>> predictions = table1()[[]].rename_axis("held_out").reset_index()
    >>> predictions = predictions.assign(seed=0, relative_error=0.5)
    >>> table = show_comparison(comparison({"augmented": predictions}, table1()), "errors")
    >>> table.data["augmented"].loc["B"].to_dict()
    {'published': '0.0792', 'median': '50.0', 'difference': '+49.9'}
    """
    shown: dict[tuple[str, str], list[str]] = {}
    for training_set in dict.fromkeys(name.split(" ")[0] for name in table.columns):
        own = {
            statistic: _measured(table[f"{training_set} {statistic}"], statistic == "difference")
            for statistic in ("published", "median", "least", "greatest", "difference")
            if f"{training_set} {statistic}" in table
        }
        least, greatest = own.pop("least"), own.pop("greatest")
        for statistic, values in own.items():
            shown[training_set, statistic] = values
            if statistic == "median" and least != greatest:  # of a single run there is no range
                shown[training_set, "range"] = [
                    "–".join(dict.fromkeys(ends)) for ends in zip(least, greatest, strict=True)
                ]
    frame = pd.DataFrame(shown, index=list(table.index))
    papers_own = any(name.endswith("published") for name in table.columns)
    table_2 = f"{_number_in_paper(2, papers_own)}: {caption}{_columns(papers_own)}"
    return _narrow(show_table(frame, table_2))


def _measured(values: pd.Series[float], sign: bool) -> list[str]:
    return [measure_text(str(name), value, sign) for name, value in values.items()]


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


def show_table(
    table: pd.DataFrame,
    caption: str,
    formats: Mapping[str, str | Callable[[Any], str]] | None = None,
    narrow: bool = False,
) -> Styler:
    """A table with its caption, the same HTML whenever it is made.

    Parameters
    ----------
    table
        As it should appear, but for the digits of its numbers.
    caption
        Plain text.
    formats
        By column, as for `pandas.io.formats.style.Styler.format`; what is missing becomes a dash.
    narrow
        Whether a wide table is set in small print, its row names over several lines.

    Examples
    --------
    >>> table = show_table(pd.DataFrame({"k_m": [1.234e-3]}), "One number", {"k_m": "{:.1e}"})
    >>> table.caption, "1.2e−03" in table.to_html()
    ('One number', True)
    """
    written: dict[Any, Any] = {
        typeset_label(name): _formatter(form) for name, form in (formats or {}).items()
    }
    shown = table.rename(columns=typeset_label, index=typeset_label)
    styled = (
        shown.style.format(written, na_rep="—")
        .set_caption(typeset(caption))
        .set_uuid(digest(caption))
        .set_table_styles(
            [{"selector": "caption", "props": "caption-side: top; text-align: left;"}]
        )
    )
    return _narrow(styled) if narrow else styled


def _formatter(form: str | Callable[[Any], str]) -> Callable[[Any], str]:
    """A format of a number as a function, with a minus sign."""
    return form if callable(form) else lambda value: minus(form.format(value))


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


def show_first_steps(steps: pd.DataFrame) -> Styler:
    """Present the table of `fesemlib.evaluation.first_step.first_step_by_width`.

    Examples
    --------
    >>> steps = pd.DataFrame(
    ...     {"inputs": [1536], "scale": [0.5], "shift": [0.2], "ratio": [0.4]}, index=[128]
    ... )
    >>> print("; ".join(show_first_steps(steps).data.loc["128 px"]))
    1,536; 0.500; 0.200; 0.40
    """
    shown = pd.DataFrame(
        {
            "numbers a unit sums over": [f"{number:,.0f}" for number in steps["inputs"]],
            "scale of a unit": [f"{scale:.3f}" for scale in steps["scale"]],
            "moved by one step": [f"{shift:.3f}" for shift in steps["shift"]],
            "in units of the scale": [f"{ratio:.2f}" for ratio in steps["ratio"]],
        },
        index=pd.Index([f"{width} px" for width in steps.index], name="input width"),
    )
    return show_table(shown, "The first step of training beside the scale of a hidden unit")


def show_remedies(trainings: pd.DataFrame, criterion: float) -> Styler:
    """Present the trainings of `fesemlib.evaluation.first_step.trainings_by_remedy`.

    Examples
    --------
    >>> training = {"width": 128, "remedy": "centred", "steps": 300.0, "silent": 1}
    >>> shown = show_remedies(pd.DataFrame([{**training, "training_error": 0.04}]), 0.05).data
    >>> shown.loc["128 px, centred"].to_list()
    ['300', '4.00', '0 of 1', '1.0 of 10']
    """
    rows = {
        f"{width} px, {remedy}": {
            "steps": f"{part['steps'].median():,.0f}",
            "training error (%)": percent(float(part["training_error"].median())),
            f"misses {100 * criterion:g} %": _of((part["training_error"] > criterion).sum(), part),
            "silent units": f"{part['silent'].mean():.1f} of {HIDDEN_UNITS}",
        }
        for (width, remedy), part in trainings.groupby(["width", "remedy"], sort=False)
    }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Trainings that end at the criterion, by width of the input and by what is done to keep "
        "the hidden units alive (medians over the seeds; of the silent units the mean)",
    )


def _narrow(table: Styler) -> Styler:
    """A wide table in small print, its row names over several lines."""
    return table.set_table_styles(
        [
            {"selector": "", "props": "font-size: 0.8em;"},
            {"selector": "th.row_heading", "props": "white-space: normal; min-width: 7em;"},
        ],
        overwrite=False,
    )


def _to_the_left(table: Styler, column: str) -> Styler:
    """A column of text, which is the first, with its heading."""
    table = table.set_properties(subset=[column], **{"text-align": "left"})
    return table.set_table_styles(
        [{"selector": "th.col_heading.col0", "props": "text-align: left;"}], overwrite=False
    )


def _columns(published_too: bool) -> str:
    """What the columns and the last row of `show_comparison` are, to end its caption."""
    what = "median and range over the runs"
    if published_too:
        what = f"published, reproduced ({what}), and the difference of median and published"
    return f"; {what}, in % of k_m but for |ln|. The means are taken within each run."


def _number_in_paper(number: int, papers_own: bool) -> str:
    return f"{'Table' if papers_own else 'In the form of Table'} {number} of the paper"
