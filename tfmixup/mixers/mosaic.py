"""Mosaic: four images around a random centre."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.blending import Further
from tfmixup.box_rows import Size, Source
from tfmixup.elements import Parts
from tfmixup.mixers import boxes, pasting, visible
from tfmixup.mixers.base import Mixer, Recipe
from tfmixup.mixers.boxes import Box
from tfmixup.mixers.lam import check_sharing, draw_shape, unmixed_by_chance
from tfmixup.options import Options

__all__ = ["Mosaic", "MosaicParams"]


class MosaicParams(NamedTuple):
    """Sampled parameters of `Mosaic`.

    Attributes:
      centre: float32 (B, 2), or (1, 2) where the batch shares it: where the four images
        meet, down and across, as a share of the size. (1, 1) leaves the first image as
        it is.
    """

    centre: tf.Tensor


@dataclasses.dataclass(frozen=True, repr=False)
class Mosaic(Options, Mixer):
    """Shows parts of four images in one, which meet at a random centre.

        x = (x_i above left, x_j above right, x_k below left, x_l below right)
        y = Σ a·y,   a = each image's share of the pixels

    Every image keeps its scale, and lies with one of its corners at the centre: the
    first image with its lower right corner, and so on. What reaches beyond the canvas
    is cut off. The canvas has the size of an image. Pixels are only moved, and shares
    are counted.

    The first image is of the first batch. The others are examples i, i + 1 and i + 2 of
    the second batch. `two_streams` thus reads two images for a mosaic, and each image
    of its second stream is in three mosaics of a batch, in another corner of each. The
    four images differ if batches have four examples or more.

    With `max_boxes`, boxes are moved with their images and clipped. A box is dropped if
    less than `min_visible` of its area is left, and has weight 1 otherwise. Masks are
    moved like images. Labels of whole images are blended by area.

    Args:
      centre_range: (low, high): the centre is uniform between these shares of height
        and width. The default is that of YOLOv5 and KerasCV.
      per: "example" for one centre per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) becomes a mosaic, in [0, 1].
      axes: the axes of height and width, where the batch is axis 0: (2, 3) for images
        (B, C, H, W). None is for channels last.
      min_visible: the least share of its area that a box must keep, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes. Integer
        masks are encoded pixel by pixel.
      label_smoothing: ε in [0, 1), for integer labels.
      targets: "blend", or "union" for labels of whole images.
      ignore_label: the value of unknown labels, such as 255 in masks.
      integer_masks: True keeps masks as class ids.
      feature_keys: keys of dict elements that hold images.
      target_keys: keys of dict elements that hold targets.
      max_boxes: rows of boxes of each mixed image, as in `tfmixup.mixers.Options`.
      box_format: what the numbers of a box are, as in `tfmixup.mixers.Options`.
      box_weights: add weights to the boxes, as in `tfmixup.mixers.Options`.
      dtype: of the mixed images: "float32", "float16", "bfloat16", "float64" or
        "uint8". Pixels are only cast.
      jit_compile: True, False, or "auto": compile with XLA wherever every dimension but
        the batch is static.

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

    Examples:
      >>> mixer = Mosaic(target_keys=("objects",), max_boxes=8)
      >>> bbox, label = tf.constant([[[0.0, 0, 1, 1]]] * 4), tf.fill([4, 1], 3)
      >>> boxes = {"bbox": bbox, "label": label}
      >>> mixed = mixer({"image": tf.zeros([4, 64, 64, 3]), "objects": boxes})
      >>> mixed["objects"]["bbox"].shape, mixed["objects"]["label"][0, :4].numpy()
      (TensorShape([4, 8, 4]), array([3, 3, 3, 3], dtype=int32))

    References:
      Bochkovskiy et al., "YOLOv4: Optimal Speed and Accuracy of Object Detection",
      2020, arXiv 2004.10934
    """

    centre_range: tuple[float, float] = (0.25, 0.75)
    _: dataclasses.KW_ONLY
    per: Literal["example", "batch"] = "example"
    probability: float = 1.0
    axes: tuple[int, ...] | None = None
    min_visible: float = visible.MIN_VISIBLE

    moves_pixels: ClassVar[bool] = True
    blends_cells: ClassVar[bool] = False
    mixes_boxes: ClassVar[bool] = True

    def check_arguments(self) -> None:
        """Refuses invalid arguments."""
        super().check_arguments()
        set_field = object.__setattr__
        given = checks.unit_range("centre_range", self.centre_range)
        set_field(self, "centre_range", given)
        check_sharing(self)
        set_field(self, "axes", pasting.checked_axes(self.axes))
        if pasting.box_rank(self.axes) != 2:
            raise ValueError(
                f"axes must be height and width, got {self.axes}. Write axes=(2, 3) "
                "for images with channels first."
            )
        if self.targets == "pair":
            raise ValueError(
                "targets='pair' has room for two labels, and a mosaic has four. Use "
                "targets='blend', or 'union' for multi-hot labels."
            )
        if self.length_keys:
            raise ValueError(
                f"length_keys={self.length_keys} are for sequences, and a mosaic is of "
                "images. Leave them out."
            )
        least = visible.check_min_visible(self, self.min_visible)
        set_field(self, "min_visible", least)

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> MosaicParams:
        """Draws centres for a batch, or for `num_batches` at once.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `MosaicParams` with `centre` of shape ([num_batches,] B, 2). With
          `per="batch"` it has 1 in place of B.

        Examples:
          >>> Mosaic().sample(4, seed=[1, 2]).centre.shape
          TensorShape([4, 2])
        """
        for_centre, for_chance = seeding.split(seed, 2)
        shape = draw_shape(self.per, batch_size, num_batches)
        centre = seeding.uniform([*shape, 2], for_centre, *self.centre_range)
        low = unmixed_by_chance(
            tf.zeros([*shape, 1]), 1.0, self.probability, for_chance
        )
        return MosaicParams(tf.maximum(centre, low))

    def recipe(self, first: Parts, second: Parts, params: MosaicParams) -> Recipe:
        """Puts four images together, and moves the whole so that they meet."""
        features = first.features
        size = pasting.size_of(features, self.axes)
        corners = _Corners.of(params.centre, size)

        def feature(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
            axes = pasting.axes_of(one, self.axes)
            made = one
            for k, corner in enumerate(corners.before[1:]):
                shown = boxes.inside(corner, size, axes, one.shape.rank)
                made = tf.where(shown, tf.roll(other, -k, 0) if k else other, made)
            return tf.cast(_rolled(made, corners.centre, axes), self.dtype)

        def share(k: int, target: tf.Tensor) -> tf.Tensor:
            """The share of the images before image k, among these and image k."""
            place = pasting.find(target, features, self)
            if place is None:
                return corners.share_before(k)
            rank = place.axes[-1] + 1
            shown = boxes.inside(corners.before[k], size, place.axes, rank)
            kept = tf.cast(~shown, tf.float32)
            return tf.broadcast_to(kept, tf.shape(target)[:rank])

        def moved(part: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
            place = pasting.find(target, features, self)
            if place is None or part.shape.rank <= place.axes[-1]:
                return part
            return _rolled(part, corners.centre, place.axes)

        further = tuple(
            Further(
                functools.partial(tf.roll, shift=-k, axis=0),
                functools.partial(share, k + 1),
            )
            for k in (1, 2)
        )
        return Recipe(
            feature,
            corners.share_before(1),
            functools.partial(share, 1),
            further=further,
            moved=moved,
        )

    def partner_of(
        self, batch: Parts, params: MosaicParams, partner: tf.Tensor
    ) -> tf.Tensor:
        """Partners whose two successors are not the example itself.

        Of the partners that are given only the first counts: example i gets example i +
        s, with s of this partner, and the two after it.
        """
        size = tf.shape(partner)[0]
        shift = (partner[0] - 1) % tf.maximum(size - 3, 1) + 1
        return (tf.range(size) + shift) % size

    def sources(self, params: MosaicParams, size: Size) -> list[Source]:
        """The boxes of all four images, moved and clipped."""
        corners = _Corners.of(params.centre, size)
        return [
            Source(
                tf.ones([1]),
                second=k > 0,
                shift=max(k - 1, 0),
                place=visible.inside(
                    corners.after[k], self.min_visible, corners.offset[k]
                ),
            )
            for k in range(4)
        ]

    def check_spec(self, parts: Parts) -> None:
        """Refuses batches whose parts cannot all be moved."""
        pasting.check_spec(self, parts)

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Checks sizes that no spec shows: they raise where they differ."""
        return pasting.check_values(self, parts)


