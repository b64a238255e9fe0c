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
# The paper leaves much unsaid: where the dropout acts, on what scale the target is learned and the image shown,
# how large the steps of the training are. Each reader who rebuilds the network has to choose, and might come to
# other numbers. This chapter trains the network with combinations of these choices, and then with more and more
# formulations.
#
# **What you will learn**
#
# - how to see what a choice does to the error of a new formulation, and to the effort of the training;
# - how to see what more formulations would bring, within and beyond the range of $k_m$ that is known.

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
training_criterion: float = 0.05
batch_size: int = 16
first_seed: int = 0
evaluation_width: int = 96
evaluation_seeds: int = 1
longer_training: int = 4
averaging_learning_rate: float = 3.0e-3
averaging_epochs: int = 60
factors: dict = {
    "target": ["minmax", "log10"],
    "input_scaling": ["unit", "standardised"],
    "learning_rate": [1.0e-4, 1.0e-3],
}
learning_curve_sizes: list = [5, 9]
learning_curve_seeds: int = 1
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
from fesemlib.dataset import load_dataset
from fesemlib.evaluation import learning_curve, sensitivity
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import sensitivity as figures
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import sensitivity as tables
from fesemlib.params import Parameters
from fesemlib.predictors.networks import evaluation_parameters
from fesemlib.synthetic import part_of_frame
from fesemlib.validation import errors

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## What does each choice do?
#
# A *factor* is a choice, and its *levels* are what is tried. They are tried **in combination**: each cell is one
# combination, in which leave-one-out is done anew. A training ends once it has fitted its own micrographs, that is
# when the mean relative error on them, without dropout, is {glue:text}`criterion` % or less, and at the latest
# after {glue:text}`most_epochs:,d` epochs; the micrograph that is held out has no say in that. So choices can be
# compared where they have learned equally well, and not only where they have been trained for equally long.
# The factors and their levels stand in the parameter `factors` (see [All parameters](../book/parameters.md)); all
# {glue:text}`cells:d` combinations are trained. The input is {glue:text}`input_width:d` px wide, the number of seeds
# {glue:text}`seeds:d`. The place of the dropout, which decides how long a training takes, is compared in
# [Leave one formulation out](04_loocv_baseline.ipynb).

# %%
trained = sensitivity.train_cells(data, parameters)
cells = sensitivity.cell_table(trained, parameters)

# %%
tables.show_cells(cells)

# %% [markdown]
# The last row is the median of the other formulations, which takes neither an image nor a training.
#
# Read the middle of the table first. A cell in which many trainings *missed* the criterion tells what this effort
# reaches, and not what the combination is worth. A network whose hidden units have all fallen silent is, as a rule,
# among the missed, and its prediction says nothing of what the image shows. Only then compare the errors to the right, with each
# other and with the last row. The three measures belong together: a single formulation may make most of the mean. A
# dash under an error says that it has no bound, as where a prediction was zero or less, or a training diverged.
#
# ### The same, factor by factor
#
# The *main effect* of a level is what it changes compared with the first level of its factor, averaged over all
# levels of the other factors. Every formulation is in every cell, so that what makes one formulation harder than
# another drops out.

# %%
effects = sensitivity.main_effects(trained, parameters.factors)

# %% mystnb={"figure": {"name": "figure-sensitivity", "caption": "Main effects of the choices, with 95 % intervals over the formulations. Left, the change of the mean |ln(predicted / true)| of held-out formulations, to the left of the dashed line where the level errs less than the first one of its factor. Right, how many times as many steps the trainings took."}, "image": {"alt": "Two dot plots with intervals, one row for each level of each factor: change of the error around a line at zero, and ratio of the steps around a line at one"}}
effects_figure = figures.effects_figure(effects)
report.save_figure(effects_figure, "sensitivity", parameters)

# %%
tables.show_effects(effects)

