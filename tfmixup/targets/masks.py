"""Masks: one class id a pixel, for segmentation."""

from __future__ import annotations

import tensorflow as tf

from tfmixup.elements import Parts
from tfmixup.pages import see
from tfmixup.targets import kinds
from tfmixup.targets.kinds import Options, TargetKind

__all__ = ["Masks"]


class Masks(TargetKind):
    """Integers (B, H, W), (B, T, H, W), either with a last dimension of 1 or not.

    They become float32 (B, H, W, C), or stay class ids where a mixer only moves pixels.
    """

    def takes(self, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether it is of an integer dtype and has pixels."""
        return spec.dtype.is_integer and (spec.shape.rank or 0) >= 3

    def check(
        self, owner: str, spec: tf.TensorSpec, parts: Parts, options: Options
    ) -> None:
        """Refuses masks without `num_classes`, or that fit no image of the element."""
        came = f"{spec.dtype.name}{spec.shape}"
        if options.num_classes is None:
            raise ValueError(
                f"{owner}: targets are integer masks ({came}), and class ids cannot be "
                "averaged. Pass num_classes=..., so that they are one-hot encoded."
                + see("images_and_masks")
            )
        size = _without_channel(spec.shape)[1:]
        images = [
            feature.shape
            for feature in tf.nest.flatten(parts.features)
            if feature.shape.rank == size.rank + 2
        ]
        if not any(size.is_compatible_with(image[1:-1]) for image in images):
            raise ValueError(
                f"{owner}: a mask must have the size of its image, (batch, height, "
                f"width) or (batch, height, width, 1), got {came} beside features "
                f"{_shapes(parts)}. Resize it with method='nearest'; give images a "
                "dimension for channels; cast masks that are one-hot already to "
                "float32." + see("images_and_masks")
            )

    def takes_weights(self, spec: tf.TensorSpec, weight: tf.TensorSpec) -> bool:
        """Whether sample weights are one an example, or one a pixel."""
        shape = weight.shape
        if shape.rank == 1 or (shape.rank == 2 and shape[1] == 1):
            return True
        return _without_channel(shape).is_compatible_with(_without_channel(spec.shape))

    def check_values(
        self, owner: str, target: tf.Tensor, options: Options
    ) -> list[tf.Operation]:
        """Makes a class id outside [0, num_classes) raise, unless it is ignored."""
        besides, classes = "", target
        if options.ignore_label is not None:
            besides = f" or ignore_label={options.ignore_label}"
            ignored = _is(target, options.ignore_label)
            classes = tf.where(ignored, tf.zeros_like(target), target)
        # The ends alone: a mask of int64 would be eight times the memory of uint8.
        ends = [
            tf.cast(end(classes), tf.int64) for end in (tf.reduce_min, tf.reduce_max)
        ]
        empty = tf.size(target) == 0
        fine = empty | ((ends[0] >= 0) & (ends[1] < options.num_classes))
        message = (
            f"{owner}: masks must be in [0, {options.num_classes}){besides}, but this "
            "batch has others. Set num_classes to the highest label + 1, shift labels "
            "that start at 1, name the label of pixels to leave out as ignore_label. "
            "Lowest and highest label:"
        )
        return [tf.debugging.Assert(fine, [message, *ends])]

    def encode(self, target: tf.Tensor, options: Options) -> tf.Tensor:
        """One-hot with a row of zeros where ignored, or the ids as they are."""
        if options.integer_masks:
            return target
        hot = kinds.one_hot(_ids(target), options)
        valid = self.valid(target, options)
        return hot if valid is None else hot * valid[..., tf.newaxis]

    def valid(self, target: tf.Tensor, options: Options) -> tf.Tensor | None:
        """float32 (B, H, W): 0 where the label is `ignore_label`."""
        if options.ignore_label is None:
            return None
        return tf.cast(~_is(_ids(target), options.ignore_label), tf.float32)

    def normalise(self, mixed: tf.Tensor, options: Options) -> tf.Tensor:
        """Rows that sum to 1 again where one of two pixels was ignored.

        The weights carry what is missing: w·y is λ·v_i·y_i + (1 − λ)·v_j·y_j, so
        that a loss which is linear in y sees each valid pixel with its own share.
        Sample weights of the element's own are blended beside that, as everywhere.
        """
        if options.ignore_label is None or options.integer_masks:
            return mixed
        mass = tf.reduce_sum(mixed, axis=-1, keepdims=True)
        return tf.math.divide_no_nan(mixed, mass)


def _ids(target: tf.Tensor) -> tf.Tensor:
    rank = _without_channel(target.shape).rank
    return target if rank == target.shape.rank else tf.squeeze(target, -1)


def _is(ids: tf.Tensor, label: int) -> tf.Tensor:
    """Whether an id is `label`, which its dtype may be too small to hold."""
    if not ids.dtype.min <= label <= ids.dtype.max:
        return tf.zeros_like(ids, tf.bool)
    return ids == tf.constant(label, ids.dtype)


def _without_channel(shape: tf.TensorShape) -> tf.TensorShape:
    return shape[:-1] if shape.rank > 3 and shape[-1] == 1 else shape


def _shapes(parts: Parts) -> str:
    return ", ".join(str(spec.shape) for spec in tf.nest.flatten(parts.features))
