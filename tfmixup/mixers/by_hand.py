"""Checks of what a user gives a mixer by hand: parameters of a batch, and partners.

A pipeline draws both and does not need these checks.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["check_params", "check_partner"]


def check_params(mixer: Any, given: Any, size: int | tf.Tensor) -> Any:
    """Refuses parameters that `sample` cannot have returned.

    Args:
      mixer: the mixer that is given the parameters.
      given: the parameters.
      size: B.

    Returns:
      The parameters as tensors. They raise where a share is outside [0, 1].
    """
    return _checked(mixer.name, "params", given, mixer.drawn, size)


def _checked(
    caller: str, name: str, given: Any, like: Any, size: int | tf.Tensor
) -> Any:
    if not isinstance(like, tuple):
        return _tensor(name, given, like, size)
    if not isinstance(given, type(like)) or len(given) != len(like):
        fields = ", ".join(getattr(like, "_fields", ["..."] * len(like)))
        kind = "tuple" if type(like) is tuple else type(like).__name__
        raise TypeError(
            f"{name} must be {kind}({fields}), such as "
            f"mixer.sample({size if isinstance(size, int) else 'batch_size'}, "
            f"seed=[1, 2]) returns, got {given!r} ({type(given).__name__})."
        )
    made = []
    for k, (value, wanted) in enumerate(zip(given, like)):
        field = like._fields[k] if hasattr(like, "_fields") else k
        full = f"{name}.{field}" if isinstance(field, str) else f"{name}[{k}]"
        value = _checked(caller, full, value, wanted, size)
        # Only the parameters of this package's mixers are known to be shares or choices
        # of a mixer.
        if type(like).__module__.startswith("tfmixup.") and tf.is_tensor(value):
            value = _in_range(caller, full, value, like)
        made.append(value)
    return type(like)(*made) if hasattr(like, "_fields") else tuple(made)


def _tensor(name: str, given: Any, like: Any, size: int | tf.Tensor) -> tf.Tensor:
    try:
        tensor = tf.convert_to_tensor(given)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a tensor of {like.dtype.name}, got {given!r} "
            f"({type(given).__name__})."
        ) from None
    real = tensor.dtype.is_floating or tensor.dtype.is_integer
    if tensor.dtype != like.dtype and not (real and like.dtype.is_floating):
        raise TypeError(f"{name} must be {like.dtype.name}, got {tensor.dtype.name}.")
    shapes = [tf.TensorShape([n, *like.shape[1:]]) for n in (_static(size), 1)]
    per_batch = like.shape.rank and like.shape[0] in (1, 2)
    if per_batch and not any(map(tensor.shape.is_compatible_with, shapes)):
        raise ValueError(
            f"{name} must have shape {shapes[0]}, or {shapes[1]} where the batch "
            f"shares it, got {tensor.shape}."
        )
    return tf.cast(tensor, like.dtype)


def _static(size: int | tf.Tensor) -> int | None:
    return size if isinstance(size, int) else None


def _in_range(caller: str, name: str, value: tf.Tensor, of: Any) -> tf.Tensor:
    """Makes floats raise that are no shares, and integers that are no mixer's index."""
    if value.dtype.is_floating:
        least, most, range_ = 0, 1, "[0, 1]"
    else:
        least, most = 0, len(of.mixers) - 1
        range_ = f"[0, {most}]"
    # NaN fails this condition too.
    fine = tf.reduce_all((value >= least) & (value <= most))
    message = f"{caller}: {name} must be in {range_}, but has others:"
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, value])]):
        return tf.identity(value)


def check_partner(caller: str, partner: Any, size: int | tf.Tensor) -> tf.Tensor:
    """Refuses a `partner` that is not one index per example.

    Args:
      caller: the name that errors about values begin with.
      partner: the indices.
      size: B.

    Returns:
      The indices as int32.
    """
    hint = "It says which example of the batch each is mixed with."
    try:
        tensor = tf.convert_to_tensor(partner)
    except (TypeError, ValueError):
        tensor = tf.constant("")
    if not tensor.dtype.is_integer:
        raise TypeError(
            f"partner must be integers, got {partner!r} ({type(partner).__name__}). "
            + hint
        )
    if not tensor.shape.is_compatible_with([_static(size)]):
        raise ValueError(
            f"partner must have shape ({_static(size) or 'batch'},), got "
            f"{tensor.shape}. {hint}"
        )
    wide = tf.cast(tensor, tf.int64)
    fine = tf.reduce_all((wide >= 0) & (wide < tf.cast(size, tf.int64)))
    message = (
        f"{caller}: partner must be indices of examples in [0, B), B the size of the "
        "batch, but has others:"
    )
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, tensor])]):
        return tf.cast(tensor, tf.int32)
