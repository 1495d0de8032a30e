"""Mixer: how two batches become one, as a value that can be called."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from tfmixup import checks, elements, kinds, seeding, specs, targets
from tfmixup.blending import Recipe, at_ends
from tfmixup.elements import Parts
from tfmixup.mixers import by_hand
from tfmixup.options import Options

__all__ = ["Mixer", "Plan", "Recipe"]


@elements.never_convert
class Mixer(abc.ABC):
    """How two batches become one: an immutable, comparable, printable value.

    A kind of mixing gives two things: `sample`, which draws the parameters of a batch,
    and `recipe`, which says how the two batches are mixed by them. Which two batches is
    not a mixer's concern but that of `two_streams`, `in_batch` and the like. The
    arguments that say what elements look like are those of `Options`.
    """

    # Whether `partner_of` looks at the batch, so that there is no second stream; and
    # whether integer features are quantities for certain, as samples of sounds are.
    in_batch_only: ClassVar[bool] = False
    integers_are_quantities: ClassVar[bool] = False

    @abc.abstractmethod
    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> Any:
        """Draws the parameters of a batch: a NamedTuple of tensors.

        Args:
          batch_size: B, an integer or a scalar int32 tensor.
          seed: int32 tensor of shape (2,); the same seed gives the same parameters.
          num_batches: draw for so many batches at once, which costs a fraction.

        Returns:
          Tensors of shape (B, ...) or (1, ...), the latter where a batch shares them;
          with `num_batches` one dimension more, in front.
        """

    @abc.abstractmethod
    def recipe(self, first: Parts, second: Parts, params: Any) -> Recipe:
        """Says how two batches are mixed; called inside the compiled function.

        No randomness and no assert belongs here or in the functions of the recipe.

        Args:
          first: features, targets and weights of a batch; targets are not encoded.
          second: the same of the other batch.
          params: what `sample` returned, or made by hand.

        Returns:
          The `Recipe`.
        """

    def partner_of(self, batch: Parts, params: Any, partner: tf.Tensor) -> tf.Tensor:
        """Which example of the batch each is mixed with, int32 (B,).

        Args:
          batch: features, targets and weights, not encoded.
          params: the sampled ones.
          partner: int32 (B,), drawn without a look at the batch.
        """
        return partner

    def is_off(self) -> bool:
        """Whether nothing is ever mixed: validation data are only cast and encoded."""
        return getattr(self, "probability", 1.0) == 0

    def check_arguments(self) -> None:
        """Refuses arguments that cannot be; called when the mixer is made."""
        if isinstance(self, Options):  # which stands behind `Mixer` in the bases
            Options.check_arguments(self)

    def check_spec(self, parts: Parts) -> None:  # noqa: B027 - nothing by default
        """Refuses batches that this kind of mixing cannot mix, by their specs."""

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Operations that raise at what no spec could tell; they run outside XLA."""
        return []

    @property
    def options(self) -> Options:
        """What elements look like before and after."""
        if not isinstance(self, Options):
            raise TypeError(
                "a mixer must derive from tfmixup.mixers.Options too, or from "
                "tfmixup.mixers.LambdaMixer, which does."
            )
        return self

    @property
    def name(self) -> str:
        """The name in errors, such as "tfmixup.MixUp"."""
        ours = type(self).__module__.startswith("tfmixup.")
        return f"tfmixup.{type(self).__name__}" if ours else type(self).__name__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keeps AutoGraph from converting the methods of every kind of mixer."""
        super().__init_subclass__(**kwargs)
        elements.never_convert(cls)

    def off(self, *, label_smoothing: float = 0.0) -> Mixer:
        """The same mixer, but it never mixes: it only casts and encodes.

        For validation data, whose labels are hard, and for epochs without mixing.

        Args:
          label_smoothing: ε in [0, 1), for class ids. 0, the default, gives hard
            labels, whatever the mixer's own is. Give the mixer's own for the last
            epochs of training.

        Returns:
          A mixer with `probability=0.0` and this `label_smoothing`.

        Raises:
          TypeError, ValueError: there is no such smoothing for the mixer's targets.

        Examples:
          >>> tfmixup.CutMix(num_classes=10, label_smoothing=0.1).off()
          CutMix(num_classes=10, alpha=1.0, probability=0.0)
        """
        with checks.named(self.name):
            if not hasattr(self, "probability"):
                raise TypeError(
                    "off() sets probability=0, and this mixer has none. Give it a "
                    "field `probability`, or a method `off`."
                )
            # A mixer of one's own need not be a dataclass.
            unmixed = copy.copy(self)
            object.__setattr__(unmixed, "probability", 0.0)
            object.__setattr__(unmixed, "label_smoothing", label_smoothing)
            unmixed.check_arguments()
            return unmixed

    def apply(
        self, first: Any, second: Any, params: Any, *, keep_first: bool = False
    ) -> Any:
        """Mixes two batches with given parameters.

        Args:
          first: a batch, an element of a batched dataset; its extra keys are kept.
          second: a batch like it.
          params: what `sample` returned, or made by hand.
          keep_first: return the first batch too, encoded and cast but not mixed.

        Returns:
          The mixed batch; with `keep_first` the pair (first, mixed).

        Raises:
          TypeError: a part is of a dtype that cannot be mixed.
          ValueError: there is no batch dimension, or class labels that cannot be
            one-hot encoded.
          KeyError: a dict element has not all of the mixer's keys.
          tf.errors.InvalidArgumentError: a class label outside [0, num_classes), or
            batches of different shapes, or a parameter outside [0, 1].

        Examples:
          >>> x, y = tf.ones([4, 8]), tf.ones([4, 1])
          >>> params = tfmixup.MixUpParams(lam=tf.fill([4], 0.5))
          >>> tfmixup.MixUp().apply((x, y), (3 * x, 3 * y), params)[1][0].numpy()
          array([2.], dtype=float32)
        """
        with checks.named(self.name):
            checked = functools.partial(by_hand.check_params, self, params)
            return self._mix_two(first, second, checked, keep_first)

    def apply_in_batch(self, element: Any, partner: tf.Tensor, params: Any) -> Any:
        """Mixes the examples of one batch: i with `partner[i]`.

        Args:
          element: a batch.
          partner: int32 (B,), values in [0, B).
          params: what `sample` returned, or made by hand.

        Returns:
          The mixed batch.

        Raises:
          TypeError, ValueError: as `apply`.
        """
        with checks.named(self.name):
            return self._mix_one(
                element,
                lambda size: (
                    by_hand.check_partner(self.name, partner, size),
                    by_hand.check_params(self, params, size),
                ),
            )

    # `Dataset.map(mixer)` converts a callable object unless the object has this mark;
    # `do_not_convert` sets it on functions alone, and errors would be hidden in "in
    # user code". `is_autograph_artifact` in
    # https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/autograph/impl/api.py
    autograph_info__: ClassVar[types.MappingProxyType] = types.MappingProxyType({})

    def __call__(self, *element: Any, seed: tf.Tensor | None = None) -> Any:
        """Mixes a batch with itself, every example with another one of it.

        Args:
          *element: a batch: `x, y`, `x, y, sample_weight` or a dict, as `Dataset.map`
            passes it.
          seed: int32 tensor of shape (2,); None for fresh randomness at every call.

        Returns:
          The mixed batch, of the same structure. A batch of one is not mixed.

        Raises:
          TypeError, ValueError: as `apply`.
        """
        batch = element[0] if len(element) == 1 else element

        def draw(size: int | tf.Tensor) -> tuple[tf.Tensor, Any]:
            for_partner, for_params = seeding.split(seeding.of_call(seed), 2)
            partner = seeding.partners(size, for_partner)
            return partner, self.sample(size, for_params)

        with checks.named(self.name):
            specs.check_element(batch)
            return self._mix_one(batch, draw)

    def pair(self, first: Any, second: Any, seed: tf.Tensor | None = None) -> Any:
        """Mixes two batches: the function for a dataset of zipped batches.

        Args:
          first: a batch `(x_i, y_i)`, `(x_i, y_i, sample_weight_i)` or a dict.
          second: a batch like it.
          seed: int32 tensor of shape (2,); None for fresh randomness at every call.

        Returns:
          The mixed batch.

        Raises:
          TypeError, ValueError: as `apply`.

        Examples:
          >>> x, y = tf.ones([4, 8]), tf.ones([4, 1])
          >>> mixed_x, mixed_y = tfmixup.MixUp(0.2).pair((x, y), (2 * x, 2 * y))
        """

        def draw(size: int | tf.Tensor) -> Any:
            _, for_params = seeding.split(seeding.of_call(seed), 2)
            return self.sample(size, for_params)

        with checks.named(self.name):
            if self.in_batch_only:
                raise ValueError(
                    "this mixer chooses partners within a batch and cannot take a "
                    "second one. Map the mixer itself, or use tfmixup.in_batch."
                )
            return self._mix_two(first, second, draw, False)

    def _mix_two(
        self,
        first: Any,
        second: Any,
        draw: Callable[[int | tf.Tensor], Any],
        keep_first: bool,
    ) -> Any:
        parts = elements.to_tensors(self.split(first))
        plan = self._plan_of(parts)
        other = elements.to_tensors(self.split(second))
        elements.check_same_spec("the second batch", parts, other)
        params = draw(elements.batch_size(parts))
        return plan.joined(*plan.mix(parts, other, params, keep_first), first)

    def _mix_one(
        self,
        element: Any,
        draw: Callable[[int | tf.Tensor], tuple[tf.Tensor, Any]],
    ) -> Any:
        parts = elements.to_tensors(self.split(element))
        plan = self._plan_of(parts)
        partner, params = draw(elements.batch_size(parts))
        return elements.join(plan.mix_in_batch(parts, partner, params), element)

    def split(self, element: Any) -> Parts:
        """Takes an element or an element_spec apart, by this mixer's keys."""
        has_targets = isinstance(element, tuple) and len(element) > 1
        if has_targets and not self.options.target_keys:
            raise ValueError(
                "target_keys=() says that there are no targets, and elements are "
                "(x, y). Map the dataset to x alone, or to a dict, whose other "
                "keys stay those of the first example."
            )
        return elements.split(element, *self.options.all_keys)

    def plan(self, element_spec: Any) -> Plan:
        """The mixer for batches of one spec, which is checked.

        Args:
          element_spec: of batches; its keys besides the mixer's do not matter.

        Returns:
          Its `Plan`.

        Raises:
          TypeError, ValueError, KeyError: as `apply`.
        """
        return self._plan_of(self.split(element_spec))

    def _plan_of(self, parts: Parts) -> Plan:
        spec = elements.spec_of(parts)
        key = repr(spec)
        if key not in self._plans:
            self._plans[key] = Plan(self, spec)
        return self._plans[key]

    @functools.cached_property
    def _plans(self) -> dict[str, Plan]:
        """Eager calls would compile again each time without them."""
        return {}

    @functools.cached_property
    def drawn(self) -> Any:
        """Parameters of two examples, to compare those with that come by hand."""
        with tf.init_scope():
            return self.sample(2, tf.constant([0, 0]))

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: compiled functions and tensors are not."""
        cached = ("_plans", "drawn")
        return {k: v for k, v in self.__dict__.items() if k not in cached}

    def __post_init__(self) -> None:
        with checks.named(self.name):
            self.check_arguments()
            checks.hashable_fields(self)

    def __repr__(self) -> str:
        if not dataclasses.is_dataclass(self):
            return object.__repr__(self)
        given = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            same = type(value) is type(field.default) and value == field.default
            if field.repr and (not field.kw_only or not same):
                given.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"


class Plan:
    """A mixer for batches of one spec: what the spec decides is decided here, once.

    Args:
      mixer: how two batches become one.
      spec: of the batches.

    Raises:
      TypeError, ValueError: such batches cannot be mixed.
    """

    def __init__(self, mixer: Mixer, spec: Parts) -> None:
        options = mixer.options
        specs.check_batched(spec, options.dtype, mixer.integers_are_quantities)
        mixer.check_spec(spec)
        self.mixer, self.dtype = mixer, options.dtype
        self.targets = kinds.resolve(spec, options)
        self.jit_compile = options.jit_compile
        if self.jit_compile == "auto":
            self.jit_compile = elements.static_but_batch(spec)

    def mix(
        self, first: Parts, second: Parts, params: Any, keep_first: bool = False
    ) -> tuple[Parts | None, Parts]:
        """Mixes two batches by the compiled function, their values checked before it.

        Args:
          first: a batch.
          second: a batch like it.
          params: the sampled ones.
          keep_first: return the first batch too, unmixed.

        Returns:
          The first batch or None, and the mixed one.
        """
        checked = [
            *elements.check_same_shapes(self.mixer.name, first, second),
            *self.check_values(first, second),
        ]
        with tf.control_dependencies(checked):
            return self._compiled(first, second, params, keep_first)

    def mix_in_batch(self, batch: Parts, partner: tf.Tensor, params: Any) -> Parts:
        """Mixes example i with example `partner[i]`, compiled and checked."""
        with tf.control_dependencies(self.check_values(batch)):
            return self._compiled_in_batch(batch, partner, params)

    def joined(self, first: Parts | None, mixed: Parts, like: Any) -> Any:
        """The element of what `mix` returned; two of them where the first is kept."""
        if first is None:
            return elements.join(mixed, like)
        return elements.join(first, like), elements.join(mixed, like)

    def check_values(self, *batches: Parts) -> list[tf.Operation]:
        """Operations that raise at bad labels and sizes; XLA would drop them."""
        flat = [tf.nest.flatten(parts.targets) for parts in batches]
        labels = [
            check
            for kind, *targets in zip(tf.nest.flatten(self.targets), *flat)
            for check in kind.check_values(self.mixer.name, *targets)
        ]
        sizes = [check for b in batches for check in self.mixer.check_values(b)]
        return [*labels, *sizes]

    @functools.cached_property
    def _compiled(self) -> Callable[..., tuple[Parts | None, Parts]]:
        return self._function(self.mix_unchecked)

    @functools.cached_property
    def _compiled_in_batch(self) -> Callable[..., Parts]:
        return self._function(self._in_batch)

    def _function(self, mix: Callable[..., Any]) -> Callable[..., Any]:
        # TensorFlow counts retracings by code object, and would warn that plans of
        # several specs were one function that is traced again and again. It has no
        # code object to go by here: `_get_key_for_call_stats` in
        # https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/eager/polymorphic_function/polymorphic_function.py
        return tf.function(
            functools.partial(mix), jit_compile=self.jit_compile, autograph=False
        )

    def mix_unchecked(
        self, first: Parts, second: Parts, params: Any, keep_first: bool = False
    ) -> tuple[Parts | None, Parts]:
        """`mix` as a pure function, for a compiled function around it."""
        if self.mixer.is_off():
            # This is what mixing at λ = 1 gives, without a look at the second batch.
            unmixed = self._unmixed(first, Recipe(tf.cast, tf.ones([1])))
            return unmixed if keep_first else None, unmixed
        recipe = self.mixer.recipe(first, second, params)
        mixed = Parts(
            elements.map_nest(recipe.feature, first.features, second.features),
            *targets.mix(self.targets, first, second, recipe),
            elements.map_nest(
                lambda a, b: _longer(a, b, recipe.lam), first.lengths, second.lengths
            ),
        )
        return self._unmixed(first, recipe) if keep_first else None, mixed

    def _in_batch(self, batch: Parts, partner: tf.Tensor, params: Any) -> Parts:
        def mixed() -> Parts:
            chosen = self.mixer.partner_of(batch, params, partner)
            second = elements.map_parts(lambda part: tf.gather(part, chosen), batch)
            return self.mix_unchecked(batch, second, params)[1]

        # A batch of one has no partners. Some mixers would change an example that they
        # mix with itself.
        def unmixed() -> Parts:
            return self._unmixed(batch, self.mixer.recipe(batch, batch, params))

        size = elements.batch_size(batch)
        if isinstance(size, int):
            return mixed() if size > 1 else unmixed()
        return elements.cond(size > 1, mixed, unmixed)

    def _unmixed(self, batch: Parts, recipe: Recipe) -> Parts:
        """What the recipe makes of a batch where λ is 1: it is encoded and cast."""
        return Parts(
            elements.map_nest(lambda x: tf.cast(x, self.dtype), batch.features),
            *targets.mix(self.targets, batch, batch, _all_of_first(recipe)),
            batch.lengths,
        )


def _all_of_first(recipe: Recipe) -> Recipe:
    """λ = 1, in the shapes of the recipe's."""
    ones = tf.ones_like(recipe.lam)
    if recipe.share is None:
        return recipe._replace(lam=ones, second=None)
    return recipe._replace(
        lam=ones, share=lambda t: tf.ones_like(recipe.share_of(t)), second=None
    )


def _longer(first: tf.Tensor, second: tf.Tensor, lam: tf.Tensor) -> tf.Tensor:
    """The longer length, or what is not padding in both; of one where only it is."""
    either = tf.logical_or if first.dtype == tf.bool else tf.maximum
    return at_ends(lam, first, second, either(first, second))
