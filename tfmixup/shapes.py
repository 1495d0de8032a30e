"""Batches or single examples: what the shapes of an element tell."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup.elements import Parts, leaves
from tfmixup.pages import see

__all__ = [
    "check_batched",
    "check_not_a_pair",
    "check_same_shapes",
    "check_unbatched",
]


def check_same_shapes(owner: str, first: Parts, second: Parts) -> None:
    """Makes two batches of different shapes raise, which would broadcast.

    To be called outside an XLA-compiled function, in which asserts vanish. Static
    shapes have been compared before.
    """
    pairs = [
        (tf.shape(one), tf.shape(other))
        for one, other in zip(leaves(first), leaves(second))
        if not (one.shape.is_fully_defined() and other.shape.is_fully_defined())
    ]
    if not pairs:
        return
    same = tf.reduce_all([tf.reduce_all(tf.equal(*pair)) for pair in pairs])
    message = (
        f"{owner}: two batches to be mixed have different shapes. Zip batches of one "
        "size (batch(..., drop_remainder=True)), and pad examples of varying length. "
        "Shapes, in pairs:"
    )
    flat = [shape for pair in pairs for shape in pair]
    tf.debugging.Assert(same, [message, *flat], summarize=64)


def _several(specs: list[Any]) -> str:
    return ", ".join(f"{spec.dtype.name}{spec.shape}" for spec in specs)


def check_batched(owner: str, parts: Parts) -> None:
    """Refuses elements that have no common batch dimension.

    Raises:
      ValueError: a part is a scalar or of unknown rank, or leading sizes differ.
    """
    specs = [s for s in leaves(parts) if isinstance(s, (tf.TensorSpec, tf.Tensor))]
    if any(spec.shape.rank is None for spec in specs):
        raise ValueError(
            f"{owner}: the number of dimensions must be known, got {_several(specs)}. "
            "Map the dataset with tf.ensure_shape(x, [...])."
        )
    sizes = {spec.shape[0] for spec in specs if spec.shape.rank}
    if any(spec.shape.rank == 0 for spec in specs) or len(sizes - {None}) > 1:
        raise ValueError(
            f"{owner}: elements must be batches, got parts without a common first "
            f"dimension: {_several(specs)}. Call dataset.batch(batch_size) first, or "
            "use tfmixup.two_streams, which batches by itself." + see("guide")
        )


def check_unbatched(owner: str, parts: Parts, sequences: bool = False) -> None:
    """Refuses elements that are batches already, where their spec tells.

    Args:
      owner: named in errors.
      parts: specs of an element.
      sequences: integer labels may be vectors, such as those of CTC.

    Raises:
      ValueError: every part starts with an unknown dimension, as `Dataset.batch`
        makes it, or class labels are vectors.
    """
    specs = [spec for spec in leaves(parts) if isinstance(spec, tf.TensorSpec)]
    unknown_first = all(s.shape.rank and s.shape[0] is None for s in specs)
    labels = [
        spec
        for spec in tf.nest.flatten(parts.targets)
        if isinstance(spec, tf.TensorSpec)
        and not sequences
        and spec.dtype.is_integer
        and spec.shape.rank == 1
        and spec.shape != [1]
    ]
    if (len(specs) > 1 and unknown_first) or labels:
        raise ValueError(
            f"{owner}: elements must be single examples, but they look batched: "
            f"{_several(specs)}. two_streams batches by itself: remove .batch(...), "
            "call dataset.unbatch(), or use tfmixup.in_batch for batches. Integer "
            "labels that are one-hot or multi-hot must be cast to float32; images and "
            "masks of unknown size need one: tf.ensure_shape(image, [H, W, C]); "
            "examples of different length need padded_shapes." + see("guide")
        )


def check_not_a_pair(owner: str, element: Any) -> None:
    """Refuses ((x_i, y_i), (x_j, y_j)), where class ids would pass for features."""
    if not (isinstance(element, tuple) and len(element) == 2):
        return
    one, other = element
    if not (isinstance(one, tuple) and isinstance(other, tuple) and len(one) == 2):
        return
    flat = [tf.nest.flatten(part) for part in (one, other)]
    kinds = [[(t.dtype, t.shape.rank) for t in part] for part in flat]
    if kinds[0] == kinds[1] and any(d.is_integer and r == 1 for d, r in kinds[0]):
        raise ValueError(
            f"{owner}: the element looks like a pair of batches ((x, y), (x, y)), but "
            "this function mixes one batch with itself. Map mixer.pair instead."
            + see("guide")
        )
