"""Boxes of whole pixels, the tensors that have these pixels, and pasting.

Boxes are computed in integers, from draws that are fractions of 2⁻²⁴. XLA may compute a
box once for the pixels and once more for the label, and may contract a multiplication
and an addition of floats in one place but not in the other: near a tie the label would
count other pixels than were pasted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmixup.blending import Recipe
from tfmixup.elements import Parts, describe
from tfmixup.options import Options

__all__ = [
    "Box",
    "align",
    "around",
    "check_sizes",
    "check_spec",
    "image_size",
    "length",
    "paste_recipe",
    "within",
]

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


def paste_recipe(
    box: Box,
    features: Any,
    dtype: str,
    resize: Callable[[tf.Tensor, int, bool], tf.Tensor] | None = None,
) -> Recipe:
    """Pixels of the second image inside the box, of the first one outside.

    Whatever has the pixels of the image is pasted alike: masks and depth maps. Other
    targets are blended by the share of pixels that are kept.

    Args:
      box: where to paste.
      features: the first batch's images or videos; a box is that of all frames.
      dtype: of the mixed features.
      resize: makes what is seen through the box of the second image, (B, ...), the axis
        of its height, and whether only values may come that are there, as ids of
        classes must be; None for the image as it is.
    """
    images = [feature.shape for feature in tf.nest.flatten(features)]
    height, width = image_size(features)
    lam = _kept_share(box, height, width)

    def feature(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        axis, rank = first.shape.rank - 3, first.shape.rank
        if resize is not None:
            second = resize(second, axis, False)
        inside = align(_contains(box, height, width), axis, rank)
        return tf.cast(tf.where(inside, second, tf.cast(first, second.dtype)), dtype)

    def share(target: tf.Tensor) -> tf.Tensor:
        axis = _height_axis(target.shape, images)
        if axis is None:
            return lam  # small boxes keep all of the first
        kept = tf.cast(~_contains(box, height, width), tf.float32)
        shape = tf.shape(target)[: axis + 2]
        return tf.broadcast_to(align(kept, axis, axis + 2), shape)

    def second(target: tf.Tensor) -> tf.Tensor:
        axis = _height_axis(target.shape, images)
        if axis is None or resize is None:
            return target
        return resize(target, axis, True)

    return Recipe(feature, lam, share, second)


def _contains(box: Box, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Whether a pixel is in the box: bool (B, H, W)."""
    down = tf.range(height)[tf.newaxis, :, tf.newaxis]
    across = tf.range(width)[tf.newaxis, tf.newaxis, :]
    top, left, bottom, right = (edge[:, tf.newaxis, tf.newaxis] for edge in box)
    return (down >= top) & (down < bottom) & (across >= left) & (across < right)


