"""Where bounding boxes come to lie in a mixture, and which can still be seen."""

from __future__ import annotations

import tensorflow as tf

from tfmixup import checks
from tfmixup.box_rows import Place, Size, Unit
from tfmixup.checks import see_docs
from tfmixup.mixers.boxes import Box
from tfmixup.options import Options

__all__ = ["MIN_VISIBLE", "check_min_visible", "inside", "outside"]

# YOLOv5 and its successors drop boxes of which a tenth or less is left: `area_thr` of
# https://github.com/ultralytics/ultralytics/blob/v8.3.0/ultralytics/data/augment.py
MIN_VISIBLE = 0.1


def check_min_visible(options: Options, min_visible: float) -> float:
    """Refuses an invalid `min_visible`, or one without boxes to be for."""
    share = checks.fraction("min_visible", min_visible)
    if share != MIN_VISIBLE and options.max_boxes is None:
        raise ValueError(
            f"min_visible={share} is for boxes, which need max_boxes=..., such as "
            "max_boxes=100." + see_docs("detection")
        )
    return share


def inside(window: Box, min_visible: float, offset: tf.Tensor | None = None) -> Place:
    """Clips boxes to a window of the mixture, after moving them.

    Args:
      window: the part of the mixture that shows the image, in pixels.
      min_visible: the least share of a box's area that must be in the window.
      offset: int32 (B, 2): by how many pixels the image moves down and across.

    Returns:
      A `Place`.
    """

    def place(before: tf.Tensor, unit: Unit) -> tuple[tf.Tensor, tf.Tensor]:
        if offset is not None:
            before += tf.tile(unit(offset)[:, tf.newaxis], [1, 1, 2])
        start, stop = (unit(end)[:, tf.newaxis] for end in window)
        low = tf.maximum(before[..., :2], start)
        high = tf.maximum(tf.minimum(before[..., 2:], stop), low)
        after = tf.concat([low, high], axis=-1)
        whole = tf.reduce_all(after == before, axis=-1)
        return after, _seen(_area(after), _area(before), whole, min_visible)

    return place


def outside(hole: Box, min_visible: float, size: Size) -> Place:
    """Makes boxes smaller where another image is pasted over them.

    What is left of a box need not be a rectangle. The box becomes the smallest
    rectangle around what is left.

    Args:
      hole: where the other image is pasted, in pixels.
      min_visible: the least share of a box's area that must be left.
      size: height and width of the images.

    Returns:
      A `Place`.
    """

    def place(before: tf.Tensor, unit: Unit) -> tuple[tf.Tensor, tf.Tensor]:
        start, stop = (unit(end)[:, tf.newaxis] for end in hole)
        # A box may reach a little beyond the border, where nothing is to be seen.
        at_start, at_stop = hole.start == 0, hole.stop == tf.stack(size)
        start = tf.where(at_start[:, tf.newaxis], start.dtype.min, start)
        stop = tf.where(at_stop[:, tf.newaxis], stop.dtype.max, stop)
        low, high = before[..., :2], before[..., 2:]
        covered = (start <= low) & (stop >= high)  # along each axis
        # An edge moves if the hole spans the box along the other axis.
        across = tf.reverse(covered, [-1])
        top = tf.where(across & (start <= low), tf.minimum(stop, high), low)
        end = tf.where(across & (stop >= high), tf.maximum(start, low), high)
        # The far edge of a hole that ends before the box, or the near edge of one that
        # begins behind it, moves nothing.
        after = tf.concat([tf.maximum(top, low), tf.minimum(end, high)], axis=-1)
        both = tf.maximum(tf.minimum(high, stop) - tf.maximum(low, start), 0)
        left = _area(before) - tf.reduce_prod(both, axis=-1)
        whole = ~tf.reduce_all(covered, axis=-1)
        return after, _seen(left, _area(before), whole, min_visible)

    return place


def _area(corners: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(corners[..., 2:] - corners[..., :2], axis=-1)


def _seen(
    left: tf.Tensor, area: tf.Tensor, whole: tf.Tensor, min_visible: float
) -> tf.Tensor:
    """Whether enough is left of an area. Boxes without an area must be whole."""
    # The room is for rounding: a box that is covered leaves no area, or hardly any.
    enough = (left > _ROOM * area) & (left >= (min_visible - _ROOM) * area)
    return tf.where(area > 0, enough, whole)


_ROOM = 1e-5
