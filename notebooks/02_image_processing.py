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
# images so that the book can be computed on a laptop.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
crop: str = "auto"
check_pixel_size: bool = True
example_formulation: str = "C"
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
input_width: int = 128
results: str = ""

# %% tags=["hide-input"]
from fesemlib import figures, report
from fesemlib.dataset import load_dataset
from fesemlib.params import Parameters
from fesemlib.processing import network_inputs, process_with

figures.use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
report.data_banner(data, parameters)

# %% [markdown]
# ## Background subtraction
#
# Think of the image as a landscape whose height is the grey level. A ball rolls below it, wide enough
# to pass under the narrow walls of the pores and to follow only the slow changes of brightness; the
# surface that its top can reach is the background {cite}`sternberg1983`. Subtracting it leaves the
# fine structure on a nearly even ground: nearly, because a charge weakens the signal in proportion, so
# that its patch keeps less contrast than its surroundings and comes out paler. The paper uses the rolling ball of ImageJ {cite}`schneider2012`
# with a radius of 50 px, which should be about the size of the largest feature.
#
# ImageJ's ball is not that of every textbook: it shrinks the image before the ball rolls, trims the
# ball, and performs a grey-scale *opening*. This book follows ImageJ step by step, and its tests
# compare the results with images that ImageJ itself has processed. ImageJ's preset is a **light
# background**, for which the landscape is turned upside down first, and the ball rolls over it;
# the result is bright. The paper does not name the variant, but describes a histogram that is compressed
# and skewed to lighter values, and only the light variant gives that.
#
# ## Histogram equalisation
#
# What is left is bright and of low contrast. Equalisation maps the grey levels, in their order, so
# that each range of levels is used by about the same share of pixels: the cumulative distribution
# becomes a straight line {cite}`pizer1987`. After it, all micrographs have about the same histogram,
# whatever the operator had set.

# %%
example = data.first_image(parameters.example_formulation)
processed = process_with(parameters, data.micrographs[example].image)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-processing", "caption": "As Figure 2 of the paper: (a) the original micrograph, (b) after background subtraction, (c) after histogram equalisation, each with its histogram."}, "image": {"alt": "One micrograph in three processing steps with the histogram of its grey levels below each"}}
steps = figures.processing_figure(processed)
report.save_figure(steps, "figure_2", parameters)

# %% tags=["remove-cell"]
report.glue("mean_before", processed.original.mean())
report.glue("mean_subtracted", processed.subtracted.mean())
report.glue("spread_before", processed.original.std())
report.glue("spread_subtracted", processed.subtracted.std())
report.glue("spread_equalized", processed.equalized.std())

# %% [markdown]
# In numbers: background subtraction moves the mean grey level of this micrograph from
# {glue:text}`mean_before:.0f` to {glue:text}`mean_subtracted:.0f` and its standard deviation from
# {glue:text}`spread_before:.0f` to {glue:text}`spread_subtracted:.0f`; equalisation spreads it to
# {glue:text}`spread_equalized:.0f`. A perfectly even histogram has
# $255/\sqrt{12} \approx 74$. The equalised histogram is a comb rather than flat, because grey levels are
# whole numbers: pixels of one level move together, and leave gaps where contrast is stretched. Each
# histogram has a scale of its own.

# %% [markdown]
# ## The processed set
#
# Both steps are applied to every micrograph in the same way. Nothing is learnt from the images
# here, so that no information passes from one to another.

# %%
processed_set = [
    process_with(parameters, micrograph.image).equalized
    for micrograph in data.micrographs
]

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-processed", "caption": "As Figure 3 of the paper: all micrographs after processing, at full size."}, "image": {"alt": "The processed micrographs in a grid, labelled by formulation"}}
grid = figures.micrographs_figure(
    processed_set, list(data.images["formulation"]), data.pixel_size_um
)
report.save_figure(grid, "figure_3", parameters)

# %% [markdown]
# ## What the network sees
#
# The paper feeds the network with the full 2048 × 1536 pixels. Here each pixel of the network's input
# is the average over the area that it covers. That costs detail, and the detail that goes first is
# the finest: the pores of the densest cake.

# %%
inputs = network_inputs(data, parameters)
report.resolution(data, parameters)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-inputs", "caption": "The same micrographs at the size at which the network sees them."}, "image": {"alt": "The processed micrographs at the size of the network's input"}}
small = [(image * 255).round().astype("uint8") for image in inputs]
as_seen = figures.micrographs_figure(small, list(data.images["formulation"]))
report.save_figure(as_seen, "network_inputs", parameters)

# %% tags=["nbval-check-output"]
print(
    f"shape {inputs.shape}, {inputs.dtype}, from {inputs.min():.2f} to {inputs.max():.2f}"
)

# %% [markdown]
# ## In short
#
# - A rolling ball takes the dark shade of the charging away, though not all of its trace; equalisation
#   takes away most of the operator's brightness and contrast.
# - Averaging to the network's input size decides which pores can still be told apart.
# - Next: [the network](03_network) that reads these images.
