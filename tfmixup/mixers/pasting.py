"""Pasting a box: which axes it spans, in features, targets and weights."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import tensorflow as tf

from tfmixup.blending import Recipe
from tfmixup.checks import see_docs
from tfmixup.elements import Parts, describe
from tfmixup.mixers import boxes
from tfmixup.options import Options

__all__ = [
    "axes_of",
    "box_rank",
    "check_spec",
    "check_values",
    "checked_axes",
    "find",
    "paste_recipe",
    "size_of",
]

_Resize = Callable[[tf.Tensor, Sequence[int], bool], tf.Tensor]


class _Pasting(Protocol):
    """A mixer that pastes a box; it has `axes`, and the options of all mixers."""

    # Whether one entry of a target may stand for several elements of the features along
    # each axis.
    blends_cells: ClassVar[bool]

    @property
    def axes(self) -> tuple[int, ...] | None: ...

    @property
    def options(self) -> Options: ...

    @property
    def name(self) -> str: ...


def box_rank(axes: tuple[int, ...] | None) -> int:
    """How many axes a box spans."""
    return 2 if axes is None else len(axes)


def size_of(features: Any, axes: tuple[int, ...] | None) -> boxes.Size:
    """The size of batched features along the box's axes, integers where static."""
    first = tf.nest.flatten(features)[0]
    return [boxes.length(first, axis) for axis in axes_of(first, axes)]


