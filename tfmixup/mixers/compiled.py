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
    size = elements.batch_size(batch)
    # A function of its own for each size: one traced for any size would do for this
    # one too, and forget it.
    known = size if isinstance(size, int) else None
    mix = _function(mixer, _in_batch, _jit(mixer, batch), batch_size=known)
    return mix(batch, partner, params)


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
    def mixed() -> Parts:
        chosen = mixer.partner_of(batch, params, partner)
        second = elements.map_parts(lambda part: tf.gather(part, chosen), batch)
        return _pair(mixer, batch, second, params, keep_first=keep_first)[1]

    # An example alone has no partner; with itself some mixers would change it.
    size = elements.batch_size(batch)
    if isinstance(size, int):
        return mixed() if size > 1 else mixer.plain(batch)
    return _cond(size > 1, mixed, lambda: mixer.plain(batch))


def _cond(
    predicate: tf.Tensor, then: Callable[[], Parts], otherwise: Callable[[], Parts]
) -> Parts:
    """`tf.cond` with the static shapes of its first branch."""
    shapes: list[tf.TensorShape] = []

    def first() -> Parts:
        parts = then()
        shapes.extend(tensor.shape for tensor in elements.leaves(parts))
        return parts

    parts = tf.cond(predicate, first, otherwise)
    for tensor, shape in zip(elements.leaves(parts), shapes):
        tensor.set_shape(shape)
    return parts


@functools.lru_cache(maxsize=128)
def _function(
    mixer: Mixer,
    body: Callable[..., Any],
    jit_compile: bool,
    keep_first: bool = False,
    batch_size: int | None = None,
) -> Callable[..., Any]:
    """Cached, since eager calls would compile each time."""
    del batch_size  # a key of the cache
    bound = functools.partial(body, mixer, keep_first=keep_first)
    return tf.function(bound, jit_compile=jit_compile, autograph=False)
