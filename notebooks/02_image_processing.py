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
# # Image processing
#
# The network should learn from the pores, not from a dark patch of charge or from the contrast that
# an operator happened to choose. Two classical operations reduce these differences: a background
# subtraction, then a histogram equalisation. A third step, which the paper does not need, shrinks the
# images so that the book can be computed on a laptop. This page shows what each step does, which of
# several things called *rolling ball* the paper means, what the network would see otherwise, and what the
# steps add to the images that was not there before.
#
# **What you will learn**
#
# - what the rolling ball and the equalisation each do to a micrograph;
# - which of three algorithms called *rolling ball* the paper means;
# - what the network sees in the end, and what the processing itself puts there.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
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
results: str = ""

# %% tags=["hide-input"]
import numpy as np
from scipy.ndimage import uniform_filter
from skimage.restoration import rolling_ball

from fesemlib.dataset import draw_stand_ins, load_dataset, with_cut_rows
from fesemlib.evaluation import baselines
from fesemlib.network.inputs import (
    images_by_step,
    network_inputs,
    processed_micrographs,
    shrunk_input,
)
from fesemlib.pages import explorers, report, statements
from fesemlib.pages.before_after import before_after
from fesemlib.pages.figures import micrographs as figures
from fesemlib.pages.style import drawing, formulation_looks, use_style
from fesemlib.pages.tables import data as tables
from fesemlib.params import Parameters
from fesemlib.processing import (
    central_detail,
    equalize_histogram,
    process_with,
)
from fesemlib.processing.background import subtract_background
from fesemlib.synthetic import part_of_frame
from fesemlib.texture import charging_amplitude

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## What is cut off
#
# Instruments burn a data bar with the magnification and a scale into the lower edge of the image. It is
# found as a band of one ground with writing on it, and cut off; no pixel of it may reach the network.
# Other instruments draw the scale and a label *into* the image. A single image does not tell such writing
# from bright particles, but a set does, since only the writing is the same in every image.
# [The parameter `crop`](../book/your_micrographs.md) says which rows to keep.

# %%
example = data.first_image(parameters.example_formulation)
micrograph = data.micrographs[example]
recorded, kept = with_cut_rows(data, example)

# %% mystnb={"figure": {"name": "figure-crop", "caption": "A micrograph with all its rows; the coloured ones are cut off."}, "image": {"alt": "A micrograph with a data bar or writing at its edge, and a line where the rows that are cut off begin"}}
rows = len(recorded.image)
figure, axes = drawing(6.4, 6.4 * rows / recorded.image.shape[1] + 0.3)
axes.imshow(recorded.image, cmap="gray", vmin=0, vmax=255)
for first, last in ((0, kept.cut_top), (rows - kept.cut_rows, rows)):
    axes.axhspan(first - 0.5, last - 0.5, color="C2", alpha=0.35)
kept_rows = rows - kept.cut_top - kept.cut_rows
axes.set(title=f"kept: {kept_rows} of {rows} rows", xticks=[], yticks=[])
report.save_figure(figure, "crop", parameters)

# %% [markdown]
# Where rows of the set's micrographs are cut off, one of them is shown, with these. Otherwise it is a stand-in,
# with a bar drawn into a copy of it. This is what was read of the micrographs as they are:

# %%
tables.show_reading(data)

