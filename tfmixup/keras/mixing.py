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

    The network is f(g(x)), and `at` says what g is. These are the formulas of `MixUp`;
    other mixers have their own. Each batch is mixed with itself. Do not mix the dataset
    too. Elements are `(x, y)` or `(x, y, sample_weight)`, with labels as a mixer takes
    them in the pipeline. The mixer's `num_classes` makes class ids one-hot, in
    `evaluate` as in `fit`. With `targets="pair"` the wrapper trains as `PairModel`
    does.

    The wrapper trains the weights of a Keras model in place. Compile and fit the
    wrapper. Then use, save and convert `wrapper.model`, which needs no tfmixup.
    `evaluate`, `predict`, `summary` and `export` are those of the model. `save` also
    keeps the mixer, the seed and the optimizer, so that training can go on.

    λ, partners and the place of a step follow from the seed and a count of steps. The
    count is a weight of the wrapper, so a checkpoint saves and restores it. Labels are
    checked as in the pipeline. If Keras compiles the step with XLA, as it does by
    default on a GPU, there are no asserts. A wrong class id makes the loss NaN then.

    Args:
      model: a `keras.Model`. It must be functional or sequential if `at` names a layer.
        It need not be compiled.
      mixer: such as `tfmixup.MixUp(0.2, num_classes=10)`. Hidden tensors keep their own
        dtype, whatever the mixer's `dtype`.
      at: what is mixed. None mixes the inputs. A layer, or its name, mixes what the
        layer returns ("embedding": word mixup). Of a list of these, one is drawn for
        each batch (Manifold Mixup).
      seed: an integer. The same seed, data and weights give the same run. None gives
        another run each time, unless `keras.utils.set_random_seed` was called.
      name: the name of the wrapper, as Keras shows it.

    Raises:
      TypeError, ValueError: an argument is invalid, the model has no such layer, or the
        mixer cannot mix what the layer returns.
      RuntimeError: the backend is not TensorFlow.

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
            if isinstance(model, PairModel):  # only the model in it is needed
                model = model.model
            stages.check_mixer(mixer)
            if mixer.options.max_boxes is not None:
                raise ValueError(
                    f"max_boxes={mixer.options.max_boxes} is for boxes, which are "
                    "mixed in the pipeline and not in the model. Use "
                    "tfmixup.two_streams or tfmixup.in_batch."
                    + checks.see_docs("detection")
                )
            checks.seed(seed)
        super().__init__(model, name=name)
        with checks.named(NAME):
            self.mixer, self.seed = mixer, seed
            # `Places` is a plain object, so that Keras does not find the layers in it
            # a second time.
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
        """The model's predictions, for mixtures in a training step of this wrapper."""
        step = STEP.get()
        if step is None or step.places is not self._places:
            return self.model(inputs, training=training)
        if None in self._places.names:
            inputs = step.mix(None, inputs, None)
        return self._places.network(self.model)(inputs, training=training)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles like any model, or like `PairModel` with `targets="pair"`.

        Args:
          *args: as for any model.
          **kwargs: as for any model.
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
          *args: as for any model.
          **kwargs: as for any model.
        """
        self.model.summary(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """A step of `fit`, on a mixture."""
        # If a step runs eagerly on NumPy data, Keras passes the arrays as they are.
        data = keras.tree.map_structure(_tensor, data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with checks.named(NAME):
            self._places.find(self.model)
            step = Step(self._places, x, y, sample_weight, self._next_seed())
        with step.under_way():
            return super().train_step((x, y, sample_weight))

    def _next_seed(self) -> tf.Tensor:
        """The batch seed of this step on this replica."""
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
        """The loss of the mixed labels, or outside training of the encoded labels."""
        y, sample_weight = self._labels(y, y_pred, sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the metrics with the same labels as `compute_loss` uses."""
        y, sample_weight = self._labels(y, y_pred, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _labels(self, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any]:
        step = STEP.get()
        with checks.named(NAME):
            if step is not None and step.places is self._places:
                return step.labels()
            return _encoded(self.mixer, y, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments to make the wrapper again."""
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
        """Makes the wrapper from its config."""
        model, mixer = (
            keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
            for name in ("model", "mixer")
        )
        rest = {name: config[name] for name in ("at", "seed", "name")}
        return cls(model, mixer, **rest)


def _check_not_sparse(given: Any) -> None:
    """Refuses a loss or metric of class ids. The mixer makes class ids one-hot."""
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
    """The first `mixing_state`: a number from the seed, and a count of 0 steps."""
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
    """Encodes labels that are not mixed as the mixer does: one-hot, without smoothing.

    Labels that `mixer.off()` has encoded in the pipeline stay as they are.
    """
    options = mixer.options
    y, sample_weight = keras.tree.map_structure(_tensor, (y, sample_weight))
    flat: Sequence[tf.Tensor] = tf.nest.flatten(() if y is None else y)
    if options.num_classes is None and options.ignore_label is None:
        return y, sample_weight
    if options.num_classes is not None and not any(t.dtype.is_integer for t in flat):
        return y, sample_weight
    parts = Parts((), y, sample_weight)
    # The shapes of the predictions tell whether the labels are of frames or pixels.
    beside = elements.spec_of(parts._replace(features=y_pred))
    resolved = kinds.resolve(beside, mixer.off().options)
    with tf.control_dependencies(targets.check_values(resolved, NAME, y)):
        parts = elements.map_parts(tf.identity, parts)
    made, weights = targets.mix(resolved, parts, parts, Recipe(tf.cast, tf.ones([1])))
    return targets.or_nan(resolved, y, made), weights
