"""Batches as they were, between the mixed ones."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup.pairing import resume

__all__ = ["interleave"]


def interleave(pairs: tf.data.Dataset) -> tf.data.Dataset:
    """Turns (original, mixed) into original, mixed, twice the length."""

    def both(original: Any, mixed: Any) -> tf.data.Dataset:
        one = tf.data.Dataset.from_tensors(original)
        return one.concatenate(tf.data.Dataset.from_tensors(mixed))

    length = int(pairs.cardinality())
    return resume.with_cardinality(
        pairs.flat_map(both), length if length < 0 else 2 * length
    )
