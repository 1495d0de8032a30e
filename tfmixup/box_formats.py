"""Layouts of bounding boxes, by the names that Keras gives to their formats.

`keras.utils.bounding_boxes.convert_format` turns every relative box into pixels and
back, which changes the last bits of coordinates, and needs the size of the image. Boxes
here stay relative or absolute, so that boxes which are not clipped stay exact.
"""

from __future__ import annotations

import tensorflow as tf

__all__ = ["FORMATS", "from_corners", "is_relative", "to_corners"]

FORMATS = (
    "rel_yxyx",
    "rel_xyxy",
    "rel_xywh",
    "rel_center_xywh",
    "yxyx",
    "xyxy",
    "xywh",
    "center_xywh",
    "center_yxhw",
)


def is_relative(box_format: str) -> bool:
    """Whether coordinates are shares of the image's size, and not pixels."""
    return box_format.startswith("rel_")


def to_corners(boxes: tf.Tensor, box_format: str) -> tf.Tensor:
    """Turns boxes into (ymin, xmin, ymax, xmax).

    Args:
      boxes: float (..., 4), relative or in pixels.
      box_format: one of `FORMATS`.

    Returns:
      (..., 4) in the same unit.
    """
    a, b, c, d = tf.unstack(boxes, axis=-1)
    corners = {
        "yxyx": lambda: (a, b, c, d),
        "xyxy": lambda: (b, a, d, c),
        "xywh": lambda: (b, a, b + d, a + c),
        "center_xywh": lambda: (b - d / 2, a - c / 2, b + d / 2, a + c / 2),
        "center_yxhw": lambda: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    }
    return tf.stack(corners[box_format.removeprefix("rel_")](), axis=-1)


def from_corners(corners: tf.Tensor, box_format: str) -> tf.Tensor:
    """Turns (ymin, xmin, ymax, xmax) into boxes of a format: (..., 4)."""
    top, left, bottom, right = tf.unstack(corners, axis=-1)
    height, width = bottom - top, right - left
    middle = (top + bottom) / 2, (left + right) / 2
    boxes = {
        "yxyx": (top, left, bottom, right),
        "xyxy": (left, top, right, bottom),
        "xywh": (left, top, width, height),
        "center_xywh": (middle[1], middle[0], width, height),
        "center_yxhw": (*middle, height, width),
    }
    return tf.stack(boxes[box_format.removeprefix("rel_")], axis=-1)
