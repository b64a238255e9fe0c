"""Sentences and tables of the chapter on what the network looks at.

The wording of an answer follows from the numbers, so that it holds for other data, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.evaluation.frames import FLIPS, Scale
from fesemlib.evaluation.imaging import DEGRADATIONS
from fesemlib.pages.numbers import measure_text
from fesemlib.pages.report import show_table
from fesemlib.pages.statements import Banner
from fesemlib.validation.errors import LOG_MEAN, WITHOUT_WORST

_NOTHING = 0.01  # a change of less than this share of the prediction counts as none
_ALIKE = 0.3  # correlations below count as none
_EVEN = 0.2  # correlations that differ by less count as alike
_CLEARLY = 0.1  # an error that is smaller by this share of itself counts as smaller
_AGREES = 0.5  # a map that knew nothing would miss the known share by all that it exceeds the area
_UNCHANGED = 0.5  # grey levels; less on average is rounding


def show_maps(statistics: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.occlusion.map_statistics`.

    Examples
    --------
    >>> from fesemlib.evaluation.occlusion import HeldOutMap, map_statistics
    >>> image, change = np.zeros((3, 4), np.float32), 1e-4 * np.eye(3, 4)
    >>> one = HeldOutMap("A", image, predicted=1e-3, grey=change, mean=change, rotated=change)
    >>> show_maps(map_statistics([one])).data.loc["A", "greatest change (%)"]
    '10.0'
    """
    shown = pd.DataFrame(
        {
            "greatest change (%)": [f"{100 * value:.1f}" for value in statistics["greatest"]],
            "weight on a tenth (%)": [_or_dash(value, 100, 0) for value in statistics["densest"]],
            "grey and mean": [_or_dash(value) for value in statistics["fills"]],
            "rotated back": [_or_dash(value) for value in statistics["content"]],
            "not rotated back": [_or_dash(value) for value in statistics["place"]],
        },
        index=statistics.index,
    )
    return show_table(
        shown,
        "The maps in numbers: greatest change of the prediction, share of the weight on the tenth "
        "of the area that counts most, and correlation of the map with that of the other filling "
        "and with that of the micrograph rotated by 180°",
    )


def collapsed_answer(names: Sequence[str]) -> str:
    """Which networks of the chapter have not learned anything, in a sentence.

    Parameters
    ----------
    names
        The formulations that they have not seen.

    Examples
    --------
    >>> collapsed_answer([])
    'None of them has collapsed to a constant.'
    >>> print(collapsed_answer(["G"]))  # doctest: +NORMALIZE_WHITESPACE
    The one that has not seen G has collapsed: it answers the same k_m to every micrograph, so that
    what this chapter says of G says nothing about the image.
    """
    if not names:
        return "None of them has collapsed to a constant."
    ones, have, it, answers = (
        ("one", "has", "it", "answers") if len(names) == 1 else ("ones", "have", "they", "answer")
    )
    return (
        f"The {ones} that {have} not seen {_listed(names)} {have} collapsed: {it} {answers} the "
        f"same k_m to every micrograph, so that what this chapter says of {_listed(names)} says "
        "nothing about the image."
    )


def maps_answer(statistics: pd.DataFrame) -> str:
    """Where the networks look, in a few sentences.

    Parameters
    ----------
    statistics
        From `fesemlib.evaluation.occlusion.map_statistics`.

    Examples
    --------
    >>> statistics = pd.DataFrame(
    ...     {"greatest": [0.001], "densest": 0.2, "content": 0.9, "place": 0.1}, index=["A"]
    ... )
    >>> print(maps_answer(statistics))  # doctest: +NORMALIZE_WHITESPACE
    Hiding a place moves the prediction by at most 0.10 % (median over the formulations): these
    networks depend on no single place, and a map of so little says nothing.
    """
    median = statistics.median()
    if not median["greatest"] >= _NOTHING:
        return (
            "Hiding a place moves the prediction by at most "
            f"{_percent(median['greatest'])} % (median over the formulations): these networks "
            "depend on no single place, and a map of so little says nothing."
        )
    content, place = median["content"], median["place"]
    if max(content, place) < _ALIKE:
        verdict = "so that the maps follow neither what is seen nor where it is seen"
    elif abs(content - place) < _EVEN:
        verdict = "so that neither what is seen nor where it is seen prevails"
    elif content > place:
        verdict = "so that the maps follow what is seen more than where it is seen"
    else:
        verdict = (
            "so that the maps follow the place in the frame more than what is seen there, as a "
            "network may that has a weight of its own for every place; a cake has no such places, "
            "though focus and charging may make some in a micrograph"
        )
    return (
        f"Hiding a place moves the prediction by up to {_percent(median['greatest'])} % (median "
        f"over the formulations), and a tenth of the area holds {_percent(median['densest'])} % of "
        "a map's weight. The map of the micrograph rotated by 180° correlates with that of the "
        f"unrotated one by {_signed(content)} when it is rotated back, and by {_signed(place)} "
        f"when it is not, {verdict}."
    )


