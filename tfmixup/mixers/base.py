"""Mixer: how two batches become one, as a value that can be called."""

from __future__ import annotations

import abc
import dataclasses
import types
from typing import Any, ClassVar

import tensorflow as tf

from tfmixup import checks, elements, partners, seeding, shapes, targets
from tfmixup.elements import Parts
from tfmixup.mixers import compiled
from tfmixup.mixers.contract import Contract

__all__ = ["Mixer"]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Mixer(Contract, abc.ABC):
    """How two batches become one: an immutable, comparable, printable value.

    A kind of mixing derives from this class and gives `sample`, which draws its
    parameters, and pure functions of two batches and the parameters: `mix_features` and
    `share`, and `mix_target` where a target is not blended by that share. Which two
    batches are mixed is not a mixer's concern but that of `two_streams`, `in_batch`
    and the like.

    Args:
      num_classes: integer labels are one-hot encoded to this many classes.
      label_smoothing: ε in [0, 1), for integer labels; smoothing and mixing commute.
      targets: "blend" for λ·y_i + (1 − λ)·y_j; "pair" for (y_i, y_j, λ), for losses
        that are not linear in the label; "union" for max(y_i, y_j), where both examples
        can be heard.
      ignore_label: pixels of integer masks that carry no weight in the loss, such as
        255; sample weights of a mask's shape come with the elements then.
      integer_masks: masks stay class ids instead of one-hot vectors, where a mixer
        moves pixels and does not blend them.
      feature_keys: keys of dict elements that hold features, as TFDS names them.
      target_keys: keys of dict elements that hold targets.
      length_keys: keys of dict elements, or of features that are a dict, that hold how
        long padded features are, or their padding masks (boolean, True where there is
        something): the longer of the two remains.
      dtype: of the mixed features: "float32", "float16", "bfloat16", or "uint8"
        (rounded to nearest; takes uint8 features). Mixing is computed in float32.
      jit_compile: True or False, or "auto" to compile with XLA wherever every
        dimension but the batch is static, so that variable lengths do not compile
        again and again.
    """

    def off(self) -> Mixer:
        """The same mixer, but it never mixes: it only casts and encodes.

        For validation data and for epochs without mixing. Labels are still smoothed;
        `dataclasses.replace(mixer.off(), label_smoothing=0.0)` is not.

        Returns:
          A mixer with `probability=0.0`.

        Examples:
          >>> tfmixup.CutMix(num_classes=10).off()
          CutMix(num_classes=10, alpha=1.0, probability=0.0)
        """
        never: dict[str, Any] = {"probability": 0.0}
        return dataclasses.replace(self, **never)

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
          TypeError, ValueError: as `check_spec`.
          KeyError: a dict element has not all of the mixer's keys.
          tf.errors.InvalidArgumentError: a class label outside [0, num_classes), or
            batches of different shapes.

        Examples:
          >>> x, y = tf.ones([4, 8]), tf.ones([4, 1])
          >>> params = tfmixup.MixUpParams(lam=tf.fill([4], 0.5))
          >>> tfmixup.MixUp().apply((x, y), (3 * x, 3 * y), params)[1][0].numpy()
          array([2.], dtype=float32)
        """
        one = elements.read(self.split(first))
        other = elements.read(self.split(second))
        self.check_spec(one)
        checks.same_spec(self.name, "the second batch", one.mixed(), other.mixed())
        shapes.check_same_shapes(self.name, one, other)
        checked = [*self._check_values(one), *self._check_values(other)]
        with tf.control_dependencies(checked):
            original, mixed = compiled.pair(
                self, one.mixed(), other.mixed(), params, keep_first
            )
        mixed = elements.join(mixed._replace(extras=one.extras))
        if original is None:
            return mixed
        return elements.join(original._replace(extras=one.extras)), mixed

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
        parts = elements.read(self.split(element))
        self.check_spec(parts)
        with tf.control_dependencies(self._check_values(parts)):
            mixed = compiled.in_batch(self, parts.mixed(), partner, params)
        return elements.join(mixed._replace(extras=parts.extras))

    # AutoGraph would wrap our errors in "in user code". This is its mark of what it is
    # to leave alone; `do_not_convert` sets it on functions, but `Dataset.map(mixer)`
    # looks for it on the mixer.
    autograph_info__: ClassVar[types.MappingProxyType] = types.MappingProxyType({})

    @tf.autograph.experimental.do_not_convert
    def __call__(self, *element: Any, seed: tf.Tensor | None = None) -> Any:
        """Mixes a batch with itself, every example with another one of it.

        Args:
          *element: a batch: `x, y`, `x, y, sample_weight` or a dict, as `Dataset.map`
            passes it.
          seed: int32 tensor of shape (2,); None for fresh randomness at every call.

        Returns:
          The mixed batch, of the same structure.

        Raises:
          TypeError, ValueError: as `apply`.
        """
        batch = element[0] if len(element) == 1 else element
        shapes.check_not_a_pair(self.name, batch)
        parts = elements.read(self.split(batch))
        self.check_spec(parts)
        size = elements.batch_size(parts)
        for_partner, for_params = _two_seeds(self.name, seed)
        partner = partners.sample(size, for_partner)
        return self.apply_in_batch(batch, partner, self.sample(size, for_params))

    @tf.autograph.experimental.do_not_convert
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
        if self.in_batch_only:
            raise ValueError(
                f"{self.name}: this mixer chooses partners within a batch and cannot "
                "take a second one. Map the mixer itself, or use tfmixup.in_batch."
            )
        parts = elements.read(self.split(first))
        self.check_spec(parts)
        _, for_params = _two_seeds(self.name, seed)
        params = self.sample(elements.batch_size(parts), for_params)
        return self.apply(first, second, params)

    def _check_values(self, parts: Parts) -> list[tf.Operation]:
        labels = targets.check_values(self.name, parts.targets, self.options)
        return [labels, *self.check_sizes(parts)]


def require(owner: str, mixer: Any) -> None:
    """Refuses what is not a mixer."""
    if not isinstance(mixer, Mixer):
        raise TypeError(
            f"{owner}: mixer must be a mixer such as tfmixup.MixUp(alpha=0.2), got "
            f"{mixer!r}."
        )


def _two_seeds(owner: str, seed: Any) -> list[tf.Tensor]:
    if seed is None:
        return seeding.split(seeding.fresh(), 2)
    return seeding.split(checks.batch_seed(owner, seed), 2)
