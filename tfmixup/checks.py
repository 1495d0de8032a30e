"""Checks of arguments, and the caller's name in front of their messages.

A check raises where the mistake is found, and does not know which public function was
called. The public function adds its own name once, by `named`. A message says which
argument is wrong, what came, and what to write instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import numbers
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

__all__ = [
    "batch_seed",
    "boolean",
    "cardinality",
    "choice",
    "dataset",
    "eager",
    "finite_number",
    "fraction",
    "hashable_fields",
    "integer",
    "is_finite",
    "is_number",
    "keys",
    "named",
    "no_py_dataset",
    "non_negative",
    "not_empty",
    "numbers_by_class",
    "see_docs",
    "seed",
    "stage",
    "unit_range",
]


_Stage = Callable[[tf.data.Dataset], tf.data.Dataset]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_NAMED = (TypeError, ValueError, KeyError, RuntimeError, ImportError)


class _Named(contextlib.ContextDecorator):
    def __init__(self, caller: str) -> None:
        self.caller = caller

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # Subclasses are left alone: UnicodeDecodeError, for one, keeps more than a
        # message in `args`.
        if error is None or type(error) not in _NAMED or not error.args:
            return
        message = error.args[0]
        if isinstance(message, str) and not message.startswith("tfmixup."):
            error.args = (f"{self.caller}: {message}", *error.args[1:])

    def __call__(self, fn: _Function) -> _Function:
        # AutoGraph would convert the entry when a user's map function calls it. It
        # would then copy an error's message before the caller's name is added.
        return tf.autograph.experimental.do_not_convert(super().__call__(fn))


def named(caller: str) -> _Named:
    """Puts the caller's name in front of the messages of errors, once.

    Use it as a decorator of a public entry, or as a context (`with named(...):`). The
    name is a prefix because Python 3.10 has no `BaseException.add_note`. A message that
    begins with a name keeps that name, which is the innermost public entry's.

    Args:
      caller: the public entry, such as "tfmixup.two_streams".
    """
    return _Named(caller)


# Messages give a page's title and not its path. An installed package has no folder of
# pages, but a user can search for a title.
_PAGES = {
    "choosing_alpha": "Choosing α, and when mixup hurts",
    "detection": "Mix images with boxes",
    "guarantees": "What is promised",
    "guide": "Guide",
    "images_and_masks": "Mix images and masks",
    "pairs_of_targets": "Train with CTC and other losses",
    "regression": "Regression",
    "several_machines": "Several machines, TPUs, and runs that die",
    "sound": "Mix sounds and time series",
    "text_and_categories": "Mix data with text and categories",
}


def see_docs(page: str) -> str:
    """The end of a message: the page of the documentation that explains it."""
    return f' See the page "{_PAGES[page]}" of the documentation.'


def is_number(value: Any) -> bool:
    """Whether `value` is a real number. True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether `value` is a finite real number that a float can hold."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def finite_number(
    name: str, value: Any, *, least: float, hint: str, unit: str = ""
) -> float:
    """Refuses all but a finite number >= `least`. Returns the number as a float."""
    if not is_number(value):
        raise TypeError(
            f"{name} must be a number{unit}, got {value!r} ({type(value).__name__}). "
            + hint
        )
    if not is_finite(value) or value < least:
        raise ValueError(
            f"{name} must be finite and at least {least:g}, got {value!r}. {hint}"
        )
    return float(value)


def non_negative(name: str, value: Any) -> float:
    """Refuses all but a finite number >= 0. Returns the number as a float."""
    if not is_number(value):
        raise TypeError(
            f"{name} must be a number, got {value!r} ({type(value).__name__}). "
            f"Pass a Python float, such as {name}=0.2."
        )
    if not is_finite(value) or value < 0:
        raise ValueError(
            f"{name} must be finite and not negative, got {value!r}. Use {name}=0 for "
            "no mixing; 0.2 to 0.4 are usual for large data sets."
            + see_docs("choosing_alpha")
        )
    return float(value)


def fraction(name: str, value: Any, *, below_one: bool = False) -> float:
    """Refuses all but numbers in [0, 1], [0, 1) with `below_one`. Returns a float."""
    bounds = "[0, 1)" if below_one else "[0, 1]"
    if not is_number(value):
        raise TypeError(
            f"{name} must be a number in {bounds}, got {value!r} "
            f"({type(value).__name__})."
        )
    if not 0 <= value <= 1 or (below_one and value == 1):
        raise ValueError(
            f"{name} must be in {bounds}, got {value!r}. "
            "Give it as a share, not as a percentage."
        )
    return float(value)