# %% [markdown]
# ## Background subtraction
#
# Think of the image as a landscape whose height is the grey level. A ball is rolled along below it, wide enough
# to pass under the narrow walls of the pores and to follow only the slow changes of brightness; the
# surface that its top can reach is the background {cite}`sternberg1983`. Subtracting it leaves the
# fine structure on a nearly even ground: nearly, because where a charge weakens the signal in proportion, as it
# does in the stand-ins, its patch keeps less contrast than its surroundings and comes out paler. The paper
# uses the rolling ball of ImageJ {cite}`schneider2012` with a radius of 50 px, which should be about the size
# of the largest feature.
#
# Three operations go by this name:
#
# - **ImageJ, dark background.** The ball rolls below the landscape, as just said: what is darker than its
#   surroundings counts as ground.
# - **ImageJ, light background.** The ball rolls on top of the landscape: what is lighter counts as ground. This is
#   the preset of ImageJ's dialog.
# - **scikit-image.** A function of the same name, and another algorithm.
#
# ImageJ averages over 3 × 3 px, shrinks the image and the ball with it, trims the ball's rim, lifts the ball
# under every pixel until it touches, and takes the highest surface that any of the lifted balls reaches:
# an *opening*. scikit-image neither averages nor shrinks, and takes at each pixel the height of the top of
# the one ball that is lifted there: an *erosion*. And since ImageJ's ball is shrunk in its height too, it is flat,
# 12.5 grey levels high for a radius of 50 px, where scikit-image's is 50.
#
# Which one made the paper's images? It cites ImageJ, does not name the variant, and describes the
# histogram of the result as compressed and skewed towards lighter values. All three are computed here
# on the same detail.

# %%
detail = central_detail(micrograph.image, (360, 480))
radius = parameters.background_radius_px
negative = 255 - detail
variants = {
    "ImageJ, light": subtract_background(detail, radius),
    "ImageJ, dark": subtract_background(detail, radius, False),
    "scikit-image": detail + rolling_ball(negative, radius=radius),
}

# %% mystnb={"figure": {"name": "figure-variants", "caption": "A detail of one micrograph as recorded, and what three algorithms called rolling ball make of it, each with the histogram of its grey levels. scikit-image's is applied to a light background as well."}, "image": {"alt": "A detail of a micrograph and three versions of it without background, with the histogram of the grey levels below each"}}
side_by_side = figures.histograms_figure({"original": detail, **variants})
report.save_figure(side_by_side, "rolling_balls", parameters)

# %% tags=["remove-cell"]
light, dark, other = (image.astype(float) for image in variants.values())
averaged = uniform_filter(negative.astype(float), size=3, mode="nearest")
smoothed = (detail + rolling_ball(averaged, radius=radius)).clip(0, 255)
report.glue(
    detail_mean=detail.mean(),
    light_mean=light.mean(),
    dark_mean=dark.mean(),
    skimage_correlation=np.corrcoef(light.ravel(), other.ravel())[0, 1],
    skimage_difference=abs(light - other).mean(),
    smoothed_difference=abs(light - smoothed).mean(),
)

# %% [markdown]
# The mean grey level of the detail is {glue:text}`detail_mean:.0f`; it becomes {glue:text}`light_mean:.0f`
# with a light background and {glue:text}`dark_mean:.0f` with a dark one. No image becomes darker by the first, nor
# lighter by the second: a ball on top of the landscape turns the ground white, one below it turns the ground
# black. The shift to lighter values that the paper describes is therefore that of the light variant, which is
# this book's default.
#
# scikit-image's result differs from it by {glue:text}`skimage_difference:.0f` grey levels on average, at a
# correlation of {glue:text}`skimage_correlation:.2f`; two names for one operation would give 0 and 1. Averaged over
# 3 × 3 px before, it differs by {glue:text}`smoothed_difference:.0f`: as far as that is less, the averaging is the
# reason, and what remains is due to the ball's height and to the opening. Whoever takes one for the other trains
# the network on other images. This book follows ImageJ step by step, and its tests compare the result, pixel by pixel, with images that
# ImageJ itself has processed.
#
# ## Histogram equalisation
#
# With a light background, what is left is brighter than before. Equalisation maps the grey levels, in their order,
# so that each range of levels is used by about the same share of pixels: the cumulative distribution
# becomes a straight line {cite}`pizer1987`. After it, all micrographs have about the same histogram,
# whatever the operator had set.
#
# Either step can be off: both with `processing: none`, for images that are processed already, such as those of
# {ref}`the paper's own figure <published-figure>`; the second with `equalization: none`. The titles say so, a
# step that is off leaves the image as it is, and what is said of it here is what it would do.

# %%
processed = process_with(parameters, micrograph.image)
background, histogram = figures.step_titles(processed)
steps = {
    "(a) original": processed.original,
    f"(b) {background}": processed.subtracted,
    f"(c) {histogram}": processed.equalized,
}

