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
# The paper's network has far more weights than there were micrographs, it saw a handful of formulations, and its errors go
# down to a few thousandths of a percent: does it read the image at all? This chapter goes beyond the paper. It asks what the published
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
synthetic_draws: int = 1
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
training_criterion: float = 0.05
longer_training: int = 4
batch_size: int = 16
augmentation_group: str = "flips_and_rotation"
first_seed: int = 0
number_of_seeds: int = 1
model_selection: str = "last"
evaluation_width: int = 96
evaluation_seeds: int = 1
permutations: int = 3
permutation_learning_rate: float = 1.0e-3
averaging_learning_rate: float = 3.0e-3
averaging_epochs: int = 60
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
import pandas as pd

from fesemlib.dataset import load_draws
from fesemlib.evaluation import controls, published, statistics
from fesemlib.evaluation.epochs import (
    selected_predictions,
    train_for_selection,
)
from fesemlib.network.architecture import number_of_weights
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import evaluation as figures
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import evaluation as tables
from fesemlib.pages.tables.validation import show_measures
from fesemlib.params import Parameters
from fesemlib.predictors import Known
from fesemlib.predictors.networks import (
    averaging_parameters,
    evaluation_parameters,
)
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import (
    TRAINING_SETS,
    held_out_predictions,
    leave_one_formulation_out,
    leave_one_out_of_draws,
)

use_style()
parameters = Parameters.from_namespace(globals())
draws = load_draws(parameters)
data = draws[0]
statements.data_banner(data, parameters)

# %% [markdown]
# ## What do the published errors imply?
#
# This section needs no micrograph and no training: it sets the paper's Table 2 beside its Table 1, whatever the
# data of this run. First the published errors beside two rules that see no image.

# %%
rules = published.published_beside_rules()
report.show_table(
    pd.concat([rules, rules.agg(["mean"])]),
    "Relative errors of the held-out formulations (%): published, with the "
    "original and the augmented set, and by two rules without an image",
    dict.fromkeys(rules, numbers.percent),
)

# %% [markdown]
# On average the published networks err by {glue:text}`published_original:.1f` % (original set) and
# {glue:text}`published_augmented:.1f` % (augmented set), the median of the others by {glue:text}`published_median:.1f` %. The network
# trained on the original set errs more than that median on A, C, H and I. On the pairs of errors, Wilcoxon's test gives
# p = {glue:text}`p_of_the_sets:.2g` for the augmented set against the original one, and p = {glue:text}`p_augmented:.2g` and
# {glue:text}`p_original:.2g` for the augmented and the original set against the median of the others. These are three tests on
# one training for each fold, and not corrected for being three.
#
# The large errors are not all errors of extrapolation: the $k_m$ of B to H lie between others. The paper counts C
# among the outliers at the limits of the range. Its abstract states errors below 5 % on the interpolation test data; of
# the formulations whose $k_m$ lies between others, B, C and H err more with the original set, and C with the augmented one.
#
# Then the small errors. Each $k_m$ of Table 1 is the average over several thermocouples, and the table states how
# much these scatter. The average scatters by that divided by the square root of their number, so that
# even a model that knew every *true* $k_m$ would miss the averages by about as much, and one that reads the
# vial in the picture, which is none of those with a thermocouple, by more:

# %%
thermocouples = 6  # assumed: the paper does not say how many there were
perfect = published.perfect_model(thermocouples)
report.show_table(
    perfect,
    "Scatter of the averages, published errors (%), and the chance that a "
    "model which knew every true k_m would err no more",
    {
        name: numbers.power_of_ten if "chance" in name else numbers.percent
        for name in perfect
    },
)

# %% [markdown]
# The number of thermocouples is an assumption; the errors are taken as normal and independent. For five
# formulations at once, picked because their errors with the augmented set are small, and for all nine:

# %%
small_errors = ["B", "D", "E", "F", "G"]
chances = published.chances_of_perfect_model([3, 6, 12], small_errors)
report.show_table(
    chances,
    "Chance that a perfect model errs no more than published on B, D, E, F "
    "and G together; corrected: times the number of ways to pick five of "
    "nine; p: Fisher's combination of all nine, for which nothing is picked",
    dict.fromkeys(chances, numbers.power_of_ten),
)

