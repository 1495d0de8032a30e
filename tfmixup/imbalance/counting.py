"""How many examples of every class a dataset has."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.imbalance import labels

__all__ = ["check_finite", "class_counts", "refuse_other_labels"]

_OWNER = "tfmixup.class_counts"
_LABELS_AT_ONCE = 1024


def class_counts(
    dataset: tf.data.Dataset,
    num_classes: int,
    *,
    label_key: str = "label",
) -> np.ndarray:
    """Counts the examples of every class, in one pass over the dataset.

        n_c = |{k : y_k = c}|

    The pass reads everything that yields the labels: put it before decoding images, or
    count once and note the numbers.

    Args:
      dataset: single examples `(x, y)`, `(x, y, sample_weight)` or dicts, without
        `repeat`; labels are class ids, integers of shape () or (1,), or one-hot, floats
        of shape (C,), whose class is the largest entry.
      num_classes: C.
      label_key: the key of the labels in dict elements.

    Returns:
      n, int64 (C,).

    Raises:
      TypeError, KeyError: an argument or the elements are not as described.
      ValueError: the same; or the dataset is endless, or a label none of the classes.

    Examples:
      >>> ds = tf.data.Dataset.from_tensor_slices((tf.zeros([4, 2]), [0, 1, 0, 0]))
      >>> class_counts(ds, num_classes=3)
      array([3, 1, 0])
    """
    check(_OWNER, dataset, num_classes, label_key)
    return count(_OWNER, dataset, num_classes, label_key)


def check(owner: str, dataset: Any, num_classes: Any, label_key: str) -> None:
    """Refuses datasets that have no classes to be counted, by their specs."""
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"{owner}: dataset must be a tf.data.Dataset, got {type(dataset).__name__}."
        )
    checks.positive_integer(owner, "num_classes", num_classes, least=2)
    spec = labels.label_of(owner, dataset.element_spec, label_key)
    labels.check(owner, spec, num_classes)
    check_finite(owner, dataset)


def check_finite(owner: str, dataset: tf.data.Dataset) -> None:
    """Refuses datasets without end, or without a beginning."""
    length = int(dataset.cardinality())
    if length == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"{owner}: the dataset is endless. Give it before .repeat().")
    if length == 0:
        raise ValueError(
            f"{owner}: the dataset is empty. Check the split, filter or path it is "
            "made from."
        )


def count(
    owner: str, dataset: tf.data.Dataset, num_classes: int, label_key: str
) -> np.ndarray:
    """Counts; arguments are checked."""

    def read(element: Any) -> tf.Tensor:
        label = labels.label_of(owner, element, label_key)
        return labels.class_of(label, num_classes)

    def add(counts: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        ones = tf.ones_like(ids)
        return counts + tf.math.unsorted_segment_sum(ones, ids, num_classes + 1)

    ids = dataset.map(labels.plain_call(read)).batch(_LABELS_AT_ONCE)
    counts = ids.reduce(tf.zeros([num_classes + 1], tf.int64), add).numpy()
    refuse_other_labels(owner, int(counts[-1]), num_classes)
    return counts[:-1]


def refuse_other_labels(owner: str, others: int, num_classes: int) -> None:
    """Raises where a label is none of the classes."""
    if others:
        raise ValueError(
            f"{owner}: {others} labels are not in [0, {num_classes}), or are one-hot "
            "rows without a positive entry. Set num_classes to the highest label + 1; "
            "shift labels that start at 1, and filter out those marked missing."
        )
