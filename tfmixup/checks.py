"""Checks of arguments and elements. A message says what came and what to do."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Hashable, Sequence
from typing import Any

import tensorflow as tf

from tfmixup.pages import see

__all__ = [
    "batch_seed",
    "boolean",
    "choice",
    "dataset",
    "feature",
    "fraction",
    "keys",
    "lengths",
    "no_boxes",
    "non_negative",
    "positive_integer",
    "same_spec",
    "seed",
    "unit_range",
    "weight",
]


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def non_negative(owner: str, name: str, value: Any) -> None:
    """Refuses what is not a finite number >= 0."""
    if not _is_number(value):
        raise TypeError(
            f"{owner}: {name} must be a number, got {value!r} "
            f"({type(value).__name__}). Pass a Python float, such as {name}=0.2."
        )
    if not math.isfinite(value) or value < 0:
        raise ValueError(
            f"{owner}: {name} must be finite and not negative, got {value!r}. "
            f"Use {name}=0 for no mixing; 0.2 to 0.4 are usual for large data sets."
            + see("choosing_alpha")
        )


def fraction(owner: str, name: str, value: Any, *, below_one: bool = False) -> None:
    """Refuses what is not in [0, 1], or in [0, 1) with `below_one`."""
    bounds = "[0, 1)" if below_one else "[0, 1]"
    if not _is_number(value):
        raise TypeError(
            f"{owner}: {name} must be a number in {bounds}, got {value!r} "
            f"({type(value).__name__})."
        )
    if not 0 <= value <= 1 or (below_one and value == 1):
        raise ValueError(
            f"{owner}: {name} must be in {bounds}, got {value!r}. "
            "Give it as a share, not as a percentage."
        )


def unit_range(owner: str, name: str, value: Any) -> tuple[float, float]:
    """Refuses what is not (low, high) with 0 <= low < high <= 1."""
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or len(value) != 2
        or not all(_is_number(end) for end in value)
    ):
        raise TypeError(
            f"{owner}: {name} must be a pair of numbers (low, high), got {value!r}. "
            f"For example: {name}=(0.1, 0.9)."
        )
    low, high = float(value[0]), float(value[1])
    if not 0 <= low < high <= 1:
        raise ValueError(
            f"{owner}: {name} must satisfy 0 <= low < high <= 1, got ({low}, {high}). "
            f"For example: {name}=(0.1, 0.9)."
        )
    return low, high


def positive_integer(owner: str, name: str, value: Any, *, least: int = 1) -> None:
    """Refuses what is not an integer >= `least`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(
            f"{owner}: {name} must be an integer, got {value!r} "
            f"({type(value).__name__})."
        )
    if value < least:
        raise ValueError(f"{owner}: {name} must be at least {least}, got {value!r}.")


def seed(owner: str, value: Any) -> None:
    """Refuses what is neither None nor an integer."""
    if value is None:
        return
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(
            f"{owner}: seed must be an integer or None, got {value!r} "
            f"({type(value).__name__}). The same integer gives the same stream, None "
            "gives another one in every run." + see("guarantees")
        )


def dataset(owner: str, name: str, value: Any) -> None:
    """Refuses what is not a dataset."""
    if not isinstance(value, tf.data.Dataset):
        raise TypeError(
            f"{owner}: {name} must be a tf.data.Dataset, got {type(value).__name__}. "
            "Make one of arrays: tf.data.Dataset.from_tensor_slices((x, y))."
        )


def boolean(owner: str, name: str, value: Any) -> None:
    """Refuses what is not True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be True or False, got {value!r}.")


def choice(owner: str, name: str, value: Any, options: Sequence[Any]) -> None:
    """Refuses what is not one of `options` (1 is not True)."""
    if not any(value is o or (isinstance(value, str) and value == o) for o in options):
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{owner}: {name} must be one of {listed}; got {value!r}.")


def keys(owner: str, name: str, value: Any) -> tuple[str, ...]:
    """Refuses what is not a sequence of dict keys; returns it as a tuple."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        example = value if isinstance(value, str) else "image"
        raise TypeError(
            f"{owner}: {name} must be a tuple of dict keys, got {value!r}. "
            f"Write {name}=({example!r},)."
        )
    for key in value:
        if not isinstance(key, Hashable):
            raise TypeError(
                f"{owner}: {name} must hold dict keys, got {key!r} "
                f"({type(key).__name__}). Write {name}=('image',)."
            )
    if len(set(value)) < len(value):
        raise ValueError(f"{owner}: {name}={value!r} names a key twice.")
    return tuple(value)


