"""Measures the share of label mass that every class gets."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks, elements
from tfmixup.imbalance.class_counts import one_of

__all__ = ["label_mass"]


@checks.named("tfmixup.label_mass")
def label_mass(
    dataset: tf.data.Dataset,
    num_classes: int,
    *,
    num_batches: int | None = None,
    label_key: str | int = "label",
    weight_key: str = "sample_weight",
) -> np.ndarray:
    """The share of label mass that every class gets over some batches.

        m_c = Σ_k w_k·y_kc / Σ_c′ Σ_k w_k·y_kc′

    The sums are over all examples k of the batches, or over all pixels of masks. w are
    the sample weights, or 1. Compare the shares before mixing and after: they are the
    class frequencies that a network learns.

    Args:
      dataset: batches `(x, y)`, `(x, y, sample_weight)` or dicts, mixed or not. Labels
        are class ids, integers (B,), (B, 1) or (B, H, W), or shares of classes, floats
        (B, ..., C), or a pair (y_i, y_j, λ) as `targets="pair"` makes it.
      num_classes: C, at least 2.
      num_batches: how many batches to read. None for all of a finite dataset.
      label_key: which target the labels are, as in `class_counts`.
      weight_key: the key of sample weights in dict elements, used if there is one.

    Returns:
      m, float64 (C,), which sums to 1.

    Raises:
      TypeError, KeyError: an argument or the elements are not as described.
      ValueError: the same; or the dataset is endless and `num_batches` is None; or the
        whole label mass is 0 or not finite.

    Examples:
      >>> x, y = tf.zeros([4, 2]), [0, 1, 0, 0]
      >>> batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
      >>> label_mass(batches, num_classes=2)
      array([0.75, 0.25])
    """
    checks.dataset("dataset", dataset)
    num_classes = checks.integer("num_classes", num_classes, least=2)
    checks.eager("the dataset")
    if num_batches is not None:
        num_batches = checks.integer("num_batches", num_batches)
    elif checks.cardinality(dataset) == tf.data.INFINITE_CARDINALITY:
        raise ValueError("the dataset is endless. Pass num_batches=...")
    label, _ = _read(dataset.element_spec, label_key, weight_key)
    for spec in label[:2]:
        _check(spec, num_classes)
    mass = np.zeros(num_classes)
    # take() would add a stage behind prefetch_to_device, which must be the last stage.
    for element in itertools.islice(dataset, num_batches):
        mass += _mass(*_read(element, label_key, weight_key), num_classes)
    total = mass.sum()
    if not (np.isfinite(total) and total > 0):
        raise ValueError(
            f"label mass {mass.tolist()} cannot be shared out. "
            "Check that the dataset has batches, and labels and weights that are "
            "finite, not negative and not all 0."
        )
    return mass / total


def _read(element: Any, label_key: str | int, weight_key: str) -> tuple[tuple, Any]:
    """The label, (y,) or (y_i, y_j, λ), and the sample weights or None."""
    parts = elements.split(element, (), (label_key,))
    weights, targets = parts.weights, parts.targets
    if isinstance(element, dict):
        weights = element.get(weight_key)
    targets, weights = one_of(targets, label_key), one_of(weights, label_key)
    if isinstance(targets, (tuple, list)) and len(targets) == 3:
        label = tuple(targets)
    else:
        label = tuple(tf.nest.flatten(targets))
    flat = [] if weights is None else tf.nest.flatten(weights)
    if len(label) not in (1, 3) or len(flat) > 1:
        raise ValueError(
            f"elements must have one label and at most one tensor of sample "
            f"weights, got {len(label)} and {len(flat)}. Pass label_key=..., the key "
            "or the position of one of several targets."
        )
    return label, (flat[0] if flat else None)


def _check(spec: Any, num_classes: int) -> None:
    rank = spec.shape.rank if isinstance(spec, tf.TensorSpec) else None
    if rank is not None and spec.dtype.is_integer and rank >= 1:
        return
    floats = rank is not None and spec.dtype.is_floating and rank >= 2
    if floats and spec.shape[-1] == num_classes:
        return
    raise ValueError(
        f"labels must be batches of class ids, integers (batch,), or of "
        f"shares of classes, floats (batch, {num_classes}); got {spec}. Call "
        f".batch(...) first, and check num_classes={num_classes}."
    )


def _mass(label: tuple, weights: Any, num_classes: int) -> np.ndarray:
    if len(label) == 3:
        one, other, lam = label
        lam = np.asarray(lam, np.float64)
        first = _weighed(one, weights, num_classes, lam)
        return first + _weighed(other, weights, num_classes, 1 - lam)
    return _weighed(label[0], weights, num_classes, None)


def _weighed(
    label: Any, weights: Any, num_classes: int, share: np.ndarray | None
) -> np.ndarray:
    y = np.asarray(label)
    if y.dtype.kind in "iu":
        if y.ndim > 1 and y.shape[-1] == 1:
            y = y[..., 0]
        pixels = y.shape
    else:
        pixels = y.shape[:-1]
    w = np.ones(pixels)
    for factor in (weights, share):
        if factor is not None:
            w = w * _broadcast(np.asarray(factor, np.float64), pixels)
    if y.dtype.kind not in "iu":
        return np.tensordot(w, y.astype(np.float64), axes=w.ndim)
    # Class ids of weight 0, such as ignored pixels, need not be classes.
    ids, w = y[w != 0], w[w != 0]
    if ids.size and not (ids.min() >= 0 and ids.max() < num_classes):
        raise ValueError(
            f"class ids must be in [0, {num_classes}), got {ids.min()} to "
            f"{ids.max()}. Set num_classes to the highest label + 1, and filter out "
            "labels that are not known, or mix with ignore_label first."
        )
    return np.bincount(ids.astype(np.int64), weights=w, minlength=num_classes)


def _broadcast(weights: np.ndarray, pixels: tuple[int, ...]) -> np.ndarray:
    """Gives (B,), (B, 1) or (B, H, W, 1) the rank of `pixels`."""
    if weights.ndim > len(pixels) and weights.shape[-1] == 1:
        weights = weights[..., 0]
    return weights.reshape(weights.shape + (1,) * (len(pixels) - weights.ndim))
