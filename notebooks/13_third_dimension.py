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
# # The third dimension
#
# A micrograph shows a surface, and vapour passes a volume. The paper hopes for micro-tomography. What would
# the third dimension add? Here foams are drawn whole, and what passes them is computed.
#
# **What you will learn**
#
# - how much a foam hinders diffusion, and when a volume is too coarse to tell;
# - how to compare what a surface, slices and a volume tell.

# %% tags=["parameters"]
synthetic_seed: int = 0
training_criterion: float = 0.05
volume_foams: int = 24
volume_voxels: int = 96
volume_network_epochs: int = 0
results: str = ""

# %% tags=["hide-input"]
from itertools import product

import numpy as np
import pandas as pd
import seaborn as sns
from joblib import Parallel, delayed
from skimage.measure import block_reduce
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fesemlib.network.architecture import load_tensorflow
from fesemlib.pages import report, statements
from fesemlib.pages.style import COLOURS, drawing, use_style
from fesemlib.params import Parameters
from fesemlib.synthetic import foam_volume, wall_thickness
from fesemlib.synthetic.foam import TORTUOSITY
from fesemlib.validation import errors
from fesemlib.volume import Diffusion, effective_diffusivity, kept

use_style()
parameters = Parameters.from_namespace(globals())
statements.Banner(
    "Synthetic volumes",
    f"All volumes on this page are computed, not measured (seed {synthetic_seed}), whatever data "
    "the rest of the book uses. No number computed from them says anything about a real product.",
    "warning",
)

# %% [markdown]
# ## How much does the foam hinder diffusion?
#
# The *effective diffusivity* $D_e$ is what the pores leave of the diffusivity $D$ in open space. With the
# porosity $\varepsilon$, the tortuosity is $\tau = \varepsilon D / D_e$: one for straight channels. The
# [stand-ins'](10_stand_ins.ipynb) formula assumes {glue:text}`assumed:.1f`. This is the drawn foam, a tenth of it
# solid, four cells a side, with more and more voxels. Here molecules meet each other, as in a dense gas; in the walk
# through the stand-ins, which hold less solid, they meet walls only.


# %%
def diffusion(foam, axis=0):
    """Effective diffusivity and porosity, from the cache if they are there."""
    return Diffusion(*kept(effective_diffusivity, foam, axis))


# %%
rows = []
for share, throat in product((1 / 2, 3 / 4, 1, 4 / 3), (0.2, 0.4)):
    side = round(share * volume_voxels)
    cell, shape = side / 4, (side, side, side)
    foam = foam_volume(cell, 0.1, shape, 1.0, synthetic_seed, throat)
    found = diffusion(foam)
    wall = wall_thickness(cell, porosity=0.9)
    rows.append((round(cell), wall, throat, *found, found.tortuosity))

# %%
columns = ["voxels per cell", "voxels per wall", "throat over cell"]
columns += ["relative diffusivity", "porosity", "tortuosity"]
foam_table = pd.DataFrame(rows, columns=columns).set_index(columns[0])
report.show_table(
    foam_table,
    "The drawn foam, by the size of the voxels; diffusivity relative to open space",
    dict.fromkeys(foam_table, "{:.2f}"),
)

# %% tags=["remove-cell"]
report.save_table(foam_table, "volume_tortuosity", parameters)
finest = foam_table["tortuosity"].iloc[-2:]
coarsest = foam_table["tortuosity"].iloc[:2]
report.glue(
    assumed=TORTUOSITY,
    finest_narrow=finest.iloc[0],
    finest_wide=finest.iloc[1],
    coarsest=coarsest.iloc[0],
)

# %% [markdown]
# **How to read it.** A wall thinner than a voxel has holes that the foam has not, and the tortuosity comes out too small. With
# narrow throats the coarsest volume gives {glue:text}`coarsest:.2f`, the finest {glue:text}`finest_narrow:.2f`; with wide ones
# the finest gives {glue:text}`finest_wide:.2f`. Tomograms have the same trap: take finer voxels until the tortuosity stays.
# `fesem volume STACK` measures yours; for $k_m$ it needs walls of three voxels.
#
# ## What does each view tell?
#
# In {glue:text}`foams:d` foams, cell size, solids, throats and a stretch along one axis are drawn independently. A foam
# has four cells or more a side, and a cell {glue:text}`voxels_a_cell:.0f` voxels or more. For walls of a voxel, {glue:text}`least_solids:.0f` to
# {glue:text}`greatest_solids:.0f` % must be solid, many times what a cake has.

# %%
LEAST = (volume_voxels / 7.8, 0.24, 0.2, 1.0, 0)
GREATEST = (volume_voxels / 6, 0.45, 0.4, 1.5, 3)
names = ["cell", "solids", "throat over cell", "stretch", "along axis"]
random = np.random.default_rng(synthetic_seed)
draws = random.uniform(LEAST, GREATEST, (volume_foams, len(LEAST)))
recipes = pd.DataFrame(draws, columns=names)


