"""Plan: a mixer for batches of one spec, and how it mixes them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmixup import elements, kinds, specs, targets
from tfmixup.blending import Recipe, at_ends
from tfmixup.elements import Parts
from tfmixup.objects import Objects, check_found

__all__ = ["Plan"]


class Plan:
    """A mixer for batches of one spec. It decides once what the spec decides.

    Args:
      mixer: the `Mixer`. `mixers/base.py` imports this file, so this file cannot import
        the type.
      spec: the spec of the batches.

    Raises:
      TypeError, ValueError: batches of this spec cannot be mixed.
    """

    def __init__(self, mixer: Any, spec: Parts) -> None:
        options = mixer.options
        check_found(mixer, spec)
        self.objects = None if spec.objects is None else Objects(mixer, spec)
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
        """Checks the values of two batches and mixes them by the compiled function.

        Args:
          first: a batch.
          second: a batch of the same structure.
          params: the sampled parameters.
          keep_first: return the first batch too, unmixed.

        Returns:
          The first batch or None, and the mixed one.
        """
        checked = [
            *elements.check_same_shapes(self.mixer.name, first, second),
            *self.check_values(first, second),
        ]
        without = (one._replace(objects=None) for one in (first, second))
        with tf.control_dependencies(checked):
            kept, mixed = self._compiled(*without, params, keep_first)
            return self.with_objects(kept, mixed, first, second, params)

    def mix_in_batch(self, batch: Parts, partner: tf.Tensor, params: Any) -> Parts:
        """Checks a batch and mixes example i with example `partner[i]`, compiled."""
        without = batch._replace(objects=None)
        with tf.control_dependencies(self.check_values(batch)):
            mixed = self._compiled_in_batch(without, partner, params)
            if self.objects is None:
                return mixed
            rows = self.mixer.partner_of(batch, params, partner)
            objects = elements.map_nest(lambda t: tf.gather(t, rows), batch.objects)
            second = batch._replace(objects=objects)
            alone = elements.batch_size(batch) == 1
            return self.with_objects(None, mixed, batch, second, params, alone)[1]

    def with_objects(
        self,
        kept: Parts | None,
        mixed: Parts,
        first: Parts,
        second: Parts,
        params: Any,
        alone: tf.Tensor | bool = False,
    ) -> tuple[Parts | None, Parts]:
        """Adds the boxes of the first batch, and of the mixtures.

        Args:
          kept: the first batch as it is returned, or None.
          mixed: the mixed batch.
          first: the first batch as it came.
          second: the second batch as it came.
          params: the sampled parameters.
          alone: whether the batch has one example, which is not mixed.

        Returns:
          `kept` and `mixed`, with boxes.
        """
        if self.objects is None:
            return kept, mixed
        padded = [
            one._replace(objects=self.objects.padded(one.objects))
            for one in (first, second)
        ]
        wrong = [
            check
            for one in padded
            for check in self.objects.check_values(one.objects, first.features)
        ]
        with tf.control_dependencies(wrong):
            if self.mixer.is_off():
                made = self.objects.unmixed(padded[0].objects)
            else:
                made = self.objects.mix(padded[0], padded[1], params, alone)
            mixed = mixed._replace(objects=made)
            if kept is not None:
                own = self.objects.unmixed(padded[0].objects)
                kept = kept._replace(objects=own)
        return kept, mixed

    def joined(self, first: Parts | None, mixed: Parts, like: Any) -> Any:
        """The element of what `mix` returned; a pair if the first batch is kept."""
        if first is None:
            return elements.join(mixed, like)
        return elements.join(first, like), elements.join(mixed, like)

    def check_values(self, *batches: Parts) -> list[tf.Operation]:
        """Operations that raise at bad labels and sizes. XLA would drop them."""
        given = [parts.targets for parts in batches]
        labels = targets.check_values(self.targets, self.mixer.name, *given)
        sizes = [check for b in batches for check in self.mixer.check_values(b)]
        return [*labels, *sizes]

    @functools.cached_property
    def _compiled(self) -> Callable[..., tuple[Parts | None, Parts]]:
        return self._function(self.mix_unchecked)

    @functools.cached_property
    def _compiled_in_batch(self) -> Callable[..., Parts]:
        return self._function(self._in_batch)

    def _function(self, mix: Callable[..., Any]) -> Callable[..., Any]:
        # TensorFlow counts retracings by code object. It would take the plans of
        # several specs for one function that is traced again and again, and warn. A
        # `partial` has no code object: `_get_key_for_call_stats` in
        # https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/eager/polymorphic_function/polymorphic_function.py
        return tf.function(
            functools.partial(mix), jit_compile=self.jit_compile, autograph=False
        )

    def mix_unchecked(
        self, first: Parts, second: Parts, params: Any, keep_first: bool = False
    ) -> tuple[Parts | None, Parts]:
        """`mix` as a pure function without checks, to call in a compiled function."""
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

        # A batch of one example has no partners, and some mixers would change an
        # example that they mix with itself.
        def unmixed() -> Parts:
            return self._unmixed(batch, self.mixer.recipe(batch, batch, params))

        size = elements.batch_size(batch)
        if isinstance(size, int):
            return mixed() if size > 1 else unmixed()
        # XLA cannot compile the gradient of `tf.cond`, which keeps values of a branch
        # as Optionals.
        return elements.map_parts(
            lambda one, other: tf.where(size > 1, one, other), mixed(), unmixed()
        )

    def _unmixed(self, batch: Parts, recipe: Recipe) -> Parts:
        """What the recipe gives at λ = 1: the batch, encoded and cast."""
        return Parts(
            elements.map_nest(lambda x: tf.cast(x, self.dtype), batch.features),
            *targets.mix(self.targets, batch, batch, _all_of_first(recipe)),
            batch.lengths,
        )


def _all_of_first(recipe: Recipe) -> Recipe:
    """The recipe with all its shares set to 1, in the same shapes."""
    ones = tf.ones_like(recipe.lam)
    alone = recipe._replace(lam=ones, second=None, further=(), moved=None)
    if recipe.share is None:
        return alone
    return alone._replace(share=lambda t: tf.ones_like(recipe.share_of(t)))


def _longer(first: tf.Tensor, second: tf.Tensor, lam: tf.Tensor) -> tf.Tensor:
    """The longer of two lengths, or the union of two padding masks.

    At λ = 1 and λ = 0 the mixture holds only one example, so the length or the mask is
    that example's.
    """
    either = tf.logical_or if first.dtype == tf.bool else tf.maximum
    return at_ends(lam, first, second, either(first, second))
