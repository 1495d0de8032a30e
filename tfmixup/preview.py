"""`python -m tfmixup preview`: a picture of mixed examples of any image data set."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import tfmixup
from tfmixup import preview_images
from tfmixup.mixers import Mixer
from tfmixup.preview_images import PreviewError, Source

__all__ = ["main"]

_PROGRAM = "python -m tfmixup"
_MIXERS = ("mixup", "cutmix", "resizemix")

_DESCRIPTION = """\
Saves a picture of examples as a network would see them in training: pairs of images
of a data set, mixed, each under its lambda (the share of the first image in the label)
and the label that comes of it, such as "3: 0.79 / 4: 0.21".

With no arguments at all it mixes the handwritten digits that come with scikit-learn,
without a download, and writes mix.png in the current folder.
"""

_EXAMPLES = """\
examples:
  python -m tfmixup preview
  python -m tfmixup preview --alpha 1 --out mix.png
  python -m tfmixup preview --mixer cutmix --dataset cifar10
  python -m tfmixup preview --dataset oxford_flowers102 --size 160 --examples 12

What alpha does: lambda is drawn from Beta(alpha, alpha). 0.2 leaves most images nearly
as they are, 1 makes every lambda as likely, 8 puts most near one half.

What is needed: pip install 'tfmixup[examples]'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: arguments; None for those of the process.

    Returns:
      0, or 1 after a message on stderr. Arguments that cannot be exit with 2, as
      argparse does.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        _preview(args)
    except PreviewError as error:
        print(f"{_PROGRAM} preview: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="tfmixup: mixup as a tf.data pipeline component."
    )
    parser.add_argument(
        "--version", action="version", version=f"tfmixup {tfmixup.__version__}"
    )
    commands = parser.add_subparsers(dest="command", title="commands")
    preview = commands.add_parser(
        "preview",
        help="save a picture of mixed examples of a data set",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = preview.add_argument
    add(
        "--dataset",
        default="bundled_digits",
        metavar="NAME",
        help="an image data set of TensorFlow Datasets, such as cifar10, which is "
        "downloaded if it is not there yet (default: bundled_digits, which needs no "
        "download)",
    )
    add("--split", default="train", help="which part of it (default: train)")
    add(
        "--data-dir",
        metavar="FOLDER",
        help="where data sets are kept (default: TensorFlow Datasets' own folder)",
    )
    add(
        "--mixer",
        choices=_MIXERS,
        default="mixup",
        help="mixup blends two images; cutmix pastes a rectangle of one into the "
        "other; resizemix pastes all of one, made smaller (default: mixup)",
    )
    add(
        "--alpha",
        type=_alpha,
        metavar="A",
        help="how strongly to mix, a number from 0 up (default: 0.2 for mixup, 1 for "
        "cutmix; resizemix has none)",
    )
    add(
        "--examples",
        type=_count,
        default=8,
        metavar="N",
        help="how many mixed images to draw (default: 8)",
    )
    add(
        "--size",
        type=_count,
        metavar="PIXELS",
        help="resize images to so many pixels, high and wide (default: leave them, or "
        f"{preview_images.SIZE} where they differ in size)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="another number shows other examples (default: 0)",
    )
    add(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("mix.png"),
        metavar="FILE",
        help="the picture to write: .png, .pdf or .svg (default: mix.png)",
    )
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
        raise PreviewError(
            "--alpha: resizemix has none. Leave it out, or use --mixer cutmix."
        )
    if not args.out.parent.is_dir():
        raise PreviewError(f"--out {args.out}: there is no folder {args.out.parent}.")
    if args.out.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise PreviewError(
            f"--out {args.out}: the name must end in .png, .pdf or .svg."
        )
    source = preview_images.load(args.dataset, args.split, args.data_dir, args.size)
    mixer = _mixer(args, source)
    mix = tfmixup.two_streams(
        mixer,
        args.examples,
        shuffle_buffer_size=max(500, 4 * args.examples),
        drop_remainder=False,
        seed=args.seed,
    )
    try:
        batch, lam = next(iter(source.dataset.apply(mix)), None), None
        if batch is not None and source.names is None:
            batch, (_, _, lam) = batch  # a label that says nothing
        figure = tfmixup.plot.batch(
            source.dataset.take(0) if batch is None else batch,
            source.names,
            lam=lam,
            examples=args.examples,
            value_range=source.value_range,
            title=f"{args.dataset}, {_told(args, mixer)}",
        )
        figure.savefig(args.out)
    except (ImportError, ValueError, OSError) as error:
        raise PreviewError(str(error)) from error
    print(f"Wrote {args.out}: {_told(args, mixer)} on {args.dataset}.")


def _told(args: argparse.Namespace, mixer: Any) -> str:
    return args.mixer + (f", α = {mixer.alpha:g}" if hasattr(mixer, "alpha") else "")


def _mixer(args: argparse.Namespace, source: Source) -> Mixer:
    kinds = {
        "mixup": tfmixup.MixUp,
        "cutmix": tfmixup.CutMix,
        "resizemix": tfmixup.ResizeMix,
    }
    given = {} if args.alpha is None else {"alpha": args.alpha}
    # A pair tells λ, which the blended label does not.
    classes = None if source.names is None else len(source.names)
    try:
        return kinds[args.mixer](num_classes=classes, targets="pair", **given)
    except ValueError as error:
        raise PreviewError(str(error)) from error
