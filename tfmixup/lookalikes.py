"""What passes for an element `(x, y)`, and is none."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup.checks import no_py_dataset, see_docs

__all__ = ["check_element"]


def check_element(element: Any) -> None:
    """Refuses datasets, two zipped elements, and elements beside their class.

    Args:
      element: a batch, an example, or the spec of one.

    Raises:
      TypeError: it is a dataset.
      ValueError: it holds elements.
    """
    no_py_dataset("a batch", element)
    if isinstance(element, tf.data.Dataset):
        raise TypeError(
            "a mixer is a function of batches, and Dataset.apply passes a dataset. "
            "Write batches.map(mixer), or batches.apply(tfmixup.in_batch(mixer)), "
            "which takes a seed."
        )
    if isinstance(element, tuple) and len(element) == 2:
        _check_not_zipped(element)
        _check_not_resampled(element)


def _check_not_zipped(element: Any) -> None:
    """Refuses two zipped elements, whose first labels would pass for features.

    ((x_i, y_i), (x_j, y_j)) is told from (x, y) by its two halves, which are tuples or
    dicts of one structure, with the same dtypes and ranks.
    """
    halves = [part for part in element if isinstance(part, (tuple, dict))]
    if len(halves) < 2 or len(tf.nest.flatten(halves[0])) < 2:
        return
    try:
        tf.nest.assert_same_structure(*halves)
    except (ValueError, TypeError):
        return
    kinds = [[_kind(leaf) for leaf in tf.nest.flatten(half)] for half in halves]
    if kinds[0] == kinds[1]:
        raise ValueError(
            "the element looks like a pair of batches ((x, y), (x, y)), but this "
            "function makes pairs by itself. Give it one dataset, or map mixer.pair "
            "over the zipped batches. If these are features and targets, name them in "
            "one dict." + see_docs("guide")
        )


def _kind(leaf: Any) -> Any:
    """The dtype and rank, or the type of what has none, such as None."""
    try:
        leaf = leaf if hasattr(leaf, "dtype") else tf.convert_to_tensor(leaf)
    except (TypeError, ValueError):
        return type(leaf), None
    return tf.as_dtype(leaf.dtype), tf.TensorShape(leaf.shape).rank


def _check_not_resampled(element: Any) -> None:
    """Refuses (class, (x, y)): y would be mixed beside x, with a class for features."""
    first, second = element
    if not isinstance(second, tuple) or len(second) not in (2, 3):
        return
    dtype, rank = _kind(first) if not tf.nest.is_nested(first) else (None, None)
    if dtype in (tf.int32, tf.int64) and rank in (0, 1):
        raise ValueError(
            "the element looks like (class, (x, y)), which "
            "Dataset.rejection_resample yields. Take the class off before: "
            "dataset.map(lambda label, element: element)."
        )
