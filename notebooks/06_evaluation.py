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
# # What the numbers mean
#
# A network with far more weights than there are micrographs, a handful of formulations, and errors of a few
# thousandths of a percent: does it read the image at all? This chapter goes beyond the paper. It asks what the published
# numbers imply, what simpler predictors make of the same folds, how far chance moves the errors, and what
# the choice of the epoch does to them.
#
# **What you will learn**
#
# - what the published errors imply, taken by themselves;
# - whether predictors that see no image, or only simple features of it, do as well;
# - how much of an error is chance, and how much the choice of the epoch.

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
dropout_position: str = "dense"
initializer: str = "glorot_uniform"
head: str = "flatten"
target: str = "minmax"
epochs: int = 20
learning_rate: float = 1.0e-4
batch_size: int = 16
augmentation_group: str = "flips_and_rotation"
first_seed: int = 0
number_of_seeds: int = 1
model_selection: str = "last"
evaluation_width: int = 64
evaluation_seeds: int = 1
permutations: int = 3
averaging_learning_rate: float = 3.0e-3
averaging_epochs: int = 60
longer_training: int = 3
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
import pandas as pd

from fesemlib import (
    baselines,
    controls,
    protocol,
    published,
    published_evidence,
    report,
    statistics,
)
from fesemlib import evaluation_figures as figures
from fesemlib import evaluation_report as answers
from fesemlib.dataset import load_dataset
from fesemlib.features import texture_features
from fesemlib.network import number_of_weights
from fesemlib.params import Parameters
from fesemlib.style import use_style
from fesemlib.validation import (
    TRAINING_SETS,
    held_out_predictions,
    leave_one_formulation_out,
    mean_error_at_the_end,
    training_steps,
)

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
report.data_banner(data, parameters)

# %% [markdown]
# ## What do the published errors imply?
#
# This section needs no micrograph and no training: it sets the paper's Table 2 beside its Table 1, whatever the
# data of this run. First the published errors beside two rules that see no image.

# %% tags=["hide-input"]
rules = published_evidence.published_beside_rules()
answers.show_rules(rules)

# %% tags=["remove-cell"]
thermocouples = 6  # assumed: the paper does not say how many are behind a k_m
inner_names = published_evidence.inside_the_others()
small = ["B", "D", "E", "F", "G"]
report.glue("published_answer", answers.published_answer(rules))
report.glue("thermocouples", thermocouples)
report.glue("inside", ", ".join(inner_names))
report.glue("claim", answers.claim_answer(rules))
report.glue("small_errors", answers.small_errors_answer(small, thermocouples))

# %% [markdown]
# {glue:text}`published_answer` These are three tests on one training for each fold, and not corrected for being three.
# The large errors are not all errors of extrapolation: the $k_m$ of {glue:text}`inside` lie between others. The paper counts C
# among the outliers at the limits of the range. {glue:text}`claim`
#
# Then the small errors. Each $k_m$ of Table 1 is the average over several thermocouples, and the table states how
# much these scatter. The average scatters by that divided by the square root of their number, so that
# even a model that knew every *true* $k_m$ would miss the averages by about as much, and one that reads the
# vial in the picture, which is none of those with a thermocouple, by more:

# %% tags=["hide-input"]
answers.show_perfect_model(thermocouples)

# %% [markdown]
# The number of thermocouples is an assumption; the errors are taken as normal and independent. For five
# formulations at once, picked because their errors with the augmented set are small, and for all nine:

