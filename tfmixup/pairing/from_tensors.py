"""Mixing across arrays in memory: row numbers are shuffled, not examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from tfmixup import checks, elements, seeding, specs
from tfmixup.elements import Parts
from tfmixup.mixers.base import Mixer
from tfmixup.mixers.plan import Plan
from tfmixup.pairing import stages

__all__ = ["from_tensors"]


@checks.named("tfmixup.from_tensors")
def from_tensors(
    tensors: Any,
    mixer: Mixer,
    batch_size: int,
    *,
    partner: Any = None,
    drop_remainder: bool = True,
    keep_originals: bool | Literal["same_batch"] = False,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Makes a dataset of mixed batches of arrays that fit in memory.

        (x, y)_k = mix((x, y)_π(k), (x, y)_π′(k); λ_k)

    Here π and π′ are two independent permutations of all examples. Every epoch draws
    new ones. `two_streams` with a full shuffle mixes in the same way. `from_tensors` is
    faster: it shuffles only row numbers, and the mixing reads the rows where they are.
    The arrays are in memory once, however many iterators there are. A checkpoint of an
    iterator holds a seed and a position.

    Args:
      tensors: `(x, y)`, `(x, y, sample_weight)` or a dict of arrays or tensors, each of
        shape (N, ...). The structure may be nested. NumPy arrays are copied once. Later
        changes to them have no effect.
      mixer: how two batches become one, such as `tfmixup.MixUp`.
      batch_size: B, examples in a batch.
      partner: other arrays of the same structure, dtypes and shapes, of any length. The
        second permutation is taken from these arrays, which are shuffled again as often
        as needed. None takes both permutations from `tensors`.
      drop_remainder: drop a last batch of fewer than B examples. Every shape is then
        static, which TPUs need.
      keep_originals: emit every batch of the first order too, cast and encoded but not
        mixed. True emits it before its mixed batch, which doubles the length.
        "same_batch" makes one batch of 2·B examples, first the originals. The mean of a
        loss is then half of originals and half of mixed examples, as in RegMixup.
      seed: the same integer and the same arrays give the same stream, epoch after
        epoch, for any number of parallel calls. Each epoch differs from the last. None
        gives another stream in every run, and in every iterator that is started after a
        checkpoint was restored. As everywhere in tf.data, a seed set by
        `tf.random.set_seed` takes part too.

    Returns:
      A dataset of mixed batches of the same structure, with static shapes and known
      cardinality.

    Raises:
      TypeError, KeyError: an argument is of a wrong kind, or the arrays cannot be
        mixed.
      ValueError: the same, or a class label is outside [0, num_classes). All labels are
        checked before the dataset is returned.
      RuntimeError: `from_tensors` is called inside a tf.function.

    Examples:
      >>> x, y = tf.zeros([64, 8]), tf.range(64) % 3
      >>> mixed = from_tensors((x, y), tfmixup.MixUp(0.2, num_classes=3), 16, seed=1)
      >>> mixed.element_spec[0].shape, len(mixed)
      (TensorShape([16, 8]), 4)

    References:
      Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018, arXiv 1710.09412
      Pinto et al., "RegMixup: Mixup as a Regularizer Can Surprisingly Improve Accuracy
        and Out Distribution Robustness", 2022, arXiv 2206.14502
    """
    batch_size = stages.check_arguments(
        mixer, batch_size, drop_remainder, seed, keep_originals
    )
    if mixer.in_batch_only:
        raise ValueError(
            f"{mixer.name} chooses partners within a batch. Use "
            "tf.data.Dataset.from_tensor_slices, .shuffle, .batch and tfmixup.in_batch."
            + checks.see_docs("regression")
        )
    static_size = batch_size if drop_remainder else None
    first, plan, length = _read("tensors", tensors, mixer, static_size)
    stages.check_length(length, batch_size, drop_remainder)
    second, second_length = first, length
    if partner is not None:
        second, _, second_length = _read("partner", partner, mixer, static_size)
        specs = (_spec(mixer.split(part), None) for part in (first, second))
        elements.check_same_spec("partner", *specs)

    batches = length // batch_size if drop_remainder else -(-length // batch_size)
    epochs, order_words = _orders(
        length, second_length, seeding.stream_seed(seed, "orders")
    )
    draws, words = stages.draw_stream(
        mixer, batch_size, seeding.stream_seed(seed, "parameters")
    )
    mix = _mix(plan, (first, second), batch_size, drop_remainder, keep_originals)
    mixed = stages.map_batches([tf.data.Dataset.range(batches), epochs, draws], mix)
    mixed = stages.keep_epochs(mixed, words, order_words)
    return stages.with_originals(mixed) if keep_originals is True else mixed


