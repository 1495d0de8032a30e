"""A model that is trained on pairs of targets by `fit`."""

from __future__ import annotations

from typing import Any

import keras

from tfmixup.keras.losses import Pair, PairLoss, no_tf_keras

__all__ = ["PairModel"]

_NAME = "tfmixup.keras.PairModel"


@keras.saving.register_keras_serializable(package="tfmixup")
class PairModel(keras.Model):
    """Trains a model on pairs of targets: a mixer's `targets="pair"`.

        λ·loss(y_i, p) + (1 − λ)·loss(y_j, p)

    The wrapper takes a Keras model of any kind and trains its weights in place. Build,
    compile and fit the wrapper. Then use, save and convert the model itself. Elements
    are `(x, (y_i, y_j, λ))`, with sample weights as a third part or without. A model of
    several outputs takes one triple `(y_i, y_j, λ)` for each output. Labels that are no
    pairs, such as those of validation data, have their plain loss.

    Give losses and metrics to `compile` as for any model. Each loss becomes a
    `PairLoss`. Each metric is updated with y_i at weight λ and with y_j at weight
    1 − λ. So "accuracy" is the label mass on the predicted class, as `MixedAccuracy`
    is. For this, all metrics are weighted metrics. Sample weights count in them too,
    and a metric of your own must use `sample_weight`. Penalties (`kernel_regularizer`,
    `add_loss`) count once.

    Args:
      model: a `keras.Model`. It need not be compiled.
      name: the name of the wrapper, as Keras shows it.

    Raises:
      TypeError: `model` is not a model of Keras 3.

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
        caller = f"tfmixup.keras.{type(self).__name__}"
        no_tf_keras(caller, "model", model)
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"{caller}: model must be a keras.Model, got {type(model).__name__}. "
                "Wrap the model itself: keras.Sequential([...]) or another one."
            )
        if isinstance(model, PairModel):
            raise TypeError(
                f"{caller}: model is a {type(model).__name__} already, which trains on "
                "pairs itself. Wrap its `.model`."
            )
        # The model casts its inputs itself, to its own dtype.
        super().__init__(name=name, autocast=False)
        self.model = model
        if model.built:
            self.built = True

    @property
    def output_names(self) -> list[str]:
        """The model's output names, by which Keras finds losses, metrics and labels."""
        return self.model.output_names

    def build(self, input_shape: Any = None) -> None:
        """Makes the model's weights."""
        if not self.model.built:
            self.model.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The model's predictions."""
        return self.model(inputs, training=training)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compiles like any model, with the losses of plain labels.

        Args:
          optimizer: as for any model.
          loss: one loss, or one for each output, such as `keras.losses.CTC()`.
          loss_weights: as for any model.
          metrics: one list, or one for each output. The metrics are weighted by λ and
            by sample weights.
          weighted_metrics: the same as `metrics`. Give only one of the two.
          **kwargs: as for any model.

        Raises:
          TypeError: the optimizer, a loss or one of `metrics` is of tf_keras.
          ValueError: both `metrics` and `weighted_metrics` are given, or the loss is
            "crossentropy", which does not say which cross-entropy.
        """
        for name, value in (("optimizer", optimizer), ("metrics", metrics)):
            for leaf in keras.tree.flatten(value):
                no_tf_keras(_NAME, name, leaf)
        if metrics and weighted_metrics:
            raise ValueError(
                f"{_NAME}: metrics and weighted_metrics mean the same here, since "
                "every metric is weighted by λ. Give all of them as metrics."
            )
        super().compile(
            optimizer,
            keras.tree.map_structure(_pair_loss, loss),
            loss_weights,
            weighted_metrics=metrics or weighted_metrics,
            **kwargs,
        )

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Exports the model itself, whose predictions are the wrapper's.

        Args:
          filepath: as for any model.
          *args: as for any model.
          **kwargs: as for any model.
        """
        self.model.export(filepath, *args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was compiled when it was saved."""
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
        """The loss of pairs of targets or of plain labels, with penalties."""
        y, sample_weight = self._pairs(y, y_pred, sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the metrics with y_i at weight λ, then with y_j at 1 − λ."""
        pairs, sample_weight = self._pairs(y, y_pred, sample_weight)
        if not any(isinstance(leaf, Pair) for leaf in keras.tree.flatten(pairs)):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        first = keras.tree.map_structure(lambda y: _half(y, 0)[0], pairs)
        second = keras.tree.map_structure(lambda y: _half(y, 1)[0], pairs)
        super().compute_metrics(x, first, y_pred, _weights(pairs, sample_weight, 0))
        return super().compute_metrics(
            x, second, y_pred, _weights(pairs, sample_weight, 1)
        )

    def _pairs(self, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any]:
        """Labels and sample weights in the structure of the predictions."""
        if isinstance(y, dict) and isinstance(y_pred, (list, tuple)):
            # Keras takes a dict of labels by output name for a list of outputs, too.
            y = [y[name] for name in self.output_names]
            if isinstance(sample_weight, dict):
                sample_weight = [sample_weight[name] for name in self.output_names]
        if keras.tree.is_nested(sample_weight):
            # Keras has repeated a weight array for each of the three parts of a pair.
            # Take the first.
            sample_weight = keras.tree.map_structure(
                lambda given: given.first if isinstance(given, Pair) else given,
                _pairs(sample_weight, y_pred),
            )
        return _pairs(y, y_pred), sample_weight

    def get_config(self) -> dict[str, Any]:
        """The arguments to make the wrapper again."""
        model = keras.saving.serialize_keras_object(self.model)
        return {"model": model, "name": self.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> PairModel:
        """Makes the wrapper from its config."""
        model = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(model, name=config["name"])


def _pair_loss(loss: Any) -> Any:
    if loss is None or isinstance(loss, PairLoss):
        return loss
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        raise ValueError(
            f"{_NAME}: loss={loss!r} does not say which. Write "
            "'sparse_categorical_crossentropy', 'categorical_crossentropy' or "
            "'binary_crossentropy'."
        )
    return PairLoss(loss)


def _pairs(y: Any, y_pred: Any) -> Any:
    """Labels in which each output's `(y_i, y_j, λ)` is one `Pair`."""
    if not keras.tree.is_nested(y_pred):
        is_pair = isinstance(y, (tuple, list)) and len(y) == 3
        return Pair(y[0], y[1], y[2], steps=len(y_pred.shape) > 2) if is_pair else y
    if isinstance(y, dict) and isinstance(y_pred, dict):
        return {k: _pairs(v, y_pred[k]) if k in y_pred else v for k, v in y.items()}
    if isinstance(y, (tuple, list)) and len(y) == len(y_pred):
        outputs = list(y_pred.values()) if isinstance(y_pred, dict) else y_pred
        return type(y)(_pairs(*both) for both in zip(y, outputs))
    return y


def _half(y: Any, which: int) -> tuple[Any, Any]:
    """y_i and λ, or y_j and 1 − λ. A plain label has the shares 1 and 0."""
    if not isinstance(y, Pair):
        return y, 1.0 - which
    return (y.second, 1 - y.lam) if which else (y.first, y.lam)


def _weights(pairs: Any, sample_weight: Any, which: int) -> Any:
    """Sample weights times λ, or times 1 − λ, for each output."""

    def weight(y: Any, given: Any) -> Any:
        share = _half(y, which)[1]
        if not isinstance(y, Pair):
            share = keras.ops.full(keras.ops.shape(y)[:1], share)
        elif y.steps and len(share.shape) == 1:
            # Keras multiplies the weights by a mask (B, T), so λ becomes (B, 1).
            share = keras.ops.expand_dims(share, -1)
        if given is None:
            return share
        # Either may be (B,) or (B, 1), and sample weights also (B, T).
        given = keras.ops.cast(keras.ops.convert_to_tensor(given), "float32")
        while len(share.shape) < len(given.shape):
            share = keras.ops.expand_dims(share, -1)
        while len(given.shape) < len(share.shape):
            given = keras.ops.expand_dims(given, -1)
        return given * share

    if keras.tree.is_nested(sample_weight):
        given = keras.tree.pack_sequence_as(pairs, keras.tree.flatten(sample_weight))
        return keras.tree.map_structure(weight, pairs, given)
    return keras.tree.map_structure(lambda y: weight(y, sample_weight), pairs)