def pasted_banner(dataset: Dataset, coarse: str, fine: str) -> Banner:
    """Say what the pictures of the check are made from.

    Examples
    --------
    >>> dataset = Dataset(pd.DataFrame(), pd.DataFrame(), (), synthetic=True, digest="")
    >>> print(pasted_banner(dataset, coarse="A", fine="I"))  # doctest: +ELLIPSIS
    Made for this check: The pictures are synthetic: a fresh stand-in of A, which ...
    """
    if dataset.synthetic:
        return Banner(
            "Made for this check",
            f"The pictures are synthetic: a fresh stand-in of {coarse}, which no network has seen, "
            f"with patches of a fresh stand-in of {fine}.",
            "warning",
        )
    return Banner(
        "Made for this check",
        f"The pictures are put together: your micrograph of {coarse}, with patches of that of "
        f"{fine}. Networks that have been trained on the latter have seen the patch.",
        "note",
    )


def show_pasted(found: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.occlusion.find_patches`, averaged over the pictures.

    Examples
    --------
    >>> found = pd.DataFrame(
    ...     {
    ...         "reader": "network", "picture": [1, 2], "area": 0.1, "fine": 0.2, "own": 0.1,
    ...         "detail": 0.3, "change": [-0.1, -0.3],
    ...     }
    ... )
    >>> show_pasted(found).data.loc["network", "change of the prediction (%)"]
    '−20.0 (−30.0 to −10.0)'
    """
    mean = found.groupby("reader", sort=False).mean(numeric_only=True)
    change = found.groupby("reader", sort=False)["change"]
    shown = pd.DataFrame(
        {
            "share of the area (%)": [f"{100 * value:.1f}" for value in mean["area"]],
            "fine patch (%)": [_or_dash(value, 100, 1) for value in mean["fine"]],
            "its own texture (%)": [_or_dash(value, 100, 1) for value in mean["own"]],
            "known (%)": [
                _or_dash(detail, 100, 1) if reader == _KNOWN else "—"
                for reader, detail in mean["detail"].items()
            ],
            "change of the prediction (%)": [
                f"{_signed(100 * middle, 1)} ({_signed(100 * low, 1)} to {_signed(100 * high, 1)})"
                for middle, low, high in zip(change.mean(), change.min(), change.max(), strict=True)
            ],
        },
        index=list(mean.index),
    )
    return show_table(
        shown,
        "Share of the map's weight inside the patch, when it shows finer pores and when it shows "
        "the micrograph's own, beside what is known; and the change of the prediction by the finer "
        "pores, mean and range over the pictures",
    )


_KNOWN = "linear in detail"
"""The predictor whose share is known."""


def pasted_answer(found: pd.DataFrame, fine_over_coarse: float) -> str:
    """Whether the patch is found, in a few sentences.

    Parameters
    ----------
    found
        From `fesemlib.evaluation.occlusion.find_patches`; one of the readers is "linear in detail".
    fine_over_coarse
        k_m of the formulation that the patches come from, over that of the micrograph.

    Examples
    --------
    >>> found = pd.DataFrame(
    ...     {
    ...         "reader": ["linear in detail", "network"], "picture": 1, "area": 0.1, "own": 0.1,
    ...         "detail": 0.3, "fine": [0.29, 0.1], "change": [0.2, 0.0],
    ...     }
    ... )
    >>> answer = pasted_answer(found, fine_over_coarse=0.5)
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    Of the model that is linear in detail, 30 % of the weight must lie in the patch, and its
    maps put 29 % there: the method works. A predictor that read k_m in proportion to the area
    would change by −5.0 % for the finer pores. The network changes by +0.0 %, downward in 0 of
    1 pictures, and does not notice them; its maps put 10 % of their weight on the finer patch
    and 10 % on its own texture in the same place.
    """
    mean = found.groupby("reader", sort=False).mean(numeric_only=True)
    area, detail, found_detail = (float(mean[name][_KNOWN]) for name in ("area", "detail", "fine"))
    works = abs(found_detail - detail) < _AGREES * abs(detail - area)
    expected = area * (fine_over_coarse - 1)
    sentences = [
        f"Of the model that is linear in detail, {_percent(detail)} % of the weight must "
        f"lie in the patch, and its maps put {_percent(found_detail)} % there: "
        f"{'the method works' if works else 'the method does not show it'}. A predictor that read "
        "k_m in proportion to the area would change by "
        f"{_signed(100 * expected, 1)} % for the finer pores."
    ]
    for reader in mean.index.drop(_KNOWN):
        own = found[found["reader"] == reader]
        downward = int((own["change"] < 0).sum())
        if own["change"].abs().max() < _NOTHING:
            verdict = "does not notice them"
        elif downward == len(own):
            verdict = "predicts less every time"
        elif downward == 0:
            verdict = "predicts more every time"
        else:
            verdict = "does not tell them from its own texture in a consistent way"
        sentences.append(
            f"The {reader} changes by {_signed(100 * own['change'].mean(), 1)} %, downward in "
            f"{downward} of {len(own)} pictures, and {verdict}; its maps put "
            f"{_percent(own['fine'].mean())} % of their weight on the finer patch and "
            f"{_percent(own['own'].mean())} % on its own texture in the same place."
        )
    return " ".join(sentences)


def show_sources(sources: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.frames.compare_sources`.

    Examples
    --------
    >>> from fesemlib.evaluation.frames import compare_sources
    >>> frames = pd.DataFrame(
    ...     {"formulation": "A", "true_km": 1e-3, "predicted_km": [8e-4, 1.2e-3]}
    ... )
    >>> shown = show_sources(compare_sources({"frames": frames})).data
    >>> shown.loc["frames", ["error of one", "error of all"]].to_list()
    ['20.0', '0.0']
    """
    return show_table(
        pd.DataFrame(_columns_of_sources(sources), index=list(sources.index)),
        "Several predictions of each formulation held out: how they scatter about their mean, how "
        "far the mean is off, and the mean relative error of one and of their mean (% of k_m); of "
        "their mean also without the formulation that is predicted worst, and |ln|",
    )


def frames_answer(sources: pd.DataFrame, frames: str) -> str:
    """Whether one frame is enough, in a few sentences.

    Parameters
    ----------
    sources
        From `fesemlib.evaluation.frames.compare_sources`.
    frames
        Which of them is that of several images of a formulation.

    Examples
    --------
    >>> from fesemlib.evaluation.frames import compare_sources
    >>> frames = pd.DataFrame(
    ...     {"formulation": "A", "true_km": 1e-3, "predicted_km": [8e-4, 1.2e-3]}
    ... )
    >>> answer = frames_answer(compare_sources({"frames": frames}), "frames")
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    Predictions from frames scatter by 28.3 % of k_m, while their mean is off by 0.00 % on
    average. Averaging 2 of them takes the error from 20 to 0.00 %, so that further frames are
    worth taking.
    """
    images, scatter, offset, one, of_all = (
        float(sources[column][frames]) for column in ("images", "scatter", "offset", "one", "all")
    )
    if images < 2:
        return "There is only one image of a formulation: nothing can be averaged."
    helps = of_all < (1 - _CLEARLY) * one
    verdict = (
        "so that further frames are worth taking"
        if helps
        else "so that averaging more frames of the same formulations would not mend the error: "
        "most of it is common to all of them"
    )
    alone = (
        f" Flips of one and the same frame scatter by {_percent(sources['scatter'][FLIPS])} %."
        if frames != FLIPS and FLIPS in sources.index
        else ""
    )
    return (
        f"Predictions from {frames} scatter by {_percent(scatter)} % of k_m, while their "
        f"mean is off by {_percent(offset)} % on average. Averaging {images:.0f} of "
        f"them takes the error from {_percent(one)} to {_percent(of_all)} %, {verdict}.{alone}"
    )


def show_scales(
    sources: pd.DataFrame, scales: Sequence[Scale], pixel_size_um: float | None
) -> Styler:
    """Present `fesemlib.evaluation.frames.compare_sources` for windows of several sizes.

    Parameters
    ----------
    sources
        In the order of `scales`.
    scales
        From `fesemlib.evaluation.frames.window_scales`.
    pixel_size_um
        Of the micrographs, or None where it is not known.

    Examples
    --------
    >>> from fesemlib.evaluation.frames import compare_sources
    >>> frames = pd.DataFrame({"formulation": "A", "true_km": [1e-3, 1e-3], "predicted_km": 8e-4})
    >>> scale = Scale(window=(768, 1024), across=2, pitch=4.0)
    >>> shown = show_scales(compare_sources({scale.name: frames}), [scale], pixel_size_um=0.5).data
    >>> shown[["field (µm)", "pixel of the input (µm)"]].iloc[0].to_list()
    ['512 × 384', '2']
    """
    unit = "px" if pixel_size_um is None else "µm"
    size = pixel_size_um or 1.0
    columns = {
        f"field ({unit})": [
            " × ".join(_length(side * size) for side in reversed(scale.window)) for scale in scales
        ],
        f"pixel of the input ({unit})": [_length(scale.pitch * size) for scale in scales],
        **_columns_of_sources(sources),
    }
    return show_table(
        pd.DataFrame(columns, index=list(sources.index)),
        "Networks trained on parts of the micrographs, from the whole frame to native pixels; "
        "scatter within a frame, offset of its mean and errors in % of k_m",
    )


def scales_answer(sources: pd.DataFrame) -> str:
    """Whether finer detail of a smaller field helps, in a sentence or two.

    Parameters
    ----------
    sources
        From `compare_sources`: the whole frame first, native windows last.

    Examples
    --------
    >>> sources = pd.DataFrame(
    ...     {"one": [0.4, 0.5], "all": [0.4, 0.3]}, index=["whole frame", "windows of 256×192 px"]
    ... )
    >>> print(scales_answer(sources))  # doctest: +NORMALIZE_WHITESPACE
    Trained on whole frames the network errs by 40 %, on windows of native pixels by 30 % when
    all windows of a frame are averaged (50 % from one), and the least error is that of the
    windows of 256×192 px: finer detail helps these networks.
    """
    if len(sources) < 2:
        return (
            "The network sees every pixel of the micrographs already: there is no finer detail to "
            "be had."
        )
    whole, native = sources.iloc[0], sources.iloc[-1]
    best = str(sources["all"].idxmin())
    change = native["all"] / whole["all"] - 1
    verdict = (
        "finer detail helps these networks"
        if change < -_CLEARLY
        else "at native pixels the smaller field costs more than its finer detail brings"
        if change > _CLEARLY
        else "whole and native differ by less than a tenth of the error, which decides nothing"
    )
    return (
        f"Trained on whole frames the network errs by {_percent(whole['all'])} %, on windows of "
        f"native pixels by {_percent(native['all'])} % when all windows of a frame are averaged "
        f"({_percent(native['one'])} % from one), and the least error is that of the {best}: "
        f"{verdict}."
    )


def imaging_table(table: pd.DataFrame) -> pd.DataFrame:
    """Change and error by degradation, of the first reader, the greatest change first.

    Parameters
    ----------
    table
        From `fesemlib.evaluation.imaging.degraded_predictions`.

    Returns
    -------
    DataFrame
        Indexed by ``degradation``: ``strength`` with the greatest mean ``|change|``, ``change``
        (that mean), ``worst`` (the greatest ``|change|`` of a formulation at any strength),
        ``error`` (mean relative error at ``strength``) and, for each further reader, its greatest
        mean ``|change|``.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "reader": "network", "degradation": ["noise", "defocus", "defocus"],
    ...         "strength": [5, 1, 2], "change": [0.1, 0.2, -0.3], "relative_error": 0.5,
    ...     }
    ... )
    >>> imaging_table(table)["change"].to_dict()
    {'defocus': 0.3, 'noise': 0.1}
    """
    sized = table.assign(size=table["change"].abs())
    first, *others = dict.fromkeys(sized["reader"])
    keys = ["reader", "degradation", "strength"]
    means = sized.groupby(keys)[["size", "relative_error"]].mean()
    rows = {}
    for name in dict.fromkeys(sized["degradation"]):
        of_name = means.loc[(first, name)]
        strength = of_name["size"].idxmax()
        own = sized[(sized["reader"] == first) & (sized["degradation"] == name)]
        rows[name] = {
            "strength": strength,
            "change": of_name["size"][strength],
            "worst": own["size"].max(),
            "error": of_name["relative_error"][strength],
            **{other: means.loc[(other, name)]["size"].max() for other in others},
        }
    result = pd.DataFrame.from_dict(rows, orient="index").rename_axis("degradation")
    return result.sort_values("change", ascending=False, kind="stable")


def show_imaging(summary: pd.DataFrame) -> Styler:
    """Present `imaging_table`.

    Examples
    --------
    >>> summary = pd.DataFrame(
    ...     {"strength": [-40], "change": 0.1, "worst": 0.2, "error": 0.5}, index=["brightness"]
    ... )
    >>> show_imaging(summary).data.loc["brightness"].to_list()
    ['−40 (grey levels added)', '10.0', '20.0', '50.0']
    """
    shown = pd.DataFrame(
        {
            "at strength": [
                _minus(f"{value:g} ({DEGRADATIONS[str(name)].unit})")
                for name, value in summary["strength"].items()
            ],
            "mean change (%)": _percents(summary["change"]),
            "greatest change (%)": _percents(summary["worst"]),
            "error then (%)": _percents(summary["error"]),
            **{
                f"greatest mean change at any strength, {other} (%)": _percents(summary[other])
                for other in summary.columns[4:]
            },
        },
        index=list(summary.index),
    )
    return show_table(
        shown,
        "Greatest change of the predicted k_m over the strengths, the most harmful degradation "
        "first",
    )


def imaging_answer(summary: pd.DataFrame, exchanged: float, clean_error: float) -> str:
    """What survives the imaging, in a few sentences.

    Parameters
    ----------
    summary
        From `imaging_table`.
    exchanged
        Mean change when the micrograph is exchanged for that of another formulation.
    clean_error
        Mean relative error of the untouched micrographs.

    Examples
    --------
    >>> summary = pd.DataFrame({"change": [0.6, 0.1], "error": 0.5}, index=["noise", "shift"])
    >>> answer = imaging_answer(summary, exchanged=0.5, clean_error=0.4)
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    At the strengths tried, noise moves the prediction most, by 60 % on average, and shift
    least, by 10 %; with noise the error is 50 % in place of 40 %. The yardstick is what another
    formulation's micrograph does, 50 %: noise moves it as much: to the network, two sessions at
    the microscope that differ by so much look like two formulations.
    """
    worst, least = summary.index[0], summary.index[-1]
    begin = (
        f"At the strengths tried, {worst} moves the prediction most, by "
        f"{_percent(summary['change'].iloc[0])} % on average, and {least} least, by "
        f"{_percent(summary['change'].iloc[-1])} %; with {worst} the error is "
        f"{_percent(summary['error'].iloc[0])} % in place of {_percent(clean_error)} %."
    )
    begin += "".join(
        f" With {reader}, {summary[reader].idxmax()} moves it most, by "
        f"{_percent(summary[reader].max())} %."
        for reader in map(str, summary.columns[4:])
    )
    if exchanged < _NOTHING:
        return (
            f"{begin} But another formulation's micrograph moves it by {_percent(exchanged)} % "
            "only: what reads nothing survives everything."
        )
    like = [str(name) for name in summary.index[summary["change"] >= exchanged]]
    strong = [str(name) for name in summary.index[summary["change"] > exchanged / 2]]
    strong = [name for name in strong if name not in like]
    verdicts = []
    if like:
        verdicts.append(
            f"{_listed(like)} {_moves(like)} it as much: to the network, two sessions at the "
            "microscope that differ by so much look like two formulations"
        )
    if strong:
        verdicts.append(f"{_listed(strong)} {_moves(strong)} it by more than half of that")
    verdict = "; ".join(verdicts) or "none of them moves it by half of that"
    return (
        f"{begin} The yardstick is what another formulation's micrograph does, "
        f"{_percent(exchanged)} %: {verdict}."
    )


def _moves(names: Sequence[str]) -> str:
    return "move" if len(names) > 1 else "moves"


def show_processing(changes: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.imaging.processing_changes`.

    Examples
    --------
    >>> from fesemlib.params import Parameters
    >>> from fesemlib.evaluation.imaging import processing_changes
    >>> image = np.random.default_rng(0).integers(80, 160, (48, 64)).astype(np.uint8)
    >>> shown = show_processing(processing_changes(image, Parameters())).data
    >>> sorted(set(shown["after equalisation alone"]))  # it undoes whatever keeps the order
    ['0.0']
    """
    shown = pd.DataFrame(
        {
            "in the micrograph": [f"{value:.1f}" for value in changes["micrograph"]],
            "after equalisation alone": [f"{value:.1f}" for value in changes["equalised"]],
            "after all processing": [f"{value:.1f}" for value in changes["processed"]],
        },
        index=[_minus(str(name)) for name in changes.index],
    )
    return show_table(shown, "Mean change in grey levels where nothing saturates")


