"""The paper's network, what goes into it, and how it is trained."""

from fesemlib.network.architecture import build_network, layer_table, number_of_weights
from fesemlib.network.augmentation import augment
from fesemlib.network.inputs import network_input, network_inputs

__all__ = [
    "augment",
    "build_network",
    "layer_table",
    "network_input",
    "network_inputs",
    "number_of_weights",
]
