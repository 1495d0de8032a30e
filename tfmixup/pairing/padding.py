"""Examples of different length: padded within a batch, then between two batches."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup import elements
from tfmixup.mixers.base import Mixer
from tfmixup.pages import see

__all__ = ["check", "padded_batch", "to_same_length", "values_like"]


def check(owner: str, padded_shapes: Any, padding_values: Any) -> None:
    """Refuses values to pad with where nothing is padded."""
    if padded_shapes is None and padding_values is not None:
        raise ValueError(
            f"{owner}: padding_values={padding_values!r} needs padded_shapes, such as "
            "([None], []) for waveforms of any length and scalar labels." + see("sound")
        )


def values_like(spec: Any, padding_values: Any) -> Any:
    """What every component of an element is padded with: a nest like its spec.

    Args:
      spec: the element_spec.
      padding_values: None for zeros (empty strings, False), one value for every
        component, or a nest in which None is the default.
    """

    def value(component: tf.TensorSpec, given: Any) -> Any:
        if given is not None:
            return tf.cast(given, component.dtype)
        return tf.zeros([], component.dtype)

    if not tf.nest.is_nested(padding_values):
        padding_values = tf.nest.map_structure(lambda _: padding_values, spec)
    return tf.nest.map_structure(value, spec, padding_values)


def padded_batch(
    owner: str,
    dataset: tf.data.Dataset,
    batch_size: int,
    padded_shapes: Any,
    padding_values: Any,
    drop_remainder: bool,
    num_parallel_calls: int | None = None,
) -> tf.data.Dataset:
    """`Dataset.padded_batch`, or `Dataset.batch` without `padded_shapes`."""
    if padded_shapes is None:
        return dataset.batch(
            batch_size,
            drop_remainder=drop_remainder,
            num_parallel_calls=num_parallel_calls,
            deterministic=None if num_parallel_calls is None else True,
        )
    try:
        return dataset.padded_batch(
            batch_size,
            padded_shapes,
            values_like(dataset.element_spec, padding_values),
            drop_remainder=drop_remainder,
        )
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{owner}: padded_shapes={padded_shapes!r} and padding_values="
            f"{padding_values!r} must have the structure of the elements, "
            f"{dataset.element_spec}, with None for every dimension that varies, as "
            f"in tf.data.Dataset.padded_batch: {error}"
        ) from None


def to_same_length(mixer: Mixer, one: Any, other: Any, values: Any) -> tuple[Any, Any]:
    """Pads two batches to the longer of both in every dimension that is not static.

    Args:
      mixer: its keys tell what is mixed; a dict element's other keys stay.
      one: a batch.
      other: a batch of the same structure.
      values: what `values_like` returned.

    Returns:
      The two batches.
    """
    first, second, pads = (mixer.split(nest) for nest in (one, other, values))
    made = [
        elements.map_parts(_pad, part, like, pads)._replace(extras=part.extras)
        for part, like in ((first, second), (second, first))
    ]
    return elements.join(made[0]), elements.join(made[1])


def _pad(tensor: tf.Tensor, like: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    varies = [size is None for size in tensor.shape[1:]]
    if not any(varies):
        return tensor
    missing = tf.maximum(tf.shape(like) - tf.shape(tensor), 0)
    # Not the batch: a partner of the last, shorter batch is cut.
    missing *= tf.constant([0, *varies], tf.int32)
    padded = tf.pad(
        tensor, tf.stack([tf.zeros_like(missing), missing], 1), constant_values=value
    )
    return tf.ensure_shape(padded, tensor.shape)
