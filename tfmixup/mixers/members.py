"""Checks of several mixers that are to be chosen from."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

from tfmixup.mixers.base import Mixer
from tfmixup.mixers.config import Config

__all__ = ["check_alike", "checked", "odds"]


def checked(owner: str, mixers: Any) -> tuple[Mixer, ...]:
    """Refuses what is not two mixers or more; returns them as a tuple."""
    listed = _listed(mixers)
    if isinstance(mixers, Mixer) or listed is None:
        raise TypeError(
            f"{owner}: mixers must be a list of mixers, got {mixers!r}. For example "
            "[tfmixup.MixUp(0.8), tfmixup.CutMix(1.0)]."
        )
    for mixer in listed:
        if not isinstance(mixer, Mixer):
            raise TypeError(
                f"{owner}: mixers must be mixers, such as tfmixup.CutMix(1.0), got "
                f"{mixer!r} among them."
            )
    if len(listed) < 2:
        raise ValueError(
            f"{owner}: mixers must be two or more to choose from, got {len(listed)}. "
            "Use a single mixer as it is; its probability=... leaves some unmixed."
        )
    return listed


def odds(owner: str, weights: Any, n: int) -> tuple[float, ...] | None:
    """Refuses what is not n positive numbers, or None; returns them as a tuple."""
    if weights is None:
        return None
    given = _listed(weights)
    if isinstance(weights, str) or given is None:
        raise TypeError(
            f"{owner}: weights must be a list of numbers, one for each mixer, got "
            f"{weights!r}."
        )
    if len(given) != n or not all(map(_positive, given)):
        raise ValueError(
            f"{owner}: weights must be {n} positive numbers, one for each mixer, got "
            f"{weights!r}. They are odds: (3, 1) chooses the first three times of four."
        )
    return tuple(float(weight) for weight in given)


def _listed(value: Any) -> tuple[Any, ...] | None:
    # A scalar tensor calls itself iterable, too.
    try:
        return tuple(value)
    except TypeError:
        return None


def _positive(value: Any) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def check_alike(owner: str, mixers: tuple[Mixer, ...]) -> None:
    """Refuses mixers that differ in what all mixers share: other outputs."""
    one = mixers[0]
    for other in mixers[1:]:
        for field in dataclasses.fields(Config):
            first, second = getattr(one, field.name), getattr(other, field.name)
            if first == second and type(first) is type(second):
                continue
            hint = (
                "Only mixers that move pixels, such as CutMix, can keep integer masks: "
                "leave it out, so that all give one-hot masks."
                if field.name == "integer_masks"
                else "Give all mixers the same."
            )
            raise ValueError(
                f"{owner}: mixers must agree in {field.name}, but {one!r} has "
                f"{first!r} and {other!r} has {second!r}. {hint}"
            )
