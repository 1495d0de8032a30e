"""Classifies sentences without mixing, and with mixup inside the network.

Word ids cannot be mixed, but layers of a network can. Word mixup mixes the embeddings
of the words, sentence mixup the pooled hidden layer (both arXiv 1905.08941). Manifold
mixup mixes one of several layers, drawn for each batch (arXiv 1806.05236).

The default data are sentences from docstrings of installed packages, without the names
of the packages. The classes are the packages: which package does a sentence document?
Nothing is downloaded. A dataset of TensorFlow Datasets needs the features "text" and
"label".

  pip install '.[tf,examples]'
  python examples/text.py
  python examples/text.py --dataset imdb_reviews --words 200

The script prints a table of test errors, mean and standard error over the seeds, and
saves a picture of it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pathlib
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import docstring_sentences
import keras
import numpy as np
import tensorflow as tf
from docstring_sentences import PARTS, Texts
from over_seeds import mean_and_error, shown
from run_marks import marks

import tfmixup

DOCSTRINGS = "docstrings"
Errors = dict[tuple[int, str], list[float]]  # by labels per class, and method

# Where each method mixes: layers of `network`.
METHODS: dict[str, str | list[str]] = {
    "no mixing": "embedding",  # with α = 0
    "words": "embedding",
    "sentence": "pooled",
    "manifold": ["embedding", "block1", "pooled"],
}


def load(args: argparse.Namespace) -> tuple[dict[str, Texts], int]:
    """Reads the sentences of each part, and the number of classes."""
    per_class = dict.fromkeys(PARTS, args.held_out) | {"train": max(args.labels)}
    if args.dataset == DOCSTRINGS:
        texts, packages = docstring_sentences.load(per_class)
        classes = len(packages)
    else:
        texts, classes = load_tfds(args, per_class)
    found = len(texts["train"].labels) // classes
    if found < max(args.labels):
        raise SystemExit(
            f"--labels {max(args.labels)}: there are only {found} training sentences "
            "of each class"
        )
    return texts, classes


def load_tfds(
    args: argparse.Namespace, per_class: dict[str, int]
) -> tuple[dict[str, Texts], int]:
    """Takes texts of each class from a dataset of TensorFlow Datasets."""
    import tensorflow_datasets as tfds

    splits = dict(zip(PARTS, ("train[:80%]", "train[80%:]", "test")))
    sets, info = tfds.load(
        args.dataset, split=splits, data_dir=args.data_dir, with_info=True
    )
    classes = info.features["label"].num_classes
    texts = {}
    for part, dataset in sets.items():
        of_class: list[list[str]] = [[] for _ in range(classes)]
        for element in dataset.as_numpy_iterator():
            of_class[element["label"]].append(
                element["text"].decode("utf-8", "replace")
            )
        rows = list(zip(*of_class))[: per_class[part]]
        flat = [text for row in rows for text in row]
        texts[part] = Texts(flat, list(range(classes)) * len(rows))
    return texts, classes


def network(words: int, vocabulary: int, classes: int) -> keras.Model:
    """An embedding, a convolution over three words, and the maximum over the words."""
    ids = keras.Input([words], dtype="int32")
    x = keras.layers.Embedding(vocabulary, 64, name="embedding")(ids)
    x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.Conv1D(64, 3, padding="same", activation="relu", name="block1")(x)
    x = keras.layers.GlobalMaxPooling1D(name="pooled")(x)
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(ids, keras.layers.Dense(classes, "softmax")(x))


def error(
    method: str,
    texts: dict[str, Texts],
    classes: int,
    labels: int,
    seed: int,
    args: argparse.Namespace,
) -> float:
    """Trains once. Returns the share of sentences that are classified wrongly."""
    keras.utils.set_random_seed(seed)
    # Each seed draws its own examples. Classes take turns in the list, so that a row of
    # `rows` has one sentence of each class.
    known = texts["train"]
    rows = np.arange(len(known.labels)).reshape(-1, classes)
    rows = np.random.default_rng(seed).permutation(rows)[:labels].ravel()
    sentences = tf.constant([known.sentences[k] for k in rows])
    vectorize = keras.layers.TextVectorization(
        args.vocabulary, output_sequence_length=args.words
    )
    vectorize.adapt(sentences)  # The test sentences add no words.
    x, y = vectorize(sentences), tf.constant([known.labels[k] for k in rows])
    size = min(args.batch_size, len(rows))
    train = tf.data.Dataset.from_tensor_slices((x, y)).cache()
    train = train.shuffle(len(rows), seed=seed).repeat()
    train = train.batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    model = network(args.words, vectorize.vocabulary_size(), classes)
    alpha = 0 if method == "no mixing" else args.alpha
    mixer = tfmixup.MixUp(alpha, num_classes=classes)
    mixing = tfmixup.keras.MixingModel(model, mixer, at=METHODS[method], seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(args.learning_rate, args.steps)
    mixing.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01),
        "categorical_crossentropy",
        steps_per_execution=10,
        jit_compile=False,  # compiling would take longer than training
    )
    mixing.fit(train, steps_per_epoch=args.steps, verbose=0, shuffle=False)
    held_out = texts[args.on]
    predicted = model(vectorize(tf.constant(held_out.sentences))).numpy()
    return float(np.mean(predicted.argmax(axis=1) != held_out.labels))


def table(errors: Errors, on: str) -> str:
    """Formats a row for each method, with a column for each number of labels."""
    sizes = sorted({labels for labels, _ in errors})
    title = f"{on} error, %"
    lines = ["".join([f"{title:<18}", *(f"{size:>8} a class" for size in sizes)])]
    for method in METHODS:
        line = f"{method:<18}"
        for size in sizes:
            line += f"{shown(100 * np.array(errors[size, method]), 1):>16}"
        lines.append(line)
    return "\n".join(lines)


def save_figure(path: pathlib.Path, errors: Errors, args: argparse.Namespace) -> None:
    """Draws the runs as dots, and their mean ± standard error below the dots."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = sorted({labels for labels, _ in errors})
    figure, panels = plt.subplots(
        1,
        len(sizes),
        figsize=(4.5 * len(sizes), 3.4),
        layout="constrained",
        squeeze=False,
    )
    for panel, size in zip(panels.flat, sizes):
        for place, method in enumerate(METHODS):
            found = 100 * np.array(errors[size, method])
            mean, spread = mean_and_error(found)
            panel.plot(found, [place] * len(found), "o", color="#a8a8a8", markersize=4)
            panel.errorbar(
                mean,
                place + 0.25,
                xerr=np.nan_to_num(spread),
                fmt="s",
                color="#1f5fa8",
                capsize=3,
            )
        panel.set_yticks(range(len(METHODS)), list(METHODS))
        panel.set(xlabel=f"wrong {args.on} predictions, %")
        panel.set(title=f"{size} labels a class", ylim=(len(METHODS) - 0.4, -0.5))
        panel.grid(alpha=0.3, axis="x")
    figure.suptitle("Dots: runs. Squares: their mean and its standard error")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", default=DOCSTRINGS, help="or a name in TFDS, such as imdb_reviews")
    add("--data-dir", help="where TensorFlow Datasets keeps its files")
    add(
        "--labels",
        type=int,
        nargs="+",
        default=[40, 800],
        help="training sentences a class",
    )
    add(
        "--held-out",
        type=int,
        default=300,
        help="sentences a class to test with, at most",
    )
    add("--on", choices=PARTS[1:], default="test", help="choose settings on validation")
    add("--alpha", type=float, default=1.0, help="of mixup")
    add("--steps", type=int, default=600, help="batches that a network sees")
    add("--batch-size", type=int, default=64)
    add("--learning-rate", type=float, default=3e-3, help="of AdamW")
    add(
        "--vocabulary",
        type=int,
        default=5000,
        help="words that are told apart, at most",
    )
    add("--words", type=int, default=32, help="longer sentences are cut")
    add("--seeds", type=int, default=5, help="runs of each method")
    add("--quick", action="store_true", help="one short run of each method, as a test")
    add(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("text_out"),
        help="for the picture",
    )
    args = parser.parse_args(argv)
    if args.quick:
        args.labels, args.held_out, args.steps, args.seeds = [8, 16], 8, 10, 1
    return args


def main(argv: Sequence[str] | None = None) -> Errors:
    """Compares, prints the table, saves the picture, and returns all errors."""
    args = parse(argv)
    texts, classes = load(args)
    args.out.mkdir(parents=True, exist_ok=True)
    held_out = len(texts[args.on].labels)
    print(f"{classes} classes; {held_out} {args.on} sentences; alpha = {args.alpha:g}")
    errors: Errors = {cell: [] for cell in itertools.product(args.labels, METHODS)}
    runs = list(itertools.product(range(args.seeds), errors))
    begin = time.perf_counter()
    for done, (seed, (labels, method)) in enumerate(runs, 1):
        found = error(method, texts, classes, labels, seed, args)
        errors[labels, method].append(found)
        number, left = marks(begin, done, len(runs))
        print(
            f"{number} {labels:>4} a class  seed {seed}  {method:<9}  {found:6.1%}  "
            f"({left})",
            flush=True,
        )
    print(f"\n{table(errors, args.on)}\n\n{time.perf_counter() - begin:.0f} s")
    path = args.out / "text.png"
    save_figure(path, errors, args)
    print(f"saved {path}")
    return errors


if __name__ == "__main__":
    main()
