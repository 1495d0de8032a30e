"""What each kind of target becomes, and how two targets become one.

A kind encodes, weighs and combines the batches of one target. To add a kind, write its
class here, and let `tfmixup.kinds` choose the class.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmixup import elements
from tfmixup.blending import Recipe, as_float, at_ends, blend, of_rank
from tfmixup.checks import see_docs
from tfmixup.elements import Parts, describe
from tfmixup.options import Options

__all__ = [
    "ClassIds",
    "Floats",
    "KeptIntegers",
    "Masks",
    "Target",
    "check_values",
    "mix",
    "or_nan",
]


class Target(abc.ABC):
    """One target of the elements, and how it is encoded and mixed.

    Args:
      spec: the spec of a batch of the target, (B, ...).
      options: the mixer's options.
      num_classes: the target's number of classes. None for a target without classes.
      ignore_label: the mixer's. None if it does not apply to this target.
    """

    def __init__(
        self,
        spec: tf.TensorSpec,
        options: Options,
        num_classes: int | None,
        ignore_label: float | None,
    ) -> None:
        self.spec, self.options = spec, options
        self.num_classes, self.ignore_label = num_classes, ignore_label

    def check(self, parts: Parts) -> None:  # noqa: B027 - nothing to refuse by default
        """Refuses the target by its spec; `parts` are the element's specs."""

    def check_values(self, caller: str, *targets: tf.Tensor) -> list[tf.Operation]:
        """Operations that raise at bad values in batches. They run outside XLA."""
        return []

    def are_fine(self, target: tf.Tensor) -> tf.Tensor | None:
        """Whether all values are allowed. None if this kind allows any value."""
        return None

    @abc.abstractmethod
    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """Encodes the target before it is combined with another: (B, ...)."""

    def allowed(self) -> str:
        """The class ids that are allowed, for a message."""
        classes = f"[0, {self.num_classes})"
        if self.ignore_label is None:
            return classes
        return f"{classes} or ignore_label={self.ignore_label}"

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32: 0 where the label is `ignore_label`, else 1. None means all 1."""
        return None

    def one_hot(self, ids: tf.Tensor) -> tf.Tensor:
        """`(1 − ε)·one_hot(y) + ε/C`, zeros where ignored: float32 (..., C)."""
        classes, smoothing = int(self.num_classes or 0), self.options.label_smoothing
        # tf.one_hot takes no uint16, uint32 and uint64. Checked ids fit into int32.
        hot = tf.one_hot(
            tf.cast(ids, tf.int32),
            classes,
            on_value=1.0 - smoothing + smoothing / classes,
            off_value=smoothing / classes,
            dtype=tf.float32,
        )
        validity = _validity(ids, self.ignore_label)
        return hot if validity is None else hot * validity[..., tf.newaxis]

    def positions(self) -> tf.TensorShape:
        """The dimensions of the target that sample weights may have."""
        return self.spec.shape

    def mix(
        self,
        first: tf.Tensor,
        second: tf.Tensor,
        weights: tuple[tf.Tensor, tf.Tensor] | None,
        recipe: Recipe,
    ) -> tuple[Any, tf.Tensor | None]:
        """Makes one target of two, and one sample weight.

            W = λ·w_i + (1 − λ)·w_j
            λ′ = λ·w_i / W, and λ where W is 0 or there are no weights

            "blend":  λ′·y_i + (1 − λ′)·y_j
            "pair":   (y_i, y_j, λ′), for losses that are not linear in the label
            "union":  max(y_i, y_j), of labels that have a share and a weight

        Hence W·ℓ(y) = λ·w_i·ℓ(y_i) + (1 − λ)·w_j·ℓ(y_j) for every loss ℓ that is linear
        in the label. A label of weight 0 has no share, whatever its value is.

        Args:
          first: the first targets (B, ...), not encoded.
          second: the second targets, like `first`.
          weights: of both, (B,) or with more of the target's dimensions. Or None.
          recipe: the mixer's recipe.

        Returns:
          The target (B, ...), and W or None. For "pair" the target is a tuple of three,
          with λ′ of shape (B,) or of the weights' shape.
        """
        mixed = self.encode(first)
        weight = None if weights is None else weights[0]
        for other_of, share in recipe.steps(first):
            other = self.encode(other_of(second, second))
            if weight is not None and weights is not None:
                w_other = other_of(weights[1], second)
                mixed, other = _taught(mixed, weight), _taught(other, w_other)
                weight, share = _weigh(weight, w_other, share)
            mixed = self.combine(mixed, other, share)
        if weight is not None:
            weight = recipe.moved_of(weight, first)
        return recipe.moved_of(mixed, first), weight

    def combine(self, first: tf.Tensor, second: tf.Tensor, share: tf.Tensor) -> Any:
        """Combines encoded targets, by the first one's share (B,), (1,) or more."""
        if self.options.targets == "pair":
            shape = tf.shape(first)[: share.shape.rank]
            return first, second, tf.broadcast_to(share, shape)
        if self.options.targets == "union":
            first, second = as_float(first), as_float(second)
            return at_ends(share, first, second, tf.maximum(first, second))
        return blend(first, second, share, first.dtype)


