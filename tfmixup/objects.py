"""Objects of detection sets: boxes with their labels, padded, placed and joined.

Coordinates are never averaged. A mixed image has the boxes of all images that it is
made of. A mixer says by `Source` where the boxes of each image come to lie.

All this happens outside the compiled function: boxes are few, their keys may hold
strings, and XLA drops asserts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmixup import elements
from tfmixup.box_formats import is_relative
from tfmixup.box_rows import BOXES, LABELS, WEIGHT, BoxRows, Size, Source, keys_of
from tfmixup.checks import see_docs
from tfmixup.elements import WHOLE, Parts

__all__ = ["Objects", "check_found", "check_weight_is_free", "pad_elements", "taken"]


def taken(parts: Parts) -> Parts:
    """Takes dicts of boxes and labels out of the targets: they become `objects`."""
    targets = parts.targets
    if _is_objects(targets):
        return parts._replace(targets={}, objects={WHOLE: targets})
    if not isinstance(targets, dict):
        return parts
    found = {key: inner for key, inner in targets.items() if _is_objects(inner)}
    rest = {key: inner for key, inner in targets.items() if key not in found}
    return parts._replace(targets=rest, objects=found or None)


def _is_objects(targets: Any) -> bool:
    if not isinstance(targets, dict):
        return False
    return all(sum(k in targets for k in keys) == 1 for keys in (BOXES, LABELS))


def check_weight_is_free(parts: Parts, element: dict[str, Any]) -> None:
    """Refuses a dict element whose own key "weight" the boxes' would replace."""
    own = (parts.objects or {}).get(WHOLE)
    if own is not None and WEIGHT in element and WEIGHT not in own:
        raise ValueError(
            f"elements have a key {WEIGHT!r}, which the weights of the boxes would "
            "replace. Name it in target_keys if it is the boxes', else rename it, or "
            "pass box_weights=False." + see_docs("detection")
        )


def check_found(mixer: Any, spec: Parts) -> None:
    """Refuses elements without boxes if `max_boxes` is given."""
    if mixer.options.max_boxes is None or spec.objects is not None:
        return
    came = "none"
    if isinstance(spec.targets, dict) and spec.targets:
        came = str({k: _names(inner) for k, inner in spec.targets.items()})
    raise ValueError(
        f"max_boxes={mixer.options.max_boxes} is for boxes, and the targets have no "
        "dict with one key for boxes ('bbox' or 'boxes') and one for their class ids "
        f"('label' or 'labels'). The targets: {came}. Give (image, {{'boxes': ..., "
        "'labels': ...}), or name the key of such a dict: target_keys=('objects',). "
        "Rename other keys, such as 'classes', or leave max_boxes out."
        + see_docs("detection")
    )


def _names(targets: Any) -> Any:
    """What a target is called, for a message: the keys of a dict, or its shape."""
    if isinstance(targets, dict):
        return list(targets)
    return elements.describe(targets) if hasattr(targets, "dtype") else str(targets)


