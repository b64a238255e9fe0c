"""Train a network on one fold.

The code of this room determines a prediction: finished folds are kept under a digest of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.network.architecture import build_network, number_of_inputs, tensorflow
from fesemlib.network.augmentation import augment
from fesemlib.network.checkpoints import Checkpoint
from fesemlib.network.fast import executable_form
from fesemlib.params import NetworkParameters, TrainingParameters

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

_LOGS = 50  # epochs, about, after which the predictions of the training images are kept

# Epochs that run as one graph: as many as take about so long, so that a kill costs little.
_MOST_AT_ONCE, _SECONDS_AT_ONCE = 64, 0.5

# Keras' defaults for Adam.
_ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}


class AbandonedError(Exception):
    """A training ended early because nobody waits for it any more."""


class Settings(TrainingParameters):
    """What determines a training: its parameters, and where it ends."""

    # Mean relative error on the training images, after a logged epoch, at which the training ends
    # before its last; 0 for never. The held-out images have no say in it.
    stop_at: float = 0.0


@dataclass(frozen=True)
class TargetScale:
    """The scale on which the network learns k_m: (v − offset) / spread of v = k_m or log10 k_m."""

    offset: float
    spread: float
    logarithmic: bool = False

    @classmethod
    def fit(cls, k_m: Values, target: str) -> TargetScale:
        """The scale that the k_m of a training set, m² s⁻¹, shape (n,), define.

        ``"minmax"`` (to [0, 1]), ``"zscore"``, ``"raw"`` or ``"log10"`` (of k_m in m² s⁻¹, then to
        zero mean and unit variance).
        """
        values = np.log10(k_m) if target == "log10" else k_m
        scales = {"raw": (0.0, 1.0), "minmax": (values.min(), np.ptp(values))}
        offset, spread = scales.get(target, (values.mean(), values.std()))
        return cls(float(offset), float(spread) or 1.0, target == "log10")

    def to_target(self, k_m: Values) -> Values:
        """From k_m in m² s⁻¹ to the network's target."""
        values = np.log10(k_m) if self.logarithmic else k_m
        return np.asarray((values - self.offset) / self.spread)

    def to_k_m(self, target: Values) -> Values:
        """From the network's output to k_m in m² s⁻¹."""
        values = target * self.spread + self.offset
        with np.errstate(over="ignore"):  # of a training that diverged
            return np.power(10.0, values) if self.logarithmic else values


@dataclass(frozen=True)
class InputScale:
    """The scale on which the network is shown an image: (image − offset) · factor."""

    offset: float = 0.0
    factor: float = 1.0

    @classmethod
    def fit(cls, images: Images, settings: TrainingParameters) -> InputScale:
        """The scale that a training set in [0, 1], shape (n, h, w), defines.

        `limit_first_step` divides by √r where r, the learning rate times the number of inputs of a
        hidden unit, is more than one.
        """
        # Adam's first step moves every weight by the learning rate, and so a hidden unit by up to
        # about r times its own scale. A network with its first weights is in proportion to its
        # input, so that a smaller input leaves this ratio as it is; but step and output shrink
        # beside the targets, and what follows need not push back as hard. √r is a compromise
        # between a first step that grows with the number of inputs and one that does not; it was
        # not tuned.
        factor = 1.0
        if settings.limit_first_step:
            inputs = number_of_inputs(images.shape[1:3], settings.padding, settings.head)
            factor = 1.0 / math.sqrt(max(settings.learning_rate * inputs, 1.0))
        if settings.input_scaling == "unit":
            return cls(factor=factor)
        mean, deviation = (float(value) for value in (images.mean(), images.std()))
        if settings.input_scaling == "standardised":
            factor /= deviation or 1.0
        return cls(mean, factor)

    def of(self, images: Images) -> Images:
        """The images as the network is shown them."""
        if self == InputScale():
            return images
        return (images - np.float32(self.offset)) * np.float32(self.factor)


@dataclass(frozen=True)
class Outcome:
    """What a trained fold predicts: k_m in m² s⁻¹."""

    test: Values  # of the held-out images after every epoch, (epochs, images)
    train: Values  # of the training images after the logged epochs, (logs, images)
    logged: npt.NDArray[np.int64]  # these, the last of the training being the last, (logs,)
    weights: tuple[Images, ...] = ()  # after the last epoch, in Keras' order