def unit_range(name: str, value: Any) -> tuple[float, float]:
    """Refuses all but (low, high) with 0 <= low < high <= 1. Returns floats."""
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or len(value) != 2
        or not all(is_number(end) for end in value)
    ):
        raise TypeError(
            f"{name} must be a pair of numbers (low, high), got {value!r}. "
            f"For example: {name}=(0.1, 0.9)."
        )
    low, high = value
    if not 0 <= low < high <= 1:
        raise ValueError(
            f"{name} must satisfy 0 <= low < high <= 1, got ({low}, {high}). "
            f"For example: {name}=(0.1, 0.9)."
        )
    return float(low), float(high)


def integer(name: str, value: Any, *, least: int = 1) -> int:
    """Refuses all but an integer >= `least`. Returns it as a Python int."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be an integer, got {value!r} ({type(value).__name__})."
        )
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}.")
    if int(value) >= 2**63:
        raise ValueError(f"{name} must be less than 2**63, got {value!r}.")
    return int(value)


def numbers_by_class(
    name: str, value: Any, num_classes: int | None = None, *, positive: bool
) -> list[float]:
    """Refuses all but a sequence of numbers, one for every class.

    Args:
      name: the argument's name, for messages.
      value: a sequence, array or tensor.
      num_classes: how many numbers there must be. None for two or more.
      positive: whether 0 is refused too.

    Returns:
      A list of the numbers, unchanged.
    """
    if isinstance(value, (np.ndarray, tf.Tensor)):
        value = np.asarray(value).tolist()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(
            f"{name} must be a sequence of numbers, one for every class, got "
            f"{value!r} ({type(value).__name__}). "
            "tfmixup.class_counts(dataset, num_classes) counts the examples."
        )
    if num_classes is None and len(value) < 2:
        raise ValueError(f"{name} must have at least two classes, got {value!r}.")
    if num_classes is not None and len(value) != num_classes:
        raise ValueError(
            f"{name} has {len(value)} entries, and num_classes={num_classes}. Give one "
            "number for every class."
        )
    for index, number in enumerate(value):
        if not is_number(number):
            raise TypeError(
                f"{name} must be numbers, got {number!r} ({type(number).__name__}) for "
                f"class {index}."
            )
        if not is_finite(number) or number < 0 or (positive and number == 0):
            bound = "positive and finite" if positive else "finite and not negative"
            hint = (
                " A class that no training example has can be given 1: it never occurs."
                if positive
                else ""
            )
            raise ValueError(
                f"{name} must be {bound}, got {number!r} for class {index}." + hint
            )
    return list(value)


def seed(value: Any) -> None:
    """Refuses all but None and integers."""
    if value is None:
        return
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(
            f"seed must be an integer or None, got {value!r} "
            f"({type(value).__name__}). The same integer gives the same stream, None "
            "gives another one in every run." + see_docs("guarantees")
        )


def batch_seed(value: Any) -> tf.Tensor:
    """Refuses all but a pair of integers. Returns the pair as int32 of shape (2,)."""
    try:
        seed = tf.convert_to_tensor(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"seed must be two integers, such as seed=[1, 2], got {value!r}. "
            "two_streams and in_batch take one integer."
        ) from None
    if not seed.dtype.is_integer or not seed.shape.is_compatible_with([2]):
        raise ValueError(
            "seed must be two integers, such as seed=[1, 2], got "
            f"{seed.dtype.name} of shape {seed.shape}. two_streams and in_batch take "
            "one integer."
        )
    if seed.dtype.size <= 4:
        return tf.cast(seed, tf.int32)
    # A cast alone drops the upper half, so that 2**32 + 1 would draw the same numbers
    # as 1. A seed that int32 can hold stays the same.
    wide = tf.cast(seed, tf.int64)
    low, high = (
        tf.cast(wide, tf.int32),
        tf.cast(tf.bitwise.right_shift(wide, 32), tf.int32),
    )
    return low ^ high ^ tf.bitwise.right_shift(low, 31)


def dataset(name: str, value: Any, hint: str | None = None) -> None:
    """Refuses all but a `tf.data.Dataset`."""
    no_py_dataset(name, value)
    if not isinstance(value, tf.data.Dataset):
        hint = hint or (
            "Make one of arrays: tf.data.Dataset.from_tensor_slices((x, y))."
        )
        raise TypeError(
            f"{name} must be a tf.data.Dataset, got {type(value).__name__}. {hint}"
        )


def no_py_dataset(name: str, value: Any) -> None:
    """Refuses Keras's own datasets. They are told by name, without importing Keras."""
    kinds = {kind.__name__: kind.__module__ for kind in type(value).__mro__}
    for kind in ("PyDataset", "Sequence"):
        if kinds.get(kind, "").startswith(("keras.", "tf_keras.")):
            raise TypeError(
                f"{name} must not be a keras.utils.{kind}, got {type(value).__name__}. "
                "Mix in its __getitem__: return mixer(x, y). Or make a tf.data.Dataset "
                "of its batches for tfmixup.in_batch: "
                "tf.data.Dataset.from_generator(lambda: (data[k] for k in "
                "range(len(data))), output_signature=...)."
            )


