"""Mixing across data that are in memory: indices are shuffled, not examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup import checks, elements, seeding, targets
from tfmixup.elements import Parts
from tfmixup.mixers import compiled
from tfmixup.mixers.base import Mixer
from tfmixup.pages import see
from tfmixup.pairing import arguments, arrays, orders, originals, parameters, resume

__all__ = ["from_tensors"]

_OWNER = "tfmixup.from_tensors"
_LABELS_AT_ONCE = 1 << 14


def from_tensors(
    tensors: Any,
    mixer: Mixer,
    batch_size: int,
    *,
    partner: Any = None,
    drop_remainder: bool = True,
    keep_originals: bool = False,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Makes a dataset of mixed batches of arrays that fit in memory.

        (x, y)_k = mix((x, y)_π(k), (x, y)_π′(k); λ_k)

    for two independent permutations π and π′ of all examples, other ones in every
    epoch. It is what `two_streams` does with a full shuffle, and faster: only row
    numbers are shuffled, and the mixing reads its rows where they are. The arrays are
    in memory once, however many iterators there are; a checkpoint of an iterator holds
    a seed and a position.

    Args:
      tensors: `(x, y)`, `(x, y, sample_weight)` or a dict of arrays or tensors, which
        may be nested, each of shape (N, ...). NumPy arrays are copied once; later
        changes to them are not seen.
      mixer: how two batches become one, such as `tfmixup.MixUp`.
      batch_size: B, examples in a batch.
      partner: other arrays of the same structure, dtypes and shapes, of any length, to
        take the second permutation from, shuffled again as often as needed; None for
        `tensors` themselves.
      drop_remainder: drop a last batch of fewer than B examples, so that every shape is
        static; TPUs need that.
      keep_originals: emit every batch of the first order too, cast and encoded but not
        mixed, before its mixed batch: twice the length.
      seed: the same integer and the same arrays give the same stream, epoch after epoch
        (each of which differs from the last), for any number of parallel calls. None
        gives another stream in every run. As everywhere in tf.data, a seed set by
        `tf.random.set_seed` takes part too.

    Returns:
      A dataset of mixed batches of the same structure, with static shapes and known
      cardinality.

    Raises:
      TypeError, KeyError: an argument is of a wrong kind, or the arrays cannot be
        mixed.
      ValueError: the same, or there is a class label outside [0, num_classes): all
        labels are looked at before the dataset is returned.
      RuntimeError: it is called inside a tf.function.

    Examples:
      >>> x, y = tf.zeros([64, 8]), tf.range(64) % 3
      >>> mixed = from_tensors((x, y), tfmixup.MixUp(0.2, num_classes=3), 16, seed=1)
      >>> mixed.element_spec[0].shape, len(mixed)
      (TensorShape([16, 8]), 4)

    References:
      Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018, arXiv 1710.09412
    """
    flags = {"drop_remainder": drop_remainder, "keep_originals": keep_originals}
    arguments.check(_OWNER, mixer, batch_size, flags, seed)
    if mixer.in_batch_only:
        raise ValueError(
            f"{_OWNER}: {mixer.name} chooses partners within a batch. Use "
            "tf.data.Dataset.from_tensor_slices, .shuffle, .batch and tfmixup.in_batch."
            + see("regression")
        )
    static_size = batch_size if drop_remainder else None
    one, length = _read("tensors", tensors, mixer, static_size)
    arguments.check_length(_OWNER, length, batch_size, drop_remainder)
    other, partner_length = one, length
    if partner is not None:
        other, partner_length = _read("partner", partner, mixer, static_size)
        specs = (_spec(parts.mixed(), None) for parts in (one, other))
        checks.same_spec(_OWNER, "partner", *specs)

    batches = length // batch_size if drop_remainder else -(-length // batch_size)
    epochs, order_seeds = orders.stream(
        length, partner_length, seeding.stream_seed(seed, "orders")
    )
    draws, draw_seeds = parameters.stream(
        mixer, batch_size, seeding.stream_seed(seed, "parameters")
    )
    mix = _mix(mixer, one, other, batch_size, drop_remainder, keep_originals)
    mixed = tf.data.Dataset.zip((tf.data.Dataset.range(batches), epochs, draws)).map(
        tf.autograph.experimental.do_not_convert(mix),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    mixed = resume.keep_epochs(mixed, [order_seeds, draw_seeds])
    return originals.interleave(mixed) if keep_originals else mixed


def _read(
    name: str, nest: Any, mixer: Mixer, static_size: int | None
) -> tuple[Parts, int]:
    if not tf.executing_eagerly():
        raise RuntimeError(
            f"{_OWNER}: called inside a tf.function or a graph, where {name} cannot be "
            "looked at. Make the dataset outside and pass it in."
        )
    if not isinstance(nest, (tuple, dict, tf.data.Dataset)):
        raise TypeError(
            f"{_OWNER}: {name} must be a tuple (x, y), (x, y, sample_weight) or a dict "
            f"of arrays, got {type(nest).__name__}."
        )
    if isinstance(nest, tuple) and len(nest) == 3 and nest[2] is None:
        nest = nest[:2]
    parts = mixer.split(arrays.read(_OWNER, name, nest), _OWNER)
    mixer.check_spec(_spec(parts, static_size), _OWNER)
    length = arrays.length(_OWNER, name, elements.join(parts))
    _check_labels(name, parts, mixer, length)
    return parts, length


def _spec(parts: Parts, size: int | None) -> Parts:
    """The spec of a batch of these arrays."""

    def one(tensor: tf.Tensor | None) -> tf.TensorSpec | None:
        if tensor is None or not tensor.shape.rank:
            return tensor
        return tf.TensorSpec([size, *tensor.shape[1:]], tensor.dtype)

    return tf.nest.map_structure(one, parts)


def _check_labels(name: str, parts: Parts, mixer: Mixer, length: int) -> None:
    """Refuses bad labels now, and not in the batch that they turn up in."""

    def fine(start: int, stop: int) -> bool:
        try:
            targets.check_values(
                _OWNER, _part(parts.targets, start, stop), mixer.options
            )
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
        besides = ""
        if mixer.ignore_label is not None:
            besides = f" or ignore_label={mixer.ignore_label}"
        value = tf.nest.map_structure(_first, _part(parts.targets, start, stop))
        raise ValueError(
            f"{_OWNER}: integer labels must be in [0, {mixer.num_classes}){besides}, "
            f"but in {name} example {start} has {value}. Set num_classes to the "
            "highest label + 1; shift labels that start at 1, and filter out those "
            "marked missing with -1."
        )


def _part(nest: Any, start: int, stop: int) -> Any:
    return tf.nest.map_structure(lambda tensor: tensor[start:stop], nest)


def _first(tensor: tf.Tensor) -> Any:
    return tensor[0].numpy()


def _mix(
    mixer: Mixer, one: Parts, other: Parts, size: int, whole: bool, keep_first: bool
) -> Callable[[tf.Tensor, orders.Orders, parameters.Draws], Any]:
    """The map function: a batch's number, orders and parameters to a mixed batch."""
    # tf.data copies large tensors that a function captures when it optimises the
    # pipeline. It does not look into an Optional.
    held = tf.experimental.Optional.from_value(
        (elements.join(one), elements.join(other))
    )

    # Compiled as one function, the mixing reads the rows where they are.
    @tf.function(jit_compile=bool(mixer.jit_compile), autograph=False)
    def mix_rows(first: Parts, second: Parts, rows: orders.Orders, params: Any) -> Any:
        pair = _gather(first, rows.first), _gather(second, rows.second)
        return compiled.pair(mixer, *pair, params, keep_first)

    def mix(batch: tf.Tensor, epoch: orders.Orders, drawn: parameters.Draws) -> Any:
        first, second = (mixer.split(element) for element in held.get_value())
        rows = orders.Orders(*(orders.rows(o, batch, size, whole) for o in epoch))
        params = drawn.params
        if not whole:  # the last batch may be shorter
            n = tf.shape(rows.first)[0]
            params = tf.nest.map_structure(lambda p: p[:n], params)
        # Without the extras, which may be strings.
        original, mixed = mix_rows(first.mixed(), second.mixed(), rows, params)
        extras = _gather(first.extras, rows.first)
        mixed = elements.join(mixed._replace(extras=extras))
        if original is None:
            return mixed
        return elements.join(original._replace(extras=extras)), mixed

    return mix


def _gather(nest: Any, rows: tf.Tensor) -> Any:
    return tf.nest.map_structure(
        lambda tensor: None if tensor is None else tf.gather(tensor, rows), nest
    )
