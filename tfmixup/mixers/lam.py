"""What the mixers share that draw λ from a distribution."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfmixup import checks, lambdas, seeding
from tfmixup.blending import as_float, blend
from tfmixup.mixers.base import Mixer

__all__ = ["LambdaMixer"]


@dataclasses.dataclass(frozen=True, repr=False)
class LambdaMixer(Mixer, abc.ABC):
    """Draws λ ~ Beta(α, α), or from another distribution on [0, 1].

    Args:
      alpha: concentration α of the Beta distribution, a number >= 0; 0 means no mixing
        whatever else is given.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high): the distribution truncated to that range.
      per: "example" for one λ per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
    """

    alpha: float = 1.0
    _: dataclasses.KW_ONLY
    # Distributions compare by identity; `_distribution_key` compares in its place.
    distribution: tfp.distributions.Distribution | None = dataclasses.field(
        default=None, compare=False
    )
    lam_range: tuple[float, float] | None = None
    per: str = "example"
    probability: float = 1.0
    _distribution_key: Any = dataclasses.field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice(self.name, "per", self.per, ("example", "batch"))
        checks.fraction(self.name, "probability", self.probability)
        lam_range = lambdas.check(
            self.name, self.alpha, self.distribution, self.lam_range
        )
        object.__setattr__(self, "alpha", float(self.alpha))
        object.__setattr__(self, "lam_range", lam_range)
        object.__setattr__(self, "_distribution_key", lambdas.key(self.distribution))

    def draw_shape(
        self, batch_size: int | tf.Tensor, num_batches: int | None
    ) -> list[int | tf.Tensor]:
        """Shape of what is drawn: ([num_batches,] B), or 1 for B with `per="batch"`."""
        shape = [batch_size if self.per == "example" else 1]
        return shape if num_batches is None else [num_batches, *shape]

    def draw_lam(self, shape: list[int | tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """Draws λ, float32 of a shape; 1 where nothing is to be mixed."""
        for_lam, for_choice = seeding.split(seed, 2)
        lam = lambdas.sample(
            shape,
            for_lam,
            alpha=self.alpha,
            distribution=self.distribution,
            lam_range=self.lam_range,
        )
        if self.probability < 1:
            chosen = tf.random.stateless_uniform(shape, for_choice) < self.probability
            lam = tf.where(chosen, lam, 1.0)
        return lam

    def never(self) -> bool:
        """Whether nothing is ever mixed."""
        return self.alpha == 0 or self.probability == 0

    def mix_target(
        self, first: tf.Tensor, second: tf.Tensor, share: tf.Tensor, params: Any
    ) -> tf.Tensor:
        """Blends one encoded target, or sample weights, by the label's share."""
        return blend(first, second, share, as_float(first).dtype, self.sometimes)

    @property
    def sometimes(self) -> bool:
        """Whether many λ are 1 on purpose."""
        return self.probability < 1
