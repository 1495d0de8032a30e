"""What an element of a dataset is made of: features, targets, weights, the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmixup.pages import see

__all__ = [
    "WEIGHT_KEY",
    "Parts",
    "batch_size",
    "head",
    "join",
    "leaves",
    "map_nest",
    "map_parts",
    "read",
    "split",
    "static_but_batch",
]

WEIGHT_KEY = "sample_weight"  # of dict elements


class Parts(NamedTuple):
    """An element taken apart; `features`, `targets`, `weights` may be nested."""

    features: Any
    targets: Any
    weights: Any = None  # None where an element has no sample weights
    extras: Any = None  # a dict element's other keys; None for tuple elements
    lengths: Any = None  # a dict of lengths and padding masks, or None

    def mixed(self) -> Parts:
        """The parts that mixing is about, without the extras."""
        return self._replace(extras=None)


def split(
    owner: str,
    element: Any,
    feature_keys: Sequence[str],
    target_keys: Sequence[str],
    length_keys: Sequence[str] = (),
) -> Parts:
    """Takes an element, or an element_spec, apart.

    Args:
      owner: named in errors.
      element: `(x, y)`, `(x, y, sample_weight)`, or a dict as TFDS yields it.
      feature_keys: keys of a dict element that hold features.
      target_keys: keys of a dict element that hold targets.
      length_keys: keys of a dict element, or of the dict of features of a tuple, that
        hold lengths or padding masks.

    Returns:
      Its `Parts`.

    Raises:
      TypeError: it is none of the three.
      KeyError: a dict element has not all of the keys.
    """
    if isinstance(element, dict):
        for name, keys in (
            ("feature_keys", feature_keys),
            ("target_keys", target_keys),
            ("length_keys", length_keys),
        ):
            _check_keys(owner, element, name, keys)
        used = {*feature_keys, *target_keys, *length_keys}
        labels = [key for key in target_keys if key != WEIGHT_KEY]
        return Parts(
            features={k: element[k] for k in feature_keys},
            targets={k: element[k] for k in labels},
            # Named among the targets it is to be mixed; it is no label for all that.
            weights=element[WEIGHT_KEY] if len(labels) < len(target_keys) else None,
            extras={k: v for k, v in element.items() if k not in used},
            lengths={k: element[k] for k in length_keys} or None,
        )
    if isinstance(element, tuple) and len(element) in (2, 3):
        return _without_lengths(owner, Parts(*element), length_keys)
    came = type(element).__name__
    if isinstance(element, tuple):
        came += f" of {len(element)}"
    raise TypeError(
        f"{owner}: elements must be (x, y), (x, y, sample_weight) or a dict, got "
        f"{came}: {element!r}. Map the dataset to (x, y) first; TFDS does so with "
        "as_supervised=True." + see("guide")
    )


def _check_keys(
    owner: str, element: dict[str, Any], name: str, keys: Sequence[str]
) -> None:
    missing = [key for key in keys if key not in element]
    if missing:
        raise KeyError(
            f"{owner}: elements have no key {missing[0]!r}, which {name}="
            f"{tuple(keys)!r} asks for; they have {sorted(element)}. "
            f"Pass {name}=(...) with keys of these elements."
        )


def _without_lengths(owner: str, parts: Parts, keys: Sequence[str]) -> Parts:
    if not keys:
        return parts
    if not isinstance(parts.features, dict):
        raise TypeError(
            f"{owner}: length_keys={tuple(keys)!r} needs elements or features that are "
            "dicts. Map the dataset to ({'audio': x, 'length': n}, y)."
        )
    _check_keys(owner, parts.features, "length_keys", keys)
    lengths = {key: parts.features[key] for key in keys}
    rest = {k: v for k, v in parts.features.items() if k not in keys}
    return parts._replace(features=rest, lengths=lengths)


def join(parts: Parts) -> Any:
    """Puts together what `split` took apart."""
    lengths = parts.lengths or {}
    if parts.extras is not None:
        weights = {} if parts.weights is None else {WEIGHT_KEY: parts.weights}
        return {
            **parts.features,
            **parts.targets,
            **parts.extras,
            **lengths,
            **weights,
        }
    features = {**parts.features, **lengths} if lengths else parts.features
    if parts.weights is None:
        return features, parts.targets
    return features, parts.targets, parts.weights


def read(parts: Parts) -> Parts:
    """Makes tensors of the parts, so that NumPy batches can be mixed by hand."""

    def tensor(value: Any) -> Any:
        composite = (tf.RaggedTensor, tf.SparseTensor, tf.experimental.ExtensionType)
        return value if isinstance(value, composite) else tf.convert_to_tensor(value)

    return map_parts(tensor, parts)._replace(extras=parts.extras)


def map_parts(fn: Callable[..., Any], *parts: Parts) -> Parts:
    """Applies `fn` to every tensor of the parts; leaves out the extras."""
    mixed = zip(*(part.mixed() for part in parts))
    return Parts(*(map_nest(fn, *same) for same in mixed))


def map_nest(fn: Callable[..., Any], *nests: Any) -> Any:
    """`tf.nest.map_structure`, but a missing part, None, stays None."""
    return None if nests[0] is None else tf.nest.map_structure(fn, *nests)


def head(parts: Parts, n: tf.Tensor) -> Parts:
    """The first `n` examples of a batch; the extras are left out."""
    return map_parts(lambda tensor: tensor[:n], parts)


def leaves(parts: Parts) -> list[Any]:
    """Every tensor but the extras, or its spec."""
    nests = [part for part in parts.mixed() if part is not None]
    return tf.nest.flatten(nests)


def batch_size(parts: Parts) -> int | tf.Tensor:
    """B: an integer where the shape tells, else a scalar int32 tensor."""
    first = tf.nest.flatten(parts.features)[0]
    return first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]


def static_but_batch(parts: Parts) -> bool:
    """Whether every dimension but the first is known."""
    return all(spec.shape[1:].is_fully_defined() for spec in leaves(parts))