# %% tags=["remove-cell"]
assumed = chances.xs(thermocouples, level="thermocouples")
compared = {
    "p_of_the_sets": ("original", "augmented"),
    "p_augmented": ("median of the others", "augmented"),
    "p_original": ("median of the others", "original"),
}
report.glue(
    thermocouples=thermocouples,
    published_original=100 * rules["original"].mean(),
    published_augmented=100 * rules["augmented"].mean(),
    published_median=100 * rules["median of the others"].mean(),
    **{
        name: statistics.compare_pairs(rules[one], rules[other]).p_value
        for name, (one, other) in compared.items()
    },
    **assumed["chance"].map(numbers.power_of_ten).add_prefix("chance_"),
    **assumed["corrected"].map(numbers.power_of_ten).add_prefix("corrected_"),
    **assumed["p, all nine"].map(numbers.power_of_ten).add_prefix("fisher_"),
)

# %% [markdown]
# **In short:** if each $k_m$ averages {glue:text}`thermocouples:d` thermocouples, a perfect model would err no more than
# published on B, D, E, F and G together with a probability of {glue:text}`chance_original` (original set) and
# {glue:text}`chance_augmented` (augmented set), or, times the number of ways to pick as many of nine,
# {glue:text}`corrected_original` and {glue:text}`corrected_augmented`. These are no p-values, since the errors to be beaten were read
# off first. One for which nothing is picked, Fisher's combination of all nine formulations, is {glue:text}`fisher_original` for the
# original set and {glue:text}`fisher_augmented` for the augmented set: chance hardly explains either.
#
# This does not say how the small errors came about. The scatter of the averages may be less than assumed. Or the
# epoch may have been chosen by looking at the held-out micrograph; what that does is tried at the end of this
# chapter. The paper does not state how its number of epochs was chosen.

# %% [markdown]
# ## Do simpler predictors do as well?
#
# Every control predicts each formulation from the others, as the network does. All are given the same micrographs; of
# stand-ins, these are the first draw. Scaling and tuning see the training fold only. They are the predictors among which
# [the chapter before](06_prediction.ipynb) chooses, and parts of what these see.
#
# **Without an image:** the median and the mean of the others, the formulation of the nearest composition, and linear
# models of the composition with every combination of the components. A linear model is left out for a formulation on
# which the others do not determine it.
#
# **From one number of the image:** a straight line in the *standard deviation* of the network's input; and
# $k_m = c\,\ell$, in proportion to the *correlation length* $\ell$ of the raw frame, the distance over which its grey
# levels resemble each other. The one constant $c$ is the geometric mean of $k_m/\ell$ over the others: least squares in the
# logarithm.
#
# **From texture** of the processed micrograph, measured without learning (co-occurrence of grey
# levels, bands of the Fourier spectrum, shape of the wavelets' details): ridge regression, partial least squares and a Gaussian process, if there are five
# formulations or more. In the table, *texture* means all measures
# together, and the name of a family that family alone. *The predecessor* is the model of {cite:t}`grassini2016`, rebuilt
# from what is public of it, numbers from steps of FFT and wavelet compression as input {cite}`marcato2025`: here the shares
# of the coefficients that hold a half, three quarters and so on of the energy, in ridge regression. It may differ from theirs.
#
# **Networks:** the paper's with either training set, and the mean of its seeds as one prediction; the same with a
# *small input* of {glue:text}`evaluation_width:d` px, and with its dropout at the other place that the paper's text allows;
# and a network with *averaged feature maps* in place of the flattened list, which leaves it
# {glue:text}`averaging_weights:,d` weights at any size. With the small input a training ends once its error on its own
# micrographs is {glue:text}`criterion` % or less, and after {glue:text}`most_epochs:,d` epochs at the latest.

# %%
trained = controls.trained_networks(data, parameters)
show_measures(
    {name: errors.at_the_end(table) for name, table in trained.items()},
    "The networks of this section",
    parameters,
)

# %% [markdown]
# Read the error on what was trained on first. A network that misses the criterion has not fitted its own micrographs;
# what it makes of others then tells how far its training went, and not what such a network can do.

# %%
networks = {
    name: held_out_predictions(results, parameters.model_selection)
    for name, results in trained.items()
}
networks["network, mean of seeds"] = controls.mean_of_seeds(
    networks["network, original set"]
)
known = controls.with_inputs(Known.of(data, parameters))

