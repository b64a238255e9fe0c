"""What the notebooks hand to the book: glued numbers, files of results, and what the data are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from fesemlib import published
from fesemlib.baselines import GreyLevelTest
from fesemlib.dataset import Dataset
from fesemlib.formulations import SOLUTES, table1
from fesemlib.micrographs import Micrograph
from fesemlib.params import Parameters
from fesemlib.processing import input_shape
from fesemlib.progress import in_live_notebook
from fesemlib.storage import build_folder, digest, writable, write_atomically
from fesemlib.synthetic import THROAT_TO_CELL, cell_diameter, porosity, throat_diameter
from fesemlib.validation import held_out_errors, mean_error

__all__ = [
    "Banner",
    "comparison",
    "data_banner",
    "data_bar",
    "failures",
    "first_sentence",
    "glue",
    "grey_levels",
    "headline",
    "percent",
    "power_of_ten",
    "published_statement",
    "resolution",
    "results_folder",
    "save_figure",
    "save_table",
    "selection_banner",
    "show_comparison",
    "show_first_steps",
    "show_formulations",
    "show_grey_levels",
    "show_reading",
    "show_table",
    "show_textures",
    "typeset",
    "verdict",
    "yardsticks",
]

# A feature narrower than two pixels cannot be told from its neighbours (sampling theorem).
_PIXELS_TO_RESOLVE = 2

_UNSEEN = "application/papermill.record/"  # prefix of a MIME type that no page shows

# From this R² on, predictions are called telling.
_TELLING = 0.2

# With fewer images, chance reaches that R² about once in a hundred tests, or more often.
_FEW = 20


class Banner:
    """A sentence in a box, in JupyterLab and in the book.

    Parameters
    ----------
    title, text
        Plain text.
    kind
        Sphinx' name of the box: ``"warning"`` or ``"note"``.
    """

    def __init__(self, title: str, text: str, kind: str) -> None:
        self.title, self.text, self.kind = title, text, kind

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="admonition {self.kind} data-banner">'
            f'<p class="admonition-title">{escape(typeset(self.title))}</p>'
            f"<p>{escape(typeset(self.text))}</p></div>"
        )


def data_banner(dataset: Dataset, parameters: Parameters) -> Banner:
    """Say which micrographs the numbers of a page come from; for its top.

    Examples
    --------
    >>> from fesemlib.dataset import draw_stand_ins
    >>> data_banner(draw_stand_ins(2, 0, (96, 128)), Parameters()).title
    'Synthetic data'
    """
    height, width = dataset.shape
    if dataset.synthetic:
        return Banner(
            "Synthetic data",
            f"The {len(dataset.micrographs)} micrographs behind these numbers are computed, not "
            f"measured ({width}×{height} px, seed {parameters.synthetic_seed}): the paper's are "
            "not public. The k_m are the measured ones of Table 1. No number computed from these "
            "images says anything about a real product.",
            "warning",
        )
    rescaled = " and rescaling" if parameters.rescale else ""
    return Banner(
        "Your data",
        f"The numbers on this page come from the {len(dataset.micrographs)} micrographs of "
        f"{len(dataset.formulations)} formulations in {Path(parameters.dataset).name} "
        f"({width}×{height} px after cropping{rescaled}).",
        "note",
    )


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
    ends = dict.fromkeys(_minus(f"{value:.2f}") for value in (min(values), max(values)))
    return " to ".join(ends)


def selection_banner(parameters: Parameters) -> Banner:
    """Say which epoch's prediction counts, and loudly when the held-out image has chosen it.

    Examples
    --------
    >>> selection_banner(Parameters(model_selection="best_on_held_out")).title
    'Chosen on the held-out micrograph'
    """
    if parameters.model_selection == "last":
        return Banner(
            "Model selection",
            f"All networks were trained for {parameters.epochs} epochs and predict with their last "
            "weights; the held-out micrographs had no say in that.",
            "note",
        )
    return Banner(
        "Chosen on the held-out micrograph",
        "The predictions on this page are those of the epoch that suits the held-out micrograph "
        "best. For a new product nobody could make that choice: these errors are too small.",
        "warning",
    )


def verdict(table: pd.DataFrame, blind_error: float) -> str:
    """How the mean errors compare with a prediction that sees no image, and with the paper's.

    Parameters
    ----------
    table
        Of `comparison`, with both training sets.
    blind_error
        Mean relative error of predicting every formulation by the median of the others.

    Examples
    --------
    >>> from textwrap import fill
    >>> table = pd.DataFrame(
    ...     {"original median": [0.55], "augmented median": [0.35]}, index=["mean"]
    ... )
    >>> print(fill(verdict(table, blind_error=0.41), 80))
    Trained on the original set, the network errs by 55.0 % on average, more than
    the 41.0 % of predicting by the median without any image. Trained on the
    augmented set, the network errs by 35.0 % on average, less than the 41.0 % of
    predicting by the median without any image.
    """
    mean = table.T["mean"]
    sentences = []
    for training_set in ("original", "augmented"):
        ours = float(mean[f"{training_set} median"])
        relation = "less than" if ours < blind_error else "more than"
        sentence = (
            f"Trained on the {training_set} set, the network errs by {percent(ours)} % on "
            f"average, {relation} the {percent(blind_error)} % of predicting by the median "
            "without any image"
        )
        if f"{training_set} published" in mean:
            theirs = float(mean[f"{training_set} published"])
            sentence += f"; the paper publishes {percent(theirs)} % for its own micrographs"
        sentences.append(f"{sentence}.")
    return " ".join(sentences)


def headline(table: pd.DataFrame, blind_error: float, synthetic: bool) -> str:
    """The main result of the book in one sentence.

    Parameters
    ----------
    table
        Of `comparison`, with both training sets.
    blind_error
        Mean relative error of predicting every formulation by the median of the others.
    synthetic
        Whether the micrographs are stand-ins.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"original median": 0.5, "augmented median": 0.412}, index=["A", "mean"]
    ... )
    >>> print(headline(table, 0.3, synthetic=False))  # doctest: +ELLIPSIS
    For a formulation that it has not seen, the network misses k_m by 50.0 % on average, ...
    """
    mean = table.T["mean"]
    errors = [percent(float(mean[f"{name} median"])) for name in ("original", "augmented")]
    sentence = (
        f"For a formulation that it has not seen, the network misses k_m by {errors[0]} % on "
        f"average, with augmentation by {errors[1]} %; the median of the other formulations, which "
        f"takes no image, misses it by {percent(blind_error)} %"
    )
    if synthetic:
        sentence = f"On synthetic stand-ins: {sentence[0].lower()}{sentence[1:]}"
    if "original published" in mean:
        theirs = [percent(float(mean[f"{name} published"])) for name in ("original", "augmented")]
        sentence += f"; the paper publishes {theirs[0]} % and {theirs[1]} % for its own micrographs"
    return f"{sentence}."


def yardsticks(error: float, mean_rule: float, median_rule: float) -> str:
    """Whether a network errs more or less than the two rules that see no image, in a sentence.

    Examples
    --------
    >>> yardsticks(0.45, mean_rule=0.50, median_rule=0.41)
    'Here it errs less than one of them and more than the other.'
    """
    beaten = [error < rule for rule in (mean_rule, median_rule)]
    if all(beaten):
        return "Here it errs less than both."
    if any(beaten):
        return "Here it errs less than one of them and more than the other."
    return "It does not: here it errs more than both."


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


def glue(name: str, value: float | str) -> None:
    """Keep a number or a text under a name, for the prose of any page.

    Parameters
    ----------
    name
        A page asks for it with the role ``{glue:text}`` and, say, the text
        ``/notebooks/page.ipynb::name:.2f``.
    value
        A text, which is `typeset`, or a number; NumPy's numbers become Python's, which format as
        expected.

    Notes
    -----
    What MyST-NB's own ``glue`` keeps, without the two seconds that importing it takes.

    Examples
    --------
    >>> glue("error", np.float32(0.25))  # goes into the outputs of a notebook's cell, unseen
    """
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


def failures(failed: pd.DataFrame) -> str:
    """How many runs collapsed or diverged, and with which formulations held out, in a sentence.

    Parameters
    ----------
    failed
        From `fesemlib.validation.failed_runs`.

    Examples
    --------
    >>> failed = pd.DataFrame(
    ...     {"held_out": ["A", "G"], "collapsed": [False, True], "diverged": [False, False]}
    ... )
    >>> failures(failed)
    'Of 2 runs, 1 collapsed to a constant (held out: G) and 0 diverged.'
    """
    counts = []
    for state, words in (("collapsed", " to a constant"), ("diverged", "")):
        names = dict.fromkeys(failed.loc[failed[state], "held_out"])
        which = f" (held out: {', '.join(names)})" if names else ""
        counts.append(f"{int(failed[state].sum())} {state}{words}{which}")
    return f"Of {len(failed)} runs, {counts[0]} and {counts[1]}."


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
    text += (
        f" The throats between them, from which the cells are drawn, are {_span(throats)} wide, "
    )
    return f"{text}{_lost(throats, limit_um)}: the network can know these only from the cells."


def _span(sizes_um: Mapping[str, float]) -> str:
    return f"{min(sizes_um.values()):.2g} to {max(sizes_um.values()):.2g} µm"


def _lost(sizes_um: Mapping[str, float], limit_um: float) -> str:
    lost = [name for name, size in sizes_um.items() if size < limit_um]
    if not lost:
        return "all of them wider than that"
    return f"those of {', '.join(lost)} narrower than that"


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
        Indexed by formulation, with a last row ``mean`` (see `mean_error`); for each training set
        the columns ``{set} published``, ``{set} median``, ``{set} least``, ``{set} greatest`` (over
        the seeds) and ``{set} difference`` (median − published); unsigned fractions of k_m.

    Examples
    --------
    >>> predictions = table1()[[]].rename_axis("held_out").reset_index()
    >>> predictions = predictions.assign(seed=0, relative_error=0.5)
    >>> table = comparison({"augmented": predictions}, table1())
    >>> print(f"published {table['augmented published']['mean']:.3f}, here 0.500")
    published 0.305, here 0.500
    """
    columns: dict[str, pd.Series[float]] = {}
    for training_set, own in predictions.items():
        errors = held_out_errors(own).loc[list(formulations.index)]
        errors.loc["mean"] = mean_error(own)
        for statistic in errors.columns:
            columns[f"{training_set} {statistic}"] = errors[statistic]
        if published.concerns(formulations):
            theirs = published.table2()[training_set].loc[list(formulations.index)]
            theirs["mean"] = theirs.mean()
            columns[f"{training_set} published"] = theirs
            columns[f"{training_set} difference"] = errors["median"] - theirs
    table = pd.DataFrame(columns)
    return table.rename_axis("formulation")


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
    shown = {}
    for name in table.columns:
        training_set, statistic = name.split(" ")
        greatest = table[f"{training_set} greatest"]
        if statistic == "greatest" or (statistic == "least" and table[name].equals(greatest)):
            continue  # of a single seed there is no range
        if statistic == "least":
            shown[training_set, "range"] = [
                f"{percent(low)}–{percent(high)}"
                for low, high in zip(table[name], greatest, strict=True)
            ]
        else:
            sign = statistic == "difference"
            shown[training_set, statistic] = [percent(value, sign) for value in table[name]]
    frame = pd.DataFrame(shown, index=list(table.index))
    ordered = [
        (training_set, statistic)
        for training_set in dict.fromkeys(name for name, _ in shown)
        for statistic in ("published", "median", "range", "difference")
        if (training_set, statistic) in shown
    ]
    papers_own = any(name.endswith("published") for name in table.columns)
    return show_table(
        frame[ordered], f"{_number_in_paper(2, papers_own)}: {caption}{_columns(papers_own)}"
    )


