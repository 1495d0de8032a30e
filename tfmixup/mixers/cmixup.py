"""CMixup: blends examples whose labels are near to each other, for regression."""

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

# With a narrower bandwidth, the square of a distance over it could overflow float64.
_LEAST_BANDWIDTH = 1e-30


class CMixupParams(NamedTuple):
    """Sampled parameters of `CMixup`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: the first example's share.
      uniform: float32 (B,), in [0, 1): the point of the partners' cumulated
        distribution at which each example's partner is taken.
    """

    lam: tf.Tensor
    uniform: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class CMixup(LambdaMixer):
    """Blends every example of a batch with another example whose label is near.

        x = λ·x_i + (1 − λ)·x_j
        y = λ·y_i + (1 − λ)·y_j
        P(j | i) ∝ exp(−‖y_i − y_j‖² / (2σ²)),   j ≠ i

    In regression, the blend of two examples whose labels are far apart is often not an
    example of the blended label. The blend of two examples with near labels is.

    Use `in_batch` or `Dataset.map`. Partners come from the same batch, as in the
    paper's faster variant. Unlike in the paper, an example is never its own partner. An
    example that is its own partner stays unmixed, and at a small σ nearly every example
    would. If all labels of a batch are much further away than σ, the example with the
    nearest label is the partner. Equally near examples are equally likely.

    Args:
      bandwidth: σ, a number >= 1e-30 in the unit of the labels. Start from a tenth of
        the labels' standard deviation. There is no default, because the best σ depends
        on the data and the batch size. A large σ gives `MixUp`, a small σ mixes only
        neighbours.
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
      target_keys: keys of dict elements that hold targets, the label first. The label
        holds floats (B,) or (B, ...). Distances between labels are Euclidean.
      dtype: of the mixed features: "float32", "float16", "bfloat16", "float64" or
        "uint8".
      jit_compile: True, False, or "auto".

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

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
        """Refuses invalid arguments."""
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
        """Draws λ, and the numbers that decide on the partners, for a batch or several.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `CMixupParams` with `uniform` of shape ([num_batches,] B). `lam` has the same
          shape, or ([num_batches,] 1) with `per="batch"`.

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
        """Draws each example's partner by the nearness of their labels, int32 (B,).

        Args:
          batch: a batch, of which only the label is used, float (B,) or (B, ...).
          params: the sampled parameters, of which only `uniform` is used.
          partner: not used.
        """
        y = label_of(batch, self.target_keys)
        if self.ignore_label is not None:
            y = tf.where(y == self.ignore_label, tf.cast(math.nan, y.dtype), y)
        distance = _distances(y)
        nearest = tf.argmin(distance, axis=1, output_type=tf.int32)
        least = tf.gather(distance, nearest, batch_dims=1)[:, tf.newaxis]
        # (d² − least²) / σ², as a product whose factors do not overflow. Subtracting
        # least² gives the nearest example the weight 1. So the weights are never all 0,
        # and none of them is NaN.
        excess = (distance - least) / self.bandwidth
        excess *= (distance + least) / self.bandwidth
        size = tf.shape(distance)[0]
        oneself = tf.eye(size, dtype=tf.bool)
        weights = tf.where(oneself, tf.zeros_like(excess), tf.exp(-excess / 2))
        cumulated = tf.cumsum(weights, axis=1)
        point = tf.cast(params.uniform, tf.float64) * cumulated[:, -1]
        below = cumulated <= point[:, tf.newaxis]
        drawn = tf.reduce_sum(tf.cast(below, tf.int32), axis=1)
        # In a batch of one example the draw finds no partner. A compiled sum may also
        # add its terms in another order and round differently, so the weight 0 alone
        # does not keep an example from becoming its own partner.
        fine = (drawn < size) & (drawn != tf.range(size))
        return tf.where(fine, drawn, nearest)

    def check_spec(self, parts: Parts) -> None:
        """Refuses labels between which no distance is defined."""
        spec = label_of(parts, self.target_keys)
        if spec.dtype.is_integer:
            raise TypeError(
                "CMixup draws partners by the distance between labels, which "
                f"must be floats, got {describe(spec)}. Cast regression "
                "targets to float32; for classes use MixUp or Remix."
            )


# The distance of an example to itself, and to a label that is not finite. The square of
# this distance over the least bandwidth is still finite in float64.
_FAR = 1e120


def _distances(y: tf.Tensor) -> tf.Tensor:
    """Euclidean distances, float64 (B, B); each example is far from itself."""
    size = tf.shape(y)[0]
    y = tf.reshape(tf.cast(y, tf.float64), [size, -1])
    difference = y[:, tf.newaxis] - y[tf.newaxis]
    distance = tf.sqrt(tf.reduce_sum(tf.square(difference), axis=-1))
    near = tf.math.is_finite(distance) & ~tf.eye(size, dtype=tf.bool)
    return tf.where(near, tf.minimum(distance, _FAR), tf.constant(_FAR, tf.float64))
