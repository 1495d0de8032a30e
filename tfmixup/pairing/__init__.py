"""Which two batches are mixed."""

from tfmixup.pairing.from_tensors import from_tensors
from tfmixup.pairing.in_batch import in_batch
from tfmixup.pairing.two_streams import two_streams

__all__ = ["from_tensors", "in_batch", "two_streams"]
