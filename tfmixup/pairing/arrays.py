"""Arrays in memory as tensors: of one length, dense, and not copied more than once."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["length", "read"]

# TensorFlow takes memory that starts at a multiple of this as it is, and copies other.
_ALIGNMENT = 64


def read(owner: str, name: str, nest: Any) -> Any:
    """Makes a tensor in host memory of every array of a nest of tuples and dicts.

    A NumPy array is copied once, so that nobody can change it afterwards; a tensor is
    taken as it is.

    Args:
      owner: named in errors.
      name: of the argument, named in errors.
      nest: arrays or tensors, each of shape (N, ...).

    Returns:
      A nest of the same structure.

    Raises:
      TypeError: something is a dataset, ragged, sparse, or not an array at all.
    """
    if isinstance(nest, tf.data.Dataset):
        raise TypeError(
            f"{owner}: {name} must be arrays or tensors, got a tf.data.Dataset. Use "
            "dataset.apply(tfmixup.two_streams(mixer, batch_size))."
        )
    if isinstance(nest, dict):
        return {key: read(owner, f"{name}[{key!r}]", nest[key]) for key in nest}
    if isinstance(nest, tuple):
        parts = [read(owner, f"{name}[{i}]", part) for i, part in enumerate(nest)]
        return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)
    with tf.device("CPU"):
        return _tensor(owner, name, nest)


def length(owner: str, name: str, nest: Any) -> int:
    """N, the number of examples in a nest of tensors of shape (N, ...).

    Raises:
      ValueError: they differ in it, have none, or it is 0.
    """
    shapes = [tensor.shape for tensor in tf.nest.flatten(nest)]
    sizes = {int(shape[0]) for shape in shapes if shape.rank}
    if len(sizes) != 1 or not all(shape.rank for shape in shapes):
        raise ValueError(
            f"{owner}: the arrays in {name} must have one first dimension, the number "
            f"of examples, got shapes {', '.join(str(shape) for shape in shapes)}. "
            "Pass as many labels as features."
        )
    size = sizes.pop()
    if size == 0:
        raise ValueError(f"{owner}: {name} is empty: its arrays have length 0.")
    return size


def _tensor(owner: str, name: str, value: Any) -> tf.Tensor:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)) or value is None:
        raise TypeError(
            f"{owner}: {name} must be a dense array, got {type(value).__name__}. Pad "
            "ragged ones (RaggedTensor.to_tensor), densify sparse ones "
            "(tf.sparse.to_dense)."
        )
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return tf.identity(value)
    try:
        # A list of Python floats is float32 to TensorFlow, float64 to NumPy.
        if isinstance(value, (list, int, float)):
            return tf.convert_to_tensor(value)
        array = np.asarray(value)
        if array.dtype.kind in "SU":
            return tf.constant(array)
        if array.dtype.kind != "O":
            return _copy(array)
        what = f"an array of Python objects ({type(value).__name__})"
    except (TypeError, ValueError) as error:
        what = f"{type(value).__name__}: {error}"
    raise TypeError(
        f"{owner}: {name} must be an array or a tensor, got {what}. Pass a NumPy array "
        "of numbers with one row for each example; pad rows of different length."
    )


def _copy(array: np.ndarray) -> tf.Tensor:
    """`tf.constant(array)`, which copies twice, the second time for the alignment."""
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    rows = memory[start : start + array.nbytes]
    aligned = rows.view(array.dtype.newbyteorder("=")).reshape(array.shape)
    np.copyto(aligned, array)
    return tf.raw_ops.Identity(input=aligned)
