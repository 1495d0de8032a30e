"""Integers that a pair carries along: sequences for CTC, ranks, class ids."""

from __future__ import annotations

import tensorflow as tf

from tfmixup.targets.kinds import Options, TargetKind

__all__ = ["Untouched"]


class Untouched(TargetKind):
    """Integers of any shape, of which both are kept and none is averaged."""

    def takes(self, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether targets are kept as pairs, and need not be one-hot for that."""
        pair = options.combination == "pair" and options.num_classes is None
        return pair and spec.dtype.is_integer

    def encode(self, target: tf.Tensor, options: Options) -> tf.Tensor:
        """The target as it is."""
        return target
