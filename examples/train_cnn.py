"""Trains the article's small network without mixup and with it, and compares.

The default data are the handwritten digits that ship with scikit-learn; nothing
is downloaded. `--dataset cifar10` takes CIFAR-10 by TensorFlow Datasets, or give
the name of any other image classification set there.

  pip install 'tfmixup[examples]'
  python examples/train_cnn.py
  python examples/train_cnn.py --dataset cifar10 --flip

The script shows Keras's progress, prints a table, and saves results.json,
mixed_images.png and training_curves.png in the folder `--out`.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import train_cnn_report as report
from article_cnn import IMAGE_SIZE, article_cnn

import tfmixup
import tfmixup.datasets


def load_images(args: argparse.Namespace) -> tuple[Any, Any, list[str]]:
    """Loads the data set: (training images, test images, names of the classes).

    Both sets have (image, label) examples: uint8 images of 32x32x3, labels as
    integers. They stay uint8, a quarter of float32's size, for the cache.
    """
    (train, test), info = tfmixup.datasets.load(
        args.dataset,
        [args.train_split, args.test_split],
        args.data_dir,
        as_supervised=True,
    )
    label = info.features[info.supervised_keys[1]]
    if not hasattr(label, "names"):
        raise SystemExit(
            f"--dataset {args.dataset}: its label is {label}, but this example needs "
            f"one class an image; choose an image classification set such as cifar10"
        )
    if args.limit is not None:
        train = train.take(args.limit)

    def resize(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE), antialias=True)
        if image.shape[-1] == 1:
            image = tf.image.grayscale_to_rgb(image)
        return tf.cast(tf.round(image), tf.uint8), label

    return train.map(resize).cache(), test.map(resize).cache(), label.names


def augmentation(flip: bool, seed: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the article's augmentation, a function of (images, labels) batches."""
    # fill_mode: the article's ImageDataGenerator repeats the nearest pixel where
    # the new image reaches beyond the old one; these layers would reflect it.
    layers: list[keras.layers.Layer] = [
        keras.layers.RandomShear(x_factor=0.2, fill_mode="nearest", seed=seed),
        keras.layers.RandomZoom(0.2, 0.2, fill_mode="nearest", seed=seed + 1),
    ]
    if flip:
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed + 2))

    def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(images, tf.float32)
        for layer in layers:
            images = layer(images, training=True)
        return images, labels

    return augment


def training_pipeline(
    train: tf.data.Dataset, mixer: tfmixup.MixUp, args: argparse.Namespace
) -> tf.data.Dataset:
    """Augments the images, mixes two shuffled streams of them, and batches."""
    if args.augment:
        # two_streams reads its dataset twice, so each stream is augmented by
        # itself before the two are mixed. In batches, because these layers take
        # twice as long example by example; without num_parallel_calls, because
        # parallel calls would draw from the layers' random state in any order.
        examples = train.cardinality()
        train = train.batch(args.batch_size).map(augmentation(args.flip, args.seed))
        train = train.unbatch()
        # unbatch forgets the number of examples; Keras's progress bar needs it.
        train = train.apply(tf.data.experimental.assert_cardinality(examples))
    return train.apply(
        tfmixup.two_streams(mixer, args.batch_size, seed=args.seed)
    ).apply(tfmixup.prefetch_to_device())


def test_pipeline(
    test: tf.data.Dataset, num_classes: int, batch_size: int
) -> tf.data.Dataset:
    """Batches the test images as they are: not augmented, not mixed."""
    return (
        test.batch(batch_size)
        .map(lambda images, labels: (images, tf.one_hot(labels, num_classes)))
        .prefetch(tf.data.AUTOTUNE)
    )


