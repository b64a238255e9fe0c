"""Train a network on one fold.

The code here, in `network`, `fast_network`, `checkpoints` and `augmentation` determines a
prediction: finished folds are kept under a digest of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.augmentation import augment
from fesemlib.checkpoints import Checkpoint
from fesemlib.fast_network import executable_form
from fesemlib.network import build_network, initial_weights, load_tensorflow
from fesemlib.params import Parameters

__all__ = [
    "AbandonedError",
    "Engine",
    "Outcome",
    "Settings",
    "TargetScale",
    "engine_for",
    "train_fold",
    "use_one_thread",
]

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

# Keras' defaults for Adam.
_ADAM_MEAN, _ADAM_SQUARE, _ADAM_EPSILON = 0.9, 0.999, 1e-7


class AbandonedError(Exception):
    """A training ended early because nobody waits for it any more."""


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

        Examples
        --------
        >>> k_m = np.array([1e-3, 2e-3, 3e-3])
        >>> TargetScale.fit(k_m, "minmax").to_target(k_m).round(6).tolist()
        [0.0, 0.5, 1.0]
        """
        if target == "raw":
            return cls(0.0, 1.0)
        if target == "minmax":
            return cls(float(k_m.min()), float(np.ptp(k_m)) or 1.0)
        values = np.log10(k_m) if target == "log10" else k_m
        return cls(float(values.mean()), float(values.std()) or 1.0, target == "log10")

    def to_target(self, k_m: Values) -> Values:
        """From k_m in m² s⁻¹ to the network's target.

        Examples
        --------
        >>> scale = TargetScale(offset=-3.0, spread=1.0, logarithmic=True)
        >>> scale.to_target(np.array([1e-3, 1e-2])).round(6).tolist()
        [0.0, 1.0]
        """
        values = np.log10(k_m) if self.logarithmic else k_m
        scaled: Values = (values - self.offset) / self.spread
        return scaled

    def to_k_m(self, target: Values) -> Values:
        """From the network's output to k_m in m² s⁻¹.

        Examples
        --------
        >>> k_m = np.array([1e-3, 2e-3, 3e-3])
        >>> scale = TargetScale.fit(k_m, "log10")
        >>> bool(np.allclose(scale.to_k_m(scale.to_target(k_m)), k_m))
        True
        """
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
    head: str = "flatten"

    @classmethod
    def of(cls, parameters: Parameters) -> Settings:
        """The settings among the parameters.

        Examples
        --------
        >>> settings = Settings.of(Parameters(target="log10"))
        >>> settings.target, settings.dropout_rate
        ('log10', 0.5)
        """
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
    weights
        Of the network after the last epoch, in Keras' order.
    """

    test: Values
    train: Values
    weights: tuple[Images, ...] = ()


def train_fold(
    images: Images,
    k_m: Values,
    test: npt.NDArray[np.bool_],
    settings: Settings,
    transformations: Sequence[str],
    seed: np.random.SeedSequence,
    checkpoint: Checkpoint | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
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
    transformations
        Names of those under which every training image is shown (Section 5.1); the original is one
        of them.
    seed
        Of the initial weights, the dropout and the order of the images.
    checkpoint
        Where the state of the training is saved between epochs, and where a training with the same
        arguments that was killed is taken up again; the predictions are the same. It is left for
        the caller to remove.
    is_wanted
        Asked after every epoch but the last.

    Raises
    ------
    AbandonedError
        When the training is not wanted any more; its state has been saved.

    Examples
    --------
    TensorFlow must not have been used with more threads, so that this takes a process of its own.

    >>> from loky import get_reusable_executor
    >>> images = np.random.default_rng(0).random((3, 24, 32), np.float32)
    >>> fold = images, np.array([1e-3, 2e-3, 3e-3]), np.array([True, False, False])
    >>> settings = Settings.of(Parameters(epochs=2))
    >>> seed = np.random.SeedSequence(0)
    >>> process = get_reusable_executor(max_workers=1, reuse=True)
    >>> outcome = process.submit(train_fold, *fold, settings, ("original",), seed).result()
    >>> outcome.test.shape, outcome.train.shape  # of both epochs, and of the last one
    ((2, 1), (2,))
    """
    train_images = augment(images[~test], transformations)
    train_k_m = np.tile(k_m[~test], len(transformations))
    return _train(train_images, train_k_m, images[test], settings, seed, checkpoint, is_wanted)


