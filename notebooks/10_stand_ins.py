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
# # The stand-ins
#
# The paper's micrographs are not public, so this book makes its own: images computed from a random
# foam. This page shows them, says which of their features follow from physics and which
# were chosen because they look right, and sets them beside real frames and published
# measurements.
#
# **What you will learn**
#
# - how an image follows from $k_m$, and which of its features are physics;
# - what $k_m$ the drawn foam itself has, and what is left of predictors when size alone does not tell;
# - how close such images come to real frames and to published measurements;
# - what can be tested with them, and what cannot.

# %% tags=["parameters"]
synthetic_seed: int = 0
synthetic_width: int = 1024
knudsen_walkers: int = 500
walked_stand_ins: int = 24
results: str = ""

# %% tags=["hide-input"]
from dataclasses import replace

import numpy as np
import pandas as pd

from fesemlib import texture
from fesemlib.dataset import load_dataset, made_of
from fesemlib.drying.equations import porosity
from fesemlib.evaluation import baselines, controls
from fesemlib.formulations import table1
from fesemlib.pages import explorers, report, statements
from fesemlib.pages.figures import micrographs as figures
from fesemlib.pages.numbers import minus
from fesemlib.pages.style import drawing, use_style
from fesemlib.params import Parameters
from fesemlib.predictors import Known, predictor_named
from fesemlib.synthetic import (
    EDGE_GLOW_UM,
    THROAT_TO_CELL,
    Structure,
    cell_diameter,
    part_of_frame,
    synthesize_micrograph,
    throat_diameter,
    wall_thickness,
)
from fesemlib.synthetic.foam import TORTUOSITY
from fesemlib.synthetic.sets import drawn_recipes, table_recipes
from fesemlib.validation.errors import MEAN
from fesemlib.volume.knudsen import stand_in_k_m, walked

use_style()
parameters = Parameters.from_namespace(globals())
statements.Banner(
    "Synthetic images",
    f"All images on this page are computed, not measured (seed {synthetic_seed}), whatever data "
    "the rest of the book uses. No number computed from them says anything about a real product.",
    "warning",
)

# %% [markdown]
# ## From one number to an image
#
# One number is asked for, $k_m$, and one length follows from it: by Knudsen's law for straight tubes, the width of the
# throats (see [the data set](01_dataset.ipynb)). All else hangs on this length.

# %%
POROSITY = porosity(solids_percent=5)


def sizes_um(k_m: float) -> tuple[float, float, float]:
    """Throat, cell and wall of a stand-in with 5 % solids, in µm."""
    throat = 1e6 * throat_diameter(k_m, POROSITY)
    cell = cell_diameter(throat)
    return throat, cell, wall_thickness(cell, POROSITY)


# %%
for k_m in (2.8e-4, 1.0e-3, 1.9e-3):
    throat, cell, wall = sizes_um(k_m)
    print(
        f"kₘ {1e3 * k_m:.2f}·10⁻³ m² s⁻¹: throats {throat:4.1f} µm, "
        f"cells {cell:4.1f} µm, walls {wall:.2f} µm"
    )

# %% tags=["remove-cell"]
table_range = (table1()["k_m"].min(), table1()["k_m"].max())
sizes = np.array([sizes_um(k_m) for k_m in table_range]).T
for name, (least, greatest) in zip(
    ("throat", "cell", "wall"), sizes, strict=True
):
    report.glue(**{f"least_{name}": least, f"greatest_{name}": greatest})
report.glue(
    porosity=POROSITY, throat_to_cell=THROAT_TO_CELL, edge_glow=EDGE_GLOW_UM
)

