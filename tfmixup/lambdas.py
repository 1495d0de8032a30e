"""Distributions of the mixing coefficient λ, sampled by TensorFlow Probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmixup import checks, seeding

__all__ = ["check", "key", "sample"]

tfd = tfp.distributions

# A range that holds less of the distribution than this is refused: sampling by
# rejection would take thousands of rounds, and it is a mistake in most cases.
_MIN_MASS = 1e-2
_CHECK_SAMPLES = 10_000
_ALPHAS = (1e-30, 1e30)  # what float32 can draw from, with room to spare


def sample(
    shape: Sequence[int | tf.Tensor],
    seed: tf.Tensor,
    *,
    alpha: float = 0.2,
    distribution: tfp.distributions.Distribution | None = None,
    lam_range: tuple[float, float] | None = None,
) -> tf.Tensor:
    """Draws λ ~ Beta(alpha, alpha), or from another distribution on [0, 1].

    With `lam_range = (low, high)` the distribution is truncated: its density is
    renormalised on [low, high], nothing is clipped onto the ends.

    Args:
      shape: shape of the draws; entries may be scalar tensors.
      seed: int32 tensor of shape (2,).
      alpha: both concentrations of the Beta distribution; 0 gives λ = 1, whatever
        the distribution.
      distribution: a scalar TFP distribution, in place of the Beta distribution.
      lam_range: (low, high), or None for the whole distribution.

    Returns:
      float32 tensor of shape `shape`, values in [0, 1].

    Examples:
      >>> sample([2, 3], seed=[1, 2], alpha=0.4).shape
      TensorShape([2, 3])
    """
    if alpha == 0:
        return tf.ones(shape, tf.float32)
    if lam_range is None:
        base = _beta(alpha, np.float32) if distribution is None else distribution
        return tf.cast(base.sample(shape, seed=seed), tf.float32)
    low, high = lam_range
    if distribution is None:
        # In float64, since for tiny alpha the range holds little of the CDF.
        distribution = _beta(alpha, np.float64)
    if _has_quantile(distribution):
        draws = _inverse_cdf(distribution, low, high, shape, seed)
    else:
        draws = _rejection(distribution, low, high, shape, seed)
    # Only float rounding can have left the range.
    return tf.clip_by_value(tf.cast(draws, tf.float32), low, high)


def check(
    owner: str,
    alpha: Any,
    distribution: Any,
    lam_range: Any,
) -> tuple[float, float] | None:
    """Checks what `sample` is configured with; returns `lam_range` as floats.

    Raises:
      TypeError: `alpha` is not a number, `distribution` not a TFP distribution.
      ValueError: `alpha` is negative or not finite, the distribution is not scalar
        or reaches outside [0, 1], the range is reversed, outside [0, 1], or holds
        next to nothing of the distribution.
    """
    checks.non_negative(owner, "alpha", alpha)
    if alpha and not _ALPHAS[0] <= alpha <= _ALPHAS[1]:
        raise ValueError(
            f"{owner}: alpha={alpha!r} is beyond what float32 can draw from. Use "
            f"{_ALPHAS[0]:g} to {_ALPHAS[1]:g}, or alpha=0 for no mixing."
        )
    if distribution is not None:
        _check_distribution(owner, distribution)
    if lam_range is None:
        return None
    low, high = checks.unit_range(owner, "lam_range", lam_range)
    if alpha == 0:
        return low, high
    mass, least = _mass(alpha, distribution, low, high)
    if mass < least:
        raise ValueError(
            f"{owner}: lam_range=({low}, {high}) holds {mass:.1e} of the "
            "distribution of λ, too little to draw from. Widen lam_range or choose "
            "an alpha or a distribution with more mass there; one of float64 "
            "parameters can do with less."
        )
    return low, high


def key(distribution: tfp.distributions.Distribution | None) -> Any:
    """A hashable value, equal for equally made distributions (theirs compare by id)."""
    if distribution is None:
        return None

    def freeze(value: Any) -> Any:
        if isinstance(value, tfp.distributions.Distribution):
            return key(value)
        if isinstance(value, (str, bool, int, float, type(None))):
            return value
        if isinstance(value, dict):
            return tuple((k, freeze(v)) for k, v in sorted(value.items()))
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, NotImplementedError):
            return id(value)
        if array.dtype == object:
            return id(value)
        return array.dtype.name, array.shape, array.tobytes()

    parameters = {k: v for k, v in distribution.parameters.items() if k != "name"}
    dtype = str(distribution.dtype)  # np.float64(0.4) == 0.4, but their draws differ
    return type(distribution), dtype, freeze(parameters)


def _beta(alpha: float, dtype: type[np.floating]) -> tfp.distributions.Distribution:
    if alpha == 1:
        # The same distribution, with a graph of a few nodes instead of hundreds.
        return tfd.Uniform(dtype(0), dtype(1))
    # TFP samples its two gammas in log space: no 0/0 for tiny alpha.
    return tfd.Beta(dtype(alpha), dtype(alpha))


def _inverse_cdf(
    distribution: tfp.distributions.Distribution,
    low: float,
    high: float,
    shape: Sequence[int | tf.Tensor],
    seed: tf.Tensor,
) -> tf.Tensor:
    dtype = distribution.dtype
    start = distribution.cdf(tf.cast(low, dtype))
    stop = distribution.cdf(tf.cast(high, dtype))
    u = tf.random.stateless_uniform(shape, seed, dtype=dtype)
    return distribution.quantile(start + u * (stop - start))


def _rejection(
    distribution: tfp.distributions.Distribution,
    low: float,
    high: float,
    shape: Sequence[int | tf.Tensor],
    seed: tf.Tensor,
) -> tf.Tensor:
    def inside(draws: tf.Tensor) -> tf.Tensor:
        return (draws >= low) & (draws <= high)

    def again(draws: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        now, later = seeding.split(seed, 2)
        new = tf.cast(distribution.sample(shape, seed=now), tf.float32)
        return tf.where(inside(draws), draws, new), later

    return tf.while_loop(
        lambda draws, _: ~tf.reduce_all(inside(draws)),
        again,
        (tf.fill(shape, -1.0), tf.convert_to_tensor(seed, tf.int32)),
    )[0]


def _has_quantile(distribution: tfp.distributions.Distribution) -> bool:
    if not distribution.dtype.is_floating:
        return False
    try:
        half = distribution.quantile(tf.constant(0.5, distribution.dtype))
        distribution.cdf(half)
    except (NotImplementedError, TypeError, AttributeError):
        return False
    return True


def _mass(
    alpha: float,
    distribution: tfp.distributions.Distribution | None,
    low: float,
    high: float,
) -> tuple[float, float]:
    """The probability of [low, high], and the least that can be drawn from."""
    if distribution is None:
        distribution = _beta(alpha, np.float64)
    if _has_quantile(distribution):
        ends = tf.constant([low, high], distribution.dtype)
        cdf = np.asarray(distribution.cdf(ends))
        # The grain of the CDF must leave ten thousand different λ or so.
        return float(cdf[1] - cdf[0]), 1e-12 if cdf.dtype == np.float64 else 1e-3
    draws = _check_draws(distribution)
    return float(np.mean((draws >= low) & (draws <= high))), _MIN_MASS


def _check_draws(distribution: tfp.distributions.Distribution) -> np.ndarray:
    with tf.init_scope():
        draws = distribution.sample(_CHECK_SAMPLES, seed=tf.constant([0, 1]))
        return np.asarray(tf.cast(draws, tf.float32))


def _check_distribution(owner: str, distribution: Any) -> None:
    if not isinstance(distribution, tfp.distributions.Distribution):
        raise TypeError(
            f"{owner}: distribution must be a tfp.distributions.Distribution, got "
            f"{type(distribution).__name__}. For example: "
            "tfp.distributions.Uniform(0.1, 0.9)."
        )
    shapes = (distribution.batch_shape, distribution.event_shape)
    if any(shape.rank != 0 for shape in shapes):
        raise ValueError(
            f"{owner}: distribution must be scalar, got batch shape {shapes[0]} and "
            f"event shape {shapes[1]} of {distribution.name}. One λ is drawn for an "
            "example: build it from scalar parameters."
        )
    low, high = _support(distribution)
    # Written so that NaN fails too.
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(
            f"{owner}: distribution must have its support within [0, 1], but "
            f"{distribution.name} reaches from {low:g} to {high:g}. λ is the share of "
            "the first example: use Beta, Uniform, TruncatedNormal or Kumaraswamy."
        )


def _support(distribution: tfp.distributions.Distribution) -> tuple[float, float]:
    """Bounds of the support, as far as draws and TFP's support bijector tell."""
    values = _check_draws(distribution).astype(np.float64)
    try:
        to_support = distribution.experimental_default_event_space_bijector()
        far = tf.constant([-1e6, 0.0, 1e6], distribution.dtype)
        values = np.concatenate([values, np.asarray(to_support.forward(far))])
    except (NotImplementedError, TypeError, AttributeError, ValueError):
        pass  # Discrete distributions and mixtures have none.
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        # Draws miss what is rare; the CDF shows it, but not how far out it is.
        try:
            ends = tf.constant([-1e-3, 1 + 1e-3], distribution.dtype)
            below, up_to = np.asarray(distribution.cdf(ends))
        except (NotImplementedError, TypeError, AttributeError, ValueError):
            return low, high
        low = -np.inf if below > 1e-6 else low
        high = np.inf if up_to < 1 - 1e-6 else high
    return low, high
