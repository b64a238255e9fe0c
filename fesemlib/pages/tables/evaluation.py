"""Tables of the chapter on what the numbers mean, and sentences on the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.evaluation.epochs import SELECTIONS
from fesemlib.evaluation.published_evidence import (
    CLAIMED_INSIDE,
    chance_of_perfect_model,
    combined_p_value,
    inside_the_others,
    perfect_model,
)
from fesemlib.evaluation.statistics import Comparison, compare_pairs, permutation_p_value
from fesemlib.pages.numbers import measure_range, measure_text, percent, power_of_ten
from fesemlib.pages.report import show_table
from fesemlib.validation.errors import (
    LOG_MEAN,
    MEAN,
    WITHOUT_WORST,
    errors_of_formulations,
    errors_of_runs,
    measures,
    spread_of_seeds_and_draws,
)

_SMALL = 0.01  # relative error
_SIGNIFICANT = 0.05


def published_answer(rules: pd.DataFrame) -> str:
    """What the published errors imply, in a few sentences.

    Parameters
    ----------
    rules
        From `fesemlib.evaluation.published_evidence.published_beside_rules`.

    Examples
    --------
    >>> from fesemlib.evaluation.published_evidence import published_beside_rules
    >>> print(published_answer(published_beside_rules()))  # doctest: +ELLIPSIS
    On average the published networks err by 44.6 % (original set) and 30.5 % (augmented set), ...
    """
    mean = rules.mean()
    worse = _listed(list(rules.index[rules["original"] > rules["median of the others"]]))
    return (
        f"On average the published networks err by {percent(mean['original'])} % (original set) "
        f"and {percent(mean['augmented'])} % (augmented set), the median of the others without "
        f"any image by {percent(mean['median of the others'])} %. The formulations on which the "
        f"network trained on the original set errs more than that median: {worse}. On the pairs of "
        f"errors, Wilcoxon's test gives p = {_pairs(rules, 'original', 'augmented')} for the "
        "augmented set against the original one, and "
        f"p = {_pairs(rules, 'median of the others', 'augmented')} and "
        f"{_pairs(rules, 'median of the others', 'original')} for the augmented and the original "
        "set against the median of the others."
    )


def claim_answer(rules: pd.DataFrame) -> str:
    """The paper's claim about interpolation beside its own table, in two sentences.

    Parameters
    ----------
    rules
        From `fesemlib.evaluation.published_evidence.published_beside_rules`.

    Examples
    --------
    >>> from fesemlib.evaluation.published_evidence import published_beside_rules
    >>> print(claim_answer(published_beside_rules()))  # doctest: +NORMALIZE_WHITESPACE
    The paper's abstract states errors below 5 % on the interpolation test data. Of the
    formulations whose k_m lies between others, B (12.9 %), C (53.6 %) and H (6.92 %) err more in
    the original set, and C (21.2 %) in the augmented set.
    """
    between = rules.loc[inside_the_others()]
    beyond = {
        name: _listed(
            [
                f"{letter} ({percent(error)} %)"
                for letter, error in between[name].items()
                if error > CLAIMED_INSIDE
            ]
        )
        for name in ("original", "augmented")
    }
    return (
        f"The paper's abstract states errors below {100 * CLAIMED_INSIDE:g} % on the interpolation "
        f"test data. Of the formulations whose k_m lies between others, {beyond['original']} err "
        f"more in the original set, and {beyond['augmented']} in the augmented set."
    )


def small_errors_answer(formulations: Sequence[str], thermocouples: int) -> str:
    """How likely the small published errors are, in a few sentences.

    Parameters
    ----------
    formulations
        Those that were picked because their errors are small.
    thermocouples
        Over how many each k_m is taken to be averaged.

    Examples
    --------
    >>> answer = small_errors_answer(list("BDEFG"), thermocouples=6)
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    If each k_m averages 6 thermocouples, a perfect model would err no more than published on B,
    D, E, F and G together with a probability of 1·10⁻⁷ (original set) and 1·10⁻⁹ (augmented
    set), or, times the number of ways to pick as many of nine, 2·10⁻⁵ and 1·10⁻⁷. These are no
    p-values, since the errors to be beaten were read off first. One for which nothing is picked,
    Fisher's combination of all nine formulations, is 0.024 for the original set and 1.3·10⁻³ for
    the augmented set, both of which chance hardly explains.
    """
    sets = ("original", "augmented")
    asked = [(name, list(formulations), thermocouples) for name in sets]
    chances = [power_of_ten(chance_of_perfect_model(*each)[0]) for each in asked]
    bounds = [power_of_ten(chance_of_perfect_model(*each)[1]) for each in asked]
    return (
        f"If each k_m averages {thermocouples} thermocouples, a perfect model would err no more "
        f"than published on {_listed(list(formulations))} together with a probability of "
        f"{chances[0]} (original set) and {chances[1]} (augmented set), or, times the "
        f"number of ways to pick as many of nine, {bounds[0]} and {bounds[1]}. These are "
        "no p-values, since the errors to be beaten were read off first. One for which nothing is "
        f"picked, Fisher's combination of all nine formulations, is {_combined(thermocouples)}."
    )


def _combined(thermocouples: int) -> str:
    """The p-values over all formulations, and whether chance explains them."""
    sets = ("original", "augmented")
    p_values = [combined_p_value(name, thermocouples) for name in sets]
    told = [
        f"{power_of_ten(p_value, 2)} for the {name} set"
        for name, p_value in zip(sets, p_values, strict=True)
    ]
    judged = [
        f"which chance {'hardly explains' if p_value < _SIGNIFICANT else 'may explain'}"
        for p_value in p_values
    ]
    if judged[0] == judged[1]:
        return f"{told[0]} and {told[1]}, both of {judged[0]}"
    return f"{told[0]}, {judged[0]}, and {told[1]}, {judged[1]}"


def show_rules(rules: pd.DataFrame) -> Styler:
    """Present `fesemlib.evaluation.published_evidence.published_beside_rules`, with the mean below.

    Examples
    --------
    >>> from fesemlib.evaluation.published_evidence import published_beside_rules
    >>> rules = show_rules(published_beside_rules()).data
    >>> rules.loc[["F", "I", "mean"], "published, original set"].to_dict()
    {'F': '0.00378', 'I': '267', 'mean': '44.6'}
    """
    table = pd.concat([rules, rules.mean().rename("mean").to_frame().T])
    shown = pd.DataFrame({name: _percents(table[name]) for name in table}, index=table.index)
    shown = shown.rename(
        columns={"original": "published, original set", "augmented": "published, augmented set"}
    )
    return show_table(shown, "Relative errors of the held-out formulations (%)")


def show_perfect_model(thermocouples: int) -> Styler:
    """Present `fesemlib.evaluation.published_evidence.perfect_model`.

    Examples
    --------
    The paper states 2.3 % for A: over √6, that is the scatter of an average of six.

    >>> shown = show_perfect_model(6).data
    >>> shown.loc["A", "scatter of the average"]
    '0.939'
    """
    table = perfect_model(thermocouples)
    shown = pd.DataFrame({"scatter of the average": _percents(table["scatter"])})
    for name in ("original", "augmented"):
        shown[f"published, {name}"] = _percents(table[name])
        shown[f"chance, {name}"] = [power_of_ten(value, 2) for value in table[f"chance {name}"]]
    shown.index = table.index
    return show_table(
        shown,
        "How likely a model that knew every true k_m would err no more than published, if each "
        f"value of Table 1 is the average of {thermocouples} thermocouples (errors in %)",
    )


def show_chances(thermocouples: Sequence[int], formulations: Sequence[str]) -> Styler:
    """How likely a perfect model is on several formulations at once.

    Parameters
    ----------
    thermocouples
        Over how many each k_m is averaged.
    formulations
        That were picked.

    Examples
    --------
    >>> chances = show_chances([6], ["D", "E"]).data["chance"]
    >>> chances.to_dict()
    {'original set, 6 thermocouples': '0.013', 'augmented set, 6 thermocouples': '1.5·10⁻³'}
    """
    rows = {}
    for training_set in ("original", "augmented"):
        for number in thermocouples:
            chance, bound = chance_of_perfect_model(training_set, list(formulations), number)
            rows[f"{training_set} set, {number} thermocouples"] = {
                "chance": power_of_ten(chance, 2),
                "corrected": power_of_ten(bound, 2),
                "p, all nine": power_of_ten(combined_p_value(training_set, number), 2),
            }
    return show_table(
        pd.DataFrame.from_dict(rows, orient="index"),
        "Chance that a perfect model errs no more than published on all of "
        f"{_listed(list(formulations))}; corrected: times the number of ways to pick "
        f"{len(formulations)} of nine; p: Fisher's combination of all nine formulations, for which "
        "nothing is picked",
    )


def show_controls(summary: pd.DataFrame, number: int) -> Styler:
    """Present `control_summary`.

    Parameters
    ----------
    summary
        Of the controls.
    number
        Of formulations in the data set.

    Examples
    --------
    >>> controls = pd.DataFrame(
    ...     {"control": "median", "held_out": ["A", "B"], "seed": 0, "relative_error": [0.5, 0.25]}
    ... )
    >>> from fesemlib.evaluation.controls import control_summary
    >>> show_controls(control_summary(controls), number=3).data.loc["median"].to_list()
    ['37.5', '25.0', '—', '2 of 3']
    """
    shown = pd.DataFrame(
        {
            name: [measure_text(name, value) for value in summary[name]]
            for name in (MEAN, WITHOUT_WORST, LOG_MEAN)
        },
        index=summary.index,
    )
    shown["predicted"] = [f"{count:.0f} of {number}" for count in summary["formulations"]]
    return show_table(
        shown,
        "Relative error of the formulations held out (%) and mean |ln(predicted/true)|, the best "
        "first; last those that do not predict all of them, whose means cannot be compared",
    )


def show_permutations(orders: pd.DataFrame) -> Styler:
    """How often a shuffle of the k_m does as well as the true order, by each measure.

    Parameters
    ----------
    orders
        From `fesemlib.evaluation.controls.permutation_test`.

    Examples
    --------
    >>> orders = pd.DataFrame({"mean": [0.2, *[0.5] * 99]})
    >>> show_permutations(orders).data.loc["mean"].to_list()
    ['20.0', '50.0', '0 of 99', '0.01']
    """
    rows = {}
    for name in orders:
        true, shuffled = float(orders[name].iloc[0]), orders[name].iloc[1:].fillna(np.inf)
        both = [measure_text(str(name), value) for value in (true, float(shuffled.median()))]
        as_small = int((~(shuffled > true)).sum())
        p_value = permutation_p_value(true, shuffled)
        rows[name] = [*both, f"{as_small} of {len(shuffled)}", f"{p_value:.2g}"]
    return show_table(
        pd.DataFrame.from_dict(
            rows, "index", columns=["true order", "shuffled, median", "shuffles as small", "p"]
        ),
        "Errors of the formulations held out (%; |ln| as it is), with k_m in their true order and "
        "shuffled",
    )


def show_spread(predictions: Mapping[str, pd.DataFrame]) -> Styler:
    """The three measures over the runs, and how far the mean moves with the seed and the draw.

    Parameters
    ----------
    predictions
        From `fesemlib.validation.leave_one_out.held_out_predictions`, by training set.

    Examples
    --------
    >>> predictions = pd.DataFrame(
    ...     {"held_out": ["A", "B"] * 2, "draw": [0, 0, 1, 1], "seed": 0, "relative_error": 0.5}
    ... )
    >>> show_spread({"original": predictions}).data.loc["original set"].to_list()
    ['50.0', '50.0', '—', '—', '0.00']
    """
    rows = {}
    for name, table in predictions.items():
        found = measures(table)
        shown = {each: measure_range(each, found.loc[each]) for each in found.index}
        drawn = table if "draw" in table else table.assign(draw=0)
        for what, deviation in spread_of_seeds_and_draws(drawn).items():
            shown[f"between {what}"] = percent(deviation)
        rows[f"{name} set"] = shown
    return show_table(
        pd.DataFrame.from_dict(rows, "index"),
        "Errors of the formulations held out (%; |ln| as it is), median and range over the runs; "
        "and the standard deviation of the mean between seeds, and between draws, in points",
    )


def show_difference(compared: Comparison) -> Styler:
    """Present `fesemlib.evaluation.statistics.compare_pairs` of the original and the augmented set.

    Examples
    --------
    >>> compared = compare_pairs([0.5, 0.75], [0.25, 0.25])
    >>> show_difference(compared).data.loc["augmented − original"].to_list()
    ['−37.5', '−50.0 to −25.0', '2 of 2', '0.5', '0.5']
    """
    change = compared.difference
    row = {
        "mean difference": percent(change.mean, sign=True),
        "95 % interval": " to ".join(
            dict.fromkeys([percent(change.low, sign=True), percent(change.high, sign=True)])
        ),
        "errs less on": f"{compared.better} of {compared.number}",
        "p": f"{compared.p_value:.2g}",
        "least possible p": f"{compared.least_p_value:.2g}",
    }
    return show_table(
        pd.DataFrame([row], index=["augmented − original"]),
        "Difference of the relative errors of the formulations (points), and Wilcoxon's test on "
        "the pairs",
    )


def show_selection(selected: pd.DataFrame, published: pd.DataFrame | None) -> Styler:
    """The errors under each way to choose the epoch: medians over the runs.

    Parameters
    ----------
    selected
        From `fesemlib.evaluation.epochs.selected_predictions`.
    published
        The paper's Table 2, or None where it does not concern the data.

    Examples
    --------
    >>> selected = pd.DataFrame(
    ...     {
    ...         "held_out": "A", "selection": list(SELECTIONS), "seed": 0,
    ...         "relative_error": [0.3, 0.2, 0.005],
    ...     }
    ... )
    >>> shown = show_selection(selected, published=None).data
    >>> shown.loc[["A", "errors below 1 %"], "best epoch on the held-out one"].to_list()
    ['0.500', '1 of 1']
    """
    tables = {label: selected[selected["selection"] == key] for key, label in SELECTIONS.items()}
    if published is not None:
        errors = published.rename_axis("held_out").reset_index()
        for name in published:
            columns = {str(name): "relative_error"}
            tables[f"published, {name} set"] = errors[["held_out", name]].rename(columns=columns)
    return show_table(
        pd.DataFrame({label: _by_selection(table) for label, table in tables.items()}),
        "Relative error of the formulations held out (%; |ln| as it is), by choice of the epoch",
    )


def _by_selection(predictions: pd.DataFrame) -> dict[str, str]:
    runs = errors_of_runs(predictions).to_numpy()
    shown = {str(name): percent(each) for name, each in errors_of_formulations(predictions).items()}
    for name, median in measures(predictions)["median"].items():
        shown[str(name)] = measure_text(str(name), median)
    return {**shown, f"errors below {100 * _SMALL:g} %": f"{(runs < _SMALL).sum()} of {runs.size}"}


def _pairs(rules: pd.DataFrame, first: str, second: str) -> str:
    return f"{compare_pairs(rules[first], rules[second]).p_value:.2g}"


def _percents(fractions: pd.Series[float]) -> list[str]:
    return [percent(fraction) for fraction in fractions]


def _listed(names: Sequence[object]) -> str:
    """Names as a list in a sentence."""
    *most, last = [str(name) for name in names] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last
