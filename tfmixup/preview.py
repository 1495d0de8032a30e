"""`python -m tfmixup preview`: a picture of mixed examples of any image dataset."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

import tfmixup
from tfmixup import requirements

__all__ = ["main"]

_PROGRAM = "python -m tfmixup"
_MIXERS: dict[str, Any] = {
    "mixup": tfmixup.MixUp,
    "cutmix": tfmixup.CutMix,
    "resizemix": tfmixup.ResizeMix,
}
_SIZE = 128  # pixels, where images differ in size and --size is not given

_DESCRIPTION = """\
Saves a picture of examples as a network would see them in training: pairs of images
of a dataset, mixed, each under its lambda (the share of the first image in the label)
and the label that comes of it, such as "3: 0.79 / 4: 0.21".

Without arguments it mixes the handwritten digits that come with scikit-learn, without
a download, and writes mix.png in the current folder.
"""

_EXAMPLES = """\
examples:
  python -m tfmixup preview
  python -m tfmixup preview --alpha 1 --out mix.png
  python -m tfmixup preview --mixer cutmix --dataset cifar10
  python -m tfmixup preview --dataset oxford_flowers102 --size 160 --examples 12

What alpha does: lambda is drawn from Beta(alpha, alpha). 0.2 leaves most images nearly
as they are, 1 makes every lambda as likely, 8 puts most near one half.

