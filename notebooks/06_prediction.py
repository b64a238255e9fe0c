# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A new micrograph
#
# What is all this for? To say of a cake that was dried without a thermocouple how it resists the vapour. The chapters
# before this one show what the paper's network can do. Here a **predictor** is chosen, which may be that network or
# a simpler one: it is fitted to all formulations, predicts $k_m$ of new micrographs with an interval, says whether it may be
# asked about them at all, and what the predictions mean for drying.
#
# Your own micrograph goes in by one parameter: `.venv/bin/papermill notebooks/06_prediction.ipynb out.ipynb -p image new.tif`.
# It may be a folder, too. [On the command line](../book/predicting.md) the same is `fesem predict`.
#
# **What you will learn**
#
# - which predictor the data support, and how wrong it is;
# - how to predict $k_m$ of a micrograph of your own, with an interval;
# - how to tell whether the model may be asked about it;
# - how the interval carries over to drying time and product temperature.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
processing: str = "paper"
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
input_width: int = 128
padding: str = "same"
dropout_rate: float = 0.5
dropout_position: str = "flatten"
initializer: str = "glorot_uniform"
head: str = "flatten"
input_scaling: str = "unit"
limit_first_step: bool = False
target: str = "minmax"
epochs: int = 1200
learning_rate: float = 1.0e-4
learning_rate_schedule: str = "constant"
batch_size: int = 16
augmentation_group: str = "flips_and_rotation"
first_seed: int = 0
number_of_seeds: int = 1
evaluation_width: int = 96
evaluation_seeds: int = 1
averaging_learning_rate: float = 3.0e-3
averaging_epochs: int = 60
predictor: str = "auto"
with_composition: bool = False
composition: str = ""
image: str = ""  # a micrograph, a folder or a pattern
prediction_training_set: str = "original"
coverage_stand_ins: int = 10
layer_thickness_mm: float = 7.0
front_temperature_k: float = 243.15
drying_run: str = ""
heat_transfer_coefficient: float = 14.2  # or from_end_of_drying
end_of_drying: str = "auto"
area_ratio: float = 1.21
ice_thickness_mm: float = 7.0
solids_percent: float = 5.0
shelf_start_k: float = 223.15
shelf_hold_k: float = 263.15
shelf_ramp_k_per_min: float = 1.0
chamber_pressure_pa: float = 10.0
collapse_temperature_k: float = 253.15
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from scipy.stats import binomtest

from fesemlib.dataset import load_dataset
from fesemlib.drying.calibration import vial_of
from fesemlib.drying.outlook import outlook_of, outlook_table
from fesemlib.pages import explorers, numbers, report, statements
from fesemlib.pages.figures import prediction as figures
from fesemlib.pages.figures.micrographs import titled_figure
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import prediction as tables
from fesemlib.params import Parameters
from fesemlib.prediction import intervals, train_model, trials
from fesemlib.prediction.new_micrographs import predict_new_micrographs

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## Which predictor?
#
# **Which of many predictors should be asked?** The one that errs least about formulations that it has not seen. But
# who compares many on the same few formulations finds one that is good by luck. So the choice is made *within* each fold, by
# holding out a second formulation; the predictor that is chosen there then predicts the first one. The error
# of that is the error of the whole procedure ({term}`nested leave-one-out`). Candidates are the paper's network, the small one with averaged maps,
# regressions on [texture](07_evaluation.ipynb), $k_m$ in proportion to the correlation length where the pixel size is known, and
# the median of the formulations, which sees no image.

# %%
model = train_model(data, parameters)
model = model.save(
    report.results_folder(parameters) / "model", overwrite=True
)
statements.predictor_banner(model.card)

# %% mystnb={"figure": {"name": "figure-candidates", "caption": "How wrong each candidate is about formulations that it has not seen: dots, the formulations; diamonds, their means; dashed, the mean of the median rule, which sees no image. On top, the whole procedure: each formulation as predicted by what was chosen without it. Errors below 0.001 are drawn there."}, "image": {"alt": "Dot plot of logarithmic errors on a logarithmic axis, one row for each candidate, the chosen predictor on top"}}
report.save_figure(
    figures.candidates_figure(model.card), "candidates", parameters
)

# %%
tables.show_candidates(model.card)

