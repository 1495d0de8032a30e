"""What every mixer has: its contract with elements, its compilation, its call."""

from __future__ import annotations

import abc
import dataclasses
import functools
import types
from typing import Any, ClassVar

import tensorflow as tf

from tfmixup import checks, elements, partners, seeding, targets
from tfmixup.elements import Parts
from tfmixup.mixers import compiled

__all__ = ["Mixer"]

DTYPES = ("float32", "float16", "bfloat16", "uint8")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Mixer(abc.ABC):
    """How two batches become one: an immutable, comparable, printable value.

    A kind of mixing derives from this class and gives two methods: `sample` draws its
    parameters, `mix` is a pure function of two batches and the parameters. Which two
    batches are mixed is not a mixer's concern but that of `two_streams`, `in_batch`
    and the like.

    Args:
      num_classes: integer labels are one-hot encoded to this many classes.
      label_smoothing: ε in [0, 1), for integer labels; smoothing and mixing commute.
      feature_keys: keys of dict elements that hold features, as TFDS names them.
      target_keys: keys of dict elements that hold targets.
      dtype: of the mixed features: "float32", "float16", "bfloat16", or "uint8"
        (rounded to nearest; takes uint8 features). Mixing is computed in float32.
      jit_compile: True or False, or "auto" to compile with XLA wherever every
        dimension but the batch is static, so that variable lengths do not compile
        again and again.
    """

    num_classes: int | None = None
    label_smoothing: float = 0.0
    feature_keys: tuple[str, ...] = ("image",)
    target_keys: tuple[str, ...] = ("label",)
    dtype: str = "float32"
    jit_compile: bool | str = "auto"

    def __post_init__(self) -> None:
        owner = self.name
        if self.num_classes is not None:
            # One class would make every label certain: a binary label has two.
            checks.positive_integer(owner, "num_classes", self.num_classes, least=2)
        checks.fraction(owner, "label_smoothing", self.label_smoothing, below_one=True)
        if self.label_smoothing and self.num_classes is None:
            raise ValueError(
                f"{owner}: label_smoothing={self.label_smoothing} is for integer "
                "labels and needs num_classes. For labels that are one-hot already, "
                "smooth in the loss: "
                "keras.losses.CategoricalCrossentropy(label_smoothing=...)."
            )
        for name in ("feature_keys", "target_keys"):
            keys = checks.keys(owner, name, getattr(self, name))
            object.__setattr__(self, name, keys)
        if not self.feature_keys:
            raise ValueError(f"{owner}: feature_keys is empty: name at least one key.")
        both = [key for key in self.feature_keys if key in self.target_keys]
        if both:
            raise ValueError(
                f"{owner}: {both[0]!r} is in both feature_keys and target_keys. "
                "Leave it in one."
            )
        if not isinstance(self.dtype, str):
            object.__setattr__(self, "dtype", tf.as_dtype(self.dtype).name)
        checks.choice(owner, "dtype", self.dtype, DTYPES)
        checks.choice(owner, "jit_compile", self.jit_compile, (True, False, "auto"))

    @property
    def name(self) -> str:
        """The name in errors, such as "tfmixup.MixUp"."""
        return f"tfmixup.{type(self).__name__}"

    def __repr__(self) -> str:
        own = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            same = type(value) is type(field.default) and value == field.default
            if field.repr and (not field.kw_only or not same):
                own.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(own)})"

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
    def mix(self, first: Parts, second: Parts, params: Any) -> Parts:
        """Mixes two batches whose labels are encoded: a pure function.

        It runs inside the compiled function: no randomness, no assert, no extras.
        """

    def check_spec(self, parts: Parts, owner: str | None = None) -> None:
        """Refuses batches that cannot be mixed, by their specs alone.

        Raises:
          TypeError: a part is of a dtype that cannot be mixed.
          ValueError: there is no batch dimension, or class labels that cannot be
            one-hot encoded.
        """
        owner = owner or self.name
        for spec in tf.nest.flatten(parts.features):
            checks.feature(owner, spec, tf.as_dtype(self.dtype))
        if parts.weights is not None:
            for spec in tf.nest.flatten(parts.weights):
                checks.weight(owner, spec)
        elements.check_batched(owner, parts)
        targets.check(owner, parts.targets, self.num_classes, self.label_smoothing)

    def split(self, element: Any, owner: str | None = None) -> Parts:
        """Takes an element or an element_spec apart, by this mixer's keys."""
        return elements.split(
            owner or self.name, element, self.feature_keys, self.target_keys
        )

    def encode(self, parts: Parts) -> Parts:
        """A batch with its labels encoded, not mixed."""
        encode = functools.partial(
            targets.encode,
            num_classes=self.num_classes,
            label_smoothing=self.label_smoothing,
        )
        return parts._replace(targets=elements.map_nest(encode, parts.targets))

    def plain(self, parts: Parts) -> Parts:
        """A batch as mixing would return it at λ = 1: encoded and cast."""
        encoded = self.encode(parts)
        cast = functools.partial(tf.cast, dtype=self.dtype)
        return encoded._replace(
            features=elements.map_nest(cast, encoded.features),
            weights=elements.map_nest(as_float, encoded.weights),
        )

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

        Example:
          >>> x, y = tf.ones([4, 8]), tf.ones([4, 1])
          >>> params = tfmixup.MixUpParams(lam=tf.fill([4], 0.5))
          >>> tfmixup.MixUp().apply((x, y), (3 * x, 3 * y), params)[1][0].numpy()
          array([2.], dtype=float32)
        """
        one = elements.read(self.split(first))
        other = elements.read(self.split(second))
        self.check_spec(one)
        checks.same_spec(self.name, "the second batch", one.mixed(), other.mixed())
        elements.check_same_shapes(self.name, one, other)
        labels = (one.targets, other.targets)
        with tf.control_dependencies([self._check_values(labels)]):
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
          As `apply`.
        """
        parts = elements.read(self.split(element))
        self.check_spec(parts)
        with tf.control_dependencies([self._check_values(parts.targets)]):
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
          As `apply`.
        """
        batch = element[0] if len(element) == 1 else element
        elements.check_not_a_pair(self.name, batch)
        parts = elements.read(self.split(batch))
        self.check_spec(parts)
        size = elements.batch_size(parts)
        for_partner, for_params = _two_seeds(seed)
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
          As `apply`.

        Example:
          >>> x, y = tf.ones([4, 8]), tf.ones([4, 1])
          >>> mixed_x, mixed_y = tfmixup.MixUp(0.2).pair((x, y), (2 * x, 2 * y))
        """
        parts = elements.read(self.split(first))
        self.check_spec(parts)
        _, for_params = _two_seeds(seed)
        params = self.sample(elements.batch_size(parts), for_params)
        return self.apply(first, second, params)

    def _check_values(self, labels: Any) -> tf.Operation:
        return targets.check_values(self.name, labels, self.num_classes)


def require(owner: str, mixer: Any) -> None:
    """Refuses what is not a mixer."""
    if not isinstance(mixer, Mixer):
        raise TypeError(
            f"{owner}: mixer must be a mixer such as tfmixup.MixUp(alpha=0.2), got "
            f"{mixer!r}."
        )


def as_float(tensor: tf.Tensor) -> tf.Tensor:
    """Floats as they are, integers as float32."""
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)


def _two_seeds(seed: tf.Tensor | None) -> list[tf.Tensor]:
    return seeding.split(seeding.fresh() if seed is None else seed, 2)
