"""mixup as a tf.data pipeline component."""

# These two come first. They parse the arguments of `python -m tfmixup` before
# TensorFlow is imported, and say which package is missing before an import fails.
from tfmixup import command_line, distributions  # isort: skip  # noqa: F401

from tfmixup import keras, plot
from tfmixup._version import __version__
from tfmixup.device import prefetch_to_device
from tfmixup.imbalance import (
    class_balanced,
    class_counts,
    label_mass,
    weight_by_class,
)
from tfmixup.mixers import (
    BetweenClass,
    CMixup,
    CMixupParams,
    CutMix,
    CutMixParams,
    Mixer,
    MixUp,
    MixUpParams,
    Mosaic,
    MosaicParams,
    RandomChoice,
    RandomChoiceParams,
    Remix,
    ResizeMix,
    ResizeMixParams,
)
from tfmixup.pairing import from_tensors, in_batch, two_streams

__all__ = [
    "BetweenClass",
    "CMixup",
    "CMixupParams",
    "CutMix",
    "CutMixParams",
    "MixUp",
    "MixUpParams",
    "Mixer",
    "Mosaic",
    "MosaicParams",
    "RandomChoice",
    "RandomChoiceParams",
    "Remix",
    "ResizeMix",
    "ResizeMixParams",
    "__version__",
    "class_balanced",
    "class_counts",
    "from_tensors",
    "in_batch",
    "keras",
    "label_mass",
    "plot",
    "prefetch_to_device",
    "two_streams",
    "weight_by_class",
]
