"""Sentences and tables of the chapter on what the numbers mean.

The wording of an answer follows from the numbers, so that it holds for other data, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from fesemlib.controls import PUBLISHED
from fesemlib.protocol import SELECTIONS
from fesemlib.published_evidence import (
    CLAIMED_INSIDE,
    chance_of_perfect_model,
    combined_p_value,
    inside_the_others,
    perfect_model,
)
from fesemlib.report import percent, power_of_ten, show_table
from fesemlib.statistics import (
    Comparison,
    Interval,
    compare_pairs,
    errors_of_formulations,
    mean_interval,
    permutation_p_value,
)
from fesemlib.validation import failed_runs, held_out_errors, held_out_predictions

__all__ = [
    "claim_answer",
    "comparison_answer",
    "comparison_of_sets",
    "control_summary",
    "controls_answer",
    "end_answer",
    "permutation_answer",
    "published_answer",
    "selection_answer",
    "selection_table",
    "show_chances",
    "show_controls",
    "show_perfect_model",
    "show_rules",
    "show_selection",
    "show_spread",
    "small_errors_answer",
    "training_answer",
]

# Relative errors.
_SMALL = 0.01
_LARGE = 0.2
_CLOSER = 0.8  # times the error: clearly less
_TRAINED = 0.1  # of the training set, up to which a training is taken to be at its end
_SIGNIFICANT = 0.05


def published_answer(rules: pd.DataFrame) -> str:
    """What the published errors imply, in a few sentences.

    Parameters
    ----------
    rules
        From `fesemlib.published_evidence.published_beside_rules`.

    Examples
    --------
    >>> from fesemlib.published_evidence import published_beside_rules
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
        From `fesemlib.published_evidence.published_beside_rules`.

    Examples
    --------
    >>> from fesemlib.published_evidence import published_beside_rules
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
    """Present `fesemlib.published_evidence.published_beside_rules`, with the mean below.

    Examples
    --------
    >>> from fesemlib.published_evidence import published_beside_rules
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
    """Present `fesemlib.published_evidence.perfect_model`.

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


