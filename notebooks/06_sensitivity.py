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
# # What the choices do
#
# The paper leaves much unsaid: on what scale the target is learned, where the dropout acts, how the weights
# begin, how long the training lasts. Each reader who rebuilds the network has to choose, and might come to other
# numbers. This chapter changes one choice at a time, and then asks what no choice can replace: more
# formulations.
#
# **What you will learn**
#
# - which of the choices that the paper leaves open matter, and which do not;
# - how the error falls with the number of formulations, within and beyond their range.

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
evaluation_width: int = 64
evaluation_seeds: int = 1
averaging_learning_rate: float = 3.0e-3
averaging_epochs: int = 60
variations: dict = {
    "light_background": [False],
    "equalization": ["none"],
    "target": ["raw"],
    "dropout_position": ["flatten"],
    "initializer": ["he_normal"],
    "epochs": [10],
    "model_selection": ["best_on_held_out"],
    "first_seed": [1000],
    "augmentation_group": ["rotation"],
}
learning_curve_sizes: list = [5, 9]
learning_curve_seeds: int = 1
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
from fesemlib import learning_curve, report, sensitivity
from fesemlib import sensitivity_figures as figures
from fesemlib import sensitivity_report as answers
from fesemlib.dataset import load_dataset, part_of_frame
from fesemlib.params import Parameters
from fesemlib.style import use_style

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
report.data_banner(data, parameters)

# %% [markdown]
# ## Which choices matter?
#
# Leave-one-out is repeated with **one parameter changed at a time**, always from the same seeds. The
# *reference* has the parameters of this book, at an input width of {glue:text}`reference_width` px,
# {glue:text}`reference_epochs` epochs and {glue:text}`seeds`. Every setting is compared with it formulation by
# formulation, so that what makes one formulation harder than another drops out. What to
# vary stands in the parameter `variations` (see [All parameters](../book/parameters.md)); finished folds are kept and
# nothing is trained twice.

