"""Mixer: how two batches become one, as a value that can be called."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfmixup import checks, elements, seeding, specs
from tfmixup.blending import Recipe
from tfmixup.elements import Parts
from tfmixup.mixers import by_hand, configs
from tfmixup.mixers.plan import Plan
from tfmixup.options import Options

__all__ = ["Mixer", "Recipe"]


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
        """Keeps AutoGraph from converting methods; lets Keras read our mixers again."""
        super().__init_subclass__(**kwargs)
        elements.never_convert(cls)
        if cls.__module__.startswith("tfmixup."):
            keras.saving.register_keras_serializable("tfmixup")(cls)

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
        plan = self.plan_of(parts)
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
        plan = self.plan_of(parts)
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
        return self.plan_of(self.split(element_spec))

    def plan_of(self, parts: Parts) -> Plan:
        """The mixer for batches that are taken apart already, or their specs."""
        spec = elements.spec_of(parts)
        key = repr(spec)
        if key not in self._plans:
            self._plans[key] = Plan(self, spec)
        return self._plans[key]

    @functools.cached_property
    def _plans(self) -> dict[str, Plan]:
        """Eager calls would compile again each time without them."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """The arguments to make it again, of what JSON can hold.

        `keras.saving.serialize_keras_object(mixer)` uses it. A mixer of your own is
        read again if its class is decorated by
        `keras.saving.register_keras_serializable()`.

        Returns:
          A dict by argument.

        Raises:
          TypeError: an argument cannot be told in JSON.

        Examples:
          >>> config = tfmixup.MixUp(0.2, num_classes=10).get_config()
          >>> tfmixup.MixUp.from_config(config)
          MixUp(num_classes=10, alpha=0.2)
        """
        with checks.named(self.name):
            return configs.config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Mixer:
        """Makes a mixer again.

        Args:
          config: what `get_config` returned.

        Returns:
          A mixer equal to that one.
        """
        return cls(**configs.arguments_of(config))

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
