"""What a kind of target has to tell; every kind is a file of its own."""

from __future__ import annotations

import abc
from typing import NamedTuple

import tensorflow as tf

from tfmixup.elements import Parts

__all__ = ["Options", "TargetKind"]


class Options(NamedTuple):
    """What a mixer says of its targets.

    Attributes:
      num_classes: C, or None.
      label_smoothing: ε in [0, 1).
      ignore_label: pixels of masks that carry no weight.
      integer_masks: masks stay class ids.
      combination: "blend", "pair" or "union"; a pair may be of any integers.
    """

    num_classes: int | None = None
    label_smoothing: float = 0.0
    ignore_label: int | None = None
    integer_masks: bool = False
    combination: str = "blend"


class TargetKind(abc.ABC):
    """A kind of target: which tensors are of it, and what becomes of them."""

    @abc.abstractmethod
    def takes(self, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether a batched target of this dtype and rank is of this kind."""

    def check(  # noqa: B027 - nothing to refuse by default
        self, owner: str, spec: tf.TensorSpec, parts: Parts, options: Options
    ) -> None:
        """Refuses a target by its spec; `parts` are the element's other specs."""

    def check_values(
        self, owner: str, target: tf.Tensor, options: Options
    ) -> list[tf.Operation]:
        """Operations that raise at bad values; run outside XLA."""
        return []

    @abc.abstractmethod
    def encode(self, target: tf.Tensor, options: Options) -> tf.Tensor:
        """What the target becomes before two are combined: (B, ...)."""

    def valid(self, target: tf.Tensor, options: Options) -> tf.Tensor | None:
        """float32, 0 where the target carries no weight, else 1; None for all 1."""
        return None

    def normalise(self, mixed: tf.Tensor, options: Options) -> tf.Tensor:
        """What is left to do after two encoded targets were blended."""
        return mixed


def one_hot(ids: tf.Tensor, options: Options) -> tf.Tensor:
    """`(1 − ε)·one_hot(y) + ε/C`, float32 (..., C)."""
    classes, smoothing = int(options.num_classes or 0), options.label_smoothing
    # uint16, uint32 and uint64 are not dtypes of tf.one_hot; checked ids fit.
    return tf.one_hot(
        tf.cast(ids, tf.int32),
        classes,
        on_value=1.0 - smoothing + smoothing / classes,
        off_value=smoothing / classes,
        dtype=tf.float32,
    )
