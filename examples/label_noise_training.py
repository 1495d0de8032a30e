"""One run of the grid of label_noise.py: trains a network and measures it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from label_noise_report import Cell, Result
from train_cnn_report import expected_calibration_error

import tfmixup
import tfmixup.datasets

Images = tuple[np.ndarray, np.ndarray]
AT_ONCE = 1000  # test images in one call of the network


def load_images(
    name: str, data_dir: str | None = None, limit: int | None = None
) -> tuple[Images, Images, int]:
    """Returns training and test images, uint8 (N, H, W, C), with their class ids.

    The third returned value is the number of classes.
    """
    splits, info = tfmixup.datasets.load(
        name, ["train", "test"], data_dir, as_supervised=True
    )
    label = info.features[info.supervised_keys[1]]
    if not hasattr(label, "names"):
        raise SystemExit(
            f"--dataset {name}: its label is {label}, but this example needs one class "
            f"an image; choose an image classification set such as cifar10"
        )
    if limit is not None:
        splits[0] = splits[0].take(limit)
    train, test = (next(s.batch(1 << 30).as_numpy_iterator()) for s in splits)
    return train, test, label.num_classes


def corrupt(labels: np.ndarray, share: float, classes: int, seed: int) -> np.ndarray:
    """Draws the labels of a share of the examples anew, uniformly over all classes.

    One in `classes` of the new labels is right by chance. With the same seed, a larger
    share corrupts the labels of every smaller share in the same way, and some more.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(labels))[: round(share * len(labels))]
    corrupted = labels.copy()
    corrupted[rows] = random.integers(0, classes, len(labels))[: len(rows)]
    return corrupted


def small_cnn(shape: Sequence[int], classes: int) -> keras.Model:
    """The network of train_cnn.py without dropout. It has logits and no softmax."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes),  # logits
        ]
    )


class Network:
    """A network whose graphs are built once and serve all runs."""

    def __init__(self, shape: Sequence[int], classes: int, learning_rate: float):
        """Builds the network and its optimizer, Adam."""
        self.make = lambda: small_cnn(shape, classes)
        self.model = self.make()
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self.optimizer.build(self.model.trainable_variables)
        self._fresh = [variable.numpy() for variable in self.optimizer.variables]

    def reset(self, seed: int) -> None:
        """Starts anew, with initial weights drawn from the seed."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(self.make().get_weights())
        for variable, value in zip(self.optimizer.variables, self._fresh):
            variable.assign(value)

    @tf.function
    def train(self, batches: Any, steps: tf.Tensor) -> None:
        """Trains on `steps` batches of an iterator, in a loop inside the graph."""
        variables = self.model.trainable_variables
        for _ in tf.range(steps):
            images, labels = next(batches)
            with tf.GradientTape() as tape:
                logits = self.model(images, training=True)
                loss = tf.reduce_mean(
                    tf.nn.softmax_cross_entropy_with_logits(labels, logits)
                )
            self.optimizer.apply(tape.gradient(loss, variables), variables)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Predicts in batches. Returns float64 of shape (N, classes)."""
        parts = np.array_split(images, -(-len(images) // AT_ONCE))
        return np.concatenate([self._logits(part).numpy() for part in parts])

    @tf.function(reduce_retracing=True)
    def _logits(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.model(tf.cast(images, tf.float32)), tf.float64)

    def attack(self, images: np.ndarray, labels: np.ndarray, size: float) -> np.ndarray:
        r"""Moves every pixel by `size` grey levels of 255 so that the loss grows.

        .. math:: x + ε \, sign(∇_x CE(x, y)), within [0, 255]

        (FGSM, arXiv 1412.6572), with the true labels and this network's own gradient.
        """
        parts = -(-len(images) // AT_ONCE)
        pairs = zip(np.array_split(images, parts), np.array_split(labels, parts))
        moved = [self._attack(x, y, tf.constant(size, tf.float32)) for x, y in pairs]
        return np.concatenate([part.numpy() for part in moved])

    @tf.function(reduce_retracing=True)
    def _attack(self, x: tf.Tensor, y: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = self.model(x)
            right = tf.one_hot(y, logits.shape[-1], on_value=True, off_value=False)
            # Take the gradient of the margin. Cross-entropy is log(1 + exp(margin)), so
            # both gradients have the same sign. Where the network is sure, the gradient
            # of cross-entropy rounds to 0, and an overconfident network would seem
            # robust.
            others = tf.where(right, logits.dtype.min, logits)
            margin = tf.reduce_logsumexp(others, -1) - tf.reduce_sum(
                tf.where(right, logits, 0), -1
            )
        step = size * tf.sign(tape.gradient(margin, x))
        return tf.clip_by_value(x + step, 0, 255)


def error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Percentage of wrong predictions. Scores are logits or probabilities."""
    return 100 * float(np.mean(scores.argmax(axis=1) != labels))


def nll(log_p: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of log-probabilities."""
    return -float(np.mean(log_p[np.arange(len(log_p)), labels]))


def run(
    network: Network,
    cell: Cell,
    train: Images,
    test: Images,
    show_epoch: Callable[[int], None] = lambda epoch: None,
) -> Result:
    """Trains from new weights for one cell of the grid, and measures on test images."""
    start = time.perf_counter()
    (images, clean), (test_images, test_labels) = train, test
    classes = network.model.output_shape[-1]
    labels = corrupt(clean, cell.noise / 100, classes, cell.seed)
    network.reset(cell.seed)
    # alpha=0 mixes nothing: the run without mixup has the same pipeline.
    mixer = tfmixup.MixUp(cell.alpha, num_classes=classes)
    # Runs with `same_batch` take as many steps, but a step sees twice the examples.
    epoch = tfmixup.from_tensors(
        (images, labels),
        mixer,
        cell.batch_size,
        keep_originals="same_batch" if cell.same_batch else False,
        seed=cell.seed,
    )
    # One iterator serves all epochs, because making an iterator takes longer than an
    # epoch.
    batches, steps = iter(epoch.repeat()), tf.constant(len(epoch))
    errors = []
    for number in range(1, cell.epochs + 1):
        network.train(batches, steps)
        errors.append(error(network.logits(test_images), test_labels))
        show_epoch(number)
    logits = network.logits(test_images)
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    share = 0.5 if cell.same_batch else 1.0  # of the examples that are mixed
    undone = tfmixup.keras.unmix(
        np.exp(log_p),
        dataclasses.replace(mixer, probability=share),
        np.bincount(labels, minlength=classes),
    )
    moved = network.attack(test_images, test_labels, cell.epsilon)
    return Result(
        best_error=min(errors),
        last_error=errors[-1],
        nll=nll(log_p, test_labels),
        ece=expected_calibration_error(np.exp(log_p), test_labels),
        fgsm_error=error(network.logits(moved), test_labels),
        # The training labels, wrong labels included, that are known by heart.
        fitted=100 - error(network.logits(images), labels),
        undone_error=error(undone, test_labels),
        undone_nll=nll(np.log(undone), test_labels),
        undone_ece=expected_calibration_error(undone, test_labels),
        seconds=time.perf_counter() - start,
        errors=tuple(errors),
    )
