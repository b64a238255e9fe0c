"""Sentences and tables of the chapter on what the choices do.

The wording of an answer follows from the numbers, so that it holds for other data, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.dataset import Dataset
from fesemlib.learning_curve import AVERAGED, MEDIAN, NETWORK, RIDGE, curve_of
from fesemlib.report import Banner, show_table
from fesemlib.sensitivity import MEDIAN_RULE, REFERENCE, SEED

__all__ = [
    "alone_remark",
    "always_synthetic",
    "enough",
    "failures_answer",
    "field_width_mm",
    "learning_curve_answer",
    "learning_curve_remark",
    "least_p_value",
    "seeds_in_words",
    "selection_remark",
    "sensitivity_answer",
    "show_learning_curve",
    "show_sensitivity",
    "times",
    "yardstick_remark",
]

_SIGNIFICANT = 0.05
_RATE = f"false discovery rate of {100 * _SIGNIFICANT:.0f} %"
_MOST_NAMED = 4


def show_sensitivity(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.sensitivity.sensitivity_table`.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "reference": REFERENCE, "error": [0.3], "change": -0.1, "low": -0.2, "high": 0.0,
    ...         "better": 7, "formulations": 9, "p_value": 0.02, "corrected": 0.2, "failed": 0,
    ...         "runs": 9,
    ...     },
    ...     index=["epochs: 200"],
    ... )
    >>> show_sensitivity(table).data.loc["epochs: 200", "change"]
    '−10.0 (−20.0 to +0.0)'
    """
    shown = pd.DataFrame(
        [
            {
                "error": _percent(row["error"]),
                "change": _points(row),
                "errs less on": f"{row['better']:.0f} of {row['formulations']:.0f}",
                "p": f"{row['p_value']:.2g}",
                "corrected": f"{row['corrected']:.2g}",
                "failed runs": f"{row['failed']} of {row['runs']}" if row["runs"] else "",
            }
            for _, row in table.iterrows()
        ],
        index=list(table.index),
    )
    reference = (table["change"] == 0) & (table.index == table["reference"])
    shown.loc[reference.to_numpy(), "errs less on"] = ""
    for column, shown_as in (("p_value", "p"), ("corrected", "corrected")):
        shown.loc[table[column].isna().to_numpy(), shown_as] = ""
    return show_table(
        shown,
        "Mean relative error (%), its change from the reference, of augmentations from that with "
        "the augmented set (percentage points, with a 95 % interval over the formulations), and "
        "p-values of Wilcoxon's test on the pairs, also corrected for the number of choices",
    )


def sensitivity_answer(table: pd.DataFrame) -> str:
    """How many choices do more than chance, in a sentence.

    Parameters
    ----------
    table
        From `fesemlib.sensitivity.sensitivity_table`.

    Examples
    --------
    >>> choice = {"parameter": "epochs", "fair": True, "corrected": 0.2, "change": -0.1}
    >>> table = pd.DataFrame({**choice, "low": [-0.2], "high": 0.0}, index=["epochs: 200"])
    >>> sensitivity_answer(table).split(", and ")[-1]
    'none differs clearly from its reference (false discovery rate of 5 %).'
    """
    changed = _choices(table)
    if changed.empty:
        return "Nothing was varied."
    seeds = table[table["parameter"] == SEED]
    clear = changed[changed["corrected"] < _SIGNIFICANT]
    by_change = changed.sort_values("change", kind="stable")
    best, worst = by_change.iloc[0], by_change.iloc[-1]
    sentence = (
        f"Of {len(changed)} choices, {str(best.name)!r} does most to lower the mean error "
        f"({_in_words(best)}) and {str(worst.name)!r} most to raise it ({_in_words(worst)})"
    )
    if len(seeds):
        low, high = seeds["low"].min(), seeds["high"].max()
        beyond = int((~changed["change"].between(low, high)).sum())
        sentence += (
            f"; {beyond} of them {'lies' if beyond == 1 else 'lie'} beyond the interval of an "
            f"exchange of seeds ({_signed(low)} to {_signed(high)} points)"
        )
    if clear.empty:
        return f"{sentence}, and none differs clearly from its reference ({_RATE})."
    return (
        f"{sentence}, and {len(clear)} differ{'s' if len(clear) == 1 else ''} clearly from the "
        f"reference ({_RATE}): {_listed(list(clear.index))}."
    )


