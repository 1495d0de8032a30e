"""What labels become, and how two of them become one."""

from tfmixup.targets.combine import COMBINATIONS, combine
from tfmixup.targets.encoding import (
    Options,
    check,
    check_values,
    encode,
    normalise,
    valid,
)

__all__ = [
    "COMBINATIONS",
    "Options",
    "check",
    "check_values",
    "combine",
    "encode",
    "normalise",
    "valid",
]
