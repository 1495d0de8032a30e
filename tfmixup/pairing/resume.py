"""Iterator checkpoints that hold across epochs."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = ["keep_epochs", "with_cardinality"]

_plain = tf.autograph.experimental.do_not_convert


def keep_epochs(
    mixed: tf.data.Dataset, sources: Sequence[tf.data.Dataset]
) -> tf.data.Dataset:
    """Makes a checkpoint remember how many epochs the random stages have begun.

    `Dataset.shuffle` and `Dataset.random` count their epochs in a generator of seeds
    and save that count with their iterator. A stage that works ahead, such as a
    parallel map, may have come to the end of the epoch when a checkpoint is taken;
    tf.data has then dropped the iterators below it, and the count with them, so that
    `dataset.repeat()` restored from there would repeat the orders and the λ of earlier
    epochs. Here a second set of iterators over the same random stages is kept beside
    the pipeline. Nothing is ever read from it; it lives until the epoch is really over,
    and saves the count.

    Args:
      mixed: the pipeline.
      sources: its datasets that draw other randomness in every epoch.

    Returns:
      A dataset of the same elements and cardinality.
    """
    never_read = tf.data.Dataset.zip(tuple(sources)).map(_plain(lambda *_: 0))
    zeros = tf.data.Dataset.from_tensors(0).repeat()
    always_second = tf.data.Dataset.from_tensors(tf.constant(1, tf.int64)).repeat()
    keeper = tf.data.Dataset.choose_from_datasets(
        [never_read, zeros], always_second, stop_on_empty_dataset=True
    )
    # Saved and restored in this order, so that a stage still at work has the last word
    # on counts that change within an epoch, as a repeated partner's does. A zip with an
    # endless dataset keeps the length without an assert, which sharding would break.
    both = tf.data.Dataset.zip((keeper, mixed))
    # Not a map, which tf.data makes a parallel one that works ahead.
    return both.scan(tf.constant(0), _plain(lambda state, pair: (state, pair[1])))


def with_cardinality(
    dataset: tf.data.Dataset, cardinality: tf.Tensor | int
) -> tf.data.Dataset:
    """Tells tf.data a cardinality that it cannot see, unless that is unknown."""
    if int(cardinality) == tf.data.UNKNOWN_CARDINALITY:
        return dataset
    return dataset.apply(tf.data.experimental.assert_cardinality(int(cardinality)))
