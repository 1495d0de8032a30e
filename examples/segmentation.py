"""Segmentation with mixup, CutMix and both: which pixel belongs to which digit?

The default data are scenes made of the handwritten digits that ship with
scikit-learn: two real digits on a canvas with noise, and a mask of their pixels.
Background is class 0, and digits are classes 1 to 10. The faint edge of a stroke is
labelled 255. No setting learns from pixels labelled 255. Nothing is downloaded.
`--dataset oxford_iiit_pet` loads photographs of pets from TensorFlow Datasets.

  pip install '.[tf,examples]'
  python examples/segmentation.py
  python examples/segmentation.py --dataset oxford_iiit_pet --epochs 20

The script prints the mean intersection over union of each run and each setting, and
saves mixed_masks.png in the folder `--out`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import tfmixup
import tfmixup.datasets

IGNORED = 255
CANVAS, DIGIT = 24, 12


class Data(NamedTuple):
    """Datasets of (image, mask), and the names of the classes."""

    train: tf.data.Dataset
    test: tf.data.Dataset
    classes: list[str]


def scenes(
    digits: Sequence[tuple[np.ndarray, int]], n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places two digits on each of n canvases.

    Returns:
      Images, uint8 (n, 24, 24, 1), and masks, uint8 (n, 24, 24).
    """
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 60, (n, CANVAS, CANVAS)).astype(np.float32)
    masks = np.zeros([n, CANVAS, CANVAS], np.uint8)
    for image, mask in zip(images, masks):
        for k in draw.integers(0, len(digits), 2):
            pixels, label = digits[k]
            top, left = draw.integers(0, CANVAS - DIGIT + 1, 2)
            place = np.s_[top : top + DIGIT, left : left + DIGIT]
            image[place] = np.maximum(image[place], pixels)
            mask[place][pixels > 60] = IGNORED
            mask[place][pixels > 140] = label + 1
    return images.astype(np.uint8)[..., np.newaxis], masks


def load_digits(args: argparse.Namespace) -> Data:
    """Makes the scenes. Digits of the test scenes are in no training scene."""
    sets, _ = tfmixup.datasets.load(
        "bundled_digits", ["train", "test"], args.data_dir, as_supervised=True
    )
    made = []
    for k, (digits, n) in enumerate(zip(sets, (args.limit or 600, 300))):
        listed = [
            (tf.image.resize(image, [DIGIT, DIGIT])[..., 0].numpy(), int(label))
            for image, label in digits
        ]
        made.append(tf.data.Dataset.from_tensor_slices(scenes(listed, n, k)))
    return Data(*made, ["background", *map(str, range(10))])


def load_pets(args: argparse.Namespace) -> Data:
    """Loads oxford_iiit_pet, whose masks are 1 (pet), 2 (background), 3 (unclear)."""
    sets, _ = tfmixup.datasets.load(
        args.dataset, ["train", "test"], args.data_dir, as_supervised=False
    )

    def resize(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.resize(example["image"], [args.size, args.size])
        mask = tf.image.resize(
            example["segmentation_mask"], [args.size, args.size], "nearest"
        )[..., 0]
        ours = tf.gather(
            tf.constant([IGNORED, 1, 0, IGNORED], tf.uint8), tf.cast(mask, tf.int32)
        )
        return tf.cast(tf.round(image), tf.uint8), ours

    train, test = (data.map(resize, tf.data.AUTOTUNE) for data in sets)
    if args.limit:
        train, test = train.take(args.limit), test.take(args.limit)
    return Data(train.cache(), test.cache(), ["background", "pet"])


def settings(classes: int) -> dict[str, tfmixup.Mixer]:
    """The mixers to compare, by name."""
    masks: dict[str, Any] = {
        "num_classes": classes,
        "ignore_label": IGNORED,
        "dtype": "uint8",
    }
    mixup, cutmix = tfmixup.MixUp(0.2, **masks), tfmixup.CutMix(1.0, **masks)
    return {
        "no mixing": tfmixup.MixUp(0, **masks),
        "MixUp": mixup,
        # CutMix can keep masks of class ids, in a tenth of the memory of one-hot masks.
        "CutMix": tfmixup.CutMix(1.0, integer_masks=True, **masks),
        "MixUp or CutMix": tfmixup.RandomChoice([mixup, cutmix]),
    }


def network(shape: Sequence[int | None], classes: int, seed: int) -> keras.Model:
    """A small fully convolutional network that predicts a class for every pixel.

    It goes down to half the size and up again. Features of full size skip this path.
    """
    keras.utils.set_random_seed(seed)

    def conv(x: Any, filters: int, **arguments: Any) -> Any:
        x = keras.layers.Conv2D(filters, 3, padding="same", **arguments)(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

    image = keras.Input(shape)
    fine = conv(keras.layers.Rescaling(1 / 255)(image), 12)
    coarse = conv(fine, 32, strides=2)
    coarse = conv(coarse, 48)
    coarse = conv(coarse, 48, dilation_rate=2)
    coarse = keras.layers.UpSampling2D(2)(coarse)
    both = conv(keras.layers.Concatenate()([fine, coarse]), 24)
    return keras.Model(image, keras.layers.Conv2D(classes, 1)(both))


def loss_of(mixer: tfmixup.Mixer) -> keras.losses.Loss:
    """Cross-entropy averaged over the pixels that are not ignored."""
    if mixer.integer_masks:
        return keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=IGNORED
        )
    return keras.losses.CategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )


