"""CutMix: a box of one example is pasted into another example."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tfmixup import seeding
from tfmixup.box_rows import Source
from tfmixup.elements import Parts
from tfmixup.mixers import boxes, pasting, visible
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import LambdaMixer, draw_shape

__all__ = ["CutMix", "CutMixParams"]


class CutMixParams(NamedTuple):
    """Sampled parameters of `CutMix`.

    Attributes:
      lam: float32 (B,), or (1,) where the batch shares it: λ. Before the box is clipped
        at the border, it has the share 1 − λ of the elements.
      centre: float32 (B, d) or (1, d), in [0, 1): the box's centre along its d axes, as
        a share of the size along each axis. For images d is 2: down and across.
    """

    lam: tf.Tensor
    centre: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class CutMix(LambdaMixer):
    """Pastes a rectangle of one image into another, and blends labels by area.

        x = M ⊙ x_i + (1 − M) ⊙ x_j
        y = mean(M)·y_i + (1 − mean(M))·y_j

    M is 0 inside a box and 1 outside. The box's side is (1 − λ)^(1/d) of the size along
    each of its d axes, with λ ~ Beta(α, α). For images the box is a rectangle of
    √(1 − λ)·H by √(1 − λ)·W pixels. Its centre is uniform over the image. The box is
    rounded to whole pixels and clipped at the border. mean(M) is counted after
    rounding and clipping: it is the share of elements that are really kept.

    By default a box spans height and width of images (B, H, W, channels) or video (B,
    T, H, W, channels), with one rectangle for all frames. `axes` names other axes. All
    features of an element need one size along these axes.

    Targets that have the features' pixels, (B, H, W, ...), are pasted by the same box:
    masks, depth maps, labels of frames. Targets of a whole fraction of the size, (B,
    H/k, W/k, ...), are blended entry by entry. The share of an entry is the counted
    share of its k² pixels that are kept. Other targets are blended by mean(M). Sample
    weights follow their target. Beside a target that has pixels, one weight per example
    becomes one weight per pixel, (B, H, W).

    With `max_boxes`, a mixed image has the bounding boxes of the first image outside
    the rectangle and those of the second inside it. The latter are clipped. Of the
    former each becomes the smallest box around what is left of it. A bounding box is
    dropped if less than `min_visible` of its area is left, and has weight 1 otherwise.

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0. 1, the default
        and the paper's choice, is uniform. 0 means no mixing, for validation data: it
        only casts and encodes.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range. Clipping a box
        at the border may raise the kept share beyond the range.
      axes: the axes of a batch that a box spans; the batch is axis 0. (2, 3) is for
        images (B, C, H, W), (1,) for a piece of a sound or a time series (B, T, ...),
        (1, 2, 3) for volumes (B, D, H, W, C). Targets have these axes where the
        features have them, or directly after the batch. None is for height and width of
        images and video with channels last.
      min_visible: the least share of its area that a bounding box must keep, in [0, 1].
        The default is that of YOLOv5 and its successors.
      per: "example" for one box per example, or "batch" for one box for the whole
        batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes. Integer
        masks (B, H, W) or (B, H, W, 1) are encoded pixel by pixel.
      label_smoothing: ε in [0, 1), for integer labels.
      targets: "blend"; "pair" for (y_i, y_j, share); or "union" for the maximum. "pair"
        and "union" are for targets without pixels.
      ignore_label: the value of unknown labels, such as 255 in masks.
      integer_masks: True keeps masks as class ids of their dtype and shape, including
        `ignore_label`. `keras.losses.SparseCategoricalCrossentropy(ignore_class=...)`
        takes such masks.
      feature_keys: keys of dict elements that hold features.
      target_keys: keys of dict elements that hold targets.
      length_keys: keys of lengths or padding masks, as in `tfmixup.mixers.Options`.
      max_boxes: rows of bounding boxes of each mixed image, as in
        `tfmixup.mixers.Options`.
      box_format: what the numbers of a bounding box are, as there.
      box_weights: add weights to the bounding boxes, as there.
      dtype: of the mixed images: "float32", "float16", "bfloat16", "float64" or
        "uint8". Pixels are only cast.
      jit_compile: True, False, or "auto": compile with XLA wherever every dimension but
        the batch is static.

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

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
    min_visible: float = visible.MIN_VISIBLE

    moves_pixels: ClassVar[bool] = True
    blends_cells: ClassVar[bool] = True
    mixes_boxes: ClassVar[bool] = True

    def check_arguments(self) -> None:
        """Refuses invalid arguments."""
        super().check_arguments()
        object.__setattr__(self, "axes", pasting.checked_axes(self.axes))
        least = visible.check_min_visible(self, self.min_visible)
        object.__setattr__(self, "min_visible", least)

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
          ([num_batches,] B, d). With `per="batch"` both have 1 in place of B.

        Examples:
          >>> CutMix().sample(4, seed=[1, 2]).centre.shape
          TensorShape([4, 2])
        """
        for_lam, for_centre = seeding.split(seed, 2)
        shape = draw_shape(self.per, batch_size, num_batches)
        centre = seeding.uniform([*shape, pasting.box_rank(self.axes)], for_centre)
        return CutMixParams(self.draw_lam(batch_size, for_lam, num_batches), centre)

    def recipe(self, first: Parts, second: Parts, params: CutMixParams) -> Recipe:
        """Pastes a box of the second example into the first example."""
        size = pasting.size_of(first.features, self.axes)
        return pasting.paste_recipe(self, _box(params, size), first.features)

    def sources(self, params: CutMixParams, size: boxes.Size) -> list[Source]:
        """The boxes of the first image outside the box, of the second inside it."""
        box, ones = _box(params, size), tf.ones([1])
        return [
            Source(ones, place=visible.outside(box, self.min_visible, size)),
            Source(ones, second=True, place=visible.inside(box, self.min_visible)),
        ]

    def check_spec(self, parts: Parts) -> None:
        """Refuses batches in which no box can be pasted into all parts."""
        pasting.check_spec(self, parts)

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Checks sizes that no spec shows: they raise where they differ."""
        return pasting.check_values(self, parts)


def _box(params: CutMixParams, size: boxes.Size) -> boxes.Box:
    return boxes.around(params.centre, _root(1 - params.lam, len(size)), size)


def _root(share: tf.Tensor, degree: int) -> tf.Tensor:
    """The side of a cube whose volume is `share`, in `degree` dimensions."""
    if degree < 3:
        return tf.sqrt(share) if degree == 2 else share
    # A compiled power may differ in its last bits. Rounding to float32 drops them.
    root = tf.pow(tf.cast(share, tf.float64), 1 / degree)
    return tf.cast(root, tf.float32)
