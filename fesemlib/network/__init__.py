"""The paper's network, what goes into it, and how it is trained."""

from fesemlib.network.architecture import build_network, layer_table, number_of_weights
from fesemlib.network.augmentation import augment
from fesemlib.network.engine import Settings, TargetScale, train_fold
from fesemlib.network.inputs import network_input, network_inputs, processed_micrographs

__all__ = [
    "Settings",
    "TargetScale",
    "augment",
    "build_network",
    "layer_table",
    "network_input",
    "network_inputs",
    "number_of_weights",
    "processed_micrographs",
    "train_fold",
]
