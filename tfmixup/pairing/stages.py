"""What all ways of pairing share: arguments, draws, mixing, and epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmixup import checks, elements, seeding
from tfmixup.mixers.base import Mixer

__all__ = [
    "Draws",
    "check_arguments",
    "check_length",
    "check_mixer",
    "draw",
    "draw_stream",
    "keep_epochs",
    "map_batches",
    "one_batch",
    "unsharded",
    "with_originals",
    "without_none",
]


def check_arguments(
    mixer: Any,
    batch_size: Any,
    drop_remainder: Any,
    seed: Any,
    keep_originals: Any = False,
) -> int:
    """Checks the arguments that all ways of pairing have. Returns the batch size."""
    check_mixer(mixer)
    checks.boolean("drop_remainder", drop_remainder)
    checks.choice("keep_originals", keep_originals, (False, True, "same_batch"))
    checks.seed(seed)
    return checks.integer("batch_size", batch_size)


def check_mixer(mixer: Any) -> None:
    """Refuses what is not a mixer."""
    if isinstance(mixer, Mixer):
        return
    got = f"{mixer!r}."
    if isinstance(mixer, tf.data.Dataset):
        got = (
            "a dataset, to which the result is applied: "
            "dataset.apply(tfmixup.two_streams(mixer, batch_size)), "
            "batches.apply(tfmixup.in_batch(mixer))."
        )
    raise TypeError(
        f"mixer must be a mixer such as tfmixup.MixUp(alpha=0.2), got {got}"
    )


def without_none(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Turns (x, y, None) into (x, y). In Keras, None means no sample weights."""
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 3):
        return dataset
    # By its name, since TensorFlow 2.18 does not export tf.NoneTensorSpec.
    if spec[2] is not None and type(spec[2]).__name__ != "NoneTensorSpec":
        return dataset
    return elements.map_elements(dataset, lambda element: tuple(element)[:2])


def check_length(length: int, batch_size: int, drop_remainder: bool) -> None:
    """Refuses a dataset with too few examples for one batch."""
    if drop_remainder and 0 < length < batch_size:
        raise ValueError(
            f"the dataset has {length} examples, fewer than batch_size="
            f"{batch_size}, and drop_remainder=True would leave no batch. Use a "
            "smaller batch_size or drop_remainder=False."
        )


class Draws(NamedTuple):
    """The random draws for one batch.

    Attributes:
      params: the mixer's parameters.
      partner: int32 (B,), the partners within the batch; () if two batches are mixed.
    """

    params: Any
    partner: Any = ()


# Sampling this many λ at once costs little more than sampling a few.
_DRAWS_AT_ONCE = 8192


