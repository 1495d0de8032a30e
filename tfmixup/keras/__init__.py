"""What a Keras model needs to be trained on mixed labels."""

from tfmixup.keras.mixed_accuracy import MixedAccuracy
from tfmixup.keras.pair_loss import PairLoss
from tfmixup.keras.pair_model import PairModel

__all__ = ["MixedAccuracy", "PairLoss", "PairModel"]
