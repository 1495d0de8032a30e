"""Mixing within a batch: every example with another example of the same batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup import checks, elements, seeding, specs
from tfmixup.elements import Parts
from tfmixup.mixers.base import Mixer
from tfmixup.pairing import stages

__all__ = ["in_batch"]


@checks.named("tfmixup.in_batch")
def in_batch(
    mixer: Mixer, *, seed: int | None = None
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Mixes every example of a batch with another example of the same batch.

        (x, y)_i ← mix((x, y)_i, (x, y)_π(i); λ_i)

    The partner π(i) ≠ i is any other example of the batch, with equal probability.
    Every example is a partner exactly once. The dataset is read only once. The paper
    found mixing within a batch to work as well as two streams. Shuffle before batching,
    anew in every epoch. The partners of a batch are a cyclic shift of the batch, so the
    pairs are only as random as the batches.

    Args:
      mixer: how two batches become one, such as `tfmixup.MixUp`.
      seed: the same integer and the same batches give the same stream, epoch after
        epoch, for any number of parallel calls. Each epoch differs from the last. None
        gives another stream in every run. As everywhere in tf.data, a seed set by
        `tf.random.set_seed` takes part too.

    Returns:
      A function for `Dataset.apply`, from batched elements `(x, y)`,
      `(x, y, sample_weight)` or dicts to mixed batches of the same structure, shapes
      and cardinality. In a batch of one the example has no partner. It is cast and
      encoded, but not mixed.

    Raises:
      TypeError, ValueError, KeyError: an argument is invalid, or the dataset's
        element_spec cannot be mixed. The error comes at once or when the function is
        applied.
      tf.errors.InvalidArgumentError: while iterating, at a class label outside
        [0, num_classes).

    Examples:
      >>> x, y = tf.zeros([64, 8]), tf.zeros([64, 1])
      >>> ds = tf.data.Dataset.from_tensor_slices((x, y))
      >>> batches = ds.shuffle(64).batch(16, drop_remainder=True)
      >>> mixed = batches.apply(in_batch(tfmixup.MixUp(0.2), seed=1))
      >>> mixed.element_spec[0].shape, len(mixed)
      (TensorShape([16, 8]), 4)

    References:
      Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018, arXiv 1710.09412
    """
    stages.check_mixer(mixer)
    checks.seed(seed)

    @checks.stage(
        "tfmixup.in_batch",
        "Write batches.apply(tfmixup.in_batch(mixer)), or batches.map(mixer), which "
        "takes no seed.",
    )
    def apply(dataset: tf.data.Dataset) -> tf.data.Dataset:
        dataset = stages.without_none(dataset)
        specs.check_element(dataset.element_spec)
        plan = mixer.plan(dataset.element_spec)
        checks.not_empty(
            dataset, ", and batch(..., drop_remainder=True) of too few examples"
        )
        stage_seed = seeding.stream_seed(seed, "in_batch")
        size = _static_batch_size(mixer.split(dataset.element_spec))
        if size is None:  # draw for each batch, when its size is known
            draws = words = seeding.words(stage_seed)
        else:
            draws, words = stages.draw_stream(mixer, size, stage_seed, in_batch=True)

        def mix(element: tuple[Any, Any]) -> Any:
            batch, drawn = element
            parts = mixer.split(batch)
            if size is None:
                n = elements.batch_size(parts)
                drawn = stages.draw(mixer, n, drawn, in_batch=True)
            mixed = plan.mix_in_batch(parts, drawn.partner, drawn.params)
            return elements.join(mixed, batch)

        mixed = stages.map_batches([dataset, draws], mix)
        # Pass the dataset too: its shuffle before the batches also counts its epochs.
        return stages.keep_epochs(mixed, words, dataset)

    return apply


def _static_batch_size(spec: Parts) -> int | None:
    sizes = {leaf.shape[0] for leaf in elements.leaves(spec)} - {None}
    return sizes.pop() if sizes else None