def _train(
    train_images: Images,
    train_k_m: Values,
    test_images: Images,
    settings: Settings,
    seed: np.random.SeedSequence,
    checkpoint: Checkpoint | None,
    is_wanted: Callable[[], bool],
) -> Outcome:
    """Train a network from scratch and predict the test images after every epoch."""
    use_one_thread()
    weights_seed, order_seed, dropout_seed = (int(word) for word in seed.generate_state(3))
    scale = TargetScale.fit(train_k_m, settings.target)
    engine = engine_for((train_images.shape[1], train_images.shape[2]), settings)
    engine.start(weights_seed)
    train, test = engine.form.prepare(train_images), engine.form.prepare(test_images)
    targets = scale.to_target(train_k_m)[:, np.newaxis].astype(np.float32)
    predictions = checkpoint.restore(engine.variables) if checkpoint else []
    saved = time.monotonic()
    for epoch in range(len(predictions), settings.epochs):
        order = np.random.default_rng([order_seed, epoch]).permutation(len(train_images))
        engine.run_epoch(train, targets, order, epoch, dropout_seed)
        predictions.append(engine.predict(test))
        abandoned = epoch + 1 < settings.epochs and not is_wanted()
        if checkpoint and (abandoned or time.monotonic() - saved >= checkpoint.seconds):
            checkpoint.save(engine.variables, predictions)
            saved = time.monotonic()
        if abandoned:
            raise AbandonedError
    return Outcome(
        test=scale.to_k_m(np.array(predictions)),
        train=scale.to_k_m(engine.predict(train)),
        weights=tuple(engine.form.network.get_weights()),
    )