class EpochTimer(keras.callbacks.Callback):
    """Measures the seconds of each epoch, validation included."""

    def __init__(self) -> None:
        """Makes a timer of one `fit`."""
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stops the clock."""
        self.seconds.append(time.perf_counter() - self._start)


def train_and_test(
    name: str,
    train: tf.data.Dataset,
    test: tf.data.Dataset,
    num_classes: int,
    args: argparse.Namespace,
) -> report.Result:
    """Trains a new network by `model.fit` and measures it on the test split."""
    print(f"\n{name}: {args.epochs} epochs")
    model = article_cnn(num_classes, args.learning_rate)
    timer = EpochTimer()
    history = model.fit(
        train,
        epochs=args.epochs,
        validation_data=test,
        callbacks=[timer],
        shuffle=False,  # The pipeline shuffles.
    )
    loss, accuracy = model.evaluate(test, verbose=0)
    labels = [int(row.argmax()) for _, batch in test for row in batch.numpy()]
    return report.Result(
        name=name,
        test_error=100 * (1 - accuracy),
        test_loss=loss,
        calibration_error=report.expected_calibration_error(
            model.predict(test, verbose=0), labels
        ),
        # The median leaves out the first epoch, when TensorFlow builds its graphs.
        seconds_per_epoch=statistics.median(timer.seconds),
        history=history.history,
    )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Trains a small CNN without mixup and with it, and compares.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add(
        "--dataset",
        default="bundled_digits",
        help="scikit-learn's digits (the default, no download), or the name of an "
        "image classification set of TensorFlow Datasets, e.g. cifar10",
    )
    add("--train-split", default="train", help="the TFDS split to train on")
    add("--test-split", default="test", help="the TFDS split to validate and test on")
    add("--data-dir", help="folder of prepared data sets; without it, TFDS's own")
    add("--limit", type=int, help="use only so many of the training images")
    add("--augment", action=switch, default=True, help="shear and zoom at random")
    add(
        "--flip",
        action=switch,
        default=False,
        help="when augmenting, also flip at random: right for photographs, wrong "
        "for digits",
    )
    add(
        "--alpha",
        type=float,
        default=0.2,
        help="mixup draws lambda from Beta(alpha, alpha); the larger, the more mixing",
    )
    add("--epochs", type=int, default=20)
    add("--batch-size", type=int, default=128)
    add("--learning-rate", type=float, default=1.0, help="of Adadelta")
    add("--seed", type=int, default=0, help="of weights, order, augmentation, mixing")
    add(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("train_cnn_out"),
        help="folder for results.json and the pictures",
    )
    args = parser.parse_args(argv)
    # 0 and below, NaN. The run without mixup, which is alpha 0, is always made.
    for option in ("epochs", "batch_size", "alpha", "learning_rate"):
        if not getattr(args, option) > 0:
            flag = "--" + option.replace("_", "-")
            parser.error(f"{flag} must be above 0, got {getattr(args, option)}")
    if args.seed < 0:
        parser.error(f"--seed must be 0 or above, got {args.seed}")
    return args


def mixed_batch(
    train: tf.data.Dataset,
    plain: tfmixup.MixUp,
    mixer: tfmixup.MixUp,
    args: argparse.Namespace,
) -> list[Any]:
    """Mixes one batch for the picture: [images, labels, lambda] as arrays.

    By hand, because a pipeline's elements do not tell their lambda.
    """
    batch = next(iter(training_pipeline(train, plain, args)))
    params = mixer.sample(args.batch_size, seed=[args.seed, 0])
    partner = tf.roll(tf.range(args.batch_size), shift=1, axis=0)
    images, labels = mixer.apply_in_batch(batch, partner, params)
    return [images.numpy(), labels.numpy(), params.lam.numpy()]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the comparison."""
    args = parse_args(argv)
    train, test, class_names = load_images(args)
    num_classes = len(class_names)
    test_batches = test_pipeline(test, num_classes, args.batch_size)

    # alpha=0 mixes nothing: the run without mixup has the same pipeline.
    plain = tfmixup.MixUp(0, num_classes=num_classes)
    mixer = tfmixup.MixUp(args.alpha, num_classes=num_classes)
    results = []
    for name, mixing in [("no mixup", plain), (f"mixup (alpha={args.alpha:g})", mixer)]:
        # Here, since shuffling and mixing depend on TensorFlow's seed as well: both
        # runs begin with the same weights and see the same images in the same order.
        keras.utils.set_random_seed(args.seed)
        batches = training_pipeline(train, mixing, args)
        results.append(train_and_test(name, batches, test_batches, num_classes, args))

    print("\n" + report.table(results))
    args.out.mkdir(parents=True, exist_ok=True)
    summary = [result.as_dict() for result in results]
    (args.out / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    images, labels, lam = mixed_batch(train, plain, mixer, args)
    report.save_mixed_images(
        args.out / "mixed_images.png", images, labels, lam, class_names
    )
    report.save_training_curves(args.out / "training_curves.png", results)
    print(f"Saved results.json, mixed_images.png, training_curves.png in {args.out}")


if __name__ == "__main__":
    main()
