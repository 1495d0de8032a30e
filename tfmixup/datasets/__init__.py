"""Data sets for the examples, as TensorFlow Datasets builders.

`import tfmixup` does not import this package: it needs TensorFlow Datasets (and
scikit-learn, for the digits), which the mixing itself does not. Install them
with `pip install 'tfmixup[examples]'`.
"""

from tfmixup.datasets.bundled_digits import BundledDigits, load

__all__ = ["BundledDigits", "load"]
