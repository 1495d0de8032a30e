"""Decides the kind of every target of an element, once, from the element's spec."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfmixup.elements import Parts, describe
from tfmixup.options import Options
from tfmixup.targets import ClassIds, Floats, KeptIntegers, Masks, Target

__all__ = ["label_of", "resolve"]


def resolve(parts: Parts, options: Options) -> Any:
    """Decides the kind of every target, and refuses targets of no kind.

    Args:
      parts: specs of batches.
      options: the mixer's options.

    Returns:
      A nest of `Target`, with the structure of the targets.

    Raises:
      TypeError: a target is of strings or booleans, or ragged, or sparse.
      ValueError: an integer target fits no kind, or an option applies to no target.
    """
    classes = _classes(options.num_classes, parts.targets)
    resolved = tf.nest.map_structure(
        lambda spec, of: _resolve_one(spec, of, parts, options), parts.targets, classes
    )
    flat = tf.nest.flatten(resolved)
    if not flat and options.num_classes is not None:
        raise ValueError(
            f"num_classes={options.num_classes} is for targets, and the elements have "
            "none. Leave it out to mix features alone, or give (x, y)."
        )
    if flat:
        _check_options_are_used(flat, options)
        if parts.weights is not None:
            _check_weights(flat, tf.nest.flatten(parts.weights))
    return resolved


def _classes(num_classes: Any, targets: Any) -> Any:
    """A nest like the targets: each target's number of classes, or None."""
    if not tf.nest.is_nested(num_classes):
        return tf.nest.map_structure(lambda _: num_classes, targets)
    if isinstance(num_classes, dict) and isinstance(targets, dict):
        num_classes = {**dict.fromkeys(targets), **num_classes}
    try:
        tf.nest.assert_same_structure(targets, num_classes)
    except (ValueError, TypeError):
        structure = tf.nest.map_structure(describe, targets)
        raise ValueError(
            f"num_classes={num_classes!r} must be one number, or a nest of numbers "
            f"like the targets, or a dict by their keys; the targets are {structure}. "
            "A target without classes has None."
        ) from None
    return num_classes


def _resolve_one(
    spec: Any, num_classes: int | None, parts: Parts, options: Options
) -> Target:
    if not isinstance(spec, (tf.TensorSpec, tf.Tensor)):
        raise TypeError(
            f"targets must be dense tensors, got {spec!r}. Pad or densify "
            "them before mixing."
        )
    if not (spec.dtype.is_floating or spec.dtype.is_integer):
        raise TypeError(
            f"targets must be numbers, got {spec.dtype.name} of shape "
            f"{spec.shape}. Look class names up as integers (tf.keras.layers."
            "StringLookup), cast booleans to float32."
        )
    kind: type[Target] = ClassIds
    if spec.dtype.is_floating:
        kind = Floats
    elif options.targets == "pair" and num_classes is None:
        kind = KeptIntegers
    elif (spec.shape.rank or 0) >= 3:
        kind = Masks
    target = kind(spec, options, num_classes, _ignore_label(spec, parts, options))
    target.check(parts)
    return target


def _ignore_label(spec: tf.TensorSpec, parts: Parts, options: Options) -> float | None:
    """The mixer's `ignore_label`, or None if it does not apply to this target.

    An integer applies to class ids, and to floats only if no target is of integers. NaN
    applies to floats only.
    """
    label = options.ignore_label
    if label is None or (math.isnan(label) and spec.dtype.is_integer):
        return None
    several = tf.nest.flatten(parts.targets)
    ids = any(s.dtype.is_integer for s in several if isinstance(s, tf.TensorSpec))
    if spec.dtype.is_floating and ids and not math.isnan(label):
        return None
    return label


def _check_options_are_used(flat: list[Target], options: Options) -> None:
    specs = [target.spec for target in flat]
    several = ", ".join(map(describe, specs))
    if options.integer_masks and not any(isinstance(t, Masks) for t in flat):
        raise ValueError(
            "integer_masks=True is for integer masks (batch, height, width), "
            f"and the targets are {several}. Leave it out, or name the "
            "masks in target_keys."
        )
    label = options.ignore_label
    ids = any(spec.dtype.is_integer for spec in specs)
    if label is not None and (
        all(target.ignore_label is None for target in flat)
        or (options.num_classes is not None and not ids)
    ):
        raise ValueError(
            f"ignore_label={label} is for class ids, or for float targets without "
            f"classes, and the targets are {several}. An integer marks class ids "
            "that are not known, NaN or an integer floats that were not measured; "
            "give one-hot rows without a label the sample weight 0."
        )
    if tf.nest.is_nested(options.num_classes):
        for target in flat:
            _check_is_encoded(target)
        return
    if options.num_classes is None or ids:
        return
    if options.label_smoothing:
        raise ValueError(
            f"label_smoothing={options.label_smoothing} is for integer class "
            "labels, and these targets are floats already. Give class ids, or smooth "
            "in the loss: keras.losses.CategoricalCrossentropy(label_smoothing=...)."
        )
    if all(s.shape.rank < 2 or s.shape[-1] != options.num_classes for s in specs):
        raise ValueError(
            f"num_classes={options.num_classes} is for integer class labels, "
            f"but the targets are {several}. Cast class labels to an integer "
            "dtype, or leave num_classes out: float targets are mixed as they are."
        )


def _check_is_encoded(target: Target) -> None:
    classes, shape = target.num_classes, target.spec.shape
    if isinstance(target, Floats) and not (classes is None or shape[-1:] == [classes]):
        raise ValueError(
            f"num_classes={classes} is for a target of class ids, but it is "
            f"{describe(target.spec)}. Cast class ids to an integer dtype; a target "
            "without classes has None."
        )


def _check_weights(flat: list[Target], specs: list[tf.TensorSpec]) -> None:
    if len(specs) not in (1, len(flat)):
        raise ValueError(
            "sample weights must be one tensor or one for each of the "
            f"{len(flat)} targets, got {len(specs)}."
        )
    for k, target in enumerate(flat):
        spec, positions = specs[k % len(specs)], target.positions()
        shape = spec.shape
        if shape.rank > 1 and shape.rank > positions.rank and shape[-1] == 1:
            shape = shape[:-1]
        if shape.rank > positions.rank or not all(
            own in (1, None) or place in (own, None)
            for own, place in zip(shape, positions)
        ):
            raise ValueError(
                "a sample weight belongs to its target: it must be one for each "
                "example, (batch,), or have the first dimensions of the target, such "
                f"as (batch, height, width); got {describe(spec)} for the target "
                f"{describe(target.spec)}. Of several targets each can have its own: "
                "a nest of weights like that of the targets."
            )


def label_of(parts: Parts, target_keys: tuple[str, ...]) -> Any:
    """The label, for mixers that depend on the label.

    Args:
      parts: a batch or its specs.
      target_keys: the mixer's `target_keys`.

    Returns:
      The only target, or the first of `target_keys` in a dict element. It is a tensor,
      or its spec.

    Raises:
      ValueError: there are several targets, and no key names one of them.
    """
    targets = parts.targets
    if isinstance(targets, dict) and target_keys and target_keys[0] in targets:
        targets = targets[target_keys[0]]
    flat = tf.nest.flatten(targets)
    if len(flat) != 1:
        raise ValueError(
            f"this mixer looks at one label, and the elements have {len(flat)} "
            "targets. Map them to dicts and name the label first in "
            "target_keys=('label', ...)."
        )
    return flat[0]