What is needed: {install}
"""


class _PreviewError(Exception):
    """What went wrong, in a sentence for whoever typed the command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: arguments; None for those of the process.

    Returns:
      0, or 1 after a message on stderr. Arguments that argparse refuses exit with 2.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        _preview(args)
    except _PreviewError as error:
        print(f"{_PROGRAM} preview: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="tfmixup: mixup as a tf.data pipeline component."
    )
    version = f"tfmixup {tfmixup.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", title="commands")
    preview = commands.add_parser(
        "preview",
        help="save a picture of mixed examples of a dataset",
        description=_DESCRIPTION,
        epilog=_EXAMPLES.format(install=requirements.install("tf,examples")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(name: str, help: str, **how: Any) -> None:
        default = "" if how.get("default") is None else " (default: %(default)s)"
        preview.add_argument(name, help=help + default, **how)

    add(
        "--dataset",
        "an image dataset of TensorFlow Datasets, such as cifar10, which is downloaded "
        "if it is not there yet; bundled_digits needs no download",
        metavar="NAME",
        default="bundled_digits",
    )
    add("--split", "which part of the dataset", default="train")
    folder = "where datasets are kept (default: TensorFlow Datasets' own folder)"
    add("--data-dir", folder, metavar="FOLDER")
    add(
        "--mixer",
        "mixup blends two images; cutmix pastes a rectangle of one into the other; "
        "resizemix pastes all of one, made smaller",
        choices=_MIXERS,
        default="mixup",
    )
    add(
        "--alpha",
        "how strongly to mix, a number from 0 up (default: 0.2 for mixup, 1 for "
        "cutmix; resizemix has none)",
        metavar="A",
        type=_alpha,
    )
    count: dict[str, Any] = {"metavar": "N", "type": _count}
    add("--examples", "how many mixed images to draw", **count, default=8)
    add(
        "--size",
        "resize images to so many pixels, high and wide (default: leave them, or "
        f"{_SIZE} where they differ in size)",
        **count,
    )
    add("--seed", "another number shows other examples", type=int, default=0)
    out = {"type": pathlib.Path, "default": pathlib.Path("mix.png")}
    add("--out", "the picture to write: .png, .pdf or .svg", metavar="FILE", **out)
    return parser


def _alpha(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 up")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 up")
    return value


def _preview(args: argparse.Namespace) -> None:
    if args.mixer == "resizemix" and args.alpha is not None:
        raise _PreviewError(
            "--alpha: resizemix has none. Leave it out, or use --mixer cutmix."
        )
    if not args.out.parent.is_dir():
        raise _PreviewError(f"--out {args.out}: there is no folder {args.out.parent}.")
    if args.out.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise _PreviewError(
            f"--out {args.out}: the name must end in .png, .pdf or .svg."
        )
    images, names = _load(args.dataset, args.split, args.data_dir, args.size)
    given = {} if args.alpha is None else {"alpha": args.alpha}
    classes = None if names is None else len(names)
    try:
        # Pairs of targets tell λ, which the blended label does not.
        mixer = _MIXERS[args.mixer](num_classes=classes, targets="pair", **given)
        mix = tfmixup.two_streams(
            mixer,
            args.examples,
            shuffle_buffer_size=max(500, 4 * args.examples),
            drop_remainder=False,
            seed=args.seed,
        )
        alpha = f", α = {mixer.alpha:g}" if hasattr(mixer, "alpha") else ""
        figure = tfmixup.plot.batch(
            images.apply(mix),
            names,
            examples=args.examples,
            title=f"{args.dataset}, {args.mixer}{alpha}",
        )
        figure.savefig(args.out)
    except (ImportError, ValueError, OSError) as error:
        raise _PreviewError(str(error)) from error
    print(f"Wrote {args.out}: {args.mixer}{alpha} on {args.dataset}.")


def _load(
    name: str, split: str, data_dir: str | None, size: int | None
) -> tuple[tf.data.Dataset, list[str] | None]:
    """A dataset of (image, label), images of one size, and the names of its classes."""
    try:
        requirements.check_tensorflow_datasets()
        import tensorflow_datasets as tfds

        from tfmixup import datasets
    except ImportError as error:
        raise _PreviewError(str(error)) from error
    asked = f"--dataset {name}"
    # A dataset's own code runs here, which may raise anything.
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        image, label = _keys(asked, builder.info)  # before a long download
        asked += f" --split {split}: cannot be loaded"
        dataset, info = datasets.load(name, split, data_dir)
    except _PreviewError:
        raise
    except tfds.core.DatasetNotFoundError as error:
        raise _PreviewError(
            f"{asked}: TensorFlow Datasets knows no such dataset. "
            "Names are listed at https://www.tensorflow.org/datasets/catalog; "
            "'bundled_digits' needs no download."
        ) from error
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        raise _PreviewError(f"{asked}. {type(error).__name__}: {line}") from error
    *shape, channels = info.features[image].shape
    target = [size, size] if size else [_SIZE, _SIZE] if None in shape else shape
    # Small images are enlarged pixel by pixel, so that their pixels can be told apart.
    method = "area" if None in shape or shape[0] > target[0] else "nearest"

    def example(element: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        x = element[image]
        if target != shape:
            x = tf.image.resize(x, target, method)
        x = tf.ensure_shape(tf.cast(x, tf.float32), [*target, channels])
        # A pair of vectors of integers is no label, so that only λ is written.
        return x, element[label] if label else tf.zeros([2], tf.int32)

    return dataset.map(example), info.features[label].names if label else None


def _keys(asked: str, info: Any) -> tuple[str, str | None]:
    """The keys of the image and of its class; None where there is no class."""
    import tensorflow_datasets as tfds

    features = dict(info.features.items()) if hasattr(info.features, "items") else {}
    usual = [key for key in info.supervised_keys or () if isinstance(key, str)]
    ordered = [key for key in (*usual, "image", "label", *features) if key in features]
    images = [
        key
        for key in ordered
        if isinstance(features[key], tfds.features.Image)
        and features[key].shape[-1] in (1, 3, 4)
        and not isinstance(features[key], tfds.features.LabeledImage)
    ]
    if not images:
        raise _PreviewError(
            f"{asked}: it has no images to mix; its features are "
            f"{', '.join(features) or info.features}. This command draws images; for "
            "sounds see tfmixup.plot.batch."
        )
    labels = [k for k in ordered if isinstance(features[k], tfds.features.ClassLabel)]
    return images[0], labels[0] if labels else None
