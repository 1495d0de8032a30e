"""Everything that tfmixup uses of TensorFlow Probability.

No other module imports TensorFlow Probability. Its last release, 0.25, is of 2024, and
one day a new TensorFlow will break it. `tests/test_distributions.py` pins what is used.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tfmixup import requirements

requirements.check_tensorflow()

import tensorflow_probability as tfp  # noqa: E402

__all__ = ["Beta", "Distribution", "by_name", "is_distribution"]

Distribution: TypeAlias = tfp.distributions.Distribution
Beta: TypeAlias = tfp.distributions.Beta


def is_distribution(value: Any) -> bool:
    """Whether `value` is a distribution of TFP, or of a subclass."""
    return isinstance(value, tfp.distributions.Distribution)


def by_name(kind: str) -> Any:
    """The class `tfp.distributions.<kind>`; None if there is none."""
    return getattr(tfp.distributions, kind, None)