def pad_elements(dataset: tf.data.Dataset, mixer: Any) -> tf.data.Dataset:
    """Pads the boxes of single examples to `max_boxes`, so that they can be batched."""
    if mixer.options.max_boxes is None:
        return dataset
    spec = mixer.split(dataset.element_spec)
    check_found(mixer, spec)
    for key, inner in spec.objects.items():
        _check_unbatched(key, inner)
    known = Objects(mixer, elements.map_parts(_batch_of_one, spec))

    def pad(element: Any) -> Any:
        parts = mixer.split(element)
        one = elements.map_nest(lambda t: t[tf.newaxis], parts.objects)
        first = elements.map_nest(lambda t: t[0], known.padded(one))
        return elements.join(parts._replace(objects=first), element)

    return elements.map_elements(
        dataset, pad, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def _check_unbatched(key: str, objects: dict[str, Any]) -> None:
    boxes = objects[keys_of(objects)[0]]
    of = f" of {key!r}" if key else ""
    ragged = isinstance(boxes, tf.RaggedTensorSpec) and boxes.ragged_rank
    if ragged and boxes.shape.rank == 2:
        raise ValueError(
            f"each box must have four numbers, but the boxes{of} are {boxes}. "
            "Make ragged boxes of dense rows: "
            "tf.RaggedTensor.from_row_lengths(boxes, row_lengths)."
            + see_docs("detection")
        )
    if boxes.shape.rank == 3:
        raise ValueError(
            f"elements must be single examples, but they look batched: the boxes{of} "
            f"are {elements.describe(boxes)}. "
            "two_streams batches by itself: remove .batch(...), call "
            "dataset.unbatch(), or use tfmixup.in_batch for batches."
            + see_docs("detection")
        )


def _batch_of_one(spec: Any) -> Any:
    # A slice of a ragged tensor has a ragged spec of rank 0, and its value is dense.
    if isinstance(spec, tf.RaggedTensorSpec) and spec.ragged_rank:
        return spec
    if not isinstance(spec, (tf.TensorSpec, tf.RaggedTensorSpec)):
        return spec
    shape = spec.shape
    return tf.TensorSpec(None if shape.rank is None else [1, *shape], spec.dtype)


class Objects:
    """The boxes of elements of one spec, and how those of several images are joined.

    Args:
      mixer: the `Mixer`.
      spec: the spec of the batches.

    Raises:
      TypeError, ValueError: boxes of this spec cannot be mixed, or the mixer cannot mix
        boxes.
    """

    def __init__(self, mixer: Any, spec: Parts) -> None:
        self.mixer = mixer
        _check_mixer(mixer, spec)
        self._axes = _image_axes(mixer, spec)
        self._image = tf.nest.flatten(spec.features)[0].shape[1:]
        self._rows = {
            key: BoxRows(mixer, key, objects) for key, objects in spec.objects.items()
        }
        image = tf.nest.flatten(spec.features)[0]
        for one in tf.nest.flatten(spec.objects):
            if not one.shape[:1].is_compatible_with(image.shape[:1]):
                came = " beside ".join(map(elements.describe, (one, image)))
                raise ValueError(
                    f"each image must have one row of boxes, got {came}. Take images "
                    "and boxes from one batch." + see_docs("detection")
                )

    def check_padding(self, example: Parts) -> None:
        """Refuses relative coordinates beside images that are padded to one size.

        Args:
          example: the specs of an example before it is padded.
        """
        image = tf.nest.flatten(example.features)[0].shape
        if self._image.is_fully_defined() and image == self._image:
            return
        for kind in self._rows.values():
            if is_relative(kind.format):
                raise ValueError(
                    "padded_shapes changes the size of images, and boxes of the "
                    f"format {kind.format!r} are shares of this size. Resize "
                    "images to one size and leave padded_shapes out, or convert boxes "
                    "to pixels: "
                    "keras.utils.bounding_boxes.convert_format(boxes, "
                    f"{kind.format!r}, 'xyxy', height, width) and box_format='xyxy'."
                    + see_docs("detection")
                )

    def padded(self, given: dict[str, Any]) -> dict[str, Any]:
        """Gives every image `max_boxes` rows, of label −1 where there is no box.

        Args:
          given: objects of a batch, dense (B, n, ...) or ragged.

        Returns:
          Objects of dense tensors (B, max_boxes, ...). They raise if an image has more
          boxes, or another number of labels than of boxes.
        """
        return {key: kind.padded(given[key]) for key, kind in self._rows.items()}

    def check_values(self, given: dict[str, Any], features: Any) -> list[tf.Operation]:
        """Operations that raise at boxes that cannot be, in padded objects."""
        size = self._size(features)
        return [
            check
            for key, kind in self._rows.items()
            for check in kind.check_values(given[key], size)
        ]

    def unmixed(self, given: dict[str, Any]) -> dict[str, Any]:
        """The objects of padded images that are not mixed, as `mix` would give them."""
        return self._joined([Source(tf.ones([1]))], given, given, (1, 1))

    def mix(
        self, first: Parts, second: Parts, params: Any, alone: tf.Tensor | bool
    ) -> dict[str, Any]:
        """Joins the objects of the images of every mixture.

        Args:
          first: a batch, whose objects are padded.
          second: the batch that is mixed in.
          params: the mixer's parameters.
          alone: whether the batch has one example, which is not mixed with itself.

        Returns:
          Objects (B, max_boxes, ...), with a key "weight" unless `box_weights` is
          False. They raise if a mixture has more boxes than `max_boxes`.
        """
        size = self._size(first.features)
        sources = self.mixer.sources(params, size)
        if alone is not False:
            one = tf.cast(alone, tf.float32)
            sources = [s._replace(weight=s.weight * (1 - one)) for s in sources]
            sources.append(Source(one[tf.newaxis]))
        return self._joined(sources, first.objects, second.objects, size)

    def _size(self, features: Any) -> Size:
        image = tf.nest.flatten(features)[0]
        return [
            tf.shape(image)[a] if image.shape[a] is None else image.shape[a]
            for a in self._axes
        ]

    def _joined(
        self,
        sources: Sequence[Source],
        first: dict[str, Any],
        second: dict[str, Any],
        size: Size,
    ) -> dict[str, Any]:
        return {
            key: kind.joined(sources, first[key], second[key], size)
            for key, kind in self._rows.items()
        }


def _check_mixer(mixer: Any, spec: Parts) -> None:
    if not mixer.mixes_boxes:
        raise ValueError(
            f"{type(mixer).__name__} cannot mix boxes. Use tfmixup.MixUp, "
            "tfmixup.CutMix or tfmixup.Mosaic, or leave the boxes out of target_keys."
            + see_docs("detection")
        )
    if spec.weights is not None:
        raise ValueError(
            "sample_weight belongs to labels of whole images, and the elements have "
            "boxes. Leave sample_weight out, and give each box its weight under a key "
            "'weight' beside the boxes." + see_docs("detection")
        )
    options, labels = mixer.options, tf.nest.flatten(spec.targets)
    for name in ("num_classes", "ignore_label"):
        if getattr(options, name) is not None and not labels:
            raise ValueError(
                f"{name}={getattr(options, name)} is for labels of whole images, and "
                "the elements have boxes only, whose labels stay class ids. Leave it "
                "out." + see_docs("detection")
            )
    if options.targets != "blend" and not labels:
        raise ValueError(
            f"targets={options.targets!r} is for labels of whole images, and "
            "the elements have boxes only. Leave it out." + see_docs("detection")
        )


def _image_axes(mixer: Any, spec: Parts) -> tuple[int, int]:
    """The axes of height and width."""
    features = tf.nest.flatten(spec.features)
    if any(isinstance(f, (tf.RaggedTensorSpec, tf.RaggedTensor)) for f in features):
        raise ValueError(
            "boxes need images of one size, got ragged images. Resize them before "
            "they are batched: tf.image.resize leaves relative boxes right."
            + see_docs("detection")
        )
    if len(features) != 1 or features[0].shape.rank != 4:
        came = ", ".join(map(elements.describe, features))
        raise ValueError(
            "boxes need one image, (batch, height, width, channels), beside them, got "
            f"{came}. Give in_batch batches, and two_streams single examples. Name the "
            "image alone in feature_keys." + see_docs("detection")
        )
    given = _axes(mixer)
    if given is None:
        shape = features[0].shape
        front = shape[1] in (1, 3) and (shape[-1] is None or shape[-1] > 4)
        return (2, 3) if front else (1, 2)
    if len(given) != 2:
        raise ValueError(
            f"axes={given} are not height and width, which boxes need. Leave axes out, "
            "or write axes=(2, 3) for channels first." + see_docs("detection")
        )
    return given[0], given[1]


def _axes(mixer: Any) -> tuple[int, ...] | None:
    """The `axes` of a mixer, or of the first of several that has them."""
    given = map(_axes, getattr(mixer, "mixers", ()))
    return getattr(mixer, "axes", None) or next(filter(None, given), None)
