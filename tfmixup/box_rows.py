"""Rows of boxes with their labels: checked, padded, placed and joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmixup import elements
from tfmixup.box_formats import FORMATS, from_corners, is_relative, to_corners
from tfmixup.checks import see_docs
from tfmixup.elements import WHOLE

__all__ = [
    "BOXES",
    "LABELS",
    "WEIGHT",
    "BoxRows",
    "Place",
    "Size",
    "Source",
    "Unit",
    "format_of",
    "keys_of",
]

# From pixels down and across, (..., 2), to the unit of boxes, float32.
Unit = Callable[[Any], tf.Tensor]
# From float32 boxes (B, n, 4) as (ymin, xmin, ymax, xmax), and their `Unit`, to the
# boxes at their new place, and whether each can still be seen, bool (B, n).
Place = Callable[[tf.Tensor, Unit], tuple[tf.Tensor, tf.Tensor]]

Size = Sequence["int | tf.Tensor"]  # height and width of the images


class Source(NamedTuple):
    """Where the boxes of one of the images come to lie that a mixture is made of.

    Attributes:
      weight: float32 (B,) or (1,): the weight of the boxes. 0 leaves them out.
      second: whether the image is of the second batch.
      shift: the image of example i is image (i + shift) mod B of its batch.
      place: moves and clips boxes. None leaves them where they are.
    """

    weight: tf.Tensor
    second: bool = False
    shift: int = 0
    place: Place | None = None


# The names that TFDS and Keras give to boxes and to their labels.
BOXES = ("bbox", "boxes")
LABELS = ("label", "labels")
WEIGHT = "weight"


def keys_of(objects: dict[str, Any]) -> tuple[str, str]:
    """The keys of the boxes and of their labels in a dict that has one of each."""
    boxes, labels = (next(k for k in keys if k in objects) for keys in (BOXES, LABELS))
    return boxes, labels


def format_of(needs: str, key: str, given: str | None) -> str:
    """The format of boxes: the given one, or TFDS's for the key that TFDS has.

    Args:
      needs: how a message begins, such as "objects['boxes'] needs".
      key: their key.
      given: the argument `box_format`.
    """
    if given is not None:
        return given
    if key == "bbox":
        return "rel_yxyx"  # TFDS's only format
    raise ValueError(
        f"{needs} box_format=..., which says what the four numbers are: one of "
        f"{', '.join(map(repr, FORMATS))}." + see_docs("detection")
    )


class BoxRows:
    """One dict of boxes and labels: how its rows are checked, padded and joined.

    Args:
      mixer: the `Mixer`.
      key: the key of the dict in the element.
      spec: the specs of a batch: (B, n, ...) under every key.

    Raises:
      TypeError, ValueError: these are no boxes.
    """

    def __init__(self, mixer: Any, key: str, spec: dict[str, Any]) -> None:
        self.name, self.options, self.key = mixer.name, mixer.options, key
        self.boxes, self.labels = keys_of(spec)
        for name, one in spec.items():
            _check_tensor(self._path(name), one)
        self._check_boxes(spec[self.boxes])
        self._check_labels(spec[self.labels])
        self._check_weight(spec.get(WEIGHT))
        self._check_counts(spec)
        if _moves(mixer):
            self._check_others(spec)
        self.format = format_of(
            f"{self._path(self.boxes)} needs", self.boxes, self.options.box_format
        )

    def _path(self, name: str) -> str:
        return f"the boxes' {name!r}" if self.key == WHOLE else f"{self.key}[{name!r}]"

    def _check_boxes(self, spec: Any) -> None:
        last = spec.shape[2:]
        if not spec.dtype.is_floating or not last.is_compatible_with([4]):
            raise ValueError(
                f"{self._path(self.boxes)} must be floats of shape (batch, boxes, 4), "
                f"got {elements.describe(spec)}. One row is one box. Cast integers: "
                "tf.cast(boxes, tf.float32)." + see_docs("detection")
            )

    def _check_labels(self, spec: Any) -> None:
        signed = spec.dtype.is_floating or (spec.dtype.is_integer and spec.dtype.min)
        if not signed or spec.shape.rank != 2:
            raise ValueError(
                f"{self._path(self.labels)} must be class ids (batch, boxes) of a "
                "dtype that can hold -1, the label of rows without a box, got "
                f"{elements.describe(spec)}. Cast integers to int32. Look names "
                "up: keras.layers.StringLookup. Of one-hot labels take tf.argmax."
                + see_docs("detection")
            )

    def _check_weight(self, spec: Any) -> None:
        if spec is not None and not (spec.dtype.is_floating and spec.shape.rank == 2):
            raise ValueError(
                f"{self._path(WEIGHT)} must be floats (batch, boxes), one for each "
                f"box, got {elements.describe(spec)}. Cast it to float32, or give the "
                "key another name if it is something else." + see_docs("detection")
            )

    def _check_counts(self, spec: dict[str, Any]) -> None:
        if len({one.shape[1] for one in spec.values()} - {None}) > 1:
            came = ", ".join(f"{k}: {one.shape[1]}" for k, one in spec.items())
            raise ValueError(
                "each box must have one entry under every key of "
                f"{self._path(self.boxes)}'s dict, got {came}. Take keys of other "
                "things out." + see_docs("detection")
            )

    def _check_others(self, spec: dict[str, Any]) -> None:
        """Refuses what may lie in the image, as keypoints do, and cannot be moved."""
        for name, one in spec.items():
            known = name in (self.boxes, self.labels, WEIGHT)
            if not known and (one.shape.rank > 2 or one.dtype.is_floating):
                raise ValueError(
                    f"{self._path(name)} ({elements.describe(one)}) may be places in "
                    "the image, such as keypoints or masks of single objects. "
                    f"{self.name} moves or covers parts of images, and only boxes "
                    "follow. Take the key out, or use tfmixup.MixUp."
                    + see_docs("detection")
                )

    # Rows ---------------------------------------------------------------------------

    def padded(self, given: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Rows (B, n, ...), dense or ragged, as dense rows (B, max_boxes, ...)."""
        rows = {name: self._dense(name, value) for name, value in given.items()}
        labels = rows[self.labels]
        if {value.shape[1] for value in rows.values()} == {self.options.max_boxes}:
            return rows
        sizes = [tf.shape(value)[1] for value in rows.values()]
        ragged = [
            value.row_lengths()
            for value in given.values()
            if isinstance(value, tf.RaggedTensor)
        ]
        message = (
            f"{self.name}: each box must have one entry under every key beside it, but "
            f"in this batch {', '.join(rows)} have these many:"
        )
        equal = [
            tf.debugging.Assert(
                tf.reduce_all([tf.reduce_all(n == some[0]) for n in some]),
                [message, *some],
                summarize=1024,
            )
            for some in (sizes, ragged)
            if some
        ]
        with tf.control_dependencies(equal):
            there = labels != -1
        return self._compacted(rows, there, "image")

    def _dense(self, name: str, value: Any) -> tf.Tensor:
        if isinstance(value, tf.RaggedTensor):
            value = value.to_tensor(default_value=self._filler(name, value.dtype))
        # The number of coordinates of ragged boxes may be unknown.
        shape = [None, None, 4] if name == self.boxes else [None] * value.shape.rank
        return tf.ensure_shape(value, shape)

    def _filler(self, name: str, dtype: tf.DType) -> tf.Tensor:
        if name in (self.boxes, self.labels):
            return tf.constant(-1, dtype)  # as in Keras
        return tf.zeros([], dtype)

    def _compacted(
        self, rows: dict[str, tf.Tensor], there: tf.Tensor, what: str
    ) -> dict[str, tf.Tensor]:
        """Keeps the rows (B, n, ...) that are `there`: (B, max_boxes, ...)."""
        most = self.options.max_boxes
        counts = tf.reduce_sum(tf.cast(there, tf.int32), axis=1)
        message = (
            f"{self.name}: more boxes of one {what} than max_boxes={most}. A mixture "
            "has the boxes of all its images: set max_boxes to as many as two images "
            f"can have together (four for Mosaic). Boxes of each {what} of the batch:"
        )
        enough = tf.debugging.Assert(
            tf.reduce_all(counts <= most), [message, counts], summarize=1024
        )
        n = tf.shape(there)[1]
        place = tf.range(n)[tf.newaxis]
        order = tf.argsort(tf.where(there, place, place + n), axis=1)
        order = tf.pad(order, [[0, 0], [0, most]])[:, :most]
        is_box = tf.range(most)[tf.newaxis] < counts[:, tf.newaxis]
        with tf.control_dependencies([enough]):
            order = tf.where(is_box, order, n)
        return {
            name: self._gathered(name, value, order) for name, value in rows.items()
        }

    def _gathered(self, name: str, value: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
        """Rows of a tensor (B, n, ...) by their numbers; n is a row without a box."""
        shape = tf.shape(value)
        row = tf.concat([shape[:1], [1], shape[2:]], 0)
        none = tf.fill(row, self._filler(name, value.dtype))
        made = tf.gather(tf.concat([value, none], 1), order, batch_dims=1)
        static = [value.shape[0], self.options.max_boxes, *value.shape[2:]]
        return tf.ensure_shape(made, static)

    def check_values(
        self, rows: dict[str, tf.Tensor], size: Size
    ) -> list[tf.Operation]:
        """Operations that raise at boxes outside the image and at impossible labels."""
        boxes, labels = rows[self.boxes], rows[self.labels]
        top, left, bottom, right = tf.unstack(to_corners(boxes, self.format), axis=-1)
        height, width = (1.0, 1.0) if is_relative(self.format) else size
        within = tf.ones_like(labels, tf.bool)
        for low, high, most in ((top, bottom, height), (left, right, width)):
            most = tf.cast(most, boxes.dtype)
            # Rounding may carry a box across the border.
            room = most * _ROOM
            within &= (low >= -room) & (low <= high) & (high <= most + room)
        none = labels == -1
        weight = rows.get(WEIGHT, tf.ones_like(boxes[..., 0]))
        end = "1" if is_relative(self.format) else "the image's size"
        bad_box = (
            f"{self.name}: boxes must be inside the image, from 0 to {end}, with the "
            f"minimum before the maximum, in the format {self.format!r}, but this "
            "batch has others. Name their format as box_format, or convert them "
            "(keras.utils.bounding_boxes.convert_format); clip those that reach beyond "
            "the image. The first:"
        )
        bad_zeros = (
            f"{self.name}: this batch has boxes of four zeros, as padding makes them, "
            "and their labels are not -1. Give Dataset.padded_batch padding_values "
            "with -1 for the labels, or use Dataset.ragged_batch. The first label:"
        )
        bad_label = (
            f"{self.name}: labels of boxes must be class ids from 0 on, or -1 in rows "
            "without a box, but this batch has others. The first:"
        )
        bad_weight = (
            f"{self.name}: weights of boxes must be finite and not negative, but this "
            "batch has others. The first:"
        )
        checks = [
            tf.debugging.Assert(
                tf.reduce_all(fine),
                [message, tf.boolean_mask(value, ~fine)[:1]],
                summarize=16,
            )
            for fine, message, value in (
                (none | within, bad_box, boxes),
                (none | tf.reduce_any(boxes != 0, -1), bad_zeros, labels),
                (none | (labels >= 0), bad_label, labels),
                (
                    none | ((weight >= 0) & (weight < weight.dtype.max)),
                    bad_weight,
                    weight,
                ),
            )
        ]
        if is_relative(self.format):
            return checks
        small = (bottom <= 1) & (right <= 1)
        relative = tf.reduce_any(~none) & tf.reduce_all(none | small)
        looks = (
            f"{self.name}: all boxes of this batch lie within the first pixel of their "
            f"images. They look relative, and box_format={self.format!r} is of pixels. "
            f"Write box_format='rel_...'. The first image's:"
        )
        return [*checks, tf.debugging.Assert(~relative, [looks, boxes[:1]], 16)]

    def joined(
        self,
        sources: Sequence[Source],
        first: dict[str, tf.Tensor],
        second: dict[str, tf.Tensor],
        size: Size,
    ) -> dict[str, tf.Tensor]:
        """The rows (B, max_boxes, ...) of mixtures, from padded rows of two batches."""
        made = [self._of_source(source, first, second, size) for source in sources]
        rows = {
            name: tf.concat([one[name] for one, _ in made], 1) for name in made[0][0]
        }
        there = tf.concat([one for _, one in made], 1)
        return self._compacted(rows, there, "mixture")

    def _of_source(
        self,
        source: Source,
        first: dict[str, tf.Tensor],
        second: dict[str, tf.Tensor],
        size: Size,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The rows of one image of every mixture, and which of them it shows."""
        rows = dict(second if source.second else first)
        if source.shift:
            rows = {k: tf.roll(value, -source.shift, 0) for k, value in rows.items()}
        labels = rows[self.labels]
        there = (labels != -1) & (source.weight[:, tf.newaxis] != 0)
        if source.place is not None:
            rows[self.boxes], seen = self._placed(rows[self.boxes], source.place, size)
            there &= seen
        if self.options.box_weights:
            weight = tf.broadcast_to(source.weight[:, tf.newaxis], tf.shape(labels))
            given = rows.get(WEIGHT)
            if given is not None:
                weight = tf.cast(weight, given.dtype) * given
            rows[WEIGHT] = weight
        return rows, there

    def _placed(
        self, boxes: tf.Tensor, place: Place, size: Size
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def unit(pixels: Any) -> tf.Tensor:
            wide = tf.cast(pixels, tf.float64)
            if is_relative(self.format):
                wide /= tf.cast(tf.stack(size), tf.float64)
            # n / n may become n * (1 / n), which is 1 only after it is rounded.
            return tf.cast(wide, tf.float32)

        # The area of a box in pixels may be too large for float16. Edges of boxes and
        # of pixels are equal only if both are of float32.
        before = to_corners(tf.cast(boxes, tf.float32), self.format)
        after, seen = place(before, unit)
        # Boxes that stay where they are keep their last bits.
        moved = tf.reduce_any(after != before, axis=-1, keepdims=True)
        made = tf.cast(from_corners(after, self.format), boxes.dtype)
        return tf.where(moved, made, boxes), seen


def _moves(mixer: Any) -> bool:
    """Whether a mixer, or one of several, moves pixels or covers them."""
    return any(map(_moves, getattr(mixer, "mixers", ()))) or mixer.options.moves_pixels


# How far a box may reach beyond the border, as a share of the image's size.
_ROOM = 1e-3


def _check_tensor(path: str, spec: Any) -> None:
    tensors = (tf.TensorSpec, tf.Tensor, tf.RaggedTensorSpec, tf.RaggedTensor)
    if not isinstance(spec, tensors):
        raise TypeError(
            f"{path} must be a tensor, dense or ragged, got {type(spec).__name__}. "
            "Take the key out of the dict of boxes." + see_docs("detection")
        )
    ragged = getattr(spec, "ragged_rank", 0) > 1
    if ragged or (spec.shape.rank or 0) < 2:
        raise ValueError(
            f"{path} must have one entry for each box, (batch, boxes, ...), got "
            f"{elements.describe(spec)}. Take the key out of the dict of boxes."
            + see_docs("detection")
        )