# %%
tables.show_model(model)

# %% tags=["remove-cell"]
rule = np.abs(list(model.card.candidates["median of the others"].values()))
report.glue(
    predictor=model.card.predictor,
    predictor_error=numbers.percent(model.card.relative_error),
    predictor_log=f"{model.card.error:.2f}",
    predictor_median=f"{rule.mean():.2f}",
    predictor_skill=f"{model.card.skill:.2f}",
)

# %% [markdown]
# **How to read it.** What counts is the top row of the figure. It may lie right of the best candidate below it: that difference
# is the price of not knowing beforehand which one is best. The *skill* is 1 less the mean |ln| over that of the median:
# 1 would be perfect, 0 is no better than seeing no image. A fold takes
# the median where no candidate errs less. In the end the whole procedure must err less than the median, and its predictions must
# rise with the truth beyond chance (p < 1 %); else the model is the
# median, and says so: with few formulations that may hide a weak signal. Of candidates within one standard error of the best, the simplest is taken. To compare them quickly, networks are
# trained with the small input of [the evaluation](07_evaluation.ipynb). More than twelve formulations are held out in twelve groups
# when predictors are compared; with fewer than five there is nothing to choose by.
#
# ## What is $k_m$ of the new micrograph?
#
# **What does the model say, and how far may it be wrong?** The micrograph is read and measured as those of the
# training. Unless the predictor is a network, it may have another size, and another magnification if its pixel size is known. From $k_m$ follows the resistance of a dried layer, $R_p = R\,T\,L_d / (M_w k_m)$.

# %%
new = predict_new_micrographs(model, data, parameters)
statements.new_banner(new)

# %% mystnb={"figure": {"name": "figure-new", "caption": "A micrograph to be predicted, as recorded, and after the processing; of several micrographs the first ones."}, "image": {"alt": "A new micrograph as recorded and, beside it, after background subtraction and histogram equalisation"}}
names = figures.short_names(list(new.pictures))
pictures = dict(zip(names, new.pictures.values(), strict=True))
report.save_figure(titled_figure(pictures), "new_micrographs", parameters)

# %% mystnb={"figure": {"name": "figure-predictions", "caption": "Predicted mass transfer coefficients with their intervals, and below them those of the training set."}, "image": {"alt": "Dots with bars on a logarithmic axis of k_m, and a row of ticks for the training set"}}
report.save_figure(
    figures.predictions_figure(new.predicted, model),
    "new_predictions",
    parameters,
)

# %%
tables.show_predictions(new, model, parameters)

# %% tags=["remove-input"]
explorers.explore_prediction(model, data.micrographs[0].image)

# %% [markdown]
# **How to read it.** The interval goes *from* … *to* …. What a stand-in was
# *made with* is the truth: the interval should hold it. A prediction *outside* the domain should not be used; the table says why.
# The larger $R_p$, the longer a cake dries.
#
# ## How wide is the interval, and does it hold the truth?
#
# **Where does the interval come from?** Every formulation is held out in turn, as above: what was chosen and fitted without it
# is wrong about it by a factor. The *jackknife* takes these factors for
# those of a new formulation {cite:p}`barber2021`: the interval reaches as far on either side of the prediction as is
# needed to hold {glue:text}`level:.0f` % of new formulations, if they are of the same kind and if leaving one out
# hardly changes the predictor. It promises no rate even then. The stricter jackknife+, which needs the fits of all
# folds, would promise {glue:text}`promised:.0f` % for this width.

# %%
tables.show_residuals(model)

# %% tags=["remove-cell"]
report.save_table(pd.DataFrame(list(new.rows)), "new_predictions", parameters)
factor = np.exp(model.half_width)
least, greatest = model.card.k_m_range
report.glue(
    level=100 * model.level,
    promised=100 * max(2 * model.level - 1, 0),
    beyond=100 * (1 - model.level) / 2,
    formulations=len(model.card.k_m),
    rank=intervals.deciding_rank(len(model.card.k_m)),
    factor=factor,
    interval_span=factor**2,
    training_span=greatest / least,
)

