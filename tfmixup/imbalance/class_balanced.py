"""A stream in which rare classes come as often as frequent ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks, elements, seeding
from tfmixup.imbalance.class_counts import (
    check_classes,
    class_of,
    count,
    label_of,
    refuse_other_labels,
)

__all__ = ["class_balanced"]

_EXAMPLES_AT_ONCE = 1024

ClassDatasets = Callable[[int], tf.data.Dataset]


@checks.named("tfmixup.class_balanced")
def class_balanced(
    dataset: tf.data.Dataset,
    num_classes: int,
    *,
    odds: Sequence[float] | None = None,
    class_counts: Sequence[int] | None = None,
    in_memory: bool = False,
    shuffle_buffer_size: int = 1_000,
    label_key: str | int = "label",
    seed: int | None = None,
) -> tf.data.Dataset:
    """An endless stream of examples in which every class is equally likely.

        P(y_k = c) = o_c / Σ_c′ o_c′,   o_c = 1 by default

    The class of every example k is drawn independently. Each class is repeated and then
    shuffled. All examples of a class come equally often, up to those in the shuffle
    buffer.

    As `partner` of `two_streams` the stream makes Balanced-MixUp: `λ·x_i + (1 − λ)·x_c`
    with x_i from the dataset as it is, x_c from this stream, and 1 − λ ~ Beta(α, 1).
    Use `MixUp` with λ ~ Beta(1, α), because the paper's coefficient weighs the balanced
    stream, and λ of `MixUp` weighs the dataset. The authors try α from 0.1 to 0.3.

    Unless `class_counts` is given, one pass counts the classes when the stream is made.
    Each class is then read by a filter of its own. A class that makes up 1/100 of the
    data reads 100 examples for each one it yields, and C passes fill the shuffle
    buffers at the start of every iteration. Put the stream before decoding (on file
    names and labels), or behind `cache()`. Or set `in_memory`: it reads the dataset
    only once, and copes with thousands of classes.

    Args:
      dataset: single examples `(x, y)`, `(x, y, sample_weight)` or dicts, without
        `repeat`. Labels are class ids, integers of shape () or (1,), or one-hot, floats
        of shape (C,). The class of a one-hot label is its largest entry.
      num_classes: C, at least 2.
      odds: o, C numbers >= 0, how likely each class is relative to others. None for
        equal odds. A class with odds 0 never comes, and may have no examples.
      class_counts: the number of examples of every class, to save the pass that counts
        them. Wrong counts raise where the data show that they are wrong.
      in_memory: keep all examples, sorted by class, in memory instead of reading the
        dataset again and again. All examples need one static shape. Random stages of
        the dataset run only once then: augment behind this stream.
      shuffle_buffer_size: how many examples the shuffle buffer of each class holds, at
        most all of the class. An iterator's checkpoint contains the buffers.
      label_key: which target the labels are, as in `class_counts`.
      seed: the same integer and the same data give the same stream. Each iteration
        differs from the last, and the same iterations come in every run. None gives
        another stream in every run.

    Returns:
      A dataset without end of the same elements.

    Raises:
      TypeError, KeyError: an argument or the elements are not as described.
      ValueError: the same; or a class with odds above 0 has no examples; or a label is
        none of the classes.
      tf.errors.InvalidArgumentError: while iterating, if `class_counts` was given, and
        the data have other labels, or no example of a class.

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
    num_classes = check_classes(dataset, num_classes, label_key)
    shuffle_buffer_size = checks.integer("shuffle_buffer_size", shuffle_buffer_size)
    checks.boolean("in_memory", in_memory)
    checks.seed(seed)
    shares = _shares(odds, num_classes)
    given = _given(dataset, class_counts, num_classes)
    if given is not None:
        _check_all_there(given, shares)
    read = _in_memory if in_memory else _filtered
    counts, classes = read(dataset, num_classes, label_key, given)
    _check_all_there(counts, shares)
    drawn = [c for c in range(num_classes) if shares[c] > 0]
    streams = [
        classes(c)
        # Repeat before shuffle: a shuffle that is repeated counts its rounds. If a
        # parallel map below it is at work while a checkpoint is taken, the saved count
        # can be too old.
        .repeat()
        .shuffle(
            min(shuffle_buffer_size, int(counts[c])),
            seed=seeding.stream_seed(seed, f"class {c}"),
        )
        # Only a class without examples reaches this end, because repeat is endless.
        .concatenate(_failing(dataset, c))
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
    values = checks.numbers_by_class("odds", odds, num_classes, positive=False)
    if not any(values):
        raise ValueError(f"odds are all 0, so that no class could come: {odds!r}.")
    if not math.isfinite(sum(map(float, values))):
        raise ValueError(
            f"odds must have a finite sum, got {odds!r}. Divide all of them by the "
            "largest."
        )
    return np.asarray(values, np.float64) / np.sum(values, dtype=np.float64)


def _given(
    dataset: tf.data.Dataset, class_counts: Any, num_classes: int
) -> np.ndarray | None:
    if class_counts is None:
        return None
    values = checks.numbers_by_class(
        "class_counts", class_counts, num_classes, positive=False
    )
    if any(value != int(value) or value >= 2**63 for value in values):
        raise ValueError(
            "class_counts must be whole numbers from 0 to 2**63 - 1, got "
            f"{class_counts!r}."
        )
    length = checks.cardinality(dataset)
    if length >= 0 and sum(values) != length:
        raise ValueError(
            f"class_counts sum to {sum(values)}, but the dataset has "
            f"{length} examples. Leave class_counts out to have them counted."
        )
    return np.asarray(values, np.int64)


def _check_all_there(counts: np.ndarray, shares: np.ndarray) -> None:
    missing = np.flatnonzero((counts == 0) & (shares > 0)).tolist()
    if missing:
        raise ValueError(
            f"no examples of class {', '.join(map(str, missing))}. Correct "
            "num_classes or the data, or give such classes 0 in odds=(...)."
        )


def _filtered(
    dataset: tf.data.Dataset,
    num_classes: int,
    label_key: str | int,
    given: np.ndarray | None,
) -> tuple[np.ndarray, ClassDatasets]:
    """Reads each class by a filter. Returns counts, and a function class -> dataset."""
    counts = given
    if counts is None:
        counts = count(dataset, num_classes, label_key)

    def of_class(wanted: int) -> tf.data.Dataset:
        def chosen(element: Any) -> tf.Tensor:
            label = label_of(element, label_key)
            found = class_of(label, num_classes)
            message = (
                f"tfmixup.class_balanced: a label is not in [0, {num_classes}), or a "
                "one-hot row without a positive entry. Label:"
            )
            known = tf.debugging.Assert(found < num_classes, [message, label])
            with tf.control_dependencies([known]):
                return tf.equal(found, wanted)

        return elements.filter_elements(dataset, chosen)

    return counts, of_class


def _in_memory(
    dataset: tf.data.Dataset,
    num_classes: int,
    label_key: str | int,
    given: np.ndarray | None,
) -> tuple[np.ndarray, ClassDatasets]:
    """Reads the dataset once. Returns counts, and a function class -> dataset."""
    checks.eager("the dataset")
    for spec in tf.nest.flatten(dataset.element_spec):
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.is_fully_defined():
            raise ValueError(
                f"in_memory=True needs examples of one shape, got {spec}. Pad "
                "or resize them first, or leave in_memory out."
            )
    with tf.device("/cpu:0"):
        batches = list(dataset.batch(_EXAMPLES_AT_ONCE))
        if not batches:
            raise ValueError("the dataset is empty.")
        examples = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *batches)
        label = label_of(examples, label_key)
        ids = tf.map_fn(
            lambda y: class_of(y, num_classes),
            label,
            fn_output_signature=tf.int64,
        ).numpy()
    counts = np.bincount(ids, minlength=num_classes + 1)
    refuse_other_labels(int(counts[-1]), num_classes)
    if given is not None and not np.array_equal(counts[:-1], given):
        raise ValueError(
            f"class_counts={given.tolist()}, but the data have "
            f"{counts[:-1].tolist()}. Leave class_counts out."
        )

    def of_class(wanted: int) -> tf.data.Dataset:
        rows = np.flatnonzero(ids == wanted)
        with tf.device("/cpu:0"):
            own = tf.nest.map_structure(lambda part: tf.gather(part, rows), examples)
        return tf.data.Dataset.from_tensor_slices(own)

    return counts[:-1], of_class


def _failing(dataset: tf.data.Dataset, wanted: int) -> tf.data.Dataset:
    """A dataset of the same elements that raises when it is read.

    Without this dataset the stream of a class without examples would end. The other
    classes would silently take its place.
    """
    message = (
        "tfmixup.class_balanced: by class_counts there are examples of class "
        f"{wanted}, but the dataset has none. Leave class_counts out, so that they "
        "are counted."
    )

    def fail(element: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.nest.map_structure(tf.identity, element)

    return elements.map_elements(dataset.take(1), fail)