def _taught(target: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Sets infinities and NaN to 0 where the weight is 0, because 0·∞ is NaN."""
    if not target.dtype.is_floating:
        return target
    nothing = (_fitted(weight, target) == 0) & ~tf.math.is_finite(target)
    return tf.where(nothing, tf.zeros_like(target), target)


def _weigh(
    first: tf.Tensor, second: tf.Tensor, share: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mixed weight W, and the first label's share λ′ of it."""
    rank = max(first.shape.rank, share.shape.rank)
    first, second, lam = (of_rank(t, rank) for t in (first, second, share))
    compute = tf.float64 if first.dtype == tf.float64 else tf.float32
    lam, total = tf.cast(lam, compute), blend(first, second, lam, compute)
    part = tf.where(total == 0, lam, lam * tf.cast(first, compute) / total)
    part = at_ends(lam, tf.ones_like(part), tf.zeros_like(part), part)
    while part.shape.rank > 1 and part.shape[-1] == 1:
        part = part[..., 0]
    return tf.cast(total, first.dtype), part


def _fitted(weight: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Gives a weight the rank of its target."""
    rank = target.shape.rank
    return of_rank(weight if weight.shape.rank <= rank else weight[..., 0], rank)


class Floats(Target):
    """Floats of any shape: one-hot, multi-hot, regression, depth maps."""

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """The target as it is, with 0 where it is not known."""
        return _known(target, self.validity(target))

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32 like the target: 0 where it is `ignore_label`, which may be NaN."""
        if self.ignore_label is None:
            return None
        if math.isnan(self.ignore_label):
            return tf.cast(~tf.math.is_nan(target), tf.float32)
        return tf.cast(target != self.ignore_label, tf.float32)


class KeptIntegers(Target):
    """Integers that a pair carries along: sequences for CTC, ranks, class ids."""

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """The target, with 0 where it is ignored, because losses refuse other ids."""
        return _without_ignored(target, self.ignore_label)

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32, of the target's shape: 0 where it is `ignore_label`."""
        return _validity(target, self.ignore_label)


class Masks(Target):
    """Integers (B, H, W) or (B, T, H, W), with or without a last dimension of 1.

    They become float32 (B, H, W, C), or stay class ids if a mixer only moves pixels.
    """

    def check(self, parts: Parts) -> None:
        """Refuses masks without `num_classes`, or that fit no image of the element."""
        came = describe(self.spec)
        if self.num_classes is None:
            raise ValueError(
                f"targets are integer masks ({came}), and class ids cannot be "
                "averaged. Pass num_classes=..., so that they are one-hot encoded."
                + see_docs("images_and_masks")
            )
        size = _without_channel(self.spec.shape)[1:]
        features = [feature.shape for feature in tf.nest.flatten(parts.features)]
        if not any(_is_mask_of(size, image) for image in features):
            raise ValueError(
                "a mask must have the size of its image, (batch, height, "
                f"width) or (batch, height, width, 1), got {came} beside features "
                f"{', '.join(map(str, features))}. Resize it with method='nearest'; "
                "give images a dimension for channels; cast masks that are one-hot "
                "already to float32." + see_docs("images_and_masks")
            )

    def positions(self) -> tf.TensorShape:
        """The mask's pixels."""
        return _without_channel(self.spec.shape)

    def check_values(self, caller: str, *targets: tf.Tensor) -> list[tf.Operation]:
        """Makes a class id outside [0, num_classes) raise, unless it is ignored."""
        return [self._check_ids(caller, target) for target in targets]

    def _check_ids(self, caller: str, target: tf.Tensor) -> tf.Operation:
        ends = self._ends(target)
        message = (
            f"{caller}: masks must be in {self.allowed()}, but this "
            "batch has others. Set num_classes to the highest label + 1, shift labels "
            "that start at 1, name the label of pixels to leave out as ignore_label. "
            "Lowest and highest label:"
        )
        fine = self._are_within(ends, target)
        return tf.debugging.Assert(fine, [message, *ends])

    def are_fine(self, target: tf.Tensor) -> tf.Tensor:
        """Whether all class ids are in [0, num_classes), or ignored."""
        return self._are_within(self._ends(target), target)

    def _are_within(self, ends: list[tf.Tensor], target: tf.Tensor) -> tf.Tensor:
        within = (ends[0] >= 0) & (ends[1] < self.num_classes)
        return (tf.size(target) == 0) | within

    def _ends(self, target: tf.Tensor) -> list[tf.Tensor]:
        # Cast the ends alone: a mask of int64 takes eight times the memory of uint8.
        classes = _without_ignored(target, self.ignore_label)
        return [
            tf.cast(end(classes), tf.int64) for end in (tf.reduce_min, tf.reduce_max)
        ]

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """One-hot with a row of zeros where ignored, or the ids as they are."""
        if self.options.integer_masks:
            return target
        return self.one_hot(_ids(target))

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32 (B, H, W): 0 where the label is `ignore_label`."""
        return _validity(_ids(target), self.ignore_label)

    def combine(self, first: tf.Tensor, second: tf.Tensor, share: tf.Tensor) -> Any:
        """As any target. Of integer masks, takes the class id of the shown pixel."""
        if not self.options.integer_masks:
            return super().combine(first, second, share)
        return tf.where(of_rank(share, first.shape.rank) == 1, first, second)


def _is_mask_of(size: tf.TensorShape, image: tf.TensorShape) -> bool:
    """Whether `size` fits images with channels last, channels first, or no channels.

    Beside images with channels, the mask may be smaller by a whole factor.
    """
    if image.rank == 3:
        return size.is_compatible_with(image[1:])
    for pixels in (image[1:-1], image[2:]):
        if size.is_compatible_with(pixels):
            return True
        if size.rank == pixels.rank and all(size) and None not in list(pixels):
            strides = {n / cells for n, cells in zip(pixels, size)} - {1}
            if len(strides) == 1 and strides.pop() % 1 == 0:
                return True
    return False


def _validity(ids: tf.Tensor, ignore_label: float | None) -> tf.Tensor | None:
    """float32: 0 where an id is `ignore_label`, else 1. None means all 1."""
    if ignore_label is None:
        return None
    # The dtype of the ids may be too small to hold the label.
    if not ids.dtype.min <= ignore_label <= ids.dtype.max:
        return tf.ones_like(ids, tf.float32)
    return tf.cast(ids != tf.constant(int(ignore_label), ids.dtype), tf.float32)


def _without_ignored(ids: tf.Tensor, ignore_label: float | None) -> tf.Tensor:
    """The ids, with class 0 where an id is `ignore_label`."""
    return _known(ids, _validity(ids, ignore_label))


def _known(target: tf.Tensor, validity: tf.Tensor | None) -> tf.Tensor:
    """The target, with 0 where it is not valid."""
    if validity is None:
        return target
    return tf.where(validity == 1, target, tf.zeros_like(target))


def _ids(target: tf.Tensor) -> tf.Tensor:
    rank = _without_channel(target.shape).rank
    return target if rank == target.shape.rank else tf.squeeze(target, -1)


def _without_channel(shape: tf.TensorShape) -> tf.TensorShape:
    return shape[:-1] if shape.rank > 3 and shape[-1] == 1 else shape


class ClassIds(Target):
    """Integers (B,) or (B, 1), one per example, or (B, T), one per feature frame.

    They become float32 (B, C), or (B, T, C).
    """

    def check(self, parts: Parts) -> None:
        """Refuses class ids without `num_classes` or of another shape."""
        spec, came = self.spec, describe(self.spec)
        if self.num_classes is None:
            raise ValueError(
                f"targets are integers ({came}), and "
                "class ids cannot be averaged. Pass num_classes=..., so that they are "
                "one-hot encoded, or cast multi-hot and regression targets to float32 "
                "(a label 0 or 1 for one sigmoid output: tf.cast(y, tf.float32) of "
                "shape (batch, 1))." + see_docs("guide")
            )
        if spec.shape.rank == 1 or (spec.shape.rank == 2 and spec.shape[1] == 1):
            return
        frames = spec.shape[1] if spec.shape.rank == 2 else 0
        features = [feature.shape for feature in tf.nest.flatten(parts.features)]
        if spec.shape.rank != 2 or not any(
            shape.rank > 1 and tf.TensorShape([frames]).is_compatible_with(shape[1:2])
            for shape in features
        ):
            raise ValueError(
                "integer class labels must have shape (batch,) or (batch, 1), or "
                "(batch, time) beside features (batch, time, ...),"
                f" got {came} beside features {', '.join(map(str, features))}. "
                "Cast targets that are one-hot or multi-hot already to float32. "
                "Sequences, as of CTC, need targets='pair' without num_classes."
                + see_docs("guide")
            )
        if frames == self.num_classes:
            raise ValueError(
                f"targets {came} may be one class id for each of {frames} frames, or "
                f"multi-hot labels of {frames} classes. Of frames make one-hot labels: "
                f"tf.one_hot(y, {frames}). Cast multi-hot labels to float32."
                + see_docs("guide")
            )

    def check_values(self, caller: str, *targets: tf.Tensor) -> list[tf.Operation]:
        """Makes a class id outside [0, num_classes) raise."""
        # One check of both batches is faster than two. Numbers of frames may differ.
        if len(targets) > 1 and self.spec.shape.rank == 1:
            targets = (tf.concat(targets, 0),)
        return [self._check_ids(caller, target) for target in targets]

    def _check_ids(self, caller: str, target: tf.Tensor) -> tf.Operation:
        message = (
            f"{caller}: integer labels must be in {self.allowed()}, but this "
            "batch has others. Set num_classes to the highest label + 1; shift labels "
            "that start at 1; name the label of examples that have none, such as -1, "
            "as ignore_label. Labels:"
        )
        fine = self.are_fine(target)
        return tf.debugging.Assert(fine, [message, target], summarize=1024)

    def are_fine(self, target: tf.Tensor) -> tf.Tensor:
        """Whether all class ids are in [0, num_classes), or ignored."""
        wide = tf.cast(_without_ignored(target, self.ignore_label), tf.int64)
        return tf.reduce_all((wide >= 0) & (wide < self.num_classes))

    def encode(self, target: tf.Tensor) -> tf.Tensor:
        """One-hot and smoothed, zeros where ignored: float32 (B, [T,] C)."""
        return self.one_hot(_of_examples(target))

    def validity(self, target: tf.Tensor) -> tf.Tensor | None:
        """float32 (B,) or (B, T): 0 where the label is `ignore_label`."""
        return _validity(_of_examples(target), self.ignore_label)

    def positions(self) -> tf.TensorShape:
        """The examples, or their frames."""
        return self.spec.shape[:1] if self.spec.shape[1:] == [1] else self.spec.shape


def _of_examples(ids: tf.Tensor) -> tf.Tensor:
    return tf.squeeze(ids, 1) if ids.shape[1:] == [1] else ids


def mix(resolved: Any, first: Parts, second: Parts, recipe: Recipe) -> tuple[Any, Any]:
    """Mixes the targets of two batches, and their sample weights.

    Args:
      resolved: what `resolve` returned.
      first: a batch. Its targets are not encoded.
      second: a batch like `first`.
      recipe: the mixer's recipe.

    Returns:
      The targets, and the weights or None, as `Target.mix` makes them. The weights are
      one tensor if the batches have one and it mixes alike for all targets, else one
      tensor for each target.
    """
    kinds = tf.nest.flatten(resolved)
    if not kinds:
        return first.targets, elements.map_nest(
            functools.partial(_mix_weight, recipe), first.weights, second.weights
        )
    mixed, weights = zip(
        *(
            kind.mix(a, b, None if None in both else both, recipe)
            for kind, a, b, both in zip(
                kinds,
                tf.nest.flatten(first.targets),
                tf.nest.flatten(second.targets),
                zip(_weights(kinds, first), _weights(kinds, second)),
            )
        )
    )
    return tf.nest.pack_sequence_as(resolved, mixed), _like(
        resolved, first.weights, weights
    )


def _mix_weight(recipe: Recipe, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The weight of examples without targets."""
    mixed = first
    for other_of, share in recipe.steps(first):
        mixed = blend(mixed, other_of(second, second), share)
    return recipe.moved_of(mixed, first)


def check_values(resolved: Any, caller: str, *given: Any) -> list[tf.Operation]:
    """Operations that raise at bad values in the targets of batches."""
    flat = map(tf.nest.flatten, (resolved, *given))
    return [
        check
        for kind, *values in zip(*flat)
        for check in kind.check_values(caller, *values)
    ]


def or_nan(resolved: Any, given: Any, mixed: Any) -> Any:
    """Mixed targets, all of them NaN if a given target has a value not allowed.

    XLA drops asserts, so that a compiled training step would silently train on.
    """
    flat = zip(tf.nest.flatten(resolved), tf.nest.flatten(given))
    fine = [kind.are_fine(target) for kind, target in flat]
    fine = [one for one in fine if one is not None]
    if not fine:
        return mixed
    all_fine = tf.reduce_all(fine)
    return tf.nest.map_structure(
        lambda t: tf.where(all_fine, t, math.nan) if t.dtype.is_floating else t, mixed
    )


def _weights(kinds: Sequence[Target], parts: Parts) -> list[tf.Tensor | None]:
    """The weight of every target: the given weight, but 0 where a label is ignored."""
    given = [None] if parts.weights is None else tf.nest.flatten(parts.weights)
    if len(given) == 1:
        given *= len(kinds)
    made = list(map(_weight, kinds, tf.nest.flatten(parts.targets), given))
    if all(weight is None for weight in made):
        return made
    size = tf.shape(tf.nest.flatten(parts.targets)[0])[:1]
    return [tf.ones(size) if weight is None else weight for weight in made]


def _weight(
    kind: Target, target: tf.Tensor, given: tf.Tensor | None
) -> tf.Tensor | None:
    validity = kind.validity(target)
    if validity is None or given is None:
        return validity if given is None else as_float(given)
    return validity * _fitted(tf.cast(given, tf.float32), validity)


def _like(resolved: Any, given: Any, mixed: Sequence[tf.Tensor | None]) -> Any:
    """The targets' weights, in the structure of the given weights if they fit it."""
    made = [weight for weight in mixed if weight is not None]
    if not made:
        return None
    if given is not None and len(tf.nest.flatten(given)) == len(made):
        return tf.nest.pack_sequence_as(given, made)
    one = given is not None and len({str(weight.shape) for weight in made}) == 1
    if len(made) == 1 or one:
        return made[0]
    return tf.nest.pack_sequence_as(resolved, made)