# %% [markdown]
# | | what | why |
# | --- | --- | --- |
# | **physical** | all widths proportional to $k_m$ | Knudsen's law, in which $k_m$ grows as the width of the pores |
# | | porosity | the ice of the solution leaves it: {glue:text}`porosity:.3f` at 5 % of solids |
# | | thickness of the walls | all solids in walls of one thickness, from porosity and cells |
# | | lengths in µm | the same whatever the pixel |
# | **assumed** | width of the throats at a given $k_m$ | the formula for straight tubes; what the drawn foam lets through stands below |
# | | throats {glue:text}`throat_to_cell:.1f` times as wide as the cells | the images show cells, $k_m$ knows throats |
# | | tortuosity, temperature | usual values; [the third dimension](13_third_dimension.ipynb) asks the foam for its tortuosity |
# | | shape of the cells | a little elongated, partly merged, with holes in the walls as wide as the throats |
# | | cut surface | rough, as a broken cake is |
# | **cosmetic** | brightness of edges, slopes and depth | imitates the yield of secondary electrons, without their physics |
# | | drawn thickness of the walls | {glue:text}`edge_glow:.1f` µm is added; most would otherwise vanish between the pixels |
# | | charging, defocus, noise, histogram | drawn at random for each image, without regard to $k_m$ |
#
# Only the first block carries information on $k_m$ that a measurement could confirm. The second
# decides *how* $k_m$ shows in the image, and the third must not show it at all. The geometry can be had
# without the microscope, as a volume of solid and void (`fesemlib.synthetic.foam_volume`). There this book's
# tests compare the chords of the pores, measured with PoreSpy {cite}`gostick2019`, the solid fraction and
# the holes in the walls with what was asked for.
#
# ## A gallery
#
# Windows of 640 × 480 px at the paper's pixel size, 5 % of solids, one seed each. Brightness,
# contrast, shade and focus change from one to the next as well, but without regard to $k_m$.

# %%
WINDOW = (480, 640)
PIXEL_SIZE_UM = 2000 / 2048
gallery_k_m = (2.8e-4, 5e-4, 8e-4, 1.1e-3, 1.5e-3, 1.9e-3)
gallery = [
    synthesize_micrograph(k_m, synthetic_seed + number, WINDOW).image
    for number, k_m in enumerate(gallery_k_m)
]

# %% mystnb={"figure": {"name": "figure-gallery", "caption": "Stand-ins over the range of Table 1. The labels give $k_m$ in $10^{-3}$ m$^2$ s$^{-1}$ and the diameter of the cells. All images are synthetic."}, "image": {"alt": "Six computed images of foams whose cells grow from one to the next"}}
labels = [
    f"{1e3 * k_m:.2g} · {sizes_um(k_m)[1]:.0f} µm" for k_m in gallery_k_m
]
shown = figures.micrographs_figure(gallery, labels, PIXEL_SIZE_UM)
report.save_figure(shown, "stand_ins_gallery", parameters)

# %%
explorers.explore_stand_in(synthetic_seed)

# %% [markdown]
# The same $k_m$ gives another image with every seed, as another cut through the cake would. These are whole frames.

# %%
seeds = [synthetic_seed + number for number in range(3)]
whole = part_of_frame(parameters, 1)
frames = [synthesize_micrograph(1.1e-3, seed, whole).image for seed in seeds]

# %% mystnb={"figure": {"name": "figure-seeds", "caption": "Three stand-ins of one $k_m$, 0.0011 m$^2$ s$^{-1}$, whole frames. All images are synthetic."}, "image": {"alt": "Three computed images of foams with cells of equal size but different shade, brightness and shape"}}
same_k_m = figures.micrographs_figure(
    frames, [f"seed {seed}" for seed in seeds], PIXEL_SIZE_UM
)
report.save_figure(same_k_m, "stand_ins_seeds", parameters)

# %% [markdown]
# ## Does the structure show, and nothing else?
#
# A set of {glue:text}`images:d` windows, each with its own $k_m$ and seed, answers two questions. Does the structure follow
# what was asked for? The correlation length, the distance over which the grey levels forget each
# other, measures it without finding a single pore. And does the brightness give $k_m$ away? A
# linear model of the mean and the standard deviation of the grey levels, fitted to all raw images but
# one, predicts the one left out.