# %%
def drawn(number, recipe):
    """A foam, stretched along an axis by repeating some of its planes."""
    cell, solids, throat, stretch, axis = *recipe[:4], int(recipe[4])
    planes = (np.arange(volume_voxels) / stretch).astype(int)
    shape = [volume_voxels] * 3
    shape[axis] = int(planes[-1]) + 1
    seed = 1000 * synthetic_seed + number
    foam = foam_volume(cell, solids, tuple(shape), 1.0, seed, throat)
    return np.take(foam, planes, axis)


# %%
foams = [drawn(*row) for row in enumerate(recipes.to_numpy())]

# %% [markdown]
# The target: the relative effective diffusivity $D_e/D$ along the first axis.


# %%
def target(foam):
    """What is to be predicted of a foam."""
    return diffusion(foam, axis=0).relative_diffusivity


# %%
with_threads = Parallel(n_jobs=-1, prefer="threads")
true = np.array(with_threads(delayed(target)(foam) for foam in foams))

# %% [markdown]
# The **slice** is a cut along the flow. The **micrograph** looks into the depth from the same cut: deeper is darker.
# **Three planes** cross in the middle, as in DeePore {cite}`rabbani2020`.

# %%
MIDDLE = volume_voxels // 2


def micrograph(foam):
    """Brightness of the first wall under each pixel of the cut."""
    below = foam[:, MIDDLE:]
    depth = np.where(below.any(axis=1), below.argmax(axis=1), MIDDLE)
    return np.exp(-4 * depth / MIDDLE)


# %%
views = {
    "one micrograph": lambda foam: [micrograph(foam)],
    "one slice": lambda foam: [foam[:, MIDDLE]],
    "three planes": lambda foam: [
        foam.take(MIDDLE, axis) for axis in range(3)
    ],
    "whole volume": lambda foam: [foam],
}
slices = np.linspace(0, volume_voxels - 1, 12).astype(int)

# %% mystnb={"figure": {"name": "figure-views", "caption": "One of the foams. From the left: the micrograph, the slice, which shows the same cut, and the two other planes through the middle. The gas flows from top to bottom, in the third towards the reader. Bright is solid. All images are synthetic."}, "image": {"alt": "Four square images of a foam: one with grey levels that fall off with depth, three of white walls on black"}}
seen = [
    micrograph(foams[0]),
    *(foams[0].take(MIDDLE, axis) for axis in (1, 0, 2)),
]
views_figure, panels = drawing(10, 2.7, 1, 4)
for axes, image, title in zip(
    panels, seen, ("micrograph", "slice", "across", "along"), strict=True
):
    axes.imshow(image, cmap="gray", interpolation="nearest")
    axes.set(title=title)
    axes.set_axis_off()
report.save_figure(views_figure, "volume_views", parameters)

# %% [markdown]
# All views get the same fixed filters: differences between neighbours along each axis, at scales that double. Rises and
# falls are averaged apart.


# %%
def pooled(grey, scales=5):
    """What the filters answer to an image or a volume, on average."""
    found = [grey.mean()]
    for _ in range(scales):
        for axis, order in product(range(grey.ndim), (1, 2)):
            answer = np.diff(grey, order, axis)
            found += [np.maximum(answer, 0).mean()]
            found += [np.maximum(-answer, 0).mean()]
        grey = block_reduce(grey, 2, np.mean)
    return found


# %%
def features(view):
    """The filters' answers to one kind of view, a row for each foam."""
    seen = [[np.float32(part) for part in view(foam)] for foam in foams]
    return np.array(
        [np.concatenate([pooled(part) for part in one]) for one in seen]
    )


# %%
inputs = {name: features(view) for name, view in views.items()}
each_slice = [features(lambda foam, n=n: [foam[:, n]]) for n in slices]
inputs["twelve slices, averaged"] = np.mean(each_slice, axis=0)
inputs["cell size alone"] = recipes[["cell"]].to_numpy()
porosity = [diffusion(foam).porosity for foam in foams]
inputs["porosity alone"] = np.log(porosity)[:, None]

# %% [markdown]
# A ridge regression predicts the logarithm of each foam's $D_e/D$ from the others.

# %%
ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 17)))
predicted = {
    name: np.exp(
        cross_val_predict(ridge, answers, np.log(true), cv=LeaveOneOut())
    )
    for name, answers in inputs.items()
}
others = (np.log(true).sum() - np.log(true)) / (len(true) - 1)
predicted["mean of the others"] = np.exp(others)

# %% [markdown]
# A *network* learns its filters, from the volume at half the resolution, until its mean $|\ln|$ over the other foams
# is {glue:text}`criterion:.2f`. It is left out unless `volume_network_epochs` says how long, as in `params/morphology.yml`.


# %%
def network(shape):
    """Three convolutions, averaged, and the logarithm of the target."""
    from keras import Sequential, layers

    model = Sequential([layers.Input(shape)])
    for filters in (8, 16, 32):
        model.add(layers.Conv3D(filters, 3, strides=2, activation="relu"))
    model.add(layers.GlobalAveragePooling3D())
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(1))
    model.compile("adam", "mae")
    return model


