"""What a Keras model needs to be trained on mixed labels."""

from tfmixup.keras.losses import PairLoss
from tfmixup.keras.metrics import MixedAccuracy
from tfmixup.keras.models import PairModel

__all__ = ["MixedAccuracy", "PairLoss", "PairModel"]
