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
# # Leave one formulation out
#
# How good is a prediction for a formulation that the network has never seen? With so few formulations,
# setting a few aside as a test set would leave too little to learn from, and the answer would depend
# on which ones were chosen. **Leave-one-out cross-validation** {cite}`arlot2010` uses all: one
# formulation is held out, a fresh network is trained on the others and predicts the one it has not
# seen; then the next one is held out, and so on. All the errors together say how well the method
# generalises.
#
# **What you will learn**
#
# - when a training is finished, and whether these are;
# - how a network does on a formulation that it has never seen, and what its error has to be compared with;
# - what the place of the dropout does, and why some trainings end in a constant.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_draws: int = 1
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
held_out_example: str = "B"
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
training_criterion: float = 0.05
longer_training: int = 4
first_seed: int = 0
number_of_seeds: int = 1
evaluation_width: int = 96
evaluation_seeds: int = 1
model_selection: str = "last"
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
from fesemlib.dataset import load_dataset, load_draws
from fesemlib.evaluation import controls, first_step, published
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import validation as figures
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import validation as tables
from fesemlib.params import Parameters
from fesemlib.predictors.networks import evaluation_parameters
from fesemlib.processing import input_shape
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import (
    held_out_predictions,
    leave_one_formulation_out,
    leave_one_out_of_draws,
    training_steps,
    training_summary,
)

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# Each formulation is held out in turn, and all of that is repeated from several seeds. Stand-ins, moreover, can be drawn
# anew, with other pores and the same $k_m$: how far the errors move from one draw to the next says how much one set of
# micrographs is worth. One seed with one draw is a **run**; of several runs the median is given, and the range. The
# error of a prediction is $|\hat{k}_m - k_m|/k_m$, as in the paper.

# %%
draws = load_draws(parameters)
original = leave_one_out_of_draws(draws, parameters, "original")
predictions = held_out_predictions(original, parameters.model_selection)
statements.selection_banner(parameters)

# %% tags=["remove-cell"]
report.save_table(original, "predictions_original", parameters)
height, width = input_shape(data.shape, parameters.input_width)
training = training_summary(original)
report.glue(
    input_width=width,
    input_height=height,
    pixel=data.shape[1] / width,
    epochs=parameters.epochs,
    number_of_seeds=parameters.number_of_seeds,
    number_of_draws=len(draws),
    criterion=100 * parameters.training_criterion,
    training_error=100 * training["training_error"].median(),
    steps=training_steps(data, parameters),
)

# %% [markdown]
# The network sees {glue:text}`input_width:d` × {glue:text}`input_height:d` px. Each of these takes {glue:text}`pixel:.1f` × {glue:text}`pixel:.1f`
# pixels of the micrograph, and what is narrower than two of them cannot be told apart.
#
# ## Is the training finished?
#
# An error on what was held out means little before the network has learned what it was shown. Whether it has is asked
# without a look at any held-out micrograph: each network predicts the micrographs that it was **trained on**, without
# dropout. Here a training counts as finished when the mean of these errors is {glue:text}`criterion:g` % or less. The
# number of epochs, {glue:text}`epochs:,d`, is the same for every fold, and in the book's own parameter file it was set by this
# criterion alone. This is what came out (seeds: {glue:text}`number_of_seeds:d`, draws: {glue:text}`number_of_draws:d`):

# %%
tables.show_trainings(original, parameters)

# %% mystnb={"figure": {"name": "figure-training", "caption": "Errors along the training. Left, on the micrographs trained on: median and range over all trainings, and the criterion. Right, on the formulations held out: the mean over them, median and range over the runs. The axes have different ranges."}, "image": {"alt": "Two panels of the mean relative error against the training steps on logarithmic axes, a band about each line"}}
training_figure = figures.training_figure(original, parameters)
report.save_figure(training_figure, "training", parameters)

# %% [markdown]
# A band that ends above the dashed line belongs to networks that are not finished, or that have fallen silent (below):
# what they say of a held-out micrograph is a statement about effort. Where the right-hand side is flat at the end, more steps would
# not change the result; where it still falls, they might.
#
# ## One formulation held out
#
# First one formulation alone: {glue:text}`held_out` is held out, and a network is trained on the
# other {glue:text}`training_images:d` micrographs. Points on the dashed line would be exact.
#
# Open diamonds, if there are any, are the paper's. Its Table 2 states the size of each error but not its sign, which only its
# diagrams show. This book uses the printed numbers alone: where both signs give a positive $k_m$, that is for all but I, both
# predictions are drawn.