def mean_iou(model: keras.Model, test: tf.data.Dataset, classes: int) -> float:
    """The mean over classes of intersection over union, without ignored pixels."""
    table = np.zeros([classes, classes])
    for images, masks in test.batch(100):
        predicted = np.argmax(model.predict_on_batch(images), -1)
        known = masks.numpy() != IGNORED
        np.add.at(table, (masks.numpy()[known], predicted[known]), 1)
    both = np.diag(table)
    union = table.sum(axis=0) + table.sum(axis=1) - both
    return float(np.mean(both[union > 0] / union[union > 0]))


def picture(data: Data, path: pathlib.Path, seed: int) -> None:
    """Saves mixed images above their masks, a row for each setting."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mixers = dict(list(settings(len(data.classes)).items())[1:])
    columns, step = 8, 2
    figure, axes = plt.subplots(
        step * len(mixers), columns, figsize=(1.2 * columns, 2.7 * len(mixers))
    )
    colours = plt.get_cmap("tab20")(np.arange(len(data.classes)))[:, :3]
    colours[0] = 0.12
    for row, (name, mixer) in enumerate(mixers.items()):
        stage = tfmixup.two_streams(mixer, columns, seed=seed)
        x, y, weights = next(
            iter(data.train.take(200).apply(stage).as_numpy_iterator())
        )
        if mixer.integer_masks:
            y = np.eye(len(data.classes))[np.where(weights > 0, y, 0)]
        shown = np.where(weights[..., None] > 0, y @ colours, 1.0)
        for k in range(columns):
            top, bottom = axes[step * row, k], axes[step * row + 1, k]
            top.imshow(x[k].squeeze(), cmap="gray", vmin=0, vmax=255)
            bottom.imshow(shown[k])
            for axis in (top, bottom):
                axis.set(xticks=[], yticks=[])
        axes[step * row, 0].set_ylabel(name, fontsize=9)
        axes[step * row + 1, 0].set_ylabel("its mask", fontsize=9)
    figure.suptitle(
        "Mixed images and masks (white: pixels without weight)", fontsize=11
    )
    figure.subplots_adjust(0.04, 0.01, 0.99, 0.95, wspace=0.05, hspace=0.05)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def run(
    data: Data, mixer: tfmixup.Mixer, args: argparse.Namespace, seed: int
) -> tuple[float, float]:
    """Trains one network. Returns its mean IoU and the seconds of an epoch."""
    classes = len(data.classes)
    train = data.train.apply(
        tfmixup.two_streams(mixer, args.batch_size, seed=seed)
    ).apply(tfmixup.prefetch_to_device())
    model = network(train.element_spec[0].shape[1:], classes, seed)
    steps = args.epochs * len(train)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, steps)
    # XLA's convolutions are slow on a CPU.
    model.compile(keras.optimizers.Adam(rate), loss_of(mixer), jit_compile=False)
    start = time.perf_counter()
    model.fit(train, epochs=args.epochs, shuffle=False, verbose=0)
    seconds = (time.perf_counter() - start) / args.epochs
    return mean_iou(model, data.test, classes), seconds


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset",
        default="bundled_digits",
        choices=["bundled_digits", "oxford_iiit_pet"],
        help="scenes of digits (the default, offline), or pets from TFDS (800 MB)",
    )
    parser.add_argument("--data-dir", help="where TFDS keeps its data sets")
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--seeds", type=int, default=1, help="runs a setting (1)")
    parser.add_argument(
        "--limit", type=int, help="training images; 600 scenes, all pets"
    )
    parser.add_argument(
        "--size", type=int, default=128, help="of pets, in pixels (128)"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("segmentation_out")
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Trains every setting and prints the table. Returns each setting's mean IoUs."""
    args = parse(argv)
    data = (load_digits if args.dataset == "bundled_digits" else load_pets)(args)
    args.out.mkdir(parents=True, exist_ok=True)
    picture(data, args.out / "mixed_masks.png", seed=1)
    compared = settings(len(data.classes))
    lines = [
        f"{'':<16}  {'mean IoU':>8}  {'spread':>6}  {'s/epoch':>7}",
        f"{'-' * 16}  {'-' * 8}  {'-' * 6}  {'-' * 7}",
    ]
    results = {}
    for number, (name, mixer) in enumerate(compared.items()):
        runs = []
        for seed in range(args.seeds):
            runs.append(run(data, mixer, args, seed))
            done = number * args.seeds + len(runs)
            print(
                f"[{done}/{args.seeds * len(compared)}] {name:<16}  seed {seed}  mean "
                f"IoU {runs[-1][0]:.3f}",
                flush=True,
            )
        results[name] = [iou for iou, _ in runs]
        spread = max(results[name]) - min(results[name])
        mean, pace = (statistics.mean(column) for column in zip(*runs))
        lines.append(f"{name:<16}  {mean:8.3f}  {spread:6.3f}  {pace:7.2f}")
    print("\n" + "\n".join(lines))
    print(f"\nSpread: largest minus smallest of {args.seeds} runs.")
    print(f"Saved {args.out / 'mixed_masks.png'}")
    return results


if __name__ == "__main__":
    main()