class Engine:
    """A network, its optimiser's state and the compiled functions that train it and predict.

    All that training changes is in `variables`. Nothing else is remembered between two epochs: the
    order of the images follows from seed and epoch, the dropped units from seed and step. An
    epoch that starts from the same variables therefore ends with the same variables.

    Attributes
    ----------
    form
        The network, in the form that is fast on this machine.
    variables
        The network's weights and, for each of them, Adam's two moments.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((2, 24, 32), np.float32)
    >>> engine = Engine((24, 32), Settings.of(Parameters()))
    >>> prepared = engine.form.prepare(images)
    >>> engine.start(seed=1)
    >>> before = engine.predict(prepared)
    >>> errors = engine.run_epoch(prepared, np.ones((2, 1), np.float32), np.arange(2), 0, 0)
    >>> engine.start(seed=1)  # the same seed, the same weights
    >>> bool((engine.predict(prepared) == before).all()), bool((errors > 0).all())
    (True, True)
    """

    def __init__(self, shape: tuple[int, int], settings: Settings) -> None:
        tensorflow = load_tensorflow()
        self._settings = settings
        self.form = executable_form(
            build_network(
                shape,
                settings.padding,
                settings.dropout_rate,
                settings.dropout_position,
                settings.initializer,
                head=settings.head,
            )
        )
        self._weights = [weight.value for weight in self.form.network.trainable_variables]
        self._means, self._squares = (
            [tensorflow.Variable(tensorflow.zeros_like(weight)) for weight in self._weights]
            for _ in range(2)
        )
        self.variables = [*self._weights, *self._means, *self._squares]
        self._run_epoch = tensorflow.function(self._steps, autograph=False)
        self._predict = tensorflow.function(self.form, autograph=False)

    def start(self, seed: int) -> None:
        """Set the weights that the seed gives, and the optimiser to its beginning."""
        drawn = initial_weights(self.form.network, seed)
        for weight, value in zip(self._weights, drawn, strict=True):
            weight.assign(value)
        for moment in (*self._means, *self._squares):
            moment.assign(np.zeros(moment.shape, np.float32))

    def run_epoch(
        self,
        images: Any,
        targets: Images,
        order: npt.NDArray[np.integer],
        epoch: int,
        dropout_seed: int,
    ) -> Values:
        """Train on all images in the given order; the mean squared error of every batch.

        Parameters
        ----------
        images
            From `form.prepare`.
        targets
            What the network should give, shape (n, 1).
        order
            A permutation of the n images; the batches are its consecutive parts.
        epoch
            The number of epochs before this one.
        dropout_seed
            Decides, with the number of the step, which units are dropped.
        """
        steps = math.ceil(len(order) / self._settings.batch_size)
        errors = self._run_epoch(
            images,
            load_tensorflow().constant(targets),
            load_tensorflow().constant(order.astype(np.int32)),
            np.int64(epoch * steps),
            np.int64(dropout_seed),
        )
        losses: Values = errors.numpy().astype(np.float64)
        return losses

    def predict(self, images: Any) -> Values:
        """The network's outputs for images from `form.prepare`, shape (n,); n may be 0."""
        size = self._settings.batch_size
        outputs = [
            self._predict(images[start : start + size]).numpy()
            for start in range(0, len(images), size)
        ]
        predicted: Values = np.concatenate([np.zeros((0, 1)), *outputs])[:, 0]
        return predicted

    def _steps(self, images: Any, targets: Any, order: Any, step: Any, dropout_seed: Any) -> Any:
        """One epoch as one graph, so that no step waits for Python.

        The loop is written as TensorFlow's, for its translator of Python's loops writes files that
        killed workers leave behind.
        """
        tensorflow = load_tensorflow()
        batch_size = self._settings.batch_size
        number = math.ceil(order.shape[0] / batch_size)

        def train_on_batch(index: Any, errors: Any) -> tuple[Any, Any]:
            batch = order[index * batch_size : (index + 1) * batch_size]
            error = self._step(
                tensorflow.gather(images, batch),
                tensorflow.gather(targets, batch),
                step + tensorflow.cast(index, "int64"),
                dropout_seed,
            )
            return index + 1, errors.write(index, error)

        start = (tensorflow.constant(0), tensorflow.TensorArray("float32", size=number))
        _, errors = tensorflow.while_loop(lambda index, _: index < number, train_on_batch, start)
        return errors.stack()

    def _step(self, images: Any, targets: Any, step: Any, dropout_seed: Any) -> Any:
        tensorflow = load_tensorflow()
        with tensorflow.GradientTape() as tape:
            predicted = self.form(images, tensorflow.stack([dropout_seed, step]))
            error = tensorflow.reduce_mean((predicted - targets) ** 2)
        gradients = tape.gradient(error, self._weights)
        self._adam(gradients, tensorflow.cast(step + 1, "float32"))
        return error

    def _adam(self, gradients: list[Any], step: Any) -> None:
        """Adam's step as TensorFlow's own operation, which reads and writes every number once.

        Keras' Adam computes the same from a dozen operations, each a pass over memory.
        """
        tensorflow = load_tensorflow()
        for weight, mean, square, gradient in zip(
            self._weights, self._means, self._squares, gradients, strict=True
        ):
            tensorflow.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=tensorflow.pow(_ADAM_MEAN, step),
                beta2_power=tensorflow.pow(_ADAM_SQUARE, step),
                lr=self._settings.learning_rate,
                beta1=_ADAM_MEAN,
                beta2=_ADAM_SQUARE,
                epsilon=_ADAM_EPSILON,
                grad=gradient,
            )


def engine_for(shape: tuple[int, int], settings: Settings) -> Engine:
    """The engine for images of this shape; folds of one kind share what is compiled.

    Examples
    --------
    >>> short, long = (Settings.of(Parameters(epochs=epochs)) for epochs in (30, 300))
    >>> engine_for((24, 32), short) is engine_for((24, 32), long)
    True
    """
    return _engine(shape, replace(settings, epochs=0, target=""))  # it knows of neither


@lru_cache(maxsize=1)
def _engine(shape: tuple[int, int], settings: Settings) -> Engine:
    return Engine(shape, settings)


def use_one_thread() -> None:
    """Let TensorFlow use one thread: then a training is repeatable to the last bit.

    Raises
    ------
    RuntimeError
        When this process has already used TensorFlow with another number.

    Examples
    --------
    >>> from loky import get_reusable_executor
    >>> process = get_reusable_executor(max_workers=1, reuse=True)
    >>> process.submit(use_one_thread).result()
    """
    threading = load_tensorflow().config.threading
    threading.set_intra_op_parallelism_threads(1)
    threading.set_inter_op_parallelism_threads(1)
