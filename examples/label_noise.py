"""Trains on corrupted labels without mixup and with it: who memorises the noise?

The labels of a share of the training images are drawn anew, uniformly over all
classes. The test labels stay clean. A small convolutional network without dropout is
trained long enough to learn wrong labels by heart. There is one run for each share of
noise, each alpha (0: no mixup) and each seed, as in the corrupted-label table of the
mixup paper (arXiv 1710.09412).

Measured on the test images are the error at the best and at the last epoch, and at the
last epoch also cross-entropy, calibration error and the error under an attack (FGSM).
With mixup, a second row shows what `tfmixup.keras.unmix` makes of the same predictions.
--same-batch adds runs with the originals beside the mixed examples in every step, as
in RegMixup (arXiv 2206.14502). The default data come with scikit-learn. Nothing is
downloaded.

  pip install '.[tf,examples]'
  python examples/label_noise.py                    # 80 runs of some seconds each
  python examples/label_noise.py --noise 40 --alphas 0 1 --seeds 2        # a taste
  python examples/label_noise.py --dataset cifar10 --epsilon 4            # long

Every finished run is a row in results.csv, in the folder --out. After a stop, start
the same command again, or the command with more seeds. Runs that are in the file are
not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import label_noise_report as report
import label_noise_training as training
import numpy as np
from run_marks import marks


def run_grid(cells: Sequence[report.Cell], path: pathlib.Path, args: Any) -> None:
    """Runs the cells that are not in the file yet. Appends each finished cell."""
    known = report.read(path)
    missing = [cell for cell in cells if cell not in known]
    print(f"{len(cells)} runs, of which {len(cells) - len(missing)} are in {path}")
    if not missing:
        return
    train, test, classes = training.load_images(args.dataset, args.data_dir, args.limit)
    images = train[0]
    if args.batch_size > len(images):
        raise SystemExit(
            f"--batch-size {args.batch_size}: there are only {len(images)} training "
            f"images"
        )
    network = training.Network(images.shape[1:], classes, args.learning_rate)
    start = time.perf_counter()

    def show_epoch(epoch: int) -> None:
        if sys.stdout.isatty():
            print(f"\r  epoch {epoch}/{args.epochs} ", end="\r", flush=True)

    for done, cell in enumerate(missing, 1):
        result = training.run(network, cell, train, test, show_epoch)
        report.append(path, cell, result)
        both = ", both in one step" if cell.same_batch else ""
        number, left = marks(start, done, len(missing), digits=0)
        print(
            f"{number} noise {cell.noise:g} %"
            f"  alpha {cell.alpha:g}{both}  seed {cell.seed}:  test error "
            f"{result.best_error:.1f} % best, {result.last_error:.1f} % last  "
            f"({result.seconds:.1f} s; {left})",
            flush=True,
        )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(flag: str, default: Any, text: str, **more: Any) -> None:
        several = isinstance(default, list)
        shown = " ".join(f"{d:g}" for d in default) if several else default
        kind = type(default[0] if several else default)
        parser.add_argument(
            flag,
            default=default,
            type=kind,
            nargs="+" if several else None,
            help=f"{text} (default {shown})",
            **more,
        )

    add("--dataset", "bundled_digits", "or a TFDS name, such as cifar10")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--limit", type=int, help="use only so many training images")
    add("--noise", [0.0, 20.0, 40.0, 60.0], "%% of the training labels drawn anew")
    add("--alphas", [0.0, 0.2, 1.0, 8.0], "alpha of mixup; 0 is no mixup")
    add("--seeds", 5, "runs of each; a seed draws the noise, the weights, the order")
    add("--epochs", 80, "of each run")
    add("--batch-size", 64, "examples in a batch")
    add("--learning-rate", 2e-3, "of Adam")
    parser.add_argument(
        "--same-batch",
        action="store_true",
        help="for each alpha above 0, also train on originals and mixed in one step",
    )
    add("--epsilon", 16.0, "size of the attack, in grey levels of 255")
    add("--out", pathlib.Path("label_noise_out"), "for results.csv and the figure")
    args = parser.parse_args(argv)
    for name in ("seeds", "epochs", "batch_size", "learning_rate", "limit"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0, got {value}")
    if not all(0 <= noise <= 100 for noise in args.noise):
        parser.error(f"--noise must be per cent, from 0 to 100, got {args.noise}")
    if not all(0 <= value < np.inf for value in [*args.alphas, args.epsilon]):
        parser.error("--alphas and --epsilon must be 0 or above")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the missing cells of the grid, prints the table and draws the figure."""
    args = parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "results.csv"
    fixed = {
        "dataset": args.dataset,
        "limit": args.limit or 0,
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "learning_rate": args.learning_rate,
        "epsilon": args.epsilon,
    }
    cells = [
        # Run the whole grid with one seed before the next seed begins.
        report.Cell(noise=noise, alpha=alpha, seed=seed, same_batch=both, **fixed)
        for seed, noise, alpha in itertools.product(
            range(args.seeds), dict.fromkeys(args.noise), dict.fromkeys(args.alphas)
        )
        for both in ([0, 1] if args.same_batch and alpha else [0])
    ]
    try:
        run_grid(cells, path, args)
    except report.FileError as problem:
        raise SystemExit(f"--out {args.out}: {problem}") from problem
    known = report.read(path)
    results = {cell: known[cell] for cell in cells}
    print(f"\n{report.table(results)}")
    report.save_figure(args.out / "label_noise.png", results)
    print(f"Saved results.csv and label_noise.png in {args.out}")


if __name__ == "__main__":
    main()