# %% mystnb={"figure": {"name": "figure-held-out", "caption": "As Figure 5 of the paper: predictions for the training micrographs and for what was held out, after the last epoch. Symbols are medians over the runs, bars run from the least to the greatest prediction."}, "image": {"alt": "Parity diagram of predicted against true mass transfer coefficient with one held-out formulation"}}
held_out = data.formulation_or_first(parameters.held_out_example)
candidates = published.candidates_for("original", data.formulations)
one_fold, one_prediction = (
    table[table["held_out"] == held_out] for table in (original, predictions)
)
figure_5 = figures.held_out_figure(one_fold, one_prediction, candidates)
report.save_figure(figure_5, "figure_5", parameters)

# %% tags=["remove-cell"]
report.glue(
    held_out=held_out,
    training_images=int((data.images["formulation"] != held_out).sum()),
    held_out_error=100 * errors.errors_of_formulations(predictions)[held_out],
)

# %% [markdown]
# The error of the held-out prediction is {glue:text}`held_out_error:.1f` % (median over the runs of its size, in which too
# much and too little do not cancel, as they do in the median prediction of the figure), that on the training
# micrographs, over all folds, {glue:text}`training_error:.1f` %, after {glue:text}`steps:,d` steps. The
# paper calls its own fit of the training set reasonably satisfactory. As it says, a single fold can mislead; another
# choice of the held-out formulation gives another verdict.

# %% [markdown]
# ## Every formulation held out
#
# Now all folds. Every point is a prediction for a formulation that its network has not seen.

# %% mystnb={"figure": {"name": "figure-parity-original", "caption": "As Figure 6 of the paper: left, held-out predictions against true values, every formulation from its own fold, with bars from the least to the greatest prediction over the runs; right, the same as relative errors. Open diamonds, if any: published; on the left the predictions that an unsigned error allows. With many formulations those of the largest errors are named."}, "image": {"alt": "Parity diagram of all held-out predictions and a dot plot of their relative errors on a logarithmic scale"}}
parity = figures.parity_figure(predictions, candidates)
report.save_figure(parity, "figure_6", parameters)

# %%
table_2 = errors.table_2(
    {"original": predictions},
    data.formulations.index,
    published.table2_for(data.formulations),
)
tables.show_comparison(
    table_2,
    "relative errors of formulations held out, trained on the original set",
)

# %% tags=["remove-cell"]
network = table_2["original", "median"]
rules = controls.control_summary(controls.blind_controls(data))
median_rule = rules.loc["median of the others"]
report.glue(
    number_of_predictions=len(predictions),
    not_positive=int((predictions["predicted_km"] <= 0).sum()),
    mean_error=100 * network[errors.MEAN],
    without_worst=100 * network[errors.WITHOUT_WORST],
    log_error=numbers.three_digits(network[errors.LOG_MEAN]),
    mean_rule_mean_error=100 * rules.loc["mean of the others", errors.MEAN],
    median_rule_mean_error=100 * median_rule[errors.MEAN],
    median_rule_without_worst=100 * median_rule[errors.WITHOUT_WORST],
    median_rule_log_error=numbers.three_digits(median_rule[errors.LOG_MEAN]),
)

# %% [markdown]
# ## How to read this
#
# Not positive are {glue:text}`not_positive:d` of the {glue:text}`number_of_predictions:d` predictions: there the figure is
# shaded. No product has such a $k_m$; the network's output is a weighted sum, which nothing keeps above zero.
#
# Averaged over the formulations, the error is {glue:text}`mean_error:.1f` %. A yardstick: someone
# who sees no image at all and predicts each formulation by the **mean** of the others errs by
# {glue:text}`mean_rule_mean_error:.1f` %, by their **median** {glue:text}`median_rule_mean_error:.1f` %. A
# network that reads the pores has to do clearly better than that.
#
# A mean of relative errors can hang on one formulation: who predicts too much can be wrong by any percentage, who predicts too
# little by 100 % at most, as long as the prediction is positive. Two more measures therefore stand below the table, and beside the mean everywhere in this book.
# Without the formulation that is predicted worst, the network errs by {glue:text}`without_worst:.1f` %, the median of
# the others by {glue:text}`median_rule_without_worst:.1f` %. And the mean of
# $|\ln(\hat{k}_m/k_m)|$, to which twice as much and half as much are equally wrong, is {glue:text}`log_error` beside
# {glue:text}`median_rule_log_error` for the median. (For small errors it is the relative error itself; 0.69 is a factor of
# two; a dash says that a prediction was not positive.)
#
# The formulations at the ends of the range should be the hard ones: there the network has to extrapolate, and a
# network that has not understood the pores answers with something near the middle of what it was trained on.
#
# ## Where the dropout acts
#
# The paper puts dropout of 50 % into its network and does not say where. This book takes it **before** the ten hidden
# units: there it drops half of a long list of which neighbours say nearly the same. **After** them it halves ten numbers
# just before the output, and the fit may be slow to come. Both places, on the first draw and with an input of
# {glue:text}`evaluation_width:d` px; each training ends when it meets the criterion, or after
# {glue:text}`longer_training:d` times as many epochs as above:

# %%
small = evaluation_parameters(parameters)
by_place = {
    used.dropout_position: leave_one_formulation_out(
        data, used, to_criterion=True
    )
    for used in (small, controls.other_dropout_parameters(parameters))
}

# %%
tables.show_measures(
    {
        "before the ten units": errors.at_the_end(by_place["flatten"]),
        "after the ten units": errors.at_the_end(by_place["dense"]),
    },
    "The place of the dropout",
    parameters,
)

# %% tags=["remove-cell"]
for place, trained in by_place.items():
    report.save_table(trained, f"predictions_dropout_{place}", parameters)
report.glue(
    evaluation_width=small.input_width,
    longer_training=parameters.longer_training,
)

# %% [markdown]
# Compare what is held out only where both have learned what they were shown. [What the choices do](08_sensitivity.ipynb)
# asks the same of more choices.
#
# ## Why a training collapses
#
# A collapsed network returns the same number for every image, because all its hidden units
# have fallen silent. Adam divides every gradient by its own size, so that its first step moves each weight by the learning
# rate, however small the gradient is {cite}`kingma2015`. A unit of the dense layer sums over all numbers
# in the flattened list, none of which is negative: where its weights move to one side, so does their sum,
# by the learning rate times the sum of the numbers. The first weights are drawn so that the unit's own
# scale stays much the same however many there are. The step therefore grows with the number of pixels beside the scale:

# %%
steps = first_step.first_step_by_width(data, parameters)
report.show_table(
    steps,
    "The first step, by width of the input (px): numbers that a unit takes "
    "in, its scale, how far it is moved, and that in units of its scale",
    {
        "inputs": "{:,}",
        "scale": "{:.3f}",
        "shift": "{:.3f}",
        "ratio": "{:.2f}",
    },
)

# %% tags=["remove-cell"]
report.save_table(steps, "first_step", parameters)
report.glue(
    first_step_inputs=steps["inputs"].iloc[-1],
    first_step_full=steps["ratio"].iloc[-1],
    first_step_here=steps["ratio"][parameters.input_width],
    learning_rate=numbers.power_of_ten(parameters.learning_rate, digits=1),
)

# %% [markdown]
# With the learning rate of {glue:text}`learning_rate`, one step moves a hidden unit by up to
# {glue:text}`first_step_here:.2f` times its scale at the input width of this book, and by
# {glue:text}`first_step_full:.2f` times at the micrographs' full width, where a unit has
# {glue:text}`first_step_inputs:,d` inputs. A unit that a step moves far below zero gives zero for every
# image, has no gradient any more, and stays there. This is a property of the network and the learning
# rate, whatever the micrographs show; the paper
# gives an *initial* learning rate of 10⁻⁴ and does not mention such runs.
#
# What avoids it? Centring the input takes away what all images have in common; but what reaches the dense layer has
# passed a ReLU and is still not negative. A smaller input leaves the ratio of step and scale as it is, since a network with its first
# weights is in proportion to its input; but it makes both smaller beside the targets, so that the first step does not carry the output far beyond
# them and the next ones need not push back as hard. The parameter `limit_first_step` divides the input by $\sqrt{r}$, where $r$ is the
# learning rate times the number of a unit's inputs: a compromise, which was not tuned. Below $r = 1$ it does nothing. A schedule lowers
# the learning rate later, when units may have fallen silent already. Each of them, on the fold of {glue:text}`held_out` and from
# three seeds:

# %%
remedies = first_step.trainings_by_remedy(data, parameters)
report.save_table(remedies, "remedies", parameters)
tables.show_remedies(remedies, parameters)

# %% [markdown]
# A remedy has shown its worth where it leaves clearly fewer units silent, or trainings that miss the criterion, than the row *as it
# is* of the same width; where no training misses it, none was needed. Units may be silent in a network that fits all
# the same, and some are with their first weights: after few steps the last column tells nothing of the steps. Steps
# are counted at the logged epochs only, some fifty at most on a logarithmic scale. Wider inputs may need fewer steps in any case, as
# each step goes further. For the full width the parameter file `params/paper.yml` sets `limit_first_step`.

# %% [markdown]
# ## What was shown
#
# - Leave-one-out tests every formulation once, each with a network that has not seen it. Here the mean error is
#   {glue:text}`mean_error:.1f` %, without the worst formulation {glue:text}`without_worst:.1f` %; those of the median of
#   the others are {glue:text}`median_rule_mean_error:.1f` % and {glue:text}`median_rule_without_worst:.1f` %.
# - Before a held-out error is read, the training error has to be: here its median is {glue:text}`training_error:.1f` %.
# - One fold can look good or bad by chance; the whole table and the spread over the runs are the result.
# - Next: [more training images from the same micrographs](05_loocv_augmented.ipynb).