# %% [markdown]
# **How to read it.** The interval reaches from the prediction divided by {glue:text}`factor:.2f` to the prediction times that. What
# decides is error number {glue:text}`rank:d` of {glue:text}`formulations:d`, counted from the smallest. With fewer than four
# formulations the level is less than 80 %: the greatest error decides, whatever it is. Three things are worth a look:
#
# - *Which formulation decides*, the last one within the interval. If its $k_m$ is the least or the greatest of the set, then the
#   others do not reach as far, and the predictor without it had to extrapolate.
# - *How wide the interval is beside the training set.* Its ends differ by a factor of {glue:text}`interval_span:.3g`, the $k_m$ of the training by one of
#   {glue:text}`training_span:.3g`. An interval as wide as that says hardly more than the range of the training does.
# - *How many errors there are.* A few carry no guarantee: one more formulation, of another kind, may widen the interval much.
#
# **And does it hold the truth?** That can be counted where the truth is known: on fresh stand-ins. Where the micrographs of this page are stand-ins,
# the model above is tried on them, else another one with the same settings, trained on stand-ins. The fresh ones come from the same
# rendering as those of the training: real micrographs vary more.

# %%
tried = trials.stand_in_model(model, parameters)
coverage = trials.coverage_trial(tried, parameters.coverage_stand_ins)

# %% mystnb={"figure": {"name": "figure-coverage", "caption": "Below: predictions of fresh stand-ins with their intervals, against the $k_m$ that they were made with. Above: how these $k_m$ are distributed, and where those of the training set lie."}, "image": {"alt": "A histogram of k_m above, and dots with bars against the true k_m below"}}
report.save_figure(
    figures.coverage_figure(coverage, tried), "coverage", parameters
)

# %%
covered, fresh = int(coverage["covered"].sum()), len(coverage)
confidence = binomtest(covered, fresh).proportion_ci(0.95, method="wilson")
expected = intervals.expected_coverage(fresh, len(tried.card.k_m))
tables.show_following(coverage, tried)

# %% tags=["remove-cell"]
report.save_table(coverage, "coverage", parameters)
report.glue(
    fresh=fresh,
    covered=covered,
    covered_percent=numbers.percent(covered / fresh),
    covered_low=numbers.percent(confidence.low),
    covered_high=numbers.percent(confidence.high),
    expected_least=expected[0],
    expected_most=expected[1],
    slower=int((coverage["true_km"] < coverage["low"]).sum()),
    faster=int((coverage["true_km"] > coverage["high"]).sum()),
    tried_formulations=len(tried.card.k_m),
    one_in=len(tried.card.k_m) + 1,
    limit=tried.texture_limit,
    collapse=numbers.minus(
        f"{parameters.collapse_temperature_k - 273.15:.1f}"
    ),
)

# %% [markdown]
# **How to read it.** The interval of the model tried here, trained on stand-ins, held the truth for {glue:text}`covered:d` of {glue:text}`fresh:d` fresh stand-ins,
# {glue:text}`covered_percent` % (95 % confidence: {glue:text}`covered_low` to {glue:text}`covered_high` %). From
# {glue:text}`tried_formulations:d` errors, an interval that holds the truth at the nominal {glue:text}`level:.0f` % on average over many models does so
# for {glue:text}`expected_least:d` to {glue:text}`expected_most:d` of them in 95 % of the models. Fewer would mean that it is too narrow here, more that it is
# wider than need be. A count in between does not contradict the nominal rate; where the errors are few, hardly any
# count would. Of a model trained on other data this says nothing.
#
# A wide interval about anything holds the truth. So the table asks whether the predictions follow it: where the true $k_m$ doubles, the
# prediction should, too. A factor near 1 means that the model answers much the same whatever it sees: an interval about that
# holds the truth only where it spans the range. Its mean error should be less than that of always answering the median.
#
# The $k_m$ of these stand-ins are spread evenly over the logarithm of the range, while most of the nine of Table 1 lie near
# 10⁻³ m² s⁻¹; of another distribution the rate would be another.
#
# ## Does the micrograph belong?
#
# **Would the predictor know that it is shown something else?** It would not: it answers whatever it sees. So each
# micrograph is compared with those of the training set by its texture: how its variance is spread over the scales, how
# heavy the tails of its details are, whether bright or dark ones stand out, whether it has a direction. It is flagged
# when it is farther from them, and from all mixtures of two, than any of them is from the other formulations, or when the
# predicted $k_m$ is outside the range of the training.

