"""The one compiled function in which a batch is encoded, paired and mixed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfmixup import elements
from tfmixup.elements import Parts

if TYPE_CHECKING:  # mixers are made of this, not the other way round
    from tfmixup.mixers.base import Mixer

__all__ = ["in_batch", "pair"]


def pair(
    mixer: Mixer, first: Parts, second: Parts, params: Any, keep_first: bool = False
) -> tuple[Parts | None, Parts]:
    """Mixes two batches; returns the first one too, unmixed, with `keep_first`."""
    return _function(mixer, _pair, _jit(mixer, first), keep_first)(
        first, second, params
    )


def in_batch(mixer: Mixer, batch: Parts, partner: tf.Tensor, params: Any) -> Parts:
    """Mixes example i of a batch with example `partner[i]`."""
    return _function(mixer, _in_batch, _jit(mixer, batch))(batch, partner, params)


def _jit(mixer: Mixer, batch: Parts) -> bool:
    if mixer.jit_compile == "auto":
        return elements.static_but_batch(batch)
    return bool(mixer.jit_compile)


def _pair(
    mixer: Mixer, first: Parts, second: Parts, params: Any, *, keep_first: bool
) -> tuple[Parts | None, Parts]:
    mixed = mixer.mix(first, second, params)
    return (mixer.plain(first) if keep_first else None), mixed


def _in_batch(
    mixer: Mixer, batch: Parts, partner: tf.Tensor, params: Any, *, keep_first: bool
) -> Parts:
    partner = mixer.partner_of(batch, params, partner)
    second = elements.map_parts(lambda part: tf.gather(part, partner), batch)
    return _pair(mixer, batch, second, params, keep_first=keep_first)[1]


@functools.lru_cache(maxsize=128)
def _function(
    mixer: Mixer, body: Callable[..., Any], jit_compile: bool, keep_first: bool = False
) -> Callable[..., Any]:
    """Cached, since eager calls would compile each time."""
    bound = functools.partial(body, mixer, keep_first=keep_first)
    return tf.function(bound, jit_compile=jit_compile, autograph=False)
