"""The command line of `python -m tfmixup`, parsed before TensorFlow is imported.

`python -m tfmixup` begins with `import tfmixup`, which takes seconds.
`tfmixup/__init__.py` imports this module first, so that `--help` and a wrong argument
are answered at once.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from tfmixup import requirements
from tfmixup._version import __version__

__all__ = ["MIXERS", "PROGRAM", "SIZE", "parse"]

PROGRAM = "python -m tfmixup"
MIXERS = {
    "mixup": "MixUp",
    "cutmix": "CutMix",
    "resizemix": "ResizeMix",
    "mosaic": "Mosaic",
}
_WITHOUT_ALPHA = ("resizemix", "mosaic")
SIZE = 128  # pixels, where images differ in size and --size is not given

_DESCRIPTION = """\
Saves a picture of examples as a network would see them in training: pairs of images
of a dataset, mixed, each under its lambda (the share of the first image in the label)
and the label that comes of it, such as "3: 0.79 / 4: 0.21". A mosaic has no lambda.

Without arguments it mixes the handwritten digits that come with scikit-learn, without
a download, and writes mix.png in the current folder.
"""

_EXAMPLES = """\
examples:
  python -m tfmixup preview
  python -m tfmixup preview --alpha 1 --out mix.png
  python -m tfmixup preview --images photos --mixer cutmix
  python -m tfmixup preview --mixer cutmix --dataset cifar10
  python -m tfmixup preview --dataset oxford_flowers102 --size 160 --examples 12

What alpha does: lambda is drawn from Beta(alpha, alpha). 0.2 leaves most images nearly
as they are, 1 makes every lambda as likely, 8 puts most near one half.

What is needed: {install}
"""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads and checks the arguments.

    The process exits with 0 after help, and with 2 after a wrong argument.

    Args:
      argv: the arguments. None for the arguments of the process.
    """
    parser, preview = _parsers()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        parser.exit()
    if args.mixer in _WITHOUT_ALPHA and args.alpha is not None:
        preview.error(
            f"--alpha: {args.mixer} has none. Leave it out, or use --mixer cutmix."
        )
    if args.images is not None and not args.images.is_dir():
        preview.error(f"--images {args.images}: there is no such folder.")
    if args.images is not None and (args.split or args.data_dir):
        preview.error("--split and --data-dir are for --dataset. Leave them out.")
    args.split = args.split or "train"
    if not args.out.parent.is_dir():
        preview.error(f"--out {args.out}: there is no folder {args.out.parent}.")
    if args.out.suffix.lower() not in (".png", ".pdf", ".svg"):
        preview.error(f"--out {args.out}: the name must end in .png, .pdf or .svg.")
    return args


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="tfmixup: mixup as a tf.data pipeline component."
    )
    version = f"tfmixup {__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", title="commands")
    preview = commands.add_parser(
        "preview",
        help="save a picture of mixed examples of a dataset",
        description=_DESCRIPTION,
        epilog=_EXAMPLES.format(install=requirements.install("tf,examples")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(name: str, help: str, to: Any = preview, **how: Any) -> None:
        default = "" if how.get("default") is None else " (default: %(default)s)"
        to.add_argument(name, help=help + default, **how)

    source = preview.add_mutually_exclusive_group()
    add(
        "--images",
        "a folder of images of your own; if it has folders, each is a class",
        source,
        metavar="FOLDER",
        type=pathlib.Path,
    )
    add(
        "--dataset",
        "an image dataset of TensorFlow Datasets, such as cifar10, which is downloaded "
        "if it is not there yet; bundled_digits needs no download",
        source,
        metavar="NAME",
        default="bundled_digits",
    )
    add("--split", "which part of the dataset (default: train)")
    folder = "where datasets are kept (default: TensorFlow Datasets' own folder)"
    add("--data-dir", folder, metavar="FOLDER")
    add(
        "--mixer",
        "mixup blends two images; cutmix pastes a rectangle of one into the other; "
        "resizemix pastes all of one, made smaller; mosaic shows parts of four images, "
        "under their shares of the pixels",
        choices=MIXERS,
        default="mixup",
    )
    add(
        "--alpha",
        "how strongly to mix, a number from 0 up (default: 0.2 for mixup, 1 for "
        "cutmix; the others have none)",
        metavar="A",
        type=_alpha,
    )
    count: dict[str, Any] = {"metavar": "N", "type": _count}
    add("--examples", "how many mixed images to draw", **count, default=8)
    add(
        "--size",
        "resize images to so many pixels, high and wide (default: leave them, or "
        f"{SIZE} where they differ in size and for a folder)",
        **count,
    )
    add("--seed", "another number shows other examples", type=int, default=0)
    out = {"type": pathlib.Path, "default": pathlib.Path("mix.png")}
    add("--out", "the picture to write: .png, .pdf or .svg", metavar="FILE", **out)
    return parser, preview


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


# Parse at import, but only if the command is `python -m tfmixup`. Python puts "-m" in
# the first argument while it looks for the module to run:
# https://docs.python.org/3/using/cmdline.html#cmdoption-m
_module = sys.orig_argv[-len(sys.argv) :][:1] if sys.argv[:1] == ["-m"] else []
if _module and re.fullmatch(r"(-[A-Za-z]*m)?tfmixup", _module[0]):
    parse()
