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
# What is a trained network for? To say of a cake that was dried without a thermocouple how it resists the
# vapour. This chapter trains on all formulations, predicts $k_m$ of new micrographs with an interval, asks whether
# the network may be asked about them at all, and works out what the predictions mean for drying.
#
# Your own micrograph goes in by one parameter: `.venv/bin/papermill notebooks/06_prediction.ipynb out.ipynb -p image new.tif`.
# It may be a folder, too. [On the command line](../book/predicting.md) the same is `fesem predict`.
#
# **What you will learn**
#
# - how to predict $k_m$ of a micrograph of your own, with an interval;
# - how to tell whether the network may be asked about it;
# - how the interval carries over to drying time and product temperature.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
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
image: str = ""  # a micrograph, a folder or a pattern
prediction_training_set: str = "original"
coverage_stand_ins: int = 10
layer_thickness_mm: float = 7.0
front_temperature_k: float = 243.15
heat_transfer_coefficient: float = 14.2
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
from fesemlib.dataset import load_dataset
from fesemlib.drying import outlook as drying_outlook
from fesemlib.drying.coefficients import vial_of
from fesemlib.pages import explorers, report, statements
from fesemlib.pages.figures import prediction as figures
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import data as tables
from fesemlib.pages.tables import prediction as answers
from fesemlib.params import Parameters
from fesemlib.prediction import intervals
from fesemlib.prediction import model as prediction
from fesemlib.prediction import trials as prediction_trials
from fesemlib.prediction.new_micrographs import predict_new_micrographs

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## What has been trained?
#
# **Which networks predict, and what have they seen?** The networks of the [chapters before](04_loocv_baseline.ipynb) have each been kept
# from one formulation. For use nothing is held out: one network is trained for each seed, and their mean is the
# prediction. The model is kept in a folder, `model`, with a card that says how it was made.

# %% tags=["hide-input"]
model = prediction.train_model(data, parameters)
model = model.save(
    report.results_folder(parameters) / "model", overwrite=True
)
answers.show_model(model)

# %% tags=["remove-input"]
tables.resolution(data, parameters)

# %% tags=["remove-cell"]
report.glue("model_answer", answers.model_answer(model))

# %% [markdown]
# **In short:** {glue:text}`model_answer`
#
# ## What is $k_m$ of the new micrograph?
#
# **What do the networks say, and how far may they be wrong?** The micrograph is read and processed as those of the
# training. From $k_m$ follows the resistance of a dried layer, $R_p = R\,T\,L_d / (M_w k_m)$.

# %% tags=["hide-input"]
new = predict_new_micrographs(model, data, parameters)
answers.new_banner(new)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-new", "caption": "A micrograph that the networks have not seen, as recorded, and after the processing, before it is shrunk to the network's input; of several micrographs the first ones."}, "image": {"alt": "A new micrograph as recorded and, beside it, after background subtraction and histogram equalisation"}}
pictures_figure = figures.pictures_figure(new.pictures)
report.save_figure(pictures_figure, "new_micrographs", parameters)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-predictions", "caption": "Predicted mass transfer coefficients with their intervals, and below them those of the training set."}, "image": {"alt": "Dots with bars on a logarithmic axis of k_m, and a row of ticks for the training set"}}
predictions_figure = figures.predictions_figure(new.predicted, model)
report.save_figure(predictions_figure, "new_predictions", parameters)

# %% tags=["hide-input"]
answers.show_predictions(new.rows, prediction.Layer.of(parameters))

# %% tags=["remove-input"]
explorers.explore_prediction(model, data.micrographs[0].image)

# %% tags=["remove-cell"]
report.save_table(
    prediction.rows_as_table(new.rows), "new_predictions", parameters
)
report.glue("predictions_answer", answers.predictions_answer(new))
report.glue("outside_remark", answers.outside_remark(new))

# %% [markdown]
# **In short:** {glue:text}`predictions_answer`
#
# ## How wide is the interval, and does it hold the truth?
#
# **Where does the interval come from?** Every formulation is held out in turn, as before; the *ensemble* of the others, the mean of the networks of all seeds,
# is wrong about it by a factor. The *jackknife* takes these factors for
# those of a new formulation {cite:p}`barber2021`: the interval reaches as far on either side of the prediction as is
# needed to hold {glue:text}`level:.0f` % of new formulations, if they are of the same kind and if leaving one out
# hardly changes the ensemble. It promises no rate even then. The stricter jackknife+, which needs the networks of all
# folds, would promise {glue:text}`promised:.0f` % for this width.

# %% tags=["hide-input"]
answers.show_residuals(model)

# %% tags=["remove-cell"]
report.glue("interval_answer", answers.interval_answer(model))
report.glue("level", 100 * intervals.LEVEL)
report.glue("promised", 100 * (2 * intervals.LEVEL - 1))
report.glue("beyond", 100 * (1 - intervals.LEVEL) / 2)

# %% [markdown]
# {glue:text}`interval_answer`
#
# **And does it hold the truth?** That can be counted where the truth is known: on fresh stand-ins.

