"""Boxes of whole elements along some axes, and which elements lie inside.

Boxes are computed in integers, from draws that are fractions of 2⁻²⁴. XLA may compute a
box once for the pixels and once more for the label, and may contract a multiplication
and an addition of floats in one place but not in the other: near a tie the label would
count other pixels than were pasted.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

__all__ = [
    "Box",
    "Size",
    "align",
    "around",
    "inside",
    "inside_cells",
    "kept_share",
    "length",
    "share_outside",
    "within",
]

_BITS = 24  # what a float32 in [0, 1) has after the point, if it is drawn

Size = Sequence["int | tf.Tensor"]  # along d axes, integers where they are static


class Box(NamedTuple):
    """Boxes over d axes, int32 (B, d) or (1, d) each; `stop` is just outside."""

    start: tf.Tensor
    stop: tf.Tensor


def around(centre: tf.Tensor, side: tf.Tensor, size: Size) -> Box:
    """Boxes around a centre, their edges rounded to pixels and clipped at the border.

    Args:
      centre: float32 (B, d) in [0, 1): along each axis, as a share of its size.
      side: float32 (B,) in [0, 1]: the sides, as shares of the size.
      size: of what the box is in, along its d axes.

    Returns:
      The boxes; empty ones where a side is less than about half a pixel.
    """
    n = _wide(size)
    middle, length = 2 * _fixed(centre) * n, _fixed(side)[:, tf.newaxis] * n  # in 2⁻²⁵
    half = tf.constant(1 << _BITS, tf.int64)  # half a pixel, to round to nearest
    ends = (_down(middle + half + s * length, _BITS + 1) for s in (-1, 1))
    return Box(*(tf.cast(tf.clip_by_value(end, 0, n), tf.int32) for end in ends))


def within(place: tf.Tensor, side: tf.Tensor, size: Size) -> Box:
    """Boxes of a given size, at least one pixel, that lie inside the image.

    Args:
      place: float32 (B, d) in [0, 1): 0 is the first place that is possible, along each
        axis.
      side: float32 (B,) in [0, 1]: the sides, as shares of the size.
      size: of what the box is in, along its d axes.
    """
    n = _wide(size)
    half = tf.constant(1 << (_BITS - 1), tf.int64)
    length = _down(_fixed(side)[:, tf.newaxis] * n + half, _BITS)
    length = tf.clip_by_value(length, 1, n)
    start = tf.minimum(_down(_fixed(place) * (n - length + 1), _BITS), n - length)
    return Box(tf.cast(start, tf.int32), tf.cast(start + length, tf.int32))


def _wide(size: Size) -> tf.Tensor:
    """int64 (d,)."""
    return tf.stack([tf.cast(n, tf.int64) for n in size])


def _fixed(share: tf.Tensor) -> tf.Tensor:
    # A power of two as factor: nothing is rounded but what is below 2⁻²⁴.
    return tf.cast(share * float(1 << _BITS), tf.int64)


def _down(value: tf.Tensor, bits: int) -> tf.Tensor:
    """Rounds `value / 2**bits` down, below zero too."""
    return tf.bitwise.right_shift(value, tf.constant(bits, tf.int64))


def inside(box: Box, size: Size, axes: Sequence[int], rank: int) -> tf.Tensor:
    """Whether an element of a tensor is in the box.

    Args:
      box: the boxes.
      size: of what they are in.
      axes: the axes of the tensor that the boxes span.
      rank: of the tensor.

    Returns:
      bool of that rank: B or 1, the sizes along the axes, else 1.
    """
    along = [
        (at >= start) & (at < stop)
        for at, start, stop in _aligned(box, size, axes, rank, 1)
    ]
    return functools.reduce(tf.logical_and, along)


def inside_cells(
    box: Box, size: Size, axes: Sequence[int], rank: int, stride: int
) -> tf.Tensor:
    """How many of the `stride` elements of a cell along each axis are in the box.

    Returns:
      int32 of that rank: B or 1, the numbers of cells along the axes, else 1.
    """
    along = [
        tf.maximum(tf.minimum(at + stride, stop) - tf.maximum(at, start), 0)
        for at, start, stop in _aligned(box, size, axes, rank, stride)
    ]
    return functools.reduce(tf.multiply, along)


def _aligned(
    box: Box, size: Size, axes: Sequence[int], rank: int, stride: int
) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Along each axis the first element of every cell, and the ends of the boxes."""
    for k, (axis, n) in enumerate(zip(axes, size)):
        start, stop = (align(end[:, k, tf.newaxis], axis, rank) for end in box)
        yield align(tf.range(0, n, stride)[tf.newaxis], axis, rank), start, stop


def kept_share(box: Box, size: Size) -> tf.Tensor:
    """The share of elements outside the box, counted: float32 (B,)."""
    pasted = tf.reduce_prod(tf.cast(box.stop - box.start, tf.int64), axis=1)
    return share_outside(pasted, tf.reduce_prod(_wide(size)))


def share_outside(pasted: tf.Tensor, every: int | tf.Tensor) -> tf.Tensor:
    """The share of what is not pasted, of a number of elements: float32."""
    # XLA multiplies by the inverse of a constant, which float64 makes up for.
    share = tf.cast(every - pasted, tf.float64) / tf.cast(every, tf.float64)
    return tf.cast(share, tf.float32)


def length(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """The length along one axis, an integer where it is static."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def align(value: tf.Tensor, axis: int, rank: int) -> tf.Tensor:
    """Gives (B, n), whose second dimension belongs at `axis`, a higher rank."""
    for _ in range(1, axis):
        value = tf.expand_dims(value, 1)
    for _ in range(value.shape.rank, rank):
        value = tf.expand_dims(value, -1)
    return value
