"""A training step of `MixingModel`: its random draws and its mixed labels."""

from __future__ import annotations

import collections
import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfmixup import checks, elements, seeding, targets
from tfmixup.elements import Parts

__all__ = ["NAME", "STEP", "Step"]

NAME = "tfmixup.keras.MixingModel"


class Step:
    """A training step: its random draws, its mixtures and its mixed labels.

    Args:
      places: the `Places` of the wrapper, where the step mixes.
      x: the inputs, which give the batch size.
      y: the labels, not encoded.
      sample_weight: the sample weights, or None.
      seed: the batch seed, an int32 tensor of shape (2,).
    """

    def __init__(
        self, places: Any, x: Any, y: Any, sample_weight: Any, seed: tf.Tensor
    ) -> None:
        _check_not_mixed(places, y)
        self.places = places
        given = (
            () if y is None else (y,) if sample_weight is None else (y, sample_weight)
        )
        self._labels = given
        for_place, for_partner, for_params = seeding.split(seed, 3)
        self._place: tf.Tensor | None = None
        if len(places.names) > 1:
            n = tf.constant(len(places.names))
            self._place = seeding.integers([], for_place, below=n)
        size = elements.batch_size(Parts(x, ()))
        self._partner = seeding.partners(size, for_partner)
        self._params = places.mixer.sample(size, for_params)
        self._mixed: dict[int, Parts] = {}
        self._calls: collections.Counter[tuple[int, Any]] = collections.Counter()
        self._done: dict[tuple[int, int], tuple[Any, Parts, list[tf.Tensor]]] = {}

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Lets the layers of the model find this step."""
        token = STEP.set(self)
        try:
            yield
        finally:
            STEP.reset(token)

    def mix(self, name: str | None, features: Any, mask: Any) -> Any:
        """Mixes the features at layer `name`, if this place is drawn for the step."""
        k = self.places.place_of(name)
        if k is None:
            return features
        mixed, _ = self._parts(k, features, mask)
        # Keras traces a model that is not built yet in another graph before the call.
        # Calls are counted per graph, so that this trace is not a second call.
        graph = getattr(tf.nest.flatten(features)[0], "graph", None)
        self._calls[k, graph] += 1
        self._mixed[k] = mixed
        made = elements.join(mixed, (features, *self._labels))[0]
        return tf.nest.map_structure(
            lambda new, old: self._drawn(k, new, tf.cast(old, new.dtype)),
            made,
            features,
        )

    def mix_masks(self, name: str, features: Any, mask: list[Any]) -> list[Any]:
        """Mixes padding masks: a position counts if it does in either example."""
        k = self.places.place_of(name)
        if k is None:
            return mask
        _, mixed = self._parts(k, features, mask)
        return [self._drawn(k, new, old) for new, old in zip(mixed, mask)]

    def _parts(self, k: int, features: Any, mask: Any) -> tuple[Parts, list[tf.Tensor]]:
        """Mixes features and masks at place k together, and only once."""
        key = k, id(features)
        if key in self._done:
            return self._done[key][1:]
        given = [one for one in keras.tree.flatten(mask) if one is not None]
        masks = {f"mask {m}": one for m, one in enumerate(given)}
        with checks.named(NAME):
            mixer = self.places.mixer_at(self.places.names[k], features)
            parts = mixer.split((features, *self._labels))
            lengths = parts.lengths or {}
            parts = parts._replace(lengths={**lengths, **masks} or None)
            plan = mixer.plan_of(parts)
            mixed = plan.mix_in_batch(parts, self._partner, self._params)
            y = targets.or_nan(plan.targets, parts.targets, mixed.targets)
            mixed = mixed._replace(targets=y)
        of_all = mixed.lengths or {}
        lengths = {name: of_all[name] for name in lengths}
        mixed = mixed._replace(lengths=lengths or None)
        made = mixed, [of_all[name] for name in masks]
        # The entry keeps `features` alive, so that no other object gets the same id.
        self._done[key] = features, *made
        return made

    def labels(self) -> tuple[Any, Any]:
        """The mixed labels and weights of the place that was drawn."""
        missing = [n for k, n in enumerate(self.places.names) if k not in self._mixed]
        if missing:
            raise RuntimeError(
                f"layer {missing[0]!r} of `at` was not called in this training step: "
                "nothing was mixed there. Name a layer that every call passes."
            )
        for (k, _), times in self._calls.items():
            if times > 1:
                raise RuntimeError(
                    f"layer {self.places.names[k]!r} of `at` was called {times} times "
                    "in this training step, so that features may have been mixed more "
                    "often than labels. Call it once; of several tensors, "
                    "mix((first, second)) mixes each."
                )
        (_, mixed), *others = self._mixed.items()
        made = mixed.targets, mixed.weights
        for k, other in others:
            made = tuple(
                elements.map_nest(
                    lambda new, old, k=k: self._drawn(k, new, old), new, old
                )
                for new, old in zip((other.targets, other.weights), made)
            )
        y, weights = made
        return (y if self._labels else None), weights

    def _drawn(self, k: int, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        return new if self._place is None else tf.where(self._place == k, new, old)


# Keras calls the layers of a model, and has no argument that gives a layer the step. So
# the layers read the step from a context variable. Replicas run in threads, and each
# thread has its own value.
STEP: contextvars.ContextVar[Step | None] = contextvars.ContextVar(
    "tfmixup_step", default=None
)


def _check_not_mixed(places: Any, y: Any) -> None:
    """Refuses labels of a dataset that was mixed already."""
    options, flat = places.mixer.options, tf.nest.flatten(() if y is None else y)
    leave_out = (
        "Give the data set unmixed; or, if it has one-hot labels, leave num_classes "
        "out."
    )
    encoded = flat and not any(target.dtype.is_integer for target in flat)
    if options.num_classes is not None and encoded:
        raise ValueError(
            f"num_classes={options.num_classes} is for class ids, and the labels are "
            f"{elements.describe(flat[0])}: mixed already, or one-hot. {leave_out}"
        )
    triple = isinstance(y, (tuple, list)) and len(flat) == 3 != places.outputs
    if options.targets == "pair" and triple and flat[2].dtype.is_floating:
        raise ValueError(
            "the labels are (y_i, y_j, λ), so that the data set is mixed already. Give "
            "it unmixed."
        )
