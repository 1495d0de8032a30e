"""A stream in which rare classes come as often as frequent ones."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.imbalance import counting, per_class

__all__ = ["class_balanced"]

_OWNER = "tfmixup.class_balanced"


def class_balanced(
    dataset: tf.data.Dataset,
    num_classes: int,
    *,
    odds: Sequence[float] | None = None,
    class_counts: Sequence[int] | None = None,
    in_memory: bool = False,
    shuffle_buffer_size: int = 1_000,
    label_key: str = "label",
    seed: int | None = None,
) -> tf.data.Dataset:
    """An endless stream of examples in which every class is equally likely.

        P(y_k = c) = o_c / Σ_c′ o_c′,   o_c = 1 by default

    independently for every k; within a class, repeated and then shuffled, all examples
    come equally often, up to those in the shuffle buffer. As `partner` of
    `two_streams` it makes Balanced-MixUp: `λ·x_i + (1 − λ)·x_c` with x_i from the
    dataset as it is, x_c from this stream and 1 − λ ~ Beta(α, 1), hence λ ~ Beta(1, α):
    the paper's coefficient weighs the balanced stream, and the one of `MixUp` the
    dataset's. Its authors try α from 0.1 to 0.3.

    What it costs: classes are counted in one pass when the stream is made, unless
    `class_counts` is given. Then each class is read by a filter of its own: one example
    of a class that makes up 1/100 of the data takes 100 examples to be read, and C
    passes fill the shuffle buffers at the start of every iteration. Put it before
    decoding (on file names and labels), or behind `cache()`; or set `in_memory`, which
    reads the dataset once and no more, and does for thousands of classes.

    Args:
      dataset: single examples `(x, y)`, `(x, y, sample_weight)` or dicts, without
        `repeat`; labels are class ids, integers of shape () or (1,), or one-hot, floats
        of shape (C,), whose class is the largest entry.
      num_classes: C, at least 2.
      odds: o, C numbers >= 0, how likely each class is relative to others; None for
        equal ones. A class of 0 never comes, and may have no examples.
      class_counts: the number of examples of every class, to spare the pass that counts
        them; checked where the data show that they are wrong.
      in_memory: keep all examples, sorted by class, in memory instead of reading the
        dataset again and again. They must be of one shape. What is random in the
        dataset is drawn once then: augment behind it.
      shuffle_buffer_size: examples in the shuffle buffer of each class, at most all of
        them. Buffers are saved in an iterator's checkpoint.
      label_key: the key of the labels in dict elements.
      seed: the same integer and the same data give the same stream, iteration after
        iteration (each of which differs from the last). None gives another stream in
        every run.

    Returns:
      A dataset without end of the same elements.

    Raises:
      TypeError, KeyError: an argument or the elements are not as described.
      ValueError: the same; or a class is to come and has no examples; or a label is
        none of the classes.
      tf.errors.InvalidArgumentError: while iterating, where `class_counts` was given
        and the data have other labels, or none of a class.

    Examples:
      >>> x, y = tf.zeros([100, 2]), tf.repeat([0, 1], [95, 5])
      >>> ds = tf.data.Dataset.from_tensor_slices((x, y))
      >>> balanced = class_balanced(ds, num_classes=2, seed=1)
      >>> label_mass = tfmixup.label_mass(balanced.batch(100), 2, num_batches=100)
      >>> label_mass.round(1)
      array([0.5, 0.5])

    References:
      Galdran et al., "Balanced-MixUp for Highly Imbalanced Medical Image
      Classification", 2021, arXiv 2109.09850
    """
    counting.check(_OWNER, dataset, num_classes, label_key)
    checks.positive_integer(_OWNER, "shuffle_buffer_size", shuffle_buffer_size)
    checks.boolean(_OWNER, "in_memory", in_memory)
    checks.seed(_OWNER, seed)
    shares = _shares(odds, num_classes)
    given = _given(dataset, class_counts, num_classes)
    if given is not None:
        _check_all_there(given, shares)
    read = per_class.in_memory if in_memory else per_class.filtered
    counts, classes = read(_OWNER, dataset, num_classes, label_key, given)
    _check_all_there(counts, shares)
    drawn = [c for c in range(num_classes) if shares[c] > 0]
    streams = [
        classes(c)
        # Not the other way round: a shuffle that is repeated counts its rounds, and
        # where a checkpoint is taken while a parallel map is at work below it, the
        # count that is saved can be an older one.
        .repeat()
        .shuffle(
            min(shuffle_buffer_size, int(counts[c])),
            seed=seeding.stream_seed(seed, f"class {c}"),
        )
        # Only a class without examples ever gets here.
        .concatenate(per_class.nothing_there(_OWNER, dataset, c))
        for c in drawn
    ]
    return tf.data.Dataset.sample_from_datasets(
        streams,
        weights=shares[drawn],
        seed=seeding.stream_seed(seed, "classes"),
        rerandomize_each_iteration=True,
    )


def _shares(odds: Any, num_classes: int) -> np.ndarray:
    if odds is None:
        return np.full(num_classes, 1 / num_classes)
    values = _numbers("odds", odds, num_classes)
    if any(not math.isfinite(value) or value < 0 for value in values):
        raise ValueError(
            f"{_OWNER}: odds must be finite and not negative, got {odds!r}."
        )
    if not any(values):
        raise ValueError(
            f"{_OWNER}: odds are all 0, so that no class could come: {odds!r}."
        )
    return np.asarray(values, np.float64) / np.sum(values, dtype=np.float64)


def _given(
    dataset: tf.data.Dataset, class_counts: Any, num_classes: int
) -> np.ndarray | None:
    if class_counts is None:
        return None
    values = _numbers("class_counts", class_counts, num_classes)
    if any(value < 0 or value != int(value) for value in values):
        raise ValueError(
            f"{_OWNER}: class_counts must be whole numbers >= 0, got {class_counts!r}."
        )
    length = int(dataset.cardinality())
    if length >= 0 and sum(values) != length:
        raise ValueError(
            f"{_OWNER}: class_counts sum to {sum(values)}, but the dataset has "
            f"{length} examples. Leave class_counts out to have them counted."
        )
    return np.asarray(values, np.int64)


def _numbers(name: str, value: Any, num_classes: int) -> list[float]:
    if isinstance(value, (np.ndarray, tf.Tensor)):
        value = np.asarray(value).tolist()
    numeric = isinstance(value, Sequence) and all(
        isinstance(v, numbers.Real) and not isinstance(v, bool) for v in value
    )
    if not numeric:
        raise TypeError(
            f"{_OWNER}: {name} must be a sequence of numbers, one for every class, got "
            f"{value!r}."
        )
    if len(value) != num_classes:
        raise ValueError(
            f"{_OWNER}: {name} has {len(value)} entries, and num_classes="
            f"{num_classes}. Give one number for every class."
        )
    return list(value)


def _check_all_there(counts: np.ndarray, shares: np.ndarray) -> None:
    missing = np.flatnonzero((counts == 0) & (shares > 0)).tolist()
    if missing:
        raise ValueError(
            f"{_OWNER}: no examples of class {', '.join(map(str, missing))}. Correct "
            "num_classes or the data, or give such classes 0 in odds=(...)."
        )