# %% tags=["remove-cell"]
report.save_table(trained, "sensitivity_predictions", parameters)
report.save_table(cells, "sensitivity_cells", parameters)
report.save_table(effects, "sensitivity", parameters)
small = evaluation_parameters(parameters)
counted = errors.log_errors(trained) <= sensitivity.MOST_COUNTED
of_cells, rule = cells["mean"].iloc[:-1], cells["mean"].iloc[-1]
report.glue(
    criterion=numbers.percent(parameters.training_criterion),
    most_epochs=parameters.longer_training * parameters.epochs,
    cells=len(of_cells),
    input_width=small.input_width,
    seeds=small.number_of_seeds,
    formulations=len(data.formulations),
    effects=len(effects),
    bounded=int((~counted).sum()),
    predictions=len(trained),
    missed=int(cells["missed"].sum()),
    trainings=int(cells["trainings"].sum()),
    rule=numbers.percent(rule),
    above=int((of_cells > rule).sum()),
    least=numbers.percent(of_cells.min()),
    greatest=numbers.percent(of_cells.max()),
)

# %% [markdown]
# **How to read it.** The formulations are the sample: the intervals say how far an effect may be from this if other
# formulations of the same kind had been measured. An interval that stays on one side of the dashed line is a difference that
# the scatter of these formulations hardly explains. One that crosses it does not show that the choice is without effect;
# its ends tell how large an effect could have gone unnoticed. With as few as nine formulations, intervals of this kind
# are too short (here there are {glue:text}`formulations:d`), the folds share most of what they are trained on, and of
# {glue:text}`effects:d` intervals some may keep clear of the line by chance. How much chance alone does is seen with
# `first_seed` as one of the factors: its levels are worth the same.
#
# In the left panel, an error counts as a factor of ten at most, whatever it is: a negative
# prediction would be infinitely wrong, and this one prediction would decide everything. Number of
# predictions that are counted like that, out of {glue:text}`predictions:d`: {glue:text}`bounded:d`. The table has the mean relative
# error beside it, which has no such bound, and which is decided by few formulations. Steps are counted at some fifty logged epochs,
# about a fifth apart. And a training that went on beyond the criterion would still change what it says of held-out
# formulations: [Data augmentation](05_loocv_augmented.ipynb) shows by how much. To the right, a training
# that missed the criterion counts with the steps that it took; it would have taken more, so that a level with many
# misses is in truth slower than the panel shows, and what the other factors do to its steps is not seen.
#
# **What it leaves open.** A main effect is an average: a level may help beside one level of another factor and harm
# beside the next. The cells show whether it does.
#
# This is no recipe. Whoever took the combination with the least error from this page would have **tuned on the held-out
# formulations**: its error would no longer say what to expect of a new one. The page tells which choices may explain a
# difference between two reproductions. For choosing there are inner formulations, as in the
# [previous chapter](07_evaluation.ipynb).
#
# **In short:** over the combinations, the mean relative error lies between {glue:text}`least` % and
# {glue:text}`greatest` %, {glue:text}`above:d` of them err more than the median of the others with its {glue:text}`rule` %, and
# {glue:text}`missed:d` of {glue:text}`trainings:d` trainings missed the criterion.

# %% [markdown]
# ## How many formulations would it take?
#
# The paper concludes that more data are needed. How many formulations, and what would they bring?
#
# :::{admonition} Synthetic, whatever the data set
# :class: warning
#
# From here on, this page is always computed from stand-ins with known $k_m$, whatever the micrographs of the run are:
# nobody has this many real formulations. It says what a predictor can learn from stand-ins, and nothing about a real
# product.
# :::
#
# {glue:text}`test_number:d` stand-ins are fixed as the test set, each a formulation of its own. The training sets
# are drawn from the middle of the range of $k_m$ in Table 1, {glue:text}`low:.2g` to {glue:text}`high:.2g` · 10⁻³ m² s⁻¹:
# {glue:text}`inside_number:d` of the test set lie **inside** that range, the others **outside**, on either
# side. Each training set is part of the next larger one. Number of draws, each with training sets and a seed of its
# own: {glue:text}`draws:d`.
#
# At every size the paper's network is trained until it meets the criterion above, or its epochs are spent. Beside it stand the network with averaged
# feature maps, which takes {glue:text}`averaging_epochs:d` epochs whatever it has learned by then, ridge regression on texture
# features (both as in [an earlier chapter](07_evaluation.ipynb); the features are measured on pixels
# {glue:text}`finer:.1f` times finer than the networks are given), and the median of the training set, which sees no image.

