"""Which tensors of a batch are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["Read", "Target", "read"]

# Of dict elements, in the order in which they are looked for.
_FEATURES = ("image", "audio", "spectrogram")
_TARGETS = ("label", "segmentation_mask", "mask")


class Target(NamedTuple):
    """One target of a batch.

    Attributes:
      name: its key in a dict or its place in a tuple; None for the only one.
      first: (B, ...).
      second: (B, ...) of a pair `(y_i, y_j, λ)`, else None.
      lam: λ of the pair, float64 (B,), else None.
    """

    name: Any
    first: np.ndarray
    second: np.ndarray | None = None
    lam: np.ndarray | None = None


class Read(NamedTuple):
    """What of a batch is drawn: a feature (B, ...), targets, sample weights or None."""

    feature: np.ndarray
    targets: list[Target]
    weights: np.ndarray | None


def read(
    owner: str,
    ds_or_batch: Any,
    feature_key: Any,
    target_keys: Sequence[Any] | None,
    weight_key: str,
) -> Read:
    """Reads the first batch of a dataset, or a batch.

    Args:
      owner: named in errors.
      ds_or_batch: a dataset of batches, or a batch.
      feature_key: which feature of a dict; None for the usual names.
      target_keys: which targets of a dict element; None for the usual names.
      weight_key: the key of sample weights in dict elements.

    Returns:
      NumPy arrays.

    Raises:
      TypeError, KeyError, ValueError: there is nothing to draw; the message says why.
    """
    batch = _first(owner, ds_or_batch)
    weights: Any = None
    targets: Any = ()
    if isinstance(batch, dict):
        features = batch
        usual = [key for key in _TARGETS if key in batch]
        keys = usual if target_keys is None else target_keys
        targets = {key: _named(owner, batch, "target_keys", key) for key in keys}
        weights = batch.get(weight_key)
    elif isinstance(batch, tuple) and len(batch) in (2, 3):
        features, targets = batch[:2]
        weights = batch[2] if len(batch) == 3 else None
    elif hasattr(batch, "shape"):
        features = batch
    else:
        raise TypeError(
            f"{owner}: a batch must be (x, y), (x, y, sample_weight), a dict or a "
            f"tensor, got {type(batch).__name__}. Convert its parts to arrays."
        )
    feature = _array(owner, "the feature", _feature(owner, features, feature_key))
    if feature.ndim < 2 or not len(feature):
        raise ValueError(
            f"{owner}: a batch of images, waveforms or spectrograms is needed, got a "
            f"feature of shape {feature.shape}. Call dataset.batch(...) first, and "
            "check that the batch is not empty."
        )
    read = list(_targets(owner, targets, None))
    if len(read) == 1:
        read = [read[0]._replace(name=None)]
    flat = [w for w in tf.nest.flatten(weights) if w is not None]
    # Weights of several targets cannot be told in one picture.
    weight = _array(owner, "sample weights", flat[0]) if len(flat) == 1 else None
    _check_sizes(owner, len(feature), read, weight)
    return Read(feature, read, weight)


def _first(owner: str, ds_or_batch: Any) -> Any:
    if not isinstance(ds_or_batch, tf.data.Dataset):
        return ds_or_batch
    for batch in ds_or_batch:
        return batch
    raise ValueError(f"{owner}: the dataset is empty.")


def _named(owner: str, features: dict[Any, Any], argument: str, key: Any) -> Any:
    if key not in features:
        raise KeyError(
            f"{owner}: {argument} asks for {key!r}, but there are only "
            f"{sorted(map(str, features))}."
        )
    return features[key]


def _feature(owner: str, features: Any, key: Any) -> Any:
    if isinstance(features, dict) and key is not None:
        return _named(owner, features, "feature_key", key)
    if isinstance(features, dict):
        for usual in _FEATURES:
            if usual in features:
                return features[usual]
    flat = tf.nest.flatten(features)
    if len(flat) == 1:
        return flat[0]
    have = (
        f", such as {sorted(map(str, features))}" if isinstance(features, dict) else ""
    )
    raise ValueError(
        f"{owner}: elements have {len(flat)} tensors that could be drawn, and one is. "
        f"Say which: feature_key=... with a key of the dict{have}; map tuples of "
        "features to one."
    )


def _targets(owner: str, nest: Any, name: Any) -> Iterator[Target]:
    if isinstance(nest, dict):
        for key, inner in nest.items():
            yield from _targets(owner, inner, key)
    elif isinstance(nest, (tuple, list)) and not _is_vector(nest):
        pair = _pair(nest, name)
        if pair is not None:
            yield pair
            return
        for index, inner in enumerate(nest):
            yield from _targets(owner, inner, index)
    elif nest is not None:
        yield Target(name, _array(owner, "a target", nest))


def _is_vector(nest: Sequence[Any]) -> bool:
    """Whether it is a list of numbers, as labels written by hand are."""
    return bool(nest) and not any(np.ndim(part) for part in nest)


def _pair(nest: Sequence[Any], name: Any) -> Target | None:
    """`(y_i, y_j, λ)` of `targets="pair"`, known by its looks."""
    if len(nest) != 3 or not all(hasattr(part, "shape") for part in nest):
        return None
    first, second, lam = (np.asarray(part) for part in nest)
    alike = first.shape == second.shape and first.dtype == second.dtype
    share = lam.ndim == 1 and _is_float(lam) and lam.shape == first.shape[:1]
    if not (alike and share and np.all((lam >= 0) & (lam <= 1))):
        return None
    return Target(name, first, second, lam.astype(np.float64))


def _is_float(array: np.ndarray) -> bool:
    # NumPy does not count bfloat16 among its floats.
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _array(owner: str, what: str, value: Any) -> np.ndarray:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            f"{owner}: {what} must be a dense tensor, got a {type(value).__name__}. "
            "Pad it (Dataset.padded_batch) or leave it out."
        )
    array = np.asarray(value)
    if _is_float(array):
        return array.astype(np.float32) if array.itemsize < 4 else array
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"{owner}: {what} must be numbers, got {array.dtype}. Leave it out, or "
            "name others in feature_key and target_keys."
        )
    return array


def _check_sizes(
    owner: str, size: int, targets: list[Target], weights: np.ndarray | None
) -> None:
    named = [(f"the target {t.name!r}", t.first) for t in targets]
    if weights is not None:
        named.append(("sample_weight", weights))
    for what, array in named:
        if array.ndim == 0 or len(array) != size:
            raise ValueError(
                f"{owner}: the feature has {size} examples, but {what} is of shape "
                f"{array.shape}. Elements must be batches: call dataset.batch(...)."
            )
