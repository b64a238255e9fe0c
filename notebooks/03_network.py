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
from fesemlib.network.architecture import (
    build_network,
    layer_table,
    load_tensorflow,
    number_of_weights,
)
from fesemlib.network.fast import FastForm, StandardForm
from fesemlib.network.inputs import network_inputs
from fesemlib.pages import report, statements
from fesemlib.pages.figures import network as figures
from fesemlib.pages.style import use_style
from fesemlib.params import Parameters

load_tensorflow()  # without the lines that it writes when it starts
import keras
from keras import layers

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## The network of the paper
#
# It is small by today's standards: 4, 8 and 16 filters. It is close to networks
# that had been used for images of porous media before (references 20 and 30 of {cite:t}`marcato2025`).
# Its first weights are random. In training, *dropout* switches numbers off at random in each step, here
# half of those that enter the ten units, so that no single one is relied on {cite}`srivastava2014`. The paper does
# not say where its dropout acts; [the next chapter](04_loocv_baseline.ipynb) compares the two places. Layer by
# layer, in Keras:

# %%
inputs = network_inputs(data, parameters)  # images × height × width
paper_network = keras.Sequential(
    [
        keras.Input((*inputs.shape[1:], 1)),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="relu"),
        layers.Dense(1),
    ]
)

# %% [markdown]
# This book's `build_network` makes the same network. Its parameters offer what the paper leaves open, and its seed
# gives the same first weights every time. With the weights of the network above, it gives the same answers:

# %% tags=["nbval-check-output"]
same = build_network(inputs.shape[1:])
same.set_weights(paper_network.get_weights())
answers = [each(inputs[:3, ..., None]) for each in (paper_network, same)]
print(f"weights: {paper_network.count_params():,}, {same.count_params():,}")
print("the same answers:", np.allclose(*answers))

# %% [markdown]
# The chapters that follow use it with the parameters of this run; unless these are changed, it is the network above:

# %%
network = build_network(
    inputs.shape[1:],
    padding=parameters.padding,
    dropout_rate=parameters.dropout_rate,
    dropout_position=parameters.dropout_position,
    initializer=parameters.initializer,
    head=parameters.head,
)

# %% mystnb={"figure": {"name": "figure-network", "caption": "As Figure 4 of the paper: the architecture of the network, drawn from this book's own Keras model. Numbers over the layers are width, height and channels of their output, or their number of units."}, "image": {"alt": "The layers of the network from left to right: stacks of feature maps that shrink, then dense layers"}}
architecture = figures.network_figure(network)
report.save_figure(architecture, "figure_4", parameters)

# %% tags=["nbval-check-output"]
report.save_table(layer_table(network), "layers", parameters)

# %% tags=["remove-cell"]
of_layers = layer_table(network)
convolutional = of_layers["type"] == "Conv2D"
of_dense = of_layers.loc["dense", "parameters"]
full_size = number_of_weights(data.shape, parameters.padding, parameters.head)
report.glue(
    input_width=inputs.shape[2],
    input_height=inputs.shape[1],
    weights=network.count_params(),
    weights_of_convolutions=of_layers.loc[convolutional, "parameters"].sum(),
    share_of_dense=100 * of_dense / network.count_params(),
    weights_at_full_size=full_size / 1e6,
)

# %% [markdown]
# At {glue:text}`input_width:d` × {glue:text}`input_height:d` px
# ([what such an input leaves to be seen](02_image_processing.ipynb)) the network has {glue:text}`weights:,d` weights.
# {glue:text}`weights_of_convolutions:,d` belong to the convolutions, whatever the size of the images, and the dense
# layer holds {glue:text}`share_of_dense:.1f` %. Where the last maps are flattened, as in the paper, each of the ten
# units has a weight of its own for every number in the list, that is for every *place* in the image, and the wider
# the images, the more there are; where the maps are averaged (`head: global_average`), it has one for every map. At
# the micrographs' full size there would be {glue:text}`weights_at_full_size:.3g` million weights in all. A handful of
# micrographs to learn from is little beside such numbers: many settings of the weights fit them, and which one a
# training ends in depends on where it started.

# %% [markdown]
# ## Training
#
# Training changes the weights step by step so that the mean squared error between predicted and true
# $k_m$ falls. The steps are Adam's {cite}`kingma2015`, by default with the paper's learning rate of 10⁻⁴
# and from up to 16 images each; the paper's eight training images all enter every step. Several choices
# are left open by the paper. This book makes each of them a [parameter](../book/parameters.md) and starts
# from what is usual; the most consequential are these:
#
# - $k_m$ is of the order of 10⁻³ in the paper, too small a number for a network to start from. By default the network
#   learns $k_m$ scaled to the range from 0 to 1 of its training set; the predictions are scaled back.
# - The number of passes over the training set (*epochs*) is fixed beforehand and the same for all
#   formulations, meant to be large enough that the networks fit what they are shown. By default it is **not**
#   chosen by looking at the micrograph that is to be predicted.
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
forms = (StandardForm(network), FastForm(network))
outputs = [np.asarray(form(form.prepare(inputs[:3]))) for form in forms]
print(f"largest difference: {abs(outputs[0] - outputs[1]).max():.0e}")

# %% [markdown]
# ## What was shown
#
# - The paper's network is eleven lines of Keras. {glue:text}`weights_of_convolutions:,d` of
#   {glue:text}`weights:,d` weights belong to the filters that are to recognise pores; the dense layer holds
#   {glue:text}`share_of_dense:.1f` %.
# - The target is scaled, the number of epochs is fixed beforehand, and a training can be repeated from several seeds.
# - Next: [leaving one formulation out](04_loocv_baseline.ipynb).