def _read(
    name: str, nest: Any, mixer: Mixer, static_size: int | None
) -> tuple[Any, Plan, int]:
    """The arrays as tensors, the plan for batches of them, and their length."""
    checks.eager(name)
    checks.no_py_dataset(name, nest)
    arrays = (tuple, dict, tf.data.Dataset, tf.Tensor, tf.Variable, np.ndarray)
    if not isinstance(nest, arrays):
        raise TypeError(
            f"{name} must be a tuple (x, y), (x, y, sample_weight), a dict "
            f"of arrays, or one array, got {type(nest).__name__}."
        )
    if isinstance(nest, tuple) and len(nest) == 3 and nest[2] is None:
        nest = nest[:2]
    element = _as_tensors(name, nest)
    specs.check_element(element)
    parts = mixer.split(element)
    plan = mixer.plan(_spec(element, static_size))
    length = _length(name, element)
    _check_labels(name, parts, plan, length)
    _check_boxes(name, parts, plan)
    return element, plan, length


def _spec(nest: Any, size: int | None) -> Any:
    """The spec of a batch of these arrays."""

    def spec(tensor: tf.Tensor | None) -> Any:
        if tensor is None or not tensor.shape.rank:
            return tensor
        return tf.TensorSpec([size, *tensor.shape[1:]], tensor.dtype)

    return tf.nest.map_structure(spec, nest)


def _as_tensors(name: str, nest: Any) -> Any:
    """Turns every array of a nest of tuples and dicts into a tensor in host memory.

    A NumPy array is copied once, so that later changes to it have no effect. A tensor
    is used as it is.

    Args:
      name: the argument's name, for errors.
      nest: arrays or tensors, each of shape (N, ...).

    Returns:
      A nest of the same structure.

    Raises:
      TypeError: a part is a dataset, ragged, sparse, or not an array at all.
    """
    if isinstance(nest, tf.data.Dataset):
        raise TypeError(
            f"{name} must be arrays or tensors, got a tf.data.Dataset. Use "
            "dataset.apply(tfmixup.two_streams(mixer, batch_size))."
        )
    if isinstance(nest, dict):
        return {key: _as_tensors(f"{name}[{key!r}]", nest[key]) for key in nest}
    if isinstance(nest, tuple):
        parts = [_as_tensors(f"{name}[{i}]", part) for i, part in enumerate(nest)]
        return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)
    with tf.device("CPU"):
        return _tensor(name, nest)


def _tensor(name: str, value: Any) -> tf.Tensor:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)) or value is None:
        raise TypeError(
            f"{name} must be a dense array, got {type(value).__name__}. Pad "
            "ragged ones (RaggedTensor.to_tensor), densify sparse ones "
            "(tf.sparse.to_dense)."
        )
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return tf.identity(value)
    try:
        # TensorFlow makes float32 of a list of Python floats. NumPy makes float64.
        if isinstance(value, (list, int, float)):
            return tf.convert_to_tensor(value)
        array = np.asarray(value)
        if array.dtype.kind in "SU":
            return tf.constant(array)
        if array.dtype.kind != "O":
            return _copy(array)
        what = f"an array of Python objects ({type(value).__name__})"
    except (TypeError, ValueError) as error:
        what = f"{type(value).__name__}: {error}"
    raise TypeError(
        f"{name} must be an array or a tensor, got {what}. Pass a NumPy array "
        "of numbers with one row for each example; pad rows of different length."
    )


