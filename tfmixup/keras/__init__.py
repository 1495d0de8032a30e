"""What a Keras model needs to be trained on mixed labels."""

from tfmixup.keras.calibration import unmix
from tfmixup.keras.losses import PairLoss
from tfmixup.keras.metrics import MixedAccuracy
from tfmixup.keras.mixing import MixingModel
from tfmixup.keras.models import PairModel
from tfmixup.keras.places import Mix

__all__ = ["Mix", "MixedAccuracy", "MixingModel", "PairLoss", "PairModel", "unmix"]