# %%
sizes = parameters.learning_curve_sizes
stand_ins = learning_curve.draw_training_and_test(
    max(sizes),
    range(parameters.learning_curve_seeds),
    part_of_frame(parameters, 3 / 8),
)
predictions = learning_curve.learning_curve(stand_ins, sizes, parameters)
curve = learning_curve.curve_of(predictions)

# %% mystnb={"figure": {"name": "figure-learning-curve", "caption": "Mean relative error of a fixed test set of stand-ins against the number of stand-ins trained on: dots, the draws; lines, their median. Left, stand-ins whose $k_m$ lies in the range of the training sets; right, beyond it."}, "image": {"alt": "Two panels with lines of the error against the number of formulations on logarithmic axes, for two networks, ridge regression and the median"}}
curve_figure = figures.learning_curve_figure(curve)
report.save_figure(curve_figure, "learning_curve", parameters)

# %%
tables.show_learning_curve(curve)

# %% tags=["remove-cell"]
report.save_table(predictions, "learning_curve", parameters)
regions = list(stand_ins.test.values())
frame_width = stand_ins.dataset.shape[1]
middle = curve.groupby(["predictor", "region", "size"])["mean"].median()
network, rule = (
    middle[name].map(numbers.percent)
    for name in (learning_curve.NETWORK, learning_curve.MEDIAN)
)
report.glue(
    test_number=len(regions),
    inside_number=regions.count("inside"),
    low=1e3 * stand_ins.k_m_range[0],
    high=1e3 * stand_ins.k_m_range[1],
    draws=parameters.learning_curve_seeds,
    averaging_epochs=parameters.averaging_epochs,
    finer=frame_width / learning_curve.input_width(stand_ins, parameters),
    stand_in_width_mm=frame_width * stand_ins.dataset.pixel_size_um / 1000,
    fewest=min(sizes),
    most=max(sizes),
    inside_first=network["inside", min(sizes)],
    inside_last=network["inside", max(sizes)],
    inside_rule=rule["inside", max(sizes)],
    outside_first=network["outside", min(sizes)],
    outside_last=network["outside", max(sizes)],
    outside_rule=rule["outside", max(sizes)],
)

# %% [markdown]
# **How to read it.** A predictor gains from its images only where its line lies below the dashed one. A line that falls
# says that more formulations helped there; how steeply, what the next ones may bring. A line that stays flat says that they
# did not, if the table shows a small training error beside it; with a large one, it speaks of too little training, or
# of a network that cannot use what it is shown. A line to the right that stays above the one to the left, even with the most
# stand-ins, says that numbers do not make up for a range that is not covered. Where the draws lie as far
# apart as the sizes, the difference between sizes may be chance.
#
# For real micrographs the numbers will be others. The stand-ins know $k_m$ through the size of their pores alone,
# without the scatter of a measured $k_m$ and without one product differing from another in anything else, and are
# easier in this; they show {glue:text}`stand_in_width_mm:.2g` mm of a cake, where a micrograph of the paper shows
# 2 mm, and are the harder the less they show. What carries over is how to ask: hold formulations back for the
# test from the start, look inside and outside of the range apart, and let a predictor with few parameters
# compete before the next cake is dried for the sake of the network.
#
# **In short:** with {glue:text}`fewest:d` stand-ins to train on, the mean error of the paper's network is
# {glue:text}`inside_first` % inside the range and {glue:text}`outside_first` % outside; with {glue:text}`most:d` it is
# {glue:text}`inside_last` % and {glue:text}`outside_last` %, and that of the median of the training set
# {glue:text}`inside_rule` % and {glue:text}`outside_rule` %. Where both numbers of stand-ins are the same, there is
# no curve.
#
# ## What was shown
#
# - Choices are compared where each has fitted its training set; what missed that shows effort, and not the choice.
# - A main effect is read with its interval over the formulations.
# - Understand differences with these effects, but do not choose by them.
# - What more formulations bring is read inside and outside of the known range apart, beside a rule that sees no image.
# - If the $k_m$ of new products may lie beyond those at hand, the error beyond the range is the one that counts.
