"""Draws λ ~ Beta(α, α) by a table of its quantile function, made once for each α.

TensorFlow Probability draws a Beta variable from two gamma variables, by rejection.
Rejection takes hundreds of nodes, and every iterator builds these nodes again. It also
draws other values under XLA. This file inverts the CDF beforehand in float64, and a
draw is a look-up.

A draw begins with an integer of 32 bits. λ = 1/2 divides the distribution into two
sides. The integers are divided into two ranges, whose lengths are proportional to the
probabilities of the sides. The upper side is treated as the lower side of 1 − λ. A side
begins where λ is least. For an integer, v in (0, 1) is the share of its side's integers
up to this integer. v and 1 − v must be exact to many bits in two regions:

- small v, where λ ≈ c·v^(1/α);
- small 1 − v, for small α: all λ between 1e-9 and 1/2 have 1 − v < 21·α.

Hence a cell of the table is a sixteenth of an octave of min(v, 1 − v). The leading bits
of the float min(v, 1 − v) are the number of its cell. In each cell a cubic gives log λ,
or λ − 1/2 for large α.
"""

from __future__ import annotations

import concurrent.futures
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfmixup import distributions, seeding

__all__ = ["Beta", "draw_beta", "probability"]


class Beta(distributions.Beta):
    """Beta(α, α), whose draws come from a table of its quantile function."""

    def _sample_n(self, n: int | tf.Tensor, seed: Any = None) -> tf.Tensor:
        return draw_beta([n], seed, float(self.parameters["concentration1"]))


_FIRST = tf.int32.min
# The bits of a float32 are its exponent and 23 bits of its mantissa. The first four
# bits of the mantissa are the sixteenth of the octave. The least share is 2⁻³³, half an
# integer among 2³² integers.
_SHIFT = 23 - 4
_BITS = np.array([2**-33, 0.5], np.float32).view(np.int32)
_LOW_CELL, _HIGH_CELL = (int(bits) >> _SHIFT for bits in _BITS)
_CELLS = _HIGH_CELL - _LOW_CELL + 1


def draw_beta(
    shape: Sequence[int | tf.Tensor],
    seed: tf.Tensor,
    alpha: float,
    lam_range: tuple[float, float] | None = None,
) -> tf.Tensor:
    """Draws λ ~ Beta(alpha, alpha), truncated to `lam_range` if it is given.

    A seed gives the same draws with XLA and without, except for the last bits of `exp`.

    Args:
      shape: shape of the draws; entries may be scalar tensors.
      seed: int32 tensor of shape (2,).
      alpha: both concentrations, from 1e-30 to 1e30.
      lam_range: (low, high), a range whose probability is at least 1e-12.

    Returns:
      float32 tensor of shape `shape`.
    """
    low, high = lam_range or (0.0, 1.0)
    if alpha == 1:
        lam = seeding.uniform(shape, seed, low, high)
    else:
        lam = _quantile(seeding.integers(shape, seed), _table(alpha, low, high))
    # Only float rounding can have left the range.
    return tf.clip_by_value(lam, low, high) if lam_range else lam


def _quantile(n: tf.Tensor, table: _Table) -> tf.Tensor:
    """Maps integers of 32 bits to λ."""
    is_major = n <= table.last[0]

    def of_side(major: Any, minor: Any) -> Any:
        return major if major == minor else tf.where(is_major, major, minor)

    # The integers of the minor side come last. Inverting their bits makes them begin at
    # −2³¹, as those of the major side do.
    i = tf.where(is_major, n, tf.bitwise.invert(n))
    middle, last = of_side(*table.middle), of_side(*table.last)
    is_near_start = i < middle
    from_start = tf.bitwise.bitwise_xor(i, _FIRST)  # i + 2³¹ without overflow
    from_end = last - tf.maximum(i, middle)
    steps = tf.cast(tf.where(is_near_start, from_start, from_end), tf.float32) + 0.5
    bits = tf.bitcast(steps * of_side(*table.step), tf.int32)
    row = tf.bitwise.right_shift(bits, _SHIFT) + tf.where(
        is_near_start, of_side(*table.start_row), of_side(*table.end_row)
    )
    s = tf.cast(tf.bitwise.bitwise_and(bits, 2**_SHIFT - 1), tf.float32) * 2.0**-_SHIFT
    c0, c1, c2, c3 = tf.unstack(tf.gather(table.cubics, row), axis=-1)
    value = c0 + s * (c1 + s * (c2 + s * c3))
    is_lower = ~is_major if table.major_is_upper else is_major
    if table.centred:
        return 0.5 + tf.where(is_lower, value, -value)
    near = tf.exp(value)
    return tf.where(is_lower, near, 1 - near)


