"""Mixing across the dataset: two shuffled streams, zipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from tfmixup import checks, elements, seeding, specs
from tfmixup.elements import Parts
from tfmixup.mixers.base import Mixer
from tfmixup.objects import pad_elements
from tfmixup.pairing import stages

__all__ = ["two_streams"]

# tf.data copies one batch together while it reads the next. A larger number would hold
# more unfinished batches in memory, and save them in checkpoints.
_BATCHES_AT_ONCE = 2


@checks.named("tfmixup.two_streams")
def two_streams(
    mixer: Mixer,
    batch_size: int,
    *,
    partner: tf.data.Dataset | None = None,
    shuffle_buffer_size: int = 10_000,
    drop_remainder: bool = True,
    keep_originals: bool | Literal["same_batch"] = False,
    padded_shapes: Any = None,
    padding_values: Any = None,
    seed: int | None = None,
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Mixes batches of a shuffled dataset with batches of a second shuffle.

        (x, y)_k = mix((x, y)_π(k), (x, y)_π′(k); λ_k)

    Here π and π′ are two independent shuffles of the dataset. Partners come from the
    whole dataset, not from the same batch. The dataset is read twice. If reading is
    expensive (decoding JPEGs), `cache()` the dataset or use `in_batch`. Before mixing,
    fill a cache in a file by a full pass, since two readers may not fill it at once.
    Under dynamic sharding of tf.data service, workers share the first stream. Each
    worker takes partners from the whole dataset.

    Args:
      mixer: how two batches become one, such as `tfmixup.MixUp`.
      batch_size: B, examples in a batch.
      partner: another dataset of the same structure, dtypes and shapes. The second
        stream is taken from this dataset, which is repeated as needed. None takes both
        streams from the dataset that is mixed.
      shuffle_buffer_size: examples in each of the two shuffle buffers. At least the
        number of examples gives a full shuffle. The buffers are saved in an iterator's
        checkpoint.
      drop_remainder: drop a last batch of fewer than B examples. Every shape is then
        static, which TPUs need.
      keep_originals: emit every batch of the first stream too, cast and encoded but
        not mixed. True emits it before its mixed batch, which doubles the length.
        "same_batch" makes one batch of 2·B examples, first the originals. The mean of a
        loss is then half of originals and half of mixed examples, as in RegMixup.
      padded_shapes: for examples of different length, as in `Dataset.padded_batch`: a
        nest like the elements, such as `([None], [])` for waveforms and scalar labels.
        Each batch is padded to its longest example. Two batches are padded to the
        longer of both before they are mixed. None for examples of one shape.
      padding_values: what to pad with, as in `Dataset.padded_batch`: None for zeros.
      seed: the same integer and the same data give the same stream, epoch after epoch,
        for any number of parallel calls. Each epoch differs from the last. None gives
        another stream in every run, and in every iterator that is started after a
        checkpoint was restored. As everywhere in tf.data, a seed set by
        `tf.random.set_seed` takes part too.

    Returns:
      A function for `Dataset.apply`, from unbatched elements `(x, y)`,
      `(x, y, sample_weight)` or dicts to mixed batches of the same structure. All
      shapes that can be static are static. The cardinality is that of the dataset in
      batches.

    Raises:
      TypeError, ValueError, KeyError: an argument is invalid, or the dataset's
        element_spec cannot be mixed. The error comes at once or when the function is
        applied.
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
      Pinto et al., "RegMixup: Mixup as a Regularizer Can Surprisingly Improve Accuracy
        and Out Distribution Robustness", 2022, arXiv 2206.14502
    """
    batch_size = stages.check_arguments(
        mixer, batch_size, drop_remainder, seed, keep_originals
    )
    if mixer.in_batch_only:
        raise ValueError(
            f"{mixer.name} chooses partners within a batch. Use "
            "dataset.shuffle(...).batch(...).apply(tfmixup.in_batch(mixer))."
            + checks.see_docs("regression")
        )
    shuffle_buffer_size = checks.integer("shuffle_buffer_size", shuffle_buffer_size)
    if partner is not None:
        hint = (
            "It is the dataset that the second stream is taken from; leave it out to "
            "mix a dataset with itself."
        )
        checks.dataset("partner", partner, hint)
        partner = stages.without_none(partner)
    if padded_shapes is None and padding_values is not None:
        raise ValueError(
            f"padding_values={padding_values!r} needs padded_shapes, such as "
            "([None], []) for waveforms of any length and scalar labels."
            + checks.see_docs("sound")
        )

    @checks.stage(
        "tfmixup.two_streams",
        "Write examples.apply(tfmixup.two_streams(mixer, batch_size)).",
    )
    def apply(dataset: tf.data.Dataset) -> tf.data.Dataset:
        dataset = pad_elements(stages.without_none(dataset), mixer)
        _check_batchable(dataset.element_spec)
        specs.check_element(dataset.element_spec)
        if padded_shapes is None:
            spec = mixer.split(dataset.element_spec)
            specs.check_unbatched(spec, mixer.options.keeps_integers)
        others = None if partner is None else pad_elements(partner, mixer)
        _check_lengths(dataset, others, batch_size, drop_remainder)

        first = dataset.shuffle(
            _buffer_size(dataset, shuffle_buffer_size),
            seed=seeding.stream_seed(seed, "first stream"),
        )
        # A dataset of known length yields the same number of examples in both streams.
        # A dataset of unknown length may not (a random filter), and a partner may be
        # shorter than the dataset.
        repeated = others is not None or _unknown_length(dataset)
        source = dataset if others is None else others
        second = _second_stream(
            source,
            _buffer_size(source, shuffle_buffer_size),
            seeding.stream_seed(seed, "second stream"),
            repeated,
        )
        draws, words = stages.draw_stream(
            mixer, batch_size, seeding.stream_seed(seed, "parameters")
        )

        # A stream of passes over a dataset of unknown length does not read further
        # ahead. It would more often be in another pass when a checkpoint is taken.
        passes = repeated and _unknown_length(source)
        at_once = None if passes else _BATCHES_AT_ONCE
        padding = (padded_shapes, padding_values)
        first_batches = _batched(first, batch_size, *padding, drop_remainder, at_once)
        # If tf.data service sharded the second stream, it could end before the first,
        # or never.
        partners = stages.unsharded(second)
        second_batches = _batched(
            partners, batch_size, *padding, drop_remainder or repeated, at_once
        )
        plan = mixer.plan(first_batches.element_spec)
        if padded_shapes is not None and plan.objects is not None:
            plan.objects.check_padding(mixer.split(dataset.element_spec))

        def mix(element: tuple[Any, Any, stages.Draws]) -> Any:
            batch, other, (params, _) = element
            first_parts, second_parts = mixer.split(batch), mixer.split(other)
            if padded_shapes is not None:
                values = _values_like(dataset.element_spec, padding_values)
                batch = _kept_to_same_length(batch, other, values, mixer)
                first_parts, second_parts = _to_same_length(
                    first_parts, second_parts, mixer.split(values)
                )
            if not drop_remainder:
                size = elements.batch_size(first_parts)
                second_parts = elements.head(second_parts, size)
                params = tf.nest.map_structure(lambda p: p[:size], params)
            mixed = plan.joined(
                *plan.mix(first_parts, second_parts, params, bool(keep_originals)),
                batch,
            )
            if keep_originals == "same_batch":
                return stages.one_batch(*mixed)
            return mixed

        mixed = stages.map_batches([first_batches, second_batches, draws], mix)
        # Pass the datasets too: a shuffle inside them also counts its epochs.
        read = [dataset] if others is None else [dataset, others]
        mixed = stages.keep_epochs(mixed, words, first, second, *read)
        return stages.with_originals(mixed) if keep_originals is True else mixed

    return apply


