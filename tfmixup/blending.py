"""The formula: λ·first + (1 − λ)·second."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["as_float", "at_ends", "blend", "per_example"]


def blend(
    first: tf.Tensor,
    second: tf.Tensor,
    lam: tf.Tensor,
    dtype: tf.DType | None = None,
) -> tf.Tensor:
    """Computes `λ·first + (1 − λ)·second`.

    Args:
      first: (B, ...).
      second: (B, ...).
      lam: float32 (B,) or (1,).
      dtype: of the result; None for that of `first` if it is a floating one, else
        float32. Computed in float32, for float64 in float64.

    Returns:
      (B, ...), rounded to nearest where `dtype` is an integer one. It is `first` itself
      where λ is 1 and `second` itself where λ is 0: the other one may be infinite, and
      0·∞ is NaN.
    """
    dtype = dtype or as_float(first).dtype
    compute = tf.float64 if dtype == tf.float64 else tf.float32
    first, second = tf.cast(first, compute), tf.cast(second, compute)
    share = tf.cast(per_example(lam, first), compute)
    mixed = at_ends(lam, first, second, share * first + (1 - share) * second)
    return tf.cast(tf.round(mixed) if dtype.is_integer else mixed, dtype)


def at_ends(
    lam: tf.Tensor, first: tf.Tensor, second: tf.Tensor, between: tf.Tensor
) -> tf.Tensor:
    """`first` where λ is 1, `second` where λ is 0, else `between`.

    Args:
      lam: float32 (B,) or (1,).
      first: (B, ...).
      second: (B, ...).
      between: (B, ...).

    Returns:
      (B, ...).
    """
    lam = per_example(lam, between)
    return tf.where(lam == 1, first, tf.where(lam == 0, second, between))


def per_example(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Gives (B,) or (1,) the rank of `like`, (B, ...), so that it broadcasts."""
    return tf.reshape(value, [-1] + [1] * (like.shape.rank - 1))


def as_float(tensor: tf.Tensor) -> tf.Tensor:
    """Floats as they are, everything else as float32."""
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)
