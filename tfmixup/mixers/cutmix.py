"""CutMix: a box of one example pasted into another."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tfmixup import seeding
from tfmixup.elements import Parts
from tfmixup.mixers import boxes, pasting
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import LambdaMixer, draw_shape

__all__ = ["CutMix", "CutMixParams"]


class CutMixParams(NamedTuple):
    """Sampled parameters of `CutMix`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: the box has the share 1 − λ
        of the elements before it is clipped at the border.
      centre: float32 (B, d) or (1, d), in [0, 1): the box's centre along its d axes, as
        a share of their sizes. Of images d is 2: down and across.
    """

    lam: tf.Tensor
    centre: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class CutMix(LambdaMixer):
    """Pastes a rectangle of one image into another, and blends labels by area.

        x = M ⊙ x_i + (1 − M) ⊙ x_j
        y = mean(M)·y_i + (1 − mean(M))·y_j

    M is 0 inside a box, whose side is (1 − λ)^(1/d) of the size along each of its d
    axes, with λ ~ Beta(α, α). For images that is a rectangle of √(1 − λ)·H and
    √(1 − λ)·W. Its centre is uniform over the image. It is rounded to whole pixels and
    clipped at the border. The label's weight is M's mean, counted after that: the share
    of elements that are really kept.

    By default a box spans height and width of images (B, H, W, channels) or video (B,
    T, H, W, channels), with one rectangle for all frames. `axes` names other axes. All
    features of an element need one size along these axes.

    Targets that have the features' pixels, (B, H, W, ...), are pasted by the same box:
    masks, depth maps, labels of frames. A target of a whole fraction of the size, (B,
    H/k, W/k, ...), is blended: each entry by the share of its k² pixels that are kept,
    counted. Sample weights follow their target: a weight of an example becomes one of
    each of its pixels, (B, H, W). Other targets are blended by mean(M).

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0; 1 (the default
        and the paper's choice) is uniform, 0 means no mixing, which only casts and
        encodes: right for validation data.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range. What is clipped
        at the border is kept besides.
      axes: the axes of a batch that a box spans; the batch is axis 0. (2, 3) is for
        images (B, C, H, W), (1,) for a piece of a sound or a time series (B, T, ...),
        (1, 2, 3) for volumes (B, D, H, W, C). Targets have these axes where the
        features have them, or directly after the batch. None is for height and width of
        images and video with channels last.
      per: "example" for a box per example, or "batch" for one for all.
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
      feature_keys: keys of dict elements that hold features.
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
      >>> series, labels = tf.zeros([8, 100, 6]), tf.range(8)
      >>> mixed_series, _ = CutMix(num_classes=10, axes=(1,))(series, labels)

    References:
      Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
      Localizable Features", 2019, arXiv 1905.04899
    """

    alpha: float = 1.0
    _: dataclasses.KW_ONLY
    axes: tuple[int, ...] | None = None

    moves_pixels: ClassVar[bool] = True
    blends_cells: ClassVar[bool] = True

    def check_arguments(self) -> None:
        """Refuses arguments that cannot be."""
        super().check_arguments()
        object.__setattr__(self, "axes", pasting.checked_axes(self.axes))

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
          ([num_batches,] B, d); 1 in place of B with `per="batch"`.

        Examples:
          >>> CutMix().sample(4, seed=[1, 2]).centre.shape
          TensorShape([4, 2])
        """
        for_lam, for_centre = seeding.split(seed, 2)
        shape = draw_shape(self.per, batch_size, num_batches)
        centre = seeding.uniform([*shape, pasting.box_rank(self.axes)], for_centre)
        return CutMixParams(self.draw_lam(batch_size, for_lam, num_batches), centre)

    def recipe(self, first: Parts, second: Parts, params: CutMixParams) -> Recipe:
        """Pastes the second example's box into the first example."""
        size = pasting.size_of(first.features, self.axes)
        box = boxes.around(params.centre, _root(1 - params.lam, len(size)), size)
        return pasting.paste_recipe(self, box, first.features)

    def check_spec(self, parts: Parts) -> None:
        """Refuses batches in which no box can be pasted everywhere."""
        pasting.check_spec(self, parts)

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Makes sizes raise that no spec could tell and that differ."""
        return pasting.check_values(self, parts)


def _root(share: tf.Tensor, degree: int) -> tf.Tensor:
    """The side of a cube that has a share of the volume."""
    if degree < 3:
        return tf.sqrt(share) if degree == 2 else share
    # Compiled powers may differ in their last bits, which rounding to float32 drops.
    root = tf.pow(tf.cast(share, tf.float64), 1 / degree)
    return tf.cast(root, tf.float32)
