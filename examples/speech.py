"""Classifies sounds without mixup, with it, and with between-class learning.

The default data are tones and chirps that this script makes by formulas. They are not
speech, but show how waveforms of differing length go through the pipeline. With
`--dataset speech_commands` TensorFlow Datasets downloads spoken words (2.4 GB).

  pip install '.[tf,examples]'
  python examples/speech.py
  python examples/speech.py --dataset speech_commands --epochs 30

The script prints a line for each run, and a table of test errors: the mean, the lowest
and the highest over the seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import os
import statistics
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import made_sounds
import tensorflow as tf
from run_marks import marks

import tfmixup
import tfmixup.datasets

MADE = "made_sounds"


@dataclasses.dataclass(frozen=True)
class Sounds:
    """Examples (waveform, label) to learn from and to test with."""

    train: tf.data.Dataset
    test: tf.data.Dataset
    num_classes: int
    sample_rate: int
    length: int  # samples of the longest sound


def load(args: argparse.Namespace) -> Sounds:
    """Makes the sounds, or loads a dataset of TensorFlow Datasets by its name."""
    if args.dataset == MADE:
        train = made_sounds.dataset(args.examples, seed=1)
        test = made_sounds.dataset(args.test_examples, seed=2)
        classes, rate = len(made_sounds.NAMES), made_sounds.SAMPLE_RATE
        return Sounds(train, test, classes, rate, made_sounds.LENGTH)
    (train, test), info = tfmixup.datasets.load(
        args.dataset, ["train", "test"], args.data_dir, as_supervised=True
    )
    audio, label = (info.features[key] for key in info.supervised_keys)
    rate = getattr(audio, "sample_rate", None) or 16_000
    length = int(rate * args.seconds)

    def cut(wave: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The samples are 16-bit PCM. TFDS decodes them to int64.
        return tf.cast(wave[:length], tf.int16), label

    sets = (ds.map(cut).cache() for ds in (train, test))
    return Sounds(*sets, label.num_classes, rate, length)


def mixers(sounds: Sounds) -> dict[str, tfmixup.Mixer]:
    """The mixers to compare, by name. α = 0 only casts and encodes."""
    classes = {"num_classes": sounds.num_classes}
    return {
        "no mixup": tfmixup.MixUp(0, **classes),
        "mixup (alpha=0.2)": tfmixup.MixUp(0.2, **classes),
        "between-class": tfmixup.BetweenClass(sounds.sample_rate, **classes),
    }


def log_spectrogram(waves: tf.Tensor, sounds: Sounds) -> tf.Tensor:
    """Decibels / 20 of (B, T) 16-bit PCM, lower half of the band: (B, t, f, 1)."""
    window = 2 ** round(math.log2(sounds.sample_rate / 32))  # some 30 ms
    spectrum = tf.signal.stft(waves * 2.0**-15, window, window // 2)
    decibels = tf.math.log(tf.abs(spectrum) + 1e-3) / math.log(10)
    return decibels[:, :, : window // 4, tf.newaxis]


def small_net(sounds: Sounds) -> keras.Model:
    """Four convolutions on a spectrogram, insensitive to level, time and pitch."""
    shape = log_spectrogram(tf.zeros([1, sounds.length]), sounds).shape
    layers = [
        keras.Input(shape[1:]),
        keras.layers.LayerNormalization(axis=(1, 2), center=False, scale=False),
    ]
    for filters in (16, 32, 48):
        layers += [
            keras.layers.Conv2D(filters, 3, padding="same", use_bias=False),
            # Keras's default momentum, 0.99, is too slow for a few hundred steps.
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
        ]
    layers += [
        keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(sounds.num_classes, "softmax"),
    ]
    return keras.Sequential(layers)


def test_error(
    sounds: Sounds, mixer: tfmixup.Mixer, seed: int, args: argparse.Namespace
) -> float:
    """Trains once. Returns the share of test sounds that are classified wrongly."""
    keras.utils.set_random_seed(seed)
    padded = ([sounds.length], [])

    def see(waves: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return log_spectrogram(waves, sounds), labels

    # Mix waveforms and not spectrograms: sounds add up in the air, decibels do not.
    train = sounds.train.apply(
        tfmixup.two_streams(mixer, args.batch_size, padded_shapes=padded, seed=seed)
    )
    train = train.map(see, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    plain = dataclasses.replace(mixer, alpha=0)
    test = sounds.test.padded_batch(args.batch_size, padded).map(plain).map(see)
    model = small_net(sounds)
    steps = args.epochs * max(1, len(train))
    rate = keras.optimizers.schedules.CosineDecay(0.003, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        "categorical_crossentropy",
        metrics=[tfmixup.keras.MixedAccuracy()],
    )
    model.fit(train, epochs=args.epochs, verbose=0, shuffle=False)
    result = model.evaluate(test, verbose=0, return_dict=True)
    return 1 - result["mixed_accuracy"]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", default=MADE, help="a name in TFDS; default: sounds made here")
    add("--data-dir", help="where TensorFlow Datasets keeps its files")
    add("--seconds", type=float, default=1.0, help="longer recordings are cut")
    add("--examples", type=int, default=640, help="made sounds to train on")
    add("--test-examples", type=int, default=400, help="made sounds to test with")
    add("--epochs", type=int, default=12)
    add("--batch-size", type=int, default=32)
    add("--seeds", type=int, default=3, help="runs of each method")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Compares, prints a table, and returns each method's test errors."""
    args = parse(argv)
    sounds = load(args)
    if args.dataset == MADE:
        print("Tones and chirps made by formulas, in noise: no recordings, no speech.")
    begin, compared = time.perf_counter(), mixers(sounds)
    errors: dict[str, list[float]] = {name: [] for name in compared}
    runs = list(itertools.product(range(args.seeds), compared))
    for done, (seed, name) in enumerate(runs, 1):
        found = test_error(sounds, compared[name], seed, args)
        errors[name].append(found)
        number, left = marks(begin, done, len(runs))
        print(
            f"{number} seed {seed}  {name:<18}  test error {found:6.1%}  ({left})",
            flush=True,
        )
    print(f"\n{'':<18}  test error  lowest  highest  ({args.seeds} seeds)")
    for name, each in errors.items():
        low, high = min(each), max(each)
        print(f"{name:<18}  {statistics.mean(each):10.1%}  {low:6.1%}  {high:7.1%}")
    print(f"\n{len(runs)} runs in {time.perf_counter() - begin:.0f} s")
    return errors


if __name__ == "__main__":
    main()
