"""Checks that several ways of pairing share."""

from __future__ import annotations

from typing import Any

from tfmixup import checks
from tfmixup.mixers import base

__all__ = ["check", "check_length"]


def check(
    owner: str, mixer: Any, batch_size: Any, flags: dict[str, Any], seed: Any
) -> None:
    """Checks a mixer, a batch size, a seed and what is True or False."""
    base.require(owner, mixer)
    for name, value in flags.items():
        checks.boolean(owner, name, value)
    checks.positive_integer(owner, "batch_size", batch_size)
    checks.seed(owner, seed)


def check_length(
    owner: str, length: int, batch_size: int, drop_remainder: bool
) -> None:
    """Refuses so few examples that there would be no batch."""
    if drop_remainder and 0 < length < batch_size:
        raise ValueError(
            f"{owner}: the dataset has {length} examples, fewer than batch_size="
            f"{batch_size}, and drop_remainder=True would leave no batch. Use a "
            "smaller batch_size or drop_remainder=False."
        )