def logged_epochs(epochs: int) -> npt.NDArray[np.int64]:
    """About fifty epochs on a logarithmic scale, the last among them."""
    return np.unique(np.geomspace(1, epochs, _LOGS).round().astype(np.int64))


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
    """Train a network from scratch on one part of the images and predict the other, `test`.

    TensorFlow is set to one thread, which makes the result repeatable to the last bit: call this in
    a process that has not used TensorFlow before. The images, shape (n, h, w), are in [0, 1]; k_m
    (n,) in m² s⁻¹. Every training image is shown under each of the `transformations` (Section 5.1).
    The seed decides the initial weights, the dropout and the order of the images.

    The state of the training is saved in the checkpoint between epochs, and a training with the
    same arguments that was killed is taken up there, with the same predictions; it is left for the
    caller to remove. `is_wanted` is asked every few epochs, but not after the last; where it says
    no, the state is saved and an AbandonedError raised.
    """
    use_one_thread()
    train_images = augment(images[~test], transformations)
    train_k_m = np.tile(k_m[~test], len(transformations))
    weights_seed, order_seed, dropout_seed = (int(word) for word in seed.generate_state(3))
    scale = TargetScale.fit(train_k_m, settings.target)
    shown = InputScale.fit(train_images, settings)
    engine = engine_for((images.shape[1], images.shape[2]), settings)
    engine.start(weights_seed)
    train, held_out = (engine.form.prepare(shown.of(part)) for part in (train_images, images[test]))
    targets = scale.to_target(train_k_m)[:, np.newaxis].astype(np.float32)
    predictions, fits = checkpoint.restore(engine.variables) if checkpoint else ([], [])
    logged, ended = logged_epochs(settings.epochs), False
    saved, at_once = time.monotonic(), 1
    while not ended:
        begun, epoch = time.monotonic(), len(predictions)
        end = min(epoch + at_once, int(logged[len(fits)]))
        orders = [
            np.random.default_rng([order_seed, number]).permutation(len(train_images))
            for number in range(epoch, end)
        ]
        _, predicted = engine.run_epochs(
            train, targets, orders, epoch, dropout_seed, held_out, settings.epochs
        )
        predictions.extend(predicted)
        if end == logged[len(fits)]:
            fits.append(engine.predict(train))
            error = np.mean(np.abs(scale.to_k_m(fits[-1]) - train_k_m) / train_k_m)
            ended = end == settings.epochs or bool(error <= settings.stop_at)
        at_once = at_once * 2 if time.monotonic() - begun < _SECONDS_AT_ONCE else at_once // 2
        at_once = min(max(at_once, 1), _MOST_AT_ONCE)
        abandoned = not ended and not is_wanted()
        seconds = time.monotonic() - saved
        # Not at the end: a training that is taken up goes on for one epoch at least.
        if checkpoint and not ended and (abandoned or seconds >= checkpoint.seconds):
            checkpoint.save(engine.variables, predictions, fits)
            saved = time.monotonic()
        if abandoned:
            raise AbandonedError
    return Outcome(
        test=scale.to_k_m(np.array(predictions)),
        train=scale.to_k_m(np.array(fits)),
        logged=logged[: len(fits)],
        weights=tuple(engine.form.network.get_weights()),
    )