# %%
tried = [
    controls.blind_controls(data),
    controls.predictor_controls(known, data.images),
    controls.network_controls(networks),
    controls.published_controls(data),
]
every_control = pd.concat(tried, ignore_index=True)

# %%
summary = controls.control_summary(every_control)
report.show_table(
    summary,
    "Relative error of the formulations held out (%), mean |ln(predicted/"
    "true)|, and how many formulations are predicted: the best first, last "
    "those that do not predict all, whose means cannot be compared",
    numbers.MEASURES,
)

# %% mystnb={"figure": {"name": "figure-controls", "caption": "Relative errors of the held-out formulations by every predictor: diamonds, the mean over the formulations; dots, the formulations; of several seeds, the medians. A diamond is open where not all formulations are predicted. Errors below 0.01 % are drawn there. Published errors, if any, are the paper's, of its own micrographs."}, "image": {"alt": "Dot plot of relative errors, one row for each predictor, sorted by the mean error"}}
controls_figure = figures.controls_figure(every_control)
report.save_figure(controls_figure, "controls", parameters)

# %% tags=["remove-cell"]
report.save_table(every_control, "controls", parameters)
complete = summary[summary["formulations"] == len(data.formulations)]
complete = complete.drop(list(controls.PUBLISHED), errors="ignore")
own = complete.loc["network, original set", errors.MEAN]
rivals = complete.drop("network, original set")
best = rivals.loc[rivals[errors.MEAN].idxmin()]
small = evaluation_parameters(parameters)
averaging = averaging_parameters(parameters)
report.glue(
    predictors=len(complete),
    network_rank=1 + (rivals[errors.MEAN] < own).sum(),
    network_error=numbers.percent(own),
    best_control=str(best.name),
    best_control_error=numbers.percent(best[errors.MEAN]),
    best_control_without_worst=numbers.percent(best[errors.WITHOUT_WORST]),
    best_control_log=numbers.three_digits(best[errors.LOG_MEAN]),
    criterion=numbers.percent(parameters.training_criterion),
    most_epochs=parameters.longer_training * parameters.epochs,
    pixel=data.shape[1] / parameters.input_width,
    evaluation_width=small.input_width,
    evaluation_seeds=small.number_of_seeds,
    averaging_rate=parameters.averaging_learning_rate,
    averaging_epochs=parameters.averaging_epochs,
    averaging_weights=number_of_weights(data.shape, head=averaging.head),
)

# %% [markdown]
# **How to read it.** A single formulation may make most of a mean; the mean without the worst one, and
# $|\ln(\text{predicted}/\text{true})|$, for which twice and half as much are equally wrong, tell whether it does. A
# dash says that there is no such number: published errors have no sign, and a prediction of zero or less has no
# logarithm. A network that reads the image should err less than the rules without an image, by all three measures. One
# that errs no less than a single number of the image has not shown that its weights are needed.
#
# In stand-ins, the correlation length is a yardstick of what is there to be read, and not a method: there the size of
# the pores follows $k_m$ by construction, which is also what texture measures. In other micrographs it is a
# predictor like the rest, and may be best by luck. Texture is measured on micrographs about 1024 px wide;
# a pixel of the network's input takes {glue:text}`pixel:.1f` × {glue:text}`pixel:.1f` pixels of the full micrograph. The texture that names
# the network's input sees no more than the network.
#
# The best of so many is picked on these very formulations, and may not be the best, or not by as much, on new ones.
# Other micrographs of the same formulations may order the predictors otherwise: compare differences with the spread
# below.
#
# The network with averaged maps has a learning rate and a number of epochs of its own
# ({glue:text}`averaging_rate:g`, {glue:text}`averaging_epochs:,d` epochs, with the small input). The preset rate was chosen, on
# stand-ins, for the least error on the *training* micrographs.
#
# **In short:** of the {glue:text}`predictors:d` predictors of this run that predict every formulation, the paper's network,
# trained on the original set, has rank {glue:text}`network_rank:d`: its mean error is {glue:text}`network_error` %. The best of
# the others, “{glue:text}`best_control`”, errs by {glue:text}`best_control_error` %.

