"""ResizeMix: a whole image, made smaller, is pasted into another image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.elements import Parts
from tfmixup.mixers import boxes, pasting
from tfmixup.mixers.base import Mixer, Recipe
from tfmixup.mixers.lam import check_sharing, draw_shape, unmixed_by_chance
from tfmixup.options import Options

__all__ = ["ResizeMix", "ResizeMixParams"]


class ResizeMixParams(NamedTuple):
    """Sampled parameters of `ResizeMix`.

    Attributes:
      scale: float32 (B,), or (1,) where the batch shares it: the sides of the pasted
        image, as a share τ of height and width. 0 for an example that is not mixed.
      place: float32 (B, d) or (1, d), in [0, 1): the place of the pasted image along
        its d axes, of all places where it fits; 0 is the first of them. For images d is
        2: down and across.
    """

    scale: tf.Tensor
    place: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class ResizeMix(Options, Mixer):
    """Pastes the partner's whole image, made smaller, and blends labels by area.

        x = paste(x_i, resize(x_j, τ)),   τ ~ U(0.1, 0.8)
        y = (1 − A)·y_i + A·y_j

    The partner is resized to τH × τW pixels (rounded, at least one). Its place is
    uniform over all places inside the image. A is the counted share of its pixels,
    about τ². The whole partner is visible, whereas CutMix may cut off its object.

    Targets and sample weights that have the image's pixels are resized (to the nearest
    value) and pasted too. Shapes are those of `CutMix`, except that targets of a
    fraction of the size are refused. With `axes`, τ is the share of the size along each
    of d axes, and A is about τ^d.

    Args:
      scale: (low, high), 0 <= low < high <= 1: τ is uniform between low and high. The
        paper uses (0.1, 0.8), hence the default.
      axes: the axes of a batch that a box spans, as in `CutMix`: (2, 3) for images (B,
        C, H, W), (1,) to paste a whole series, made shorter. None for height and width
        of images and video with channels last.
      per: "example" for one box per example, or "batch" for one box for the whole
        batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1]. 0
        means no mixing, for validation data: it only casts and encodes.
      interpolation: of images: "bilinear" between the four nearest pixels, or
        "nearest". Neither smooths before it samples.
      num_classes: integer labels are one-hot encoded to this many classes. Integer
        masks are encoded pixel by pixel.
      label_smoothing: ε in [0, 1), for integer labels.
      targets: "blend", or "pair" or "union" for targets without pixels.
      ignore_label: the value of unknown labels, such as 255 in masks.
      integer_masks: True keeps masks as class ids.
      feature_keys: keys of dict elements that hold images.
      target_keys: keys of dict elements that hold targets.
      length_keys: keys of lengths or padding masks, as in `tfmixup.mixers.Options`.
      dtype: of the mixed images: "float32", "float16", "bfloat16", "float64" or "uint8"
        (rounded to nearest where interpolated).
      jit_compile: True, False, or "auto": compile with XLA wherever every dimension but
        the batch is static.

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

    Examples:
      >>> mixer = ResizeMix(num_classes=10)
      >>> images, labels = tf.zeros([8, 32, 48, 3], tf.uint8), tf.range(8)
      >>> mixed_images, mixed_labels = mixer(images, labels)
      >>> mixed_images.shape, mixed_labels.shape
      (TensorShape([8, 32, 48, 3]), TensorShape([8, 10]))

    References:
      Qin et al., "ResizeMix: Mixing Data with Preserved Object Information and True
      Labels", 2020, arXiv 2012.11101
    """

    scale: tuple[float, float] = (0.1, 0.8)
    _: dataclasses.KW_ONLY
    per: Literal["example", "batch"] = "example"
    probability: float = 1.0
    interpolation: str = "bilinear"
    axes: tuple[int, ...] | None = None

    moves_pixels: ClassVar[bool] = True
    blends_cells: ClassVar[bool] = False

    def check_arguments(self) -> None:
        """Refuses invalid arguments."""
        super().check_arguments()
        scale = checks.unit_range("scale", self.scale)
        object.__setattr__(self, "scale", scale)
        check_sharing(self)
        object.__setattr__(self, "axes", pasting.checked_axes(self.axes))
        checks.choice("interpolation", self.interpolation, ("bilinear", "nearest"))

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> ResizeMixParams:
        """Draws scales and places for a batch, or for `num_batches` at once.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `ResizeMixParams` with `scale` of shape ([num_batches,] B) and `place` of
          shape ([num_batches,] B, d). With `per="batch"` both have 1 in place of B.

        Examples:
          >>> ResizeMix().sample(4, seed=[1, 2]).scale.shape
          TensorShape([4])
        """
        for_scale, for_place, for_chance = seeding.split(seed, 3)
        shape = draw_shape(self.per, batch_size, num_batches)
        scale = seeding.uniform(shape, for_scale, *self.scale)
        place = seeding.uniform([*shape, pasting.box_rank(self.axes)], for_place)
        scale = unmixed_by_chance(scale, 0.0, self.probability, for_chance)
        return ResizeMixParams(scale, place)

    def recipe(self, first: Parts, second: Parts, params: ResizeMixParams) -> Recipe:
        """Pastes the whole second example, made smaller, into the first example."""
        size = pasting.size_of(first.features, self.axes)
        start, stop = boxes.within(params.place, params.scale, size)
        nothing = params.scale[:, tf.newaxis] == 0
        box = boxes.Box(start, tf.where(nothing, start, stop))

        def resize(image: tf.Tensor, axes: Sequence[int], exact: bool) -> tf.Tensor:
            nearest = exact or self.interpolation == "nearest"
            if not nearest and self.dtype == "float64":
                image = tf.cast(image, tf.float64)
            along = _nearest if nearest else _bilinear
            for k, axis in enumerate(axes):
                image = along(image, box.start[:, k], box.stop[:, k], axis)
            if not nearest and self.dtype == "uint8":
                return tf.cast(tf.round(image), tf.uint8)
            return image

        return pasting.paste_recipe(self, box, first.features, resize)

    def check_spec(self, parts: Parts) -> None:
        """Refuses batches in which no box can be pasted into all parts."""
        pasting.check_spec(self, parts)

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Checks sizes that no spec shows: they raise where they differ."""
        return pasting.check_values(self, parts)


