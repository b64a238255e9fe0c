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
# Vapour leaves a cake through a volume; a micrograph shows a surface. The paper hopes for micro-tomography. Here foams are
# drawn whole, so that what passes through each is computed and not measured, and one question can be asked: what
# does the third dimension add?
#
# **What you will learn**
#
# - how much a foam hinders diffusion, and when a tomogram is too coarse to tell;
# - how to compare a micrograph, a slice, three planes and the volume, so that only the dimension differs.

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

from fesemlib.pages import report, statements
from fesemlib.pages.style import drawing, use_style
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
# ## How much longer is the way through the foam?
#
# The *effective diffusivity* $D_e$ is what the pores leave of the diffusivity $D$ in open space. With the
# porosity $\varepsilon$ it defines the tortuosity, $\tau = \varepsilon D / D_e$: one for straight channels, more where the
# way is longer or narrower. The [stand-ins'](10_stand_ins.ipynb) formula assumes {glue:text}`assumed:.1f`. What has the
# drawn foam? Here it has a tenth of solids, four cells a side, and more and more voxels to a cell; the gas goes from the
# first plane to the last, and the other faces are closed.


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
    rows.append((cell, wall, throat, *found, found.tortuosity))

# %%
columns = ["voxels a cell", "voxels a wall", "throat over cell"]
columns += ["effective diffusivity", "porosity", "tortuosity"]
foam_table = pd.DataFrame(rows, columns=columns)
report.show_table(
    foam_table,
    "The drawn foam, by the size of the voxels",
    dict.fromkeys(columns, "{:.2f}") | {"voxels a cell": "{:.0f}"},
)

# %% tags=["remove-cell"]
report.save_table(foam_table, "volume_tortuosity", parameters)
finest = foam_table["tortuosity"].iloc[-2:]
coarsest = foam_table["tortuosity"].iloc[:2]
report.glue(
    assumed=TORTUOSITY,
    finest_narrow=finest.iloc[0],
    finest_wide=finest.iloc[1],
    coarsest=coarsest.mean(),
)

# %% [markdown]
# **How to read it.** A wall thinner than a voxel is drawn with holes that the foam has not, and gas passes them. Only
# rows with a wall of one voxel or more tell what the foam does; where $\tau$ still grows from row to row, none does yet. The porosity need not
# show it. The coarsest volumes give {glue:text}`coarsest:.2f`, the finest {glue:text}`finest_narrow:.2f` with narrow throats
# and {glue:text}`finest_wide:.2f` with wide ones: set these beside the assumed {glue:text}`assumed:.1f`. The same trap waits in
# tomograms. `fesem volume STACK` does this for your own.
#
# ## What does each view tell?
#
# {glue:text}`foams:d` foams follow, in which the size of the cells, the solids, the throats and a stretch along one of the
# axes are drawn independently. Even when stretched, a foam has four cells or more a side, a cell
# {glue:text}`voxels_a_cell:.0f` voxels or more, and a wall one or more (with the default number of voxels).

# %%
LEAST = (volume_voxels / 7.8, 0.24, 0.2, 1.0)
GREATEST = (volume_voxels / 6, 0.45, 0.4, 1.5)
names = ["cell", "solids", "throat over cell", "stretch"]
random = np.random.default_rng(synthetic_seed)
recipes = pd.DataFrame(
    random.uniform(LEAST, GREATEST, (volume_foams, 4)), columns=names
)
recipes["along"] = random.integers(3, size=volume_foams)


# %%
def drawn(number, recipe):
    """A foam, stretched by repeating some of its planes."""
    cell, solids, throat, stretch, axis = recipe
    planes = (np.arange(volume_voxels) / stretch).astype(int)
    shape = [volume_voxels] * 3
    shape[int(axis)] = int(planes[-1]) + 1
    seed = 1000 * synthetic_seed + number
    foam = foam_volume(cell, solids, tuple(shape), 1.0, seed, throat)
    return np.take(foam, planes, int(axis))


# %%
foams = [drawn(*row) for row in enumerate(recipes.to_numpy())]

# %% [markdown]
# The target is one function of a volume: here the effective diffusivity along the first axis, as a cake dries.


# %%
def target(foam):
    """What is to be predicted of a foam."""
    return diffusion(foam, axis=0).relative_diffusivity


# %%
with_threads = Parallel(n_jobs=-1, prefer="threads")
true = np.array(with_threads(delayed(target)(foam) for foam in foams))

# %% [markdown]
# The **slice** and the **micrograph** show the same cut, along the flow: the one is solid or pore, the other looks from
# the cut into the depth, and what lies deeper is darker. The **three planes** cross in the middle, as in
# DeePore {cite}`rabbani2020`.

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

# %% mystnb={"figure": {"name": "figure-views", "caption": "One of the foams. From the left: the micrograph, the slice, which shows the same cut, and the two other planes through the middle. The gas flows from top to bottom, in the third towards the reader. Bright is solid. All images are synthetic."}, "image": {"alt": "Four square images of a foam: one with grey levels that fall off with depth, three of white walls on black"}}
shown = [
    micrograph(foams[0]),
    *(foams[0].take(MIDDLE, axis) for axis in (1, 0, 2)),
]
views_figure, panels = drawing(10, 2.7, 1, 4)
for axes, image, title in zip(
    panels, shown, ("micrograph", "slice", "across", "along"), strict=True
):
    axes.imshow(image, cmap="gray", interpolation="nearest")
    axes.set(title=title, xticks=[], yticks=[])
