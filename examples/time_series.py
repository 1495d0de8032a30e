"""Classifies short time series without mixing, with mixup, and with CutMix along time.

On MNIST-1D (Greydanus and Kobak, 2020, arXiv 2011.14439): ten shapes of 40 samples,
moved, stretched, sheared and in noise. The package `mnist1d` makes 4,000 of them to
learn from and 1,000 to test with, and downloads nothing.

  pip install '.[tf,examples]'
  python examples/time_series.py

It prints a table of test errors: mean and standard deviation over some seeds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from mnist1d.data import get_dataset_args, make_dataset

import tfmixup

Series = tuple[np.ndarray, np.ndarray]  # float32 (N, 40, 1), class ids (N,)


def load() -> tuple[Series, Series]:
    """Makes the series, in the order of the authors' seed: 4,000 and 1,000."""
    made = make_dataset(get_dataset_args())
    train, test = (
        (made[f"x{part}"].astype("float32")[..., np.newaxis], made[f"y{part}"])
        for part in ("", "_test")
    )
    return train, test


def mixers() -> dict[str, tfmixup.Mixer]:
    """What is compared; α = 0 only casts and encodes."""
    classes = {"num_classes": 10}
    return {
        "no mixing": tfmixup.MixUp(0, **classes),
        "MixUp (alpha=0.2)": tfmixup.MixUp(0.2, **classes),
        "MixUp (alpha=1)": tfmixup.MixUp(1.0, **classes),
        "CutMix along time": tfmixup.CutMix(1.0, axes=(1,), **classes),
    }


def network(kind: str) -> keras.Model:
    """Two dense layers, as the authors of MNIST-1D have them, or three convolutions."""
    if kind == "dense":
        layers = [keras.layers.Flatten()]
        layers += [keras.layers.Dense(100, "relu") for _ in range(2)]
    else:
        layers = []
        for filters in (32, 64, 64):
            layers += [
                keras.layers.Conv1D(filters, 5, 2, padding="same", use_bias=False),
                # A momentum for runs of a few thousand steps.
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.ReLU(),
            ]
        layers += [keras.layers.Flatten()]
    return keras.Sequential([keras.Input([40, 1]), *layers, keras.layers.Dense(10)])


def test_error(
    kind: str,
    mixer: tfmixup.Mixer,
    train: Series,
    test: Series,
    seed: int,
    args: argparse.Namespace,
) -> float:
    """Trains once; returns the share of test series that are classified wrongly."""
    keras.utils.set_random_seed(seed)
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
    x, y = test
    return float(np.mean(model.predict(x, verbose=0).argmax(axis=1) != y))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--networks", nargs="+", default=["dense", "conv"], choices=["dense", "conv"])
    add("--steps", type=int, default=2000, help="batches that a network sees")
    add("--batch-size", type=int, default=100)
    add("--series", type=int, default=4000, help="how many to learn from")
    add("--seeds", type=int, default=5, help="runs of each method")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, str], list[float]]:
    """Compares, prints a table, and returns the test errors of every row."""
    args = parse(argv)
    (x, y), test = load()
    train = x[: args.series], y[: args.series]
    begin, errors = time.perf_counter(), {}
    print(f"network  {'':<18}  test error  std. dev.  ({args.seeds} seeds)")
    for kind, (name, mixer) in itertools.product(args.networks, mixers().items()):
        seeds = range(args.seeds)
        found = [test_error(kind, mixer, train, test, seed, args) for seed in seeds]
        spread = statistics.stdev(found) if len(found) > 1 else float("nan")
        mean = statistics.mean(found)
        print(f"{kind:<7}  {name:<18}  {mean:10.1%}  {spread:9.1%}", flush=True)
        errors[kind, name] = found
    print(f"\n{time.perf_counter() - begin:.0f} s")
    return errors


if __name__ == "__main__":
    main()
