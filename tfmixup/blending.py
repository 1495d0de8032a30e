"""The formula: λ·first + (1 − λ)·second."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["as_float", "blend", "per_example"]


def blend(
    first: tf.Tensor,
    second: tf.Tensor,
    lam: tf.Tensor,
    dtype: tf.DType,
    sometimes: bool = False,
) -> tf.Tensor:
    """Computes `λ·first + (1 − λ)·second`.

    Args:
      first: (B, ...).
      second: (B, ...).
      lam: float32 (B,) or (1,).
      dtype: of the result; computed in float32, for float64 in float64.
      sometimes: many λ are 1 on purpose: take `first` there, also where `second` is
        infinite or NaN.

    Returns:
      (B, ...), rounded to nearest where `dtype` is an integer one.
    """
    compute = tf.float64 if dtype == tf.float64 else tf.float32
    lam = tf.cast(per_example(lam, first), compute)
    one, other = tf.cast(first, compute), tf.cast(second, compute)
    mixed = lam * one + (1 - lam) * other
    if sometimes:
        mixed = tf.where(lam == 1, one, mixed)
    return tf.cast(tf.round(mixed) if dtype.is_integer else mixed, dtype)


def per_example(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Gives (B,) or (1,) the rank of `like`, (B, ...), so that it broadcasts."""
    return tf.reshape(value, [-1] + [1] * (like.shape.rank - 1))


def as_float(tensor: tf.Tensor) -> tf.Tensor:
    """Floats as they are, everything else as float32."""
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)
