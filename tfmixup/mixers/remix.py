"""Remix: features are blended as in mixup, labels favour the rarer class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from tfmixup import checks
from tfmixup.elements import Parts, describe
from tfmixup.kinds import label_of
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import blend_recipe
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

    n_i and n_j are the numbers of training examples of the two classes. If one class is
    at least κ times as frequent as the other class and has less than τ of the picture,
    the label is the rarer class alone. Sample weights are mixed by λ_y too.

    Args:
      class_counts: n, the number of training examples of every class: a sequence of C
        positive numbers. `tfmixup.class_counts` counts them. The classes' shares of the
        dataset do as well.
      kappa: κ, a number >= 1: how many times as frequent a class must be to give way.
        The paper uses 3 throughout, hence the default.
      tau: τ in [0, 1]: the share below which the more frequent class gives way. 0 is
        plain mixup. The paper uses 0.5, hence the default.
      alpha: concentration α of λ ~ Beta(α, α), a number >= 0; 0 means no mixing. The
        paper's experiments use 1, hence the default.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range.
      per: "example" for one λ per example, or "batch" for one for the whole batch. λ_y
        is each example's own in both cases.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: C; `len(class_counts)` if left out. Labels are class ids (B,) or
        (B, 1), or one-hot (B, C). The class of a one-hot label is its largest entry. In
        dict elements the label is the first of `target_keys`.
      label_smoothing: ε in [0, 1), for integer labels.
      targets: as in `tfmixup.mixers.Options`; "pair" yields (y_i, y_j, λ_y).
      feature_keys: keys of dict elements that hold features.
      target_keys: keys of dict elements that hold targets, the label first.
      dtype: of the mixed features: "float32", "float16", "bfloat16", "float64" or
        "uint8".
      jit_compile: True, False, or "auto".

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

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
    # `alpha` is given by keyword, so that `class_counts` comes first.
    alpha: float = dataclasses.field(default=1.0, kw_only=True)

    def check_arguments(self) -> None:
        """Refuses invalid arguments; sets `num_classes` by `class_counts`."""
        counts = checks.numbers_by_class(
            "class_counts", self.class_counts, positive=True
        )
        object.__setattr__(self, "class_counts", tuple(map(float, counts)))
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", len(counts))
        super().check_arguments()
        classes = self.num_classes
        if isinstance(classes, dict) and self.target_keys:
            classes = classes.get(self.target_keys[0])
        if classes != len(counts):
            raise ValueError(
                f"num_classes={self.num_classes}, but class_counts has "
                f"{len(counts)} entries. Give one count for every class, or leave "
                "num_classes out."
            )
        hint = "It is the ratio at which one class gives way to another; 3 is usual."
        kappa = checks.finite_number("kappa", self.kappa, least=1, hint=hint)
        object.__setattr__(self, "kappa", kappa)
        object.__setattr__(self, "tau", checks.fraction("tau", self.tau))

    def recipe(self, first: Parts, second: Parts, params: MixUpParams) -> Recipe:
        """Blends features by λ, and labels by λ_y, float32 (B,)."""
        # float64 keeps n_i / n_j >= κ true where the written numbers are equal.
        counts = tf.constant(self.class_counts, tf.float64)
        n_first = self._count(first, counts)
        n_second = self._count(second, counts)
        lam = params.lam
        first_gives_way = (n_first / n_second >= self.kappa) & (lam < self.tau)
        second_gives_way = (n_second / n_first >= self.kappa) & (1 - lam < self.tau)
        label_lam = tf.where(second_gives_way, 1.0, lam)
        label_lam = tf.where(first_gives_way, 0.0, label_lam)
        return blend_recipe(self, lam, label_lam)

    def check_spec(self, parts: Parts) -> None:
        """Refuses labels that are neither class ids nor one-hot of C classes."""
        classes = len(self.class_counts)
        spec = label_of(parts, self.target_keys)
        rank = spec.shape.rank
        ids = spec.dtype.is_integer and rank in (1, 2)
        one_hot = spec.dtype.is_floating and rank == 2 and spec.shape[1] == classes
        if not ids and not one_hot:
            raise ValueError(
                "Remix looks up the classes of labels, which must be class "
                f"ids (batch,) or one-hot (batch, {classes}), as class_counts has "
                f"{classes} entries; got {describe(spec)}. Give one count "
                "for every class, or cast class ids to an integer dtype."
            )

    def _count(self, parts: Parts, counts: tf.Tensor) -> tf.Tensor:
        """Counts of the examples' classes, float64 (B,); NaN for `ignore_label`."""
        y = label_of(parts, self.target_keys)
        if not y.dtype.is_integer:
            return tf.gather(counts, tf.argmax(y, axis=-1))
        ids = tf.cast(tf.reshape(y, [-1]), tf.int64)
        known = (ids >= 0) & (ids < len(self.class_counts))
        n = tf.gather(counts, tf.where(known, ids, tf.zeros_like(ids)))
        # No comparison with NaN is true, so λ_y is λ.
        return tf.where(known, n, tf.constant(math.nan, tf.float64))
