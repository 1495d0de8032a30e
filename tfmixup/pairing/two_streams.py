"""Mixing across the dataset: two shuffled streams, zipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup import checks, elements, seeding, shapes
from tfmixup.mixers.base import Mixer
from tfmixup.pages import see
from tfmixup.pairing import arguments, endless, originals, padding, parameters, resume

__all__ = ["two_streams"]

_OWNER = "tfmixup.two_streams"

# One is copied together while the next is read. No more: batches in the making are held
# in memory and saved in checkpoints.
_BATCHES_AT_ONCE = 2


def two_streams(
    mixer: Mixer,
    batch_size: int,
    *,
    partner: tf.data.Dataset | None = None,
    shuffle_buffer_size: int = 10_000,
    drop_remainder: bool = True,
    keep_originals: bool = False,
    padded_shapes: Any = None,
    padding_values: Any = None,
    seed: int | None = None,
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Mixes batches of a shuffled dataset with batches of it shuffled again.

        (x, y)_k = mix((x, y)_π(k), (x, y)_π′(k); λ_k)

    for two independent shuffles π and π′ of the dataset: partners come from the whole
    dataset, not from the same batch. The dataset is read twice; where reading it is
    expensive (decoding JPEGs), `cache()` it or use `in_batch`. A cache in a file must
    have been filled by a full pass before, since two readers may not fill it at once.

    Args:
      mixer: how two batches become one, such as `tfmixup.MixUp`.
      batch_size: B, examples in a batch.
      partner: another dataset of the same structure, dtypes and shapes to take the
        second stream from, repeated as needed; None for the dataset itself.
      shuffle_buffer_size: examples in each of the two shuffle buffers. At least the
        number of examples gives a full shuffle. The buffers are saved in an iterator's
        checkpoint.
      drop_remainder: drop a last batch of fewer than B examples, so that every shape is
        static; TPUs need that.
      keep_originals: emit every batch of the first stream too, cast and encoded but
        not mixed, before its mixed batch: twice the length.
      padded_shapes: for examples of different length, as in `Dataset.padded_batch`: a
        nest like the elements, such as `([None], [])` for waveforms and scalar labels.
        Each batch is padded to its longest example, and two batches to the longer of
        both before they are mixed. None for examples of one shape.
      padding_values: what to pad with, as in `Dataset.padded_batch`: None for zeros.
      seed: the same integer and the same data give the same stream, epoch after epoch
        (each of which differs from the last), for any number of parallel calls. None
        gives another stream in every run. As everywhere in tf.data, a seed set by
        `tf.random.set_seed` takes part too.

    Returns:
      A function for `Dataset.apply`, from unbatched elements `(x, y)`,
      `(x, y, sample_weight)` or dicts to mixed batches of the same structure, with
      every static shape they can have and the cardinality of the dataset in batches.

    Raises:
      TypeError, ValueError, KeyError: at once or when applied, if an argument or the
        dataset's element_spec is one that cannot be mixed.
      tf.errors.InvalidArgumentError: while iterating, at a class label outside
        [0, num_classes).

    Examples:
      >>> x, y = tf.zeros([64, 8]), tf.zeros([64, 1])
      >>> ds = tf.data.Dataset.from_tensor_slices((x, y))
      >>> mixed = ds.apply(two_streams(tfmixup.MixUp(0.2), batch_size=16, seed=1))
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
            "dataset.shuffle(...).batch(...).apply(tfmixup.in_batch(mixer))."
            + see("regression")
        )
    checks.positive_integer(_OWNER, "shuffle_buffer_size", shuffle_buffer_size)
    _check_partner(partner)
    padding.check(_OWNER, padded_shapes, padding_values)

    def apply(dataset: tf.data.Dataset) -> tf.data.Dataset:
        checks.dataset(_OWNER, "what it is applied to", dataset)
        if padded_shapes is None:
            shapes.check_unbatched(
                _OWNER, mixer.split(dataset.element_spec, _OWNER), mixer.keeps_integers
            )
        _check_dataset(dataset, partner, batch_size, drop_remainder)
        first = dataset.shuffle(
            _buffer_size(dataset, shuffle_buffer_size),
            seed=seeding.stream_seed(seed, "first stream"),
        )
        # A dataset of known length yields as many examples again; of another one it is
        # not certain (a random filter), and a partner may be shorter.
        repeated = partner is not None or _unknown_length(dataset)
        others_from = dataset if partner is None else partner
        second_seed = seeding.stream_seed(seed, "second stream")
        second_size = _buffer_size(others_from, shuffle_buffer_size)
        if repeated:
            second = endless.shuffled(
                others_from,
                second_size,
                second_seed,
                f"{_OWNER}: partner is empty: it has no example to give.",
            )
        else:
            second = others_from.shuffle(second_size, seed=second_seed)
        draws, seeds = parameters.stream(
            mixer, batch_size, seeding.stream_seed(seed, "parameters")
        )
        # Reading further ahead, a stream of passes is more often in another one when a
        # checkpoint is taken.
        passes = repeated and _unknown_length(others_from)
        at_once = None if passes else _BATCHES_AT_ONCE
        pad = (padded_shapes, padding_values)
        ones = padding.padded_batch(
            _OWNER, first, batch_size, *pad, drop_remainder, at_once
        )
        mixer.check_spec(mixer.split(ones.element_spec, _OWNER), _OWNER)
        others = padding.padded_batch(
            _OWNER, second, batch_size, *pad, drop_remainder or repeated, at_once
        )

        def mix(one: Any, other: Any, drawn: parameters.Draws) -> Any:
            params = drawn.params
            if padded_shapes is not None:
                values = padding.values_like(dataset.element_spec, padding_values)
                one, other = padding.to_same_length(mixer, one, other, values)
            if not drop_remainder:
                one, other, params = _to_same_length(mixer, one, other, params)
            return mixer.apply(one, other, params, keep_first=keep_originals)

        mixed = tf.data.Dataset.zip((ones, others, draws)).map(
            # AutoGraph would wrap errors in "in user code".
            tf.autograph.experimental.do_not_convert(mix),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        # The datasets too: a shuffle of their own counts its epochs as well.
        read = [dataset] if partner is None else [dataset, partner]
        mixed = resume.keep_epochs(mixed, [first, second, seeds, *read])
        return originals.interleave(mixed) if keep_originals else mixed

    return apply


def _buffer_size(dataset: tf.data.Dataset, wanted: int) -> int:
    # Empty places of a buffer make checkpoints large and slow.
    length = int(dataset.cardinality())
    return min(wanted, length) if length > 0 else wanted


def _to_same_length(
    mixer: Mixer, one: Any, other: Any, params: Any
) -> tuple[Any, Any, Any]:
    parts = mixer.split(one, _OWNER)
    n = elements.batch_size(parts)
    shorter = elements.head(mixer.split(other, _OWNER), n)
    # A partner's extra keys are not used.
    shorter = shorter._replace(extras=parts.extras)
    return one, elements.join(shorter), tf.nest.map_structure(lambda p: p[:n], params)


def _unknown_length(dataset: tf.data.Dataset) -> bool:
    return int(dataset.cardinality()) == tf.data.UNKNOWN_CARDINALITY


def _check_partner(partner: Any) -> None:
    if partner is not None and not isinstance(partner, tf.data.Dataset):
        raise TypeError(
            f"{_OWNER}: partner must be a tf.data.Dataset, got "
            f"{type(partner).__name__}. It is the dataset that the second stream is "
            "taken from; leave it out to mix a dataset with itself."
        )


def _check_dataset(
    dataset: tf.data.Dataset,
    partner: tf.data.Dataset | None,
    batch_size: int,
    drop_remainder: bool,
) -> None:
    if partner is not None:
        checks.same_spec(_OWNER, "partner", dataset.element_spec, partner.element_spec)
        if int(partner.cardinality()) == 0:
            raise ValueError(f"{_OWNER}: partner is empty: it has no example to give.")
    length = int(dataset.cardinality())
    if length == 0:
        raise ValueError(
            f"{_OWNER}: the dataset is empty. Check the split, filter or path it is "
            "made from."
        )
    arguments.check_length(_OWNER, length, batch_size, drop_remainder)