# %%
many_k_m = np.geomspace(*table_range, 30)
many = [
    synthesize_micrograph(k_m, synthetic_seed + number, WINDOW).image
    for number, k_m in enumerate(many_k_m)
]

# %%
cells_um = np.array([sizes_um(k_m)[1] for k_m in many_k_m])
lengths_um = np.array(
    [texture.correlation_length(image) * PIXEL_SIZE_UM for image in many]
)
predicted = baselines.linear_on_others(
    baselines.grey_level_statistics(many),
    many_k_m,
    [str(number) for number in range(len(many))],
)

# %% mystnb={"figure": {"name": "figure-stand-ins", "caption": "(a) The correlation length over the cells asked for. (b) $k_m$ predicted from the mean and the standard deviation of the raw grey levels."}, "image": {"alt": "Two scatter plots with a line each: correlation length over cell diameter, and predicted over true mass transfer coefficient"}}
checks = figures.stand_in_figure(cells_um, lengths_um, many_k_m, predicted)
report.save_figure(checks, "stand_ins_checks", parameters)

# %% tags=["remove-cell"]
correlation = np.corrcoef(np.log(cells_um), np.log(lengths_um))[0, 1]
grey_r2 = baselines.determination(many_k_m, predicted)
report.glue(
    images=len(many), correlation=correlation, grey_r2=minus(f"{grey_r2:.2f}")
)

# %% [markdown]
# In (a) the points should follow the line: the logarithms of both lengths correlate to
# {glue:text}`correlation:.2f`, where 1 would be a correlation length that depends on the cells alone. In (b) they
# should not: the coefficient of determination of the grey levels is {glue:text}`grey_r2`, where zero is no
# better than the mean of all, and a negative value worse. That concerns the raw images only; what each step of the
# processing adds, [image processing](02_image_processing.ipynb) tests.
#
# ## Does the formula hold in the foam?
#
# It is the law of straight tubes as wide as the throats. The foam itself can be asked: molecules fly
# from wall to wall, at the mean speed of water vapour at 250 K, and leave each wall by the cosine law. How far they
# spread down the image, times the porosity, gives the $k_m$ of each foam.

# %%
table_foams = table_recipes(synthetic_seed, range(1))
walk = stand_in_k_m(table_foams, whole, parameters.knudsen_walkers)
formula = table1()["k_m"].to_numpy()

# %%
RATIOS = np.array([0.2, 0.3, 0.4])
usual = Structure(threshold=1.55, lean=(0.0, 0.0, 0.0))
closed = usual._replace(threshold=9.0)  # no opening in any wall
kinds = [(usual, each) for each in RATIOS.tolist()] + [(closed, RATIOS[0])]
jobs = [
    (structure, synthetic_seed + foam, ratio, parameters.knudsen_walkers)
    for structure, ratio in kinds
    for foam in range(3)
]

# %%
foams = POROSITY * walked(jobs)[:, 0].mean(axis=1).reshape(len(kinds), 3)
*through, unopened = foams.mean(axis=1)
*spread, _ = foams.std(axis=1, ddof=1)
law = POROSITY / TORTUOSITY * RATIOS / 3
UNIT = "k$_m$ (10$^{-3}$ m² s$^{-1}$)"
bars = {"fmt": "o", "markersize": 5, "capsize": 3}

