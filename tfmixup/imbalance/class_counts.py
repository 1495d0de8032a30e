"""Counts the examples of every class of a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks, elements

__all__ = [
    "check_classes",
    "class_counts",
    "class_of",
    "count",
    "label_of",
    "refuse_other_labels",
]

_LABELS_AT_ONCE = 1024


@checks.named("tfmixup.class_counts")
def class_counts(
    dataset: tf.data.Dataset,
    num_classes: int,
    *,
    label_key: str | int = "label",
) -> np.ndarray:
    """Counts the examples of every class, in one pass over the dataset.

        n_c = |{k : y_k = c}|

    The pass runs every stage of the dataset. Count before images are decoded, or count
    once and write the numbers into your script.

    Args:
      dataset: single examples `(x, y)`, `(x, y, sample_weight)` or dicts, without
        `repeat`. Labels are class ids, integers of shape () or (1,), or one-hot, floats
        of shape (C,). The class of a one-hot label is its largest entry.
      num_classes: C, at least 2.
      label_key: which target the labels are. In dict elements it is their key. If y of
        a tuple has several targets, it is a key or a position in y.

    Returns:
      n, int64 (C,).

    Raises:
      TypeError, KeyError: an argument or the elements are not as described.
      ValueError: the same; or the dataset is endless; or a label is none of the
        classes.

    Examples:
      >>> ds = tf.data.Dataset.from_tensor_slices((tf.zeros([4, 2]), [0, 1, 0, 0]))
      >>> class_counts(ds, num_classes=3)
      array([3, 1, 0])
    """
    num_classes = check_classes(dataset, num_classes, label_key)
    return count(dataset, num_classes, label_key)


def check_classes(dataset: Any, num_classes: Any, label_key: str | int) -> int:
    """Refuses datasets without classes, by their specs. Returns `num_classes`."""
    checks.dataset("dataset", dataset)
    num_classes = checks.integer("num_classes", num_classes, least=2)
    spec = label_of(dataset.element_spec, label_key)
    _check_label(spec, num_classes)
    if checks.cardinality(dataset) == tf.data.INFINITE_CARDINALITY:
        raise ValueError("the dataset is endless. Give it before .repeat().")
    checks.not_empty(dataset)
    return num_classes


def label_of(element: Any, label_key: str | int) -> Any:
    """The label of `(x, y)`, `(x, y, sample_weight)` or a dict, or the label's spec.

    Raises:
      TypeError, KeyError: the element is none of these, or has no such key.
      ValueError: there are several targets, and `label_key` selects none of them.
    """
    if isinstance(element, dict) and label_key not in element:
        raise KeyError(
            f"elements have no key {label_key!r}; they have "
            f"{sorted(element)}. Pass label_key=..., the key of the class labels."
        )
    targets = elements.split(element, (), (label_key,)).targets
    labels = tf.nest.flatten(one_of(targets, label_key))
    if len(labels) != 1:
        raise ValueError(
            f"elements must have one label, got {len(labels)} targets. Pass "
            "label_key=..., the key or the position of one of them."
        )
    return labels[0]


def one_of(several: Any, label_key: str | int) -> Any:
    """The item of `several` with that key or position. `several` if there is none."""
    keyed = isinstance(several, dict) and label_key in several
    placed = isinstance(several, (tuple, list)) and label_key in range(len(several))
    return several[label_key] if keyed or placed else several


def _check_label(spec: Any, num_classes: int) -> None:
    """Refuses one example's label if it is neither a class id nor one-hot."""
    dense = isinstance(spec, tf.TensorSpec)
    if dense and spec.dtype.is_integer and spec.shape.as_list() in ([], [1]):
        return
    if dense and spec.dtype.is_floating and spec.shape == [num_classes]:
        return
    raise ValueError(
        f"elements must be single examples, whose labels are class ids, "
        f"integers of shape (), or one-hot, floats of shape ({num_classes},); got "
        f"{spec}. Call it before .batch(...), and check num_classes={num_classes}."
    )


def class_of(label: tf.Tensor, num_classes: int) -> tf.Tensor:
    """The class id, int64 (), of a label. `num_classes` if the label is no class."""
    if label.dtype.is_integer:
        ids = tf.cast(tf.reshape(label, []), tf.int64)
        known = (ids >= 0) & (ids < num_classes)
    else:
        ids = tf.argmax(label)
        known = tf.reduce_max(label) > 0
    return tf.where(known, ids, tf.constant(num_classes, tf.int64))


def count(
    dataset: tf.data.Dataset, num_classes: int, label_key: str | int
) -> np.ndarray:
    """`class_counts` for arguments that have been checked."""
    checks.eager("the dataset")

    def add(counts: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        ones = tf.ones_like(ids)
        return counts + tf.math.unsorted_segment_sum(ones, ids, num_classes + 1)

    ids = elements.map_elements(
        dataset, lambda element: class_of(label_of(element, label_key), num_classes)
    )
    counts = ids.batch(_LABELS_AT_ONCE).reduce(
        tf.zeros([num_classes + 1], tf.int64),
        tf.autograph.experimental.do_not_convert(add),
    )
    refuse_other_labels(int(counts[-1]), num_classes)
    return counts.numpy()[:-1]


def refuse_other_labels(others: int, num_classes: int) -> None:
    """Raises if any label is none of the classes."""
    if others:
        raise ValueError(
            f"{others} labels are not in [0, {num_classes}), or are one-hot "
            "rows without a positive entry. Set num_classes to the highest label + 1; "
            "shift labels that start at 1, and filter out those marked missing."
        )