# %%
strange = trials.domain_trial(tried, coverage)

# %% mystnb={"figure": {"name": "figure-domain", "caption": "How unlike the training set images of several kinds are: distance of their texture to the nearest mixture of two micrographs of the training set. What lies right of the dashed limit is flagged as out of the domain; what lies left of it is flagged only where the predicted $k_m$ is out of range."}, "image": {"alt": "Rows of dots by kind of image along the distance, and a dashed limit"}}
report.save_figure(
    figures.domain_figure(strange, tried.texture_limit), "domain", parameters
)

# %%
tables.show_domain(strange)

# %% [markdown]
# **How to read it.** The limit, {glue:text}`limit:.3g`, is the greatest distance of a training micrograph to those of the other
# formulations. If fresh stand-ins were of the same kind as the {glue:text}`tried_formulations:d` formulations of the training, about one in {glue:text}`one_in:d` of them would
# lie beyond it by chance; of fewer than nine formulations more, since these set the scale of the distance, too. Whatever flags a fresh stand-in, it is a false alarm. Of the strange images all should be flagged: of those that are not, the
# prediction would be believed. Where fresh stand-ins are flagged as often as the strange ones, the flag distinguishes
# nothing. Where *by $k_m$* is 0 throughout, no prediction leaves the range of the training, whatever is shown, and only the texture
# warns. A micrograph that is not flagged is not thereby predicted well.
#
# ## What does it mean for drying?
#
# **How long will primary drying take, and does the cake stay below its collapse temperature,** {glue:text}`collapse` °C? (That is an example, until you set
# `collapse_temperature_k`.) The
# [model of primary drying](01_dataset.ipynb) is run with the predicted $k_m$ and with both ends of its interval, for one vial and one
# cycle: see the parameters `heat_transfer_coefficient`, `ice_thickness_mm`, `shelf_hold_k`, `chamber_pressure_pa` and those
# beside them. A cake that resists more dries more slowly, and its front is warmer. Of a prediction outside the domain, what follows is an example only.

# %%
outlooks = [
    outlook_of(row.image, row.k_m, row.k_m_low, row.k_m_high, parameters)
    for row in new.predicted
]
outlook = outlook_table(outlooks, parameters.collapse_temperature_k)

# %% mystnb={"figure": {"name": "figure-drying", "caption": "Left: temperature of the sublimation front during primary drying. Right: how long that takes with the predicted $k_m$ (dot) and over its interval (bar)."}, "image": {"alt": "Curves of temperature against time with a line for the collapse temperature, and bars of drying time"}}
report.save_figure(
    figures.drying_figure(outlooks, parameters.collapse_temperature_k),
    "drying_outlook",
    parameters,
)

# %%
tables.show_drying(outlook)

# %% tags=["remove-input"]
explorers.explore_drying(vial_of(parameters), parameters)

# %% tags=["remove-cell"]
report.save_table(strange, "domain", parameters)
report.save_table(outlook.reset_index(), "drying_outlook", parameters)

# %% [markdown]
# **How to read it.** Plan for the lower end of the interval: there drying is longest and the front is warmest. *No* means that the front becomes warmer than the
# collapse temperature even as predicted, *only as predicted* that it does so at the lower end. Either asks for a colder shelf. Where the ice would melt, there is no such cycle (∞ h).
#
# ## What was shown
#
# - Among many predictors, the error that counts is that of the choice: each formulation as predicted by what was chosen without it.
# - The interval held the truth for {glue:text}`covered:d` of {glue:text}`fresh:d` fresh stand-ins; a sound one does so for
#   {glue:text}`expected_least:d` to {glue:text}`expected_most:d` of them in 95 % of the models.
# - A prediction without an interval, and without a word on whether the micrograph belongs, is half of one.
# - The interval rests on as many errors as there are formulations. More formulations, not more frames, make it trustworthy.
# - At the interval's nominal rate, about {glue:text}`beyond:.0f` % of the cakes would be slower than its slow end, if the misses fell evenly on both
#   sides. Of the {glue:text}`fresh:d` fresh stand-ins, {glue:text}`slower:d` were slower than the slow end and {glue:text}`faster:d` faster than the
#   fast one. What differs between vials comes on top.