def control_summary(controls: pd.DataFrame) -> pd.DataFrame:
    """Mean and greatest error of each control over the formulations.

    Parameters
    ----------
    controls
        Rows as of `fesemlib.controls.with_errors`; where a control has no prediction, its error
        is NaN.

    Returns
    -------
    DataFrame
        Indexed by ``control``: ``mean``, ``median``, ``greatest`` and ``formulations``, the number
        of those that the control predicts. Those that predict most come first, and of these the
        best: a mean over fewer formulations cannot be compared.

    Examples
    --------
    >>> controls = pd.DataFrame(
    ...     {
    ...         "control": ["all", "all", "partial", "partial"],
    ...         "held_out": ["A", "B", "A", "B"],
    ...         "relative_error": [0.5, 0.25, 0.1, np.nan],
    ...     }
    ... )
    >>> control_summary(controls)["mean"].to_dict()
    {'all': 0.375, 'partial': 0.1}
    """
    keys = ["control", "held_out"]
    errors = controls.groupby(keys, sort=False)["relative_error"].mean().dropna().reset_index()
    grouped = errors.groupby("control", sort=False)["relative_error"]
    summary = pd.DataFrame(
        {
            "mean": grouped.mean(),
            "median": grouped.median(),
            "greatest": grouped.max(),
            "formulations": grouped.size(),
        }
    )
    return summary.sort_values(["formulations", "mean"], ascending=[False, True])


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
    ...     {"control": "median", "held_out": ["A", "B"], "relative_error": [0.5, 0.25]}
    ... )
    >>> shown = show_controls(control_summary(controls), number=3).data
    >>> shown.loc["median"].to_dict()
    {'mean': '37.5', 'median': '37.5', 'greatest': '50.0', 'predicted': '2 of 3'}
    """
    shown = pd.DataFrame(
        {name: _percents(summary[name]) for name in ("mean", "median", "greatest")},
        index=summary.index,
    )
    shown["predicted"] = [f"{count:.0f} of {number}" for count in summary["formulations"]]
    return show_table(
        shown,
        "Relative error of the formulations held out (%), the best first; last those that do not "
        "predict all of them, whose means cannot be compared",
    )


def controls_answer(summary: pd.DataFrame, network: str, number: int) -> str:
    """How the network ranks among the controls that predict every formulation, in a sentence.

    The published errors, which concern other micrographs, are not among them.

    Parameters
    ----------
    summary
        From `control_summary`.
    network
        Its name among them.
    number
        Of formulations in the data set.

    Examples
    --------
    >>> summary = pd.DataFrame({"mean": [0.2, 0.4], "formulations": 9}, index=["network", "median"])
    >>> answer = controls_answer(summary, "network", number=9)
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    Of the 2 predictors of this run that predict every formulation, the paper's network
    (“network”) has rank 1: its mean error is 20.0 %, less than the 40.0 % of the best of the
    others, “median”.
    """
    complete = summary.loc[summary["formulations"] == number, "mean"]
    complete = complete.drop(list(PUBLISHED), errors="ignore")
    if network not in complete.index or len(complete) < 2:
        return "There is nothing to compare the network with."
    own, others = float(complete[network]), complete.drop(network)
    rank = 1 + int((others < own).sum())
    relation = "less than" if own < others.min() else "more than" if rank > 1 else "as much as"
    return (
        f"Of the {len(complete)} predictors of this run that predict every formulation, the "
        f"paper's network (“{network}”) has rank {rank}: its mean error is {_size(own)}, "
        f"{relation} the {percent(float(others.min()))} % of the best of the others, "
        f"“{others.idxmin()}”."
    )


def training_answer(results: pd.DataFrame, longer: pd.DataFrame, width: int) -> str:
    """Whether the network was trained to the end, in a few sentences.

    Parameters
    ----------
    results, longer
        From `fesemlib.validation.leave_one_formulation_out`, the second in more epochs; both with
        the same input and the same seeds.
    width
        Of their input, px.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {"held_out": "A", "role": ["train", "test"], "epoch": 10, "relative_error": [0.3, 0.5]}
    ... )
    >>> longer = results.assign(epoch=50, relative_error=[0.05, 0.6])
    >>> print(training_answer(results, longer, width=128))  # doctest: +NORMALIZE_WHITESPACE
    With an input of 128 px, the paper's network errs by 30.0 % on its own training micrographs
    after 10 epochs and by 5.00 % after 50; on those held out by 50.0 % and by 60.0 %. After 10
    epochs it is not trained to the end.
    """
    epochs, more = (int(table["epoch"].max()) for table in (results, longer))
    train, train_longer = (
        float(table.loc[table["role"] == "train", "relative_error"].mean())
        for table in (results, longer)
    )
    test, test_longer = (
        float(errors_of_formulations(held_out_predictions(table)).mean())
        for table in (results, longer)
    )
    if train_longer < _CLOSER * train and train > _TRAINED:
        verdict = f"After {epochs} epochs it is not trained to the end."
    elif train > _TRAINED:
        verdict = "More epochs bring it little closer to its training set."
    else:
        verdict = f"After {epochs} epochs it is trained to the end."
    return (
        f"With an input of {width} px, the paper's network errs by {_size(train)} on its own "
        f"training micrographs after {epochs} epochs and by {_size(train_longer)} after {more}; on "
        f"those held out by {_size(test)} and by {_size(test_longer)}. {verdict}"
    )


def permutation_answer(
    observed: float, shuffled: Sequence[float], p_value: float, number_of_orders: float
) -> str:
    """What the shuffled labels tell, in a few sentences.

    Parameters
    ----------
    observed, shuffled
        From `fesemlib.controls.permutation_test`.
    p_value
        Of `fesemlib.statistics.permutation_p_value`.
    number_of_orders
        In how many ways the labels can be dealt out: of few, the true one comes up by itself.

    Examples
    --------
    >>> shuffled = [0.5] * 99
    >>> p_value = permutation_p_value(0.2, shuffled)
    >>> answer = permutation_answer(0.2, shuffled, p_value, number_of_orders=362_880)
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    With the labels in their true order the network's error is 20.0 %, with shuffled ones 50.0 %
    (median of 99); 0 of 99 shuffles did as well, p = 0.01. Chance hardly explains the error
    with the true order.
    """
    number = len(shuffled)
    as_well = int((np.asarray(shuffled) <= observed).sum())
    if p_value < _SIGNIFICANT:
        found = "Chance hardly explains the error with the true order"
    elif 1 / number_of_orders >= _SIGNIFICANT:
        found = f"With so few formulations p hardly falls below {_SIGNIFICANT}, whatever is read"
    elif permutation_p_value(0.0, np.ones(number)) >= _SIGNIFICANT:
        found = f"With so few shuffles p cannot fall below {_SIGNIFICANT}: nothing can be concluded"
    else:
        found = (
            "Chance may explain the error with the true order, and this error does not show that "
            "the image was read"
        )
    return (
        f"With the labels in their true order the network's error is {_size(observed)}, with "
        f"shuffled ones {_size(float(np.median(shuffled)))} (median of {number}); {as_well} of "
        f"{number} shuffles did as well, p = {p_value:.2g}. {found}."
    )


def show_spread(predictions: Mapping[str, pd.DataFrame], results: pd.DataFrame) -> Styler:
    """Median and range of the error over the seeds, and how many runs collapsed or diverged.

    Parameters
    ----------
    predictions
        From `fesemlib.validation.held_out_predictions`, by training set.
    results
        From `fesemlib.validation.leave_one_formulation_out`, of all training sets together.

    Examples
    --------
    >>> results = pd.DataFrame(
    ...     {
    ...         "training_set": "original", "seed": [0, 0, 0, 1, 1, 1], "held_out": "A", "epoch": 1,
    ...         "role": ["train", "train", "test"] * 2, "true_km": [1e-3, 2e-3, 3e-3] * 2,
    ...         "predicted_km": [1e-3, 2e-3, 1.5e-3, 1e-3, 1e-3, 1e-3],
    ...         "relative_error": [0, 0, 0.5, 0, 0.5, 0.7],
    ...     }
    ... )
    >>> shown = show_spread({"original": held_out_predictions(results)}, results).data
    >>> shown.loc["A"].to_dict()
    {'original: median': '60.0', 'original: range': '50.0–70.0', 'original: failed': '1 of 2'}
    """
    failed = failed_runs(results)
    parts = {}
    for name, table in predictions.items():
        errors = held_out_errors(table)
        of_set = failed[failed["training_set"] == name].groupby("held_out")
        lost = (of_set["collapsed"].sum() + of_set["diverged"].sum()).reindex(errors.index)
        runs = of_set.size().reindex(errors.index)
        parts[f"{name}: median"] = _percents(errors["median"])
        parts[f"{name}: range"] = [
            _range(low, high) for low, high in zip(errors["least"], errors["greatest"], strict=True)
        ]
        parts[f"{name}: failed"] = [
            f"{bad:.0f} of {all_:.0f}" for bad, all_ in zip(lost, runs, strict=True)
        ]
    return show_table(
        pd.DataFrame(parts, index=errors.index),
        "Relative error of each formulation over the seeds (%), and runs that collapsed or "
        "diverged",
    )


def comparison_of_sets(predictions: Mapping[str, pd.DataFrame], steps: Sequence[int]) -> str:
    """Whether augmentation helps, from the predictions with both training sets.

    Parameters
    ----------
    predictions
        From `fesemlib.validation.held_out_predictions`, of ``"original"`` and ``"augmented"``.
    steps
        As in `comparison_answer`.

    Examples
    --------
    >>> names = list("ABCDEFGHI")
    >>> original = pd.DataFrame({"held_out": names, "relative_error": np.linspace(0.2, 0.6, 9)})
    >>> augmented = original.assign(relative_error=original["relative_error"] / 2)
    >>> predictions = {"original": original, "augmented": augmented}
    >>> print(comparison_of_sets(predictions, steps=(200, 200)))  # doctest: +ELLIPSIS
    The mean error is 40.0 % (...) with the original set and 20.0 % (...) with the augmented one ...
    """
    first, second = (
        errors_of_formulations(predictions[name]) for name in ("original", "augmented")
    )
    return comparison_answer(
        compare_pairs(first, second), mean_interval(first), mean_interval(second), steps
    )


def end_answer(at_the_end: pd.DataFrame) -> str:
    """How far the difference of the two sets is from settled, in a sentence.

    Parameters
    ----------
    at_the_end
        From `fesemlib.validation.mean_error_at_the_end`, of both sets.

    Examples
    --------
    >>> end_answer(pd.DataFrame({"original": [0.5, 0.6], "augmented": [0.45, 0.4]}))
    'Over these epochs, the augmented set errs less throughout, by 5.0 to 20.0 points.'
    """
    change = 100 * (at_the_end["augmented"] - at_the_end["original"])
    low, high = change.min(), change.max()
    if not np.isfinite(change).all():
        return "Over these epochs, a training has diverged."
    if len(change) == 1:
        return "This is a single epoch, and cannot tell."
    if low > 0 or high < 0:
        direction = "more" if low > 0 else "less"
        least, greatest = sorted(map(abs, (low, high)))
        return (
            f"Over these epochs, the augmented set errs {direction} throughout, by {least:.1f} to "
            f"{greatest:.1f} points."
        )
    return (
        f"Over these epochs, the augmented set errs now less, by up to {-low:.1f} points, now "
        f"more, by up to {high:.1f}: which of the two is better depends on the epoch."
    )


def comparison_answer(
    compared: Comparison, first: Interval, second: Interval, steps: Sequence[int]
) -> str:
    """Whether augmentation helps, in a few sentences.

    Parameters
    ----------
    compared
        Of the errors with the original and with the augmented set.
    first, second
        Mean errors with the original and with the augmented set.
    steps
        Of the training with the original and with the augmented set.

    Examples
    --------
    >>> first, second = [0.2, 0.3, 0.4], [0.1, 0.2, 0.3]
    >>> intervals = mean_interval(first), mean_interval(second)
    >>> answer = comparison_answer(compare_pairs(first, second), *intervals, steps=(200, 200))
    >>> answer.split(". ")[-1]
    'With so few formulations the test cannot find a difference, whatever its size.'
    """
    change = compared.difference
    if compared.p_value < _SIGNIFICANT:
        direction = "less" if compared.second_is_less else "more"
        conclusion = (
            f"At the epoch that is judged, the augmented set errs {direction}, more clearly than "
            "chance would explain"
        )
        if (change.mean < 0) != compared.second_is_less:
            conclusion += ", although a few large errors give the mean the other sign"
    elif compared.least_p_value < _SIGNIFICANT:
        conclusion = "The difference may be chance"
    else:
        conclusion = "With so few formulations the test cannot find a difference, whatever its size"
    return (
        f"The mean error is {_with_limits(first)} with the original set and {_with_limits(second)} "
        f"with the augmented one (95 % intervals over the formulations). The augmented set errs "
        f"less on {compared.better} of {compared.number} formulations. The mean difference is "
        f"{_points(change)}, p = {compared.p_value:.2g}. {conclusion}.{_unequal(steps)}"
    )


def _unequal(steps: Sequence[int]) -> str:
    """That the one training was longer than the other, if it was."""
    if steps[0] == steps[1]:
        return ""
    return (
        f" In the same number of epochs, training takes {steps[1]} steps with the augmented set "
        f"and {steps[0]} with the original one: the difference is the effect of more steps and of "
        "augmentation together."
    )


def selection_table(selected: pd.DataFrame, published: pd.DataFrame | None) -> pd.DataFrame:
    """The error of each formulation under each way to choose the epoch, median over the seeds.

    Parameters
    ----------
    selected
        From `fesemlib.protocol.selected_predictions`.
    published
        The paper's Table 2, or None where it does not concern the data.

    Returns
    -------
    DataFrame
        Indexed by formulation, with a last row ``mean``; a column for each selection.

    Examples
    --------
    >>> selected = pd.DataFrame(
    ...     {"held_out": "A", "selection": list(SELECTIONS), "seed": 0, "relative_error": [3, 2, 1]}
    ... )
    >>> selection_table(selected, published=None)["best epoch on inner formulations"].to_dict()
    {'A': 2.0, 'mean': 2.0}
    """
    keys = ["held_out", "selection", "seed"]
    errors = selected.groupby(keys, sort=False)["relative_error"].mean().reset_index()
    table = errors.pivot_table("relative_error", "held_out", "selection", aggfunc="median")
    table = table.loc[list(dict.fromkeys(selected["held_out"])), list(SELECTIONS)]
    table = table.rename_axis("formulation")
    table = table.rename(columns=SELECTIONS)
    if published is not None:
        table = table.join(published.rename(columns=lambda name: f"published, {name} set"))
    table.loc["mean"] = table.mean()
    return table


def show_selection(table: pd.DataFrame) -> Styler:
    """Present `selection_table`.

    Examples
    --------
    >>> selected = pd.DataFrame(
    ...     {"held_out": "A", "selection": list(SELECTIONS), "seed": 0, "relative_error": [3, 2, 1]}
    ... )
    >>> shown = show_selection(selection_table(selected, published=None)).data
    >>> shown["last epoch"].to_dict()
    {'A': '300', 'mean': '300'}
    """
    shown = pd.DataFrame({name: _percents(table[name]) for name in table}, index=table.index)
    return show_table(shown, "Relative error of the formulations held out (%), by choice of epoch")


def selection_answer(table: pd.DataFrame, selected: pd.DataFrame) -> str:
    """What the choice of the epoch does to the errors, in a few sentences.

    Parameters
    ----------
    table
        From `selection_table`.
    selected
        From `fesemlib.protocol.selected_predictions`: small errors are counted for each training,
        as a median over the seeds hides them.

    Examples
    --------
    >>> selected = pd.DataFrame(
    ...     {
    ...         "held_out": "A", "selection": list(SELECTIONS), "seed": 0,
    ...         "relative_error": [0.3, 0.2, 0.005],
    ...     }
    ... )
    >>> answer = selection_answer(selection_table(selected, published=None), selected)
    >>> print(answer)  # doctest: +ELLIPSIS
    With the epoch fixed beforehand the mean error is 30.0 %, with the epoch chosen on inner ...
    """
    last, inner, best = (float(table[name]["mean"]) for name in SELECTIONS.values())
    trainings = selected.groupby(["selection", "held_out", "seed"])["relative_error"].mean()
    small = (trainings < _SMALL).groupby("selection").sum()
    sentences = (
        f"With the epoch fixed beforehand the mean error is {_size(last)}, with the "
        f"epoch chosen on inner formulations {_size(inner)}, and with the epoch that "
        f"suits the held-out micrograph best {_size(best)}. Trainings that err by less than 1 %, "
        f"of {len(trainings) // 3}: with the epoch that suits the held-out micrograph best "
        f"{small['best_on_held_out']}, with the epoch fixed beforehand {small['last']}."
    )
    published = [name for name in table if str(name).startswith("published")]
    if published:
        counts = " and ".join(
            f"{(table[name].drop('mean') < _SMALL).sum()} ({str(name).split(', ')[1]})"
            for name in published
        )
        sentences += f" Of the {len(table) - 1} published errors, {counts} are that small."
        sentences += _beside_published(table, float(small["best_on_held_out"]) * 3 / len(trainings))
    return sentences


def _beside_published(table: pd.DataFrame, share: float) -> str:
    """Whether the choice on the held-out one makes errors like the published, small and large."""
    errors = table.drop("mean")
    names = [name for name in errors if str(name).startswith("published")]
    as_often = float((errors[names[0]] < _SMALL).mean()) <= share  # of the same training set
    large = errors[(errors[names] > _LARGE).all(axis=1)]
    best = large[SELECTIONS["best_on_held_out"]]
    listed = [f"{_listed(_percents(large[name]))} ({str(name).split(', ')[1]})" for name in names]
    return (
        " So, in this run, the choice on the held-out one "
        f"{'makes' if as_often else 'does not make'} small errors as often as they were "
        "published with the original set. Where the published errors are large, on "
        f"{_listed(list(large.index))}, it would leave {_listed(_percents(best))} %; published are "
        f"{' and '.join(listed)} %."
    )


def _pairs(rules: pd.DataFrame, first: str, second: str) -> str:
    return f"{compare_pairs(rules[first], rules[second]).p_value:.2g}"


def _percents(fractions: pd.Series[float]) -> list[str]:
    return [percent(fraction) for fraction in fractions]


def _range(low: float, high: float) -> str:
    """Two ends in %; one number, where they are one."""
    return "–".join(dict.fromkeys([percent(low), percent(high)]))


def _size(error: float) -> str:
    """An error as part of a sentence."""
    return f"{percent(error)} %" if np.isfinite(error) else "infinite, for a training diverged"


def _points(interval: Interval) -> str:
    if not np.isfinite(interval.mean):
        return "not finite, for a training diverged"
    limits = ""
    if np.isfinite(interval.low):
        limits = f" ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    return f"{100 * interval.mean:+.1f} points{limits}".replace("-", "−")


def _with_limits(interval: Interval) -> str:
    if not np.isfinite(interval.low):
        return _size(interval.mean)
    limits = f"{100 * interval.low:.1f}–{100 * interval.high:.1f} %"
    return f"{100 * interval.mean:.1f} % ({limits})"


def _listed(names: Sequence[object]) -> str:
    """Names as a list in a sentence."""
    *most, last = [str(name) for name in names] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last
