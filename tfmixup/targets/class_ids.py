"""Class ids: one integer an example, one-hot encoded before it is mixed."""

from __future__ import annotations

import tensorflow as tf

from tfmixup.elements import Parts
from tfmixup.pages import see
from tfmixup.targets import kinds
from tfmixup.targets.kinds import Options, TargetKind

__all__ = ["ClassIds"]


class ClassIds(TargetKind):
    """Integers of shape (B,) or (B, 1); become float32 (B, C)."""

    def takes(self, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether it is an integer dtype: no other kind takes what is left."""
        return spec.dtype.is_integer

    def check(
        self, owner: str, spec: tf.TensorSpec, parts: Parts, options: Options
    ) -> None:
        """Refuses class ids without `num_classes` or of another shape."""
        if options.num_classes is None:
            raise ValueError(
                f"{owner}: targets are integers ({spec.dtype.name}{spec.shape}), and "
                "class ids cannot be averaged. Pass num_classes=..., so that they are "
                "one-hot encoded, or cast multi-hot and regression targets to float32."
                + see("guide")
            )
        if not (spec.shape.rank == 1 or (spec.shape.rank == 2 and spec.shape[1] == 1)):
            raise ValueError(
                f"{owner}: integer class labels must have shape (batch,) or (batch, 1),"
                f" got {spec.dtype.name}{spec.shape}. Cast targets that are one-hot or "
                "multi-hot already to float32." + see("guide")
            )

    def check_values(
        self, owner: str, target: tf.Tensor, options: Options
    ) -> list[tf.Operation]:
        """Makes a class id outside [0, num_classes) raise."""
        wide = tf.cast(target, tf.int64)
        fine = tf.reduce_all((wide >= 0) & (wide < options.num_classes))
        message = (
            f"{owner}: integer labels must be in [0, {options.num_classes}), but this "
            "batch has others. Set num_classes to the highest label + 1; shift labels "
            "that start at 1, and filter out those marked missing with -1. Labels:"
        )
        return [tf.debugging.Assert(fine, [message, target], summarize=1024)]

    def encode(self, target: tf.Tensor, options: Options) -> tf.Tensor:
        """One-hot, smoothed: float32 (B, C)."""
        if target.shape.rank == 2:
            target = tf.reshape(target, tf.shape(target)[:1])
        return kinds.one_hot(target, options)
