"""A model that is trained on pairs of targets by `fit`."""

from __future__ import annotations

from typing import Any

import keras

from tfmixup.keras.pair_loss import Pair, PairLoss

__all__ = ["PairModel"]

_OWNER = "tfmixup.keras.PairModel"


@keras.saving.register_keras_serializable(package="tfmixup")
class PairModel(keras.Model):
    """Trains a model on pairs of targets: a mixer's `targets="pair"`.

        λ·loss(y_i, p) + (1 − λ)·loss(y_j, p)

    It wraps a Keras model of any kind, whose weights it trains in place: build, compile
    and fit the wrapper, then use, save and convert the model itself. Elements are
    `(x, (y_i, y_j, λ))`, with sample weights as a third part or without; a model of
    several outputs takes one such triple for each. Labels that are no pairs, as those
    of validation data, have their plain loss.

    Losses and metrics are given to `compile` as to any model. Each loss becomes a
    `PairLoss`, each metric is updated with y_i at weight λ and y_j at weight 1 − λ, so
    that "accuracy" is the label mass on the predicted class, as `MixedAccuracy` is.
    For that all metrics are weighted ones: sample weights count in them too, and a
    metric of your own must heed `sample_weight`. Penalties (`kernel_regularizer`,
    `add_loss`) count once.

    Args:
      model: a `keras.Model`; it needs not be compiled.
      name: of the wrapper, as Keras shows it.

    Raises:
      TypeError: `model` is not a Keras model.

    Examples:
      >>> import keras
      >>> model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
      >>> trainer = PairModel(model)
      >>> loss = "sparse_categorical_crossentropy"
      >>> trainer.compile("sgd", loss, metrics=["accuracy"])
      >>> mixer = tfmixup.MixUp(0.2, targets="pair")
      >>> x, y = tf.random.normal([32, 8]), tf.range(32) % 3
      >>> ds = tf.data.Dataset.from_tensor_slices((x, y))
      >>> train = ds.apply(tfmixup.two_streams(mixer, 8))
      >>> history = trainer.fit(train, verbose=0)
      >>> model(x).shape
      TensorShape([32, 3])
    """

    def __init__(self, model: keras.Model, name: str | None = None) -> None:
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"{_OWNER}: model must be a keras.Model, got {type(model).__name__}. "
                "Wrap the built model: PairModel(keras.Sequential([...]))."
            )
        super().__init__(name=name)
        self.model = model
        # Masks of the model's outputs are its own affair.
        self.supports_masking = True
        if model.built:
            self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Makes the model's weights."""
        if not self.model.built:
            self.model.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The model's predictions."""
        return self.model(inputs, training=training)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask that the model left on its predictions."""
        return None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Like any model's `compile`, with the losses of plain labels.

        Args:
          optimizer: as of any model.
          loss: one or one for each output, such as `keras.losses.CTC()`.
          loss_weights: as of any model.
          metrics: one list, or one for each output; they are weighted by λ and by
            sample weights.
          weighted_metrics: the same; give one of both.
          **kwargs: as of any model.

        Raises:
          ValueError: both `metrics` and `weighted_metrics`; or "crossentropy", which
            does not say which.
        """
        if metrics and weighted_metrics:
            raise ValueError(
                f"{_OWNER}: metrics and weighted_metrics mean the same here, since "
                "every metric is weighted by λ. Give all of them as metrics."
            )
        super().compile(
            optimizer,
            keras.tree.map_structure(_pair_loss, loss),
            loss_weights,
            weighted_metrics=metrics or weighted_metrics,
            **kwargs,
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of pairs of targets, or of plain ones, with penalties."""
        return super().compute_loss(
            x, _pairs(y, y_pred), y_pred, sample_weight, training
        )

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the metrics with y_i at weight λ, then with y_j at 1 − λ."""
        pairs = _pairs(y, y_pred)
        if not any(isinstance(leaf, Pair) for leaf in keras.tree.flatten(pairs)):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        first = keras.tree.map_structure(lambda y: _half(y, 0)[0], pairs)
        second = keras.tree.map_structure(lambda y: _half(y, 1)[0], pairs)
        super().compute_metrics(x, first, y_pred, _weights(pairs, sample_weight, 0))
        return super().compute_metrics(
            x, second, y_pred, _weights(pairs, sample_weight, 1)
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments to make it again."""
        model = keras.saving.serialize_keras_object(self.model)
        return {"model": model, "name": self.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> PairModel:
        """Makes it again."""
        model = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(model, name=config["name"])


def _pair_loss(loss: Any) -> Any:
    if loss is None or isinstance(loss, PairLoss):
        return loss
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        raise ValueError(
            f"{_OWNER}: loss={loss!r} does not say which. Write "
            "'sparse_categorical_crossentropy', 'categorical_crossentropy' or "
            "'binary_crossentropy'."
        )
    return PairLoss(loss)


def _pairs(y: Any, y_pred: Any) -> Any:
    """Labels in which each output's `(y_i, y_j, λ)` is one `Pair`."""
    if not keras.tree.is_nested(y_pred):
        is_pair = isinstance(y, (tuple, list)) and len(y) == 3
        return Pair(y[0], y[1], y[2], y_pred) if is_pair else y
    if isinstance(y, dict):
        # Keras takes labels by output name where outputs are a list too.
        of = y_pred if isinstance(y_pred, dict) else dict.fromkeys(y)
        return {k: _pairs(v, of[k]) if k in of else v for k, v in y.items()}
    if isinstance(y, (tuple, list)) and len(y) == len(y_pred):
        outputs = list(y_pred.values()) if isinstance(y_pred, dict) else y_pred
        return type(y)(_pairs(*both) for both in zip(y, outputs))
    return y


def _half(y: Any, which: int) -> tuple[Any, Any]:
    """y_i and λ, or y_j and 1 − λ; a plain label counts in the first alone."""
    if not isinstance(y, Pair):
        return y, 1.0 - which
    return (y.second, 1 - y.lam) if which else (y.first, y.lam)


def _weights(pairs: Any, sample_weight: Any, which: int) -> Any:
    def weight(y: Any, given: Any) -> Any:
        share = _half(y, which)[1]
        if not isinstance(y, Pair):
            share = keras.ops.full(keras.ops.shape(y)[:1], share)
        elif y.steps:
            # So that Keras can multiply it by a mask (B, T).
            share = keras.ops.expand_dims(share, -1)
        if given is None:
            return share
        given = keras.ops.cast(keras.ops.convert_to_tensor(given), "float32")
        return _times(given, share)

    if keras.tree.is_nested(sample_weight):
        given = keras.tree.pack_sequence_as(pairs, keras.tree.flatten(sample_weight))
        return keras.tree.map_structure(weight, pairs, given)
    return keras.tree.map_structure(lambda y: weight(y, sample_weight), pairs)


def _times(one: Any, other: Any) -> Any:
    """The product of (B,) or (B, 1) and (B,), (B, 1) or (B, T)."""
    while len(one.shape) < len(other.shape):
        one = keras.ops.expand_dims(one, -1)
    while len(other.shape) < len(one.shape):
        other = keras.ops.expand_dims(other, -1)
    return one * other
