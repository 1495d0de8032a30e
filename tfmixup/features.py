"""Features: the dtypes that can be mixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfmixup.checks import see_docs
from tfmixup.elements import describe

__all__ = ["check"]

_Path = tuple[Any, ...]  # keys and positions that lead to a feature


def check(features: Any, dtype: str, integers_are_quantities: bool) -> None:
    """Refuses features of a dtype that cannot be mixed.

    Args:
      features: a nest of dense specs.
      dtype: what they become.
      integers_are_quantities: whether the mixer knows what integers of any size are.

    Raises:
      TypeError: a feature holds no numbers, or numbers that may be names.
    """
    for path, spec in _leaves(features, ()):
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
            # Smaller ones are bytes of images, or samples of sounds.
            spec.dtype.is_integer
            and spec.dtype.size >= 4
            and not integers_are_quantities
        ):
            _refuse_names(spec, came, path, isinstance(features, dict))


def _leaves(nest: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    if isinstance(nest, (dict, tuple, list)):
        pairs = nest.items() if isinstance(nest, dict) else enumerate(nest)
        for key, inner in pairs:
            yield from _leaves(inner, (*path, key))
    else:
        yield path, nest


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
        besides = ""
    how = "map the dataset to ({'x': x, 'ids': ids}, y) and name 'ids' in keep_keys"
    if keyed:
        how = f"name {path[0]!r} in keep_keys (and not in feature_keys)"
    raise TypeError(
        f"features must be quantities, got {came}. {why} Cast quantities to float32. "
        f"Leave names unmixed: {how}. Or mix their embeddings inside the network."
        + besides
        + see_docs("text_and_categories")
    )