def _check_batchable(spec: Any) -> None:
    for name, component in _named_components("element", spec).items():
        if isinstance(component, (tf.OptionalSpec, tf.TensorArraySpec)):
            raise TypeError(
                f"{name} is of {type(component).__name__}, which tf.data cannot batch. "
                "Leave it out: map the dataset to elements without it."
            )


def _check_lengths(
    dataset: tf.data.Dataset,
    partner: tf.data.Dataset | None,
    batch_size: int,
    drop_remainder: bool,
) -> None:
    if partner is not None:
        elements.check_same_spec("partner", dataset.element_spec, partner.element_spec)
        if checks.cardinality(partner) == 0:
            raise ValueError(_EMPTY_PARTNER)
    checks.not_empty(dataset)
    stages.check_length(checks.cardinality(dataset), batch_size, drop_remainder)


_EMPTY_PARTNER = "partner is empty: it has no example to give."


def _buffer_size(dataset: tf.data.Dataset, wanted: int) -> int:
    # A buffer larger than the dataset has empty places, which make checkpoints large
    # and slow.
    length = checks.cardinality(dataset)
    return min(wanted, length) if length > 0 else wanted


def _unknown_length(dataset: tf.data.Dataset) -> bool:
    return checks.cardinality(dataset) == tf.data.UNKNOWN_CARDINALITY


