"""The stream of sampled parameters that runs beside the batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfmixup import partners, seeding
from tfmixup.mixers.base import Mixer

__all__ = ["Draws", "stream"]

# Sampling this many λ at once costs TFP little more than sampling a few.
_DRAWS_AT_ONCE = 8192


class Draws(NamedTuple):
    """What is random in one batch."""

    params: Any  # the mixer's
    partner: Any = None  # int32 (B,), for pairing within the batch


def stream(
    mixer: Mixer, batch_size: int, seed: int | None, *, in_batch: bool = False
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Streams the parameters of one batch after the other, without end.

    Args:
      mixer: draws them.
      batch_size: B.
      seed: of this stage, or None.
      in_batch: draw partners within the batch too.

    Returns:
      The stream of `Draws`, and the random source that it depends on, which
      `keep_epochs` needs.
    """
    seeds = seeding.batch_seeds(seed)
    at_once = max(1, _DRAWS_AT_ONCE // batch_size)

    def draw(batch_seed: tf.Tensor) -> Draws:
        for_partner, for_params = seeding.split(batch_seed, 2)
        params = mixer.sample(batch_size, for_params, num_batches=at_once)
        if not in_batch:
            return Draws(params, ())
        return Draws(params, partners.sample(batch_size, for_partner, at_once))

    return seeds.map(draw, num_parallel_calls=1).unbatch(), seeds
