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
from tfmixup.box_rows import Size, Source
from tfmixup.elements import Parts
from tfmixup.mixers import by_hand, configs
from tfmixup.mixers.plan import Plan
from tfmixup.objects import check_weight_is_free, taken
from tfmixup.options import Options

__all__ = ["Mixer", "Recipe"]


@elements.never_convert
class Mixer(abc.ABC):
    """How two batches become one: an immutable, comparable, printable value.

    A kind of mixing defines two methods. `sample` draws the parameters of a batch.
    `recipe` says how two batches are mixed by these parameters. A mixer does not choose
    the two batches: `two_streams`, `in_batch` and the like do. The arguments that say
    what elements look like are those of `Options`.
    """

    # Whether `partner_of` looks at the batch. Such a mixer cannot take a second stream.
    in_batch_only: ClassVar[bool] = False
    # Whether integer features are certainly quantities, as the samples of a sound are.
    integers_are_quantities: ClassVar[bool] = False
    # Whether `sources` says where the boxes of both images come to lie.
    mixes_boxes: ClassVar[bool] = False

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
          num_batches: draw for this many batches at once. One call for n batches costs
            a fraction of n calls.

        Returns:
          Tensors of shape (B, ...), or (1, ...) where the whole batch shares them. With
          `num_batches` the shapes have one more dimension in front.
        """

    @abc.abstractmethod
    def recipe(self, first: Parts, second: Parts, params: Any) -> Recipe:
        """Says how two batches are mixed.

        The compiled function calls this method. Neither the method nor the functions of
        the recipe may draw random numbers or contain an assert.

        Args:
          first: features, targets and weights of the first batch; targets are not
            encoded.
          second: the same of the second batch.
          params: what `sample` returned, or made by hand.

        Returns:
          The `Recipe`.
        """

    def partner_of(self, batch: Parts, params: Any, partner: tf.Tensor) -> tf.Tensor:
        """Chooses the partner that each example of a batch is mixed with.

        Args:
          batch: features, targets and weights; targets are not encoded.
          params: the sampled parameters.
          partner: int32 (B,), partners that were drawn without a look at the batch.

        Returns:
          int32 (B,), the index of each example's partner.
        """
        return partner

    def sources(self, params: Any, size: Size) -> list[Source]:
        """Says where the boxes of the images come to lie that make up a mixture.

        Args:
          params: what `sample` returned, or made by hand.
          size: height and width of the images, integers where static.

        Returns:
          A `Source` for each image.
        """
        raise NotImplementedError(f"{self.name} has mixes_boxes, and no `sources`.")

    def is_off(self) -> bool:
        """Whether the mixer never mixes, but only casts and encodes."""
        return getattr(self, "probability", 1.0) == 0

    def check_arguments(self) -> None:
        """Refuses invalid arguments, when the mixer is made."""
        # A class may name `Mixer` before `Options` in its bases. This method then hides
        # the method of `Options`.
        if isinstance(self, Options):
            Options.check_arguments(self)

    def check_spec(self, parts: Parts) -> None:  # noqa: B027 - nothing by default
        """Refuses batches that this kind of mixing cannot mix, by their specs."""

    def check_values(self, parts: Parts) -> list[tf.Operation]:
        """Operations that raise at values that no spec shows; they run outside XLA."""
        return []

    @property
    def options(self) -> Options:
        """What elements look like before and after mixing."""
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
        """Keeps AutoGraph from converting methods; lets Keras load this package's."""
        super().__init_subclass__(**kwargs)
        # Boxes do not lie where the `sources` of a base class say if a class has a
        # recipe of its own.
        own = vars(cls)
        if "recipe" in own and not {"sources", "mixes_boxes"} & own.keys():
            cls.mixes_boxes = False
        elements.never_convert(cls)
        if cls.__module__.startswith("tfmixup."):
            keras.saving.register_keras_serializable("tfmixup")(cls)

    def off(self, *, label_smoothing: float = 0.0) -> Mixer:
        """The same mixer, but it never mixes: it only casts and encodes.

        Use it for validation data, whose labels are hard, and for epochs without
        mixing.

        Args:
          label_smoothing: ε in [0, 1), for class ids. The default 0 gives hard labels,
            whatever `label_smoothing` the mixer itself has. For the last epochs of
            training, give the mixer's own `label_smoothing`.

        Returns:
          A mixer with `probability=0.0` and this `label_smoothing`.

        Raises:
          TypeError: the mixer has no `probability`.
          TypeError, ValueError: the mixer's targets cannot be smoothed like this.

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
            # A user's mixer need not be a dataclass, as `dataclasses.replace` demands.
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
          second: a batch of the same structure.
          params: what `sample` returned, or parameters made by hand.
          keep_first: return the first batch too, encoded and cast but not mixed.

        Returns:
          The mixed batch; with `keep_first` the pair (first, mixed).

        Raises:
          TypeError: a part has a dtype that cannot be mixed.
          ValueError: there is no batch dimension, or class labels cannot be one-hot
            encoded.
          KeyError: a dict element lacks one of the mixer's keys.
          tf.errors.InvalidArgumentError: a class label is outside [0, num_classes), or
            the batches have different shapes, or a parameter is outside [0, 1].

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
        """Mixes the examples of one batch: example i with example `partner[i]`.

        Args:
          element: a batch.
          partner: int32 (B,), values in [0, B).
          params: what `sample` returned, or parameters made by hand.

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

    # AutoGraph skips objects that carry this attribute. Without it `Dataset.map(mixer)`
    # would convert the mixer and report its errors as "in user code". The decorator
    # `do_not_convert` sets the attribute on functions only. `is_autograph_artifact` in
    # https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/autograph/impl/api.py
    autograph_info__: ClassVar[types.MappingProxyType] = types.MappingProxyType({})

    def __call__(self, *element: Any, seed: tf.Tensor | None = None) -> Any:
        """Mixes a batch with itself: every example with another example of the batch.

        Args:
          *element: a batch: `x, y`, `x, y, sample_weight` or a dict, as `Dataset.map`
            passes it.
          seed: int32 tensor of shape (2,); None for fresh randomness at every call.

        Returns:
          The mixed batch, of the same structure. A batch of one example is not mixed.

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
        """Mixes two batches. Map this method over a dataset of zipped batches.

        Args:
          first: a batch `(x_i, y_i)`, `(x_i, y_i, sample_weight_i)` or a dict.
          second: a batch of the same structure.
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
        both = map(elements.of_any_number, (parts, other))
        elements.check_same_spec("the second batch", *both)
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
        parts = elements.split(element, *self.options.all_keys)
        if self.options.max_boxes is None:
            return parts
        parts = taken(parts)
        if isinstance(element, dict) and self.options.box_weights:
            check_weight_is_free(parts, element)
        return parts

    def plan(self, element_spec: Any) -> Plan:
        """Checks a spec and plans how its batches are mixed.

        Args:
          element_spec: the spec of batches. Keys that the mixer does not name do not
            matter.

        Returns:
          The `Plan` of this mixer for such batches.

        Raises:
          TypeError, ValueError, KeyError: as `apply`.
        """
        return self.plan_of(self.split(element_spec))

    def plan_of(self, parts: Parts) -> Plan:
        """The `Plan` for batches that are already taken apart, or for their specs."""
        spec = elements.spec_of(parts)
        key = repr(spec)
        if key not in self._plans:
            self._plans[key] = Plan(self, spec)
        return self._plans[key]

    @functools.cached_property
    def _plans(self) -> dict[str, Plan]:
        """Plans by spec. Without this cache every eager call would compile again."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes the mixer again, as JSON values.

        `keras.saving.serialize_keras_object(mixer)` calls this method. To let Keras
        load a mixer of your own, decorate its class with
        `keras.saving.register_keras_serializable()`.

        Returns:
          A dict of the arguments by name.

        Raises:
          TypeError: an argument cannot be written as JSON.

        Examples:
          >>> config = tfmixup.MixUp(0.2, num_classes=10).get_config()
          >>> tfmixup.MixUp.from_config(config)
          MixUp(num_classes=10, alpha=0.2)
        """
        with checks.named(self.name):
            return configs.config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Mixer:
        """Makes a mixer again from its configuration.

        Args:
          config: what `get_config` returned.

        Returns:
          A mixer equal to the mixer whose `get_config` was called.
        """
        return cls(**configs.arguments_of(config))

    @functools.cached_property
    def drawn(self) -> Any:
        """Sampled parameters of two examples, to check hand-made parameters against."""
        with tf.init_scope():
            return self.sample(2, tf.constant([0, 0]))

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but compiled functions and tensors."""
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