def _second_stream(
    dataset: tf.data.Dataset, buffer_size: int, seed: int | None, repeated: bool
) -> tf.data.Dataset:
    """Shuffles the dataset that partners come from, and repeats it where needed.

    Args:
      dataset: a dataset of any length.
      buffer_size: the size of the shuffle buffer, in examples.
      seed: the seed of this stage, or None.
      repeated: repeat the dataset without end, in another order in every pass.
    """
    if not repeated:
        return dataset.shuffle(buffer_size, seed=seed)
    if checks.cardinality(dataset) > 0:
        # Shuffle after repeat, so that one shuffle is for all passes. A repeated
        # shuffle counts its passes, and might go on counting while a checkpoint is
        # taken.
        return dataset.repeat().shuffle(buffer_size, seed=seed)
    # The empty options stand between shuffle and repeat, so that tf.data does not fuse
    # both. The fused stage would fill its buffer with several epochs of examples.
    once = dataset.shuffle(buffer_size, seed=seed).with_options(tf.data.Options())
    return _or_fail(once.repeat(), f"tfmixup.two_streams: {_EMPTY_PARTNER}")


def _or_fail(endless: tf.data.Dataset, message: str) -> tf.data.Dataset:
    """Raises at the end of a repeated dataset, which only an empty dataset reaches."""

    def fail(number: tf.Tensor) -> tf.data.Dataset:
        with tf.control_dependencies([tf.debugging.Assert(number < 0, [message])]):
            # Return an empty dataset of the same spec. An example to return cannot be
            # made for every kind of extra key.
            return endless.take(tf.identity(number))

    failing = elements.flat_map_elements(tf.data.Dataset.range(1), fail)
    return endless.concatenate(failing)


def _batched(
    dataset: tf.data.Dataset,
    batch_size: int,
    padded_shapes: Any,
    padding_values: Any,
    drop_remainder: bool,
    num_parallel_calls: int | None,
) -> tf.data.Dataset:
    """`Dataset.padded_batch`, or `Dataset.batch` without `padded_shapes`."""
    if padded_shapes is None:
        return _of_one_shape(dataset, batch_size).batch(
            batch_size,
            drop_remainder=drop_remainder,
            num_parallel_calls=num_parallel_calls,
            deterministic=None if num_parallel_calls is None else True,
        )
    try:
        return dataset.padded_batch(
            batch_size,
            padded_shapes,
            _values_like(dataset.element_spec, padding_values),
            drop_remainder=drop_remainder,
        )
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"padded_shapes={padded_shapes!r} and padding_values="
            f"{padding_values!r} must have the structure of the elements, "
            f"{dataset.element_spec}, with None for every dimension that varies, as "
            f"in tf.data.Dataset.padded_batch: {error}"
        ) from None


