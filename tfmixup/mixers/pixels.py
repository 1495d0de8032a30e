"""Which tensors of an element have the pixels of its images, and on which axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmixup.elements import Parts

__all__ = ["align", "check_sizes", "check_spec", "height_axis", "length", "size"]


def size(features: Any) -> tuple[int | tf.Tensor, int | tf.Tensor]:
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


def height_axis(shape: tf.TensorShape, images: Sequence[tf.TensorShape]) -> int | None:
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


def check_spec(owner: str, mixer: str, parts: Parts, targets: str) -> None:
    """Refuses elements in which no rectangle can be pasted everywhere.

    Args:
      owner: named in errors.
      mixer: the name of the mixer.
      parts: specs of batches.
      targets: the mixer's.

    Raises:
      ValueError: features that are no images, or of several sizes; dense targets or
        weights of another size; dense targets with `targets` other than "blend".
    """
    features = tf.nest.flatten(parts.features)
    for spec in features:
        if spec.shape.rank not in (4, 5):
            raise ValueError(
                f"{owner}: {mixer} pastes rectangles and needs images (batch, height, "
                "width, channels) or video (batch, time, height, width, channels), got "
                f"{_name(spec)}. Add a dimension for a single channel "
                "(x[..., tf.newaxis]), leave other features out of feature_keys, or "
                "use tfmixup.MixUp."
            )
    for spec in features[1:]:
        if not spec.shape[-3:-1].is_compatible_with(features[0].shape[-3:-1]):
            raise ValueError(
                f"{owner}: {mixer} pastes one rectangle into all features, and they "
                f"differ in height or width: {', '.join(map(_name, features))}. Resize "
                "them, or leave all but one out of feature_keys."
            )
    images = [spec.shape for spec in features]
    for role in ("targets", "sample_weight"):
        nest = parts.targets if role == "targets" else parts.weights
        for spec in () if nest is None else tf.nest.flatten(nest):
            if spec.shape.rank >= 3:
                _check_dense(owner, mixer, role, spec, images, targets)


def _check_dense(
    owner: str,
    mixer: str,
    role: str,
    spec: tf.TensorSpec,
    images: Sequence[tf.TensorShape],
    targets: str,
) -> None:
    if height_axis(spec.shape, images) is None:
        raise ValueError(
            f"{owner}: {mixer} pastes the same rectangle into {role} of three "
            "dimensions and more, which must be (batch, height, width, ...) like the "
            f"image, got {_name(spec)} beside {', '.join(map(str, images))}. Resize "
            "them to the image (masks with method='nearest'), or use tfmixup.MixUp."
        )
    if targets != "blend" and role == "targets":
        raise ValueError(
            f"{owner}: targets={targets!r} has one λ for the whole target, but {mixer} "
            f"takes every pixel of {_name(spec)} from one example. Use "
            "targets='blend', which pastes dense targets."
        )


def check_sizes(owner: str, parts: Parts) -> list[tf.Operation]:
    """Makes sizes that no spec could tell raise where they differ.

    To be run outside an XLA-compiled function, in which asserts vanish.
    """
    features = tf.nest.flatten(parts.features)
    images = [feature.shape for feature in features]
    axes = [(feature, feature.shape.rank - 3) for feature in features]
    for nest in (parts.targets, parts.weights):
        for dense in [] if nest is None else tf.nest.flatten(nest):
            axis = height_axis(dense.shape, images) if dense.shape.rank >= 3 else None
            if axis is not None:
                axes.append((dense, axis))
    if all(t.shape[a : a + 2].is_fully_defined() for t, a in axes):
        return []
    sizes = tf.stack([tf.shape(tensor)[axis : axis + 2] for tensor, axis in axes])
    message = (
        f"{owner}: images, masks and weights of pixels must have one height and width, "
        "but in this batch they have:"
    )
    same = tf.reduce_all(sizes == sizes[:1])
    return [tf.debugging.Assert(same, [message, sizes], summarize=64)]


def _name(spec: tf.TensorSpec) -> str:
    return f"{spec.dtype.name}{spec.shape}"
