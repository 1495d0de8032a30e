"""How two batches become one."""

from tfmixup.mixers.base import Mixer
from tfmixup.mixers.mixup import MixUp, MixUpParams

__all__ = ["MixUp", "MixUpParams", "Mixer"]
