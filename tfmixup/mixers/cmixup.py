"""CMixup: examples blended with others whose labels are near, for regression."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.elements import Parts, describe
from tfmixup.kinds import label_of
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import LambdaMixer, blend_recipe, draw_shape

__all__ = ["CMixup", "CMixupParams"]

# Squares of label differences over narrower bandwidths could overflow float64.
_LEAST_BANDWIDTH = 1e-30


class CMixupParams(NamedTuple):
    """Sampled parameters of `CMixup`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: the first example's share.
      uniform: float32 (B,), in [0, 1): where in the partners' distribution to draw.
    """

    lam: tf.Tensor
    uniform: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class CMixup(LambdaMixer):
    """Blends every example of a batch with another one whose label is near.

        x = λ·x_i + (1 − λ)·x_j
        y = λ·y_i + (1 − λ)·y_j
        P(j | i) ∝ exp(−‖y_i − y_j‖² / (2σ²)),   j ≠ i

    In regression a blend of two examples of far labels is often not an example of the
    blended label; one of near labels is. Partners come from the same batch, the paper's
    faster variant; use `in_batch` or `Dataset.map`. Unlike there, an example is never
    its own partner, which would leave it unmixed: at a small σ that would be nearly
    every one. Where all labels of a batch are far beyond σ the nearest is taken, and
    among equally near ones each is as likely.

    Args:
      bandwidth: σ, a number >= 1e-30 in the unit of the labels. A wide one is `MixUp`;
        a narrow one mixes neighbours. It depends on the data and the batch size and
        has no default: start from a tenth of the labels' standard deviation.
      alpha: concentration α of λ ~ Beta(α, α), a number >= 0; 0 means no mixing. Most
        of the paper's experiments use 2, hence the default.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range.
      per: "example" for one λ per example, or "batch" for one for the whole batch.
        Partners are drawn for every example in both cases.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      targets: as in `tfmixup.mixers.Options`.
      feature_keys: keys of dict elements that hold features.
      target_keys: keys of dict elements that hold targets, the label first: a float
        label (B,) or (B, ...), whose distance is the Euclidean one.
      dtype: of the mixed features: "float32", "float16", "bfloat16", "float64" or
        "uint8".
      jit_compile: True, False, or "auto".

    Raises:
      TypeError, ValueError: an argument cannot be; the message says which and why.

    Examples:
      >>> mixer = CMixup(bandwidth=0.5)
      >>> x, y = tf.random.normal([64, 8]), tf.random.normal([64, 1])
      >>> mixed_x, mixed_y = mixer(x, y)
      >>> mixed_x.shape, mixed_y.shape
      (TensorShape([64, 8]), TensorShape([64, 1]))

    References:
      Yao et al., "C-Mixup: Improving Generalization in Regression", 2022,
      arXiv 2210.05775
    """

    bandwidth: float
    # `alpha` is given by keyword, so that `bandwidth` comes first.
    alpha: float = dataclasses.field(default=2.0, kw_only=True)

    in_batch_only: ClassVar[bool] = True

    def check_arguments(self) -> None:
        """Refuses arguments that cannot be."""
        super().check_arguments()
        hint = (
            "Start from a tenth of the labels' standard deviation; for any partner "
            "alike, use MixUp."
        )
        bandwidth = checks.finite_number(
            "bandwidth",
            self.bandwidth,
            least=_LEAST_BANDWIDTH,
            hint=hint,
            unit=" in the unit of the labels",
        )
        object.__setattr__(self, "bandwidth", bandwidth)

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> CMixupParams:
        """Draws λ and what decides on the partners, for one batch or several.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `CMixupParams` with `uniform` of shape ([num_batches,] B), and `lam` too, or
          ([num_batches,] 1) with `per="batch"`.

        Examples:
          >>> CMixup(1.0).sample(4, seed=[1, 2]).uniform.shape
          TensorShape([4])
        """
        for_lam, for_partner = seeding.split(seed, 2)
        shape = draw_shape("example", batch_size, num_batches)
        return CMixupParams(
            self.draw_lam(batch_size, for_lam, num_batches),
            seeding.uniform(shape, for_partner),
        )

    def recipe(self, first: Parts, second: Parts, params: CMixupParams) -> Recipe:
        """Blends features and targets by one λ."""
        return blend_recipe(self, params.lam)

    def partner_of(
        self, batch: Parts, params: CMixupParams, partner: tf.Tensor
    ) -> tf.Tensor:
        """Draws each one's partner by the nearness of the labels, int32 (B,).

        Args:
          batch: the label is looked at, float (B,) or (B, ...).
          params: `uniform` is used.
          partner: not used.
        """
        y = label_of(batch, self.target_keys)
        if self.ignore_label is not None:
            y = tf.where(y == self.ignore_label, tf.cast(math.nan, y.dtype), y)
        distance = _distances(y)
        nearest = tf.argmin(distance, axis=1, output_type=tf.int32)
        least = tf.gather(distance, nearest, batch_dims=1)[:, tf.newaxis]
        # d² − least², without squares that overflow. The nearest has weight 1, so that
        # neither are all weights 0 nor is one of them NaN.
        excess = (distance - least) / self.bandwidth
        excess *= (distance + least) / self.bandwidth
        size = tf.shape(distance)[0]
        oneself = tf.eye(size, dtype=tf.bool)
        weights = tf.where(oneself, tf.zeros_like(excess), tf.exp(-excess / 2))
        cumulated = tf.cumsum(weights, axis=1)
        point = tf.cast(params.uniform, tf.float64) * cumulated[:, -1]
        below = cumulated <= point[:, tf.newaxis]
        drawn = tf.reduce_sum(tf.cast(below, tf.int32), axis=1)
        # A batch of one has nobody else; and a compiled sum may round its terms in
        # another order, so that oneself would not be ruled out for certain.
        fine = (drawn < size) & (drawn != tf.range(size))
        return tf.where(fine, drawn, nearest)

    def check_spec(self, parts: Parts) -> None:
        """Refuses labels between which there is no distance."""
        spec = label_of(parts, self.target_keys)
        if spec.dtype.is_integer:
            raise TypeError(
                "CMixup draws partners by the distance between labels, which "
                f"must be floats, got {describe(spec)}. Cast regression "
                "targets to float32; for classes use MixUp or Remix."
            )


# The distance to oneself, and to a label that is not finite; of finite square over the
# least bandwidth.
_FAR = 1e120


def _distances(y: tf.Tensor) -> tf.Tensor:
    """Euclidean distances, float64 (B, B); nobody is near to oneself."""
    size = tf.shape(y)[0]
    y = tf.reshape(tf.cast(y, tf.float64), [size, -1])
    difference = y[:, tf.newaxis] - y[tf.newaxis]
    distance = tf.sqrt(tf.reduce_sum(tf.square(difference), axis=-1))
    near = tf.math.is_finite(distance) & ~tf.eye(size, dtype=tf.bool)
    return tf.where(near, tf.minimum(distance, _FAR), tf.constant(_FAR, tf.float64))