# %% mystnb={"figure": {"name": "figure-walk", "caption": "(a) $k_m$ of the nine foams by the walk, with its standard error, against that of the formula; on the line they agree. (b) $k_m$ over the mean speed and the diameter of the cells when throats are widened: dots, the walk, mean and standard deviation over three foams; solid line, the formula; dashed, the walk where no wall has an opening."}, "image": {"alt": "Left, dots with error bars near a diagonal line; right, three dots over the ratio of throat to cell and a rising line"}}
walk_figure, (left, right) = drawing(9.4, 4.0, 1, 2)
left.errorbar(*np.array([formula, walk.value, walk.error]) * 1e3, **bars)
left.axline((1, 1), slope=1, color="#999999")
left.set(xlabel=f"formula: {UNIT}", ylabel=f"walk: {UNIT}")
left.set_title("(a) nine foams")
right.errorbar(RATIOS, through, spread, **bars)
right.plot(RATIOS, law, color="#999999")
right.axhline(unopened, color="#999999", linestyle="--")
right.set(xlabel="diameter of throats over that of cells", ylim=(0, 0.1))
right.set_ylabel("k$_m$ / (mean speed · cell diameter)")
right.set_title("(b) wider throats")
report.save_figure(walk_figure, "stand_ins_walk", parameters)

# %% [markdown]
# The walk gives {glue:text}`least_ratio:.2f` to {glue:text}`greatest_ratio:.2f` times the formula. The molecules leave a standard error of
# {glue:text}`walk_error:.1f` % or less; another foam of the same structure differs by {glue:text}`foam_spread:.0f` % or so;
# the nine differ in how open their walls are, and where their cells lean. Throats widened from
# {glue:text}`narrow:.1f` to {glue:text}`wide:.1f` cells would let through {glue:text}`widened_law:.1f` times as much by the formula; by the walk it is
# {glue:text}`widened:.1f` times: the share of a wall that is open stays, so wider throats are fewer. Without any opening
# {glue:text}`unopened:.0f` % of the flow is left, through places where cells have merged.
#
# ## What is left when size alone does not tell?
#
# Two more sets stand beside the nine frames. In one $k_m$ is drawn, and is the formula's; all but the size of the cells differs
# little. In the other, openness of the walls and direction of the cells differ widely and independently, and $k_m$ is that of the walk.

# %%
plain = drawn_recipes(parameters.walked_stand_ins, synthetic_seed)
random = np.random.default_rng(synthetic_seed)
varied = []
for each in plain:
    openness, angle, strength = random.uniform(
        (0.6, 0, 0), (2.0, np.pi, 1.5)
    ).tolist()
    lean = (0.0, strength * np.sin(angle), strength * np.cos(angle))
    varied.append(each._replace(structure=Structure(openness, lean)))

# %%
varied_k_m = stand_in_k_m(varied, WINDOW, parameters.knudsen_walkers).value
nine = load_dataset(parameters)
sets = (nine, made_of(plain, WINDOW), made_of(varied, WINDOW))
frames, same, other = (Known.of(each, parameters) for each in sets)

# %%
NAMES = (
    "median of the others",
    "proportional to the correlation length",
    "texture, ridge",
    "length and texture",
)


def left_out(known: Known, k_m: np.ndarray) -> pd.DataFrame:
    """What the predictors make of each from the others, with these labels."""
    images = known.dataset.with_k_m(k_m).images
    chosen = [predictor_named(name) for name in NAMES]
    return controls.left_out(chosen, replace(known, k_m=k_m), images)


# %%
tried = {
    "Table 1, formula": left_out(frames, formula),
    "Table 1, walk": left_out(frames, walk.value),
    "size drawn, formula": left_out(same, same.k_m),
    "all drawn, walk": left_out(other, varied_k_m),
}
errors = pd.DataFrame(
    {
        name: controls.control_summary(each)[MEAN]
        for name, each in tried.items()
    }
).loc[list(NAMES)]

# %%
report.show_table(
    errors,
    "Mean relative error of what was left out: of the nine whole frames, and "
    f"of windows of {len(plain)} stand-ins each",
    dict.fromkeys(errors, "{:.0%}"),
)

# %%
table_2 = pd.DataFrame(
    {
        f"{predictor}; {name.split()[-1]}": tried[name]
        .query("control == @predictor")
        .set_index("held_out")["relative_error"]
        for predictor in NAMES[1::2]
        for name in list(tried)[:2]
    }
).rename_axis("formulation")