# %%
def left_out(number, network, volumes, logs, epochs, criterion):
    """What a network says of one foam, and its error on the others."""
    from keras.utils import set_random_seed

    set_random_seed(number)
    model, rest = network(volumes.shape[1:]), np.arange(len(logs)) != number
    centre = logs[rest].mean()
    learned = volumes[rest], logs[rest] - centre
    for _ in range(epochs):
        loss = model.fit(*learned, 8, verbose=0).history["loss"][0]
        if loss <= criterion:
            break
    return model(volumes[[number]]).numpy().item() + centre, loss


# %%
if volume_network_epochs:
    load_tensorflow()  # without the lines that it writes when it starts
    halves = [block_reduce(np.float32(foam), 2, np.mean) for foam in foams]
    told = np.stack(halves)[..., None], np.log(true)
    how = volume_network_epochs, training_criterion
    folds = [
        kept(left_out, n, network, *told, *how) for n in range(len(foams))
    ]
    logs, training_errors = np.transpose(folds)
    predicted["network of the volume"] = np.exp(logs)
    print(f"mean |ln| on what was learned: {training_errors.mean():.3f}")

# %%
tables = {
    name: pd.DataFrame(
        {"held_out": range(len(true)), "true_km": true, "predicted_km": each}
    )
    for name, each in predicted.items()
}
missed = pd.DataFrame(
    {name: errors.log_errors(table) for name, table in tables.items()}
)

# %% mystnb={"figure": {"name": "figure-third-dimension", "caption": "How far each view misses the effective diffusivity of a foam that it has not seen: absolute logarithm of predicted over true. Each point is a foam; the bars are the means."}, "image": {"alt": "Strips of points, one row for each view and each control, with a bar at the mean"}}
errors_figure, axes = drawing(7, 3.4)
sns.stripplot(
    missed, orient="h", color=COLOURS[0], jitter=False, alpha=0.4, ax=axes
)
axes.plot(missed.mean(), np.arange(missed.shape[1]), "|k", ms=16, mew=2)
axes.set(xlabel="error: |ln(predicted / true)|", xlim=(0, None))
report.save_figure(errors_figure, "volume_errors", parameters)

# %%
gain = missed.rsub(missed["one slice"], axis=0)
means = pd.concat(
    [missed.mean(), missed.sem(), gain.mean(), gain.sem()], axis=1
)
means.columns = [
    "mean |ln|",
    "standard error",
    "gain over one slice",
    "its standard error",
]

# %%
report.show_table(
    means,
    f"Error of each view over {len(true)} foams, with standard errors",
    dict.fromkeys(means, "{:.3f}"),
)

# %% tags=["remove-cell"]
report.save_table(means.rename_axis("view"), "volume_views", parameters)
report.save_table(missed, "volume_errors", parameters)
report.glue(
    foams=len(true),
    criterion=training_criterion,
    voxels_a_cell=LEAST[0],
    least=true.min(),
    greatest=true.max(),
    unseen=means.loc["mean of the others", "mean |ln|"],
    porosity_alone=means.loc["porosity alone", "mean |ln|"],
    of_micrograph=means.loc["one micrograph", "mean |ln|"],
    of_slice=means.loc["one slice", "mean |ln|"],
    of_planes=means.loc["three planes", "mean |ln|"],
    of_slices=means.loc["twelve slices, averaged", "mean |ln|"],
    least_solids=100 * LEAST[1],
    greatest_solids=100 * GREATEST[1],
    of_volume=means.loc["whole volume", "mean |ln|"],
    of_cell=means.loc["cell size alone", "mean |ln|"],
)

# %% [markdown]
# **How to read it.** The mean of the others ({glue:text}`unseen:.3f`) sees nothing, and the cell size
# ({glue:text}`of_cell:.3f`) should tell as little: the target has no unit. A view that errs less than the porosity alone ({glue:text}`porosity_alone:.3f`) tells more than the share of
# solid. From slice ({glue:text}`of_slice:.3f`) to planes ({glue:text}`of_planes:.3f`) to volume
# ({glue:text}`of_volume:.3f`) the dimension grows, and with it how much of the foam is seen, and the number of answers; the twelve parallel
# slices ({glue:text}`of_slices:.3f`) see more, too, but no third dimension. The micrograph has {glue:text}`of_micrograph:.3f`. A gain
# below twice its standard error decides nothing.
#
# Averaged filters count walls, and do not follow the way through them. $k_m$, which grows with the pores, may
# rank the views otherwise.
#
# ## What was shown
#
# - Where walls are thinner than a voxel, a volume shows too small a tortuosity.
# - Views are compared on the same volumes, with the same filters.
# - The effective diffusivities, {glue:text}`least:.2f` to {glue:text}`greatest:.2f`, are computed, of dense foams: what
#   helps here is no more than a candidate for real cakes.