def processing_answer(changes: pd.DataFrame) -> str:
    """What the processing removes by construction, in a few sentences.

    Parameters
    ----------
    changes
        From `fesemlib.evaluation.imaging.processing_changes`.

    Examples
    --------
    >>> changes = pd.DataFrame(
    ...     {"equalised": 0.0, "processed": [0.0, 3.2]}, index=["brightness + 20", "contrast × 0.5"]
    ... )
    >>> print(processing_answer(changes))  # doctest: +NORMALIZE_WHITESPACE
    An offset of the brightness is removed. A change of contrast would be removed by the
    equalisation alone, but the ball rolls before it, whose height in grey levels is fixed: 3.2
    grey levels remain on average.
    """
    brightness = changes[changes.index.str.startswith("brightness")]["processed"].max()
    contrast = changes[~changes.index.str.startswith("brightness")]
    alone, whole = contrast["equalised"].max(), contrast["processed"].max()
    offset = (
        "An offset of the brightness is removed"
        if brightness < _UNCHANGED
        else f"An offset of the brightness is not removed here ({brightness:.1f} grey levels)"
    )
    steeper = (
        "A change of contrast would be removed by the equalisation alone"
        if alone < _UNCHANGED
        else f"A change of contrast leaves {alone:.1f} grey levels after the equalisation alone"
    )
    then = (
        "and is removed by the whole processing, too"
        if whole < _UNCHANGED
        else f"but the ball rolls before it, whose height in grey levels is fixed: {whole:.1f} "
        "grey levels remain on average"
    )
    return f"{offset}. {steeper}, {then}."