# %% tags=["hide-input"]
tried = prediction_trials.stand_in_model(model, parameters)
answers.trial_banner(tried is model)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-coverage", "caption": "Below: predictions of fresh stand-ins with their intervals, against the $k_m$ that they were made with. Above: how these $k_m$ are distributed, and where those of the training set lie."}, "image": {"alt": "A histogram of k_m above, and dots with bars against the true k_m below"}}
coverage = prediction_trials.coverage_trial(
    tried, parameters.coverage_stand_ins
)
coverage_figure = figures.coverage_figure(coverage, tried)
report.save_figure(coverage_figure, "coverage", parameters)

# %% tags=["remove-cell"]
report.save_table(coverage, "coverage", parameters)
trained_on = [each.k_m for each in tried.card.formulations]
report.glue("fresh", len(coverage))
report.glue("slower", int((coverage["true_km"] < coverage["low"]).sum()))
report.glue("faster", int((coverage["true_km"] > coverage["high"]).sum()))
coverage_answer = answers.coverage_answer(coverage, trained_on)
report.glue("coverage_answer", coverage_answer)
report.glue("coverage_shown", report.first_sentence(coverage_answer))

# %% [markdown]
# **In short:** {glue:text}`coverage_answer`
#
# ## Does the micrograph belong?
#
# **Would the network know that it is shown something else?** It would not: it answers whatever it sees. So each
# micrograph is compared with those of the training set by its texture: how its variance is spread over the scales, how
# heavy the tails of its details are, whether bright or dark ones stand out, whether it has a direction. It is flagged
# when it is farther from them, and from all mixtures of two, than any of them is from the other formulations, or when the
# predicted $k_m$ is outside the range of the training.

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-domain", "caption": "How unlike the training set images of several kinds are: distance of their texture to the nearest mixture of two micrographs of the training set. What lies right of the dashed limit is flagged as out of the domain; what lies left of it is flagged only where the predicted $k_m$ is out of range."}, "image": {"alt": "Rows of dots by kind of image along the distance, and a dashed limit"}}
strange = prediction_trials.domain_trial(tried, coverage)
domain_figure = figures.domain_figure(strange, tried.texture_limit)
report.save_figure(domain_figure, "domain", parameters)

# %% tags=["hide-input"]
answers.show_domain(strange)

# %% tags=["remove-cell"]
report.save_table(strange, "domain", parameters)
report.glue(
    "domain_answer",
    answers.domain_answer(strange, tried.texture_limit),
)

# %% [markdown]
# **In short:** {glue:text}`domain_answer`
#
# ## What does it mean for drying?
#
# **How long will primary drying take, and does the cake stay below its collapse temperature?** (That is an example, until you set
# `collapse_temperature_k`.) The
# [model of primary drying](01_dataset.ipynb) is run with the predicted $k_m$ and with both ends of its interval, for one vial and one
# cycle: see the parameters `heat_transfer_coefficient`, `ice_thickness_mm`, `shelf_hold_k`, `chamber_pressure_pa` and those
# beside them. A cake that resists more dries more slowly, and its front is warmer. {glue:text}`outside_remark`

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-drying", "caption": "Left: temperature of the sublimation front during primary drying. Right: how long that takes with the predicted $k_m$ (dot) and over its interval (bar)."}, "image": {"alt": "Curves of temperature against time with a line for the collapse temperature, and bars of drying time"}}
outlooks = [
    drying_outlook.outlook_of(
        row.image, row.k_m, row.k_m_low, row.k_m_high, parameters
    )
    for row in new.predicted
]
drying_figure = figures.drying_figure(
    outlooks, parameters.collapse_temperature_k
)
report.save_figure(drying_figure, "drying_outlook", parameters)

# %% tags=["hide-input"]
outlook_table = drying_outlook.outlook_table(
    outlooks, parameters.collapse_temperature_k
)
answers.show_drying(outlook_table)

# %% tags=["remove-input"]
explorers.explore_drying(vial_of(parameters), parameters)

# %% tags=["remove-cell"]
report.save_table(outlook_table.reset_index(), "drying_outlook", parameters)
report.glue(
    "drying_answer",
    answers.drying_answer(outlooks, parameters.collapse_temperature_k),
)

# %% [markdown]
# **In short:** {glue:text}`drying_answer`
#
# ## What was shown
#
# - {glue:text}`coverage_shown`
# - A prediction without an interval, and without a word on whether the micrograph belongs, is half of one.
# - The interval rests on as many errors as there are formulations. More formulations, not more frames, make it trustworthy.
# - Look at the slow end of the interval: there drying is longest and the front is warmest. At its nominal rate, about
#   {glue:text}`beyond:.0f` % of the cakes would be slower still, if the misses fell evenly on both sides. Of the
#   {glue:text}`fresh` fresh stand-ins, {glue:text}`slower` were slower than the slow end and {glue:text}`faster` faster than the
#   fast one. What differs between vials comes on top.
