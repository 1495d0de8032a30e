"""What labels become: class ids one-hot vectors, everything else stays as it is."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["check", "check_values", "encode"]


def check(
    owner: str, targets: Any, num_classes: int | None, label_smoothing: float = 0.0
) -> None:
    """Checks the specs of batched targets.

    Raises:
      TypeError: strings, booleans, ragged or sparse targets.
      ValueError: class ids without `num_classes` or of another shape than (B,) or
        (B, 1), or `num_classes` or `label_smoothing` where nothing is a class id.
    """
    specs = tf.nest.flatten(targets)
    for spec in specs:
        _check_one(owner, spec, num_classes)
    if num_classes is None or not specs or any(s.dtype.is_integer for s in specs):
        return
    if label_smoothing:
        raise ValueError(
            f"{owner}: label_smoothing={label_smoothing} is for integer class labels, "
            "and these targets are floats already. Give class ids, or smooth in the "
            "loss: keras.losses.CategoricalCrossentropy(label_smoothing=...)."
        )
    if all(s.shape.rank < 2 or s.shape[-1] != num_classes for s in specs):
        came = ", ".join(f"{s.dtype.name}{s.shape}" for s in specs)
        raise ValueError(
            f"{owner}: num_classes={num_classes} is for integer class labels, but the "
            f"targets are {came}. Cast class labels to an integer dtype, or leave "
            "num_classes out: float targets are mixed as they are."
        )


def _check_one(owner: str, spec: Any, num_classes: int | None) -> None:
    if not isinstance(spec, (tf.TensorSpec, tf.Tensor)):
        raise TypeError(
            f"{owner}: targets must be dense tensors, got {spec!r}. Pad or densify "
            "them before mixing."
        )
    if spec.dtype.is_floating:
        return
    if not spec.dtype.is_integer:
        raise TypeError(
            f"{owner}: targets must be numbers, got {spec.dtype.name} of shape "
            f"{spec.shape}. Look class names up as integers (tf.keras.layers."
            "StringLookup), cast booleans to float32."
        )
    if num_classes is None:
        raise ValueError(
            f"{owner}: targets are integers ({spec.dtype.name}{spec.shape}), and class "
            "ids cannot be averaged. Pass num_classes=..., so that they are one-hot "
            "encoded, or cast multi-hot and regression targets to float32."
        )
    if not (spec.shape.rank == 1 or (spec.shape.rank == 2 and spec.shape[1] == 1)):
        raise ValueError(
            f"{owner}: integer class labels must have shape (batch,) or (batch, 1), "
            f"got {spec.dtype.name}{spec.shape}. Cast targets that are one-hot or "
            "multi-hot already to float32."
        )


def check_values(owner: str, targets: Any, num_classes: int | None) -> tf.Operation:
    """Makes a batch with a class id outside [0, num_classes) raise.

    To be run outside an XLA-compiled function, in which asserts vanish.

    Returns:
      An operation to depend on.
    """
    asserts = []
    for target in tf.nest.flatten(targets):
        if num_classes is None or not target.dtype.is_integer:
            continue
        wide = tf.cast(target, tf.int64)
        fine = tf.reduce_all((wide >= 0) & (wide < num_classes))
        message = (
            f"{owner}: integer labels must be in [0, {num_classes}), but this batch "
            "has others. Set num_classes to the highest label + 1; shift labels that "
            "start at 1, and filter out those marked missing with -1. Labels:"
        )
        asserts.append(tf.debugging.Assert(fine, [message, target], summarize=1024))
    return tf.group(*asserts)


def encode(
    target: tf.Tensor, num_classes: int | None, label_smoothing: float = 0.0
) -> tf.Tensor:
    """One-hot encodes class ids: `(1 − ε)·one_hot(y) + ε/C`; leaves floats alone.

    Args:
      target: (B,) or (B, 1) class ids of any integer dtype, or floats of any shape.
      num_classes: C.
      label_smoothing: ε in [0, 1), for class ids.

    Returns:
      float32 (B, C) for class ids, else `target`.

    Example:
      >>> encode(tf.constant([1]), 2, 0.2).numpy().round(2).tolist()
      [[0.10000000149011612, 0.8999999761581421]]
    """
    if num_classes is None or not target.dtype.is_integer:
        return target
    ids = tf.reshape(target, tf.shape(target)[:1]) if target.shape.rank == 2 else target
    # uint16, uint32 and uint64 are not dtypes of tf.one_hot; checked ids fit.
    ids = tf.cast(ids, tf.int32)
    on = 1.0 - label_smoothing + label_smoothing / num_classes
    off = label_smoothing / num_classes
    return tf.one_hot(ids, num_classes, on_value=on, off_value=off, dtype=tf.float32)
