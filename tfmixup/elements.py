"""Takes elements of a dataset apart, puts them together, maps and compares them.

An element is taken apart once, where it comes in, and put together once, where it goes
out. Between the two everything is `Parts`.

Datasets are mapped here too, by functions that AutoGraph does not convert. AutoGraph
would convert our functions again for every pipeline, 0.3 s each. It would also hide
their errors in messages that begin with "in user code". `do_not_convert` on the
outermost function holds for all functions that it calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from tfmixup.checks import see_docs

__all__ = [
    "WEIGHT_KEY",
    "WHOLE",
    "Parts",
    "batch_size",
    "check_same_shapes",
    "check_same_spec",
    "describe",
    "filter_elements",
    "flat_map_elements",
    "head",
    "join",
    "leaves",
    "left_out",
    "map_elements",
    "map_nest",
    "map_parts",
    "never_convert",
    "of_any_number",
    "of_element",
    "spec_of",
    "split",
    "static_but_batch",
    "to_tensors",
    "with_left_out",
]

_Class = TypeVar("_Class", bound=type)

WEIGHT_KEY = "sample_weight"  # a key of dict elements, which target_keys may name too
# The key of the objects of an element (x, y) whose y is the dict of boxes and labels.
WHOLE = ""


class Parts(NamedTuple):
    """The parts of an element that are mixed, or their specs. Each may be a nest.

    Attributes:
      features: tensors (B, ...).
      targets: tensors (B, ...).
      weights: sample weights (B, ...), or None.
      lengths: a dict of lengths and padding masks, or None.
      objects: dicts of boxes with their labels, by the key of the target, or None.
        Their tensors (B, n, ...) may be ragged, and n may differ between two batches.
    """

    features: Any
    targets: Any
    weights: Any = None
    lengths: Any = None
    objects: Any = None


def split(
    element: Any,
    feature_keys: Sequence[str],
    target_keys: Sequence[Any],
    length_keys: Sequence[str] = (),
    keep_keys: Sequence[str] = (),
) -> Parts:
    """Takes an element, or an element_spec, apart.

    Args:
      element: `(x, y)`, `(x, y, sample_weight)`, or a dict as TFDS yields it. Or x
        alone or `(x,)`, without targets.
      feature_keys: keys of a dict element that hold features.
      target_keys: keys of a dict element that hold targets.
      length_keys: keys of a dict element, or of the dict of features of a tuple, that
        hold lengths or padding masks.
      keep_keys: keys of either dict that are left out.

    Returns:
      The element's `Parts`. The other keys of a dict element are left out too. `join`
      takes the values that were left out from the element.

    Raises:
      TypeError: the element is none of these.
      KeyError: a dict lacks one of the keys.
    """
    if isinstance(element, dict):
        _check_keys(element, "feature_keys", feature_keys)
        _check_keys(element, "target_keys", target_keys)
        _check_keys(element, "length_keys", length_keys)
        _check_keys(element, "keep_keys", keep_keys)
        labels = [key for key in target_keys if key != WEIGHT_KEY]
        return Parts(
            features={key: element[key] for key in feature_keys},
            targets={key: element[key] for key in labels},
            # Sample weights belong to the label, so they are mixed without being named.
            weights=(
                None
                if WEIGHT_KEY in (*feature_keys, *keep_keys)
                else element.get(WEIGHT_KEY)
            ),
            lengths={key: element[key] for key in length_keys} or None,
        )
    if isinstance(element, tuple) and len(element) in (1, 2, 3):
        if len(element) == 1:
            element = (*element, ())
        named = {"length_keys": length_keys, "keep_keys": keep_keys}
        return _without(Parts(*element), {k: v for k, v in named.items() if v})
    if isinstance(element, (tf.Tensor, tf.TypeSpec, tf.RaggedTensor, np.ndarray)):
        return Parts(element, ())
    came = type(element).__name__
    if isinstance(element, tuple):
        came += f" of {len(element)}"
    raise TypeError(
        "elements must be (x, y), (x, y, sample_weight), a dict or x alone, got "
        f"{came}: {element!r}. Map the dataset to (x, y) first; TFDS does so with "
        "as_supervised=True." + see_docs("guide")
    )


def _check_keys(element: dict[str, Any], name: str, keys: Sequence[str]) -> None:
    missing = [key for key in keys if key not in element]
    if missing:
        raise KeyError(
            f"elements have no key {missing[0]!r}, which {name}={tuple(keys)!r} asks "
            f"for; they have {sorted(element)}. "
            f"Pass {name}=(...) with keys of these elements."
        )


def _without(parts: Parts, named: dict[str, Sequence[str]]) -> Parts:
    """Takes the keys that an argument names out of features that are a dict."""
    if not named:
        return parts
    for name, keys in named.items():
        if not isinstance(parts.features, dict):
            raise TypeError(
                f"{name}={tuple(keys)!r} needs elements or features that are dicts. "
                f"Map the dataset to ({{'x': x, {keys[0]!r}: ...}}, y)."
            )
        _check_keys(parts.features, name, keys)
    out = [key for keys in named.values() for key in keys]
    lengths = {key: parts.features[key] for key in named.get("length_keys", ())}
    rest = {k: v for k, v in parts.features.items() if k not in out}
    return parts._replace(features=rest, lengths=lengths or None)


def join(parts: Parts, like: Any) -> Any:
    """Puts together what `split` took apart.

    Args:
      parts: the mixed parts.
      like: the element that the parts came from. It gives the values that were left
        out, and the type of a named tuple.

    Returns:
      An element. `(x, y)` becomes `(x, y, sample_weight)` if only `parts` have weights.
    """
    others = {**(parts.lengths or {}), **left_out(like, parts)}
    if isinstance(like, dict):
        mixed = {**parts.features, **parts.targets, **_objects_of(parts), **others}
        if parts.weights is not None:
            mixed[WEIGHT_KEY] = parts.weights
        return {**like, **mixed}
    features = {**parts.features, **others} if others else parts.features
    if not isinstance(like, tuple):
        return features
    if len(like) == 1:
        return (features,)
    made: tuple[Any, ...] = (features, _with_objects(parts))
    if parts.weights is not None:
        made = (*made, parts.weights)
    if hasattr(like, "_fields") and len(like) == len(made):
        return type(like)(*made)
    return made


def _objects_of(parts: Parts) -> dict[str, Any]:
    """The boxes of a dict element, of which some may be keys of the element itself."""
    objects = dict(parts.objects or {})
    return {**objects.pop(WHOLE, {}), **objects}


def _with_objects(parts: Parts) -> Any:
    if parts.objects is None:
        return parts.targets
    if WHOLE in parts.objects:
        return parts.objects[WHOLE]
    return {**parts.targets, **parts.objects}


def left_out(element: Any, parts: Parts) -> dict[str, Any]:
    """The items that `split` left out of a dict element, or of a dict of features."""
    whole, taken = element, {**(parts.lengths or {})}
    if isinstance(element, dict):
        taken |= {**parts.features, **parts.targets, **_objects_of(parts)}
        if parts.weights is not None:
            taken[WEIGHT_KEY] = parts.weights
    elif isinstance(element, tuple) and isinstance(element[0], dict):
        whole, taken = element[0], {**taken, **parts.features}
    else:
        return {}
    return {key: value for key, value in whole.items() if key not in taken}


def with_left_out(element: Any, changed: dict[str, Any]) -> Any:
    """The element, with changed values for keys that `split` left out."""
    if not changed:
        return element
    if isinstance(element, dict):
        return {**element, **changed}
    made = ({**element[0], **changed}, *element[1:])
    return type(element)(*made) if hasattr(element, "_fields") else made


def to_tensors(parts: Parts) -> Parts:
    """Converts the parts to tensors, so that NumPy batches can be mixed by hand."""

    def tensor(value: Any) -> Any:
        composite = (tf.RaggedTensor, tf.SparseTensor, tf.experimental.ExtensionType)
        if value is None or isinstance(value, composite):
            return value  # which is refused later
        return tf.convert_to_tensor(value)

    return map_parts(tensor, parts)


def spec_of(parts: Parts) -> Parts:
    """The specs of the parts. Sparse tensors stay, and are refused later."""

    def spec(value: Any) -> Any:
        # `repr` of a ragged tensor has values or names, and plans are found by it.
        if isinstance(value, tf.RaggedTensor):
            return tf.RaggedTensorSpec.from_value(value)
        dense = isinstance(value, (tf.Tensor, tf.TensorSpec))
        return tf.TensorSpec(value.shape, value.dtype) if dense else value

    return map_parts(spec, parts)


def map_parts(fn: Callable[..., Any], *parts: Parts) -> Parts:
    """Applies `fn` to every tensor of the parts."""
    return Parts(*(map_nest(fn, *same) for same in zip(*parts)))


def map_nest(fn: Callable[..., Any], *nests: Any) -> Any:
    """`tf.nest.map_structure`, except that a missing part, None, stays None."""
    return None if nests[0] is None else tf.nest.map_structure(fn, *nests)


def head(parts: Parts, n: tf.Tensor) -> Parts:
    """The first `n` examples of a batch."""
    return map_parts(lambda tensor: tensor[:n], parts)


def leaves(parts: Parts) -> list[Any]:
    """All tensors of the parts but `objects`, or their specs."""
    dense = parts._replace(objects=None)
    return tf.nest.flatten([part for part in dense if part is not None])


def batch_size(parts: Parts) -> int | tf.Tensor:
    """B: an integer if it is static, else a scalar int32 tensor."""
    first = tf.nest.flatten(parts.features)[0]
    return first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]


def static_but_batch(parts: Parts) -> bool:
    """Whether every dimension but the first is known."""
    return all(spec.shape[1:].is_fully_defined() for spec in leaves(parts))


def describe(spec: Any) -> str:
    """Dtype and shape for a message, such as "float32(None, 8)"."""
    return f"{spec.dtype.name}{spec.shape}"


def of_any_number(parts: Parts) -> Parts:
    """The parts, with specs of boxes that leave open how many an image has."""

    def spec(one: Any) -> Any:
        if one.shape.rank is None:
            return one
        shape = one.shape.as_list()
        shape[1:2] = [None] * len(shape[1:2])
        return tf.TensorSpec(shape, one.dtype)

    return parts._replace(objects=map_nest(spec, parts.objects))


def check_same_spec(name: str, first: Any, second: Any) -> None:
    """Refuses two element specs that differ in structure, dtype or shape.

    Args:
      name: what `second` is, such as "partner".
      first: the dataset's spec.
      second: the spec that must be like it.
    """

    def fail(what: str) -> None:
        raise ValueError(
            f"{name} must yield elements like the dataset's, but {what}. "
            f"The dataset's: {first}; {name}: {second}. Map both to one structure, "
            "dtype and shape."
        )

    try:
        tf.nest.assert_same_structure(first, second)
    except (ValueError, TypeError):
        fail("their structures differ")
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second)):
        if a is None and b is None:  # both without sample weights
            continue
        if a is None or b is None:
            fail("only one of them has sample weights")
        if not (hasattr(a, "dtype") and hasattr(b, "dtype")):  # Optional and the like
            if a != b:
                fail(f"{b} is not {a}")
            continue
        if a.dtype != b.dtype:
            fail(f"{b.dtype.name} is not {a.dtype.name}")
        if not a.shape.is_compatible_with(b.shape):
            fail(f"shape {b.shape} is not {a.shape}")


def check_same_shapes(caller: str, first: Parts, second: Parts) -> list[tf.Operation]:
    """Operations that raise if two batches differ in shape, and would broadcast.

    The operations run outside the XLA-compiled function, because XLA drops asserts.
    Static shapes have been compared before.
    """
    pairs = [
        (tf.shape(a), tf.shape(b))
        for a, b in zip(leaves(first), leaves(second))
        if not (a.shape.is_fully_defined() and b.shape.is_fully_defined())
    ]
    if not pairs:
        return []
    same = tf.reduce_all([tf.reduce_all(tf.equal(*pair)) for pair in pairs])
    message = (
        f"{caller}: two batches to be mixed have different shapes. Zip batches of one "
        "size (batch(..., drop_remainder=True)), and pad examples of varying length. "
        "Shapes, in pairs:"
    )
    flat = [shape for pair in pairs for shape in pair]
    return [tf.debugging.Assert(same, [message, *flat], summarize=64)]


def map_elements(
    dataset: tf.data.Dataset, fn: Callable[[Any], Any], **options: Any
) -> tf.data.Dataset:
    """`Dataset.map` by a function of one element, even if the element is a tuple."""
    return dataset.map(of_element(fn), **options)


def flat_map_elements(
    dataset: tf.data.Dataset, fn: Callable[[Any], tf.data.Dataset]
) -> tf.data.Dataset:
    """`Dataset.flat_map` by a function of one element."""
    return dataset.flat_map(of_element(fn))


def filter_elements(
    dataset: tf.data.Dataset, fn: Callable[[Any], tf.Tensor]
) -> tf.data.Dataset:
    """`Dataset.filter` by a function of one element."""
    return dataset.filter(of_element(fn))


def of_element(fn: Callable[[Any], Any]) -> Callable[..., Any]:
    """Makes a function of one element fit for `Dataset.map`.

    `Dataset.map` passes the members of a tuple as arguments of their own.
    """

    def call(*element: Any) -> Any:
        return fn(element[0] if len(element) == 1 else element)

    return tf.autograph.experimental.do_not_convert(call)


def never_convert(cls: _Class) -> _Class:
    """Keeps AutoGraph from converting the public methods that a class defines.

    AutoGraph would convert them when a user's map function calls them. It would then
    copy an error's message before the caller's name is put in front.
    """
    for name, method in list(vars(cls).items()):
        if inspect.isfunction(method) and (name == "__call__" or name[0] != "_"):
            setattr(cls, name, tf.autograph.experimental.do_not_convert(method))
    return cls
