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
synthetic_draws: int = 1
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
from fesemlib.evaluation import (
    baselines,
    controls,
    published,
    published_evidence,
    statistics,
)
from fesemlib.evaluation import epochs as protocol
from fesemlib.network.architecture import number_of_weights
from fesemlib.network.inputs import processed_micrographs
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import evaluation as figures
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import evaluation as answers
from fesemlib.pages.tables import validation as tables
from fesemlib.params import Parameters
from fesemlib.texture import texture_features
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
# Every control predicts each formulation from the others, as the network does. All are given the same micrographs; of
# stand-ins, these are the first draw. Scaling and tuning see the training fold only.
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
# **From texture features** of the processed micrograph, in the spirit of {cite:t}`grassini2016` (co-occurrence of grey
# levels, local binary patterns, bands of the Fourier spectrum in µm, energies of wavelets): ridge regression, partial
# least squares and a Gaussian process, if there are enough formulations. In the table, *texture* means all features
# together, and the name of a family that family alone.
#
# **Networks:** the paper's with either training set, and the mean of its seeds as one prediction; the same with a
# *small input* of {glue:text}`evaluation_width` px, and with its dropout at the other place that the paper's text allows;
# and a network with *averaged feature maps* in place of the flattened list, which leaves it
# {glue:text}`averaging_weights:,d` weights at any size. With the small input a training ends once its error on its own
# micrographs is {glue:text}`criterion` % or less, and after {glue:text}`most_epochs:,d` epochs at the latest.

# %% tags=["hide-input"]
small_input = controls.evaluation_parameters(parameters)
other_dropout = controls.other_dropout_parameters(parameters)
averaging = controls.averaging_parameters(parameters)
places = {"flatten": "before the ten units", "dense": "after the ten units"}
trained = {
    "network, original set": leave_one_formulation_out(data, parameters),
    "network, augmented set": leave_one_formulation_out(
        data, parameters, "augmented"
    ),
    "network, small input": leave_one_formulation_out(
        data, small_input, to_criterion=True
    ),
    f"network, small input, dropout {places[other_dropout.dropout_position]}": (
        leave_one_formulation_out(data, other_dropout, to_criterion=True)
    ),
    "network, averaged maps": leave_one_formulation_out(data, averaging),
}