def _nearest(
    tensor: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, axis: int
) -> tf.Tensor:
    """Resizes along one axis to [start, stop), by the pixel whose centre is nearest."""
    _, twice, doubled, n = _coordinates(tensor, start, stop, axis)
    return _take(tensor, tf.clip_by_value(twice // doubled, 0, n - 1), axis)


def _bilinear(
    tensor: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, axis: int
) -> tf.Tensor:
    """Resizes along one axis to [start, stop), between the two nearest pixels."""
    length, twice, doubled, n = _coordinates(tensor, start, stop, axis)
    # Pixel k lies at its centre k + ½. Places beyond the first or the last centre take
    # the first or the last pixel.
    shifted = tf.clip_by_value(twice - length, 0, (n - 1) * doubled)
    below = shifted // doubled
    compute = tf.float64 if tensor.dtype == tf.float64 else tf.float32
    part = tf.cast(shifted - below * doubled, compute) / tf.cast(doubled, compute)
    part = boxes.align(part, axis, tensor.shape.rank)
    first = tf.cast(_take(tensor, below, axis), compute)
    second = tf.cast(_take(tensor, tf.minimum(below + 1, n - 1), axis), compute)
    return first + part * (second - first)


def _coordinates(
    tensor: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, axis: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, int | tf.Tensor]:
    """Where the box's pixels k are in the source: (k + ½)·n / length, as fractions.

    The fractions are exact, in integers.

    Returns:
      length (B, 1), numerators (B, n), denominators 2·length (B, 1), and n.
    """
    n = boxes.length(tensor, axis)
    length = tf.maximum(stop - start, 1)[:, tf.newaxis]
    place = tf.range(n)[tf.newaxis] - start[:, tf.newaxis]
    return length, (2 * place + 1) * n, 2 * length, n


def _take(tensor: tf.Tensor, index: tf.Tensor, axis: int) -> tf.Tensor:
    """Gathers along one axis, by indices (B, n), or (1, n) for all examples."""
    if index.shape[0] == 1:
        return tf.gather(tensor, index[0], axis=axis)
    index = tf.broadcast_to(index, [tf.shape(tensor)[0], tf.shape(index)[1]])
    return tf.gather(tensor, index, axis=axis, batch_dims=1)
