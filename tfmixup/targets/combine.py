"""How two encoded targets become one: blended, kept as a pair, or united."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup.blending import as_float, per_example

__all__ = ["COMBINATIONS", "combine"]

Blend = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _blended(first: Any, second: Any, share: tf.Tensor, blend: Blend) -> Any:
    """`λ·y_i + (1 − λ)·y_j`."""
    return blend(first, second)


def _pair(
    first: tf.Tensor, second: tf.Tensor, share: tf.Tensor, blend: Blend
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`(y_i, y_j, λ)`, for losses that are not linear in the label; λ is (B,)."""
    return first, second, tf.broadcast_to(share, tf.shape(first)[:1])


def _union(
    first: tf.Tensor, second: tf.Tensor, share: tf.Tensor, blend: Blend
) -> tf.Tensor:
    """`max(y_i, y_j)`, what can be heard; only y_i at λ = 1 and y_j at λ = 0."""
    first, second = as_float(first), as_float(second)
    share = per_example(share, first)
    both = tf.maximum(first, second)
    return tf.where(share == 1, first, tf.where(share == 0, second, both))


COMBINATIONS = {"blend": _blended, "pair": _pair, "union": _union}


def combine(
    how: str, first: tf.Tensor, second: tf.Tensor, share: tf.Tensor, blend: Blend
) -> Any:
    """Combines two encoded targets.

    Args:
      how: a key of `COMBINATIONS`.
      first: (B, ...).
      second: (B, ...).
      share: float32 (B,) or (1,), the first one's share λ.
      blend: the mixer's own way to make one target of two.

    Returns:
      (B, ...), or for "pair" `(first, second, λ)` with λ of shape (B,).

    Examples:
      >>> y = tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 1.0]])
      >>> combine("union", *y, tf.constant([0.3]), None).numpy().tolist()
      [[1.0, 1.0]]
    """
    return COMBINATIONS[how](first, second, share, blend)
