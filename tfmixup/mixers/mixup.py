"""MixUp: two examples and their labels are blended."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tfmixup.box_rows import Size, Source
from tfmixup.elements import Parts
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import LambdaMixer, blend_recipe

__all__ = ["MixUp", "MixUpParams"]


class MixUpParams(NamedTuple):
    """Sampled parameters of `MixUp`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: the first example's share.
    """

    lam: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class MixUp(LambdaMixer):
    """Blends pairs of examples and of their labels.

        x = λ·x_i + (1 − λ)·x_j
        y = λ·y_i + (1 − λ)·y_j,   λ ~ Beta(α, α)

    An example and its label share one λ. All features and targets of an element share
    this λ too. A sample weight belongs to its label. The mixed weight is
    W = λ·w_i + (1 − λ)·w_j, and the share of y_i becomes λ·w_i / W instead of λ. So
    W·ℓ(y) is λ·w_i·ℓ(y_i) + (1 − λ)·w_j·ℓ(y_j) for every loss ℓ that is linear in the
    label.

    With `max_boxes`, a mixed image has the boxes of both images, where they are. Those
    of the first image have the weight λ, those of the second 1 − λ. For detection λ ~
    Beta(1.5, 1.5), as in arXiv 1902.04103.

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0. Small values mix
        little (most λ near 0 or 1), 1 is uniform, large values put λ near ½. The paper
        uses 0.2 to 0.4 on ImageNet (hence the default), 1 on CIFAR-10. 0 means no
        mixing (λ = 1) whatever the other arguments are, for validation data: it only
        casts and encodes.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α). `alpha` is not used then, unless it is 0.
      lam_range: (low, high), 0 <= low < high <= 1: the distribution truncated to that
        range, renormalised and not clipped. `MixUp(1.0, lam_range=(0.1, 0.9))` draws
        uniformly from [0.1, 0.9]. `lam_range=(0.5, 1)` gives the distribution of
        max(λ, 1 − λ), which fastai and big_vision use.
      per: "example" for one λ per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes.
      label_smoothing: ε in [0, 1), for integer labels.
      feature_keys: keys of dict elements that hold features.
      ignore_label: the value of unknown labels, as in `tfmixup.mixers.Options`.
      target_keys: keys of dict elements that hold targets. The key "sample_weight"
        holds their weights. Other keys of a dict element stay those of the first
        example.
      max_boxes: rows of boxes of each mixed image, as in `tfmixup.mixers.Options`.
      box_format: what the numbers of a box are, as in `tfmixup.mixers.Options`.
      box_weights: add weights to the boxes, as in `tfmixup.mixers.Options`.
      dtype: of the mixed features: "float32", "float16", "bfloat16", "float64" or
        "uint8".
      jit_compile: True, False, or "auto": compile with XLA wherever every dimension but
        the batch is static.

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

    Examples:
      >>> mixer = MixUp(alpha=0.2, num_classes=10)
      >>> images, labels = tf.zeros([8, 32, 32, 3], tf.uint8), tf.range(8)
      >>> mixed_images, mixed_labels = mixer(images, labels)
      >>> mixed_images.shape, mixed_labels.shape
      (TensorShape([8, 32, 32, 3]), TensorShape([8, 10]))

    References:
      Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018, arXiv 1710.09412
      Zhang et al., "Bag of Freebies for Training Object Detection Neural Networks",
      2019, arXiv 1902.04103
    """

    alpha: float = 0.2

    mixes_boxes: ClassVar[bool] = True

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

        Examples:
          >>> MixUp(0.2).sample(4, seed=[1, 2]).lam.shape
          TensorShape([4])
        """
        return MixUpParams(self.draw_lam(batch_size, seed, num_batches))

    def recipe(self, first: Parts, second: Parts, params: MixUpParams) -> Recipe:
        """Blends features and targets by one λ."""
        return blend_recipe(self, params.lam)

    def sources(self, params: MixUpParams, size: Size) -> list[Source]:
        """The boxes of both images, where they are, with weights λ and 1 − λ."""
        return [Source(params.lam), Source(1 - params.lam, second=True)]
