"""λ: its distribution, how λ is drawn, and the mixers that draw λ."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.blending import blend
from tfmixup.distributions import Distribution, is_distribution
from tfmixup.mixers.base import Mixer, Recipe
from tfmixup.mixers.beta import Beta, draw_beta, probability
from tfmixup.options import Options

__all__ = [
    "LambdaMixer",
    "blend_recipe",
    "check_sharing",
    "draw_shape",
    "sample_lam",
    "unmixed_by_chance",
]


@dataclasses.dataclass(frozen=True, repr=False)
class LambdaMixer(Options, Mixer, abc.ABC):
    """A mixer that draws λ ~ Beta(α, α), or from another distribution on [0, 1].

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0. 0 means no mixing,
        whatever the other arguments are.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range. (0.5, 1) gives
        the distribution of max(λ, 1 − λ).
      per: "example" for one λ per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
    """

    alpha: float = 1.0
    _: dataclasses.KW_ONLY
    # TFP compares distributions by identity, so comparisons of mixers use the field
    # `_distribution_key` instead.
    distribution: Distribution | None = dataclasses.field(default=None, compare=False)
    lam_range: tuple[float, float] | None = None
    per: Literal["example", "batch"] = "example"
    probability: float = 1.0
    _distribution_key: Any = dataclasses.field(init=False, repr=False, default=None)

    def check_arguments(self) -> None:
        """Refuses invalid arguments."""
        super().check_arguments()
        check_sharing(self)
        alpha = checks.non_negative("alpha", self.alpha)
        lam_range = _check_law(alpha, self.distribution, self.lam_range)
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "lam_range", lam_range)
        object.__setattr__(self, "_distribution_key", _key(self.distribution))

    def draw_lam(
        self, batch_size: int | tf.Tensor, seed: tf.Tensor, num_batches: int | None
    ) -> tf.Tensor:
        """Draws λ for a batch, or for `num_batches` at once.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          float32 ([num_batches,] B), or ([num_batches,] 1) with `per="batch"`. λ is 1
          where nothing is to be mixed.
        """
        for_lam, for_chance = checks.batch_seed(seed), None
        if self.probability < 1:
            for_lam, for_chance = seeding.split(seed, 2)
        lam = sample_lam(
            draw_shape(self.per, batch_size, num_batches),
            for_lam,
            alpha=self.alpha,
            distribution=self.distribution,
            lam_range=self.lam_range,
        )
        return unmixed_by_chance(lam, 1.0, self.probability, for_chance)

    def is_off(self) -> bool:
        """Whether nothing is ever mixed."""
        return self.alpha == 0 or self.probability == 0


def check_sharing(mixer: Any) -> None:
    """Refuses an invalid `per` or `probability`; makes `probability` a float."""
    checks.choice("per", mixer.per, ("example", "batch"))
    probability = checks.fraction("probability", mixer.probability)
    object.__setattr__(mixer, "probability", probability)


def draw_shape(
    per: str, batch_size: int | tf.Tensor, num_batches: int | None
) -> list[int | tf.Tensor]:
    """The shape of draws: ([num_batches,] B), with 1 for B if `per="batch"`."""
    if not tf.is_tensor(batch_size):
        batch_size = checks.integer("batch_size", batch_size, least=0)
    shape = [batch_size if per == "example" else 1]
    return shape if num_batches is None else [num_batches, *shape]


def unmixed_by_chance(
    drawn: tf.Tensor, unmixed: float, probability: float, seed: tf.Tensor | None
) -> tf.Tensor:
    """Replaces draws by `unmixed`, which does not mix, with chance 1 − probability."""
    if probability == 1:
        return drawn
    chosen = seeding.uniform(tf.shape(drawn), seed) < probability
    return tf.where(chosen, drawn, unmixed)


def blend_recipe(
    mixer: LambdaMixer,
    lam: tf.Tensor,
    label_lam: tf.Tensor | None = None,
    feature: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> Recipe:
    """The recipe that blends features and targets.

    Args:
      mixer: the mixer, whose `dtype` the mixed features have.
      lam: float32 (B,) or (1,): the first example's share of the features.
      label_lam: the first example's share of the label; None for `lam`.
      feature: a function that mixes two features; None to blend them by `lam`.

    Returns:
      The mixer's `Recipe`.
    """
    dtype = tf.as_dtype(mixer.dtype)
    return Recipe(
        feature or (lambda first, second: blend(first, second, lam, dtype)),
        lam if label_lam is None else label_lam,
    )


# A `lam_range` that holds less of the distribution than this is refused. Sampling by
# rejection would take thousands of rounds, and such a range is a mistake in most cases.
_MIN_MASS = 1e-2
_ALPHAS = (1e-30, 1e30)  # float32 can draw from these, with room to spare


def sample_lam(
    shape: Sequence[int | tf.Tensor],
    seed: tf.Tensor,
    *,
    alpha: float = 0.2,
    distribution: Distribution | None = None,
    lam_range: tuple[float, float] | None = None,
) -> tf.Tensor:
    """Draws λ ~ Beta(alpha, alpha), or from another distribution on [0, 1].

    With `lam_range = (low, high)` the distribution is truncated: its density is
    renormalised on [low, high]. Draws are not clipped to low or high.

    Args:
      shape: shape of the draws; entries may be scalar tensors.
      seed: int32 tensor of shape (2,).
      alpha: both concentrations of the Beta distribution; 0 gives λ = 1, whatever
        `distribution` is.
      distribution: a scalar TFP distribution, in place of the Beta distribution.
      lam_range: (low, high), or None for the whole distribution.

    Returns:
      float32 tensor of shape `shape`, values in [0, 1].

    Examples:
      >>> sample_lam([2, 3], seed=[1, 2], alpha=0.4).shape
      TensorShape([2, 3])
    """
    if alpha == 0:
        return tf.ones(shape, tf.float32)
    if lam_range is None:
        if distribution is None:
            return Beta(alpha, alpha).sample(shape, seed)
        draws = tf.cast(distribution.sample(shape, seed=seed), tf.float32)
        return draws if _support(distribution) else _check_draws(draws, distribution)
    if distribution is None:
        return draw_beta(shape, seed, alpha, lam_range)
    low, high = lam_range
    draw = _inverse_cdf if _has_quantile(distribution) else _rejection
    draws = draw(distribution, low, high, shape, seed)
    # Only float rounding can have moved a draw out of the range.
    return tf.clip_by_value(tf.cast(draws, tf.float32), low, high)


def _inverse_cdf(
    distribution: Distribution,
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
    distribution: Distribution,
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


def _check_draws(draws: tf.Tensor, distribution: Distribution) -> tf.Tensor:
    """Makes λ outside [0, 1] raise, for a distribution whose support is unknown."""
    message = (
        f"{distribution.name} drew a λ outside [0, 1]. λ is the share of the first "
        "example: use Beta, Uniform, TruncatedNormal or Kumaraswamy. Draws:"
    )
    fine = tf.reduce_all((draws >= 0) & (draws <= 1))
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, draws])]):
        return tf.identity(draws)


def _check_law(
    alpha: float, distribution: Any, lam_range: Any
) -> tuple[float, float] | None:
    """Refuses laws that λ cannot be drawn from; returns `lam_range` as floats."""
    if alpha and not _ALPHAS[0] <= alpha <= _ALPHAS[1]:
        raise ValueError(
            f"alpha={alpha!r} is beyond what float32 can draw from. Use "
            f"{_ALPHAS[0]:g} to {_ALPHAS[1]:g}, or alpha=0 for no mixing."
        )
    if distribution is not None:
        _check_distribution(distribution)
    if lam_range is None:
        return None
    low, high = checks.unit_range("lam_range", lam_range)
    if alpha == 0:
        return low, high
    if distribution is None:
        mass, least = probability(alpha, low, high), 1e-12
    else:
        mass, least = _mass(distribution, low, high)
    if mass < least:
        raise ValueError(
            f"lam_range=({low}, {high}) holds {mass:.1e} of the "
            "distribution of λ, too little to draw from. Widen lam_range or choose "
            "an alpha or a distribution with more mass there; one of float64 "
            "parameters can do with less."
        )
    return low, high


def _mass(distribution: Distribution, low: float, high: float) -> tuple[float, float]:
    """The probability of [low, high], and the least probability to draw from."""
    cdf = _answer(distribution, distribution.cdf, [low, high])
    if cdf is None:
        raise ValueError(
            "lam_range needs a distribution whose cdf TFP knows, and "
            f"{distribution.name} has none. Leave lam_range out."
        )
    if not _has_quantile(distribution):
        return float(cdf[1] - cdf[0]), _MIN_MASS
    # The CDF is rounded to its dtype. The range must still hold about ten thousand
    # different values of the CDF, hence of λ.
    return float(cdf[1] - cdf[0]), 1e-12 if cdf.dtype == np.float64 else 1e-3


def _check_distribution(distribution: Any) -> None:
    if not is_distribution(distribution):
        raise TypeError(
            "distribution must be a tfp.distributions.Distribution, got "
            f"{type(distribution).__name__}. For example: "
            "tfp.distributions.Uniform(0.1, 0.9)."
        )
    shapes = (distribution.batch_shape, distribution.event_shape)
    if any(shape.rank != 0 for shape in shapes):
        raise ValueError(
            f"distribution must be scalar, got batch shape {shapes[0]} and "
            f"event shape {shapes[1]} of {distribution.name}. One λ is drawn for an "
            "example: build it from scalar parameters."
        )
    low, high = _support(distribution) or (0.0, 1.0)
    # A NaN fails this condition too.
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(
            "distribution must have its support within [0, 1], but "
            f"{distribution.name} reaches from {low:g} to {high:g}. λ is the share of "
            "the first example: use Beta, Uniform, TruncatedNormal or Kumaraswamy."
        )


def _support(
    distribution: Distribution,
) -> tuple[float, float] | None:
    """Bounds of the support, by TFP's support bijector or by the CDF; None if unknown.

    Mixtures and discrete distributions have no bijector. A CDF that has mass outside
    [0, 1] does not say how far the support reaches. The bound is infinite then.
    """
    to_support = "experimental_default_event_space_bijector"
    support = _answer(
        distribution,
        lambda ends: getattr(distribution, to_support)().forward(ends),
        [-1e6, 0.0, 1e6],
    )
    if support is not None:
        return float(support.min()), float(support.max())
    cdf = _answer(distribution, distribution.cdf, [-1e-3, 1 + 1e-3])
    if cdf is None or np.isnan(cdf).any():
        return None
    return (
        -np.inf if cdf[0] > 1e-6 else 0.0,
        np.inf if cdf[1] < 1 - 1e-6 else 1.0,
    )


def _has_quantile(distribution: Distribution) -> bool:
    def there_and_back(half: tf.Tensor) -> tf.Tensor:
        return distribution.cdf(distribution.quantile(half))

    known = _answer(distribution, there_and_back, [0.5]) is not None
    return known and distribution.dtype.is_floating


def _answer(
    distribution: Distribution,
    ask: Callable[[tf.Tensor], tf.Tensor],
    at: list[float],
) -> np.ndarray | None:
    """What TFP answers about a distribution; None where TFP cannot and raises."""
    dtype = distribution.dtype if distribution.dtype.is_floating else tf.float32
    try:
        with tf.init_scope():  # answers eagerly, even where λ is drawn in a graph
            return np.asarray(ask(tf.constant(at, dtype)))
    except (NotImplementedError, TypeError, AttributeError, ValueError):
        return None


def _key(distribution: Distribution | None) -> Any:
    """A hashable value, equal for distributions that are made with equal arguments."""
    if distribution is None:
        return None

    def freeze(value: Any) -> Any:
        if is_distribution(value):
            return _key(value)
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
    dtype = str(distribution.dtype)  # np.float64(0.4) == 0.4, but the draws differ
    return type(distribution), dtype, freeze(parameters)