def batch_seed(owner: str, value: Any) -> tf.Tensor:
    """Refuses what is not a pair of integers; returns it as int32 of shape (2,)."""
    seed = tf.convert_to_tensor(value)
    if not seed.dtype.is_integer or not seed.shape.is_compatible_with([2]):
        raise ValueError(
            f"{owner}: seed must be two integers, such as seed=[1, 2], got "
            f"{seed.dtype.name} of shape {seed.shape}. two_streams and in_batch take "
            "one integer."
        )
    return tf.cast(seed, tf.int32)


def _dense(owner: str, role: str, spec: Any) -> None:
    if not isinstance(spec, (tf.TensorSpec, tf.Tensor)):
        raise TypeError(
            f"{owner}: {role} must be dense tensors, got {spec!r}. Pad ragged ones "
            "(Dataset.padded_batch, RaggedTensor.to_tensor), densify sparse ones."
            + see("sound")
        )


def feature(owner: str, spec: Any, dtype: tf.DType) -> None:
    """Refuses features that cannot be blended into `dtype`."""
    _dense(owner, "features", spec)
    came = spec.dtype
    if not (came.is_floating or came.is_integer):
        raise TypeError(
            f"{owner}: features must be numbers, got {came.name} of shape "
            f"{spec.shape}. Decode or cast them first; a dict element's other keys "
            "pass through when feature_keys leaves them out."
        )
    if dtype == tf.uint8 and came != tf.uint8:
        raise TypeError(
            f"{owner}: dtype='uint8' keeps bytes as bytes and takes uint8 features, "
            f"got {came.name} of shape {spec.shape}. Use dtype='float32', or mix "
            "before the features are rescaled."
        )


def weight(owner: str, spec: Any) -> None:
    """Refuses sample weights that are not numbers."""
    _dense(owner, "sample weights", spec)
    if not (spec.dtype.is_floating or spec.dtype.is_integer):
        raise TypeError(
            f"{owner}: sample_weight must be numbers, got {spec.dtype.name} of shape "
            f"{spec.shape}. Cast it: tf.cast(sample_weight, tf.float32)."
        )


def same_spec(owner: str, name: str, first: Any, second: Any) -> None:
    """Refuses two element specs that differ in structure, dtype or shape."""

    def fail(what: str) -> None:
        raise ValueError(
            f"{owner}: {name} must yield elements like the dataset's, but {what}. "
            f"The dataset's: {first}; {name}: {second}. Map both to one structure, "
            "dtype and shape."
        )

    try:
        tf.nest.assert_same_structure(first, second)
    except (ValueError, TypeError):
        fail("their structures differ")
    for one, other in zip(tf.nest.flatten(first), tf.nest.flatten(second)):
        if one is None and other is None:  # both without sample weights
            continue
        if one is None or other is None:
            fail("only one of them has sample weights")
        if one.dtype != other.dtype:
            fail(f"{other.dtype.name} is not {one.dtype.name}")
        if not one.shape.is_compatible_with(other.shape):
            fail(f"shape {other.shape} is not {one.shape}")


_BOX = re.compile(r"(^|[_\W])(b?box(es)?|bounding[_\W]?box(es)?)$", re.IGNORECASE)


def no_boxes(owner: str, targets: Any) -> None:
    """Refuses bounding boxes, known by their name."""
    if not isinstance(targets, dict):
        for inner in targets if isinstance(targets, (tuple, list)) else ():
            no_boxes(owner, inner)
        return
    for key, inner in targets.items():
        if _BOX.search(str(key)):
            raise ValueError(
                f"{owner}: the target {key!r} looks like bounding boxes, and corners "
                "of boxes cannot be averaged: a mixed image has the boxes of both "
                "examples. Leave it out of target_keys and map a second, independently "
                "shuffled dataset's boxes in yourself (concatenated, each with its "
                "weight), or rename it if these are no boxes." + see("images_and_masks")
            )
        no_boxes(owner, inner)


def lengths(owner: str, specs: Any) -> None:
    """Refuses what is neither a length nor a padding mask."""
    for key, spec in (specs or {}).items():
        _dense(owner, "lengths", spec)
        if not (spec.dtype.is_integer or spec.dtype == tf.bool):
            raise TypeError(
                f"{owner}: length_keys name integer lengths or boolean padding masks, "
                f"but {key!r} is {spec.dtype.name} of shape {spec.shape}. Cast it."
            )
