"""Turns class weights into sample weights, which can be mixed."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks, elements
from tfmixup.imbalance.class_counts import label_of

__all__ = ["weight_by_class"]

_NAME = "tfmixup.weight_by_class"


@checks.named(_NAME)
def weight_by_class(
    class_weight: Mapping[int, float] | Sequence[float],
    *,
    label_key: str | int = "label",
    weight_key: str = "sample_weight",
) -> Callable[..., Any]:
    """Weights examples by class, as in Keras. Map the result before mixing.

        (x, y) ↦ (x, y, w_y)
        w_y = Σ_c y_c·w_c for one-hot and soft labels

    Keras's own `class_weight` takes the largest entry of a mixed label for the class.
    Weights made here stay with their labels: the loss of a mixed example is
    λ·w_i·ℓ(y_i) + (1 − λ)·w_j·ℓ(y_j). A class has the same share of the loss, n_c·w_c,
    as without mixing.

    Args:
      class_weight: a dict {class id: weight} as for Keras's `fit`, or a sequence with a
        weight for each class. Weights are numbers >= 0. An example of a class without a
        weight raises an error.
      label_key: which target the labels are, as in `class_counts`.
      weight_key: the key of the weight in dict elements. A weight that is there already
        is multiplied by the class weight.

    Returns:
      A function for `Dataset.map`, of examples or batches. Labels are class ids,
      integers () or (B,), or (1,) or (B, 1); or floats (C,) or (B, C). Weights are
      float32 () or (B,). The weight of `(x, y, sample_weight)` is multiplied by the
      class weight.

    Raises:
      TypeError, ValueError: at once or when mapped, if an argument or the elements are
        not as described.
      tf.errors.InvalidArgumentError: while iterating, at a class without a weight.

    Examples:
      >>> x, y = tf.zeros([3, 2]), [0, 1, 0]
      >>> ds = tf.data.Dataset.from_tensor_slices((x, y))
      >>> weighted = ds.map(weight_by_class({0: 1.0, 1: 5.0}))
      >>> [float(w) for _, _, w in weighted]
      [1.0, 5.0, 1.0]
    """
    weights = _weights(class_weight)

    @checks.named(_NAME)
    def weigh(element: Any) -> Any:
        label = label_of(element, label_key)
        weight = _weight(_ids(tf.convert_to_tensor(label), element), weights)
        if isinstance(element, dict):
            if weight_key in element:
                weight = _times(weight, element[weight_key])
            return {**element, weight_key: weight}
        if len(element) == 3:
            weight = _times(weight, element[2])
        return (*element[:2], weight)

    return elements.of_element(weigh)


def _weights(class_weight: Any) -> np.ndarray:
    """float32 (C,), NaN for a class that has no weight."""
    if isinstance(class_weight, np.ndarray):
        class_weight = class_weight.tolist()
    if isinstance(class_weight, Sequence) and not isinstance(class_weight, str):
        class_weight = dict(enumerate(class_weight))
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise TypeError(
            f"class_weight must be a dict of class ids and weights or a "
            f"sequence of weights, such as {{0: 1.0, 1: 5.0}}, got {class_weight!r}."
        )
    for key, value in class_weight.items():
        if not isinstance(key, numbers.Integral) or isinstance(key, bool) or key < 0:
            raise ValueError(
                f"class_weight's keys must be class ids, integers >= 0, got {key!r}."
            )
        if not checks.is_finite(value) or value < 0:
            raise ValueError(
                f"weights must be finite numbers >= 0, got {value!r} for class {key}."
            )
    weights = np.full(int(max(class_weight)) + 1, np.nan, np.float32)
    for key, value in class_weight.items():
        weights[key] = value
    return weights


def _ids(label: tf.Tensor, element: Any) -> tf.Tensor:
    """Labels without a last dimension of 1, unless that dimension is the batch."""
    if not label.dtype.is_integer or label.shape.rank not in (1, 2):
        return label
    if label.shape.rank == 1:
        shapes = [tf.convert_to_tensor(t).shape for t in tf.nest.flatten(element)]
        if all(shape.rank and shape[0] == 1 for shape in shapes):
            return label
    return tf.squeeze(label, -1) if label.shape[-1] == 1 else label


def _weight(label: tf.Tensor, weights: np.ndarray) -> tf.Tensor:
    classes = len(weights)
    if label.dtype.is_integer:
        if label.shape.rank is None or label.shape.rank > 1:
            _fail(label, classes)
        return _looked_up(tf.cast(label, tf.int64), weights)
    if not label.dtype.is_floating or label.shape.rank not in (1, 2):
        _fail(label, classes)
    if label.shape[-1] != classes or np.isnan(weights).any():
        _fail(label, classes)
    return tf.reduce_sum(tf.cast(label, tf.float32) * weights, axis=-1)


def _looked_up(ids: tf.Tensor, weights: np.ndarray) -> tf.Tensor:
    inside = (ids >= 0) & (ids < len(weights))
    weight = tf.gather(weights, tf.where(inside, ids, 0))
    known = inside & ~tf.math.is_nan(weight)
    message = (
        f"{_NAME}: a class has no weight: class_weight has "
        f"{np.flatnonzero(~np.isnan(weights)).tolist()}. Give it one, and filter out "
        "labels that are not known. Labels without:"
    )
    others = tf.boolean_mask(tf.reshape(ids, [-1]), ~tf.reshape(known, [-1]))
    check = tf.debugging.Assert(tf.reduce_all(known), [message, others], summarize=64)
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(weight)


def _fail(label: tf.Tensor, classes: int) -> None:
    raise ValueError(
        f"labels must be class ids, integers () or (batch,), or floats "
        f"({classes},) or (batch, {classes}) with a weight for every class, got "
        f"{label.dtype.name}{label.shape}. Map it before mixing, and before labels are "
        "encoded."
    )


def _times(weight: tf.Tensor, other: Any) -> tf.Tensor:
    """The product of two weights, which must have the same rank."""
    other = tf.cast(other, tf.float32)
    if other.shape.rank != weight.shape.rank:
        raise ValueError(
            f"the elements have a sample weight of shape {other.shape}, and "
            f"the weight by class is {weight.shape}. Give one weight an example."
        )
    return weight * other
