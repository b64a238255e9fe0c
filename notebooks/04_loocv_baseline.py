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
# - how a network does on a formulation that it has never seen;
# - what its error has to be compared with;
# - why some trainings end in a constant.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
held_out_example: str = "B"
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
input_width: int = 128
padding: str = "same"
dropout_rate: float = 0.5
dropout_position: str = "dense"
initializer: str = "glorot_uniform"
head: str = "flatten"
target: str = "minmax"
epochs: int = 20
learning_rate: float = 1.0e-4
batch_size: int = 16
first_seed: int = 0
number_of_seeds: int = 1
model_selection: str = "last"
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
from fesemlib import baselines, figures, published, report
from fesemlib.dataset import load_dataset
from fesemlib.first_step import first_step_by_width
from fesemlib.params import Parameters
from fesemlib.style import use_style
from fesemlib.validation import (
    failed_runs,
    held_out_errors,
    held_out_predictions,
    leave_one_formulation_out,
    training_steps,
)

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
report.data_banner(data, parameters)

# %% [markdown]
# The first line trains everything: each formulation is held out in turn, for each seed. The error of a
# prediction is $|\hat{k}_m - k_m|/k_m$, as in the paper.

# %%
original = leave_one_formulation_out(data, parameters, "original")
predictions = held_out_predictions(original, parameters.model_selection)

# %% tags=["remove-input"]
report.resolution(data, parameters)

# %% tags=["remove-input"]
report.selection_banner(parameters)

# %% tags=["remove-cell"]
candidates = published.candidates_for("original", data.formulations)
held_out = data.formulation_or_first(parameters.held_out_example)
one_fold = original[original["held_out"] == held_out]
one_prediction = predictions[predictions["held_out"] == held_out]
errors = held_out_errors(predictions)
training_error = original.loc[
    original["role"] == "train", "relative_error"
].mean()
report.save_table(original, "predictions_original", parameters)

# %% tags=["remove-cell"]
report.glue("held_out", held_out)
report.glue("epochs", parameters.epochs)
report.glue("number_of_seeds", parameters.number_of_seeds)
report.glue(
    "training_images", int((data.images["formulation"] != held_out).sum())
)
report.glue("steps", training_steps(data, parameters, "original"))

# %% tags=["remove-cell"]
report.glue(
    "published_statement",
    report.published_statement("original", data.formulations),
)
report.glue("held_out_error", 100 * errors["median"][held_out])
report.glue("training_error", 100 * training_error)

# %% [markdown]
# ## One formulation held out
#
# First one formulation alone: {glue:text}`held_out` is held out, and a network is trained on the
# other {glue:text}`training_images` micrographs for {glue:text}`epochs` epochs (seeds:
# {glue:text}`number_of_seeds`). Points on the dashed line would be exact.
# {glue:text}`published_statement`

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-held-out", "caption": "As Figure 5 of the paper: predictions for the training micrographs and for what was held out. Symbols are medians over the seeds, bars run from the least to the greatest prediction. Those for the training micrographs are of the last epoch."}, "image": {"alt": "Parity diagram of predicted against true mass transfer coefficient with one held-out formulation"}}
example_candidates = (
    None if candidates is None else candidates.loc[[held_out]]
)
one_fold_figure = figures.held_out_figure(
    one_fold, one_prediction, example_candidates
)
report.save_figure(one_fold_figure, "figure_5", parameters)

# %% [markdown]
# The median error of the held-out prediction is {glue:text}`held_out_error:.1f` %. On the
# micrographs that the networks were trained on, over all folds, the mean error is
# {glue:text}`training_error:.1f` %, after {glue:text}`steps` steps, each of which moves a
# weight by about the learning rate. As the paper says, a single fold can mislead; another choice of the held-out formulation gives
# another verdict.

