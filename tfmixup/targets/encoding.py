"""All targets of an element at once: checked, encoded, weighed."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup.blending import as_float, per_example
from tfmixup.elements import Parts, map_nest
from tfmixup.targets.class_ids import ClassIds
from tfmixup.targets.floats import Floats
from tfmixup.targets.kinds import Options, TargetKind
from tfmixup.targets.masks import Masks
from tfmixup.targets.untouched import Untouched

__all__ = [
    "Options",
    "check",
    "check_values",
    "encode",
    "normalise",
    "valid",
]

# The first that takes a target has it.
_KINDS: tuple[TargetKind, ...] = (Floats(), Untouched(), Masks(), ClassIds())


def check(owner: str, parts: Parts, options: Options) -> None:
    """Checks the specs of batched targets.

    Raises:
      TypeError: strings, booleans, ragged or sparse targets.
      ValueError: integers that no kind of target can be, or options that none of the
        targets is for.
    """
    specs = tf.nest.flatten(parts.targets)
    for spec in specs:
        _check_numbers(owner, spec)
        _kind(spec, options).check(owner, spec, parts, options)
    if not specs:
        return
    masks = any(isinstance(_kind(spec, options), Masks) for spec in specs)
    for name in ("ignore_label", "integer_masks"):
        value = getattr(options, name)
        if value not in (None, False) and not masks:
            raise ValueError(
                f"{owner}: {name}={value} is for integer masks (batch, height, width), "
                f"and the targets are {_several(specs)}. Leave it out, or name the "
                "masks in target_keys."
            )
    if options.ignore_label is not None and parts.weights is not None:
        _check_weights(owner, specs, tf.nest.flatten(parts.weights), options)
    if options.num_classes is None or any(spec.dtype.is_integer for spec in specs):
        return
    if options.label_smoothing:
        raise ValueError(
            f"{owner}: label_smoothing={options.label_smoothing} is for integer class "
            "labels, and these targets are floats already. Give class ids, or smooth "
            "in the loss: keras.losses.CategoricalCrossentropy(label_smoothing=...)."
        )
    if all(s.shape.rank < 2 or s.shape[-1] != options.num_classes for s in specs):
        raise ValueError(
            f"{owner}: num_classes={options.num_classes} is for integer class labels, "
            f"but the targets are {_several(specs)}. Cast class labels to an integer "
            "dtype, or leave num_classes out: float targets are mixed as they are."
        )


def check_values(owner: str, nest: Any, options: Options) -> tf.Operation:
    """Makes a batch with bad labels raise, such as a class id beyond `num_classes`.

    To be run outside an XLA-compiled function, in which asserts vanish.

    Returns:
      An operation to depend on.
    """
    checks = []
    for target in tf.nest.flatten(nest):
        checks += _kind(target, options).check_values(owner, target, options)
    return tf.group(*checks)


def encode(nest: Any, options: Options) -> Any:
    """What targets become before they are mixed.

    Class ids become float32 (B, C), `(1 − ε)·one_hot(y) + ε/C`, and masks
    (B, H, W, C); floats stay as they are.

    Args:
      nest: targets (B, ...).
      options: the mixer's.

    Returns:
      A nest of the same structure.

    Examples:
      >>> y = encode(tf.constant([1]), Options(num_classes=2, label_smoothing=0.2))
      >>> y.numpy().round(2).tolist()
      [[0.10000000149011612, 0.8999999761581421]]
    """
    return map_nest(lambda t: _kind(t, options).encode(t, options), nest)


def valid(nest: Any, weights: Any, options: Options) -> Any:
    """Sample weights in which ignored pixels have none.

    Args:
      nest: targets that are not encoded.
      weights: the element's sample weights, or None.
      options: the mixer's.

    Returns:
      `weights` where nothing is ignored; else weights for one target, or a nest of
      them for a nest of targets: float32 (B, H, W) for masks, (B,) for others.
    """
    if options.ignore_label is None:
        return weights
    flat = tf.nest.flatten(nest)
    given = [None] if weights is None else tf.nest.flatten(weights)
    if len(given) == 1:
        given *= len(flat)
    made = [_weight(*pair, options) for pair in zip(flat, given)]
    return made[0] if len(made) == 1 else tf.nest.pack_sequence_as(nest, made)


def _weight(target: tf.Tensor, given: tf.Tensor | None, options: Options) -> tf.Tensor:
    fine = _kind(target, options).valid(target, options)
    if fine is None:
        if given is not None:
            return as_float(given)
        return tf.ones(tf.shape(target)[:1], tf.float32)
    if given is None:
        return fine
    if given.shape.rank < fine.shape.rank:
        given = per_example(given, fine)
    elif given.shape.rank > fine.shape.rank:  # (B, H, W, 1)
        given = tf.squeeze(given, -1)
    return fine * tf.cast(given, tf.float32)


def normalise(raw: tf.Tensor, mixed: tf.Tensor, options: Options) -> tf.Tensor:
    """Finishes a blended target; `raw` is one of the two, not encoded."""
    return _kind(raw, options).normalise(mixed, options)


def _kind(spec: Any, options: Options) -> TargetKind:
    return next(kind for kind in _KINDS if kind.takes(spec, options))


def _check_numbers(owner: str, spec: Any) -> None:
    if not isinstance(spec, (tf.TensorSpec, tf.Tensor)):
        raise TypeError(
            f"{owner}: targets must be dense tensors, got {spec!r}. Pad or densify "
            "them before mixing."
        )
    if not (spec.dtype.is_floating or spec.dtype.is_integer):
        raise TypeError(
            f"{owner}: targets must be numbers, got {spec.dtype.name} of shape "
            f"{spec.shape}. Look class names up as integers (tf.keras.layers."
            "StringLookup), cast booleans to float32."
        )


def _check_weights(
    owner: str, specs: list[Any], weights: list[Any], options: Options
) -> None:
    if len(weights) not in (1, len(specs)):
        raise ValueError(
            f"{owner}: with ignore_label, sample weights must be one tensor or one "
            f"for each of the {len(specs)} targets, got {len(weights)}."
        )
    for k, spec in enumerate(specs):
        weight = weights[k % len(weights)]
        kind = _kind(spec, options)
        if isinstance(kind, Masks) and not kind.takes_weights(spec, weight):
            raise ValueError(
                f"{owner}: with ignore_label, the sample weights of masks of shape "
                f"{spec.shape} must be (batch,) or have the masks' shape, got "
                f"{weight.dtype.name}{weight.shape}."
            )


def _several(specs: list[Any]) -> str:
    return ", ".join(f"{spec.dtype.name}{spec.shape}" for spec in specs)
