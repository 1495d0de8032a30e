"""MixingModel: mixing inside a model, in the training step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmixup import checks, elements, kinds, seeding, targets
from tfmixup.blending import Recipe
from tfmixup.checks import see_docs
from tfmixup.elements import Parts
from tfmixup.keras.models import PairModel
from tfmixup.keras.places import Places
from tfmixup.keras.steps import NAME, STEP, Step
from tfmixup.mixers import Mixer
from tfmixup.pairing import stages

__all__ = ["MixingModel"]


@keras.saving.register_keras_serializable(package="tfmixup")
class MixingModel(PairModel):
    """Trains a model on mixtures that are made inside it, in the training step.

        h = λ·g(x_i) + (1 − λ)·g(x_j)
        y = λ·y_i + (1 − λ)·y_j,   loss(f(h), y)

    for a network f(g(x)), where `at` says what g is, and by whichever mixer. Each batch
    is mixed with itself; the data set is not mixed. Elements are `(x, y)` or
    `(x, y, sample_weight)`, with labels as a mixer takes them in the pipeline: class
    ids become one-hot by its `num_classes`, in `evaluate` as in `fit`. With
    `targets="pair"` it trains as `PairModel` does.

    It wraps a Keras model, whose weights it trains in place: compile and fit the
    wrapper, then use, save and convert `wrapper.model`, which needs no tfmixup.
    `evaluate`, `predict`, `summary` and `export` are those of the model. `save` keeps
    the mixer, the seed and the optimizer too, to go on with the training.

    λ, partners and the place of a step follow from the seed and a count of steps, which
    is a weight of the wrapper: saved, and restored with a checkpoint. Labels are
    checked as in the pipeline. Where Keras compiles the step with XLA, as it does by
    default on a GPU, there are no asserts: a wrong class id makes the loss NaN there.

    Args:
      model: a `keras.Model`; functional or sequential, if `at` names a layer. It need
        not be compiled.
      mixer: such as `tfmixup.MixUp(0.2, num_classes=10)`. Hidden tensors keep their own
        dtype, whatever the mixer's `dtype`.
      at: what is mixed. None for the inputs; the name of a layer, or the layer, for
        what it returns ("embedding": word mixup); a list of several, of which one is
        drawn for each batch (Manifold Mixup), where None is the inputs.
      seed: an integer; the same seed, data and weights give the same run. None for
        another run each time, unless `keras.utils.set_random_seed` was called.
      name: of the wrapper, as Keras shows it.

    Raises:
      TypeError, ValueError: an argument cannot be, the model has no such layer, the
        mixer cannot mix what the layer returns, or the backend is not TensorFlow.

    Examples:
      >>> import keras
      >>> ids = keras.Input([5], dtype="int32")
      >>> h = keras.layers.Embedding(20, 8, name="words")(ids)
      >>> h = keras.layers.GlobalAveragePooling1D()(h)
      >>> model = keras.Model(ids, keras.layers.Dense(3, activation="softmax")(h))
      >>> mixer = tfmixup.MixUp(0.2, num_classes=3)
      >>> trainer = MixingModel(model, mixer, at="words", seed=1)
      >>> trainer.compile("sgd", "categorical_crossentropy")
      >>> history = trainer.fit(tf.ones([32, 5], tf.int32), tf.range(32) % 3, verbose=0)
      >>> model(tf.ones([2, 5], tf.int32)).shape
      TensorShape([2, 3])

    References:
      Guo et al., "Augmenting Data with Mixup for Sentence Classification", 2019,
      arXiv 1905.08941
      Verma et al., "Manifold Mixup", 2019, arXiv 1806.05236
    """

    def __init__(
        self,
        model: keras.Model,
        mixer: Mixer,
        *,
        at: Any = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        with checks.named(NAME):
            _check_backend()
            if isinstance(model, MixingModel):
                raise TypeError("model is a MixingModel already: wrap its `.model`.")
            if isinstance(model, PairModel):  # of which nothing but the model is needed
                model = model.model
            stages.check_mixer(mixer)
            checks.seed(seed)
        super().__init__(model, name=name)
        with checks.named(NAME):
            self.mixer, self.seed = mixer, seed
            # A plain object, so that Keras does not find the layers a second time.
            self._places = Places(model, mixer, at)
        state = _initial_state(seed)
        self.mixing_state = self.add_weight(
            name="mixing_state",
            shape=(2,),
            dtype="int64",  # GPUs keep int32 variables on the host, out of XLA's reach
            initializer=lambda *_, **__: keras.ops.convert_to_tensor(state, "int64"),
            trainable=False,
            aggregation="only_first_replica",
        )

    def build(self, input_shape: Any = None) -> None:
        """Makes the model's weights."""
        super().build(input_shape)
        with checks.named(NAME):
            self._places.find(self.model)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The model's predictions; of mixtures, in a training step of this wrapper."""
        step = STEP.get()
        if step is None or step.places is not self._places:
            return self.model(inputs, training=training)
        if None in self._places.names:
            inputs = step.mix(None, inputs, None)
        return self._places.network(self.model)(inputs, training=training)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Like any model's `compile`; like `PairModel`'s for `targets="pair"`.

        Args:
          *args: as of any model.
          **kwargs: as of any model.
        """
        if isinstance(self.mixer.options.num_classes, int):
            for given in keras.tree.flatten([*args[1:], list(kwargs.values())]):
                _check_not_sparse(given)
        if self.mixer.options.targets == "pair":
            super().compile(*args, **kwargs)
        else:
            keras.Model.compile(self, *args, **kwargs)

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """Prints the model's summary.

        Args:
          *args: as of any model.
          **kwargs: as of any model.
        """
        self.model.summary(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """A step of `fit`, on a mixture."""
        # In eager steps of NumPy data, Keras hands on the arrays.
        data = keras.tree.map_structure(_tensor, data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with checks.named(NAME):
            self._places.find(self.model)
            step = Step(self._places, x, y, sample_weight, self._next_seed())
        with step.under_way():
            return super().train_step((x, y, sample_weight))

    def _next_seed(self) -> tf.Tensor:
        """The batch seed of a step, and of a replica."""
        state = tf.cast(self.mixing_state.value, tf.int32)
        self.mixing_state.assign_add(keras.ops.convert_to_tensor([0, 1], "int64"))
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        return seeding.of_replica(state, replica)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of the mixed labels; elsewhere of the labels, encoded alike."""
        y, sample_weight = self._labels(y, y_pred, sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the metrics by the mixed labels, or by the encoded ones."""
        y, sample_weight = self._labels(y, y_pred, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _labels(self, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any]:
        step = STEP.get()
        with checks.named(NAME):
            if step is not None and step.places is self._places:
                return step.labels()
            return _encoded(self.mixer, y, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments to make it again."""
        names = self._places.names
        return {
            **super().get_config(),
            "mixer": keras.saving.serialize_keras_object(self.mixer),
            "at": names[0] if len(names) == 1 else list(names),
            "seed": self.seed,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> MixingModel:
        """Makes it again."""
        model, mixer = (
            keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
            for name in ("model", "mixer")
        )
        rest = {name: config[name] for name in ("at", "seed", "name")}
        return cls(model, mixer, **rest)


def _check_not_sparse(given: Any) -> None:
    """Refuses a loss or metric of class ids, of which the mixer makes vectors."""
    name = given if isinstance(given, str) else type(given).__name__
    if name.lower().replace("_", "").startswith("sparse"):
        raise ValueError(
            f"{NAME}: {name!r} is for class ids, and the mixer's num_classes makes "
            "one-hot labels of them. Write 'categorical_crossentropy', "
            "'categorical_accuracy' or the like; or use targets='pair' without "
            "num_classes."
        )


def _check_backend() -> None:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "mixing in the training step needs Keras on TensorFlow, and the backend is "
            f"{keras.backend.backend()!r}. Mix in the pipeline, which feeds a model on "
            "any backend: dataset.apply(tfmixup.two_streams(...))."
            + see_docs("several_machines")
        )


def _initial_state(seed: int | None) -> list[int]:
    """A word of the seed, and that no step has been made."""
    if seed is None:  # `keras.utils.set_random_seed` seeds this generator
        return [random.randrange(2**31), 0]
    return [(seeding.stream_seed(seed, "model") or 0) % 2**31, 0]


def _tensor(value: Any) -> Any:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            f"{NAME}: inputs and labels must be dense tensors, got a "
            f"{type(value).__name__} of shape {value.shape}. Pad or densify them in "
            "the dataset: .to_tensor() or tf.sparse.to_dense."
        )
    return None if value is None else tf.convert_to_tensor(value)


def _encoded(mixer: Mixer, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Labels that are not mixed, as the mixer encodes them: one-hot, without smoothing.

    Labels that have been encoded before, by `mixer.off()` in the pipeline, stay.
    """
    options = mixer.options
    y, sample_weight = keras.tree.map_structure(_tensor, (y, sample_weight))
    flat: Sequence[tf.Tensor] = tf.nest.flatten(() if y is None else y)
    if options.num_classes is None and options.ignore_label is None:
        return y, sample_weight
    if options.num_classes is not None and not any(t.dtype.is_integer for t in flat):
        return y, sample_weight
    parts = Parts((), y, sample_weight)
    # Labels of frames or pixels are told by what stands beside them.
    beside = elements.spec_of(parts._replace(features=y_pred))
    resolved = kinds.resolve(beside, mixer.off().options)
    with tf.control_dependencies(targets.check_values(resolved, NAME, y)):
        parts = elements.map_parts(tf.identity, parts)
    made, weights = targets.mix(resolved, parts, parts, Recipe(tf.cast, tf.ones([1])))
    return targets.or_nan(resolved, y, made), weights