# %% mystnb={"figure": {"name": "figure-processing", "caption": "As Figure 2 of the paper: (a) one micrograph as recorded, (b) after background subtraction, (c) after histogram equalisation too, each with the histogram of its grey levels; a step that is off is titled so."}, "image": {"alt": "One micrograph in three processing steps with the histogram of its grey levels below each"}}
figure_2 = figures.histograms_figure(steps)
report.save_figure(figure_2, "figure_2", parameters)

# %% [markdown]
# Slide from one to the other, to see what goes and what stays:

# %% mystnb={"figure": {"name": "figure-slider", "caption": "One micrograph as it was recorded, and after the steps of the processing that are on. In the rendered book the line between them can be moved."}}
before_after(
    processed.original,
    processed.equalized,
    "as recorded",
    f"{background}, {histogram}",
)

# %%
explorers.explore_background(micrograph.image, parameters)

# %% tags=["remove-cell"]
report.glue(
    mean_before=processed.original.mean(),
    mean_subtracted=processed.subtracted.mean(),
    spread_before=processed.original.std(),
    spread_subtracted=processed.subtracted.std(),
    spread_equalized=processed.equalized.std(),
)

# %% [markdown]
# In numbers: background subtraction moves the mean grey level of this micrograph from
# {glue:text}`mean_before:.0f` to {glue:text}`mean_subtracted:.0f`. Its standard deviation is
# {glue:text}`spread_before:.0f` as recorded, {glue:text}`spread_subtracted:.0f` after the subtraction and
# {glue:text}`spread_equalized:.0f` after the equalisation; a perfectly even histogram has
# $255/\sqrt{12} \approx 74$. The paper finds its histogram compressed after the first step. Whether it is
# depends on how much of the contrast is broad, which the ball takes, and how much is fine, which it leaves (stand-ins
# have much of that). An equalised histogram is a comb rather than flat, because grey levels are
# whole numbers: pixels of one level move together, and leave gaps where contrast is stretched. Each
# histogram in the figure has a scale of its own.

# %% [markdown]
# ## The processed set
#
# The steps that are on are applied to every micrograph in the same way. Nothing is learnt from the images
# here, so that no information passes from one to another.

# %%
processed_set = processed_micrographs(data, parameters)

# %% mystnb={"figure": {"name": "figure-processed", "caption": "As Figure 3 of the paper: all micrographs after the steps of the processing that are on, whole frames; of more than a dozen nine examples, from the greatest $k_m$ to the least."}, "image": {"alt": "The processed micrographs in a grid, labelled by formulation"}}
names = list(data.images["formulation"])
looks = formulation_looks(names)
grid = figures.micrographs_figure(
    processed_set, names, data.pixel_size_um, looks, data.k_m
)
report.save_figure(grid, "figure_3", parameters)

# %% [markdown]
# ## What the network sees
#
# The paper feeds the network with the full 2048 × 1536 pixels. Here each pixel of the network's input
# is the average over the area that it covers. That costs detail, the finest first.

# %% tags=["nbval-check-output"]
inputs = network_inputs(data, parameters)
print(inputs.shape, inputs.dtype)
print(f"from {inputs.min():.2f} to {inputs.max():.2f}")

# %% mystnb={"figure": {"name": "figure-inputs", "caption": "The same processed micrographs at the size at which the network sees them."}, "image": {"alt": "The processed micrographs at the size of the network's input"}}
small = [(image * 255).round().astype("uint8") for image in inputs]
as_seen = figures.micrographs_figure(small, names, None, looks, data.k_m)
report.save_figure(as_seen, "network_inputs", parameters)

# %% tags=["remove-cell"]
pixel_um = (data.pixel_size_um or 0) * data.shape[1] / inputs.shape[2]
report.glue(
    seen_width=inputs.shape[2],
    seen_height=inputs.shape[1],
    seen_pixel=f"{pixel_um:.3g}" if pixel_um else "—",
    seen_limit=f"{2 * pixel_um:.3g}" if pixel_um else "—",
)