# %%
report.show_table(
    table_2,
    "Relative error of each formulation left out, with labels of the formula "
    "and of the walk",
    dict.fromkeys(table_2, "{:.0%}"),
)

# %% tags=["remove-cell"]
labels = pd.concat(tried, names=["labels"]).reset_index("labels")
report.save_table(labels, "stand_ins_labels", parameters)
ratio = walk.value / formula
report.glue(
    least_ratio=ratio.min(),
    greatest_ratio=ratio.max(),
    walk_error=100 * (walk.error / walk.value).max(),
    narrow=RATIOS[0],
    wide=RATIOS[-1],
    foam_spread=100 * np.max(np.divide(spread, through)),
    unopened=100 * unopened / through[0],
    widened=through[-1] / through[0],
    widened_law=law[-1] / law[0],
)

# %% [markdown]
# In the first table compare the last two columns: what the error of the length gains there shows what it owed to size alone. A
# texture whose error grows less may read holes and direction; so few stand-ins tell large differences only. The second table is Table 2 for two predictors under both
# labels. For the networks, whose training takes minutes, `synthetic_labels: geometry` gives the whole book the labels of the
# walk; `synthetic_label_scatter` adds errors as large as the standard deviations of Table 1.
#
# ## Beside real frames
#
# How close do the stand-ins come to what an instrument records? Three numbers describe a texture:
# the **slope** of the power spectrum, from long waves to short ones; the **contrast** of the
# grey-level co-occurrence matrix {cite}`haralick1973`, between neighbouring pixels, after all images
# were given the same histogram; and the amplitude of the broad **shade**, relative to the mean.
#
# No field emission micrographs of freeze-dried cakes under an open licence were found. Those below
# are the sample images of [fibresem](https://github.com/dvtxc/fibresem) (MIT licence): two frames
# of a Zeiss Auriga, a field emission microscope of the same maker as the paper's. **They show mats of
# fibres**, at a hundredth to a twentieth of the pixel size. They can tell whether the stand-ins have
# the texture of a micrograph, not whether they look like a cake. The correlation length is given too, because the
# other numbers depend on how many pixels wide the structure is. The real frames are measured above
# their data bars, and no more rows of the stand-ins.

# %%
real = texture.real_frames().rename(
    lambda file: f"fibres, {file.split('/')[-1]}"
)
rows = real["rows"].iloc[0]
textures = pd.DataFrame(
    [texture.statistics(each.image[:rows]) for each in nine.micrographs],
    index=[f"stand-in {name}" for name in nine.images["formulation"]],
).assign(pixel_size_um=PIXEL_SIZE_UM)

# %%
both = pd.concat([textures, real[textures.columns]])
report.save_table(both.rename_axis("frame"), "stand_ins_texture", parameters)
height, width = nine.shape
both.columns = ["slope", "contrast", "shade", "length (px)", "pixel (µm)"]
report.show_table(
    both,
    f"Texture of the nine stand-ins, {width}×{min(height, rows)} px, and of "
    f"two real frames of another kind of sample, 2048×{rows} px",
    dict.fromkeys(both, "{:.2f}")
    | {"shade": "{:.0%}", "pixel (µm)": "{:.3f}"},
)

# %% tags=["remove-cell"]
typical_length = np.exp(np.log(real["correlation_length_px"]).mean())
distance = np.log(textures["correlation_length_px"] / typical_length).abs()
alike = sorted(name.split()[-1] for name in distance.nsmallest(3).index)
report.glue(alike=", ".join(alike))