def _of_one_shape(dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Raises if examples have different shapes, before TensorFlow batches them.

    A size that the spec leaves unknown may be the same in all examples. This is often
    so if a generator yields the examples.
    """
    spec = dataset.element_spec
    named = _named_components("element", spec)
    unknown = {k: s.shape.rank for k, s in named.items() if _size_unknown(s)}
    if not unknown:
        return dataset
    padded = ""
    if all(isinstance(component, tf.TensorSpec) for component in named.values()):
        shapes = tf.nest.map_structure(lambda component: [*component.shape], spec)
        padded = f"Pass padded_shapes={shapes} to pad each batch. "
    hint = f"{padded}Images can be resized to one shape: tf.image.resize. Shapes:"

    def check(state: Any, element: Any) -> tuple[Any, Any]:
        position, first = state
        given = _named_components("element", element)
        now = {name: tf.shape(given[name]) for name in unknown}
        first = {
            name: tf.where(position == 0, now[name], first[name]) for name in unknown
        }
        same = [
            tf.debugging.Assert(
                tf.reduce_all(first[name] == now[name]),
                [
                    f"tfmixup.two_streams: examples have different shapes in {name}. "
                    + hint,
                    first[name],
                    now[name],
                ],
            )
            for name in unknown
        ]
        with tf.control_dependencies(same):
            return ((position + 1) % batch_size, first), element

    start = {name: tf.zeros([rank], tf.int32) for name, rank in unknown.items()}
    return dataset.scan(
        (tf.constant(0), start), tf.autograph.experimental.do_not_convert(check)
    )


def _size_unknown(spec: Any) -> bool:
    dense = isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None
    return dense and not spec.shape.is_fully_defined()


def _named_components(name: str, nest: Any) -> dict[str, Any]:
    """Every component of an element, by its expression, such as element[0]['image']."""
    if isinstance(nest, dict):
        parts = list(nest.items())
    elif isinstance(nest, tuple):
        parts = list(enumerate(nest))
    else:
        return {name: nest}
    named: dict[str, Any] = {}
    for key, part in parts:
        named.update(_named_components(f"{name}[{key!r}]", part))
    return named


def _values_like(spec: Any, padding_values: Any) -> Any:
    """The padding value of every component of an element, in a nest like its spec.

    Args:
      spec: the element_spec.
      padding_values: None for zeros (empty strings, False), one value for every
        component, or a nest in which None is the default.
    """

    def value(component: tf.TensorSpec, given: Any) -> Any:
        if given is not None:
            return tf.cast(given, component.dtype)
        return tf.zeros([], component.dtype)

    if not tf.nest.is_nested(padding_values):
        padding_values = tf.nest.map_structure(lambda _: padding_values, spec)
    return tf.nest.map_structure(value, spec, padding_values)


def _to_same_length(first: Parts, second: Parts, values: Parts) -> tuple[Parts, Parts]:
    """Pads two batches to the longer of both in every dimension that is not static."""
    return (
        elements.map_parts(_pad, first, second, values),
        elements.map_parts(_pad, second, first, values),
    )


def _kept_to_same_length(first: Any, second: Any, values: Any, mixer: Mixer) -> Any:
    """Pads the `keep_keys` of the first batch in the same way as its features."""
    one, other, value = (
        elements.left_out(element, mixer.split(element))
        for element in (first, second, values)
    )
    kept = {
        key: tf.nest.map_structure(_pad, one[key], other[key], value[key])
        for key in mixer.options.keep_keys
    }
    return elements.with_left_out(first, kept)


def _pad(tensor: tf.Tensor, like: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    varies = [size is None for size in tensor.shape[1:]]
    if not any(varies):
        return tensor
    missing = tf.maximum(tf.shape(like) - tf.shape(tensor), 0)
    # Do not pad the batch dimension. If the last batch is shorter, its partner is cut.
    missing *= tf.constant([0, *varies], tf.int32)
    padded = tf.pad(
        tensor, tf.stack([tf.zeros_like(missing), missing], 1), constant_values=value
    )
    return tf.ensure_shape(padded, tensor.shape)