class _Corners(NamedTuple):
    """The four images: above left, above right, below left, below right.

    Attributes:
      centre: int32 (B, 2): where they meet, in pixels.
      before: the part of each image that is shown, in the image's own pixels.
      after: the part of the mosaic that shows it.
      offset: int32 (B, 2): how far each image moves.
      area: int64 (B,): the pixels that are shown.
    """

    centre: tf.Tensor
    before: list[Box]
    after: list[Box]
    offset: list[tf.Tensor]
    area: list[tf.Tensor]

    @classmethod
    def of(cls, centre: tf.Tensor, size: Size) -> _Corners:
        middle = boxes.rounded(centre, size)
        whole = tf.stack([tf.cast(n, tf.int32) for n in size])
        before, after, offset = [], [], []
        for below, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            far = tf.constant([below, right])
            start, stop = middle * far, tf.where(far == 1, whole, middle)
            move = middle - whole * (1 - far)
            after.append(Box(start, stop))
            before.append(Box(start - move, stop - move))
            offset.append(move)
        area = [
            tf.reduce_prod(tf.cast(box.stop - box.start, tf.int64), axis=1)
            for box in after
        ]
        return cls(middle, before, after, offset, area)

    def share_before(self, k: int) -> tf.Tensor:
        """The share of the images before image k in the area of these and image k."""
        so_far = tf.add_n(self.area[: k + 1])
        # Where no image has a pixel so far, any share will do.
        share = boxes.share_outside(self.area[k], tf.maximum(so_far, 1))
        return tf.where(so_far == 0, tf.ones_like(share), share)


def _rolled(tensor: tf.Tensor, by: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    """Moves each example along some axes; what leaves at one end enters at the other.

    Args:
      tensor: (B, ...).
      by: int32 (B, d) or (1, d): how far along each axis.
      axes: d axes.
    """
    for k, axis in enumerate(axes):
        n = boxes.length(tensor, axis)
        rows = (tf.range(n)[tf.newaxis] - by[:, k, tf.newaxis]) % n
        # XLA takes twice as long for a `tf.roll` by a tensor.
        if by.shape[0] == 1:
            tensor = tf.gather(tensor, rows[0], axis=axis)
        else:  # the batch may share what is of no static size
            rows = tf.broadcast_to(rows, [tf.shape(tensor)[0], n])
            tensor = tf.gather(tensor, rows, axis=axis, batch_dims=1)
    return tensor
