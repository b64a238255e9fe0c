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
# # Data augmentation
#
# New formulations would help most, but each costs a freeze-drying run and its measurements. A cheaper
# source is the images that are there already. If a cake, on the scale of a micrograph, has neither left and
# right nor top and bottom, a mirrored image is as good an example of its $k_m$ as the original. That is
# an assumption: a cut along the vial holds the axis along which the cake froze and dried, and the paper does not
# say how its frames lie to it. To the network a mirrored image is new, since its filters and its dense
# layer do tell left from right. Of all rotations, only that by 180° keeps the image's shape.
#
# **What you will learn**
#
# - how four training images are made from one;
# - whether they bring the errors down here, at equal effort, beside the published ones;
# - what may explain a difference from the paper.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_draws: int = 1
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
example_formulation: str = "C"
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
augmentation_group: str = "flips_and_rotation"
first_seed: int = 0
number_of_seeds: int = 1
model_selection: str = "last"
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
import pandas as pd

from fesemlib.dataset import load_dataset, load_draws
from fesemlib.evaluation import controls, published
from fesemlib.network.augmentation import GROUPS, TRANSFORMATIONS
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import validation as figures
from fesemlib.pages.figures.micrographs import titled_figure
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import validation as tables
from fesemlib.params import Parameters
from fesemlib.processing import input_shape, process_with
from fesemlib.validation import errors
from fesemlib.validation.leave_one_out import (
    TRAINING_SETS,
    held_out_predictions,
    leave_one_out_of_draws,
    training_steps,
    training_summary,
)

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## Four images from one
#
# Each copy is made by reading the rows of the image, its columns, or both in the opposite order:

