"""RandomChoice: draws one of several mixers for each batch or example."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from tfmixup import checks, seeding
from tfmixup.blending import Further, of_rank, per_example
from tfmixup.box_rows import Size, Source
from tfmixup.elements import Parts, batch_size
from tfmixup.mixers.base import Mixer, Recipe
from tfmixup.mixers.lam import draw_shape
from tfmixup.options import Options

__all__ = ["RandomChoice", "RandomChoiceParams"]


class RandomChoiceParams(NamedTuple):
    """Sampled parameters of `RandomChoice`.

    Attributes:
      choice: int32 (1,), or (B,) with `per="example"`: the index of the chosen mixer.
      mixers: the parameters of every mixer, a tuple.
    """

    choice: tf.Tensor
    mixers: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, repr=False)
class RandomChoice(Mixer):
    """Mixes every batch, or every example, by one of several mixers.

        (x, y) = mix_k((x, y)_i, (x, y)_j),   P(k) = w_k / Σ_l w_l

    timm and DeiT choose between MixUp and CutMix in this way. Their `switch_prob` of
    0.5 means equal weights. Each mixer keeps its own α and other parameters of its own.
    The arguments that say what elements look like before and after (`num_classes`,
    `label_smoothing`, `targets`, `ignore_label`, `integer_masks`, the keys, `dtype`,
    `jit_compile`) are given to the mixers. All mixers need the same values of these
    arguments. `RandomChoice` has them as attributes too.

    For validation data, `choice.off()` casts and encodes and does not mix.

    Args:
      mixers: one mixer or more, such as `[MixUp(0.8), CutMix(1.0)]`. A `RandomChoice`
        may be one of them.
      weights: odds of the mixers, positive numbers; None for equal odds.
      per: "batch" (the default, as in timm) draws one mixer per batch and computes only
        this mixer. "example" draws one mixer per example and computes all mixers.

    Raises:
      TypeError, ValueError: an argument is invalid, or the mixers would give different
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
    per: Literal["example", "batch"] = "batch"

    # Whether all mixers are computed before one is chosen. A gradient needs this: XLA
    # cannot compile the gradient of `tf.switch_case`.
    computes_all: ClassVar[bool] = False

    def check_arguments(self) -> None:
        """Refuses invalid arguments, and mixers of different outputs."""
        mixers = _checked(self.mixers)
        _check_alike(mixers)
        set_field = object.__setattr__
        set_field(self, "mixers", mixers)
        set_field(self, "weights", _odds(self.weights, len(mixers)))
        checks.choice("per", self.per, ("batch", "example"))
        set_field(self, "in_batch_only", any(m.in_batch_only for m in mixers))
        certain = all(m.integers_are_quantities for m in mixers)
        set_field(self, "integers_are_quantities", certain)
        set_field(self, "mixes_boxes", all(m.mixes_boxes for m in mixers))

    @property
    def options(self) -> Options:
        """The options of the mixers, which all have the same options."""
        return self.mixers[0].options

    def __getattr__(self, name: str) -> Any:
        # Python calls this method for attributes that `RandomChoice` lacks. Its mixers
        # have the arguments of `Options`.
        if name in {field.name for field in dataclasses.fields(Options)}:
            return getattr(self.options, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def off(self, *, label_smoothing: float = 0.0) -> RandomChoice:
        """The same choice between the same mixers, which never mix.

        Args:
          label_smoothing: as in `Mixer.off`; 0 gives hard labels.

        Returns:
          A `RandomChoice` of `mixer.off(...)` for each of its mixers.
        """
        unmixed = [m.off(label_smoothing=label_smoothing) for m in self.mixers]
        return dataclasses.replace(self, mixers=tuple(unmixed))

    def is_off(self) -> bool:
        """Whether nothing is ever mixed."""
        return all(mixer.is_off() for mixer in self.mixers)

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
        shape = draw_shape(self.per, batch_size, num_batches)
        odds = np.asarray(self.weights or [1.0] * len(self.mixers), np.float64)
        ends = np.cumsum(odds / odds.sum())[:-1].astype(np.float32)
        drawn = seeding.uniform([*shape, 1], for_choice)
        choice = tf.reduce_sum(tf.cast(drawn >= ends, tf.int32), axis=-1)
        params = tuple(
            mixer.sample(batch_size, mixer_seed, num_batches)
            for mixer, mixer_seed in zip(self.mixers, seeds)
        )
        return RandomChoiceParams(choice, params)

    def recipe(self, first: Parts, second: Parts, params: RandomChoiceParams) -> Recipe:
        """The recipe of the chosen mixer, or of each example's chosen mixer."""
        recipes = [
            _unmixed_recipe(mixer) if mixer.is_off() else mixer.recipe(first, second, p)
            for mixer, p in zip(self.mixers, params.mixers)
        ]
        size = [batch_size(first)]

        def choose(by: Callable[[Recipe], tf.Tensor]) -> tf.Tensor:
            return self._choose(params, [functools.partial(by, r) for r in recipes])

        def share(of: Callable[[Recipe], tf.Tensor], target: tf.Tensor) -> tf.Tensor:
            rank = max(of(recipe).shape.rank for recipe in recipes)
            shape = tf.shape(target)[:rank]
            return choose(lambda r: tf.broadcast_to(of_rank(of(r), rank), shape))

        def second_of(part: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
            return choose(lambda recipe: recipe.second_of(part, target))

        def further(k: int) -> Further:
            def of(recipe: Recipe) -> Further:
                nobody = Further(tf.identity, lambda _: tf.ones([1]))
                return recipe.further[k] if k < len(recipe.further) else nobody

            return Further(
                lambda part: choose(lambda recipe: of(recipe).of(part)),
                lambda target: share(lambda recipe: of(recipe).share(target), target),
            )

        return Recipe(
            lambda a, b: choose(lambda recipe: recipe.feature(a, b)),
            choose(lambda recipe: tf.broadcast_to(recipe.lam, size)),
            (lambda target: share(lambda recipe: recipe.share_of(target), target))
            if any(recipe.share for recipe in recipes)
            else None,
            second_of if any(recipe.second for recipe in recipes) else None,
            tuple(map(further, range(max(len(r.further) for r in recipes)))),
            (lambda part, target: choose(lambda r: r.moved_of(part, target)))
            if any(recipe.moved for recipe in recipes)
            else None,
        )

    def sources(self, params: RandomChoiceParams, size: Size) -> list[Source]:
        """The images of all mixers, of which only the chosen mixer's have boxes."""
        made = []
        for k, (mixer, drawn) in enumerate(zip(self.mixers, params.mixers)):
            chosen = tf.cast(params.choice == k, tf.float32)
            alone = [Source(tf.ones([1]))]
            own = alone if mixer.is_off() else mixer.sources(drawn, size)
            made += [source._replace(weight=source.weight * chosen) for source in own]
        return made

    def partner_of(
        self, batch: Parts, params: RandomChoiceParams, partner: tf.Tensor
    ) -> tf.Tensor:
        """The partners that the chosen mixer wants, int32 (B,)."""
        if not self.in_batch_only:
            # The partners that `Mosaic` wants do for the others. Examples choose their
            # mixer, but a mosaic of one example has its neighbours' partners.
            for mixer, drawn in zip(self.mixers, params.mixers):
                partner = mixer.partner_of(batch, drawn, partner)
            return partner
        wanted = [
            functools.partial(mixer.partner_of, batch, p, partner)
            for mixer, p in zip(self.mixers, params.mixers)
        ]
        return self._choose(params, wanted)

    def _choose(
        self, params: RandomChoiceParams, made_by: Sequence[Callable[[], tf.Tensor]]
    ) -> tf.Tensor:
        if self.per == "batch" and not self.computes_all:
            return tf.switch_case(params.choice[0], list(made_by))
        chosen, *others = (make() for make in made_by)
        for k, other in enumerate(others, start=1):
            chosen = tf.where(per_example(params.choice == k, other), other, chosen)
        return chosen

    def check_spec(self, parts: Parts) -> None:
        """Refuses batches that one of the mixers cannot mix."""
        for mixer in self.mixers:
            mixer.check_spec(parts)

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """The operations by which the mixers check values."""
        return [check for mixer in self.mixers for check in mixer.check_values(parts)]


def _unmixed_recipe(mixer: Mixer) -> Recipe:
    """The recipe that gives the first batch, whatever the second batch is."""
    dtype = mixer.options.dtype
    return Recipe(lambda first, second: tf.cast(first, dtype), tf.ones([1]))


def _checked(mixers: Any) -> tuple[Mixer, ...]:
    """Refuses `mixers` that are not a list of one mixer or more; returns a tuple."""
    listed = _listed(mixers)
    if isinstance(mixers, Mixer) or listed is None:
        raise TypeError(
            f"mixers must be a list of mixers, got {mixers!r}. For example "
            "[tfmixup.MixUp(0.8), tfmixup.CutMix(1.0)]."
        )
    for mixer in listed:
        if not isinstance(mixer, Mixer):
            raise TypeError(
                f"mixers must be mixers, such as tfmixup.CutMix(1.0), got "
                f"{mixer!r} among them."
            )
    if not listed:
        raise ValueError("mixers must be one or more to choose from, got none.")
    return listed


def _odds(weights: Any, n: int) -> tuple[float, ...] | None:
    """Refuses `weights` that are not n positive numbers or None; returns a tuple."""
    if weights is None:
        return None
    given = _listed(weights)
    if isinstance(weights, str) or given is None:
        raise TypeError(
            f"weights must be a list of numbers, one for each mixer, got {weights!r}."
        )
    fine = [checks.is_finite(w) and w > 0 for w in given]
    if len(given) != n or not all(fine):
        raise ValueError(
            f"weights must be {n} positive numbers, one for each mixer, got "
            f"{weights!r}. They are odds: (3, 1) chooses the first three times of four."
        )
    if not math.isfinite(sum(map(float, given))):
        raise ValueError(
            f"weights must have a finite sum, got {weights!r}. They are odds: divide "
            "all of them by the largest."
        )
    return tuple(float(weight) for weight in given)


def _listed(value: Any) -> tuple[Any, ...] | None:
    # A scalar tensor has an `__iter__` too, but it raises a TypeError.
    try:
        return tuple(value)
    except TypeError:
        return None


def _check_alike(mixers: tuple[Mixer, ...]) -> None:
    """Refuses mixers whose `Options` differ, as their outputs would differ."""
    for other in mixers[1:]:
        for field in dataclasses.fields(Options):
            first = getattr(mixers[0].options, field.name)
            second = getattr(other.options, field.name)
            # Options hold one NaN, which is not equal to itself.
            equal = first is second or first == second
            if equal and type(first) is type(second):
                continue
            hint = (
                "Only mixers that move pixels, such as CutMix, can keep integer masks: "
                "leave it out, so that all give one-hot masks."
                if field.name == "integer_masks"
                else "Give all mixers the same."
            )
            raise ValueError(
                f"mixers must agree in {field.name}, but {mixers[0]!r} has "
                f"{first!r} and {other!r} has {second!r}. {hint}"
            )