class Engine:
    """A network, its optimiser's state and the compiled functions that train it and predict.

    All that training changes is in `variables`: the network's weights and, for each of them, Adam's
    two moments. Nothing else is remembered between two epochs: the order of the images follows
    from seed and epoch, the dropped units from seed and step. An epoch that starts from the same
    variables therefore ends with the same variables.
    """

    def __init__(self, shape: tuple[int, int], settings: Settings) -> None:
        self._shape, self._settings = shape, settings
        self.form = executable_form(self._network())
        self._weights = [weight.value for weight in self.form.network.trainable_variables]
        self._means, self._squares = (
            [tensorflow.Variable(tensorflow.zeros_like(weight)) for weight in self._weights]
            for _ in range(2)
        )
        self.variables = [*self._weights, *self._means, *self._squares]
        self._run_epochs = tensorflow.function(self._epochs, autograph=False)
        self._predict = tensorflow.function(self.form, autograph=False)

    def _network(self, seed: int = 0) -> Any:
        return build_network(self._shape, **NetworkParameters.values_of(self._settings), seed=seed)

    def start(self, seed: int) -> None:
        """Set the weights that the seed gives, and the optimiser to its beginning."""
        for weight, value in zip(self._weights, self._network(seed).get_weights(), strict=True):
            weight.assign(value)
        for moment in (*self._means, *self._squares):
            moment.assign(np.zeros(moment.shape, np.float32))

    def run_epochs(
        self,
        images: Any,
        targets: Images,
        orders: npt.ArrayLike,
        first: int,
        dropout_seed: int,
        test: Any = None,
        last: int = 1,
    ) -> tuple[Values, Values]:
        """Train on all images, epoch after epoch as one graph, and predict others after each.

        `images` and `test` come from `form.prepare`, `targets` have shape (n, 1). The rows of
        `orders`, at most 64, are permutations of the n images: the batches of an epoch are the
        consecutive parts of one. There were `first` epochs before these, and will be `last` in all,
        at which a schedule arrives. Returns the mean squared error of every batch before its step,
        shape (epochs, batches), and the outputs for the other images, shape (epochs, images).
        """
        given = np.asarray(orders, dtype=np.int32)
        padded = np.zeros((_MOST_AT_ONCE, given.shape[1]), np.int32)  # one shape, one graph
        padded[: len(given)] = given
        steps = math.ceil(given.shape[1] / self._settings.batch_size)
        data = (images, tensorflow.constant(targets), images[:0] if test is None else test)
        counts = map(np.int64, (first * steps, last * steps, dropout_seed))
        rows = (tensorflow.constant(padded), np.int32(len(given)))
        errors, predictions = self._run_epochs(data, *rows, *counts)
        return errors.numpy().astype(np.float64), predictions.numpy().astype(np.float64)

    def predict(self, images: Any) -> Values:
        """The network's outputs for images from `form.prepare`, shape (n,); n may be 0."""
        outputs = [self._predict(part).numpy() for part in self._batches(images)]
        return np.concatenate([np.zeros((0, 1)), *outputs])[:, 0]

    def _batches(self, images: Any) -> list[Any]:
        size = self._settings.batch_size
        return [images[start : start + size] for start in range(0, images.shape[0], size)]

    def _epochs(self, data: Any, orders: Any, number: Any, step: Any, last: Any, seed: Any) -> Any:
        """Epochs as one graph, so that no step waits for Python.

        The loops are TensorFlow's own, for its translator of Python's loops writes files that
        killed workers leave behind.
        """
        images, targets, test = data
        size = self._settings.batch_size
        steps = math.ceil(orders.shape[1] / size)

        def run_epoch(epoch: Any) -> tuple[Any, Any]:
            def train_on_batch(index: Any) -> Any:
                batch = orders[epoch, index * size : (index + 1) * size]
                now = step + tensorflow.cast(epoch * steps + index, "int64")
                shown, wanted = (tensorflow.gather(each, batch) for each in (images, targets))
                return self._step(shown, wanted, now, self._rate(now, last), seed)

            losses = tensorflow.map_fn(
                train_on_batch, tensorflow.range(steps), fn_output_signature="float32"
            )
            with tensorflow.control_dependencies([losses]):
                outputs = [self.form(tensorflow.identity(part)) for part in self._batches(test)]
            return losses, tensorflow.concat([tensorflow.zeros((0, 1)), *outputs], axis=0)[:, 0]

        signature = ("float32", "float32")
        return tensorflow.map_fn(run_epoch, tensorflow.range(number), fn_output_signature=signature)

    def _rate(self, step: Any, last: Any) -> Any:
        """The learning rate of a step: constant, or a cosine's way from its value to zero."""
        if self._settings.learning_rate_schedule == "constant":
            return self._settings.learning_rate
        share = tensorflow.cast(step, "float32") / tensorflow.cast(last, "float32")
        return self._settings.learning_rate * 0.5 * (1.0 + tensorflow.cos(math.pi * share))

    def _step(self, images: Any, targets: Any, step: Any, rate: Any, dropout_seed: Any) -> Any:
        """One step of Adam, as TensorFlow's own operation, which passes once over memory.

        Keras' Adam computes the same from a dozen operations.
        """
        with tensorflow.GradientTape() as tape:
            predicted = self.form(images, tensorflow.stack([dropout_seed, step]))
            error = tensorflow.reduce_mean((predicted - targets) ** 2)
        gradients = tape.gradient(error, self._weights)
        number = tensorflow.cast(step + 1, "float32")
        options = {
            "beta1_power": tensorflow.pow(_ADAM["beta1"], number),
            "beta2_power": tensorflow.pow(_ADAM["beta2"], number),
            "lr": rate,
            **_ADAM,
        }
        for weight, mean, square, gradient in zip(
            self._weights, self._means, self._squares, gradients, strict=True
        ):
            tensorflow.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=mean.handle, v=square.handle, grad=gradient, **options
            )
        return error


def engine_for(shape: tuple[int, int], settings: Settings) -> Engine:
    """The engine for images of this shape; folds of one kind share what is compiled."""
    without_say = {"epochs": 0, "stop_at": 0.0, "target": "", "input_scaling": ""}
    return _engine(shape, settings.changed(**without_say, limit_first_step=False))


@lru_cache(maxsize=1)
def _engine(shape: tuple[int, int], settings: Settings) -> Engine:
    return Engine(shape, settings)


def use_one_thread() -> None:
    """Let TensorFlow use one thread: then a training is repeatable to the last bit.

    A RuntimeError when this process has already used TensorFlow with another number.
    """
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
