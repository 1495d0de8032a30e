"""Bounding boxes among the targets, whose corners cannot be averaged."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup.checks import see_docs

__all__ = ["refuse"]

# What TFDS and Keras name boxes.
_BOX_KEYS = ("bbox", "bboxes", "box", "boxes", "bounding_box", "bounding_boxes")


def refuse(targets: Any, batch_dims: int) -> None:
    """Refuses bounding boxes: four corners, beside one label for each box.

    Args:
      targets: a nest of specs.
      batch_dims: 1 for batches, 0 for single examples.

    Raises:
      ValueError: a target's shape, or its key, is that of boxes.
    """
    if isinstance(targets, (tuple, list)):
        for inner in targets:
            refuse(inner, batch_dims)
    if not isinstance(targets, dict):
        return
    specs = {k: spec for k, spec in targets.items() if _is_dense(spec)}
    integers = [spec.shape for spec in specs.values() if spec.dtype.is_integer]
    for key, inner in targets.items():
        if key not in specs:
            # A ragged tensor has no shape to go by.
            boxes = str(key).lower() in _BOX_KEYS
        else:
            four = inner.dtype.is_floating and inner.shape.rank and inner.shape[-1] == 4
            labelled = inner.shape.rank >= 2 + batch_dims and any(
                shape.rank == inner.shape.rank - 1
                and shape.is_compatible_with(inner.shape[:-1])
                for shape in integers
            )
            boxes = four and (labelled or str(key).lower() in _BOX_KEYS)
        if boxes:
            raise ValueError(
                f"the target {key!r} looks like bounding boxes, and corners "
                "of boxes cannot be averaged: a mixed image has the boxes of both "
                "examples. Leave it out of target_keys and map a second, independently "
                "shuffled dataset's boxes in yourself (concatenated, each with its "
                "weight). If these are no boxes, give targets as a tuple, not a dict."
                + see_docs("images_and_masks")
            )
        refuse(inner, batch_dims)


def _is_dense(spec: Any) -> bool:
    dense = isinstance(spec, (tf.TensorSpec, tf.Tensor))
    return dense and spec.shape.rank is not None
