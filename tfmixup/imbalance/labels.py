"""The class of a single example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup import elements

__all__ = ["check", "class_of", "label_of", "plain_call"]


def label_of(owner: str, element: Any, label_key: str) -> Any:
    """The label of `(x, y)`, `(x, y, sample_weight)` or a dict, or its spec.

    Raises:
      TypeError, KeyError: the element is none of these, or has no such key.
      ValueError: there are several targets.
    """
    if isinstance(element, dict) and label_key not in element:
        raise KeyError(
            f"{owner}: elements have no key {label_key!r}; they have "
            f"{sorted(element)}. Pass label_key=..., the key of the class labels."
        )
    labels = tf.nest.flatten(elements.split(owner, element, (), (label_key,)).targets)
    if len(labels) != 1:
        raise ValueError(
            f"{owner}: elements must have one label, got {len(labels)} targets. Map "
            "them to dicts, and name the label's key in label_key."
        )
    return labels[0]


def check(owner: str, spec: Any, num_classes: int) -> None:
    """Refuses a label, of one example, that is neither a class id nor one-hot."""
    dense = isinstance(spec, tf.TensorSpec)
    if dense and spec.dtype.is_integer and spec.shape.as_list() in ([], [1]):
        return
    if dense and spec.dtype.is_floating and spec.shape == [num_classes]:
        return
    raise ValueError(
        f"{owner}: elements must be single examples, whose labels are class ids, "
        f"integers of shape (), or one-hot, floats of shape ({num_classes},); got "
        f"{spec}. Call it before .batch(...), and check num_classes={num_classes}."
    )


def class_of(label: tf.Tensor, num_classes: int) -> tf.Tensor:
    """The class id, int64 (), of a checked label; `num_classes` where it is none."""
    if label.dtype.is_integer:
        ids = tf.cast(tf.reshape(label, []), tf.int64)
        known = (ids >= 0) & (ids < num_classes)
    else:
        ids = tf.argmax(label)
        known = tf.reduce_max(label) > 0
    return tf.where(known, ids, tf.constant(num_classes, tf.int64))


def plain_call(fn: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function of one element, for `Dataset.map`, which unpacks tuples.

    AutoGraph would wrap errors in "in user code".
    """

    def call(*element: Any) -> Any:
        return fn(element[0] if len(element) == 1 else element)

    return tf.autograph.experimental.do_not_convert(call)
