"""Rectangles of whole pixels: where one image is pasted into another.

They are computed in integers, from draws that are fractions of 2⁻²⁴. XLA may compute a
box once for the pixels and once more for the label, and may contract a multiplication
and an addition of floats in one place but not in the other: near a tie the label would
count other pixels than were pasted.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

__all__ = ["Box", "around", "contains", "kept_share", "within"]

_BITS = 24  # what a float32 in [0, 1) has after the point, if it is drawn


class Box(NamedTuple):
    """Rectangles, int32 (B,) or (1,) each; `bottom` and `right` are just outside."""

    top: tf.Tensor
    left: tf.Tensor
    bottom: tf.Tensor
    right: tf.Tensor


def around(
    centre: tf.Tensor, side: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
) -> Box:
    """Boxes around a centre, their edges rounded to pixels and clipped at the border.

    Args:
      centre: float32 (B, 2) in [0, 1): down and across, as shares of H and W.
      side: float32 (B,) in [0, 1]: the sides, as shares of H and W.
      height: H.
      width: W.

    Returns:
      The boxes; empty ones where a side is less than about half a pixel.
    """
    top, bottom = _span(centre[..., 0], side, height)
    left, right = _span(centre[..., 1], side, width)
    return Box(top, left, bottom, right)


def _span(
    centre: tf.Tensor, side: tf.Tensor, n: int | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    n = tf.cast(n, tf.int64)
    middle, length = 2 * _fixed(centre) * n, _fixed(side) * n  # in halves of 2⁻²⁴
    half = tf.constant(1 << _BITS, tf.int64)  # half a pixel, to round to nearest
    ends = [_down(middle + half + s * length, _BITS + 1) for s in (-1, 1)]
    start, stop = (
        tf.cast(tf.clip_by_value(end, tf.zeros_like(n), n), tf.int32) for end in ends
    )
    return start, stop


def within(
    place: tf.Tensor, side: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
) -> Box:
    """Boxes of a given size, at least one pixel, that lie inside the image.

    Args:
      place: float32 (B, 2) in [0, 1): 0 is the first place that is possible, down and
        across.
      side: float32 (B,) in [0, 1]: the sides, as shares of H and W.
      height: H.
      width: W.
    """
    tops, heights = _inside(place[..., 0], side, height)
    lefts, widths = _inside(place[..., 1], side, width)
    return Box(tops, lefts, tops + heights, lefts + widths)


def _inside(
    place: tf.Tensor, side: tf.Tensor, n: int | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    n = tf.cast(n, tf.int64)
    half = tf.constant(1 << (_BITS - 1), tf.int64)
    length = _down(_fixed(side) * n + half, _BITS)
    length = tf.clip_by_value(length, tf.ones_like(n), n)
    start = tf.minimum(_down(_fixed(place) * (n - length + 1), _BITS), n - length)
    return tf.cast(start, tf.int32), tf.cast(length, tf.int32)


def _fixed(share: tf.Tensor) -> tf.Tensor:
    # A power of two as factor: nothing is rounded but what is below 2⁻²⁴.
    return tf.cast(share * float(1 << _BITS), tf.int64)


def _down(value: tf.Tensor, bits: int) -> tf.Tensor:
    """Rounds `value / 2**bits` down, below zero too."""
    return tf.bitwise.right_shift(value, tf.constant(bits, tf.int64))


def contains(box: Box, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Whether a pixel is in the box: bool (B, H, W)."""
    down = tf.range(height)[tf.newaxis, :, tf.newaxis]
    across = tf.range(width)[tf.newaxis, tf.newaxis, :]
    top, left, bottom, right = (edge[:, tf.newaxis, tf.newaxis] for edge in box)
    return (down >= top) & (down < bottom) & (across >= left) & (across < right)


def kept_share(box: Box, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """The share of pixels outside the box, counted: float32 (B,)."""
    pasted = (box.bottom - box.top) * (box.right - box.left)
    pixels = tf.convert_to_tensor(height * width)
    # XLA multiplies by the inverse of a constant, which float64 makes up for.
    share = tf.cast(pixels - pasted, tf.float64) / tf.cast(pixels, tf.float64)
    return tf.cast(share, tf.float32)