def show_formulations(formulations: pd.DataFrame, caption: str) -> Styler:
    """Table 1 for the page; what a manifest does not tell is left empty.

    Parameters
    ----------
    formulations
        Of the data set.
    caption
        What the table shows; its number in the paper is put before it.

    Examples
    --------
    >>> table = show_formulations(table1(), "formulations")
    >>> table.caption, list(table.data.loc["I"])
    ('Table 1 of the paper: formulations', ['10% mannitol', '0.28', '8.7'])
    """
    papers_own = published.concerns(formulations)
    digits = 2 if papers_own else 3  # the paper prints two
    shown = pd.DataFrame(
        {
            "composition": formulations["composition"].fillna(""),
            "k_m (10⁻³ m² s⁻¹)": [f"{1e3 * k_m:#.{digits}g}" for k_m in formulations["k_m"]],
            "std (%)": ["" if pd.isna(v) else f"{v:g}" for v in formulations["std_percent"]],
        },
        index=list(formulations.index),
    )
    table = show_table(shown, f"{_number_in_paper(1, papers_own)}: {caption}")
    return _to_the_left(table, "composition")


def show_table(table: pd.DataFrame, caption: str) -> Styler:
    """A table with its caption, the same HTML whenever it is made.

    Parameters
    ----------
    table
        As it should appear; numbers are formatted by pandas.
    caption
        Plain text.

    Examples
    --------
    >>> table = show_table(pd.DataFrame({"k_m": [1e-3]}), "One number")
    >>> table.caption, table.to_html() == show_table(table.data, "One number").to_html()
    ('One number', True)
    """
    shown = table.rename(columns=_typeset_label, index=_typeset_label)
    return (
        shown.style.set_caption(typeset(caption))
        .set_uuid(digest(caption))
        .set_table_styles(
            [{"selector": "caption", "props": "caption-side: top; text-align: left;"}]
        )
    )


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
            "slope": [_minus(f"{value:.2f}") for value in textures["slope"]],
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
    """Present the table of `fesemlib.first_step.first_step_by_width`.

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


def _to_the_left(table: Styler, column: str) -> Styler:
    """A column of text, which is the first, with its heading."""
    table = table.set_properties(subset=[column], **{"text-align": "left"})
    return table.set_table_styles(
        [{"selector": "th.col_heading.col0", "props": "text-align: left;"}], overwrite=False
    )


def _columns(published_too: bool) -> str:
    """What the columns and the last row of `show_comparison` are, to end its caption."""
    what = "median and range over the seeds"
    if published_too:
        what = f"published, reproduced ({what}), and the difference of median and published"
    return f"; {what}, in % of k_m. The mean is taken within each seed."


def _number_in_paper(number: int, papers_own: bool) -> str:
    return f"{'Table' if papers_own else 'In the form of Table'} {number} of the paper"


def _minus(number: str) -> str:
    return number.replace("-", "−")


_SYMBOLS = {"k_m": "kₘ", "R_p": "Rₚ"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def typeset(text: str) -> str:
    """Give the symbols in a plain text their subscripts.

    Parameters
    ----------
    text
        With ``k_m`` and ``R_p``.

    Examples
    --------
    >>> typeset("R_p follows from k_m.")
    'Rₚ follows from kₘ.'
    """
    return re.sub(r"\b(k_m|R_p)\b", lambda match: _SYMBOLS[match[1]], text)


def _typeset_label(label: object) -> object:
    return typeset(label) if isinstance(label, str) else label


def power_of_ten(value: float, digits: int = 1) -> str:
    """A small positive number as it is typeset: ``3.1·10⁻⁸``; from 0.01 on, as a decimal number.

    Parameters
    ----------
    value
        Such as a probability.
    digits
        Significant ones.

    Examples
    --------
    >>> power_of_ten(3.1e-8, 2), power_of_ten(0.25, 2)
    ('3.1·10⁻⁸', '0.25')
    """
    if value == 0 or value >= 0.01:
        return f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def percent(fraction: float, sign: bool = False) -> str:
    """A fraction in percent with three significant digits, never in scientific notation.

    Parameters
    ----------
    fraction
        What is not finite, such as the error of a training that diverged, becomes a dash.
    sign
        Whether a positive number has its sign, too.

    Examples
    --------
    >>> percent(0.126), percent(0.126, sign=True), percent(float("inf"))
    ('12.6', '+12.6', '—')
    """
    if not np.isfinite(fraction):
        return "—"
    value = 100 * fraction
    decimals = 2 if value == 0 else max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return _minus(f"{value:{'+' if sign else ''}.{decimals}f}")
