"""RandomChoice: now one kind of mixing, now another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.blending import per_example
from tfmixup.elements import Parts, map_parts
from tfmixup.mixers import members
from tfmixup.mixers.base import Mixer
from tfmixup.mixers.config import Config

__all__ = ["RandomChoice", "RandomChoiceParams"]


class RandomChoiceParams(NamedTuple):
    """Sampled parameters of `RandomChoice`.

    Attributes:
      choice: int32 (1,), or (B,) with `per="example"`: which mixer.
      mixers: the parameters of every mixer, a tuple.
    """

    choice: tf.Tensor
    mixers: tuple[Any, ...]


def _of_the_members() -> Any:
    return dataclasses.field(init=False, repr=False, compare=False)


@dataclasses.dataclass(frozen=True, repr=False)
class RandomChoice(Mixer):
    """Mixes every batch, or every example, by one of several mixers.

        (x, y) = mix_k((x, y)_i, (x, y)_j),   P(k) = w_k / Σ_l w_l

    MixUp and CutMix in turn is what timm and DeiT train with; their `switch_prob` of
    0.5 is equal weights. Each mixer keeps its own α and the rest of its parameters. The
    arguments that say what elements look like before and after (`num_classes`,
    `label_smoothing`, `targets`, `ignore_label`, `integer_masks`, the keys, `dtype`,
    `jit_compile`) are given to the mixers, must be equal in all, and can be read from
    the choice too.

    For validation data, `choice.off()` casts and encodes and does not mix.

    Args:
      mixers: two mixers or more, such as `[MixUp(0.8), CutMix(1.0)]`; a `RandomChoice`
        may be one of them.
      weights: odds of the mixers, positive numbers; None for equal ones.
      per: "batch" (the default, as in timm) to draw one mixer for a batch, and only
        that one is computed; "example" to draw one for each example, for which all are
        computed.

    Raises:
      TypeError, ValueError: an argument cannot be, or the mixers would give different
        outputs; the message says which and why.

    Examples:
      >>> mixups = [MixUp(0.8, num_classes=10), CutMix(1.0, num_classes=10)]
      >>> mixer = RandomChoice(mixups)
      >>> images, labels = mixer(tf.zeros([8, 32, 32, 3]), tf.range(8))
      >>> images.shape, labels.shape
      (TensorShape([8, 32, 32, 3]), TensorShape([8, 10]))

    References:
      Touvron et al., "Training data-efficient image transformers & distillation through
      attention", 2020, arXiv 2012.12877
    """

    mixers: tuple[Mixer, ...]
    _: dataclasses.KW_ONLY
    weights: tuple[float, ...] | None = None
    per: str = "batch"
    num_classes: int | None = _of_the_members()
    label_smoothing: float = _of_the_members()
    targets: str = _of_the_members()
    ignore_label: int | None = _of_the_members()
    integer_masks: bool = _of_the_members()
    feature_keys: tuple[str, ...] = _of_the_members()
    target_keys: tuple[str, ...] = _of_the_members()
    length_keys: tuple[str, ...] = _of_the_members()
    dtype: str = _of_the_members()
    jit_compile: bool | str = _of_the_members()

    def __post_init__(self) -> None:
        # Not the base's: the members have checked what they have in common.
        mixers = members.checked(self.name, self.mixers)
        members.check_alike(self.name, mixers)
        set_field = object.__setattr__
        set_field(self, "mixers", mixers)
        set_field(self, "weights", members.odds(self.name, self.weights, len(mixers)))
        checks.choice(self.name, "per", self.per, ("batch", "example"))
        for field in dataclasses.fields(Config):
            set_field(self, field.name, getattr(mixers[0], field.name))
        set_field(self, "moves_pixels", all(m.moves_pixels for m in mixers))
        set_field(self, "in_batch_only", any(m.in_batch_only for m in mixers))

    def off(self) -> RandomChoice:
        """The same choice of mixers that never mix.

        Returns:
          A `RandomChoice` of `mixer.off()` for each of its mixers.
        """
        return dataclasses.replace(self, mixers=tuple(m.off() for m in self.mixers))

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> RandomChoiceParams:
        """Draws the choice and every mixer's parameters.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,).
          num_batches: adds a dimension of that size in front.

        Returns:
          `RandomChoiceParams` with `choice` of shape ([num_batches,] 1), or
          ([num_batches,] B) with `per="example"`.

        Examples:
          >>> params = RandomChoice([MixUp(), CutMix()]).sample(4, seed=[1, 2])
          >>> params.choice.shape, params.mixers[1].centre.shape
          (TensorShape([1]), TensorShape([4, 2]))
        """
        for_choice, *seeds = seeding.split(seed, 1 + len(self.mixers))
        shape = [batch_size if self.per == "example" else 1]
        shape = shape if num_batches is None else [num_batches, *shape]
        odds = np.asarray(self.weights or [1.0] * len(self.mixers), np.float64)
        ends = np.cumsum(odds / odds.sum())[:-1].astype(np.float32)
        drawn = tf.random.stateless_uniform([*shape, 1], for_choice)
        choice = tf.reduce_sum(tf.cast(drawn >= ends, tf.int32), axis=-1)
        params = tuple(
            mixer.sample(batch_size, mixer_seed, num_batches)
            for mixer, mixer_seed in zip(self.mixers, seeds)
        )
        return RandomChoiceParams(choice, params)

    def mix(self, first: Parts, second: Parts, params: RandomChoiceParams) -> Parts:
        """Mixes two batches by the chosen mixer, or example by example."""
        return self._choose(params, lambda m, p: m.mix(first, second, p))

    def mix_features(
        self, first: tf.Tensor, second: tf.Tensor, params: RandomChoiceParams
    ) -> tf.Tensor:
        """Mixes one feature by the chosen mixer, or example by example."""
        return self._choose(
            params, lambda m, p: Parts(m.mix_features(first, second, p), ())
        ).features

    def share(
        self, first: Parts, second: Parts, params: RandomChoiceParams
    ) -> tf.Tensor:
        """The label's λ by the chosen mixer: float32 (B,)."""
        size = tf.shape(params.choice)[0]
        if self.per == "batch":
            size = tf.shape(tf.nest.flatten(first.features)[0])[0]

        def share(mixer: Mixer, drawn: Any) -> Parts:
            return Parts(tf.broadcast_to(mixer.share(first, second, drawn), [size]), ())

        return self._choose(params, share).features

    def partner_of(
        self, batch: Parts, params: RandomChoiceParams, partner: tf.Tensor
    ) -> tf.Tensor:
        """The partner that the chosen mixer wants."""
        if not self.in_batch_only:
            return partner
        return self._choose(
            params, lambda m, p: Parts(m.partner_of(batch, p, partner), ())
        ).features

    def never(self) -> bool:
        """Whether nothing is ever mixed."""
        return all(mixer.never() for mixer in self.mixers)

    def check_spec(self, parts: Parts, owner: str | None = None) -> None:
        """Refuses batches that one of the mixers cannot mix."""
        for mixer in self.mixers:
            mixer.check_spec(parts, owner or self.name)

    def check_sizes(self, parts: Parts) -> list[tf.Operation]:
        """What the mixers check."""
        return [check for mixer in self.mixers for check in mixer.check_sizes(parts)]

    def _choose(
        self, params: RandomChoiceParams, fn: Callable[[Mixer, Any], Parts]
    ) -> Parts:
        pairs = list(zip(self.mixers, params.mixers))
        if self.per == "example":
            made = [fn(*pair) for pair in pairs]
            return map_parts(lambda *parts: _row_by_row(params.choice, parts), *made)
        structure: list[Parts] = []

        def branch(mixer: Mixer, drawn: Any) -> list[tf.Tensor]:
            # A branch returns a flat list: a missing part, None, is no tensor.
            structure.append(fn(mixer, drawn))
            return tf.nest.flatten(map_parts(lambda part: [part], structure[-1]))

        flat = tf.switch_case(
            params.choice[0], [lambda m=m, p=p: branch(m, p) for m, p in pairs]
        )
        leaves = iter(tf.nest.flatten(flat))
        return map_parts(lambda _: next(leaves), structure[0])


def _row_by_row(choice: tf.Tensor, made: Iterable[tf.Tensor]) -> tf.Tensor:
    chosen, *others = made
    for k, other in enumerate(others, start=1):
        chosen = tf.where(per_example(choice == k, other), other, chosen)
    return chosen
