"""The exact distribution of a mixer's λ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmixup import seeding
from tfmixup.mixers import Mixer, RandomChoice, ResizeMix
from tfmixup.mixers.lam import LambdaMixer

__all__ = ["Law", "laws"]

_GRID = 4001  # points at which a density without a CDF is integrated


class Law(NamedTuple):
    """How the λ of one mixer is distributed.

    Attributes:
      name: the mixer, printed, with its odds in a `RandomChoice`.
      draws: float64 (n,), λ as the mixer draws it.
      density: of λ where an example is mixed, float64 (m,) -> (m,), to be scaled by
        the chance of that; None where there is none or nobody knows it.
      ends: the range outside of which the density is 0.
      unmixed: chance that an example is not mixed at all, λ = 1.
      why: where `density` is None, why.
    """

    name: str
    draws: np.ndarray
    density: Callable[[np.ndarray], np.ndarray] | None
    ends: tuple[float, float]
    unmixed: float
    why: str = ""


def laws(owner: str, mixer: Mixer, draws: int, seed: int, odds: float = 1) -> list[Law]:
    """The law of a mixer, or those of a choice's members.

    Args:
      owner: named in errors.
      mixer: one that mixes by a λ.
      draws: how many λ to draw of each.
      seed: of the draws.
      odds: chance of the mixer in a choice.

    Raises:
      TypeError: it has no λ.
    """
    if isinstance(mixer, RandomChoice):
        weights = np.asarray(mixer.weights or [1.0] * len(mixer.mixers))
        return [
            law
            for share, member in zip(weights / weights.sum(), mixer.mixers)
            for law in laws(owner, member, draws, seed, odds * share)
        ]
    name = repr(mixer) if odds == 1 else f"{odds:.0%}: {mixer!r}"
    # By a stateless seed: an integer would be joined by that of tf.random.set_seed.
    words = divmod(seeding.stream_seed(seed, owner) or 0, 2**31)
    for_draws = tf.constant([words[0] % 2**31, words[1]], tf.int32)
    if isinstance(mixer, ResizeMix):
        return [_resized(mixer, name, draws, for_draws)]
    if not isinstance(mixer, LambdaMixer):
        raise TypeError(
            f"{owner}: mixer must be one that draws λ (MixUp, CutMix, BetweenClass, "
            f"Remix, CMixup), ResizeMix or a RandomChoice of those, got {mixer!r}. For "
            "another one, draw its histogram from what its sample(...) returns."
        )
    lam = np.asarray(mixer.draw_lam([draws], for_draws), np.float64)
    unmixed = 1.0 if mixer.never() else 1 - float(mixer.probability)
    density, ends, why = None, (0.0, 1.0), ""
    if unmixed < 1:
        ends = mixer.lam_range or ends
        density, why = _density(mixer, ends)
    return [Law(name, lam, density, ends, unmixed, why)]


def _resized(mixer: ResizeMix, name: str, draws: int, seed: tf.Tensor) -> Law:
    """λ = 1 − τ², τ uniform: its density is 1 / (2·(high − low)·√(1 − λ))."""
    # Many of them also where a batch shares one.
    each = dataclasses.replace(mixer, per="example")
    scale = np.asarray(each.sample(draws, seed).scale, np.float64)
    low, high = mixer.scale

    def density(lam: np.ndarray) -> np.ndarray:
        return 1 / (2 * (high - low) * np.sqrt(1 - lam))

    ends = 1 - high**2, 1 - low**2
    return Law(name, 1 - scale**2, density, ends, 1 - float(mixer.probability))


def _density(mixer: LambdaMixer, ends: tuple[float, float]) -> Any:
    distribution = mixer.distribution
    if distribution is None:
        # In float64, which holds the ends of small α apart.
        alpha = np.float64(mixer.alpha)
        distribution = tfp.distributions.Beta(alpha, alpha)
    if not distribution.dtype.is_floating or _atoms(distribution):
        return None, "single values, which have no density"
    dtype = distribution.dtype

    def prob(lam: np.ndarray) -> np.ndarray:
        values = distribution.prob(tf.constant(lam, dtype))
        return np.asarray(tf.cast(values, tf.float64))

    try:
        prob(np.array([0.5]))
    except (NotImplementedError, TypeError, AttributeError, ValueError):
        return None, f"density of {distribution.name} not known to TFP"
    held = 1.0 if ends == (0.0, 1.0) else _held(distribution, prob, ends)
    return (lambda lam: prob(lam) / held), ""


def _atoms(distribution: tfp.distributions.Distribution) -> bool:
    """Whether single values have a probability, seen by what is drawn twice."""
    draws = np.asarray(distribution.sample(2000, seed=tf.constant([0, 1])))
    inside = draws[(draws > 1e-4) & (draws < 1 - 1e-4)]  # ends round together
    if len(np.unique(draws)) <= 2:
        return True
    _, counts = np.unique(inside, return_counts=True)
    return bool(len(counts) and counts.max() > 20)


def _held(
    distribution: tfp.distributions.Distribution,
    prob: Callable[[np.ndarray], np.ndarray],
    ends: tuple[float, float],
) -> float:
    """The probability of a range: by the CDF, or by adding up the density."""
    try:
        low, high = (
            float(distribution.cdf(tf.constant(end, distribution.dtype)))
            for end in ends
        )
        return high - low
    except (NotImplementedError, TypeError, AttributeError):
        edges = np.linspace(*ends, _GRID)
        return float(np.mean(prob((edges[1:] + edges[:-1]) / 2)) * (ends[1] - ends[0]))