def draw_stream(
    mixer: Mixer, batch_size: int, seed: int | None, *, in_batch: bool = False
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Streams the random draws for one batch after another, without end.

    Args:
      mixer: the mixer that draws the parameters.
      batch_size: B.
      seed: the seed of this stage, or None.
      in_batch: draw partners within the batch too.

    Returns:
      The stream of `Draws`, and the `seeding.words` that the stream depends on.
      `keep_epochs` needs the words.
    """
    words = seeding.words(seed)
    at_once = max(1, _DRAWS_AT_ONCE // batch_size)
    blocks = elements.map_elements(
        words,
        lambda two: draw(mixer, batch_size, two, at_once, in_batch=in_batch),
        num_parallel_calls=1,
    )
    return blocks.unbatch(), words


def draw(
    mixer: Mixer,
    batch_size: int | tf.Tensor,
    words: tf.Tensor,
    num_batches: int | None = None,
    *,
    in_batch: bool,
) -> Draws:
    """Draws for one batch, or for `num_batches`, from an element of `seeding.words`."""
    seed = seeding.of_words(words)
    if not in_batch:
        return Draws(mixer.sample(batch_size, seed, num_batches))
    for_partner, for_params = seeding.split(seed, 2)
    partner = seeding.partners(batch_size, for_partner, num_batches)
    return Draws(mixer.sample(batch_size, for_params, num_batches), partner)


def map_batches(
    streams: Sequence[tf.data.Dataset], mix: Callable[[Any], Any]
) -> tf.data.Dataset:
    """Zips streams and maps their elements by a function, in parallel and in order."""
    return elements.map_elements(
        tf.data.Dataset.zip(tuple(streams)),
        mix,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def keep_epochs(
    mixed: tf.data.Dataset, words: tf.data.Dataset, *others: tf.data.Dataset
) -> tf.data.Dataset:
    """Makes a checkpoint remember how many epochs the random stages have begun.

    `Dataset.shuffle` and `Dataset.random` count their epochs in a generator of seeds,
    and save the count with their iterator. A stage that works ahead, such as a parallel
    map, may have come to the end of the epoch when a checkpoint is taken. tf.data has
    then dropped the iterators below this stage, and the count with them. A
    `dataset.repeat()` restored from the checkpoint would repeat the orders and the λ of
    earlier epochs. Here a second set of iterators over the same random stages is kept
    beside the pipeline. Nothing is ever read from these iterators. They live until the
    epoch is really over, and save the count.

    Args:
      mixed: the pipeline.
      words: the `seeding.words` that the pipeline draws from.
      *others: the pipeline's other datasets that draw anew in every epoch.

    Returns:
      A dataset of the same elements and cardinality.
    """
    # A map whose function only returns an argument costs an iterator nothing.
    never_read = elements.map_elements(
        tf.data.Dataset.zip((words, *others)), lambda each: each[0]
    )
    anything = tf.data.Dataset.random(seed=0).batch(2, drop_remainder=True)
    # If tf.data service sharded the ones, a worker would ask the dispatcher for each.
    ones = tf.data.Dataset.from_tensors(tf.constant(1, tf.int64)).repeat()
    keeper = tf.data.Dataset.choose_from_datasets(
        [never_read, anything], unsharded(ones), stop_on_empty_dataset=True
    )
    # tf.data saves and restores a zip in this order. A stage of `mixed` that is still
    # at work therefore has the last word on counts that change within an epoch, such as
    # the count of a repeated partner. The keeper is endless, so the zip has the length
    # of `mixed`. This needs no assert of the length, which sharding would break.
    both = tf.data.Dataset.zip((keeper, mixed))
    # Use a scan here. tf.data makes a map parallel, and a parallel map works ahead.
    return both.scan(
        tf.constant(0),
        tf.autograph.experimental.do_not_convert(lambda state, both: (state, both[1])),
    )


def unsharded(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Lets each worker of tf.data service read all of a dataset, sharded or not.

    `ShardingPolicy.DYNAMIC` hands out the splits of each source in the graph
    independently. Passes over a cache that was filled with nothing are empty. A worker
    whose passes over a source are all empty never leaves a `repeat`:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/kernels/data/repeat_dataset_op.cc
    A dataset that the function of a `flat_map` returns gets no splits, and reads
    everything. `Dataset.random` asks for no splits.
    """
    one = tf.data.Dataset.random(seed=0).take(1)
    whole = elements.flat_map_elements(one, lambda _: dataset)
    return _of_length(whole, checks.cardinality(dataset))


def one_batch(original: Any, mixed: Any) -> Any:
    """One element of 2·B examples: first the originals, then the mixed examples."""
    return tf.nest.map_structure(_concatenate, original, mixed)


def _concatenate(first: Any, second: Any) -> Any:
    if first is None:
        return None
    if isinstance(first, tf.SparseTensor):
        return tf.sparse.concat(0, [first, second])
    if isinstance(first, (tf.Tensor, tf.RaggedTensor)):
        return tf.concat([first, second], 0)
    raise TypeError(
        "keep_originals='same_batch' concatenates all parts of an element, and one of "
        f"them is a {type(first).__name__}. Map the dataset to elements without it."
    )


def with_originals(both: tf.data.Dataset) -> tf.data.Dataset:
    """Turns each element (original, mixed) into two elements, first the original."""

    def each(element: tuple[Any, Any]) -> tf.data.Dataset:
        original, mixed = map(tf.data.Dataset.from_tensors, element)
        return original.concatenate(mixed)

    flat = elements.flat_map_elements(both, each)
    length = checks.cardinality(both)
    return _of_length(flat, length if length < 0 else 2 * length)


def _of_length(flat: tf.data.Dataset, length: int) -> tf.data.Dataset:
    """Gives a dataset the cardinality that `flat_map` has lost, if it is known."""
    if length == tf.data.UNKNOWN_CARDINALITY:
        return flat
    return flat.apply(tf.data.experimental.assert_cardinality(length))
