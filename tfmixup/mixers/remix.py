"""Remix: features blended as in mixup, labels in favour of the rarer class."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.elements import Parts
from tfmixup.mixers import label
from tfmixup.mixers.mixup import MixUp, MixUpParams

__all__ = ["Remix"]


@dataclasses.dataclass(frozen=True, repr=False)
class Remix(MixUp):
    """Blends examples as `MixUp` does, but gives a rare class the whole label.

        x = λ·x_i + (1 − λ)·x_j
        y = λ_y·y_i + (1 − λ_y)·y_j

        λ_y = 0  where n_i / n_j ≥ κ and λ < τ
              1  where n_i / n_j ≤ 1/κ and 1 − λ < τ
              λ  otherwise

    with n_i and n_j the numbers of training examples of the two classes: where one
    class is κ times as frequent as the other and has less than τ of the picture, the
    label is the rarer class alone. Sample weights are mixed by λ_y, as the label is.

    Args:
      class_counts: n, the number of training examples of every class, positive: a
        sequence of C numbers; `tfmixup.class_counts` counts them. Shares do as well.
      kappa: κ, a number >= 1: how many times as frequent a class must be to give way.
        The paper uses 3 throughout, hence the default.
      tau: τ in [0, 1]: the share below which it gives way; 0 is plain mixup. The paper
        uses 0.5, hence the default.
      alpha: concentration α of λ ~ Beta(α, α), a number >= 0; 0 means no mixing. The
        paper's experiments use 1, hence the default.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range.
      per: "example" for one λ per example, or "batch" for one for the whole batch. λ_y
        is each example's own in both cases.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: C; `len(class_counts)` if left out. Labels are class ids (B,) or
        (B, 1), or one-hot (B, C), whose class is the largest entry. In dict elements
        the label is the first of `target_keys`.
      label_smoothing: ε in [0, 1), for integer labels.
      targets: as in `Mixer`; "pair" yields (y_i, y_j, λ_y).
      feature_keys: keys of dict elements that hold features.
      target_keys: keys of dict elements that hold targets, the label first.
      dtype: of the mixed features: "float32", "float16", "bfloat16" or "uint8".
      jit_compile: True, False, or "auto".

    Raises:
      TypeError, ValueError: an argument cannot be; the message says which and why.

    Examples:
      >>> mixer = Remix(class_counts=[5000, 50])
      >>> x, ids = tf.zeros([2, 8]), (tf.constant([0, 1]), tf.constant([1, 0]))
      >>> lam = tfmixup.MixUpParams(lam=tf.constant([0.4, 0.8]))
      >>> mixer.apply((x, ids[0]), (x, ids[1]), lam)[1].numpy()
      array([[0., 1.],
             [0., 1.]], dtype=float32)

    References:
      Chou et al., "Remix: Rebalanced Mixup", 2020, arXiv 2007.03943
    """

    class_counts: Sequence[float]
    kappa: float = 3.0
    tau: float = 0.5
    # By keyword, so that class_counts comes first.
    alpha: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        counts = _counts(self.name, self.class_counts)
        object.__setattr__(self, "class_counts", counts)
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", len(counts))
        super().__post_init__()
        if self.num_classes != len(counts):
            raise ValueError(
                f"{self.name}: num_classes={self.num_classes}, but class_counts has "
                f"{len(counts)} entries. Give one count for every class, or leave "
                "num_classes out."
            )
        _check_kappa(self.name, self.kappa)
        checks.fraction(self.name, "tau", self.tau)

    def share(self, first: Parts, second: Parts, params: MixUpParams) -> tf.Tensor:
        """The label's λ_y, float32 (B,)."""
        # In float64, where n_i / n_j == κ holds as written, on the border too.
        counts = tf.constant(self.class_counts, tf.float64)
        one = tf.gather(counts, self._class_of(first))
        other = tf.gather(counts, self._class_of(second))
        first_gives_way = (one / other >= self.kappa) & (params.lam < self.tau)
        second_gives_way = (other / one >= self.kappa) & (1 - params.lam < self.tau)
        share = tf.where(second_gives_way, 1.0, params.lam)
        return tf.where(first_gives_way, 0.0, share)

    def check_spec(self, parts: Parts, owner: str | None = None) -> None:
        """Refuses labels that are neither class ids nor one-hot of C classes."""
        owner, classes = owner or self.name, len(self.class_counts)
        spec = label.one(owner, parts, self.target_keys)
        rank = spec.shape.rank
        ids = spec.dtype.is_integer and rank in (0, 1, 2)
        one_hot = spec.dtype.is_floating and rank == 2 and spec.shape[1] == classes
        if not ids and not one_hot:
            raise ValueError(
                f"{owner}: Remix looks up the classes of labels, which must be class "
                f"ids (batch,) or one-hot (batch, {classes}), as class_counts has "
                f"{classes} entries; got {spec.dtype.name}{spec.shape}. Give one count "
                "for every class, or cast class ids to an integer dtype."
            )
        super().check_spec(parts, owner)

    def _class_of(self, parts: Parts) -> tf.Tensor:
        y = label.one(self.name, parts, self.target_keys)
        if y.dtype.is_integer:
            return tf.cast(tf.reshape(y, [-1]), tf.int64)
        return tf.argmax(y, axis=-1)


def _counts(owner: str, value: Any) -> tuple[float, ...]:
    if isinstance(value, (np.ndarray, tf.Tensor)):
        value = np.asarray(value).tolist()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(
            f"{owner}: class_counts must be a sequence of numbers, one for every "
            f"class, got {value!r} ({type(value).__name__}). "
            "tfmixup.class_counts(dataset, num_classes) counts them."
        )
    if len(value) < 2:
        raise ValueError(
            f"{owner}: class_counts must have at least two classes, got {value!r}."
        )
    for index, count in enumerate(value):
        if not isinstance(count, numbers.Real) or isinstance(count, bool):
            raise TypeError(
                f"{owner}: class_counts must be numbers, got {count!r} "
                f"({type(count).__name__}) for class {index}."
            )
        if not math.isfinite(count) or count <= 0:
            raise ValueError(
                f"{owner}: class_counts must be positive and finite, got {count!r} for "
                f"class {index}. A class that no training example has can be given 1: "
                "it never occurs."
            )
    return tuple(float(count) for count in value)


def _check_kappa(owner: str, value: Any) -> None:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(
            f"{owner}: kappa must be a number, got {value!r} ({type(value).__name__})."
        )
    if not math.isfinite(value) or value < 1:
        raise ValueError(
            f"{owner}: kappa must be finite and at least 1, got {value!r}: it is how "
            "many times as frequent one class must be as the other. 3 is usual."
        )