# %% [markdown]
# Compare with the fibres those three stand-ins whose structure is most nearly as wide, in pixels, as theirs:
# {glue:text}`alike`. A flatter slope (nearer to zero) or a higher contrast than that of the real frames means more
# structure and noise from one pixel to the next; the metadata of the real frames name averaging as their noise
# reduction. The stand-ins imitate a sample that charges, as the paper describes its own, with shade and
# noise chosen by eye. Whether by the right amount, only the paper's frames could tell.
#
# The numbers of the real frames were measured once. To repeat that, download the two files from the folder
# `sampledata` of that repository and evaluate
#
# ```python
# from fesemlib import texture
# from fesemlib.micrographs import reading as micrographs
#
# frame = micrographs.read_micrograph("sample.01_img08.tif")
# texture.statistics(frame.image)
# ```
#
# ## Beside the literature
#
# What others found in such cakes, taken from the abstracts of their papers, and what this book's paper says of its own:
#
# | source | sample | what was found |
# | --- | --- | --- |
# | {cite:t}`thomik2022` | maltodextrin, 5 %, X-ray tomography | pores of 23.7 ± 11.1 µm; annealed, 33.0 ± 27.0 µm at a porosity of 0.96 |
# | | maltodextrin, 30 % | lamellar pores of 13.5 ± 4 µm, porosity 0.65 |
# | {cite:t}`nakagawa2018` | dextrin, X-ray tomography | walls of 13.5 µm on average; annealed, 8.6 µm; they thicken as the drying piles the solids up |
# | {cite:t}`gruber2022` | maltodextrin and sucrose, 5 and 15 %, microscope | for elongated pores the direction matters more to the drying than the size |
# | {cite:t}`vanbillemont2020` | spin-frozen vials, X-ray tomography | the resistance to mass transfer differs within one vial |
# | {cite:t}`marcato2025` | the paper's own cakes | less mannitol, wider pores; more dextran, better connected ones at similar width; 10 % of solids, denser and finer |
#
# Over the $k_m$ of Table 1, at 5 % of solids, the stand-ins have cells of {glue:text}`least_cell:.0f` to
# {glue:text}`greatest_cell:.0f` µm.
#
# - **Size.** On average, the pores measured at 5 % of solids lie within that range, in its lower half; the widest
#   stand-ins exceed them. The samples are not the paper's: no published pore sizes of
#   cakes of mannitol, dextran and PVP at these contents could be checked for this page.
# - **Spread.** A real cake's pores differ widely among each other, at 5 % of solids by about half of their mean or more. How
#   much the cells of a stand-in differ was chosen by eye.
# - **Walls.** Spread evenly, the solids give walls of {glue:text}`least_wall:.2f` to
#   {glue:text}`greatest_wall:.2f` µm. Those seen by tomography are many times thicker: real walls are
#   uneven, and the voxels of a tomogram may add to them.
# - **What carries the flow.** Direction and connection of the pores matter in real cakes, beside
#   their width. In the stand-ins, with the labels of the formula, $k_m$ depends on width alone. A network that does well on
#   them has shown that it can read a width off a texture, no more.
#
# ## One as a file
#
# ```sh
# .venv/bin/fesem synthesize --k-m 1.1e-3 --seed 3 out.tif
# ```
#
# writes a stand-in as a Zeiss microscope would, with its metadata and a data bar, so that reading
# can be tried from end to end. Both say that the image is synthetic.
#
# ## What was shown
#
# - In a stand-in the width of throats, cells and walls follows from $k_m$; what else there is to see is
#   assumed or made up.
# - The structure can be measured in the images: its correlation with what was asked for is
#   {glue:text}`correlation:.2f`. Mean and standard deviation of the raw grey levels should give nothing away; their
#   coefficient of determination is {glue:text}`grey_r2`.
# - The foam lets through {glue:text}`least_ratio:.2f` to {glue:text}`greatest_ratio:.2f` times what the formula says. With the labels of the
#   formula, errors of predictors hold for a world in which size alone tells $k_m$; the table of both labels shows how well they do elsewhere.
# - The cells of stand-ins are about as wide as published pores, some wider, but real cakes are less simple: stand-ins can test
#   the method, not its truth.