# %% [markdown]
# ### Would chance do?
#
# The same network is trained on **shuffled** $k_m$, dealt out anew among the formulations, with the small
# input, one seed, and until the same criterion or the last epoch. These are many trainings, and so they take a learning rate of
# {glue:text}`permutation_rate`, with which they should be done in fewer steps. Whether it stands for the longer training with the rate of the other
# chapters, {glue:text}`learning_rate`, the true order shows:

# %%
small_input = evaluation_parameters(parameters)
quick = small_input.model_copy(
    update={"learning_rate": parameters.permutation_learning_rate}
)
quick_results = leave_one_formulation_out(data, quick, to_criterion=True)

# %%
show_measures(
    {
        "rate of the other chapters": errors.at_the_end(
            trained["network, small input"]
        ),
        "rate of the shuffles": errors.at_the_end(quick_results),
    },
    "The network with the small input, trained at two rates",
    parameters,
)

# %%
orders = controls.permutation_test(data, quick, parameters.permutations)
tables.show_permutations(orders)

# %% mystnb={"figure": {"name": "figure-permutations", "caption": "Mean relative error of the held-out formulations with shuffled $k_m$ (histogram) and with the true ones (line)."}, "image": {"alt": "Histogram of mean relative errors with shuffled labels and a line for the true labels"}}
permutations_figure = figures.permutation_figure(list(orders[errors.MEAN]))
report.save_figure(permutations_figure, "permutations", parameters)

# %% tags=["remove-cell"]
true_error, *shuffled = orders[errors.MEAN]
p_value = statistics.permutation_p_value(true_error, shuffled)
rate = parameters.permutation_learning_rate
report.glue(
    permutations=parameters.permutations,
    permutation_rate=numbers.power_of_ten(rate, digits=1),
    learning_rate=numbers.power_of_ten(parameters.learning_rate, digits=1),
    permutation_error=numbers.percent(true_error),
    permutation_p=f"{p_value:.2g}",
    least_p=f"{1 / len(orders):.2g}",
)

# %% [markdown]
# **How to read it.** *p* is the share of all orders, the true one among them, with an error as small as that of the true
# order. Below 0.05, chance hardly explains the error with the true order. Above, this error does not show that the
# image was read; nor does it show that it was not. Here p cannot be less than
# {glue:text}`least_p` (shuffles: {glue:text}`permutations:d`). And where there are so few formulations that a shuffle is often the true order again,
# p stays large whatever is read.
#
# The shuffles are the same for all three measures: these are three looks at one experiment, not three experiments. The
# mean was chosen beforehand; to pick the least of the three afterwards would make chance look small.
#
# **In short:** in the true order the mean error is {glue:text}`permutation_error` %, p = {glue:text}`permutation_p`.

# %% [markdown]
# ## How far does chance move the errors?
#
# First weights, order and dropout are random. Each seed repeats the whole of leave-one-out. With stand-ins, the
# micrographs are drawn anew, too, for the same formulations, and leave-one-out is repeated on each draw. Seed and draw
# together are a *run*. Your own micrographs are a single draw.

# %%
predictions = {
    name: held_out_predictions(
        leave_one_out_of_draws(draws, parameters, name),
        parameters.model_selection,
    )
    for name in TRAINING_SETS
}
tables.show_spread(predictions)

# %% mystnb={"figure": {"name": "figure-spread", "caption": "Relative error of each held-out formulation: a dot for every run, a bar at their median. Errors below 0.01 % are drawn there. With many formulations those of the largest errors are named."}, "image": {"alt": "Dot plot of the relative errors of all runs, one row for each formulation, original and augmented training set side by side"}}
spread_figure = figures.spread_figure(predictions)
report.save_figure(spread_figure, "spread", parameters)

# %% [markdown]
# **How to read it.** *Between seeds* is the standard deviation of the mean error over the seeds of one draw. *Between
# draws* is what is left of that over the draws at one seed when the former is taken off (in squares), since another draw is
# another training, too; it is zero where the draws add nothing that could be seen. A difference between two predictors
# that is smaller than these may turn round in the next run. If the seeds lie further apart, more seeds would steady the
# result; if the draws do, only more micrographs would. Few runs give either only roughly. A dash stands where there is one seed, or
# one draw.
#
# ### Does augmentation help?
#
# Both training sets are trained in the same number of steps, each from up to as many images as a batch holds. For each
# formulation the median error over the runs with the one set is compared with that over the runs with the other. The mean of these
# differences is not the difference of two medians over runs, such as [Data augmentation](05_loocv_augmented.ipynb) gives.

