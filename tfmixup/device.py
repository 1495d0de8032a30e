"""Elements on the accelerator before the model asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup import checks

__all__ = ["prefetch_to_device"]

_OWNER = "tfmixup.prefetch_to_device"


def prefetch_to_device(
    device: str = "auto", buffer_size: int = 2
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Prefetches elements onto a device; the last stage of a pipeline.

    `tf.data.experimental.prefetch_to_device` does the copying. Its dataset has lost the
    cardinality (so that Keras's progress bar has no total, and Keras warns that data
    ran out), and `assert_cardinality` behind it would bring the elements back to the
    host. This one keeps the cardinality and leaves the elements where they are.

    Under a `tf.distribute` strategy leave it out: the strategy copies elements itself,
    see `tf.distribute.InputOptions(experimental_fetch_to_device=True)`.

    Args:
      device: a device's name, such as "/gpu:1", or "auto": the first GPU, and plain
        `Dataset.prefetch` where there is none.
      buffer_size: elements that are kept ready, at least 1.

    Returns:
      A function for `Dataset.apply`. What is applied to its result runs on the host
      again; an iterator on a device cannot be saved in a checkpoint.

    Raises:
      TypeError: `device` is not a string, or `buffer_size` not an integer.
      ValueError: there is no such device, or `buffer_size` is less than 1.

    Examples:
      >>> ds = tf.data.Dataset.range(3).apply(prefetch_to_device())
      >>> len(ds)
      3
    """
    if not isinstance(device, str):
        raise TypeError(
            f"{_OWNER}: device must be a string, got {device!r}. For example '/gpu:0'."
        )
    if buffer_size != tf.data.AUTOTUNE:
        checks.positive_integer(_OWNER, "buffer_size", buffer_size)

    def apply(dataset: tf.data.Dataset) -> tf.data.Dataset:
        target = _resolve(device)
        if target is None:
            return dataset.prefetch(buffer_size)
        there = dataset.apply(
            tf.data.experimental.prefetch_to_device(target, buffer_size)
        )
        return _OnDevice(there, dataset.cardinality())

    return apply


def _resolve(device: str) -> str | None:
    names = [d.name for d in tf.config.list_logical_devices()]
    if device == "auto":
        gpus = [name for name in names if ":GPU:" in name]
        return gpus[0] if gpus else None
    try:
        wanted = tf.DeviceSpec.from_string(_canonical(device))
    except ValueError:
        wanted = tf.DeviceSpec()
    for name in names:
        spec = tf.DeviceSpec.from_string(name)
        index = wanted.device_index or 0
        here = wanted.job in (None, spec.job) and wanted.task in (None, spec.task)
        same = (wanted.device_type, index) == (spec.device_type, spec.device_index)
        if here and same:
            return name
    raise ValueError(
        f"{_OWNER}: there is no device {device!r}. This process sees {names}; pass one "
        "of them, or 'auto'."
    )


def _canonical(device: str) -> str:
    """Lets "gpu:0" and "GPU" stand for "/device:GPU:0", as tf.device does."""
    if device.startswith("/"):
        return device
    return f"/{device}" if ":" in device else f"/{device}:0"


class _OnDevice(tf.data.Dataset):
    """A dataset on a device, and the cardinality that it cannot tell itself."""

    def __init__(self, dataset: tf.data.Dataset, cardinality: tf.Tensor) -> None:
        self._dataset = dataset
        self._known_cardinality = cardinality
        # The variant lives on the device, and iterators are made where it lives.
        super().__init__(tf.data.experimental.to_variant(dataset))

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        return self._dataset.element_spec

    def cardinality(self, name: str | None = None) -> tf.Tensor:
        """The cardinality of the dataset on the host."""
        del name
        return self._known_cardinality
