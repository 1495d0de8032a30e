"""Seeds, and the numbers and partners that are drawn from a seed.

A pipeline has three kinds of seed. A *pipeline seed* is the integer that a user passes.
From it `stream_seed` derives the second kind, an integer of its own for every random
stage. The third kind, a *batch seed*, is an int32 tensor of shape (2,), one for every
batch. `words` streams pairs of random words, and `of_words` makes a batch seed of a
pair. `split` makes several independent batch seeds of one. No other module makes, names
or splits seeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfmixup import checks

__all__ = [
    "integers",
    "of_call",
    "of_replica",
    "of_words",
    "partners",
    "split",
    "stream_seed",
    "uniform",
    "words",
]


def stream_seed(seed: int | None, name: str) -> int | None:
    """Derives the seed of one named random stage from the pipeline's seed.

    A cryptographic hash keeps the stages unrelated even for seeds 1, 2, 3, and
    gives the same integers on every platform and Python version.

    Args:
      seed: the pipeline's seed, or None for fresh randomness.
      name: the stage, such as "first".

    Returns:
      An integer in [0, 2**63), or None where `seed` is None.
    """
    if seed is None:
        return None
    digest = hashlib.blake2b(f"tfmixup:{name}:{seed}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def words(seed: int | None) -> tf.data.Dataset:
    """Streams pairs of random words without end, different ones in every epoch.

    An iterator's checkpoint saves the state of `Dataset.random`. It does not save the
    state of a random op inside a map function.

    Args:
      seed: seed of this stage, or None for fresh randomness.

    Returns:
      An infinite dataset of int64 tensors of shape (2,), values in [0, 2**32).
    """
    stream = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    # The words become batch seeds elsewhere, in a map that is needed anyway. One more
    # map here would cost every new iterator milliseconds.
    return stream.batch(2, drop_remainder=True)


def of_words(two: tf.Tensor) -> tf.Tensor:
    """Makes a batch seed of an element of `words`."""
    return tf.cast(two - 2**31, tf.int32)


def split(seed: tf.Tensor, n: int) -> list[tf.Tensor]:
    """Splits a batch seed into `n` independent ones, each int32 of shape (2,).

    Each is a step of a linear congruential generator with an increment of its own.
    TensorFlow's stateless ops hash a seed before they draw from it, so that seeds only
    need to differ. The two ops of a step are cheaper than drawing the seeds.
    """
    seed = checks.batch_seed(seed)
    return tf.unstack(seed * _MULTIPLIER + _increments(n), num=n)


_MULTIPLIER = np.array([0x5851F42D, 0x4C957F2D], np.int32)  # Knuth's, as two halves


def _increments(n: int) -> np.ndarray:
    """Increments by hash: with a pattern, a part of [1, 2] could be a user's [1, 3]."""
    digests = [
        hashlib.blake2b(f"tfmixup:split:{k}".encode(), digest_size=8).digest()
        for k in range(n)
    ]
    return np.frombuffer(b"".join(digests), "<i4").astype(np.int32).reshape([n, 2])


def integers(
    shape: Sequence[int | tf.Tensor], seed: tf.Tensor, below: tf.Tensor | None = None
) -> tf.Tensor:
    """Draws int32 in [0, `below`), or of all 32 bits. XLA draws the same numbers."""
    # XLA and TensorFlow's ops read a negative seed differently. They would then draw
    # different numbers.
    seed = tf.cast(seed, tf.int64) & (2**32 - 1)
    least = None if below is None else 0
    return tf.random.stateless_uniform(
        shape, seed, minval=least, maxval=below, dtype=tf.int32
    )


def uniform(
    shape: Sequence[int | tf.Tensor],
    seed: tf.Tensor,
    low: float = 0.0,
    high: float = 1.0,
) -> tf.Tensor:
    """Draws float32 in [low, high). XLA draws the same numbers.

    The floats are made of integers, because XLA makes a float of other random bits than
    TensorFlow's ops do.
    """
    leading = tf.bitwise.right_shift(integers(shape, seed), 8)  # 24 bits, signed
    unit = tf.cast(leading, tf.float32) * 2.0**-24 + 0.5
    return unit if (low, high) == (0.0, 1.0) else low + (high - low) * unit


def of_replica(seed: tf.Tensor, replica: int | tf.Tensor) -> tf.Tensor:
    """The batch seed of one of several replicas that share a stream of batch seeds."""
    return seed + tf.cast(replica, tf.int32) * _MULTIPLIER


def of_call(seed: tf.Tensor | None) -> tf.Tensor:
    """The batch seed of one call of a mixer: `seed` checked, or a fresh seed for None.

    The operating system's entropy seeds the op that draws a fresh seed. Neither
    parallel calls nor `tf.random.set_seed` can make a fresh seed repeat. In a function
    that XLA compiles, XLA's own generator draws it, and may begin alike in every
    process. Under `enable_op_determinism` a fresh seed follows `tf.random.set_seed`, as
    TensorFlow's own random ops do.

    Raises:
      RuntimeError: `seed` is None, ops must be deterministic, and `tf.random.set_seed`
        was not called.
    """
    if seed is not None:
        return checks.batch_seed(seed)
    ends = tf.int32.min, tf.int32.max
    if not _ops_must_be_deterministic():
        # `tf.random.uniform` would give this op the seed of `tf.random.set_seed`. XLA
        # has no NonDeterministicInts.
        return tf.raw_ops.RandomUniformInt(shape=[2], minval=ends[0], maxval=ends[1])
    try:
        return tf.random.uniform([2], *ends, dtype=tf.int32)
    except RuntimeError as error:
        raise RuntimeError(
            "a mixer that is called without a seed needs tf.random.set_seed(...) under "
            "tf.config.experimental.enable_op_determinism(), or use tfmixup.in_batch "
            f"or tfmixup.two_streams with a seed. TensorFlow says: {error}"
        ) from None


def _ops_must_be_deterministic() -> bool:
    """Whether `tf.config.experimental.enable_op_determinism` was called.

    TensorFlow has no public function to ask. In a graph without a seed, `get_seed`
    raises if it was: https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/framework/random_seed.py
    """
    with tf.Graph().as_default():
        try:
            tf.compat.v1.random.get_seed(None)
        except RuntimeError:
            return True
    return False


def partners(
    batch_size: int | tf.Tensor, seed: tf.Tensor, num_batches: int | None = None
) -> tf.Tensor:
    """Draws partners within a batch: `partner[i] = (i + s) mod B`, s uniform in 1..B-1.

    Every other example of the batch is equally likely to be an example's partner. No
    example is its own partner. Every example is a partner exactly once, so that a batch
    keeps its label mass. A cyclic shift of a freshly shuffled batch pairs as randomly
    as a permutation, and needs no sort. In a batch of one the only index is 0. Mixers
    return such a batch unmixed.

    Args:
      batch_size: B, the number of examples, an integer or a scalar int32 tensor.
      seed: int32 tensor of shape (2,).
      num_batches: how many batches to draw for at once. None for one batch.

    Returns:
      int32 tensor of shape (B,) or (num_batches, B), values in [0, B).

    Examples:
      >>> partners(4, seed=[1, 2]).shape
      TensorShape([4])
    """
    shape = [1] if num_batches is None else [num_batches, 1]
    shift = integers(shape, seed, below=tf.maximum(batch_size - 1, 1))
    return (tf.range(batch_size) + 1 + shift) % batch_size
