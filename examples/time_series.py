"""Classifies short time series without mixing, with mixup, and with CutMix along time.

The data are MNIST-1D (Greydanus and Kobak, 2020, arXiv 2011.14439): ten shapes of 40
samples, moved, stretched, sheared and in noise. The package `mnist1d` makes 4,000
series to learn from and 1,000 to test with. Nothing is downloaded.

  pip install '.[tf,examples]'
  python examples/time_series.py

The script prints a line for each run, and a table of test errors: mean ± standard error
over the seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from mnist1d.data import get_dataset_args, make_dataset
from over_seeds import shown
from run_marks import marks

import tfmixup

Series = tuple[np.ndarray, np.ndarray]  # float32 (N, 40, 1), class ids (N,)


def load(args: argparse.Namespace) -> tuple[Series, Series]:
    """Makes the 4,000 and 1,000 series, in the order of the authors' seed.

    For validation, the last 1,000 of the 4,000 take the place of the test series.
    """
    made = make_dataset(get_dataset_args())
    x, y, x_test, y_test = (made[key] for key in ("x", "y", "x_test", "y_test"))
    if args.on == "validation":
        x_test, y_test = x[3000:], y[3000:]
    known = slice(min(args.series, 3000 if args.on == "validation" else 4000))
    series = ((x[known], y[known]), (x_test, y_test))
    return tuple((x.astype("float32")[..., np.newaxis], y) for x, y in series)


def methods(args: argparse.Namespace) -> dict[str, tuple[tfmixup.Mixer, bool]]:
    """The methods to compare: a mixer, and whether originals are kept."""
    classes = {"num_classes": 10}
    mixup = tfmixup.MixUp(args.alpha, **classes)
    cutmix = tfmixup.CutMix(1.0, axes=(1,), **classes)
    return {
        # α = 0 only casts and encodes.
        "no mixing": (tfmixup.MixUp(0, **classes), False),
        f"MixUp (alpha={args.alpha:g})": (mixup, False),
        "CutMix along time": (cutmix, False),
        "CutMix, originals kept": (cutmix, True),
    }


def network(kind: str) -> keras.Model:
    """Two dense layers, or three strided convolutions."""
    if kind == "dense":
        layers = [keras.layers.Flatten()]
        layers += [keras.layers.Dense(256, "relu") for _ in range(2)]
    else:
        layers = []
        for filters in (32, 64, 64):
            layers += [
                keras.layers.Conv1D(filters, 5, 2, padding="same", use_bias=False),
                # Keras's default momentum, 0.99, is slow for a few thousand steps.
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.ReLU(),
            ]
        layers += [keras.layers.Flatten()]
    return keras.Sequential([keras.Input([40, 1]), *layers, keras.layers.Dense(10)])


def error(
    kind: str,
    method: tuple[tfmixup.Mixer, bool],
    train: Series,
    held_out: Series,
    seed: int,
    args: argparse.Namespace,
) -> float:
    """Trains once. Returns the share of series that are classified wrongly."""
    keras.utils.set_random_seed(seed)
    mixer, originals = method
    # Every step sees `batch_size` series. If originals are kept, half are originals.
    if originals:
        mixed = tfmixup.from_tensors(
            train, mixer, args.batch_size // 2, keep_originals="same_batch", seed=seed
        )
    else:
        mixed = tfmixup.from_tensors(train, mixer, args.batch_size, seed=seed)
    model = network(kind)
    rate = keras.optimizers.schedules.CosineDecay(0.003, args.steps)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        steps_per_execution=10,
        jit_compile=False,  # compiling would take longer than training
    )
    mixed = mixed.repeat().prefetch(tf.data.AUTOTUNE)
    model.fit(mixed, steps_per_epoch=args.steps, verbose=0, shuffle=False)
    x, y = held_out
    return float(np.mean(model.predict(x, verbose=0).argmax(axis=1) != y))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--networks", nargs="+", default=["dense", "conv"], choices=["dense", "conv"])
    add("--alpha", type=float, default=1.0, help="of MixUp")
    add("--steps", type=int, default=4000, help="batches that a network sees")
    add("--batch-size", type=int, default=100)
    add("--series", type=int, default=4000, help="how many to learn from, at most")
    add("--on", choices=["test", "validation"], default="test")
    add("--seeds", type=int, default=5, help="runs of each method")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, str], list[float]]:
    """Compares, prints a table, and returns the errors of every row."""
    args = parse(argv)
    train, held_out = load(args)
    print(f"{len(train[0])} series to learn from, {len(held_out[0])} for {args.on}")
    compared = methods(args)
    rows = list(itertools.product(args.networks, compared))
    errors: dict[tuple[str, str], list[float]] = {row: [] for row in rows}
    runs, begin = list(itertools.product(range(args.seeds), rows)), time.perf_counter()
    for done, (seed, (kind, name)) in enumerate(runs, 1):
        found = error(kind, compared[name], train, held_out, seed, args)
        errors[kind, name].append(found)
        number, left = marks(begin, done, len(runs))
        print(
            f"{number} seed {seed}  {kind:<5}  {name:<22}  {found:6.1%}  ({left})",
            flush=True,
        )
    print(f"\nnetwork  {f'seeds: {args.seeds}':<22}  {args.on} error, %")
    for (kind, name), found in errors.items():
        print(f"{kind:<7}  {name:<22}  {shown(100 * np.array(found), 1):>13}")
    print(f"\n{len(runs)} runs in {time.perf_counter() - begin:.0f} s")
    return errors


if __name__ == "__main__":
    main()