def alone_remark(table: pd.DataFrame) -> str:
    """Whether one choice alone could come out at all, in a sentence.

    Parameters
    ----------
    table
        From `fesemlib.sensitivity.sensitivity_table`.

    Examples
    --------
    >>> choices = [f"epochs: {number}" for number in range(1, 21)]
    >>> changed = {"parameter": "epochs", "fair": True, "change": 0.1, "formulations": 9}
    >>> remark = alone_remark(pd.DataFrame(changed, index=choices))
    >>> print(remark)  # doctest: +NORMALIZE_WHITESPACE
    Of 20 choices, one alone cannot come out below 0.078 when this is allowed for, however large
    its effect.
    """
    choices = _choices(table)
    if choices.empty:
        return ""
    least = min(1.0, len(choices) * least_p_value(int(choices["formulations"].iloc[0])))
    return (
        f"Of {len(choices)} choices, one alone cannot come out below {least:.2g} when this is "
        f"allowed for{', however large its effect' if least >= _SIGNIFICANT else ''}."
    )


def yardstick_remark(table: pd.DataFrame) -> str:
    """How many of the settings err less than the rule that sees no image, in a sentence.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"fair": True, "error": [0.5, 0.4, 0.3]}, index=[REFERENCE, MEDIAN_RULE, "epochs: 200"]
    ... )
    >>> print(yardstick_remark(table))  # doctest: +NORMALIZE_WHITESPACE
    The median of the others errs by 40.0 % without any image, the reference by 50.0 %; of all
    settings, the reference included, 1 of 2 errs less than that median.
    """
    settings = table[table["fair"] & (table.index != MEDIAN_RULE)]
    rule, reference = (float(table["error"][name]) for name in (MEDIAN_RULE, REFERENCE))
    better = int((settings["error"] < rule).sum())
    return (
        f"The median of the others errs by {_percent(rule)} % without any image, the reference by "
        f"{_percent(reference)} %; of all settings, the reference included, {better} of "
        f"{len(settings)} err{'s' if better == 1 else ''} less than that median."
    )


def selection_remark(table: pd.DataFrame) -> str:
    """What it does to look at the held-out micrograph, in a sentence; empty where none does.

    Examples
    --------
    >>> changed = {"fair": False, "change": [-0.2], "low": -0.3, "high": -0.1}
    >>> table = pd.DataFrame(changed, index=["epoch that counts: best on the held-out one"])
    >>> print(selection_remark(table))  # doctest: +NORMALIZE_WHITESPACE
    One row is no choice that anybody has for a new product: 'epoch that counts: best on the
    held-out one' takes for each formulation the epoch that suits its own micrograph best, and
    changes the mean error by −20.0 points, −30.0 to −10.0.
    """
    unfair = table[~table["fair"]]
    if unfair.empty:
        return ""
    name, row = next(unfair.iterrows())
    return (
        f"One row is no choice that anybody has for a new product: {str(name)!r} takes for "
        "each formulation the epoch that suits its own micrograph best, and changes the mean error "
        f"by {_in_words(row)}."
    )


