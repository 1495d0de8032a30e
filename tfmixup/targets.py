"""Targets: what each kind of them becomes, and how two of them become one.

Of every target of an element the kind is decided once, from its spec and the mixer's
options; it then encodes, weighs and combines the batches. A new kind is a class here,
in `_KINDS`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup.blending import as_float, at_ends, per_example
from tfmixup.checks import see_docs
from tfmixup.elements import Parts, describe
from tfmixup.options import Options

__all__ = [
    "Target",
    "label_of",
    "resolve",
    "weights",
]


class Target(abc.ABC):
    """One target of the elements: what is made of it.

    Args:
      spec: of a batch of it, (B, ...).
      options: the mixer's.
    """

    def __init__(self, spec: tf.TensorSpec, options: Options) -> None:
        self.spec, self.options = spec, options

    @classmethod
    @abc.abstractmethod
    def matches(cls, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether a batch of this dtype and rank is of this kind."""

    def check(self, parts: Parts) -> None:  # noqa: B027 - nothing to refuse by default
        """Refuses the target by its spec; `parts` are the element's specs."""

    def check_values(self, caller: str, target: tf.Tensor) -> list[tf.Operation]:
        """Operations that raise at bad values; they run outside XLA."""
        return []

    @abc.abstractmethod
    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """What the target becomes before two are combined: (B, ...)."""

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32, 0 where the target carries no weight, else 1; None for all 1."""
        return None

    def normalise(self, mixed: tf.Tensor) -> tf.Tensor:
        """What is left to do after two encoded targets were blended."""
        return mixed

    def mix(
        self,
        first: tf.Tensor,
        second: tf.Tensor,
        lam: tf.Tensor,
        blend: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> Any:
        """Makes one target of two.

            "blend":  λ·y_i + (1 − λ)·y_j, or as the mixer has it
            "pair":   (y_i, y_j, λ), for losses that are not linear in the label
            "union":  max(y_i, y_j); y_i alone at λ = 1, y_j alone at λ = 0

        Args:
          first: (B, ...), not encoded.
          second: (B, ...).
          lam: float32 (B,) or (1,), the first one's share.
          blend: the mixer's way to blend two encoded targets by λ.

        Returns:
          (B, ...), or for "pair" a tuple of three, with λ of shape (B,).
        """
        first, second = self.encode(first), self.encode(second)
        if self.options.targets == "pair":
            return first, second, tf.broadcast_to(lam, tf.shape(first)[:1])
        if self.options.targets == "union":
            first, second = as_float(first), as_float(second)
            return at_ends(lam, first, second, tf.maximum(first, second))
        return self.normalise(blend(first, second, lam))

    def unmixed(self, target: tf.Tensor) -> Any:
        """What `mix` gives at λ = 1."""
        y = self.encode(target)
        if self.options.targets == "pair":
            return y, y, tf.ones(tf.shape(y)[:1], tf.float32)
        return as_float(y) if self.options.targets == "union" else y


class Floats(Target):
    """Floats of any shape: one-hot, multi-hot, regression, depth maps."""

    @classmethod
    def matches(cls, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether the dtype is a floating one."""
        return spec.dtype.is_floating

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """The target as it is."""
        return target