# TensorFlow uses memory as it is if its address is a multiple of this number of bytes,
# and copies other memory. The number is EIGEN_MAX_ALIGN_BYTES, at most 64, in
# `TF_NewTensor` of
# https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/c/tf_tensor.cc
_ALIGNMENT = 64


def _copy(array: np.ndarray) -> tf.Tensor:
    """Makes the tensor `tf.constant(array)` with one copy of the array.

    `tf.constant` copies twice, the second time for the alignment.
    """
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % _ALIGNMENT
    rows = memory[start : start + array.nbytes]
    aligned = rows.view(array.dtype.newbyteorder("=")).reshape(array.shape)
    np.copyto(aligned, array)
    return tf.raw_ops.Identity(input=aligned)


def _length(name: str, nest: Any) -> int:
    """N, the number of examples in a nest of tensors of shape (N, ...).

    Raises:
      ValueError: the tensors differ in N, one of them is a scalar, or N is 0.
    """
    shapes = [tensor.shape for tensor in tf.nest.flatten(nest)]
    sizes = {int(shape[0]) for shape in shapes if shape.rank}
    if len(sizes) != 1 or not all(shape.rank for shape in shapes):
        raise ValueError(
            f"the arrays in {name} must have one first dimension, the number "
            f"of examples, got shapes {', '.join(str(shape) for shape in shapes)}. "
            "Pass as many labels as features."
        )
    size = sizes.pop()
    if size == 0:
        raise ValueError(f"{name} is empty: its arrays have length 0.")
    return size


# The number of examples whose labels are checked together.
_LABELS_AT_ONCE = 1 << 14


def _check_labels(name: str, parts: Parts, plan: Plan, length: int) -> None:
    """Refuses bad labels at once, not only when their batch is mixed."""

    def part(start: int, stop: int) -> Parts:
        return elements.map_parts(lambda tensor: tensor[start:stop], parts)

    def fine(start: int, stop: int) -> bool:
        try:
            plan.check_values(part(start, stop))
        except tf.errors.InvalidArgumentError:
            return False
        return True

    for start in range(0, length, _LABELS_AT_ONCE):
        stop = min(start + _LABELS_AT_ONCE, length)
        if fine(start, stop):
            continue
        while stop - start > 1:
            middle = (start + stop) // 2
            start, stop = (middle, stop) if fine(start, middle) else (start, middle)
        ids = [k for k in tf.nest.flatten(plan.targets) if k.spec.dtype.is_integer]
        allowed = ", ".join(dict.fromkeys(kind.allowed() for kind in ids))
        value = tf.nest.map_structure(
            lambda tensor: tensor[0].numpy(), part(start, stop).targets
        )
        raise ValueError(
            f"integer labels must be in {allowed}, but in {name} example {start} has "
            f"{value}. Set num_classes to the "
            "highest label + 1; shift labels that start at 1; name the label of "
            "examples that have none, such as -1, as ignore_label."
        )


def _check_boxes(name: str, parts: Parts, plan: Plan) -> None:
    """Refuses bad boxes at once, not only when their batch is mixed."""
    if plan.objects is None:
        return
    try:
        plan.objects.check_values(
            plan.objects.padded(parts.objects), features=parts.features
        )
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{name} has boxes that cannot be: {error.message}") from None


class _Orders(NamedTuple):
    """The two orders of an epoch, as row numbers of the examples to mix."""

    first: tf.Tensor  # (N,)
    second: tf.Tensor  # (N,)


