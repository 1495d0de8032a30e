"""Copies elements to the accelerator before the model asks for them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfmixup import checks

__all__ = ["prefetch_to_device"]

_NAME = "tfmixup.prefetch_to_device"


@checks.named(_NAME)
def prefetch_to_device(
    device: str = "auto", buffer_size: int = 2
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Prefetches elements onto a device. Make it the last stage of a pipeline.

    `tf.data.experimental.prefetch_to_device` does the copying. On its own it loses the
    dataset's cardinality: Keras's progress bar has no total, and Keras warns that the
    data ran out. `prefetch_to_device` keeps the cardinality.

    Leave it out under a `tf.distribute` strategy. The strategy copies elements itself:
    see `tf.distribute.InputOptions(experimental_fetch_to_device=True)`.

    Args:
      device: a device's name, such as "/gpu:1", or "auto". "auto" takes the first GPU.
        Without a GPU it is plain `Dataset.prefetch`.
      buffer_size: how many elements are kept ready, at least 1, or `tf.data.AUTOTUNE`.

    Returns:
      A function for `Dataset.apply`. Stages that are applied to its result run on the
      host again. An iterator on a device cannot be saved in a checkpoint.

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
            f"device must be a string, got {device!r}. For example '/gpu:0'."
        )
    if not checks.is_number(buffer_size) or buffer_size != tf.data.AUTOTUNE:
        checks.integer("buffer_size", buffer_size)
    buffer_size = int(buffer_size)  # tf.data does not take NumPy integers

    @checks.stage(_NAME, "Write dataset.apply(tfmixup.prefetch_to_device()).")
    def apply(dataset: tf.data.Dataset) -> tf.data.Dataset:
        target = _resolve(device)
        if target is None:
            return dataset.prefetch(buffer_size)
        copied = dataset.apply(
            tf.data.experimental.prefetch_to_device(target, buffer_size)
        )
        # The copying op has no cardinality. assert_cardinality cannot add one. It has
        # no GPU kernel, and would bring the elements back to the host. len() and Keras
        # call this method. https://github.com/tensorflow/tensorflow/issues/56508
        copied.cardinality = dataset.cardinality
        return copied

    return apply


def _resolve(device: str) -> str | None:
    names = [d.name for d in tf.config.list_logical_devices()]
    if device == "auto":
        gpus = [name for name in names if ":GPU:" in name]
        return gpus[0] if gpus else None
    try:
        # "GPU" stands for "GPU:0", as in tf.device.
        wanted = tf.DeviceSpec.from_string(device if ":" in device else f"{device}:0")
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
        f"there is no device {device!r}. This process sees {names}; pass one "
        "of them, or 'auto'."
    )
