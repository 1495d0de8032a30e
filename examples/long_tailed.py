"""Trains on long-tailed handwritten digits: plain, MixUp, Balanced-MixUp and Remix.

    python examples/long_tailed.py

The digits that come with scikit-learn are thinned out. The most frequent digit has 50
times as many training images as the rarest digit. Each seed draws which digit is how
frequent. The test images stay balanced. A small network is trained with each way of
mixing, once for each seed.

The script prints the label mass that a few batches give to each class. It also prints
the test error over all classes and over the five rarest: mean and standard deviation
over the seeds. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup
import tfmixup.datasets

CLASSES = 10
RARE = 5  # how many classes count as rare, those of the fewest images
Images = tuple[np.ndarray, np.ndarray]


def load_digits() -> tuple[Images, Images]:
    """Returns training and test images, float32 (N, 64) in [0, 1], and their digits."""
    splits, _ = tfmixup.datasets.load(
        "bundled_digits", ["train", "test"], as_supervised=True
    )

    def arrays(split: tf.data.Dataset) -> Images:
        images, labels = next(split.batch(len(split)).as_numpy_iterator())
        return images.reshape(len(images), -1).astype("float32") / 255, labels

    return arrays(splits[0]), arrays(splits[1])


def long_tail(
    train: Images, test: Images, imbalance: float, seed: int
) -> tuple[Images, Images]:
    """Thins out the training images exponentially.

    Digits are numbered anew in a random order. Class 0 is the most frequent. Class 9 is
    the rarest, with 1/imbalance as many images.
    """
    random = np.random.default_rng(seed)
    digits = random.permutation(CLASSES)
    rank = np.argsort(digits)
    images, labels = train[0], rank[train[1]]
    most = np.bincount(labels).min()
    rows = []
    for c in range(CLASSES):
        count = max(1, round(most * imbalance ** (-c / (CLASSES - 1))))
        rows.append(random.choice(np.flatnonzero(labels == c), count, replace=False))
    kept = np.concatenate(rows)
    return (images[kept], labels[kept]), (test[0], rank[test[1]])


def pipelines(
    train: Images, batch_size: int, alpha: float, seed: int
) -> dict[str, Callable[[], tf.data.Dataset]]:
    """The ways of mixing, each a function that makes its training batches."""
    dataset = tf.data.Dataset.from_tensor_slices(train)
    counts = tfmixup.class_counts(dataset, CLASSES)

    def batches(
        mixer: tfmixup.Mixer, partner: tf.data.Dataset | None = None
    ) -> tf.data.Dataset:
        return dataset.apply(
            tfmixup.two_streams(
                mixer,
                batch_size,
                partner=partner,
                shuffle_buffer_size=len(dataset),
                seed=seed,
            )
        )

    def balanced_mixup() -> tf.data.Dataset:
        # The paper draws the share of the balanced stream, 1 − λ, from Beta(α, 1).
        lam = tfp.distributions.Beta(1.0, alpha)
        mixer = tfmixup.MixUp(distribution=lam, num_classes=CLASSES)
        balanced = tfmixup.class_balanced(dataset, CLASSES, in_memory=True, seed=seed)
        return batches(mixer, balanced)

    return {
        "plain": lambda: batches(tfmixup.MixUp(0, num_classes=CLASSES)),
        "MixUp": lambda: batches(tfmixup.MixUp(1.0, num_classes=CLASSES)),
        "Balanced-MixUp": balanced_mixup,
        "Remix": lambda: batches(tfmixup.Remix(counts, alpha=1.0)),
    }


def train_and_test(
    batches: tf.data.Dataset, test: Images, epochs: int, seed: int
) -> tuple[float, float]:
    """Trains a new network. Returns its test errors in per cent: all, rare classes."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.layers.Dense(128, "relu"), keras.layers.Dense(CLASSES, "softmax")]
    )
    model.compile(keras.optimizers.Adam(3e-3), "categorical_crossentropy")
    # One iterator serves all epochs. A new iterator takes longer than an epoch.
    model.fit(
        batches.repeat(epochs),
        epochs=epochs,
        steps_per_epoch=len(batches),
        shuffle=False,
        verbose=0,
    )
    images, labels = test
    wrong = model(images).numpy().argmax(axis=1) != labels
    return 100 * wrong.mean(), 100 * wrong[labels >= CLASSES - RARE].mean()


def mass_table(mass: dict[str, np.ndarray]) -> str:
    """Formats the label mass of each class in per cent, a row per way of mixing."""
    lines = [f"{'label mass (%)':<16}" + "".join(f"{c:>7}" for c in range(CLASSES))]
    for name, shares in mass.items():
        lines.append(f"{name:<16}" + "".join(f"{100 * s:>7.1f}" for s in shares))
    return "\n".join(lines)


def error_table(errors: dict[str, list[tuple[float, float]]]) -> str:
    """Formats mean and standard deviation of the test errors over the seeds."""
    lines = [f"{'test error (%)':<16}{'all classes':>16}{f'{RARE} rarest':>16}"]
    for name, runs in errors.items():
        mean = np.mean(runs, axis=0)
        cells = [f"{m:.1f}" for m in mean]
        if len(runs) > 1:
            spread = np.std(runs, axis=0, ddof=1)
            cells = [f"{cell} ± {s:.1f}" for cell, s in zip(cells, spread)]
        lines.append(f"{name:<16}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--epochs", type=int, default=30, help="of each (default 30)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default 32)")
    parser.add_argument(
        "--imbalance",
        type=float,
        default=50,
        help="most frequent to rarest class (default 50)",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.3,
        help="α of Balanced-MixUp (default 0.3); MixUp and Remix have α = 1",
    )
    parser.add_argument("--figure", help="write the label mass to this PNG")
    args = parser.parse_args(argv)
    for name in ("seeds", "epochs", "batch_size"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if args.imbalance < 1:
        parser.error("--imbalance must be at least 1")
    if not args.alpha > 0:
        parser.error("--alpha must be above 0")
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, list[tuple[float, float]]]:
    """Runs the example. Returns the test errors of every run."""
    args = parse(argv)
    digits = load_digits()
    errors: dict[str, list[tuple[float, float]]] = {}
    for seed in range(args.seeds):
        train, test = long_tail(*digits, args.imbalance, seed)
        ways = pipelines(train, args.batch_size, args.alpha, seed)
        if seed == 0:
            counts = np.bincount(train[1], minlength=CLASSES)
            print(f"training images  {counts.tolist()}, {counts.sum()} in all\n")
            mass = {
                name: tfmixup.label_mass(make().repeat(20), CLASSES)
                for name, make in ways.items()
            }
            print(f"{mass_table(mass)}\n", flush=True)
            if args.figure:
                names = ("plain", "Balanced-MixUp")
                figure = tfmixup.plot.label_mass(
                    *(mass[n] for n in names), labels=names
                )
                figure.savefig(args.figure)
        for name, make in ways.items():
            run = train_and_test(make(), test, args.epochs, seed)
            errors.setdefault(name, []).append(run)
        found = (f"{name} {runs[-1][0]:.1f} %" for name, runs in errors.items())
        done = f"[{seed + 1}/{args.seeds}] seed {seed}  test error "
        print(done + ", ".join(found), flush=True)
    print(f"\n{error_table(errors)}")
    if args.figure:
        print(f"\nSaved {args.figure}")
    return errors


if __name__ == "__main__":
    main()
