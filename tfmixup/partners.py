"""Which example of the same batch an example is mixed with."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["sample"]


def sample(
    batch_size: int | tf.Tensor, seed: tf.Tensor, num_batches: int | None = None
) -> tf.Tensor:
    """Draws partners within a batch: `partner[i] = (i + s) mod B`, s uniform in 1..B-1.

    Every other example of the batch is equally likely to be an example's partner,
    nobody is its own partner, and everybody is a partner exactly once, so that a
    batch keeps its label mass. A cyclic shift of a freshly shuffled batch pairs as
    randomly as a permutation does and needs no sort. In a batch of one, an example has
    only itself.

    Args:
      batch_size: B, the number of examples, an integer or a scalar int32 tensor.
      seed: int32 tensor of shape (2,).
      num_batches: draw for so many batches at once; None for one.

    Returns:
      int32 tensor of shape (B,) or (num_batches, B), values in [0, B).

    Examples:
      >>> sample(4, seed=[1, 2]).shape
      TensorShape([4])
    """
    shape = [1] if num_batches is None else [num_batches, 1]
    shift = tf.random.stateless_uniform(
        shape, seed, minval=0, maxval=tf.maximum(batch_size - 1, 1), dtype=tf.int32
    )
    return (tf.range(batch_size) + 1 + shift) % batch_size
