"""Boxes of whole elements along some axes, and which elements lie inside.

Boxes are computed in integers, from draws that are multiples of 2⁻²⁴. XLA may compute a
box twice, once for the pixels and once for the label. It may contract a multiplication
and an addition of floats in one of these places and not in the other. Near a tie the
label of a box of floats would then count other pixels than were pasted.
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
    "rounded",
    "share_outside",
    "within",
]

_BITS = 24  # binary digits after the point of a float32 that is drawn from [0, 1)

Size = Sequence["int | tf.Tensor"]  # lengths along d axes, integers where static


class Box(NamedTuple):
    """Boxes over d axes: both ends int32 (B, d) or (1, d); `stop` is just outside."""

    start: tf.Tensor
    stop: tf.Tensor


def around(centre: tf.Tensor, side: tf.Tensor, size: Size) -> Box:
    """Boxes around a centre, their edges rounded to pixels and clipped at the border.

    Args:
      centre: float32 (B, d) in [0, 1): the centre along each axis, as a share of the
        size along this axis.
      side: float32 (B,) in [0, 1]: the sides, as shares of the size.
      size: the image's size along the box's d axes.

    Returns:
      The boxes. A box is empty where a side is less than about half a pixel.
    """
    n = _wide(size)
    middle, length = 2 * _fixed(centre) * n, _fixed(side)[:, tf.newaxis] * n  # in 2⁻²⁵
    half = tf.constant(1 << _BITS, tf.int64)  # half a pixel, to round to nearest
    ends = (_down(middle + half + s * length, _BITS + 1) for s in (-1, 1))
    return Box(*(tf.cast(tf.clip_by_value(end, 0, n), tf.int32) for end in ends))


def rounded(share: tf.Tensor, size: Size) -> tf.Tensor:
    """The nearest pixel edge to a share of the size along each axis.

    Args:
      share: float32 (B, d) in [0, 1].
      size: the image's size along d axes.

    Returns:
      int32 (B, d).
    """
    half = tf.constant(1 << (_BITS - 1), tf.int64)
    return tf.cast(_down(_fixed(share) * _wide(size) + half, _BITS), tf.int32)


def within(place: tf.Tensor, side: tf.Tensor, size: Size) -> Box:
    """Boxes of a given size, at least one pixel, that lie inside the image.

    Args:
      place: float32 (B, d) in [0, 1): the place along each axis, of all places where
        the box fits; 0 is the first of them.
      side: float32 (B,) in [0, 1]: the sides, as shares of the size.
      size: the image's size along the box's d axes.

    Returns:
      The boxes.
    """
    n = _wide(size)
    half = tf.constant(1 << (_BITS - 1), tf.int64)
    length = _down(_fixed(side)[:, tf.newaxis] * n + half, _BITS)
    length = tf.clip_by_value(length, 1, n)
    start = tf.minimum(_down(_fixed(place) * (n - length + 1), _BITS), n - length)
    return Box(tf.cast(start, tf.int32), tf.cast(start + length, tf.int32))


def _wide(size: Size) -> tf.Tensor:
    """The size as one tensor, int64 (d,)."""
    return tf.stack([tf.cast(n, tf.int64) for n in size])


def _fixed(share: tf.Tensor) -> tf.Tensor:
    # The factor is a power of two, so only digits below 2⁻²⁴ are lost.
    return tf.cast(share * float(1 << _BITS), tf.int64)


def _down(value: tf.Tensor, bits: int) -> tf.Tensor:
    """Rounds `value / 2**bits` down, negative values too."""
    return tf.bitwise.right_shift(value, tf.constant(bits, tf.int64))


def inside(box: Box, size: Size, axes: Sequence[int], rank: int) -> tf.Tensor:
    """Whether an element of a tensor is in the box.

    Args:
      box: the boxes.
      size: the tensor's size along the boxes' axes.
      axes: the axes of the tensor that the boxes span.
      rank: the tensor's rank.

    Returns:
      bool of the tensor's rank: B or 1 in front, the size along the boxes' axes, and 1
      along all other axes.
    """
    along = [
        (at >= start) & (at < stop)
        for at, start, stop in _aligned(box, size, axes, rank, 1)
    ]
    return functools.reduce(tf.logical_and, along)


def inside_cells(
    box: Box, size: Size, axes: Sequence[int], rank: int, stride: int
) -> tf.Tensor:
    """How many elements of a cell are in the box.

    A cell has `stride` elements along each axis of the box.

    Returns:
      int32 of rank `rank`: B or 1 in front, the number of cells along the boxes' axes,
      and 1 along all other axes.
    """
    along = [
        tf.maximum(tf.minimum(at + stride, stop) - tf.maximum(at, start), 0)
        for at, start, stop in _aligned(box, size, axes, rank, stride)
    ]
    return functools.reduce(tf.multiply, along)


def _aligned(
    box: Box, size: Size, axes: Sequence[int], rank: int, stride: int
) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """For each axis, the first element of every cell and both ends of the boxes."""
    for k, (axis, n) in enumerate(zip(axes, size)):
        start, stop = (align(end[:, k, tf.newaxis], axis, rank) for end in box)
        yield align(tf.range(0, n, stride)[tf.newaxis], axis, rank), start, stop


def kept_share(box: Box, size: Size) -> tf.Tensor:
    """The share of elements outside the box, counted: float32 (B,)."""
    pasted = tf.reduce_prod(tf.cast(box.stop - box.start, tf.int64), axis=1)
    return share_outside(pasted, tf.reduce_prod(_wide(size)))


def share_outside(pasted: tf.Tensor, every: int | tf.Tensor) -> tf.Tensor:
    """The share of elements that are not pasted, `pasted` of `every`: float32."""
    # XLA multiplies by the inverse of a constant instead of dividing by the constant.
    # float64 hides the difference.
    share = tf.cast(every - pasted, tf.float64) / tf.cast(every, tf.float64)
    return tf.cast(share, tf.float32)


def length(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """The length along one axis, an integer where it is static."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def align(value: tf.Tensor, axis: int, rank: int) -> tf.Tensor:
    """Reshapes (B, n) to a higher rank, with n at `axis` and 1 at other axes."""
    for _ in range(1, axis):
        value = tf.expand_dims(value, 1)
    for _ in range(value.shape.rank, rank):
        value = tf.expand_dims(value, -1)
    return value
