"""Images of any data set of TensorFlow Datasets, at one size, for a preview."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["SIZE", "PreviewError", "Source", "load"]

SIZE = 128  # pixels, where images differ in size and none is asked for


class PreviewError(Exception):
    """What went wrong, in a sentence for whoever typed the command."""


class Source(NamedTuple):
    """A data set's images.

    Attributes:
      dataset: (image, label), images of one size.
      names: of the classes; None where the set has no class labels.
      value_range: the values of black and white; None to tell by the images.
    """

    dataset: tf.data.Dataset
    names: list[str] | None
    value_range: tuple[float, float] | None


def load(
    name: str, split: str, data_dir: str | None = None, size: int | None = None
) -> Source:
    """Loads a data set of TensorFlow Datasets.

    Args:
      name: of the data set.
      split: such as "train".
      data_dir: where data sets are kept; None for TFDS's own folder.
      size: pixels, high and wide, that images are resized to; None to leave them, or
        for `SIZE` where they differ.

    Raises:
      PreviewError: it cannot be loaded, or has no images.
    """
    try:
        import tensorflow_datasets as tfds

        from tfmixup import datasets
    except ImportError as error:
        raise PreviewError(
            f"{error}. Install it: pip install 'tfmixup[examples]'"
        ) from error
    # Anything can happen in a data set's code and on its way through the net.
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise PreviewError(
            f"--dataset {name}: TensorFlow Datasets knows no such data set. "
            "Names are listed at https://www.tensorflow.org/datasets/catalog; "
            "'bundled_digits' needs no download."
        ) from error
    except Exception as error:
        raise PreviewError(f"--dataset {name}: {_first_line(error)}") from error
    image, label = _keys(name, builder.info)  # before a long download
    if builder.info.splits and "[" not in split and "+" not in split:
        _check_split(name, split, list(builder.info.splits))
    try:
        dataset, info = datasets.load(name, split, data_dir)
    except Exception as error:
        raise PreviewError(
            f"--dataset {name} --split {split}: cannot be loaded. {_first_line(error)}"
        ) from error
    feature = info.features[image]
    names = info.features[label].names if label else None
    target = (size, size) if size else tuple(feature.shape[:2])
    if None in target:
        target = (SIZE, SIZE)
    resized = target != tuple(feature.shape[:2])

    def example(element: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x = element[image]
        if resized:
            # Small images are enlarged pixel by pixel, so that they stay what they are.
            grow = feature.shape[0] is not None and feature.shape[0] <= target[0]
            x = tf.image.resize(x, target, "nearest" if grow else "area")
        x = tf.ensure_shape(tf.cast(x, tf.float32), [*target, feature.shape[2]])
        y = element[label] if label else tf.constant(0.0)
        return x, y

    dtype = np.dtype(feature.np_dtype)
    whole = dtype.kind == "u"
    value_range = (0.0, float(np.iinfo(dtype).max)) if whole else None
    return Source(dataset.map(example), names, value_range)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _check_split(name: str, split: str, splits: list[str]) -> None:
    if split not in splits:
        raise PreviewError(
            f"--split {split}: {name} has {', '.join(splits)}. Write one "
            "of them, or a part such as 'train[:10%]'."
        )


def _keys(name: str, info: Any) -> tuple[str, str | None]:
    """The keys of the image and of its class, None where there is none."""
    import tensorflow_datasets as tfds

    features = dict(info.features.items()) if hasattr(info.features, "items") else {}
    images = [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Image)
        and feature.shape[-1] in (1, 3, 4)
        and not isinstance(feature, tfds.features.LabeledImage)
    ]
    if not images:
        raise PreviewError(
            f"--dataset {name}: it has no images to mix; its features are "
            f"{', '.join(features) or info.features}. This command draws images; for "
            "sounds see tfmixup.plot.batch."
        )
    supervised = [key for key in info.supervised_keys or () if isinstance(key, str)]
    first = [key for key in (*supervised, "image") if key in images]
    labels = [
        key
        for key in (*supervised, "label", *features)
        if isinstance(features.get(key), tfds.features.ClassLabel)
    ]
    return (first or images)[0], labels[0] if labels else None