def stage(caller: str, usage: str) -> Callable[[_Stage], _Stage]:
    """Decorates a function of a dataset for `Dataset.apply`.

    The decorated function refuses anything but one dataset, and its errors begin with
    the caller's name.

    Args:
      caller: the public entry, such as "tfmixup.in_batch".
      usage: what to write instead, for the error if `Dataset.map` calls the function.
    """

    def decorate(fn: _Stage) -> _Stage:
        @named(caller)
        @functools.wraps(fn)
        def apply(*given: Any) -> tf.data.Dataset:
            if len(given) != 1 or _has_symbolic(given[0]):
                raise TypeError(
                    "this is a function for Dataset.apply, and Dataset.map passes "
                    f"elements. {usage}"
                )
            dataset("what it is applied to", given[0])
            return fn(given[0])

        return apply

    return decorate


def _has_symbolic(nest: Any) -> bool:
    if isinstance(nest, tf.data.Dataset):  # in a graph it holds a symbolic tensor
        return False
    leaves = tf.nest.flatten(nest, expand_composites=True)
    return any(map(tf.is_symbolic_tensor, leaves))


def not_empty(dataset: tf.data.Dataset, also: str = "") -> None:
    """Refuses a dataset that is known to have no elements.

    Args:
      dataset: the dataset to check.
      also: what else the message tells the user to check.
    """
    if cardinality(dataset) == 0:
        raise ValueError(
            "the dataset is empty. Check the split, filter or path it is made from"
            f"{also}."
        )


def cardinality(dataset: tf.data.Dataset) -> int:
    """The number of elements, or `tf.data`'s constant for unknown or infinite.

    Inside a graph, such as the function of a `flat_map`, the number is computed only
    when the graph runs. It is unknown then.
    """
    static = tf.get_static_value(dataset.cardinality())
    return tf.data.UNKNOWN_CARDINALITY if static is None else int(static)


def eager(name: str) -> None:
    """Raises inside a graph. Functions that read the data at once call it first."""
    if not tf.executing_eagerly():
        raise RuntimeError(
            f"called inside a tf.function, a map function or a graph, where {name} "
            "cannot be looked at. Call it outside and pass the result in."
        )


def boolean(name: str, value: Any) -> None:
    """Refuses all but True and False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def hashable_fields(mixer: Any) -> None:
    """Refuses unhashable values, such as lists, in fields that make mixers equal."""
    for field in dataclasses.fields(mixer) if dataclasses.is_dataclass(mixer) else ():
        value = getattr(mixer, field.name, None)
        try:
            hash(value)
        except TypeError:
            if field.compare if field.hash is None else field.hash:
                raise TypeError(
                    f"{field.name} must be hashable, since mixers can be compared, got "
                    f"{value!r} ({type(value).__name__}). Give a tuple, or declare the "
                    "field with dataclasses.field(compare=False)."
                ) from None


def choice(name: str, value: Any, options: Sequence[Any]) -> None:
    """Refuses all but one of `options`. 1 does not pass for True."""
    if not any(value is o or (isinstance(value, str) and value == o) for o in options):
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.")


def keys(name: str, value: Any) -> tuple[str, ...]:
    """Refuses all but a sequence of dict keys. Returns the keys as a tuple."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        example = value if isinstance(value, str) else "image"
        raise TypeError(
            f"{name} must be a tuple of dict keys, got {value!r}. "
            f"Write {name}=({example!r},)."
        )
    for key in value:
        if not isinstance(key, Hashable):
            raise TypeError(
                f"{name} must hold dict keys, got {key!r} "
                f"({type(key).__name__}). Write {name}=('image',)."
            )
    if len(set(value)) < len(value):
        raise ValueError(f"{name}={value!r} names a key twice.")
    return tuple(value)
