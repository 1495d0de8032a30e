"""The second stream where it may be shorter than the first: pass after pass."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["shuffled"]


def shuffled(
    dataset: tf.data.Dataset, buffer_size: int, seed: int | None, message: str
) -> tf.data.Dataset:
    """Shuffles a dataset and repeats it without end, never in the order of before.

    Args:
      dataset: of any length.
      buffer_size: of the shuffle, in examples.
      seed: of this stage, or None.
      message: of the error where the dataset turns out to be empty, of which tf.data
        would make an empty stream.

    Returns:
      An endless dataset of the same elements.
    """
    if int(dataset.cardinality()) > 0:
        # One shuffle of all passes. A repeated shuffle counts its passes, and might go
        # on counting while a checkpoint is taken.
        return dataset.repeat().shuffle(buffer_size, seed=seed)
    # The options, none, keep tf.data from fusing shuffle and repeat into a stage that
    # fills its buffer with several epochs of examples.
    once = dataset.shuffle(buffer_size, seed=seed).with_options(tf.data.Options())
    return _or_fail(once.repeat(), message)


def _or_fail(endless: tf.data.Dataset, message: str) -> tf.data.Dataset:
    """Lets an endless dataset raise at its end, which only an empty one has."""
    specs = tf.nest.flatten(endless.element_spec)
    if any(not isinstance(s, tf.TensorSpec) or s.shape.rank is None for s in specs):
        return endless  # there is no making an example of other kinds of extra keys

    @tf.autograph.experimental.do_not_convert
    def fail(number: tf.Tensor) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(number < 0, [message])]):
            return tf.nest.map_structure(
                lambda spec: tf.zeros([size or 0 for size in spec.shape], spec.dtype),
                endless.element_spec,
            )

    return endless.concatenate(tf.data.Dataset.range(1).map(fail))
