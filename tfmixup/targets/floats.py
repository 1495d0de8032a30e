"""Targets that are floats already: one-hot, multi-hot, regression, depth maps."""

from __future__ import annotations

import tensorflow as tf

from tfmixup.targets.kinds import Options, TargetKind

__all__ = ["Floats"]


class Floats(TargetKind):
    """Floats of any shape, combined as they are."""

    def takes(self, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether the dtype is a floating one."""
        return spec.dtype.is_floating

    def encode(self, target: tf.Tensor, options: Options) -> tf.Tensor:
        """The target as it is."""
        return target