class KeptIntegers(Target):
    """Integers that a pair carries along: sequences for CTC, ranks, class ids."""

    @classmethod
    def matches(cls, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether targets are kept as pairs, and need not be one-hot for that."""
        return options.keeps_integers and spec.dtype.is_integer

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """The target as it is."""
        return target


class Masks(Target):
    """Integers (B, H, W), (B, T, H, W), either with a last dimension of 1 or not.

    They become float32 (B, H, W, C), or stay class ids where a mixer only moves pixels.
    """

    @classmethod
    def matches(cls, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether it is of an integer dtype and has pixels."""
        return spec.dtype.is_integer and (spec.shape.rank or 0) >= 3

    def check(self, parts: Parts) -> None:
        """Refuses masks without `num_classes`, or that fit no image of the element."""
        came = describe(self.spec)
        if self.options.num_classes is None:
            raise ValueError(
                f"targets are integer masks ({came}), and class ids cannot be "
                "averaged. Pass num_classes=..., so that they are one-hot encoded."
                + see_docs("images_and_masks")
            )
        size = _without_channel(self.spec.shape)[1:]
        features = [feature.shape for feature in tf.nest.flatten(parts.features)]
        images = [shape for shape in features if shape.rank == size.rank + 2]
        if not any(size.is_compatible_with(image[1:-1]) for image in images):
            raise ValueError(
                "a mask must have the size of its image, (batch, height, "
                f"width) or (batch, height, width, 1), got {came} beside features "
                f"{', '.join(map(str, features))}. Resize it with method='nearest'; "
                "give images a dimension for channels; cast masks that are one-hot "
                "already to float32." + see_docs("images_and_masks")
            )

    def check_weights(self, spec: tf.TensorSpec) -> None:
        """Refuses sample weights that are neither one an example nor one a pixel."""
        shape = spec.shape
        if shape.rank == 1 or (shape.rank == 2 and shape[1] == 1):
            return
        size = _without_channel(self.spec.shape)
        if not _without_channel(shape).is_compatible_with(size):
            raise ValueError(
                "with ignore_label, the sample weights of masks of shape "
                f"{self.spec.shape} must be (batch,) or have the masks' shape, got "
                f"{describe(spec)}."
            )

    def check_values(self, caller: str, target: tf.Tensor) -> list[tf.Operation]:
        """Makes a class id outside [0, num_classes) raise, unless it is ignored."""
        num_classes, ignore_label = self.options.num_classes, self.options.ignore_label
        besides, classes = "", target
        if ignore_label is not None:
            besides = f" or ignore_label={ignore_label}"
            classes = tf.where(self._ignored(target), tf.zeros_like(target), target)
        # The ends alone: a mask of int64 would be eight times the memory of uint8.
        ends = [
            tf.cast(end(classes), tf.int64) for end in (tf.reduce_min, tf.reduce_max)
        ]
        empty = tf.size(target) == 0
        fine = empty | ((ends[0] >= 0) & (ends[1] < num_classes))
        message = (
            f"{caller}: masks must be in [0, {num_classes}){besides}, but this "
            "batch has others. Set num_classes to the highest label + 1, shift labels "
            "that start at 1, name the label of pixels to leave out as ignore_label. "
            "Lowest and highest label:"
        )
        return [tf.debugging.Assert(fine, [message, *ends])]

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """One-hot with a row of zeros where ignored, or the ids as they are."""
        if self.options.integer_masks:
            return target
        hot = _one_hot(_ids(target), self.options)
        validity = self.validity(target)
        return hot if validity is None else hot * validity[..., tf.newaxis]

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32 (B, H, W): 0 where the label is `ignore_label`."""
        if self.options.ignore_label is None:
            return None
        return tf.cast(~self._ignored(_ids(target)), tf.float32)

    def normalise(self, mixed: tf.Tensor) -> tf.Tensor:
        """Rows that sum to 1 again where one of two pixels was ignored.

        The weights carry what is missing: w·y is λ·v_i·y_i + (1 − λ)·v_j·y_j, so
        that a loss which is linear in y sees each valid pixel with its own share.
        Sample weights of the element's own are blended beside that, as everywhere.
        """
        if self.options.ignore_label is None or self.options.integer_masks:
            return mixed
        mass = tf.reduce_sum(mixed, axis=-1, keepdims=True)
        return tf.math.divide_no_nan(mixed, mass)

    def _ignored(self, ids: tf.Tensor) -> tf.Tensor:
        """Whether an id is `ignore_label`, which its dtype may be too small to hold."""
        label = self.options.ignore_label
        if not ids.dtype.min <= label <= ids.dtype.max:
            return tf.zeros_like(ids, tf.bool)
        return ids == tf.constant(label, ids.dtype)


def _ids(target: tf.Tensor) -> tf.Tensor:
    rank = _without_channel(target.shape).rank
    return target if rank == target.shape.rank else tf.squeeze(target, -1)


def _without_channel(shape: tf.TensorShape) -> tf.TensorShape:
    return shape[:-1] if shape.rank > 3 and shape[-1] == 1 else shape


class ClassIds(Target):
    """Integers of shape (B,) or (B, 1), one an example; become float32 (B, C)."""

    @classmethod
    def matches(cls, spec: tf.TensorSpec, options: Options) -> bool:
        """Whether it is of an integer dtype: no other kind takes what is left."""
        return spec.dtype.is_integer

    def check(self, parts: Parts) -> None:
        """Refuses class ids without `num_classes` or of another shape."""
        spec, came = self.spec, describe(self.spec)
        if self.options.num_classes is None:
            raise ValueError(
                f"targets are integers ({came}), and "
                "class ids cannot be averaged. Pass num_classes=..., so that they are "
                "one-hot encoded, or cast multi-hot and regression targets to float32."
                + see_docs("guide")
            )
        if not (spec.shape.rank == 1 or (spec.shape.rank == 2 and spec.shape[1] == 1)):
            raise ValueError(
                "integer class labels must have shape (batch,) or (batch, 1),"
                f" got {came}. Cast targets that are one-hot or "
                "multi-hot already to float32." + see_docs("guide")
            )

    def check_values(self, caller: str, target: tf.Tensor) -> list[tf.Operation]:
        """Makes a class id outside [0, num_classes) raise."""
        wide = tf.cast(target, tf.int64)
        num_classes = self.options.num_classes
        fine = tf.reduce_all((wide >= 0) & (wide < num_classes))
        message = (
            f"{caller}: integer labels must be in [0, {num_classes}), but this "
            "batch has others. Set num_classes to the highest label + 1; shift labels "
            "that start at 1, and filter out those marked missing with -1. Labels:"
        )
        return [tf.debugging.Assert(fine, [message, target], summarize=1024)]

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """One-hot, smoothed: float32 (B, C)."""
        if target.shape.rank == 2:
            target = tf.reshape(target, tf.shape(target)[:1])
        return _one_hot(target, self.options)


def _one_hot(ids: tf.Tensor, options: Options) -> tf.Tensor:
    """`(1 − ε)·one_hot(y) + ε/C`, float32 (..., C)."""
    classes, smoothing = int(options.num_classes or 0), options.label_smoothing
    # uint16, uint32 and uint64 are not dtypes of tf.one_hot; checked ids fit.
    return tf.one_hot(
        tf.cast(ids, tf.int32),
        classes,
        on_value=1.0 - smoothing + smoothing / classes,
        off_value=smoothing / classes,
        dtype=tf.float32,
    )


# The first kind that matches a target has it.
_KINDS: tuple[type[Target], ...] = (Floats, KeptIntegers, Masks, ClassIds)


def resolve(parts: Parts, options: Options) -> Any:
    """Decides of which kind every target is, and refuses those that are of none.

    Args:
      parts: specs of batches.
      options: the mixer's.

    Returns:
      A nest of `Target`, of the structure of the targets.

    Raises:
      TypeError: strings, booleans, ragged or sparse targets.
      ValueError: integers that no kind of target can be, or options that none of the
        targets is for.
    """
    resolved = tf.nest.map_structure(
        lambda spec: _resolve_one(spec, parts, options), parts.targets
    )
    flat = tf.nest.flatten(resolved)
    if flat:
        _check_options_are_used(flat, options)
    if options.ignore_label is not None and parts.weights is not None:
        _check_weights(flat, tf.nest.flatten(parts.weights))
    return resolved


def _resolve_one(spec: Any, parts: Parts, options: Options) -> Target:
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
    kind = next(kind for kind in _KINDS if kind.matches(spec, options))
    target = kind(spec, options)
    target.check(parts)
    return target


def _check_options_are_used(flat: list[Target], options: Options) -> None:
    specs = [target.spec for target in flat]
    several = ", ".join(map(describe, specs))
    masks = any(isinstance(target, Masks) for target in flat)
    for name in ("ignore_label", "integer_masks"):
        value = getattr(options, name)
        if value not in (None, False) and not masks:
            raise ValueError(
                f"{name}={value} is for integer masks (batch, height, width), "
                f"and the targets are {several}. Leave it out, or name the "
                "masks in target_keys."
            )
    if options.num_classes is None or any(spec.dtype.is_integer for spec in specs):
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


def _check_weights(flat: list[Target], specs: list[tf.TensorSpec]) -> None:
    if len(specs) not in (1, len(flat)):
        raise ValueError(
            "with ignore_label, sample weights must be one tensor or one "
            f"for each of the {len(flat)} targets, got {len(specs)}."
        )
    for k, target in enumerate(flat):
        if isinstance(target, Masks):
            target.check_weights(specs[k % len(specs)])


def weights(resolved: Any, parts: Parts) -> Any:
    """Sample weights in which ignored pixels have none.

    Args:
      resolved: what `resolve` returned.
      parts: a batch, whose targets are not encoded.

    Returns:
      The batch's weights where nothing is ignored, as floats; else weights for one
      target, or a nest of them for a nest of targets: float32 (B, H, W) for masks,
      (B,) for others. None for none.
    """
    kinds, values = tf.nest.flatten(resolved), tf.nest.flatten(parts.targets)
    if all(kind.options.ignore_label is None for kind in kinds):
        if parts.weights is None:
            return None
        return tf.nest.map_structure(as_float, parts.weights)
    given = [None] if parts.weights is None else tf.nest.flatten(parts.weights)
    if len(given) == 1:
        given *= len(kinds)
    made = [_weight(*one) for one in zip(kinds, values, given)]
    return made[0] if len(made) == 1 else tf.nest.pack_sequence_as(resolved, made)


def _weight(kind: Target, target: tf.Tensor, given: tf.Tensor | None) -> tf.Tensor:
    validity = kind.validity(target)
    if validity is None:
        if given is not None:
            return as_float(given)
        return tf.ones(tf.shape(target)[:1], tf.float32)
    if given is None:
        return validity
    if given.shape.rank < validity.shape.rank:
        given = per_example(given, validity)
    elif given.shape.rank > validity.shape.rank:  # (B, H, W, 1)
        given = tf.squeeze(given, -1)
    return validity * tf.cast(given, tf.float32)


def label_of(parts: Parts, target_keys: tuple[str, ...]) -> Any:
    """The label, for mixers that look at one.

    Args:
      parts: a batch or its specs.
      target_keys: the mixer's.

    Returns:
      The only target, or the first of `target_keys` in a dict element: a tensor or its
      spec.

    Raises:
      ValueError: there are several targets, and no key tells which is meant.
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