# %% [markdown]
# The network sees {glue:text}`seen_width:d` × {glue:text}`seen_height:d` px. One of these pixels is
# {glue:text}`seen_pixel` µm wide (a dash where the pixel size of the micrographs is not known, or not the same for
# all). By the sampling theorem, what is narrower than two of them, {glue:text}`seen_limit` µm, cannot be told from
# what is beside it. Compare that with the pores of your cakes. For scale: over the $k_m$ of Table 1,
# [the stand-ins](10_stand_ins.ipynb) have cells of {glue:text}`/notebooks/10_stand_ins.ipynb::least_cell:.0f` to
# {glue:text}`/notebooks/10_stand_ins.ipynb::greatest_cell:.0f` µm and, between them, throats of
# {glue:text}`/notebooks/10_stand_ins.ipynb::least_throat:.1f` to
# {glue:text}`/notebooks/10_stand_ins.ipynb::greatest_throat:.1f` µm, whose width decides $k_m$ (at 5 % of solids).
# What of that is below the limit, the network can know only from something wider that goes with it.

# %% [markdown]
# ## What it would see otherwise
#
# Two mistakes are easily made. What should be cut off stays in; or the background, with its charging, does. This is
# the input that the network would get from the micrograph with these rows, and without.

# %%
cropped = kept.image
as_input = {
    "as it should be": process_with(parameters, cropped).equalized,
    "with all its rows": process_with(parameters, recorded.image).equalized,
    "with the charging": equalize_histogram(cropped),
}
seen = {
    title: 255 * shrunk_input(image, parameters.input_width)
    for title, image in as_input.items()
}

# %% mystnb={"figure": {"name": "figure-otherwise", "caption": "The network's input from one micrograph: as it is used; with the rows that are cut off; without background subtraction, so that any broad shading stays in."}, "image": {"alt": "Three versions of a small image side by side: as it is used, with the rows that are cut off, and without background subtraction"}}
otherwise = figures.titled_figure(
    {title: image.round().astype("uint8") for title, image in seen.items()}
)
report.save_figure(otherwise, "what_else_it_could_see", parameters)

# %% [markdown]
# Charging shows as broad shading. How strong is it at each step, and if the histogram is equalised without
# subtraction?

# %%
without = [equalize_histogram(each.image) for each in data.micrographs]
shade = {
    **{step: charging_amplitude(image) for step, image in steps.items()},
    "equalised without subtraction": charging_amplitude(without[example]),
}
weaker = [
    charging_amplitude(image) < charging_amplitude(other)
    for image, other in zip(processed_set, without, strict=True)
]

# %% tags=["remove-cell"]
clean, barred, _ = seen.values()
first = round(len(barred) * kept.cut_top / len(recorded.image))
above = len(clean) - 1  # rows that are in both, whatever is cut off
report.glue(
    bar_share=100 * (1 - len(kept.image) / len(recorded.image)),
    bar_change=abs(barred[first:][:above] - clean[:above]).mean(),
    less_shade=sum(weaker),
    number_of_images=len(weaker),
)
keys = ("raw", "subtracted", "equalized", "without")
report.glue(
    **{
        f"shade_{key}": 100 * amplitude
        for key, amplitude in zip(keys, shade.values(), strict=True)
    }
)

# %% [markdown]
# What is cut off takes {glue:text}`bar_share:.0f` % of the rows. It is alike in all micrographs of an instrument but
# for its text, and its text gives the sample away. Nor does it stay where it is:
# equalisation looks at the histogram of the whole image, so that a bar moves the grey levels of all
# other pixels too, here by {glue:text}`bar_change:.1f` on average.
#
# The shading of the micrograph in {numref}`figure-processing`, relative to its mean grey level, has an amplitude of
# {glue:text}`shade_raw:.0f` % as recorded, {glue:text}`shade_subtracted:.0f` % after the subtraction, which on a light
# background also makes the image brighter, and {glue:text}`shade_equalized:.0f` % after the equalisation, which
# brings out every difference. Equalised without subtraction, it would be {glue:text}`shade_without:.0f` %. With
# subtraction the shading is the weaker one in {glue:text}`less_shade:d` of {glue:text}`number_of_images:d` images; in
# the others the subtraction has not helped against it.
# The ball levels the ground of a dark patch, but not its weakened
# contrast, and equalisation brings that out: in stand-ins, whose charge weakens the signal in proportion, it becomes
# a paler patch rather than none. A network of this kind can learn a shade as well as a pore, and where
# there are few images to learn from, some shade will go along with $k_m$ by accident.