# %% [markdown]
# ## Every formulation held out
#
# Now all folds. Every point is a prediction for a formulation that its network has not seen.

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-parity-original", "caption": "As Figure 6 of the paper: left, held-out predictions against true values, every formulation from its own fold, with bars from the least to the greatest prediction over the seeds; right, the same as relative errors. Open diamonds, if any: published; on the left the predictions that an unsigned error allows."}, "image": {"alt": "Parity diagram of all held-out predictions and a dot plot of their relative errors on a logarithmic scale"}}
parity = figures.parity_figure(predictions, candidates)
report.save_figure(parity, "figure_6", parameters)

# %% tags=["hide-input"]
table_2 = report.comparison({"original": predictions}, data.formulations)
report.show_comparison(
    table_2,
    "relative errors of the held-out formulations, trained on the original set",
)

# %% tags=["remove-cell"]
k_m = data.formulations["k_m"]
error = table_2.loc["mean", "original median"]
mean_rule = baselines.mean_of_others(k_m).relative_error.mean()
median_rule = baselines.median_of_others(k_m).relative_error.mean()
report.glue("mean_error", 100 * error)
report.glue("mean_rule_error", 100 * mean_rule)
report.glue("median_rule_error", 100 * median_rule)
report.glue("yardsticks", report.yardsticks(error, mean_rule, median_rule))
report.glue("failures", report.failures(failed_runs(original)))

# %% [markdown]
# ## How to read this
#
# Averaged over the formulations, the error is {glue:text}`mean_error:.0f` %. A yardstick: someone
# who sees no image at all and predicts each formulation by the **mean** of the others errs by
# {glue:text}`mean_rule_error:.0f` %, by their **median** {glue:text}`median_rule_error:.0f` %. A
# network that reads the pores has to do clearly better than that. {glue:text}`yardsticks` The formulations at the ends
# of the range should be the hard ones: there the network has to extrapolate, and a network that has not
# understood the pores answers with something near the middle of what it was trained on.
#
# {glue:text}`failures` A collapsed network returns the same number for every image, because all its hidden units
# have fallen silent. Collapsed runs are counted in all figures and tables.
#
# ## Why a run collapses
#
# Adam divides every gradient by its own size, so that its first step moves each weight by the learning
# rate, however small the gradient is {cite}`kingma2015`. A unit of the dense layer sums over all numbers
# in the flattened list, none of which is negative: where its weights move to one side, so does their sum,
# by the learning rate times the sum of the numbers. The first weights are drawn so that the unit's own
# scale does not depend on how many there are. The step therefore grows with the number of pixels, and the
# scale does not:

# %% tags=["hide-input"]
steps = first_step_by_width(data, parameters)
report.show_first_steps(steps)

# %% tags=["remove-cell"]
report.save_table(steps, "first_step", parameters)
report.glue("first_step_inputs", int(steps["inputs"].iloc[-1]))
report.glue("first_step_full", steps["ratio"].iloc[-1])
report.glue("first_step_here", steps["ratio"][parameters.input_width])
report.glue("learning_rate", report.power_of_ten(parameters.learning_rate))

# %% [markdown]
# With the learning rate of {glue:text}`learning_rate`, one step moves a hidden unit by up to
# {glue:text}`first_step_here:.1f` times its scale at the input width of this book, and by
# {glue:text}`first_step_full:.1f` times at the micrographs' full width, where a unit has
# {glue:text}`first_step_inputs:,d` inputs. A unit that a step moves far below zero gives zero for every
# image, has no gradient any more, and stays there. This is a property of the network and the learning
# rate, whatever the micrographs show. A smaller learning rate avoids it, at the price of more steps; the paper
# gives an initial learning rate of 10⁻⁴ and does not mention such runs.

# %% [markdown]
# ## What was shown
#
# - Leave-one-out tests every formulation once, each with a network that has not seen it. Here the mean error is
#   {glue:text}`mean_error:.0f` %, that of the median of the others {glue:text}`median_rule_error:.0f` %.
# - One fold can look good or bad by chance; the whole table and the spread over seeds are the result.
# - Next: [more training images from the same micrographs](05_loocv_augmented.ipynb).