def contrast_answer(clean: float, blurred: float) -> str:
    """Why defocus may matter to a network that sees no detail as fine, in a sentence or two.

    Parameters
    ----------
    clean, blurred
        Standard deviation of the grey levels, in [0, 1], of the inputs from untouched micrographs
        and from those with the strongest defocus.

    Examples
    --------
    >>> contrast_answer(clean=0.2, blurred=0.21)
    'At the strongest defocus the standard deviation of the inputs goes from 0.200 to 0.210.'
    """
    found = (
        f"At the strongest defocus the standard deviation of the inputs goes from {clean:.3f} to "
        f"{blurred:.3f}."
    )
    if blurred < (1 + _CLEARLY) * clean:
        return found
    return (
        f"{found} Detail that is finer than the input's pixels takes its share of the equalised "
        "histogram, and averages out when the image shrinks; where it is blurred away before, the "
        "coarser structure gets that share, and the input more contrast."
    )


def _columns_of_sources(sources: pd.DataFrame) -> Mapping[str, list[str]]:
    return {
        "images each": [f"{value:.0f}" for value in sources["images"]],
        "scatter": [_or_dash(value, 100, 1) for value in sources["scatter"]],
        "offset": _percents(sources["offset"]),
        "error of one": _percents(sources["one"]),
        "error of all": _percents(sources["all"]),
        **{
            f"{name.removeprefix('mean ')} of all": [
                measure_text(name, value) for value in sources[name]
            ]
            for name in (WITHOUT_WORST, LOG_MEAN)
        },
    }


def _length(value: float) -> str:
    """A length with three digits, never in scientific notation."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}" if abs(fraction) >= _NOTHING else f"{100 * fraction:.2f}"


def _percents(fractions: pd.Series[float]) -> list[str]:
    return [f"{100 * fraction:.1f}" for fraction in fractions]


def _or_dash(value: float, factor: float = 1.0, digits: int = 2) -> str:
    return _minus(f"{factor * value:.{digits}f}") if np.isfinite(value) else "—"


def _signed(value: float, digits: int = 2) -> str:
    return _minus(f"{value:+.{digits}f}") if np.isfinite(value) else "—"


def _minus(number: str) -> str:
    """A number with a true minus sign."""
    return number.replace("-", "−")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"