# %%
compared = statistics.compare_pairs(
    *map(errors.errors_of_formulations, predictions.values())
)
tables.show_difference(compared)

# %% tags=["remove-cell"]
report.glue(
    augmentation_difference=numbers.percent(compared.difference, sign=True),
    augmentation_better=compared.better,
    augmentation_p=f"{compared.p_value:.2g}",
    formulations=compared.number,
)

# %% [markdown]
# **How to read it.** A negative difference says that the augmented set errs less. The formulations are the sample: the
# interval says how the mean difference would move if other formulations of the same kind had been made. The test
# (Wilcoxon's, on the pairs) goes by ranks, so that no single formulation decides it, and may disagree with the mean
# for that reason. Below 0.05, chance hardly explains the difference; above, it may. The *least possible p* is that
# of formulations that all agree: if it is above 0.05, they are too few for this test to find anything.
#
# Errors of leave-one-out are not independent, since any two folds share most of their training set: interval and
# p-value take them as if they were. With few formulations, moreover, such an interval is too short.
#
# **In short:** the mean difference is {glue:text}`augmentation_difference` points; the augmented set errs less on
# {glue:text}`augmentation_better:d` of {glue:text}`formulations:d` formulations, p = {glue:text}`augmentation_p`.

# %% [markdown]
# ## Who chooses the epoch?
#
# Training can stop after a number of epochs that was fixed beforehand; or where the held-out micrograph is predicted best,
# which nobody could do for a new product; or where *inner* formulations, held out within the training fold, are predicted
# best, which is a fair way to choose (more than twelve formulations are held out there in five groups; with three formulations an inner network sees a single $k_m$, and can choose
# nothing). All three with the small input, on the same trainings of {glue:text}`epochs:,d`
# epochs.

# %%
outer, inner = train_for_selection(data, small_input)
selected = selected_predictions(outer, inner)
report.save_table(selected, "selection", parameters)
tables.show_selection(selected, published.table2_for(data.formulations))

# %% mystnb={"figure": {"name": "figure-epochs", "caption": "Error along the training: of each held-out formulation, their mean, and that on the micrographs trained on; medians over the seeds. Dashed, the median of the others, which sees no image. Where the error of a single training dips towards zero, its prediction passes the true value. Errors below 0.01 % are drawn there. At most a dozen lines are named, those that end highest."}, "image": {"alt": "Lines of the error against the epoch, both on logarithmic scales: one for each held-out formulation, their mean, and the mean over the micrographs trained on"}}
blind_error = summary.loc["median of the others", errors.MEAN]
epochs_figure = figures.epochs_figure(outer, blind_error)
report.save_figure(epochs_figure, "epochs", parameters)

# %% tags=["remove-cell"]
report.glue(epochs=small_input.epochs)
for name, chosen in selected.groupby("selection"):
    mean = errors.measures(chosen).loc[errors.MEAN, "median"]
    report.glue(**{f"selection_{name}": numbers.percent(mean)})

# %% [markdown]
# **How to read it.** If the first two columns are alike, little is lost by fixing the epochs beforehand. What the
# third column is better than the second is no skill: it comes from looking at the answer. The row *errors below 1 %*
# counts single trainings, which a median over the seeds would hide. Where published errors stand beside it, compare how often
# they are that small, and whether the third column also has their large ones.
#
# A prediction that passes the true value on its way is right at *some* epoch, whatever the network has
# understood; where none ever reaches the true value, no choice of the epoch helps.
#
# **In short:** with the epoch fixed beforehand the mean error is {glue:text}`selection_last` %, with the one chosen on inner
# formulations {glue:text}`selection_best_inner` %, and with the one that suits the held-out micrograph best
# {glue:text}`selection_best_on_held_out` %. (Seeds: {glue:text}`evaluation_seeds:d`.)
#
# ## What was shown
#
# - Judge an error by what predicts without the image, and by what predicts with simpler means, a single number among them.
# - Ask first how well a network fits what it was trained on; only then what it errs on the rest.
# - One run is an anecdote; the formulations, not the runs, are the sample, and one of them may make most of a mean.
# - Fix the number of epochs before looking at the held-out micrograph, or choose it on inner formulations.
