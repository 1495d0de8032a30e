"""The formula λ·first + (1 − λ)·second, and the functions around it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import tensorflow as tf

__all__ = [
    "Further",
    "Recipe",
    "as_float",
    "at_ends",
    "blend",
    "of_rank",
    "per_example",
]


class Further(NamedTuple):
    """A further example that is mixed in after the second.

    Attributes:
      of: from a part of the second batch to the further examples' part.
      share: `share(target)` is the share of all examples before, as `Recipe.share`.
    """

    of: Callable[[tf.Tensor], tf.Tensor]
    share: Callable[[tf.Tensor], tf.Tensor]


class Recipe(NamedTuple):
    """How a batch is mixed, once its parameters are drawn.

    Attributes:
      feature: mixes two features (B, ...) into one feature of the mixer's dtype.
      lam: the first example's share λ of the label: float32 (B,) or (1,).
      share: `share(target)` is the first example's share of a target, for recipes that
        give entries of a target shares of their own. The target (B, ...) is not
        encoded. The share is float32 and has as many of the target's leading dimensions
        as needed, such as (B, H, W) of 0 and 1 for a mask that is pasted. None if the
        share is λ for every target.
      second: `second(part, target)` is what is mixed in for `part`, which is the second
        example's target (B, ...), not encoded, or its sample weight. None if `part` is
        mixed in as it is.
      further: further examples, which are mixed in one after another.
      moved: `moved(part, target)` moves the entries of a mixed target or sample weight
        to their place. None if all are in place.
    """

    feature: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    lam: tf.Tensor
    share: Callable[[tf.Tensor], tf.Tensor] | None = None
    second: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None
    further: tuple[Further, ...] = ()
    moved: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None

    def share_of(self, target: tf.Tensor) -> tf.Tensor:
        """The first example's share of a target (B, ...), or of its entries."""
        return self.lam if self.share is None else self.share(target)

    def second_of(self, part: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """The second example's target or sample weight, as it is mixed in."""
        return part if self.second is None else self.second(part, target)

    def steps(
        self, target: tf.Tensor
    ) -> Iterator[tuple[Callable[[tf.Tensor, tf.Tensor], tf.Tensor], tf.Tensor]]:
        """What is mixed in, as `second_of` says it, and the share of all before."""
        yield self.second_of, self.share_of(target)
        for one in self.further:
            yield functools.partial(_of_part, one), one.share(target)

    def moved_of(self, part: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """A mixed target or sample weight, with its entries at their place."""
        return part if self.moved is None else self.moved(part, target)


def _of_part(further: Further, part: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return further.of(part)


def blend(
    first: tf.Tensor,
    second: tf.Tensor,
    lam: tf.Tensor,
    dtype: tf.DType | None = None,
) -> tf.Tensor:
    """Computes `λ·first + (1 − λ)·second`.

    Args:
      first: (B, ...).
      second: (B, ...).
      lam: float32 (B,) or (1,), or with more of the leading dimensions.
      dtype: dtype of the result. None for the dtype of `first` if it is a float, else
        float32. The formula is computed in float32, or in float64 for float64.

    Returns:
      (B, ...), rounded to nearest if `dtype` is an integer. The result is exactly
      `first` where λ is 1 and exactly `second` where λ is 0. The formula alone would
      give NaN where the other example is infinite, since 0·∞ is NaN.
    """
    dtype = dtype or as_float(first).dtype
    compute = tf.float64 if dtype == tf.float64 else tf.float32
    first, second = tf.cast(first, compute), tf.cast(second, compute)
    share = tf.cast(per_example(lam, first), compute)
    mixed = at_ends(lam, first, second, share * first + (1 - share) * second)
    return tf.cast(tf.round(mixed) if dtype.is_integer else mixed, dtype)


def at_ends(
    lam: tf.Tensor, first: tf.Tensor, second: tf.Tensor, between: tf.Tensor
) -> tf.Tensor:
    """`first` where λ is 1, `second` where λ is 0, else `between`.

    Args:
      lam: float32 (B,) or (1,), or with more of the leading dimensions.
      first: (B, ...).
      second: (B, ...).
      between: (B, ...).

    Returns:
      (B, ...).
    """
    lam = per_example(lam, between)
    return tf.where(lam == 1, first, tf.where(lam == 0, second, between))


def per_example(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Gives (B,), (1,) or (B, H, W) the rank of `like`, so that it broadcasts."""
    return of_rank(value, like.shape.rank)


def of_rank(value: tf.Tensor, rank: int) -> tf.Tensor:
    """Reshapes a tensor to `rank` dimensions, by dimensions of 1 at the end."""
    value = tf.convert_to_tensor(value)
    for _ in range(value.shape.rank, rank):
        value = value[..., tf.newaxis]
    return value


def as_float(tensor: tf.Tensor) -> tf.Tensor:
    """Returns floats as they are, and casts other dtypes to float32."""
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)
