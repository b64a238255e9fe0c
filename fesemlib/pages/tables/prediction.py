"""Sentences and tables of the chapter on new micrographs.

The wording of an answer follows from the numbers, so that it holds for other data, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler
from scipy.stats import binomtest

from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.drying.outlook import Case, Outlook
from fesemlib.pages.figures.prediction import short_name, short_names
from fesemlib.pages.numbers import percent, typeset
from fesemlib.pages.report import show_table
from fesemlib.pages.statements import Banner
from fesemlib.prediction.intervals import LEVEL, deciding_rank, expected_coverage
from fesemlib.prediction.model import Layer, Model, Row
from fesemlib.prediction.new_micrographs import NewMicrographs
from fesemlib.prediction.trials import FRESH


def show_model(model: Model) -> Styler:
    """Present what the model card holds, in its main lines.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Card, Image
    >>> image = Image(height_px=1536, width_px=2048, pixel_size_um=None)
    >>> card = Card.model_construct(
    ...     data="the stand-ins", training_set="original", image=image, k_m_range=(3e-4, 2e-3),
    ...     data_digest="0a1b",
    ... )
    >>> show_model(Model(card, networks=())).data.loc["pixel (µm)"].item()
    'not known'
    """
    card = model.card
    height, width = card.shape
    pixel = "not known" if card.image.pixel_size_um is None else f"{card.image.pixel_size_um:.4g}"
    parts = {
        "trained on": card.data,
        "training set": card.training_set,
        "networks, one a seed": str(len(model.networks)),
        "micrographs (px)": f"{width} × {height}",
        "pixel (µm)": pixel,
        "k_m of the training (10⁻³ m² s⁻¹)": " to ".join(f"{1e3 * v:.3g}" for v in card.k_m_range),
        "digest of the data": card.data_digest,
    }
    shown = pd.DataFrame({"": parts})
    table = show_table(shown, "The model card, in its main lines")
    return table.set_properties(subset=[""], **{"text-align": "left", "white-space": "normal"})


def model_answer(model: Model) -> str:
    """What has been trained, in a sentence.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Card
    >>> from fesemlib.network.architecture import build_network
    >>> from fesemlib.network.engine import TargetScale
    >>> from fesemlib.validation.leave_one_out import TrainedNetwork
    >>> network = TrainedNetwork(build_network((24, 32)), TargetScale(0.0, 1.0, False))
    >>> card = Card.model_construct(formulations=list("ABCDEFGHI"))
    >>> print(model_answer(Model(card, (network,))))  # doctest: +NORMALIZE_WHITESPACE
    One network has seen all 9 formulations. What they predict of these says nothing; how wrong
    they are can be told only from networks from which a formulation was held back.
    """
    members, formulations = len(model.networks), len(model.card.formulations)
    networks = "One network" if members == 1 else f"{members} networks, each from its own seed,"
    verb = "has" if members == 1 else "have"
    return (
        f"{networks} {verb} seen all {formulations} formulations. "
        "What they predict of these says nothing; how wrong they are can be told only from "
        "networks from which a formulation was held back."
    )


def new_banner(new: NewMicrographs) -> Banner:
    """Say where the new micrographs come from.

    Examples
    --------
    >>> rows = (Row("vial.tif", k_m=1e-3), Row("notes.txt", error="is no image"))
    >>> new_banner(NewMicrographs("files", rows, pictures={})).text
    '1 of 2 files could be used. The table says what is wrong with the others.'
    """
    if new.source == "stand-in":
        return Banner(
            "A fresh stand-in",
            "No micrograph was given (parameter image): a stand-in of random k_m, which no "
            "network has seen, takes its place. It is computed, not measured.",
            "warning",
        )
    if new.source == "mirrored":
        return Banner(
            "No new micrograph",
            "None was given (parameter image): the mirror image of the first one of your set "
            "takes its place, so that this page shows what it would. The networks have seen it.",
            "warning",
        )
    failed = len(new.rows) - len(new.predicted)
    text = f"{len(new.predicted)} of {len(new.rows)} files could be used."
    if failed:
        text += " The table says what is wrong with the others."
    return Banner("Your new micrographs", text, "warning" if failed else "note")


def show_predictions(rows: Sequence[Row], layer: Layer) -> Styler:
    """Present predictions, errors among them.

    Parameters
    ----------
    rows
        From `fesemlib.prediction.model`.
    layer
        For which the resistance is given.

    Examples
    --------
    >>> shown = show_predictions([Row("vial.tif", 1e-3, 5e-4, 2e-3, in_domain=True)], Layer()).data
    >>> shown[["interval", "domain"]].iloc[0].to_list()
    ['0.5 – 2', 'inside']
    """
    shown = pd.DataFrame(
        {
            "micrograph": short_names([row.image for row in rows]),
            "k_m (10⁻³ m² s⁻¹)": [_or_dash(1e3 * row.k_m) for row in rows],
            "interval": [_interval(1e3 * row.k_m_low, 1e3 * row.k_m_high) for row in rows],
            "R_p (10⁵ m s⁻¹)": [_or_dash(row.resistance / 1e5) for row in rows],
            "R_p (cm² Torr h g⁻¹)": [_or_dash(row.resistance / CLASSIC_RESISTANCE) for row in rows],
            "domain": [typeset(_domain(row)) for row in rows],
        }
    )
    table = show_table(
        shown,
        f"Predictions with intervals of nominally {100 * LEVEL:g} %, and the product resistance of "
        f"{1e3 * layer.thickness:g} mm of dried cake with the front at "
        f"{_celsius(layer.front_temperature)} °C",
    ).hide(axis="index")
    return table.set_properties(
        subset=["domain"],
        **{"white-space": "normal", "text-align": "left", "min-width": "12em"},
    )


def predictions_answer(new: NewMicrographs) -> str:
    """What is predicted, in one or a few sentences.

    Examples
    --------
    >>> row = Row("a stand-in", 1e-3, 5e-4, 2e-3, in_domain=True)
    >>> answer = predictions_answer(NewMicrographs("stand-in", (row,), {}, true_km=1.5e-3))
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    k_m = 1·10⁻³ m² s⁻¹ (interval: 0.5·10⁻³ to 2·10⁻³ m² s⁻¹). The stand-in was made with
    1.5·10⁻³ m² s⁻¹, which the interval holds; the prediction is off by a factor of 1.5.
    """
    rows = new.predicted
    outside = [row for row in rows if not row.in_domain]
    if len(rows) > 1:
        values = [1e3 * row.k_m for row in rows]
        text = (
            f"The {len(rows)} micrographs are predicted to have k_m of {min(values):.3g} to "
            f"{max(values):.3g}·10⁻³ m² s⁻¹."
        )
        return f"{text} {_outside(len(outside))}"
    row = rows[0]
    text = f"k_m = {1e3 * row.k_m:.3g}·10⁻³ m² s⁻¹"
    if math.isfinite(row.k_m_high):
        text += (
            f" (interval: {1e3 * row.k_m_low:.3g}·10⁻³ to {1e3 * row.k_m_high:.3g}·10⁻³ m² s⁻¹)."
        )
    else:
        text += "; the formulations are too few for an interval."
    if new.true_km is not None:
        held = row.k_m_low <= new.true_km <= row.k_m_high
        text += (
            f" The stand-in was made with {1e3 * new.true_km:.3g}·10⁻³ m² s⁻¹, which the interval "
            f"{'holds' if held else 'does not hold'}; the prediction is off by a factor of "
            f"{max(new.true_km / row.k_m, row.k_m / new.true_km):.2g}."
        )
    if outside:
        text += f" It should not be used: {row.remarks}."
    return text


def show_residuals(model: Model) -> Styler:
    """Present the errors of leave-one-out from which the interval is made.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Card, Formulation
    >>> formulations = [
    ...     Formulation(name=name, k_m=1e-3, log_residual=math.log(factor))
    ...     for name, factor in {"A": 0.5, "B": 1, "C": 1.5, "D": 2}.items()
    ... ]
    >>> model = Model(Card.model_construct(formulations=formulations), networks=())
    >>> show_residuals(model).data["true / predicted"].to_dict()
    {'B': '1.00', 'C': '1.50', 'A': '0.50', 'D': '2.00'}
    """
    formulations = sorted(model.card.formulations, key=lambda each: abs(each.log_residual))
    half = model.half_width
    shown = pd.DataFrame(
        {
            "k_m (10⁻³ m² s⁻¹)": [f"{1e3 * each.k_m:.3g}" for each in formulations],
            "true / predicted": [f"{math.exp(each.log_residual):.2f}" for each in formulations],
            "|ln|": [f"{abs(each.log_residual):.2f}" for each in formulations],
            "within the interval": [
                "yes" if abs(each.log_residual) <= half else "no" for each in formulations
            ],
        },
        index=[each.name for each in formulations],
    )
    return show_table(
        shown,
        "How far the ensemble is wrong about a formulation that it has not seen; the interval is "
        "as wide as the greatest error within it",
    )


def interval_answer(model: Model) -> str:
    """How wide the interval is and why, in a few sentences.

    Examples
    --------
    >>> from fesemlib.prediction.folder import Card, Formulation
    >>> errors = {"A": 0.1, "B": -0.2, "C": 0.3, "D": -0.4}
    >>> formulations = [Formulation(name=n, k_m=1e-3, log_residual=e) for n, e in errors.items()]
    >>> card = Card.model_construct(formulations=formulations, k_m_range=(1e-4, 2e-3))
    >>> print(interval_answer(Model(card, networks=())))  # doctest: +NORMALIZE_WHITESPACE
    The interval reaches from the prediction divided by 1.49 to the prediction times that:
    number 4 of the 4 errors, from the smallest. 4 formulations carry no guarantee: one more of
    another kind may widen it much.
    """
    number = len(model.card.formulations)
    if not math.isfinite(model.half_width):
        return (
            f"{number} formulations are too few for an interval of {100 * LEVEL:g} %: it has no "
            "bounds. Four would be the least."
        )
    rank = deciding_rank(number)
    text = (
        f"The interval reaches from the prediction divided by {math.exp(model.half_width):.2f} to "
        f"the prediction times that: number {rank} of the {number} errors, from the smallest."
    )
    least, greatest = model.card.k_m_range
    deciding = sorted(model.card.formulations, key=lambda each: abs(each.log_residual))[rank - 1]
    if deciding.k_m in (least, greatest):
        which = "least" if deciding.k_m == least else "greatest"
        text += (
            f" That is the error of {deciding.name}, which has the {which} k_m of the set: left "
            "out, it lies beyond what the others span, and is harder to predict than what lies "
            "between."
        )
    if 2 * model.half_width >= math.log(greatest / least):
        text += (
            " The interval is as wide as the whole range of the training set, so that a prediction "
            "says hardly more than that range does."
        )
    return (
        f"{text} {number} formulations carry no guarantee: one more of another kind may widen it "
        "much."
    )


def trial_banner(own: bool) -> Banner:
    """Say which model and which micrographs a trial is made with.

    Parameters
    ----------
    own
        Whether the trial is made with the model of this page.

    Examples
    --------
    >>> trial_banner(own=True).title
    'Tried on stand-ins'
    """
    model = "The model" if own else "A model with the same settings, trained on stand-ins,"
    return Banner(
        "Tried on stand-ins",
        f"{model} is shown fresh stand-ins, whose k_m is known. They are synthetic, and come from "
        "the same rendering as those that it was trained on: real micrographs vary more.",
        "warning",
    )


def coverage_answer(trial: pd.DataFrame, k_m: Sequence[float]) -> str:
    """How often the interval held the truth, and whether that agrees with the nominal rate.

    Parameters
    ----------
    trial
        From `fesemlib.prediction.trials.coverage_trial`.
    k_m
        Of the formulations that the model was trained on, m² s⁻¹.

    Examples
    --------
    >>> covered = [True] * 8 + [False] * 2
    >>> fresh = np.geomspace(3e-4, 2e-3, 10)
    >>> trial = pd.DataFrame({"true_km": fresh, "predicted_km": fresh, "covered": covered})
    >>> print(coverage_answer(trial, k_m=[1e-3] * 9))  # doctest: +ELLIPSIS
    The interval of this one model held the truth for 8 of 10 fresh stand-ins, 80.0 % (95 % ...
    """
    number, covered = len(trial), int(trial["covered"].sum())
    low, high = binomtest(covered, number).proportion_ci(0.95, method="wilson")
    least, most = expected_coverage(number, len(k_m))
    if covered > most:
        verdict = "This is more: the interval is wider than need be here."
    elif covered < least:
        verdict = "This is less: the interval is too narrow here."
    else:
        verdict = "This does not contradict the nominal rate; few counts would."
    return (
        f"The interval of this one model held the truth for {covered} of {number} fresh stand-ins, "
        f"{percent(covered / number)} % (95 % confidence: {percent(low)} to {percent(high)} %). "
        f"From {len(k_m)} errors, an interval that holds the truth at the nominal "
        f"{100 * LEVEL:g} % on average over many models would do so for {least} to {most} of them "
        f"in 95 % of the models. {verdict}{_following(trial, k_m)} The k_m of these stand-ins are "
        "spread evenly over the logarithm of the range, while the nine of Table 1 crowd about "
        "10⁻³ m² s⁻¹; of another distribution the rate would be another."
    )


def _outside(number: int) -> str:
    """How many micrographs the model should not have been asked about."""
    if number == 0:
        return "None of them is outside the domain of the model."
    if number == 1:
        return "1 of them is outside the domain of the model; that prediction should not be used."
    return (
        f"{number} of them are outside the domain of the model; those predictions should not be "
        "used."
    )


_FEWEST_FOR_A_SLOPE = 3
_FOLLOWS = 0.5  # of the change of log k_m


def _following(trial: pd.DataFrame, k_m: Sequence[float]) -> str:
    """Whether the predictions follow the truth at all: a wide interval about anything holds it."""
    true, predicted = (np.log(trial[name].to_numpy()) for name in ("true_km", "predicted_km"))
    if len(trial) < _FEWEST_FOR_A_SLOPE:
        return ""
    slope = float(np.polyfit(true, predicted, 1)[0])
    own = float(np.abs(predicted - true).mean())
    constant = float(np.abs(np.median(np.log(k_m)) - true).mean())
    text = (
        f" Where the true k_m doubles, the prediction changes by a factor of {2**slope:.2g}, and "
        f"the prediction is off by a factor of {math.exp(own):.2g} on average; always answering "
        f"the median of the training set would be off by {math.exp(constant):.2g}."
    )
    if slope < _FOLLOWS:
        text += (
            " The networks answer much the same whatever they see, and the interval holds the "
            "truth because it spans the range."
        )
    return text


def show_domain(trial: pd.DataFrame) -> Styler:
    """Present how many images of each kind are flagged, and why.

    Examples
    --------
    >>> trial = pd.DataFrame(
    ...     {"kind": [FRESH, "noise"], "by_texture": [0, 1], "by_k_m": 0, "flagged": [0, 1]}
    ... )
    >>> show_domain(trial).data["flagged (%)"].to_dict()
    {'fresh stand-ins in range': '0.00', 'noise': '100'}
    """
    grouped = trial.groupby("kind", sort=False)[["by_texture", "by_k_m", "flagged"]]
    share, number = grouped.mean(), grouped.size()
    shown = pd.DataFrame(
        {
            "images": [str(each) for each in number],
            "by texture (%)": [percent(each) for each in share["by_texture"]],
            "by k_m (%)": [percent(each) for each in share["by_k_m"]],
            "flagged (%)": [percent(each) for each in share["flagged"]],
            "should be": ["no" if kind == FRESH else "yes" for kind in share.index],
        },
        index=list(share.index),
    )
    return show_table(shown, "Images that are flagged as outside the domain, and why")


def domain_answer(trial: pd.DataFrame, limit: float) -> str:
    """Whether the strange is told from the familiar, in two sentences.

    Examples
    --------
    >>> trial = pd.DataFrame({"kind": [FRESH, "noise"], "by_k_m": True, "flagged": [False, True]})
    >>> print(domain_answer(trial, limit=1.5))  # doctest: +NORMALIZE_WHITESPACE
    Of the strange images 100 % are flagged, of the fresh stand-ins 0.00 %. The limit is 1.5,
    the greatest distance of a training micrograph to those of the other formulations. A
    micrograph that is not flagged is not thereby predicted well.
    """
    flagged = trial.groupby("kind", sort=False)["flagged"].mean()
    strange = flagged.drop(FRESH)
    missed = [str(kind) for kind, share in strange.items() if share < 0.9]
    alarms = float(flagged[FRESH])
    text = (
        f"Of the strange images {percent(float(trial[trial['kind'] != FRESH]['flagged'].mean()))} "
        f"% are flagged, of the fresh stand-ins {percent(alarms)} %."
    )
    if missed:
        text += f" Too few are flagged of: {', '.join(missed)}."
    if alarms > 0.1:
        text += " That is more false alarms than one in ten."
    if not trial["by_k_m"].any():
        text += (
            " All flags come from the texture: no prediction leaves the range of the training, "
            "whatever is shown."
        )
    return (
        f"{text} The limit is {limit:.3g}, the greatest distance of a training micrograph to "
        "those of the other formulations. A micrograph that is not flagged is not thereby "
        "predicted well."
    )


def show_drying(table: pd.DataFrame) -> Styler:
    """Present `fesemlib.drying.outlook.outlook_table`.

    Examples
    --------
    >>> from fesemlib.drying.outlook import outlook_of, outlook_table
    >>> from fesemlib.params import Parameters
    >>> outlook = outlook_of("vial.tif", 1e-3, 5e-4, 2e-3, Parameters())
    >>> shown = show_drying(outlook_table([outlook], collapse_temperature=241.15)).data
    >>> shown[["drying (h)", "range (h)", "stays below"]].iloc[0].to_list()
    ['17', '14.1 – 21.6', 'no']
    """
    shown = pd.DataFrame(
        {
            "micrograph": short_names([str(image) for image in table.index]),
            "drying (h)": [_or_dash(value / 3600) for value in table["time"]],
            "range (h)": [
                _interval(fast / 3600, slow / 3600)
                for fast, slow in zip(table["time_fast"], table["time_slow"], strict=True)
            ],
            "warmest front (°C)": [_celsius(value) for value in table["front"]],
            "warmest front at the lower end (°C)": [
                _celsius(value) for value in table["front_slow"]
            ],
            "stays below": [
                "yes, for the whole interval" if surely else "only as predicted" if likely else "no"
                for surely, likely in zip(
                    table["stays_below_slow"], table["stays_below"], strict=True
                )
            ],
        }
    )
    return show_table(
        shown,
        "Primary drying with the predicted k_m and with the ends of its interval, and whether the "
        "front stays below the collapse temperature",
    ).hide(axis="index")


def outside_remark(new: NewMicrographs) -> str:
    """That predictions outside of the domain are drawn on all the same; empty if none is.

    Examples
    --------
    >>> outside_remark(NewMicrographs("new", (Row("a.tif", 1e-3, in_domain=False),), {}))
    'A prediction is outside the domain of the model: for it, what follows is an example only.'
    """
    if all(row.in_domain for row in new.predicted):
        return ""
    return (
        "A prediction is outside the domain of the model: for it, what follows is an example only."
    )


def drying_answer(outlooks: Sequence[Outlook], collapse_temperature: float) -> str:
    """What a planner wants to know: how long, how much longer at worst, and is it cold enough.

    Parameters
    ----------
    outlooks
        From `fesemlib.drying.outlook.outlook_of`.
    collapse_temperature
        K.

    Examples
    --------
    >>> from fesemlib.drying.outlook import outlook_of
    >>> from fesemlib.params import Parameters
    >>> outlook = outlook_of("vial.tif", 1e-3, 5e-4, 2e-3, Parameters())
    >>> answer = drying_answer([outlook], collapse_temperature=253.15)
    >>> print(answer)  # doctest: +NORMALIZE_WHITESPACE
    Primary drying takes 17.0 h with the predicted k_m, and 4.7 h longer (21.6 h) at the lower
    end. The front stays below the collapse temperature of −20.0 °C as predicted (−23.3 °C), but
    not at the lower end of the interval, where it reaches −19.7 °C. A cycle that keeps it below
    for the whole interval needs a colder shelf.
    """
    longest = max(outlooks, key=lambda each: each.worst.time)
    sentences = [_time_sentence(longest), _front_sentence(outlooks, collapse_temperature)]
    if len(outlooks) > 1:
        slowest = short_name(longest.image)
        sentences.insert(0, f"Of the {len(outlooks)} micrographs, {slowest} is the slowest.")
    return " ".join(sentences)


def _time_sentence(outlook: Outlook) -> str:
    predicted, slow = outlook.predicted, outlook.slow
    if predicted.run is None:
        return f"The predicted k_m allows no such drying: {predicted.problem}."
    hours = predicted.time / 3600
    text = f"Primary drying takes {hours:.1f} h with the predicted k_m"
    if slow is None:
        return f"{text}; how much longer it may take is not known, the interval has no bounds."
    if slow.run is None:
        return f"{text}; at the lower end of the interval it fails: {slow.problem}."
    more = slow.time / 3600 - hours
    return f"{text}, and {more:.1f} h longer ({slow.time / 3600:.1f} h) at the lower end."


def _front_sentence(outlooks: Sequence[Outlook], collapse_temperature: float) -> str:
    def warmest(cases: list[Case]) -> float:
        return max(case.warmest_front for case in cases)

    predicted = warmest([each.predicted for each in outlooks])
    worst = warmest([each.worst for each in outlooks])
    limit = f"{_celsius(collapse_temperature)} °C"
    bounded = all(each.slow for each in outlooks)
    if not math.isfinite(worst):
        return f"The ice would melt before the front is safe from collapse at {limit}."
    if predicted >= collapse_temperature:
        return (
            f"The front does not stay below the collapse temperature of {limit}: it reaches "
            f"{_celsius(predicted)} °C. Take a colder shelf."
        )
    if worst >= collapse_temperature:
        return (
            f"The front stays below the collapse temperature of {limit} as predicted "
            f"({_celsius(predicted)} °C), but not at the lower end of the interval, where it "
            f"reaches {_celsius(worst)} °C. A cycle that keeps it below for the whole interval "
            "needs a colder shelf."
        )
    reach = "for the whole interval" if bounded else "as predicted"
    return (
        f"The front stays below the collapse temperature of {limit} {reach}: it reaches at most "
        f"{_celsius(worst)} °C, {collapse_temperature - worst:.1f} K less."
    )


def _domain(row: Row) -> str:
    """Whether a micrograph is inside the domain, why not, and what could not be checked."""
    if row.error:
        return f"no prediction: {row.error}"
    inside = "inside" if row.in_domain else "outside"
    return f"{inside}: {row.remarks}" if row.remarks else inside


def _or_dash(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "—"


def _interval(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return "—"
    return f"{low:.3g} – {'∞' if math.isinf(high) else f'{high:.3g}'}"


def _celsius(kelvin: float) -> str:
    if not math.isfinite(kelvin):
        return "melts" if kelvin > 0 else "—"
    return f"{kelvin - 273.15:.1f}".replace("-", "−")
