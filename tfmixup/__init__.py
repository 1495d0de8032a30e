"""mixup as a tf.data pipeline component."""

from tfmixup import keras
from tfmixup._version import __version__
from tfmixup.device import prefetch_to_device
from tfmixup.mixers import Mixer, MixUp, MixUpParams
from tfmixup.pairing import in_batch, two_streams

__all__ = [
    "MixUp",
    "MixUpParams",
    "Mixer",
    "__version__",
    "in_batch",
    "keras",
    "prefetch_to_device",
    "two_streams",
]
