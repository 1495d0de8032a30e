"""Which two batches are mixed."""

from tfmixup.pairing.in_batch import in_batch
from tfmixup.pairing.two_streams import two_streams

__all__ = ["in_batch", "two_streams"]