class _Table(NamedTuple):
    """Cubics of both sides, and where to find them.

    The lists are [major side, minor side]. The major side is the more probable side.

    Attributes:
      centred: whether the cubics give λ − 1/2; otherwise they give log λ.
      major_is_upper: whether the upper side is the major side.
      last: the last integer of a side, if its first integer is −2³¹.
      middle: the integer from which on 1 − v is smaller than v.
      step: the share of one integer in its side.
      start_row: what to add to the leading bits of v to get the row of the cell.
      end_row: what to add to the leading bits of 1 − v to get the row of the cell.
      cubics: float32 (rows, 4), coefficients of polynomials of the place in the cell,
        which is in [0, 1).
    """

    centred: bool
    major_is_upper: bool
    last: list[int]
    middle: list[int]
    step: list[float]
    start_row: list[int]
    end_row: list[int]
    cubics: np.ndarray


def _at_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function compute eagerly, even where the caller builds a graph.

    The function runs in another thread, which builds no graph of any kind.
    """

    def computed(*args: Any) -> Any:
        with tf.device("CPU"):
            return make(*args)

    @functools.wraps(make)
    def call(*args: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(computed, *args).result()

    return call


@functools.lru_cache(maxsize=256)
@_at_once
def _table(alpha: float, low: float, high: float) -> _Table:
    law = _Law(alpha)
    ends, mass = _sides(law, low, high)
    major_is_upper = bool(mass[1] > mass[0])
    if major_is_upper:
        ends, mass = ends[::-1], mass[::-1]
    minor_size = round(2**32 * mass[1] / mass.sum())
    sizes = [2**32 - minor_size, minor_size]
    if not minor_size:  # no integer belongs to the minor side
        ends, sizes = ends[:1], sizes[:1] * 2
    elif np.allclose(ends[0], ends[1], rtol=1e-9, atol=0):
        ends = ends[:1]
    sides = [0, len(ends) - 1]
    return _Table(
        law.centred,
        major_is_upper,
        last=[_FIRST + size - 1 for size in sizes],
        middle=[_FIRST + size // 2 for size in sizes],
        step=[1 / size for size in sizes],
        start_row=[2 * side * _CELLS - _LOW_CELL for side in sides],
        end_row=[(2 * side + 1) * _CELLS - _LOW_CELL for side in sides],
        cubics=np.concatenate([_cubics(law, *side) for side in ends]),
    )


@_at_once
def probability(alpha: float, low: float, high: float) -> float:
    """The probability that λ ~ Beta(alpha, alpha) is in [low, high]."""
    return float(_sides(_Law(alpha), low, high)[1].sum())


def _sides(law: _Law, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """The ranges of λ and of 1 − λ below 1/2, and the probabilities of both ranges."""
    low, high = (0.5 + (end - 0.5) / law.nearer for end in (low, high))
    ends = np.clip([[low, high], [1 - high, 1 - low]], 0, 0.5)
    return ends, np.diff(law.cdf(ends))[:, 0]


def _cubics(law: _Law, low: float, high: float) -> np.ndarray:
    """Hermite cubics for every cell of small v, then for every cell of small 1 − v."""
    knots = np.arange(_LOW_CELL, _HIGH_CELL + 2, dtype=np.int32) << _SHIFT
    share = knots.view(np.float32).astype(np.float64)
    start, stop = law.cdf(np.array([low, high]))
    mass = stop - start
    u = np.stack([start + mass * share, stop - mass * share])
    value, density = law.quantile(u)
    slope = np.array([[mass], [-mass]]) / density
    y0, y1 = value[:, :-1], value[:, 1:]
    m0, m1 = slope[:, :-1] * np.diff(share), slope[:, 1:] * np.diff(share)
    cubics = [y0, m0, 3 * (y1 - y0) - 2 * m0 - m1, 2 * (y0 - y1) + m0 + m1]
    return np.stack(cubics, -1).reshape([-1, 4]).astype(np.float32)


# From this α on, the density at 1/2 is so high that log λ in float32 is too coarse.
_CENTRED_FROM = 8.0
# TensorFlow's CDF is exact up to this α. The law of a larger α has the same shape and
# lies closer to 1/2.
_MAX_ALPHA = 1e6


class _Law:
    """The lower half of Beta(α, α), λ <= 1/2, in float64."""

    def __init__(self, alpha: float) -> None:
        self.centred = alpha >= _CENTRED_FROM
        self.alpha = min(alpha, _MAX_ALPHA)
        self.nearer = math.sqrt((2 * self.alpha + 1) / (2 * alpha + 1))
        self.log_b = 2 * math.lgamma(self.alpha) - math.lgamma(2 * self.alpha)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        # `tfp.distributions.Beta.cdf` calls the same function. Its first call is slow.
        alpha = tf.constant(self.alpha, tf.float64)
        return tf.math.betainc(alpha, alpha, x).numpy()

    def quantile(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The value that cubics give, where F(λ) = u <= 1/2, and its density.

        The value is log λ, or λ − 1/2 if `centred`. The density is the derivative of F
        by the value.
        """
        t = self.log_quantile(u)
        density = np.exp(self.log_slope(t))
        if not self.centred:
            return t, density
        lam = np.exp(t)
        return (lam - 0.5) * self.nearer, density / lam / self.nearer

    def log_slope(self, t: np.ndarray) -> np.ndarray:
        """The logarithm of the derivative of F(eᵗ) by t."""
        return self.alpha * t + (self.alpha - 1) * np.log1p(-np.exp(t)) - self.log_b

    def log_quantile(self, u: np.ndarray) -> np.ndarray:
        """Log λ where F(λ) = u <= 1/2, by Newton's method for log F over log λ.

        The curve of log F over log λ is concave for α > 1 and convex for α < 1. Near
        λ = 0 the curve is the straight line F = λ^α / (α·B(α, α)). The search begins on
        this line. The line lies on the side of the curve from which Newton's method
        cannot overshoot.
        """
        log_u = np.log(u)
        t = (log_u + math.log(self.alpha) + self.log_b) / self.alpha
        if self.alpha > 1:  # for a large α the normal distribution starts closer
            deviation = 0.5 / math.sqrt(2 * self.alpha + 1)
            normal = 0.5 + deviation * tf.math.ndtri(u).numpy()
            t = np.maximum(t, np.log(np.maximum(normal, 1e-300)))
        for _ in range(30):
            t = np.minimum(t, -math.log(2))
            near = np.maximum(t, -46.0)  # below −46 the curve is a straight line
            log_cdf = np.log(self.cdf(np.exp(near)))
            slope = np.exp(self.log_slope(near) - log_cdf)
            error = log_u - log_cdf - self.alpha * (t - near)
            t += error / slope
            # The error that is left is about the square of the last step.
            if np.all(np.abs(error) < 1e-5 * np.minimum(1, slope * (1 - t))):
                break
        return np.minimum(t, -math.log(2))
