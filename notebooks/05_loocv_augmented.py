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
# - whether they bring the errors down here, beside the published ones;
# - what may explain a difference from the paper.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
example_formulation: str = "C"
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
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
import pandas as pd

from fesemlib import baselines, figures, published, report
from fesemlib.augmentation import TRANSFORMATIONS
from fesemlib.dataset import load_dataset
from fesemlib.evaluation_report import end_answer
from fesemlib.params import Parameters
from fesemlib.processing import input_shape, process_with
from fesemlib.style import use_style
from fesemlib.validation import (
    TRAINING_SETS,
    failed_runs,
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
# ## Four images from one

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-augmentation", "caption": "As Figure 7 of the paper: a processed micrograph (its upper left part, for clarity) and its three copies: flipped vertically, flipped horizontally, and rotated by half a turn."}, "image": {"alt": "Four versions of the same micrograph: original, flipped vertically, flipped horizontally, rotated by 180 degrees"}}
example = data.micrographs[
    data.first_image(parameters.example_formulation)
].image
part = process_with(parameters, example).equalized[
    : example.shape[0] // 3, : example.shape[1] // 3
]
copies = {
    name: transform(part) for name, transform in TRANSFORMATIONS.items()
}
report.save_figure(
    figures.augmentation_figure(copies), "figure_7", parameters
)

# %% [markdown]
# The copies of a formulation share its $k_m$, and they leave the training set together with it when it
# is held out: a copy of the test micrograph in the training set would give the answer away. The
# held-out micrograph itself is predicted as it is.

# %% [markdown]
# ## Leave one formulation out, with four times the images

# %%
results_by_set = {
    name: leave_one_formulation_out(data, parameters, name)
    for name in TRAINING_SETS
}
predictions = {
    name: held_out_predictions(results, parameters.model_selection)
    for name, results in results_by_set.items()
}

# %% tags=["remove-input"]
report.resolution(data, parameters)

# %% tags=["remove-input"]
report.selection_banner(parameters)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-parity-augmented", "caption": "As Figure 8 of the paper: left, predictions of the networks trained on the augmented set against true values, every formulation from the fold that held it out, with bars from the least to the greatest prediction over the seeds; right, the same as relative errors. Open diamonds, if any: published; on the left the predictions that an unsigned error allows."}, "image": {"alt": "Parity diagram of all held-out predictions with augmentation and a dot plot of their relative errors"}}
candidates = published.candidates_for("augmented", data.formulations)
parity = figures.parity_figure(predictions["augmented"], candidates)
report.save_figure(parity, "figure_8", parameters)

# %% [markdown]
# ## The errors side by side

# %% tags=["hide-input"]
table_2 = report.comparison(predictions, data.formulations)
report.save_table(table_2, "table_2", parameters)
report.show_comparison(
    table_2, "relative errors of the held-out formulations"
)

# %% tags=["remove-cell"]
all_results = pd.concat(results_by_set.values(), ignore_index=True)
report.save_table(all_results, "predictions", parameters)
train = all_results[all_results["role"] == "train"]
training_errors = train.groupby("training_set")["relative_error"].mean()
at_the_end = mean_error_at_the_end(all_results)
for name in TRAINING_SETS:
    report.glue(f"mean_{name}", 100 * table_2.loc["mean", f"{name} median"])
    report.glue(f"training_{name}", 100 * training_errors[name])
    report.glue(f"steps_{name}", training_steps(data, parameters, name))
    report.glue(f"lowest_{name}", 100 * at_the_end[name].min())
    report.glue(f"highest_{name}", 100 * at_the_end[name].max())

# %% tags=["remove-cell"]
falls = table_2["augmented median"] < table_2["original median"]
median_rule = baselines.median_of_others(data.formulations["k_m"])
blind_error = median_rule["relative_error"].mean()
report.glue("verdict", report.verdict(table_2, blind_error))
report.glue("headline", report.headline(table_2, blind_error, data.synthetic))
report.glue("selection", report.selection_banner(parameters).text)
report.glue("end_answer", end_answer(at_the_end))
report.glue("formulations_improved", int(falls.drop("mean").sum()))
report.glue("number_of_formulations", len(data.formulations))
report.glue("failures", report.failures(failed_runs(all_results)))

# %% tags=["remove-cell"]
height, width = input_shape(data.shape, parameters.input_width)
report.glue("input_width", width)
report.glue("input_height", height)
report.glue("number_of_seeds", parameters.number_of_seeds)
report.glue("papers_hours", published.TRAINING_TIME_HOURS)

# %% [markdown]
# {glue:text}`verdict`
#
# Every fold now trains on four times as many images. Averaged over the formulations (median over the
# seeds, of which there are {glue:text}`number_of_seeds`), the error changes from
# {glue:text}`mean_original:.1f` % to {glue:text}`mean_augmented:.1f` %, and the median error falls for
# {glue:text}`formulations_improved` of {glue:text}`number_of_formulations` formulations. Two things keep
# this from being a measurement of what augmentation is worth. With the same number of epochs, the augmented set
# takes {glue:text}`steps_augmented` training steps, the original one {glue:text}`steps_original`. And the mean error is not settled: over the last fifth of the epochs alone
# it wanders between {glue:text}`lowest_original:.1f` and {glue:text}`highest_original:.1f` % (original)
# and between {glue:text}`lowest_augmented:.1f` and {glue:text}`highest_augmented:.1f` % (augmented).
# {glue:text}`end_answer`
#
# {glue:text}`failures`
#
# ## Why it may differ from the paper
#
# - **Other images.** The paper's micrographs are not public. Unless you run this book on real
#   ones, it learns from stand-ins that know $k_m$ only through the size of the pores.
# - **The size of the input.** The paper's network sees every pixel of 2048 × 1536. Here it sees
#   {glue:text}`input_width` × {glue:text}`input_height`.
# - **What is not stated.** The number of epochs, the scale of the target, the place of the dropout and
#   the initial weights are not given. The errors below 0.1 % that the paper publishes for several
#   formulations are far below the scatter of the measured $k_m$ themselves (Table 1).
# - **Effort.** The networks take {glue:text}`steps_original` steps (augmented:
#   {glue:text}`steps_augmented`), each of which moves a weight by about the learning rate. On the training
#   micrographs themselves the mean error is then {glue:text}`training_original:.1f` % (augmented:
#   {glue:text}`training_augmented:.1f` %). The paper calls its own fit of the training set reasonably
#   satisfactory, and trained for about {glue:text}`papers_hours:.0f` h on a
#   GPU.
#
# ## What was shown
#
# - Flips and a rotation give four times the images, but no new formulation. Here the mean error goes from
#   {glue:text}`mean_original:.1f` % to {glue:text}`mean_augmented:.1f` %.
# - The errors that matter most, at the ends of the range of $k_m$, are those of extrapolation; copies of the
#   images in between hold no example of what lies beyond.
# - All predictions, this table and every figure lie in the folder of results, see
#   [Your own micrographs](../book/your_micrographs.md).
