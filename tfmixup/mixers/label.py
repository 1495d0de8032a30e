"""Which target of an element is the label, for mixers that look at it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmixup.elements import Parts

__all__ = ["one"]


def one(owner: str, parts: Parts, target_keys: tuple[str, ...]) -> Any:
    """The label: the only target, or the first of `target_keys` in a dict element.

    Args:
      owner: named in errors.
      parts: a batch or its specs.
      target_keys: the mixer's.

    Returns:
      A tensor or its spec.

    Raises:
      ValueError: there are several targets, and no key tells which is meant.
    """
    targets = parts.targets
    if isinstance(targets, dict) and target_keys and target_keys[0] in targets:
        targets = targets[target_keys[0]]
    flat = tf.nest.flatten(targets)
    if len(flat) != 1:
        raise ValueError(
            f"{owner}: this mixer looks at one label, and the elements have "
            f"{len(flat)} targets. Map them to dicts and name the label first in "
            "target_keys=('label', ...)."
        )
    return flat[0]
