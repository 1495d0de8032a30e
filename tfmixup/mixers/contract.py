"""What a kind of mixing has to tell, and what follows from it for whole batches."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from tfmixup import checks, elements, shapes, targets
from tfmixup.blending import as_float, blend, per_example
from tfmixup.elements import Parts
from tfmixup.mixers.config import Config

__all__ = ["Contract"]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Contract(Config, abc.ABC):
    """What `Mixer` asks of a kind of mixing, and what it makes of it."""

    # Whether `partner_of` looks at the batch, so that there is no second stream.
    in_batch_only: ClassVar[bool] = False

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
    def mix_features(
        self, first: tf.Tensor, second: tf.Tensor, params: Any
    ) -> tf.Tensor:
        """Mixes one feature: (B, ...) and (B, ...) to (B, ...) of `dtype`.

        It runs inside the compiled function: no randomness, no assert.
        """

    @abc.abstractmethod
    def share(self, first: Parts, second: Parts, params: Any) -> tf.Tensor:
        """The first example's share λ of the label: float32 (B,) or (1,).

        It runs inside the compiled function; labels are not encoded.
        """

    def mix_target(
        self, first: tf.Tensor, second: tf.Tensor, share: tf.Tensor, params: Any
    ) -> tf.Tensor:
        """Mixes one encoded target, or sample weights, of shape (B, ...)."""
        return blend(first, second, share, as_float(first).dtype, sometimes=True)

    def target_mixer(
        self, features: Any, share: tf.Tensor, params: Any
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """`mix_target` as a function of two tensors, made once for a batch.

        Args:
          features: the first batch's; their shapes tell which targets have pixels.
          share: what `share` returned.
          params: the sampled ones.
        """
        return lambda first, second: self.mix_target(first, second, share, params)

    def check_sizes(self, parts: Parts) -> list[tf.Operation]:
        """Operations that raise at sizes that no spec could tell; run outside XLA."""
        return []

    def partner_of(self, batch: Parts, params: Any, partner: tf.Tensor) -> tf.Tensor:
        """Which example of the batch each is mixed with, int32 (B,).

        Args:
          batch: features, targets and weights, not encoded.
          params: the sampled ones.
          partner: int32 (B,), drawn without a look at the batch.
        """
        return partner

    def never(self) -> bool:
        """Whether nothing is ever mixed: validation data are only cast and encoded."""
        return False

    def mix(self, first: Parts, second: Parts, params: Any) -> Parts:
        """Mixes two batches: a pure function, run inside the compiled one.

        Args:
          first: a batch, without extras.
          second: a batch like it.
          params: what `sample` returned.

        Returns:
          The mixed batch; a target is a tuple of three with `targets="pair"`.
        """
        if self.never():
            # 0 times an infinite feature of the partner would be NaN.
            return self.plain(first)
        share = self.share(first, second, params)
        options = self.options
        mix_target = self.target_mixer(first.features, share, params)

        def target(one: tf.Tensor, other: tf.Tensor) -> Any:
            def mixed(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
                return targets.normalise(one, mix_target(a, b), options)

            encoded = (targets.encode(one, options), targets.encode(other, options))
            return targets.combine(self.targets, *encoded, share, mixed)

        weights = [
            targets.valid(p.targets, p.weights, options) for p in (first, second)
        ]
        return Parts(
            elements.map_nest(
                lambda a, b: self.mix_features(a, b, params),
                first.features,
                second.features,
            ),
            elements.map_nest(target, first.targets, second.targets),
            elements.map_nest(
                lambda a, b: mix_target(as_float(a), as_float(b)), *weights
            ),
            lengths=elements.map_nest(
                lambda a, b: _longer(a, b, share), first.lengths, second.lengths
            ),
        )

    def plain(self, parts: Parts) -> Parts:
        """A batch as mixing would return it at λ = 1: encoded and cast."""
        options = self.options
        one = tf.ones([1], tf.float32)

        def target(raw: tf.Tensor) -> Any:
            y = targets.encode(raw, options)
            return targets.combine(self.targets, y, y, one, lambda a, b: a)

        return Parts(
            elements.map_nest(lambda x: tf.cast(x, self.dtype), parts.features),
            elements.map_nest(target, parts.targets),
            elements.map_nest(
                as_float, targets.valid(parts.targets, parts.weights, options)
            ),
            lengths=parts.lengths,
        )

    def check_spec(self, parts: Parts, owner: str | None = None) -> None:
        """Refuses batches that cannot be mixed, by their specs alone.

        Raises:
          TypeError: a part is of a dtype that cannot be mixed.
          ValueError: there is no batch dimension, or class labels that cannot be
            one-hot encoded.
        """
        owner = owner or self.name
        if not tf.nest.flatten(parts.features):
            raise ValueError(
                f"{owner}: elements have no features: x is {parts.features!r}. Map the "
                "dataset to (x, y) with a tensor x."
            )
        for spec in tf.nest.flatten(parts.features):
            checks.feature(owner, spec, tf.as_dtype(self.dtype))
        if parts.weights is not None:
            for spec in tf.nest.flatten(parts.weights):
                checks.weight(owner, spec)
        shapes.check_batched(owner, parts)
        checks.lengths(owner, parts.lengths)
        if self.ignore_label is not None and _has_weights(parts):
            raise ValueError(
                f"{owner}: ignore_label={self.ignore_label} adds a key 'sample_weight' "
                "to the elements, and they have one. Map them to tuples "
                "(x, y, sample_weight), whose weights are multiplied."
            )
        targets.check(owner, parts, self.options)

    def split(self, element: Any, owner: str | None = None) -> Parts:
        """Takes an element or an element_spec apart, by this mixer's keys."""
        keys = (self.feature_keys, self.target_keys, self.length_keys)
        parts = elements.split(owner or self.name, element, *keys)
        # Before all other checks: what they say of boxes would not help.
        checks.no_boxes(owner or self.name, parts.targets)
        return parts


def _has_weights(parts: Parts) -> bool:
    """Whether a dict element has a key that `elements.join` would overwrite."""
    if parts.extras is None:
        return False
    named = (parts.features, parts.targets, parts.extras, parts.lengths)
    return any(elements.WEIGHT_KEY in (part or ()) for part in named)


def _longer(first: tf.Tensor, second: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """The longer length, or what is not padding in both; of one where only it is."""
    either = tf.logical_or if first.dtype == tf.bool else tf.maximum
    share = per_example(share, first)
    both = either(first, second)
    return tf.where(share == 1, first, tf.where(share == 0, second, both))