def _orders(
    length: int, partner_length: int, seed: int | None
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Repeats the orders of one epoch without end. Every epoch has other orders.

    The orders are drawn when an epoch begins, from a seed of this epoch. A checkpoint
    saves only the seed, not the orders.

    Args:
      length: N, the number of examples of the first stream.
      partner_length: the number of examples of the second stream. A shorter stream is
        repeated up to N, each time in another order. A longer one is cut off at N.
      seed: the seed of this stage, or None.

    Returns:
      An endless dataset of the same `_Orders`, and the random source that this dataset
      depends on. `keep_epochs` needs the source.
    """

    def epoch(two: tf.Tensor) -> tf.data.Dataset:
        seeds = seeding.split(seeding.of_words(two), 2)
        orders = _Orders(
            _permutations(length, length, seeds[0]),
            _permutations(partner_length, length, seeds[1]),
        )
        return tf.data.Dataset.from_tensors(orders).repeat()

    words = seeding.words(seed)
    # The dataset that `epoch` returns never ends, so the outer repeat repeats nothing.
    # It tells tf.data, which cannot see into a flat_map, that the stream is endless.
    return elements.flat_map_elements(words, epoch).repeat(), words


def _permutations(length: int, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Permutations of `length` numbers, one after another, cut off at `count`."""
    dtype = tf.int32 if max(length, count) <= tf.int32.max // 2 else tf.int64
    numbers = tf.range(length, dtype=dtype)

    def shuffle(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_shuffle(numbers, seed, alg="philox")

    passes = -(-count // length)
    if passes == 1:
        return shuffle(seed)[:count]
    seeds = tf.random.stateless_uniform(
        [passes, 2], seed, minval=None, maxval=None, dtype=tf.int32
    )
    orders = tf.map_fn(
        shuffle, seeds, fn_output_signature=tf.TensorSpec([length], dtype)
    )
    return tf.reshape(orders, [-1])[:count]


def _mix(
    plan: Plan,
    arrays: tuple[Any, Any],
    size: int,
    whole: bool,
    keep_originals: bool | Literal["same_batch"],
) -> Callable[[Any], Any]:
    """The map function, from a batch's number, orders and draws to the mixed batch."""
    mixer, options = plan.mixer, plan.mixer.options
    # When tf.data optimises a pipeline, it copies large tensors that a function
    # captures. It does not look into an Optional, so the arrays are held in one.
    held = tf.experimental.Optional.from_value(arrays)

    # Gathering and mixing are compiled as one function, so that the mixing reads the
    # rows where they are.
    @tf.function(jit_compile=bool(options.jit_compile), autograph=False)
    def mix_rows(first: Parts, second: Parts, rows: _Orders, params: Any) -> Any:
        return plan.mix_unchecked(
            _gather(first, rows.first),
            _gather(second, rows.second),
            params,
            bool(keep_originals),
        )

    def mix(element: tuple[tf.Tensor, _Orders, stages.Draws]) -> Any:
        batch, epoch, (params, _) = element
        first, second = held.get_value()
        rows = _Orders(*(_rows(order, batch, size, whole) for order in epoch))
        if not whole:  # the last batch may be shorter
            n = tf.shape(rows.first)[0]
            params = tf.nest.map_structure(lambda p: p[:n], params)
        both = [mixer.split(nest) for nest in (first, second)]
        first_parts = both[0]
        without = (parts._replace(objects=None) for parts in both)
        original, mixed = mix_rows(*without, rows, params)
        # Boxes are gathered outside too.
        one, other = (
            parts._replace(objects=_gather(parts.objects, order))
            for parts, order in zip(both, rows)
        )
        original, mixed = plan.with_objects(original, mixed, one, other, params)
        # The parts that are not mixed may be strings, which XLA does not support. They
        # are gathered outside the compiled function.
        others = _gather(elements.left_out(first, first_parts), rows.first)
        joined = plan.joined(original, mixed, elements.with_left_out(first, others))
        return stages.one_batch(*joined) if keep_originals == "same_batch" else joined

    return mix


def _gather(nest: Any, rows: tf.Tensor) -> Any:
    return tf.nest.map_structure(
        lambda tensor: None if tensor is None else tf.gather(tensor, rows), nest
    )


def _rows(order: tf.Tensor, batch: tf.Tensor, size: int, whole: bool) -> tf.Tensor:
    """The examples of one batch: (size,), or fewer at the end unless `whole`."""
    start = tf.cast(batch, order.dtype) * size
    if whole:
        return tf.slice(order, [start], [size])
    return order[start : start + size]