def failures_answer(table: pd.DataFrame) -> str:
    """Where trainings fail, in one or two sentences.

    Examples
    --------
    >>> table = pd.DataFrame({"runs": 9, "failed": [0, 4]}, index=[REFERENCE, "target: raw"])
    >>> print(failures_answer(table))  # doctest: +NORMALIZE_WHITESPACE
    With the reference, 0 of 9 runs collapsed to a constant or diverged; a greater share did
    with 'target: raw' (4 of 9). The prediction of such a run says nothing of what the image
    shows.
    """
    runs = table[table["runs"] > 0]
    share = runs["failed"] / runs["runs"]
    reference = runs.loc[REFERENCE]
    often = share[share > share[REFERENCE]].sort_values(ascending=False, kind="stable")
    sentence = (
        f"With the reference, {reference['failed']} of {reference['runs']} runs collapsed to a "
        "constant or diverged"
    )
    if often.empty:
        return f"{sentence}, and with no setting a greater share of them."
    named = [f"{name!r} ({runs['failed'][name]} of {runs['runs'][name]})" for name in often.index]
    return (
        f"{sentence}; a greater share did with {_listed(named)}. The prediction of such a run says "
        "nothing of what the image shows."
    )


def show_learning_curve(results: pd.DataFrame) -> Styler:
    """Mean and range over the draws of the error on the test set.

    Parameters
    ----------
    results
        From `fesemlib.learning_curve.learning_curve`.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "predictor": NETWORK, "size": 5, "draw": [1, 2, 1, 2],
    ...         "region": ["inside", "inside", "outside", "outside"],
    ...         "relative_error": [0.3, 0.4, 0.6, 0.6],
    ...     }
    ... )
    >>> show_learning_curve(results).data.loc["network, inside", "5"]
    '35.0 (30.0–40.0)'
    """
    curve = curve_of(results)
    predictors = list(dict.fromkeys(curve["predictor"]))
    rows = {}
    for region in ("inside", "outside"):
        for predictor in predictors:
            part = curve[(curve["predictor"] == predictor) & (curve["region"] == region)]
            rows[region, predictor] = {
                f"{size}": _with_range(errors) for size, errors in part.groupby("size")["error"]
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.Index([f"{predictor}, {region}" for region, predictor in rows])
    draws = curve["draw"].nunique()
    return show_table(
        table,
        "Mean relative error (%) of new stand-ins inside and outside the range of the training "
        f"sets, by how many were trained on: mean (and range) over {draws} "
        f"draw{'s' if draws > 1 else ''}",
    )


def enough(results: pd.DataFrame, predictor: str, region: str) -> int | None:
    """From how many stand-ins on a predictor errs less than the median of its training set.

    Parameters
    ----------
    results
        From `fesemlib.learning_curve.learning_curve`.
    predictor, region
        Of the table.

    Returns
    -------
    int or None
        The least of the sizes from which on it errs less in every draw; None where it does not
        even with the most.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "predictor": [NETWORK, MEDIAN] * 2, "size": [5, 5, 10, 10], "draw": 1,
    ...         "region": "inside", "relative_error": [0.5, 0.4, 0.3, 0.4],
    ...     }
    ... )
    >>> enough(results, NETWORK, "inside")
    10
    """
    curve = curve_of(results)
    part = curve[curve["region"] == region].pivot_table(
        "error", index=["size", "draw"], columns="predictor"
    )
    better = (part[predictor] < part[MEDIAN]).groupby("size").all()
    sizes = [int(size) for size in better.index]
    while sizes and better[sizes[-1]]:
        sizes.pop()
    later = [int(size) for size in better.index if not sizes or size > sizes[-1]]
    return later[0] if later else None


def learning_curve_answer(results: pd.DataFrame) -> str:
    """What more formulations would bring, in a sentence.

    Parameters
    ----------
    results
        From `fesemlib.learning_curve.learning_curve`.

    Examples
    --------
    >>> cases = [(p, r) for p in (NETWORK, RIDGE, MEDIAN) for r in ("inside", "outside")]
    >>> results = pd.DataFrame(cases, columns=["predictor", "region"])
    >>> results = results.assign(size=9, draw=1, relative_error=[0.1, 0.4, 0.2, 0.4, 0.3, 0.6])
    >>> print(learning_curve_answer(results))  # doctest: +NORMALIZE_WHITESPACE
    With 9 stand-ins to train on, the error of the paper's network goes to 10.0 % inside the
    range of its training set and to 40.0 % outside, that of ridge regression on texture
    features to 20.0 % and to 40.0 %. Inside that range the network errs less than the median in
    every draw at every size tried.
    """
    means, sizes = _means(results), sorted(set(results["size"]))
    span = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
    return (
        f"With {span} stand-ins to train on, the error of the paper's network goes "
        f"{_course(means[NETWORK, 'inside'])} inside the range of its training set and "
        f"{_course(means[NETWORK, 'outside'])} outside, that of ridge regression on texture "
        f"features {_course(means[RIDGE, 'inside'])} and {_course(means[RIDGE, 'outside'])}. "
        "Inside that range the network errs less than the median in every draw "
        f"{_needed(results, NETWORK)}."
    )


def learning_curve_remark(results: pd.DataFrame) -> str:
    """What the other predictors need, and whether numbers help outside the range.

    Parameters
    ----------
    results
        From `fesemlib.learning_curve.learning_curve`.

    Examples
    --------
    >>> cases = [
    ...     (predictor, region, error)
    ...     for predictor in (NETWORK, AVERAGED, RIDGE, MEDIAN)
    ...     for region, error in (("training", 0.1), ("inside", 0.2), ("outside", 0.4))
    ... ]
    >>> results = pd.DataFrame(cases, columns=["predictor", "region", "relative_error"])
    >>> answer = learning_curve_remark(results.assign(size=9, draw=1))
    >>> print(answer.split(". ")[-1])  # doctest: +NORMALIZE_WHITESPACE
    With 9, the paper's network, that with averaged maps and ridge regression err more outside of
    the range of training than inside: numbers do not make up for a range that is not covered.
    """
    means, size = _means(results), max(results["size"])
    learned = (NETWORK, AVERAGED, RIDGE)
    worse = [name for name in learned if means[name, "outside"][size] > means[name, "inside"][size]]
    beyond = (
        f"With {size}, none of the three errs more outside of the range of training than inside"
    )
    if worse:
        named = {NETWORK: "the paper's network", AVERAGED: "that with averaged maps"}
        which = _listed([named.get(name, "ridge regression") for name in worse])
        beyond = (
            f"With {size}, {which} {'err' if len(worse) > 1 else 'errs'} more outside of the range "
            "of training than inside"
        )
    if len(worse) == len(learned):
        beyond += ": numbers do not make up for a range that is not covered"
    return (
        "Inside the range, the network with averaged maps errs less than the median of its "
        f"training set in every draw {_needed(results, AVERAGED)} "
        f"({_course(means[AVERAGED, 'inside'])}), ridge regression {_needed(results, RIDGE)}, and "
        f"the paper's network {_needed(results, NETWORK)}. On the {size} stand-ins that they were "
        f"trained on, the paper's network errs by {_percent(means[NETWORK, 'training'][size])} %, "
        "that with averaged maps by "
        f"{_percent(means[AVERAGED, 'training'][size])} %. {beyond}."
    )


def always_synthetic(dataset: Dataset) -> Banner:
    """Say that this part is about stand-ins, whatever the data set.

    Examples
    --------
    >>> own = Dataset(pd.DataFrame(), pd.DataFrame(), (), synthetic=False, digest="")
    >>> print(always_synthetic(own).text.split(":")[0])
    From here on, this page is always computed from stand-ins with known k_m, not from your data
    """
    whatever = "" if dataset.synthetic else ", not from your data"
    return Banner(
        "Synthetic, whatever the data set",
        f"From here on, this page is always computed from stand-ins with known k_m{whatever}: "
        "nobody has this many real formulations. It says what a predictor can learn from "
        "stand-ins, and nothing about a real product.",
        "warning",
    )


def field_width_mm(dataset: Dataset) -> float:
    """How much of a cake a stand-in shows, mm; NaN where the pixel size is not known.

    Examples
    --------
    >>> from fesemlib.micrographs import Micrograph
    >>> frame = Micrograph(np.zeros((1536, 2048), np.uint8), pixel_size_um=2000 / 2048)
    >>> frames = Dataset(pd.DataFrame(), pd.DataFrame(), (frame,), synthetic=True, digest="")
    >>> round(field_width_mm(frames), 6)
    2.0
    """
    return (dataset.pixel_size_um or np.nan) * dataset.shape[1] / 1000


def least_p_value(number: int) -> float:
    """The least p-value that Wilcoxon's signed-rank test can give for so many pairs.

    Two of the equally likely 2^number patterns of signs are as extreme as all signs equal.

    Examples
    --------
    Of five pairs, the test cannot find anything at a level of 0.05.

    >>> least_p_value(5), least_p_value(9)
    (0.0625, 0.00390625)
    """
    return float(min(1.0, 2.0 ** (1 - number)))


def seeds_in_words(number: int) -> str:
    """For instance, "one seed".

    Examples
    --------
    >>> seeds_in_words(1), seeds_in_words(3)
    ('one seed', '3 seeds')
    """
    return "one seed" if number == 1 else f"{number} seeds"


def times(number: int) -> str:
    """How often stand-ins are drawn, and what differs from one time to the next.

    Examples
    --------
    >>> times(1), times(2)
    ('once', 'twice, each time with stand-ins and a seed of its own')
    """
    if number == 1:
        return "once"
    often = "twice" if number == 2 else f"{number} times"
    return f"{often}, each time with stand-ins and a seed of its own"


def _means(results: pd.DataFrame) -> dict[tuple[str, str], pd.Series[float]]:
    """Mean error over the draws for each size, by predictor and region."""
    grouped = curve_of(results).groupby(["predictor", "region"])
    return {
        (str(predictor), str(region)): part.groupby("size")["error"].mean()
        for (predictor, region), part in grouped
    }


def _course(errors: pd.Series[float]) -> str:
    """From the error with the least to that with the most stand-ins."""
    first, last = (f"{_percent(float(errors.iloc[end]))} %" for end in (0, -1))
    return f"from {first} to {last}" if len(errors) > 1 else f"to {first}"


def _needed(results: pd.DataFrame, predictor: str) -> str:
    number = enough(results, predictor, "inside")
    if number is None:
        return "for no number of stand-ins tried"
    fewest = min(results["size"])
    return "at every size tried" if number == fewest else f"from {number} stand-ins on"


def _choices(table: pd.DataFrame) -> pd.DataFrame:
    """The settings that are choices: neither a reference, nor chance, nor a look at the answer."""
    named = (table["parameter"] != "") & (table["parameter"] != SEED)
    return pd.DataFrame(table[table["fair"] & named & np.isfinite(table["change"])])


def _with_range(errors: pd.Series[float]) -> str:
    mean = _percent(float(errors.mean()))
    if len(errors) == 1:
        return mean
    return f"{mean} ({_percent(float(errors.min()))}–{_percent(float(errors.max()))})"


def _points(row: pd.Series[float]) -> str:
    if not np.isfinite(row["change"]):
        return "—"
    if row.name == row["reference"]:
        return ""
    change = _signed(row["change"])
    if not np.isfinite(row["low"]):
        return change
    return f"{change} ({_signed(row['low'])} to {_signed(row['high'])})"


def _in_words(row: pd.Series[float]) -> str:
    """The same within a sentence."""
    if not np.isfinite(row["low"]):
        return f"{_signed(row['change'])} points"
    return f"{_signed(row['change'])} points, {_signed(row['low'])} to {_signed(row['high'])}"


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "−")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}" if np.isfinite(fraction) else "—"


def _listed(names: Sequence[object]) -> str:
    words = [str(name) for name in names]
    if len(words) > _MOST_NAMED:
        words = [*words[:_MOST_NAMED], f"{len(words) - _MOST_NAMED} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