# %% tags=["hide-input"]
answers.show_chances(
    [thermocouples // 2, thermocouples, 2 * thermocouples], small
)

# %% [markdown]
# **In short:** {glue:text}`small_errors`
#
# This does not say how the small errors came about. The scatter of the averages may be less than assumed. Or the
# epoch may have been chosen by looking at the held-out micrograph; what that does is tried at the end of this
# chapter. The paper does not state how its number of epochs was chosen.

# %% [markdown]
# ## Do simpler predictors do as well?
#
# Every control predicts each formulation from the others, as the network does. Some see no image: the
# **median** and the **mean** of the others, the formulation of the **nearest composition**, and **linear models
# of the composition** with every combination of the components. A linear model is left out for a formulation on
# which the others do not determine it. Some see the image, but do not learn what to look at: **texture features** of
# the processed micrograph, in the spirit of {cite:t}`grassini2016` (co-occurrence of grey levels, local binary
# patterns, bands of the Fourier spectrum in µm, energies of wavelets), to which ridge regression, partial least
# squares and a Gaussian process are fitted, if there are enough formulations. And some are networks: the paper's with either training set, the mean of its seeds as one prediction, the
# paper's with a *small input* of {glue:text}`evaluation_width` px and the same trained *longer*, and a network with
# **averaged feature maps** in place of the flattened list, which leaves it {glue:text}`averaging_weights:,d` weights at any size. Scaling and tuning see
# the training fold only. In the table, *texture* means all features together, and the name of a family that family alone.

# %% tags=["hide-input"]
features = texture_features(data, parameters)
coarse_features = texture_features(data, parameters, parameters.input_width)
results_by_set = {
    name: leave_one_formulation_out(data, parameters, name)
    for name in TRAINING_SETS
}
predictions = {
    name: held_out_predictions(results, parameters.model_selection)
    for name, results in results_by_set.items()
}

# %% tags=["hide-input"]
small_parameters = controls.evaluation_parameters(parameters)
longer = controls.longer_parameters(parameters)
averaging = controls.averaging_parameters(parameters)
small_results, longer_results, averaging_results = (
    leave_one_formulation_out(data, each)
    for each in (small_parameters, longer, averaging)
)

# %% tags=["hide-input"]
networks = {
    "network, original set": predictions["original"],
    "network, mean of seeds": controls.mean_of_seeds(predictions["original"]),
    "network, augmented set": predictions["augmented"],
    "network, small input": held_out_predictions(small_results),
    "network, small input, longer": held_out_predictions(longer_results),
    "network, averaged maps": held_out_predictions(averaging_results),
}

# %% tags=["hide-input"]
every_control = controls.every_control(
    data, features, coarse_features, networks, parameters.parallel_jobs
)

# %% tags=["hide-input"]
summary = answers.control_summary(every_control)
answers.show_controls(summary, len(data.formulations))

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-controls", "caption": "Relative errors of the held-out formulations by every predictor: diamonds, the mean over the formulations; dots, the formulations. A diamond is open where not all formulations are predicted. Errors below 0.01 % are drawn there. Published errors, if any, are the paper's, of its own micrographs."}, "image": {"alt": "Dot plot of relative errors, one row for each predictor, sorted by the mean error"}}
controls_figure = figures.controls_figure(
    every_control, list(networks), controls.PUBLISHED
)
report.save_figure(controls_figure, "controls", parameters)

# %% tags=["remove-cell"]
report.save_table(every_control, "controls", parameters)

# %% tags=["remove-cell"]
train = averaging_results[averaging_results["role"] == "train"]
report.glue(
    "controls_answer",
    answers.controls_answer(
        summary, "network, original set", len(data.formulations)
    ),
)
report.glue("averaging_training", 100 * train["relative_error"].mean())

# %% tags=["remove-cell"]
report.glue(
    "training_answer",
    answers.training_answer(
        small_results, longer_results, small_parameters.input_width
    ),
)

# %% tags=["remove-cell"]
report.glue("pixel", data.shape[1] / parameters.input_width)
report.glue("averaging_rate", parameters.averaging_learning_rate)
report.glue("averaging_epochs", parameters.averaging_epochs)
report.glue("averaging_width", averaging.input_width)
report.glue(
    "averaging_weights", number_of_weights(data.shape, head=averaging.head)
)

# %% [markdown]
# **In short:** {glue:text}`controls_answer` (Means over the seeds; the chapters before show medians.)
#
# The best of so many was picked on these very formulations, and would not be the best by as much on new ones. The
# texture features are measured on the full micrographs, of which a pixel of the network's input takes
# {glue:text}`pixel:.1f` × {glue:text}`pixel:.1f`; one control sees no more than the network. In stand-ins, the
# size of the pores follows $k_m$, which is what such features measure.
#
# {glue:text}`training_answer` The network with
# averaged maps has a learning rate and a number of epochs of its own ({glue:text}`averaging_rate`,
# {glue:text}`averaging_epochs` epochs, {glue:text}`averaging_width` px, the *small input* of the table). The rate that the book
# gives it was chosen, on stand-ins, for the least error on the *training* micrographs; here this error is {glue:text}`averaging_training:.1f` %.

# %% [markdown]
# ### Would chance do?
#
# The same network is trained on **shuffled** $k_m$, dealt out anew among the formulations. If the error
# with the true order is no smaller than these, it does not show that the image was read.

# %% tags=["hide-input"]
observed, shuffled = controls.permutation_test(
    data, small_parameters, parameters.permutations
)
p_value = statistics.permutation_p_value(observed, shuffled)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-permutations", "caption": "Mean relative error of the held-out formulations with shuffled $k_m$ (histogram) and with the true ones (line)."}, "image": {"alt": "Histogram of mean relative errors with shuffled labels and a line for the true labels"}}
permutations_figure = figures.permutation_figure(observed, list(shuffled))
report.save_figure(permutations_figure, "permutations", parameters)

# %% tags=["remove-cell"]
report.glue(
    "permutation_answer",
    answers.permutation_answer(
        observed,
        list(shuffled),
        p_value,
        controls.number_of_orders(data.formulations["k_m"]),
    ),
)
report.glue("evaluation_width", small_parameters.input_width)
report.glue("evaluation_seeds", small_parameters.number_of_seeds)

# %% [markdown]
# **In short:** {glue:text}`permutation_answer` (One seed, width of the input {glue:text}`evaluation_width` px.)

# %% [markdown]
# ## How far does chance move the errors?
#
# First weights, order and dropout are random. Each seed repeats the whole of leave-one-out.

# %% tags=["hide-input"]
all_results = pd.concat(results_by_set.values(), ignore_index=True)
answers.show_spread(predictions, all_results)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-spread", "caption": "Relative error of each held-out formulation: a dot for every seed, a bar at their median."}, "image": {"alt": "Dot plot of the relative errors of all seeds, one row for each formulation, original and augmented training set side by side"}}
spread_figure = figures.spread_figure(predictions)
report.save_figure(spread_figure, "spread", parameters)

# %% tags=["remove-cell"]
steps = [training_steps(data, parameters, name) for name in TRAINING_SETS]
report.glue(
    "comparison_answer", answers.comparison_of_sets(predictions, steps)
)
at_the_end = mean_error_at_the_end(all_results)
report.glue("end_answer", answers.end_answer(at_the_end))

# %% [markdown]
# **In short:** {glue:text}`comparison_answer` The last fifth of the epochs tells whether this is settled
# ([Data augmentation](05_loocv_augmented.ipynb)). {glue:text}`end_answer`
#
# The formulations are the sample: the interval says how the mean would move if other formulations of the same
# kind had been made, and the errors of the seeds are averaged before. Errors of leave-one-out are not
# independent, since any two folds share most of their training set: interval and p-value take them as if they were.
# With so few formulations, moreover, such an interval is too short, and
# the test (Wilcoxon's, on the pairs) finds only what nearly all formulations share.

# %% [markdown]
# ## Who chooses the epoch?
#
# Training can stop after a number of epochs that was fixed beforehand; or where the held-out micrograph is predicted best,
# which nobody could do for a new product; or where *inner* formulations, held out within the training fold, are predicted
# best, which is a fair way to choose. All three with the same settings:

# %% tags=["hide-input"]
outer, inner = protocol.train_for_selection(data, small_parameters)
selected = protocol.selected_predictions(outer, inner)
selection = answers.selection_table(
    selected, published.table2_for(data.formulations)
)
answers.show_selection(selection)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-epochs", "caption": "Error of the held-out formulations along the training, averaged over the seeds; dashed, the median of the others, which sees no image. Where the error of a single training dips towards zero, its prediction passes the true value."}, "image": {"alt": "Lines of the held-out error against the epoch on a logarithmic scale, one for each formulation, and their mean"}}
median_rule = baselines.median_of_others(data.formulations["k_m"])
blind_error = median_rule["relative_error"].mean()
epochs_figure = figures.epochs_figure(outer, blind_error)
report.save_figure(epochs_figure, "epochs", parameters)

# %% tags=["remove-cell"]
report.save_table(selected, "selection", parameters)
report.glue("selection_answer", answers.selection_answer(selection, selected))

# %% [markdown]
# **In short:** {glue:text}`selection_answer`
#
# A prediction that passes the true value on its way is right at *some* epoch, whatever the network has
# understood; where none ever reaches the true value, no choice of the epoch helps. (Width of the input:
# {glue:text}`evaluation_width` px; seeds: {glue:text}`evaluation_seeds`.)
#
# ## What was shown
#
# - {glue:text}`controls_answer`
# - Judge an error by what predicts without the image, and by what predicts with simpler means.
# - One seed is an anecdote; the formulations, not the seeds, are the sample.
# - Fix the number of epochs before looking at the held-out micrograph, or choose it on inner formulations.