# %% [markdown]
# ## What the processing adds
#
# Processing can also put into the grey levels what was not in them. Take the two plainest numbers of an
# image, the mean and the standard deviation of its grey levels, and fit $k_m$ to them by a linear model.
# In the original images the operator's hand decides both, and the model should fail. Every
# formulation is predicted from a model that is fitted to the others. Few formulations cannot be told from chance:
# unless the set has at least ten of its own, stand-ins of random $k_m$ are drawn for this, and shown.

# %%
enough = len(data.formulations) >= 10 and not data.synthetic
seeds = [synthetic_seed + n for n in range(3)] if not enough else []
half = part_of_frame(parameters, 1 / 2)
controls = [draw_stand_ins(30, seed, half) for seed in seeds] or [data]
width = round(parameters.input_width * controls[0].shape[1] / data.shape[1])

# %%
tested = [
    baselines.grey_level_test(
        images_by_step(control, parameters, width), control.images
    )
    for control in controls
]

# %% mystnb={"figure": {"name": "figure-grey-levels", "caption": "$k_m$ predicted from the mean and the standard deviation of an image's grey levels alone, at each step of the processing; every formulation by a linear model that is fitted to the others. Above each panel the coefficient of determination of these predictions. With stand-ins, the first of the sets is shown."}, "image": {"alt": "Four scatter plots of predicted against true mass transfer coefficients, one for each step of the processing"}}
panels = figures.grey_level_figure(controls[0].k_m, tested[0])
report.save_figure(panels, "grey_levels", parameters)

# %%
tables.show_grey_levels(tested)

# %% tags=["remove-cell"]
report.glue(
    sets_tested=len(controls),
    images_tested=len(controls[0].micrographs),
)

# %% [markdown]
# Where a step is off, its row repeats the one above. Each set has {glue:text}`images_tested:d` images; the number of sets is {glue:text}`sets_tested:d`. An R² of 1 would
# be a perfect prediction; 0 is no better than the mean of all, and what is negative is worse. Where even the
# lowest R² of a row reaches some 0.2, brightness and contrast tell of $k_m$ at that step; if they do so in the
# original images, the operator's hand or the charging goes along with $k_m$. Where it does not, that is no proof
# that they tell nothing. With fewer than 20 images, chance reaches 0.2 about once in a hundred tests, or more often.
#
# Where brightness and contrast come to tell of $k_m$ on the way, a reason is geometry. Averaging over the pixels of
# the network's input evens out narrow pores more than wide ones, so that the contrast of the input
# measures their size. And more pixels reach the ball where the pores are wide, so that the subtraction
# leaves more of them white. The classic equalisation itself leaves little room for that: it gives all images the
# same mean and standard deviation, as far as pixels of one level stay together; the table says (±) how far that
# is. What a linear model still finds there is that share of white: the more of the pixels are white, the brighter
# the whole. A network that predicts $k_m$ from such images may thus need no more than one contrast for an image.
# That is a measure of structure, but a control that knows only these two numbers belongs beside the network.

# %% [markdown]
# ## What was shown
#
# - *Rolling ball* is the name of several algorithms; the one that the paper describes is ImageJ's on a light
#   background.
# - It is meant to level the shade of a charge: with it, less shading is left in {glue:text}`less_shade:d` of
#   {glue:text}`number_of_images:d` images here. Equalisation takes away most of the operator's brightness and contrast.
# - Averaging to the network's input size decides which pores can still be told apart, and turns their size into
#   contrast.
# - Next: [the network](03_network.ipynb) that reads these images.
