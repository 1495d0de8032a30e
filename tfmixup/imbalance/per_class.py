"""A dataset of every class: by filters, or sorted in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup.imbalance import counting, labels

__all__ = ["filtered", "in_memory", "nothing_there"]

_EXAMPLES_AT_ONCE = 1024

ClassDatasets = Callable[[int], tf.data.Dataset]


def filtered(
    owner: str,
    dataset: tf.data.Dataset,
    num_classes: int,
    label_key: str,
    given: np.ndarray | None,
) -> tuple[np.ndarray, ClassDatasets]:
    """Reads each class by a filter; returns counts, and the dataset of a class."""
    counts = given
    if counts is None:
        counts = counting.count(owner, dataset, num_classes, label_key)

    def of_class(wanted: int) -> tf.data.Dataset:
        def chosen(element: Any) -> tf.Tensor:
            label = labels.label_of(owner, element, label_key)
            found = labels.class_of(label, num_classes)
            message = (
                f"{owner}: a label is not in [0, {num_classes}), or a one-hot row "
                "without a positive entry. Label:"
            )
            known = tf.debugging.Assert(found < num_classes, [message, label])
            with tf.control_dependencies([known]):
                return tf.equal(found, wanted)

        return dataset.filter(labels.plain_call(chosen))

    return counts, of_class


def in_memory(
    owner: str,
    dataset: tf.data.Dataset,
    num_classes: int,
    label_key: str,
    given: np.ndarray | None,
) -> tuple[np.ndarray, ClassDatasets]:
    """Reads the dataset once; returns counts, and the dataset of a class."""
    for spec in tf.nest.flatten(dataset.element_spec):
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.is_fully_defined():
            raise ValueError(
                f"{owner}: in_memory=True needs examples of one shape, got {spec}. Pad "
                "or resize them first, or leave in_memory out."
            )
    with tf.device("/cpu:0"):
        batches = list(dataset.batch(_EXAMPLES_AT_ONCE))
        if not batches:
            raise ValueError(f"{owner}: the dataset is empty.")
        examples = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *batches)
        label = labels.label_of(owner, examples, label_key)
        ids = tf.map_fn(
            lambda y: labels.class_of(y, num_classes),
            label,
            fn_output_signature=tf.int64,
        ).numpy()
    counts = np.bincount(ids, minlength=num_classes + 1)
    counting.refuse_other_labels(owner, int(counts[-1]), num_classes)
    if given is not None and not np.array_equal(counts[:-1], given):
        raise ValueError(
            f"{owner}: class_counts={given.tolist()}, but the data have "
            f"{counts[:-1].tolist()}. Leave class_counts out."
        )

    def of_class(wanted: int) -> tf.data.Dataset:
        rows = np.flatnonzero(ids == wanted)
        with tf.device("/cpu:0"):
            own = tf.nest.map_structure(lambda part: tf.gather(part, rows), examples)
        return tf.data.Dataset.from_tensor_slices(own)

    return counts[:-1], of_class


def nothing_there(owner: str, dataset: tf.data.Dataset, wanted: int) -> tf.data.Dataset:
    """A dataset of the same elements that raises when it is read.

    Without it a stream of no examples would end, and the others go on in its place.
    """
    message = (
        f"{owner}: by class_counts there are examples of class {wanted}, but the "
        "dataset has none. Leave class_counts out to have them counted."
    )

    def fail(element: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.nest.map_structure(tf.identity, element)

    return dataset.take(1).map(labels.plain_call(fail))