# %%
tables.show_measures(
    {name: errors.at_the_end(table) for name, table in trained.items()},
    "The networks of this section",
    parameters.training_criterion,
    parameters.batch_size,
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
processed = processed_micrographs(data, parameters)
features = texture_features(processed, data.pixel_size_um)
coarse = texture_features(
    processed, data.pixel_size_um, parameters.input_width
)

# %%
every_control = pd.concat(
    [
        controls.blind_controls(data),
        controls.composition_controls(data),
        controls.one_number_controls(data, parameters),
        controls.texture_controls(
            data, features, coarse, parameters.parallel_jobs
        ),
        controls.network_controls(networks),
        controls.published_controls(data),
    ],
    ignore_index=True,
)

# %%
summary = answers.control_summary(every_control)
answers.show_controls(summary, len(data.formulations))

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-controls", "caption": "Relative errors of the held-out formulations by every predictor: diamonds, the mean over the formulations; dots, the formulations; of several seeds, the medians. A diamond is open where not all formulations are predicted. Errors below 0.01 % are drawn there. Published errors, if any, are the paper's, of its own micrographs."}, "image": {"alt": "Dot plot of relative errors, one row for each predictor, sorted by the mean error"}}
controls_figure = figures.controls_figure(
    every_control, list(networks), controls.PUBLISHED
)
report.save_figure(controls_figure, "controls", parameters)

# %% tags=["remove-cell"]
report.save_table(every_control, "controls", parameters)
complete = summary[summary["formulations"] == len(data.formulations)]
means = complete[errors.MEAN].drop(list(controls.PUBLISHED), errors="ignore")
own = means["network, original set"]
rivals = means.drop("network, original set")

# %% tags=["remove-cell"]
report.glue("predictors", len(means))
report.glue("network_rank", 1 + int((rivals < own).sum()))
report.glue("network_error", numbers.percent(own))
report.glue("best_control", str(rivals.idxmin()))
report.glue("best_control_error", numbers.percent(rivals.min()))
best = complete.loc[rivals.idxmin()]
report.glue(
    "best_control_without_worst", numbers.percent(best[errors.WITHOUT_WORST])
)
report.glue(
    "best_control_log",
    numbers.measure_text(errors.LOG_MEAN, best[errors.LOG_MEAN]),
)

# %% tags=["remove-cell"]
report.glue("criterion", numbers.percent(parameters.training_criterion))
report.glue("most_epochs", parameters.longer_training * parameters.epochs)
report.glue("pixel", data.shape[1] / parameters.input_width)
report.glue("evaluation_width", small_input.input_width)
report.glue("evaluation_seeds", small_input.number_of_seeds)
report.glue("averaging_rate", parameters.averaging_learning_rate)
report.glue("averaging_epochs", parameters.averaging_epochs)
report.glue(
    "averaging_weights", number_of_weights(data.shape, head=averaging.head)
)

# %% [markdown]
# **How to read it.** A single formulation may make most of a mean; the mean without the worst one, and
# $|\ln(\text{predicted}/\text{true})|$, for which twice and half as much are equally wrong, tell whether it does. A
# dash says that there is no such number: published errors have no sign, and a prediction of zero or less has no
# logarithm. A network that reads the image should err less than the rules without an image, by all three measures. One
# that errs no less than a single number of the image has not shown that its weights are needed.
#
# The correlation length is a yardstick of what is there to be read, and not a method: in stand-ins, the size
# of the pores follows $k_m$ by construction, which is also what texture features measure. These are measured on the full
# micrographs, of which a pixel of the network's input takes {glue:text}`pixel:.1f` × {glue:text}`pixel:.1f` pixels; those that name
# the network's input see no more than the network.
#
# The best of so many was picked on these very formulations, and would not be the best by as much on new ones.
# Other micrographs of the same formulations may order the predictors otherwise: compare differences with the spread
# below.
#
# The network with averaged maps has a learning rate and a number of epochs of its own
# ({glue:text}`averaging_rate`, {glue:text}`averaging_epochs` epochs, with the small input). The rate was chosen, on
# stand-ins, for the least error on the *training* micrographs.
#
# **In short:** of the {glue:text}`predictors` predictors of this run that predict every formulation, the paper's network,
# trained on the original set, has rank {glue:text}`network_rank`: its mean error is {glue:text}`network_error` %. The best of
# the others, “{glue:text}`best_control`”, errs by {glue:text}`best_control_error` %.

# %% [markdown]
# ### Would chance do?
#
# The same network is trained on **shuffled** $k_m$, dealt out anew among the formulations, with the small
# input, one seed, and to the same criterion. These are many trainings, and so they take a learning rate of
# {glue:text}`permutation_rate`, with which they are done in fewer steps. Whether it stands for the longer training with the rate of the other
# chapters, {glue:text}`learning_rate`, the true order shows:

# %%
quick = small_input.model_copy(
    update={"learning_rate": parameters.permutation_learning_rate}
)
quick_results = leave_one_formulation_out(data, quick, to_criterion=True)

# %%
tables.show_measures(
    {
        "rate of the other chapters": errors.at_the_end(
            trained["network, small input"]
        ),
        "rate of the shuffles": errors.at_the_end(quick_results),
    },
    "The network with the small input, trained at two rates",
    parameters.training_criterion,
    parameters.batch_size,
)

# %%
orders = controls.permutation_test(data, quick, parameters.permutations)
answers.show_permutations(orders)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-permutations", "caption": "Mean relative error of the held-out formulations with shuffled $k_m$ (histogram) and with the true ones (line)."}, "image": {"alt": "Histogram of mean relative errors with shuffled labels and a line for the true labels"}}
permutations_figure = figures.permutation_figure(list(orders[errors.MEAN]))
report.save_figure(permutations_figure, "permutations", parameters)

# %% tags=["remove-cell"]
true_error, *shuffled = orders[errors.MEAN]
p_value = statistics.permutation_p_value(true_error, shuffled)
report.glue("permutations", parameters.permutations)
report.glue(
    "permutation_rate",
    numbers.power_of_ten(parameters.permutation_learning_rate),
)
report.glue("learning_rate", numbers.power_of_ten(parameters.learning_rate))
report.glue("permutation_error", numbers.percent(true_error))
report.glue("permutation_p", f"{p_value:.2g}")
report.glue("least_p", f"{1 / len(orders):.2g}")

# %% [markdown]
# **How to read it.** *p* is the share of all orders, the true one among them, with an error as small as that of the true
# order. Below 0.05, chance hardly explains the error with the true order. Above, this error does not show that the
# image was read; nor does it show that it was not. With {glue:text}`permutations` shuffles p cannot be less than
# {glue:text}`least_p`. And where there are so few formulations that a shuffle is often the true order again,
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
answers.show_spread(predictions)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-spread", "caption": "Relative error of each held-out formulation: a dot for every run, a bar at their median. Errors below 0.01 % are drawn there."}, "image": {"alt": "Dot plot of the relative errors of all runs, one row for each formulation, original and augmented training set side by side"}}
spread_figure = figures.spread_figure(predictions)
report.save_figure(spread_figure, "spread", parameters)

# %% [markdown]
# **How to read it.** *Between seeds* is the standard deviation of the mean error over the seeds of one draw. *Between
# draws* is what is left of that over the draws at one seed when the former is taken off (in squares), since another draw is
# another training, too; it is zero where the draws add nothing that could be seen. A difference between two predictors
# that is smaller than these may turn round in the next run. If the seeds lie further apart, more seeds would steady the
# result; if the draws do, only more micrographs would. So few runs give either roughly. A dash stands where there is one seed, or
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
answers.show_difference(compared)

# %% tags=["remove-cell"]
report.glue(
    "augmentation_difference",
    numbers.percent(compared.difference.mean, sign=True),
)
report.glue("augmentation_better", compared.better)
report.glue("augmentation_p", f"{compared.p_value:.2g}")
report.glue("formulations", compared.number)

# %% [markdown]
# **How to read it.** A negative difference says that the augmented set errs less. The formulations are the sample: the
# interval says how the mean difference would move if other formulations of the same kind had been made. The test
# (Wilcoxon's, on the pairs) goes by ranks, so that no single formulation decides it, and may disagree with the mean
# for that reason. Below 0.05, chance hardly explains the difference; above, it may. The *least possible p* is that
# of formulations that all agree: if it is above 0.05, they are too few for this test to find anything.
#
# Errors of leave-one-out are not independent, since any two folds share most of their training set: interval and
# p-value take them as if they were. With so few formulations, moreover, such an interval is too short.
#
# **In short:** the mean difference is {glue:text}`augmentation_difference` points; the augmented set errs less on
# {glue:text}`augmentation_better` of {glue:text}`formulations` formulations, p = {glue:text}`augmentation_p`.

# %% [markdown]
# ## Who chooses the epoch?
#
# Training can stop after a number of epochs that was fixed beforehand; or where the held-out micrograph is predicted best,
# which nobody could do for a new product; or where *inner* formulations, held out within the training fold, are predicted
# best, which is a fair way to choose. All three with the small input, on the same trainings of {glue:text}`epochs:,d`
# epochs.

# %%
outer, inner = protocol.train_for_selection(data, small_input)
selected = protocol.selected_predictions(outer, inner)
answers.show_selection(selected, published.table2_for(data.formulations))

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-epochs", "caption": "Error along the training: of each held-out formulation, their mean, and that on the micrographs trained on; medians over the seeds. Dashed, the median of the others, which sees no image. Where the error of a single training dips towards zero, its prediction passes the true value. Errors below 0.01 % are drawn there."}, "image": {"alt": "Lines of the error against the epoch, both on logarithmic scales: one for each held-out formulation, their mean, and the mean over the micrographs trained on"}}
median_rule = baselines.median_of_others(data.formulations["k_m"])
blind_error = median_rule["relative_error"].mean()
epochs_figure = figures.epochs_figure(outer, blind_error)
report.save_figure(epochs_figure, "epochs", parameters)

# %% tags=["remove-cell"]
report.save_table(selected, "selection", parameters)
report.glue("epochs", small_input.epochs)
for name, chosen in selected.groupby("selection"):
    mean = errors.measures(chosen).loc[errors.MEAN, "median"]
    report.glue(f"selection_{name}", numbers.percent(mean))

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
# {glue:text}`selection_best_on_held_out` %. (Seeds: {glue:text}`evaluation_seeds`.)
#
# ## What was shown
#
# - Judge an error by what predicts without the image, and by what predicts with simpler means, a single number among them.
# - Ask first how well a network fits what it was trained on; only then what it errs on the rest.
# - One run is an anecdote; the formulations, not the runs, are the sample, and one of them may make most of a mean.
# - Fix the number of epochs before looking at the held-out micrograph, or choose it on inner formulations.