def axes_of(feature: tf.Tensor, axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """The axes of a feature that a box spans."""
    rank = feature.shape.rank
    return (rank - 3, rank - 2) if axes is None else axes


def paste_recipe(
    mixer: _Pasting, box: boxes.Box, features: Any, resize: _Resize | None = None
) -> Recipe:
    """The recipe that takes the second example inside the box and the first outside.

    Targets that have the axes of the box are pasted like features. If these axes are
    shorter in a target, an entry of the target is a cell of several elements. A cell is
    blended by the share of its elements that are kept. Other targets are blended by the
    share of all elements that are kept.

    Args:
      mixer: the mixer, whose `axes` and `dtype` count.
      box: where to paste.
      features: the first batch's features. The same box is pasted at all positions
        along their other axes.
      resize: a function that resizes a tensor of the second batch to the box; None to
        paste the tensor as it is. Its arguments are the tensor (B, ...), the box's axes
        in the tensor, and whether the result may hold only values of the tensor, as is
        necessary for class ids.

    Returns:
      The mixer's `Recipe`.
    """
    size = size_of(features, mixer.axes)
    lam = boxes.kept_share(box, size)

    def feature(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        axes = axes_of(first, mixer.axes)
        if resize is not None:
            second = resize(second, axes, False)
        inside = boxes.inside(box, size, axes, first.shape.rank)
        mixed = tf.where(inside, second, tf.cast(first, second.dtype))
        return tf.cast(mixed, mixer.options.dtype)

    def share(target: tf.Tensor) -> tf.Tensor:
        place = find(target, features, mixer)
        if place is None:
            return lam  # 1 where a box is too small to hold a pixel
        axes, stride = place
        rank = axes[-1] + 1
        if stride == 1:
            kept = tf.cast(~boxes.inside(box, size, axes, rank), tf.float32)
        else:
            pasted = boxes.inside_cells(box, size, axes, rank, stride)
            kept = boxes.share_outside(pasted, stride ** len(size))
        return tf.broadcast_to(kept, tf.shape(target)[:rank])

    def second(part: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        place = find(target, features, mixer)
        if resize is None or place is None or part.shape.rank <= place.axes[-1]:
            return part
        return resize(part, place.axes, True)

    return Recipe(feature, lam, share, second)


def check_spec(mixer: _Pasting, parts: Parts) -> None:
    """Refuses batches, by their specs, in which no box can be pasted into all parts."""
    _check_features(parts.features, mixer)
    for target in tf.nest.flatten(parts.targets):
        if isinstance(target, tf.TensorSpec):
            _check_target(target, parts.features, mixer)


def check_values(mixer: _Pasting, parts: Parts) -> list[tf.Operation]:
    """Checks sizes that no spec shows: they raise where they differ."""
    axes = [(x, axes_of(x, mixer.axes)) for x in tf.nest.flatten(parts.features)]
    targets, weights = map(tf.nest.flatten, (parts.targets, parts.weights))
    for k, target in enumerate(targets):
        place = find(target, parts.features, mixer)
        if place is None or place.stride > 1:
            continue
        axes.append((target, place.axes))
        if _spans(weights[k % len(weights)], place.axes):
            axes.append((weights[k % len(weights)], place.axes))
    if not any(None in _along(tensor.shape, a) for tensor, a in axes):
        return []
    sizes = tf.stack([tf.gather(tf.shape(tensor), a) for tensor, a in axes])
    message = (
        f"{mixer.name}: images, masks and weights of pixels must have one size "
        "along the axes of the box, above 0, but in this batch they have:"
    )
    same = tf.reduce_all((sizes == sizes[:1]) & (sizes > 0))
    return [tf.debugging.Assert(same, [message, sizes], summarize=64)]


def _spans(weight: tf.Tensor | None, axes: Sequence[int]) -> bool:
    """Whether a weight has these axes; a length of 1 is one weight for all."""
    if weight is None or weight.shape.rank <= axes[-1]:
        return False
    return 1 not in _along(weight.shape, axes)


def checked_axes(axes: Any) -> tuple[int, ...] | None:
    """Refuses invalid `axes` of a batch; returns them as a tuple, or None."""
    if axes is None:
        return None
    example = f"({axes},)" if isinstance(axes, int) else "(2, 3)"
    if (
        not isinstance(axes, Sequence)
        or isinstance(axes, str)
        or not all(
            isinstance(a, numbers.Integral) and type(a) is not bool for a in axes
        )
    ):
        raise TypeError(
            f"axes must be a tuple of integers, got {axes!r}. Write axes={example}."
        )
    if not axes or min(axes) < 1 or list(axes) != sorted(set(axes)):
        raise ValueError(
            f"axes must be ascending and at least 1, got {tuple(axes)!r}. They count "
            "from the batch, which is axis 0: axes=(1, 2) are height and width of "
            "(batch, height, width, channels), axes=(2, 3) those of (batch, channels, "
            "height, width)."
        )
    return tuple(map(int, axes))


def _along(shape: tf.TensorShape, axes: Sequence[int]) -> list[int | None]:
    return [shape[axis] for axis in axes]


# Features ---------------------------------------------------------------------------


def _check_features(features: Any, mixer: _Pasting) -> None:
    name, flat = type(mixer).__name__, tf.nest.flatten(features)
    for spec in flat:
        if mixer.axes is None:
            _check_image(spec, name)
        elif spec.shape.rank <= mixer.axes[-1]:
            raise ValueError(
                f"axes={mixer.axes} are not all there in {describe(spec)}, where the "
                "batch is axis 0. Leave other features out of feature_keys."
            )
        if 0 in _along(spec.shape, axes_of(spec, mixer.axes)):
            raise ValueError(
                f"{name} needs elements along the axes of the box, got "
                f"{describe(spec)}."
            )
    first = tf.TensorShape(_along(flat[0].shape, axes_of(flat[0], mixer.axes)))
    for spec in flat[1:]:
        if not first.is_compatible_with(_along(spec.shape, axes_of(spec, mixer.axes))):
            along = (
                "in height or width" if mixer.axes is None else f"along {mixer.axes}"
            )
            raise ValueError(
                f"{name} mixes all features alike, and they differ {along}: "
                f"{', '.join(map(describe, flat))}. Resize them, or leave all but one "
                "out of feature_keys."
            )


def _check_image(spec: tf.TensorSpec, name: str) -> None:
    """Refuses features that are no image or video, or have their channels first."""
    rank, came = spec.shape.rank, describe(spec)
    if rank not in (4, 5):
        raise ValueError(
            f"{name} pastes rectangles and needs images (batch, height, "
            "width, channels) or video (batch, time, height, width, channels), got "
            f"{came}. Add a dimension for a single channel (x[..., tf.newaxis]), say "
            "which axes a box spans (axes=(1,) for series), leave other features out "
            "of feature_keys, or use tfmixup.MixUp." + see_docs("images_and_masks")
        )
    last = spec.shape[-1]
    front = any(spec.shape[axis] in (1, 3) for axis in range(1, rank - 2))
    why = "looks like channels first" if front and (last is None or last > 4) else ""
    # Keras is slow to import. If Keras is not imported, nobody has set its format.
    config = getattr(sys.modules.get("keras"), "config", None)
    if config is not None and config.image_data_format() == "channels_first":
        why = "comes where keras.config.image_data_format() is 'channels_first'"
    if why:
        raise ValueError(
            f"{came} {why}. Write axes=({rank - 2}, {rank - 1}) if its last two "
            f"dimensions are height and width, or axes=({rank - 3}, {rank - 2}) if its "
            "last one is channels." + see_docs("images_and_masks")
        )


# Targets ----------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where a target has the axes of a box.

    Attributes:
      axes: the axes of the target that the box spans.
      stride: how many elements of the features are one entry of the target along each
        of these axes.
    """

    axes: tuple[int, ...]
    stride: int = 1


def find(target: tf.Tensor, features: Any, mixer: _Pasting) -> _Place | None:
    """Where a target that is not encoded has the axes of a box; None if nowhere."""
    found = _places(target, features, mixer)
    return found[0] if found else None


def _places(target: tf.Tensor, features: Any, mixer: _Pasting) -> list[_Place]:
    """The places where a target may have the axes of a box; several are ambiguous."""
    shape, layouts = target.shape, _layouts(features, mixer)
    if shape.rank == 2 and not _is_frames(target, mixer):
        return []
    tiers = (
        [_Place(axes) for axes, sizes in layouts if _all(_equal, shape, sizes)],
        [_Place(axes) for axes, sizes in layouts if _all(_compatible, shape, sizes)],
        [
            _Place(axes, stride)
            for axes, sizes in layouts
            if (stride := _stride(shape, axes, sizes))
        ],
    )
    found = next(filter(None, tiers), [])
    # A mask beside images and video belongs to the video. `_layouts` lists it first.
    return found[:1] if mixer.axes is None else list(dict.fromkeys(found))


def _is_frames(target: tf.Tensor, mixer: _Pasting) -> bool:
    """Whether a target of two dimensions holds a class id for each position.

    With `targets="pair"` integers may be sequences instead, which are kept as they are.
    """
    some = mixer.options.num_classes is None or tf.nest.is_nested(
        mixer.options.num_classes
    )
    may_be_kept = mixer.options.targets == "pair" and some
    return target.dtype.is_integer and not may_be_kept and target.shape[1] != 1


def _layouts(
    features: Any, mixer: _Pasting
) -> list[tuple[tuple[int, ...], dict[int, int | None]]]:
    """Where targets may have a box: the box's axes there, and the sizes to match.

    Without `axes`, all dimensions of the target but the channels must be those of the
    image. With `axes`, the target has the box's axes where the features have them, or
    directly after the batch.
    """
    shapes = [feature.shape for feature in tf.nest.flatten(features)]
    if mixer.axes is None:
        return [
            ((len(s) - 3, len(s) - 2), {axis: s[axis] for axis in range(1, len(s) - 1)})
            for s in sorted(shapes, key=len, reverse=True)
        ]
    leading = tuple(range(1, len(mixer.axes) + 1))
    return [
        (axes, dict(zip(axes, _along(shape, mixer.axes))))
        for shape in shapes
        for axes in (mixer.axes, leading)
    ]


def _equal(n: int | None, size: int | None) -> bool:
    return n == size


def _compatible(n: int | None, size: int | None) -> bool:
    return n == size or None in (n, size)


def _all(
    fit: Callable[[int | None, int | None], bool],
    shape: tf.TensorShape,
    sizes: dict[int, int | None],
) -> bool:
    there = shape.rank > max(sizes)
    return there and all(fit(shape[axis], n) for axis, n in sizes.items())


def _stride(
    shape: tf.TensorShape, axes: tuple[int, ...], sizes: dict[int, int | None]
) -> int | None:
    """How many elements a cell has along each of two axes or more, or None."""
    if shape.rank <= max(sizes) or len(axes) < 2:
        return None
    cells, n = shape[axes[0]], sizes[axes[0]]
    stride = n // cells if cells and n else 0
    spanned = all(shape[a] and sizes[a] == shape[a] * stride for a in axes)
    others = (_compatible(shape[a], n) for a, n in sizes.items() if a not in axes)
    return stride if spanned and all(others) else None


def _check_target(target: tf.TensorSpec, features: Any, mixer: _Pasting) -> None:
    """Refuses targets that can be neither pasted nor blended by one share."""
    places = _places(target, features, mixer)
    if len(places) == 1:
        _check_pasted(target, places[0], mixer)
    elif places:
        raise ValueError(
            f"the axes of the box may be {places[0].axes} or {places[1].axes} of the "
            f"target {describe(target)}. Set sizes that are not known by "
            "tf.ensure_shape. If sizes are equal, let the axes of the box follow the "
            "batch, then a dimension of 1: (batch, height, width, 1, classes)."
        )
    elif (target.shape.rank or 0) >= 3:
        _refuse_size(target, features, mixer)
    elif target.shape.rank == 2 and box_rank(mixer.axes) == 1:
        _check_row(target, features, mixer)


def _check_pasted(target: tf.TensorSpec, place: _Place, mixer: _Pasting) -> None:
    name, came = type(mixer).__name__, describe(target)
    if mixer.options.targets != "blend":
        raise ValueError(
            f"targets={mixer.options.targets!r} has one λ for the whole target, but "
            f"{name} takes every pixel of {came} from one example. Use "
            "targets='blend', which pastes dense targets."
        )
    if place.stride == 1:
        return
    cells = f"{came} has one entry for {place.stride} of the features along each axis"
    if not mixer.blends_cells:
        raise ValueError(
            f"{cells}, and {name} cannot resize what is in a part of an entry. Resize "
            "the target to the features, or use tfmixup.CutMix."
        )
    if mixer.options.integer_masks and target.dtype.is_integer:
        raise ValueError(
            f"{cells}, and integer_masks=True cannot keep one class id where a box "
            "ends within an entry. Leave it out, so that masks come one-hot, or resize "
            "the mask to the features with method='nearest'."
        )


def _refuse_size(target: tf.TensorSpec, features: Any, mixer: _Pasting) -> None:
    like = "be (batch, height, width, ...) like the image"
    if mixer.axes is not None:
        like = f"have the sizes of axes {mixer.axes} there or directly after the batch"
    if box_rank(mixer.axes) > 1:
        like += ", or all of them divided by one whole number"
    shapes = ", ".join(str(feature.shape) for feature in tf.nest.flatten(features))
    raise ValueError(
        f"{type(mixer).__name__} pastes the same box into targets of three dimensions "
        f"and more, which must {like}, got {describe(target)} beside {shapes}. Resize "
        "them to the features (masks with method='nearest'), or use tfmixup.MixUp."
    )


def _check_row(target: tf.TensorSpec, features: Any, mixer: _Pasting) -> None:
    """Refuses (B, n) that may be one entry per position or one label per example."""
    n, floats = target.shape[1], target.dtype.is_floating
    lengths = [
        _along(x.shape, axes_of(x, mixer.axes))[0] for x in tf.nest.flatten(features)
    ]
    if not (floats if n is None else n in lengths):
        return
    how = (
        "For one entry a position add a dimension: y[..., tf.newaxis]. For classes of "
        "the example give class ids and num_classes."
        if floats
        else "For one class id a position give num_classes and targets='blend'. Pad "
        "sequences to another length."
    )
    raise ValueError(
        f"the target {describe(target)} may have one entry for each position of the "
        f"features, which {type(mixer).__name__} pastes, or be a label of the whole "
        f"example. {how}"
    )
