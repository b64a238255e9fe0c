"""Train a network on one fold.

The code here, in `network` and in `augmentation` determines a prediction: finished folds are kept
under a digest of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.augmentation import TRANSFORMATIONS, augment
from fesemlib.network import build_network, load_tensorflow
from fesemlib.params import Parameters

__all__ = ["Outcome", "Settings", "TargetScale", "train_fold"]

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TargetScale:
    """The scale on which the network learns k_m.

    Attributes
    ----------
    offset, spread
        The network's target is (v − offset) / spread, where v is k_m or its decimal logarithm.
    logarithmic
        Whether v is the logarithm.
    """

    offset: float
    spread: float
    logarithmic: bool = False

    @classmethod
    def fit(cls, k_m: Values, target: str) -> TargetScale:
        """The scale that a training set defines.

        Parameters
        ----------
        k_m
            Of the training images, m² s⁻¹, shape (n,).
        target
            ``"minmax"`` (to [0, 1]), ``"zscore"``, ``"raw"`` or ``"log10"`` (of k_m in m² s⁻¹,
            then to zero mean and unit variance).
        """
        if target == "raw":
            return cls(0.0, 1.0)
        if target == "minmax":
            return cls(float(k_m.min()), float(np.ptp(k_m)) or 1.0)
        values = np.log10(k_m) if target == "log10" else k_m
        return cls(float(values.mean()), float(values.std()) or 1.0, target == "log10")

    def to_target(self, k_m: Values) -> Values:
        """From k_m in m² s⁻¹ to the network's target."""
        values = np.log10(k_m) if self.logarithmic else k_m
        scaled: Values = (values - self.offset) / self.spread
        return scaled

    def to_k_m(self, target: Values) -> Values:
        """From the network's output to k_m in m² s⁻¹."""
        values = target * self.spread + self.offset
        return np.power(10.0, values) if self.logarithmic else values


@dataclass(frozen=True)
class Settings:
    """What of the parameters determines a training; see `fesemlib.params`."""

    padding: str
    dropout_rate: float
    dropout_position: str
    initializer: str
    target: str
    epochs: int
    learning_rate: float
    batch_size: int

    @classmethod
    def of(cls, parameters: Parameters) -> Settings:
        """The settings among the parameters."""
        return cls(**parameters.model_dump(include=set(cls.__dataclass_fields__)))


@dataclass(frozen=True)
class Outcome:
    """What a trained fold predicts.

    Attributes
    ----------
    test
        Predicted k_m of the held-out images after every epoch, m² s⁻¹, shape (epochs, images).
    train
        Predicted k_m of the training images after the last epoch, m² s⁻¹, shape (images,).
    """

    test: Values
    train: Values


def train_fold(
    images: Images,
    k_m: Values,
    test: npt.NDArray[np.bool_],
    settings: Settings,
    augmented: bool,
    seed: np.random.SeedSequence,
) -> Outcome:
    """Train a network from scratch on one part of the images and predict the other.

    TensorFlow is set to one thread, which makes the result repeatable to the last bit; call this in
    a process that has not used TensorFlow before.

    Parameters
    ----------
    images
        Inputs of the network, in [0, 1], shape (n, h, w).
    k_m
        Their mass transfer coefficients, m² s⁻¹, shape (n,).
    test
        Which of them are held out, shape (n,).
    settings
        Network and training.
    augmented
        Whether the training set is augmented (Section 5.1).
    seed
        Of the initial weights, the dropout and the order of the images.
    """
    train_images, train_k_m = images[~test], k_m[~test]
    if augmented:
        train_images = augment(train_images)
        train_k_m = np.tile(train_k_m, len(TRANSFORMATIONS))
    return _train(train_images, train_k_m, images[test], settings, seed)


def _train(
    train_images: Images,
    train_k_m: Values,
    test_images: Images,
    settings: Settings,
    seed: np.random.SeedSequence,
) -> Outcome:
    """Train a network from scratch and predict the test images after every epoch."""
    tensorflow = _tensorflow_with_one_thread()
    keras = tensorflow.keras
    weights_seed, order_seed = seed.generate_state(2)
    network = build_network(
        (train_images.shape[1], train_images.shape[2]),
        settings.padding,
        settings.dropout_rate,
        settings.dropout_position,
        settings.initializer,
        seed=int(weights_seed),
    )
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(network.trainable_variables)
    scale = TargetScale.fit(train_k_m, settings.target)
    images = tensorflow.constant(train_images[..., np.newaxis])
    targets = tensorflow.constant(scale.to_target(train_k_m)[:, np.newaxis], "float32")
    test = tensorflow.constant(test_images[..., np.newaxis])

    def step(batch: Any) -> None:
        with tensorflow.GradientTape() as tape:
            predicted = network(tensorflow.gather(images, batch), training=True)
            error = tensorflow.reduce_mean((predicted - tensorflow.gather(targets, batch)) ** 2)
        gradients = tape.gradient(error, network.trainable_variables)
        optimizer.apply(gradients, network.trainable_variables)

    compiled_step = tensorflow.function(step)
    predict = tensorflow.function(lambda batch: network(batch, training=False))
    order = np.random.default_rng(order_seed)
    predictions = []
    for _ in range(settings.epochs):
        shuffled = order.permutation(len(train_images)).astype(np.int32)
        for start in range(0, len(shuffled), settings.batch_size):
            compiled_step(tensorflow.constant(shuffled[start : start + settings.batch_size]))
        predictions.append(predict(test).numpy()[:, 0])
    trained = np.concatenate([predict(image[np.newaxis]).numpy()[:, 0] for image in images])
    keras.utils.clear_session()
    return Outcome(
        test=scale.to_k_m(np.array(predictions, dtype=np.float64)),
        train=scale.to_k_m(trained.astype(np.float64)),
    )


def _tensorflow_with_one_thread() -> Any:
    """TensorFlow with one thread: then a training is repeatable to the last bit."""
    tensorflow = load_tensorflow()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow
