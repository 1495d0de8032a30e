"""`python -m tfmixup preview`: draws mixed examples of any image dataset."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

import tfmixup
from tfmixup import command_line, requirements

__all__ = ["main"]


class _PreviewError(Exception):
    """What went wrong, in a sentence for whoever typed the command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: the arguments. None for the arguments of the process.

    Returns:
      0, or 1 after a message on stderr. Wrong arguments exit with 2.
    """
    args = command_line.parse(argv)
    try:
        _preview(args)
    except _PreviewError as error:
        print(f"{command_line.PROGRAM} preview: error: {error}", file=sys.stderr)
        return 1
    return 0


def _preview(args: argparse.Namespace) -> None:
    if args.images is None:
        images, names = _load(args.dataset, args.split, args.data_dir, args.size)
    else:
        images, names = _folder(args.images, args.size or command_line.SIZE, args.seed)
    source = args.images or args.dataset
    given = {} if args.alpha is None else {"alpha": args.alpha}
    classes = None if names is None else len(names)
    try:
        # A blended label does not tell λ, which stands above each image. A pair does.
        # A mosaic has four labels and no λ.
        targets = "blend" if args.mixer == "mosaic" else "pair"
        if targets == "blend" and names is None:
            images = images.map(lambda image, _: image)
        kind = getattr(tfmixup, command_line.MIXERS[args.mixer])
        mixer = kind(num_classes=classes, targets=targets, **given)
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
            title=f"{source}, {args.mixer}{alpha}",
        )
        figure.savefig(args.out)
    except (ImportError, ValueError, OSError) as error:
        raise _PreviewError(str(error)) from error
    except tf.errors.OpError as error:  # an image that cannot be decoded
        line = error.message.strip().splitlines()[0]
        raise _PreviewError(f"{source} cannot be read: {line}") from error
    print(f"Wrote {args.out}: {args.mixer}{alpha} on {source}.")


def _folder(
    path: pathlib.Path, size: int, seed: int
) -> tuple[tf.data.Dataset, list[str] | None]:
    """A folder as a dataset of (image, label), and the names of its classes."""
    # Keras skips names that begin with a dot, and an empty folder is no class.
    folders = sorted(p for p in path.iterdir() if p.is_dir() and p.name[0] != ".")
    classes = [p.name for p in folders if any(one.is_file() for one in p.rglob("*"))]
    if len(classes) < 2:  # a label that all images share tells nothing
        classes = []
    try:
        images = keras.utils.image_dataset_from_directory(
            path,
            labels="inferred" if classes else None,
            class_names=classes or None,
            image_size=(size, size),
            crop_to_aspect_ratio=True,
            batch_size=None,
            # The files of a class stand together, more than a buffer may hold.
            shuffle=True,
            seed=seed,
            verbose=False,
        )
    except ValueError as error:
        raise _PreviewError(f"--images {path}: {error}") from error
    return (images, classes) if classes else (images.map(_unlabelled), None)


def _unlabelled(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # plot.batch does not write vectors of integers, so that only λ stands above the
    # image.
    return image, tf.zeros([2], tf.int32)


def _load(
    name: str, split: str, data_dir: str | None, size: int | None
) -> tuple[tf.data.Dataset, list[str] | None]:
    """A dataset of (image, label) with images of one size, and its class names."""
    try:
        requirements.check_tensorflow_datasets()
        import tensorflow_datasets as tfds

        from tfmixup import datasets
    except ImportError as error:
        raise _PreviewError(str(error)) from error
    asked = f"--dataset {name}"
    # The dataset's own code runs here, and may raise anything.
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
    if size is None and None in shape:
        size = command_line.SIZE
    target = [size, size] if size else shape
    # Small images are enlarged without smoothing, so that single pixels stay visible.
    method = "area" if None in shape or shape[0] > target[0] else "nearest"

    def example(element: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        x = element[image]
        if target != shape:
            x = tf.image.resize(x, target, method)
        x = tf.ensure_shape(tf.cast(x, tf.float32), [*target, channels])
        return (x, element[label]) if label else _unlabelled(x)

    return dataset.map(example), info.features[label].names if label else None


def _keys(asked: str, info: Any) -> tuple[str, str | None]:
    """The keys of the image and of its class. The latter is None without classes."""
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