def _kept_share(box: Box, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """The share of pixels outside the box, counted: float32 (B,)."""
    pasted = (box.bottom - box.top) * (box.right - box.left)
    pixels = tf.convert_to_tensor(height * width)
    # XLA multiplies by the inverse of a constant, which float64 makes up for.
    share = tf.cast(pixels - pasted, tf.float64) / tf.cast(pixels, tf.float64)
    return tf.cast(share, tf.float32)


def image_size(features: Any) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """(H, W) of batched images or video, integers where they are static."""
    first = tf.nest.flatten(features)[0]
    axis = first.shape.rank - 3
    return length(first, axis), length(first, axis + 1)


def length(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """The length along one axis, an integer where it is static."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def align(value: tf.Tensor, axis: int, rank: int) -> tf.Tensor:
    """Gives (B, ...), whose dimensions belong at 0, `axis`, ..., a higher rank."""
    for _ in range(1, axis):
        value = tf.expand_dims(value, 1)
    for _ in range(value.shape.rank, rank):
        value = tf.expand_dims(value, -1)
    return value


def _height_axis(shape: tf.TensorShape, images: Sequence[tf.TensorShape]) -> int | None:
    """The axis of H in a mask, a depth map, or weights of pixels; W is the next one.

    Args:
      shape: of a target or of sample weights, (B, ...).
      images: of the features, (B, [T,] H, W, channels).

    Returns:
      The axis; None where the tensor has no pixels of its own.
    """
    for image in sorted(images, key=len, reverse=True):
        pixels = image[1:-1]
        rank = pixels.rank
        if shape.rank > rank and shape[1 : rank + 1].is_compatible_with(pixels):
            return rank - 1
    return None


def check_spec(mixer: str, parts: Parts, options: Options) -> None:
    """Refuses elements in which no rectangle can be pasted everywhere.

    Args:
      mixer: the name of the mixer, for messages.
      parts: specs of batches.
      options: the mixer's.

    Raises:
      ValueError: features that are no images, or of several sizes; dense targets or
        weights of another size; dense targets with `targets` other than "blend".
    """
    features = tf.nest.flatten(parts.features)
    for spec in features:
        if spec.shape.rank not in (4, 5):
            raise ValueError(
                f"{mixer} pastes rectangles and needs images (batch, height, "
                "width, channels) or video (batch, time, height, width, channels), got "
                f"{describe(spec)}. Add a dimension for a single channel "
                "(x[..., tf.newaxis]), leave other features out of feature_keys, or "
                "use tfmixup.MixUp."
            )
        if 0 in spec.shape[-3:-1]:
            raise ValueError(f"{mixer} needs images with pixels, got {describe(spec)}.")
    for spec in features[1:]:
        if not spec.shape[-3:-1].is_compatible_with(features[0].shape[-3:-1]):
            raise ValueError(
                f"{mixer} pastes one rectangle into all features, and they "
                f"differ in height or width: {', '.join(map(describe, features))}. "
                "Resize them, or leave all but one out of feature_keys."
            )
    images = [spec.shape for spec in features]
    for role, dense in _dense_parts(parts):
        _check_dense(mixer, role, dense, images, options)


def _dense_parts(parts: Parts) -> list[tuple[str, Any]]:
    """Targets and weights of three dimensions and more, which a box may be in."""
    return [
        (role, dense)
        for role, nest in (("targets", parts.targets), ("sample_weight", parts.weights))
        for dense in ([] if nest is None else tf.nest.flatten(nest))
        if (getattr(dense, "shape", None) or tf.TensorShape([])).rank >= 3
    ]


def _check_dense(
    mixer: str,
    role: str,
    spec: tf.TensorSpec,
    images: Sequence[tf.TensorShape],
    options: Options,
) -> None:
    has_pixels = _height_axis(spec.shape, images) is not None
    mask = role == "targets" and spec.dtype.is_integer and not options.keeps_integers
    if not has_pixels and not mask:  # masks are refused as targets, for all mixers
        raise ValueError(
            f"{mixer} pastes the same rectangle into {role} of three "
            "dimensions and more, which must be (batch, height, width, ...) like the "
            f"image, got {describe(spec)} beside {', '.join(map(str, images))}. Resize "
            "them to the image (masks with method='nearest'), or use tfmixup.MixUp."
        )
    if options.targets != "blend" and role == "targets" and has_pixels:
        raise ValueError(
            f"targets={options.targets!r} has one λ for the whole target, but {mixer} "
            f"takes every pixel of {describe(spec)} from one example. Use "
            "targets='blend', which pastes dense targets."
        )


def check_sizes(caller: str, parts: Parts) -> list[tf.Operation]:
    """Makes sizes that no spec could tell raise where they differ.

    To be run outside an XLA-compiled function, in which asserts vanish.
    """
    features = tf.nest.flatten(parts.features)
    images = [feature.shape for feature in features]
    axes = [(feature, feature.shape.rank - 3) for feature in features]
    for _, dense in _dense_parts(parts):
        axis = _height_axis(dense.shape, images)
        if axis is not None:
            axes.append((dense, axis))
    if all(t.shape[a : a + 2].is_fully_defined() for t, a in axes):
        return []
    sizes = tf.stack([tf.shape(tensor)[axis : axis + 2] for tensor, axis in axes])
    message = (
        f"{caller}: images, masks and weights of pixels must have one height and "
        "width, and pixels, but in this batch they have:"
    )
    same = tf.reduce_all((sizes == sizes[:1]) & (sizes > 0))
    return [tf.debugging.Assert(same, [message, sizes], summarize=64)]
