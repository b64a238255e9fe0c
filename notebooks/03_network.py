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
# # The network
#
# A convolutional network reads an image through small windows. Each **convolution** slides a 3 × 3
# window over the image and answers, at every place, how well what it sees matches a pattern; the
# patterns, called filters, are what is learnt. A **rectified linear unit** (ReLU) keeps the
# positive answers. **Max pooling** then keeps the strongest of every 2 × 2 answers, which halves both
# sides. After three such blocks a handful of filters has looked at the image on three scales. What is
# left is **flattened** into a long list of numbers and fed to a **dense** layer of ten units and a last one
# that returns a single number: the prediction of $k_m$.
#
# **What you will learn**
#
# - what each layer of the network does, and where its weights are;
# - how it is trained, and which choices the paper leaves open.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
input_width: int = 128
padding: str = "same"
dropout_rate: float = 0.5
dropout_position: str = "flatten"
initializer: str = "glorot_uniform"
head: str = "flatten"
results: str = ""

# %% tags=["hide-input"]
import numpy as np

from fesemlib.dataset import load_dataset
from fesemlib.network.architecture import build_network, layer_table
from fesemlib.network.fast import FastForm, StandardForm
from fesemlib.pages import report, statements
from fesemlib.pages.figures import network as figures
from fesemlib.pages.style import use_style
from fesemlib.pages.tables import data as tables
from fesemlib.params import Parameters
from fesemlib.processing import input_shape, resize_by_area

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# The network is small by today's standards: 4, 8 and 16 filters. It is close to networks
# that had been used for images of porous media before (references 20 and 30 of {cite:t}`marcato2025`).
# Its first weights are random. In training, *dropout* switches numbers off at random in each step, by
# default half of those that enter the ten units, so that no single one is relied on {cite}`srivastava2014`. The paper does not
# say where its dropout acts; [the next chapter](04_loocv_baseline.ipynb) compares the two places.

# %%
shape = input_shape(data.shape, parameters.input_width)
network = build_network(
    shape,
    padding=parameters.padding,
    dropout_rate=parameters.dropout_rate,
    dropout_position=parameters.dropout_position,
    initializer=parameters.initializer,
    head=parameters.head,
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-network", "caption": "As Figure 4 of the paper: the architecture of the network, drawn from this book's own Keras model. Numbers over the layers are width, height and channels of their output, or their number of units."}, "image": {"alt": "The layers of the network from left to right: stacks of feature maps that shrink, then dense layers"}}
architecture = figures.network_figure(network)
report.save_figure(architecture, "figure_4", parameters)

# %% tags=["nbval-check-output"]
layers = layer_table(network)
layers

# %% tags=["remove-cell"]
report.save_table(layers, "layers", parameters)
full_size = build_network(
    data.shape, padding=parameters.padding, head=parameters.head
)
convolutions = layers.loc[layers["type"] == "Conv2D", "parameters"].sum()
# %% tags=["remove-cell"]
report.glue("input_width", shape[1])
report.glue("input_height", shape[0])
report.glue("weights", network.count_params())
report.glue("weights_of_convolutions", convolutions)
report.glue(
    "share_of_dense",
    100 * layers.loc["dense", "parameters"] / network.count_params(),
)
report.glue("weights_at_full_size", full_size.count_params() / 1e6)

# %% [markdown]
# At {glue:text}`input_width` × {glue:text}`input_height` px the network has {glue:text}`weights:,d`
# weights. Only {glue:text}`weights_of_convolutions:,d` of them belong to the convolutions. The dense layer
# holds {glue:text}`share_of_dense:.1f` %, since each of its ten units has a weight of its own for every
# number in the flattened list, that is for every *place* in the image; at the micrographs' full size there
# would be {glue:text}`weights_at_full_size:.2f` million weights in all. A handful of micrographs to learn
# from is little beside that: many settings of the weights fit them, and which one a training ends in
# depends on where it started.

# %% tags=["remove-input"]
tables.resolution(data, parameters)

# %% [markdown]
# ## Training
#
# Training changes the weights step by step so that the mean squared error between predicted and true
# $k_m$ falls. The steps are Adam's {cite}`kingma2015`, by default with the paper's learning rate of 10⁻⁴
# and from up to 16 images each; the paper's eight training images all enter every step. Several choices
# are left open by the paper. This book makes each of them a [parameter](../book/parameters.md) and starts
# from what is usual; the most consequential are these:
#
# - $k_m$ is of the order of 10⁻³, too small a number for a network to start from. By default the network
#   learns $k_m$ scaled to the range from 0 to 1 of its training set; the predictions are scaled back.
# - The number of passes over the training set (*epochs*) is fixed beforehand and the same for all
#   formulations, large enough that the networks fit what they are shown. It is **not** chosen by looking at the
#   micrograph that is to be predicted.
# - The first weights, the dropout and the order of the images are random. A training can therefore be
#   repeated from several *seeds*, and all are reported.
#
# ## The form that trains
#
# Keras computes the network layer by layer. On a processor most of the time goes into memory, not into
# arithmetic, and the largest lists of numbers are those between a convolution and its pooling. ReLU and
# the addition of a constant do not change which of four numbers is the largest, so that
#
# $$\max_{2 \times 2}\,\mathrm{ReLU}(c + b) = \mathrm{ReLU}\bigl(\max_{2 \times 2}\,c + b\bigr)$$
#
# for a convolution $c$ and its bias $b$: the right-hand side applies both to a quarter of the numbers.
# Training on a processor uses this form (`fesemlib.network.fast`, which also says how the gradient is
# computed faster). It reads and changes the weights of the Keras network above, and is the same function but for
# rounding:

# %%
images = [
    resize_by_area(micrograph.image, parameters.input_width) / 255
    for micrograph in data.micrographs[:3]
]
outputs = [
    np.asarray(form(form.prepare(np.stack(images))))
    for form in (StandardForm(network), FastForm(network))
]
print(f"largest difference: {abs(outputs[0] - outputs[1]).max():.0e}")

# %% [markdown]
# ## What was shown
#
# - {glue:text}`weights_of_convolutions:,d` of {glue:text}`weights:,d` weights belong to the filters that are to recognise
#   pores; the dense layer holds {glue:text}`share_of_dense:.1f` %.
# - The target is scaled, the number of epochs is fixed beforehand, and a training can be repeated from several seeds.
# - Next: [leaving one formulation out](04_loocv_baseline.ipynb).
