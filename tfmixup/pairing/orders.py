"""Which examples are in a batch, where all of them are in memory: rows, shuffled."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfmixup import seeding

__all__ = ["Orders", "rows", "stream"]


class Orders(NamedTuple):
    """Indices of the examples of an epoch: two orders that are to be mixed."""

    first: tf.Tensor  # (N,)
    second: tf.Tensor  # (N,)


def stream(
    length: int, partner_length: int, seed: int | None
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Streams the orders of one epoch again and again, other ones in every epoch.

    They are made when an epoch begins, from a seed of its own. That seed is all that a
    checkpoint has to save of them.

    Args:
      length: N, examples of the first stream.
      partner_length: examples of the second stream, which is repeated up to N, each
        time in another order, or cut off there.
      seed: of this stage, or None.

    Returns:
      An endless dataset of the same `Orders`, and the random source that it depends on,
      which `keep_epochs` needs.
    """

    def epoch(epoch_seed: tf.Tensor) -> tf.data.Dataset:
        seeds = seeding.split(epoch_seed, 2)
        orders = Orders(
            _permutations(length, length, seeds[0]),
            _permutations(partner_length, length, seeds[1]),
        )
        return tf.data.Dataset.from_tensors(orders).repeat()

    seeds = seeding.batch_seeds(seed)
    # The first epoch of the inner dataset does not end. What the outer repeat does is
    # to tell tf.data so, which cannot see into a flat_map.
    return seeds.flat_map(epoch).repeat(), seeds


def rows(order: tf.Tensor, batch: tf.Tensor, size: int, whole: bool) -> tf.Tensor:
    """The examples of one batch: (size,), or fewer at the end unless `whole`."""
    start = tf.cast(batch, order.dtype) * size
    if whole:
        return tf.slice(order, [start], [size])
    return order[start : start + size]


def _permutations(length: int, count: int, seed: tf.Tensor) -> tf.Tensor:
    """The first `count` of one permutation of `length` numbers after the other."""
    dtype = tf.int32 if max(length, count) <= tf.int32.max // 2 else tf.int64
    numbers = tf.range(length, dtype=dtype)

    def shuffle(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_shuffle(numbers, seed, alg="philox")

    passes = -(-count // length)
    if passes == 1:
        return shuffle(seed)[:count]
    seeds = tf.random.stateless_uniform(
        [passes, 2], seed, minval=None, maxval=None, dtype=tf.int32
    )
    orders = tf.map_fn(
        shuffle, seeds, fn_output_signature=tf.TensorSpec([length], dtype)
    )
    return tf.reshape(orders, [-1])[:count]
