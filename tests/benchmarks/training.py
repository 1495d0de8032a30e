"""What mixing costs a training step: in the step against in the pipeline.

`python -m tests.benchmarks.training` prints a table. All ways take turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import tfmixup

CLASSES, SIZE = 10, 128


def _data(n: int) -> tf.data.Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [n, 32, 32, 3], dtype=np.uint8)
    labels = rng.integers(0, CLASSES, n)
    return tf.data.Dataset.from_tensor_slices((images, labels)).cache()


def _net() -> keras.Model:
    keras.utils.set_random_seed(1)
    x = keras.Input([32, 32, 3])
    h = keras.layers.Rescaling(1 / 255)(x)
    for k, width in enumerate((16, 32)):
        h = keras.layers.Conv2D(width, 3, activation="relu", name=f"block{k}")(h)
        h = keras.layers.MaxPooling2D()(h)
    h = keras.layers.GlobalAveragePooling2D(name="pooled")(h)
    return keras.Model(x, keras.layers.Dense(CLASSES, activation="softmax")(h))


def _ways(data: tf.data.Dataset) -> dict[str, tuple[keras.Model, tf.data.Dataset]]:
    """By name, what is trained on what."""
    mixer = tfmixup.MixUp(0.2, num_classes=CLASSES)
    batches = data.shuffle(10_000).batch(SIZE, drop_remainder=True)
    stream = tfmixup.two_streams(mixer, SIZE)
    ways: dict[str, tuple[keras.Model, tf.data.Dataset]] = {
        "no mixing": (_net(), batches.map(mixer.off())),
        "in the pipeline, two_streams": (_net(), data.apply(stream)),
        "in the pipeline, in_batch": (_net(), batches.apply(tfmixup.in_batch(mixer))),
    }
    places = {
        "the inputs": None,
        "hidden: block0": "block0",
        "hidden: pooled": "pooled",
    }
    for what, at in places.items():
        trainer = tfmixup.keras.MixingModel(_net(), mixer, at=at)
        ways[f"in the step, {what}"] = (trainer, batches)
    return ways


def _epoch(model: keras.Model, batches: tf.data.Dataset, steps: int) -> float:
    """Milliseconds a step."""
    start = time.perf_counter()
    model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)
    return 1e3 * (time.perf_counter() - start) / steps


def main(report: Callable[[str], object] = print) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.training")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--jit", action="store_true", help="jit_compile=True")
    options = parser.parse_args()
    data = _data((options.steps + 1) * SIZE)
    ways = {
        name: (model, ds.repeat().prefetch(2))
        for name, (model, ds) in _ways(data).items()
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for model, _ in ways.values():
        model.compile("sgd", "categorical_crossentropy", jit_compile=options.jit)
    for turn in range(options.rounds + 1):  # the first one compiles
        for name, (model, batches) in ways.items():
            spent = _epoch(model, batches, options.steps)
            if turn:
                times[name].append(spent)
        print(f"round {turn} of {options.rounds}", file=sys.stderr, flush=True)
    report("| | ms a step (min–max) | against no mixing |\n| --- | ---: | ---: |")
    plain = times["no mixing"]
    for name, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent, plain))
        report(
            f"| {name} | {statistics.median(spent):.1f} ({min(spent):.1f}–"
            f"{max(spent):.1f}) | {ratio:.2f} |"
        )


if __name__ == "__main__":
    main()
