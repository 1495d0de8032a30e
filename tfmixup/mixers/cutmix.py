"""CutMix: a rectangle of one image pasted into another."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tfmixup import seeding
from tfmixup.elements import Parts
from tfmixup.mixers import boxes
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import LambdaMixer, draw_shape

__all__ = ["CutMix", "CutMixParams"]


class CutMixParams(NamedTuple):
    """Sampled parameters of `CutMix`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: the rectangle has the area
        1 − λ before it is clipped at the border.
      centre: float32 (B, 2) or (1, 2), in [0, 1): the rectangle's centre, down and
        across, as shares of height and width.
    """

    lam: tf.Tensor
    centre: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class CutMix(LambdaMixer):
    """Pastes a rectangle of one image into another, and blends labels by area.

        x = M ⊙ x_i + (1 − M) ⊙ x_j
        y = mean(M)·y_i + (1 − mean(M))·y_j

    M is 0 inside a rectangle of sides √(1 − λ)·H and √(1 − λ)·W, with λ ~ Beta(α, α),
    around a centre that is uniform over the image; it is rounded to whole pixels and
    clipped at the border. The label's weight is M's mean, counted after that: the share
    of pixels that are really kept.

    Images are (B, H, W, channels), video is (B, T, H, W, channels), with one rectangle
    for all frames; all features of an element need one H and one W. Targets that have
    the image's pixels, (B, H, W, ...), are pasted by the same rectangle: masks, depth
    maps. Their sample weights are pasted too; a weight of an example becomes one of
    each of its pixels, (B, H, W). Other targets are blended.

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0; 1 (the default
        and the paper's choice) is uniform, 0 means no mixing, which only casts and
        encodes: right for validation data.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range. What is clipped
        at the border is kept besides.
      per: "example" for a rectangle per example, or "batch" for one for all.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes, integer
        masks (B, H, W) or (B, H, W, 1) pixel by pixel.
      label_smoothing: ε in [0, 1), for integer labels.
      targets: "blend", or "pair" for (y_i, y_j, share) or "union" for the maximum, both
        for targets without pixels.
      ignore_label: what marks labels that are not known, such as 255 in masks.
      integer_masks: True keeps masks as class ids of their dtype and shape, with
        `ignore_label` among them: for
        `keras.losses.SparseCategoricalCrossentropy(ignore_class=...)`.
      feature_keys: keys of dict elements that hold images.
      target_keys: keys of dict elements that hold targets.
      length_keys: keys of lengths or padding masks, as in `tfmixup.mixers.Options`.
      dtype: of the mixed images: "float32", "float16", "bfloat16", "float64" or
        "uint8". Pixels are only cast.
      jit_compile: True, False, or "auto": compile with XLA wherever every shape but the
        batch is static.

    Raises:
      TypeError, ValueError: an argument cannot be; the message says which and why.

    Examples:
      >>> mixer = CutMix(num_classes=10)
      >>> images, labels = tf.zeros([8, 32, 48, 3], tf.uint8), tf.range(8)
      >>> mixed_images, mixed_labels = mixer(images, labels)
      >>> mixed_images.shape, mixed_labels.shape
      (TensorShape([8, 32, 48, 3]), TensorShape([8, 10]))

    References:
      Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
      Localizable Features", 2019, arXiv 1905.04899
    """

    alpha: float = 1.0

    moves_pixels: ClassVar[bool] = True

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> CutMixParams:
        """Draws λ and centres for a batch, or for `num_batches` at once.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `CutMixParams` with `lam` of shape ([num_batches,] B) and `centre` of shape
          ([num_batches,] B, 2); 1 in place of B with `per="batch"`.

        Examples:
          >>> CutMix().sample(4, seed=[1, 2]).centre.shape
          TensorShape([4, 2])
        """
        for_lam, for_centre = seeding.split(seed, 2)
        shape = draw_shape(self.per, batch_size, num_batches)
        centre = tf.random.stateless_uniform([*shape, 2], for_centre)
        return CutMixParams(self.draw_lam(batch_size, for_lam, num_batches), centre)

    def recipe(self, first: Parts, second: Parts, params: CutMixParams) -> Recipe:
        """Pastes the second image's rectangle into the first image."""
        height, width = boxes.image_size(first.features)
        box = boxes.around(params.centre, tf.sqrt(1 - params.lam), height, width)
        return boxes.paste_recipe(box, first.features, self.dtype)

    def check_spec(self, parts: Parts) -> None:
        """Refuses batches without images that have one height and width."""
        boxes.check_spec(type(self).__name__, parts, self)

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Makes unequal sizes raise that were not static."""
        return boxes.check_sizes(self.name, parts)
