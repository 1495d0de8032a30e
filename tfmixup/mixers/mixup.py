"""MixUp: two examples and their labels, blended."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfmixup import checks, elements, lambdas, seeding
from tfmixup.elements import Parts
from tfmixup.mixers.base import Mixer, as_float

__all__ = ["MixUp", "MixUpParams", "blend"]


class MixUpParams(NamedTuple):
    """Sampled parameters of `MixUp`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: the first example's share.
    """

    lam: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class MixUp(Mixer):
    r"""Blends pairs of examples and of their labels.

    .. math::
        x = λ x_i + (1 − λ) x_j, \qquad y = λ y_i + (1 − λ) y_j,
        \qquad λ \sim \mathrm{Beta}(α, α)

    An example and its label share one λ, so do all features, targets and sample weights
    of an element.

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0. Small values mix
        little (most λ near 0 or 1), 1 is uniform, large ones put λ near ½; 0 means no
        mixing (λ = 1) whatever else is given, which only casts and encodes: right for
        validation data. The paper uses 0.2 to 0.4 on ImageNet (hence the default), 1 on
        CIFAR-10.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α); `alpha` is not used then, unless it is 0.
      lam_range: (low, high), 0 <= low < high <= 1: the distribution truncated to that
        range, renormalised and not clipped. `MixUp(1.0, lam_range=(0.1, 0.9))` draws
        uniformly from [0.1, 0.9].
      per: "example" for one λ per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes.
      label_smoothing: ε in [0, 1), for integer labels.
      feature_keys: keys of dict elements that hold features.
      target_keys: keys of dict elements that hold targets; sample weights that are to
        be mixed belong here too. Other keys of a dict element pass through from the
        first example.
      dtype: of the mixed features: "float32", "float16", "bfloat16" or "uint8".
      jit_compile: True, False, or "auto": compile with XLA wherever every shape but the
        batch is static.

    Raises:
      TypeError, ValueError: an argument cannot be; the message says which and why.

    Example:
      >>> mixer = MixUp(alpha=0.2, num_classes=10)
      >>> images, labels = tf.zeros([8, 32, 32, 3], tf.uint8), tf.range(8)
      >>> mixed_images, mixed_labels = mixer(images, labels)
      >>> mixed_images.shape, mixed_labels.shape
      (TensorShape([8, 32, 32, 3]), TensorShape([8, 10]))

    References:
      Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018, arXiv 1710.09412
    """

    alpha: float = 0.2
    _: dataclasses.KW_ONLY
    # Distributions compare by identity; `_distribution_key` compares in its place.
    distribution: tfp.distributions.Distribution | None = dataclasses.field(
        default=None, compare=False
    )
    lam_range: tuple[float, float] | None = None
    per: str = "example"
    probability: float = 1.0
    _distribution_key: Any = dataclasses.field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice(self.name, "per", self.per, ("example", "batch"))
        checks.fraction(self.name, "probability", self.probability)
        lam_range = lambdas.check(
            self.name, self.alpha, self.distribution, self.lam_range
        )
        object.__setattr__(self, "alpha", float(self.alpha))
        object.__setattr__(self, "lam_range", lam_range)
        object.__setattr__(self, "_distribution_key", lambdas.key(self.distribution))

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> MixUpParams:
        """Draws λ for a batch, or for `num_batches` at once.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `MixUpParams` with `lam` of shape ([num_batches,] B), or ([num_batches,] 1)
          with `per="batch"`.

        Example:
          >>> MixUp(0.2).sample(4, seed=[1, 2]).lam.shape
          TensorShape([4])
        """
        shape = [batch_size if self.per == "example" else 1]
        if num_batches is not None:
            shape = [num_batches, *shape]
        for_lam, for_choice = seeding.split(seed, 2)
        lam = lambdas.sample(
            shape,
            for_lam,
            alpha=self.alpha,
            distribution=self.distribution,
            lam_range=self.lam_range,
        )
        if self.probability < 1:
            chosen = tf.random.stateless_uniform(shape, for_choice) < self.probability
            lam = tf.where(chosen, lam, 1.0)
        return MixUpParams(lam)

    def mix(self, first: Parts, second: Parts, params: MixUpParams) -> Parts:
        """Blends two batches with labels encoded; see `apply` for whole elements."""
        if self.alpha == 0 or self.probability == 0:
            # 0 times an infinite feature of the partner would be NaN.
            return self.plain(first)
        sometimes = self.probability < 1

        def features(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
            return blend(a, b, params.lam, tf.as_dtype(self.dtype), sometimes)

        def floats(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
            return blend(a, b, params.lam, as_float(a).dtype, sometimes)

        return Parts(
            elements.map_nest(features, first.features, second.features),
            elements.map_nest(floats, first.targets, second.targets),
            elements.map_nest(floats, first.weights, second.weights),
        )


def blend(
    first: tf.Tensor,
    second: tf.Tensor,
    lam: tf.Tensor,
    dtype: tf.DType,
    sometimes: bool = False,
) -> tf.Tensor:
    """Computes `λ·first + (1 − λ)·second`.

    Args:
      first: (B, ...).
      second: (B, ...).
      lam: float32 (B,) or (1,).
      dtype: of the result; computed in float32, for float64 in float64.
      sometimes: many λ are 1 on purpose: take `first` there, also where `second` is
        infinite or NaN.

    Returns:
      (B, ...), rounded to nearest where `dtype` is an integer one.
    """
    compute = tf.float64 if dtype == tf.float64 else tf.float32
    lam = tf.cast(tf.reshape(lam, [-1] + [1] * (first.shape.rank - 1)), compute)
    one, other = tf.cast(first, compute), tf.cast(second, compute)
    mixed = lam * one + (1 - lam) * other
    if sometimes:
        mixed = tf.where(lam == 1, one, mixed)
    return tf.cast(tf.round(mixed) if dtype.is_integer else mixed, dtype)