report.save_figure(views_figure, "volume_views", parameters)

# %% [markdown]
# All are shown to the same frozen filters: differences along each axis, of first and second order, at
# scales that double, rectified, averaged. In two dimensions they have two axes to go along, in three, three.


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
        [np.concatenate([kept(pooled, part) for part in one]) for one in seen]
    )


# %%
inputs = {name: features(view) for name, view in views.items()}
inputs["cell size alone"] = recipes[["cell"]].to_numpy()
porosity = [diffusion(foam).porosity for foam in foams]
inputs["porosity alone"] = np.log(porosity)[:, None]

# %% [markdown]
# A ridge regression in the logarithm predicts each foam from the others; its penalty is chosen on those alone.

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
# A *network* of three dimensions learns its filters instead. With each foam left out in turn that takes long, so its
# row is here only where `volume_network_epochs` is not zero, as `params/morphology.yml` has it. It sees the volume at
# half the resolution, and trains until the mean $|\ln|$ over the foams that it learns from is
# {glue:text}`criterion:.2f`, or to the end of its epochs.


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
    for _ in range(epochs):
        past = model.fit(volumes[rest], logs[rest], batch_size=8, verbose=0)
        if past.history["loss"][0] <= criterion:
            break
    return model(volumes[[number]]).numpy().item(), past.history["loss"][0]


# %%
if volume_network_epochs:
    halves = [block_reduce(np.float32(foam), 2, np.mean) for foam in foams]
    told = (np.stack(halves)[..., None], np.log(true) - np.log(true).mean())
    told += (volume_network_epochs, training_criterion)
    folds = [kept(left_out, n, network, *told) for n in range(len(foams))]
    logs, training_errors = np.transpose(folds)
    predicted["network of the volume"] = np.exp(logs) * np.exp(
        np.log(true).mean()
    )
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

# %% mystnb={"figure": {"name": "figure-third-dimension", "caption": "How far each view misses the effective diffusivity of a foam that it has not seen: absolute logarithm of predicted over true. A point a foam; the bars are the means."}, "image": {"alt": "Strips of points, one row for each view and each control, with a bar at the mean"}}
errors_figure, axes = drawing(7, 3.4)
sns.stripplot(missed, orient="h", size=4, alpha=0.6, ax=axes)
axes.plot(missed.mean(), np.arange(missed.shape[1]), "|k", ms=16, mew=2)
axes.set(xlabel="|ln(predicted / true)|", xlim=(0, None))
report.save_figure(errors_figure, "volume_errors", parameters)

# %%
summary = pd.DataFrame(
    {
        "mean |ln|": missed.mean(),
        "standard error": missed.sem(),
        "less than the slice": missed["one slice"].mean() - missed.mean(),
        "its standard error": missed.rsub(missed["one slice"], axis=0).sem(),
    }
)
report.show_table(
    summary,
    f"Error of each view, over {len(true)} foams",
    dict.fromkeys(summary, "{:.3f}"),
)

# %% tags=["remove-cell"]
report.save_table(summary.rename_axis("view"), "volume_views", parameters)
report.save_table(missed, "volume_errors", parameters)
report.glue(
    foams=len(true),
    criterion=training_criterion,
    voxels_a_cell=LEAST[0],
    least=true.min(),
    greatest=true.max(),
    unseen=summary.loc["mean of the others", "mean |ln|"],
    porosity_alone=summary.loc["porosity alone", "mean |ln|"],
    of_micrograph=summary.loc["one micrograph", "mean |ln|"],
    of_slice=summary.loc["one slice", "mean |ln|"],
    of_planes=summary.loc["three planes", "mean |ln|"],
    of_volume=summary.loc["whole volume", "mean |ln|"],
    of_cell=summary.loc["cell size alone", "mean |ln|"],
)

# %% [markdown]
# **How to read it.** Below the mean of the others, which sees nothing ({glue:text}`unseen:.3f`), a view has told something; below
# the porosity alone ({glue:text}`porosity_alone:.3f`), more than the share of the solid. The cell size alone
# should tell nothing: the effective diffusivity has no unit, so no view can succeed as a ruler. From slice
# ({glue:text}`of_slice:.3f`) to planes ({glue:text}`of_planes:.3f`) to volume ({glue:text}`of_volume:.3f`) only the dimension
# differs; the micrograph ({glue:text}`of_micrograph:.3f`) shows the slice's cut and some depth. A difference from the slice of less than two of
# its standard errors decides nothing.
#
# A volume that does no better than its slices need not be useless: averaged answers count walls, and do not follow
# the way through them. Whether learned filters do, the network's row tells. What holds for
# diffusion need not hold for $k_m$, which grows with the pores as well.
#
# ## What was shown
#
# - A tomogram tells the tortuosity of a foam only where its walls are a voxel thick or more.
# - Compare views on the same volumes, with the same filters, and beside what needs no view.
# - The foams' effective diffusivity, from {glue:text}`least:.2f` to {glue:text}`greatest:.2f`, is computed and not
#   measured: what helps here is a candidate for real cakes, no more.