# %% mystnb={"figure": {"name": "figure-augmentation", "caption": "As Figure 7 of the paper: a processed micrograph (its upper left part, for clarity) and its three copies: flipped vertically, flipped horizontally, and rotated by half a turn."}, "image": {"alt": "Four versions of the same micrograph: original, flipped vertically, flipped horizontally, rotated by 180 degrees"}}
example = data.first_image(parameters.example_formulation)
processed = process_with(parameters, data.micrographs[example].image)
height, width = data.shape
part = processed.equalized[: height // 3, : width // 3]
copies = {name: flip(part) for name, flip in TRANSFORMATIONS.items()}
report.save_figure(titled_figure(copies, 2), "figure_7", parameters)

# %% [markdown]
# The copies of a formulation share its $k_m$, and they leave the training set together with it when it
# is held out: a copy of the test micrograph in the training set would give the answer away. The
# held-out micrograph itself is predicted as it is.

# %% [markdown]
# ## Leave one formulation out, with copies
#
# In as many epochs, {glue:text}`copies:d` times the images would also be more training: a step takes up to
# {glue:text}`batch_size:d` images, so that an epoch of the augmented set may have more steps. To tell the two apart, both sets
# are trained for the same number of **steps**, {glue:text}`steps:,d`.

# %%
draws = load_draws(parameters)
results_by_set = {
    name: leave_one_out_of_draws(draws, parameters, name)
    for name in TRAINING_SETS
}
predictions = {
    name: held_out_predictions(results, parameters.model_selection)
    for name, results in results_by_set.items()
}
statements.selection_banner(parameters)

# %%
all_results = pd.concat(results_by_set.values(), ignore_index=True)
report.save_table(all_results, "predictions", parameters)
tables.show_trainings(all_results, parameters)

# %% mystnb={"figure": {"name": "figure-training-sets", "caption": "Errors along the training with both sets. Left, on the micrographs trained on: median and range over all trainings, and the criterion. Right, on the formulations held out: the mean over them, median and range over the runs. The axes have different ranges."}, "image": {"alt": "Two panels of the mean relative error against the training steps on logarithmic axes, a band about each of two lines"}}
training_figure = figures.training_figure(all_results, parameters)
report.save_figure(training_figure, "training_sets", parameters)

# %% mystnb={"figure": {"name": "figure-parity-augmented", "caption": "As Figure 8 of the paper: left, predictions of the networks trained on the augmented set against true values, every formulation from the fold that held it out, with bars from the least to the greatest prediction over the runs; right, the same as relative errors. Open diamonds, if any: published; on the left the predictions that an unsigned error allows. With many formulations those of the largest errors are named."}, "image": {"alt": "Parity diagram of all held-out predictions with augmentation and a dot plot of their relative errors"}}
candidates = published.candidates_for("augmented", data.formulations)
parity = figures.parity_figure(predictions["augmented"], candidates)
report.save_figure(parity, "figure_8", parameters)

# %% [markdown]
# ## The errors side by side

# %%
table_2 = errors.table_2(
    predictions,
    data.formulations.index,
    published.table2_for(data.formulations),
)
report.save_table(table_2, "table_2", parameters)
tables.show_comparison(
    table_2, "relative errors of the held-out formulations"
)

# %% [markdown]
# Equal steps are one way to be fair. The other is to stop each training where it has first fitted what it was shown
# equally well, to a mean error of {glue:text}`criterion:g` %. Copies are more to fit, and may take longer to get
# there. A training that never gets there is taken at its last step; where most miss it, the rows are not at equal
# training error.

# %%
compared = {}
for name, results in results_by_set.items():
    compared[f"{name}, last step"] = errors.at_the_end(results)
    compared[f"{name}, at the criterion"] = errors.at_criterion(
        results, parameters.training_criterion
    )
tables.show_measures(
    compared,
    "Augmentation at equal steps and at equal training error",
    parameters,
)

# %% tags=["remove-cell"]
rules = controls.control_summary(controls.blind_controls(data))
medians = table_2.xs("median", axis="columns", level=1)
medians = medians.assign(blind=rules.loc["median of the others"])
trainings = training_summary(all_results).groupby("training_set")
fit = 100 * trainings["training_error"].median()
log = medians.loc[errors.LOG_MEAN].map(numbers.three_digits)
percent = 100 * medians
report.glue(
    **percent.loc[errors.MEAN].add_prefix("mean_"),
    **percent.loc[errors.WITHOUT_WORST].add_prefix("without_worst_"),
    **log.add_prefix("log_"),
    **fit.add_prefix("training_"),
    **(100 * published.table2().mean()).add_prefix("published_"),
)
by_run = {
    name: errors.measures_of_runs(table)[errors.MEAN]
    for name, table in predictions.items()
}
paired = by_run["augmented"] - by_run["original"]
of_formulations = medians.loc[data.formulations.index]
falls = of_formulations["augmented"] < of_formulations["original"]
height, width = input_shape(data.shape, parameters.input_width)
augmented = predictions["augmented"]["predicted_km"]
report.glue(
    number_of_predictions=len(augmented),
    not_positive=int((augmented <= 0).sum()),
    paired_median=numbers.percent(paired.median(), sign=True),
    paired_least=numbers.percent(paired.min(), sign=True),
    paired_greatest=numbers.percent(paired.max(), sign=True),
    formulations_improved=falls.sum(),
    number_of_formulations=len(falls),
    input_width=width,
    input_height=height,
    number_of_seeds=parameters.number_of_seeds,
    number_of_draws=len(draws),
    batch_size=parameters.batch_size,
    steps=training_steps(data, parameters),
    criterion=100 * parameters.training_criterion,
    copies=len(GROUPS[parameters.augmentation_group]),
    selection=statements.selection_banner(parameters).text,
    papers_hours=published.TRAINING_TIME_HOURS,
)

# %% [markdown]
# At equal steps the mean error changes from {glue:text}`mean_original:.1f` % to {glue:text}`mean_augmented:.1f` %
# (medians over the runs; seeds: {glue:text}`number_of_seeds:d`, draws: {glue:text}`number_of_draws:d`), without the worst formulation
# from {glue:text}`without_worst_original:.1f` % to {glue:text}`without_worst_augmented:.1f` %, and the mean of
# $|\ln(\hat{k}_m/k_m)|$ from {glue:text}`log_original` to {glue:text}`log_augmented`; the median error falls for
# {glue:text}`formulations_improved:d` of {glue:text}`number_of_formulations:d` formulations. The median of the others, without any
# image, errs by {glue:text}`mean_blind:.1f` %, {glue:text}`without_worst_blind:.1f` % and {glue:text}`log_blind`. The
# paper publishes {glue:text}`published_original:.1f` % and {glue:text}`published_augmented:.1f` % for its own micrographs.
#
# With the augmented set, {glue:text}`not_positive:d` of {glue:text}`number_of_predictions:d` predictions are not positive, which no $k_m$ is:
# there the figure is shaded.
#
# The two sets share their seeds and draws. Within each run, the mean error changes by {glue:text}`paired_median` points at equal steps
# (from {glue:text}`paired_least` to {glue:text}`paired_greatest`). Believe a difference only where the trainings meet
# the criterion, where several runs have it with the same sign, where both ways of being fair and all three measures
# show it, and where it is large beside the range over the runs; and look at the table for the formulations that carry it.
# [What the numbers mean](07_evaluation.ipynb) tests it on the formulations. One thing is not made equal: a step takes up to
# {glue:text}`batch_size:d` images, of which the original set may have fewer.
#
# ## Why it may differ from the paper
#
# - **Other images.** The paper's micrographs are not public. Unless you run this book on real
#   ones, it learns from stand-ins that know $k_m$ only through the size of the pores.
# - **The size of the input.** The paper's network sees every pixel of 2048 × 1536. Here it sees
#   {glue:text}`input_width:d` × {glue:text}`input_height:d`. The parameter file `params/paper.yml` sets the full size, with an
#   effort that follows from trials on single folds; a full run of it is not part of this book.
# - **What is not stated.** The number of epochs, the scale of the target, the place of the dropout and
#   the initial weights are not given. The errors below 0.1 % that the paper publishes for several
#   formulations are far below the scatter of the measured $k_m$ themselves (Table 1).
# - **Effort.** The networks take {glue:text}`steps:,d` steps. On the training
#   micrographs themselves the error is then {glue:text}`training_original:.1f` % (augmented:
#   {glue:text}`training_augmented:.1f` %). The paper calls its own fit of the training set reasonably
#   satisfactory; it trained for about {glue:text}`papers_hours:.0f` h on a GPU, and does not say whether its augmented
#   set took more steps.
#
# ## What was shown
#
# - Flips and a rotation give {glue:text}`copies:d` times the images, but no new formulation. At equal steps the mean error goes from
#   {glue:text}`mean_original:.1f` % to {glue:text}`mean_augmented:.1f` %.
# - More images in as many epochs are also more steps: compare at equal steps, and at equal training error.
# - All predictions, this table and every figure lie in the folder of results, see
#   [Your own micrographs](../book/your_micrographs.md).
