"""Seeds: the only place where tfmixup makes, names or splits them.

Three kinds of seed meet in a pipeline. A *pipeline seed* is the integer that a
user passes; `stream_seed` gives every random stage of a pipeline its own integer
from it. A *batch seed* is an int32 tensor of shape (2,), one for every batch;
`batch_seeds` streams them. `split` makes several independent batch seeds of one.
"""

from __future__ import annotations

import hashlib

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["batch_seeds", "fresh", "split", "stream_seed"]

_INT32_OFFSET = 2**31


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


def batch_seeds(seed: int | None) -> tf.data.Dataset:
    """Streams batch seeds without end, other ones in every epoch.

    `Dataset.random` is an op of tf.data whose state is saved in an iterator's
    checkpoint, unlike that of a random op inside a map function.

    Args:
      seed: seed of this stage, or None for fresh randomness.

    Returns:
      An infinite dataset of int32 tensors of shape (2,).
    """
    words = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    # The words are in [0, 2**32); TFP takes int32 seeds.
    return words.batch(2, drop_remainder=True).map(
        lambda pair: tf.cast(pair - _INT32_OFFSET, tf.int32)
    )


def split(seed: tf.Tensor, n: int) -> list[tf.Tensor]:
    """Splits a batch seed into `n` independent ones, each int32 of shape (2,)."""
    return tf.unstack(tfp.random.split_seed(seed, n=n, salt="tfmixup"), num=n)


def fresh() -> tf.Tensor:
    """Draws a batch seed from the operating system's entropy.

    Neither parallel calls nor `tf.random.set_seed` can make it repeat.
    """
    return tf.raw_ops.NonDeterministicInts(shape=[2], dtype=tf.int32)