# %%
settings = sensitivity.planned_settings(data, parameters)
predictions = sensitivity.predict_with_settings(data, settings)
effects = sensitivity.sensitivity_table(
    predictions, settings, data.formulations["k_m"]
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-sensitivity", "caption": "Change of the mean relative error of the held-out formulations when one choice is changed, sorted, with 95 % intervals over the formulations. The shaded band is the interval of an exchange of the seeds, with nothing else changed. To the right, the mean error itself and how many trainings collapsed to a constant or diverged."}, "image": {"alt": "Dot plot of the changes of the mean error with intervals, one row for each setting, a line at zero for the reference"}}
sensitivity_figure = figures.sensitivity_figure(effects)
report.save_figure(sensitivity_figure, "sensitivity", parameters)

# %% tags=["hide-input", "hide-output"]
report.save_table(predictions, "sensitivity_predictions", parameters)
report.save_table(effects, "sensitivity", parameters)
answers.show_sensitivity(effects)

# %% tags=["remove-cell"]
reference = settings[0].parameters
report.glue("reference_width", reference.input_width)
report.glue("reference_epochs", reference.epochs)
report.glue("seeds", answers.seeds_in_words(reference.number_of_seeds))
report.glue("least_p", answers.least_p_value(len(data.formulations)))
report.glue("alone_remark", answers.alone_remark(effects))
report.glue("formulations", len(data.formulations))

# %% tags=["remove-cell"]
sensitivity_answer = answers.sensitivity_answer(effects)
report.glue("sensitivity_answer", sensitivity_answer)
report.glue("sensitivity_shown", report.first_sentence(sensitivity_answer))
report.glue("yardstick", answers.yardstick_remark(effects))
report.glue("selection", answers.selection_remark(effects))
report.glue("failures", answers.failures_answer(effects))

# %% [markdown]
# {glue:text}`yardstick` {glue:text}`failures` {glue:text}`selection`
#
# This is no recipe. Rows that are called *seeds* change nothing but chance: what
# lies within their interval is no clear effect, and the more seeds each setting has, the narrower it is. With
# {glue:text}`formulations` formulations the test on the pairs cannot give a p-value below
# {glue:text}`least_p:.2g`, whatever the network does, and some of many comparisons
# come out small by chance. {glue:text}`alone_remark` The errors of leave-one-out, moreover, are not independent, as any two folds share most of
# their training set, and the test takes them as if they were. And whoever took the
# setting with the least error from this figure would have **tuned on the held-out formulations**: its error would
# no longer say what to expect of a new one. The figure tells which choices may explain a difference between two
# reproductions. For choosing there are inner formulations, as in the [previous chapter](06_evaluation.ipynb).
#
# **In short:** {glue:text}`sensitivity_answer`

# %% [markdown]
# ## How many formulations would it take?
#
# The paper concludes that more data are needed. How many formulations, and what would they bring?

# %% tags=["remove-input"]
answers.always_synthetic(data)

# %% [markdown]
# {glue:text}`test_number` stand-ins are fixed as the test set, each a formulation of its own. The training sets
# are drawn from the middle of the range of $k_m$ in Table 1, {glue:text}`low:.2g` to {glue:text}`high:.2g` · 10⁻³ m² s⁻¹:
# {glue:text}`inside_number` of the test set lie **inside** that range, the others **outside**, on either
# side. Each training set is part of the next larger one, and the whole is done {glue:text}`draws`. A larger set is not trained for longer: the number of steps is the same for all
# sizes. Beside the paper's network stand the one with averaged feature maps, ridge regression on texture features (as in
# [an earlier chapter](06_evaluation.ipynb), measured on pixels {glue:text}`finer:.1f` times finer than the networks are given), and the median of the training set, which sees no image.

# %%
sizes = parameters.learning_curve_sizes
stand_ins = learning_curve.draw_training_and_test(
    max(sizes),
    range(parameters.learning_curve_seeds),
    part_of_frame(parameters, 3 / 8),
)
curve = learning_curve.learning_curve(stand_ins, sizes, parameters)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-learning-curve", "caption": "Mean relative error of a fixed test set of stand-ins against the number of stand-ins trained on: dots, the draws; lines, their mean. Left, stand-ins whose $k_m$ lies in the range of the training sets; right, beyond it."}, "image": {"alt": "Two panels with lines of the error against the number of formulations on logarithmic axes, for two networks, ridge regression and the median"}}
curve_figure = figures.learning_curve_figure(curve)
report.save_figure(curve_figure, "learning_curve", parameters)

# %% tags=["hide-input"]
report.save_table(curve, "learning_curve", parameters)
answers.show_learning_curve(curve)

# %% tags=["remove-cell"]
regions = list(stand_ins.test.values())
report.glue("test_number", len(regions))
report.glue("inside_number", regions.count("inside"))
report.glue("low", 1e3 * stand_ins.k_m_range[0])
report.glue("high", 1e3 * stand_ins.k_m_range[1])
report.glue("draws", answers.times(parameters.learning_curve_seeds))

# %% tags=["remove-cell"]
curve_answer = answers.learning_curve_answer(curve)
report.glue("curve_answer", curve_answer)
report.glue("curve_shown", report.first_sentence(curve_answer))
report.glue("curve_remark", answers.learning_curve_remark(curve))
width = learning_curve.input_width(stand_ins, parameters)
report.glue("finer", stand_ins.dataset.shape[1] / width)
report.glue("stand_in_width_mm", answers.field_width_mm(stand_ins.dataset))

# %% [markdown]
# {glue:text}`curve_remark` A curve that stays flat while the error on the training set is still large speaks of too
# little training, or of a network that cannot use what it is shown, and not of too few formulations.
#
# For real micrographs the numbers will be others. The stand-ins know $k_m$ through the size of their pores alone,
# without the scatter of a measured $k_m$ and without one product differing from another in anything else, and are
# easier in this; they show {glue:text}`stand_in_width_mm:.2g` mm of a cake, less than a micrograph of the paper,
# and are harder in that. What carries over is how to ask: hold formulations back for the
# test from the start, look inside and outside of the range apart, and let a predictor with few parameters
# compete before the next cake is dried for the sake of the network.
#
# **In short:** {glue:text}`curve_answer`
#
# ## What was shown
#
# - {glue:text}`sensitivity_shown`
# - {glue:text}`curve_shown`
# - A number from one setting and one seed is one draw among many; show the others beside it.
# - Understand differences with this figure, but do not choose with it.
# - If the $k_m$ of new products may lie beyond those at hand, the error beyond the range is the one that counts.
