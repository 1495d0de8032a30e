"""Refuses elements that cannot be mixed, by their specs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfmixup.checks import no_py_dataset, see_docs
from tfmixup.elements import Parts, describe, leaves

__all__ = ["check_batched", "check_element", "check_unbatched"]


def check_element(element: Any) -> None:
    """Refuses datasets, pairs of zipped elements, and pairs (class, element).

    Args:
      element: a batch, an example, or the spec of one.

    Raises:
      TypeError: `element` is a dataset.
      ValueError: `element` is a pair that holds whole elements.
    """
    no_py_dataset("a batch", element)
    if isinstance(element, tf.data.Dataset):
        raise TypeError(
            "a mixer is a function of batches, and Dataset.apply passes a dataset. "
            "Write batches.map(mixer), or batches.apply(tfmixup.in_batch(mixer)), "
            "which takes a seed."
        )
    if isinstance(element, tuple) and len(element) == 2:
        _check_not_zipped(element)
        _check_not_resampled(element)


def _check_not_zipped(element: Any) -> None:
    """Refuses two zipped elements, because y_i would be mixed as a feature.

    ((x_i, y_i), (x_j, y_j)) differs from (x, y) in its halves. Both are tuples or dicts
    of one structure, with the same dtypes and ranks.
    """
    halves = [part for part in element if isinstance(part, (tuple, dict))]
    if len(halves) < 2 or len(tf.nest.flatten(halves[0])) < 2:
        return
    try:
        tf.nest.assert_same_structure(*halves)
    except (ValueError, TypeError):
        return
    kinds = [[_kind(leaf) for leaf in tf.nest.flatten(half)] for half in halves]
    if kinds[0] == kinds[1]:
        raise ValueError(
            "the element looks like a pair of batches ((x, y), (x, y)), but this "
            "function makes pairs by itself. Give it one dataset, or map mixer.pair "
            "over the zipped batches. If these are features and targets, name them in "
            "one dict." + see_docs("guide")
        )


def _kind(leaf: Any) -> Any:
    """The dtype and rank of a leaf, or its type if it has no dtype, such as None."""
    try:
        leaf = leaf if hasattr(leaf, "dtype") else tf.convert_to_tensor(leaf)
    except (TypeError, ValueError):
        return type(leaf), None
    return tf.as_dtype(leaf.dtype), tf.TensorShape(leaf.shape).rank


def _check_not_resampled(element: Any) -> None:
    """Refuses (class, (x, y)): the class would be the feature, and x and y targets."""
    first, second = element
    if not isinstance(second, tuple) or len(second) not in (2, 3):
        return
    dtype, rank = _kind(first) if not tf.nest.is_nested(first) else (None, None)
    if dtype in (tf.int32, tf.int64) and rank in (0, 1):
        raise ValueError(
            "the element looks like (class, (x, y)), which "
            "Dataset.rejection_resample yields. Take the class off before: "
            "dataset.map(lambda label, element: element)."
        )


def check_unbatched(parts: Parts, integer_vectors: bool = False) -> None:
    """Refuses elements that are batches already, if their specs tell.

    Args:
      parts: specs of an element.
      integer_vectors: whether integer labels may be vectors, such as those of CTC.

    Raises:
      ValueError: every part starts with an unknown dimension, as after `Dataset.batch`;
        or class labels are vectors; or targets are boxes.
    """
    _refuse_boxes(parts.targets, batch_dims=0)
    specs = [spec for spec in leaves(parts) if isinstance(spec, tf.TensorSpec)]
    unknown_first = all(s.shape.rank and s.shape[0] is None for s in specs)
    vectors = [
        spec
        for spec in tf.nest.flatten(parts.targets)
        if isinstance(spec, tf.TensorSpec)
        and not integer_vectors
        and spec.dtype.is_integer
        and spec.shape.rank == 1
        and spec.shape != [1]
    ]
    if (len(specs) > 1 and unknown_first) or vectors:
        raise ValueError(
            "elements must be single examples, but they look batched: "
            f"{_describe_all(specs)}. two_streams batches by itself: remove "
            ".batch(...), call dataset.unbatch(), or use tfmixup.in_batch for batches. "
            "Integer labels that are one-hot or multi-hot must be cast to float32; "
            "images and masks of unknown size need one: "
            "tf.ensure_shape(image, [H, W, C]); examples of different length need "
            "padded_shapes, and so do examples of one class id for each frame; "
            "sequences, as of CTC, need targets='pair' without num_classes."
            + see_docs("guide")
        )


def check_batched(parts: Parts, dtype: str, integers_are_quantities: bool) -> None:
    """Refuses batches whose features, weights or lengths cannot be mixed.

    Args:
      parts: specs of batches.
      dtype: the dtype that features become.
      integers_are_quantities: whether integers of any size are quantities to the mixer.

    Raises:
      TypeError: features are not dense tensors, or may be names, such as token ids; or
        features, weights or lengths have a dtype that cannot be mixed.
      ValueError: there are no features; or a part is a scalar or of unknown rank; or
        leading sizes differ; or targets are boxes.
    """
    _refuse_boxes(parts.targets, batch_dims=1)
    features = tf.nest.flatten(parts.features)
    if not features:
        raise ValueError(
            f"elements have no features: x is {parts.features!r}. Map the dataset to "
            "(x, y) with a tensor x, or take a key out of keep_keys."
        )
    for spec in features:
        _check_dense("features", spec)
    for spec in [] if parts.weights is None else tf.nest.flatten(parts.weights):
        _check_weight(spec)
    _check_common_size(parts)
    for key, spec in (parts.lengths or {}).items():
        _check_length(key, spec)
    for path, spec in _leaves(parts.features, ()):
        keyed = isinstance(parts.features, dict)
        _check_feature(path, spec, dtype, integers_are_quantities, keyed)


def _check_weight(spec: Any) -> None:
    _check_dense("sample weights", spec)
    if not (spec.dtype.is_floating or spec.dtype.is_integer):
        raise TypeError(
            f"sample_weight must be numbers, got {spec.dtype.name} of shape "
            f"{spec.shape}. Cast it: tf.cast(sample_weight, tf.float32)."
        )


def _check_length(key: str, spec: Any) -> None:
    _check_dense("lengths", spec)
    if not (spec.dtype.is_integer or spec.dtype == tf.bool):
        raise TypeError(
            "length_keys name integer lengths or boolean padding masks, but "
            f"{key!r} is {spec.dtype.name} of shape {spec.shape}. Cast it."
        )


def _check_dense(role: str, spec: Any) -> None:
    """Refuses ragged and sparse tensors."""
    if not isinstance(spec, (tf.TensorSpec, tf.Tensor)):
        raise TypeError(
            f"{role} must be dense tensors, got {spec!r}. Pad ragged "
            "ones (Dataset.padded_batch, RaggedTensor.to_tensor), densify sparse ones, "
            "leave None out." + see_docs("sound")
        )


def _check_common_size(parts: Parts) -> None:
    specs = [s for s in leaves(parts) if isinstance(s, (tf.TensorSpec, tf.Tensor))]
    if any(spec.shape.rank is None for spec in specs):
        raise ValueError(
            f"the number of dimensions must be known, got {_describe_all(specs)}. "
            "Map the dataset with tf.ensure_shape(x, [...])."
        )
    sizes = {spec.shape[0] for spec in specs if spec.shape.rank}
    if any(spec.shape.rank == 0 for spec in specs) or len(sizes - {None}) > 1:
        raise ValueError(
            "elements must be batches, got parts without a common first dimension: "
            f"{_describe_all(specs)}. Call dataset.batch(batch_size) first, or use "
            "tfmixup.two_streams, which batches by itself." + see_docs("guide")
        )


def _describe_all(specs: Sequence[Any]) -> str:
    return ", ".join(map(describe, specs))


# The names that TFDS and Keras give to boxes.
_BOX_KEYS = ("bbox", "bboxes", "box", "boxes", "bounding_box", "bounding_boxes")


def _refuse_boxes(targets: Any, batch_dims: int) -> None:
    """Refuses bounding boxes: four corners, beside one label for each box."""
    if isinstance(targets, (tuple, list)):
        for inner in targets:
            _refuse_boxes(inner, batch_dims)
    if not isinstance(targets, dict):
        return
    specs = {k: spec for k, spec in targets.items() if _is_dense(spec)}
    integers = [spec.shape for spec in specs.values() if spec.dtype.is_integer]
    for key, inner in targets.items():
        if key not in specs:
            # The shape of a ragged tensor does not tell boxes, so only the key counts.
            boxes = str(key).lower() in _BOX_KEYS
        else:
            four = inner.dtype.is_floating and inner.shape.rank and inner.shape[-1] == 4
            labelled = inner.shape.rank >= 2 + batch_dims and any(
                shape.rank == inner.shape.rank - 1
                and shape.is_compatible_with(inner.shape[:-1])
                for shape in integers
            )
            boxes = four and (labelled or str(key).lower() in _BOX_KEYS)
        if boxes:
            raise ValueError(
                f"the target {key!r} looks like bounding boxes, and corners of boxes "
                "cannot be averaged: a mixed image has the boxes of both examples. "
                "Name the dict of boxes and labels in target_keys and pass max_boxes="
                "..., such as MixUp(1.5, target_keys=('objects',), max_boxes=100). If "
                "these are no boxes, give targets as a tuple, not a dict."
                + see_docs("detection")
            )
        _refuse_boxes(inner, batch_dims)


def _is_dense(spec: Any) -> bool:
    dense = isinstance(spec, (tf.TensorSpec, tf.Tensor))
    return dense and spec.shape.rank is not None


_Path = tuple[Any, ...]  # keys and positions that lead to a feature


def _leaves(nest: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    if isinstance(nest, (dict, tuple, list)):
        pairs = nest.items() if isinstance(nest, dict) else enumerate(nest)
        for key, inner in pairs:
            yield from _leaves(inner, (*path, key))
    else:
        yield path, nest


def _check_feature(
    path: _Path, spec: Any, dtype: str, integers_are_quantities: bool, keyed: bool
) -> None:
    """Refuses a feature of a dtype that cannot be mixed."""
    came = describe(spec) + (f" at {'/'.join(map(repr, path))}" if path else "")
    _check_numbers(spec, came)
    if dtype == "float16" and spec.dtype.is_integer and spec.dtype.max > 65504:
        raise TypeError(
            f"dtype='float16' holds numbers up to 65504, got {came}. Use "
            "dtype='float32' or 'bfloat16', or scale the features to floats before."
        )
    if dtype == "uint8" and spec.dtype != tf.uint8:
        raise TypeError(
            "dtype='uint8' keeps bytes as bytes and takes uint8 features, got "
            f"{came}. Use dtype='float32', or mix before the features are rescaled."
        )
    if spec.dtype == tf.bool or (
        # Integers of 8 or 16 bits are bytes of images, or samples of sounds.
        spec.dtype.is_integer and spec.dtype.size >= 4 and not integers_are_quantities
    ):
        _refuse_names(spec, came, path, keyed)


def _check_numbers(spec: Any, came: str) -> None:
    if spec.dtype.is_complex:
        raise TypeError(
            f"features must be real numbers, got {came}. Make channels of real and "
            "imaginary part: tf.stack([tf.math.real(x), tf.math.imag(x)], axis=-1)."
        )
    if not (spec.dtype.is_floating or spec.dtype.is_integer or spec.dtype == tf.bool):
        raise TypeError(
            f"features must be numbers, got {came}. Decode or cast them first, or name "
            "them in keep_keys (and not in feature_keys), which leaves them unmixed."
            + see_docs("text_and_categories")
        )


def _refuse_names(spec: Any, came: str, path: _Path, keyed: bool) -> None:
    if spec.dtype == tf.bool:
        why = "Booleans may be a mask or a category, which cannot be averaged."
        besides = " A padding mask is named in length_keys."
    else:
        why = (
            "Integers of 32 bits and more may be names, such as token ids, and names "
            "cannot be averaged."
        )
        besides = " Lengths of padded features are named in length_keys."
    how = "map the dataset to ({'x': x, 'ids': ids}, y) and name 'ids' in keep_keys"
    if keyed:
        how = f"name {path[0]!r} in keep_keys (and not in feature_keys)"
    raise TypeError(
        f"features must be quantities, got {came}. {why} Cast quantities to float32. "
        f"Leave names unmixed: {how}. Or mix their "
        "embeddings inside the network: keras.MixingModel(model, mixer, at=...)."
        + besides
        + see_docs("text_and_categories")
    )
