"""Configurations of mixers: from arguments to JSON values, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmixup import distributions

__all__ = ["arguments_of", "config_of"]


def config_of(mixer: Any) -> dict[str, Any]:
    """The arguments that make a mixer again, as JSON values.

    Args:
      mixer: a dataclass.

    Returns:
      A dict of the arguments by name.

    Raises:
      TypeError: the mixer is no dataclass, or an argument cannot be written as JSON.
    """
    if not dataclasses.is_dataclass(mixer):
        raise TypeError(
            f"{type(mixer).__name__} is no dataclass: give it methods get_config and "
            "from_config."
        )
    fields = [field for field in dataclasses.fields(mixer) if field.init]
    return {
        field.name: _told(field.name, getattr(mixer, field.name)) for field in fields
    }


def arguments_of(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a mixer from its configuration."""
    return {name: _untold(value) for name, value in config.items()}


# The underscores distinguish these keys from the keys of a user's dict.
_TUPLE, _ARRAY, _DTYPE = "__tuple__", "__array__", "__dtype__"
_DISTRIBUTION = "__tfp.distributions__"


def _told(name: str, value: Any) -> Any:
    """A value as JSON, which `_untold` reads back."""
    if type(value) in (type(None), bool, int, float, str):  # np.float64 is a float too
        return value
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _told(name, one) for key, one in value.items()}
    if isinstance(value, list):
        return [_told(name, one) for one in value]
    if isinstance(value, tuple):
        told = [_told(name, one) for one in value]
        # `num_classes` may be a nest with the structure of the targets, in which a
        # tuple is not a list. Other arguments may come back as lists.
        return {_TUPLE: told} if name == "num_classes" else told
    if distributions.is_distribution(value):
        return _distribution(name, value)
    if isinstance(value, tf.DType):  # a distribution's
        return {_DTYPE: value.name}
    if hasattr(value, "get_config"):
        return keras.saving.serialize_keras_object(value)
    if tf.is_tensor(value) or isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            return {_ARRAY: array.tolist(), "dtype": array.dtype.name}
    raise TypeError(
        f"{name}={value!r} cannot be told in JSON. Give the mixer methods get_config "
        "and from_config."
    )


def _distribution(name: str, value: Any) -> dict[str, Any]:
    """A distribution of TFP by its name and parameters."""
    kind = type(value).__name__
    if distributions.by_name(kind) is not type(value):
        raise TypeError(
            f"{name}={value!r} cannot be told in JSON, being none of "
            "tfp.distributions. Give one of those."
        )
    parameters = {k: v for k, v in value.parameters.items() if v is not None}
    return {_DISTRIBUTION: kind, "parameters": _told(name, parameters)}


def _untold(value: Any) -> Any:
    if isinstance(value, list):
        return [_untold(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _TUPLE in value:
        return tuple(_untold(one) for one in value[_TUPLE])
    if _DTYPE in value:
        return tf.as_dtype(value[_DTYPE])
    if _ARRAY in value:
        return np.asarray(value[_ARRAY], value["dtype"])[()]
    if _DISTRIBUTION in value:
        kind = distributions.by_name(value[_DISTRIBUTION])
        if kind is None:
            raise ValueError(
                f"TensorFlow Probability has no distribution {value[_DISTRIBUTION]!r}, "
                "which the configuration of a mixer names. Install the release that "
                "the configuration was written with."
            )
        return kind(**_untold(value["parameters"]))
    if "registered_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return {key: _untold(one) for key, one in value.items()}
